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
	equals "$(candidates run --restart un)" "unless-stopped "
	equals "$(candidates run --log-driver j)" "journald json-file "
	equals "$(candidates run --volumes-from alpha)" "alpha alphabet "
	equals "$(candidates --log-level d)" "debug "
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
	run -1 coracle completion tcsh
	contains "$output" 'unknown shell "tcsh"'
}

@test "completion: fish itself completes commands, options, names and their values" {
	command -v fish >/dev/null || skip_because "fish is not installed"
	coracle completion fish >"$BATS_TEST_TMPDIR/c.fish"
	fishes() { HOME=$BATS_TEST_TMPDIR PATH="$BIN:$PATH" fish --no-config -c "source $BATS_TEST_TMPDIR/c.fish; complete -C '$1'" | sort | tr '\n' ' '; }
	equals "$(fishes 'coracle rm alph')" "alpha alphabet "
	equals "$(fishes 'coracle volume rm b')" "box "
	equals "$(fishes 'coracle run --restart un')" "unless-stopped "
	contains "$(fishes 'coracle run --volumes')" "--volumes-from"
	contains "$(fishes 'coracle run default:la')" "default:latest"
	contains "$(fishes 'coracle vol')" "volume"
}

@test "completion: zsh itself completes at a terminal" {
	command -v zsh >/dev/null || skip_because "zsh is not installed"
	mkdir -p "$BATS_TEST_TMPDIR/z"
	coracle completion zsh >"$BATS_TEST_TMPDIR/z/_coracle"
	# A shell on a pseudo terminal: what the line holds after a tab is printed by a widget.
	cat >"$BATS_TEST_TMPDIR/z/run" <<-'END'
		zmodload zsh/zpty
		zpty z "zsh -f -i"
		say() { zpty -w z "$1"; }
		say "PS1= ; RPS1= ; fpath=($ZDOT \$fpath); autoload -Uz compinit; compinit -u -D; show() { print -r -- \"<\$BUFFER>\"; BUFFER=; zle .accept-line }; zle -N show; bindkey '^X' show; echo rea''dy"
		zpty -m -t 1 z got '*ready*' 2>/dev/null
		until [[ $got == *ready* ]]; do zpty -r z got || exit 1; done
		for typed in "$@"; do
			zpty -n -w z "$typed"$'\t'
			zpty -n -w z $'\x18'
			until [[ $got == *'<'*'>'* ]]; do zpty -r z got || exit 1; done
			print -r -- "${${got##*<}%%>*}"
			got=
		done
		zpty -d z
	END
	run -0 env ZDOT="$BATS_TEST_TMPDIR/z" HOME="$BATS_TEST_TMPDIR" TERM=dumb PATH="$BIN:$PATH" timeout 30 zsh -f "$BATS_TEST_TMPDIR/z/run" \
		'coracle ver' 'coracle volume rm b' 'coracle rm alphab' 'coracle run --restart un' 'coracle vol' 'coracle run default:la'
	# the first tab loads the functions
	equals "${lines[1]%% }" "coracle volume rm box"
	equals "${lines[2]%% }" "coracle rm alphabet"
	equals "${lines[3]%% }" "coracle run --restart unless-stopped"
	equals "${lines[4]%% }" "coracle volume"
	equals "${lines[5]%% }" "coracle run default:latest"
}
