# SPDX-License-Identifier: Apache-2.0
# Standard streams: input, a lot of output, terminals, detaching, signals, log files.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() { start_engine; }
teardown_file() { stop_engine; }

@test "-i passes the input on and its end too" {
	run -0 bash -c "source '$E2E_DIR/lib.bash'; printf 'one\ntwo' | c run --rm -i default cat"
	equals "$output" $'one\ntwo'
	run -0 bash -c "source '$E2E_DIR/lib.bash'; head -c 3000000 /dev/zero | c run --rm -i default wc -c"
	equals "$output" 3000000
}

@test "without -i the input is empty" {
	run -0 bash -c "source '$E2E_DIR/lib.bash'; echo ignored | c run --rm default wc -c"
	equals "$output" 0
}

@test "-a chooses streams" {
	run -0 --separate-stderr c run --rm -a stdout default sh -c 'echo out; echo err >&2'
	equals "$output" out
	equals "$stderr" ""
}

@test "1 GiB of output arrives complete and in order" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	sum=$(c run --rm --log-driver none default sh -c 'yes 0123456789abcdef | head -c 1073741824' | sha256sum)
	equals "$sum" "$(yes 0123456789abcdef | head -c 1073741824 | sha256sum)"
}

@test "binary output is not changed" {
	sum=$(c run --rm -i default sh -c 'cat' <"$BIN/coracle" | sha256sum)
	equals "$sum" "$(sha256sum <"$BIN/coracle")"
}

@test "a slow reader stops the producer, no process grows" {
	c run --rm --name slow --log-driver none default sh -c 'yes 0123456789abcdef | head -c 300000000' >"$BATS_TEST_TMPDIR/out" 2>/dev/null < <(:) &
	wait $! || true
	c run -d --name slow2 --log-driver none -i default sh -c 'read x; yes 0123456789abcdef' >/dev/null
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	(echo go; sleep 3) | c attach slow2 >"$BATS_TEST_TMPDIR/pipe" 3>&- &
	client=$!
	exec 8<"$BATS_TEST_TMPDIR/pipe"
	head -c 100000 <&8 >/dev/null
	local p before=() after=() i=0
	for p in $(engine_pid) $(shim_pids); do before+=("$(rss_kb "$p")"); done
	sleep 1.5
	for p in $(engine_pid) $(shim_pids); do after+=("$(rss_kb "$p")"); done
	for i in "${!after[@]}"; do
		[ $((after[i] - before[i])) -lt 3000 ] # KB, of a program that could have written gigabytes
	done
	exec 8<&-
	kill "$client" 2>/dev/null || true
	c rm -f slow2
}

@test "a client that vanishes does not stop the container" {
	c run --name orphan default sh -c 'for i in 1 2 3 4 5 6; do echo line $i; sleep 0.2; done; exit 4' >/dev/null 3>&- &
	client=$!
	wait_for 5 is_state orphan running
	kill -9 "$client"
	wait_for 5 is_state orphan exited
	run -0 c inspect --format '{{.State.ExitCode}}' orphan
	equals "$output" 4
	run -0 c logs orphan
	contains "$output" "line 6"
	c rm orphan
}

@test "-t gives a terminal, with its size and raw input" {
	needs expect
	run -0 expect <<-END
		set timeout 10
		set stty_init "rows 33 cols 77"
		spawn bash -c "source '$E2E_DIR/lib.bash'; c run --rm -it default sh"
		expect "# "
		send "stty size; tty\r"
		expect "33 77"
		expect "/dev/pts/0"
		send "echo term=\\\$TERM\r"
		expect "term=xterm"
		send "exit 9\r"
		expect eof
		lassign [wait] a b c code
		exit [expr {\$code == 9 ? 0 : 1}]
	END
}

@test "a new window size reaches the program" {
	needs expect
	run -0 expect <<-END
		set timeout 10
		set stty_init "rows 20 cols 50"
		spawn bash -c "source '$E2E_DIR/lib.bash'; c run --rm -it default sh"
		expect "# "
		stty rows 41 columns 91 < \$spawn_out(slave,name)
		sleep 0.5
		send "stty size\r"
		expect "41 91"
		send "exit\r"
		expect eof
	END
}

@test "ctrl-p ctrl-q leaves it running, attach comes back" {
	needs expect
	run -0 expect <<-END
		set timeout 10
		spawn bash -c "source '$E2E_DIR/lib.bash'; c run -it --name det default sh"
		expect "# "
		send "X=stay\r"
		expect "# "
		send "\x10\x11"
		expect eof
		spawn bash -c "source '$E2E_DIR/lib.bash'; c attach det"
		sleep 0.3
		send "echo \\\$X-ed\r"
		expect "stay-ed"
		send "exit 3\r"
		expect eof
		lassign [wait] a b c code
		exit [expr {\$code == 3 ? 0 : 1}]
	END
	c rm det
}

@test "--detach-keys" {
	needs expect
	run -0 expect <<-END
		set timeout 10
		spawn bash -c "source '$E2E_DIR/lib.bash'; c run -it --detach-keys ctrl-a,x --name keys default sh"
		expect "# "
		send "\x01x"
		expect eof
	END
	is_state keys running
	c rm -f keys
	run c run --rm -t --detach-keys ctrl-nonsense default true
	[ "$status" -ne 0 ]
}

@test "ctrl-c in the terminal reaches the program" {
	needs expect
	run -0 expect <<-END
		set timeout 10
		spawn bash -c "source '$E2E_DIR/lib.bash'; c run --rm -it default sh -c 'trap \"echo caught; exit 6\" INT; echo ready; while :; do sleep 0.1; done'"
		expect "ready"
		send "\x03"
		expect "caught"
		expect eof
		lassign [wait] a b c code
		exit [expr {\$code == 6 ? 0 : 1}]
	END
}

@test "signals to the client are forwarded, unless --sig-proxy=false" {
	c run --name prox default sh -c 'trap "exit 11" TERM; echo up; while :; do sleep 0.05; done' >"$BATS_TEST_TMPDIR/o" 3>&- &
	client=$!
	wait_for 5 grep -q up "$BATS_TEST_TMPDIR/o"
	# the last child of the function's subshell is the client itself
	pkill -TERM -P "$client" || kill -TERM "$client"
	wait "$client" && code=0 || code=$?
	wait_for 5 is_state prox exited
	run -0 c inspect --format '{{.State.ExitCode}}' prox
	equals "$output" 11
	c rm prox
}

@test "logs rotate by size and keep max-file of them" {
	c run --name rot --log-opt max-size=10k --log-opt max-file=3 default sh -c 'for i in $(seq 2000); do echo line $i; done'
	dir=$(dirname "$(c inspect --format '{{.LogPath}}' rot)")
	run bash -c "ls $dir | grep -c json.log"
	equals "$output" 3
	for f in "$dir"/*json.log*; do [ "$(stat -c %s "$f")" -le 11000 ]; done
	run -0 c logs rot
	equals "$(tail -n 1 <<<"$output")" "line 2000"
	first=$(head -n 1 <<<"$output")
	n=${first#line }
	equals "$(seq -f 'line %g' "$n" 2000)" "$output"
	c rm rot
}

@test "the log file is Docker's json-file format" {
	c run --name fmt default sh -c 'printf "a\"b\\\\\n"; echo err >&2; printf "no newline"'
	log=$(c inspect --format '{{.LogPath}}' fmt)
	run -0 jq -c '[.log, .stream]' "$log"
	contains "$output" '["a\"b\\\n","stdout"]'
	contains "$output" '["err\n","stderr"]'
	contains "$output" '["no newline","stdout"]'
	run -0 jq -r .time "$log"
	matches "$output" '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]+Z'
	c rm fmt
}

@test "--log-driver none keeps nothing, and logs says so" {
	c run --name nolog --log-driver none default echo hi
	run c logs nolog
	[ "$status" -ne 0 ]
	contains "$output" "does not support reading"
	c rm nolog
	run c run --rm --log-driver no-such default true
	code 125
	run c run --rm --log-opt no-such=1 default true
	code 125
}

@test "a very long line is kept whole" {
	c run --name long default sh -c 'head -c 100000 /dev/zero | tr "\0" x; echo'
	run -0 bash -c "source '$E2E_DIR/lib.bash'; c logs long | wc -c"
	equals "$output" 100001
	c rm long
}

@test "two clients see the same output" {
	c run -d -i --name two default sh -c 'read x; echo got; sleep 0.5' >/dev/null
	c attach --no-stdin two >"$BATS_TEST_TMPDIR/a" 3>&- &
	a=$!
	(sleep 0.5; echo go) | c attach two >"$BATS_TEST_TMPDIR/b" 3>&- || true
	wait "$a" || true
	equals "$(cat "$BATS_TEST_TMPDIR/a")" got
	equals "$(cat "$BATS_TEST_TMPDIR/b")" got
	c rm -f two
}

@test "attach?logs=1: a client that reads late gets all of the old log, then what follows, and holds nobody" {
	c run -d -i --name late default sh -c 'seq 1 300000; read x; echo "then $x"' >/dev/null
	wait_for 20 bash -c "source '$E2E_DIR/lib.bash'; c logs --tail 1 late | grep -q 300000"
	cat >"$BATS_TEST_TMPDIR/late.py" <<-'END'
		import socket, struct, sys
		def attach():
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(30)
		    s.connect(sys.argv[1])
		    s.sendall(b"POST /containers/late/attach?logs=1&stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n"
		              b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		    return s
		late = attach()
		# another client is served meanwhile, from its first byte to its last
		other = socket.socket(socket.AF_UNIX)
		other.connect(sys.argv[1])
		other.sendall(b"GET /containers/late/logs?stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
		size = 0
		while (b := other.recv(1 << 20)):
		    size += len(b)
		assert size > 300000 * 6, size
		f = late.makefile('rb')
		while f.readline() != b"\r\n":
		    pass
		text, typed = bytearray(), False
		while (head := f.read(8)):
		    text += f.read(struct.unpack(">I", head[4:])[0])
		    if not typed and text.endswith(b"\n300000\n"):
		        typed = True
		        late.sendall(b"more\n")
		        late.shutdown(socket.SHUT_WR)
		assert text == b"".join(b"%d\n" % i for i in range(1, 300001)) + b"then more\n", (len(text), text[-100:])
	END
	run -0 timeout 60 python3 "$BATS_TEST_TMPDIR/late.py" "$SOCK"
	c rm -f late
}
