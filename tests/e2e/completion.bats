# SPDX-License-Identifier: Apache-2.0
# Shell completion: candidates from the tables and the engine, and the bash script around them.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle create --name alpha default true >/dev/null
	coracle create --name alphabet default true >/dev/null
	coracle volume create box >/dev/null
}
teardown_file() { stop_engine; }

candidates() {
	coracle __complete -- "$@" | sort | tr '\n' ' '
}

@test "completion: commands, options and names" {
	equals "$(candidates vol)" "volume "
	contains "$(candidates '')" "run "
	lacks "$(candidates '')" "__complete"
	equals "$(candidates volume r)" "rm "
	contains "$(candidates run --vol)" "--volume --volume-driver --volumes-from "
	equals "$(candidates --tlsc)" "--tlscacert --tlscert "
	equals "$(candidates rm alph)" "alpha alphabet "
	equals "$(candidates -H "unix://$SOCK" container rm alpha alph)" "alpha alphabet "
	equals "$(candidates volume rm b)" "box "
	contains "$(candidates run --rm def)" "default:latest"
	equals "$(candidates run --name alp)" "" # the value of an option
	equals "$(candidates exec alpha l)" ""   # the container's command
	equals "$(candidates logs alpha alp)" "" # takes one only
	equals "$(candidates nonsense x)" ""
}

@test "completion: a tab starts no engine and prints no error" {
	run -0 --separate-stderr env CORACLE_HOME="$BATS_TEST_TMPDIR/none" "$BIN/coracle" __complete -- rm ''
	equals "$output$stderr" ""
	[ ! -e "$BATS_TEST_TMPDIR/none" ]
}

@test "completion: the scripts load, and bash's completes" {
	run -0 env PATH="$BIN:$PATH" bash -c 'source <(coracle completion bash)
		COMP_WORDBREAKS=$'"' \t\n:'"'; COMP_WORDS=(coracle rm alph); COMP_CWORD=2; COMP_LINE="coracle rm alph"; COMP_POINT=15
		_coracle; echo "${COMPREPLY[@]}"
		COMP_WORDS=(coracle run default : la); COMP_CWORD=4; COMP_LINE="coracle run default:la"; COMP_POINT=22
		_coracle; echo "${COMPREPLY[@]}"'
	equals "${lines[0]}" "alphabet alpha" # newest first; shells sort
	equals "${lines[1]}" "latest"
	for shell in zsh fish; do
		coracle completion $shell | grep -q __complete
		! command -v $shell >/dev/null || coracle completion $shell | $shell -n
	done
	run -1 coracle completion tcsh
	contains "$output" 'unknown shell "tcsh"'
}
