#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients: coracle
# The API as dockerode, the client library of Node, uses it. Debian has no package of it: npm brings it, once per machine.
bats_require_minimum_version 1.5.0
load lib
load registry

VERSION=5.0.1

setup_file() {
	start_engine
	mkdir -p "$HOME_DIR/npm"
	command -v docker-registry >/dev/null && start_registry "$HOME_DIR/registry"
	export NODE_PATH="$CORACLE_TEST_CACHE/dockerode-$VERSION/node_modules"
	[ -d "$NODE_PATH/dockerode" ] || install_dockerode || rm -rf "$CORACLE_TEST_CACHE/dockerode-$VERSION"
	coracle run --rm --network none default true
}

teardown_file() {
	stop_registry
	stop_engine
}

install_dockerode() {
	command -v npm >/dev/null || return 1
	mkdir -p "$CORACLE_TEST_CACHE/dockerode-$VERSION"
	(cd "$CORACLE_TEST_CACHE/dockerode-$VERSION" &&
		timeout -k 5 120 npm install --no-audit --no-fund --ignore-scripts --omit=dev --omit=optional --no-save \
			"dockerode@$VERSION") >"$HOME_DIR/npm/log" 2>&1 </dev/null 3>&- 4>&-
}

# No failure where it cannot be had: the machine needs a network for it.
judge() {
	command -v node >/dev/null || skip "node is not installed"
	[ -d "$NODE_PATH/dockerode" ] || skip "dockerode $VERSION is not there: $(tail -n 1 "$HOME_DIR/npm/log" 2>/dev/null || echo 'no npm')"
	run -0 node "$E2E_DIR/dockerode.js" "$1"
}

@test "dockerode: create, start, pause, top, rename, update, stop, restart, kill, wait, remove" {
	judge life
}

@test "dockerode: attach with and without upgrade" {
	judge attach
}

@test "dockerode: a terminal" {
	judge terminal
}

@test "dockerode: run" {
	judge run
}

@test "dockerode: exec with and without input, terminal and upgrade" {
	judge exec
}

@test "dockerode: logs that follow" {
	judge logs
}

@test "dockerode: events live and past" {
	judge events
}

@test "dockerode: stats" {
	judge stats
}

@test "dockerode: putArchive, getArchive, changes, export, commit" {
	judge files
}

@test "dockerode: push, pull, save, load, import with their progress" {
	needs docker-registry
	judge images
}

@test "dockerode: volumes" {
	judge volumes
}

@test "dockerode: info, df, prune" {
	judge system
}
