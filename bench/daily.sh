#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The everyday commands: exec beside crun and docker, ps with many containers, stop, attach, an idle engine. Writes
# bench/results/daily.md. usage: bench/daily.sh BUILD-DIRECTORY     RUNS=30 MANY=1000 PEERS="crun docker" change the effort
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
RUNS=${RUNS:-30}
MANY=${MANY:-1000}
PEERS=${PEERS-crun docker}

. "$here/lib.sh"

median() { # COMMAND... -> ms
	hyperfine -N -w 3 -r "$RUNS" --export-json "$lab/m.json" "$@" >"$lab/m.txt" 2>&1 || {
		tail -n 3 "$lab/m.txt" >&2
		return 1
	}
	jq -r '.results[0].median * 1000 * 100 | round / 100' "$lab/m.json"
}
switches() { awk '/^voluntary_ctxt_switches/ {s += $2} END {print s + 0}' "/proc/$1/task/"*/status; }

start_engine
machine

# ---- exec ---------------------------------------------------------------------------------------
coracle run -d --name live --network none "$image" sleep 100000 >/dev/null
layer=$(find "$CORACLE_HOME/data/layers" -mindepth 2 -maxdepth 2 -name diff | head -n 1)
ours=$(median "coracle exec live true")
row "exec of true" "$ours ms"
for peer in $PEERS; do
	command -v "$peer" >/dev/null || { echo "$peer is not installed: left out"; continue; }
	case $peer in
	crun)
		mkdir -p "$lab/bundle" "$lab/crun"
		cp -a "$layer" "$lab/bundle/rootfs"
		(cd "$lab/bundle" && crun spec && jq '.process.terminal = false | .process.args = ["sleep", "100000"] |
			.process.rlimits = [] | .root.readonly = false' config.json >c && mv c config.json)
		crun --root "$lab/crun" run -d -b "$lab/bundle" b1 </dev/null >/dev/null 2>&1
		theirs=$(median "crun --root $lab/crun exec b1 true") && row "crun exec of true" "$theirs ms" &&
			row "exec: coracle / crun" "$(ratio "$ours" "$theirs") x" "at most 1.0"
		crun --root "$lab/crun" delete -f b1
		;;
	docker)
		dockerd=$(command -v dockerd) || continue
		"$dockerd" --data-root "$lab/docker" --exec-root "$lab/docker-run" --pidfile "$lab/docker.pid" -H "unix://$lab/docker.sock" \
			--bridge=none --iptables=false --ip6tables=false --ip-forward=false --exec-opt native.cgroupdriver=cgroupfs \
			</dev/null >"$lab/dockerd.log" 2>&1 &
		export DOCKER_HOST=unix://$lab/docker.sock
		for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
		tar -C "$layer" -c . | docker import - bench:latest >/dev/null 2>&1
		docker run -d --name live --network none bench:latest sleep 100000 >/dev/null
		theirs=$(median "docker exec live true") && row "docker exec of true" "$theirs ms" &&
			row "exec: docker / coracle" "$(ratio "$theirs" "$ours") x" "at least 8"
		docker rm -f live >/dev/null
		unset DOCKER_HOST
		[ -s "$lab/docker.pid" ] && kill "$(cat "$lab/docker.pid")" 2>/dev/null
		;;
	esac
done

# ---- stop ---------------------------------------------------------------------------------------
# hyperfine's --prepare is outside of what it measures
coracle create --name bye --network none "$image" sh -c 'trap "exit 0" TERM; while :; do sleep 100 & wait; done' >/dev/null
t=$(median --prepare "sh -c 'coracle start bye && sleep 0.05'" "coracle stop bye") &&
	row "stop of a container that ends on SIGTERM" "$t ms" "under 10"
coracle rm -f bye >/dev/null

# ---- attach -------------------------------------------------------------------------------------
size=4
a=$(date +%s%N)
coracle run --rm --network none --log-driver none "$image" dd if=/dev/zero bs=1M count=$((size * 1024)) 2>/dev/null | cat >/dev/null
b=$(date +%s%N)
row "attached output, raw bytes" "$(awk -v s=$size -v t=$((b - a)) 'BEGIN {printf "%.2f GB/s", s * 1.073741824 / (t / 1e9)}')" "at least 1"

# ---- idle ---------------------------------------------------------------------------------------
for _ in $(seq 9); do coracle run -d --network none "$image" sleep 100000 >/dev/null; done
sleep 3
a=$(switches "$engine")
ta=0
for p in $(pgrep -x coracle-shim); do ta=$((ta + $(switches "$p"))); done
sleep 20
tb=0
for p in $(pgrep -x coracle-shim); do tb=$((tb + $(switches "$p"))); done
row "wake-ups of the engine in 20 s, 10 containers" "$(($(switches "$engine") - a))" "0"
row "wake-ups of their shims" "$((tb - ta))" "0"

# ---- ps -----------------------------------------------------------------------------------------
for i in $(seq $((MANY - 10))); do coracle create --network none "$image" sleep 100000 >/dev/null || break; done
t=$(median "coracle ps -a") && row "ps -a with $(coracle ps -aq | wc -l) containers, 10 running" "$t ms" "under 15"
coracle ps -aq --filter status=created | xargs -r -n 50 coracle start >/dev/null
t=$(median "coracle ps") && row "ps with $(coracle ps -q | wc -l) running" "$t ms" "under 15"
coracle ps -aq | xargs -r coracle rm -f >/dev/null
kill "$engine" 2>/dev/null

{
	echo "# Everyday commands"
	echo
	echo "Medians of $RUNS runs, $(date -u +%Y-%m-%d), kernel $(uname -r), $(nproc) CPUs ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1))."
	for peer in $PEERS; do command -v "$peer" >/dev/null && echo "- $("$peer" --version 2>/dev/null | head -n 1)"; done
	echo
	echo "| what | measured | aim |"
	echo "|---|---|---|"
	printf '%s\n' "${rows[@]}"
} >"$out/daily.md"
echo "written to bench/results/daily.md"
