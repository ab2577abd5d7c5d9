/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps in the child, the same for a container's first program and for exec: descriptors,
 * limits, identity, capabilities, working directory, seccomp, execve. Whatever fails is worded as
 * Docker words it.
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/caps.h"
#include "sys/fs.h"
#include "sys/seccomp.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void status_send_error(int fd, const struct err *e)
{
	struct status_error m = {.tag = 'E', .kind = (int)e->kind, .sys = e->sys};

	memcpy(m.text, e->text, sizeof m.text);
	/* the parent is gone when this fails: nobody is left to tell */
	if (send(fd, &m, sizeof m, MSG_NOSIGNAL) < 0)
		_exit(1);
}

int status_read(int fd, int *ret_fd, struct err *e)
{
	struct status_error m;
	int fds[1];
	size_t nfds = 0;
	ssize_t n = fs_recv_fds(fd, &m, sizeof m, fds, 1, &nfds);

	if (nfds)
		*ret_fd = fds[0];
	if (n == 0)
		return 1;
	if (n < 0)
		return err_sys(e, (int)n, "read the container's status");
	if (m.tag == 'R')
		return 0;
	m.text[sizeof m.text - 1] = 0;
	e->kind = (enum err_kind)m.kind;
	e->sys = m.sys;
	memcpy(e->text, m.text, sizeof e->text);
	return -1;
}

static const struct {
	const char *name;
	int resource;
} limits[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

/* Without CAP_SYS_RESOURCE a hard limit cannot be raised: then as far as it goes. */
static int set_limit(const struct oci_rlimit *want, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit now, l = {want->soft, want->hard};
		int r = limits[i].resource;

		if (strcmp(limits[i].name, want->type) != 0)
			continue;
		if (l.rlim_cur > l.rlim_max)
			return err_set(e, ERR_INVALID, "%s: soft limit is above the hard limit",
				       want->type);
		if (setrlimit((__rlimit_resource_t)r, &l) == 0)
			return 0;
		int rc = -errno;
		if (rc == -EPERM && getrlimit((__rlimit_resource_t)r, &now) == 0) {
			l.rlim_max = MIN(l.rlim_max, now.rlim_max);
			l.rlim_cur = MIN(l.rlim_cur, l.rlim_max);
			rc = setrlimit((__rlimit_resource_t)r, &l) < 0 ? -errno : 0;
		}
		return rc < 0 ? err_sys(e, rc, "set %s", want->type) : 0;
	}
	return err_set(e, ERR_INVALID, "unknown resource limit %s", want->type);
}

static int set_limits(const struct oci_process *p, struct err *e)
{
	const struct oci_rlimit *r = p->rlimits.v;

	for (size_t i = 0; i < p->rlimits.n; i++)
		if (set_limit(&r[i], e) < 0)
			return -1;
	return 0;
}

static int place_stdio(const struct launch *l, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int fd = l->stdio[i];
		AUTO_FD int null_fd = FD_NONE;

		if (fd < 0)
			fd = null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, -errno, "open /dev/null");
		if (fd == i ? fcntl(i, F_SETFD, 0) < 0 : dup3(fd, i, 0) < 0)
			return err_sys(e, -errno, "place descriptor %d", i);
		if (fd == i)
			(void)TAKE_FD(null_fd);
	}
	return 0;
}

static uint64_t cap_mask(const struct strs *names, struct err *e)
{
	const char *unknown = NULL;
	uint64_t mask = caps_from_names(names->v, names->n, &unknown);

	if (unknown)
		err_set(e, ERR_INVALID, "unknown capability \"%s\"", unknown);
	return mask;
}

static int become(const struct oci_process *p, const struct identity *id, struct err *e)
{
	const struct oci_capabilities *c = p->capabilities;
	uint64_t known = caps_kernel_mask();
	struct caps caps = {0};
	int rc;

	err_clear(e);
	if (c)
		caps = (struct caps){
			cap_mask(&c->bounding, e) & known, cap_mask(&c->effective, e) & known,
			cap_mask(&c->permitted, e) & known, cap_mask(&c->inheritable, e) & known,
			cap_mask(&c->ambient, e) & known};
	if (e->kind != ERR_NONE)
		return -1;
	if ((rc = caps_drop_bounding(caps.bounding)) < 0 || (rc = caps_keep_over_setuid()) < 0)
		return err_sys(e, rc, "drop capabilities");
	if (setgroups(id->ngroups, id->groups) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
	    setresuid(id->uid, id->uid, id->uid) < 0)
		return err_sys(e, -errno, "become user %u:%u", (unsigned)id->uid,
			       (unsigned)id->gid);
	/* a user that is not root starts with what execve() gives it: only ambient capabilities */
	if (id->uid != 0)
		caps.effective = caps.permitted = caps.permitted & caps.ambient;
	rc = caps_apply(&caps);
	if (rc < 0)
		return err_sys(e, rc, "apply capabilities");
	if (p->user.umask)
		umask((mode_t)*p->user.umask);
	return 0;
}

static int enter_cwd(const struct oci_process *p, struct err *e)
{
	const char *cwd = p->cwd && *p->cwd ? p->cwd : "/";
	char now[4096];

	if (chdir(cwd) < 0)
		return err_set(e, ERR_INVALID,
			       "chdir to cwd (\"%s\") set in config.json failed: %s", cwd,
			       strerror(errno));
	/* a working directory outside the root would be the host's (CVE-2024-21626): the kernel
	 * says so */
	if (syscall(SYS_getcwd, now, sizeof now) < 0 || now[0] != '/')
		return err_set(
			e, ERR_DENIED,
			"current working directory is outside of container mount namespace root");
	return 0;
}

static const char *env_get(const struct strs *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = env->n; i > 0; i--)
		if (!strncmp(env->v[i - 1], name, n) && env->v[i - 1][n] == '=')
			return env->v[i - 1] + n + 1;
	return NULL;
}

/* Full path of the program. Kinds tell 126 from 127. */
static int find_program(const struct oci_process *p, char *ret, size_t size, struct err *e)
{
	const char *name = p->args.v[0];
	const char *path = env_get(&p->env, "PATH");
	struct str rest = str_of(path ? path : DEFAULT_PATH), dir;
	bool denied = false;
	struct stat st;

	if (strchr(name, '/')) {
		if (stat(name, &st) < 0)
			return err_set(
				e, errno == EACCES ? ERR_NOT_EXECUTABLE : ERR_NO_PROGRAM,
				"unable to start container process: exec: \"%s\": stat %s: %s",
				name, name,
				errno == ENOENT	   ? "no such file or directory"
				: errno == EACCES  ? "permission denied"
				: errno == ENOTDIR ? "not a directory"
						   : strerror(errno));
		if (S_ISDIR(st.st_mode))
			return err_set(
				e, ERR_NOT_EXECUTABLE,
				"unable to start container process: exec: \"%s\": is a directory",
				name);
		if (!(st.st_mode & 0111))
			return err_set(e, ERR_NOT_EXECUTABLE,
				       "unable to start container process: exec: \"%s\": "
				       "permission denied",
				       name);
		snprintf(ret, size, "%s", name);
		return 0;
	}
	while (*name && str_cut(&rest, ':', &dir)) {
		int n = snprintf(ret, size, "%.*s/%s", dir.n ? (int)dir.n : 1, dir.n ? dir.p : ".",
				 name);
		if ((size_t)n >= size || stat(ret, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (st.st_mode & 0111)
			return 0;
		denied = true;
	}
	if (denied)
		return err_set(e, ERR_NOT_EXECUTABLE,
			       "unable to start container process: exec: \"%s\": permission denied",
			       name);
	return err_set(e, ERR_NO_PROGRAM,
		       "unable to start container process: exec: \"%s\": executable file not found "
		       "in $PATH",
		       name);
}

/* argv and envp for execve; env gets HOME when the image and the user did not set it. */
static char **make_vector(const struct strs *s, const char *first, const char *extra)
{
	char **v = xcalloc(s->n + 4, sizeof *v);
	size_t n = 0;

	if (first) {
		v[n++] = xstrdup(first);
		v[n++] = xstrdup("--");
	}
	for (size_t i = 0; i < s->n; i++)
		v[n++] = xstrdup(s->v[i]);
	if (extra)
		v[n++] = xstrdup(extra);
	return v;
}

static int wait_for_gate(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -1;
}

static int exec_error(const char *name, int error, struct err *e)
{
	const char *why = error == ENOENT    ? "no such file or directory"
			  : error == EACCES  ? "permission denied"
			  : error == ENOEXEC ? "exec format error"
					     : strerror(error);

	err_set(e, error == ENOENT ? ERR_NO_PROGRAM : ERR_NOT_EXECUTABLE,
		"unable to start container process: exec %s: %s", name, why);
	e->sys = error;
	return -1;
}

int launch_program(const struct launch *l, struct err *e)
{
	const struct oci_process *p = l->process;
	struct identity id;
	char program[4096];
	sigset_t none;
	int rc;

	if (!p->args.n || !p->args.v[0])
		return err_set(e, ERR_INVALID, "no command specified");
	if (identity_resolve(&p->user, l->root_fd, &id, e) < 0)
		return -1;
	if (set_limits(p, e) < 0 || place_stdio(l, e) < 0)
		return -1;
	if (p->oom_score_adj) {
		char text[24];
		snprintf(text, sizeof text, "%ld", (long)*p->oom_score_adj);
		rc = fs_write_file("/proc/self/oom_score_adj", text);
		if (rc < 0 && rc != -EACCES && rc != -EPERM && rc != -ENOENT)
			return err_sys(e, rc, "set oom_score_adj");
	}
	const struct seccomp_prog *filter = l->seccomp;
	/* without no_new_privs loading a filter needs CAP_SYS_ADMIN: then before capabilities go */
	if (filter && filter->v && !p->no_new_privileges && (rc = seccomp_install(filter)) < 0)
		return err_sys(e, rc, "load the seccomp profile");
	if (become(p, &id, e) < 0 || enter_cwd(p, e) < 0)
		return -1;
	if (find_program(p, program, sizeof program, e) < 0)
		return -1;
	char home[1040];
	snprintf(home, sizeof home, "HOME=%s", id.home[0] ? id.home : "/");
	char **envp = make_vector(&p->env, NULL, env_get(&p->env, "HOME") ? NULL : home);
	char **argv = make_vector(&p->args, l->init_path, NULL);
	if (l->gate_fd >= 0 && wait_for_gate(l->gate_fd) < 0)
		_exit(1); /* the creator went away */
	if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "set no_new_privs");
	/* the status socket closes by exec: that is the message of success */
	if (syscall(SYS_close_range, 3 + l->preserve_fds, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) < 0)
		return err_sys(e, -errno, "close_range");
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (filter && filter->v && p->no_new_privileges && (rc = seccomp_install(filter)) < 0)
		return err_sys(e, rc, "load the seccomp profile");
	execve(l->init_path ? l->init_path : program, argv, envp);
	return exec_error(p->args.v[0], errno, e);
}
