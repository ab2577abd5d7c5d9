# SPDX-License-Identifier: Apache-2.0
# Starting a program: exit codes, environment, user, names, errors.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle load -q -i "$E2E_TMP/images/configured.tar" >/dev/null
	coracle load -q -i "$E2E_TMP/images/busybox.docker.tar" >/dev/null
}
teardown_file() { stop_engine; }

@test "the embedded image runs without a registry" {
	run -0 --separate-stderr c run --rm default uname -r
	equals "$output" "$(uname -r)"
}

@test "the exit code is the program's own" {
	for n in 0 1 3 42 124 255; do
		run c run --rm default sh -c "exit $n"
		code "$n"
	done
}

@test "a program killed by a signal gives 128 and its number" {
	run c run --rm --init default sh -c 'kill -9 $$'
	code 137
	run c run --rm --init default sh -c 'kill -TERM $$'
	code 143
}

@test "127 for a program that does not exist, by PATH and by path" {
	run c run --rm default no-such-program
	code 127
	contains "$output" 'exec: "no-such-program": executable file not found in $PATH'
	run c run --rm default /no/such/program
	code 127
	contains "$output" "no such file or directory"
}

@test "126 for a file that cannot be executed" {
	run c run --rm default /etc
	code 126
	run c run --rm --user root --entrypoint /notexec configured
	code 126
	contains "$output" "permission denied"
}

@test "a missing interpreter is reported" {
	run c run --rm --user root --entrypoint /noshebang configured
	[ "$status" -ne 0 ]
	contains "$output" "no such file or directory"
}

@test "125 when the engine refuses" {
	run c run --rm --memory 1k default true
	code 125
	run c run --rm --network no-such-network default true
	code 125
	run c run --rm --no-such-flag default true
	code 125
	contains "$output" "unknown flag: --no-such-flag"
}

@test "an image that is not there is 125 and a clear text" {
	run c run --rm --pull never no-such-image true
	code 125
	contains "$output" "No such image: no-such-image:latest"
	run c run --rm "$E2E_REGISTRY/nothing:here" true
	code 125
}

@test "stdout and stderr stay apart" {
	run -0 --separate-stderr c run --rm default sh -c 'echo out; echo err >&2'
	equals "$output" out
	equals "$stderr" err
}

@test "-e sets, passes on and empties variables" {
	export FROM_HOST=host
	run -0 c run --rm -e A=1 -e "B=two words" -e FROM_HOST -e NOT_SET_ANYWHERE -e C= default env
	contains "$output" $'A=1\n'
	contains "$output" "B=two words"
	contains "$output" "FROM_HOST=host"
	contains "$output" "C="
	lacks "$output" NOT_SET_ANYWHERE
	contains "$output" "PATH="
	contains "$output" "HOSTNAME="
	contains "$output" "HOME=/root"
	lacks "$output" "TERM="
}

@test "--env-file is read, -e wins" {
	printf '# comment\n\nX=1\nY= spaces kept \nexport_me\nZ=a=b\n' >"$BATS_TEST_TMPDIR/env"
	export export_me=yes
	run -0 c run --rm --env-file "$BATS_TEST_TMPDIR/env" -e X=2 default env
	contains "$output" "X=2"
	lacks "$output" "X=1"
	contains "$output" "Y= spaces kept "
	contains "$output" "export_me=yes"
	contains "$output" "Z=a=b"
}

@test "ENV, WORKDIR, USER, ENTRYPOINT and CMD of the image are honoured" {
	run -0 c run --rm configured
	equals "$output" "entry one two"
	run -0 c run --rm configured three
	equals "$output" "entry three"
	run -0 c run --rm --entrypoint /bin/sh configured -c 'pwd; id -u; id -g; echo $FROM_IMAGE; echo $HOME'
	equals "$output" $'/work\n1000\n1000\nyes\n/home/web'
}

@test "--entrypoint drops the image's CMD, and an empty one clears it" {
	run -0 c run --rm --entrypoint echo configured
	equals "$output" ""
	run -0 c run --rm --entrypoint "" configured id -un
	equals "$output" web
}

@test "-u takes names, numbers and groups from the image's own files" {
	run -0 c run --rm -u web busybox sh -c 'id -u; id -g; id -G'
	equals "$output" $'1000\n1000\n1000 29'
	run -0 c run --rm -u 1000 busybox id -g
	equals "$output" 1000
	run -0 c run --rm -u 12345 busybox sh -c 'id -u; id -g'
	equals "$output" $'12345\n0'
	run -0 c run --rm -u 12345:777 busybox sh -c 'id -u; id -g'
	equals "$output" $'12345\n777'
	run -0 c run --rm -u web:extra busybox sh -c 'id -u; id -g'
	equals "$output" $'1000\n4242'
	run -0 c run --rm -u nobody busybox id -u
	equals "$output" 65534
}

@test "an unknown user or group is refused before the start" {
	run c run --rm -u nosuchuser busybox true
	code 125
	contains "$output" "unable to find user nosuchuser"
	run c run --rm -u web:nosuchgroup busybox true
	code 125
	contains "$output" "unable to find group nosuchgroup"
}

@test "--group-add by name and number" {
	run -0 c run --rm --group-add audio --group-add 777 busybox id -G
	contains " $output " " 29 "
	contains " $output " " 777 "
}

@test "-w sets and creates the working directory" {
	run -0 c run --rm -w /new/deep busybox pwd
	equals "$output" /new/deep
	run c run --rm -w relative busybox pwd
	code 125
	contains "$output" "relative"
}

@test "-h and --domainname" {
	run -0 c run --rm -h boat busybox sh -c 'hostname; cat /etc/hostname; echo $HOSTNAME'
	equals "$output" $'boat\nboat\nboat'
	run -0 c run --rm -h boat --domainname sea.example busybox cat /proc/sys/kernel/domainname
	equals "$output" sea.example
	run -0 c run --rm busybox hostname
	matches "$output" '^[0-9a-f]{12}$'
}

@test "--name: shown, unique, checked" {
	run -0 c create --name one busybox true
	matches "$output" '^[0-9a-f]{64}$'
	id=$output
	run c create --name one busybox true
	[ "$status" -ne 0 ]
	contains "$output" "Conflict. The container name \"/one\" is already in use by container \"$id\""
	run c create --name 'bad name' busybox true
	[ "$status" -ne 0 ]
	contains "$output" "Invalid container name"
	run -0 c rm one
	equals "$output" one
}

@test "a container without a name gets one" {
	id=$(c create busybox true)
	run -0 c inspect --format '{{.Name}}' "$id"
	matches "$output" '^/[a-z]+_[a-z]+[0-9]*$'
	c rm "$id"
}

@test "--rm takes the container away, without it it stays" {
	c run --name stays busybox true
	is_state stays exited
	c rm stays
	c run --rm --name goes busybox true
	wait_for 3 gone goes
}

@test "-d prints the id and the program goes on" {
	run -0 c run -d --name bg busybox sleep 1000
	matches "$output" '^[0-9a-f]{64}$'
	is_state bg running
	run -0 c rm -f bg
}

@test "--cidfile holds the id and must not exist" {
	run -0 c run --rm --cidfile "$BATS_TEST_TMPDIR/cid" busybox true
	matches "$(cat "$BATS_TEST_TMPDIR/cid")" '^[0-9a-f]{64}$'
	run c run --rm --cidfile "$BATS_TEST_TMPDIR/cid" busybox true
	code 125
	contains "$output" "container ID file found"
}

@test "labels from flags, files and the image" {
	printf '# c\nfile=yes\nwho=file\n' >"$BATS_TEST_TMPDIR/labels"
	c create --name lab --label a=b --label bare --label-file "$BATS_TEST_TMPDIR/labels" configured
	run -0 c inspect --format '{{json .Config.Labels}}' lab
	equals "$(jq -cS . <<<"$output")" '{"a":"b","bare":"","file":"yes","made":"here","who":"file"}'
	c rm lab
}

@test "--annotation is kept" {
	c create --name ann --annotation k=v busybox
	run -0 c inspect --format '{{json .HostConfig.Annotations}}' ann
	equals "$output" '{"k":"v"}'
	c rm ann
}

@test "--platform: native accepted, foreign refused" {
	run -0 c run --rm --platform linux/amd64 busybox true
	run c run --rm --pull never --platform linux/s390x busybox true
	code 125
}

@test "flags that are not built yet are refused by name" {
	[ "$E2E_CLIENT" = coracle ] || skip "this is about our own command line"
	for flag in "--gpus all" "--storage-opt size=1g"; do
		# shellcheck disable=SC2086
		run c run --rm $flag busybox true
		code 125
		contains "$output" "${flag%% *}"
	done
}

@test "create, start -a and wait agree on the exit code" {
	c create --name steps busybox sh -c 'echo hello; exit 7'
	run c start -a steps
	code 7
	equals "$output" hello
	run -0 c wait steps
	equals "$output" 7
	run -0 c inspect --format '{{.State.ExitCode}}' steps
	equals "$output" 7
	c rm steps
}

@test "a stopped container starts again, with its files kept" {
	c run --name again busybox sh -c 'echo x >>/count; wc -l </count'
	run -0 c start -a again
	equals "$output" 2
	c rm again
}

@test "--stop-signal and the image's STOPSIGNAL" {
	c run -d --name sig --stop-signal SIGUSR2 busybox sh -c 'trap "exit 9" USR2; while :; do sleep 0.05; done'
	sleep 0.3
	c stop -t 5 sig
	run -0 c inspect --format '{{.State.ExitCode}}' sig
	equals "$output" 9
	c rm sig
	c run -d --name sig --entrypoint sh configured -c 'trap "exit 8" USR1; while :; do sleep 0.05; done'
	sleep 0.3
	c stop -t 5 sig
	run -0 c inspect --format '{{.State.ExitCode}}' sig
	equals "$output" 8
	c rm sig
}

@test "--stop-timeout is the time until SIGKILL" {
	c run -d --name stubborn --stop-timeout 1 busybox sh -c 'trap "" TERM; while :; do sleep 0.05; done'
	sleep 0.3
	start=$SECONDS
	c stop stubborn
	[ $((SECONDS - start)) -le 3 ]
	run -0 c inspect --format '{{.State.ExitCode}}' stubborn
	equals "$output" 137
	c rm stubborn
}

@test "--init reaps orphans and forwards signals" {
	run -0 c run --rm --init busybox sh -c 'cat /proc/1/comm; sh -c "sleep 0.05 & exec true"; sleep 0.3; ps -o stat,comm | grep -c "^Z" || true'
	lacks "$output" "sh"$'\n'"sh"
	equals "$(tail -n 1 <<<"$output")" 0
	c run -d --name forward --init busybox sh -c 'trap "exit 5" TERM; while :; do sleep 0.05; done'
	sleep 0.3
	c stop -t 5 forward
	run -0 c inspect --format '{{.State.ExitCode}}' forward
	equals "$output" 5
	c rm forward
}

@test "nothing is left of all this" {
	sleep 0.2
	run -0 c ps -aq
	equals "$output" ""
	no_leaks
}
