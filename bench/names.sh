#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The name service: answers a second and their latency, asked at 127.0.0.11 in a container's namespace by dnsperf.
# usage: bench/names.sh BUILD-DIRECTORY [SECONDS]     prints a table; the aim is 20,000 a second, p99 under 2 ms
# Runs in a network namespace of its own.
set -euo pipefail
if [ -z "${NAMES_INSIDE:-}" ]; then
	exec env NAMES_INSIDE=1 unshare --net --fork --kill-child -- "$0" "$@"
fi
bin=$(cd "$1" && pwd)
[ -x "$bin/coracle" ] || bin=$bin/src/main
seconds=${2:-5}
ip link set lo up
CORACLE_HOME=$(mktemp -d /dev/shm/coracle-names-bench.XXXXXX)
export CORACLE_HOME
"$bin/coracled" >"$CORACLE_HOME/engine.log" 2>&1 &
engine=$!
finish() {
	"$bin/coracle" rm -f web api db >/dev/null 2>&1 || true
	kill "$engine" 2>/dev/null || true
	wait "$engine" || true
	rm -rf "$CORACLE_HOME"
}
trap finish EXIT
for _ in $(seq 100); do "$bin/coracle" version >/dev/null 2>&1 && break; sleep 0.1; done
"$bin/coracle" network create front >/dev/null
for name in web api db; do
	"$bin/coracle" run -d --name $name --network front --network-alias all default sleep 1000 >/dev/null
done
pid=$("$bin/coracle" inspect -f '{{.State.Pid}}' web)
names=$(pgrep -x -P "$engine" coracle-names)
address=$("$bin/coracle" inspect -f '{{with index .NetworkSettings.Networks "front"}}{{.IPAddress}}{{end}}' web)
reverse=$(awk -F. '{ print $4 "." $3 "." $2 "." $1 }' <<<"$address").in-addr.arpa
printf '%s\n' 'web A' 'api A' 'all A' 'all AAAA' 'db.front A' "$reverse PTR" >"$CORACLE_HOME/queries"

# measure NAME DNSPERF-ARGUMENTS...
measure() {
	local what=$1 before after
	shift
	before=$(awk '{ print $14 + $15 }' "/proc/$names/stat")
	nsenter -t "$pid" -n dnsperf -s 127.0.0.11 -d "$CORACLE_HOME/queries" -l "$seconds" -v "$@" >"$CORACLE_HOME/out" 2>&1
	after=$(awk '{ print $14 + $15 }' "/proc/$names/stat")
	# one line a query: > NOERROR a A 0.000123
	awk '/^> / && NF >= 5 { print $NF }' "$CORACLE_HOME/out" | sort -g >"$CORACLE_HOME/times"
	awk -v what="$what" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
		FNR == NR { t[++n] = $1; next }
		/Queries per second/ { rate = $NF } /Queries lost/ { lost = $3 }
		END {
			printf "| %s | %.0f | %.2f | %.2f | %d | %.1f |\n", what, rate, 1e3 * t[int(n / 2)],
				1e3 * t[int(n * 0.99)], lost, n ? 1e6 * ticks / hz / n : 0
		}' "$CORACLE_HOME/times" "$CORACLE_HOME/out"
}
echo "load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, kernel $(uname -r)"
echo '| load | answers/s | p50 ms | p99 ms | lost | us of CPU each |'
echo '|---|---|---|---|---|---|'
measure 'UDP, as fast as it goes' -c 20 -q 40
measure 'UDP, 20,000/s asked for' -c 20 -q 40 -Q 20000
measure 'TCP' -c 20 -q 40 -m tcp
echo "resident: $(awk '/VmRSS/ { print $2 }' "/proc/$names/status") kB"
