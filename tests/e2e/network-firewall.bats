#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the rules let through and what not; others who take them away, or have rules of their own.
# clients: coracle

load lib.bash
load net.bash

setup_file() {
	needs nft
	start_engine
	net_outside
	c network create --ipv6 --subnet 172.30.0.0/24 --subnet fd00:30::/64 six >/dev/null
	c network create --ipv6 --subnet 172.31.0.0/24 --subnet fd00:31::/64 other >/dev/null
	serve $$ tcp:7000
	serve "$OUT" tcp:80
}
teardown_file() {
	net_done
	stop_engine
}
teardown() {
	remove_all
}
# up NAME NETWORK [OPTION...]: a container that answers on 80 and 81
up() {
	c run -d --name "$1" --network "$2" "${@:3}" default sleep 300
	serve "$(pid_of "$1")" tcp:80 tcp:81
}

@test "the way out is masked, the way in is closed but for published ports" {
	up web six -p 8080:80
	web=$(pid_of web)
	answers 10.99.0.1 "$web" 10.99.0.2 80
	answers fd99::1 "$web" fd99::2 80
	# A neighbour that routes to the container's own address gets to no port, published or not.
	for port in 80 81; do
		answers timeout "$OUT" "$(ip_of web)" $port
		answers timeout "$OUT" "$(ip6_of web)" $port
	done
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	# The host itself may.
	answers 172.30.0.1 host "$(ip_of web)" 81
}

@test "networks are apart; icc=false keeps neighbours apart; published ports pass" {
	c network create --subnet 172.29.0.0/24 -o com.docker.network.bridge.enable_icc=false quiet
	up aa six -p 8080:80
	up bb other
	up c1 quiet -p 8090:80
	c run -d --name c2 --network quiet default sleep 300
	b=$(pid_of bb) c2=$(pid_of c2)
	for port in 80 81; do
		answers timeout "$b" "$(ip_of aa)" $port
		answers timeout "$b" "$(ip6_of aa)" $port
	done
	answers "$(ip_of bb)" "$b" 10.99.0.1 8080
	run get "$c2" "$(ip_of c1)" 80
	matches "$output" 'timeout|unreachable'
	answers "$(ip_of bb)" "$b" 10.99.0.1 8090
	answers "$(ip_of c2)" "$c2" 10.99.0.1 8080
	c rm -f c1 c2
	c network rm quiet
}

@test "an internal network leaks nothing" {
	c network create --internal --ipv6 --subnet 172.28.0.0/24 --subnet fd00:28::/64 inside
	up xx inside -p 8080:80
	up yy inside
	up bb other
	x=$(pid_of xx)
	# Even with a route of its own making.
	in_ns "$x" ip route replace default via 172.28.0.1
	in_ns "$x" ip -6 route replace default via fd00:28::1
	answers "$(ip_of xx)" "$x" "$(ip_of yy)" 80
	for host in 10.99.0.2 fd99::2; do answers timeout "$x" $host 80; done
	for host in 10.99.0.1 fd99::1 172.31.0.1; do answers timeout "$x" $host 7000; done
	answers "$(ip_of xx)" "$x" 172.28.0.1 7000
	answers timeout "$x" "$(ip_of bb)" 80
	answers timeout "$(pid_of bb)" "$(ip_of xx)" 80
	answers timeout "$OUT" "$(ip_of xx)" 80
	# Nothing of it is published.
	equals "$(c port xx)" ""
	answers refused "$OUT" 10.99.0.1 8080
	c rm -f xx yy
	c network rm inside
}

@test "the host's loopback is closed to containers" {
	python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 7001)); s.listen(); time.sleep(60)' 3>&- 4>&- &
	echo $! >>"$HOME_DIR/net-pids"
	up web six
	web=$(pid_of web)
	wait_for 5 answers timeout host 127.0.0.1 7001
	in_ns "$web" sh -ec 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
		ip route delete local 127.0.0.0/8 dev lo table local; ip route delete local 127.0.0.1 dev lo table local
		ip route add 127.0.0.0/8 via 172.30.0.1 src 172.30.0.2'
	in_ns "$web" ip route get 127.0.0.1 | grep -q 'via 172.30.0.1'
	nft add table inet see
	nft add chain inet see i '{ type filter hook input priority 0; }'
	nft add rule inet see i iifname != lo ip daddr 127.0.0.1 counter
	get "$web" 127.0.0.1 7001 || true
	contains "$(nft list table inet see)" "packets 0"
	nft delete table inet see
}

@test "gateway modes: routed, nat-unprotected" {
	c network create --subnet 172.27.0.0/24 -o com.docker.network.bridge.gateway_mode_ipv4=routed direct
	c network create --subnet 172.26.0.0/24 -o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected open
	up rr direct -p 8080:80
	up oo open
	in_ns "$OUT" ip route replace 172.16.0.0/12 via 10.99.0.1
	answers 10.99.0.2 "$OUT" "$(ip_of rr)" 80
	answers timeout "$OUT" "$(ip_of rr)" 81
	answers "$(ip_of rr)" "$(pid_of rr)" 10.99.0.2 80
	answers 10.99.0.2 "$OUT" "$(ip_of oo)" 81
	answers refused "$OUT" 10.99.0.1 8080
	contains "$(c ports --exposed)" "gateway mode routed"
	contains "$(c ports --exposed)" "gateway mode nat-unprotected"
	c rm -f rr oo
	c network rm direct open
}

@test "the administrator's chain: it drops, stays over repairs, and sees the container's address" {
	up web six -p 8080:80
	table=$(nft_table)
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	nft add rule inet "$table" user ip saddr 10.99.0.2 meta l4proto tcp ct original proto-dst 8080 drop
	answers timeout "$OUT" 10.99.0.1 8080
	answers 10.99.0.1 host 10.99.0.1 8080
	nft delete chain inet "$table" forward 2>/dev/null || nft flush chain inet "$table" forward
	wait_for 5 rules_are_back forward containers
	answers timeout "$OUT" 10.99.0.1 8080
	nft flush chain inet "$table" user
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
}
rules_are_back() {
	nft list chain inet "$table" "$1" 2>/dev/null | grep -q "$2"
}

@test "what others flush comes back, once" {
	up web six -p 8080:80
	table=$(nft_table)
	for harm in "flush ruleset" "delete table inet $table" "flush chain inet $table publish" "flush map inet $table ports4" \
		"delete element inet $table bridges { $(c network inspect -f '{{index .Options "com.docker.network.bridge.name"}}' six | grep . || bridge_of six) }"; do
		nft "$harm"
		wait_for 5 answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	done
	wait_for 5 rules_are_back forward containers
	# No loop: the generation of the ruleset stands still.
	sleep 0.2
	before=$(nft -j list ruleset | md5sum)
	equals "$(nft -j list ruleset | md5sum)" "$before"
	[ "$(grep -c 'are back' "$HOME_DIR/engine.log")" -le 8 ]
}
bridge_of() {
	ip -o link show type bridge | awk -F': ' '{ print $2 }' | while read -r b; do
		ip -4 -o address show dev "$b" | grep -q 172.30.0.1 && echo "$b"
	done
}

@test "forwarding that was off: on for containers, the old interfaces stay closed to each other" {
	net_hold
	second=$NET_PID
	ip link add up1 type veth peer name eth0 netns "$second"
	ip address add 10.98.0.1/24 dev up1
	ip link set up1 up
	in_ns "$second" sh -ec 'ip link set lo up; ip address add 10.98.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.98.0.1'
	in_ns "$OUT" ip route replace 10.98.0.0/24 via 10.99.0.1
	serve "$second" tcp:80
	answers 10.99.0.2 "$OUT" 10.98.0.2 80
	stop_engine_only
	c_networks_gone
	echo 0 >/proc/sys/net/ipv4/ip_forward
	run_engine
	up web six -p 8080:80
	equals "$(cat /proc/sys/net/ipv4/ip_forward)" 1
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	answers 10.99.0.1 "$(pid_of web)" 10.99.0.2 80
	answers timeout "$OUT" 10.98.0.2 80
	contains "$(c info -f '{{json .Warnings}}')" "forwarding was switched on"
	# The next engine keeps it so.
	stop_engine_only
	run_engine
	sleep 2.5
	answers timeout "$OUT" 10.98.0.2 80
	ip link delete up1
}
stop_engine_only() {
	kill "$(engine_pid)"
	wait_for 5 not_running "$(engine_pid)"
}
not_running() {
	! kill -0 "$1" 2>/dev/null
}
c_networks_gone() {
	[ -z "$(nft_table)" ] || nft delete table inet "$(nft_table)"
}

@test "where /proc/sys is read-only the reason is told" {
	first=$HOME_DIR other=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	mkdir -p "$other"
	(
		export CORACLE_HOME=$other HOME_DIR=$other SOCK=$other/run/coracle.sock
		mkdir -p "$other/docker-config"
		before=$(cat /proc/sys/net/ipv4/ip_forward)
		echo 0 >/proc/sys/net/ipv4/ip_forward
		unshare --mount sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"' - \
			"$BIN/coracled" </dev/null >>"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
		ENGINE_PID=$!
		echo $ENGINE_PID >"$HOME_DIR/engine.test-pid"
		wait_for 10 ping
		run c network create --subnet 172.22.0.0/24 shut
		echo "$before" >/proc/sys/net/ipv4/ip_forward
		stop_engine
		[ "$status" -ne 0 ]
		contains "$output" "IPv4 forwarding is off and cannot be turned on: open /proc/sys/net/ipv4/conf/all/forwarding: Read-only file system"
	)
}

@test "two engines side by side in one network" {
	up web six -p 8080:80
	first=$HOME_DIR first_pid=$ENGINE_PID
	(
		start_engine "$(mktemp -d "$E2E_TMP/home.XXXXXX")"
		cp "$first/net-pids" "$HOME_DIR/"
		c network create --subnet 172.25.0.0/24 mine
		up ww mine -p 8081:80
		[ "$(nft list tables inet | grep -c coracle)" -eq 2 ]
		answers 10.99.0.2 "$OUT" 10.99.0.1 8081
		answers 10.99.0.2 "$OUT" 10.99.0.1 8080
		run c run --network mine -p 8080:80 default true
		code 125
		matches "$output" 'failed to bind host port for 0.0.0.0:8080:.*: address already in use'
		matches "$(get "$(pid_of ww)" 10.99.0.1 8080)" '^(172\.25|172\.30)'
		cat "$HOME_DIR/net-pids" >>"$first/net-pids"
		stop_engine
	)
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
}

@test "published-ports-policy user-chain: nobody outside is let in that the administrator does not accept" {
	up web six -p 8080:80
	other=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	first=$HOME_DIR
	mkdir -p "$other/etc"
	echo '{"published-ports-policy": "user-chain"}' >"$other/etc/config.json"
	(
		start_engine "$other"
		cp "$first/net-pids" "$HOME_DIR/"
		c network create --subnet 172.24.0.0/24 mine
		up ww mine -p 8082:80
		table=$(nft list tables inet | awk '{ print $3 }' | while read -r t; do nft list map inet "$t" ports4 | grep -q 8082 && echo "$t"; done)
		answers timeout "$OUT" 10.99.0.1 8082
		answers 172.24.0.1 host 127.0.0.1 8082
		contains "$(c ports --exposed)" "user chain"
		nft add rule inet "$table" user ip saddr 10.99.0.2 accept
		answers 10.99.0.2 "$OUT" 10.99.0.1 8082
		cat "$HOME_DIR/net-pids" >>"$first/net-pids"
		stop_engine
	)
	echo '{"published-ports-policy": "never"}' >"$first/bad.json"
	run "$BIN/coracled" --validate --config-file "$first/bad.json"
	[ "$status" -ne 0 ]
	contains "$output" 'published-ports-policy: "never" is neither accept nor user-chain'
}

@test "beside iptables: a FORWARD chain that drops all else does not drop ours" {
	needs iptables
	up web six -p 8080:80
	iptables -P FORWARD DROP
	ip6tables -P FORWARD DROP
	wait_for 5 answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	wait_for 5 answers fd99::2 "$OUT" fd99::1 8080
	answers 10.99.0.1 "$(pid_of web)" 10.99.0.2 80
	# A network that comes later.
	before=$(iptables-save | grep -c -- "-A CORACLE.* -j ACCEPT")
	c network create --subnet 172.23.0.0/24 late
	up ll late -p 8083:80
	answers 10.99.0.2 "$OUT" 10.99.0.1 8083
	# Rules of the administrator in front of ours still count.
	iptables -I FORWARD -s 10.99.0.2 -j DROP
	answers timeout "$OUT" 10.99.0.1 8080
	iptables -D FORWARD -s 10.99.0.2 -j DROP
	equals "$(iptables-save | grep -c -- '-A FORWARD -j CORACLE')" 1
	c rm -f ll
	c network rm late
	equals "$(iptables-save | grep -c -- '-A CORACLE.* -j ACCEPT')" "$before"
	iptables -P FORWARD ACCEPT
	ip6tables -P FORWARD ACCEPT
	# It goes with the networks.
	c rm -f web
	for n in $(c network ls -q --filter type=custom); do c network rm "$n"; done
	wait_for 5 no_chain_of_ours
}
no_chain_of_ours() {
	! { iptables-save && ip6tables-save; } | grep -q CORACLE
}
