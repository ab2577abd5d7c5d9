/* SPDX-License-Identifier: Apache-2.0 */
/* Options and dispatch: one table of commands, one of options. */
#include "oci/oci.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "oci/oci-priv.h"
#include "sys/seal.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/banned.h"

struct oci_options oci_opt = {.root = "/run/coracle-runtime", .format = "table"};
struct arena *oci_arena;

static const struct {
	const char *name;
	int (*run)(char **args, int n, struct err *e);
	int min, max; /* arguments; max -1: any */
	bool inside;  /* a copy of this process enters the container */
	const char *args, *what;
} commands[] = {
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
};

static void usage(FILE *f)
{
	fputs("Usage: coracle-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND "
	      "[OPTIONS] [ARGS]\n\nCommands:\n",
	      f);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-9s %-20s %s\n", commands[i].name, commands[i].args,
			commands[i].what);
}

/* The index of the command, or an exit code below zero: ~code. */
static int global_options(int argc, char **argv)
{
	enum { ROOT = 256, LOG, FORMAT, DEBUG, IGNORED };
	static const struct option opts[] = {
		{"root", 1, 0, ROOT},
		{"log", 1, 0, LOG},
		{"log-format", 1, 0, FORMAT},
		{"debug", 0, 0, DEBUG},
		{"version", 0, 0, 'v'},
		{"help", 0, 0, 'h'},
		{"systemd-cgroup", 0, 0, IGNORED}, /* cgroups are made directly */
		{"rootless", 1, 0, IGNORED},
		{"log-level", 1, 0, IGNORED},
		{"cgroup-manager", 1, 0, IGNORED},
		{0},
	};
	const char *log = NULL, *format = NULL;
	enum log_level level = LOG_LEVEL_WARN;
	int c;

	while ((c = getopt_long(argc, argv, "+vh", opts, NULL)) != -1) {
		if (c == ROOT)
			oci_opt.root = optarg;
		else if (c == LOG)
			log = optarg;
		else if (c == FORMAT)
			format = optarg;
		else if (c == DEBUG)
			level = LOG_LEVEL_DEBUG;
		else if (c == 'v')
			return printf("coracle-runtime version %s\nspec: %s\n", CORACLE_VERSION,
				      OCI_VERSION),
			       ~0;
		else if (c == 'h')
			return usage(stdout), ~0;
		else if (c == '?')
			return ~1;
	}
	int fd = log && *log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : 2;
	log_setup(level, format && strcmp(format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
		  fd < 0 ? 2 : fd);
	return optind;
}

static int number(const char *text, int *ret, struct err *e)
{
	uint64_t n;

	if (num_parse_u64(text, 0, 1024, &n) < 0)
		return err_set(e, ERR_INVALID, "invalid --preserve-fds %s", text);
	*ret = (int)n;
	return 0;
}

/* "-p" is the process of an exec and the terminal's "-c" a capability, as with runc. */
static int command_options(int argc, char **argv, struct err *e)
{
	enum { PID = 256, CONSOLE, FDS, KEEP, NNP, APPARMOR, LABEL, ROOTLESS, IGNORED };
	static const struct option opts[] = {
		{"bundle", 1, 0, 'b'},
		{"pid-file", 1, 0, PID},
		{"console-socket", 1, 0, CONSOLE},
		{"detach", 0, 0, 'd'},
		{"force", 0, 0, 'f'},
		{"all", 0, 0, 'a'},
		{"process", 1, 0, 'p'},
		{"resources", 1, 0, 'r'},
		{"tty", 0, 0, 't'},
		{"env", 1, 0, 'e'},
		{"cwd", 1, 0, 'w'},
		{"user", 1, 0, 'u'},
		{"additional-gids", 1, 0, 'g'},
		{"cap", 1, 0, 'c'},
		{"format", 1, 0, 'F'},
		{"quiet", 0, 0, 'q'},
		{"preserve-fds", 1, 0, FDS},
		{"keep", 0, 0, KEEP},
		{"no-new-privs", 0, 0, NNP},
		{"apparmor", 1, 0, APPARMOR},
		{"process-label", 1, 0, LABEL},
		{"rootless", 0, 0, ROOTLESS},
		{"no-pivot", 0, 0, IGNORED},
		{"no-new-keyring", 0, 0, IGNORED},
		{"ignore-paused", 0, 0, IGNORED},
		{"help", 0, 0, 'h'},
		{0},
	};
	bool listing = strcmp(argv[0], "list") == 0 || strcmp(argv[0], "ps") == 0;
	struct oci_options *o = &oci_opt;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, listing ? "+f:qh" : "+b:p:dfar:te:w:u:g:c:h", opts,
				NULL)) != -1) {
		switch (c) {
		case 'b':
			o->bundle = optarg;
			break;
		case PID:
			o->pid_file = optarg;
			break;
		case CONSOLE:
			o->console_socket = optarg;
			break;
		case 'd':
			o->detach = true;
			break;
		case 'f':
			if (listing)
				o->format = optarg;
			o->force = true;
			break;
		case 'a':
			o->all = true;
			break;
		case 'p':
			o->process = optarg;
			break;
		case 'r':
			o->resources = optarg;
			break;
		case 't':
			o->tty = true;
			break;
		case 'e':
			strs_push(&o->env, oci_arena, optarg);
			break;
		case 'w':
			o->cwd = optarg;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'g':
			strs_push(&o->groups, oci_arena, optarg);
			break;
		case 'c':
			strs_push(&o->caps, oci_arena, optarg);
			break;
		case 'F':
			o->format = optarg;
			break;
		case 'q':
			o->quiet = true;
			break;
		case FDS:
			if (number(optarg, &o->preserve_fds, e) < 0)
				return -1;
			break;
		case KEEP:
			o->keep = true;
			break;
		case NNP:
			o->no_new_privs = true;
			break;
		case APPARMOR:
			o->apparmor = optarg;
			break;
		case LABEL:
			o->label = optarg;
			break;
		case ROOTLESS:
			o->rootless = true;
			break;
		case IGNORED:
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return err_set(e, ERR_INVALID, "%s: wrong options", argv[0]);
		}
	}
	if (strcmp(o->format, "table") != 0 && strcmp(o->format, "json") != 0)
		return err_set(e, ERR_INVALID, "invalid format %s: table or json", o->format);
	return optind;
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

static int run_command(int argc, char **argv, char **whole, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, argv[0]) != 0)
			continue;
		int k = command_options(argc, argv, e);
		if (k < 0)
			return -1;
		int n = argc - k;
		if (commands[i].inside)
			seal_self(whole);
		if (n < commands[i].min || (commands[i].max >= 0 && n > commands[i].max))
			return err_set(e, ERR_INVALID, "usage: coracle-runtime %s [OPTIONS] %s",
				       commands[i].name, commands[i].args);
		return commands[i].run(argv + k, n, e);
	}
	return err_set(e, ERR_INVALID, "unknown command %s", argv[0]);
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

	prctl(PR_SET_NAME, "coracle-runtime", 0, 0, 0);
	trace_setup("coracle-runtime");
	int i = global_options(argc, argv);
	if (i < 0) {
		fflush(stdout);
		return ~i;
	}
	if (i >= argc) {
		usage(stderr);
		return 1;
	}
	oci_arena = arena_new();
	if (run_command(argc - i, argv + i, argv, &e) < 0) {
		log_error("%s", e.text);
		return failure_code(argv[i], &e);
	}
	return 0;
}
