/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's side of create and start. While the child mounts its root, the caller makes the
 * control groups: on v1 the two run side by side and meet at the cgroup gate; on v2 the group comes
 * first and the child is born into it.
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/banned.h"

static const struct {
	const char *name;
	unsigned flag;
} ns_types[] = {{"pid", CLONE_NEWPID},	     {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
		{"ipc", CLONE_NEWIPC},	     {"uts", CLONE_NEWUTS},	{"user", CLONE_NEWUSER},
		{"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};

static int parse_namespaces(struct setup *s, struct err *e)
{
	const struct oci_namespace *v = s->cfg->linux_->namespaces.v;

	for (size_t i = 0; i < s->cfg->linux_->namespaces.n; i++) {
		unsigned flag = 0;
		for (size_t k = 0; k < ARRAY_SIZE(ns_types); k++)
			if (strcmp(ns_types[k].name, v[i].type) == 0)
				flag = ns_types[k].flag;
		if (!flag)
			return err_set(e, ERR_INVALID, "unknown namespace type %s", v[i].type);
		if (!v[i].path || !*v[i].path) {
			if (flag == CLONE_NEWCGROUP)
				s->new_cgroup_ns = true;
			else if (flag == CLONE_NEWTIME)
				s->new_time_ns = true;
			else
				s->clone_flags |= flag;
			continue;
		}
		if (s->njoins == ARRAY_SIZE(s->joins))
			return err_set(e, ERR_INVALID, "too many namespaces");
		int fd = open(v[i].path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, -errno, "open namespace %s", v[i].path);
		s->joins[s->njoins++] = (struct join){fd, (int)flag};
	}
	if (!(s->clone_flags & CLONE_NEWNS))
		return err_set(e, ERR_INVALID, "a container needs a mount namespace of its own");
	return 0;
}

static void setup_done(struct setup *s)
{
	for (size_t i = 0; i < s->njoins; i++)
		fd_close(&s->joins[i].fd);
	launch_done(&s->launch);
	caller_mounts_done(s);
	free(s->bundle_path);
}

static char *cgroup_path_of(const struct runtime_create *req)
{
	const char *p = req->config->linux_->cgroups_path;

	if (p && *p) {
		/* "slice:prefix:name" of systemd: without it a plain path of the same parts */
		const char *c1 = strchr(p, ':'), *c2 = c1 ? strchr(c1 + 1, ':') : NULL;
		if (c2)
			return xasprintf("/%.*s/%.*s-%s", c1 > p ? (int)(c1 - p) : 7,
					 c1 > p ? p : "coracle", (int)(c2 - c1 - 1), c1 + 1,
					 c2 + 1);
		return xasprintf("%s%s", p[0] == '/' ? "" : "/", p);
	}
	return xasprintf("%s/%s",
			 req->cgroup_parent && *req->cgroup_parent ? req->cgroup_parent
								   : "/coracle",
			 req->id);
}

static int map_users(const struct setup *s, pid_t pid, int sock, struct err *e)
{
	const struct oci_linux *l = s->cfg->linux_;

	if (!(s->clone_flags & CLONE_NEWUSER))
		return 0;
	int rc = idmap_write(pid, "uid_map", &l->uid_mappings);
	if (rc == 0)
		rc = idmap_write(pid, "gid_map", &l->gid_mappings);
	if (rc == 0)
		rc = channel_open_gate(sock, GATE_MAPPED);
	return rc < 0 ? err_sys(e, rc, "write the id mappings") : 0;
}

static int make_cgroup(const struct runtime_create *req, const char *path, struct err *e)
{
	const struct oci_resources *r = req->config->linux_->resources;
	int rc = cgroup_make(path, CG_ALWAYS | resources_controllers(r));

	if (rc == -ENODEV) {
		if (req->notice)
			req->notice(req->notice_ud,
				    "no control groups are mounted: limits are not enforced");
		return 0;
	}
	if (rc < 0)
		return err_sys(e, rc, "create control group %s", path);
	return resources_apply(path, r, false, req->notice, req->notice_ud, e);
}

/* Clone in the pid namespace that was asked for: setns() moves only children, so a helper does it
 * and clones our child. */
static pid_t clone_in_pidns(struct setup *s, int join, int *ret_pidfd)
{
	int pidfd = FD_NONE, status;
	pid_t pid, helper;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	helper = fork();
	if (helper == 0) {
		int x = FD_NONE;
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (setns(join, CLONE_NEWPID) < 0)
			_exit(1);
		pid = clone_process(s->clone_flags | CLONE_PARENT, -1, &x);
		if (pid == 0) {
			close(fds[0]);
			close(fds[1]);
			child_main(s);
		}
		if (pid < 0 || write(fds[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	if (helper < 0 || fs_read_full(fds[0], &pid, sizeof(pid)) != sizeof(pid))
		pid = -EIO;
	close(fds[0]);
	if (helper > 0)
		while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
			;
	if (pid > 0) {
		/* our own child and not reaped yet: the number cannot mean another process */
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (pidfd < 0)
			return -errno;
		*ret_pidfd = pidfd;
	}
	return pid;
}

static pid_t clone_child(struct setup *s, int cgroup_fd, int *ret_pidfd)
{
	for (size_t i = 0; i < s->njoins; i++)
		if (s->joins[i].flag == CLONE_NEWPID)
			return clone_in_pidns(s, s->joins[i].fd, ret_pidfd);
	pid_t pid = clone_process(s->clone_flags, cgroup_fd, ret_pidfd);
	if (pid == 0)
		child_main(s);
	return pid;
}

uint64_t process_start_time(pid_t pid)
{
	char path[40], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fs_read_full(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	char *p = strrchr(text, ')'); /* the name may contain anything */
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static void notice(const struct runtime_create *req, const char *text, size_t n)
{
	char t[1024];

	n = MIN(n, sizeof(t) - 1);
	memcpy(t, text, n);
	t[n] = '\0';
	if (req->notice)
		req->notice(req->notice_ud, t);
}

/* Reports until the child is ready (0) or has failed (-1). */
static int wait_ready(const struct runtime_create *req, struct runtime_container *c, struct err *e)
{
	char text[1024];
	size_t n = 0;

	for (;;) {
		int fd = FD_NONE, kind = channel_recv(c->status_fd, text, sizeof(text), &n, &fd, e);
		if (kind < 0)
			return -1;
		if (kind == 0)
			return err_set(e, ERR_SYSTEM, "the container's setup process died");
		if (kind == REPORT_CONSOLE && fd >= 0) {
			fd_close(&c->console_fd);
			c->console_fd = TAKE_FD(fd);
		}
		fd_close(&fd);
		if (kind == REPORT_NOTICE)
			notice(req, text, n);
		if (kind == REPORT_HOOKS && hooks_caller(req, c, e) < 0)
			return -1;
		if (kind == REPORT_READY)
			return 0;
	}
}

static void kill_and_reap(struct runtime_container *c)
{
	siginfo_t si;

	if (c->pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
	while (waitid((idtype_t)3 /* P_PIDFD */, (id_t)c->pidfd, &si, WEXITED | __WALL) < 0 &&
	       errno == EINTR)
		;
}

static int run_child(struct setup *s, struct runtime_container *c, int child_sock, struct err *e)
{
	const struct runtime_create *req = s->req;
	bool v2 = cgroup_version() == 2, joins_pid = false, joins_user = false;
	AUTO_FD int cgroup_fd = FD_NONE;
	int rc, own_time = FD_NONE;

	for (size_t i = 0; i < s->njoins; i++) {
		joins_pid |= s->joins[i].flag == CLONE_NEWPID;
		joins_user |= s->joins[i].flag == CLONE_NEWUSER;
	}
	/* as root of a new user namespace the child may not write to the host's groups */
	s->attach_self = cgroup_version() == 1 && !(s->clone_flags & CLONE_NEWUSER) && !joins_user;
	if (v2) {
		if (make_cgroup(req, c->cgroup_path, e) < 0) {
			close(child_sock);
			return -1;
		}
		cgroup_fd = joins_pid ? FD_NONE : cgroup_open_v2(c->cgroup_path);
	}
	if (timens_enter(s, &own_time, e) < 0) {
		timens_leave(&own_time);
		close(child_sock);
		return -1;
	}
	c->pid = clone_child(s, cgroup_fd, &c->pidfd);
	bool born_inside = cgroup_fd >= 0 && c->pid > 0;
	if (c->pid < 0 && cgroup_fd >= 0) /* before 5.7 there is no CLONE_INTO_CGROUP */
		c->pid = clone_child(s, FD_NONE, &c->pidfd);
	timens_leave(&own_time);
	close(child_sock);
	if (c->pid < 0)
		return err_sys(e, c->pid, "clone the container's first process");
	if (req->cloned && req->cloned(req->cloned_ud, c->pid, e) < 0)
		return -1;
	if (map_users(s, c->pid, c->status_fd, e) < 0)
		return -1;
	if (!v2 && make_cgroup(req, c->cgroup_path, e) < 0)
		return -1;
	rc = born_inside || s->attach_self || cgroup_version() == 0
		     ? 0
		     : cgroup_attach(c->cgroup_path, c->pid);
	if (rc < 0)
		return err_sys(e, rc, "move the container into control group %s", c->cgroup_path);
	rc = channel_open_gate(c->status_fd, GATE_CGROUP);
	if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
		return err_sys(e, rc, "talk to the container's setup process");
	c->start_time = process_start_time(c->pid);
	return wait_ready(req, c, e);
}

/*
 * The path must be read here: behind clone the descriptor's mount belongs to a foreign namespace,
 * and procfs shows its path from that one's root, which is not ours in a chroot.
 */
static int find_bundle(struct setup *s, struct err *e)
{
	char link[40], path[PATH_MAX];

	if (s->req->bundle_fd < 3)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", s->req->bundle_fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return err_sys(e, -errno, "find the bundle");
	s->bundle_path = xstrndup(path, (size_t)n);
	return 0;
}

static int check(const struct runtime_create *req, struct err *e)
{
	const struct oci_config *c = req->config;

	if (!c->linux_ || !c->process)
		return err_set(e, ERR_INVALID, "configuration lacks linux or process");
	if (hooks_wanted(c->hooks) && !req->hook_state)
		return err_set(e, ERR_UNSUPPORTED, "hooks need a caller that knows the state");
	if (c->process->args.n == 0 || !c->process->args.v[0][0])
		return err_set(e, ERR_INVALID, "no command specified");
	if (c->process->cwd && *c->process->cwd && c->process->cwd[0] != '/')
		return err_set(
			e, ERR_INVALID,
			"the working directory '%s' is invalid, it needs to be an absolute path",
			c->process->cwd);
	return 0;
}

int runtime_create(const struct runtime_create *req, struct runtime_container *ret, struct err *e)
{
	struct setup s = {.req = req, .cfg = req->config, .root = FD_NONE, .layers = FD_NONE};
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	int socks[2] = {FD_NONE, FD_NONE}, rc = -1;

	if (check(req, e) < 0)
		return -1;
	s.launch = (struct launch){
		.process = req->config->process,
		.console = FD_NONE,
		.proc_fd = FD_NONE,
		.preserve_fds = req->preserve_fds,
		.die_with_caller = req->die_with_caller,
		.init_argv0 = req->init_path && *req->init_path ? "/sbin/docker-init" : NULL};
	memcpy(s.launch.stdio, req->stdio, sizeof(s.launch.stdio));
	c.cgroup_path = cgroup_path_of(req);
	s.cgroup_path = c.cgroup_path;
	if (find_bundle(&s, e) < 0 || parse_namespaces(&s, e) < 0 ||
	    caller_mounts_make(&s, e) < 0 ||
	    launch_personality(&s.launch, req->config->linux_->personality, e) < 0 ||
	    launch_prepare(&s.launch, req->seccomp_profile, req->config->linux_->seccomp,
			   req->seccomp_cache_dir, req->privileged_seccomp_off, e) < 0)
		goto out;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		err_sys(e, -errno, "socketpair");
		goto out;
	}
	c.status_fd = socks[0];
	s.launch.sock = socks[1];
	s.parent_sock = socks[0];
	rc = run_child(&s, &c, socks[1], e);
	if (rc < 0) {
		kill_and_reap(&c);
		cgroup_remove(c.cgroup_path);
	}
out:
	setup_done(&s);
	if (rc < 0)
		runtime_container_done(&c);
	else
		*ret = c;
	return rc;
}

int runtime_start(struct runtime_container *c, struct err *e)
{
	int rc = channel_open_gate(c->status_fd, GATE_GO);

	if (rc < 0)
		return err_set(e, ERR_CONFLICT,
			       "the container's process is gone before it was started");
	for (;;) {
		rc = channel_recv(c->status_fd, NULL, 0, NULL, NULL, e);
		if (rc > 0)
			continue; /* late notices */
		fd_close(&c->status_fd);
		return rc;
	}
}

void runtime_container_done(struct runtime_container *c)
{
	fd_close(&c->pidfd);
	fd_close(&c->console_fd);
	fd_close(&c->gate_fd);
	fd_close(&c->status_fd);
	free(c->cgroup_path);
	*c = RUNTIME_CONTAINER_INIT;
}
