/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start a program without copying the address space: CLONE_VM|CLONE_VFORK gives the child our
 * memory while we wait for its exec. The child runs on a stack of its own and makes system calls
 * only; its errno comes back in shared memory.
 */
#include "sys/spawn.h"
#include "base/buf.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/banned.h"

#define STACK_SIZE (64U * 1024U)
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define FD_LIMIT 64 /* highest child descriptor number that may be asked for */

struct child_args {
	const struct spawn *s;
	sigset_t old_mask;
	int max_child_fd;
	volatile int error;
};

extern char **environ;

/*
 * Descriptors to their numbers in two passes, so that a source is never overwritten by another's
 * target: first everything moves above all targets, then down to its place (dup3 clears
 * close-on-exec there).
 */
__attribute__((no_sanitize_address)) static int place_fds(const struct child_args *a)
{
	const struct spawn *s = a->s;
	int moved[FD_LIMIT];

	for (size_t i = 0; i < s->nfds; i++) {
		moved[i] = fcntl(s->fds[i].parent_fd, F_DUPFD_CLOEXEC, a->max_child_fd + 1);
		if (moved[i] < 0)
			return errno;
	}
	for (int std = 0; std < 3; std++) {
		bool given = false;
		for (size_t i = 0; i < s->nfds; i++)
			given |= s->fds[i].child_fd == std;
		if (given)
			continue;
		int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null_fd < 0)
			return errno;
		if (null_fd == std ? fcntl(std, F_SETFD, 0) < 0 : dup3(null_fd, std, 0) < 0)
			return errno;
	}
	for (size_t i = 0; i < s->nfds; i++)
		if (dup3(moved[i], s->fds[i].child_fd, 0) < 0)
			return errno;
	/* between our numbers there may be gaps with strangers in them; everything above goes
	 * anyway */
	for (int fd = 3; fd <= a->max_child_fd; fd++) {
		bool given = false;
		for (size_t i = 0; i < s->nfds; i++)
			given |= s->fds[i].child_fd == fd;
		if (!given)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	if (syscall(SYS_close_range, a->max_child_fd + 1, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) < 0 &&
	    errno != ENOSYS && errno != EINVAL)
		return errno;
	return 0;
}

/* Not instrumented: its stack ends by exec, so marks on it would stay in our shadow memory. */
__attribute__((no_sanitize_address)) static int child_main(void *arg)
{
	struct child_args *a = arg;
	const struct spawn *s = a->s;
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	/* handlers live in memory that exec replaces: back to default while all signals are blocked
	 */
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	a->error = place_fds(a);
	if (a->error)
		_exit(127);
	if ((s->new_session && setsid() < 0) || (s->chdir_to && chdir(s->chdir_to) < 0) ||
	    (s->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)) {
		a->error = errno;
		_exit(127);
	}
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	union {
		const char *const *in;
		char *const *out;
	} argv = {.in = s->argv}, envp = {.in = s->envp};
	execve(s->path, argv.out, s->envp ? envp.out : environ);
	a->error = errno;
	_exit(127);
}

int spawn_start(const struct spawn *s, struct process *ret)
{
	struct child_args args = {.s = s, .max_child_fd = 2};
	sigset_t all;
	int pidfd = FD_NONE;

	if (s->nfds > FD_LIMIT)
		return -EINVAL;
	for (size_t i = 0; i < s->nfds; i++)
		args.max_child_fd = MAX(args.max_child_fd, s->fds[i].child_fd);
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &args.old_mask);
	pid_t pid = clone(child_main, stack + STACK_SIZE,
			  CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &args, &pidfd);
	int rc = pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &args.old_mask, NULL);
	munmap(stack, STACK_SIZE);
	if (rc < 0)
		return rc;
	if (args.error) {
		int status;
		waitpid(pid, &status, 0);
		fd_close(&pidfd);
		return -args.error;
	}
	*ret = (struct process){pid, pidfd};
	return 0;
}

int spawn_signal(const struct process *p, int signo)
{
	return syscall(SYS_pidfd_send_signal, p->pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int spawn_wait(const struct process *p, bool nohang, int *ret_status)
{
	int status;

	for (;;) {
		pid_t got = waitpid(p->pid, &status, nohang ? WNOHANG : 0);
		if (got == p->pid)
			break;
		if (got == 0)
			return -EAGAIN;
		if (errno != EINTR)
			return -errno;
	}
	if (ret_status)
		*ret_status = status;
	return 0;
}

char *spawn_find(const char *name)
{
	struct str rest = str_of(secure_getenv("PATH")), dir;

	if (!*name || strchr(name, '/'))
		return NULL;
	while (str_cut(&rest, ':', &dir)) {
		char *path;

		if (!dir.n || dir.p[0] != '/')
			continue;
		path = xasprintf("%.*s/%s", (int)dir.n, dir.p, name);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}
