# SPDX-License-Identifier: Apache-2.0
# Files: hosts, resolv.conf, volumes, mounts, tmpfs, read-only roots, what layers brought.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	for i in configured busybox.docker layered; do coracle load -q -i "$E2E_TMP/images/$i.tar" >/dev/null; done
}
teardown_file() { stop_engine; }

@test "/etc/hosts has localhost, the own name and --add-host" {
	run -0 c run --rm -h boat --add-host db:10.1.2.3 --add-host six:::1 busybox cat /etc/hosts
	contains "$output" "127.0.0.1"
	contains "$output" localhost
	matches "$output" $'10\\.1\\.2\\.3[\t ]+db'
	matches "$output" $'::1[\t ]+six'
}

@test "/etc/resolv.conf follows --dns, --dns-search and --dns-option" {
	run -0 c run --rm --dns 9.9.9.9 --dns 1.1.1.1 --dns-search example.org --dns-option ndots:2 busybox cat /etc/resolv.conf
	contains "$output" "nameserver 9.9.9.9"
	contains "$output" "nameserver 1.1.1.1"
	contains "$output" "search example.org"
	contains "$output" "options ndots:2"
}

@test "/etc/hosts and its like are writable and per container" {
	c run -d --name w1 busybox sleep 1000
	run -0 c run --rm busybox sh -c 'echo 1.2.3.4 mine >>/etc/hosts; grep -c mine /etc/hosts'
	equals "$output" 1
	run -0 c run --rm busybox grep -c mine /etc/hosts || true
	c rm -f w1
}

@test "-v binds a folder, both ways, and :ro forbids writing" {
	d=$BATS_TEST_TMPDIR/src
	mkdir -p "$d"
	echo from-host >"$d/file"
	run -0 c run --rm -v "$d:/mnt/x" busybox sh -c 'cat /mnt/x/file; echo from-inside >/mnt/x/back'
	equals "$output" from-host
	equals "$(cat "$d/back")" from-inside
	run c run --rm -v "$d:/mnt/x:ro" busybox touch /mnt/x/no
	[ "$status" -ne 0 ]
	contains "$output" "Read-only file system"
	[ ! -e "$d/no" ]
}

@test "-v binds a single file" {
	echo single >"$BATS_TEST_TMPDIR/one"
	run -0 c run --rm -v "$BATS_TEST_TMPDIR/one:/etc/one:ro" busybox cat /etc/one
	equals "$output" single
}

@test "-v makes a missing source folder, --mount refuses it" {
	c run --rm -v "$BATS_TEST_TMPDIR/made:/m" busybox touch /m/f
	[ -f "$BATS_TEST_TMPDIR/made/f" ]
	run c run --rm --mount "type=bind,src=$BATS_TEST_TMPDIR/missing,dst=/m" busybox true
	code 125
	contains "$output" "bind source path does not exist"
}

@test "--mount bind with readonly, and errors name the field" {
	mkdir -p "$BATS_TEST_TMPDIR/b"
	run c run --rm --mount "type=bind,source=$BATS_TEST_TMPDIR/b,target=/b,readonly" busybox touch /b/x
	[ "$status" -ne 0 ]
	contains "$output" "Read-only file system"
	run c run --rm --mount "type=bind,source=$BATS_TEST_TMPDIR/b" busybox true
	code 125
	contains "$output" "target is required"
	run c run --rm --mount "type=nothing,target=/x" busybox true
	code 125
}

@test "a read-only bind stays so for mounts below it" {
	mkdir -p "$BATS_TEST_TMPDIR/r/sub"
	mount -t tmpfs tmpfs "$BATS_TEST_TMPDIR/r/sub" || skip_because "cannot mount here"
	run c run --rm -v "$BATS_TEST_TMPDIR/r:/r:ro" busybox touch /r/sub/x
	umount "$BATS_TEST_TMPDIR/r/sub"
	[ "$status" -ne 0 ]
}

@test "a relative or empty container path is refused" {
	run c run --rm -v /tmp:relative busybox true
	code 125
	run c run --rm -v /tmp:/ busybox true
	code 125
}

@test "a named volume lives on between containers" {
	c run --rm -v vol1:/v busybox sh -c 'echo kept >/v/f'
	run -0 c run --rm -v vol1:/other busybox cat /other/f
	equals "$output" kept
	run -0 c volume ls -q
	contains "$output" vol1
	run -0 c volume inspect --format '{{.Name}} {{.Driver}} {{.Scope}}' vol1
	equals "$output" "vol1 local local"
	c volume rm vol1
}

@test "an empty volume gets a copy of what the image has there" {
	run -0 c run --rm --user 0 --entrypoint sh -v cp1:/data configured -c 'cat /data/seed; stat -c "%u %g %a" /data/seed /data/sub; readlink /data/ln; echo changed >/data/seed'
	equals "$output" $'seed1000 1000 640\n1000 29 2750\nseed'
	run -0 c run --rm --user 0 --entrypoint cat -v cp1:/data configured /data/seed
	equals "$output" changed
	run -0 c run --rm --user 0 --entrypoint ls -v cp2:/data:nocopy configured -A /data
	equals "$output" ""
	run -0 c run --rm --user 0 --entrypoint ls --mount type=volume,src=cp3,dst=/data,volume-nocopy configured -A /data
	equals "$output" ""
	c volume rm cp1 cp2 cp3
}

@test "VOLUME of the image makes an anonymous one, rm -v takes it away" {
	c run --name anon configured
	run -0 c inspect --format '{{(index .Mounts 0).Type}} {{(index .Mounts 0).Destination}}' anon
	equals "$output" "volume /data"
	vol=$(c inspect --format '{{(index .Mounts 0).Name}}' anon)
	run -0 c volume ls -q
	contains "$output" "$vol"
	c rm -v anon
	run -0 c volume ls -q
	lacks "$output" "$vol"
}

@test "run --rm takes anonymous volumes along, named ones stay" {
	c run --rm -v /anon -v named1:/n busybox true
	sleep 0.2
	run -0 c volume ls -q
	equals "$output" named1
	c volume rm named1
}

@test "--volumes-from takes the mounts of others, :ro read-only" {
	mkdir -p "$BATS_TEST_TMPDIR/d"
	c create --name giver -v given:/vol -v "$BATS_TEST_TMPDIR/d:/dir:ro" busybox true
	run -0 c run --rm --volumes-from giver busybox sh -c 'echo x >/vol/file; touch /dir/no 2>&1; true'
	contains "$output" "Read-only"
	run -0 c run --rm --volumes-from giver:ro busybox sh -c 'cat /vol/file; touch /vol/no 2>&1; true'
	contains "$output" x
	contains "$output" "Read-only"
	run c run --rm --volumes-from nobody busybox true
	code 125
	contains "$output" "No such container: nobody"
	run c run --rm --volumes-from giver:xx busybox true
	code 125
	c rm giver
	c volume rm given
}

@test "a volume in use is not removed" {
	c run -d --name user -v busy:/b busybox sleep 1000
	run c volume rm busy
	[ "$status" -ne 0 ]
	contains "$output" "in use"
	c rm -f user
	c volume rm busy
}

@test "--tmpfs and --mount tmpfs with options" {
	run -0 c run --rm --tmpfs /t:size=3m,mode=1750 busybox sh -c 'stat -c %a /t; grep " /t " /proc/mounts; df -k /t | tail -n 1'
	contains "$output" 1750
	contains "$output" "tmpfs"
	contains "$output" "noexec"
	contains "$output" "3072"
	run -0 c run --rm --mount type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=700 busybox sh -c 'stat -c %a /t; df -k /t | tail -n 1'
	contains "$output" 700
	contains "$output" "2048"
}

@test "--read-only: the root refuses writes, /dev/shm and volumes do not" {
	run c run --rm --read-only busybox touch /x
	[ "$status" -ne 0 ]
	contains "$output" "Read-only file system"
	run -0 c run --rm --read-only --tmpfs /tmp -v ro1:/v busybox sh -c 'touch /tmp/x /v/x /dev/shm/x && echo ok'
	equals "$output" ok
	c volume rm ro1
}

@test "--shm-size" {
	run -0 c run --rm busybox df -k /dev/shm
	contains "$output" 65536
	run -0 c run --rm --shm-size 5m busybox df -k /dev/shm
	contains "$output" 5120
}

@test "the sources of a mount cannot be reached by a link of the image" {
	c run --name trap busybox sh -c 'ln -s / /evil'
	run c start trap
	mkdir -p "$BATS_TEST_TMPDIR/t"
	run c run --rm -v "$BATS_TEST_TMPDIR/t:/x/../../../../esc" busybox ls -d /esc
	code 0
	c rm trap
}

@test "whiteouts, opaque folders and replaced types across layers" {
	run -0 c run --rm layered ls /keep
	equals "$output" b
	run c run --rm layered ls /gone
	[ "$status" -ne 0 ]
	run -0 c run --rm layered ls /opaque
	equals "$output" new
	run -0 c run --rm layered sh -c 'cat /was-dir /was-file/inside'
	equals "$output" "now a filei"
	run -0 c run --rm layered stat -c '%a %u %g %Y %s' /replaced
	equals "$output" "640 1000 29 1234567890 6"
}

@test "links, devices, modes, long names, attributes of a layer" {
	run -0 c run --rm layered sh -c 'stat -c "%a %h" /x/orig; [ /x/orig -ef /x/hard ] && echo same; for l in sym abs dangling; do readlink /x/$l; done'
	equals "$output" $'4755 2\nsame\n../keep/b\n/keep/b\n/nowhere'
	run -0 c run --rm layered sh -c 'stat -c "%F %t %T %a" /x/null; stat -c "%F %a" /x/fifo; stat -c %a /x/sticky'
	equals "$output" $'character special file 1 3 666\nfifo 622\n1777'
	run -0 c run --rm layered sh -c 'cat /x/nnnnn*; find /x -name leaf | xargs cat; wc -c </x/zeros'
	equals "$output" "longdeep3000000"
	run -0 c run --rm layered stat -c %Y /x/orig
	equals "$output" 1600000000
}

@test "file capabilities and user attributes survive" {
	needs getcap
	id=$(c create layered)
	layer=$(find "$HOME_DIR/data/layers" -path '*/diff/x/capable' | head -n 1)
	[ -n "$layer" ]
	run -0 getcap "$layer"
	contains "$output" cap_net_bind_service
	run -0 python3 -c "import os,sys; print(os.getxattr(sys.argv[1], 'user.note'))" "$(dirname "$layer")/attr"
	equals "$output" "b'hello'"
	c rm "$id"
}

@test "no mount of a container is in the host's table" {
	c run -d --name nomount -v nm:/v busybox sleep 1000
	run grep -cF "$HOME_DIR" /proc/self/mountinfo
	equals "$output" 0
	c rm -f nomount
	c volume rm nm
}

@test "nothing is left of all this" {
	run -0 c ps -aq
	equals "$output" ""
	run -0 c volume ls -q
	equals "$output" ""
	no_leaks
}
