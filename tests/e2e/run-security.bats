# SPDX-License-Identifier: Apache-2.0
# What a container may and may not do: capabilities, seccomp, devices, paths, namespaces, descriptors.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle load -q -i "$E2E_TMP/images/busybox.docker.tar" >/dev/null
}
teardown_file() { stop_engine; }

caps() { # FLAGS... -> CapEff of a program run with them
	run -0 c run --rm "$@" default sh -c 'grep CapEff /proc/self/status | cut -f2'
}

@test "the default capabilities are Docker's fourteen" {
	caps
	equals "$output" 00000000a80425fb
	run -0 c run --rm default sh -c 'grep -E "CapBnd|CapPrm|CapInh|CapAmb" /proc/self/status | cut -f2'
	equals "$output" $'0000000000000000\n00000000a80425fb\n00000000a80425fb\n0000000000000000'
}

@test "--cap-add and --cap-drop, with and without CAP_, and ALL" {
	caps --cap-add NET_ADMIN
	equals "$output" 00000000a80435fb
	caps --cap-add cap_net_admin
	equals "$output" 00000000a80435fb
	caps --cap-drop CHOWN
	equals "$output" 00000000a80425fa
	caps --cap-drop ALL
	equals "$output" 0000000000000000
	caps --cap-drop ALL --cap-add CHOWN
	equals "$output" 0000000000000001
	run c run --rm --cap-add NO_SUCH_CAP default true
	code 125
	contains "$output" "NO_SUCH_CAP"
}

@test "another user has no effective capabilities" {
	run -0 c run --rm -u 1000 default sh -c 'grep CapEff /proc/self/status | cut -f2'
	equals "$output" 0000000000000000
}

@test "capabilities work: chown yes, mount and settime no" {
	run -0 c run --rm default sh -c 'touch /f && chown 5 /f && stat -c %u /f'
	equals "$output" 5
	run c run --rm default mount -t tmpfs x /mnt
	[ "$status" -ne 0 ]
	run c run --rm default date -s '2001-01-01'
	contains "$output" "Operation not permitted"
}

@test "seccomp is on by default and off on request" {
	run -0 c run --rm default grep Seccomp: /proc/self/status
	matches "$output" '2$'
	run -0 c run --rm --security-opt seccomp=unconfined default grep Seccomp: /proc/self/status
	matches "$output" '0$'
}

@test "seccomp refuses new namespaces to a program without SYS_ADMIN" {
	run c run --rm default unshare -U true
	[ "$status" -ne 0 ]
	contains "$output" "Operation not permitted"
	run -0 c run --rm --security-opt seccomp=unconfined default unshare -U true
}

@test "a seccomp profile of the user's own" {
	cat >"$BATS_TEST_TMPDIR/p.json" <<-'END'
		{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}
	END
	run c run --rm --security-opt "seccomp=$BATS_TEST_TMPDIR/p.json" default mkdir /d
	[ "$status" -ne 0 ]
	contains "$output" "Permission denied"
	echo '{' >"$BATS_TEST_TMPDIR/bad.json"
	run c run --rm --security-opt "seccomp=$BATS_TEST_TMPDIR/bad.json" default true
	code 125
}

@test "--security-opt no-new-privileges" {
	run -0 c run --rm default grep NoNewPrivs /proc/self/status
	matches "$output" '0$'
	run -0 c run --rm --security-opt no-new-privileges default grep NoNewPrivs /proc/self/status
	matches "$output" '1$'
	run c run --rm --security-opt nonsense default true
	code 125
}

@test "masked and read-only paths, and unmask" {
	run -0 c run --rm default sh -c 'cat /proc/kcore 2>/dev/null | head -c 1 | wc -c; ls /proc/acpi 2>/dev/null | wc -l; ls /sys/firmware 2>/dev/null | wc -l'
	equals "$output" $'0\n0\n0'
	run c run --rm default sh -c 'echo 1 >/proc/sys/kernel/panic'
	[ "$status" -ne 0 ]
	contains "$output" "Read-only file system"
	run -0 c run --rm --security-opt systempaths=unconfined default sh -c 'grep -c " /proc/sys " /proc/mounts || true'
	equals "$output" 0
}

@test "/sys is read-only, cgroups too" {
	run c run --rm default sh -c 'echo 1 >/sys/kernel/profiling'
	[ "$status" -ne 0 ]
	contains "$output" "Read-only file system"
	run c run --rm default mkdir /sys/fs/cgroup/pids/x /sys/fs/cgroup/x/y
	[ "$status" -ne 0 ]
}

@test "devices: only Docker's few, and --device adds one" {
	run -0 c run --rm default ls /dev
	for d in console fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero; do
		case $d in console) continue ;; esac
		contains "$output " "$d"
	done
	lacks "$output" vda
	lacks "$output" loop
	lacks "$output" kmsg
	run c run --rm --cap-add MKNOD default sh -c 'mknod /k c 1 11 && head -c 1 /k'
	[ "$status" -ne 0 ]
	[ -c /dev/fuse ] || [ -c /dev/kmsg ] || skip_because "no device to hand in"
	dev=/dev/kmsg
	[ -c "$dev" ] || dev=/dev/fuse
	run -0 c run --rm --device "$dev:/dev/given:r" default stat -c %F /dev/given
	equals "$output" "character special file"
	run c run --rm --device /dev/no-such-device default true
	[ "$status" -ne 0 ]
	contains "$output" "/dev/no-such-device"
}

@test "--device permissions hold" {
	run -0 c run --rm --device /dev/zero:/dev/myzero:r default head -c 3 /dev/myzero
	run c run --rm --device /dev/urandom:/dev/x:rwq default true
	code 125
}

@test "--privileged: all capabilities, devices, no seccomp, writable /proc/sys" {
	run -0 c run --rm --privileged default sh -c 'grep Seccomp: /proc/self/status; ls /dev | wc -l; mkdir -p /mnt && mount -t tmpfs x /mnt && echo mounted; [ -w /proc/sys/kernel/panic ] && echo writable'
	matches "$output" 'Seccomp:.0'
	contains "$output" mounted
	contains "$output" writable
	[ "$(sed -n 2p <<<"$output")" -gt 15 ]
	bound=$(awk '/CapBnd/{print $2}' /proc/self/status)
	caps --privileged
	equals "$output" "$bound"
}

@test "--sysctl of the container's namespaces works, of the host's is refused" {
	run -0 c run --rm --sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=123456 default sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax'
	equals "$output" $'1\n123456'
	run c run --rm --sysctl kernel.panic=5 default true
	code 125
	contains "$output" "kernel.panic"
	run c run --rm --sysctl nonsense default true
	code 125
}

@test "a pid namespace by default; --pid host and container:" {
	run -0 c run --rm default sh -c 'echo $$'
	equals "$output" 1
	run -0 c run --rm --pid host default sh -c 'readlink /proc/self/ns/pid'
	equals "$output" "$(readlink /proc/self/ns/pid)"
	c run -d --name base default sleep 1234
	run -0 c run --rm --pid container:base default ps
	contains "$output" "sleep 1234"
	c rm -f base
}

@test "--ipc, --uts, --network and --cgroupns: own, host and another container's" {
	for ns in ipc uts net cgroup; do
		case $ns in net) flag=--network ;; cgroup) flag=--cgroupns ;; *) flag=--$ns ;; esac
		run -0 c run --rm $flag host default readlink /proc/self/ns/$ns
		equals "$output" "$(readlink /proc/self/ns/$ns)"
	done
	for ns in ipc uts net; do
		run -0 c run --rm default readlink /proc/self/ns/$ns
		[ "$output" != "$(readlink /proc/self/ns/$ns)" ]
	done
	run -0 c run --rm --cgroupns private default readlink /proc/self/ns/cgroup
	[ "$output" != "$(readlink /proc/self/ns/cgroup)" ]
	c run -d --name base --ipc shareable default sleep 1000
	for flag in --ipc --network; do
		ns=${flag#--}
		[ $ns = network ] && ns=net
		pid=$(c inspect --format '{{.State.Pid}}' base)
		run -0 c run --rm $flag container:base default readlink /proc/self/ns/$ns
		equals "$output" "$(readlink "/proc/$pid/ns/$ns")"
	done
	c rm -f base
	run c run --rm --network container:no-such default true
	code 125
}

@test "--ipc shareable: one /dev/shm of the given size; a private one is not shared" {
	c run -d --name donor --ipc shareable --shm-size 5m default sh -c 'echo hello >/dev/shm/f; sleep 1000'
	wait_for 5 c exec donor test -s /dev/shm/f
	run -0 c run --rm --ipc container:donor default sh -c 'cat /dev/shm/f; df -k /dev/shm | tail -n 1 | awk "{print \$2}"; echo back >/dev/shm/g'
	equals "$output" $'hello\n5120'
	run -0 c exec donor cat /dev/shm/g
	equals "$output" back
	c rm -f donor
	c run -d --name donor --ipc private default sleep 1000
	run c run --rm --ipc container:donor default true
	code 125
	contains "$output" "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
	c rm -f donor
	run -0 find "$HOME_DIR/run" -name shm
	equals "$output" ""
}

@test "--network none has loopback only, and it is up" {
	run -0 c run --rm --network none default sh -c 'ls /sys/class/net; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo alive'
	equals "$output" $'lo\nalive'
}

@test "no descriptor of the engine or the shim leaks in" {
	run -0 c run --rm default ls /proc/self/fd
	equals "$(tr '\n' ' ' <<<"$output")" "0 1 2 3 "
}

@test "the container has a session of its own and no terminal unless asked" {
	run c run --rm default tty
	contains "$output" "not a tty"
}

@test "a container cannot see the engine's files or processes" {
	run -0 c run --rm default sh -c 'ls /proc | grep -c "^[0-9]"'
	[ "$output" -le 3 ]
	run -0 c run --rm default cat /proc/1/mountinfo
	lacks "$output" "$HOME_DIR/run"
}

@test "--runtime: the default by name, others are refused" {
	run c run --rm --runtime no-such-runtime default true
	code 125
	contains "$output" "no-such-runtime"
}

@test "a container cannot write the program that executed it" {
	id=$(c run -d default sleep 1000)
	for p in $(shim_pids); do
		[ -r "/proc/$p/exe" ]
		[ ! -w "/proc/$p/exe" ]
	done
	[ -n "$p" ]
	c rm -f "$id"
}

@test "a donor's /dev/shm that leads elsewhere shows nothing of the host" {
	mkdir "$BATS_TEST_TMPDIR/secret"
	echo host >"$BATS_TEST_TMPDIR/secret/f"
	c run -d --name liar --ipc shareable --cap-add SYS_ADMIN --security-opt seccomp=unconfined default sh -c "
		umount /dev/shm && rmdir /dev/shm && ln -s '$BATS_TEST_TMPDIR/secret' /dev/shm && touch /ready; sleep 1000"
	wait_for 5 c exec liar test -e /ready
	run c run --rm --ipc container:liar default ls -a /dev/shm
	[ "$status" -ne 0 ]
	lacks "$output" $'\nf'
	c rm -f liar
}
