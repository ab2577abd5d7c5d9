/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime library's interface over plain fork and exec, so that the shim's loop is tested
 * without privileges. No namespaces, no limits; a file "oom" in the bundle stands for a kill by the
 * OOM killer.
 */
#include "runtime/runtime.h"

#include <fcntl.h>
#include <pty.h>
#include <utmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int bundle = FD_NONE;

static pid_t run(const struct oci_process *p, const int stdio[3], int *console, int *ret_status)
{
	int err[2], slave = -1, master = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO_FREE const char **argv = calloc(p->args.n + 1, sizeof *argv);
	pid_t pid;

	if (pipe2(err, O_CLOEXEC) < 0 || null < 0)
		return -1;
	if (p->terminal && openpty(&master, &slave, NULL, NULL, NULL) < 0)
		return -1;
	memcpy(argv, p->args.v, p->args.n * sizeof *argv);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (slave >= 0)
			login_tty(slave);
		for (int i = 0; slave < 0 && i < 3; i++)
			dup2(stdio[i] >= 0 ? stdio[i] : null, i);
		close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		execvp(argv[0], (char **)(uintptr_t)argv);
		if (write(err[1], &errno, sizeof errno) < 0)
			_exit(126);
		_exit(127);
	}
	close(err[1]);
	*ret_status = 0;
	if (read(err[0], ret_status, sizeof *ret_status) < 0)
		*ret_status = EIO;
	close(err[0]);
	close(null);
	if (slave >= 0) {
		close(slave);
		fcntl(master, F_SETFD, FD_CLOEXEC);
	}
	*console = master >= 0 ? master : FD_NONE;
	return pid;
}

int runtime_create(const struct runtime_create *req, struct runtime_container *ret, struct err *e)
{
	int status;

	bundle = req->bundle_fd;
	*ret = RUNTIME_CONTAINER_INIT;
	ret->pid = run(req->config->process, req->stdio, &ret->console_fd, &status);
	if (ret->pid < 0)
		return err_sys(e, -errno, "fork");
	ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	ret->start_time = (uint64_t)status;
	return 0;
}

int runtime_start(struct runtime_container *c, struct err *e)
{
	if (c->start_time)
		return err_set(e, ERR_NO_PROGRAM, "exec: %s", strerror((int)c->start_time));
	return 0;
}

void runtime_container_done(struct runtime_container *c)
{
	fd_close(&c->pidfd);
	fd_close(&c->console_fd);
}

int runtime_kill(const struct runtime_container *c, int signo, struct err *e)
{
	return kill(c->pid, signo) < 0 ? err_sys(e, -errno, "kill") : 0;
}

int runtime_kill_all(const struct runtime_container *c, struct err *e)
{
	return 0;
}

int runtime_pause(const struct runtime_container *c, struct err *e)
{
	return runtime_kill(c, SIGSTOP, e);
}

int runtime_resume(const struct runtime_container *c, struct err *e)
{
	return runtime_kill(c, SIGCONT, e);
}

int runtime_update(const struct runtime_container *c, const struct oci_resources *r, struct err *e)
{
	return r->pids ? 0 : err_set(e, ERR_INVALID, "nothing to update");
}

int runtime_delete(const struct runtime_container *c, struct err *e)
{
	return 0;
}

uint64_t runtime_oom_kills(const struct runtime_container *c)
{
	return faccessat(bundle, "oom", F_OK, 0) == 0;
}

int runtime_oom_drain(int fd)
{
	return 0;
}

int runtime_cgroup_version(void)
{
	return 1;
}

int runtime_oom_fd(const struct runtime_container *c)
{
	return FD_NONE;
}

void runtime_process_end(struct runtime_process *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	fd_close(&p->pidfd);
	fd_close(&p->console_fd);
}

int runtime_exec(const struct runtime_container *c, const struct runtime_exec *req,
		 struct runtime_process *ret, struct err *e)
{
	int status;

	ret->pid = run(req->process, req->stdio, &ret->console_fd, &status);
	if (ret->pid > 0 && status) {
		waitpid(ret->pid, NULL, 0);
		return err_set(e, ERR_NO_PROGRAM, "exec: %s", strerror(status));
	}
	ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	return ret->pid < 0 ? err_sys(e, -errno, "fork") : 0;
}
