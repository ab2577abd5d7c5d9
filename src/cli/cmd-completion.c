/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shell completion. The shells' scripts are thin: they ask `coracle __complete -- WORDS...`, where
 * the last word is the one being typed, and get one candidate a line, made from the command and
 * option tables and from what the engine has. No engine is started for that, and no error is shown.
 */
#include "cli/commands.h"
#include "cli/context.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const char bash_script[] =
	"# bash completion of coracle\n"
	"_coracle() {\n"
	"	local IFS=$'\\n' words=(\"${COMP_WORDS[@]:1:COMP_CWORD}\") "
	"cur=${COMP_WORDS[COMP_CWORD]}\n"
	"	local line=${COMP_LINE:0:COMP_POINT}\n"
	"	# bash splits words at colons, which names of images have\n"
	"	if [[ $COMP_WORDBREAKS == *:* && $line == *:* ]]; then\n"
	"		IFS=$' \\t' read -ra words <<<\"$line\"\n"
	"		words=(\"${words[@]:1}\")\n"
	"		[[ $line == *[[:space:]] ]] && words+=('')\n"
	"	fi\n"
	"	local full=${words[${#words[@]} - 1]}\n"
	"	COMPREPLY=($(coracle __complete -- \"${words[@]}\" 2>/dev/null))\n"
	"	if [[ $full == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	"		local head=${full%\"${full##*:}\"} i\n"
	"		for i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=${COMPREPLY[i]#\"$head\"}; "
	"done\n"
	"	fi\n"
	"}\n"
	"complete -o default -F _coracle coracle\n";

static const char zsh_script[] =
	"#compdef coracle\n"
	"_coracle() {\n"
	"	local -a found\n"
	"	found=(\"${(@f)$(coracle __complete -- \"${(@)words[2,CURRENT]}\" "
	"2>/dev/null)}\")\n"
	"	if [[ -n $found[1] ]]; then compadd -- $found; else _files; fi\n"
	"}\n"
	"compdef _coracle coracle\n";

/* File names only where we have nothing to offer. */
static const char fish_script[] =
	"# fish completion of coracle\n"
	"function __coracle_found\n"
	"	set -l words (commandline -opc) (commandline -ct)\n"
	"	set -g __coracle_words (coracle __complete -- $words[2..-1] "
	"2>/dev/null)\n"
	"	test (count $__coracle_words) -gt 0\n"
	"end\n"
	"complete -c coracle -n __coracle_found -f -a '$__coracle_words'\n";

int cmd_completion(struct cli *c, struct opts *o)
{
	static const struct {
		const char *name, *script;
	} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (strcmp(o->argv[0], shells[i].name) != 0)
			continue;
		fputs(shells[i].script, stdout);
		return 0;
	}
	fprintf(stderr, "unknown shell \"%s\": use bash, zsh or fish\n", o->argv[0]);
	return 1;
}

/* ---- candidates ---- */

static void offer(const char *typed, const char *word)
{
	if (word && str_starts(word, typed) && strpbrk(word, "\r\n") == NULL)
		puts(word);
}

static void offer_commands(const char *typed, const char *manage)
{
	for (const struct command *cmd = cli_commands; cmd->run; cmd++) {
		if (manage && cmd->manage && !strcmp(cmd->manage, manage))
			offer(typed, cmd->sub);
		else if (!manage && cmd->top && cmd->group != GROUP_NONE)
			offer(typed, cmd->top);
	}
	for (size_t i = 0; !manage && help_manage_name(i); i++)
		offer(typed, help_manage_name(i));
}

static void offer_options(const char *typed, const struct opt *table)
{
	for (const struct opt *row = table; row && row->name; row++) {
		AUTO_FREE char *word = xasprintf("--%s", row->name);

		if (!(row->flags & OPT_HIDDEN))
			offer(typed, word);
	}
	offer(typed, "--help");
}

static void offer_names(const char *typed, const struct json *list, const char *key)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *v = json_get(json_at(list, i), key);
		size_t n = json_kind_of(v) == JSON_ARRAY ? json_len(v) : 0;

		offer(typed, json_str(v));
		for (size_t k = 0; k < n; k++) {
			const char *name = json_str(json_at(v, k));

			offer(typed, name && *name == '/' ? name + 1 : name);
		}
	}
}

static void offer_contexts(const char *typed)
{
	char **names = context_names();

	offer(typed, CONTEXT_DEFAULT);
	for (size_t i = 0; names[i]; i++) {
		offer(typed, names[i]);
		free(names[i]);
	}
	free((void *)names);
}

/* Names the engine has, by a placeholder in a usage line. */
static void offer_objects(struct cli *c, const char *typed, const char *usage)
{
	static const struct {
		const char *word, *path, *list, *key;
	} kinds[] = {
		{"CONTAINER", "/containers/json?all=1", NULL, "Names"},
		{"IMAGE", "/images/json", NULL, "RepoTags"},
		{"VOLUME", "/volumes", "Volumes", "Name"},
		{"NETWORK", "/networks", NULL, "Name"},
	};
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;

	if (strstr(usage, "CONTEXT")) {
		offer_contexts(typed);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strstr(usage, kinds[i].word))
			continue;
		if (client_locate(c, &e) < 0)
			return;
		c->ep.ours = false; /* a tab starts no engine */
		if (client_json(c, "GET", kinds[i].path, NULL, &j, &e) == 0)
			offer_names(typed, kinds[i].list ? json_get(j, kinds[i].list) : j,
				    kinds[i].key);
		return;
	}
}

/* What may follow an option: words, or names of a kind. Nothing for the rest. */
static void offer_values(struct cli *c, const char *typed, const struct opt *row)
{
	static const struct {
		const char *option, *values; /* upper case: as in usage lines */
	} known[] = {
		{"network", "NETWORK"},
		{"volumes-from", "CONTAINER"},
		{"context", "CONTEXT"},
		{"log-driver", "json-file local journald syslog none"},
		{"restart", "no always unless-stopped on-failure"},
		{"pull", "always missing never"},
		{"signal", "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP"},
		{"ipc", "private shareable host none"},
		{"pid", "host"},
		{"uts", "host"},
		{"cgroupns", "host private"},
		{"log-level", "debug info warn error fatal"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct str rest = str_of(known[i].values), word;

		if (strcmp(known[i].option, row->name) != 0)
			continue;
		if (*rest.p >= 'A' && *rest.p <= 'Z' && strcmp(row->name, "signal") != 0) {
			offer_objects(c, typed, known[i].values);
			return;
		}
		while (str_cut(&rest, ' ', &word)) {
			AUTO_FREE char *text = xstrndup(word.p, word.n);

			offer(typed, text);
		}
	}
}

/* ---- where we are ---- */

static const struct opt *option_of(const struct opt *table, const char *word)
{
	for (const struct opt *row = table; row && row->name; row++)
		if ((word[1] == '-' && !strcmp(row->name, word + 2)) ||
		    (word[1] && !word[2] && row->letter == word[1]))
			return row;
	return NULL;
}

/* Step over options; true when the word being typed (the last) is the value of one, *ret. */
static bool skip_options(const struct opt *table, int argc, char **argv, int *at,
			 const struct opt **ret)
{
	while (*at < argc - 1 && argv[*at][0] == '-') {
		*ret = option_of(table, argv[*at]);
		*at += *ret && (*ret)->type != OPT_BOOL ? 2 : 1;
		if (*at > argc - 1)
			return true;
	}
	return false;
}

static void complete_arguments(struct cli *c, const struct command *cmd, int argc, char **argv)
{
	const char *typed = argv[argc - 1];
	const struct opt *row = NULL;
	int at = 0, positional = 0;

	while (at < argc - 1) {
		if (skip_options(cmd->opts, argc, argv, &at, &row)) {
			offer_values(c, typed, row);
			return;
		}
		if (at < argc - 1) {
			at++;
			positional++;
		}
		if (positional && !cmd->interspersed)
			return; /* the rest is the container's command */
	}
	if (*typed == '-')
		offer_options(typed, cmd->opts);
	else if (cmd->max < 0 || positional < cmd->max)
		offer_objects(c, typed, cmd->args);
}

int cmd_complete(struct cli *c, struct opts *o)
{
	const struct command *cmd = NULL;
	const struct opt *row = NULL;
	int at = 0, n = o->argc;

	if (n == 0)
		return 0;
	if (skip_options(global_options, n, o->argv, &at, &row)) {
		offer_values(c, o->argv[n - 1], row);
		return 0;
	}
	if (at == n - 1) {
		if (o->argv[at][0] == '-')
			offer_options(o->argv[at], global_options);
		else
			offer_commands(o->argv[at], NULL);
		return 0;
	}
	if (help_is_manage(o->argv[at])) {
		const char *manage = o->argv[at++];

		if (at == n - 1) {
			offer_commands(o->argv[at], manage);
			return 0;
		}
		cmd = command_find_sub(manage, o->argv[at++]);
	} else {
		cmd = command_find_top(o->argv[at++]);
	}
	if (cmd)
		complete_arguments(c, cmd, n - at, o->argv + at);
	return 0;
}
