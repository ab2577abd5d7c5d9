# SPDX-License-Identifier: Apache-2.0
# The fault tools of tests/faults, short: CORACLE_CRASH_ROUNDS and the like make them long.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

@test "every everyday command survives kill -9 of engine, shim, client and worker" {
	export CORACLE_CRASH_ROUNDS=${CORACLE_CRASH_ROUNDS:-60}
	run "$E2E_DIR/../faults/crash"
	echo "$output"
	code 0
}

@test "create and rm, again and again, leave nothing and grow nothing" {
	run "$E2E_DIR/../faults/cycles" cycles
	echo "$output"
	code 0
}

@test "execs, logs, subscribers, archives, pulls, again and again, grow nothing" {
	run "$E2E_DIR/../faults/cycles" uses
	echo "$output"
	code 0
}

@test "200 clients at once, and streams whose clients vanish, leave nothing" {
	run "$E2E_DIR/../faults/cycles" crowd
	echo "$output"
	code 0
}

@test "streams over the end of an engine end clearly, a new attach and wait work" {
	run "$E2E_DIR/../faults/cycles" restart
	echo "$output"
	code 0
}

@test "system calls of engine, shim, its children and workers fail, and nothing is lost" {
	[ -x "$BIN/../../tests/inject" ] || skip_because "the injector is written for x86-64"
	run "$E2E_DIR/../faults/sweep"
	echo "$output"
	code 0
}
