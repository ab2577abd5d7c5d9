#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Benchmarks beside other engines, in one run; writes bench/results/table.md. See README.md.
# usage: bench/run.sh BUILD-DIRECTORY        RUNS=30 MANY=1000 PEERS="crun podman docker" change the effort
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
RUNS=${RUNS:-30}
MANY=${MANY:-1000}
FEW=50
PEERS=${PEERS-crun podman docker}

. "$here/lib.sh"
mkdir -p "$lab/scratch"

# median in ms of a command, by hyperfine without a shell; empty when it fails
median() { # NAME COMMAND
	hyperfine -N -w 3 -r "$RUNS" --export-json "$out/$1.json" "$2" >"$out/$1.tmp" 2>&1 || {
		tail -n 3 "$out/$1.tmp" >&2
		return 1
	}
	rm -f "$out/$1.tmp"
	jq -r '.results[0] | [.median, .min, .max] | map(. * 1000 * 100 | round / 100 | tostring) | join(" ")' "$out/$1.json"
}
now_ms() { date +%s%N | awk '{printf "%.1f", $1 / 1e6}'; }
took() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1f", b - a}'; }
pss() { # PID... -> sum in KB
	local p
	for p in "$@"; do awk '/^Pss:/{print $2}' "/proc/$p/smaps_rollup" 2>/dev/null; done | awk '{s += $1} END {print s + 0}'
}
shims() { pgrep -x coracle-shim; }

start_engine
machine
echo

# ---- one run ------------------------------------------------------------------------------------
id=$(coracle create "$image" true)
layer=$(find "$CORACLE_HOME/data/layers" -mindepth 2 -maxdepth 2 -name diff | head -n 1)
coracle rm "$id" >/dev/null
declare -A ms=()
measure() { # NAME COMMAND
	local all
	all=$(median "$1" "$2") || {
		row "$1" failed
		return
	}
	ms[$1]=${all%% *}
	row "$1" "${all%% *} ms" "min/max ${all#* }"
}
gcc -O2 -static -D_GNU_SOURCE -o "$lab/floor" "$here/floor.c"
measure floor "$lab/floor $layer $lab/scratch /bin/true"
measure coracle "coracle run --rm --network none $image true"
measure coracle-detached "coracle run -d --rm --network none $image true"
for peer in $PEERS; do
	command -v "$peer" >/dev/null || { echo "$peer is not installed: left out"; continue; }
	case $peer in
	crun)
		mkdir -p "$lab/bundle" "$lab/crun"
		cp -a "$layer" "$lab/bundle/rootfs"
		(cd "$lab/bundle" && crun spec && jq '.process.terminal = false | .process.args = ["true"] |
			.process.rlimits = [] | .root.readonly = false' config.json >c && mv c config.json)
		measure crun "crun --root $lab/crun run -b $lab/bundle b$$"
		;;
	podman)
		mkdir -p "$lab/podman"
		cat >"$lab/podman/storage.conf" <<-END
			[storage]
			driver = "overlay"
			graphroot = "$lab/podman/store"
			runroot = "$lab/podman/run"
		END
		cat >"$lab/podman/containers.conf" <<-END
			[engine]
			cgroup_manager = "cgroupfs"
			events_logger = "file"
			[containers]
			log_driver = "k8s-file"
			default_ulimits = ["nofile=1024:1024", "nproc=32768:32768"]
		END
		export CONTAINERS_STORAGE_CONF=$lab/podman/storage.conf CONTAINERS_CONF=$lab/podman/containers.conf
		tar -C "$layer" -c . | podman import -q - bench:latest >/dev/null 2>&1
		measure podman "podman run --rm --network none bench:latest true"
		;;
	docker)
		# No bridge and no firewall rules: nothing of the host's network is touched.
		dockerd=$(command -v dockerd) || continue
		"$dockerd" --data-root "$lab/docker" --exec-root "$lab/docker-run" --pidfile "$lab/docker.pid" -H "unix://$lab/docker.sock" \
			--bridge=none --iptables=false --ip6tables=false --ip-forward=false --exec-opt native.cgroupdriver=cgroupfs \
			</dev/null >"$lab/dockerd.log" 2>&1 &
		export DOCKER_HOST=unix://$lab/docker.sock
		for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
		tar -C "$layer" -c . | docker import - bench:latest >/dev/null 2>&1
		measure docker "docker run --rm --network none bench:latest true"
		unset DOCKER_HOST
		[ -s "$lab/docker.pid" ] && kill "$(cat "$lab/docker.pid")" 2>/dev/null
		;;
	esac
done
c=${ms[coracle]:-0}
row "coracle / floor" "$(ratio "$c" "${ms[floor]:-0}") x"
[ -z "${ms[crun]:-}" ] || row "coracle / crun" "$(ratio "$c" "${ms[crun]}") x" "at most 1.2"
[ -z "${ms[podman]:-}" ] || row "podman / coracle" "$(ratio "${ms[podman]}" "$c") x" "at least 10"
[ -z "${ms[docker]:-}" ] || row "docker / coracle" "$(ratio "${ms[docker]}" "$c") x" "at least 15"

# ---- start of the engine ------------------------------------------------------------------------
kill "$engine"
wait "$engine" 2>/dev/null
best=()
for _ in $(seq 9); do
	a=$(now_ms)
	coracle version >/dev/null
	best+=("$(took "$a" "$(now_ms)")")
	kill "$(pgrep -x coracled)"
	while pgrep -x coracled >/dev/null; do sleep 0.01; done
done
row "engine started on demand, first answer" "$(printf '%s\n' "${best[@]}" | sort -n | sed -n 5p) ms" "well under 50"
CORACLE_TRACE=1 coracled </dev/null >"$lab/trace.log" 2>&1 &
sleep 0.5
for _ in 1 2 3; do coracle run --rm --network none "$image" true; done
tail -n 60 "$lab/trace.log" >"$out/trace.txt"
kill "$(pgrep -x coracled)"
while pgrep -x coracled >/dev/null; do sleep 0.01; done

# ---- many ---------------------------------------------------------------------------------------
start_engine
coracle version >/dev/null
a=$(now_ms)
for _ in $(seq "$FEW"); do coracle run -d --network none "$image" sleep 100000 >/dev/null || break; done
row "$FEW detached, one after the other" "$(took "$a" "$(now_ms)") ms" "at most 1500"
sleep 1
n=$(shims | wc -l)
# shellcheck disable=SC2046
row "shim PSS, each of $n" "$(($(pss $(shims)) / (n > 0 ? n : 1))) KB" "at most 400"
row "engine PSS with $n running" "$(pss "$engine") KB" "at most 15000"
a=$(now_ms)
# shellcheck disable=SC2046
coracle rm -f $(coracle ps -aq) >/dev/null
row "rm -f of all $FEW" "$(took "$a" "$(now_ms)") ms"
if [ "$MANY" -gt 0 ]; then
	marks=()
	for i in $(seq "$MANY"); do
		[ $(((i - 1) % 100)) -ne 0 ] || marks+=("$(now_ms)")
		coracle run -d --network none "$image" sleep 100000 >/dev/null || break
	done
	marks+=("$(now_ms)")
	k=${#marks[@]}
	first=$(took "${marks[0]}" "${marks[1]}")
	last=$(took "${marks[k - 2]}" "${marks[k - 1]}")
	row "$MANY running: first 100, each" "$(ratio "$first" 100) ms"
	row "$MANY running: last 100, each" "$(ratio "$last" 100) ms"
	row "growth from the first to the last hundred" "$(ratio "$last" "$first") x" "at most 1.5"
	row "engine PSS with $(shims | wc -l) running" "$(pss "$engine") KB"
	a=$(now_ms)
	coracle ps -aq | xargs -r coracle rm -f >/dev/null
	row "rm -f of all $MANY" "$(took "$a" "$(now_ms)") ms"
fi
left=$(shims | wc -l)
[ "$left" = 0 ] || row "shims left behind" "$left" "0"
kill "$engine" 2>/dev/null

{
	echo "# Benchmark results"
	echo
	echo "Medians of $RUNS runs, $(date -u +%Y-%m-%d), kernel $(uname -r), $(nproc) CPUs ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1))."
	for peer in $PEERS; do command -v "$peer" >/dev/null && echo "- $("$peer" --version 2>/dev/null | head -n 1)"; done
	echo
	echo "| what | measured | aim or spread |"
	echo "|---|---|---|"
	printf '%s\n' "${rows[@]}"
} >"$out/table.md"
echo
echo "written to bench/results/table.md; the trace of a run is in bench/results/trace.txt"
