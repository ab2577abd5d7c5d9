# SPDX-License-Identifier: Apache-2.0
# Archives for load whose documents lie: each is refused by name or right, and the store stays as it was.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	export ARCHIVES=$E2E_TMP/archives
	mkdir -p "$ARCHIVES"
	(cd "$E2E_DIR" && python3 badarchives.py "$ARCHIVES")
}
teardown_file() {
	stop_engine
	rm -rf "$ARCHIVES"
}

store_state() { (cd "$HOME_DIR/data" && find blobs ingest layers -maxdepth 2 | sort && coracle images -aq --no-trunc); }

refused() { # PREFIX: every archive of that kind
	local file name before failed=0
	before=$(store_state)
	for file in "$ARCHIVES/$1"*.tar; do
		name=$(basename "$file" .tar)
		run timeout 60 bash -c "source '$E2E_DIR/lib.bash'; c load -i '$file'"
		if [ "$status" -eq 0 ] || [ "$status" -eq 124 ] || [[ $output != *"$(cat "${file%.tar}.want")"* ]]; then
			echo "$name: status $status, wanted '$(cat "${file%.tar}.want")': ${output:0:300}" >&2
			failed=1
		fi
	done
	ping
	coracle system gc --dangling --unused-for 1ms >/dev/null
	equals "$(store_state)" "$before"
	run -0 coracle system fsck
	return $failed
}

@test "manifest.json that is none" { refused manifest.json-; }
@test "index.json that is none" { refused index.json-; }
@test "configurations that are none" { refused config-; }
@test "manifests that are none" { refused manifest-; }
@test "sizes that are negative, overflow or lie" { refused size-; }
@test "layers that are missing, too many, too few" {
	refused layer-
	refused layers-
}
@test "diff ids that do not match in number or value" { refused diffid-; }
@test "names with capitals, Unicode, controls, paths" { refused tag-; }
@test "archives from before manifest.json are refused by name; links in circles" {
	refused repositories-
	refused link-
}
@test "good: a layer that repeats, layers that are links, a key twice" {
	for name in good-layer-repeats good-linked-layers good-keys-twice; do c load -q -i "$ARCHIVES/$name.tar"; done
	equals "$(c image inspect -f '{{len .RootFS.Layers}}' good-layer-repeats:1)" 4
	equals "$(c image inspect -f '{{len .RootFS.Layers}}' linked:1)" 2
	c rmi good-layer-repeats:1 linked:1 keys:1
	run -0 coracle system fsck
}
