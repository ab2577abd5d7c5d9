#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients: coracle
# Names of containers, end to end: the engine, coracle-names, real clients in the containers' namespaces. The
# engine's machine has a name server on its loopback (127.0.0.77), and one beside it (10.77.0.53).

load lib

setup_file() {
	needs drill || return 1
	export UP=$E2E_TMP/names-up.$BATS_TEST_PID
	mkdir -p "$UP"
	ip addr add 10.77.0.53/32 dev lo
	python3 "$E2E_DIR/names_rig.py" serve 127.0.0.77 "$UP/host.log" </dev/null >"$UP/host.err" 2>&1 3>&- 4>&- &
	echo $! >>"$UP/pids"
	python3 "$E2E_DIR/names_rig.py" serve 10.77.0.53 "$UP/beside.log" </dev/null >"$UP/beside.err" 2>&1 3>&- 4>&- &
	echo $! >>"$UP/pids"
	printf 'nameserver 127.0.0.77\nsearch corp.example\noptions timeout:3\n' >"$UP/resolv.conf"
	wait_for 10 grep -q ready "$UP/host.log"
	wait_for 10 grep -q ready "$UP/beside.log"
	start_engine
	c network create front >/dev/null
	c network create back >/dev/null
	c network create --internal inner >/dev/null
	c run -d --name web --network front --network-alias www default sleep 1000 >/dev/null
	c run -d --name api --network front --network-alias www default sleep 1000 >/dev/null
	c run -d --name db --network back default sleep 1000 >/dev/null
}
teardown_file() {
	stop_engine
	while read -r pid; do kill "$pid"; done <"$UP/pids"
	ip addr del 10.77.0.53/32 dev lo
}

# The engine sees a resolv.conf of ours.
run_engine() {
	unshare --mount --propagation private -- sh -c 'mount --bind "$1" /etc/resolv.conf && exec "$2"' - \
		"$UP/resolv.conf" "$BIN/coracled" </dev/null >>"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
	ENGINE_PID=$!
	echo "$ENGINE_PID" >"$HOME_DIR/engine.test-pid"
	wait_for 10 ping
}

pid_of() { c inspect -f '{{.State.Pid}}' "$1"; }
ip_of() { c inspect -f "{{with index .NetworkSettings.Networks \"$2\"}}{{.IPAddress}}{{end}}" "$1"; }
# within CONTAINER COMMAND...: a program of the machine in the container's network
within() {
	local pid
	pid=$(pid_of "$1")
	shift
	nsenter -t "$pid" -n "$@"
}
# The same with the container's files.
glibc() {
	local files
	files=$HOME_DIR/data/containers/$(c inspect -f '{{.Id}}' "$1")
	within "$1" unshare --mount --propagation private -- sh -c 'mount --bind "$1/resolv.conf" /etc/resolv.conf &&
		mount --bind "$1/hosts" /etc/hosts && shift && exec "$@"' - "$files" "${@:2}"
}
# ask CONTAINER NAME [TYPE]: addresses, or the rcode without any
ask() {
	within "$1" timeout 2 drill "$2" "${3:-A}" @127.0.0.11 | awk '
		/rcode:/ { sub(/.*rcode: /, ""); sub(/,.*/, ""); rcode = $0 }
		/^;; ANSWER/ { on = 1; next } /^;; AUTHORITY/ { on = 0 }
		on && NF >= 5 { out = out (out ? " " : "") $5 }
		END { print out ? out : rcode }'
}
says() { [ "$(ask "$1" "$2" "${4:-A}")" = "$3" ]; }
names_pid() {
	local p
	for p in $(home_pids); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" != coracle-names ] || echo "$p"
	done
}

@test "by name, alias, id and name.network, by busybox and by glibc" {
	local web id
	web=$(ip_of web front)
	id=$(c inspect -f '{{.Id}}' web)
	equals "$(ask api web)" "$web"
	equals "$(ask api WEB.Front.)" "$web"
	equals "$(ask api "${id:0:12}")" "$web"
	equals "$(ask api web AAAA)" NOERROR
	run c exec api nslookup web.
	contains "$output" "$web"
	run c exec api ping -c 1 -w 3 web
	code 0
	# the machine's glibc with the container's files
	run glibc api getent ahostsv4 web
	contains "$output" "$web"
}

@test "an address leads back to name.network" {
	run within api drill -x "$(ip_of web front)" @127.0.0.11
	contains "$output" "web.front."
}

@test "containers with one alias take turns" {
	local all first=
	all=$(printf '%s\n' "$(ip_of web front)" "$(ip_of api front)" | sort)
	for _ in $(seq 30); do
		run ask api www
		equals "$(tr ' ' '\n' <<<"$output" | sort)" "$all"
		first="$first ${output%% *}"
	done
	equals "$(tr ' ' '\n' <<<"$first" | sort -u | sed /^$/d)" "$all"
}

@test "other networks' names are unknown until the container is connected" {
	equals "$(ask api db)" NXDOMAIN
	equals "$(ask api db.back)" NXDOMAIN
	c network connect --alias second back api
	equals "$(ask api db)" "$(ip_of db back)"
	equals "$(ask db second)" "$(ip_of api back)"
	contains "$(c exec api cat /etc/hosts)" "$(ip_of api back)"
	local gone
	gone=$(ip_of api back)
	c network disconnect back api
	equals "$(ask api db)" NXDOMAIN
	equals "$(ask db second)" NXDOMAIN
	lacks "$(c exec api cat /etc/hosts)" "$gone"
	contains "$(c exec api cat /etc/hosts)" "$(ip_of api front)"
}

@test "from the default bridge to a network with names, while it runs" {
	c run -d --name late --network bridge default sleep 1000 >/dev/null
	lacks "$(c exec late cat /etc/resolv.conf)" 127.0.0.11
	c network connect front late
	contains "$(c exec late cat /etc/resolv.conf)" "nameserver 127.0.0.11"
	equals "$(ask late web)" "$(ip_of web front)"
	equals "$(ask web late)" "$(ip_of late front)"
	c rm -f late >/dev/null
	equals "$(ask web late)" NXDOMAIN
}

@test "renamed: the new name is known, the old one is not" {
	c rename web web2
	equals "$(ask api web2)" "$(ip_of web2 front)"
	equals "$(ask api web)" NXDOMAIN
	c rename web2 web
	equals "$(ask api web)" "$(ip_of web front)"
}

@test "the host's own server is asked from the host, --dns from the container" {
	equals "$(ask api one.test)" 192.0.2.7
	wait_for 5 grep -qx '127.0.0.1 one.test' "$UP/host.log"
	c run -d --name own --network front --dns 10.77.0.53 default sleep 1000 >/dev/null
	equals "$(ask own two.test)" 192.0.2.7
	wait_for 5 grep -qx "$(ip_of own front) two.test" "$UP/beside.log"
	equals "$(ask own web)" "$(ip_of web front)"
	equals "$(ask own unknown.example)" NXDOMAIN
	c rm -f own >/dev/null
}

@test "truncated answers come whole over TCP" {
	run within api drill big.test @127.0.0.11
	contains "$output" "flags: qr tc"
	run glibc api getent ahostsv4 big.test
	contains "$output" 192.0.2.8
	run within api drill -t www @127.0.0.11
	contains "$output" "ANSWER: 2"
}

@test "an internal network: names yes, nothing to the outside" {
	c run -d --name in1 --network inner default sleep 1000 >/dev/null
	c run -d --name in2 --network inner --dns 10.77.0.53 default sleep 1000 >/dev/null
	equals "$(ask in2 in1)" "$(ip_of in1 inner)"
	equals "$(ask in1 three.test)" SERVFAIL
	equals "$(ask in2 three.test)" SERVFAIL
	sleep 0.1
	run grep -h three "$UP"/host.log "$UP"/beside.log
	equals "$output" ""
	c rm -f in1 in2 >/dev/null
}

@test "no open resolver: neither the host nor other containers are answered" {
	local pid ports at
	equals "$(ask api web)" "$(ip_of web front)"
	pid=$(pid_of web)
	# the service's ports in web's namespace
	ports=$(nsenter -t "$pid" -n ss -Hlun 'src 127.0.0.11' | awk '{ sub(/.*:/, "", $4); print $4 }')
	[ -n "$ports" ]
	for at in "$(ip_of web front)" 127.0.0.11 "$(c network inspect -f '{{(index .IPAM.Config 0).Gateway}}' front)"; do
		for port in 53 $ports; do
			run timeout 0.3 drill -p "$port" web "@$at"
			lacks "$output" "rcode: NOERROR"
		done
	done
	run within db timeout 0.3 drill web "@$(ip_of web front)"
	lacks "$output" "rcode: NOERROR"
	for port in $ports; do
		run within api timeout 0.3 drill -p "$port" web "@$(ip_of web front)"
		lacks "$output" "rcode: NOERROR"
	done
}

@test "port 53 of the container is its own" {
	run within api python3 -c '
import socket
def serve(kind, where):
    s = socket.socket(socket.AF_INET, kind)
    s.bind((where, 53))
    return s
for where in "127.0.0.1", "0.0.0.0":
    held = [serve(socket.SOCK_DGRAM, where), serve(socket.SOCK_STREAM, where)]
    q = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    q.sendto(b"mine", ("127.0.0.1", 53))
    print(held[0].recv(10).decode())
    for s in held: s.close()
'
	equals "$output" $'mine\nmine'
	equals "$(ask api web)" "$(ip_of web front)"
}

@test "rules of the container itself do not touch names" {
	within api nft add table ip mine
	within api nft add chain ip mine out '{ type filter hook output priority 0; policy drop; }'
	within api nft add rule ip mine out oifname lo accept
	equals "$(ask api web)" "$(ip_of web front)"
	within api nft delete table ip mine
	run within api nft list ruleset
	contains "$output" "notrack"
	equals "$(grep -c 'chain ' <<<"$output")" 1
}

@test "killed, the name service comes back with everything, on the same ports" {
	local before pid
	before=$(within api nft list ruleset)
	pid=$(names_pid)
	[ -n "$pid" ]
	kill -KILL "$pid"
	wait_for 10 says api web "$(ip_of web front)"
	equals "$(ask db www)" NXDOMAIN
	equals "$(within api nft list ruleset)" "$before"
	[ "$(names_pid)" != "$pid" ]
}

@test "names outlive the engine, and a new one takes over" {
	local pid
	local api web
	pid=$(names_pid)
	api=$(pid_of api)
	web=$(ip_of web front)
	kill -KILL "$(engine_pid)"
	wait_for 5 eval '! kill -0 $(engine_pid) 2>/dev/null'
	contains "$(nsenter -t "$api" -n drill web @127.0.0.11)" "$web"
	run_engine
	equals "$(names_pid)" "$pid"
	wait_for 5 says api web "$(ip_of web front)"
	equals "$(ask db db)" "$(ip_of db back)"
	c run -d --name fresh --network front default sleep 1000 >/dev/null
	equals "$(ask api fresh)" "$(ip_of fresh front)"
	c rm -f fresh >/dev/null
	equals "$(ask api fresh)" NXDOMAIN
}

@test "resolv.conf: the host's settings, the user's, and edits stay" {
	run c exec api cat /etc/resolv.conf
	contains "$output" "nameserver 127.0.0.11"
	contains "$output" "search corp.example"
	contains "$output" "options timeout:3 ndots:0"
	contains "$output" "# ExtServers: [host(127.0.0.77)]"
	equals "$(ask api four)" NXDOMAIN
	run c exec api nslookup four
	contains "$output" 192.0.2.7 # by the search domain
	run c run --rm --network front --dns-search x.test --dns-option ndots:2 --dns 10.77.0.53 default cat /etc/resolv.conf
	contains "$output" "search x.test"
	contains "$output" "options ndots:2"
	contains "$output" "# ExtServers: [10.77.0.53]"
	run c run --rm --network bridge --dns 10.77.0.53 default cat /etc/resolv.conf
	contains "$output" "nameserver 10.77.0.53"
	run c run --rm --network none default cat /etc/resolv.conf
	contains "$output" "nameserver 127.0.0.77"
	c run -d --name edit --network front default sleep 1000 >/dev/null
	c exec edit sh -c 'echo "nameserver 127.0.0.11 # mine" >/etc/resolv.conf'
	c restart -t 0 edit >/dev/null
	equals "$(c exec edit cat /etc/resolv.conf)" "nameserver 127.0.0.11 # mine"
	c network connect back edit
	equals "$(c exec edit cat /etc/resolv.conf)" "nameserver 127.0.0.11 # mine"
	c rm -f edit >/dev/null
}

@test "host.docker.internal and host-gateway are the bridge's address" {
	local gw
	gw=$(c network inspect -f '{{(index .IPAM.Config 0).Gateway}}' front)
	equals "$(ask api host.docker.internal)" "$gw"
	run c run --rm --network front --add-host me:host-gateway --add-host other:192.0.2.1 default cat /etc/hosts
	contains "$output" "$gw	me"
	contains "$output" "192.0.2.1	other"
	gw=$(c network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)
	run c run --rm --network bridge --add-host host.docker.internal:host-gateway default cat /etc/hosts
	contains "$output" "$gw	host.docker.internal"
}

@test "links on the default bridge: hosts, variables, and the address after a restart" {
	c run -d --name store --network bridge -e KEY=value --expose 5432 --expose 5433 default sleep 1000 >/dev/null
	c run -d --name app --network bridge --link store:the-db default sleep 1000 >/dev/null
	local at
	at=$(ip_of store bridge)
	contains "$(c exec app cat /etc/hosts)" "$at	the-db $(c inspect -f '{{.Config.Hostname}}' store) store"
	run c exec app env
	contains "$output" "THE_DB_PORT=tcp://$at:5432"
	contains "$output" "THE_DB_PORT_5432_TCP=tcp://$at:5432"
	contains "$output" "THE_DB_PORT_5433_TCP_ADDR=$at"
	contains "$output" "THE_DB_PORT_5432_TCP_START=tcp://$at:5432"
	contains "$output" "THE_DB_NAME=/app/the-db"
	contains "$output" "THE_DB_ENV_KEY=value"
	lacks "$output" "THE_DB_ENV_PATH"
	c stop -t 0 store >/dev/null
	c run -d --name taker --network bridge default sleep 1000 >/dev/null # perhaps its address
	c start store >/dev/null
	contains "$(c exec app cat /etc/hosts)" "$(ip_of store bridge)	the-db"
	equals "$(c exec app grep -c the-db /etc/hosts)" 1
	run c run --rm --network bridge --link nobody default true
	[ "$status" -ne 0 ]
	contains "$output" "could not get container for nobody"
	c stop -t 0 store app >/dev/null
	run c start app
	[ "$status" -ne 0 ]
	contains "$output" "Cannot link to a non running container: /store AS /app/the-db"
	c rm -f store app taker >/dev/null
}

@test "links in a network of the user's are names of one container" {
	c run -d --name linked --network front --link web:backend default sleep 1000 >/dev/null
	equals "$(ask linked backend)" "$(ip_of web front)"
	equals "$(ask api backend)" NXDOMAIN
	c rm -f linked >/dev/null
}

@test "container:NAME has the files of the other" {
	equals "$(c run --rm --network container:api default cat /etc/hosts)" "$(c exec api cat /etc/hosts)"
	run c run --rm --network container:api default nslookup web.
	contains "$output" "$(ip_of web front)"
}

@test "without containers and without an engine nothing is left" {
	[ -n "$(names_pid)" ]
	# shellcheck disable=SC2046
	c rm -f $(c ps -aq) >/dev/null
	kill -TERM "$(engine_pid)"
	wait_for 5 eval '[ -z "$(names_pid)" ]'
	wait_for 10 eval '! kill -0 $(engine_pid) 2>/dev/null'
	run_engine
}
