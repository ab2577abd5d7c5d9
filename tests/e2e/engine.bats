# SPDX-License-Identifier: Apache-2.0
# The engine itself: started on demand, side by side, by socket activation, restarted over living containers.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	HOME_DIR=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	export CORACLE_HOME=$HOME_DIR SOCK=$HOME_DIR/run/coracle.sock HOME_DIR
	mkdir -p "$HOME_DIR/docker-config"
}
teardown() { stop_engine; }

one_engine() {
	local p
	for p in $(home_pids); do case "$(cat "/proc/$p/comm" 2>/dev/null)" in coracled) echo "$p" ;; esac; done
}

@test "the command line starts the engine when none listens" {
	run -0 coracle run --rm default echo on-demand
	equals "$output" on-demand
	[ -S "$SOCK" ]
	first=$(one_engine)
	coracle ps >/dev/null
	equals "$(one_engine)" "$first"
}

@test "ready in well under 50 ms" {
	coracle version >/dev/null
	kill "$(one_engine)"
	wait_for 5 no_home_pids
	best=999
	for _ in 1 2 3 4 5; do
		begin=$(date +%s%N)
		coracle version >/dev/null
		took=$((($(date +%s%N) - begin) / 1000000))
		[ "$took" -ge "$best" ] || best=$took
		kill "$(one_engine)"
		wait_for 5 no_home_pids
	done
	echo "# started and answered in $best ms" >&3
	limit=100
	[ "${E2E_QUICK:-}" != 1 ] || limit=2000
	[ "$best" -lt "$limit" ]
}

@test "ten clients at once start one engine" {
	for i in $(seq 10); do coracle version >/dev/null 2>"$BATS_TEST_TMPDIR/e$i" 3>&- & pids+=($!); done
	for p in "${pids[@]}"; do wait "$p"; done
	run one_engine
	equals "${#lines[@]}" 1
}

@test "a second engine for the same home refuses" {
	run_engine
	run timeout 5 "$BIN/coracled"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	ping
}

@test "two homes do not see each other" {
	coracle run -d --name same default sleep 1000
	other=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	CORACLE_HOME=$other coracle run -d --name same default sleep 1000
	run -0 coracle ps -q
	equals "${#lines[@]}" 1
	(HOME_DIR=$other CORACLE_HOME=$other stop_engine)
	is_state same running
}

@test "socket activation" {
	command -v systemd-socket-activate >/dev/null || skip_because "systemd-socket-activate is not installed"
	mkdir -p "$HOME_DIR/run"
	systemd-socket-activate -E CORACLE_HOME -l "$SOCK" "$BIN/coracled" </dev/null >"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
	echo $! >"$HOME_DIR/engine.test-pid"
	wait_for 5 test -S "$SOCK"
	wait_for 10 ping
	run -0 coracle run --rm default echo activated
	equals "$output" activated
}

@test "CORACLE_TRACE=1 tells where the time goes" {
	CORACLE_TRACE=1 "$BIN/coracled" </dev/null >"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
	echo $! >"$HOME_DIR/engine.test-pid"
	wait_for 10 ping
	coracle run --rm default true
	run grep -c '[0-9]' "$HOME_DIR/engine.log"
	[ "$output" -gt 5 ]
}

@test "containers survive the engine: kill -9, restart, manage" {
	run_engine
	coracle run -d --name lives default sh -c 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done'
	coracle run -d --name ends default sh -c 'sleep 0.5; exit 6'
	coracle run --name over default sh -c 'exit 2' || true
	pid=$(coracle inspect --format '{{.State.Pid}}' lives)
	kill -9 "$(engine_pid)"
	sleep 0.8
	[ -d "/proc/$pid" ]
	run_engine
	is_state lives running
	equals "$(coracle inspect --format '{{.State.Pid}}' lives)" "$pid"
	run -0 coracle inspect --format '{{.State.Status}} {{.State.ExitCode}}' ends
	equals "$output" "exited 6"
	run -0 coracle inspect --format '{{.State.Status}} {{.State.ExitCode}}' over
	equals "$output" "exited 2"
	run -0 coracle logs lives
	n=$(tail -n 1 <<<"$output" | tr -dc 0-9)
	equals "$(seq -f 'tick %g' 0 "$n")" "$output"
	run -0 coracle stop -t 0 lives
	run -0 coracle rm lives ends over
	no_leaks
}

@test "a stopped engine (SIGTERM) leaves containers running too" {
	run_engine
	coracle run -d --name stay default sleep 1000
	pid=$(coracle inspect --format '{{.State.Pid}}' stay)
	kill -TERM "$(engine_pid)"
	wait_for 5 bash -c "! kill -0 $(engine_pid) 2>/dev/null"
	[ -d "/proc/$pid" ]
	run -0 coracle inspect --format '{{.State.Status}}' stay
	equals "$output" running
	coracle rm -f stay
}

@test "run goes on printing while the engine restarts" {
	run_engine
	coracle run --name talk default sh -c 'for i in $(seq 20); do echo $i; sleep 0.05; done' >"$BATS_TEST_TMPDIR/o" 2>/dev/null 3>&- &
	client=$!
	wait_for 5 grep -q 3 "$BATS_TEST_TMPDIR/o"
	kill -9 "$(engine_pid)"
	run_engine
	wait "$client" || true
	wait_for 5 is_state talk exited
	run -0 coracle logs talk
	equals "$output" "$(seq 20)"
}

@test "a shim that is killed: its container is reported dead and nothing stays" {
	run_engine
	coracle run -d --name orphan default sleep 1000
	pid=$(coracle inspect --format '{{.State.Pid}}' orphan)
	kill -9 "$(shim_pids)"
	wait_for 5 is_state orphan exited
	wait_for 5 bash -c "! [ -d /proc/$pid ]"
	coracle rm orphan
	no_leaks
}

@test "idle cost: a shim at most 400 KB PSS, the engine small" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	run_engine
	for i in 1 2 3 4 5 6 7 8; do coracle run -d default sleep 1000 >/dev/null; done
	sum=0
	for p in $(shim_pids); do sum=$((sum + $(pss_kb "$p"))); done
	echo "# shim PSS $((sum / 8)) KB, engine PSS $(pss_kb "$(engine_pid)") KB" >&3
	[ $((sum / 8)) -le 400 ]
	[ "$(pss_kb "$(engine_pid)")" -le 15000 ]
}
