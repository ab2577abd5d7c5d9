/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracle-init: process 1 of a container started with --init. Starts the program given as its
 * arguments, passes every signal on to it, reaps orphans and ends with the program's status (128 +
 * n after signal n). Static, libc only.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/banned.h"

static void complain(const char *what, const char *name)
{
	fprintf(stderr, "coracle-init: %s %s: %s\n", what, name, strerror(errno));
}

/* The child: a session's foreground process when there is a terminal, all signals as they came. */
static void run_program(char **argv, const sigset_t *old_mask)
{
	setpgid(0, 0);
	if (tcsetpgrp(STDIN_FILENO, getpgrp()) < 0 && errno != ENOTTY && errno != ENXIO &&
	    errno != EBADF && errno != EINVAL)
		complain("take the terminal for", argv[0]);
	sigprocmask(SIG_SETMASK, old_mask, NULL);
	signal(SIGTTIN, SIG_DFL);
	signal(SIGTTOU, SIG_DFL);
	execvp(argv[0], argv);
	complain("start", argv[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Reap everything that is dead. True when the program itself ended, with its exit code. */
static int reap(pid_t program, int *ret_code)
{
	int ended = 0;

	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0)
			return ended;
		if (pid != program)
			continue;
		ended = 1;
		*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}

int main(int argc, char **argv)
{
	sigset_t all, old_mask;
	int code = 1;

	if (argc > 1 && !strcmp(argv[1], "--")) {
		argv++;
		argc--;
	}
	if (argc < 2) {
		fprintf(stderr, "usage: coracle-init [--] PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	sigfillset(&all);
	/* faults of our own must still kill us */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGSYS);
	sigprocmask(SIG_BLOCK, &all, &old_mask);
	/* the child's tcsetpgrp() comes from a background group */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	if (getpid() != 1)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

	pid_t program = fork();
	if (program < 0) {
		complain("fork for", argv[1]);
		return 1;
	}
	if (program == 0)
		run_program(argv + 1, &old_mask);
	for (;;) {
		int sig = sigwaitinfo(&all, NULL);

		if (sig < 0)
			continue;
		if (sig == SIGCHLD) {
			if (reap(program, &code))
				return code;
		} else {
			kill(program, sig);
		}
	}
}
