/* SPDX-License-Identifier: Apache-2.0 */
/* A container that exists: signals, freezing, limits, numbers, removal. */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/banned.h"

int runtime_adopt(pid_t pid, uint64_t start_time, const char *cgroup_path,
		  struct runtime_container *ret, struct err *e)
{
	struct runtime_container c = RUNTIME_CONTAINER_INIT;

	c.pid = pid;
	c.pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	/* the pidfd holds whoever has the number now; the start time says whether that is ours */
	if (c.pidfd < 0 || (start_time && process_start_time(pid) != start_time)) {
		fd_close(&c.pidfd);
		return err_set(e, ERR_CONFLICT, "process %d is gone", pid);
	}
	c.start_time = start_time;
	c.cgroup_path = xstrdup(cgroup_path);
	*ret = c;
	return 0;
}

int runtime_kill(const struct runtime_container *c, int signo, struct err *e)
{
	if (c->pidfd < 0 || syscall(SYS_pidfd_send_signal, c->pidfd, signo, NULL, 0) < 0) {
		if (c->pidfd < 0 || errno == ESRCH)
			return err_set(e, ERR_CONFLICT, "the container is not running");
		return err_sys(e, -errno, "send signal %d", signo);
	}
	return 0;
}

int runtime_kill_all(const struct runtime_container *c, struct err *e)
{
	int rc = cgroup_kill(c->cgroup_path);

	return rc < 0 && rc != -ENOENT ? err_sys(e, rc, "kill the processes of %s", c->cgroup_path)
				       : 0;
}

int runtime_pause(const struct runtime_container *c, struct err *e)
{
	int rc = cgroup_freeze(c->cgroup_path, true);

	if (rc < 0) /* in the middle: what the caller takes for running must run */
		cgroup_freeze(c->cgroup_path, false);
	return rc < 0 ? err_sys(e, rc, "freeze %s", c->cgroup_path) : 0;
}

int runtime_resume(const struct runtime_container *c, struct err *e)
{
	int rc = cgroup_freeze(c->cgroup_path, false);

	return rc < 0 ? err_sys(e, rc, "thaw %s", c->cgroup_path) : 0;
}

bool runtime_is_paused(const struct runtime_container *c)
{
	return cgroup_is_frozen(c->cgroup_path);
}

int runtime_update(const struct runtime_container *c, const struct oci_resources *r, struct err *e)
{
	unsigned more = resources_controllers(r);

	/* a hierarchy that was not needed until now: make the group there and move everyone in */
	for (int i = 0; i < CG_CTRL_COUNT && cgroup_version() == 1; i++) {
		pid_t pids[512];
		if (!(more >> i & 1) || cgroup_exists(c->cgroup_path, (enum cgroup_ctrl)i))
			continue;
		int n = cgroup_pids(c->cgroup_path, pids, ARRAY_SIZE(pids));
		int rc = cgroup_make(c->cgroup_path, 1U << i);
		for (int k = 0; rc == 0 && k < MIN(n, (int)ARRAY_SIZE(pids)); k++)
			cgroup_attach(c->cgroup_path, pids[k]);
	}
	return resources_apply(c->cgroup_path, r, true, NULL, NULL, e);
}

int runtime_delete(const struct runtime_container *c, struct err *e)
{
	if (!c->cgroup_path || cgroup_version() == 0)
		return 0;
	pid_t one;
	if (cgroup_pids(c->cgroup_path, &one, 1) > 0)
		cgroup_kill(c->cgroup_path);
	int rc = cgroup_remove(c->cgroup_path);
	return rc < 0 ? err_sys(e, rc, "remove control group %s", c->cgroup_path) : 0;
}

uint64_t runtime_oom_kills(const struct runtime_container *c)
{
	char text[512];
	uint64_t n = 0;

	if (cgroup_read(CG_MEMORY, c->cgroup_path,
			cgroup_version() == 2 ? "memory.events" : "memory.oom_control", text,
			sizeof(text)) <= 0)
		return 0;
	return cgroup_field(text, "oom_kill", &n) ? n : 0;
}

/* memory.events tells changes to who polls it and has read it (not by inotify: a user may have only
 * some hundred watchers). */
static int events_fd(const struct runtime_container *c)
{
	char path[PATH_MAX];

	if (cgroup_dir(CG_MEMORY, c->cgroup_path, path, sizeof(path) - 32) < 0)
		return FD_NONE;
	size_t n = strlen(path);
	snprintf(path + n, sizeof(path) - n, "/memory.events");
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && runtime_oom_drain(fd) == 0 ? TAKE_FD(fd) : FD_NONE;
}

int runtime_oom_drain(int fd)
{
	char text[512];
	ssize_t n = cgroup_version() == 2 ? pread(fd, text, sizeof(text), 0)
					  : read(fd, text, sizeof(text));

	return n >= 0 || errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int runtime_oom_fd(const struct runtime_container *c)
{
	char path[PATH_MAX], text[64];

	if (cgroup_version() == 2)
		return events_fd(c);
	if (cgroup_version() != 1 ||
	    cgroup_dir(CG_MEMORY, c->cgroup_path, path, sizeof(path) - 32) < 0)
		return FD_NONE;
	size_t n = strlen(path);
	snprintf(path + n, sizeof(path) - n, "/memory.oom_control");
	AUTO_FD int control = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FD int ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control < 0 || ev < 0)
		return FD_NONE;
	snprintf(text, sizeof(text), "%d %d", ev, control);
	if (cgroup_write(CG_MEMORY, c->cgroup_path, "cgroup.event_control", text) < 0)
		return FD_NONE;
	return TAKE_FD(ev);
}

int runtime_pids(const struct runtime_container *c, pid_t *ret, size_t max, struct err *e)
{
	int n = cgroup_pids(c->cgroup_path, ret, max);

	return n < 0 ? err_sys(e, n, "list the processes of %s", c->cgroup_path) : n;
}

int runtime_cgroup_version(void)
{
	return cgroup_version();
}
