# SPDX-License-Identifier: Apache-2.0
# coracle-runtime, the OCI runtime's command line, by itself.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	B=$(mktemp -d "$E2E_TMP/bundle.XXXXXX")
	ROOT=$B/state
	mkdir -p "$B/rootfs"/{bin,proc,dev,sys,tmp,etc}
	cp /bin/busybox "$B/rootfs/bin/busybox"
	for p in sh cat echo sleep id ls mount test touch env uname true date; do ln -s busybox "$B/rootfs/bin/$p"; done
	(cd "$B" && rt spec)
	ID=oci-$$-$BATS_TEST_NUMBER
}
teardown() {
	local id
	for id in $(rt list -q); do rt delete --force "$id"; done
	[ -z "$(find /sys/fs/cgroup -mindepth 2 -maxdepth 3 -name "$ID*" 2>/dev/null)" ] || {
		echo "cgroups left" >&2
		return 1
	}
	rm -rf "$B"
}
rt() {
	"$BIN/coracle-runtime" --root "$ROOT" "$@"
}
# config JQ-FILTER...: change the bundle's configuration
config() {
	jq "$@" <"$B/config.json" >"$B/new.json" && mv "$B/new.json" "$B/config.json"
}
# command WORDS...: not on a terminal
command_is() {
	config --argjson args "$(printf '%s\n' "$@" | jq -R . | jq -s .)" '.process.terminal = false | .process.args = $args'
}
start_one() {
	command_is "$@"
	rt create --bundle "$B" --pid-file "$B/pid" "$ID" </dev/null >"$B/out" 2>&1 3>&- 4>&-
	rt start "$ID"
}
field() {
	rt state "$ID" | jq -r "$1"
}

@test "spec writes a configuration that runs, and keeps an existing one" {
	command_is echo hello
	run -0 rt run -b "$B" "$ID"
	equals "$output" hello
	cd "$B"
	run rt spec
	code 1
	contains "$output" "exists"
	[ -z "$(ls "$ROOT" | grep -v '^\.' || true)" ]
}

@test "create, state, start, kill, delete" {
	command_is sleep 1000
	rt create -b "$B" --pid-file "$B/pid" "$ID" </dev/null >"$B/out" 2>&1 3>&- 4>&-
	equals "$(field .status)" created
	equals "$(field .pid)" "$(cat "$B/pid")"
	equals "$(field .bundle)" "$B"
	run rt create -b "$B" "$ID"
	code 1
	contains "$output" "container with given ID already exists"
	rt start "$ID"
	equals "$(field .status)" running
	run rt start "$ID"
	code 1
	contains "$output" "cannot start a container that has running"
	run rt delete "$ID"
	code 1
	contains "$output" "is not stopped"
	rt kill "$ID" KILL
	wait_for 5 stopped
	equals "$(field .pid)" 0
	run rt kill "$ID" TERM
	code 1
	contains "$output" "container not running"
	rt delete "$ID"
	run rt state "$ID"
	code 1
	contains "$output" "container does not exist"
}
stopped() { [ "$(field .status)" = stopped ]; }

@test "list: table, json, quiet" {
	run -0 rt list -q
	equals "$output" ""
	start_one sleep 1000
	run -0 rt list
	matches "${lines[0]}" '^ID +PID +STATUS +BUNDLE +CREATED +OWNER$'
	matches "${lines[1]}" "^$ID +[0-9]+ +running +$B +[0-9T:.Z-]+ root$"
	run -0 rt list -q
	equals "$output" "$ID"
	run -0 rt list --format json
	equals "$(jq -r '.[0].id + " " + .[0].status' <<<"$output")" "$ID running"
	run rt list -f xml
	code 1
	contains "$output" "invalid format xml"
}

@test "exec: arguments, environment, user, exit codes, a process file" {
	start_one sleep 1000
	run -0 rt exec -e A=b "$ID" sh -c 'echo $A $$; exit 0'
	matches "$output" '^b [0-9]+$'
	run -0 rt exec -u 5:6 -g 7 "$ID" id
	contains "$output" "uid=5 gid=6"
	contains "$output" 7
	run rt exec "$ID" sh -c 'exit 42'
	code 42
	run -127 rt exec "$ID" /no/such
	run rt exec "$ID" /etc
	code 126
	jq '.process | .args = ["echo", "from a file"]' "$B/config.json" >"$B/p.json"
	run -0 rt exec -p "$B/p.json" "$ID"
	equals "$output" "from a file"
	rt exec -d --pid-file "$B/pid2" "$ID" sleep 500 </dev/null >/dev/null 2>&1
	run -0 rt ps -f json "$ID"
	equals "$(jq length <<<"$output")" 2
	contains "$output" "$(cat "$B/pid2")"
}

@test "run: exit codes of programs that cannot be run" {
	command_is /no/such
	run -127 rt run -b "$B" "$ID"
	command_is /etc
	run rt run -b "$B" "$ID"
	code 126
	command_is sh -c 'exit 9'
	run rt run -b "$B" "$ID"
	code 9
}

@test "pause, resume, update" {
	start_one sleep 1000
	rt pause "$ID"
	equals "$(field .status)" paused
	rt resume "$ID"
	equals "$(field .status)" running
	echo '{"pids": {"limit": 77}}' | rt update -r - "$ID"
	run -0 find /sys/fs/cgroup -path "*$ID*" -name pids.max
	equals "$(cat "${lines[0]}")" 77
}

@test "wrong command lines and documents are refused" {
	run rt run
	code 1
	contains "$output" "usage: coracle-runtime run [OPTIONS] ID"
	run rt fly x
	code 1
	contains "$output" "unknown command fly"
	run rt create --no-such x
	code 1
	for id in .. a/b ''; do
		run rt create -b "$B" "$id"
		code 1
		contains "$output" "invalid container id format"
	done
	echo '{' >"$B/config.json"
	run rt run -b "$B" "$ID"
	code 1
	run rt run -b /no/bundle "$ID"
	code 1
	contains "$output" "/no/bundle"
	[ -z "$(ls "$ROOT" | grep -v '^\.' || true)" ]
}

hook() { # NAME [COMMAND]: a hook that records where and with what state it ran
	printf '{"path": "/bin/sh", "args": ["sh", "-c", %s], "env": ["PATH=/bin:/usr/bin"]}' \
		"$(jq -Rn --arg s "${2:-cat >>$B/log.$1; echo >>$B/log.$1}" '$s')"
}

@test "hooks run in their order and places, with the state" {
	command_is echo program
	config --argjson a "$(hook prestart)" --argjson b "$(hook createRuntime)" \
		--argjson c "$(hook createContainer "cat >$B/log.createContainer; test -e $B/rootfs/proc/self/stat && echo \$\$ >$B/pid.inside")" \
		--argjson d "$(hook startContainer 'cat >/tmp/start; echo start-hook')" \
		--argjson f "$(hook poststart)" --argjson g "$(hook poststop)" \
		'.root.readonly = false | .hooks = {prestart: [$a], createRuntime: [$b], createContainer: [$c], startContainer: [$d], poststart: [$f], poststop: [$g]}'
	run -0 rt run -b "$B" "$ID"
	equals "$output" program
	local name
	for name in prestart createRuntime createContainer; do
		equals "$(jq -r '.id + " " + .status' "$B/log.$name")" "$ID creating"
		[ "$(jq -r .pid "$B/log.$name")" -gt 1 ]
		equals "$(jq -r .bundle "$B/log.$name")" "$B"
	done
	# in the container's pid namespace, the root not entered yet
	[ "$(cat "$B/pid.inside")" -lt 10 ]
	equals "$(jq -r .status "$B/rootfs/tmp/start")" created
	equals "$(jq -r .status "$B/log.poststart")" running
	equals "$(jq -r '.status + " " + (.pid | tostring)' "$B/log.poststop")" "stopped 0"
}

@test "a hook that fails stops the start, with its words; nothing is left" {
	command_is echo program
	config --argjson a "$(hook bad 'echo no luck >&2; exit 3')" '.hooks = {createRuntime: [$a]}'
	run rt run -b "$B" "$ID"
	code 1
	contains "$output" "error running hook /bin/sh: exit status 3, stderr: no luck"
	lacks "$output" program
	run -0 rt list -q
	equals "$output" ""
	config --argjson a "$(hook bad 'exit 4')" '.hooks = {startContainer: [$a]}'
	run rt run -b "$B" "$ID"
	contains "$output" "exit status 4"
	lacks "$output" program
	config --argjson a "$(hook slow 'sleep 100')" '.hooks = {prestart: [$a + {timeout: 1}]}'
	run rt run -b "$B" "$ID"
	contains "$output" "no end within 1 s"
}

@test "it works in a chroot" {
	mkdir -p "$B/host"/{bin,proc,dev,sys,b}
	cp -a "$B/rootfs" "$B/config.json" "$B/host/b/"
	(cd "$B/host/b" && jq '.process.terminal = false | .process.args = ["echo", "deep"]' config.json >c && mv c config.json)
	cp "$BIN/coracle-runtime" "$B/host/bin/"
	local lib # none when it is static
	for lib in $(ldd "$BIN/coracle-runtime" | grep -oE '/[^ ]+'); do
		mkdir -p "$B/host${lib%/*}" && cp -L "$lib" "$B/host$lib"
	done
	run -0 unshare -m sh -c "mount --bind '$B/host' '$B/host' && mount -t proc proc '$B/host/proc' && mount --rbind /sys '$B/host/sys' && chroot '$B/host' /bin/coracle-runtime --root /state run -b /b $ID"
	equals "$output" deep
}

@test "what enters a container runs from a file that cannot be written" {
	command_is echo program
	config --argjson a "$(hook createRuntime "cat >/dev/null; test -r /proc/\$PPID/exe && ! test -w /proc/\$PPID/exe && echo sealed >$B/sealed")" \
		'.hooks = {createRuntime: [$a]}'
	run -0 rt run -b "$B" "$ID"
	equals "$output" program
	equals "$(cat "$B/sealed")" sealed
	[ -w "$BIN/coracle-runtime" ]
}

@test "a time namespace with offsets, for the first program and for exec" {
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 3000000000}, monotonic: {secs: 5}}'
	start_one sleep 1000
	run -0 rt exec "$ID" cat /proc/uptime
	[ "${output%%.*}" -ge 3000000000 ]
	[ "$(cut -d. -f1 /proc/uptime)" -lt 3000000000 ]
	rt delete --force "$ID"
	config '.linux.namespaces |= map(select(.type != "time"))'
	run rt run -b "$B" "$ID"
	code 1
	contains "$output" "time offsets need a time namespace"
}

@test "the personality of 32-bit programs" {
	command_is uname -m
	config '.linux.personality = {domain: "LINUX32"}'
	run -0 rt run -b "$B" "$ID"
	equals "$output" i686
	config '.linux.personality = {domain: "VMS"}'
	run rt run -b "$B" "$ID"
	code 1
	contains "$output" "unknown personality VMS"
}

@test "id-mapped mounts show other owners and store their own" {
	mkdir "$B/data"
	touch "$B/data/f" && chown 1000:1000 "$B/data/f"
	chmod 777 "$B/data"
	command_is sh -c 'stat -c "%u %g" /data/f; touch /data/new'
	ln -s busybox "$B/rootfs/bin/stat"
	config --arg s "$B/data" '.root.readonly = false | .process.user = {uid: 1500, gid: 1500} |
		.mounts += [{destination: "/data", source: $s, type: "none", options: ["rbind"],
		uidMappings: [{containerID: 0, hostID: 1000, size: 3000}], gidMappings: [{containerID: 0, hostID: 1000, size: 3000}]}]'
	mkdir -p "$B/rootfs/data"
	run rt run -b "$B" "$ID"
	[ "$status" = 0 ] || ! grep -q 'Invalid argument' <<<"$output" || skip_because "the file system has no id-mapped mounts"
	equals "$output" "2000 2000"
	equals "$(stat -c %u "$B/data/new")" 500
	config '.mounts[-1] |= (del(.uidMappings, .gidMappings) | .options += ["idmap"])'
	run rt run -b "$B" "$ID"
	code 1
	contains "$output" "no id mappings are given"
}

@test "labels of a security module that is not there are refused" {
	[ ! -e /sys/module/apparmor ] || skip_because "AppArmor is enabled here"
	command_is true
	config '.process.apparmorProfile = "tight"'
	run rt run -b "$B" "$ID"
	code 1
	contains "$output" "apparmor profile tight: AppArmor is not enabled on this host"
	config 'del(.process.apparmorProfile) | .process.selinuxLabel = "a:b:c:s0"'
	run rt run -b "$B" "$ID"
	code 1
	contains "$output" "selinux label a:b:c:s0: SELinux is not enabled on this host"
}

@test "a user namespace: root inside, another user outside" {
	command_is sleep 1000
	chmod 755 "$B" "$E2E_TMP"
	config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 70000, size: 1000}] | .linux.gidMappings = [{containerID: 0, hostID: 70000, size: 1000}]'
	rt create -b "$B" "$ID" </dev/null >"$B/out" 2>&1 3>&- 4>&-
	rt start "$ID"
	run -0 rt exec "$ID" id -u
	equals "$output" 0
	equals "$(stat -c %u "/proc/$(field .pid)")" 70000
}
