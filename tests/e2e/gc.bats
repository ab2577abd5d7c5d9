# SPDX-License-Identifier: Apache-2.0
# Garbage collection by policy: what nobody uses goes, the longest unused first; the rest stays.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	start_engine
	coracle pull -q "$E2E_REGISTRY/box:gzip" >/dev/null
	coracle pull -q "$E2E_REGISTRY/layered:latest" >/dev/null
}
teardown() { stop_engine; }

names() { coracle images --format '{{.Repository}}' | sed 's,.*/,,' | sort | xargs; }

@test "a rehearsal removes nothing; a run removes what is old; images of containers stay" {
	run -0 coracle system gc
	contains "$output" "Total reclaimed space: 0B" # nothing is a week old
	run -0 coracle system gc --dry-run --unused-for 1ms
	contains "$output" "would remove $E2E_REGISTRY/box:gzip"
	contains "$output" "would remove $E2E_REGISTRY/layered:latest"
	equals "$(names)" "box layered"
	id=$(coracle create "$E2E_REGISTRY/layered:latest" true)
	run -0 coracle system gc --unused-for 1ms
	contains "$output" "removed $E2E_REGISTRY/box:gzip"
	equals "$(names)" layered
	coracle rm "$id"
	run -0 coracle system gc --unused-for 1h # its container went just now
	equals "$(names)" layered
	run -0 coracle system gc --unused-for 1ms --format '{{len .Images}}'
	equals "$output" 1
	equals "$(names)" ""
	run -0 coracle system fsck
}

@test "keep-storage: the longest unused first, only until the limit is kept" {
	coracle rm "$(coracle create "$E2E_REGISTRY/box:gzip" true)" >/dev/null
	run -0 coracle system gc --unused-for 1ms --keep-storage 1GB
	equals "$(names)" "box layered"
	size=$(coracle system gc --dry-run --format '{{.UsageBefore}}')
	run -0 coracle system gc --unused-for 1ms --keep-storage "$((size - 1))"
	equals "$(names)" box
	run -0 coracle run --rm --pull never "$E2E_REGISTRY/box:gzip" echo fine
	run -1 coracle system gc --keep-storage much
	contains "$output" 'invalid size "much"'
}

@test "only images without a name; half downloads expire" {
	coracle rmi "$E2E_REGISTRY/layered:latest" >/dev/null
	coracle tag "$E2E_REGISTRY/box:gzip" moved:1
	old=$HOME_DIR/data/ingest/$(printf 'a%.0s' {1..64}).partial new=$HOME_DIR/data/ingest/$(printf 'b%.0s' {1..64}).partial
	echo x >"$old"
	echo x >"$new"
	touch -d '2 days ago' "$old"
	run -0 coracle system gc --dangling --unused-for 1ms
	[ ! -e "$old" ]
	[ -e "$new" ]
	equals "$(names)" "box moved"
}

half_then() { # FILE COMMAND...: writes half of it, does the command, writes the rest
	local half=$(($(stat -c %s "$1") / 2)) file=$1
	shift
	head -c "$half" "$file"
	"$@"
	tail -c +"$((half + 1))" "$file"
}
collected() { ! coracle image inspect spare:1 >/dev/null 2>&1; }

@test "the timer removes what is old; a load in the middle is left alone" {
	coracle save -o "$BATS_TEST_TMPDIR/box.tar" "$E2E_REGISTRY/box:gzip"
	coracle rmi "$E2E_REGISTRY/box:gzip" >/dev/null
	coracle tag "$E2E_REGISTRY/layered:latest" spare:1
	kill -TERM "$(engine_pid)"
	wait_for 5 no_home_pids
	echo '{"gc":{"enabled":true,"interval":"10ms"}}' >"$HOME_DIR/config.json"
	run "$BIN/coracled" --config-file "$HOME_DIR/config.json"
	contains "$output" "gc.interval" # a second at least
	echo '{"gc":{"enabled":true,"interval":"1s","unused-for":"1ms"}}' >"$HOME_DIR/config.json"
	"$BIN/coracled" --config-file "$HOME_DIR/config.json" </dev/null >"$HOME_DIR/gc.log" 2>&1 3>&- 4>&- &
	wait_for 5 ping
	half_then "$BATS_TEST_TMPDIR/box.tar" wait_for 10 collected | coracle load -q >"$BATS_TEST_TMPDIR/out"
	contains "$(cat "$BATS_TEST_TMPDIR/out")" "Loaded image: $E2E_REGISTRY/box:gzip"
	wait_for 10 eval '[ -z "$(coracle images -q)" ]' # its turn comes when the load is over
	run -0 coracle system fsck
}
