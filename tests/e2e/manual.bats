# SPDX-License-Identifier: Apache-2.0
# The manual: a page for every command, with the options that its help has, and every key of the configuration.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

# The long options of a help page on standard input, sorted.
options_of_help() {
	sed -nE 's/^ +(-[a-zA-Z0-9], )?--([a-z0-9-]+).*/\2/p' | sort
}
options_of_page() {
	sed -nE 's/^\.It (Fl . , )?Fl -([a-z0-9-]+).*/\2/p' "$1" | sort
}

@test "manual: every command that completion knows has a page with the options of its help" {
	pages=0
	while read -r name; do
		page=$BIN/man1/coracle-$name.1
		[ -s "$page" ] || { echo "no page for $name" >&2; return 1; }
		equals "$(options_of_page "$page")" "$("$BIN/coracle" "$name" --help | options_of_help)"
		while read -r sub; do
			[ -n "$sub" ] && "$BIN/coracle" help "$name" | grep -q COMMAND || continue
			grep -qE "^\\.Nm coracle $name $sub( |$)" "$BIN"/man1/* || { echo "no page names coracle $name $sub" >&2; return 1; }
			pages=$((pages + 1))
		done < <("$BIN/coracle" "$name" --help | sed -n '/^Commands:/,$s/^  \([a-z-]*\) .*/\1/p')
		pages=$((pages + 1))
	done < <(COLUMNS=80 "$BIN/coracle" --help | sed -nE '/Commands:$/,/^Global/s/^  ([a-z]+) .*/\1/p')
	[ "$pages" -gt 80 ]
	equals "$(options_of_page "$BIN/man8/coracled.8")" "$("$BIN/coracled" --help | options_of_help)"
	grep -q '^.It Cm create' "$BIN/man8/coracle-runtime.8"
}

@test "manual: pages are clean for mandoc and show the text of the tables" {
	command -v mandoc >/dev/null || skip_because "mandoc is not installed"
	run -0 mandoc -T lint -W warning "$BIN"/man1/* "$BIN"/man8/* "$BATS_TEST_DIRNAME/../../docs/coracle-config.5"
	equals "$output" ""
	shown=$(mandoc -T utf8 -O width=300 "$BIN/man1/coracle-run.1" | col -b)
	contains "$shown" "coracle run [OPTIONS] IMAGE [COMMAND] [ARG...]"
	contains "$shown" "-v, --volume list"
}

@test "manual: coracle-config(5) has every key that the engine knows, and no other" {
	page=$BATS_TEST_DIRNAME/../../docs/coracle-config.5
	sed -nE '/^\.Ss/,/^\.Sh/p' "$page" | grep -oE 'Cm [a-z0-9-]+' | cut -c4- | sort -u >"$BATS_TEST_TMPDIR/keys"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/keys")" -gt 50 ]
	export CORACLE_HOME=$BATS_TEST_TMPDIR/home
	while read -r key; do
		echo "{\"$key\": null}" >"$BATS_TEST_TMPDIR/one.json"
		run "$BIN/coracled" --validate --config-file "$BATS_TEST_TMPDIR/one.json"
		lacks "$output" "don't match any configuration option"
	done <"$BATS_TEST_TMPDIR/keys"
	echo '{"no-key": null}' >"$BATS_TEST_TMPDIR/one.json"
	run "$BIN/coracled" --validate --config-file "$BATS_TEST_TMPDIR/one.json"
	contains "$output" "no-key"
	# Options that are keys, by their singular or plural name.
	for option in $("$BIN/coracled" --help | options_of_help); do
		case $option in config-file | validate | version | http-proxy | https-proxy | no-proxy) continue ;; add-runtime) option=runtime ;; insecure-registry) option=insecure-registries ;; esac
		grep -qxE "${option}s?" "$BATS_TEST_TMPDIR/keys" || { echo "the page has no $option" >&2; return 1; }
	done
}
