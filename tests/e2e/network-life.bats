# SPDX-License-Identifier: Apache-2.0
# The life of a container's network: made while it starts, kept over restarts and crashes of the engine, gone
# afterwards. Runs in a network namespace of its own (tests/e2e/run).
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	BRIDGE=$(coracle network inspect -f '{{index .Options "com.docker.network.bridge.name"}}' bridge)
	# interfaces carry the engine's id: other files' engines share this namespace
	OWN=$(coracle info -f '{{.ID}}' | cut -c1-8)
	export BRIDGE OWN
}
teardown_file() { stop_engine; }
teardown() {
	remove_all
	if [ -n "${OTHER_PID:-}" ]; then kill "$OTHER_PID" 2>/dev/null || true; fi
}

ip_of() {
	coracle inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}
kill_engine() {
	kill -9 "$(engine_pid)"
	wait_for 5 engine_dead
}
engine_dead() {
	! grep -q '^State:.[^ZX]' "/proc/$(engine_pid)/status" 2>/dev/null
}
start_one() { # NAME [run flags...]
	local name=$1
	shift
	coracle run -d --name "$name" "$@" default sleep 600 >/dev/null
}
# What of our interfaces is in the host: "NAME ALIAS" of each end of a container.
ends() {
	ip -d -o link show | grep -o "alias coracle:$OWN:endpoint:[0-9a-f]*" || true
}
no_ends() {
	[ -z "$(ends)" ]
}
reaches() { # NAME ADDRESS
	coracle exec "$1" ping -c 1 -W 2 "$2" >/dev/null
}
host_reaches() {
	command ping -c 1 -W 1 "$1" >/dev/null
}

@test "the default bridge: address, route, MAC, MTU; inspect tells what the kernel has" {
	start_one ca
	run -0 coracle exec ca sh -c 'ip -4 -o addr show eth0; ip route; cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address; ip -o link'
	IFS=' ' read -r ip gw len mac < <(coracle inspect -f '{{with .NetworkSettings.Networks.bridge}}{{.IPAddress}} {{.Gateway}} {{.IPPrefixLen}} {{.MacAddress}}{{end}}' ca)
	contains "$output" " $ip/$len "
	contains "$output" "default via $gw dev eth0"
	contains "$output" "$mac"
	contains "$output" $'\n1500\n'
	contains "$output" "lo: <LOOPBACK,UP"
	reaches ca "$gw"
	command ping -c 1 -W 2 "$ip"
	start_one cb
	reaches cb "$ip"
	equals "$(ends | wc -l)" 2
	coracle rm -f ca cb
	wait_for 10 no_ends
	equals "$(coracle run --rm --network none default ls /sys/class/net)" lo
}

@test "an address stays over restart and stop, others take none of it, the lowest free one is given" {
	start_one ca
	start_one cb
	A=$(ip_of ca) B=$(ip_of cb)
	coracle restart -t 0 ca
	equals "$(ip_of ca)" "$A"
	reaches cb "$A"
	coracle stop -t 0 ca
	coracle start ca
	equals "$(ip_of ca)" "$A"
	coracle rm -f ca
	start_one cc
	equals "$(ip_of cc)" "$A"
	# given to another while it was down: it comes back with a new one
	coracle stop -t 0 cb
	start_one cd
	equals "$(ip_of cd)" "$B"
	coracle start cb
	[ "$(ip_of cb)" != "$B" ]
	reaches cb "$B"
}

@test "a restart policy keeps the address" {
	coracle run -d --name again --restart always default sh -c 'ip -4 -o addr show eth0; sleep 0.2' >/dev/null
	thrice() { [ "$(coracle logs again | grep -c inet)" -ge 3 ]; }
	wait_for 20 thrice
	equals "$(coracle logs again | grep -o 'inet [0-9.]*' | sort -u | wc -l)" 1
}

@test "a pool that is full says so and is whole again when one goes" {
	coracle network create --subnet 10.77.0.0/29 small >/dev/null
	for i in 1 2 3 4 5; do start_one "s$i" --network small; done
	equals "$(ip_of s5)" 10.77.0.6
	run -125 coracle run --rm --network small default true
	contains "$output" "no available IPv4 addresses on this network's address pools: small"
	equals "$(coracle ps -aq | wc -l)" 5
	coracle rm -f s3
	equals "$(coracle run --rm --network small default ip -4 -o addr show eth0 | grep -o '10.77.0.[0-9]*/29')" 10.77.0.4/29
	coracle rm -f s1 s2 s4 s5
	coracle network rm small
}

@test "IPv6, a chosen address, a MAC and an MTU of the user's" {
	coracle network create --ipv6 --subnet 10.78.0.0/24 --subnet fd00:78::/64 -o com.docker.network.driver.mtu=1380 six >/dev/null
	start_one ca --network six --ip 10.78.0.99 --ip6 fd00:78::99 --mac-address 02:11:22:33:44:55
	start_one cb --network six
	run -0 coracle exec ca ip addr show eth0
	contains "$output" 10.78.0.99/24
	contains "$output" fd00:78::99/64
	contains "$output" 02:11:22:33:44:55
	contains "$output" "mtu 1380"
	lacks "$output" tentative
	reaches cb fd00:78::99
	reaches cb fd00:78::1
	run -125 coracle run --rm --network six --ip 10.78.0.99 default true
	contains "$output" "Address already in use"
	equals "$(coracle run --rm --network six default ip -6 route show default | grep -o 'via fd00:78::1')" 'via fd00:78::1'
	coracle rm -f ca cb
	coracle network rm six
}

@test "settings of the interface by its driver options; the user's net sysctls stand" {
	net='name=bridge,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1'
	run -0 coracle run --rm --sysctl net.ipv4.ip_default_ttl=33 --network "$net" default sh -c 'cd /proc/sys/net/ipv4; cat conf/eth0/log_martians ip_default_ttl'
	equals "$output" $'1\n33'
	run -125 coracle run --rm --network "${net/IFNAME/eth0}" default true
	contains "$output" "represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'"
	run -125 coracle run --rm --network "${net/log_martians/no_such}" default true
	contains "$output" "net.ipv4.conf.IFNAME.no_such=1"
	wait_for 10 no_ends
}

@test "a living container keeps its network when the engine dies, and nobody gets its address" {
	start_one ca
	start_one cb
	A=$(ip_of ca) B=$(ip_of cb)
	before=$(coracle inspect -f '{{json .NetworkSettings.Networks}}' ca)
	kill_engine
	command ping -c 1 -W 2 "$A"
	run_engine
	equals "$(coracle inspect -f '{{json .NetworkSettings.Networks}}' ca)" "$before"
	start_one cc
	[ "$(ip_of cc)" != "$A" ] && [ "$(ip_of cc)" != "$B" ]
	reaches cc "$A"
	coracle rm -f ca cb cc
	wait_for 10 no_ends
	start_one cd
	equals "$(ip_of cd)" "$A"
}

@test "what ended while no engine was there gives its address back" {
	start_one ca
	A=$(ip_of ca)
	pid=$(coracle inspect -f '{{.State.Pid}}' ca)
	kill_engine
	kill -9 "$pid"
	run_engine
	wait_for 10 is_state ca exited
	start_one cb
	equals "$(ip_of cb)" "$A"
}

@test "a bridge that somebody removed comes back, with its containers in it" {
	coracle network create --subnet 10.79.0.0/24 -o com.docker.network.bridge.name=cor-heal heal >/dev/null
	start_one ca --network heal
	start_one cb --network heal
	A=$(ip_of ca)
	reaches cb "$A"
	ip link del cor-heal
	wait_for 10 reaches cb "$A"
	wait_for 10 host_reaches "$A"
	# also when it went while no engine was there
	kill_engine
	ip link del cor-heal
	run_engine
	wait_for 10 reaches cb "$A"
	ip link set cor-heal down
	coracle run --rm --network heal default true
	reaches cb 10.79.0.1
	coracle rm -f ca cb
	ip link del cor-heal
	coracle run --rm --network heal default ping -c 1 -W 2 10.79.0.1
	coracle network rm heal
	run ! ip link show cor-heal
}

@test "what a crash left is removed by the next engine; interfaces of others are not" {
	id=$(api GET /info | grep -o '"ID":"[0-9a-f]\{8\}-' | head -n 1 | cut -c7-14)
	ip link add left0 type veth peer name left1
	ip link set left0 alias "coracle:$id:endpoint:0123"
	ip link add leftbr type bridge
	ip link set leftbr alias "coracle:$id:network:4567"
	ip link add other0 type veth peer name other1
	ip link set other0 alias "coracle:ffffffff:endpoint:0123"
	ip link add plain0 type bridge
	start_one ca
	kill_engine
	run_engine
	gone_link() { ! ip link show "$1" >/dev/null 2>&1; }
	wait_for 10 gone_link left0
	wait_for 10 gone_link leftbr
	ip link show other0
	ip link show plain0
	command ping -c 1 -W 2 "$(ip_of ca)"
	ip link del other0
	ip link del plain0
}

@test "an engine, a shim and a child that die in the middle of a start leave nothing" {
	for i in $(seq 12); do
		# not by the command line: it starts an engine where there is none
		id=$(coracle create --rm default true)
		api POST "/containers/$id/start" >/dev/null 2>&1 3>&- &
		client=$!
		sleep "0.00$((i % 9 + 1))"
		case $((i % 3)) in
		0) kill_engine ;;
		1) for p in $(shim_pids); do kill -9 "$p" 2>/dev/null || true; done ;;
		2) kill -9 "$client" 2>/dev/null || true ;;
		esac
		wait "$client" 2>/dev/null || true
		ping || run_engine
	done
	remove_all
	wait_for 10 no_ends
	equals "$(coracle run --rm default ip -4 -o addr show eth0 | grep -o 'inet [0-9.]*')" "inet $(coracle network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge | sed 's/1$/2/')"
}

@test "netlink that fails at any point fails the start in words, and leaves nothing" {
	needs strace
	coracle run --rm default true
	good=0 bad=0
	for n in $(seq 12); do
		strace -f -p "$(engine_pid)" -qq -e trace=sendto -e "inject=sendto:error=ENOBUFS:when=$n" -o "$HOME_DIR/strace.out" 3>&- 4>&- &
		tracer=$!
		attached() { grep -q "TracerPid:.*[1-9]" "/proc/$(engine_pid)/status"; }
		wait_for 5 attached
		if out=$(timeout 20 "$BIN/coracle" run --rm default echo fine 2>&1); then
			good=$((good + 1))
		else
			bad=$((bad + 1))
			# the answer to the client may be what could not be sent
			case "$out" in *"No buffer space"* | *EOF* | *onnection*) ;; *) echo "unexpected: $out" >&2; false ;; esac
		fi
		kill "$tracer"
		wait "$tracer" 2>/dev/null || true
		wait_for 5 ping
	done
	[ "$bad" -ge 3 ]
	remove_all
	wait_for 10 no_ends
	coracle run --rm default true
}

@test "subnets that the host has routes to are not chosen; two engines stand side by side" {
	other=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	ip link add route0 type bridge
	ip link set route0 up
	ip addr add 172.30.255.1/12 dev route0
	CORACLE_HOME=$other "$BIN/coracled" </dev/null >"$other.log" 2>&1 3>&- 4>&- &
	OTHER_PID=$!
	there() { CORACLE_HOME=$other "$BIN/coracle" version >/dev/null 2>&1; }
	wait_for 10 there
	run -0 env CORACLE_HOME="$other" "$BIN/coracle" run --rm default ip -4 -o addr show eth0
	contains "$output" "inet 192.168."
	ip link del route0
	start_one ca
	run -0 env CORACLE_HOME="$other" "$BIN/coracle" run -d --name ca default sleep 600
	run -0 env CORACLE_HOME="$other" "$BIN/coracle" exec ca ip route
	contains "$output" "192.168."
	reaches ca "$(coracle network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)"
	# a restart of one takes nothing from the other
	kill_engine
	run_engine
	run -0 env CORACLE_HOME="$other" "$BIN/coracle" exec ca sh -c 'ping -c 1 -W 2 $(ip route | sed -n "s/default via \([0-9.]*\) .*/\1/p")'
	CORACLE_HOME=$other "$BIN/coracle" rm -f ca
	kill "$OTHER_PID"
	wait "$OTHER_PID" || true
}

@test "300 networks; without pools left the error says so" {
	for i in $(seq 300); do
		api POST /networks/create "{\"Name\":\"n$i\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.$((100 + i / 200)).$((i % 200)).0/24\"}]}}" >/dev/null
	done
	equals "$(coracle network ls -q | wc -l)" 303
	coracle run --rm --network n300 default ip -4 -o addr show eth0 | grep -q 'inet 10.101.100.2/24'
	equals "$(coracle run --rm --network n7 default ip -4 -o addr show eth0 | grep -o '10.100.7.[0-9]*/24')" 10.100.7.2/24
	for i in $(seq 40); do coracle network create "p$i" >/dev/null 2>"$HOME_DIR/full" || break; done
	contains "$(cat "$HOME_DIR/full")" "all predefined address pools have been fully subnetted"
	coracle network prune -f >/dev/null
	equals "$(coracle network ls -q | wc -l)" 3
	equals "$(ip -d -o link show type bridge | grep "alias coracle:$OWN:" | grep -c ': br-' || true)" 0
}

@test "stats and metrics count what went over the network; connect and disconnect are events" {
	start_one ca
	coracle exec ca ping -c 3 -s 1000 -i 0.2 "$(coracle network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)" >/dev/null
	tx=$(api GET "/containers/ca/stats?stream=false&one-shot=true" | grep -o '"networks":{"eth0":{.*' | grep -o '"tx_bytes":[0-9]*' | cut -d: -f2)
	[ "$tx" -gt 3000 ]
	since=$(date +%s)
	coracle run --rm --name ev default true
	run -0 coracle events --since "$since" --until "$(($(date +%s) + 1))" --filter type=network --format '{{.Action}} {{.Actor.Attributes.name}}'
	contains "$output" "connect bridge"
	contains "$output" "disconnect bridge"
}
