# SPDX-License-Identifier: Apache-2.0
# Networks as objects: made, listed, inspected, connected, removed; what run says of them.
load lib

setup_file() { start_engine; }
teardown_file() { stop_engine; }

@test "the three networks that are always there" {
	equals "$(c network ls --format '{{.Name}} {{.Driver}} {{.Scope}}' | sort)" $'bridge bridge local\nhost host local\nnone null local'
	for name in bridge host none; do
		run c network rm "$name"
		code 1
		contains "$output" "$name is a pre-defined network and cannot be removed"
	done
	matches "$(c network inspect -f '{{(index .IPAM.Config 0).Subnet}}' bridge)" '^172\.[0-9]+\.0\.0/16$'
}

@test "create gives the id, subnet and gateway of its own" {
	id=$(c network create --label a=b --opt com.docker.network.driver.mtu=1400 first)
	matches "$id" '^[0-9a-f]{64}$'
	equals "$(c network inspect -f '{{.Id}} {{.Driver}} {{.Internal}} {{.Labels.a}} {{len .Containers}}' first)" "$id bridge false b 0"
	matches "$(c network inspect -f '{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}}' first)" '^172\.([0-9]+)\.0\.0/16 172\.[0-9]+\.0\.1$'
	equals "$(c network inspect -f '{{.Name}}' "${id:0:10}")" first
	ip link show "br-${id:0:12}" | grep -q 'mtu 1400'
	equals "$(c network rm first)" first
	! ip link show "br-${id:0:12}" 2>/dev/null
}

@test "subnet, range, gateway, auxiliary addresses and IPv6 are kept as asked" {
	c network create --subnet 10.77.0.0/24 --ip-range 10.77.0.128/25 --gateway 10.77.0.9 --aux-address nas=10.77.0.130 \
		--ipv6 --subnet fd77::/64 wide
	out=$(c network inspect wide)
	contains "$out" '"nas": "10.77.0.130"'
	contains "$out" '"IPRange": "10.77.0.128/25"'
	equals "$(c network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{println}}{{end}}' wide | sort | xargs)" '10.77.0.0/24 10.77.0.9 fd77::/64 fd77::1'
	# the lowest of the range that is free
	equals "$(c run --rm --network wide default ip -4 -o addr show eth0 | sed 's/.*inet \([^ ]*\).*/\1/')" 10.77.0.128/24
	c run -d --name first-of-range --network wide default sleep 100
	c run -d --name second-of-range --network wide default sleep 100
	equals "$(c inspect -f '{{.NetworkSettings.Networks.wide.IPAddress}}' first-of-range)" 10.77.0.128
	equals "$(c inspect -f '{{.NetworkSettings.Networks.wide.IPAddress}}' second-of-range)" 10.77.0.129
	equals "$(c run --rm --network wide default ip -4 -o addr show eth0 | sed 's/.*inet \([^ ]*\).*/\1/')" 10.77.0.131/24
	equals "$(c run --rm --network wide --ip 10.77.0.20 --ip6 fd77::20 default ip -o addr show eth0 | grep -c '10.77.0.20/24\|fd77::20/64')" 2
	run c run --rm --network wide --ip 10.77.0.128 default true
	code 125
	contains "$output" 'Address already in use'
	run c network rm wide
	code 1
	contains "$output" 'has active endpoints (name:"first-of-range"'
	c rm -f first-of-range second-of-range
	c network rm wide
}

@test "what cannot be is refused, with Docker's words" {
	c network create --subnet 10.78.0.0/16 taken
	refuse() {
		local text=$1
		shift
		run c network create "$@"
		code 1
		contains "$output" "$text"
	}
	refuse 'Pool overlaps with other one on this address space' --subnet 10.78.5.0/24 x
	refuse 'network with name taken already exists' taken
	refuse 'operation is not permitted on predefined host network' host
	refuse 'plugin "nope" not found' -d nope x
	refuse 'only one instance of "host" network is allowed' -d host x
	refuse 'it should be 10.79.0.0/24' --subnet 10.79.0.1/24 x
	refuse 'no matching subnet for gateway' --subnet 10.79.0.0/24 --gateway 10.80.0.1 x
	refuse 'IPv6 has not been enabled' --subnet fd79::/64 x
	refuse 'com.docker.network.bridge.enable_icc' -o com.docker.network.bridge.enable_icc=perhaps x
	run c network inspect nosuch
	code 1
	contains "$output" 'network nosuch not found'
	run c network connect nosuch alsonot
	code 1
	contains "$output" 'network nosuch not found'
	run c run --rm --network nosuch default true
	code 125
	contains "$output" 'network nosuch not found'
	equals "$(c network ls -q | wc -l)" 4
	c network rm taken
}

@test "connect and disconnect a running container" {
	c network create --subnet 10.81.0.0/24 one
	c network create --subnet 10.82.0.0/24 two
	c run -d --name walker --network one default sleep 100
	c network connect --ip 10.82.0.50 --alias other two walker
	equals "$(c exec walker ip -4 -o addr show eth1 | sed 's/.*inet \([^ ]*\).*/\1/')" 10.82.0.50/24
	equals "$(c inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}' walker)" 'one=10.81.0.2 two=10.82.0.50 '
	equals "$(c network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}' two)" 'walker 10.82.0.50/24'
	run c network connect two walker
	code 1
	contains "$output" 'already exists in network two'
	# the first in the alphabet leads out
	contains "$(c exec walker ip route)" 'default via 10.81.0.1'
	c network disconnect one walker
	contains "$(c exec walker ip route)" 'default via 10.82.0.1'
	! c exec walker ip link show eth0
	run c network disconnect one walker
	code 1
	contains "$output" 'is not connected to'
	c restart -t 0 walker
	equals "$(c inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}' walker)" 'two=10.82.0.50 '
	run c network connect host walker
	code 1
	c rm -f walker
	c network rm one two
}

@test "several networks at once, gateway by priority" {
	c network create --subnet 10.83.0.0/24 aa
	c network create --subnet 10.84.0.0/24 bb
	out=$(c run --rm --network aa --network name=bb,ip=10.84.0.7,gw-priority=5,mac-address=02:42:00:00:00:07 default sh -c 'ip route; ip -o addr; ip link show eth1')
	contains "$out" 'default via 10.84.0.1 dev eth1'
	contains "$out" '10.84.0.7/24'
	contains "$out" '02:42:00:00:00:07'
	contains "$out" '10.83.0.2/24'
	run c run --rm --network aa --network host default true
	code 125
	contains "$output" 'conflicting options'
	c network rm aa bb
}

@test "prune takes what nobody uses, by filters" {
	c network create --label keep=yes kept
	c network create loose
	c network create used
	c run -d --name user --network used default sleep 100
	contains "$(c network prune -f --filter label!=keep)" 'loose'
	equals "$(c network ls --filter type=custom --format '{{.Name}}' | sort | tr '\n' ' ')" 'kept used '
	equals "$(c network ls --filter dangling=true --format '{{.Name}}')" kept
	c rm -f user
	contains "$(c network prune -f)" 'used'
	equals "$(c network ls --filter type=custom -q)" ''
}

@test "networks and addresses outlive the engine" {
	c network create --subnet 10.85.0.0/24 stays
	c run -d --name rock --network stays default sleep 100
	before=$(c network inspect stays)
	kill -9 "$(engine_pid)"
	run_engine
	equals "$(c network inspect stays)" "$before"
	equals "$(c exec rock ip -4 -o addr show eth0 | sed 's/.*inet \([^ ]*\).*/\1/')" 10.85.0.2/24
	equals "$(c run --rm --network stays default ip -4 -o addr show eth0 | sed 's/.*inet \([^ ]*\).*/\1/')" 10.85.0.3/24
	c exec rock ping -c 1 -W 2 10.85.0.1
	c rm -f rock
	c network rm stays
}

@test "a network that the configuration took the subnet from is shown, refuses containers and can be removed" {
	c network create --ipv6 --subnet 10.86.0.0/24 --subnet fd86::/64 overrun
	kill -9 "$(engine_pid)"
	mkdir -p "$HOME_DIR/etc"
	echo '{"ipv6": true, "fixed-cidr-v6": "fd86::/64"}' >"$HOME_DIR/etc/config.json"
	run_engine
	contains "$(tail -n 5 "$HOME_DIR/engine.log")" 'network overrun: invalid pool request: Pool overlaps'
	run c run --rm --network overrun default true
	code 125
	contains "$output" 'no available IPv4 addresses'
	contains "$(c run --rm default ip -6 -o addr show eth0)" 'fd86::'
	c network rm overrun
	rm "$HOME_DIR/etc/config.json"
}
