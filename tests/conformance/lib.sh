# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Runs the group $1 for tests/conformance/run: every command's output, errors and exit status in a file of its own.
number=1000

# answer NAME: standard output, then errors with "! ", then the status with "= "
answer() {
	number=$((number + 1))
	{
		printf '%s\n' "$1"
		cat "$WORK/stdout"
		[ -z "$(tail -c 1 "$WORK/stdout")" ] || echo
		sed 's/^/! /' "$WORK/stderr"
		echo "= $2"
	} >"$OUT/$number"
}
# d ARGUMENT...: Docker's client
d() {
	local rc=0
	timeout -k 2 30 "$CLI" "$@" >"$WORK/stdout" 2>"$WORK/stderr" || rc=$?
	answer "docker $*" $rc
}
# sh NAME COMMAND: a line of shell, where docker is the client
sh() {
	local rc=0
	eval "$2" >"$WORK/stdout" 2>"$WORK/stderr" </dev/null || rc=$?
	answer "$1" $rc
}
docker() {
	timeout -k 2 30 "$CLI" "$@"
}
# a METHOD PATH [BODY]: one request; the status and the kind of the answer come before the body
a() {
	local rc=0
	: >"$WORK/stdout"
	curl -s --max-time 20 --unix-socket "$SOCK" -X "$1" -H 'Content-Type: application/json' ${3+-d "$3"} -o "$WORK/stdout" \
		-w '%{http_code} %{content_type}\n' "http://d/v1.41$2" >"$WORK/stderr" || rc=$?
	answer "$1 $2${3+ $3}" $rc
}
# quiet ARGUMENT...: what prepares a case and is not compared
quiet() {
	timeout -k 2 30 "$CLI" "$@" >/dev/null 2>&1
}
# until_state CONTAINER STATE
until_state() {
	for _ in $(seq 200); do
		[ "$("$CLI" inspect -f '{{.State.Status}}' "$1" 2>/dev/null)" != "$2" ] || return 0
		sleep 0.05
	done
}
# shellcheck source=/dev/null
. "$CASES/cases/$1.sh"
