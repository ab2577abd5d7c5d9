/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another program in a running container. A helper joins the control group and the namespaces, then
 * clones with CLONE_PARENT, so that the program is in the pid namespace and yet the caller's own
 * child. Helper and child are not dumpable: nothing inside the container can look into them or take
 * their descriptors.
 */
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/banned.h"

/* Are we in the same namespace ("user", "time") as pid? */
static int same_ns(pid_t pid, const char *type)
{
	struct stat a, b;
	char ours[40], theirs[40];

	snprintf(ours, sizeof(ours), "/proc/self/ns/%s", type);
	snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", pid, type);
	if (stat(ours, &a) < 0 || stat(theirs, &b) < 0)
		return -errno;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int enter(const struct runtime_container *c, struct err *e)
{
	int same = same_ns(c->pid, "user");
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
		    CLONE_NEWCGROUP;

	if (same < 0)
		return same == -ENOENT || same == -ESRCH
			       ? err_set(e, ERR_CONFLICT, "the container is not running")
			       : err_sys(e, same, "look at the container's namespaces");
	if (!same)
		flags |= CLONE_NEWUSER;
	if (same_ns(c->pid, "time") == 0) /* an error: a kernel without them */
		flags |= CLONE_NEWTIME;
	if (setns(c->pidfd, flags) < 0)
		return err_sys(e, -errno, "join the container's namespaces");
	if (!same && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_sys(e, -errno, "become root of the user namespace");
	return 0;
}

static int exec_child(struct launch *l, struct err *e)
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(e, -errno, "open the container's root");
	if (user_resolve(root, l, e) < 0)
		return -1;
	if (l->process->terminal && dev_console(root, l, false, e) < 0)
		return -1;
	if (launch_stdio(l, e) < 0)
		return -1;
	return launch_exec(l, e);
}

_Noreturn static void helper_main(const struct runtime_container *c, struct launch *l)
{
	struct err e = ERR_INIT;
	int pidfd = FD_NONE, rc;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	rc = cgroup_version() ? cgroup_attach(c->cgroup_path, 0) : 0;
	if (rc < 0) {
		err_sys(&e, rc, "join control group %s", c->cgroup_path);
	} else if (launch_limits(l, &e) == 0 && enter(c, &e) == 0) {
		pid_t pid = clone_process(CLONE_PARENT, -1, &pidfd);
		if (pid == 0) {
			exec_child(l, &e);
			channel_send_err(l->sock, &e);
			_exit(e.kind == ERR_NO_PROGRAM ? 127 : 126);
		}
		if (pid > 0) {
			channel_send(l->sock, REPORT_PID, &pid, sizeof(pid), FD_NONE);
			_exit(0);
		}
		err_sys(&e, pid, "clone");
	}
	channel_send_err(l->sock, &e);
	_exit(1);
}

static int wait_running(const struct runtime_exec *req, int sock, struct runtime_process *p,
			struct err *e)
{
	char text[1024];
	struct err failed = ERR_INIT;
	size_t n = 0;

	for (;;) {
		int fd = FD_NONE, kind = channel_recv(sock, text, sizeof(text) - 1, &n, &fd, e);
		if (kind == 0)
			break;
		if (kind < 0) {
			/* the helper's report with the pid may still be under way */
			failed = *e;
			continue;
		}
		if (kind == REPORT_CONSOLE && fd >= 0) {
			fd_close(&p->console_fd);
			p->console_fd = TAKE_FD(fd);
		}
		fd_close(&fd);
		if (kind == REPORT_PID && n == sizeof(pid_t)) {
			memcpy(&p->pid, text, sizeof(pid_t));
			p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
			if (p->pidfd < 0)
				err_sys(&failed, -errno, "open the program's descriptor");
		}
		text[n] = '\0';
		if (kind == REPORT_NOTICE && req->notice)
			req->notice(req->notice_ud, text);
	}
	if (failed.kind != ERR_NONE) {
		*e = failed;
		return -1;
	}
	if (p->pid <= 0 || p->pidfd < 0)
		return err_set(e, ERR_SYSTEM, "the program's setup process died");
	return 0;
}

void runtime_process_end(struct runtime_process *p)
{
	/* Our child that nobody else reaps: the number is its own until we do. */
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	p->pid = -1;
	fd_close(&p->pidfd);
	fd_close(&p->console_fd);
}

int runtime_exec(const struct runtime_container *c, const struct runtime_exec *req,
		 struct runtime_process *ret, struct err *e)
{
	struct launch l = {.process = req->process,
			   .console = FD_NONE,
			   .proc_fd = FD_NONE,
			   .preserve_fds = req->preserve_fds};
	struct runtime_process p = {-1, FD_NONE, FD_NONE};
	int socks[2], status, rc;

	if (c->pidfd < 0)
		return err_set(e, ERR_CONFLICT, "the container is not running");
	if (req->process->args.n == 0 || !req->process->args.v[0][0])
		return err_set(e, ERR_INVALID, "no command specified");
	memcpy(l.stdio, req->stdio, sizeof(l.stdio));
	if (launch_personality(&l, req->personality, e) < 0)
		return -1;
	if (launch_prepare(&l, req->seccomp_profile, req->seccomp, req->seccomp_cache_dir, false,
			   e) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		launch_done(&l);
		return err_sys(e, -errno, "socketpair");
	}
	l.sock = socks[1];
	pid_t helper = fork();
	if (helper == 0) {
		close(socks[0]);
		helper_main(c, &l);
	}
	rc = helper < 0 ? err_sys(e, -errno, "fork") : 0;
	close(socks[1]);
	if (rc == 0)
		rc = wait_running(req, socks[0], &p, e);
	close(socks[0]);
	if (helper > 0)
		while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
			;
	if (rc < 0)
		runtime_process_end(&p);
	else
		*ret = p;
	launch_done(&l);
	return rc;
}
