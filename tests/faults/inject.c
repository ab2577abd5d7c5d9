/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one chosen system call of a running engine, or of what it starts, fail: as strace -e inject
 * does, but counted by role instead of by thread. The nth openat of "the shim's child" is one place
 * in the program, whichever process id that has; and it stays attached over thousands of
 * injections.
 *
 * usage: inject PID       then one command per line on standard input, one answer per line:
 *   record                       begins to count           "ok"
 *   arm ROLE CALL N ERRNO [run]  fails the Nth CALL once   "ok"; run: it happens, then tells the
 * error state                        "hit PID" or "waiting", then "ok" stop ends either: after
 * record "count ROLE CALL N" lines; after arm "hit PID" or "missed"; then "ok" quit detaches from
 * everything
 *
 * Roles: engine, pool (its threads), spawn (a child before its exec), shim, runtime (children of
 * the shim before theirs), unpack, tls, other. What runs inside a container is let go at its exec.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "written for x86-64: the registers of a system call are its own on every machine"
#endif

enum role { ENGINE, POOL, SPAWN, SHIM, RUNTIME, UNPACK, TLS, OTHER, ROLES, UNKNOWN };
static const char *const role_names[] = {"engine",  "pool",   "spawn", "shim",
					 "runtime", "unpack", "tls",   "other"};

#define CALLS	600
#define TRACEES 1024
#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |  \
	 PTRACE_O_TRACEEXEC)

struct tracee {
	pid_t tid;
	enum role role;
	bool held;    /* stopped before its parent told who it is */
	bool asked;   /* interrupted by us, to change between full speed and system call stops */
	bool inside;  /* between entry and exit of a call */
	bool failing; /* this call's result is replaced */
};

static struct tracee tracees[TRACEES];
static size_t ntracees;
static pid_t engine;
static bool watching, recording, armed, run_it;
static enum role want_role;
static long want_call, want_n, want_errno, error_now;
static pid_t hit;
static long counts[ROLES][CALLS];

static struct tracee *find(pid_t tid)
{
	for (size_t i = 0; i < ntracees; i++)
		if (tracees[i].tid == tid)
			return &tracees[i];
	return NULL;
}

static struct tracee *add(pid_t tid, enum role role)
{
	struct tracee *t = find(tid);

	if (t)
		return t;
	if (ntracees == TRACEES) {
		fprintf(stderr, "inject: too many processes\n");
		exit(1);
	}
	t = &tracees[ntracees++];
	*t = (struct tracee){.tid = tid, .role = role};
	return t;
}

static void forget(struct tracee *t)
{
	*t = tracees[--ntracees];
}

static void resume(const struct tracee *t, int sig)
{
	ptrace(watching ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, NULL, (long)sig);
}

/* The program a process has just become, by its first argument: the file may be /proc/self/fd/N. */
static enum role role_of_program(pid_t tid)
{
	char path[64], text[4096];
	const char *base;
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "/proc/%d/cmdline", tid);
	f = fopen(path, "r");
	n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = 0;
	base = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
	return strcmp(base, "coracle-shim") == 0     ? SHIM
	       : strcmp(base, "coracle-unpack") == 0 ? UNPACK
	       : strcmp(base, "coracle-tls") == 0    ? TLS
						     : OTHER;
}

static pid_t thread_group(pid_t tid)
{
	char path[64], line[256];
	int tgid = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	if (f)
		fclose(f);
	return tgid;
}

static void born(const struct tracee *parent)
{
	unsigned long id = 0;
	struct tracee *t;
	enum role role = parent->role;

	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &id) < 0)
		return;
	if (thread_group((pid_t)id) == thread_group(parent->tid))
		role = role == ENGINE ? POOL : role;
	else if (role == ENGINE || role == POOL)
		role = SPAWN;
	else if (role == SHIM)
		role = RUNTIME;
	t = add((pid_t)id, role);
	t->role = role;
	if (t->held) {
		t->held = false;
		resume(t, 0);
	}
}

/* Calls of many kinds, of which only some can fail in a program that is right. */
static bool can_fail(long nr, const uint64_t *args)
{
	int op = (int)args[1];

	if (nr == SYS_epoll_ctl)
		return op == EPOLL_CTL_ADD;
	if (nr == SYS_fcntl)
		return op == F_DUPFD || op == F_DUPFD_CLOEXEC || op == F_SETPIPE_SZ;
	if (nr == SYS_prctl)
		return args[0] != PR_CAPBSET_READ && args[0] != PR_GET_KEEPCAPS;
	return true;
}

/* Pipes, sockets, terminals know neither EIO nor ENOSPC as an accident: a read or write of those is
 * interrupted instead. */
static bool is_file(pid_t tid, long nr, const uint64_t *args)
{
	char path[64], target[256];
	ssize_t n;

	if (nr != SYS_read && nr != SYS_write && nr != SYS_readv && nr != SYS_writev)
		return true;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)args[0]);
	n = readlink(path, target, sizeof target - 1);
	target[n < 0 ? 0 : n] = 0;
	return target[0] == '/' && strncmp(target, "/dev/", 5) != 0;
}

/* Entry of a call: count it, and turn it into none at all when it is the one. */
static void entry(struct tracee *t, long nr, const uint64_t *args)
{
	if (nr < 0 || nr >= CALLS || t->role >= ROLES || !can_fail(nr, args))
		return;
	counts[t->role][nr]++;
	if (!armed || hit || t->role != want_role || nr != want_call ||
	    counts[t->role][nr] != want_n)
		return;
	hit = t->tid;
	t->failing = true;
	error_now = is_file(t->tid, nr, args) ? want_errno : EINTR;
	if (!run_it)
		ptrace(PTRACE_POKEUSER, t->tid, offsetof(struct user_regs_struct, orig_rax), -1L);
}

static void call_stop(struct tracee *t)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof info, &info) > 0) {
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			entry(t, (long)info.entry.nr, info.entry.args);
		} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->failing) {
			t->failing = false;
			ptrace(PTRACE_POKEUSER, t->tid, offsetof(struct user_regs_struct, rax),
			       -error_now);
		}
	}
	resume(t, 0);
}

static void stopped(pid_t tid, int status)
{
	struct tracee *t = find(tid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (!t) { /* before the stop of its parent that tells who it is */
		add(tid, UNKNOWN)->held = true;
		return;
	}
	t->asked = false;
	if (sig == (SIGTRAP | 0x80)) {
		call_stop(t);
		return;
	}
	switch (event) {
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		born(t);
		t = find(tid);
		break;
	case PTRACE_EVENT_EXEC:
		t->role = role_of_program(tid);
		if (t->role == OTHER) {
			forget(t);
			ptrace(PTRACE_DETACH, tid, NULL, 0);
			return;
		}
		break;
	case PTRACE_EVENT_STOP:
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
			ptrace(PTRACE_LISTEN, tid, NULL, 0);
			return;
		}
		break;
	default:
		if (!event) {
			resume(t, sig);
			return;
		}
	}
	resume(t, 0);
}

static void collect(void)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		struct tracee *t;

		if (WIFSTOPPED(status))
			stopped(tid, status);
		else if ((t = find(tid)))
			forget(t);
	}
}

static void sleep_until_child(int sfd, int ms)
{
	struct signalfd_siginfo si;
	struct pollfd p = {.fd = sfd, .events = POLLIN};

	if (poll(&p, 1, ms) > 0 && read(sfd, &si, sizeof si) < 0)
		return;
	collect();
}

/* Everything that runs stops once and goes on with, or without, stops at system calls. */
static void change(int sfd, bool watch)
{
	watching = watch;
	memset(counts, 0, sizeof counts);
	if (!watch)
		return; /* at the next stop, without a detour */
	for (size_t i = 0; i < ntracees; i++)
		if (!tracees[i].held)
			tracees[i].asked = ptrace(PTRACE_INTERRUPT, tracees[i].tid, NULL, 0) == 0;
	for (int left = 1, tries = 0; left && tries < 200; tries++) {
		left = 0;
		sleep_until_child(sfd, 10);
		for (size_t i = 0; i < ntracees; i++)
			left += tracees[i].asked;
	}
	memset(counts, 0, sizeof counts);
}

static void stop(void)
{
	for (int r = 0; recording && r < ROLES; r++)
		for (int nr = 0; nr < CALLS; nr++) {
			char *name = counts[r][nr] ? seccomp_syscall_resolve_num_arch(
							     SCMP_ARCH_X86_64, nr)
						   : NULL;

			if (name)
				printf("count %s %s %ld\n", role_names[r], name, counts[r][nr]);
			free(name);
		}
	if (armed && hit)
		printf("hit %d\n", hit);
	else if (armed)
		printf("missed\n");
	recording = armed = watching = false;
}

static bool arm(char *text)
{
	char role[32], call[64], how[8] = "";

	if (sscanf(text, "arm %31s %63s %ld %ld %7s", role, call, &want_n, &want_errno, how) < 4)
		return false;
	want_call = seccomp_syscall_resolve_name(call);
	run_it = strcmp(how, "run") == 0;
	for (want_role = 0; want_role < ROLES; want_role++)
		if (strcmp(role, role_names[want_role]) == 0)
			break;
	return want_role < ROLES && want_call >= 0;
}

static void command(int sfd, char *text)
{
	if (strcmp(text, "record") == 0) {
		change(sfd, true);
		recording = true;
	} else if (strncmp(text, "arm ", 4) == 0 && arm(text)) {
		hit = 0;
		change(sfd, true);
		armed = true;
	} else if (strcmp(text, "state") == 0) {
		if (hit)
			printf("hit %d\n", hit);
		else
			printf("waiting\n");
	} else if (strcmp(text, "stop") == 0) {
		stop();
	} else if (strcmp(text, "quit") == 0) {
		exit(0); /* the kernel detaches: nothing was traced with EXITKILL */
	} else {
		printf("what is \"%s\"?\n", text);
	}
	printf("ok\n");
	fflush(stdout);
}

static int attach_all(void)
{
	char path[64];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", engine);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((d = readdir(dir))) {
		pid_t tid = (pid_t)strtol(d->d_name, NULL, 10);

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		if (ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS) < 0) {
			closedir(dir);
			return -1;
		}
		add(tid, tid == engine ? ENGINE : POOL);
	}
	closedir(dir);
	return 0;
}

int main(int argc, char **argv)
{
	static char line[512];
	size_t n = 0;
	sigset_t set;
	int sfd;

	if (argc != 2) {
		fprintf(stderr, "usage: inject PID\n");
		return 2;
	}
	engine = (pid_t)strtol(argv[1], NULL, 10);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sfd < 0 || attach_all() < 0) {
		fprintf(stderr, "inject: cannot attach to %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("ok\n");
	fflush(stdout);
	for (;;) {
		struct pollfd p[2] = {{.fd = sfd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		struct signalfd_siginfo si;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (p[0].revents && read(sfd, &si, sizeof si) > 0)
			collect();
		if (!p[1].revents)
			continue;
		ssize_t got = read(0, line + n, sizeof line - 1 - n);
		if (got <= 0)
			return 0;
		n += (size_t)got;
		line[n] = 0;
		for (char *nl; (nl = strchr(line, '\n'));) {
			*nl = 0;
			command(sfd, line);
			n -= (size_t)(nl + 1 - line);
			memmove(line, nl + 1, n + 1);
		}
	}
}
