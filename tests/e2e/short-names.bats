# SPDX-License-Identifier: Apache-2.0
# What a short name means: aliases count for what a client sends short, rules of registries.conf for every client.
bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	start_engine
	mkdir -p "$HOME_DIR/etc"
	CONF=$HOME_DIR/etc/registries.conf
}
teardown() { stop_engine; }

@test "an alias: pull, run and create by the short name; what is written in full stays what it is" {
	[ "$E2E_CLIENT" = coracle ] || skip "Docker's client sends docker.io/library/ in front: see the next test"
	printf '[aliases]\n"box" = "%s/box"\n' "$E2E_REGISTRY" >"$CONF"
	run -0 coracle pull box:gzip
	contains "$output" "Status: Downloaded newer image for $E2E_REGISTRY/box:gzip" # where it is from
	contains "$(coracle images --format '{{.Repository}}:{{.Tag}}')" "box:gzip"
	equals "$(coracle run --rm --pull never box:gzip echo fine)" fine
	coracle rmi box:gzip >/dev/null
	equals "$(coracle run --rm -q box:gzip echo pulled)" pulled
	coracle rm "$(coracle create -q --pull always box:gzip true)" >/dev/null
	# An explicit registry is not an alias' business.
	printf '[[registry]]\nprefix = "docker.io"\nblocked = true\n[aliases]\n"box" = "%s/box"\n' "$E2E_REGISTRY" >"$CONF"
	run -1 coracle pull docker.io/library/box:gzip
	contains "$output" "registry docker.io is blocked by $CONF"
	run -0 coracle pull box:gzip
}

@test "a rule for docker.io/library/NAME: the same for every client and every spelling" {
	printf '[[registry]]\nprefix = "docker.io/library/box"\nlocation = "%s/box"\n' "$E2E_REGISTRY" >"$CONF"
	run -0 c pull box:gzip
	contains "$output" "Downloaded newer image for"
	contains "$(c images --format '{{.Repository}}:{{.Tag}}')" "box:gzip"
	equals "$(c run --rm --pull never box:gzip echo fine)" fine
	c rmi box:gzip >/dev/null
	equals "$(c run --rm -q docker.io/library/box:gzip echo pulled)" pulled
	equals "$(c run --rm --pull never box:gzip echo fine)" fine
}
