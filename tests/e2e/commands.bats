# SPDX-License-Identifier: Apache-2.0
# The commands around containers: ps, logs, inspect, wait, kill, stop, rm, version, info, events of life.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle run -d --name up --label kind=a default sleep 100000 >/dev/null
	coracle run --name done0 --label kind=b default echo finished >/dev/null
	coracle run --name done5 default sh -c 'exit 5' || true
	coracle create --name fresh default true >/dev/null
}
teardown_file() { stop_engine; }

names() { tr '\n' ' ' <<<"$output"; }

@test "ps shows the running ones, -a all, newest first" {
	run -0 c ps
	matches "${lines[0]}" '^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$'
	equals "${#lines[@]}" 2
	matches "${lines[1]}" '^[0-9a-f]{12} +default +"sleep 100000" .* Up .* up$'
	run -0 c ps -a --format '{{.Names}}'
	equals "$(names)" "fresh done5 done0 up "
}

@test "ps --filter: name, status, label, id, exited, ancestor, before, since" {
	for pair in "name=done|done5 done0 " "status=exited|done5 done0 " "status=created|fresh " "status=running|up " \
		"label=kind|done0 up " "label=kind=a|up " "exited=5|done5 " "ancestor=default|fresh done5 done0 up " \
		"before=done5|done0 up " "since=done0|fresh done5 "; do
		run -0 c ps -a --filter "${pair%|*}" --format '{{.Names}}'
		equals "$(names)" "${pair#*|}"
	done
	run c ps --filter nonsense=1
	[ "$status" -ne 0 ]
	contains "$output" "invalid filter"
}

@test "ps --filter: expose, publish, is-task, health, and values that make no sense" {
	# As in Docker these look at the ports of networks: a container without one has none.
	c create --name exposes --network none --expose 80 --expose 5000-5002/udp default true
	for pair in expose=80 expose=79-81/tcp expose=5001/udp publish=80 is-task=true health=healthy; do
		equals "$(c ps -a --filter "$pair" --format '{{.Names}}')" ""
	done
	[ "$(c ps -aq --filter is-task=false --filter health=none | wc -l)" -ge 4 ]
	for bad in expose=x publish=1:2 expose=80/foo exited=x health=fine status=gone; do
		run c ps -a --filter "$bad"
		[ "$status" -ne 0 ]
	done
	c rm exposes
}

@test "out of memory: in the state, the exit code and the events" {
	t=$(date +%s.%N)
	run c run --name oom --memory 20m default sh -c 'x=a; while :; do x=$x$x; done'
	code 137
	equals "$(c inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' oom)" "true 137"
	run -0 c events --since "$t" --until "$(date +%s.%N)" --filter container=oom --format '{{.Action}}'
	equals "$(grep -E 'oom|die' <<<"$output" | tr '\n' ' ')" "oom die "
	c rm oom
}

@test "ps -q, -n, -l, --no-trunc, -s" {
	run -0 c ps -q
	matches "$output" '^[0-9a-f]{12}$'
	run -0 c ps -q --no-trunc
	matches "$output" '^[0-9a-f]{64}$'
	run -0 c ps -n 2 --format '{{.Names}}'
	equals "$(names)" "fresh done5 "
	run -0 c ps -l --format '{{.Names}}'
	equals "$output" fresh
	run -0 c ps -s
	matches "${lines[0]}" 'SIZE'
}

@test "ps --format: templates, table, json" {
	run -0 c ps -a --filter name=done5 --format '{{.ID}} {{.Image}} {{.Status}} {{.Labels}}'
	matches "$output" '^[0-9a-f]{12} default Exited \(5\) .* ago'
	run -0 c ps --format 'table {{.Names}}\t{{.Image}}'
	matches "${lines[0]}" '^NAMES +IMAGE$'
	run -0 c ps --format json
	run -0 jq -r '.Names, .State, .Image' <<<"$output"
	equals "$output" $'up\nrunning\ndefault'
	run -0 c ps --filter name=up --format '{{.Label "kind"}}'
	equals "$output" a
	run c ps --format '{{.Nothing'
	[ "$status" -ne 0 ]
}

@test "inspect: everything a script looks for" {
	run -0 c inspect up
	run -0 jq -r '.[0] | .Name, .State.Running, .State.Status, (.State.Pid > 0), .Config.Image, .Path, .Args[0],
		.HostConfig.NetworkMode, .Driver, (.Created | length > 20), .RestartCount, .Platform' <<<"$output"
	equals "$output" $'/up\ntrue\nrunning\ntrue\ndefault\nsleep\n100000\nbridge\noverlay2\ntrue\n0\nlinux'
	run -0 c inspect --format '{{.State.Pid}}' up
	[ -d "/proc/$output" ]
	run -0 c inspect --format '{{json .State}}' done5
	run -0 jq -r '.Status, .ExitCode, .Pid, .StartedAt != .FinishedAt' <<<"$output"
	equals "$output" $'exited\n5\n0\ntrue'
	run -0 c inspect --format '{{range .Config.Env}}{{println .}}{{end}}' up
	contains "$output" PATH=
}

@test "inspect by prefix, several at once, and what is not there" {
	id=$(c inspect --format '{{.Id}}' up)
	run -0 c inspect --format '{{.Name}}' "${id:0:6}"
	equals "$output" /up
	run -0 c inspect --format '{{.Name}}' up done0
	equals "$output" $'/up\n/done0'
	run c inspect no-such-thing
	code 1
	contains "$output" "No such object: no-such-thing"
	run c inspect --format '{{.NoField}}' up
	[ "$status" -ne 0 ]
}

@test "logs: all, --tail, -t, --since, --until" {
	c run --name talk default sh -c 'echo a; echo b; sleep 1.2; echo c; echo d >&2'
	run -0 c logs talk
	equals "$output" $'a\nb\nc\nd'
	run -0 --separate-stderr c logs talk
	equals "$output" $'a\nb\nc'
	equals "$stderr" d
	run -0 --separate-stderr c logs --tail 1 talk
	equals "$output$stderr" d
	run -0 c logs -n 0 talk
	equals "$output" ""
	run -0 c logs -t talk
	matches "${lines[0]}" '^20[0-9-]+T[0-9:.]+Z a$'
	stamp=$(sed -n 's/ c$//p' <<<"$output")
	run -0 c logs --since "$stamp" talk
	equals "$output" $'c\nd'
	run -0 c logs --until "$stamp" talk
	contains "$output" $'a\nb'
	lacks "$output" d
	run -0 c logs --since 1h talk
	equals "${#lines[@]}" 4
	c rm talk
}

@test "logs -f follows to the end" {
	c run -d --name stream default sh -c 'for i in 1 2 3; do echo $i; sleep 0.3; done' >/dev/null
	run -0 timeout 10 bash -c "source '$E2E_DIR/lib.bash'; c logs -f stream"
	equals "$output" $'1\n2\n3'
	c rm stream
	run c logs no-such
	[ "$status" -ne 0 ]
	contains "$output" "No such container: no-such"
}

@test "wait: several, running and finished" {
	c run -d --name w1 default sh -c 'sleep 0.3; exit 3' >/dev/null
	run -0 c wait w1 done5
	equals "$output" $'3\n5'
	c rm w1
}

@test "kill: by name and number; not when stopped" {
	c run -d --name k1 default sleep 1000 >/dev/null
	run -0 c kill k1
	equals "$output" k1
	wait_for 3 is_state k1 exited
	run -0 c inspect --format '{{.State.ExitCode}}' k1
	equals "$output" 137
	run c kill k1
	[ "$status" -ne 0 ]
	contains "$output" "is not running"
	c start k1
	c kill -s 9 k1
	wait_for 3 is_state k1 exited
	c start k1
	run c kill -s NOSUCH k1
	[ "$status" -ne 0 ]
	contains "$output" "nvalid signal: NOSUCH"
	c rm -f k1
}

@test "stop -t 0 kills at once, stop of a stopped one is fine" {
	c run -d --name s1 default sh -c 'trap "" TERM; while :; do sleep 0.1; done' >/dev/null
	begin=$SECONDS
	c stop -t 0 s1
	[ $((SECONDS - begin)) -le 2 ]
	run -0 c stop s1
	equals "$output" s1
	c rm s1
}

@test "rm: refuses a running one, -f takes it; several; unknown" {
	c run -d --name r1 default sleep 1000 >/dev/null
	run c rm r1
	[ "$status" -ne 0 ]
	contains "$output" "container is running"
	c create --name r2 default >/dev/null
	run -0 c rm -f r1 r2
	equals "$output" $'r1\nr2'
	run c rm r1
	[ "$status" -ne 0 ]
	contains "$output" "No such container: r1"
}

@test "start: twice is fine, several, unknown" {
	run -0 c start up
	equals "$output" up
	run c start no-such
	[ "$status" -ne 0 ]
	contains "$output" "No such container: no-such"
}

@test "start of a bad program: 127 or 126 kept in the state" {
	c create --name nope default no-such-program >/dev/null
	run c start nope
	[ "$status" -ne 0 ]
	contains "$output" "executable file not found"
	run -0 c inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' nope
	matches "$output" '^created 127 .*not found'
	c rm nope
}

@test "version and info with formats" {
	run -0 c version
	contains "$output" "Client:"
	contains "$output" "Server:"
	contains "$output" "API version:"
	run -0 c version --format '{{.Server.APIVersion}}'
	equals "$output" 1.51
	run -0 c version --format '{{json .Server.Os}}'
	equals "$output" '"linux"'
	run -0 c info --format '{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.Images}}'
	equals "$output" "4 1 3 1"
	run -0 c info --format '{{.Driver}} {{.OSType}} {{.NCPU}} {{.KernelVersion}}'
	equals "$output" "overlay2 linux $(nproc) $(uname -r)"
	run -0 c info
	contains "$output" "Storage Driver: overlay2"
}

@test "the API negotiates and refuses versions as Docker's does" {
	run -0 curl -sI --unix-socket "$SOCK" http://d/_ping
	contains "$output" "Api-Version: 1.51"
	contains "$output" "Ostype: linux"
	equals "$(status GET /v1.24/version)" 200
	equals "$(status GET /v1.51/version)" 200
	equals "$(status GET /v1.99/version)" 400
	equals "$(status GET /v1.5/version)" 400
	equals "$(status GET /no/such/path)" 404
	equals "$(status GET /v1.41/containers/none/json)" 404
	equals "$(status POST /v1.41/containers/create 'garbage')" 400
	equals "$(status POST /v1.41/containers/up/start)" 304
	equals "$(status POST /v1.41/containers/done0/stop)" 304
	equals "$(status POST /v1.41/containers/done0/kill)" 409
}

@test "help: a page for every command, and typos are told" {
	run -0 c --help
	contains "$output" "Usage:"
	for cmd in run create start attach ps logs inspect wait kill stop rm images rmi pull load version info; do
		run -0 c "$cmd" --help
		contains "$output" "Usage:"
	done
	run c no-such-command
	[ "$status" -ne 0 ]
	contains "$output" "unknown command: "
}

@test "nothing is left after all are removed" {
	c rm -f up done0 done5 fresh
	no_leaks
}
