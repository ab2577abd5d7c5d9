# SPDX-License-Identifier: Apache-2.0
# exec: options, exit codes, streams, what is refused, what an engine restart does to it; start -a.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle run -d --name up -e IMAGE=set -w /tmp default sleep 100000 >/dev/null
	coracle create --name down default true >/dev/null
}
teardown_file() { stop_engine; }

@test "exit codes: the program's, 126, 127, 1" {
	for n in 0 3 255; do
		run c exec up sh -c "exit $n"
		code "$n"
	done
	run c exec up sh -c 'kill -9 $$'
	code 137
	run -127 c exec up nothing-like-this
	contains "$output" 'exec: "nothing-like-this": executable file not found in $PATH'
	run c exec up /etc/passwd
	code 126
	contains "$output" "permission denied"
	run -127 c exec -w /not/there up true
	run c exec -u nobody-knows up true
	code 126
	contains "$output" "unable to find user nobody-knows"
	run c exec down true
	code 1
	contains "$output" "is not running"
	run c exec nobody true
	code 1
	contains "$output" "No such container: nobody"
}

@test "-e, --env-file, -w, -u, --privileged" {
	printf 'A=file\n# comment\nPASSED\n' >"$BATS_TEST_TMPDIR/env"
	PASSED=through run -0 c exec -e B=flag --env-file "$BATS_TEST_TMPDIR/env" up sh -c 'echo $IMAGE $A $B $PASSED; pwd'
	equals "$output" "$(printf 'set file flag through\n/tmp')"
	run -0 c exec -w /etc -u 7:8 up sh -c 'pwd; id -u; id -g'
	equals "$output" "$(printf '/etc\n7\n8')"
	capabilities() { awk '/^CapEff/{print $2}' <<<"$1"; }
	less=$(capabilities "$(c exec up cat /proc/self/status)")
	more=$(capabilities "$(c exec --privileged up cat /proc/self/status)")
	[ $((16#$less)) -lt $((16#$more)) ]
}

@test "-i passes input, without it there is none; stdout and stderr stay apart" {
	equals "$(echo in | c exec -i up cat)" in
	equals "$(echo in | c exec up cat)" ""
	run -0 --separate-stderr c exec up sh -c 'echo out; echo err >&2'
	equals "$output" out
	equals "$stderr" err
	equals "$(head -c 5000000 /dev/zero | c exec -i up wc -c | tr -d ' ')" 5000000
}

@test "-d runs in the background; its object tells how it ended" {
	run -0 c exec -d up sh -c 'echo done >/tmp/mark'
	equals "$output" ""
	wait_for 5 bash -c "coracle() { \"$BIN/coracle\" \"\$@\"; }; [ \"\$(coracle exec up cat /tmp/mark 2>/dev/null)\" = done ]"
	id=$(api POST /v1.41/containers/up/exec '{"Cmd":["sh","-c","exit 4"]}' | sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/')
	contains "$(api GET "/v1.41/exec/$id/json")" '"Running":false,"ExitCode":null'
	equals "$(status POST "/v1.41/exec/$id/start" '{"Detach":true}')" 200
	ended() { api GET "/v1.41/exec/$id/json" | grep -q '"Running":false,"ExitCode":4'; }
	wait_for 5 ended
	equals "$(status POST "/v1.41/exec/$id/start" '{"Detach":true}')" 409
	equals "$(status GET /v1.41/exec/0000/json)" 404
}

@test "an exec goes on printing while the engine restarts, and new ones work" {
	[ "$E2E_CLIENT" = coracle ] || skip "one client is enough"
	c exec up sh -c 'for i in $(seq 20); do echo $i; sleep 0.05; done' >"$BATS_TEST_TMPDIR/o" 2>/dev/null 3>&- &
	pid=$!
	some() { [ -s "$BATS_TEST_TMPDIR/o" ]; }
	wait_for 5 some
	kill -9 "$(engine_pid)"
	run_engine
	wait "$pid" || true
	equals "$(cat "$BATS_TEST_TMPDIR/o")" "$(seq 20)"
	run -0 c exec up echo new
	equals "$output" new
	equals "$(coracle inspect --format '{{.State.Status}}' up)" running
}

@test "paused containers refuse; a stop ends the exec with 137" {
	c pause up
	run c exec up true
	code 1
	contains "$output" "is paused, unpause the container before exec"
	c unpause up
	c run -d --name short default sleep 100000
	c exec short sleep 100000 3>&- &
	pid=$!
	inside() { [ "$(c top short -o pid | wc -l)" -eq 3 ]; }
	wait_for 5 inside
	c rm -f short
	local rc=0
	wait "$pid" || rc=$? # not by run: in a subshell it is no child
	equals "$rc" 137
}

@test "start -a, -i, several" {
	c create --name echo default sh -c 'echo hello; exit 7'
	run c start -a echo
	code 7
	equals "$output" hello
	c create -i --name reader default cat
	equals "$(echo through | c start -a -i reader)" through
	run c start -a echo reader
	code 1
	contains "$output" "you cannot start and attach multiple containers at once"
	run -0 c start echo reader
	equals "$output" "$(printf 'echo\nreader')"
	c rm -f echo reader
}

@test "restart: what the old process leaves takes nothing from the new one" {
	c run -d --name again --pids-limit 50 default sleep 1000
	for _ in $(seq 15); do
		c restart -t 0 again
		run -0 c exec again cat "$(cg pids/pids.max pids.max)"
		equals "$output" 50
	done
	c rm -f again
}

@test "update: limits of a running container are in its cgroup, and kept" {
	run -0 c update --memory 64m --cpus 0.5 --pids-limit 77 up
	run -0 c exec up cat "$(cg memory/memory.limit_in_bytes memory.max)" "$(cg pids/pids.max pids.max)"
	equals "$output" "$(printf '%s\n77' $((64 << 20)))"
	equals "$(c inspect --format '{{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}' up)" "500000000 77"
	c restart -t 0 up
	run -0 c exec up cat "$(cg pids/pids.max pids.max)"
	equals "$output" 77
	run c update up
	code 1
	contains "$output" "you must provide one or more flags"
}

@test "nothing is left of all this" {
	coracle rm -f up down
	no_leaks
}
