#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients: coracle
# coracle-names by itself, told by a program that plays the engine (names_rig.py), in namespaces of the test.

case_in_namespace() {
	run timeout 60 unshare -n python3 "$E2E_DIR/names_rig.py" "$BIN/coracle-names" "$1"
	[ "$status" -eq 0 ] || {
		echo "$output" >&2
		return 1
	}
}

@test "names, aliases, ids and name.network, in any case; nothing of a kind is no error" { case_in_namespace names; }
@test "a container sees the names of its own networks only" { case_in_namespace scope; }
@test "renamed and removed endpoints are known at once" { case_in_namespace changes; }
@test "several containers with one alias take turns" { case_in_namespace round_robin; }
@test "addresses lead back to names" { case_in_namespace reverse; }
@test "links are known to one container" { case_in_namespace links; }
@test "host.docker.internal" { case_in_namespace host_name; }
@test "answers that do not fit are truncated, and whole over TCP" { case_in_namespace large; }
@test "EDNS: sizes, unknown options, unknown versions" { case_in_namespace edns; }
@test "garbage from clients and on the control socket" { case_in_namespace garbage; }
@test "unknown names go to the server: UDP, TCP, random ids and ports" { case_in_namespace forward; }
@test "more forwarded queries than sockets" { case_in_namespace many_at_once; }
@test "waiting queries and connections are limited" { case_in_namespace limits; }
@test "closed, refusing and silent servers: the next one is asked" { case_in_namespace failover; }
@test "an upstream that answers wrongly in every way" { case_in_namespace hostile_upstream; }
@test "internal networks forward nothing" { case_in_namespace internal; }
@test "with ndots set short names are not forwarded" { case_in_namespace ndots; }
@test "servers on the host's loopback" { case_in_namespace host_servers; }
@test "it survives the engine, and forgets what a new one does not know" { case_in_namespace survives; }
@test "it has no privilege" { case_in_namespace confined; }
@test "drill over UDP and TCP" { case_in_namespace tools; }
@test "unused, it ends" { case_in_namespace unused; }
