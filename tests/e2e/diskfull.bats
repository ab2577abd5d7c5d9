# SPDX-License-Identifier: Apache-2.0
# A full disk while pulling, unpacking, logging and writing: clear errors, nothing half-made, all well after.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	HOME_DIR=$(mktemp -d "$E2E_TMP/small.XXXXXX")
	mount -t tmpfs -o size=24m,mode=755 small "$HOME_DIR" || skip_because "cannot mount a tmpfs here"
	start_engine "$HOME_DIR"
}
teardown() {
	E2E_KEEP=1 stop_engine
	umount -l "$HOME_DIR" && rmdir "$HOME_DIR"
}
fill() { # until only about $1 KB are free
	local free
	free=$(df -k --output=avail "$HOME_DIR" | tail -n 1)
	[ "$free" -le "$1" ] || head -c $(((free - $1) * 1024)) /dev/zero >"$HOME_DIR/ballast"
}

@test "while pulling: no space is said, nothing half is left, later it works" {
	fill 4000
	run coracle pull "$E2E_REGISTRY/big:latest"
	[ "$status" -ne 0 ]
	contains "$output" "o space left on device"
	run coracle image inspect "$E2E_REGISTRY/big:latest"
	[ "$status" -ne 0 ]
	ping
	rm "$HOME_DIR/ballast"
	coracle pull -q "$E2E_REGISTRY/box:gzip"
	run -0 coracle run --rm "$E2E_REGISTRY/box:gzip" echo well
	equals "$output" well
	run find "$HOME_DIR/data/layers" -maxdepth 1 -name 'tmp-*'
	equals "$output" ""
}

@test "while unpacking a load" {
	fill 3000
	run coracle load -i "$E2E_TMP/images/layered.tar"
	[ "$status" -ne 0 ]
	contains "$output" "o space left on device"
	ping
	no_leaks
}

@test "while a container writes and logs: it goes on, and so does the engine" {
	coracle run -d --name writer default sh -c 'dd if=/dev/zero of=/fill bs=64k; echo wrote; while :; do echo still here; sleep 0.02; done'
	sleep 1.5
	is_state writer running
	ping
	run -0 coracle rm -f writer
	equals "$output" writer
	run -0 coracle run --rm default echo after
	equals "$output" after
	no_leaks
}

@test "driver local on a full disk: whole records only, and the log says how many lines it lost" {
	coracle create --name warm default true >/dev/null
	coracle run -d --name local --log-driver local --log-opt compress=false default sh -c \
		'echo before; until [ -e /go ]; do sleep 0.05; done; seq 200000; until [ -e /on ]; do sleep 0.05; done; echo after; sleep 1000' >/dev/null
	coracle exec local touch /go
	# less room than the lines take
	fill 500
	sleep 1
	rm -f "$HOME_DIR/ballast"
	wait_for 20 coracle exec local touch /on
	wait_for 20 bash -c "source '$E2E_DIR/lib.bash'; coracle logs local | grep -q '^after$'"
	python3 "$E2E_DIR/log-targets.py" local "$HOME_DIR/data/containers/$(coracle inspect --format '{{.Id}}' local)/local-logs/container.log" >/dev/null
	coracle logs local >"$BATS_TEST_TMPDIR/out" 2>&1
	equals "$(head -n 1 "$BATS_TEST_TMPDIR/out")" before
	# what is there is in order and nothing is there twice
	grep -E '^[0-9]+$' "$BATS_TEST_TMPDIR/out" | sort -n -u -c
	lost=$(sed -n 's/^coracle: \([0-9]*\) log lines were lost: .*/\1/p' "$BATS_TEST_TMPDIR/out" | awk '{s += $1} END {print s + 0}')
	equals "$(($(grep -cE '^[0-9]+$' "$BATS_TEST_TMPDIR/out") + lost))" 200000
	coracle rm -f local
}

@test "when even a row cannot be written: refused, nothing lost" {
	coracle create --name before default true
	head -c 100m /dev/zero >"$HOME_DIR/ballast" 2>/dev/null || true
	for i in $(seq 30); do coracle create --name "n$i" default true >/dev/null 2>&1 || break; done
	run coracle inspect --format '{{.Name}}' before
	equals "$output" /before
	rm "$HOME_DIR/ballast"
	run -0 coracle run --rm default echo after
	equals "$output" after
}
