# SPDX-License-Identifier: Apache-2.0
# Trees of layers reach the disk after the pull was acknowledged: what a crash of the machine loses of them
# comes back from the blobs before anything runs on it.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	IMAGE=$E2E_REGISTRY/layered:latest
	export IMAGE
}
teardown_file() { stop_engine; }

sql() {
	python3 -c 'import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); print("\n".join("|".join(map(str,r)) for r in d.execute(sys.argv[2]))); d.commit()' \
		"$HOME_DIR/data/state.db" "$1"
}
power_cut() { # everything of the home dies at once
	kill -9 "$(engine_pid)"
	for p in $(home_pids); do kill -9 "$p" 2>/dev/null || true; done
	wait_for 5 no_home_pids
}
unsynced() { # mark all layers as a crash right after the pull leaves them
	sql "UPDATE layers SET unsynced = '$(cat /proc/sys/kernel/random/boot_id)'"
}
new_boot() {
	cat /proc/sys/kernel/random/uuid >"$HOME_DIR/boot_id"
	unshare -m bash -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id && exec "$2"' - "$HOME_DIR/boot_id" "$BIN/coracled" \
		</dev/null >>"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
	echo $! >"$HOME_DIR/engine.test-pid"
	wait_for 20 ping
}
gated_boot() { # a new boot of an engine whose checks of layers wait for $HOME_DIR/gate
	mkdir -p "$HOME_DIR/bin"
	find "$BIN" -maxdepth 1 -name 'coracle*' -type f -perm -1 -exec cp {} "$HOME_DIR/bin" ';'
	mv "$HOME_DIR/bin/coracle-unpack" "$HOME_DIR/bin/coracle-unpack.real"
	cat >"$HOME_DIR/bin/coracle-unpack" <<-END
		#!/bin/sh
		[ "\$1" != check ] || while [ ! -e "$HOME_DIR/gate" ]; do sleep 0.02; done
		exec "$HOME_DIR/bin/coracle-unpack.real" "\$@"
	END
	chmod +x "$HOME_DIR/bin/coracle-unpack"
	BIN=$HOME_DIR/bin new_boot
}
logged() { grep -qF "$1" "$HOME_DIR/engine.log"; }
marks() { # the database is the engine's alone: a copy of it and its log is read
	cp "$HOME_DIR/data/state.db" "$HOME_DIR/copy.db" && cp "$HOME_DIR/data/state.db-wal" "$HOME_DIR/copy.db-wal"
	python3 -c 'import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM layers WHERE unsynced != \"\"").fetchone()[0])' \
		"$HOME_DIR/copy.db"
}
no_marks() { [ "$(marks)" = 0 ]; }
damage() { # some files empty, some full of zeros, some gone, as file systems do it; a whole layer gone
	local layers=("$HOME_DIR"/data/layers/[0-9]*) f n=0 size
	while read -r f; do
		size=$(stat -c %s "$f")
		case $((n++ % 3)) in
		0) : >"$f" ;;
		1) truncate -s 0 "$f" && truncate -s "$size" "$f" ;;
		2) rm "$f" ;;
		esac
	done < <(find "${layers[@]}" -path '*/diff/*' -type f -size +0 | head -n 60)
	[ "$n" -gt 2 ]
	rm -r "${layers[-1]}"
}
sound() {
	run -0 coracle system fsck
	contains "$output" "no problems"
	run -0 coracle run --rm --pull never "$IMAGE" sh -c 'echo fine'
	equals "$output" fine
}

@test "after a pull the trees are synced and the marks go" {
	coracle pull -q "$IMAGE"
	wait_for 10 no_marks
	sound
}

@test "a crash of the machine right after a pull: damaged layers come back from their blobs" {
	id=$(coracle create --name acknowledged "$IMAGE" sh -c 'echo mine')
	power_cut
	unsynced
	damage
	new_boot
	equals "$(coracle inspect --format '{{.Id}}' acknowledged)" "$id"
	sound
	contains "$(cat "$HOME_DIR/engine.log")" "are unpacked again"
	run -0 coracle start -a acknowledged
	equals "$output" mine
	coracle rm acknowledged
	power_cut
	run_engine
}

@test "the engine serves while layers are checked; whoever needs one of them waits for it alone" {
	id=$(coracle create --name waiting "$IMAGE" sh -c 'echo mine')
	coracle create --name always --restart always "$IMAGE" sleep 1000 >/dev/null
	coracle start always >/dev/null
	power_cut
	unsynced
	sql "UPDATE layers SET unsynced = '' WHERE id NOT IN (SELECT layer FROM image_layers WHERE image IN (SELECT image FROM refs WHERE ref LIKE '%/layered:latest'))"
	damage
	rm -f "$HOME_DIR/gate"
	gated_boot # answers pings while every check stands still
	contains "$(coracle images --format '{{.Repository}}')" layered
	equals "$(coracle run --rm default echo others)" others
	equals "$(coracle inspect --format '{{.Id}}' waiting)" "$id"
	coracle start -a waiting >"$HOME_DIR/start.out" 2>&1 3>&- 4>&- &
	start=$!
	coracle run --rm --pull never "$IMAGE" echo new >"$HOME_DIR/run.out" 2>&1 3>&- 4>&- &
	run=$!
	coracle cp waiting:/etc - >"$HOME_DIR/cp.out" 2>&1 3>&- 4>&- &
	cp=$!
	coracle system fsck >"$HOME_DIR/fsck.out" 2>&1 3>&- 4>&- &
	fsck=$!
	equals "$(coracle run --rm default echo more)" more
	timeout 1 "$BIN/coracle" diff waiting && return 1 # gives up; nobody waits for it afterwards
	kill -0 $start && kill -0 $run && kill -0 $cp && kill -0 $fsck
	equals "$(coracle ps -q --filter status=running)" ""
	touch "$HOME_DIR/gate"
	wait $start && wait $run && wait $cp && wait $fsck
	equals "$(cat "$HOME_DIR/start.out") $(cat "$HOME_DIR/run.out")" "mine new"
	contains "$(tar -t <"$HOME_DIR/cp.out")" etc/
	contains "$(cat "$HOME_DIR/fsck.out")" "no problems"
	wait_for 10 is_state always running
	coracle rm -f always waiting >/dev/null
	coracle rmi default >/dev/null
	wait_for 10 no_marks
}

@test "an engine that ends in the middle of the check leaves the rest to the next" {
	power_cut
	unsynced
	damage
	rm -f "$HOME_DIR/gate"
	gated_boot
	kill -TERM "$(engine_pid)"
	wait_for 10 no_home_pids
	touch "$HOME_DIR/gate"
	gated_boot
	sound
	wait_for 10 no_marks
	power_cut
	run_engine
}

@test "a crash of the engine alone: nothing is checked, the rest is synced" {
	power_cut
	before=$(wc -l <"$HOME_DIR/engine.log")
	unsynced
	run_engine
	lacks "$(tail -n +$((before + 1)) "$HOME_DIR/engine.log")" "that were not on the disk"
	wait_for 10 no_marks
	sound
}

@test "a container whose image is gone keeps the blobs its unsynced layers need" {
	id=$(coracle create --name alone "$IMAGE" sh -c 'echo mine')
	power_cut
	unsynced
	sql "DELETE FROM refs WHERE image IN (SELECT image FROM refs WHERE ref LIKE '%/layered:latest')"
	sql "DELETE FROM images WHERE id NOT IN (SELECT image FROM refs)"
	sql "DELETE FROM image_layers WHERE image NOT IN (SELECT id FROM images)"
	sql "DELETE FROM image_blobs WHERE image NOT IN (SELECT id FROM images)"
	damage
	new_boot # which collects garbage before it looks
	wait_for 10 no_marks
	run -0 coracle start -a alone
	equals "$output" mine
	coracle rm alone
	coracle rmi -f "$IMAGE" >/dev/null 2>&1 || true
	run -0 coracle system fsck
	contains "$output" "no problems"
}

@test "a damaged layer without its blob is named, the engine starts, a pull brings it back" {
	coracle pull -q "$IMAGE"
	wait_for 10 no_marks
	power_cut
	unsynced
	damage
	find "$HOME_DIR/data/blobs" -type f -size +8k -delete
	new_boot
	wait_for 20 logged "cannot be unpacked again"
	coracle system fsck --repair >/dev/null || true
	coracle pull -q "$IMAGE"
	sound
	power_cut
	run_engine
}
