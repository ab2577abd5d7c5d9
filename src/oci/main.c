/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and dispatch; options.c has the options. */
#include "oci/oci.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "oci/oci-priv.h"
#include "sys/seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/banned.h"

struct arena *oci_arena;

const struct oci_command oci_commands[] = {
	{"create", oci_create, 1, 1, true, "ID", "create a container"},
	{"start", oci_start, 1, 1, false, "ID", "start a created container"},
	{"run", oci_run, 1, 1, true, "ID", "create, start and wait"},
	{"exec", oci_exec, 1, -1, true, "ID [COMMAND ARG...]", "run a program in a container"},
	{"state", oci_show_state, 1, 1, false, "ID", "show the state of a container"},
	{"list", oci_list, 0, 0, false, "", "list containers"},
	{"kill", oci_kill, 1, 2, false, "ID [SIGNAL]", "send a signal"},
	{"delete", oci_delete, 1, 1, false, "ID", "remove a stopped container"},
	{"pause", oci_pause, 1, 1, false, "ID", "freeze all processes"},
	{"resume", oci_resume, 1, 1, false, "ID", "thaw all processes"},
	{"ps", oci_ps, 1, -1, false, "ID", "list the processes of a container"},
	{"update", oci_update, 1, 1, false, "ID", "change limits"},
	{"features", oci_features, 0, 0, false, "", "show what this runtime can do"},
	{"spec", oci_spec, 0, 0, false, "", "write a config.json to start from"},
	{.name = NULL},
};

static void usage(FILE *f)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 16);

	buf_adds(&b, "Usage: coracle-runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGS]\n\n"
		     "Commands:\n");
	for (const struct oci_command *c = oci_commands; c->name; c++)
		buf_addf(&b, "  %-9s %-20s %s\n", c->name, c->args, c->what);
	opts_help(&b, oci_global_options, "Global options");
	opts_help(&b, oci_command_options, "Options of commands");
	opts_help(&b, oci_list_options, "Options of list and ps");
	fputs(buf_text(&b), f);
}

/* Before anything of ours is inside a container: go on as a sealed program. */
static void seal_self(char **argv)
{
	if (seal_is_sealed())
		return;
	AUTO_FD int fd = seal_program("/proc/self/exe");
	if (fd >= 0)
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	log_warn("coracle-runtime cannot be sealed against containers: %s",
		 strerror(fd < 0 ? -fd : errno));
}

static const struct oci_command *find_command(const char *name)
{
	for (const struct oci_command *c = oci_commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int run_command(int argc, char **argv, char **whole, struct err *e)
{
	const struct oci_command *c = find_command(argv[0]);
	static struct opts o; /* its arguments are used to the end of the process */

	if (!c)
		return err_set(e, ERR_INVALID, "unknown command %s", argv[0]);
	if (opts_parse(&o, oci_is_listing(c->name) ? oci_list_options : oci_command_options,
		       argc - 1, argv + 1, false, e) < 0)
		return err_wrap(e, "%s", c->name);
	if (o.help) {
		usage(stdout);
		return 0;
	}
	if (oci_set_command(&o, c->name, e) < 0)
		return -1;
	if (c->inside)
		seal_self(whole);
	if (o.argc < c->min || (c->max >= 0 && o.argc > c->max))
		return err_set(e, ERR_INVALID, "usage: coracle-runtime %s [OPTIONS] %s", c->name,
			       c->args);
	return c->run(o.argv, o.argc, e);
}

/* As runc: a program that cannot be run in `run` and `exec` is told by the exit code. */
static int failure_code(const char *command, const struct err *e)
{
	bool exec = strcmp(command, "exec") == 0;

	if (!exec && strcmp(command, "run") != 0)
		return 1;
	return e->kind == ERR_NO_PROGRAM       ? 127
	       : e->kind == ERR_NOT_EXECUTABLE ? 126
	       : exec			       ? 255
					       : 1;
}

int oci_main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	static struct opts o; /* likewise */

	prctl(PR_SET_NAME, "coracle-runtime", 0, 0, 0);
	trace_setup("coracle-runtime");
	if (opts_parse(&o, oci_global_options, argc - 1, argv + 1, false, &e) < 0) {
		log_error("%s", e.text);
		return 1;
	}
	if (o.help) {
		usage(stdout);
		return 0;
	}
	if (opts_bool(&o, "version")) {
		printf("coracle-runtime version %s\nspec: %s\n", CORACLE_VERSION, OCI_VERSION);
		return 0;
	}
	oci_set_global(&o);
	if (o.argc == 0) {
		usage(stderr);
		return 1;
	}
	oci_arena = arena_new();
	if (run_command(o.argc, o.argv, argv, &e) < 0) {
		log_error("%s", e.text);
		return failure_code(o.argv[0], &e);
	}
	return 0;
}
