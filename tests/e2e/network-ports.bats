#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Published ports: from every side, with the client's address; conflicts, ranges, lists.
# clients: coracle

load lib.bash
load net.bash

setup_file() {
	needs nft
	start_engine
	net_outside
	c network create --ipv6 --subnet 172.30.0.0/24 --subnet fd00:30::/64 six >/dev/null
	c network create --subnet 172.31.0.0/24 other >/dev/null
}
teardown_file() {
	net_done
	stop_engine
}
teardown() {
	remove_all
}

@test "a published port from every side; only loopback clients lose their address" {
	c run -d --name web --network six -p 8080:80 -p 5353:53/udp -p 9:9/sctp default sleep 300
	c run -d --name near --network six default sleep 300
	c run -d --name far --network other default sleep 300
	serve "$(pid_of web)" tcp:80 udp:53 sctp:9
	near=$(pid_of near) far=$(pid_of far)
	answers 172.30.0.1 host 127.0.0.1 8080
	answers 172.30.0.1 host 127.0.0.1 5353 udp
	answers 10.99.0.1 host 10.99.0.1 8080
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	answers 10.99.0.2 "$OUT" 10.99.0.1 5353 udp
	answers init-ack "$OUT" 10.99.0.1 9 sctp
	answers fd99::2 "$OUT" fd99::1 8080
	answers fd99::1 host fd99::1 8080
	# ::1 cannot be led anywhere; it is refused at once, so that clients of "localhost" go on to 127.0.0.1.
	answers refused host ::1 8080
	run python3 -c 'import socket; s = socket.create_connection(("localhost", 8080), 2); print(s.recv(99).decode())'
	equals "$output" 172.30.0.1
	# Other networks keep theirs as well.
	answers "$(ip_of far)" "$far" 10.99.0.1 8080
	answers "$(ip_of far)" "$far" 172.31.0.1 8080
	# The own network: directly with the own address; by the host the answer must come back through it.
	answers "$(ip_of near)" "$near" "$(ip_of web)" 80
	matches "$(get "$near" 10.99.0.1 8080)" '^172\.30\.0\.'
	matches "$(get "$near" 172.30.0.1 5353 udp)" '^172\.30\.0\.'
	matches "$(get "$near" fd99::1 8080)" '^fd00:30::'
	# Itself.
	answers 172.30.0.1 "$(pid_of web)" 10.99.0.1 8080
	answers fd00:30::1 "$(pid_of web)" fd99::1 8080
}

@test "where bridges do not pass through netfilter it is the same" {
	[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || skip_because "this kernel has no br_netfilter"
	before=$(cat /proc/sys/net/bridge/bridge-nf-call-iptables)
	for v in 0 1; do
		echo $v >/proc/sys/net/bridge/bridge-nf-call-iptables
		c run -d --name web$v --network six -p 80$v:80 default sleep 300
		c run -d --name near$v --network six default sleep 300
		serve "$(pid_of web$v)" tcp:80
		answers "$(ip_of near$v)" "$(pid_of near$v)" "$(ip_of web$v)" 80
		matches "$(get "$(pid_of near$v)" 10.99.0.1 80$v)" '^172\.30\.0\.'
		answers 172.30.0.1 "$(pid_of web$v)" 10.99.0.1 80$v
	done
	echo "$before" >/proc/sys/net/bridge/bridge-nf-call-iptables
}

@test "one address: reachable there and nowhere else" {
	c run -d --name web --network six -p 127.0.0.1:8081:80 -p 10.99.0.1:8082:80 -p '[fd99::1]:8083:80' default sleep 300
	serve "$(pid_of web)" tcp:80
	answers 172.30.0.1 host 127.0.0.1 8081
	answers refused host 10.99.0.1 8081
	answers refused "$OUT" 10.99.0.1 8081
	answers refused host 127.0.0.1 8082
	answers 10.99.0.2 "$OUT" 10.99.0.1 8082
	answers fd99::2 "$OUT" fd99::1 8083
	answers refused "$OUT" 10.99.0.1 8083
	equals "$(c port web | sort)" "80/tcp -> 10.99.0.1:8082
80/tcp -> 127.0.0.1:8081
80/tcp -> [fd99::1]:8083"
	run c run -d --network other -p 10.77.0.1:1:1 default true
	code 125
	contains "$output" "failed to bind host port for 10.77.0.1:1:172.31.0.2:1/tcp: cannot assign requested address"
	run c run -d --network other -p '[::1]:1:1' default true
	code 125
	contains "$output" "cannot publish port 1/tcp at ::1: the container has no IPv6 address"
}

@test "conflicts: with ours, with another program, and what failed takes nothing" {
	c run -d --name web --network other -p 8080:80 -p 9:9/sctp default sleep 300
	run c run -d --name no --network other -p 8090:80 -p 8080:80 default true
	code 125
	matches "$output" 'driver failed programming external connectivity on endpoint no \([0-9a-f]{64}\): Bind for 0.0.0.0:8080 failed: port is already allocated'
	run c run -d --name no2 --network other -p 127.0.0.1:8080:80 default true
	code 125
	contains "$output" "Bind for 127.0.0.1:8080 failed: port is already allocated"
	run c run -d --name no3 --network other -p 9:9/sctp default true
	contains "$output" "Bind for 0.0.0.0:9 failed: port is already allocated"
	# Nobody holds 8090: it went with the failed start.
	c run -d --name yes --network other -p 8090:80 default sleep 300
	serve $$ tcp:7070
	run c run -d --name no4 --network other -p 7070:80 default true
	code 125
	matches "$output" 'failed to bind host port for 0.0.0.0:7070:172.31.0.[0-9]+:80/tcp: address already in use'
	# Other programs cannot take ours either, and it is free again afterwards.
	run python3 -c 'import socket; s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(("", 8080)); s.listen()'
	code 1
	contains "$output" "Address already in use"
	c rm -f web
	run python3 -c 'import socket; s = socket.socket(); s.bind(("", 8080)); s.listen()'
	code 0
}

@test "ranges, any port, -P, and how lists show them" {
	c run -d --name many --network other -p 7000-7002:7000-7002 -p 7010-7012:80/udp default sleep 300
	equals "$(c ps --filter name=many --format '{{.Ports}}')" "0.0.0.0:7000-7002->7000-7002/tcp, 0.0.0.0:7010->80/udp"
	c run -d --name next --network other -p 7010-7012:80/udp default sleep 300
	equals "$(c port next 80/udp)" 0.0.0.0:7011
	run c run -d --name full --network other -p 7010-7011:80/udp default true
	code 125
	contains "$output" "Bind for 0.0.0.0:7010 failed: port is already allocated"
	c run -d --name all --network other -P --expose 90-91 --expose 92/udp default sleep 300
	run c port all
	[ "${#lines[@]}" -eq 3 ]
	matches "${lines[0]}" '^90/tcp -> 0\.0\.0\.0:[0-9]+$'
	matches "${lines[2]}" '^92/udp -> 0\.0\.0\.0:[0-9]+$'
	c run -d --name bare --network other --expose 93 default sleep 300
	equals "$(c ps --filter name=bare --format '{{.Ports}}')" 93/tcp
	equals "$(c inspect -f '{{json .NetworkSettings.Ports}}' bare)" '{"93/tcp":null}'
	equals "$(c ps --filter publish=7001 --format '{{.Names}}')" many
	equals "$(c ps --filter expose=93 --format '{{.Names}}')" bare
	equals "$(c ps --filter publish=93 --format '{{.Names}}')" ""
	run c port many 99
	code 1
	contains "$output" "No public port '99"
	c stop -t 0 many
	equals "$(c ps -a --filter name=many --format '{{.Ports}}')" ""
	c start many
	equals "$(c port many 7001)" 0.0.0.0:7001
}

@test "the same ports exposed in many ranges count once" {
	# as an image may have them; clients take ranges apart
	ranges=$(seq 65336 65535 | sed 's|.*|"1-&/tcp":{}|' | paste -sd,)
	id=$(api POST /containers/create "{\"Image\":\"default\",\"Cmd\":[\"sleep\",\"300\"],\"HostConfig\":{\"NetworkMode\":\"other\"},\"ExposedPorts\":{$ranges}}" | jq -r .Id)
	c start "$id"
	equals "$(c inspect -f '{{len .NetworkSettings.Ports}}' "$id")" 65535
	# 200 ranges of 24 bytes a port would be 300 MB
	[ "$(awk '/^VmHWM/ { print $2 }' "/proc/$(engine_pid)/status")" -lt 150000 ]
}

@test "what -p cannot mean is refused with Docker's words" {
	for pair in "a|invalid publish opts format (should be name=value but got 'a')" \
		"x=1|no port specified: :/tcp<empty>" "published=1,target=2,protocol=x|invalid proto: x"; do
		run c create -p "${pair%%|*}" default true
		code 125
		contains "$output" "${pair#*|}"
	done
	equals "$(status POST /containers/create '{"Image":"default","HostConfig":{"PortBindings":{"80-81/tcp":[{}]}}}')" 400
	contains "$(api POST /containers/create '{"Image":"default","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}')" 'invalid port specification: \"x\"'
}

@test "UDP: a client that goes on sending finds the container that comes, and the next one" {
	# One socket for all: the kernel remembers its flow.
	cat >"$HOME_DIR/udp.py" <<-'EOF'
		import socket, sys, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(0.2)
		s.connect(("10.99.0.1", 5454))
		last = ""
		for _ in range(600):
		    try:
		        s.send(b"?")
		        answer = s.recv(100).decode()
		    except OSError:
		        answer = "none"
		    if answer != last:
		        print(answer, flush=True)
		    last = answer
		    time.sleep(0.02)
	EOF
	in_ns "$OUT" python3 "$HOME_DIR/udp.py" >"$HOME_DIR/udp.out" 2>&1 3>&- 4>&- &
	echo $! >>"$HOME_DIR/net-pids"
	wait_for 5 grep -q none "$HOME_DIR/udp.out"
	c run -d --name first --network other -p 5454:53/udp default sleep 300
	serve "$(pid_of first)" udp:53
	wait_for 5 grep -q 10.99.0.2 "$HOME_DIR/udp.out"
	c run -d --name keep --network other default sleep 300
	c rm -f first
	# It has another address than the first.
	c run -d --name taker --network other default sleep 300
	c run -d --name second --network other -p 5454:53/udp default sleep 300
	serve "$(pid_of second)" udp:53
	wait_for 5 equals_lines "$HOME_DIR/udp.out" "none 10.99.0.2 none 10.99.0.2"
}
equals_lines() {
	[ "$(tr '\n' ' ' <"$1" | sed 's/ $//')" = "$2" ]
}

@test "a new engine: ports stay led, held and shown" {
	c run -d --name web --network other -p 8080:80 -p 80 default sleep 300
	serve "$(pid_of web)" tcp:80
	before=$(c port web)
	kill -KILL "$(engine_pid)"
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	run_engine
	equals "$(c port web)" "$before"
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	run c run -d --network other -p 8080:80 default true
	contains "$output" "Bind for 0.0.0.0:8080 failed: port is already allocated"
	run python3 -c 'import socket; s = socket.socket(); s.bind(("", 8080)); s.listen()'
	code 1
	# A container that ends while nobody looks, and no other comes up: its rules do not stay.
	pid=$(pid_of web)
	kill -KILL "$(engine_pid)"
	kill -KILL "$pid"
	run_engine
	wait_for 10 no_led_ports
	answers refused "$OUT" 10.99.0.1 8080
}
no_led_ports() {
	! nft list map inet "$(nft_table)" ports4 | grep -q 172.31
}

@test "the default address of published ports is configurable" {
	first=$HOME_DIR other=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	mkdir -p "$other/etc"
	echo '{"ip": "127.0.0.1"}' >"$other/etc/config.json"
	(
		start_engine "$other"
		c network create --ipv6 --subnet 172.25.0.0/24 --subnet fd00:25::/64 closed
		c network create --subnet 172.24.0.0/24 -o com.docker.network.bridge.host_binding_ipv4=10.99.0.1 lan
		c run -d --name web --network closed -p 8085:80 -p 0.0.0.0:8086:80 default sleep 300
		c run -d --name web2 --network lan -p 8087:80 default sleep 300
		equals "$(c port web | sort)" "80/tcp -> 0.0.0.0:8086
80/tcp -> 127.0.0.1:8085"
		equals "$(c port web2)" "80/tcp -> 10.99.0.1:8087"
		stop_all
	)
}
# The other engine of a test ends, its networks too.
stop_all() {
	cat "$HOME_DIR/net-pids" >>"$first/net-pids" 2>/dev/null || true
	c rm -f $(c ps -aq) >/dev/null
	for n in $(c network ls -q --filter type=custom); do c network rm "$n"; done
	stop_engine
}

@test "ports --exposed tells from where and why" {
	c run -d --name web --network six -p 8080:80 -p 127.0.0.1:8081:81 default sleep 300
	run c ports --exposed
	contains "$output" "OUTSIDE"
	matches "$output" 'web +80/tcp +0\.0\.0\.0:8080 +yes +yes +yes +yes +published on all addresses of the host'
	matches "$output" 'web +80/tcp +\[::\]:8080 +no +yes +yes +yes'
	matches "$output" 'web +81/tcp +127\.0\.0\.1:8081 +yes +no +no +no +published on a loopback address'
	equals "$(c ports --format '{{.Published}}' web | sort | head -n 1)" 0.0.0.0:8080
	equals "$(c ports --exposed --format json | jq -rs '.[] | select(.Port == "81/tcp") | .Outside')" no
}
