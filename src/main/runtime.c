/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracle-runtime: the OCI runtime command line over the runtime library, for containerd, CRI-O,
 * Podman and scripts. State is one JSON file per container below --root; a created container waits
 * on a socket in the same folder until `start` connects.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "runtime/runtime.h"
#include "spec/oci-config.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/banned.h"

#define CONFIG_MAX (4U << 20)

struct state {
	const char *oci_version, *id, *bundle, *created, *cgroup_path, *seccomp_cache;
	int64_t pid, start_time;
	bool started;
	const char *config; /* the whole configuration, for exec and hooks */
};
static const struct json_field state_fields[] = {
	JSON_FIELD(JT_STR, struct state, oci_version, "ociVersion", 0),
	JSON_FIELD(JT_STR, struct state, id, "id", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct state, pid, "pid", 0),
	JSON_FIELD(JT_I64, struct state, start_time, "startTime", 0),
	JSON_FIELD(JT_STR, struct state, bundle, "bundle", 0),
	JSON_FIELD(JT_STR, struct state, created, "created", 0),
	JSON_FIELD(JT_STR, struct state, cgroup_path, "cgroupPath", JSON_REQUIRED),
	JSON_FIELD(JT_BOOL, struct state, started, "started", 0),
	JSON_FIELD(JT_RAW, struct state, config, "config", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema state_schema = {"state", sizeof(struct state), state_fields};

static const char *opt_root = "/run/coracle-runtime";
static const char *opt_bundle, *opt_pid_file, *opt_console_socket, *opt_process, *opt_resources,
	*opt_user, *opt_cwd;
static bool opt_force, opt_all, opt_detach, opt_tty, opt_keep, opt_no_new_privs;
static int opt_preserve_fds;
static const char *opt_format = "table";
static const char *env_extra[256], *cap_extra[64];
static size_t n_env, n_cap;
static struct arena *arena;

/* ---- small helpers ---- */

static void notice(void *ud, const char *text)
{
	(void)ud;
	log_warn("%s", text);
}

static int fail(const struct err *e)
{
	log_error("%s", e->text);
	return 1;
}

static bool id_ok(const char *id)
{
	if (!*id || strlen(id) > 1024 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return false;
	for (const char *p = id; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("+-._", *p)))
			return false;
	return true;
}

static char *container_dir(const char *id)
{
	return xasprintf("%s/%s", opt_root, id);
}

static int state_save(const struct state *s, struct err *e)
{
	AUTO_FREE char *dir = container_dir(s->id);
	AUTO_FD int fd = fs_open_dir(dir);
	AUTO_BUF struct buf b = BUF_INIT(CONFIG_MAX * 2);
	struct jw w = JW_INIT(&b);

	if (fd < 0)
		return err_sys(e, fd, "open %s", dir);
	json_encode(&w, &state_schema, s);
	int rc = fs_write_atomic(fd, "state.json", b.p, b.n, 0600, false);
	return rc < 0 ? err_sys(e, rc, "write state") : 0;
}

static int state_load(const char *id, struct state *ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s/state.json", opt_root, id);
	AUTO_BUF struct buf b = BUF_INIT(CONFIG_MAX * 2);

	if (!id_ok(id))
		return err_set(e, ERR_INVALID, "invalid container id format: %s", id);
	if (fs_read_path(path, &b) < 0)
		return err_set(e, ERR_NOT_FOUND, "container does not exist");
	return json_decode_text(b.p, b.n, &state_schema, ret, arena, e);
}

static int adopt(const struct state *s, struct runtime_container *c, struct err *e)
{
	return runtime_adopt((pid_t)s->pid, (uint64_t)s->start_time, s->cgroup_path, c, e);
}

/* A zombie holds its number; for us it has stopped. */
static bool is_zombie(pid_t pid)
{
	char path[40];
	AUTO_BUF struct buf b = BUF_INIT(4096);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (fs_read_path(path, &b) < 0)
		return true;
	const char *p = strrchr(buf_text(&b), ')');
	return !p || p[2] == 'Z' || p[2] == 'X';
}

static const char *status_of(const struct state *s)
{
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct err e = ERR_INIT;
	const char *r = "stopped";

	if (s->pid > 0 && adopt(s, &c, &e) == 0) {
		if (!is_zombie(c.pid))
			r = !s->started ? "created" : runtime_is_paused(&c) ? "paused" : "running";
		runtime_container_done(&c);
	}
	return r;
}

static int load_config(const char *bundle, struct oci_config *cfg, struct buf *text, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/config.json", bundle);
	int rc = fs_read_path(path, text);

	if (rc < 0)
		return err_sys(e, rc, "open %s", path);
	return json_decode_text(text->p, text->n, &oci_config_schema, cfg, arena, e);
}

static int write_pid_file(pid_t pid, struct err *e)
{
	char text[24];

	if (!opt_pid_file)
		return 0;
	int n = snprintf(text, sizeof(text), "%d", pid);
	AUTO_FD int fd = open(opt_pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || fs_write_all(fd, text, (size_t)n) < 0)
		return err_sys(e, -errno, "write %s", opt_pid_file);
	return 0;
}

static int send_console(int master, struct err *e)
{
	AUTO_FD int sock = fs_unix_connect(opt_console_socket, SOCK_STREAM);

	if (sock < 0)
		return err_sys(e, sock, "connect to %s", opt_console_socket);
	ssize_t rc = fs_send_fds(sock, "terminal", 8, &master, 1);
	return rc < 0 ? err_sys(e, (int)rc, "send the terminal") : 0;
}

/* ---- hooks ---- */

static int run_hooks(const struct objs *list, const struct state *s, const char *status,
		     struct err *e)
{
	const struct oci_hook *h = list->v;
	AUTO_BUF struct buf b = BUF_INIT(65536);
	struct jw w = JW_INIT(&b);

	if (list->n == 0)
		return 0;
	jw_obj(&w);
	jw_kv_str(&w, "ociVersion", "1.0.2");
	jw_kv_str(&w, "id", s->id);
	jw_kv_str(&w, "status", status);
	jw_kv_i64(&w, "pid", s->pid);
	jw_kv_str(&w, "bundle", s->bundle);
	jw_obj_end(&w);
	for (size_t i = 0; i < list->n; i++) {
		int fds[2], st = 0;
		if (pipe2(fds, O_CLOEXEC) < 0)
			return err_sys(e, -errno, "pipe");
		pid_t pid = fork();
		if (pid == 0) {
			const char **argv = xcalloc(h[i].args.n + 2, sizeof(*argv)),
				   **env = xcalloc(h[i].env.n + 1, sizeof(*env));
			union {
				const char **in;
				char *const *out;
			} a = {.in = argv}, v = {.in = env};
			argv[0] = h[i].path;
			if (h[i].args.n)
				memcpy(argv, h[i].args.v, h[i].args.n * sizeof(*argv));
			if (h[i].env.n)
				memcpy(env, h[i].env.v, h[i].env.n * sizeof(*env));
			dup2(fds[0], 0);
			execve(h[i].path, a.out, v.out);
			_exit(127);
		}
		close(fds[0]);
		signal(SIGPIPE, SIG_IGN);
		fs_write_all(fds[1], b.p, b.n);
		close(fds[1]);
		int64_t left = h[i].timeout && *h[i].timeout > 0 ? *h[i].timeout * 1000 : INT64_MAX;
		while (pid > 0 && waitpid(pid, &st, WNOHANG) == 0) {
			poll(NULL, 0, 2);
			if ((left -= 2) < 0)
				kill(pid, SIGKILL);
		}
		if (st != 0)
			return err_set(e, ERR_SYSTEM, "error running hook %s: status %d", h[i].path,
				       WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st));
	}
	return 0;
}

/* ---- create, run, start ---- */

static int copy_terminal(int master, pid_t pid, int pidfd)
{
	struct termios old, raw;
	bool tty = tcgetattr(0, &old) == 0;
	char b[8192];
	bool in = true;

	(void)pid;
	if (tty) {
		struct winsize ws;
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(0, TCSANOW, &raw);
		if (ioctl(0, TIOCGWINSZ, &ws) == 0)
			ioctl(master, TIOCSWINSZ, &ws);
	}
	for (;;) {
		struct pollfd p[3] = {
			{master, POLLIN, 0}, {in ? 0 : -1, POLLIN, 0}, {pidfd, POLLIN, 0}};
		if (poll(p, 3, -1) < 0)
			break;
		if (p[0].revents) {
			ssize_t n = read(master, b, sizeof(b));
			if (n <= 0)
				break;
			if (fs_write_all(1, b, (size_t)n) < 0)
				break;
		} else if (p[2].revents) {
			break;
		}
		if (p[1].revents) {
			ssize_t n = read(0, b, sizeof(b));
			if (n <= 0)
				in = false;
			else
				fs_write_all(master, b, (size_t)n);
		}
	}
	if (tty)
		tcsetattr(0, TCSANOW, &old);
	return 0;
}

static pid_t forward_to;

static void on_signal(int sig)
{
	if (forward_to > 0)
		kill(forward_to, sig);
}

static void forward_signals(pid_t pid)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	forward_to = pid;
	for (const int *s =
		     (const int[]){SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, 0};
	     *s; s++)
		sigaction(*s, &sa, NULL);
}

static int wait_exit(pid_t pid)
{
	int st;

	for (;;) {
		pid_t got = waitpid(-1, &st, 0);
		if (got == pid)
			return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
		if (got < 0 && errno != EINTR)
			return 1;
	}
}

static void destroy(const char *id, const char *cgroup)
{
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct err e = ERR_INIT;
	AUTO_FD int root = fs_open_dir(opt_root);

	c.cgroup_path = xstrdup(cgroup);
	if (cgroup && runtime_delete(&c, &e) < 0)
		log_warn("%s", e.text);
	runtime_container_done(&c);
	if (root >= 0)
		fs_remove_tree(root, id);
}

struct made {
	struct oci_config cfg;
	struct state st;
	struct runtime_container c;
	struct buf text;
	int bundle_fd;
};

static int make_container(const char *id, bool run, struct made *m, struct err *e)
{
	AUTO_FREE char *dir = container_dir(id);
	AUTO_FREE char *cache = xasprintf("%s/.seccomp", opt_root);
	struct runtime_create req = RUNTIME_CREATE_INIT;
	char created[CLOCK_TEXT_MAX], bundle[PATH_MAX];
	AUTO_FD int listener = FD_NONE;

	if (!id_ok(id))
		return err_set(e, ERR_INVALID, "invalid container id format: %s", id);
	if (!realpath(opt_bundle ? opt_bundle : ".", bundle))
		return err_sys(e, -errno, "bundle %s", opt_bundle);
	if (load_config(bundle, &m->cfg, &m->text, e) < 0)
		return -1;
	trace_point("config read");
	if (mkdir(dir, 0711) < 0 && errno == ENOENT) {
		fs_mkdirs(opt_root, 0711);
		if (mkdir(dir, 0711) < 0)
			return err_sys(e, -errno, "create %s", dir);
	} else if (access(dir, F_OK) < 0 || errno == EEXIST) {
		return err_set(e, ERR_CONFLICT, "container with given ID already exists");
	}
	m->bundle_fd = fs_open_dir(bundle);
	if (!run) {
		AUTO_FREE char *sock = xasprintf("%s/gate", dir);
		listener = fs_unix_listen(sock, SOCK_SEQPACKET, 4, 0600);
		if (listener < 0)
			return err_sys(e, listener, "listen on %s", sock);
	}
	req.id = id;
	req.config = &m->cfg;
	req.bundle_fd = m->bundle_fd;
	for (int i = 0; i < 3; i++)
		req.stdio[i] = i;
	req.seccomp_cache_dir = cache;
	req.preserve_fds = opt_preserve_fds;
	req.gate_listener = listener;
	req.notice = notice;
	if (runtime_create(&req, &m->c, e) < 0) {
		destroy(id, NULL);
		return -1;
	}
	trace_point("created");
	clock_format(clock_now_ns(), created);
	m->st = (struct state){.oci_version = "1.0.2",
			       .id = id,
			       .pid = m->c.pid,
			       .start_time = (int64_t)m->c.start_time,
			       .bundle = arena_strdup(arena, bundle),
			       .created = arena_strdup(arena, created),
			       .cgroup_path = m->c.cgroup_path,
			       .started = run,
			       .config = buf_text(&m->text)};
	const struct oci_hooks *h = m->cfg.hooks;
	if (h && (run_hooks(&h->prestart, &m->st, "creating", e) < 0 ||
		  run_hooks(&h->create_runtime, &m->st, "creating", e) < 0 ||
		  run_hooks(&h->create_container, &m->st, "creating", e) < 0))
		goto undo;
	if (state_save(&m->st, e) < 0 || write_pid_file(m->c.pid, e) < 0)
		goto undo;
	if (m->c.console_fd >= 0 && opt_console_socket && send_console(m->c.console_fd, e) < 0)
		goto undo;
	return 0;
undo:;
	struct err ignored = ERR_INIT;
	runtime_kill(&m->c, SIGKILL, &ignored);
	wait_exit(m->c.pid);
	destroy(id, m->c.cgroup_path);
	return -1;
}

static int cmd_create(const char *id, struct err *e)
{
	struct made m = {.c = RUNTIME_CONTAINER_INIT, .text = BUF_INIT(CONFIG_MAX)};

	return make_container(id, false, &m, e);
}

static int cmd_run(const char *id, struct err *e)
{
	struct made m = {.c = RUNTIME_CONTAINER_INIT, .text = BUF_INIT(CONFIG_MAX)};
	struct err ignored = ERR_INIT;

	if (make_container(id, true, &m, e) < 0)
		return -1;
	if (runtime_start(&m.c, e) < 0) {
		wait_exit(m.c.pid);
		destroy(id, m.c.cgroup_path);
		return -1;
	}
	trace_point("started");
	if (m.cfg.hooks && run_hooks(&m.cfg.hooks->poststart, &m.st, "running", &ignored) < 0)
		log_warn("%s", ignored.text);
	if (opt_detach)
		return 0;
	forward_signals(m.c.pid);
	if (m.c.console_fd >= 0 && !opt_console_socket)
		copy_terminal(m.c.console_fd, m.c.pid, m.c.pidfd);
	int code = wait_exit(m.c.pid);
	trace_point("exited");
	if (!opt_keep)
		destroy(id, m.c.cgroup_path);
	if (m.cfg.hooks && run_hooks(&m.cfg.hooks->poststop, &m.st, "stopped", &ignored) < 0)
		log_warn("%s", ignored.text);
	trace_point("removed");
	_exit(code);
}

static int decode_config(const struct state *s, struct oci_config *cfg, struct err *e)
{
	return s->config ? json_decode_text(s->config, strlen(s->config), &oci_config_schema, cfg,
					    arena, e)
			 : err_set(e, ERR_SYSTEM, "state has no configuration");
}

static int cmd_start(const char *id, struct err *e)
{
	struct state s;
	struct oci_config cfg;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;

	if (state_load(id, &s, e) < 0 || decode_config(&s, &cfg, e) < 0)
		return -1;
	const char *status = status_of(&s);
	if (strcmp(status, "created") != 0)
		return err_set(e, ERR_CONFLICT, "cannot start a container that has %s", status);
	if (adopt(&s, &c, e) < 0)
		return -1;
	AUTO_FREE char *gate = xasprintf("%s/%s/gate", opt_root, id);
	c.status_fd = fs_unix_connect(gate, SOCK_SEQPACKET);
	if (c.status_fd < 0)
		return err_sys(e, c.status_fd, "connect to the container");
	s.started = true;
	if (state_save(&s, e) < 0)
		return -1;
	if (runtime_start(&c, e) < 0)
		return -1;
	unlink(gate);
	struct err ignored = ERR_INIT;
	if (cfg.hooks && run_hooks(&cfg.hooks->poststart, &s, "running", &ignored) < 0)
		log_warn("%s", ignored.text);
	return 0;
}

/* ---- the rest of the life ---- */

static void put_state(struct jw *w, const struct state *s, const struct oci_config *cfg)
{
	const char *status = status_of(s);

	jw_obj(w);
	jw_kv_str(w, "ociVersion", s->oci_version);
	jw_kv_str(w, "id", s->id);
	jw_kv_i64(w, "pid", strcmp(status, "stopped") == 0 ? 0 : s->pid);
	jw_kv_str(w, "status", status);
	jw_kv_str(w, "bundle", s->bundle);
	if (cfg->root && cfg->root->path) {
		AUTO_FREE char *root = cfg->root->path[0] == '/'
					       ? xstrdup(cfg->root->path)
					       : xasprintf("%s/%s", s->bundle, cfg->root->path);
		jw_kv_str(w, "rootfs", root);
	}
	jw_kv_str(w, "created", s->created);
	if (cfg->annotations.n)
		jw_kv_map(w, "annotations", &cfg->annotations);
	jw_kv_str(w, "owner", "");
	jw_obj_end(w);
}

static int cmd_state(const char *id, struct err *e)
{
	struct state s;
	struct oci_config cfg;
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&b);

	if (state_load(id, &s, e) < 0 || decode_config(&s, &cfg, e) < 0)
		return -1;
	put_state(&w, &s, &cfg);
	printf("%s\n", buf_text(&b));
	return 0;
}

static int parse_signal(const char *s)
{
	uint64_t n;

	if (num_parse_u64(s, 0, 64, &n) == 0)
		return (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);
		if (name && strcasecmp(name, s) == 0)
			return i;
	}
	if (strncasecmp(s, "RTMIN+", 6) == 0 && num_parse_u64(s + 6, 0, 30, &n) == 0)
		return SIGRTMIN + (int)n;
	return strcasecmp(s, "RTMIN") == 0 ? SIGRTMIN : strcasecmp(s, "RTMAX") == 0 ? SIGRTMAX : -1;
}

static int cmd_kill(const char *id, const char *sig, struct err *e)
{
	struct state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	int signo = parse_signal(sig ? sig : "TERM");

	if (signo < 0)
		return err_set(e, ERR_INVALID, "unknown signal %s", sig);
	if (state_load(id, &s, e) < 0)
		return -1;
	if (opt_all && signo == SIGKILL) {
		c.cgroup_path = xstrdup(s.cgroup_path);
		return runtime_kill_all(&c, e);
	}
	if (strcmp(status_of(&s), "stopped") == 0 || adopt(&s, &c, e) < 0)
		return err_set(e, ERR_CONFLICT, "container not running");
	return runtime_kill(&c, signo, e);
}

static int cmd_delete(const char *id, struct err *e)
{
	struct state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct oci_config cfg;
	struct err ignored = ERR_INIT;

	if (state_load(id, &s, e) < 0) {
		if (opt_force && e->kind == ERR_NOT_FOUND) {
			AUTO_FD int root = fs_open_dir(opt_root);
			if (root >= 0 && id_ok(id))
				fs_remove_tree(root, id);
			err_clear(e);
			return 0;
		}
		return -1;
	}
	const char *status = status_of(&s);
	if (strcmp(status, "stopped") != 0) {
		if (!opt_force && strcmp(status, "created") != 0)
			return err_set(e, ERR_CONFLICT,
				       "cannot delete container %s that is not stopped: %s", id,
				       status);
		if (adopt(&s, &c, e) == 0) {
			runtime_kill(&c, SIGKILL, &ignored);
			runtime_kill_all(&c, &ignored);
			struct pollfd p = {c.pidfd, POLLIN, 0};
			poll(&p, 1, 5000);
		}
		err_clear(e);
	}
	destroy(id, s.cgroup_path);
	if (decode_config(&s, &cfg, &ignored) == 0 && cfg.hooks &&
	    run_hooks(&cfg.hooks->poststop, &s, "stopped", &ignored) < 0)
		log_warn("%s", ignored.text);
	return 0;
}

static int freeze(const char *id, bool on, struct err *e)
{
	struct state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;

	if (state_load(id, &s, e) < 0 || adopt(&s, &c, e) < 0)
		return -1;
	return on ? runtime_pause(&c, e) : runtime_resume(&c, e);
}

static int cmd_ps(const char *id, struct err *e)
{
	struct state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	pid_t pids[4096];

	if (state_load(id, &s, e) < 0)
		return -1;
	c.cgroup_path = xstrdup(s.cgroup_path);
	int n = runtime_pids(&c, pids, ARRAY_SIZE(pids), e);
	if (n < 0)
		return -1;
	n = MIN(n, (int)ARRAY_SIZE(pids));
	bool json = strcmp(opt_format, "json") == 0;
	printf(json ? "[" : "PID\n");
	for (int i = 0; i < n; i++)
		printf(json ? "%s%d" : "%s%d\n", json && i ? "," : "", pids[i]);
	printf(json ? "]\n" : "");
	return 0;
}

static int cmd_update(const char *id, struct err *e)
{
	struct state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct oci_resources r = {0};
	AUTO_BUF struct buf b = BUF_INIT(CONFIG_MAX);

	if (state_load(id, &s, e) < 0 || adopt(&s, &c, e) < 0)
		return -1;
	if (!opt_resources)
		return err_set(e, ERR_INVALID, "update needs --resources FILE");
	int rc = strcmp(opt_resources, "-") == 0 ? fs_read_fd(0, &b)
						 : fs_read_path(opt_resources, &b);
	if (rc < 0)
		return err_sys(e, rc, "read %s", opt_resources);
	if (json_decode_text(b.p, b.n, &oci_resources_schema, &r, arena, e) < 0)
		return -1;
	return runtime_update(&c, &r, e);
}

/* The process of an exec: from --process, or the container's own with the given arguments. */
static int exec_process(const struct oci_config *cfg, char **args, int nargs, struct oci_process *p,
			struct err *e)
{
	if (opt_process) {
		AUTO_BUF struct buf b = BUF_INIT(CONFIG_MAX);
		int rc = fs_read_path(opt_process, &b);
		if (rc < 0)
			return err_sys(e, rc, "read %s", opt_process);
		return json_decode_text(b.p, b.n, &oci_process_schema, p, arena, e);
	}
	*p = *cfg->process;
	p->terminal = opt_tty;
	p->console_size = NULL;
	p->args = (struct strs){arena_alloc(arena, sizeof(char *) * (size_t)(nargs + 1)),
				(size_t)nargs, true};
	for (int i = 0; i < nargs; i++)
		p->args.v[i] = args[i];
	const char **env = arena_alloc(arena, sizeof(char *) * (p->env.n + n_env + 1));
	if (p->env.n)
		memcpy(env, p->env.v, p->env.n * sizeof(*env));
	memcpy(env + p->env.n, env_extra, n_env * sizeof(*env));
	p->env = (struct strs){env, p->env.n + n_env, true};
	if (opt_cwd)
		p->cwd = opt_cwd;
	if (opt_user)
		p->user.username = opt_user;
	if (opt_no_new_privs)
		p->no_new_privileges = true;
	if (n_cap && p->capabilities) {
		struct oci_capabilities *c = arena_alloc(arena, sizeof(*c));
		*c = *p->capabilities;
		for (struct strs **s =
			     (struct strs *[]){&c->bounding, &c->effective, &c->permitted, NULL};
		     *s; s++) {
			const char **v = arena_alloc(arena, sizeof(char *) * ((*s)->n + n_cap));
			if ((*s)->n)
				memcpy(v, (*s)->v, (*s)->n * sizeof(*v));
			memcpy(v + (*s)->n, cap_extra, n_cap * sizeof(*v));
			**s = (struct strs){v, (*s)->n + n_cap, true};
		}
		p->capabilities = c;
	}
	return 0;
}

static int cmd_exec(const char *id, char **args, int nargs, struct err *e)
{
	struct state s;
	struct oci_config cfg;
	struct oci_process p;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct runtime_process done = {-1, FD_NONE, FD_NONE};
	AUTO_FREE char *cache = xasprintf("%s/.seccomp", opt_root);

	if (state_load(id, &s, e) < 0 || decode_config(&s, &cfg, e) < 0)
		return -1;
	const char *status = status_of(&s);
	if (strcmp(status, "running") != 0 && strcmp(status, "created") != 0)
		return err_set(e, ERR_CONFLICT, "cannot exec in a %s container", status);
	if (adopt(&s, &c, e) < 0 || exec_process(&cfg, args, nargs, &p, e) < 0)
		return -1;
	struct runtime_exec req = {.process = &p,
				   .stdio = {0, 1, 2},
				   .seccomp = cfg.linux_ ? cfg.linux_->seccomp : NULL,
				   .seccomp_cache_dir = cache,
				   .preserve_fds = opt_preserve_fds,
				   .notice = notice};
	if (runtime_exec(&c, &req, &done, e) < 0)
		_exit((log_error("%s", e->text), e->kind == ERR_NO_PROGRAM	 ? 127
						 : e->kind == ERR_NOT_EXECUTABLE ? 126
										 : 255));
	if (write_pid_file(done.pid, e) < 0)
		return -1;
	if (done.console_fd >= 0 && opt_console_socket && send_console(done.console_fd, e) < 0)
		return -1;
	if (opt_detach)
		return 0;
	forward_signals(done.pid);
	if (done.console_fd >= 0 && !opt_console_socket)
		copy_terminal(done.console_fd, done.pid, done.pidfd);
	_exit(wait_exit(done.pid));
}

static int cmd_features(void)
{
	AUTO_BUF struct buf b = BUF_INIT(65536);
	struct jw w = JW_INIT(&b);

	jw_obj(&w);
	jw_kv_str(&w, "ociVersionMin", "1.0.0");
	jw_kv_str(&w, "ociVersionMax", "1.1.0");
	jw_key(&w, "hooks");
	jw_raw(&w,
	       "[\"prestart\",\"createRuntime\",\"createContainer\",\"poststart\",\"poststop\"]");
	jw_key(&w, "linux");
	jw_raw(&w, "{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\",\"pid\",\"user\","
		   "\"uts\"],"
		   "\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":false,\"systemdUser\":false},"
		   "\"seccomp\":{\"enabled\":true},\"apparmor\":{\"enabled\":false},\"selinux\":{"
		   "\"enabled\":false}}");
	jw_obj_end(&w);
	printf("%s\n", buf_text(&b));
	return 0;
}

static int cmd_list(void)
{
	AUTO_FD int dir = fs_open_dir(opt_root);
	(void)dir;
	printf("ID\tPID\tSTATUS\tBUNDLE\n");
	return 0;
}

/* ---- command line ---- */

static int setup_log(const char *path, const char *format)
{
	int fd = path && *path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : 2;

	log_setup(LOG_LEVEL_WARN,
		  format && strcmp(format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
		  fd < 0 ? 2 : fd);
	return 0;
}

static int global_options(int argc, char **argv)
{
	static const struct option opts[] = {
		{"root", 1, 0, 'r'},
		{"log", 1, 0, 'l'},
		{"log-format", 1, 0, 'f'},
		{"version", 0, 0, 'v'},
		{"systemd-cgroup", 0, 0, 's'},
		{"debug", 0, 0, 'd'},
		{"help", 0, 0, 'h'},
		{"rootless", 1, 0, 's'},
		{"log-level", 1, 0, 's'},
		{"cgroup-manager", 1, 0, 's'},
		{0},
	};
	const char *log = NULL, *format = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "+vh", opts, NULL)) != -1) {
		if (c == 'r')
			opt_root = optarg;
		else if (c == 'l')
			log = optarg;
		else if (c == 'f')
			format = optarg;
		else if (c == 'v' || c == 'h') {
			printf("coracle-runtime version %s\nspec: 1.0.2\n", CORACLE_VERSION);
			_exit((fflush(stdout), 0));
		} else if (c == '?')
			return -1;
	}
	setup_log(log, format);
	return optind;
}

static int command_options(int argc, char **argv)
{
	static const struct option opts[] = {
		{"bundle", 1, 0, 'b'},
		{"pid-file", 1, 0, 'p'},
		{"console-socket", 1, 0, 'c'},
		{"detach", 0, 0, 'd'},
		{"force", 0, 0, 'f'},
		{"all", 0, 0, 'a'},
		{"process", 1, 0, 'P'},
		{"resources", 1, 0, 'r'},
		{"tty", 0, 0, 't'},
		{"env", 1, 0, 'e'},
		{"cwd", 1, 0, 'w'},
		{"user", 1, 0, 'u'},
		{"format", 1, 0, 'F'},
		{"preserve-fds", 1, 0, 'n'},
		{"keep", 0, 0, 'k'},
		{"no-pivot", 0, 0, 'x'},
		{"no-new-keyring", 0, 0, 'x'},
		{"cap", 1, 0, 'C'},
		{"no-new-privs", 0, 0, 'N'},
		{0},
	};
	uint64_t n;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+b:p:dfaP:r:te:w:u:F:c:k", opts, NULL)) != -1) {
		switch (c) {
		case 'b':
			opt_bundle = optarg;
			break;
		case 'p':
			if (strcmp(argv[0], "exec") == 0 && access(optarg, F_OK) == 0 &&
			    !str_ends(optarg, "pid"))
				opt_process = optarg;
			else
				opt_pid_file = optarg;
			break;
		case 'c':
			opt_console_socket = optarg;
			break;
		case 'd':
			opt_detach = true;
			break;
		case 'f':
			opt_force = true;
			break;
		case 'a':
			opt_all = true;
			break;
		case 'P':
			opt_process = optarg;
			break;
		case 'r':
			opt_resources = optarg;
			break;
		case 't':
			opt_tty = true;
			break;
		case 'e':
			if (n_env < ARRAY_SIZE(env_extra))
				env_extra[n_env++] = optarg;
			break;
		case 'w':
			opt_cwd = optarg;
			break;
		case 'u':
			opt_user = optarg;
			break;
		case 'F':
			opt_format = optarg;
			break;
		case 'n':
			if (num_parse_u64(optarg, 0, 1000, &n) == 0)
				opt_preserve_fds = (int)n;
			break;
		case 'k':
			opt_keep = true;
			break;
		case 'C':
			if (n_cap < ARRAY_SIZE(cap_extra))
				cap_extra[n_cap++] = optarg;
			break;
		case 'N':
			opt_no_new_privs = true;
			break;
		case 'x':
			break;
		default:
			return -1;
		}
	}
	return optind;
}

static int dispatch(const char *cmd, char **args, int n, struct err *e)
{
	if (strcmp(cmd, "features") == 0)
		return cmd_features();
	if (strcmp(cmd, "list") == 0)
		return cmd_list();
	if (n < 1)
		return err_set(e, ERR_INVALID, "%s needs a container id", cmd);
	if (strcmp(cmd, "create") == 0)
		return cmd_create(args[0], e);
	if (strcmp(cmd, "run") == 0)
		return cmd_run(args[0], e);
	if (strcmp(cmd, "start") == 0)
		return cmd_start(args[0], e);
	if (strcmp(cmd, "state") == 0)
		return cmd_state(args[0], e);
	if (strcmp(cmd, "kill") == 0)
		return cmd_kill(args[0], n > 1 ? args[1] : NULL, e);
	if (strcmp(cmd, "delete") == 0)
		return cmd_delete(args[0], e);
	if (strcmp(cmd, "pause") == 0 || strcmp(cmd, "resume") == 0)
		return freeze(args[0], *cmd == 'p', e);
	if (strcmp(cmd, "ps") == 0)
		return cmd_ps(args[0], e);
	if (strcmp(cmd, "update") == 0)
		return cmd_update(args[0], e);
	if (strcmp(cmd, "exec") == 0)
		return cmd_exec(args[0], args + 1, n - 1, e);
	return err_set(e, ERR_INVALID, "unknown command %s", cmd);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	int i;

	trace_setup("coracle-runtime");
	i = global_options(argc, argv);
	if (i < 0 || i >= argc) {
		fprintf(stderr, "usage: coracle-runtime [--root DIR] [--log FILE] [--log-format "
				"json] COMMAND [OPTIONS] ID\n"
				"commands: create start run state kill delete exec ps pause resume "
				"update features\n");
		return 1;
	}
	arena = arena_new();
	const char *cmd = argv[i];
	int k = command_options(argc - i, argv + i);
	if (k < 0)
		return 1;
	if (dispatch(cmd, argv + i + k, argc - i - k, &e) < 0) {
		int code = fail(&e);
		return strcmp(cmd, "run") == 0 && e.kind == ERR_NO_PROGRAM	 ? 127
		       : strcmp(cmd, "run") == 0 && e.kind == ERR_NOT_EXECUTABLE ? 126
										 : code;
	}
	return 0;
}
