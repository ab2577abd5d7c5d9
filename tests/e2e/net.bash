# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Networks of tests: every file that uses this runs its engine in a namespace where it is the "host";
# "outside" is another machine behind a veth pair. Nothing of the real host's network is touched.

# A network namespace that lives until net_done: its number is a pid.
net_hold() {
	unshare --net sleep 3600 </dev/null >/dev/null 2>&1 3>&- 4>&- &
	echo $! >>"$E2E_TMP/pids"
	echo $! >>"$HOME_DIR/net-pids"
	NET_PID=$!
	wait_for 5 net_is_apart $!
}
net_is_apart() {
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}
# in_ns PID COMMAND...: in the network of that process
in_ns() {
	local pid=$1
	shift
	nsenter -t "$pid" -n "$@"
}

# The machine outside: 10.99.0.2, fd99::2; this host is 10.99.0.1 and fd99::1 there. It knows the way to
# the containers' addresses, as a neighbour with bad intentions would.
net_outside() {
	# table and default bridge of an engine have the same number in their names
	NFT_TABLE=$(coracle network inspect -f '{{index .Options "com.docker.network.bridge.name"}}' bridge)
	NFT_TABLE=coracle-${NFT_TABLE#cor-}
	net_hold
	OUT=$NET_PID
	export OUT NFT_TABLE
	ip link set lo up
	ip link add up0 type veth peer name eth0 netns "$OUT"
	ip address add 10.99.0.1/24 dev up0
	ip -6 address add fd99::1/64 dev up0 nodad
	ip link set up0 up
	in_ns "$OUT" sh -ec 'ip link set lo up; ip address add 10.99.0.2/24 dev eth0
		ip -6 address add fd99::2/64 dev eth0 nodad; ip link set eth0 up
		ip route add 172.16.0.0/12 via 10.99.0.1; ip -6 route add fd00::/12 via fd99::1'
}
net_done() {
	local p
	remove_all
	for p in $(coracle network ls -q --filter type=custom); do coracle network rm "$p" >/dev/null; done
	[ ! -s "$HOME_DIR/net-pids" ] || while read -r p; do kill "$p" 2>/dev/null; done <"$HOME_DIR/net-pids"
	ip link delete up0 2>/dev/null || true
}

pid_of() {
	coracle inspect -f '{{.State.Pid}}' "$1"
}
ip_of() {
	coracle inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}
ip6_of() {
	coracle inspect -f '{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}' "$1"
}

# serve PID PROTO:PORT...: in the network of that process, until net_done
serve() {
	local pid=$1 out
	shift
	out=$(mktemp "$HOME_DIR/serve.XXXXXX")
	# no function here: what is killed later must be the server, not a shell that waits for it
	nsenter -t "$pid" -n python3 "$E2E_DIR/nettool.py" serve "$@" </dev/null >"$out" 2>&1 3>&- 4>&- &
	echo $! >>"$E2E_TMP/pids"
	echo $! >>"$HOME_DIR/net-pids"
	wait_for 10 grep -q ready "$out"
}
# get FROM HOST PORT [PROTO]: FROM is "host", or a pid
get() {
	if [ "$1" = host ]; then
		python3 "$E2E_DIR/nettool.py" get "${@:2}"
	else
		in_ns "$1" python3 "$E2E_DIR/nettool.py" get "${@:2}"
	fi
}
# answers WANTED FROM HOST PORT [PROTO]
answers() {
	local have
	have=$(get "${@:2}")
	# A busy machine may be late with the first answer.
	[ "$have" != timeout ] || [ "$1" = timeout ] || have=$(NETTOOL_TIMEOUT=5 get "${@:2}")
	[ "$have" = "$1" ] || {
		echo "from $2 to $3 port $4 ${5:-tcp}: $have instead of $1" >&2
		return 1
	}
}
# The table of this file's engine, when it is there: one with rules of an administrator outlives its own.
nft_table() {
	nft list tables inet | awk -v own="$NFT_TABLE" '$3 == own { print own }'
}
