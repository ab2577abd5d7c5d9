# SPDX-License-Identifier: Apache-2.0
# What refers to an image: by the registry's API, and by the fallback tag where there is none.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	start_registry "$HOME_DIR/registry"
	openssl ecparam -name prime256v1 -genkey -noout -out "$HOME_DIR/key.pem"
	artifacts images "$REG"
	artifacts attach "$REG" a/m amd64-oci example/sbom 'a bill of materials'
	artifacts attach "$REG" a/m amd64-oci example/note 'a note'
	(exec python3 "$E2E_DIR/artifacts.py" serve "$HOME_DIR/port" "$HOME_DIR/key.pem" 3>&- 4>&-) &
	echo $! >"$HOME_DIR/serve.pid"
	wait_for 10 test -s "$HOME_DIR/port"
}
teardown_file() {
	kill "$(cat "$HOME_DIR/serve.pid")"
	stop_registry
	stop_engine
}
setup() {
	needs docker-registry
	needs skopeo
	API=127.0.0.1:$(cat "$HOME_DIR/port")
}
artifacts() { python3 "$E2E_DIR/artifacts.py" "$@"; }

@test "referrers: by the API, over all pages, filtered by type" {
	run -0 coracle image referrers "$API/box:signed"
	matches "${lines[0]}" '^ARTIFACT TYPE +DIGEST +SIZE +CREATED$'
	equals "${#lines[@]}" 7
	run -0 coracle image referrers --artifact-type example/sbom --format '{{.ArtifactType}} {{.Created}}' "$API/box:signed"
	equals "$(sort -u <<<"$output")" 'example/sbom 2024-01-02T03:04:05Z'
	equals "${#lines[@]}" 5
	run -0 coracle image referrers --format json --artifact-type application/vnd.dev.cosign.artifact.sig.v1+json "$API/box:signed"
	equals "$(jq -r .ArtifactType <<<"$output")" application/vnd.dev.cosign.artifact.sig.v1+json
	run -0 coracle image referrers -q "$API/box:plain"
	equals "$output" ''
}

@test "referrers: by the fallback tag of a registry without the API" {
	run -0 coracle image referrers --format '{{.ArtifactType}}' "$REG/a/m:amd64-oci"
	equals "$output" $'example/sbom\nexample/note'
	run -0 coracle image referrers -q --artifact-type example/note "$REG/a/m:amd64-oci"
	matches "$output" '^sha256:[0-9a-f]{64}$'
	run -0 coracle image referrers -q "$REG/a/m:arm64-oci"
	equals "$output" ''
}

@test "referrers: of the image of a platform" {
	coracle manifest create "$REG/a/m:all" "$REG/a/m:arm64-oci" "$REG/a/m:amd64-oci"
	coracle manifest push -p "$REG/a/m:all"
	run -0 coracle image referrers -q "$REG/a/m:all"
	equals "$output" ''
	run -0 coracle image referrers --platform linux/amd64 --format '{{.ArtifactType}}' "$REG/a/m:all"
	equals "$output" $'example/sbom\nexample/note'
	run coracle image referrers --platform linux/s390x "$REG/a/m:all"
	code 1
	contains "$output" "no matching manifest for linux/s390x"
}

@test "referrers -o: the artifacts as an OCI layout that skopeo reads" {
	out=$BATS_TEST_TMPDIR/layout
	before=$(find "$HOME_DIR/data/blobs" -type f | sort)
	coracle image referrers -o "$out" --artifact-type example/note "$REG/a/m:amd64-oci"
	(cd "$out/blobs/sha256" && for f in *; do echo "$f  $f"; done | sha256sum -c --quiet)
	equals "$(jq -r '.manifests | length, .[0].artifactType' "$out/index.json" | paste -sd' ')" "1 example/note"
	manifest=$(jq -r '.manifests[0].digest' "$out/index.json")
	layer=$(jq -r '.layers[0].digest' "$out/blobs/sha256/${manifest:7}")
	equals "$(cat "$out/blobs/sha256/${layer:7}")" 'a note'
	run -0 skopeo inspect --raw "oci:$out"
	equals "sha256:$(printf %s "$output" | sha256sum | cut -d' ' -f1)" "$manifest"
	coracle image referrers -o "$out.all" "$API/box:signed"
	equals "$(jq -r '.manifests | length' "$out.all/index.json")" 6
	run coracle image referrers -o "$out" "$REG/a/m:amd64-oci"
	code 1
	contains "$output" "is not empty"
	wait_for 5 test "$before" = "$(find "$HOME_DIR/data/blobs" -type f | sort)"
	no_leaks
}

@test "referrers: refusals" {
	run coracle image referrers "$REG/a/m:none"
	code 1
	contains "$output" "no such manifest: $REG/a/m:none"
	run coracle image referrers -o "$BATS_TEST_TMPDIR/none" "$REG/a/m:arm64-oci"
	code 1
	contains "$output" "nothing refers to $REG/a/m:arm64-oci"
	[ ! -e "$BATS_TEST_TMPDIR/none" ]
	# An artifact whose blob is not what its manifest says.
	artifacts attach "$REG" a/m arm64-docker example/bad "$(head -c 5000 /dev/zero | tr '\0' x)"
	digest=$(printf '%05000d' 0 | tr 0 x | sha256sum | cut -d' ' -f1)
	file=$HOME_DIR/registry/data/docker/registry/v2/blobs/sha256/${digest:0:2}/$digest/data
	printf '%05000d' 0 >"$file"
	run coracle image referrers -o "$BATS_TEST_TMPDIR/bad" "$REG/a/m:arm64-docker"
	code 1
	contains "$output" "has another digest"
	[ ! -e "$BATS_TEST_TMPDIR/bad" ]
	no_leaks
}
