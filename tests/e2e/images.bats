# SPDX-License-Identifier: Apache-2.0
# Images: pull in every form, load, list, inspect, remove.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() { start_engine; }
teardown_file() { stop_engine; }

has_image() { c image inspect "$1" >/dev/null 2>&1; }

@test "pull: gzip, zstd and plain layers run alike" {
	for how in gzip zstd plain; do
		c pull "$E2E_REGISTRY/box:$how"
		run -0 c run --rm --pull never "$E2E_REGISTRY/box:$how" echo "$how"
		equals "$output" "$how"
	done
}

@test "pull: Docker schema 2" {
	run -0 c pull "$E2E_REGISTRY/box:schema2"
	contains "$output" "Status: Downloaded newer image for $E2E_REGISTRY/box:schema2"
	run -0 c pull "$E2E_REGISTRY/box:schema2"
	contains "$output" "Status: Image is up to date for $E2E_REGISTRY/box:schema2"
	matches "$output" 'Digest: sha256:[0-9a-f]{64}'
}

@test "pull: the platform's entry of an index and of a manifest list" {
	for tag in latest list; do
		run -0 c run --rm "$E2E_REGISTRY/multi:$tag" sh -c 'echo $ARCH'
		equals "$(tail -n 1 <<<"$output")" amd64
	done
	run c pull "$E2E_REGISTRY/multi:foreign"
	[ "$status" -ne 0 ]
	contains "$output" "no matching manifest for linux/amd64"
	run -0 c pull --platform linux/arm64 "$E2E_REGISTRY/multi:foreign"
	run -0 c image inspect --format '{{.Architecture}}' "$E2E_REGISTRY/multi:foreign"
	equals "$output" arm64
}

@test "pull by digest" {
	digest=$(curl -sI "http://$E2E_REGISTRY/v2/box/manifests/gzip" | tr -d '\r' | awk '/[Dd]igest/{print $2}')
	c pull "$E2E_REGISTRY/box@$digest"
	run -0 c run --rm "$E2E_REGISTRY/box@$digest" echo by-digest
	equals "$output" by-digest
}

@test "pull -q prints the reference only" {
	run -0 c pull -q "$E2E_REGISTRY/box:zstd"
	equals "$output" "$E2E_REGISTRY/box:zstd"
}

@test "pull of what is not there" {
	run c pull "$E2E_REGISTRY/box:none"
	[ "$status" -ne 0 ]
	contains "$output" "manifest unknown"
	run c pull 127.0.0.1:1/x
	[ "$status" -ne 0 ]
	contains "$output" "refused"
	run c pull 'Bad/Name'
	[ "$status" -ne 0 ]
	contains "$output" "invalid reference format"
}

@test "run pulls a missing image; --pull always, missing, never" {
	c rmi -f "$E2E_REGISTRY/box:plain"
	run -0 --separate-stderr c run --rm "$E2E_REGISTRY/box:plain" echo pulled
	equals "$output" pulled
	contains "$stderr" "Unable to find image '$E2E_REGISTRY/box:plain' locally"
	run -0 --separate-stderr c run --rm --pull always "$E2E_REGISTRY/box:plain" echo again
	contains "$stderr" "up to date"
	run -0 --separate-stderr c run --rm --pull never --quiet "$E2E_REGISTRY/box:plain" echo q
	equals "$stderr" ""
}

@test "load: docker-archive, with all its names" {
	run -0 c load -i "$E2E_TMP/images/busybox.docker.tar"
	contains "$output" "Loaded image: busybox:latest"
	contains "$output" "Loaded image: box:two"
	run -0 c run --rm box:two echo two
	equals "$output" two
}

@test "load: from standard input, and gzipped" {
	run -0 bash -c "source '$E2E_DIR/lib.bash'; gzip -1c '$E2E_TMP/images/configured.tar' | c load"
	contains "$output" "Loaded image: configured:latest"
}

@test "load: oci-archive with zstd layers" {
	run -0 c load -i "$E2E_TMP/images/busybox.oci.tar"
	contains "$output" "ocibox:latest"
	run -0 c run --rm ocibox echo oci
	equals "$output" oci
}

@test "load: an OCI layout folder" {
	[ "$E2E_CLIENT" = coracle ] || skip "Docker's client reads files only"
	run -0 c load -i "$E2E_TMP/images/layered"
	contains "$output" "layered:zstd"
	run -0 c run --rm layered:zstd ls /keep
	equals "$output" b
}

@test "load: garbage is refused" {
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/junk"
	run c load -i "$BATS_TEST_TMPDIR/junk"
	[ "$status" -ne 0 ]
	: >"$BATS_TEST_TMPDIR/empty"
	run c load -i "$BATS_TEST_TMPDIR/empty"
	[ "$status" -ne 0 ]
	head -c 500000 "$E2E_TMP/images/busybox.docker.tar" >"$BATS_TEST_TMPDIR/cut"
	run c load -i "$BATS_TEST_TMPDIR/cut"
	[ "$status" -ne 0 ]
	run c load -i /no/such/file
	[ "$status" -ne 0 ]
	no_leaks
}

@test "an image for another architecture says so" {
	c load -q -i "$E2E_TMP/images/foreign.tar"
	run c run --rm foreign true
	contains "$output" "platform"
	contains "$output" "s390x"
}

@test "images: table, -q, --no-trunc, --format, --filter, --digests" {
	run -0 c images
	matches "${lines[0]}" '^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$'
	contains "$output" busybox
	run -0 c images -q busybox
	matches "$output" '^[0-9a-f]{12}$'
	run -0 c images -q --no-trunc busybox
	matches "$output" '^sha256:[0-9a-f]{64}$'
	run -0 c images --format '{{.Repository}}:{{.Tag}}' busybox
	equals "$output" busybox:latest
	run -0 c images --format json busybox
	run -0 jq -r .Repository <<<"$output"
	equals "$output" busybox
	run -0 c images -q --filter reference='box:*'
	[ -n "$output" ]
	run -0 c images --filter label=made=here --format '{{.Repository}}'
	equals "$output" configured
	run -0 c images --digests "$E2E_REGISTRY/box"
	contains "$output" "sha256:"
}

@test "inspect of an image" {
	run -0 c image inspect --format '{{.Os}}/{{.Architecture}} {{.Config.User}} {{json .Config.Cmd}} {{.Config.WorkingDir}}' configured
	equals "$output" 'linux/amd64 web ["one","two"] /work'
	run -0 c inspect configured
	run -0 jq -r '.[0].RepoTags[0], (.[0].RootFS.Layers | length), (.[0].Id | startswith("sha256:"))' <<<"$output"
	equals "$output" $'configured:latest\n2\ntrue'
	run c image inspect no-such
	[ "$status" -ne 0 ]
	contains "$output" "No such image: no-such"
}

@test "rmi: untags, deletes, refuses what is in use" {
	run -0 c rmi box:two
	contains "$output" "Untagged: box:two"
	lacks "$output" Deleted
	has_image busybox
	c create --name holds ocibox
	run c rmi ocibox
	[ "$status" -ne 0 ]
	contains "$output" "conflict"
	c rm holds
	run -0 c rmi ocibox
	contains "$output" "Untagged: ocibox:latest"
	contains "$output" "Deleted: sha256:"
	run ! has_image ocibox
	run c rmi ocibox
	[ "$status" -ne 0 ]
	contains "$output" "No such image"
}

@test "rmi by id, and all that a layer shared stays for the others" {
	c load -q -i "$E2E_TMP/images/layered.tar"
	id=$(c images -q --no-trunc layered:latest)
	c rmi -f "$id"
	run ! has_image layered:latest
	run -0 c run --rm busybox echo alive
	equals "$output" alive
}

@test "removed layers leave the disk" {
	no_leaks
	before=$(ls "$HOME_DIR/data/layers" | wc -l)
	c load -q -i "$E2E_TMP/images/layered.tar"
	[ "$(ls "$HOME_DIR/data/layers" | wc -l)" -gt "$before" ] || [ "$E2E_CLIENT" = coracle ]
	c rmi layered:latest
	no_leaks
}

@test "two pulls of one image at the same time" {
	c pull -q "$E2E_REGISTRY/big:latest" >"$BATS_TEST_TMPDIR/1" 2>&1 3>&- &
	p1=$!
	c pull -q "$E2E_REGISTRY/big:latest" >"$BATS_TEST_TMPDIR/2" 2>&1 3>&- &
	wait $! && wait $p1
	run -0 c run --rm "$E2E_REGISTRY/big:latest" ls /big3
	contains "$output" f19
	c rmi "$E2E_REGISTRY/big:latest"
	no_leaks
}
