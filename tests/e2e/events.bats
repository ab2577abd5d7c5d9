# SPDX-License-Identifier: Apache-2.0
# Events: what a life emits, in order, with filters; kept over the end of an engine.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() { start_engine; }
teardown_file() { stop_engine; }

now() { date +%s.%N; }
since() { c events --since "$1" --until "$(now)" "${@:2}"; }
kill_engine() {
	kill -9 "$(engine_pid)"
	wait_for 5 bash -c "! kill -0 $(engine_pid) 2>/dev/null"
}

@test "the life of a container in order" {
	t=$(now)
	run -0 c run -d --name life --label tier=a -v lifevol:/v default sleep 100000
	id=$output
	c exec life true
	c pause life && c unpause life
	c rename life lived
	c update --cpu-shares 512 lived
	c cp lived:/etc/passwd - >/dev/null
	tar c -C /etc hostname | c cp - lived:/tmp
	c export lived >/dev/null
	c top lived >/dev/null
	c restart -t 0 lived
	c kill lived
	c wait lived
	c rm lived
	run -0 since "$t" --filter "container=$id" --format '{{.Action}}'
	equals "$output" "$(printf '%s\n' create start 'exec_create: true' 'exec_start: true' exec_die pause unpause rename update \
		archive-path extract-to-dir export top kill die stop start restart kill die destroy)"
	run -0 since "$t" --filter volume=lifevol --format '{{.Action}}'
	equals "$output" "$(printf '%s\n' create mount unmount mount unmount)"
	run -0 since "$t" --filter event=die --format '{{index .Actor.Attributes "exitCode"}} {{index .Actor.Attributes "tier"}} {{.Type}} {{.Scope}}'
	equals "${lines[0]}" "137 a container local"
	run -0 since "$t" --filter event=extract-to-dir --format '{{index .Actor.Attributes "path"}}'
	equals "$output" /tmp
	c volume rm lifevol
}

@test "filters: type, event, label, image, several at once; unknown ones are refused" {
	t=$(now)
	c run --rm --name one --label k=1 default true
	c run --rm --name two --label k=2 default true
	equals "$(since "$t" --filter type=container --filter event=start --format '{{.Actor.Attributes.name}}')" "$(printf 'one\ntwo')"
	equals "$(since "$t" --filter label=k=2 --filter event=start --format '{{.Actor.Attributes.name}}')" two
	equals "$(since "$t" --filter image=default --filter event=die --format '{{.Actor.Attributes.name}}')" "$(printf 'one\ntwo')"
	equals "$(since "$t" --filter image=other)" ""
	equals "$(since "$t" --filter type=image)" ""
	run c events --filter bogus=1 --until 1s
	[ "$status" -ne 0 ]
	contains "$output" "invalid filter 'bogus'"
}

@test "a label named like an attribute of an event does not hide it" {
	t=$(now)
	c run --rm --name mine --label name=evil --label exitCode=9 default true
	run -0 since "$t" --filter container=mine --filter event=die --format '{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}'
	equals "$output" "mine 0"
}

@test "the text form" {
	t=$(now)
	c run --rm --name text default true
	run -0 since "$t" --filter event=create
	matches "$output" '^[0-9T:.-]+Z? container create [0-9a-f]{64} \(image=default, name=text, org[^)]*\(busybox\)\)$'
}

@test "live events come as they happen" {
	c events --filter container=live --format '{{.Action}}' >"$BATS_TEST_TMPDIR/out" 3>&- &
	pid=$!
	some() { [ -s "$BATS_TEST_TMPDIR/out" ]; }
	for _ in $(seq 20); do
		c run --rm --name live default true
		some && break
	done
	wait_for 5 some
	kill "$pid"
	contains "$(cat "$BATS_TEST_TMPDIR/out")" start
}

@test "events survive a killed engine, a torn line, and are bounded" {
	t=$(now)
	c run --rm --name before default true
	kill_engine
	printf '{"Type":"container","Action":"torn' >>"$HOME_DIR/data/events.json"
	run_engine
	c run --rm --name after default true
	equals "$(since "$t" --filter event=start --format '{{.Actor.Attributes.name}}')" "$(printf 'before\nafter')"
	# More than fits: the oldest go, the file stays small, the newest are all there.
	big=$(head -c 100000 /dev/zero | tr '\0' x)
	coracle create --name big --label "big=$big" default true
	for i in $(seq 25); do coracle rename big "big$i"; coracle rename "big$i" big; done
	[ "$(cat "$HOME_DIR"/data/events.json* | wc -c)" -le $((2 << 20)) ]
	equals "$(since "$t" --filter event=start --format '{{.Actor.Attributes.name}}')" ""
	equals "$(since "$t" --filter event=rename --format '{{.Actor.Attributes.oldName}}' | tail -n 1)" "/big25"
	c rm big
}

@test "prune tells what it freed" {
	t=$(now)
	c run --name p default sh -c 'head -c 300000 /dev/zero >/file' || c run --name pp default sh -c 'head -c 300000 /dev/zero >/file'
	c container prune -f
	run -0 since "$t" --filter event=prune --format '{{.Type}} {{.Actor.Attributes.reclaimed}}'
	[ "${output#container }" -ge 300000 ]
}

@test "nothing is left of all this" {
	no_leaks
}
