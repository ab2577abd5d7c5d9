/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracle-man DIR: the manual pages in mdoc(7), from the tables that the programs themselves parse
 * by. It runs while the project is built and is not installed. DIR/man1 and DIR/man8 are made anew.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "config/config.h"
#include "oci/oci.h"
#include "sys/fs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PAGE_MAX (1U << 20)
#define MAN_DATE                                                                                   \
	"November 24, 2026" /* of the last change of these texts: builds are reproducible */

/* ---- mdoc ---- */

static void add_char(struct buf *b, char c)
{
	if (c == '\\')
		buf_adds(b, "\\e");
	else
		buf_addc(b, c);
}

/* A paragraph: every sentence starts a line, no line starts a macro, and it ends with a stop. */
static void add_text(struct buf *b, const char *s)
{
	bool start = true, stopped = *s && s[strlen(s) - 1] == '.';

	for (; *s; s++) {
		if (start && (*s == '.' || *s == '\''))
			buf_adds(b, "\\&");
		start = *s == '\n' || (*s == ' ' && s[-1] == '.' && isupper((unsigned char)s[1]));
		if (start)
			buf_addc(b, '\n');
		else
			add_char(b, *s);
	}
	buf_adds(b, stopped ? "\n" : ".\n");
}

/* An argument of a macro: quoted, so that it is one and no macro itself. */
static void add_arg(struct buf *b, const char *s, size_t n)
{
	buf_adds(b, " \"\\&");
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"')
			buf_adds(b, "\\(dq");
		else
			add_char(b, s[i]);
	}
	buf_addc(b, '"');
}

/* "IMAGE [COMMAND] [ARG...]": words in brackets are optional; the placeholders are arguments. */
static void add_usage(struct buf *b, const char *args)
{
	struct str rest = str_of(args), word;

	while (rest.n && str_cut(&rest, ' ', &word)) {
		bool optional = word.n > 2 && word.p[0] == '[' && word.p[word.n - 1] == ']';

		if (optional)
			word = (struct str){word.p + 1, word.n - 2};
		buf_adds(b, optional ? ".Op Ar" : ".Ar");
		add_arg(b, word.p, word.n);
		buf_addc(b, '\n');
	}
}

static void add_option(struct buf *b, const struct opt *o)
{
	const char *type = opts_type_name(o);

	buf_adds(b, ".It");
	if (o->letter)
		buf_addf(b, " Fl %c ,", o->letter);
	buf_addf(b, " Fl -%s", o->name);
	if (*type) {
		buf_adds(b, " Ar");
		add_arg(b, type, strlen(type));
	}
	buf_addc(b, '\n');
	add_text(b, o->help);
	if (o->def) {
		buf_adds(b, "The default is\n.Li");
		add_arg(b, o->def, strlen(o->def));
		buf_adds(b, " .\n");
	}
	if (o->flags & OPT_UNBUILT)
		buf_adds(b, "It is not built yet: using it is an error.\n");
}

static void add_options(struct buf *b, const char *title, const struct opt *table)
{
	bool any = false;

	for (const struct opt *o = table; o && o->name; o++) {
		if (o->flags & OPT_HIDDEN)
			continue;
		if (!any)
			buf_addf(b, ".Sh %s\n.Bl -tag -width Ds\n", title);
		any = true;
		add_option(b, o);
	}
	if (any)
		buf_adds(b, ".El\n");
}

static void begin(struct buf *b, const char *page, int section, const char *brief)
{
	buf_adds(b, ".Dd " MAN_DATE "\n.Dt ");
	for (const char *s = page; *s; s++)
		buf_addc(b, (char)toupper((unsigned char)*s));
	buf_addf(b, " %d\n.Os coracle " CORACLE_VERSION "\n.Sh NAME\n.Nm %s\n.Nd", section, page);
	buf_addf(b, " %s\n.Sh SYNOPSIS\n", brief);
}

struct out {
	int dir; /* of the pages */
	int rc;	 /* the first failure */
};

static void save(struct out *out, const char *page, int section, const struct buf *b)
{
	AUTO_FREE char *name = xasprintf("%s.%d", page, section);

	if (out->rc == 0)
		out->rc = b->overflow ? -EOVERFLOW
				      : fs_write_atomic(out->dir, name, b->p, b->n, 0644, false);
}

/* ---- coracle(1) and its commands ---- */

static const char *own_page(const struct command *c, char *name, size_t size)
{
	if (c->top)
		snprintf(name, size, CLI_NAME "-%s", c->top);
	else
		snprintf(name, size, CLI_NAME "-%s-%s", c->manage, c->sub);
	return name;
}

static void add_names(struct buf *b, const struct command *c)
{
	struct str rest = str_of(c->aliases ? c->aliases : ""), alias;

	if (!c->manage)
		return;
	if (c->top)
		buf_addf(b, ".Pp\nIts long name is\n.Nm " CLI_NAME " %s %s .\n", c->manage, c->sub);
	while (rest.n && str_cut(&rest, ' ', &alias))
		buf_addf(b, ".Pp\nThe same is\n.Nm " CLI_NAME " %s %.*s .\n", c->manage,
			 (int)alias.n, alias.p);
}

static void write_command(struct out *out, const struct command *c)
{
	AUTO_BUF struct buf b = BUF_INIT(PAGE_MAX);
	char page[128];

	own_page(c, page, sizeof(page));
	begin(&b, page, 1, c->brief);
	if (c->top)
		buf_addf(&b, ".Nm " CLI_NAME " %s\n", c->top);
	else
		buf_addf(&b, ".Nm " CLI_NAME " %s %s\n", c->manage, c->sub);
	if (c->opts && c->opts[0].name)
		buf_adds(&b, ".Op Ar OPTIONS\n");
	add_usage(&b, c->args);
	buf_adds(&b, ".Sh DESCRIPTION\n");
	add_text(&b, c->brief);
	add_names(&b, c);
	add_options(&b, "OPTIONS", c->opts);
	buf_adds(&b, ".Sh SEE ALSO\n.Xr " CLI_NAME " 1\n");
	save(out, page, 1, &b);
}

static void add_item(struct buf *b, const char *page, int section, const char *brief)
{
	buf_addf(b, ".It Xr %s %d\n", page, section);
	add_text(b, brief);
}

static void write_manage(struct out *out, const char *manage, const char *brief)
{
	AUTO_BUF struct buf b = BUF_INIT(PAGE_MAX);
	AUTO_FREE char *page = xasprintf(CLI_NAME "-%s", manage);
	char name[128];

	begin(&b, page, 1, brief);
	buf_addf(&b, ".Nm " CLI_NAME " %s\n.Ar COMMAND\n.Sh DESCRIPTION\n", manage);
	add_text(&b, brief);
	buf_adds(&b, ".Bl -tag -width Ds\n");
	for (const struct command *c = cli_commands; c->run; c++)
		if (c->manage && strcmp(c->manage, manage) == 0)
			add_item(&b, own_page(c, name, sizeof(name)), 1, c->brief);
	buf_adds(&b, ".El\n.Sh SEE ALSO\n.Xr " CLI_NAME " 1\n");
	save(out, page, 1, &b);
}

static void write_top(struct out *out)
{
	AUTO_BUF struct buf b = BUF_INIT(PAGE_MAX);
	char name[128];

	begin(&b, CLI_NAME, 1, "containers and virtual machines from OCI images");
	buf_adds(&b, ".Nm\n.Op Ar OPTIONS\n.Ar COMMAND\n.Op Ar \"ARG...\"\n.Sh DESCRIPTION\n"
		     "The commands and their options are Docker's.\n"
		     "The engine is started by the first command that needs it.\n"
		     ".Bl -tag -width Ds\n");
	for (const struct command *c = cli_commands; c->run; c++)
		if (c->top && c->group != GROUP_NONE)
			add_item(&b, own_page(c, name, sizeof(name)), 1, c->brief);
	for (size_t i = 0; help_manage_name(i); i++) {
		snprintf(name, sizeof(name), CLI_NAME "-%s", help_manage_name(i));
		add_item(&b, name, 1, help_manage_brief(i));
	}
	buf_adds(&b, ".El\n");
	add_options(&b, "OPTIONS", global_options);
	buf_adds(&b, ".Sh SEE ALSO\n.Xr coracle-config 5 ,\n.Xr coracle-runtime 8 ,\n"
		     ".Xr coracled 8\n");
	save(out, CLI_NAME, 1, &b);
}

static void write_section_1(struct out *out)
{
	write_top(out);
	for (size_t i = 0; help_manage_name(i); i++)
		write_manage(out, help_manage_name(i), help_manage_brief(i));
	for (const struct command *c = cli_commands; c->run; c++)
		if (c->group != GROUP_NONE || c->manage)
			write_command(out, c);
}

/* ---- section 8 ---- */

static void write_engine(struct out *out)
{
	AUTO_BUF struct buf b = BUF_INIT(PAGE_MAX);

	begin(&b, "coracled", 8, "the engine behind coracle");
	buf_adds(&b,
		 ".Nm\n.Op Ar OPTIONS\n.Sh DESCRIPTION\n"
		 "The engine answers the Docker Engine API on its sockets.\n"
		 "Containers do not belong to it: they run on while it is stopped or upgraded.\n"
		 ".Pp\nEvery option is a key of the file in\n.Xr coracle-config 5 ,\ntoo.\n"
		 "Signal\n.Dv SIGHUP\nreads that file again.\n");
	add_options(&b, "OPTIONS", config_options);
	buf_adds(&b, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev CORACLE_HOME\n"
		     "A folder that everything is kept below.\n.It Ev CORACLE_TRACE\n"
		     "With 1, where the time of a start goes is printed.\n.El\n"
		     ".Sh SEE ALSO\n.Xr coracle 1 ,\n.Xr coracle-config 5\n");
	save(out, "coracled", 8, &b);
}

static void write_runtime(struct out *out)
{
	AUTO_BUF struct buf b = BUF_INIT(PAGE_MAX);

	begin(&b, "coracle-runtime", 8, "an OCI runtime for other engines");
	buf_adds(&b, ".Nm\n.Op Ar \"GLOBAL OPTIONS\"\n.Ar COMMAND\n.Op Ar OPTIONS\n"
		     ".Op Ar \"ARG...\"\n.Sh DESCRIPTION\nThe commands are:\n"
		     ".Bl -tag -width Ds\n");
	for (const struct oci_command *c = oci_commands; c->name; c++) {
		struct str rest = str_of(c->args), word;

		buf_addf(&b, ".It Cm %s", c->name);
		while (rest.n && str_cut(&rest, ' ', &word)) {
			buf_adds(&b, " Ar");
			add_arg(&b, word.p, word.n);
		}
		buf_addc(&b, '\n');
		add_text(&b, c->what);
	}
	buf_adds(&b, ".El\n");
	add_options(&b, "GLOBAL OPTIONS", oci_global_options);
	add_options(&b, "OPTIONS OF COMMANDS", oci_command_options);
	add_options(&b, "OPTIONS OF LIST AND PS", oci_list_options);
	buf_adds(&b, ".Sh SEE ALSO\n.Xr coracle 1 ,\n.Xr coracled 8\n");
	save(out, "coracle-runtime", 8, &b);
}

/* The folder of one section, without the pages of commands that went. */
static int write_section(const char *top, const char *name, void (*const fns[])(struct out *))
{
	AUTO_FD int parent = fs_open_dir(top), dir = FD_NONE;
	AUTO_FREE char *path = xasprintf("%s/%s", top, name);
	struct out out = {.rc = parent < 0 ? parent : 0};

	if (out.rc == 0)
		fs_remove_tree(parent, name);
	if (out.rc == 0)
		out.rc = fs_mkdirs(path, 0755);
	if (out.rc == 0)
		out.dir = dir = fs_open_dir(path);
	if (out.rc == 0 && dir < 0)
		out.rc = dir;
	for (size_t i = 0; fns[i] && out.rc == 0; i++)
		fns[i](&out);
	if (out.rc < 0)
		fprintf(stderr, "coracle-man: %s: %s\n", path, strerrordesc_np(-out.rc));
	return out.rc;
}

int main(int argc, char **argv)
{
	static void (*const users[])(struct out *) = {write_section_1, NULL};
	static void (*const admins[])(struct out *) = {write_engine, write_runtime, NULL};

	if (argc != 2) {
		fputs("usage: coracle-man DIR\n", stderr);
		return 2;
	}
	return write_section(argv[1], "man1", users) < 0 ||
	       write_section(argv[1], "man8", admins) < 0;
}
