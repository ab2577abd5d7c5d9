# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Helpers of the end-to-end tests. Each file has an engine of its own, in a home of its own on a tmpfs.
# `c` is the client under test: our command line, or Docker's on the same socket.

E2E_CLIENT=${E2E_CLIENT:-coracle}

c() {
	if [ "$E2E_CLIENT" = docker ]; then
		DOCKER_CONFIG="$HOME_DIR/docker-config" docker -H "unix://$SOCK" "$@"
	else
		coracle "$@"
	fi
}

coracle() {
	"$BIN/coracle" "$@"
}

# A home and an engine in it. Call from setup_file; stop_engine from teardown_file.
start_engine() {
	HOME_DIR=${1:-$(mktemp -d "$E2E_TMP/home.XXXXXX")}
	SOCK=$HOME_DIR/run/coracle.sock
	export CORACLE_HOME=$HOME_DIR HOME_DIR SOCK E2E_CLIENT
	mkdir -p "$HOME_DIR/docker-config"
	run_engine
}

# The engine itself, again after a kill; its messages go to engine.log.
run_engine() {
	"$BIN/coracled" </dev/null >>"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
	ENGINE_PID=$!
	export ENGINE_PID
	echo "$ENGINE_PID" >"$HOME_DIR/engine.test-pid"
	wait_for 10 ping || {
		echo "the engine does not answer:" >&2
		tail -n 20 "$HOME_DIR/engine.log" >&2
		return 1
	}
}

ping() {
	[ "$(api GET /_ping 2>/dev/null)" = OK ]
}

# api METHOD PATH [BODY] -> body;  status METHOD PATH [BODY] -> HTTP status
api() {
	curl -s --max-time 20 --unix-socket "$SOCK" -X "$1" -H 'Content-Type: application/json' ${3:+-d "$3"} "http://d$2"
}
status() {
	curl -s --max-time 20 -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X "$1" -H 'Content-Type: application/json' ${3:+-d "$3"} "http://d$2"
}

engine_pid() {
	cat "$HOME_DIR/engine.test-pid"
}

# Pids of every process of this home: engine, shims, workers (by executable and argument or open folder).
home_pids() {
	local f name
	# One grep over all processes: a machine may have hundreds.
	grep -lsF -e "$HOME_DIR" /proc/[0-9]*/cmdline /proc/[0-9]*/environ | cut -d/ -f3 | sort -u |
		while read -r f; do
			name=$(cat "/proc/$f/comm" 2>/dev/null) || continue
			case "$name" in coracled | coracle-shim | coracle-unpack | coracle-names) echo "$f" ;; esac
		done
}
shim_pids() {
	local p
	for p in $(home_pids); do
		case "$(cat "/proc/$p/comm" 2>/dev/null)" in coracle-shim) echo "$p" ;; esac
	done
}

# Every container of the engine goes.
remove_all() {
	local ids
	ids=$(coracle ps -aq --no-trunc 2>/dev/null)
	# shellcheck disable=SC2086
	[ -z "$ids" ] || coracle rm -f $ids >/dev/null
}

stop_engine() {
	local ids
	ids=$(coracle ps -aq --no-trunc 2>/dev/null)
	# shellcheck disable=SC2086
	[ -z "$ids" ] || coracle rm -f -v $ids >/dev/null 2>&1
	local p
	for p in $(home_pids); do kill -TERM "$p" 2>/dev/null; done
	wait_for 3 no_home_pids || for p in $(home_pids); do kill -KILL "$p" 2>/dev/null; done
	for p in $(home_pids); do kill -KILL "$p" 2>/dev/null; done
	[ -n "${E2E_KEEP:-}" ] || rm -rf "$HOME_DIR"
}
no_home_pids() {
	[ -z "$(home_pids)" ]
}

# wait_for SECONDS COMMAND...: until it succeeds, every 20 ms, at least three times
wait_for() {
	local end=$((SECONDS + $1 + 1)) tries=0
	shift
	until "$@"; do
		tries=$((tries + 1))
		[ "$SECONDS" -lt "$end" ] || [ "$tries" -lt 3 ] || return 1
		sleep 0.02
	done
}

# Skip with a reason; a failure where the tests must all run.
skip_because() {
	if [ "${CORACLE_TESTS_MUST_RUN:-}" = 1 ]; then
		echo "must run, but: $*" >&2
		return 1
	fi
	skip "$*"
}
needs() {
	command -v "$1" >/dev/null || skip_because "$1 is not installed"
}

# Assertions on bats' $status, $output and $stderr.
code() {
	[ "$status" -eq "$1" ] || {
		echo "exit code $status instead of $1; output: $output ${stderr:-}" >&2
		return 1
	}
}
equals() {
	[ "$1" = "$2" ] || {
		printf 'got:      %q\nexpected: %q\n' "$1" "$2" >&2
		return 1
	}
}
contains() {
	case "$1" in *"$2"*) ;; *)
		printf 'this:         %s\nlacks:        %s\n' "$1" "$2" >&2
		return 1
		;;
	esac
}
lacks() {
	case "$1" in *"$2"*)
		printf 'this:         %s\nmust not have: %s\n' "$1" "$2" >&2
		return 1
		;;
	esac
}
matches() {
	[[ "$1" =~ $2 ]] || {
		printf 'this:          %s\ndoes not match: %s\n' "$1" "$2" >&2
		return 1
	}
}

# The container's cgroup file as it sees it itself: cg V1-CONTROLLER/FILE V2-FILE
cgroup_v2() {
	[ -f /sys/fs/cgroup/cgroup.controllers ]
}
cg() {
	if cgroup_v2; then echo "/sys/fs/cgroup/$2"; else echo "/sys/fs/cgroup/$1"; fi
}

# State of a container
state_of() {
	c inspect --format '{{.State.Status}}' "$1" 2>/dev/null
}
is_state() {
	[ "$(state_of "$1")" = "$2" ]
}
gone() {
	! c inspect "$1" >/dev/null 2>&1
}

# Partial downloads may stay: the next pull goes on with them.
# Everything that a container of this home could leave. With running ids as arguments, those may stay.
leaks() {
	local id keep=" $* "
	for id in $(ls "$HOME_DIR/run/containers" 2>/dev/null) $(ls "$HOME_DIR/data/containers" 2>/dev/null); do
		case "$keep" in *" $id "*) ;; *) echo "directory of $id" ;; esac
	done
	for id in $(find /sys/fs/cgroup -mindepth 2 -type d 2>/dev/null | grep -oE '[0-9a-f]{64}' | sort -u); do
		grep -qxF "$id" "$HOME_DIR/ids" 2>/dev/null || continue
		case "$keep" in *" $id "*) ;; *) echo "cgroup of $id" ;; esac
	done
	grep -F "$HOME_DIR/" /proc/self/mountinfo || true
	local p running
	for p in $(shim_pids); do
		running=$(tr '\0' ' ' <"/proc/$p/cmdline" | grep -oE '[0-9a-f]{64}' | head -n 1)
		case "$keep" in *" $running "*) ;; *) echo "shim $p of $running" ;; esac
	done
	find "$HOME_DIR/data/layers" "$HOME_DIR/data/ingest" "$HOME_DIR/data/trash" -mindepth 1 -maxdepth 1 \
		\( -name 'tmp-*' -o -path '*/trash/*' \) 2>/dev/null
	return 0
}
# Fails, saying what, unless nothing is left within a few seconds.
no_leaks() {
	wait_for 20 leak_free "$@" || {
		echo "left behind:" >&2
		leaks "$@" >&2
		return 1
	}
}
leak_free() {
	[ -z "$(leaks "$@")" ]
}

rss_kb() {
	awk '/^VmRSS/{print $2}' "/proc/$1/status"
}
pss_kb() {
	awk '/^Pss:/{print $2}' "/proc/$1/smaps_rollup"
}

# apart COMMAND...: in private pid and mount namespaces without the cgroup2 tree, whose lone controller confuses
# other engines; what it starts ends with it.
apart() {
	unshare --mount --propagation private --pid --fork --kill-child --mount-proc bash -c '
		umount /sys/fs/cgroup/unified 2>/dev/null; "$@"' - "$@" </dev/null
}
