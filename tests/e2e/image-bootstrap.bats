# SPDX-License-Identifier: Apache-2.0
# image bootstrap: images from the distribution's own archive. The smallest variant keeps it short.
# clients: coracle
load lib

setup_file() {
	start_engine
	export SOURCE_DATE_EPOCH=1700000000
	reason=
	if ! command -v mmdebstrap >/dev/null; then
		reason='mmdebstrap is not installed'
	elif [ -z "$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null)" ]; then
		reason='apt of this machine has no archive of Debian'
	elif ! first=$(boot small:1 2>&1); then
		grep -q 'apt-get update .*failed' <<<"$first" && reason='the archive of Debian cannot be reached'
	fi
	export reason first
}
teardown_file() {
	stop_engine
}
boot() {
	timeout 100 nsenter --net="$E2E_OUTER" -- "$BIN/coracle" image bootstrap debian:bookworm --variant extract --include busybox-static "$@"
}
archive() {
	[ -z "$reason" ] || skip_because "$reason"
}

@test "bootstrap: an image that runs, with its sources in labels and history" {
	archive
	contains "$first" 'success in'
	equals "$(c run --rm small:1 /bin/busybox echo works)" works
	equals "$(c image inspect --format '{{index .Config.Labels "coracle.bootstrap.suite"}}' small:1)" bookworm
	equals "$(c image inspect --format '{{index .Config.Labels "coracle.bootstrap.include"}}' small:1)" busybox-static
	matches "$(c image inspect --format '{{index .Config.Labels "coracle.bootstrap.sources"}}' small:1)" '^deb .*debian.* bookworm main'
	contains "$(c history --no-trunc --format '{{.Comment}}' small:1)" 'mmdebstrap --variant=extract --include=busybox-static bookworm from deb '
	equals "$(c image inspect --format '{{.Created}}' small:1)" '2023-11-14T22:13:20Z'
}

@test "bootstrap: the same packages and SOURCE_DATE_EPOCH give the same image id" {
	archive
	run boot -q small:2
	code 0
	matches "$output" '^sha256:[0-9a-f]{64}$'
	equals "$output" "$(c image inspect --format '{{.Id}}' small:1)"
	no_leaks
}

@test "bootstrap: a suite that does not exist is an error that names it, and nothing is left" {
	archive
	before=$(find "$HOME_DIR/data" /tmp -maxdepth 2 \( -path '*/blobs/*' -o -path '*/layers/*' -o -name 'mmdebstrap.*' \) | sort)
	run "$BIN/coracle" image bootstrap debian:nosuchsuite
	code 1
	contains "$output" 'mmdebstrap could not make debian:nosuchsuite'
	no_leaks
	equals "$(find "$HOME_DIR/data" /tmp -maxdepth 2 \( -path '*/blobs/*' -o -path '*/layers/*' -o -name 'mmdebstrap.*' \) | sort)" "$before"
	run c image inspect debian:nosuchsuite
	code 1
}

@test "bootstrap: what is missing or wrong is named before anything is done" {
	run "$BIN/coracle" image bootstrap debian
	code 1
	contains "$output" '"debian" is no DISTRIBUTION:SUITE, as debian:bookworm'
	run "$BIN/coracle" image bootstrap 'debian:bookworm; reboot'
	code 1
	contains "$output" 'is no DISTRIBUTION:SUITE'
	run "$BIN/coracle" image bootstrap nodistribution:x
	code 1
	contains "$output" 'has no archive of "nodistribution"'
	mkdir -p "$HOME_DIR/empty"
	run env PATH="$HOME_DIR/empty" "$BIN/coracle" image bootstrap debian:bookworm --mirror http://127.0.0.1:1/debian
	code 1
	contains "$output" 'mmdebstrap is not installed: it is in the package mmdebstrap'
	SOURCE_DATE_EPOCH=yesterday run "$BIN/coracle" image bootstrap debian:bookworm
	code 1
	contains "$output" 'SOURCE_DATE_EPOCH is no number of seconds: yesterday'
}
