# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A real docker-registry on a free loopback port, for the tests that need more than our own small one.

# start_registry DIRECTORY [YAML]: sets REG (host:port) and REG_PID. Its data and log are in the directory.
start_registry() {
	local dir=$1 more=${2:-}
	mkdir -p "$dir"
	for _ in 1 2 3 4 5; do
		REG=127.0.0.1:$((20000 + RANDOM % 12000))
		cat >"$dir/config.yml" <<-END
			version: 0.1
			log: {level: warn, accesslog: {disabled: true}}
			storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
			http: {addr: "$REG"}
			$more
		END
		docker-registry serve "$dir/config.yml" </dev/null >"$dir/log" 2>&1 3>&- 4>&- &
		REG_PID=$!
		export REG REG_PID
		wait_for 10 registry_settled && kill -0 "$REG_PID" 2>/dev/null && return 0
	done
	cat "$dir/log" >&2
	return 1
}
registry_settled() {
	curl -s -o /dev/null "http://$REG/v2/" || ! kill -0 "$REG_PID" 2>/dev/null
}
stop_registry() {
	[ -z "${REG_PID:-}" ] || kill "$REG_PID" 2>/dev/null || true
}
