# SPDX-License-Identifier: Apache-2.0
# The metrics listener.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	HOME_DIR=$(mktemp -d "$E2E_TMP/home.XXXXXX")
	mkdir -p "$HOME_DIR/etc"
	echo "{\"metrics-addr\":\"127.0.0.1:$PORT\"}" >"$HOME_DIR/etc/config.json"
	export PORT
	start_engine "$HOME_DIR"
}
teardown_file() { stop_engine; }

scrape() {
	curl -s --max-time 10 "http://127.0.0.1:$PORT/metrics" | python3 "$E2E_DIR/promtext.py"
}
value() { # of the first sample that begins so
	scrape | grep -F "$1" | head -n 1 | sed 's/.* //'
}

@test "metrics: the format is right and the numbers are those of the engine" {
	run -0 scrape
	contains "$output" 'coracle_build_info{version="'
	coracle create --name made default true >/dev/null
	coracle run -d --name busy --memory 64m default sh -c 'while :; do :; done' >/dev/null
	equals "$(value 'coracle_containers{state="created"}')" 1
	equals "$(value 'coracle_containers{state="running"}')" 1
	equals "$(value coracle_images)" 1
	[ "$(value 'coracle_api_requests_total{class="containers",code="2xx"}')" -ge 3 ]
	[ "$(value coracle_events_total)" -ge 3 ]
	api GET /containers/none/json >/dev/null
	equals "$(value 'coracle_api_requests_total{class="containers",code="4xx"}')" 1
}

@test "metrics: containers have cpu, memory, pids and io; gone ones are gone" {
	id=$(coracle inspect -f '{{.Id}}' busy)
	series="{id=\"$id\",name=\"busy\",image=\"default\"}"
	equals "$(value "coracle_container_memory_limit_bytes$series")" $((64 << 20))
	equals "$(value "coracle_container_pids$series")" 1
	used() { python3 -c "import sys; sys.exit(not float('$(value "coracle_container_cpu_seconds_total$series")') > 0.05)"; }
	wait_for 10 used
	run -0 scrape
	lacks "$output" 'name="made"'
	if cgroup_v2; then contains "$output" coracle_container_pressure_seconds_total; else lacks "$output" pressure; fi
	coracle rm -f busy >/dev/null
	run -0 scrape
	lacks "$output" 'name="busy"'
}

@test "metrics: the listener has nothing else, and the API socket has no metrics" {
	equals "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/containers/json")" 404
	equals "$(curl -s -o /dev/null -w '%{http_code}' -X POST "http://127.0.0.1:$PORT/containers/create")" 404
	equals "$(status GET /metrics)" 404
}
