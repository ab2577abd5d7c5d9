# SPDX-License-Identifier: Apache-2.0
# The main job: a real Debian image from a real docker-registry, run through both clients.
bats_require_minimum_version 1.5.0
load lib.bash

# The image is made once and kept in CORACLE_TEST_CACHE as an OCI layout.
debian_layout() {
	DEBIAN=$CORACLE_TEST_CACHE/debian12
	export DEBIAN
	[ ! -f "$DEBIAN/index.json" ] || return 0
	command -v mmdebstrap >/dev/null || return 1
	mkdir -p "$CORACLE_TEST_CACHE"
	mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
	TMPDIR=$E2E_TMP timeout 240 nsenter --net="$E2E_OUTER" -- mmdebstrap --variant=minbase --quiet bookworm "$E2E_TMP/debian.tar" ${mirror:+"$mirror"} >&2 || return 1
	python3 - "$E2E_TMP/debian.tar" "$DEBIAN.tmp" <<-'END'
		import os, sys
		sys.path.insert(0, os.environ['E2E_DIR'])
		import imagelib
		image = imagelib.Image([open(sys.argv[1], 'rb').read()], {'Cmd': ['bash']})
		imagelib.write_layout(image, sys.argv[2], 'debian:12')
	END
	rm -rf "$DEBIAN" "$E2E_TMP/debian.tar"
	mv "$DEBIAN.tmp" "$DEBIAN"
}

setup_file() {
	REASON=
	if ! command -v docker-registry >/dev/null || ! command -v skopeo >/dev/null; then
		REASON="docker-registry or skopeo is not installed"
	elif ! debian_layout; then
		REASON="no Debian image could be made (mmdebstrap and a mirror are needed)"
	fi
	export REASON
	start_engine
	[ -z "$REASON" ] || return 0
	PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	DATA=$(mktemp -d "$E2E_TMP/registry.XXXXXX")
	export PORT DATA
	cat >"$DATA/config.yml" <<-END
		version: 0.1
		log: {level: error}
		storage: {filesystem: {rootdirectory: $DATA/data}}
		http: {addr: "127.0.0.1:$PORT"}
	END
	docker-registry serve "$DATA/config.yml" </dev/null >"$DATA/log" 2>&1 3>&- 4>&- &
	echo $! >"$DATA/pid"
	wait_for 10 curl -sf "http://127.0.0.1:$PORT/v2/"
	skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$DEBIAN:12" "docker://127.0.0.1:$PORT/debian:12"
	export IMAGE=127.0.0.1:$PORT/debian:12
}
teardown_file() {
	[ -z "${DATA:-}" ] || kill "$(cat "$DATA/pid")"
	stop_engine
}
setup() {
	[ -z "$REASON" ] || skip_because "$REASON"
}

@test "pull prints what Docker prints" {
	run -0 c pull "$IMAGE"
	contains "$output" "12: Pulling from debian"
	contains "$output" "Pull complete"
	matches "$output" 'Digest: sha256:[0-9a-f]{64}'
	contains "$output" "Status: Downloaded newer image for $IMAGE"
}

@test "it runs: release, packages, users, time zone files" {
	run -0 c run --rm "$IMAGE" cat /etc/debian_version
	matches "$output" '^12\.'
	run -0 c run --rm "$IMAGE" bash -c 'dpkg -l | grep -c ^ii; id nobody; perl -e "print 6*7"'
	contains "$output" "uid=65534(nobody)"
	contains "$output" 42
}

@test "with many flags at once" {
	mkdir -p "$BATS_TEST_TMPDIR/src"
	echo data >"$BATS_TEST_TMPDIR/src/f"
	run -0 c run --rm --name deb -h deb -e A=b -w /usr/share -u 1000:1000 --memory 100m --pids-limit 50 --cpus 1 \
		--read-only --tmpfs /tmp -v "$BATS_TEST_TMPDIR/src:/src:ro" --cap-drop ALL --security-opt no-new-privileges \
		--ulimit nofile=512 --init --label x=y --add-host me:127.0.0.9 --shm-size 8m "$IMAGE" \
		bash -c 'echo $A $(hostname) $PWD $(id -u) $(cat /src/f) $(ulimit -n) $(grep -c me /etc/hosts); touch /tmp/ok && echo ok'
	equals "$output" $'b deb /usr/share 1000 data 512 1\nok'
}

@test "packages can be removed: setuid tools, chown, device files in a writable root" {
	run -0 c run --rm "$IMAGE" bash -c 'dpkg --force-all --purge mawk >/dev/null 2>&1; touch /f && chown nobody /f && stat -c %U /f'
	contains "$output" nobody
}

@test "a foreign runtime agrees on the files" {
	command -v umoci >/dev/null || skip_because "umoci is not installed"
	umoci unpack --image "$DEBIAN:12" "$E2E_TMP/umoci.$E2E_CLIENT" >/dev/null 2>&1
	list='find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./etc/hosts -o -path ./etc/hostname -o -path ./etc/resolv.conf \) -prune -o ! -name . -printf "%P %y %m %U %G %s %l\n"'
	# directory sizes differ between file systems
	norm() { awk '$2 == "d" {$6 = "-"} {print}' | sort; }
	(cd "$E2E_TMP/umoci.$E2E_CLIENT/rootfs" && eval "$list") | norm >"$BATS_TEST_TMPDIR/a"
	c run --rm -w / "$IMAGE" bash -c "$list" | norm >"$BATS_TEST_TMPDIR/b"
	rm -rf "$E2E_TMP/umoci.$E2E_CLIENT"
	run diff "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
	equals "$(grep -v -e ' \.dockerenv ' -e ' run/' <<<"$output" | grep -c '^[<>]')" 0 || {
		grep '^[<>]' <<<"$output" | head -n 20 >&2
		return 1
	}
}

@test "removed again without a rest" {
	c rmi "$IMAGE"
	no_leaks
}
