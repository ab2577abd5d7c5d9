# SPDX-License-Identifier: Apache-2.0
# Images that lie or attack: none may write outside its layer, none may be accepted that is not what it
# claims, and the engine goes on afterwards.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	mkdir -p "$E2E_VICTIM"
	echo precious >"$E2E_VICTIM/file"
	chmod 600 "$E2E_VICTIM/file"
	(cd "$E2E_VICTIM" && find . | sort) >"$E2E_TMP/victim.before"
	sha256sum /etc/passwd >"$E2E_TMP/passwd.before"
	stat -c '%h' /etc/passwd >>"$E2E_TMP/passwd.before"
}
teardown_file() { stop_engine; }

victim_untouched() {
	equals "$(cd "$E2E_VICTIM" && find . | sort)" "$(cat "$E2E_TMP/victim.before")"
	equals "$(cat "$E2E_VICTIM/file") $(stat -c %a "$E2E_VICTIM/file")" "precious 600"
	equals "$(sha256sum /etc/passwd; stat -c %h /etc/passwd)" "$(cat "$E2E_TMP/passwd.before")"
}

escape() { # NAME: refused, or harmless
	run c pull -q "$E2E_REGISTRY/escape-$1:latest"
	if [ "$status" -eq 0 ]; then
		run c run --rm --pull never "$E2E_REGISTRY/escape-$1:latest" true
	fi
	victim_untouched
	ping
}

@test "names with ..: stay inside" { escape dotdot; escape inner-dotdot; }
@test "absolute names: stay inside" { escape absolute; }
@test "files through symbolic links: stay inside" { escape symlink-dir; escape symlink-rel; escape symlink-file; escape dir-over-link; }
@test "hard links to the host's files: refused or inside" { escape hardlink-out; escape hardlink-abs; escape hardlink-via-link; }
@test "a link swapped in by an earlier layer: not followed" { escape swapped-between-layers; }
@test "whiteouts through links or with bad names: nothing outside is removed" {
	escape whiteout-through-link
	escape opaque-through-link
	escape whiteout-dotdot
	escape whiteout-empty
}
@test "modes through links: nothing outside changes" { escape chmod-through-link; }

@test "an image cannot set overlayfs attributes of its own" {
	escape overlay-xattr
	run grep -rl . "$HOME_DIR/data/layers" --include=none
	for d in "$HOME_DIR"/data/layers/*/diff/red; do
		[ -e "$d" ] || continue
		run python3 -c "import os,sys; print([a for a in os.listxattr(sys.argv[1]) if 'redirect' in a])" "$d"
		equals "$output" "[]"
	done
}

refused() { # NAME...: no image, a text, no rubbish, engine alive
	local name
	for name in "$@"; do
		run timeout 60 bash -c "source '$E2E_DIR/lib.bash'; c pull '$E2E_REGISTRY/bad-$name:latest'"
		[ "$status" -ne 0 ] || {
			echo "bad-$name was accepted" >&2
			return 1
		}
		[ "$status" -ne 124 ]
		[ -n "$output" ]
		run c image inspect "$E2E_REGISTRY/bad-$name:latest"
		[ "$status" -ne 0 ]
		ping
	done
}

@test "blobs that are flipped, truncated, longer, empty or others" {
	refused blob-flipped blob-truncated blob-longer blob-empty blob-other config-flipped
}
@test "a wrong digest is named" {
	run c pull "$E2E_REGISTRY/bad-blob-flipped:latest"
	contains "$output" "digest"
}
@test "manifests that are garbage, deep, huge or of old kinds" {
	refused manifest-garbage manifest-empty manifest-array manifest-deep manifest-huge manifest-schema1 manifest-types
}
@test "manifests that lie about sizes, digests and counts" {
	refused digest-path digest-algorithm size-negative size-small size-large layers-more-than-diffids many-layers
}
@test "configurations that are wrong" { refused config-array config-types diffid-wrong; }
@test "layers that are no archives" {
	refused layer-garbage layer-gzip-garbage layer-zstd-garbage layer-xz tar-truncated tar-checksum
}

@test "after all that a good pull still works and nothing is left" {
	c pull -q "$E2E_REGISTRY/box:gzip"
	run -0 c run --rm "$E2E_REGISTRY/box:gzip" echo fine
	equals "$output" fine
	for d in "$HOME_DIR"/data/ingest/*; do [ ! -e "$d" ] || [[ $d == *.partial ]]; done
	run find "$HOME_DIR/data/layers" -maxdepth 1 -name 'tmp-*'
	equals "$output" ""
}

@test "a bomb: 4 GiB of zeros in 4 MB end with a clear error and no full disk" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	python3 - "$BATS_TEST_TMPDIR/bomb.tar" <<-'END'
		import sys, os, json
		sys.path.insert(0, os.environ['E2E_DIR'])
		import imagelib, hostile
		image = imagelib.Image([imagelib.busybox_tar()])
		blob = hostile.bomb()
		image.descs = [image.put(blob, imagelib.OCI + 'layer.v1.tar+gzip')]
		image.config['rootfs']['diff_ids'] = ['sha256:' + '1' * 64]
		image.seal()
		imagelib.write_oci_archive(image, sys.argv[1], 'bomb:latest')
	END
	run timeout 120 bash -c "source '$E2E_DIR/lib.bash'; c load -i '$BATS_TEST_TMPDIR/bomb.tar'"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	ping
	no_leaks
}

@test "a layer of 200,000 entries is fine" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	python3 - "$BATS_TEST_TMPDIR/many.tar" <<-'END'
		import sys, os
		sys.path.insert(0, os.environ['E2E_DIR'])
		import imagelib
		t = imagelib.Tar()
		for i in range(200000):
		    t.file('m/%d/%d' % (i // 1000, i), b'')
		imagelib.write_docker_archive(imagelib.Image([imagelib.busybox_tar(), t.done()], compression='plain'), sys.argv[1], ['many:latest'])
	END
	c load -q -i "$BATS_TEST_TMPDIR/many.tar"
	run -0 c run --rm many sh -c 'ls /m/199 | wc -l'
	equals "$output" 1000
	c rmi many
}
