/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch: global options, management commands and their aliases, argument counts. */
#include "cli/cli.h"
#include "cli/config-dir.h"
#include "base/log.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

int cli_fail(struct cli *c, const struct err *e)
{
	fflush(stdout);
	fprintf(stderr, "%s\n", e->text);
	if (!str_starts(e->text, "invalid argument \"") || !c->cmd)
		return 1;
	help_usage(c->cmd, c->path, "Run");
	return 125;
}

static bool in_words(const char *words, const char *name)
{
	struct str rest = str_of(words), word;

	while (words && str_cut(&rest, ' ', &word))
		if (str_eq(word, name))
			return true;
	return false;
}

const struct command *command_find_top(const char *name)
{
	for (const struct command *cmd = cli_commands; cmd->run; cmd++)
		if (cmd->top && !strcmp(cmd->top, name))
			return cmd;
	return NULL;
}

const struct command *command_find_sub(const char *manage, const char *name)
{
	for (const struct command *cmd = cli_commands; cmd->run; cmd++)
		if (cmd->manage && !strcmp(cmd->manage, manage) &&
		    (!strcmp(cmd->sub, name) || in_words(cmd->aliases, name)))
			return cmd;
	return NULL;
}

/* How the count of arguments is wrong, as a sentence; false when it is right. */
static bool count_is_wrong(const struct command *cmd, int n, char *why, size_t size)
{
	const char *s = (cmd->max > 0 ? cmd->max : cmd->min) == 1 ? "" : "s";

	if (n >= cmd->min && (cmd->max < 0 || n <= cmd->max))
		return false;
	if (cmd->max == 0)
		snprintf(why, size, "accepts no arguments");
	else if (cmd->min == cmd->max)
		snprintf(why, size, "requires %d argument%s", cmd->min, s);
	else if (n < cmd->min)
		snprintf(why, size, "requires at least %d argument%s", cmd->min,
			 cmd->min == 1 ? "" : "s");
	else
		snprintf(why, size, "requires at most %d argument%s", cmd->max, s);
	return true;
}

static int run_command(struct cli *c, const struct command *cmd, const char *path, int argc,
		       char **argv)
{
	struct opts o = {0};
	struct err e = ERR_INIT;
	char why[128];
	int rc;
	static const struct opt none[] = {OPT_END};

	c->path = path;
	c->cmd = cmd;
	rc = opts_parse(&o, cmd->opts ? cmd->opts : none, argc, argv, cmd->interspersed, &e);
	if (o.help) {
		help_command(cmd, path);
		rc = 0;
	} else if (rc < 0) {
		fprintf(stderr, "%s\n", e.text);
		help_usage(cmd, path, "Run");
		rc = 125;
	} else if (count_is_wrong(cmd, o.argc, why, sizeof why)) {
		fprintf(stderr, "%s: '%s %s' %s\n", CLI_NAME, CLI_NAME, path, why);
		help_usage(cmd, path, cmd->min == cmd->max ? "Run" : "See");
		rc = 1;
	} else {
		rc = cmd->run(c, &o);
	}
	opts_done(&o);
	return rc;
}

static int run_manage(struct cli *c, const char *manage, int argc, char **argv)
{
	if (argc == 0) {
		help_manage(manage, 2);
		return 0;
	}
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		help_manage(manage, 1);
		return 0;
	}
	const struct command *cmd = command_find_sub(manage, argv[0]);
	if (!cmd) {
		fprintf(stderr,
			"%s: unknown command: %s %s %s\n\nUsage:  %s %s COMMAND\n\nRun '%s %s "
			"--help' for more information\n",
			CLI_NAME, CLI_NAME, manage, argv[0], CLI_NAME, manage, CLI_NAME, manage);
		return 1;
	}
	AUTO_FREE char *path = xasprintf("%s %s", manage, argv[0]);
	return run_command(c, cmd, path, argc - 1, argv + 1);
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	if (argc == 0) {
		help_top(1);
		return 0;
	}
	if (!strcmp(argv[0], "help")) {
		if (argc == 1) {
			help_top(1);
			return 0;
		}
		if (argc == 2 && help_is_manage(argv[1])) {
			help_manage(argv[1], 1);
			return 0;
		}
		const struct command *cmd = argc == 2	? command_find_top(argv[1])
					    : argc == 3 ? command_find_sub(argv[1], argv[2])
							: NULL;
		if (cmd) {
			AUTO_FREE char *path = argc == 2 ? xstrdup(argv[1])
							 : xasprintf("%s %s", argv[1], argv[2]);
			help_command(cmd, path);
			return 0;
		}
		argc--;
		argv++;
	}
	const struct command *cmd = command_find_top(argv[0]);
	if (cmd)
		return run_command(c, cmd, argv[0], argc - 1, argv + 1);
	if (help_is_manage(argv[0]))
		return run_manage(c, argv[0], argc - 1, argv + 1);
	fprintf(stderr, "%s: unknown command: %s %s\n\nRun '%s --help' for more information\n",
		CLI_NAME, CLI_NAME, argv[0], CLI_NAME);
	return 1;
}

static bool level_is_known(const char *level)
{
	return in_words("debug info warn warning error fatal panic", level);
}

int cli_main(int argc, char **argv)
{
	struct cli c = {.spare = FD_NONE};
	struct opts o = {0};
	struct err e = ERR_INIT;
	int rc;

	trace_setup(CLI_NAME);
	signal(SIGPIPE, SIG_DFL);
	if (opts_parse(&o, global_options, argc - 1, argv + 1, false, &e) < 0) {
		fprintf(stderr,
			"%s\n\nUsage:  %s [OPTIONS] COMMAND [ARG...]\n\nRun '%s --help' for more "
			"information\n",
			e.text, CLI_NAME, CLI_NAME);
		rc = 125;
	} else if (o.help) {
		help_top(1);
		rc = 0;
	} else if (opts_bool(&o, "version")) {
		printf("Coracle version %s\n", CORACLE_VERSION);
		rc = 0;
	} else if (opts_set(&o, "log-level") && !level_is_known(opts_str(&o, "log-level"))) {
		fprintf(stderr, "unable to parse logging level: %s\n", opts_str(&o, "log-level"));
		rc = 1;
	} else {
		c.global = &o;
		if (opts_set(&o, "config"))
			config_dir_set(opts_str(&o, "config"));
		if (opts_bool(&o, "debug"))
			log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, 2);
		rc = dispatch(&c, o.argc, o.argv);
	}
	if (fflush(stdout) != 0 && rc == 0)
		rc = 1;
	opts_done(&o);
	fd_close(&c.spare);
	endpoint_done(&c.ep);
	return rc;
}
