# SPDX-License-Identifier: Apache-2.0
# Restart policies and health checks: while the engine runs, across its restarts and after a reboot.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() { start_engine; }
teardown_file() { stop_engine; }

field() { coracle inspect --format "$2" "$1"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
at_least() { [ "$(field "$1" "$2")" -ge "$3" ]; }
kill_engine() {
	kill -9 "$(engine_pid)"
	wait_for 5 bash -c "! kill -0 $(engine_pid) 2>/dev/null"
}

@test "--restart on-failure:n counts, backs off and gives up; success is not restarted" {
	run -0 c run -d --name of --restart on-failure:2 default sh -c 'echo run; exit 3'
	wait_for 10 is of '{{.State.Status}} {{.RestartCount}}' 'exited 2'
	run -0 c logs of
	equals "${#lines[@]}" 3
	run -0 c inspect --format '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.State.ExitCode}}' of
	equals "$output" "on-failure 2 3"
	run -0 c run -d --name ok --restart on-failure default true
	wait_for 5 is ok '{{.State.Status}} {{.RestartCount}}' 'exited 0'
	c rm of ok
}

@test "--restart always and unless-stopped go on until a user stops them" {
	for policy in always unless-stopped; do
		run -0 c run -d --name "r-$policy" --restart "$policy" default sh -c 'sleep 0.02'
		wait_for 10 at_least "r-$policy" '{{.RestartCount}}' 2
		run -0 c stop "r-$policy"
		is "r-$policy" '{{.State.Status}}' exited
		n=$(field "r-$policy" '{{.RestartCount}}')
		sleep 0.5
		is "r-$policy" '{{.State.Status}} {{.RestartCount}}' "exited $n"
		c rm "r-$policy"
	done
}

@test "each restart is a die and a start in the events, with growing pauses" {
	from=$(date +%s.%N)
	run -0 c run -d --name ev --restart on-failure:3 default false
	wait_for 10 is ev '{{.State.Status}} {{.RestartCount}}' 'exited 3'
	run -0 c events --since "$from" --until "$(date +%s.%N)" --filter container=ev --format '{{.Action}} {{.TimeNano}}'
	equals "$(grep -c ^start <<<"$output")" 4
	equals "$(grep -c ^die <<<"$output")" 4
	pauses=$(awk '$1=="die"{d=$2} $1=="start"&&d{print int(($2-d)/1000000)}' <<<"$output")
	# 100, 200, 400 ms at least
	i=100
	for p in $pauses; do
		[ "$p" -ge "$i" ] || { echo "pauses: $pauses" >&2; return 1; }
		i=$((i * 2))
	done
	c rm ev
}

@test "what a restart policy may not be" {
	run c run -d --restart sometimes default true
	code 125
	contains "$output" "invalid restart policy"
	run c run -d --restart always:3 default true
	code 125
	contains "$output" "maximum retry count"
	run c run --rm --restart always default true
	code 125
	contains "$output" "conflicting options: cannot specify both --restart and --rm"
}

@test "update --restart changes the policy of a running container" {
	run -0 c run -d --name up default sh -c 'sleep 0.3; exit 1'
	run -0 c update --restart on-failure:1 up
	wait_for 10 is up '{{.State.Status}} {{.RestartCount}}' 'exited 1'
	c rm up
}

@test "an engine that comes back starts what its policy wants" {
	[ "$E2E_CLIENT" = coracle ] || skip "one client is enough"
	c run -d --name a-run --restart always default sleep 100000
	c run -d --name a-stopped --restart always default sleep 100000
	c run -d --name u-stopped --restart unless-stopped default sleep 100000
	c run -d --name u-dies --restart unless-stopped default sleep 100000
	c create --name a-fresh --restart always default sleep 100000
	c run -d --name plain default sleep 100000
	c stop -t 0 a-stopped u-stopped
	pid=$(field a-run '{{.State.Pid}}')
	dies=$(field u-dies '{{.State.Pid}}')
	kill_engine
	kill -9 "$dies"
	sleep 0.2
	run_engine
	wait_for 5 is a-stopped '{{.State.Status}}' running
	wait_for 5 is u-dies '{{.State.Status}}' running
	is a-run '{{.State.Pid}}' "$pid"
	is u-stopped '{{.State.Status}}' exited
	is a-fresh '{{.State.Status}}' created
	is plain '{{.State.Status}}' running
	c rm -f a-run a-stopped u-stopped u-dies a-fresh plain
}

@test "on-failure when the engine starts: what failed and has retries left, not what a user stopped" {
	[ "$E2E_CLIENT" = coracle ] || skip "one client is enough"
	c run -d --name f-failed --restart on-failure default sleep 100000
	c run -d --name f-stopped --restart on-failure default sleep 100000
	c run --name f-good --restart on-failure default true
	c run -d --name f-spent --restart on-failure:1 default false
	wait_for 10 is f-spent '{{.State.Status}} {{.RestartCount}}' "exited 1"
	c stop -t 0 f-stopped
	is f-stopped '{{.State.ExitCode}}' 137
	failed=$(field f-failed '{{.State.Pid}}')
	kill_engine
	kill -9 "$failed"
	sleep 0.2
	run_engine
	wait_for 5 is f-failed '{{.State.Status}}' running
	is f-stopped '{{.State.Status}}' exited
	is f-spent '{{.State.Status}}' exited
	is f-good '{{.State.Status}}' exited
	# stopped while it waits for its next try: stays stopped in this engine
	c run -d --name f-loop --restart always default false
	wait_for 5 is f-loop '{{.State.Status}}' restarting
	c stop f-loop
	sleep 1
	run -1 c exec f-loop true
	lacks "$(field f-loop '{{.State.Status}}')" running
	c rm -f f-failed f-stopped f-good f-spent f-loop
}

@test "after a reboot: always, unless-stopped and on-failure run again, the others are reported dead" {
	[ "$E2E_CLIENT" = coracle ] || skip "one client is enough"
	c run -d --name b-always --restart always default sleep 100000
	c run -d --name b-unless --restart unless-stopped default sleep 100000
	c run -d --name b-stopped --restart unless-stopped default sleep 100000
	c run -d --name b-plain default sleep 100000
	c run -d --name b-failure --restart on-failure default sleep 100000
	c run -d --rm --name b-rm default sleep 100000
	c stop -t 0 b-stopped
	kill_engine
	for p in $(shim_pids); do kill -9 "$p"; done
	wait_for 5 no_home_pids
	# A boot id of its own is what a new boot looks like; the run folder is still there, as on a disk.
	echo 00000000-1111-2222-3333-444444444444 >"$HOME_DIR/boot_id"
	unshare -m bash -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id && exec "$2"' - "$HOME_DIR/boot_id" "$BIN/coracled" \
		</dev/null >>"$HOME_DIR/engine.log" 2>&1 3>&- 4>&- &
	echo $! >"$HOME_DIR/engine.test-pid"
	wait_for 10 ping
	wait_for 5 is b-always '{{.State.Status}}' running
	wait_for 5 is b-unless '{{.State.Status}}' running
	wait_for 5 is b-failure '{{.State.Status}}' running
	wait_for 5 is b-plain '{{.State.Status}}' exited
	is b-stopped '{{.State.Status}}' exited
	run c inspect b-rm
	[ "$status" -ne 0 ]
	c rm -f b-always b-unless b-failure b-stopped b-plain
	kill_engine
	run_engine
}

@test "health: starting, healthy, unhealthy, in ps, filters, events and inspect" {
	from=$(date +%s.%N)
	run -0 c run -d --name hc --health-cmd 'cat /healthy' --health-interval 150ms --health-retries 2 default sleep 100000
	contains "$(c ps --filter name=hc --format '{{.Status}}')" "(health: starting)"
	c exec hc sh -c 'echo fine >/healthy'
	wait_for 10 is hc '{{.State.Health.Status}}' healthy
	contains "$(c ps --format '{{.Status}}' --filter name=hc)" "(healthy)"
	equals "$(c ps -q --no-trunc --filter health=healthy)" "$(field hc '{{.Id}}')"
	run -0 c inspect --format '{{$l := index .State.Health.Log 0}}{{with index .State.Health.Log 0}}{{.ExitCode}}{{end}}' hc
	c exec hc rm /healthy
	wait_for 10 is hc '{{.State.Health.Status}}' unhealthy
	at_least hc '{{.State.Health.FailingStreak}}' 2
	contains "$(field hc '{{json .State.Health.Log}}')" "No such file"
	wait_for 10 is hc '{{len .State.Health.Log}}' 5
	equals "$(c ps -q --filter health=healthy)" ""
	run -0 c events --since "$from" --until "$(date +%s.%N)" --filter container=hc --filter event=health_status --format '{{.Action}}'
	equals "$output" "$(printf 'health_status: healthy\nhealth_status: unhealthy')"
	c rm -f hc
}

@test "health: start period and interval, time-out, long output" {
	run -0 c run -d --name slow --health-cmd 'sleep 60' --health-timeout 200ms --health-interval 100ms --health-retries 1 default sleep 100000
	wait_for 10 is slow '{{.State.Health.Status}}' unhealthy
	contains "$(field slow '{{json .State.Health.Log}}')" '"ExitCode":-1,"Output":"Health check exceeded timeout (200ms)'
	run -0 c run -d --name grace --health-cmd 'false' --health-start-period 60s --health-start-interval 50ms --health-interval 60s default sleep 100000
	wait_for 10 is grace '{{len .State.Health.Log}}' 5
	is grace '{{.State.Health.Status}} {{.State.Health.FailingStreak}}' 'starting 0'
	run -0 c run -d --name long --health-cmd 'yes | head -c 3000000' --health-interval 100ms default sleep 100000
	wait_for 10 is long '{{.State.Health.Status}}' healthy
	run -0 c inspect --format '{{(index .State.Health.Log 0).Output}}' long
	equals "${#output}" 4099
	c rm -f slow grace long
}

@test "health: from the image, overridden, switched off, and wrong options" {
	c run --name base default true
	run -0 c run -d --name off --no-healthcheck default sleep 100000
	equals "$(field off '{{json .Config.Healthcheck}}')" '{"Test":["NONE"]}'
	equals "$(field off '{{json .State.Health}}')" null
	run c run -d --no-healthcheck --health-cmd true default true
	code 125
	contains "$output" "--no-healthcheck conflicts with --health-* options"
	run c run -d --health-interval=-1s default true
	code 125
	contains "$output" "--health-interval cannot be negative"
	c rm -f off base
}

@test "health goes on over an engine restart: state, log, checks" {
	[ "$E2E_CLIENT" = coracle ] || skip "one client is enough"
	c run -d --name keep --health-cmd 'echo checked' --health-interval 200ms default sleep 100000
	wait_for 10 is keep '{{len .State.Health.Log}}' 3
	kill_engine
	run_engine
	equals "$(field keep '{{.State.Health.Status}}')" healthy
	[ "$(field keep '{{len .State.Health.Log}}')" -ge 3 ]
	last=$(field keep '{{json .State.Health.Log}}')
	newer() { [ "$(field keep '{{json .State.Health.Log}}')" != "$last" ]; }
	wait_for 5 newer
	c stop -t 0 keep
	equals "$(field keep '{{.State.Health.Status}}')" unhealthy
	c rm keep
}

@test "nothing is left of all this" {
	no_leaks
}

@test "what is asked of a container while it starts waits for the start" {
	local i
	for i in $(seq 12); do
		c create --name "busy$i" -v /v default sleep 100 >/dev/null
		c start "busy$i" >/dev/null &
		case $((i % 4)) in
		0) run c rm -f -v "busy$i" ;;
		1) run c stop -t 0 "busy$i" ;;
		2) run c restart -t 0 "busy$i" ;;
		3) run c kill "busy$i" ;;
		esac
		wait $! || true
		# A kill that comes before the start finds nothing that runs; everything else works, before and after.
		[ "$status" -eq 0 ] || { [ $((i % 4)) = 3 ] && contains "$output" "is not running"; }
		lacks "$output" "starting"
		c rm -f -v "busy$i" >/dev/null 2>&1 || true
		gone "busy$i"
	done
	no_leaks
}
