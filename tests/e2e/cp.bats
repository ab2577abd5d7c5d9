# SPDX-License-Identifier: Apache-2.0
# cp: where things land, links, volumes, owners, what is refused; running and stopped.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	D=$HOME_DIR/cp
	export D
	mkdir -p "$D/src/sub"
	echo a >"$D/src/a" && echo s >"$D/src/sub/s" && ln -s a "$D/src/l"
	chmod 4750 "$D/src/a" && touch -d '2001-02-03 04:05:06 UTC' "$D/src/a" "$D/src/sub"
	coracle run -d --name on -v cpvol:/vol default sleep 100000 >/dev/null
	coracle create --name off -v cpvol2:/vol -v "$D:/bound:ro" default true >/dev/null
}
teardown_file() { stop_engine; }
setup() { cd "$D" && rm -rf out && mkdir out; }

tree() { # CONTAINER PATH: the members of its archive
	c cp "$1:$2" - | tar t | sort | tr '\n' ' '
}

@test "into: a folder, its content, a file, new names" {
	for n in on off; do
		run -0 c cp src "$n:/tmp/new"
		equals "$(tree "$n" /tmp/new)" "new/ new/a new/l new/sub/ new/sub/s "
		run -0 c cp src "$n:/tmp/new"
		equals "$(tree "$n" /tmp/new/src)" "src/ src/a src/l src/sub/ src/sub/s "
		run -0 c cp src/. "$n:/tmp/content"
		equals "$(tree "$n" /tmp/content/.)" "./ ./a ./l ./sub/ ./sub/s "
		run -0 c cp src/a "$n:/tmp/b"
		run -0 c cp src/a "$n:/tmp/"
		equals "$(tree "$n" /tmp/a)$(tree "$n" /tmp/b)" "a b "
	done
}

@test "out of: a folder, its content, a file, new names; modes and times are kept" {
	for n in on off; do
		rm -rf out && mkdir out
		c cp src "$n:/tmp/o"
		run -0 c cp "$n:/tmp/o" out
		run -0 c cp "$n:/tmp/o" out/renamed
		run -0 c cp "$n:/tmp/o/." out/content
		run -0 c cp "$n:/tmp/o/a" out/file
		run -0 c cp "$n:/tmp/o/a" out/
		for d in out/o out/renamed out/content; do
			equals "$(cd $d && find . | sort | tr '\n' ' ')" ". ./a ./l ./sub ./sub/s "
			equals "$(stat -c '%a %Y' $d/a)" "$(stat -c '%a %Y' src/a)"
			equals "$(stat -c '%a %Y' $d/sub)" "$(stat -c '%a %Y' src/sub)"
		done
		equals "$(cat out/file out/a)" "$(printf 'a\na')"
	done
}

@test "links: as they are, or followed with -L" {
	run -0 c cp src/l on:/tmp/link
	run -0 c cp -L src/l on:/tmp/followed
	run -0 c exec on sh -c 'readlink /tmp/link; readlink /tmp/followed || cat /tmp/followed'
	equals "$output" "$(printf 'a\na')"
	c exec on sh -c 'echo t >/tmp/target; ln -sf target /tmp/tolink'
	run -0 c cp on:/tmp/tolink out/x
	equals "$(readlink out/x)" target
	run -0 c cp -L on:/tmp/tolink out/y
	equals "$(cat out/y)" t
	run -0 c cp -L on:/tmp/tolink out/
	equals "$(cat out/tolink)" t
}

@test "hard links stay hard links, both ways" {
	rm -rf hard && mkdir hard && echo h >hard/one && ln hard/one hard/two
	for n in on off; do
		run -0 c cp hard "$n:/tmp/hard"
		run -0 c cp "$n:/tmp/hard" out/$n
		equals "$(stat -c %h out/$n/one out/$n/two | tr '\n' ' ')" "2 2 "
		equals "$(cat out/$n/two)" h
	done
	equals "$(c exec on stat -c %h /tmp/hard/two)" 2
}

@test "devices come out" {
	mknod "$BATS_TEST_TMPDIR/probe" c 1 3 || skip_because "no devices can be made here"
	c run --name devs default sh -c 'mkdir /d && mknod -m 620 /d/null c 1 3 && mknod -m 600 /d/block b 7 9'
	run -0 c cp devs:/d out
	equals "$(stat -c '%F %t:%T %a' out/d/null out/d/block | tr '\n' ' ')" "character special file 1:3 620 block special file 7:9 600 "
	c rm devs
}

@test "volumes below a folder of a stopped container are in its archive" {
	[ "$(printf '%s\n' 6.15 "$(uname -r)" | sort -V | head -n 1)" = 6.15 ] || skip_because "Linux $(uname -r) cannot mount into a detached root"
	mkdir -p bound && echo b >bound/file
	c run --name below -v belowvol:/srv/a/vol -v "$D/bound:/srv/b:ro" default sh -c 'echo v >/srv/a/vol/file; echo r >/srv/r'
	equals "$(tree below /srv)" "srv/ srv/a/ srv/a/vol/ srv/a/vol/file srv/b/ srv/b/file srv/r "
	run -0 c cp below:/srv out
	equals "$(cat out/srv/a/vol/file out/srv/b/file out/srv/r | tr '\n' ' ')" "v b r "
	# into the root: through to what may be written only
	mkdir -p root/srv/a/vol root/srv/b && echo new | tee root/srv/a/vol/new >root/srv/b/new
	run c cp root/srv/. below:/srv
	contains "$output" "Read-only file system"
	[ ! -e bound/new ]
	# export is the container's own files
	equals "$(c export below | tar t | grep -c 'srv/a/vol/file')" 0
	c rm below && c volume rm belowvol
	equals "$(cat bound/file)" b
}

@test "no link in a container leads out of it" {
	c exec on sh -c 'ln -sfn / /tmp/root; ln -sfn ../../../../../../.. /tmp/up; ln -sfn /etc/hostname /tmp/abs'
	host=$(cat "$D/src/a")
	run -0 c cp src/a on:/tmp/root/through-root
	run -0 c cp src/a on:/tmp/up/through-up
	[ ! -e /through-root ]
	[ ! -e /through-up ]
	run -0 c exec on cat /through-root /through-up
	equals "$output" "$(printf '%s\n%s' "$host" "$host")"
	run -0 c cp -L on:/tmp/abs out/abs
	equals "$(cat out/abs)" "$(c exec on cat /etc/hostname)"
}

@test "volumes and binds, of a stopped container too" {
	run -0 c cp src/a on:/vol/on
	run -0 c cp src/a off:/vol/off
	run -0 c run --rm -v cpvol:/1 -v cpvol2:/2 default cat /1/on /2/off
	equals "$output" "$(printf 'a\na')"
	run -0 c cp off:/bound/src/sub/s out/s
	equals "$(cat out/s)" s
	run c cp src/a off:/bound/no
	[ "$status" -ne 0 ]
	contains "$output" "mounted volume is marked read-only"
	[ ! -e no ]
}

@test "a read-only root refuses, its volumes do not" {
	c run -d --name ro --read-only -v rovol:/v default sleep 100000
	run c cp src/a ro:/tmp/
	[ "$status" -ne 0 ]
	contains "$output" "container rootfs is marked read-only"
	run -0 c cp src/a ro:/v/
	run -0 c exec ro cat /v/a
	c rm -f ro
	c volume rm rovol
}

@test "tar on stdin and stdout" {
	c exec on mkdir -p /opt
	tar c -C src . | c cp - on:/opt
	equals "$(tree on /opt/.)" "./ ./a ./l ./sub/ ./sub/s "
	run c cp - on:/opt/a </dev/null
	[ "$status" -ne 0 ]
	contains "$output" 'destination "on:/opt/a" must be a directory'
	run -0 bash -c 'head -c 3000 /dev/urandom | tr -d "\0" | cat - /dev/zero | head -c 4096 >bad; true'
	run c cp - on:/opt <bad
	[ "$status" -ne 0 ]
}

@test "-a: entries belong to the container's user" {
	c run -d --name user -u 1000:1001 default sleep 100000
	chown 7:8 src/sub/s
	run -0 c cp src/sub/s user:/tmp/plain
	run -0 c cp -a src/sub/s user:/tmp/owned
	run -0 c exec user stat -c '%u:%g' /tmp/plain /tmp/owned
	equals "$output" "$(printf '7:8\n1000:1001')"
	c rm -f user
}

@test "what cannot be, with Docker's words" {
	try() { # TEXT SOURCE TARGET
		run c cp "$2" "$3"
		code 1
		contains "$output" "$1"
	}
	c cp src on:/tmp/dir && c cp src/a on:/tmp/file && echo x >out/file
	try "no such directory" src/a on:/tmp/none/
	try "Could not find the file /tmp/none in container on" src/a on:/tmp/none/x
	try "cannot copy directory" src on:/tmp/file
	try "cannot copy directory" on:/tmp/dir out/file
	try "no such file or directory" none on:/tmp
	try "not a directory" src/a/ on:/tmp
	try "not a directory" on:/tmp/file/ out
	try "no such directory" on:/tmp/file out/none/
	try "does not exist" on:/tmp/file out/none/x
	try "Could not find the file /none in container on" on:/none out
	try "No such container: nobody" nobody:/x out
	try "must specify at least one container source" a b
	try "copying between containers is not supported" on:/a on:/b
	mkdir -p clash/dir/a && c exec on mkdir -p /tmp/clash/dir && c exec on touch /tmp/clash/dir/a
	try "cannot overwrite non-directory" clash on:/tmp
}

@test "nothing is left of all this" {
	coracle rm -f -v on off
	coracle volume rm cpvol cpvol2
	no_leaks
}
