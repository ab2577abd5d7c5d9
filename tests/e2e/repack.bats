# SPDX-License-Identifier: Apache-2.0
# Layers whose blobs are gone from the store: packed again for push and save. Those made here come out as
# they were; others get other digests, and the client is told.
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	start_registry "$HOME_DIR/registry"
	coracle run --name maker default sh -c 'mkdir -p /a/b && echo one >/a/b/file && ln /a/b/file /a/hard && ln -s b /a/soft &&
		rm -rf /bin/vi && rm -rf /home && mkdir /home && touch /home/new && chmod 4755 /a/b/file && chown 7:8 /a/hard &&
		touch -d "2001-02-03 04:05:06" /a/b && for i in 9 3 7 1 5; do echo $i >/a/n$i; done'
}
teardown_file() {
	stop_registry
	stop_engine
}
setup() {
	needs docker-registry
	needs skopeo
}

# Removes the blobs of an image's layers from the store, as a repair of damaged ones does.
drop_layers() {
	local file
	for file in "$HOME_DIR"/data/blobs/sha256/*; do
		[ "$(stat -c %s "$file")" -lt 4096 ] && [ "$(head -c 1 "$file")" = "{" ] || : >"$file"
	done
	coracle system fsck --repair >/dev/null || true # it says what it found
	run -0 coracle system fsck
	contains "$output" "no problems"
}
raw() { skopeo inspect --raw --tls-verify=false "docker://$1"; }
files_of() { coracle run --rm --pull never "$1" find / -xdev -mindepth 1 ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' ! -path '/etc*' -exec stat -c '%n %a %u %g %s %Y %F' {} + | sort | sha256sum; }

@test "push: a layer made here is the same again, also the image's ID" {
	local to=$REG/$E2E_CLIENT/made:1 id layers
	coracle commit maker made:1 >/dev/null
	id=$(coracle image inspect -f '{{.Id}}' made:1)
	layers=$(coracle image inspect -f '{{json .RootFS.Layers}}' made:1)
	c tag made:1 "$to"
	drop_layers
	[ ! -e "$HOME_DIR/data/blobs/sha256/$(jq -r '.[-1]' <<<"$layers" | cut -c8-)" ]
	run -0 c push "$to"
	contains "$output" "Layers packed again"
	skopeo copy -q --src-tls-verify=false "docker://$to" "oci:$BATS_TEST_TMPDIR/judge:1"
	equals "$(skopeo inspect --config --tls-verify=false "docker://$to" | jq -r '.rootfs.diff_ids[-1]')" "$(jq -r '.[-1]' <<<"$layers")"
	[ "$id" ]
	c rmi -f made:1 "$to"
}

@test "push: another's layer gets another digest, and that is said" {
	local to=$REG/$E2E_CLIENT/other:1 id new before
	c pull -q "$E2E_REGISTRY/layered"
	id=$(coracle image inspect -f '{{.Id}}' "$E2E_REGISTRY/layered")
	before=$(files_of "$E2E_REGISTRY/layered")
	c tag "$E2E_REGISTRY/layered" "$to"
	drop_layers
	run -0 c push "$to"
	contains "$output" "Layers packed again, with other digests: "
	new=$(raw "$to" | jq -r .config.digest)
	[ "$new" != "$id" ]
	contains "$output" "The image pushed has the ID $new"
	lacks "$(coracle image inspect -f '{{json .RepoDigests}}' "$to")" "$(raw "$to" | sha256sum | cut -d' ' -f1)"
	skopeo copy -q --src-tls-verify=false "docker://$to" "dir:$BATS_TEST_TMPDIR/judge"
	c rmi -f "$E2E_REGISTRY/layered" "$to"
	c pull -q "$to"
	equals "$(coracle image inspect -f '{{.Id}}' "$to")" "$new"
	equals "$(files_of "$to")" "$before"
	c rmi -f "$to"
	equals "$(ls "$HOME_DIR/data/ingest")" ""
}

@test "save: the same" {
	local before
	c load -q -i "$E2E_TMP/images/layered.tar"
	before=$(files_of layered:latest)
	drop_layers
	c save -o "$BATS_TEST_TMPDIR/saved.tar" layered:latest
	c rmi layered:latest
	skopeo copy -q "docker-archive:$BATS_TEST_TMPDIR/saved.tar:layered:latest" "dir:$BATS_TEST_TMPDIR/judge"
	c load -q -i "$BATS_TEST_TMPDIR/saved.tar"
	equals "$(files_of layered:latest)" "$before"
	c rmi layered:latest
	equals "$(ls "$HOME_DIR/data/ingest")" ""
}
