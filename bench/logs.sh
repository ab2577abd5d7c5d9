#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A container that writes 500 MB/s: what each log driver takes, what the engine's memory and the other commands feel,
# beside podman and docker. Writes bench/results/logs.md.
# usage: bench/logs.sh BUILD-DIRECTORY     SECONDS_EACH=8 RATE=500 RUNS=20 PEERS="podman docker" change the effort
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
SECONDS_EACH=${SECONDS_EACH:-8}
RATE=${RATE:-500}
RUNS=${RUNS:-20}
PEERS=${PEERS-podman docker}

. "$here/lib.sh"

# The writer: lines of 1000 bytes, at most RATE MB/s, until the time is over; /result tells how many the
# log took. A pipe that is full slows it down, which is what the table shows.
writer=$lab/writer
cat >"$lab/writer.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int argc, char **argv)
{
	static char block[100000];
	double rate = atof(argv[1]) * 1e6, seconds = atof(argv[2]), start, done = 0, t;

	for (int i = 0; i < 100; i++) {
		memset(block + 1000 * i, 'a' + i % 26, 999);
		block[1000 * i + 999] = '\n';
	}
	for (start = now(); (t = now() - start) < seconds;) {
		if (done > rate * t) {
			usleep(1000);
			continue;
		}
		for (size_t at = 0; at < sizeof block;) {
			ssize_t n = write(1, block + at, sizeof block - at);
			if (n < 0)
				return 1;
			at += (size_t)n;
		}
		done += sizeof block;
	}
	FILE *result = fopen("/result", "w");
	fprintf(result, "%.0f MB/s\n", done / 1e6 / t);
	return fclose(result);
}
END
cc -O2 -static -o "$writer" "$lab/writer.c" || exit 1

memory() { awk '/^Pss:/ {s += $2} END {print s + 0}' "/proc/$1/smaps_rollup" 2>/dev/null || echo 0; } # kB
# Medians of `runs` runs of a command in ms, and the worst.
latency() {
	local a b
	for _ in $(seq "$RUNS"); do
		a=$(date +%s%N)
		"$@" >/dev/null 2>&1
		b=$(date +%s%N)
		echo $(((b - a) / 1000))
	done | sort -n | awk '{v[NR] = $1} END {printf "%.1f (%.1f)", v[int((NR + 1) / 2)] / 1000, v[NR] / 1000}'
}
# flood NAME ENGINE-PID CLI DRIVER [OPTION...]: one row
flood() {
	local name=$1 pid=$2 cli=$3 driver=$4 before during after lat lat2
	shift 4
	before=$(memory "$pid")
	: >"$lab/result"
	"$cli" run -d --name flood --network none --log-driver "$driver" "$@" -v "$writer:/writer:ro" -v "$lab/result:/result" "$image" \
		/writer "$RATE" "$SECONDS_EACH" >/dev/null || return 1
	sleep 1
	lat=$(latency "$cli" exec live true)
	lat2=$(latency "$cli" ps)
	during=$(memory "$pid")
	"$cli" wait flood >/dev/null
	after=$(memory "$pid")
	row "$name, $driver${*:+ $*}" "$(cat "$lab/result") | $lat | $lat2 | $before / $during / $after"
	"$cli" rm -f flood >/dev/null
}

start_engine
machine
coracle run -d --name live --network none "$image" sleep 100000 >/dev/null
row "coracle, no flood" "- | $(latency coracle exec live true) | $(latency coracle ps) | $(memory "$engine")"
flood coracle "$engine" coracle none
flood coracle "$engine" coracle json-file --log-opt max-size=100m --log-opt max-file=3
flood coracle "$engine" coracle json-file --log-opt max-size=100m --log-opt max-file=3 --log-opt mode=non-blocking
flood coracle "$engine" coracle local
flood coracle "$engine" coracle local --log-opt compress=false
# somebody reads it all the time
coracle run -d --name flood2 --network none --log-opt max-size=100m --log-opt max-file=3 -v "$writer:/writer:ro" -v "$lab/result:/result" "$image" \
	/writer "$RATE" "$SECONDS_EACH" >/dev/null
coracle logs -f flood2 >/dev/null 2>&1 &
follower=$!
sleep 1
row "coracle, json-file followed by a client" "- | $(latency coracle exec live true) | $(latency coracle ps) | $(memory "$engine")"
kill "$follower"
coracle rm -f flood2 live >/dev/null
kill "$engine" 2>/dev/null

layer=$(find "$CORACLE_HOME/data/layers" -mindepth 2 -maxdepth 2 -name diff | head -n 1)
for peer in $PEERS; do
	command -v "$peer" >/dev/null || { echo "$peer is not installed: left out"; continue; }
	image=bench:latest
	case $peer in
	podman)
		p() { podman --root "$lab/podman" --runroot "$lab/podman-run" --cgroup-manager cgroupfs --events-backend file "$@"; }
		tar -C "$layer" -c . | p import - "$image" >/dev/null 2>&1 || { echo "podman does not work here: left out"; continue; }
		p run -d --name live --network none "$image" sleep 100000 >/dev/null
		# it has a conmon for each container and no engine
		flood podman self p k8s-file --log-opt max-size=100mb
		p rm -f -t 0 live >/dev/null
		;;
	docker)
		dockerd=$(command -v dockerd) || continue
		"$dockerd" --data-root "$lab/docker" --exec-root "$lab/docker-run" --pidfile "$lab/docker.pid" -H "unix://$lab/docker.sock" \
			--bridge=none --iptables=false --ip6tables=false --ip-forward=false --exec-opt native.cgroupdriver=cgroupfs \
			</dev/null >"$lab/dockerd.log" 2>&1 &
		export DOCKER_HOST=unix://$lab/docker.sock
		for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
		tar -C "$layer" -c . | docker import - "$image" >/dev/null 2>&1
		docker run -d --name live --network none "$image" sleep 100000 >/dev/null
		row "docker, no flood" "- | $(latency docker exec live true) | $(latency docker ps) | $(memory "$(cat "$lab/docker.pid")")"
		flood docker "$(cat "$lab/docker.pid")" docker none
		flood docker "$(cat "$lab/docker.pid")" docker json-file --log-opt max-size=100m --log-opt max-file=3
		flood docker "$(cat "$lab/docker.pid")" docker local
		docker rm -f live >/dev/null
		unset DOCKER_HOST
		[ -s "$lab/docker.pid" ] && kill "$(cat "$lab/docker.pid")" 2>/dev/null
		;;
	esac
done

{
	echo "# A container that writes $RATE MB/s"
	echo
	echo "Lines of 1000 bytes for $SECONDS_EACH s, files on a tmpfs, $(date -u +%Y-%m-%d), kernel $(uname -r), $(nproc) CPUs; load $(cut -d' ' -f1-3 /proc/loadavg)."
	echo "Times are medians of $RUNS commands during the flood, the worst in brackets; memory is the PSS of the engine."
	echo
	echo "| what | taken by the log | exec of true, ms | ps, ms | engine before / during / after, kB | |"
	echo "|---|---|---|---|---|---|"
	printf '%s\n' "${rows[@]}"
} >"$out/logs.md"
echo "written to bench/results/logs.md"
