/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables of the OCI runtime and what they set; help and manual are made from them. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "oci/oci-priv.h"
#include "oci/oci.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct oci_options oci_opt = {.root = "/run/coracle-runtime", .format = "table"};

const struct opt oci_global_options[] = {
	{0, "cgroup-manager", OPT_STR, NULL, "Accepted for other runtimes' users, without effect",
	 NULL, OPT_HIDDEN},
	{0, "debug", OPT_BOOL, NULL, "Debug messages", NULL, 0},
	{0, "log", OPT_STR, "file", "Append messages to this file instead of standard error", NULL,
	 0},
	{0, "log-format", OPT_STR, NULL, "Format of messages (\"text\", \"json\")", "text", 0},
	{0, "log-level", OPT_STR, NULL, "Accepted for other runtimes' users, without effect", NULL,
	 OPT_HIDDEN},
	{0, "root", OPT_STR, "dir", "Where the state of containers is kept", "/run/coracle-runtime",
	 0},
	{0, "rootless", OPT_STR, NULL, "Accepted for other runtimes' users, without effect", NULL,
	 OPT_HIDDEN},
	{0, "systemd-cgroup", OPT_BOOL, NULL,
	 "Accepted without effect: cgroups are made directly, never by systemd", NULL, 0},
	{'v', "version", OPT_BOOL, NULL, "Print version information and quit", NULL, 0},
	OPT_END,
};

/* "-p" is the process of an exec and the terminal's "-c" a capability, as with runc. */
const struct opt oci_command_options[] = {
	{'g', "additional-gids", OPT_LIST, "gid", "exec: a supplementary group", NULL, 0},
	{'a', "all", OPT_BOOL, NULL, "kill: signal all processes", NULL, 0},
	{0, "apparmor", OPT_STR, "profile", "exec: AppArmor profile of the process", NULL, 0},
	{'b', "bundle", OPT_STR, "dir", "Folder of config.json (default: the current one)", NULL,
	 0},
	{'c', "cap", OPT_LIST, "capability", "exec: add a capability", NULL, 0},
	{0, "console-socket", OPT_STR, "path",
	 "Unix socket that the descriptor of the terminal is sent to", NULL, 0},
	{0, "cwd", OPT_STR, "dir", "exec: working directory", NULL, 0},
	{'d', "detach", OPT_BOOL, NULL, "run, exec: do not wait for the process", NULL, 0},
	{'e', "env", OPT_LIST, "name=value", "exec: set an environment variable", NULL, 0},
	{'f', "force", OPT_BOOL, NULL, "delete: end a running container first", NULL, 0},
	{0, "ignore-paused", OPT_BOOL, NULL, "exec: accepted without effect", NULL, OPT_HIDDEN},
	{0, "keep", OPT_BOOL, NULL, "run: keep the container after its end", NULL, 0},
	{0, "no-new-keyring", OPT_BOOL, NULL, "Accepted without effect", NULL, OPT_HIDDEN},
	{0, "no-new-privs", OPT_BOOL, NULL, "exec: the process gains no privileges", NULL, 0},
	{0, "no-pivot", OPT_BOOL, NULL, "Accepted without effect", NULL, OPT_HIDDEN},
	{0, "pid-file", OPT_STR, "file", "Write the process id to this file", NULL, 0},
	{0, "preserve-fds", OPT_STR, "n", "Pass this many descriptors after standard error", NULL,
	 0},
	{'p', "process", OPT_STR, "file", "exec: JSON description of the process", NULL, 0},
	{0, "process-label", OPT_STR, "label", "exec: SELinux label of the process", NULL, 0},
	{'r', "resources", OPT_STR, "file", "update: JSON of the limits, - for standard input",
	 NULL, 0},
	{0, "rootless", OPT_BOOL, NULL, "spec: a configuration for use without root", NULL, 0},
	{'t', "tty", OPT_BOOL, NULL, "exec: allocate a terminal", NULL, 0},
	{'u', "user", OPT_STR, "uid[:gid]", "exec: user of the process", NULL, 0},
	OPT_END,
};

const struct opt oci_list_options[] = {
	{'f', "format", OPT_STR, NULL, "Format of the output (\"table\", \"json\")", "table", 0},
	{'q', "quiet", OPT_BOOL, NULL, "list: ids only", NULL, 0},
	OPT_END,
};

bool oci_is_listing(const char *command)
{
	return strcmp(command, "list") == 0 || strcmp(command, "ps") == 0;
}

/* NULL when the option is absent: the callers tell that from an empty value. */
static const char *text_of(const struct opts *o, const char *name)
{
	return opts_set(o, name) ? opts_str(o, name) : NULL;
}

void oci_set_global(const struct opts *o)
{
	const char *log = text_of(o, "log");
	bool json = strcmp(opts_str(o, "log-format"), "json") == 0;
	int fd = log && *log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : 2;

	oci_opt.root = opts_str(o, "root");
	log_setup(opts_bool(o, "debug") ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
		  json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, fd < 0 ? 2 : fd);
}

static int set_list(const struct opts *o, struct err *e)
{
	oci_opt.format = opts_str(o, "format");
	oci_opt.quiet = opts_bool(o, "quiet");
	if (strcmp(oci_opt.format, "table") != 0 && strcmp(oci_opt.format, "json") != 0)
		return err_set(e, ERR_INVALID, "invalid format %s: table or json", oci_opt.format);
	return 0;
}

static void copy_list(const struct opts *o, const char *name, struct strs *ret)
{
	const struct optval *v = opts_get(o, name);

	for (size_t i = 0; i < v->n; i++)
		strs_push(ret, oci_arena, v->v[i]);
}

int oci_set_command(const struct opts *o, const char *command, struct err *e)
{
	struct oci_options *to = &oci_opt;
	uint64_t fds = 0;

	if (oci_is_listing(command))
		return set_list(o, e);
	to->bundle = text_of(o, "bundle");
	to->pid_file = text_of(o, "pid-file");
	to->console_socket = text_of(o, "console-socket");
	to->process = text_of(o, "process");
	to->resources = text_of(o, "resources");
	to->user = text_of(o, "user");
	to->cwd = text_of(o, "cwd");
	to->apparmor = text_of(o, "apparmor");
	to->label = text_of(o, "process-label");
	to->force = opts_bool(o, "force");
	to->all = opts_bool(o, "all");
	to->detach = opts_bool(o, "detach");
	to->tty = opts_bool(o, "tty");
	to->keep = opts_bool(o, "keep");
	to->no_new_privs = opts_bool(o, "no-new-privs");
	to->rootless = opts_bool(o, "rootless");
	copy_list(o, "env", &to->env);
	copy_list(o, "cap", &to->caps);
	copy_list(o, "additional-gids", &to->groups);
	if (opts_set(o, "preserve-fds") &&
	    num_parse_u64(opts_str(o, "preserve-fds"), 0, 1024, &fds) < 0)
		return err_set(e, ERR_INVALID, "invalid --preserve-fds %s",
			       opts_str(o, "preserve-fds"));
	to->preserve_fds = (int)fds;
	return 0;
}
