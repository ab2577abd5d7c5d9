#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Log drivers: what arrives at files and sockets, options with Docker's words, logs of each driver.
bats_require_minimum_version 1.5.0

setup_file() {
	load lib
	start_engine
}
teardown_file() {
	load lib
	stop_engine
}
setup() {
	load lib
	PIDS=()
}
teardown() {
	local p
	for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null || true; done
}

# target KIND WHERE -> $OUT: a receiver in the background
target() {
	OUT=$BATS_TEST_TMPDIR/$1.out
	rm -f "$OUT.ready"
	python3 "$E2E_DIR/log-targets.py" "$1" "$2" "$OUT" "${@:3}" 3>&- 4>&- &
	PIDS+=($!)
	wait_for 10 test -e "$OUT.ready"
}
arrived() {
	grep -qs "$1" "$OUT"
}
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
folder() {
	echo "$HOME_DIR/data/containers/$(c inspect --format '{{.Id}}' "$1")"
}
local_records() {
	python3 "$E2E_DIR/log-targets.py" local "$@"
}

@test "local: Docker's records, logs, tail, since, partial lines" {
	c run --name loc --log-driver local default sh -c 'echo a; echo b >&2; head -c 20000 /dev/zero | tr "\0" x; echo; printf end'
	run -0 local_records "$(folder loc)/local-logs/container.log"
	equals "$(jq -c '[.source, .partial, .last, .ordinal, (.line | length)]' <<<"$output" | sort)" \
		'["stderr",false,null,null,1]
["stdout",false,null,null,1]
["stdout",true,false,1,16384]
["stdout",true,false,1,3]
["stdout",true,true,2,3616]'
	run -0 --separate-stderr c logs loc
	equals "$(md5sum <<<"$output")" "$( (echo a; head -c 20000 /dev/zero | tr '\0' x; echo; echo end) | md5sum)"
	equals "$stderr" b
	run -0 c logs --tail 1 loc
	equals "$output" end
	run -0 c logs --since 2100-01-01T00:00:00Z loc
	equals "$output" ''
	equals "$(c inspect --format '{{.HostConfig.LogConfig.Type}}{{.LogPath}}' loc)" local
	c rm loc
}

@test "rotated files are compressed, and logs reads all of them" {
	for driver in local json-file; do
		c run --name rot --log-driver $driver --log-opt max-size=20k --log-opt max-file=30 --log-opt compress=true default sh -c \
			'for i in $(seq 4000); do echo "line $i"; [ $((i % 500)) != 0 ] || sleep 0.1; done'
		run -0 find "$(folder rot)" -name '*.log.*.gz'
		contains "$output" .gz
		[ "$driver" = json-file ] || local_records $output >/dev/null
		run -0 c logs rot
		equals "$output" "$(seq -f 'line %g' 4000)"
		run -0 c logs --tail 3000 rot
		equals "$output" "$(seq -f 'line %g' 1001 4000)"
		since=$(c logs -t rot | sed -n 1500p | cut -d' ' -f1)
		run -0 c logs --since "$since" rot
		cmp <(echo "$output") <(c logs -t rot | awk -v s="$since" '$1 >= s { print $2, $3 }')
		equals "$(tail -n 1 <<<"$output")" "line 4000"
		c rm rot
	done
}

@test "logs -f goes through rotation and compression without a gap or a repetition" {
	c run -d --name fol --log-driver local --log-opt max-size=10k --log-opt max-file=50 default sh -c \
		'for i in $(seq 3000); do echo "line $i"; [ $((i % 100)) != 0 ] || sleep 0.02; done'
	run -0 timeout 30 bash -c "source '$E2E_DIR/lib.bash'; c logs -f fol"
	equals "$output" "$(seq -f 'line %g' 3000)"
	c rm -f fol
}

@test "--since in a large file is found by halving, and gives what a whole read gives" {
	c run --name big default sh -c 'seq 1 100000; date +%s.%N >/mark; sleep 0.1; seq 100001 200000'
	since=$(c logs -t big | sed -n 150000p | cut -d' ' -f1)
	run -0 c logs --since "$since" big
	equals "$(tail -n 1 <<<"$output")" 200000
	equals "$output" "$(c logs -t big | awk -v s="$since" '$1 >= s { print $2 }')"
	c rm big
}

@test "labels, env and tag become attributes, and --details shows them" {
	c run --name att -l x=1 -l other=2 -l y.z=3 -e 'FOO=a b' -e BAR=1 --log-opt labels=x --log-opt labels-regex='^y' --log-opt env=FOO \
		--log-opt 'tag={{.Name}}/{{.ImageName}}' default echo hello
	run -0 c logs --details att
	equals "$output" 'FOO=a+b,tag=att%2Fdefault,x=1,y.z=3 hello'
	run -0 jq -c '[.log, .attrs]' "$(c inspect --format '{{.LogPath}}' att)"
	contains "$output" '"FOO":"a b"'
	c rm att
}

@test "syslog over tcp: RFC 5424, priorities, and logs from the cache" {
	port=$(free_port)
	target tcp "$port"
	c run --name sys --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:"$port" --log-opt syslog-format=rfc5424micro \
		--log-opt 'tag={{.Name}}' default sh -c 'echo one; sleep 0.1; echo two >&2'
	wait_for 5 arrived two
	run -0 cat "$OUT"
	matches "${lines[0]}" '^<30>1 20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}(Z|[+-][0-9:]{5}) [^ ]+ sys [0-9]+ sys - one$'
	matches "${lines[1]}" '^<27>1 .* sys - two$'
	run -0 --separate-stderr c logs sys
	equals "$output/$stderr" one/two
	c rm sys
}

@test "syslog over TLS with a client's certificate, and to a host by its name" {
	source "$E2E_DIR/certs.bash"
	certs=$BATS_TEST_TMPDIR/certs
	make_certs "$certs"
	port=$(free_port)
	target tls "$port" "$certs"
	tls=(--log-driver syslog --log-opt "syslog-address=tcp+tls://localhost:$port" --log-opt "syslog-tls-ca-cert=$certs/ca.pem")
	c run --rm "${tls[@]}" --log-opt "syslog-tls-cert=$certs/cert.pem" --log-opt "syslog-tls-key=$certs/key.pem" --log-opt tag=sec default \
		sh -c 'echo first; seq 5000; echo last >&2'
	wait_for 10 arrived 'sec\[[0-9]*\]: last'
	equals "$(grep -c 'sec\[[0-9]*\]: ' "$OUT")" 5002
	# a server that nobody vouches for
	run c run --rm --log-driver syslog --log-opt "syslog-address=tcp+tls://localhost:$port" --log-opt "syslog-tls-ca-cert=$certs/other.pem" default true
	[ "$status" -ne 0 ]
	contains "$output" "failed to initialize logging driver: dial tcp+tls://localhost:$port: "
	contains "$output" certificate
	port=$(free_port)
	target udp "$port"
	c run --rm --log-driver syslog --log-opt "syslog-address=udp://localhost:$port" default echo by name
	wait_for 10 arrived 'by name'
	run c run --rm --log-driver syslog --log-opt syslog-address=tcp://name.invalid default true
	contains "$output" "dial tcp://name.invalid: lookup name.invalid: no such host"
}

@test "syslog over udp, unix and unixgram; facility, RFC 3164, default format" {
	port=$(free_port)
	target udp "$port"
	c run --rm --log-driver syslog --log-opt syslog-address=udp://127.0.0.1:"$port" --log-opt syslog-facility=local3 default echo by-udp
	wait_for 5 arrived by-udp
	matches "$(cat "$OUT")" '^<158>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} [0-9a-f]{12}\[[0-9]+\]: by-udp$'
	target unix "$BATS_TEST_TMPDIR/s.sock"
	c run --rm --log-driver syslog --log-opt syslog-address=unix://"$BATS_TEST_TMPDIR/s.sock" --log-opt syslog-format=rfc3164 default echo by-unix
	wait_for 5 arrived by-unix
	matches "$(cat "$OUT")" "^<30>[A-Z].* $(hostname) [0-9a-f]{12}\[[0-9]+\]: by-unix\$"
	target unixgram "$BATS_TEST_TMPDIR/d.sock"
	c run --rm --log-driver syslog --log-opt syslog-address=unixgram://"$BATS_TEST_TMPDIR/d.sock" default echo by-gram
	wait_for 5 arrived by-gram
}

@test "a syslog target that dies does not stop the program, and gets messages again when it is back" {
	sock=$BATS_TEST_TMPDIR/t.sock
	target unix "$sock"
	c run -d --name die --log-driver syslog --log-opt syslog-address=unix://"$sock" default sh -c \
		'echo first; while [ ! -e /go ]; do sleep 0.02; done; seq 100; touch /done; while [ ! -e /more ]; do sleep 0.02; done; echo last; sleep 100'
	wait_for 5 arrived first
	kill "${PIDS[-1]}"
	wait "${PIDS[-1]}" 2>/dev/null || true
	c exec die touch /go
	wait_for 10 c exec die test -e /done
	target unix "$sock"
	c exec die touch /more
	wait_for 10 arrived last
	grep -q ': 100$' "$OUT"
	equals "$(grep -c 'log target' "$HOME_DIR/engine.log")" 2
	run -0 c logs --tail 1 die
	equals "$output" last
	c rm -f die
}

@test "a target that does not read stops a blocking program, not a non-blocking one; exec goes on" {
	sock=$BATS_TEST_TMPDIR/slow.sock
	python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8); time.sleep(60)' "$sock" 3>&- 4>&- &
	PIDS+=($!)
	wait_for 5 test -S "$sock"
	for mode in blocking non-blocking; do
		c run -d --name slow-$mode --log-driver syslog --log-opt syslog-address=unix://"$sock" --log-opt mode=$mode default sh -c \
			'head -c 2000000 /dev/zero | tr "\0" "\n"; touch /done; sleep 100' >/dev/null
	done
	wait_for 20 c exec slow-non-blocking test -e /done
	run ! c exec slow-blocking test -e /done
	c rm -f slow-blocking slow-non-blocking
}

@test "the journal: fields, priorities, partial messages, a message too large for a datagram" {
	[ ! -e /run/systemd/journal/socket ] || skip_because "a journal runs on this machine"
	mkdir -p /run/systemd/journal
	target journal /run/systemd/journal/socket
	c run --name jou -l a.b=c --log-driver journald --log-opt labels=a.b default sh -c 'echo one; echo two >&2; head -c 20000 /dev/zero | tr "\0" x; echo'
	wait_for 5 arrived '"CONTAINER_PARTIAL_LAST": "true"'
	rm -rf /run/systemd/journal
	id=$(c inspect --format '{{.Id}}' jou)
	run -0 jq -c 'select(.MESSAGE == "one") | [.PRIORITY, .CONTAINER_ID, .CONTAINER_ID_FULL, .CONTAINER_NAME, .CONTAINER_TAG, .IMAGE_NAME, .SYSLOG_IDENTIFIER, .A_B]' "$OUT"
	equals "$output" "[\"6\",\"${id:0:12}\",\"$id\",\"jou\",\"${id:0:12}\",\"default\",\"${id:0:12}\",\"c\"]"
	run -0 jq -r 'select(.MESSAGE == "two").PRIORITY' "$OUT"
	equals "$output" 3
	run -0 jq -c 'select(.CONTAINER_PARTIAL_ID) | [.CONTAINER_PARTIAL_MESSAGE, .CONTAINER_PARTIAL_ORDINAL, .CONTAINER_PARTIAL_LAST, (.MESSAGE | length)]' "$OUT"
	equals "$output" '["true","1","false",16384]
[null,"2","true",3616]'
	c rm jou
}

has_lines() { # NAME COUNT
	[ "$(c logs "$1" | wc -l)" -ge "$2" ]
}
@test "kill -9 of the shim while it writes: what was logged stays readable, the next start goes on" {
	for driver in local json-file; do
		c run -d --name hit --log-driver $driver default sh -c 'i=0; while :; do i=$((i + 1)); echo "line $i"; done' >/dev/null
		wait_for 5 has_lines hit 1000
		for p in $(shim_pids); do kill -9 "$p"; done
		wait_for 10 stopped hit
		n=$(c logs hit | wc -l)
		equals "$(c logs hit | md5sum)" "$(seq -f 'line %g' "$n" | md5sum)"
		c start hit
		wait_for 5 has_lines hit $((n + 1000))
		equals "$(c logs hit | sed -n "$((n + 1))p")" 'line 1'
		c rm -f hit
	done
}
stopped() {
	[ "$(c inspect --format '{{.State.Running}}' "$1")" = false ]
}

@test "kill -9 of the engine while programs write and a client follows: nothing is lost, nothing twice" {
	for driver in json-file local; do
		c run -d --name "$driver-ek" --log-driver $driver --log-opt max-size=300k --log-opt max-file=100 default sh -c \
			'i=0; while [ ! -e /stop ]; do i=$((i + 1)); echo "line $i"; done; echo end $i' >/dev/null
	done
	for _ in 1 2 3 4 5; do
		c logs -f local-ek >/dev/null 2>&1 3>&- &
		follower=$!
		kill -9 "$(engine_pid)"
		wait "$follower" || true
		run_engine
	done
	for driver in json-file local; do
		c exec "$driver-ek" touch /stop
		run -0 c wait "$driver-ek"
		c logs "$driver-ek" >"$BATS_TEST_TMPDIR/out"
		n=$(sed -n '$s/^end //p' "$BATS_TEST_TMPDIR/out")
		[ "$n" -gt 1000 ]
		seq -f 'line %.0f' "$n" | cmp - <(sed '$d' "$BATS_TEST_TMPDIR/out")
		c rm "$driver-ek"
	done
}

@test "options are checked with Docker's words" {
	refused() { # TEXT OPTIONS...
		local text=$1
		shift
		run c create "$@" default true
		[ "$status" -ne 0 ]
		contains "$output" "$text"
	}
	refused "unknown log opt 'x' for json-file log driver" --log-opt x=1
	refused "unknown log opt 'tag' for log driver local" --log-driver local --log-opt tag=1
	refused "unknown log opt 'x' for syslog log driver" --log-driver syslog --log-opt x=1
	refused "unknown log opt 'max-size' for journald log driver" --log-driver journald --log-opt max-size=1
	refused 'error looking up logging plugin nope: plugin "nope" not found' --log-driver nope
	refused "logging mode not supported: x" --log-opt mode=x
	refused "max-buffer-size option is only supported with 'mode=non-blocking'" --log-opt max-buffer-size=1m
	refused "syslog-address should be in form proto://address, got x" --log-driver syslog --log-opt syslog-address=x
	refused "invalid syslog facility" --log-driver syslog --log-opt syslog-facility=x
	refused "nvalid syslog format" --log-driver syslog --log-opt syslog-format=x
	refused "is not built in coracle yet" --log-driver fluentd
	run c run --name dead --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:1 default true
	[ "$status" -ne 0 ]
	contains "$output" "failed to initialize logging driver"
	c rm dead
	run -0 c info --format '{{.LoggingDriver}} {{.Plugins.Log}}'
	equals "$output" "json-file [journald json-file local none syslog]"
}

@test "cache-disabled: nothing is kept, and logs says so" {
	port=$(free_port)
	target udp "$port"
	c run --name nc --log-driver syslog --log-opt syslog-address=udp://127.0.0.1:"$port" --log-opt cache-disabled=true default echo x
	run c logs nc
	[ "$status" -ne 0 ]
	contains "$output" "does not support reading"
	[ ! -e "$(folder nc)/container-cached.log" ]
	c rm nc
}
