# SPDX-License-Identifier: Apache-2.0
# Listening sockets and the end of the engine: TLS, groups, pid file, service manager, shutdown.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash
load certs.bash

setup() {
	HOME_DIR=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	SOCK=$HOME_DIR/run/coracle.sock
	export CORACLE_HOME=$HOME_DIR HOME_DIR SOCK
	mkdir -p "$HOME_DIR/docker-config" "$HOME_DIR/etc"
	CONFIG=$HOME_DIR/etc/config.json
	PORT=$(free_port)
}
teardown() { stop_engine; }

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
logged() {
	grep -qF "$1" "$HOME_DIR/engine.log"
}
ended() {
	! kill -0 "$1" 2>/dev/null
}
tls_config() {
	make_certs "$HOME_DIR/c"
	cat >"$CONFIG" <<-J
		{"hosts":["unix://$SOCK","tcp://127.0.0.1:$PORT"],"tlsverify":true,"tlscacert":"$HOME_DIR/c/ca.pem",
		 "tlscert":"$HOME_DIR/c/server.pem","tlskey":"$HOME_DIR/c/server-key.pem"}
	J
}
over_tls() { # by Docker's client, with the certificate named first
	local cert=$1 key=$1-key
	shift
	[ "$cert" != cert ] || key=key
	DOCKER_CONFIG="$HOME_DIR/docker-config" docker -H "tcp://127.0.0.1:$PORT" --tlsverify --tlscacert "$HOME_DIR/c/ca.pem" \
		--tlscert "$HOME_DIR/c/$cert.pem" --tlskey "$HOME_DIR/c/$key.pem" "$@"
}

@test "listen: tcp with mutual TLS carries requests, attached streams and half-closes" {
	tls_config
	start_engine "$HOME_DIR"
	run -0 over_tls cert version --format '{{.Server.Version}}'
	run -0 bash -c "head -c 20000000 /dev/zero | DOCKER_CONFIG=$HOME_DIR/docker-config docker -H tcp://127.0.0.1:$PORT --tlsverify \
		--tlscacert $HOME_DIR/c/ca.pem --tlscert $HOME_DIR/c/cert.pem --tlskey $HOME_DIR/c/key.pem run -i --rm default wc -c"
	equals "$output" 20000000
	coracle run -d --name long default sleep 100 >/dev/null
	run -3 over_tls cert exec long sh -c 'exit 3'
	run -0 over_tls cert rm -f long
}

@test "listen: TLS refuses strangers, clients without certificate and plain HTTP, and stays up" {
	tls_config
	start_engine "$HOME_DIR"
	run over_tls stranger version --format '{{.Server.Version}}'
	[ "$status" -ne 0 ]
	run curl -sk --max-time 5 "https://127.0.0.1:$PORT/_ping"
	[ "$status" -ne 0 ]
	run curl -s --max-time 5 "http://127.0.0.1:$PORT/_ping"
	[ "$status" -ne 0 ]
	equals "$(curl -s --max-time 5 --cacert "$HOME_DIR/c/ca.pem" --cert "$HOME_DIR/c/cert.pem" --key "$HOME_DIR/c/key.pem" \
		"https://localhost:$PORT/_ping")" OK
	logged "a client was refused"
}

@test "listen: silent TLS clients cost nothing and are many" {
	tls_config
	start_engine "$HOME_DIR"
	python3 - "$PORT" "$HOME_DIR/c" <<-'P'
		import socket, ssl, sys
		port, c = int(sys.argv[1]), sys.argv[2]
		idle = [socket.create_connection(('127.0.0.1', port)) for _ in range(200)]
		ctx = ssl.create_default_context(cafile=c + '/ca.pem')
		ctx.load_cert_chain(c + '/cert.pem', c + '/key.pem')
		s = ctx.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='localhost')
		s.sendall(b'GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
		data = b''
		while True:
		    part = s.recv(4096)
		    if not part:
		        break
		    data += part
		assert data.startswith(b'HTTP/1.1 200') and data.endswith(b'OK'), data
	P
}

@test "listen: an engine restart ends its TLS helper; a certificate that does not fit is an error of the start" {
	tls_config
	start_engine "$HOME_DIR"
	old=$(engine_pid)
	kill "$old"
	wait_for 5 ended "$old"
	run_engine
	run -0 over_tls cert version --format '{{.Server.Version}}'
	kill "$(engine_pid)"
	wait_for 5 ended "$(engine_pid)"
	cp "$HOME_DIR/c/key.pem" "$HOME_DIR/c/server-key.pem"
	run -1 timeout 10 "$BIN/coracled"
	contains "$output" "$HOME_DIR/c/server.pem"
	contains "$output" "mismatch"
}

@test "listen: plain tcp only for those who say so" {
	run -1 "$BIN/coracled" --validate -H "tcp://127.0.0.1:$PORT"
	contains "$output" "without TLS gives root on this machine to everyone"
	echo "{\"hosts\":[\"unix://$SOCK\",\"tcp://127.0.0.1:$PORT\"],\"tls\":false}" >"$CONFIG"
	start_engine "$HOME_DIR"
	equals "$(curl -s --max-time 5 "http://127.0.0.1:$PORT/_ping")" OK
	logged "without encryption"
}

@test "listen: the socket has the group asked for, and a group that is not there is an error" {
	echo '{"group":"daemon"}' >"$CONFIG"
	start_engine "$HOME_DIR"
	equals "$(stat -c '%G %a' "$SOCK")" "daemon 660"
	equals "$(cat "$HOME_DIR/run/coracled.pid")" "$(engine_pid)"
	kill "$(engine_pid)"
	wait_for 5 ended "$(engine_pid)"
	[ ! -e "$SOCK" ] && [ ! -e "$HOME_DIR/run/coracled.pid" ]
	echo '{"group":"no-such-group"}' >"$CONFIG"
	run -1 timeout 10 "$BIN/coracled"
	contains "$output" "group no-such-group not found"
}

@test "listen: the service manager hears ready, reloading and stopping" {
	python3 - "$HOME_DIR/notify" >"$HOME_DIR/heard" 3>&- <<-'P' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(20)
		while True:
		    text = s.recv(1000).decode()
		    print(text.split('\n')[0], flush=True)
		    if text.startswith('STOPPING'):
		        break
	P
	wait_for 5 test -S "$HOME_DIR/notify"
	NOTIFY_SOCKET=$HOME_DIR/notify start_engine "$HOME_DIR"
	wait_for 5 grep -qx READY=1 "$HOME_DIR/heard"
	kill -HUP "$(engine_pid)"
	wait_for 5 logged "reloaded the configuration"
	kill "$(engine_pid)"
	wait_for 5 grep -qx STOPPING=1 "$HOME_DIR/heard"
	equals "$(tr '\n' ' ' <"$HOME_DIR/heard")" "READY=1 RELOADING=1 READY=1 STOPPING=1 "
}

@test "shutdown: without live-restore containers stop in order, and start again by their policy" {
	echo '{"live-restore":false,"shutdown-timeout":20}' >"$CONFIG"
	start_engine "$HOME_DIR"
	coracle run -d --name kind default sh -c 'trap "echo bye; exit 7" TERM; while :; do sleep 0.05; done' >/dev/null
	coracle create --name again default sleep 1000 >/dev/null
	api POST /containers/again/update '{"RestartPolicy":{"Name":"unless-stopped"}}' >/dev/null
	coracle start again >/dev/null
	wait_for 5 is_state kind running
	old=$(engine_pid)
	kill "$old"
	wait_for 10 ended "$old"
	equals "$(shim_pids)" ""
	run_engine
	equals "$(coracle inspect --format '{{.State.Status}} {{.State.ExitCode}}' kind)" "exited 7"
	equals "$(coracle logs kind)" bye
	wait_for 5 is_state again running
	equals "$(coracle inspect --format '{{.RestartCount}}' again)" 0
}

@test "shutdown: what does not stop in time is killed" {
	echo '{"live-restore":false,"shutdown-timeout":1}' >"$CONFIG"
	start_engine "$HOME_DIR"
	coracle run -d --name deaf default sh -c 'trap "" TERM; while :; do sleep 0.05; done' >/dev/null
	old=$(engine_pid)
	kill "$old"
	wait_for 8 ended "$old"
	run_engine
	equals "$(coracle inspect --format '{{.State.Status}} {{.State.ExitCode}}' deaf)" "exited 137"
}

@test "shutdown: with live restore, the default, containers run on" {
	start_engine "$HOME_DIR"
	coracle run -d --name on default sleep 1000 >/dev/null
	pid=$(coracle inspect --format '{{.State.Pid}}' on)
	old=$(engine_pid)
	kill "$old"
	wait_for 5 ended "$old"
	kill -0 "$pid"
	run_engine
	wait_for 5 is_state on running
	equals "$(coracle inspect --format '{{.State.Pid}}' on)" "$pid"
}

# The coracle-tls of this test's engine.
helper_pid() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -c "coracle-tls serve $HOME_DIR/")" = 0 ] || basename "$p"
	done
}

@test "listen: the TLS helper is nobody without capabilities, and only root reaches the socket behind it" {
	tls_config
	start_engine "$HOME_DIR"
	pid=$(helper_pid)
	[ -n "$pid" ]
	equals "$(awk '/^(Uid|Gid):/ { print $2, $3, $4, $5 }' "/proc/$pid/status" | sort -u)" "65534 65534 65534 65534"
	equals "$(awk '/^Cap(Inh|Prm|Eff|Amb):/ { print $2 }' "/proc/$pid/status" | sort -u)" 0000000000000000
	equals "$(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$pid/status")" 1
	equals "$(stat -c '%a %u' "$HOME_DIR/run/tls")" "700 0"
	run -0 over_tls cert version --format '{{.Server.Version}}'
}

@test "listen: hostile TLS clients leave the engine answering and the log short" {
	tls_config
	start_engine "$HOME_DIR"
	python3 - "$PORT" <<-'P'
		import os, random, socket, sys
		port = int(sys.argv[1])
		random.seed(7)
		hello = bytes.fromhex('1603010200010001fc0303')  # the start of a handshake that never comes
		held = []
		for i in range(300):
		    s = socket.create_connection(('127.0.0.1', port))
		    s.settimeout(5)
		    try:
		        if i % 3 == 0:  # garbage
		            s.sendall(random.randbytes(random.randint(1, 20000)))
		        elif i % 3 == 1:  # a hello with garbage behind it
		            s.sendall(hello + random.randbytes(600))
		        else:  # a hello byte by byte, then nothing
		            s.sendall(hello[:1 + i % 11])
		            held.append(s)
		            continue
		        while s.recv(4096):
		            pass
		    except OSError:
		        pass
		    s.close()
		ok = os.popen("curl -s --max-time 5 --unix-socket %s http://x/_ping" % os.environ['SOCK']).read()
		assert ok == 'OK', ok
	P
	run -0 over_tls cert version --format '{{.Server.Version}}'
	refused=$(grep -c "a client was refused" "$HOME_DIR/engine.log")
	[ "$refused" -ge 1 ] && [ "$refused" -le 20 ] # 10 a minute, and the test may see two minutes
	logged "further refusals of this minute are only counted"
}

@test "listen: a coracle-tls that is killed is followed by another; clients wait in the queue" {
	tls_config
	start_engine "$HOME_DIR"
	local round old
	for round in 1 2; do
		old=$(helper_pid)
		kill -KILL "$old"
		run -0 over_tls cert version --format '{{.Server.Version}}'
		[ "$(helper_pid)" != "$old" ]
	done
	logged "was ended by signal 9; the next one starts in"
	logged "coracle-tls runs again"
	kill "$(engine_pid)"
	wait_for 10 ended "$(engine_pid)"
	equals "$(helper_pid)" ""
}
