# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by bench/run.sh and bench/daily.sh, which set `here` and `build`: a private place, rows of a table, an engine.

# Private pid and mount namespaces: daemons and stores go away with the script. Without cgroup2 beside
# version 1, because crun 1.8 refuses such a host when a controller lives there.
if [ -z "${CORACLE_BENCH_INSIDE:-}" ]; then
	exec setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
		env CORACLE_BENCH_INSIDE=1 "$0" "$build"
fi
if [ -d /sys/fs/cgroup/unified ] && grep -q . /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null; then
	umount /sys/fs/cgroup/unified
fi
lab=/mnt
mount -t tmpfs -o size=75% bench "$lab" || exit 1
out=$here/results
mkdir -p "$out"
export CORACLE_HOME=$lab/home PATH=$build:$build/src/main:$PATH
unset DOCKER_HOST DOCKER_CONTEXT
image=default
rows=()

row() { # NAME VALUE TARGET
	rows+=("| $1 | $2 | ${3:-} |")
	printf '%-64s %18s   %s\n' "$1" "$2" "${3:-}"
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", (b > 0) ? a / b : 0}'; }
# Sets `engine` to its pid. No command before it listens: that would start another.
start_engine() {
	coracled </dev/null >>"$lab/engine.log" 2>&1 &
	engine=$!
	for _ in $(seq 500); do [ -S "$CORACLE_HOME/run/coracle.sock" ] && break; sleep 0.01; done
}
machine() {
	echo "load: $(cut -d' ' -f1-3 /proc/loadavg), kernel $(uname -r), $(nproc) CPUs, $RUNS runs each"
}
