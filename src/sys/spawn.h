/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that starts programs: clone with CLONE_PIDFD|CLONE_VM|CLONE_VFORK, exec in the
 * child, wait and signal by pidfd. A failed exec is reported as the errno of the call. Returns 0 or
 * negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct spawn_fd {
	int parent_fd; /* stays open in the parent */
	int child_fd;  /* number it gets in the child */
};

struct spawn {
	const char *path;	    /* program file, absolute */
	const char *const *argv;    /* NULL-terminated */
	const char *const *envp;    /* NULL: the caller's environment */
	const struct spawn_fd *fds; /* anything else is closed; 0-2 default to /dev/null */
	size_t nfds;
	bool new_session;     /* setsid() */
	const char *chdir_to; /* NULL: stays */
	bool die_with_parent; /* PR_SET_PDEATHSIG SIGKILL */
};

struct process {
	pid_t pid;
	int pidfd; /* owned; FD_NONE when there is none */
};

/* Full path of a program of PATH, heap; NULL when there is none. Never from the current directory.
 */
char *spawn_find(const char *name);
int spawn_start(const struct spawn *s, struct process *ret);
int spawn_signal(const struct process *p, int signo);
/* Reap without blocking when nohang: -EAGAIN when still running. *ret_status as waitpid's. Closes
 * nothing. */
int spawn_wait(const struct process *p, bool nohang, int *ret_status);
