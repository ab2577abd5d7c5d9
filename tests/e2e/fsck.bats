# SPDX-License-Identifier: Apache-2.0
# Damage of every kind: found, named, repaired, and the images run again; what is sound is never lost.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	IMAGE=$E2E_REGISTRY/layered:latest
	export IMAGE
	coracle pull -q "$IMAGE" >/dev/null
	coracle volume create kept >/dev/null
	coracle run -d --name witness -v kept:/v default sh -c 'echo mine >/v/f; echo up >/own; sleep 10000' >/dev/null
}
teardown_file() { stop_engine; }

teardown() { # whatever a test did, the next one begins with a sound store
	ping || run_engine
	coracle system fsck --repair >/dev/null || coracle pull -q "$IMAGE" >/dev/null
	coracle system fsck --repair >/dev/null || true
}

restart_after() { # COMMAND...: with the engine stopped
	kill -TERM "$(engine_pid)"
	wait_for 5 gone "$(engine_pid)"
	"$@"
	run_engine
}
gone() { ! kill -0 "$1" 2>/dev/null; }
sql() {
	python3 -c 'import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); print("\n".join("|".join(map(str,r)) for r in d.execute(sys.argv[2]))); d.commit()' \
		"$HOME_DIR/data/state.db" "$1"
}
sound() {
	run -0 coracle system fsck
	contains "$output" "no problems"
	equals "$(coracle exec witness cat /own /v/f)" $'up\nmine'
}
found() { # TEXT: fsck says so, changes nothing; repair cures it; then all is sound
	run -3 coracle system fsck
	contains "$output" "$1"
	run -3 coracle system fsck --format json
	contains "$output" '"repaired":false'
	run -2 coracle system fsck --repair
	contains "$output" "$1"
	contains "$output" repaired
	lacks "$output" "not repaired"
	sound
}
runs() {
	run -0 coracle run --rm --pull never "$IMAGE" sh -c 'echo fine'
	equals "$output" fine
}
layer_blob() { # the second layer's blob of $IMAGE
	python3 - "$HOME_DIR/data/blobs/sha256" "$(coracle image inspect -f '{{.Descriptor.digest}}' "$IMAGE")" <<-'END'
		import json, sys
		print(json.load(open(sys.argv[1] + '/' + sys.argv[2][7:]))['layers'][1]['digest'][7:])
	END
}
layer_dir() { # of the second layer of $IMAGE
	coracle image inspect -f '{{.GraphDriver.Data.LowerDir}}' "$IMAGE" | tr : '\n' | tail -n 2 | head -n 1
}
flip() { # FILE OFFSET: one byte, same size, same times
	python3 - "$1" "$2" <<-'END'
		import os, sys
		st = os.stat(sys.argv[1])
		with open(sys.argv[1], 'r+b') as f:
		    f.seek(int(sys.argv[2])); b = f.read(1)
		    f.seek(int(sys.argv[2])); f.write(bytes([b[0] ^ 1]))
		os.utime(sys.argv[1], ns=(st.st_atime_ns, st.st_mtime_ns))
	END
}

@test "a sound store has no problems; the engine answers meanwhile" {
	sound
	run -0 coracle system fsck --quick
	contains "$output" "no problems"
	run api POST /v1.41/coracle/fsck
	contains "$output" '"summary":{"problems":0'
	contains "$output" '"status":"Checking content"'
}

@test "a flipped byte of a layer's blob: named, dropped, the image runs on" {
	blob=$(layer_blob)
	flip "$HOME_DIR/data/blobs/sha256/$blob" 100
	run -0 coracle system fsck --quick # its content is not looked at
	found "blob sha256:$blob: its content does not match its digest"
	runs
	[ ! -e "$HOME_DIR/data/blobs/sha256/$blob" ]
	coracle rmi "$IMAGE" >/dev/null
	coracle pull -q "$IMAGE"
}

@test "truncated and missing blobs" {
	blob=$(layer_blob)
	truncate -s 10 "$HOME_DIR/data/blobs/sha256/$blob"
	run -3 coracle system fsck --quick
	contains "$output" "blob sha256:$blob: its content does not match its digest: it has 10 bytes, its manifest says"
	found "blob sha256:$blob: its content does not match"
	coracle rmi "$IMAGE" >/dev/null
	coracle pull -q "$IMAGE"
	rm "$HOME_DIR/data/blobs/sha256/$blob"
	found "blob sha256:$blob: it is missing"
	runs
	coracle rmi "$IMAGE" >/dev/null
	coracle pull -q "$IMAGE"
	config=$(coracle image inspect -f '{{.Id}}' "$IMAGE")
	: >"$HOME_DIR/data/blobs/sha256/${config#sha256:}"
	found "blob $config"
	run -0 sha256sum "$HOME_DIR/data/blobs/sha256/${config#sha256:}"
	contains "$output" "${config#sha256:}  "
}

@test "files of a layer deleted, changed, added: named by path, made again from the blob" {
	dir=$(layer_dir)
	rm "$dir/keep/b"
	found '"keep/b" is missing'
	runs
	dir=$(layer_dir)
	flip "$dir/keep/b" 0
	run -0 coracle system fsck --quick
	found '"keep/b" has other content'
	runs
	chmod 0700 "$dir/keep/b"
	run -3 coracle system fsck --quick
	found '"keep/b" has another mode'
	runs
	mkdir "$dir/extra"
	run -3 coracle system fsck --quick
	found '"extra" is not part of the image'
	rm -r "${dir%/diff}"
	found "its directory cannot be opened: No such file or directory"
	runs
}

@test "a damaged seal" {
	flip "$(dirname "$(layer_dir)")/seal" 20
	found "the seal of the layer is damaged"
	runs
}

@test "a layer and its blob damaged: the image is marked, another pull cures it" {
	rm "$(layer_dir)/keep/b"
	rm "$HOME_DIR/data/blobs/sha256/$(layer_blob)"
	run -3 coracle system fsck --repair
	contains "$output" "not repaired: its blob is not kept: pull the image again"
	run -125 coracle run --rm --pull never "$IMAGE" true
	contains "$output" "is damaged"
	equals "$(coracle image inspect -f '{{.Coracle.Damaged}}' "$IMAGE")" true
	equals "$(coracle images -q "$IMAGE" | wc -l)" 1
	coracle pull -q "$IMAGE"
	runs
	sound
}

@test "a container that runs on a damaged layer keeps it until it is stopped" {
	coracle run -d --name user "$IMAGE" sleep 1000
	mkdir "$(layer_dir)/extra"
	run -3 coracle system fsck --repair
	contains "$output" "runs on it: stop it and repair again"
	equals "$(coracle exec user echo alive)" alive
	coracle rm -f user
	run -2 coracle system fsck --repair
	runs
	sound
}

@test "deleted rows: image, layer, reference" {
	restart_after sql "DELETE FROM images WHERE id = '$(coracle image inspect -f '{{.Id}}' "$IMAGE")'"
	run coracle image inspect "$IMAGE"
	[ "$status" -ne 0 ]
	found "rows of the image or of its layers are missing"
	runs
	restart_after sql "DELETE FROM layers WHERE chain = '$(coracle image inspect -f '{{index .RootFS.Layers 0}}' "$IMAGE")'"
	run -2 coracle system fsck --repair
	runs
	sound
	restart_after sql "INSERT INTO refs(ref, image) VALUES('docker.io/library/ghost:1', 'sha256:$(printf '0%.0s' {1..64})')"
	run -3 coracle system fsck
	run -2 coracle system fsck --repair
	contains "$output" "its names were removed"
	sound
	run coracle image inspect ghost:1
	[ "$status" -ne 0 ]
	restart_after sql "DELETE FROM image_layers WHERE pos = 1"
	found "rows of the image"
	runs
}

@test "a row whose configuration is not the image's" {
	restart_after sql "UPDATE images SET config = replace(config, 'sha256', 'SHA256') WHERE id = '$(coracle image inspect -f '{{.Id}}' "$IMAGE")'"
	found "its configuration is not the one its id names"
	runs
}

damage_pages() { # TABLE...: their root pages become rubbish
	python3 - "$HOME_DIR/data/state.db" "$@" <<-'END'
		import sqlite3, sys
		d = sqlite3.connect(sys.argv[1])
		roots = [d.execute('SELECT rootpage FROM sqlite_schema WHERE name = ?', (t,)).fetchone()[0] for t in sys.argv[2:]]
		d.close()
		with open(sys.argv[1], 'r+b') as f:
		    for r in roots:
		        f.seek((r - 1) * 4096); f.write(b'\xa5' * 4096)
	END
}

@test "damaged pages of the database: salvaged into a new one, images made again, nothing of a user lost" {
	before=$(coracle images -q --no-trunc | sort -u)
	names=$(coracle images --format '{{.Repository}}:{{.Tag}}' | sort)
	restart_after damage_pages images image_layers
	ping || run_engine
	run coracle system fsck
	if [[ $output == *"pages are damaged"* ]]; then # met at the start, or only now
		run coracle system fsck --repair
		contains "$output" "restart the engine"
		restart_after true
	fi
	run ls "$HOME_DIR/data"
	contains "$output" state.db.damaged-
	run -2 coracle system fsck --repair
	sound
	equals "$(coracle images -q --no-trunc | sort -u)" "$before"
	equals "$(coracle images --format '{{.Repository}}:{{.Tag}}' | sort)" "$names"
	runs
	equals "$(coracle inspect -f '{{.State.Running}}' witness)" true
}

@test "orphans of every kind go, volumes are adopted, strangers are only named" {
	mkdir -p "$HOME_DIR/data/layers/9999/diff" "$HOME_DIR/data/layers/tmp-x/diff" "$HOME_DIR/data/containers/feed" "$HOME_DIR/data/volumes/found/_data"
	echo data >"$HOME_DIR/data/volumes/found/_data/f"
	echo x >"$HOME_DIR/data/blobs/sha256/$(printf 'a%.0s' {1..64})"
	echo x >"$HOME_DIR/data/ingest/s-123.4"
	echo x >"$HOME_DIR/data/ingest/$(printf 'b%.0s' {1..64}).partial" # waits for its resume
	run -3 coracle system fsck
	for what in layers/9999 layers/tmp-x containers/feed volumes/found blobs/sha256/aaaa ingest/s-123.4; do contains "$output" "orphan $what"; done
	lacks "$output" partial
	run -2 coracle system fsck --repair
	for what in layers/9999 layers/tmp-x containers/feed ingest/s-123.4 "blobs/sha256/$(printf 'a%.0s' {1..64})"; do [ ! -e "$HOME_DIR/data/$what" ]; done
	run -0 coracle run --rm -v found:/f default cat /f/f
	equals "$output" data
	coracle volume rm found
	sound
	echo mine >"$HOME_DIR/data/notes"
	run -3 coracle system fsck --repair
	contains "$output" "orphan notes: not of this store"
	equals "$(cat "$HOME_DIR/data/notes")" mine
	rm "$HOME_DIR/data/notes"
}

@test "folders of a container and a volume that vanished" {
	id=$(coracle create --name hollow default true)
	rm -r "$HOME_DIR/data/containers/$id/upper"
	found "container $id: the folder of its changes is gone"
	rm -r "$HOME_DIR/data/containers/$id"
	found "container $id: its folder is gone"
	run -0 coracle start -a hollow
	coracle rm hollow
	coracle volume create hollow
	rm -r "$HOME_DIR/data/volumes/hollow"
	found "volume hollow: its folder is gone"
	run -0 coracle run --rm -v hollow:/h default touch /h/x
	coracle volume rm hollow
}

@test "inspect tells the range of owners and whether the image is damaged" {
	equals "$(coracle image inspect -f '{{json .Coracle}}' "$IMAGE")" '{"UidRange":{"Min":0,"Max":1000},"GidRange":{"Min":0,"Max":29},"Damaged":false}'
}

@test "a client that leaves ends the check; bad options are refused" {
	timeout 0.05 "$BIN/coracle" system fsck >/dev/null || true
	ping
	run -1 coracle system fsck --format xml
	contains "$output" "only json"
	sound
}
