/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's life: set up, one ppoll loop, leave. */
#include "shim/shim.h"

#include "shim/shim-priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "sys/fs.h"

#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/banned.h"

#define STACK_TRIM (256 * 1024) /* deeper than anything here goes */

int shim_poll_add(struct shim *s, int fd, short events)
{
	if (s->npolls == s->polls_cap) {
		s->polls_cap = s->polls_cap ? s->polls_cap * 2 : 16;
		s->polls = xrealloc(s->polls, s->polls_cap * sizeof *s->polls);
	}
	s->polls[s->npolls] = (struct pollfd){.fd = fd, .events = events};
	return (int)s->npolls++;
}

short shim_poll_revents(const struct shim *s, int slot)
{
	return slot >= 0 && (nfds_t)slot < s->npolls ? s->polls[slot].revents : 0;
}

static void on_signal(int signo)
{
	(void)signo;
}

/*
 * Handlers that do nothing, instead of SIG_IGN: an ignored signal would stay ignored in the
 * container's program. A shim ends by "quit", not by a signal that was meant for a whole process
 * group.
 */
static void signals_setup(void)
{
	static const int quiet[] = {SIGPIPE, SIGXFSZ, SIGHUP,  SIGINT,
				    SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < ARRAY_SIZE(quiet); i++)
		sigaction(quiet[i], &sa, NULL);
}

static int shim_open(struct shim *s, const char *dir, int control_fd, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_FREE char *path = xasprintf("%s/%s", dir, SHIM_SOCKET_FILE);
	struct shim_config cfg;

	*s = (struct shim){
		.dir_fd = FD_NONE,
		.listen_fd = FD_NONE,
		.listen_slot = -1,
		.control_fd = control_fd,
		.control_slot = -1,
		.container = RUNTIME_CONTAINER_INIT,
		.oom_fd = FD_NONE,
		.oom_slot = -1,
		.log_slot = {-1, -1},
	};
	list_init(&s->outbox);
	list_init(&s->execs);
	io_init(&s->main, s);
	s->dir = xstrdup(dir);
	s->dir_fd = fs_open_dir(dir);
	if (s->dir_fd < 0)
		return err_sys(e, s->dir_fd, "open %s", dir);
	if (state_load(s, &cfg, a, e) < 0)
		return -1;
	s->id = xstrdup(cfg.id);
	s->tty = s->main.tty = cfg.tty;
	s->open_stdin = cfg.open_stdin;
	s->main.once = cfg.stdin_once;
	trace_on |= cfg.trace;
	s->listen_fd = fs_unix_listen(path, SOCK_SEQPACKET, 4, 0600);
	if (s->listen_fd < 0)
		return err_sys(e, s->listen_fd, "listen on %s", path);
	return 0;
}

static void shim_close(struct shim *s)
{
	LIST_FOR_EACH (it, &s->execs) {
		struct io *io = LIST_ENTRY(it, struct io, node);

		list_del(&io->node);
		io_done(io);
		free(io);
	}
	io_done(&s->main);
	control_close(s);
	log_writer_free(s->log);
	runtime_container_done(&s->container);
	fd_close(&s->listen_fd);
	fd_close(&s->dir_fd);
	free(s->polls);
	free(s->dir);
	free(s->id);
}

static void oom_check(struct shim *s)
{
	struct shim_message m = {.event = shim_event_name(SHIM_EV_OOM)};
	uint64_t kills = runtime_oom_kills(&s->container);

	if (kills <= s->oom_kills)
		return;
	s->oom_kills = kills;
	s->oom = true;
	control_send(s, &m);
}

static void oom_serve(struct shim *s)
{
	if (!shim_poll_revents(s, s->oom_slot))
		return;
	/* The descriptor also fires when the cgroup is removed. */
	if (runtime_oom_drain(s->oom_fd) < 0)
		fd_close(&s->oom_fd);
	oom_check(s);
}

static void log_poll(struct shim *s)
{
	struct pollfd p[LOG_WRITER_POLLS];
	size_t n = s->log ? log_writer_poll(s->log, p) : 0;

	for (size_t i = 0; i < LOG_WRITER_POLLS; i++)
		s->log_slot[i] = i < n ? shim_poll_add(s, p[i].fd, p[i].events) : -1;
}

static void log_serve(struct shim *s)
{
	bool due = s->log && log_writer_timeout_ms(s->log, clock_mono_ns()) == 0;

	for (size_t i = 0; i < LOG_WRITER_POLLS; i++)
		due |= shim_poll_revents(s, s->log_slot[i]) != 0;
	if (due && s->log)
		log_writer_serve(s->log);
}

static void poll_build(struct shim *s)
{
	s->npolls = 0;
	s->control_slot = -1;
	if (s->control_fd >= 0)
		s->control_slot = shim_poll_add(s, s->control_fd,
						POLLIN | (list_empty(&s->outbox) ? 0 : POLLOUT));
	s->listen_slot = shim_poll_add(s, s->listen_fd, POLLIN);
	s->oom_slot = s->oom_fd >= 0
			      ? shim_poll_add(s, s->oom_fd,
					      runtime_cgroup_version() == 2 ? POLLPRI : POLLIN)
			      : -1;
	log_poll(s);
	io_poll(&s->main);
	LIST_FOR_EACH (it, &s->execs)
		io_poll(LIST_ENTRY(it, struct io, node));
}

static int timeout_ms(struct shim *s)
{
	int64_t now = clock_mono_ns();
	int best = s->busy ? IDLE_MS : -1, t = io_timeout_ms(&s->main, now);

	if (t >= 0 && (best < 0 || t < best))
		best = t;
	t = s->log ? log_writer_timeout_ms(s->log, now) : -1;
	if (t >= 0 && (best < 0 || t < best))
		best = t;
	LIST_FOR_EACH (it, &s->execs) {
		t = io_timeout_ms(LIST_ENTRY(it, struct io, node), now);
		if (t >= 0 && (best < 0 || t < best))
			best = t;
	}
	return best;
}

/* Drop read-only pages of the program: they are the page cache's, and come back from there when
 * they are needed. */
static int trim_segments(struct dl_phdr_info *info, size_t size, void *ud)
{
	uintptr_t page = (uintptr_t)ud;

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + h->p_vaddr) & ~(page - 1);

		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			(void)madvise((void *)from,
				      info->dlpi_addr + h->p_vaddr + h->p_memsz - from,
				      MADV_DONTNEED);
	}
	return 0;
}

/* The start of the container used far more stack than the loop does: what lies below this frame is
 * free. */
static void trim_stack(uintptr_t page)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(page - 1);

	(void)madvise((void *)(here - STACK_TRIM), STACK_TRIM - page, MADV_DONTNEED);
}

/* The last thing before a long sleep, so that little of it comes back at once. */
static void trim_pages(void)
{
	trim_stack((uintptr_t)sysconf(_SC_PAGESIZE));
	dl_iterate_phdr(trim_segments, (void *)sysconf(_SC_PAGESIZE));
}

/* Nothing happened for a while: give memory back. */
static void trim(struct shim *s)
{
	io_trim(&s->main);
	LIST_FOR_EACH (it, &s->execs)
		io_trim(LIST_ENTRY(it, struct io, node));
	if (s->log)
		log_writer_trim(s->log);
	malloc_trim(0);
	s->busy = false;
}

static void serve(struct shim *s)
{
	log_serve(s);
	/* Execs end with the container: report them first. */
	LIST_FOR_EACH (it, &s->execs)
		io_serve(LIST_ENTRY(it, struct io, node));
	io_serve(&s->main);
	oom_serve(s);
	process_report(s);
	if (shim_poll_revents(s, s->control_slot) & POLLOUT)
		control_flush(s);
	if (shim_poll_revents(s, s->control_slot) & (POLLIN | POLLHUP | POLLERR))
		control_read(s);
	if (shim_poll_revents(s, s->listen_slot))
		control_accept(s);
	if (s->started && !s->exited && !s->oom_tried &&
	    clock_now_ns() - s->started_at >= IDLE_MS * 1000000LL) {
		/*
		 * Registering takes the v1 kernel milliseconds, which a short container would wait
		 * for at its end; its fate is in the counters anyway.
		 */
		s->oom_tried = true;
		s->oom_fd = runtime_oom_fd(&s->container);
		oom_check(s); /* what happened before */
	}
}

/* Told to leave, or nobody is there and nothing runs. Clients that still take bytes are served to
 * the end. */
static bool finished(const struct shim *s)
{
	bool idle = !s->started || s->exited;

	if (!idle || (!s->quit && s->control_fd >= 0))
		return false;
	return !s->started || (list_empty(&s->main.clients) && list_empty(&s->execs));
}

static void loop(struct shim *s)
{
	bool idle = false;

	while (!finished(s)) {
		int n, ms = timeout_ms(s);

		poll_build(s);
		if (idle)
			trim_pages();
		n = poll(s->polls, s->npolls, ms);
		if (n < 0)
			s->npolls = 0; /* interrupted: results are not filled in */
		idle = n == 0 && s->busy && ms == IDLE_MS;
		if (idle)
			trim(s);
		serve(s);
	}
}

int shim_main(const char *dir, int control_fd)
{
	struct shim s;
	struct err e = ERR_INIT;
	int rc = 0;

	signals_setup();
	if (shim_open(&s, dir, control_fd, &e) < 0) {
		log_error("%s", e.text);
		rc = 1;
	} else {
		control_hello(&s);
		trace_point("ready");
		malloc_trim(0);
		loop(&s);
	}
	shim_close(&s);
	return rc;
}
