#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Throughput through a published port: from the host, from its loopback and from outside, against a plain
# routed veth pair and against Docker's kernel path (DNAT by iptables). All in network namespaces of its own.
# usage: bench/net-throughput.sh [BUILD-DIRECTORY]      SECONDS_EACH, RUNS
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-build}" && pwd) || exit 2
RUNS=${RUNS:-3} each=${SECONDS_EACH:-3}
if [ -z "${CORACLE_BENCH_NET:-}" ]; then
	exec unshare --net env CORACLE_BENCH_NET=1 "$0" "$build"
fi
# shellcheck source=bench/lib.sh
. "$here/lib.sh"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null' EXIT

# A network namespace with this number as its pid.
hold() {
	unshare --net sleep 3600 </dev/null >/dev/null 2>&1 &
	held=$!
	pids+=("$held")
	until [ "$(readlink /proc/$held/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	nsenter -t $held -n ip link set lo up
}
serve() { # PID PORT
	nsenter -t "$1" -n iperf3 -s -p "$2" </dev/null >/dev/null 2>&1 &
	pids+=($!)
	sleep 0.3
}
# Gbit/s, the best of the runs: gbits NSENTER-PID|host ARGUMENTS
gbits() {
	local in=() from=$1
	shift
	[ "$from" = host ] || in=(nsenter -t "$from" -n)
	for _ in $(seq "$RUNS"); do
		timeout $((each + 10)) "${in[@]}" iperf3 -J -t "$each" "$@" | jq '.end.sum_received.bits_per_second // 0'
	done | sort -n | tail -n 1 | awk '{ printf "%.1f", $1 / 1e9 }'
}

ip link set lo up
hold && out=$held
ip link add up0 type veth peer name eth0 netns "$out"
ip address add 10.99.0.1/24 dev up0
ip link set up0 up
nsenter -t "$out" -n sh -ec 'ip address add 10.99.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.99.0.1'
# Plain: another machine behind a veth pair, routed, no rules.
hold && plain=$held
ip link add plain0 type veth peer name eth0 netns "$plain"
ip address add 10.98.0.1/24 dev plain0
ip link set plain0 up
nsenter -t "$plain" -n sh -ec 'ip address add 10.98.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.98.0.1'
echo 1 >/proc/sys/net/ipv4/ip_forward
serve "$plain" 5201
machine
host_plain=$(gbits host -c 10.98.0.2)
out_plain=$(gbits "$out" -c 10.98.0.2)
row "plain veth from the host, Gbit/s" "$host_plain"
row "plain veth, routed from outside, Gbit/s" "$out_plain"

start_engine
coracle run -d --name net --network bridge -p 5301:5201 "$image" sleep 3600 >/dev/null
serve "$(coracle inspect -f '{{.State.Pid}}' net)" 5201
own_loop=$(gbits host -c 127.0.0.1 -p 5301)
own_host=$(gbits host -c 10.99.0.1 -p 5301)
own_out=$(gbits "$out" -c 10.99.0.1 -p 5301)
own_back=$(gbits "$out" -c 10.99.0.1 -p 5301 -R)
row "published port, loopback" "$own_loop"
row "published port, host's address" "$own_host" "$(ratio "$own_host" "$host_plain") x plain veth, goal 0.9"
row "published port, from outside" "$own_out" "$(ratio "$own_out" "$out_plain") x plain veth, goal 0.9"
row "published port, to outside (-R)" "$own_back"
coracle rm -f net >/dev/null
kill "$engine"

if command -v dockerd >/dev/null; then
	export DOCKER_HOST=unix://$lab/docker.sock
	dockerd --data-root "$lab/docker" --exec-root "$lab/docker-exec" --pidfile "$lab/docker.pid" --storage-driver vfs \
		-H "$DOCKER_HOST" </dev/null >"$lab/docker.log" 2>&1 &
	pids+=($!)
	for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
	mkdir -p "$lab/root/bin" && cp /bin/busybox "$lab/root/bin/"
	tar -C "$lab/root" -c . | docker import - box >/dev/null
	docker run -d --name net -p 5302:5201 box /bin/busybox sleep 3600 >/dev/null
	serve "$(docker inspect -f '{{.State.Pid}}' net)" 5201
	docker_host=$(gbits host -c 10.99.0.1 -p 5302)
	docker_out=$(gbits "$out" -c 10.99.0.1 -p 5302)
	row "Docker, host's address" "$docker_host" "ours is $(ratio "$own_host" "$docker_host") x, goal 0.95"
	row "Docker, from outside" "$docker_out" "ours is $(ratio "$own_out" "$docker_out") x, goal 0.95"
	docker rm -f net >/dev/null
	kill "$(cat "$lab/docker.pid")"
fi
{
	echo "| what | value | note |"
	echo "|---|---|---|"
	printf '%s\n' "${rows[@]}"
} >"$here/results/net-throughput.md"
