# SPDX-License-Identifier: Apache-2.0
# The configuration file: what it does, what is refused, reload.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	HOME_DIR=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	export CORACLE_HOME=$HOME_DIR
	mkdir "$HOME_DIR/etc"
	CONFIG=$HOME_DIR/etc/config.json
}

teardown() {
	stop_engine
}

logged() {
	grep -qF "$1" "$HOME_DIR/engine.log"
}

@test "config: --validate says what is wrong, without starting anything" {
	echo '{"labels":["a=b"],"debug":true}' >"$CONFIG"
	run "$BIN/coracled" --validate
	code 0
	equals "$output" "configuration OK"
	echo '{"foo":1}' >"$CONFIG"
	run "$BIN/coracled" --validate
	code 1
	equals "$output" "unable to configure the coracle engine with file $CONFIG: the following directives don't match any configuration option: foo"
	run "$BIN/coracled" --config-file /does/not/exist
	code 1
	equals "$output" "unable to configure the coracle engine with file /does/not/exist: open /does/not/exist: No such file or directory"
	[ ! -e "$HOME_DIR/run" ] && [ ! -e "$HOME_DIR/data" ]
}

@test "config: a client that starts the engine shows why it does not start" {
	echo '{"labels":["a=b"],"debug":"x"}' >"$CONFIG"
	run coracle ps
	code 1
	contains "$output" "debug: expected a boolean, got a string"
}

@test "config: the file is what info shows" {
	cat >"$CONFIG" <<-J
		{"labels":["zone=a"],"debug":true,"log-format":"json","registry-mirrors":["https://mirror.invalid"],
		 "insecure-registries":["reg.invalid:5000","10.1.0.0/16"],"proxies":{"http-proxy":"http://u:p@proxy.invalid:1"}}
	J
	start_engine "$HOME_DIR"
	api GET /info >"$HOME_DIR/info.json"
	run jq -c '[.Labels,.Debug,.LiveRestoreEnabled,.HttpProxy,.RegistryConfig.Mirrors,.RegistryConfig.InsecureRegistryCIDRs,.RegistryConfig.IndexConfigs["reg.invalid:5000"].Secure]' "$HOME_DIR/info.json"
	equals "$output" '[["zone=a"],true,true,"http://xxxxx:xxxxx@proxy.invalid:1",["https://mirror.invalid"],["10.1.0.0/16","::1/128","127.0.0.0/8"],false]'
	jq -e . "$HOME_DIR/engine.log" >/dev/null
}

@test "config: SIGHUP takes over what can change, says what cannot, and is an event" {
	echo '{"labels":["zone=a"]}' >"$CONFIG"
	start_engine "$HOME_DIR"
	echo '{"labels":["zone=b"],"debug":true,"data-root":"/elsewhere"}' >"$CONFIG"
	kill -HUP "$(engine_pid)"
	wait_for 5 logged "reloaded the configuration"
	logged "not changed before the engine restarts: data-root"
	equals "$(api GET /info | jq -c '[.Labels,.Debug,.DockerRootDir]')" "[[\"zone=b\"],true,\"$HOME_DIR/data\"]"
	run jq -r '[.Type,.Action,.Actor.Attributes.labels,.Actor.Attributes.debug] | @tsv' \
		<(api GET "/events?since=1&until=$(date +%s.%N)&filters=%7B%22type%22:%5B%22daemon%22%5D%7D")
	equals "$output" $'daemon\treload\t["zone=b"]\ttrue'
}

@test "config: a bad file at SIGHUP changes nothing" {
	echo '{"labels":["zone=a"]}' >"$CONFIG"
	start_engine "$HOME_DIR"
	echo '{"labels":["zone"]}' >"$CONFIG"
	kill -HUP "$(engine_pid)"
	wait_for 5 logged "bad attribute format: zone; the old settings stay"
	equals "$(api GET /info | jq -c .Labels)" '["zone=a"]'
	equals "$(api GET "/events?since=1&until=$(date +%s.%N)")" ""
	echo '{"labels":["zone=c"]}' >"$CONFIG"
	kill -HUP "$(engine_pid)"
	wait_for 5 logged "reloaded the configuration"
	equals "$(api GET /info | jq -c .Labels)" '["zone=c"]'
}

@test "config: containers get the engine's defaults, and their own where they have one" {
	cat >"$HOME_DIR/profile.json" <<-J
		{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}
	J
	cat >"$CONFIG" <<-J
		{"default-ulimits":{"nofile":{"Soft":123,"Hard":456}},"default-shm-size":"16M","init":true,"no-new-privileges":true,
		 "log-opts":{"max-size":"1m"},"dns":["192.0.2.1"],"dns-search":["example.test"],"seccomp-profile":"$HOME_DIR/profile.json"}
	J
	start_engine "$HOME_DIR"
	run -0 coracle run --rm default sh -c 'ulimit -n; ulimit -Hn; df -k /dev/shm | tail -n 1 | awk "{print \$2}"
		cat /proc/1/comm; grep NoNewPrivs /proc/self/status; grep -v "^#" /etc/resolv.conf; mkdir /tmp/x; true'
	contains "$output" $'123\n456\n16384\n'
	contains "$output" docker-init
	contains "$output" $'NoNewPrivs:\t1'
	contains "$output" $'nameserver 192.0.2.1\nsearch example.test'
	contains "$output" "mkdir: can't create directory '/tmp/x': Operation not permitted"
	run -0 coracle run --rm --ulimit nofile=99 --shm-size 8m --security-opt seccomp=unconfined --dns 192.0.2.9 default \
		sh -c 'ulimit -n; df -k /dev/shm | tail -n 1 | awk "{print \$2}"; grep ^names /etc/resolv.conf; mkdir /tmp/x; true'
	equals "$output" $'99\n8192\nnameserver 192.0.2.9'
	coracle create --name logs default true
	equals "$(api GET /containers/logs/json | jq -c .HostConfig.LogConfig)" '{"Type":"json-file","Config":{"max-size":"1m"}}'
}

@test "messages in JSON: request and container are members of their own" {
	echo '{"debug":true,"log-format":"json"}' >"$CONFIG"
	start_engine "$HOME_DIR"
	api GET '/v1.44/containers/json?all=1' >/dev/null
	status GET /containers/nothing/json >/dev/null
	id=$(coracle run -d default sleep 1000)
	kill -9 "$(shim_pids)"
	wait_for 10 grep -q "its shim is gone" "$HOME_DIR/engine.log"
	run -0 jq -c 'select(.request) | [.method, .path, .status, (.duration_us | type), (.request | type)]' "$HOME_DIR/engine.log"
	contains "$output" '["GET","/v1.44/containers/json?all=1",200,"number","number"]'
	contains "$output" '["GET","/containers/nothing/json",404,"number","number"]'
	run -0 jq -r 'select(.container) | [.container, .level, .msg] | join(" ")' "$HOME_DIR/engine.log"
	contains "$output" "$id warning container ${id:0:12}: its shim is gone"
	stop_engine
}
