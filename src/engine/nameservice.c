/* SPDX-License-Identifier: Apache-2.0 */
/* The process coracle-names: found or started, its connection, its end and its return. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/nameservice.h"
#include "sys/fs.h"

#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

#define QUIET_NS                                                                                   \
	(5 * 1000000000ll) /* a process that lived shorter is not started again at once            \
			    */
#define RESTART_MS 1000

/* A message that the socket did not take yet. */
struct outgoing {
	struct list link;
	struct buf text;
	int fds[NAMES_FDS_MAX];
	size_t nfds;
};

struct nameservice {
	struct engine *g;
	uv_poll_t poll;
	int fd;
	struct list queue; /* struct outgoing */
};

static int events_of(const struct nameservice *n)
{
	return UV_READABLE | (list_empty(&n->queue) ? 0 : UV_WRITABLE);
}

/* ---- out ---- */

static void outgoing_free(struct outgoing *o)
{
	for (size_t i = 0; i < o->nfds; i++)
		fd_close(&o->fds[i]);
	buf_done(&o->text);
	free(o);
}

/* False: the socket is full. A broken connection shows when it is read. */
static bool send_now(const struct nameservice *n, const struct buf *text, const int *fds,
		     size_t nfds)
{
	return fs_send_fds(n->fd, text->p, text->n, fds, nfds) != -EAGAIN;
}

static void flush(struct nameservice *n)
{
	LIST_FOR_EACH (it, &n->queue) {
		struct outgoing *o = LIST_ENTRY(it, struct outgoing, link);

		if (!send_now(n, &o->text, o->fds, o->nfds))
			return;
		list_del(it);
		outgoing_free(o);
	}
}

void nameservice_say(struct engine *g, const struct names_request *r, int *fds, size_t nfds)
{
	struct nameservice *n = g->names;
	AUTO_BUF struct buf text = BUF_INIT(NAMES_MSG_MAX);
	struct outgoing *o;
	bool sent;

	if (n && names_request_encode(r, &text) < 0)
		log_error("the name service is not told about %.12s: too many names", r->id);
	sent = !n || text.overflow || (list_empty(&n->queue) && send_now(n, &text, fds, nfds));
	if (sent) {
		for (size_t i = 0; i < nfds; i++)
			fd_close(&fds[i]);
		return;
	}
	o = NEW(struct outgoing);
	o->text = text;
	text = BUF_INIT(0);
	for (size_t i = 0; i < nfds; i++)
		o->fds[o->nfds++] = TAKE_FD(fds[i]);
	list_add_tail(&n->queue, &o->link);
}

/* ---- in ---- */

static void poll_ready(uv_poll_t *h, int status, int events);

static void poll_closed(uv_handle_t *h)
{
	struct nameservice *n = CONTAINER_OF((uv_poll_t *)(void *)h, struct nameservice, poll);

	fd_close(&n->fd);
	free(n);
}

static void disconnect(struct engine *g)
{
	struct nameservice *n = TAKE_PTR(g->names);

	if (!n)
		return;
	LIST_FOR_EACH (it, &n->queue) {
		list_del(it);
		outgoing_free(LIST_ENTRY(it, struct outgoing, link));
	}
	uv_poll_stop(&n->poll);
	uv_close((uv_handle_t *)&n->poll, poll_closed);
}

static void start_again(uv_timer_t *t)
{
	struct engine *g = t->data;
	struct err e = ERR_INIT;

	engine_timer_free(&g->names_timer);
	if (names_wanted(g) && nameservice_need(g, &e) < 0) {
		log_error("%s", e.text);
		g->names_timer = engine_timer(g, RESTART_MS, start_again, g);
	}
}

static void lost(struct engine *g)
{
	bool quick = clock_mono_ns() - g->names_started < QUIET_NS;

	disconnect(g);
	if (!names_wanted(g))
		return;
	log_warn("the name service ended, it is started again");
	if (!g->names_timer)
		g->names_timer = engine_timer(g, quick ? RESTART_MS : 0, start_again, g);
}

static void heard(struct engine *g, const char *p, size_t n)
{
	AUTO(arena) struct arena *a = arena_new();
	struct names_message m;
	struct err e = ERR_INIT;

	if (names_message_decode(p, n, &m, a, &e) < 0) {
		log_warn("bad message of the name service: %s", e.text);
		return;
	}
	switch (names_event_parse(m.event)) {
	case NAMES_EV_HELLO:
		if (m.version && strcmp(m.version, CORACLE_VERSION) == 0)
			return;
		/* Of an engine before an upgrade: it goes, and comes again as the new program. */
		log_info("the name service is of another version, it is replaced");
		nameservice_say(g, &(struct names_request){.op = names_op_name(NAMES_OP_QUIT)},
				NULL, 0);
		return;
	case NAMES_EV_NEED:
		if (m.id)
			names_needed(g, m.id);
		return;
	default:
		return;
	}
}

static void poll_ready(uv_poll_t *h, int status, int events)
{
	struct nameservice *n = CONTAINER_OF(h, struct nameservice, poll);
	struct engine *g = n->g;
	static char text[NAMES_MSG_MAX];

	flush(n);
	for (int i = 0; i < 64 && g->names == n; i++) {
		ssize_t len = recv(n->fd, text, sizeof(text), MSG_DONTWAIT);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (len <= 0) {
			lost(g);
			return;
		}
		heard(g, text, (size_t)len);
	}
	if (g->names == n)
		uv_poll_start(&n->poll, events_of(n), poll_ready);
}

/* ---- the process ---- */

static int start_process(struct engine *g, const char *path, struct err *e)
{
	AUTO_FREE char *program = xasprintf("%s/coracle-names", g->program_dir);
	const char *argv[] = {"coracle-names", NULL};
	AUTO_FD int fd = fs_unix_listen(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 4, 0600);
	struct spawn_fd fds[2] = {{fd, NAMES_LISTEN_FD}, {2, 2}};
	struct process p = {.pidfd = FD_NONE};
	struct spawn s = {.path = program,
			  .argv = argv,
			  .fds = fds,
			  .nfds = g->trace || g->config->debug > 0 ? 2 : 1,
			  .new_session = true,
			  .chdir_to = "/"};
	int rc;

	if (fd < 0)
		return err_sys(e, fd, "listen on %s", path);
	rc = spawn_start(&s, &p);
	if (rc < 0)
		return err_sys(e, rc, "start %s", program);
	g->names_started = clock_mono_ns();
	process_reap(g, &p);
	return 0;
}

static int take(struct engine *g, int fd, struct err *e)
{
	struct nameservice *n = NEW(struct nameservice);
	int size = 1 << 20;

	n->g = g;
	n->fd = fd;
	list_init(&n->queue);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (uv_poll_init(g->loop, &n->poll, fd) < 0) {
		fd_close(&fd);
		free(n);
		return err_set(e, ERR_SYSTEM, "watch the name service");
	}
	uv_poll_start(&n->poll, UV_READABLE, poll_ready);
	g->names = n;
	names_say_all(g);
	uv_poll_start(&n->poll, events_of(n), poll_ready);
	return 0;
}

/* start: also when there is no process yet. */
static int open_service(struct engine *g, bool start, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", g->run_dir, NAMES_SOCKET_FILE);
	int fd = fs_unix_connect(path, SOCK_SEQPACKET | SOCK_NONBLOCK);

	if (fd < 0 && !start)
		return 0;
	if (fd < 0) {
		if (start_process(g, path, e) < 0)
			return -1;
		/* it listens already: the socket was there before the process */
		fd = fs_unix_connect(path, SOCK_SEQPACKET | SOCK_NONBLOCK);
	}
	if (fd < 0)
		return err_sys(e, fd, "connect to the name service");
	return take(g, fd, e);
}

bool nameservice_connected(const struct engine *g)
{
	return g->names != NULL;
}

int nameservice_need(struct engine *g, struct err *e)
{
	return g->names ? 0 : open_service(g, true, e);
}

void names_open(struct engine *g)
{
	struct err e = ERR_INIT;

	if (open_service(g, names_wanted(g), &e) < 0)
		log_error("%s", e.text);
}

void names_close(struct engine *g)
{
	engine_timer_free(&g->names_timer);
	if (g->names && !names_wanted(g))
		nameservice_say(g, &(struct names_request){.op = names_op_name(NAMES_OP_QUIT)},
				NULL, 0);
	disconnect(g);
}
