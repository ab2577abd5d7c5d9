#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a network costs a start: `run --rm` on the default bridge beside --network none, podman and docker; and starts on one
# network while it fills. Writes bench/results/net.md. usage: bench/net.sh BUILD-DIRECTORY
#   RUNS=30 ROUNDS=3 MANY=500 PEERS="podman docker" change the effort
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
RUNS=${RUNS:-30}
ROUNDS=${ROUNDS:-3}
MANY=${MANY:-500}
PEERS=${PEERS-podman docker}

# Everything below happens in a network namespace of its own: bridges, rules and forwarding of all contenders.
[ -n "${CORACLE_BENCH_NET:-}" ] || exec env CORACLE_BENCH_NET=1 unshare --net "$0" "$build"
. "$here/lib.sh"
ip link set lo up

# Median of all runs of a name in ms. The contenders take turns, so that load from elsewhere meets all of them.
declare -A samples
measure() { # NAME COMMAND
	hyperfine -N -w 2 -r "$RUNS" --export-json "$lab/m.json" "$2" >"$lab/m.txt" 2>&1 || {
		echo "$1: $(tail -n 3 "$lab/m.txt")" >&2
		return 1
	}
	samples[$1]+=" $(jq -r '.results[0].times | map(. * 1000) | join(" ")' "$lab/m.json")"
}
median() { # NAME
	printf '%s\n' ${samples[$1]:-} | sort -n | awk '{v[NR] = $1} END {if (NR) printf "%.2f", v[int((NR + 1) / 2)]; else print "-"}'
}

start_engine
machine
coracle run --rm "$image" true
layer=$(find "$CORACLE_HOME/data/layers" -mindepth 2 -maxdepth 2 -name diff | head -n 1)
have=
for peer in $PEERS; do
	command -v "$peer" >/dev/null || { echo "$peer is not installed: left out"; continue; }
	case $peer in
	docker)
		dockerd=$(command -v dockerd) || continue
		"$dockerd" --data-root "$lab/docker" --exec-root "$lab/docker-run" --pidfile "$lab/docker.pid" -H "unix://$lab/docker.sock" \
			--exec-opt native.cgroupdriver=cgroupfs </dev/null >"$lab/dockerd.log" 2>&1 &
		for _ in $(seq 200); do docker -H "unix://$lab/docker.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
		tar -C "$layer" -c . | docker -H "unix://$lab/docker.sock" import - bench:latest >/dev/null 2>&1 || continue
		;;
	podman)
		printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$lab/containers.conf"
		export CONTAINERS_CONF=$lab/containers.conf
		podman="podman --root $lab/podman --runroot $lab/podman-run --tmpdir $lab/podman-tmp"
		tar -C "$layer" -c . | $podman import - bench:latest >/dev/null 2>&1 || continue
		;;
	esac
	have+=" $peer"
done

# ---- one container ------------------------------------------------------------------------------
for _ in $(seq "$ROUNDS"); do
	measure none "coracle run --rm --network none $image true"
	measure bridge "coracle run --rm $image true"
	for peer in $have; do
		case $peer in
		docker) measure docker "docker -H unix://$lab/docker.sock run --rm bench:latest true" ;;
		podman) measure podman "$podman run --rm bench:latest true" ;;
		esac
	done
done
none=$(median none) bridge=$(median bridge)
row "run --rm --network none" "$none ms"
row "run --rm on the default bridge" "$bridge ms"
row "bridge / none" "$(ratio "$bridge" "$none") x" "at most 1.8"
for peer in $have; do
	theirs=$(median "$peer")
	row "$peer run --rm on its default bridge" "$theirs ms"
	[ "$theirs" = - ] || row "$peer / coracle" "$(ratio "$theirs" "$bridge") x" "at least 12"
done

# ---- many on one network ------------------------------------------------------------------------
if [ "$MANY" -gt 0 ]; then
	coracle network create --subnet 10.66.0.0/16 many >/dev/null
	samples[first]='' samples[last]=''
	measure first "coracle run --rm --network many $image true"
	a=$(date +%s%N)
	for _ in $(seq "$MANY"); do coracle run -d --network many "$image" sleep 100000 >/dev/null || break; done
	b=$(date +%s%N)
	measure last "coracle run --rm --network many $image true"
	row "$MANY containers on one network, one after the other" "$(awk -v t=$((b - a)) -v n="$MANY" 'BEGIN {printf "%.2f ms each", t / n / 1e6}')"
	row "run --rm on an empty network" "$(median first) ms"
	row "run --rm beside $MANY containers" "$(median last) ms"
	row "full / empty" "$(ratio "$(median last)" "$(median first)") x" "at most 1.3"
	# shellcheck disable=SC2046
	coracle rm -f $(coracle ps -aq) >/dev/null
fi

{
	echo "# The price of a network"
	echo
	machine
	echo
	echo "| what | measured | aim |"
	echo "|---|---|---|"
	printf '%s\n' "${rows[@]}"
} >"$out/net.md"
[ -s "$lab/docker.pid" ] && kill "$(cat "$lab/docker.pid")" 2>/dev/null
kill "$engine"
wait
