# SPDX-License-Identifier: Apache-2.0
# How the command line finds its engine: -H, variables, contexts, TLS, ssh; contexts shared with Docker's client.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash
load certs.bash

setup_file() {
	make_certs "$E2E_TMP/endpoint-certs"
	export CERTS=$E2E_TMP/endpoint-certs
	PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	export PORT
	HOME_DIR=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	mkdir -p "$HOME_DIR/etc"
	cat >"$HOME_DIR/etc/config.json" <<-J
		{"hosts":["unix://$HOME_DIR/run/coracle.sock","tcp://127.0.0.1:$PORT"],"tlsverify":true,"labels":["engine=tested"],
		 "tlscacert":"$CERTS/ca.pem","tlscert":"$CERTS/server.pem","tlskey":"$CERTS/server-key.pem"}
	J
	start_engine "$HOME_DIR"
}
teardown_file() { stop_engine; }

setup() {
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR/docker HOME=$BATS_TEST_TMPDIR
	unset CORACLE_HOST DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
}
# The client without a home of its own: it would find /run/coracle if nothing else says where.
far() {
	env -u CORACLE_HOME "$BIN/coracle" "$@"
}
LABELS='{{.Labels}}'
tls=(--tlsverify)
tls_files() {
	tls=(--tlsverify --tlscacert "$CERTS/ca.pem" --tlscert "$CERTS/cert.pem" --tlskey "$CERTS/key.pem")
}

@test "endpoint: -H over CORACLE_HOST over CORACLE_HOME over DOCKER_HOST over contexts" {
	run -0 far -H "unix://$SOCK" info -f "$LABELS"
	equals "$output" "[engine=tested]"
	CORACLE_HOST=unix://$SOCK DOCKER_HOST=unix:///nowhere run -0 far info -f "$LABELS"
	DOCKER_HOST=unix://$SOCK run -0 far info -f "$LABELS"
	equals "$output" "[engine=tested]"
	DOCKER_HOST=unix:///nowhere run -0 coracle info -f "$LABELS" # CORACLE_HOME is set
	CORACLE_HOST=unix:///nowhere run -1 coracle info
	contains "$output" "Cannot connect to the coracle engine at unix:///nowhere"
	docker context create aa --docker "host=unix://$SOCK" >/dev/null
	run -0 far -c aa info -f "$LABELS"
	DOCKER_CONTEXT=aa run -0 far info -f "$LABELS"
	far context use aa >/dev/null
	run -0 far info -f "$LABELS"
	equals "$output" "[engine=tested]"
	DOCKER_HOST=unix:///nowhere run -1 far info
	run -1 far -c aa -H "unix://$SOCK" info
	equals "$output" "conflicting options: cannot specify both --host and --context"
	run -1 far -c zz info
	contains "$output" 'unable to resolve docker endpoint: context "zz": context not found'
	run -1 far -H "bogus://x" ps
	contains "$output" 'unable to parse docker host `bogus://x`'
}

@test "endpoint: tcp with mutual TLS, attached and with input" {
	tls_files
	run -0 far -H "tcp://127.0.0.1:$PORT" "${tls[@]}" info -f "$LABELS"
	equals "$output" "[engine=tested]"
	run -0 bash -c "head -c 5000000 /dev/zero | env -u CORACLE_HOME $BIN/coracle -H tcp://localhost:$PORT ${tls[*]} run -i --rm default wc -c"
	equals "$output" 5000000
	run -7 far -H "tcp://localhost:$PORT" "${tls[@]}" run --rm default sh -c 'exit 7'
	export DOCKER_CERT_PATH=$CERTS DOCKER_TLS_VERIFY=1 DOCKER_HOST=tcp://localhost:$PORT
	run -0 far info -f "$LABELS"
	equals "$output" "[engine=tested]"
}

@test "endpoint: TLS says why not" {
	run -1 far -H "tcp://127.0.0.1:$PORT" --tlsverify --tlscacert "$CERTS/other.pem" --tlscert "$CERTS/cert.pem" --tlskey "$CERTS/key.pem" ps
	contains "$output" "error during connect: TLS handshake: self-signed certificate in certificate chain"
	tls_files
	run -1 far -H "tcp://127.0.0.2:$PORT" "${tls[@]}" ps
	contains "$output" "error during connect: dial tcp 127.0.0.2:$PORT: Connection refused"
	run -1 far -H "tcp://127.0.0.1:$PORT" --tlsverify --tlscacert /none --tlscert "$CERTS/cert.pem" --tlskey "$CERTS/key.pem" ps
	contains "$output" "/none"
	run -1 far -H "tcp://127.0.0.1:$PORT" --tlsverify --tlscacert "$CERTS/ca.pem" --tlscert "$CERTS/stranger.pem" --tlskey "$CERTS/stranger-key.pem" ps
	run -1 far -H "tcp://127.0.0.1:1" ps
	contains "$output" "Cannot connect to the coracle engine at tcp://127.0.0.1:1. Is the engine running?"
}

@test "endpoint: TLS checks the name of the server" {
	tls_files
	run -1 far -H "tcp://0.0.0.0:$PORT" "${tls[@]}" ps # the same server, an address its certificate does not have
	contains "$output" "error during connect: TLS handshake: IP address mismatch"
	run -0 far -H "tcp://0.0.0.0:$PORT" --tls --tlscert "$CERTS/cert.pem" --tlskey "$CERTS/key.pem" info -f "$LABELS"
}

@test "endpoint: ssh runs the remote side's dial-stdio with what the address says" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	cat >"$BATS_TEST_TMPDIR/bin/ssh" <<-S
		#!/bin/sh
		printf '%s\n' "\$@" >"$BATS_TEST_TMPDIR/args"
		for last; do :; done
		PATH="$BIN:\$PATH" exec sh -c "\$last"
	S
	chmod +x "$BATS_TEST_TMPDIR/bin/ssh"
	export PATH=$BATS_TEST_TMPDIR/bin:$PATH
	run -0 env CORACLE_HOST="ssh://me@far.invalid:2222$SOCK" "$BIN/coracle" info -f "$LABELS"
	equals "$output" "[engine=tested]"
	equals "$(tr '\n' ' ' <"$BATS_TEST_TMPDIR/args")" \
		"-o ConnectTimeout=30 -T -l me -p 2222 -- far.invalid coracle --host 'unix://$SOCK' system dial-stdio "
	run -0 bash -c "head -c 3000000 /dev/zero | $BIN/coracle -H ssh://far.invalid$SOCK run -i --rm default wc -c"
	equals "$output" 3000000
	run -1 coracle -H 'ssh://-oProxyCommand=touch' ps
	contains "$output" "unable to parse docker host"
	run -1 env PATH=/nowhere "$BIN/coracle" -H ssh://x ps
	contains "$output" "ssh is not installed"
}

@test "endpoint: dial-stdio passes requests and ends" {
	run -0 bash -c "printf 'GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' | $BIN/coracle system dial-stdio"
	contains "$output" "200 OK"
	contains "$output" "OK"
}

@test "endpoint: a real sshd" {
	command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || skip_because "openssh-server is not installed"
	d=$BATS_TEST_TMPDIR/s
	mkdir -p "$d" "$BATS_TEST_TMPDIR/.ssh" /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$d/host"
	ssh-keygen -q -t ed25519 -N '' -f "$d/me"
	cp "$d/me.pub" "$d/authorized"
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	cat >"$d/config" <<-C
		ListenAddress 127.0.0.1:$port
		HostKey $d/host
		AuthorizedKeysFile $d/authorized
		StrictModes no
		UsePAM no
		PidFile none
		SetEnv PATH=$BIN:/usr/bin:/bin
	C
	/usr/sbin/sshd -D -e -f "$d/config" 2>"$d/log" 3>&- &
	sshd=$!
	cat >"$d/ssh" <<-S
		#!/bin/sh
		exec /usr/bin/ssh -F none -i "$d/me" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "\$@"
	S
	chmod +x "$d/ssh"
	wait_for 5 bash -c "exec 5<>/dev/tcp/127.0.0.1/$port"
	PATH=$d:$PATH run coracle -H "ssh://root@127.0.0.1:$port$SOCK" info -f "$LABELS"
	kill "$sshd"
	equals "$output" "[engine=tested]"
}

@test "contexts: both clients see what the other made" {
	run -0 far context create ours --description 'made here' --docker "host=tcp://127.0.0.1:$PORT,ca=$CERTS/ca.pem,cert=$CERTS/cert.pem,key=$CERTS/key.pem"
	run -0 docker context create theirs --description 'made there' --docker "host=tcp://127.0.0.1:$PORT,ca=$CERTS/ca.pem,cert=$CERTS/cert.pem,key=$CERTS/key.pem"
	run -0 docker --context ours version --format '{{.Server.Version}}'
	run -0 far --context theirs info -f "$LABELS"
	equals "$output" "[engine=tested]"
	for name in ours theirs; do
		equals "$(far context inspect $name)" "$(docker context inspect $name)"
	done
	filter='select(.Name != "default")'
	equals "$(far context ls --format json | jq -c "$filter")" "$(docker context ls --format json | jq -c "$filter")"
	equals "$(far context ls -q)" "$(docker context ls -q)"
	far context use theirs 2>/dev/null
	equals "$(docker context show)" theirs
	docker context use ours 2>/dev/null
	equals "$(far context show)" ours
	run -1 far context rm ours
	equals "$output" 'context "ours" is in use, set -f flag to force remove'
	run -0 docker context update ours --description changed
	equals "$(far context inspect ours -f '{{.Metadata.Description}}')" changed
	run -0 far context update theirs --description 'changed too'
	equals "$(docker context inspect theirs | jq -r '.[0] | .Metadata.Description + " " + .Endpoints.docker.Host')" "changed too tcp://127.0.0.1:$PORT"
	far context export ours "$BATS_TEST_TMPDIR/ours.tar" 2>/dev/null
	docker context import copy1 "$BATS_TEST_TMPDIR/ours.tar"
	docker context export theirs "$BATS_TEST_TMPDIR/theirs.tar"
	far context import copy2 "$BATS_TEST_TMPDIR/theirs.tar"
	run -0 far --context copy1 info -f "$LABELS"
	run -0 docker --context copy2 version --format '{{.Server.Version}}'
	far context export default "$BATS_TEST_TMPDIR/default.tar" 2>/dev/null
	docker context import copy3 "$BATS_TEST_TMPDIR/default.tar"
	equals "$(docker context inspect copy3 -f '{{.Endpoints.docker.Host}}')" "$(far context inspect default -f '{{.Endpoints.docker.Host}}')"
	run -0 far context rm -f ours copy3
	equals "$(docker context show)" default
	run -0 far context rm theirs copy1 copy2
	equals "$(docker context ls -q)" default
	[ -z "$(find "$DOCKER_CONFIG/contexts" -name '*.pem')" ]
}

@test "contexts: errors as Docker words them" {
	far context create aa --docker host=tcp://x:1 2>/dev/null
	while IFS='|' read -r args; do
		# shellcheck disable=SC2086
		run far context $args
		ours=$status:$output
		# shellcheck disable=SC2086
		run docker context $args
		equals "${ours,,}" "$status:${output,,}" # strerror has a capital where Go has none
	done <<-'L'
		create aa
		create a
		create x/y
		create default
		create bb --docker foo=bar
		create bb --docker ca=/none
		inspect nope
		use nope
		rm nope
		rm default
		update default --description x
		import cc /nonexist
		import aa /nonexist
		show
	L
}

@test "contexts: a hostile archive or folder is refused" {
	mkdir -p "$BATS_TEST_TMPDIR/t/tls/docker"
	echo '{"Name":"x","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://x:1"}}}' >"$BATS_TEST_TMPDIR/t/meta.json"
	echo x >"$BATS_TEST_TMPDIR/t/evil"
	tar -C "$BATS_TEST_TMPDIR/t" --transform 's,evil,../../evil,' -P -cf "$BATS_TEST_TMPDIR/up.tar" meta.json evil
	run -1 far context import xx "$BATS_TEST_TMPDIR/up.tar"
	contains "$output" "no part of a context: ../../evil"
	ln -s /etc/passwd "$BATS_TEST_TMPDIR/t/tls/docker/ca.pem"
	tar -C "$BATS_TEST_TMPDIR/t" -cf "$BATS_TEST_TMPDIR/link.tar" meta.json tls
	run -1 far context import xx "$BATS_TEST_TMPDIR/link.tar"
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/noise"
	run -1 far context import xx "$BATS_TEST_TMPDIR/noise"
	run -1 far context import xx /dev/null
	equals "$(far context ls -q)" default
	mkdir -p "$DOCKER_CONFIG/contexts/meta/zz"
	echo '{"Name":"../../zz"}' >"$DOCKER_CONFIG/contexts/meta/zz/meta.json"
	equals "$(far context ls -q)" default
}
