/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: start of the container, execs, signals, limits, and what is left to do when one has
 * ended. */
#include "shim/shim-priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/banned.h"

#define CONFIG_MAX (16 << 20)

/* The program's ends of the pipes; closed once it has its own. */
struct ends {
	int fd[3];
};

static void ends_close(struct ends *x)
{
	for (int i = 0; i < 3; i++)
		fd_close(&x->fd[i]);
}

static int pipe_open(int *ours, int *theirs, bool we_write, struct err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	*ours = p[we_write];
	*theirs = p[!we_write];
	if (fcntl(*ours, F_SETFL, O_NONBLOCK | (we_write ? O_WRONLY : O_RDONLY)) < 0)
		return err_sys(e, -errno, "pipe");
	return 0;
}

static int stdio_open(struct io *io, bool want_in, bool want_out, struct ends *x, struct err *e)
{
	if (io->tty)
		return 0;
	if (want_in && pipe_open(&io->in_fd, &x->fd[0], true, e) < 0)
		return -1;
	for (int i = 0; want_out && i < 2; i++)
		if (pipe_open(&io->src[i].fd, &x->fd[1 + i], false, e) < 0)
			return -1;
	return 0;
}

static void stdio_close(struct io *io)
{
	fd_close(&io->in_fd);
	for (int i = 0; i < 2; i++)
		fd_close(&io->src[i].fd);
}

static int console_take(struct io *io, int *console, struct err *e)
{
	int fd = TAKE_FD(*console);

	io->src[0].fd = fd;
	io->in_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (io->in_fd < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(e, -errno, "terminal");
	return 0;
}

static void console_size(const struct io *io, int64_t h, int64_t w)
{
	struct winsize size = {.ws_row = (unsigned short)h, .ws_col = (unsigned short)w};

	if (h > 0 && w > 0 && h < 65536 && w < 65536 && io->src[0].fd >= 0)
		(void)ioctl(io->src[0].fd, TIOCSWINSZ, &size);
}

/* The program runs: its output is to be read from now on. */
static void io_running(struct io *io, pid_t pid, int pidfd)
{
	io->pid = pid;
	io->pidfd = pidfd;
	for (int i = 0; i < 2; i++)
		io->src[i].eof = io->src[i].fd < 0;
}

static void notice(void *ud, const char *text)
{
	log_container(LOG_LEVEL_WARN, (const char *)ud, "%s", text);
}

static int config_load(struct shim *s, struct oci_config *ret, struct arena *a, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(CONFIG_MAX);
	int rc = fs_read_at(s->dir_fd, SHIM_BUNDLE_FILE, &text);

	if (rc < 0)
		return err_sys(e, rc, "read %s/%s", s->dir, SHIM_BUNDLE_FILE);
	return json_decode_text(buf_text(&text), text.n, &oci_config_schema, ret, a, e);
}

static void log_notice(void *ud, const char *text)
{
	struct shim_message m = {.event = shim_event_name(SHIM_EV_NOTICE), .reason = text};

	control_send(ud, &m);
}

static int log_open(struct shim *s, const struct shim_config *cfg, struct err *e)
{
	const struct shim_log_config *c = &cfg->log;
	int format = log_syslog_format(c->format);
	struct log_options o = {.path = c->path,
				.format = LOG_LOCAL,
				.max_size = c->max_size,
				.max_file = c->max_file,
				.compressor = c->compressor,
				.attrs = c->attrs,
				.address = c->address,
				.tls = {.helper = cfg->helper,
					.ca = c->tls_ca,
					.cert = c->tls_cert,
					.key = c->tls_key,
					.skip_verify = c->tls_skip_verify},
				.tag = c->tag,
				.syslog = format < 0 ? LOG_SYSLOG_UNIX : (enum log_syslog)format,
				.facility = (int)c->facility,
				.fields = &c->fields,
				.non_blocking = c->non_blocking,
				.buffer = c->buffer,
				.notice = log_notice,
				.ud = s};

	if (s->log || !c->driver || strcmp(c->driver, "none") == 0)
		return 0;
	if (strcmp(c->driver, "syslog") == 0)
		o.socket = LOG_SYSLOG;
	else if (strcmp(c->driver, "journald") == 0)
		o.socket = LOG_JOURNAL;
	else if (!o.path)
		return err_set(e, ERR_INVALID, "log driver without a path");
	if (strcmp(c->driver, "json-file") == 0)
		o.format = LOG_JSON;
	return log_writer_open(&o, &s->log, e);
}

/* ---- the network, which the engine makes ---- */

/* By descriptor, not by pid: the engine can never enter the namespace of another process. */
static int offer_netns(void *ud, pid_t pid, struct err *e)
{
	struct shim *s = ud;
	struct shim_message m = {.event = shim_event_name(SHIM_EV_NETNS), .pid = pid};
	AUTO_FD int fd = FD_NONE;
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "open the container's network namespace");
	trace_point("cloned");
	return control_send_fd(s, &m, fd, e);
}

int process_network(struct shim *s, const struct shim_request *r, struct err *e)
{
	if (!s->network_err || s->network_answered)
		return err_set(e, ERR_CONFLICT, "no start of container %s waits for its network",
			       s->id);
	s->network_answered = true;
	if (r->error)
		err_set(s->network_err, err_kind_parse(r->kind ? r->kind : ""), "%s", r->error);
	return 0;
}

/* Requests are served meanwhile. An engine that goes away takes the start with it: the next one
 * knows nothing of addresses that were not in a row yet. */
static int wait_network(struct shim *s, struct err *e)
{
	s->network_err = e;
	s->network_answered = false;
	while (!s->network_answered && s->control_fd >= 0 && !s->quit) {
		struct pollfd p = {.fd = s->control_fd, .events = POLLIN};

		if (poll(&p, 1, -1) > 0)
			control_read(s);
	}
	s->network_err = NULL;
	if (!s->network_answered)
		return err_set(e, ERR_UNAVAILABLE,
			       "the engine went away before the container had its network");
	trace_point("network is there");
	return e->kind == ERR_NONE ? 0 : -1;
}

/* Create and start; everything parsed is gone again when this returns. */
static int container_run(struct shim *s, const struct shim_request *r, struct ends *x,
			 struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct shim_config cfg;
	struct oci_config oci;
	struct runtime_rootfs overlay;
	struct runtime_create req = RUNTIME_CREATE_INIT;

	if (state_load(s, &cfg, a, e) < 0 || config_load(s, &oci, a, e) < 0)
		return -1;
	trace_point("configuration read");
	if (log_open(s, &cfg, e) < 0 || volumes_mount(&cfg, e) < 0)
		return -1;
	if (stdio_open(&s->main, s->open_stdin, true, x, e) < 0)
		return -1;
	if (cfg.rootfs.layers_dir) {
		overlay = (struct runtime_rootfs){
			.layers_dir = cfg.rootfs.layers_dir,
			.lower = cfg.rootfs.lower.v,
			.nlower = cfg.rootfs.lower.n,
			.upper = cfg.rootfs.upper,
			.work = cfg.rootfs.work,
			.readonly = cfg.rootfs.readonly,
		};
		req.overlay = &overlay;
	}
	req.id = s->id;
	req.config = &oci;
	req.bundle_fd = s->dir_fd;
	req.die_with_caller = true;
	memcpy(req.stdio, x->fd, sizeof req.stdio);
	req.seccomp_profile = cfg.seccomp.profile;
	req.seccomp_cache_dir = cfg.seccomp.cache_dir;
	req.cgroup_parent = cfg.cgroup_parent;
	req.init_path = cfg.init_path;
	req.notice = notice;
	req.notice_ud = s->id;
	if (cfg.network) {
		req.cloned = offer_netns;
		req.cloned_ud = s;
	}
	if (runtime_create(&req, &s->container, e) < 0)
		return -1;
	s->have_container = true;
	trace_point("container created");
	if (s->tty && console_take(&s->main, &s->container.console_fd, e) < 0)
		return -1;
	console_size(&s->main, r->h, r->w);
	if (cfg.network && wait_network(s, e) < 0)
		return -1;
	s->main.pidfd = fcntl(s->container.pidfd, F_DUPFD_CLOEXEC, 3);
	if (s->main.pidfd < 0) /* its end would not be seen */
		return err_sys(e, -errno, "watch the program");
	if (runtime_start(&s->container, e) < 0)
		return -1;
	trace_point("container started");
	return 0;
}

/* A start that failed leaves nothing: the child is reaped, its cgroups are removed, and it may be
 * tried again. */
static void container_undo(struct shim *s)
{
	struct err ignored = ERR_INIT;
	siginfo_t info;

	stdio_close(&s->main);
	fd_close(&s->main.pidfd);
	if (!s->have_container)
		return;
	if (s->container.pid > 0) {
		(void)runtime_kill(&s->container, SIGKILL, &ignored);
		fd_close(&s->container.gate_fd);
		while (waitid(P_PID, (id_t)s->container.pid, &info, WEXITED) < 0 && errno == EINTR)
			;
	}
	(void)runtime_delete(&s->container, &ignored);
	runtime_container_done(&s->container);
	s->container = RUNTIME_CONTAINER_INIT;
	s->have_container = false;
}

int process_start(struct shim *s, const struct shim_request *r, struct err *e)
{
	struct ends x = {{FD_NONE, FD_NONE, FD_NONE}};
	int rc;

	if (s->started || s->network_err)
		return err_set(e, ERR_CONFLICT, "container %s is already started", s->id);
	rc = container_run(s, r, &x, e);
	ends_close(&x);
	malloc_trim(0);
	if (rc < 0) {
		container_undo(s);
		return -1;
	}
	s->started = true;
	s->busy = true; /* much was touched that is not needed again */
	s->started_at = clock_now_ns();
	io_running(&s->main, s->container.pid, s->main.pidfd);
	return 0;
}

static struct io *exec_find(struct shim *s, const char *id)
{
	LIST_FOR_EACH (it, &s->execs) {
		struct io *io = LIST_ENTRY(it, struct io, node);

		if (id && strcmp(io->id, id) == 0)
			return io;
	}
	return NULL;
}

static int exec_run(struct shim *s, struct io *io, const struct shim_request *r,
		    const struct oci_process *p, struct ends *x, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct shim_config cfg;
	struct oci_config oci;
	struct runtime_exec req = {.process = p, .notice = notice, .notice_ud = s->id};
	struct runtime_process proc = {.pid = -1, .pidfd = FD_NONE, .console_fd = FD_NONE};

	if (state_load(s, &cfg, a, e) < 0 || config_load(s, &oci, a, e) < 0)
		return -1;
	if (stdio_open(io, r->want_stdin, r->want_stdout || r->want_stderr, x, e) < 0)
		return -1;
	memcpy(req.stdio, x->fd, sizeof req.stdio);
	req.seccomp_profile = cfg.seccomp.profile;
	req.seccomp = oci.linux_ ? oci.linux_->seccomp : NULL;
	req.seccomp_cache_dir = cfg.seccomp.cache_dir;
	if (runtime_exec(&s->container, &req, &proc, e) < 0)
		return -1;
	if (io->tty && console_take(io, &proc.console_fd, e) < 0) {
		runtime_process_end(&proc);
		return -1;
	}
	console_size(io, r->h, r->w);
	io_running(io, proc.pid, proc.pidfd);
	return 0;
}

/* Returns the pid; the client's descriptor is taken then. */
int process_exec(struct shim *s, const struct shim_request *r, int client_fd, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct ends x = {{FD_NONE, FD_NONE, FD_NONE}};
	struct oci_process p;
	struct io *io;
	int rc = 0;

	if (!s->started || s->exited)
		return err_set(e, ERR_CONFLICT, "container %s is not running", s->id);
	if (s->paused)
		return err_set(e, ERR_CONFLICT,
			       "container %s is paused, unpause the container before exec", s->id);
	if (!r->id || !r->process || exec_find(s, r->id))
		return err_set(e, ERR_INVALID, "exec needs an id of its own and a process");
	if (json_decode_text(r->process, strlen(r->process), &oci_process_schema, &p, a, e) < 0)
		return -1;
	io = NEW(struct io);
	io_init(io, s);
	io->id = xstrdup(r->id);
	io->tty = p.terminal = r->tty || p.terminal;
	io->once = true;
	list_add_tail(&s->execs, &io->node);
	if (client_fd >= 0)
		rc = client_new(io, r, client_fd, e);
	if (rc == 0) {
		rc = exec_run(s, io, r, &p, &x, e);
		ends_close(&x);
		/* The engine answers the client itself when nothing ran. */
		if (rc < 0 && client_fd >= 0)
			LIST_ENTRY(io->clients.next, struct client, node)->fd = FD_NONE;
	}
	if (rc < 0) {
		list_del(&io->node);
		LIST_FOR_EACH (it, &io->clients)
			client_forget(LIST_ENTRY(it, struct client, node));
		io_done(io);
		free(io);
		return -1;
	}
	malloc_trim(0);
	return (int)io->pid;
}

static struct io *target(struct shim *s, const struct shim_request *r, struct err *e)
{
	enum shim_op op = shim_op_parse(r->op);
	bool exec = op == SHIM_OP_EXEC_RESIZE || op == SHIM_OP_EXEC_SIGNAL;
	struct io *io = exec ? exec_find(s, r->id) : &s->main;

	if (!io)
		err_set(e, ERR_NOT_FOUND, "no such exec instance: %s", r->id ? r->id : "");
	else if (io->pid < 0 || io->exited)
		err_set(e, ERR_CONFLICT, "container %s is not running", s->id);
	else
		return io;
	return NULL;
}

int process_signal(struct shim *s, const struct shim_request *r, struct err *e)
{
	struct io *io = target(s, r, e);
	struct err ignored = ERR_INIT;
	int signo = (int)r->signo;

	if (!io)
		return -1;
	if (r->signo < 1 || r->signo > SIGRTMAX)
		return err_set(e, ERR_INVALID, "invalid signal: %lld", (long long)r->signo);
	if (io == &s->main) {
		if (runtime_kill(&s->container, signo, e) < 0)
			return -1;
	} else if (kill(io->pid, signo) < 0) {
		return err_sys(e, -errno, "signal exec %s", io->id);
	}
	/* A frozen process takes not even this one. */
	if (signo == SIGKILL && s->paused)
		(void)process_pause(s, false, &ignored);
	return 0;
}

int process_resize(struct shim *s, const struct shim_request *r, struct err *e)
{
	struct io *io = target(s, r, e);

	if (!io)
		return -1;
	if (!io->tty)
		return err_set(e, ERR_CONFLICT, "container %s has no terminal", s->id);
	if (r->h < 0 || r->w < 0 || r->h > 65535 || r->w > 65535)
		return err_set(e, ERR_INVALID, "invalid terminal size");
	console_size(io, r->h, r->w);
	return 0;
}

int process_pause(struct shim *s, bool pause, struct err *e)
{
	struct shim_message m = {
		.event = shim_event_name(pause ? SHIM_EV_PAUSED : SHIM_EV_RESUMED)};

	if (!s->started || s->exited)
		return err_set(e, ERR_CONFLICT, "container %s is not running", s->id);
	if (s->paused == pause)
		return err_set(e, ERR_CONFLICT, "container %s is %s paused", s->id,
			       pause ? "already" : "not");
	if ((pause ? runtime_pause : runtime_resume)(&s->container, e) < 0)
		return -1;
	s->paused = pause;
	state_write(s);
	control_send(s, &m);
	return 0;
}

int process_update(struct shim *s, const struct shim_request *r, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct oci_resources res;

	if (!s->started || s->exited)
		return err_set(e, ERR_CONFLICT, "container %s is not running", s->id);
	if (!r->resources)
		return err_set(e, ERR_INVALID, "update without resources");
	if (json_decode_text(r->resources, strlen(r->resources), &oci_resources_schema, &res, a,
			     e) < 0)
		return -1;
	return runtime_update(&s->container, &res, e);
}

void process_reap(struct io *io)
{
	siginfo_t info = {.si_pid = 0};
	struct err ignored = ERR_INIT;

	if (io->exited || io->pid < 0)
		return;
	if (waitid(P_PID, (id_t)io->pid, &info, WEXITED | WNOHANG) < 0) {
		if (errno == EINTR)
			return;
		info.si_code = CLD_EXITED; /* cannot happen: somebody else reaped it */
		info.si_status = 255;
	} else if (info.si_pid == 0) {
		return;
	}
	io->exited = true;
	io->exit_ns = clock_mono_ns();
	io->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
	io->code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	fd_close(&io->in_fd);
	if (io->id)
		return;
	io->shim->finished_at = clock_now_ns();
	io->shim->oom |= runtime_oom_kills(&io->shim->container) > 0;
	/* Processes that do not end with the first one: a shared pid namespace. */
	(void)runtime_kill_all(&io->shim->container, &ignored);
}

void process_exec_tell(struct io *io)
{
	struct shim_message m = {
		.event = shim_event_name(SHIM_EV_EXEC_EXITED),
		.id = io->id,
		.code = io->code,
		.signal = io->signal,
	};

	if (!io->id || !io->exited || io->reported)
		return;
	control_send(io->shim, &m);
	io->reported = true;
}

static void exec_report(struct io *io)
{
	process_exec_tell(io);
	if (!list_empty(&io->clients))
		return;
	list_del(&io->node);
	io_done(io);
	free(io);
}

static void container_report(struct shim *s)
{
	struct shim_message m = {
		.event = shim_event_name(SHIM_EV_EXITED),
		.code = s->main.code,
		.signal = s->main.signal,
		.oom = s->oom,
		.started_at = s->started_at,
		.finished_at = s->finished_at,
	};
	struct err e = ERR_INIT;

	s->main.reported = true;
	s->exited = true;
	s->paused = false;
	if (s->log) {
		log_writer_free(s->log);
		s->log = NULL;
	}
	fd_close(&s->oom_fd);
	state_write_exit(s);
	/* Before the engine knows: it may start the container again at once, in groups of the same
	 * name. */
	if (runtime_delete(&s->container, &e) < 0)
		log_container(LOG_LEVEL_WARN, s->id, "%s", e.text);
	runtime_container_done(&s->container);
	s->container = RUNTIME_CONTAINER_INIT;
	control_send(s, &m);
	trace_point("exit reported");
}

void process_report(struct shim *s)
{
	LIST_FOR_EACH (it, &s->execs) {
		struct io *io = LIST_ENTRY(it, struct io, node);

		if (io_drained(io) || (io->reported && list_empty(&io->clients)))
			exec_report(io);
	}
	if (s->started && !s->main.reported && io_drained(&s->main))
		container_report(s);
}
