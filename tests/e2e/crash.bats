# SPDX-License-Identifier: Apache-2.0
# kill -9 at random moments of pull and run, hundreds of times: after a restart nothing is left that should
# not be, nothing acknowledged is lost, and what runs is still managed. CORACLE_CRASH_ROUNDS changes the number.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

ROUNDS=${CORACLE_CRASH_ROUNDS:-200}

setup_file() {
	RANDOM=${CORACLE_CRASH_SEED:-$(date +%N | sed 's/^0*//')}
	start_engine
	coracle run -d --name witness default sh -c 'while :; do date +%s.%N >/alive; sleep 0.1; done' >/dev/null
	WITNESS=$(coracle inspect --format '{{.Id}}' witness)
	export WITNESS
}
teardown_file() { stop_engine; }

nap() { # up to $1 milliseconds
	sleep "$(printf '0.%03d' $((RANDOM % $1)))"
}
engine_up() {
	kill -0 "$(engine_pid)" 2>/dev/null && ping
}
note_ids() {
	ls "$HOME_DIR/run/containers" "$HOME_DIR/data/containers" 2>/dev/null | grep -E '^[0-9a-f]{64}$' >>"$HOME_DIR/ids" || true
}
# Ends what a round began and checks the state against the disk.
settle() {
	engine_up || run_engine
	is_state witness running || {
		echo "the witness is $(state_of witness)" >&2
		return 1
	}
	local id
	for id in $(coracle ps -aq --no-trunc); do
		echo "$id" >>"$HOME_DIR/ids"
		[ "$id" = "$WITNESS" ] || coracle rm -f -v "$id" >/dev/null || return 1
	done
	no_leaks "$WITNESS"
}
witness_pid_same() {
	[ "$(coracle inspect --format '{{.State.Pid}}' witness)" = "$WITNESS_PID" ]
}

@test "the engine, killed during run ($((ROUNDS * 2 / 5)) rounds)" {
	for i in $(seq $((ROUNDS * 2 / 5))); do
		coracle run --rm default sh -c 'echo x; exit 3' >/dev/null 2>&1 3>&- &
		client=$!
		nap 40
		note_ids
		kill -9 "$(engine_pid)"
		kill -9 "$client" 2>/dev/null || true
		wait "$client" 2>/dev/null || true
		run_engine
		[ $((i % 8)) -ne 0 ] || settle || { echo "round $i" >&2; return 1; }
	done
	settle
}

@test "the shim, killed during run ($((ROUNDS / 5)) rounds)" {
	for i in $(seq $((ROUNDS / 5))); do
		coracle run --name "s$i" default sleep 0.3 >/dev/null 2>&1 3>&- &
		client=$!
		nap 60
		note_ids
		for p in $(shim_pids); do
			grep -qF "$WITNESS" "/proc/$p/cmdline" || kill -9 "$p" 2>/dev/null || true
		done
		wait "$client" 2>/dev/null || true
		[ $((i % 8)) -ne 0 ] || settle || { echo "round $i" >&2; return 1; }
	done
	settle
}

@test "the client, killed during run ($((ROUNDS / 5)) rounds)" {
	for i in $(seq $((ROUNDS / 5))); do
		coracle run --rm default sh -c 'echo x' >/dev/null 2>&1 3>&- &
		client=$!
		nap 30
		kill -9 "$client" 2>/dev/null || true
		wait "$client" 2>/dev/null || true
	done
	settle
}

@test "the engine or a worker, killed during pull ($((ROUNDS / 5)) rounds)" {
	for i in $(seq $((ROUNDS / 5))); do
		coracle pull -q "$E2E_REGISTRY/big:latest" >/dev/null 2>&1 3>&- &
		client=$!
		nap 120
		if [ $((i % 2)) = 0 ]; then
			kill -9 "$(engine_pid)"
			wait "$client" 2>/dev/null || true
			run_engine
		else
			for p in $(home_pids); do
				case "$(cat "/proc/$p/comm" 2>/dev/null)" in coracle-unpack) kill -9 "$p" 2>/dev/null || true ;; esac
			done
			wait "$client" 2>/dev/null || true
		fi
		coracle rmi -f "$E2E_REGISTRY/big:latest" >/dev/null 2>&1 || true
	done
	coracle pull -q "$E2E_REGISTRY/big:latest"
	run -0 coracle run --rm "$E2E_REGISTRY/big:latest" sh -c 'ls /big0 /big1 /big2 /big3 | grep -c f'
	equals "$output" 80
	coracle rmi "$E2E_REGISTRY/big:latest"
	settle
}

@test "an acknowledged container or image is never lost" {
	for i in $(seq 10); do
		id=$(coracle create --name "ack$i" default true)
		coracle load -q -i "$E2E_TMP/images/busybox.docker.tar" >/dev/null
		kill -9 "$(engine_pid)"
		run_engine
		equals "$(coracle inspect --format '{{.Id}}' "ack$i")" "$id"
		coracle image inspect busybox >/dev/null
		coracle rm "ack$i" >/dev/null
		coracle rmi -f busybox box:two >/dev/null
	done
	settle
}

@test "a pull that was cut goes on where it stopped" {
	coracle pull -q "$E2E_REGISTRY/slow:latest" >/dev/null 2>&1 3>&- &
	client=$!
	sleep 0.7
	kill -9 "$(engine_pid)"
	wait "$client" 2>/dev/null || true
	run_engine
	coracle pull -q "$E2E_REGISTRY/slow:latest"
	run -0 coracle run --rm "$E2E_REGISTRY/slow:latest" ls /big3
	contains "$output" f19
	coracle rmi "$E2E_REGISTRY/slow:latest"
	settle
}

@test "the witness ran through all of it" {
	is_state witness running
	run -0 coracle inspect --format '{{.RestartCount}}' witness
	equals "$output" 0
	coracle rm -f witness
	WITNESS=
	no_leaks
}
