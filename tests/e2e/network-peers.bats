#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Beside Docker with its iptables, in one network: who comes first, and who comes later.
# clients: coracle

load lib.bash
load net.bash

setup_file() {
	needs nft
	needs dockerd
	needs iptables
	start_engine
	net_outside
	c network create --subnet 172.30.0.0/24 mine >/dev/null
	c run -d --name web --network mine -p 8080:80 default sleep 300 >/dev/null
	serve "$(pid_of web)" tcp:80
	serve "$OUT" tcp:80
	export PEER=$HOME_DIR/peer
	mkdir -p "$PEER/root/bin"
	cp /bin/busybox "$PEER/root/bin/"
}
teardown_file() {
	peer ps -aq 2>/dev/null | while read -r id; do peer rm -f "$id" >/dev/null; done
	stop_peer
	net_done
	stop_engine
}
peer() {
	DOCKER_CONFIG=$PEER docker -H "unix://$PEER/docker.sock" "$@"
}
start_peer() {
	# Docker closes FORWARD where it is the one that turns forwarding on.
	echo 0 >/proc/sys/net/ipv4/ip_forward
	unshare --mount sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' - \
		dockerd --data-root "$PEER/data" --exec-root "$PEER/exec" --pidfile "$PEER/pid" --storage-driver vfs \
		--bip 172.19.0.1/24 -H "unix://$PEER/docker.sock" </dev/null >>"$PEER/log" 2>&1 3>&- 4>&- &
	echo $! >>"$E2E_TMP/pids"
	wait_for 20 peer version >/dev/null 2>&1
}
stop_peer() {
	[ -s "$PEER/pid" ] || return 0
	local pid
	pid=$(cat "$PEER/pid")
	kill "$pid" 2>/dev/null
	wait_for 10 peer_ended "$pid"
	for d in /sys/fs/cgroup/*/docker /sys/fs/cgroup/docker; do rmdir "$d" 2>/dev/null || true; done
}
peer_ended() {
	! kill -0 "$1" 2>/dev/null
}

@test "Docker that starts later closes FORWARD: ours goes on, and its own works" {
	answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	start_peer
	contains "$(iptables-save)" ":FORWARD DROP"
	wait_for 5 answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	answers 10.99.0.1 "$(pid_of web)" 10.99.0.2 80
	tar -C "$PEER/root" -c . | peer import - box
	peer run -d --name theirs -p 8090:80 box /bin/busybox sleep 300
	serve "$(peer inspect -f '{{.State.Pid}}' theirs)" tcp:80
	answers 10.99.0.2 "$OUT" 10.99.0.1 8090
	answers 10.99.0.1 "$(peer inspect -f '{{.State.Pid}}' theirs)" 10.99.0.2 80
	# One that wants the other's port is told so.
	run peer run --rm -p 8080:80 box /bin/busybox true
	[ "$status" -ne 0 ]
	contains "$output" "address already in use"
	run c run --rm --network mine -p 8090:80 default true
	code 125
	contains "$output" "address already in use"
	# Each reaches the other's published port, not its containers.
	answers timeout "$(peer inspect -f '{{.State.Pid}}' theirs)" "$(ip_of web)" 80
	matches "$(get "$(peer inspect -f '{{.State.Pid}}' theirs)" 10.99.0.1 8080)" '^(172\.19|10\.99|172\.30)'
}

@test "Docker that starts again keeps its rules, and ours" {
	peer rm -f theirs
	stop_peer
	start_peer
	wait_for 5 answers 10.99.0.2 "$OUT" 10.99.0.1 8080
	c run -d --name two --network mine -p 8081:80 default sleep 300
	serve "$(pid_of two)" tcp:80
	answers 10.99.0.2 "$OUT" 10.99.0.1 8081
	equals "$(iptables-save | grep -c -- '-A FORWARD -j CORACLE')" 1
}

@test "an engine that starts beside Docker opens its way at once" {
	c network create --subnet 172.29.0.0/24 late
	c run -d --name three --network late -p 8082:80 default sleep 300
	serve "$(pid_of three)" tcp:80
	answers 10.99.0.2 "$OUT" 10.99.0.1 8082
	answers 10.99.0.1 "$(pid_of three)" 10.99.0.2 80
	nft flush ruleset
	# Docker's own rules are gone for good; ours are back, and nothing is closed any more.
	wait_for 5 answers 10.99.0.2 "$OUT" 10.99.0.1 8082
}
