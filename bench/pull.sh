#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pull, save and load of a large image beside other engines and the floor, in one run; writes
# bench/results/pull.md. See README.md.
# usage: bench/pull.sh BUILD-DIRECTORY      RUNS=5 PEERS="podman docker" STORE=ext4|tmpfs WHAT="pull update save load memory"
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
RUNS=${RUNS:-5}
PEERS=${PEERS-podman docker}
STORE=${STORE:-ext4}
WHAT=${WHAT:-pull update save load memory}
KINDS=${KINDS:-gzip zstd}
IMAGE=${BENCH_IMAGE:-/var/cache/coracle-bench/big}
SCRATCH=${BENCH_SCRATCH:-/var/tmp}

# Private pid, mount and network namespaces: registry, daemons and stores go away with this script.
if [ -z "${CORACLE_BENCH_INSIDE:-}" ]; then
	"$here/pull/image.sh" "$IMAGE" || exit 1
	exec setpriv --pdeathsig KILL unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc \
		env CORACLE_BENCH_INSIDE=1 "$0" "$build"
fi
ip link set lo up
if [ -d /sys/fs/cgroup/unified ] && grep -q . /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null; then
	umount /sys/fs/cgroup/unified # crun 1.8 refuses a host with cgroup v1 where cgroup2 has a controller
fi
# Stores lie on an ext4 with a journal in a loop file that has no name any more: nothing is left when this ends.
lab=/mnt
if [ "$STORE" = ext4 ]; then
	disk=$(mktemp "$SCRATCH/coracle-bench.XXXXXX")
	truncate -s 12G "$disk"
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$disk" && mount -o loop,discard "$disk" "$lab" || exit 1
	rm -f "$disk"
else
	mount -t tmpfs -o size=75% bench "$lab" || exit 1
fi
mkdir -p "$lab/reg" "$lab/x" "$lab/podman"
out=$here/results
export CORACLE_HOME=$lab/home PATH=$build:$build/src/main:$PATH
unset DOCKER_HOST DOCKER_CONTEXT
raw=$lab/raw
notes=$lab/notes
: >"$raw"
: >"$notes"
note() { # KEY VALUE AIM
	echo "$1|$2|${3:-}" >>"$notes"
	printf '%-52s %28s   %s\n' "$1" "$2" "${3:-}"
}
load=$(cut -d' ' -f1-3 /proc/loadavg)

# ---- the registry and the peers -----------------------------------------------------------------
cat >"$lab/registry.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $lab/reg}}
http: {addr: "127.0.0.1:5000"}
END
REGISTRY_VALIDATION_DISABLED=true docker-registry serve "$lab/registry.yml" </dev/null >"$lab/registry.log" 2>&1 &
reg=127.0.0.1:5000
for _ in $(seq 100); do curl -sf "http://$reg/v2/" >/dev/null && break; sleep 0.1; done
for tag in gzip zstd gzip-new zstd-new; do
	skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$IMAGE:$tag" "docker://$reg/big:$tag" || exit 1
done
cat >"$lab/podman/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$lab/podman/store"
runroot = "$lab/podman/run"
END
cat >"$lab/podman/registries.conf" <<END
[[registry]]
location = "$reg"
insecure = true
END
cat >"$lab/podman/containers.conf" <<END
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
export CONTAINERS_STORAGE_CONF=$lab/podman/storage.conf CONTAINERS_REGISTRIES_CONF=$lab/podman/registries.conf \
	CONTAINERS_CONF=$lab/podman/containers.conf TMPDIR=$lab
for peer in $PEERS; do
	[ "$peer" = docker ] || continue
	# No bridge and no firewall rules: nothing of the host's network is touched.
	dockerd --data-root "$lab/docker" --exec-root "$lab/docker-run" --pidfile "$lab/docker.pid" -H "unix://$lab/docker.sock" \
		--bridge=none --iptables=false --ip6tables=false --ip-forward=false --exec-opt native.cgroupdriver=cgroupfs \
		--insecure-registry "$reg" </dev/null >"$lab/dockerd.log" 2>&1 &
	export DOCKER_HOST=unix://$lab/docker.sock
	for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
done

# ---- what is measured ---------------------------------------------------------------------------
engine=
engine_start() {
	coracled </dev/null >>"$lab/engine.log" 2>&1 &
	engine=$!
	# The client would start an engine of its own while there is no socket.
	for _ in $(seq 100); do [ -S "$CORACLE_HOME/run/coracle.sock" ] && break; sleep 0.05; done
	coracle version >/dev/null
}
engine_stop() {
	[ -z "$engine" ] || { kill "$engine"; wait "$engine"; } 2>/dev/null
	engine=
}
empty() { # WHO: no image in its store
	case $1 in
	floor*) rm -rf "$lab/x" && mkdir "$lab/x" ;;
	coracle)
		engine_stop
		rm -rf "$CORACLE_HOME"
		engine_start
		;;
	podman) podman rmi -a -f >/dev/null 2>&1 ;;
	docker) docker image ls -aq | xargs -r docker rmi -f >/dev/null 2>&1 ;;
	esac
	sync
}
# CPU ticks of the daemons that work for WHO; children they waited for are in it
daemon_ticks() {
	local pids=
	case $1 in
	coracle) pids=$engine ;;
	docker) pids="$(cat "$lab/docker.pid") $(pgrep -d' ' -P "$(cat "$lab/docker.pid")")" ;;
	esac
	for p in $pids; do sed 's/.*) //' "/proc/$p/stat"; done 2>/dev/null | awk '{t += $12 + $13 + $14 + $15} END {print t + 0}'
}
timed() { # WHAT WHO COMMAND...
	local what=$1 who=$2 before after a b
	shift 2
	before=$(daemon_ticks "$who")
	a=$(date +%s.%N)
	if ! /usr/bin/time -o "$lab/time" -f '%U %S' "$@" >"$lab/out" 2>&1; then
		echo "$what $who failed: $(tail -n 1 "$lab/out")" >&2
		return 1
	fi
	b=$(date +%s.%N)
	after=$(daemon_ticks "$who")
	tail -n 1 "$lab/time" | awk -v a="$a" -v b="$b" -v t=$((after - before)) -v w="$what" -v n="$who" \
		'{printf "%s %s %.3f %.2f\n", w, n, b - a, $1 + $2 + t / 100}' | tee -a "$raw"
}

# The floor: two layers at a time, each downloaded, inflated and unpacked by the fastest programs of the
# distribution. floor+sha also hashes both what comes and what goes into tar, as every engine must.
cat >"$lab/floor" <<'END'
#!/bin/bash
# usage: floor bare|sha KIND REGISTRY DIRECTORY
one() { # NUMBER DIGEST
	local inflate="igzip -dc" dir=$4/$1
	[ "$3" = gzip ] || inflate="zstd -dc"
	mkdir "$dir"
	if [ "$6" = bare ]; then
		curl -sf "http://$5/v2/big/blobs/$2" | $inflate | tar -x -C "$dir" --same-owner
	else
		curl -sf "http://$5/v2/big/blobs/$2" | tee >(openssl dgst -sha256 >"$dir.in") | $inflate |
			tee >(openssl dgst -sha256 >"$dir.out") | tar -x -C "$dir" --same-owner
	fi
}
export -f one
curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$3/v2/big/manifests/$2" |
	jq -r '.layers[].digest' | nl | xargs -P2 -L1 bash -c 'one $0 $1 '"$2 $4 $3 $1"
END
chmod +x "$lab/floor"

pull_once() { # WHO KIND
	case $1 in
	floor) timed "pull-$2" floor "$lab/floor" bare "$2" "$reg" "$lab/x" ;;
	floor+sha) timed "pull-$2" floor+sha "$lab/floor" sha "$2" "$reg" "$lab/x" ;;
	*) timed "pull-$2" "$1" "$1" pull -q "$reg/big:$2" ;;
	esac
}
lo_bytes() { awk '$1 == "lo:" {print $2}' /proc/net/dev; }
has() { case " $WHAT " in *" $1 "*) return 0 ;; esac; return 1; }

echo "load $load, kernel $(uname -r), $(nproc) CPUs, store on $STORE, $RUNS runs each, interleaved"
# Page cache and programs warm: one round of the floor that does not count.
"$lab/floor" bare gzip "$reg" "$lab/x"
if has pull; then
	for _ in $(seq "$RUNS"); do
		for kind in $KINDS; do
			for who in floor floor+sha coracle $PEERS; do
				empty "$who"
				pull_once "$who" "$kind"
				[ "$STORE" != ext4 ] || case $who in
				floor) timed "sync-after-$kind" floor sync -f "$lab" ;;
				esac
				empty "$who"
			done
		done
	done
fi
if has update; then
	for who in coracle $PEERS; do
		empty "$who"
		"$who" pull -q "$reg/big:gzip" >/dev/null 2>&1
		a=$(lo_bytes)
		timed update "$who" "$who" pull -q "$reg/big:gzip-new"
		b=$(lo_bytes)
		note "bytes over the wire for the update, $who" "$((b - a))"
		empty "$who"
	done
	note "size of the two new layers" "$(jq -s '(.[1] - .[0]) | map(.size) | add' \
		<(skopeo inspect --raw "oci:$IMAGE:gzip" | jq .layers) <(skopeo inspect --raw "oci:$IMAGE:gzip-new" | jq .layers))"
fi
if has save || has load; then
	for who in coracle $PEERS; do
		empty "$who"
		"$who" pull -q "$reg/big:gzip" >/dev/null 2>&1
	done
	for _ in $(seq "$RUNS"); do
		for who in coracle $PEERS; do
			rm -f "$lab/$who.tar"
			sync
			timed save "$who" "$who" save -o "$lab/$who.tar" "$reg/big:gzip"
		done
		for who in coracle $PEERS; do # the bytes of an archive, copied
			rm -f "$lab/copy.tar"
			sync
			timed save "floor(cp-$who)" cp "$lab/$who.tar" "$lab/copy.tar"
		done
		rm -f "$lab/copy.tar"
	done
	for who in coracle $PEERS; do note "archive of $who" "$(stat -c %s "$lab/$who.tar") bytes"; done
fi
if has load; then
	cat >"$lab/floor-load" <<'END'
#!/bin/bash
# usage: floor-load ARCHIVE DIRECTORY: unpack a docker-archive and its layers, two at a time
set -e
mkdir "$2/a"
tar -xf "$1" -C "$2/a"
jq -r '.[0].Layers[]' "$2/a/manifest.json" | nl |
	xargs -P2 -L1 bash -c "mkdir $2/\$0 && tar -xf $2/a/\$1 -C $2/\$0 --same-owner"
END
	chmod +x "$lab/floor-load"
	archive=$lab/docker.tar
	[ -f "$archive" ] || archive=$lab/podman.tar
	for _ in $(seq "$RUNS"); do
		if [ -f "$archive" ]; then
			for who in floor coracle $PEERS; do
				empty "$who"
				if [ "$who" = floor ]; then
					timed load-docker-archive floor "$lab/floor-load" "$archive" "$lab/x"
				else
					timed load-docker-archive "$who" "$who" load -q -i "$archive"
				fi
				empty "$who"
			done
		fi
		for who in coracle $PEERS; do
			empty "$who"
			timed load-own-archive "$who" "$who" load -q -i "$lab/$who.tar"
			empty "$who"
		done
	done
	rm -f "$lab"/*.tar
fi
# Memory in runs of its own, because the sampling costs time.
peak() { # WHAT WHO NAMES WORKER COMMAND...
	local what=$1 who=$2 names=$3 worker=$4 p aim=
	shift 4
	[ "$who" != coracle ] || aim="at most 102400 KB, one worker 65536 KB"
	python3 "$here/pull/peak.py" "$names" "$worker" "$lab/peak" &
	p=$!
	sleep 0.3
	"$@" >/dev/null 2>&1
	kill "$p"
	wait "$p"
	read -r total single <"$lab/peak"
	note "memory of $what, $who: all processes, largest worker" "$total KB, $single KB" "$aim"
}
if has memory; then
	for who in coracle $PEERS; do
		case $who in
		coracle) names='coracle.*' worker='coracle-unpack' ;;
		podman) names='podman.*|exe|storage-untar.*' worker='podman' ;;
		docker) names='docker|dockerd|containerd.*|docker-.*|exe' worker='docker-.*|exe' ;;
		esac
		for kind in $KINDS; do
			empty "$who"
			peak "pull $kind" "$who" "$names" "$worker" "$who" pull -q "$reg/big:$kind"
		done
		empty "$who"
		"$who" pull -q "$reg/big:gzip" >/dev/null 2>&1
		peak save "$who" "$names" "$worker" "$who" save -o "$lab/m.tar" "$reg/big:gzip"
		empty "$who"
		peak load "$who" "$names" "$worker" "$who" load -q -i "$lab/m.tar"
		empty "$who"
		rm -f "$lab/m.tar"
	done
fi
engine_stop
{
	echo "# Pull, save and load"
	echo
	echo "$(date -u +%Y-%m-%d), kernel $(uname -r), $(nproc) CPUs ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), load" \
		"at the start $load, stores on $STORE, medians of $RUNS runs, interleaved. Written by \`bench/pull.sh\`."
	for peer in $PEERS; do echo "- $("$peer" --version 2>/dev/null | head -n 1)"; done
	echo
	python3 "$here/pull/table.py" "$raw" "$notes"
} >"$lab/pull.md"
# What people wrote below the tables stays.
[ ! -f "$out/pull.md" ] || sed -n '/^## Where the time goes/,$p' "$out/pull.md" >"$lab/kept"
{
	cat "$lab/pull.md"
	[ ! -s "$lab/kept" ] || { echo && cat "$lab/kept"; }
} >"$out/pull.md.new"
mv "$out/pull.md.new" "$out/pull.md"
[ -z "${BENCH_RAW:-}" ] || cp "$raw" "$BENCH_RAW"
echo
cat "$lab/pull.md"
for p in $(jobs -p); do kill "$p" 2>/dev/null; done
wait
