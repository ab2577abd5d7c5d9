# SPDX-License-Identifier: Apache-2.0
# Volumes: options of the local driver, labels, filters, prune; options of --mount.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	mkdir -p "$HOME_DIR/dev/sub"
	echo here >"$HOME_DIR/dev/file"
}
teardown_file() { stop_engine; }

@test "o=bind: the device is what the container sees; removing the volume leaves it alone" {
	run -0 c volume create -o type=none -o o=bind -o "device=$HOME_DIR/dev" bv
	equals "$(c volume inspect --format '{{index .Options "device"}} {{index .Options "o"}}' bv)" "$HOME_DIR/dev bind"
	run -0 c run --rm -v bv:/v default sh -c 'cat /v/file; echo more >/v/more'
	equals "$output" here
	equals "$(cat "$HOME_DIR/dev/more")" more
	run -0 c run --rm -v bv:/v:ro default sh -c 'touch /v/x 2>&1; true'
	contains "$output" "Read-only"
	c create --name holder -v bv:/v default true
	run -0 c cp holder:/v/file -
	contains "$output" here
	equals "$(c inspect --format '{{(index .Mounts 0).Source}}' holder)" "$HOME_DIR/data/volumes/bv/_data"
	c rm holder
	run -0 c volume rm bv
	equals "$(cat "$HOME_DIR/dev/file")" here
}

@test "o=bind,ro and a device that is not there" {
	c volume create -o type=none -o o=bind,ro -o "device=$HOME_DIR/dev" rv
	run -0 c run --rm -v rv:/v default sh -c 'touch /v/x 2>&1; true'
	contains "$output" "Read-only"
	c volume create -o type=none -o o=bind -o device=/not/there nv
	run c run --rm -v nv:/v default true
	[ "$status" -ne 0 ]
	contains "$output" "failed to mount local volume"
	c volume rm rv nv
}

@test "an empty bind device gets what the image has there" {
	mkdir -p "$HOME_DIR/empty"
	c volume create -o type=none -o o=bind -o "device=$HOME_DIR/empty" ev
	run -0 c run --rm -v ev:/etc default true
	[ -f "$HOME_DIR/empty/passwd" ]
	c volume rm ev
}

@test "type=tmpfs: shared while it is used, gone afterwards" {
	c volume create -o type=tmpfs -o device=tmpfs -o o=size=2m,mode=0711 tv
	c run -d --name t1 -v tv:/v default sleep 100000
	run -0 c exec t1 sh -c 'echo shared >/v/f; df -k /v | tail -n 1 | awk "{print \$2}"; stat -c %a /v'
	equals "$output" "$(printf '2048\n711')"
	run -0 c run --rm -v tv:/w default cat /w/f
	equals "$output" shared
	kill -9 "$(engine_pid)" && run_engine
	run -0 c exec t1 cat /v/f
	equals "$output" shared
	c rm -f t1
	run -1 grep -c "$HOME_DIR/data/volumes" /proc/mounts
	run -0 c run --rm -v tv:/w default ls /w
	equals "$output" ""
	run -1 grep -c "$HOME_DIR/data/volumes" /proc/mounts
	c volume rm tv
}

@test "a block device: mounted while containers use it, its content stays; removing the volume leaves it alone" {
	command -v mkfs.ext4 >/dev/null || skip_because "mkfs.ext4 is not installed"
	truncate -s 8m "$HOME_DIR/disk"
	mkfs.ext4 -q -F "$HOME_DIR/disk"
	loop=$(losetup --find --show "$HOME_DIR/disk") || skip_because "no loop devices here"
	c volume create -o type=ext4 -o device="$loop" -o o=noatime,data=ordered bv
	# two at once see the same, mounted once
	c run -d --name b1 -v bv:/v default sh -c 'echo kept >/v/file; sleep 1000' >/dev/null
	run -0 c run --rm -v bv:/v default sh -c 'until [ -s /v/file ]; do sleep 0.05; done; cat /v/file; ls -d /v/lost+found'
	equals "$output" $'kept\n/v/lost+found'
	equals "$(grep -c "$loop $HOME_DIR/data/volumes/bv/_data ext4 rw,noatime" /proc/mounts)" 1
	c rm -f b1
	run -1 grep -c "$HOME_DIR/data/volumes" /proc/mounts
	run -0 c run --rm -v bv:/v default cat /v/file
	equals "$output" kept
	# left mounted by a crash: what is on the device is not what is removed
	mount "$loop" "$HOME_DIR/data/volumes/bv/_data"
	c volume rm bv
	run -1 grep -c "$loop" /proc/mounts
	# read-only holds for the file system
	c volume create -o type=ext4 -o device="$loop" -o o=ro rv
	run c run --rm -v rv:/v default sh -c 'cat /v/file; touch /v/x'
	contains "$output" kept
	contains "$output" "Read-only file system"
	c volume rm rv
	losetup -d "$loop"
}

@test "file systems of servers: what cannot be mounted says why, without passwords" {
	c volume create -o type=nfs -o device=:/export -o o=addr=name.invalid,vers=4 nv
	run c run --rm -v nv:/v default true
	code 125
	contains "$output" "error while mounting volume '$HOME_DIR/data/volumes/nv/_data': error resolving passed in network volume address: lookup name.invalid: no such host"
	c volume create -o type=cifs -o device=//127.0.0.1/share -o o=username=u,password=secret cv
	run c run --rm -v cv:/v default true
	code 125
	contains "$output" "failed to mount local volume: mount //127.0.0.1/share:$HOME_DIR/data/volumes/cv/_data, data: username=u,password=********"
	lacks "$output" secret
	c volume create -o type=nosuchfs -o device=x wv
	run c run --rm -v wv:/v default true
	contains "$output" "mount x:$HOME_DIR/data/volumes/wv/_data, data: : "
	c volume rm nv cv wv
}

@test "tmpfs options beyond size and mode" {
	body() { echo "{\"Image\":\"default\",\"Cmd\":[\"sh\",\"-c\",\"stat -c %u:%g /t; grep ' /t ' /proc/mounts\"],\"HostConfig\":{\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{\"Options\":$1}}]}}"; }
	run -0 api POST "/containers/create?name=topt" "$(body '[["uid","1000"],["gid","7"],["exec"]]')"
	run -0 c start -a topt
	contains "$output" 1000:7
	lacks "$output" noexec
	c rm topt
	contains "$(api POST /containers/create "$(body '[["context","x"]]')")" 'invalid option: \"context=x\"'
	contains "$(api POST /containers/create "$(body '[["noexec,size=1"]]')")" 'invalid option'
}

@test "--mount with driver options makes the volume" {
	run -0 c run --rm --mount "type=volume,source=mv,target=/v,volume-driver=local,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=$HOME_DIR/dev,volume-label=a=b" default cat /v/file
	equals "$output" here
	equals "$(c volume inspect --format '{{.Labels.a}} {{.Options.type}}' mv)" "b none"
	run -0 c run --rm --mount type=volume,source=mv,target=/s,volume-subpath=sub,volume-nocopy default sh -c 'echo in >/s/f'
	equals "$(cat "$HOME_DIR/dev/sub/f")" in
	c volume rm mv
}

@test "what options may not be" {
	try() {
		run c volume create "${@:2}" wrong
		code 1
		contains "$output" "$1"
	}
	try 'invalid option: "nonsense"' -o nonsense=1
	try 'missing required option: "device"' -o type=tmpfs
	try 'missing required option: "type"' -o device=/x
	try 'missing required option' -o o=bind
	try 'quota size requested but no quota support' -o size=1g
	try 'must be an absolute path' -o type=none -o o=bind -o device=rel
	try 'create wrong: error looking up volume plugin elsewhere: plugin "elsewhere" not found' -d elsewhere
	run c volume inspect wrong
	[ "$status" -ne 0 ]
}

@test "ls filters, prune with and without -a, labels" {
	c volume create --label keep=yes lab1
	c volume create --label keep=no lab2
	anon=$(c volume create)
	c run -d --name user -v used:/v default sleep 100000
	equals "$(c volume ls -q --filter label=keep | tr '\n' ' ')" "lab1 lab2 "
	equals "$(c volume ls -q --filter label=keep=yes)" lab1
	equals "$(c volume ls -q --filter dangling=false)" used
	equals "$(c volume ls -q --filter name=lab | wc -l)" 2
	run -0 c volume prune -f
	contains "$output" "$anon"
	equals "$(c volume ls -q | tr '\n' ' ')" "lab1 lab2 used "
	run -0 c volume prune -a -f --filter label!=keep=yes
	equals "$(c volume ls -q | tr '\n' ' ')" "lab1 used "
	c rm -f user
	run -0 c volume prune -a -f
	contains "$output" "Total reclaimed space"
	equals "$(c volume ls -q)" ""
}

@test "bind propagation, recursive read-only, tmpfs size and mode by --mount" {
	mkdir -p "$HOME_DIR/tree/below"
	mount -t tmpfs none "$HOME_DIR/tree/below"
	run -0 c run --rm --mount "type=bind,src=$HOME_DIR/tree,dst=/t,ro" default sh -c 'touch /t/below/x 2>&1; true'
	contains "$output" "Read-only"
	run -0 c run --rm --mount "type=bind,src=$HOME_DIR/tree,dst=/t,ro,bind-recursive=writable" default touch /t/below/y
	[ -e "$HOME_DIR/tree/below/y" ]
	run -0 c run --rm --mount "type=bind,src=$HOME_DIR/tree,dst=/t,bind-recursive=disabled" default ls /t/below
	equals "$output" ""
	umount "$HOME_DIR/tree/below"
	mount --bind "$HOME_DIR/tree" "$HOME_DIR/tree"
	mount --make-shared "$HOME_DIR/tree"
	run -0 c run --rm --mount "type=bind,src=$HOME_DIR/tree,dst=/t,bind-propagation=rslave" default grep -c ' /t .*master:' /proc/self/mountinfo
	run -0 c run --rm --mount "type=bind,src=$HOME_DIR/tree,dst=/t,bind-propagation=shared" default grep -c ' /t .*shared:' /proc/self/mountinfo
	run -1 c run --rm --mount "type=bind,src=$HOME_DIR/tree,dst=/t" default grep -c -e ' /t .*shared:' -e ' /t .*master:' /proc/self/mountinfo
	umount "$HOME_DIR/tree"
	run -0 c run --rm --mount type=tmpfs,dst=/t,tmpfs-size=3m,tmpfs-mode=0750 default sh -c 'stat -c %a /t; df -k /t | tail -n 1 | awk "{print \$2}"'
	equals "$output" "$(printf '750\n3072')"
}

@test "image mounts: read-only, of one layer and of several, a part of it; the image is in use" {
	c run --name base default sh -c 'mkdir -p /data/sub && echo layered >/data/file && echo deep >/data/sub/x && ln -s data/sub /lnk && rm /etc/group'
	c commit base stacked:1
	c rm base
	run -0 c run --rm --mount type=image,source=stacked:1,target=/img default sh -c 'cat /img/data/file; ls /img/bin/sh; ls /img/etc/group 2>&1; touch /img/x 2>&1; true'
	contains "$output" layered
	contains "$output" /img/bin/sh
	contains "$output" "No such file"
	contains "$output" "Read-only"
	run -0 c run --rm --mount type=image,source=default,target=/img stacked:1 ls /img/bin/sh
	# a folder, a file, through a link of the image, of one layer
	run -0 c run --rm --mount type=image,source=stacked:1,target=/img,image-subpath=data/sub \
		--mount type=image,source=stacked:1,target=/one,image-subpath=data/file \
		--mount type=image,source=stacked:1,target=/lnk,image-subpath=lnk \
		--mount type=image,source=default,target=/bin2,image-subpath=bin default sh -c 'ls /img; cat /one; cat /lnk/x; ls /bin2/sh; grep -c layers /proc/mounts; true'
	equals "$output" "$(printf 'x\nlayered\ndeep\n/bin2/sh\n0')"
	run c run --rm --mount type=image,source=stacked:1,target=/img,image-subpath=not/there default true
	[ "$status" -ne 0 ]
	contains "$output" "cannot access path not/there"
	run c run --rm --mount type=image,source=stacked:1,target=/img,image-subpath=a/../../b default true
	[ "$status" -ne 0 ]
	contains "$output" "subpath must be a relative path"
	run c run --rm --mount type=tmpfs,target=/img,image-subpath=x default true
	[ "$status" -ne 0 ]
	contains "$output" "image-*"
	c run -d --name holder --mount type=image,source=stacked:1,target=/img default sleep 100000
	c run --rm --volumes-from holder default cat /img/data/file
	equals "$(c inspect --format '{{with index .Mounts 0}}{{.Type}} {{.Name}} {{.RW}}{{end}}' holder)" "image stacked:1 false"
	for how in "" -f; do
		run c rmi $how stacked:1
		[ "$status" -ne 0 ]
		contains "$output" "mounted at /img of container"
	done
	c restart -t 0 holder
	run -0 c exec holder cat /img/data/file
	equals "$output" layered
	c rm -f holder
	run c run --rm --mount type=image,source=not-there:1,target=/img default true
	[ "$status" -ne 0 ]
	contains "$output" "No such image"
	run -0 c rmi stacked:1
}

@test "nothing is left of all this" {
	no_leaks
}
