#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients: coracle
# docker-compose of Debian (1.29) drives an application of several containers: a writer, a web server that shows what it wrote,
# a client in the server's network, and one that always fails. No networks: each has its own loopback, or its neighbour's.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
	start_engine
	coracle run --rm --network none default true
	mkdir -p "$HOME_DIR/app/conf"
	cd "$HOME_DIR/app" || return 1
	echo 'GREETING=hello' >app.env
	echo 'PROGRAM=httpd' >.env
	echo 'configured' >conf/file
	cat >docker-compose.yml <<-'END'
		version: "2.4"
		services:
		  writer:
		    image: default
		    command: sh -c 'n=0; while :; do n=$$((n+1)); echo "$$GREETING $$n" >/site/new; mv /site/new /site/index.html; sleep 0.1; done'
		    network_mode: none
		    env_file: app.env
		    environment: {EXTRA: "1"}
		    volumes: ["site:/site"]
		    stop_signal: SIGKILL
		  web:
		    image: default
		    command: ["${PROGRAM}", "-f", "-p", "80", "-h", "/site"]
		    network_mode: none
		    volumes: ["site:/site:ro", "./conf:/conf:ro"]
		    tmpfs: [/scratch]
		    mem_limit: 64m
		    restart: always
		    labels: {role: front}
		    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/index.html"], interval: 200ms, timeout: 20s, retries: 100}
		    depends_on: [writer]
		    stop_grace_period: 0s
		  client:
		    image: default
		    command: sh -c 'wget -q -O - http://127.0.0.1/index.html; exec sleep 1000'
		    network_mode: "service:web"
		    depends_on: {web: {condition: service_healthy}}
		    stop_grace_period: 0s
		  failing:
		    image: default
		    command: sh -c 'echo try >>/state/tries; exit 3'
		    network_mode: none
		    restart: on-failure:2
		    volumes: ["state:/state"]
		volumes:
		  site: {}
		  state: {labels: {kept: "no"}}
	END
}

teardown_file() {
	stop_engine
}

compose() {
	(cd "$HOME_DIR/app" && DOCKER_HOST=unix://$SOCK COMPOSE_HTTP_TIMEOUT=60 timeout -k 5 90 docker-compose --ansi never -p app "$@" </dev/null 3>&-)
}
state() {
	coracle inspect --format "${2:-{{.State.Status\}\}}" "app_$1_1"
}
gave_up() {
	[ "$(state failing '{{.RestartCount}} {{.State.Status}}')" = '2 exited' ]
}

@test "up: volumes, environment, health, the neighbour's network, restarts" {
	needs docker-compose
	compose up -d
	equals "$(state writer) $(state web) $(state client)" 'running running running'
	equals "$(state web '{{.State.Health.Status}}')" healthy
	equals "$(state client '{{.HostConfig.NetworkMode}}')" "container:$(state web '{{.Id}}')"
	equals "$(state web '{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}} {{index .Config.Labels "role"}}')" "$((64 << 20)) always front"
	wait_for 20 gave_up
	equals "$(cat "$(coracle volume inspect --format '{{.Mountpoint}}' app_state)/tries" | wc -l)" 3
	equals "$(coracle volume inspect --format '{{index .Labels "kept"}}' app_state)" no
}

@test "ps, top, images, config, logs, exec, run" {
	needs docker-compose
	run -0 compose ps
	contains "$output" 'Up (healthy)'
	contains "$output" 'Exit 3'
	equals "$(compose ps -q | sort)" "$(coracle ps -aq --no-trunc | sort)"
	equals "$(compose ps --services --filter status=running | sort | xargs)" 'client web writer'
	run -0 compose top web
	contains "$output" 'httpd -f -p 80 -h /site'
	run -0 compose images
	contains "$output" 'default      latest'
	compose config -q
	run -0 compose logs --no-color client
	contains "$output" 'client_1   | hello '
	run -4 compose exec -T -u 5 -w /tmp -e Z=z web sh -c 'id -u; pwd; echo $Z; cat /conf/file; exit 4'
	contains "$output" "$(printf '5\n/tmp\nz\nconfigured')"
	run -6 compose run --rm -T writer sh -c 'echo run $GREETING $EXTRA; exit 6'
	contains "$output" 'run hello 1'
	equals "$(coracle ps -aq --filter name=run | wc -l)" 0
}

@test "pause, stop, start, restart, kill, rm, scale" {
	needs docker-compose
	compose pause writer
	equals "$(state writer)" paused
	compose unpause writer
	before=$(state writer '{{.State.StartedAt}}')
	compose restart -t 0 writer
	[ "$(state writer '{{.State.StartedAt}} {{.State.Status}}')" != "$before running" ]
	compose stop client
	equals "$(state client)" exited
	compose start client
	equals "$(state client)" running
	compose kill client
	equals "$(state client '{{.State.Status}} {{.State.ExitCode}}')" 'exited 137'
	compose rm -f client
	run ! state client
	compose up -d --scale client=2 client
	equals "$(compose ps -q client | wc -l)" 2
	compose up -d --scale client=1 client
	equals "$(compose ps -q client | wc -l)" 1
}

@test "a changed service is made again with the same volumes" {
	needs docker-compose
	before=$(state writer '{{.Id}}')
	echo 'GREETING=changed' >"$HOME_DIR/app/app.env"
	compose up -d writer
	[ "$(state writer '{{.Id}}')" != "$before" ]
	changed() { coracle exec app_web_1 wget -q -O - http://127.0.0.1/index.html | grep -q '^changed '; }
	wait_for 20 changed
	compose up -d --force-recreate failing
	wait_for 20 gave_up
	equals "$(wc -l <"$(coracle volume inspect --format '{{.Mountpoint}}' app_state)/tries")" 6
}

@test "events, then down with volumes leaves nothing" {
	needs docker-compose
	compose events --json >"$HOME_DIR/events" 2>"$HOME_DIR/events.err" &
	local p=$!
	heard() { grep -q '"service": "web"' "$HOME_DIR/events"; } # its health check runs all the time
	wait_for 20 heard
	compose down -v -t 0
	wait "$p" || true
	grep -q '"action": "die"' "$HOME_DIR/events"
	equals "$(coracle ps -aq | wc -l) $(coracle volume ls -q | wc -l)" '0 0'
}
