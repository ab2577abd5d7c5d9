/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps before a program runs, the same for the first process and for exec: limits,
 * identity, capabilities, seccomp, execve. Order matters: every step that needs a privilege stands
 * before the step that gives it up.
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/lsm.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

#define PROFILE_MAX_BYTES (1U << 20)

static int caps_set(const struct strs *s, uint64_t *ret, struct err *e)
{
	const char *unknown = NULL;

	*ret = caps_from_names(s->v, s->n, &unknown) & caps_kernel_mask();
	(void)unknown; /* a name newer than us or the kernel is no error: it cannot be had anyway */
	(void)e;
	return 0;
}

/* Labels that this kernel cannot set are an error: they are there to confine. */
static int prepare_labels(struct launch *l, struct err *e)
{
	const char *apparmor = l->process->apparmor_profile, *selinux = l->process->selinux_label;
	bool a = apparmor && *apparmor, s = selinux && *selinux;

	l->proc_fd = FD_NONE;
	if (a && !lsm_apparmor_enabled())
		return err_set(e, ERR_UNSUPPORTED,
			       "apparmor profile %s: AppArmor is not enabled on this host",
			       apparmor);
	if (s && !lsm_selinux_enabled())
		return err_set(e, ERR_UNSUPPORTED,
			       "selinux label %s: SELinux is not enabled on this host", selinux);
	if (a || s) {
		l->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (l->proc_fd < 0)
			return err_sys(e, -errno, "open /proc");
	}
	return 0;
}

static int apply_labels(const struct launch *l, struct err *e)
{
	if (l->proc_fd < 0)
		return 0;
	int rc = lsm_exec_apparmor(l->proc_fd, l->process->apparmor_profile);
	if (rc < 0)
		return err_sys(e, rc, "apply apparmor profile %s", l->process->apparmor_profile);
	rc = lsm_exec_selinux(l->proc_fd, l->process->selinux_label);
	return rc < 0 ? err_sys(e, rc, "apply selinux label %s", l->process->selinux_label) : 0;
}

int launch_personality(struct launch *l, const struct oci_personality *p, struct err *e)
{
	l->personality = -1;
	if (!p)
		return 0;
	if (strcmp(p->domain, "LINUX") == 0)
		l->personality = PER_LINUX;
	else if (strcmp(p->domain, "LINUX32") == 0)
		l->personality = PER_LINUX32;
	else
		return err_set(e, ERR_INVALID, "unknown personality %s", p->domain);
	return 0;
}

int launch_prepare(struct launch *l, const char *profile, const char *raw, const char *cache_dir,
		   bool off, struct err *e)
{
	const struct oci_capabilities *c = l->process->capabilities;
	AUTO_BUF struct buf text = BUF_INIT(PROFILE_MAX_BYTES);
	struct seccomp_source src = {.cache_dir = cache_dir};

	if (prepare_labels(l, e) < 0)
		return -1;
	if (c) {
		l->have_caps = true;
		caps_set(&c->bounding, &l->caps.bounding, e);
		caps_set(&c->effective, &l->caps.effective, e);
		caps_set(&c->permitted, &l->caps.permitted, e);
		caps_set(&c->inheritable, &l->caps.inheritable, e);
		caps_set(&c->ambient, &l->caps.ambient, e);
	}
	src.caps = l->have_caps ? l->caps.bounding : caps_kernel_mask();
	if (off || (profile && strcmp(profile, "unconfined") == 0) || (!profile && !raw))
		return 0;
	if (!profile) {
		src.json = raw;
		src.n = strlen(raw);
	} else if (strcmp(profile, "default") != 0) {
		int rc = fs_read_path(profile, &text);
		if (rc < 0)
			return err_sys(e, rc, "open seccomp profile %s", profile);
		src.json = buf_text(&text);
		src.n = text.n;
	}
	return seccomp_prepare(&src, &l->seccomp, e);
}

void launch_done(struct launch *l)
{
	seccomp_prog_done(&l->seccomp);
	fd_close(&l->console);
	fd_close(&l->proc_fd);
	free(l->start_state);
}

int launch_stdio(struct launch *l, struct err *e)
{
	int fds[3];

	if (setsid() < 0 && errno != EPERM)
		return err_sys(e, -errno, "setsid");
	if (l->console >= 0 && ioctl(l->console, TIOCSCTTY, 0) < 0)
		return err_sys(e, -errno, "make the console the controlling terminal");
	for (int i = 0; i < 3; i++) {
		int src = l->console >= 0 ? l->console : l->stdio[i];
		int null_fd = src < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : FD_NONE;
		/* above the standard three, so that none is overwritten before it was used */
		fds[i] = fcntl(src < 0 ? null_fd : src, F_DUPFD_CLOEXEC, 10);
		if (fds[i] < 0)
			return err_sys(e, -errno, "duplicate standard descriptor %d", i);
		fd_close(&null_fd);
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0)
			return err_sys(e, -errno, "place standard descriptor %d", i);
		close(fds[i]);
	}
	return 0;
}

static int rlimit_by_name(const char *s)
{
	static const struct {
		const char *name;
		int id;
	} table[] = {
		{"CPU", RLIMIT_CPU},	       {"FSIZE", RLIMIT_FSIZE},
		{"DATA", RLIMIT_DATA},	       {"STACK", RLIMIT_STACK},
		{"CORE", RLIMIT_CORE},	       {"RSS", RLIMIT_RSS},
		{"NPROC", RLIMIT_NPROC},       {"NOFILE", RLIMIT_NOFILE},
		{"MEMLOCK", RLIMIT_MEMLOCK},   {"AS", RLIMIT_AS},
		{"LOCKS", RLIMIT_LOCKS},       {"SIGPENDING", RLIMIT_SIGPENDING},
		{"MSGQUEUE", RLIMIT_MSGQUEUE}, {"NICE", RLIMIT_NICE},
		{"RTPRIO", RLIMIT_RTPRIO},     {"RTTIME", RLIMIT_RTTIME},
	};

	if (strncmp(s, "RLIMIT_", 7) == 0)
		s += 7;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].name, s) == 0)
			return table[i].id;
	return -1;
}

static void say(const struct launch *l, const char *text)
{
	channel_send(l->sock, REPORT_NOTICE, text, strlen(text), FD_NONE);
}

static int apply_rlimit(const struct launch *l, const struct oci_rlimit *r, struct err *e)
{
	int id = rlimit_by_name(r->type);
	struct rlimit want = {r->soft, r->hard}, have;
	char text[160];

	if (id < 0)
		return err_set(e, ERR_INVALID, "invalid rlimit type %s", r->type);
	if (prlimit(0, (__rlimit_resource_t)id, &want, NULL) == 0)
		return 0;
	if (errno != EPERM || prlimit(0, (__rlimit_resource_t)id, NULL, &have) < 0)
		return err_sys(e, -errno, "set rlimit %s", r->type);
	/* without CAP_SYS_RESOURCE a hard limit cannot be raised: take what there is and say so */
	snprintf(text, sizeof(text), "%s: hard limit stays at %llu (CAP_SYS_RESOURCE is missing)",
		 r->type, (unsigned long long)have.rlim_max);
	say(l, text);
	want.rlim_max = MIN(want.rlim_max, have.rlim_max);
	want.rlim_cur = MIN(want.rlim_cur, want.rlim_max);
	return prlimit(0, (__rlimit_resource_t)id, &want, NULL) < 0
		       ? err_sys(e, -errno, "set rlimit %s", r->type)
		       : 0;
}

int launch_limits(const struct launch *l, struct err *e)
{
	const struct oci_process *p = l->process;
	char text[24];

	for (size_t i = 0; i < p->rlimits.n; i++)
		if (apply_rlimit(l, (const struct oci_rlimit *)p->rlimits.v + i, e) < 0)
			return -1;
	if (p->oom_score_adj) {
		snprintf(text, sizeof(text), "%lld", (long long)*p->oom_score_adj);
		int rc = fs_write_file("/proc/self/oom_score_adj", text);
		if (rc == -EACCES || rc == -EPERM)
			say(l, "oom_score_adj: cannot be lowered (CAP_SYS_RESOURCE is missing)");
		else if (rc < 0)
			return err_sys(e, rc, "write oom_score_adj");
	}
	return 0;
}

static int become_user(struct launch *l, struct err *e)
{
	int rc;

	if (l->have_caps) {
		rc = caps_drop_bounding(l->caps.bounding);
		if (rc < 0)
			return err_sys(e, rc, "drop capabilities from the bounding set");
	}
	if (l->have_caps && caps_keep_over_setuid() < 0)
		return err_sys(e, -errno, "keep capabilities");
	if (setgroups((size_t)l->ngroups, l->groups) < 0 && !(errno == EPERM && l->ngroups == 0))
		return err_sys(e, -errno, "set additional groups");
	if (setresgid(l->gid, l->gid, l->gid) < 0)
		return err_sys(e, -errno, "set group %u", l->gid);
	if (setresuid(l->uid, l->uid, l->uid) < 0)
		return err_sys(e, -errno, "set user %u", l->uid);
	umask(l->process->user.umask ? (mode_t)(*l->process->user.umask & 0777) : 022);
	return 0;
}

static int finish_caps(struct launch *l, struct err *e)
{
	if (!l->have_caps)
		return 0;
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	/* what the engine itself does not have cannot be given */
	uint64_t have = caps_permitted();
	l->caps.permitted &= have;
	l->caps.effective &= l->caps.permitted;
	l->caps.inheritable &= have;
	l->caps.ambient &= l->caps.permitted & l->caps.inheritable;
	int rc = caps_apply(&l->caps);
	return rc < 0 ? err_sys(e, rc, "apply capabilities") : 0;
}

static const char *env_value(const char *const *env, size_t n, const char *key)
{
	size_t len = strlen(key);
	const char *found = NULL;

	for (size_t i = 0; i < n; i++)
		if (strncmp(env[i], key, len) == 0 && env[i][len] == '=')
			found = env[i] + len + 1;
	return found;
}

#define START_FAILED "unable to start container process: "

/* 0 executable, else errno with Go's LookPath rules: a file, with any execute bit for us. */
static int probe(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? EACCES : 0;
}

static int find_program(const char *name, const char *path_list, char *ret, size_t n, struct err *e)
{
	struct str rest = str_of(path_list ? path_list : ""), dir;
	int broken = 0;

	if (strchr(name, '/')) {
		int no = probe(name);
		if (no == ENOENT || no == ENOTDIR || no == ELOOP || no == ENAMETOOLONG)
			return err_set(e, ERR_NO_PROGRAM, START_FAILED "exec: \"%s\": stat %s: %s",
				       name, name,
				       no == ENOENT    ? "no such file or directory"
				       : no == ENOTDIR ? "not a directory"
				       : no == ELOOP   ? "too many levels of symbolic links"
						       : "file name too long");
		if (no)
			return err_set(e, ERR_NOT_EXECUTABLE, START_FAILED "exec: \"%s\": %s", name,
				       /* Clients turn the last words into exit code 126. */
				       no == EISDIR   ? "is a directory: permission denied"
				       : no == EACCES ? "permission denied"
						      : strerror(no));
		snprintf(ret, n, "%s", name);
		return 0;
	}
	while (*name && str_cut(&rest, ':', &dir)) {
		if ((size_t)snprintf(ret, n, "%.*s/%s", dir.n ? (int)dir.n : 1, dir.n ? dir.p : ".",
				     name) >= n)
			continue;
		int no = probe(ret);
		if (no == 0)
			return 0;
		/* What a look could not tell is no proof that there is none. */
		if (no != ENOENT && no != ENOTDIR && no != EISDIR && no != ENAMETOOLONG)
			broken = no;
	}
	if (broken)
		return err_set(e, ERR_NOT_EXECUTABLE, START_FAILED "exec: \"%s\": %s", name,
			       broken == EACCES ? "permission denied" : strerror(broken));
	return err_set(e, ERR_NO_PROGRAM,
		       START_FAILED "exec: \"%s\": executable file not found in $PATH", name);
}

static const char *exec_text(int no)
{
	switch (no) {
	case ENOEXEC:
		return "exec format error";
	case ENOENT:
		return "no such file or directory";
	case EACCES:
	case EPERM:
		return "permission denied";
	case ELOOP:
		return "too many levels of symbolic links";
	case E2BIG:
		return "argument list too long";
	case EINVAL:
		return "invalid argument";
	}
	return strerror(no);
}

static void reset_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A working directory outside the root (through a leaked descriptor) shows as "(unreachable)" or
 * not at all. */
static int enter_cwd(const struct launch *l, struct err *e)
{
	const char *cwd = l->process->cwd && *l->process->cwd ? l->process->cwd : "/";
	char real[PATH_MAX];

	if (chdir(cwd) < 0)
		return err_sys(e, -errno,
			       START_FAILED "chdir to cwd (\"%s\") set in config.json failed", cwd);
	long n = syscall(SYS_getcwd, real, sizeof(real));
	if (n <= 0 || real[0] != '/')
		return err_set(
			e, ERR_DENIED,
			START_FAILED
			"current working directory is outside of container mount namespace root");
	return 0;
}

/* After the last change of identity: that would clear it. The caller may have died a moment before.
 */
static int die_with_caller(const struct launch *l, struct err *e)
{
	char c;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, -errno, "set the parent-death signal");
	if (recv(l->sock, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		return err_set(e, ERR_CANCELLED, "the caller has died");
	return 0;
}

int launch_exec(struct launch *l, struct err *e)
{
	const struct oci_process *p = l->process;
	size_t extra = 4, n = 0;
	const char **argv = xcalloc(p->args.n + extra, sizeof(*argv));
	const char **env = xcalloc(p->env.n + extra, sizeof(*env));
	char path[PATH_MAX];
	int rc;

	if (l->start_hooks && runtime_run_hooks(l->start_hooks, l->start_state, e) < 0)
		return -1;
	if (enter_cwd(l, e) < 0 || apply_labels(l, e) < 0)
		return -1;
	if (l->personality >= 0 && personality((unsigned long)l->personality) < 0)
		return err_sys(e, -errno, "set the personality");
	if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "set no_new_privs");
	if (become_user(l, e) < 0)
		return -1;
	for (size_t i = 0; i < p->env.n; i++)
		env[i] = p->env.v[i];
	if (!env_value(env, p->env.n, "HOME"))
		env[p->env.n] = xasprintf("HOME=%s", l->home[0] ? l->home : "/");
	if (l->init_argv0) {
		argv[n++] = l->init_argv0;
		argv[n++] = "--";
	}
	memcpy(argv + n, p->args.v, p->args.n * sizeof(*argv));
	if (find_program(argv[0], env_value(env, p->env.n, "PATH"), path, sizeof(path), e) < 0)
		return -1;
	if (l->init_argv0) { /* report a missing program ourselves, not from inside init */
		char child[PATH_MAX];
		if (find_program(p->args.v[0], env_value(env, p->env.n, "PATH"), child,
				 sizeof(child), e) < 0)
			return -1;
	}
	if (syscall(SYS_close_range, 3U + (unsigned)l->preserve_fds, ~0U,
		    4U /* CLOSE_RANGE_CLOEXEC */) < 0)
		for (int fd = 3 + l->preserve_fds; fd < 1024; fd++)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	for (int fd = 3; fd < 3 + l->preserve_fds; fd++)
		fcntl(fd, F_SETFD, 0);
	reset_signals();
	if (l->die_with_caller && die_with_caller(l, e) < 0)
		return -1;
	/*
	 * Installing a filter needs CAP_SYS_ADMIN or no_new_privs. With the latter it is the very
	 * last step; else it comes while the capability (kept over setresuid) is still there, and
	 * the filter must let capset, prctl and execve pass.
	 */
	if (!p->no_new_privileges && l->seccomp.v) {
		caps_raise();
		rc = seccomp_install(&l->seccomp);
		if (rc < 0)
			return err_sys(e, rc, "install the seccomp filter");
	}
	if (finish_caps(l, e) < 0)
		return -1;
	if (p->no_new_privileges) {
		rc = seccomp_install(&l->seccomp);
		if (rc < 0)
			return err_sys(e, rc, "install the seccomp filter");
	}
	union {
		const char **in;
		char *const *out;
	} a = {.in = argv}, v = {.in = env};
	execve(path, a.out, v.out);
	rc = errno;
	return err_set(e, rc == ENOENT ? ERR_NO_PROGRAM : ERR_NOT_EXECUTABLE,
		       START_FAILED "exec %s: %s", path, exec_text(rc));
}

int launch_lookup(const struct launch *l, struct err *e)
{
	const struct oci_process *p = l->process;
	struct err found = ERR_INIT;
	char path[PATH_MAX];

	/* only what is certain before the user's identity is taken: a program that is not there at
	 * all */
	if (strchr(p->args.v[0], '/') && p->args.v[0][0] != '/')
		return 0;
	if (find_program(p->args.v[0], env_value(p->env.v, p->env.n, "PATH"), path, sizeof(path),
			 &found) < 0 &&
	    found.kind == ERR_NO_PROGRAM) {
		*e = found;
		return -1;
	}
	return 0;
}
