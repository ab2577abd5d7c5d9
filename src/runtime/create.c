/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Create and start. The parent makes the cgroups and clones; the child joins them, builds its world
 * and waits at the gate; execve() success shows as end of file on the status socket. The child is a
 * plain copy of a single-threaded process (no CLONE_VM), so it may allocate.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "runtime/runtime-priv.h"
#include "sys/caps.h"
#include "sys/cgroup.h"
#include "sys/fs.h"
#include "sys/seccomp.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/banned.h"

#define INIT_INSIDE	       "/sbin/docker-init"
#define CLONE_INTO_CGROUP_FLAG 0x200000000ULL

static const struct {
	const char *name;
	uint64_t flag;
} namespace_flags[] = {
	{"mount", CLONE_NEWNS},	 {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET},
	{"ipc", CLONE_NEWIPC},	 {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP},
	{"user", CLONE_NEWUSER},
};

/* What to create, what to join. Descriptors of joined namespaces are opened in the parent, where
 * paths are the host's. */
struct spaces {
	uint64_t create;
	struct {
		uint64_t flag;
		int fd;
	} join[ARRAY_SIZE(namespace_flags)];
	size_t njoin;
	int join_pid; /* joined by the parent around clone: only children enter */
};

static void spaces_done(struct spaces *sp)
{
	for (size_t i = 0; i < sp->njoin; i++)
		fd_close(&sp->join[i].fd);
	fd_close(&sp->join_pid);
}

static int spaces_plan(const struct oci_linux *l, struct spaces *sp, struct err *e)
{
	const struct oci_namespace *ns = l ? l->namespaces.v : NULL;

	*sp = (struct spaces){.join_pid = FD_NONE};
	for (size_t i = 0; l && i < l->namespaces.n; i++) {
		uint64_t flag = 0;

		for (size_t k = 0; ns[i].type && k < ARRAY_SIZE(namespace_flags); k++)
			if (!strcmp(namespace_flags[k].name, ns[i].type))
				flag = namespace_flags[k].flag;
		if (!flag)
			return err_set(e, ERR_UNSUPPORTED, "namespace type \"%s\" is not supported",
				       ns[i].type ? ns[i].type : "");
		if (flag == CLONE_NEWUSER)
			return err_set(e, ERR_UNSUPPORTED, "user namespaces are not supported yet");
		if (!ns[i].path || !*ns[i].path) {
			sp->create |= flag;
			continue;
		}
		int fd = open(ns[i].path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, -errno, "open the %s namespace %s", ns[i].type,
				       ns[i].path);
		if (flag == CLONE_NEWPID) {
			fd_close(&sp->join_pid);
			sp->join_pid = fd;
		} else if (sp->njoin < ARRAY_SIZE(sp->join)) {
			sp->join[sp->njoin].flag = flag;
			sp->join[sp->njoin++].fd = fd;
		} else {
			close(fd);
		}
	}
	if (!(sp->create & CLONE_NEWNS))
		return err_set(e, ERR_INVALID, "config.json: a new mount namespace is required");
	return 0;
}

/* ---- child ---- */

static int raise_loopback(void)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? -errno : 0;
}

static int set_names(const struct oci_config *c, struct err *e)
{
	if (c->hostname && *c->hostname && sethostname(c->hostname, strlen(c->hostname)) < 0)
		return err_sys(e, -errno, "set the host name %s", c->hostname);
	if (c->domainname && *c->domainname &&
	    setdomainname(c->domainname, strlen(c->domainname)) < 0)
		return err_sys(e, -errno, "set the domain name %s", c->domainname);
	return 0;
}

static int set_sysctls(const struct oci_config *c, struct err *e)
{
	for (size_t i = 0; c->linux_ && i < c->linux_->sysctl.n; i++) {
		const struct strmap_entry *kv = &c->linux_->sysctl.v[i];
		char path[512];
		int n = snprintf(path, sizeof path, "/proc/sys/%s", kv->k);

		if ((size_t)n >= sizeof path || strstr(kv->k, ".."))
			return err_set(e, ERR_INVALID, "invalid sysctl name %s", kv->k);
		for (char *p = path + 10; *p; p++)
			if (*p == '.')
				*p = '/';
		int rc = fs_write_file(path, kv->v);
		if (rc < 0)
			return err_sys(e, rc, "set sysctl %s", kv->k);
	}
	return 0;
}

/* coracle-init of the host appears inside as one read-only file. */
static int bind_init(struct setup *s, struct err *e)
{
	struct oci_config one = *s->config;
	static const char *const init_options[] = {"bind", "ro"};
	struct oci_mount m = {
		.destination = INIT_INSIDE, .type = "bind", .source = s->req->init_path};
	const char *options[2] = {init_options[0], init_options[1]};

	m.options = (struct strs){options, 2, true};
	one.mounts = (struct objs){&m, 1, true};
	const struct oci_config *all = s->config;
	s->config = &one;
	int rc = mounts_apply(s, e);
	s->config = all;
	return rc;
}

static int make_cwd(struct setup *s)
{
	const char *cwd = s->config->process->cwd;

	if (!cwd || !*cwd || !strcmp(cwd, "/"))
		return 0;
	AUTO_FD int fd = fs_mkdirs_in_root(s->root_fd, cwd, 0755);
	return 0; /* what is wrong with it shows when the program enters it */
}

static int build_world(struct setup *s, int *ret_slave, struct err *e)
{
	const struct oci_process *p = s->config->process;

	if (rootfs_mount(s, e) < 0 || mounts_apply(s, e) < 0 || devices_make(s, e) < 0)
		return -1;
	trace_point("child: mounts and devices");
	if (p->terminal && console_open(s, p, ret_slave, e) < 0)
		return -1;
	if (s->req->init_path && bind_init(s, e) < 0)
		return -1;
	make_cwd(s);
	if (rootfs_pivot(s, e) < 0)
		return -1;
	fd_close(&s->root_fd);
	s->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (set_sysctls(s->config, e) < 0 || mounts_protect(s, e) < 0)
		return -1;
	trace_point("child: pivoted");
	return 0;
}

static int enter_spaces(struct setup *s, const struct spaces *sp, struct err *e)
{
	/* cgroups first: a cgroup namespace shows its creator's group as the root */
	for (size_t i = 0; i < s->ncgroup_fds; i++)
		if (write(s->cgroup_fds[i], "0", 1) < 0)
			return err_sys(e, -errno, "enter the cgroup");
	for (size_t i = 0; i < sp->njoin; i++)
		if (setns(sp->join[i].fd, (int)sp->join[i].flag) < 0)
			return err_sys(e, -errno, "join a namespace");
	if ((sp->create & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(e, -errno, "make a cgroup namespace");
	if ((sp->create & CLONE_NEWNET) && raise_loopback() < 0)
		return err_sys(e, -errno, "raise the loopback interface");
	return (sp->create & CLONE_NEWUTS) ? set_names(s->config, e) : 0;
}

NORETURN static void child_main(struct setup *s, const struct spaces *sp)
{
	const struct oci_process *p = s->config->process;
	struct err e = ERR_INIT;
	int slave = FD_NONE;

	if (setsid() < 0 && errno != EPERM)
		err_sys(&e, -errno, "setsid");
	if (e.kind != ERR_NONE || enter_spaces(s, sp, &e) < 0 || build_world(s, &slave, &e) < 0)
		goto failed;
	struct launch l = {
		.process = p,
		.seccomp = s->seccomp,
		.root_fd = s->root_fd,
		.gate_fd = s->gate_fd,
		.status_fd = s->status_fd,
		.stdio = {s->req->stdio[0], s->req->stdio[1], s->req->stdio[2]},
		.preserve_fds = s->req->preserve_fds,
		.init_path = s->req->init_path ? INIT_INSIDE : NULL,
	};
	if (p->terminal) {
		l.stdio[0] = l.stdio[1] = l.stdio[2] = slave;
		if (ioctl(slave, TIOCSCTTY, 0) < 0) {
			err_sys(&e, -errno, "take the terminal");
			goto failed;
		}
	} else if (send(s->status_fd, "R", 1, MSG_NOSIGNAL) < 0) {
		_exit(1);
	}
	launch_program(&l, &e);
failed:
	status_send_error(s->status_fd, &e);
	_exit(e.kind == ERR_NO_PROGRAM ? 127 : 126);
}

/* ---- parent ---- */

static unsigned cgroup_mask(const struct oci_resources *r)
{
	unsigned mask = CG_ALWAYS;

	if (r && r->cpu && ((r->cpu->cpus && *r->cpu->cpus) || (r->cpu->mems && *r->cpu->mems)))
		mask |= 1U << CG_CPUSET;
	if (r && r->block_io)
		mask |= 1U << CG_BLKIO;
	if (r && r->hugepage_limits.n)
		mask |= 1U << CG_HUGETLB;
	return mask;
}

static char *cgroup_name_of(const struct runtime_create *req)
{
	const char *given = req->config->linux_ ? req->config->linux_->cgroups_path : NULL;

	if (given && *given)
		return xasprintf("%s%s", *given == '/' ? "" : "/", given);
	return xasprintf("%s/%s",
			 req->cgroup_parent && *req->cgroup_parent ? req->cgroup_parent
								   : "/coracle",
			 req->id);
}

static int prepare_seccomp(const struct runtime_create *req, struct seccomp_prog *ret,
			   struct err *e)
{
	const struct oci_process *p = req->config->process;
	AUTO_BUF struct buf text = BUF_INIT(4U << 20);
	const char *profile = req->seccomp_profile;
	struct seccomp_source src = {.cache_dir = req->seccomp_cache_dir};
	const char *unknown = NULL;

	if (req->privileged_seccomp_off || (profile && !strcmp(profile, "unconfined")))
		return 0;
	if (profile && strcmp(profile, "default") != 0) {
		int rc = fs_read_path(profile, &text);
		if (rc < 0)
			return err_sys(e, rc, "read the seccomp profile %s", profile);
		src.json = buf_text(&text);
		src.n = text.n;
	} else if (!profile) {
		src.json = req->config->linux_ ? req->config->linux_->seccomp : NULL;
		if (!src.json)
			return 0;
		src.n = strlen(src.json);
	}
	if (p->capabilities)
		src.caps = caps_from_names(p->capabilities->bounding.v, p->capabilities->bounding.n,
					   &unknown);
	return seccomp_prepare(&src, ret, e);
}

/* cgroup.procs of every v1 hierarchy, opened here so that the child joins with one write each. */
static int open_cgroups(const char *path, struct setup *s, struct err *e)
{
	for (int c = 0; c < CG_CTRL_COUNT; c++) {
		char dir[1024], file[1100];

		if (!cgroup_exists(path, (enum cgroup_ctrl)c) ||
		    cgroup_dir((enum cgroup_ctrl)c, path, dir, sizeof dir) < 0)
			continue;
		snprintf(file, sizeof file, "%s/cgroup.procs", dir);
		int fd = open(file, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, -errno, "open %s", file);
		s->cgroup_fds[s->ncgroup_fds++] = fd;
		if (cgroup_version() == 2)
			break; /* one tree for all */
	}
	return 0;
}

static pid_t clone_child(uint64_t flags, int cgroup_fd, int *ret_pidfd)
{
	struct clone_args_v2 {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
			set_tid, set_tid_size, cgroup;
	} args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
	};

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP_FLAG;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* A joined pid namespace holds for children only: enter, clone, come back. */
static pid_t clone_in_spaces(const struct spaces *sp, int cgroup_fd, int *ret_pidfd)
{
	/* the child itself makes its cgroup namespace, after it stands in its cgroup */
	uint64_t flags = sp->create & ~(uint64_t)CLONE_NEWCGROUP;
	AUTO_FD int own = FD_NONE;

	if (sp->join_pid >= 0) {
		own = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
		if (own < 0 || setns(sp->join_pid, CLONE_NEWPID) < 0)
			return -1;
	}
	pid_t pid = clone_child(flags, cgroup_fd, ret_pidfd);
	int saved = errno;
	if (pid != 0 && own >= 0 && setns(own, CLONE_NEWPID) < 0 && pid > 0)
		saved = errno;
	errno = saved;
	return pid;
}

uint64_t runtime_start_time(pid_t pid)
{
	AUTO_BUF struct buf text = BUF_INIT(4096);
	char path[40];
	uint64_t v = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (fs_read_path(path, &text) < 0)
		return 0;
	/* the name in field 2 may hold anything: count from the last ")" */
	char *p = strrchr(text.p, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return 0;
	char *end = strchr(p + 1, ' ');
	if (end)
		*end = 0;
	return num_parse_u64(p + 1, 0, UINT64_MAX, &v) < 0 ? 0 : v;
}

static void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int create_in_cgroup(struct setup *s, const struct spaces *sp, struct runtime_container *c,
			    struct err *e)
{
	int status[2], gate[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, status) < 0)
		return err_sys(e, -errno, "socketpair");
	AUTO_FD int status_here = status[0], status_child = status[1];
	if (pipe2(gate, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	AUTO_FD int gate_child = gate[0], gate_here = gate[1];
	s->status_fd = status_child;
	s->gate_fd = gate_child;
	AUTO_FD int group = cgroup_version() == 2 ? cgroup_open_v2(c->cgroup_path) : FD_NONE;

	pid_t pid = clone_in_spaces(sp, group, &c->pidfd);
	if (pid < 0 && group >= 0) /* seccomp or an old kernel: join by writing instead */
		pid = clone_in_spaces(sp, FD_NONE, &c->pidfd);
	if (pid < 0)
		return err_sys(e, -errno, "clone");
	if (pid == 0) {
		close(status_here);
		close(gate_here);
		child_main(s, sp);
	}
	fd_close(&status_child);
	c->pid = pid;
	int rc = status_read(status_here, &c->console_fd, e);
	if (rc == 1)
		rc = err_set(e, ERR_SYSTEM,
			     "the container's first process ended before it was ready");
	if (rc < 0) {
		kill_child(pid);
		return -1;
	}
	c->start_time = runtime_start_time(pid);
	c->status_fd = TAKE_FD(status_here);
	c->gate_fd = TAKE_FD(gate_here);
	return 0;
}

int runtime_create(const struct runtime_create *req, struct runtime_container *ret, struct err *e)
{
	const struct oci_config *config = req->config;
	const struct oci_resources *resources = config->linux_ ? config->linux_->resources : NULL;
	struct setup s = {.req = req,
			  .config = config,
			  .root_fd = FD_NONE,
			  .status_fd = FD_NONE,
			  .gate_fd = FD_NONE};
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct seccomp_prog filter = {0};
	struct spaces sp;
	int rc;

	if (!config->process || !config->process->args.n)
		return err_set(e, ERR_INVALID,
			       "config.json: process.args: required field is missing");
	if (spaces_plan(config->linux_, &sp, e) < 0) {
		spaces_done(&sp);
		return -1;
	}
	rc = prepare_seccomp(req, &filter, e);
	trace_point("seccomp program ready");
	c.cgroup_path = cgroup_name_of(req);
	if (rc == 0 && (rc = cgroup_make(c.cgroup_path, cgroup_mask(resources))) < 0)
		rc = err_sys(e, rc, "make the cgroup %s", c.cgroup_path);
	if (rc == 0 && resources)
		rc = runtime_update(&c, resources, e);
	trace_point("cgroups made");
	if (rc == 0)
		rc = open_cgroups(c.cgroup_path, &s, e);
	if (rc == 0) {
		s.seccomp = &filter;
		rc = create_in_cgroup(&s, &sp, &c, e);
		trace_point("child ready");
	}
	for (size_t i = 0; i < s.ncgroup_fds; i++)
		close(s.cgroup_fds[i]);
	seccomp_prog_done(&filter);
	spaces_done(&sp);
	if (rc < 0) {
		struct err ignored = ERR_INIT;
		runtime_delete(&c, &ignored);
		runtime_container_done(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

int runtime_start(struct runtime_container *c, struct err *e)
{
	int extra = FD_NONE;

	if (write(c->gate_fd, "g", 1) != 1)
		return err_sys(e, -errno, "open the container's gate");
	fd_close(&c->gate_fd);
	int rc = status_read(c->status_fd, &extra, e);
	fd_close(&extra);
	fd_close(&c->status_fd);
	if (rc == 1)
		return 0; /* closed by a successful execve() */
	return rc < 0 ? -1
		      : err_set(e, ERR_BUG, "unexpected status from the container's first process");
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
