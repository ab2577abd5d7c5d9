/* SPDX-License-Identifier: Apache-2.0 */
/* Help pages, generated from the command and option tables, in the layout Docker users know. */
#include "cli/cli.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const struct {
	const char *name, *brief;
} manages[] = {
	{"container", "Manage containers"},
	{"context", "Manage contexts"},
	{"image", "Manage images"},
	{"manifest", "Manage image manifests and manifest lists"},
	{"network", "Manage networks"},
	{"system", "Manage coracle"},
	{"volume", "Manage volumes"},
};

const char *help_manage_name(size_t i)
{
	return i < ARRAY_SIZE(manages) ? manages[i].name : NULL;
}

const char *help_manage_brief(size_t i)
{
	return i < ARRAY_SIZE(manages) ? manages[i].brief : NULL;
}

bool help_is_manage(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(manages); i++)
		if (!strcmp(manages[i].name, name))
			return true;
	return false;
}

static void usage_line(struct buf *b, const struct command *cmd, const char *path)
{
	buf_addf(b, "Usage:  %s %s", CLI_NAME, path);
	if (cmd->opts && cmd->opts[0].name)
		buf_adds(b, " [OPTIONS]");
	buf_addf(b, "%s%s\n", *cmd->args ? " " : "", cmd->args);
}

static void add_aliases(struct buf *b, const struct command *cmd)
{
	if (!cmd->manage || (!cmd->top && !cmd->aliases))
		return;
	buf_addf(b, "\nAliases:\n  %s %s %s", CLI_NAME, cmd->manage, cmd->sub);
	struct str rest = str_of(cmd->aliases), name;
	while (cmd->aliases && str_cut(&rest, ' ', &name))
		buf_addf(b, ", %s %s %.*s", CLI_NAME, cmd->manage, (int)name.n, name.p);
	if (cmd->top)
		buf_addf(b, ", %s %s", CLI_NAME, cmd->top);
	buf_addc(b, '\n');
}

void help_command(const struct command *cmd, const char *path)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);

	usage_line(&b, cmd, path);
	buf_addf(&b, "\n%s\n", cmd->brief);
	add_aliases(&b, cmd);
	opts_help(&b, cmd->opts, "Options");
	fputs(buf_text(&b), stdout);
}

/* The short form behind an error message. */
void help_usage(const struct command *cmd, const char *path, const char *hint)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 16);

	usage_line(&b, cmd, path);
	fprintf(stderr, "\n%s\n%s '%s %s --help' for more information\n", buf_text(&b), hint,
		CLI_NAME, path);
}

static int by_name(const void *a, const void *b)
{
	const struct command *const *x = a, *const *y = b;

	return strcmp((*x)->sub, (*y)->sub);
}

void help_manage(const char *manage, int fd)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);
	const struct command *found[64];
	size_t n = 0;

	for (const struct command *cmd = cli_commands; cmd->run; cmd++)
		if (cmd->manage && !strcmp(cmd->manage, manage) && n < ARRAY_SIZE(found))
			found[n++] = cmd;
	qsort(found, n, sizeof found[0], by_name);
	buf_addf(&b, "Usage:  %s %s COMMAND\n\n", CLI_NAME, manage);
	for (size_t i = 0; i < ARRAY_SIZE(manages); i++)
		if (!strcmp(manages[i].name, manage))
			buf_addf(&b, "%s\n", manages[i].brief);
	buf_adds(&b, "\nCommands:\n");
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "  %-11s %s\n", found[i]->sub, found[i]->brief);
	buf_addf(&b, "\nRun '%s %s COMMAND --help' for more information on a command.\n", CLI_NAME,
		 manage);
	dprintf(fd, "%s", buf_text(&b));
}

static void add_group(struct buf *b, const char *title, enum command_group group)
{
	buf_addf(b, "\n%s:\n", title);
	for (const struct command *cmd = cli_commands; cmd->run; cmd++)
		if (cmd->top && cmd->group == group)
			buf_addf(b, "  %-11s %s\n", cmd->top, cmd->brief);
}

void help_top(int fd)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);

	buf_addf(&b,
		 "Usage:  %s [OPTIONS] COMMAND\n\nContainers and virtual machines from OCI "
		 "images\n",
		 CLI_NAME);
	add_group(&b, "Common Commands", GROUP_COMMON);
	buf_adds(&b, "\nManagement Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(manages); i++)
		buf_addf(&b, "  %-11s %s\n", manages[i].name, manages[i].brief);
	add_group(&b, "Commands", GROUP_PLAIN);
	opts_help(&b, global_options, "Global Options");
	buf_addf(&b, "\nRun '%s COMMAND --help' for more information on a command.\n", CLI_NAME);
	dprintf(fd, "%s", buf_text(&b));
}
