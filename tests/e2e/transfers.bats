# SPDX-License-Identifier: Apache-2.0
# Pulls and pushes that stand half-way, through a gate in front of a real registry, while everything else happens:
# garbage collection, prune, removal of what they share, reload of the configuration.
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	mkdir -p "$HOME_DIR/etc"
	start_registry "$HOME_DIR/registry"
	GATE_AT=$HOME_DIR/gate
	python3 "$E2E_DIR/gate.py" "$REG" "$GATE_AT" 3>&- 4>&- &
	GATE_PID=$!
	wait_for 10 test -s "$GATE_AT.port"
	GATE=127.0.0.1:$(cat "$GATE_AT.port")
	export GATE_AT GATE GATE_PID
	python3 - "$BATS_FILE_TMPDIR" <<-'END'
		import os, sys
		sys.path.insert(0, os.environ['E2E_DIR'])
		import imagelib
		for name, n in (('base', 0), ('big', 3), ('up-coracle', 3), ('up-docker', 3)):
		    layers = [imagelib.busybox_tar()] + [imagelib.Tar().file('random%d' % i, os.urandom(200000)).done() for i in range(n)]
		    imagelib.write_docker_archive(imagelib.Image(layers, compression='plain'), '%s/%s.tar' % (sys.argv[1], name), [name + ':1'])
	END
	coracle load -q -i "$BATS_FILE_TMPDIR/big.tar"
	coracle tag big:1 "$REG/big:1"
	coracle push -q "$REG/big:1"
	coracle rmi big:1 "$REG/big:1" >/dev/null
}
teardown_file() {
	kill "$GATE_PID" 2>/dev/null || true
	stop_registry
	stop_engine
}
setup() {
	needs docker-registry
	rm -f "$GATE_AT.open" "$GATE_AT.waiting"
}
halfway() { # COMMAND...: starts it; it stands at the gate when this returns
	"$@" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- 4>&- &
	JOB=$!
	wait_for 10 test -e "$GATE_AT.waiting"
}
goes_on() {
	kill -0 "$JOB"
	touch "$GATE_AT.open"
	wait "$JOB" || {
		cat "$BATS_TEST_TMPDIR/out" >&2
		return 1
	}
}
empty_everything() {
	coracle system gc --unused-for 1ms >/dev/null
	coracle system gc --dangling --unused-for 1ms >/dev/null
	c image prune -af >/dev/null
	c system prune -af --volumes >/dev/null
}
sound() {
	run -0 coracle system fsck
	contains "$output" "no problems"
}

@test "gc and prune leave a pull alone that stands half-way" {
	halfway c pull "$GATE/big:1"
	empty_everything
	goes_on
	contains "$(cat "$BATS_TEST_TMPDIR/out")" "Downloaded newer image for $GATE/big:1"
	equals "$(c run --rm "$GATE/big:1" echo fine)" fine
	sound
	c rmi "$GATE/big:1" >/dev/null
}

@test "what a pull shares with an image may be removed under it" {
	coracle load -q -i "$BATS_FILE_TMPDIR/base.tar"
	halfway c pull "$GATE/big:1"
	contains "$(cat "$BATS_TEST_TMPDIR/out")" "Already exists"
	c rmi -f base:1 >/dev/null
	empty_everything
	goes_on
	equals "$(c run --rm "$GATE/big:1" echo fine)" fine
	sound
	c rmi "$GATE/big:1" >/dev/null
}

@test "gc, prune and rmi leave a push alone that stands half-way" {
	coracle load -q -i "$BATS_FILE_TMPDIR/up-$E2E_CLIENT.tar"
	c tag up-$E2E_CLIENT:1 "$GATE/pushed-$E2E_CLIENT/big:1"
	halfway c push "$GATE/pushed-$E2E_CLIENT/big:1"
	empty_everything
	c rmi -f up-$E2E_CLIENT:1 "$GATE/pushed-$E2E_CLIENT/big:1" >/dev/null 2>&1 || true
	goes_on
	contains "$(cat "$BATS_TEST_TMPDIR/out")" "1: digest: sha256:"
	sound
	c pull -q "$GATE/pushed-$E2E_CLIENT/big:1" >/dev/null
	equals "$(c run --rm "$GATE/pushed-$E2E_CLIENT/big:1" echo fine)" fine
	c rmi "$GATE/pushed-$E2E_CLIENT/big:1" >/dev/null
}

@test "SIGHUP in the middle of pulls: they end by the old settings, the next one has the new" {
	halfway c pull "$GATE/big:1"
	c pull "$GATE/big:1" >"$BATS_TEST_TMPDIR/second" 2>&1 3>&- 4>&- &
	second=$!
	before=$(c info --format '{{json .RegistryConfig.Mirrors}}')
	echo '{"max-concurrent-downloads":1,"registry-mirrors":["https://mirror.invalid"],"insecure-registries":["10.0.0.0/8"]}' \
		>"$HOME_DIR/etc/config.json"
	kill -HUP "$(engine_pid)"
	wait_for 10 eval '[ "$(c info --format "{{json .RegistryConfig.Mirrors}}")" != "$before" ]'
	printf '[[registry]]\nprefix = "%s"\nblocked = true\n' "$GATE" >"$HOME_DIR/etc/registries.conf"
	goes_on
	wait $second
	contains "$(cat "$BATS_TEST_TMPDIR/out")" "Downloaded newer image"
	run -1 c pull "$GATE/big:1"
	contains "$output" "is blocked by"
	rm "$HOME_DIR/etc/registries.conf" "$HOME_DIR/etc/config.json"
	kill -HUP "$(engine_pid)"
	sound
	c rmi "$GATE/big:1" >/dev/null
}

@test "kill -9 of the client in the middle: the engine forgets the pull, gc the bytes" {
	halfway c pull "$GATE/big:1"
	# shellcheck disable=SC2046
	kill -9 $(ps -o pid= --ppid "$JOB") "$JOB" # the shell's function, and the client in it
	touch "$GATE_AT.open"
	wait "$JOB" || true
	empty_everything
	wait_for 10 eval '! compgen -G "$HOME_DIR/data/layers/tmp-*"'
	run c image inspect "$GATE/big:1"
	[ "$status" -ne 0 ]
	sound
	c pull -q "$GATE/big:1" >/dev/null
	c rmi "$GATE/big:1" >/dev/null
}
