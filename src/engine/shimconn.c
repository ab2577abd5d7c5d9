/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's end of the conversation with a container's shim; spawning it and reaping it. */
#include "base/log.h"
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

struct call {
	struct list link;
	uint64_t seq;
	shim_answer_fn cb;
	void *ud;
};

struct shim {
	uv_poll_t poll;
	int fd;
	struct container *c; /* NULL once dropped */
	uint64_t next_seq;
	struct list calls;
};

/* ---- children ---- */

struct reaper {
	uv_poll_t poll;
	struct process p;
};

static void reaper_closed(uv_handle_t *h)
{
	struct reaper *r = CONTAINER_OF((uv_poll_t *)(void *)h, struct reaper, poll);

	fd_close(&r->p.pidfd);
	free(r);
}

static void reaper_ready(uv_poll_t *h, int status, int events)
{
	struct reaper *r = CONTAINER_OF(h, struct reaper, poll);
	int st;

	if (spawn_wait(&r->p, true, &st) == -EAGAIN)
		return;
	uv_poll_stop(h);
	uv_close((uv_handle_t *)h, reaper_closed);
}

void process_reap(struct engine *g, struct process *p)
{
	struct reaper *r = NEW(struct reaper);

	r->p = (struct process){.pid = p->pid, .pidfd = TAKE_FD(p->pidfd)};
	if (uv_poll_init(g->loop, &r->poll, r->p.pidfd) < 0) {
		fd_close(&r->p.pidfd);
		free(r);
		return;
	}
	uv_unref((uv_handle_t *)&r->poll);
	uv_poll_start(&r->poll, UV_READABLE, reaper_ready);
}

/* ---- connection ---- */

static void shim_closed(uv_handle_t *h)
{
	struct shim *s = CONTAINER_OF((uv_poll_t *)(void *)h, struct shim, poll);

	fd_close(&s->fd);
	free(s);
}

static void fail_calls(struct shim *s, struct container *c, const char *text)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_SYSTEM, "%s", text);
	while (!list_empty(&s->calls)) {
		struct call *call = LIST_ENTRY(s->calls.next, struct call, link);

		list_del(&call->link);
		if (call->cb)
			call->cb(c, call->ud, NULL, &e);
		free(call);
	}
}

void shim_drop(struct container *c)
{
	struct shim *s = c->shim;

	if (!s)
		return;
	c->shim = NULL;
	s->c = NULL;
	uv_poll_stop(&s->poll);
	fail_calls(s, c, "the connection to the container's shim was closed");
	uv_close((uv_handle_t *)&s->poll, shim_closed);
}

static void deliver(struct shim *s, const struct shim_message *m, int fd)
{
	struct container *c = s->c;
	struct err e = ERR_INIT;

	if (m->event && shim_event_parse(m->event) == SHIM_EV_NETNS) {
		container_on_netns(c, fd);
		return;
	}
	if (m->event) {
		container_on_message(c, m);
		return;
	}
	LIST_FOR_EACH (it, &s->calls) {
		struct call *call = LIST_ENTRY(it, struct call, link);

		if (call->seq != m->seq)
			continue;
		list_del(it);
		if (!m->ok)
			shim_message_error(m, &e);
		if (call->cb)
			call->cb(c, call->ud, m, m->ok ? NULL : &e);
		free(call);
		return;
	}
}

static void shim_ready(uv_poll_t *h, int status, int events)
{
	struct shim *s = CONTAINER_OF(h, struct shim, poll);
	static char buf[SHIM_MSG_MAX];

	/* At most a few messages a turn; what a message does may drop the connection or the
	 * container. */
	for (int i = 0; i < 16 && s->c; i++) {
		AUTO_FD int fd = FD_NONE;
		size_t nfds = 0;
		ssize_t n = fs_recv_fds(s->fd, buf, sizeof(buf), &fd, 1, &nfds);
		struct shim_message m;
		struct err e = ERR_INIT;
		AUTO(arena) struct arena *a = NULL;

		/* A lack of memory passes: the message waits. */
		if (n == -EAGAIN || n == -EINTR || n == -ENOMEM || n == -ENOBUFS)
			return;
		if (n <= 0) {
			container_on_gone(s->c);
			return;
		}
		a = arena_new();
		if (shim_message_decode(buf, (size_t)n, &m, a, &e) < 0) {
			log_container(LOG_LEVEL_WARN, s->c->id, "bad message from its shim: %s",
				      e.text);
			continue;
		}
		deliver(s, &m, fd);
	}
}

static int shim_take(struct container *c, int fd, struct err *e)
{
	struct shim *s = NEW(struct shim);
	int rc;

	s->fd = fd;
	s->c = c;
	list_init(&s->calls);
	rc = uv_poll_init(c->g->loop, &s->poll, fd);
	if (rc < 0) {
		fd_close(&s->fd);
		free(s);
		return err_sys(e, rc, "watch the shim");
	}
	uv_poll_start(&s->poll, UV_READABLE, shim_ready);
	c->shim = s;
	return 0;
}

int shim_spawn(struct container *c, struct err *e)
{
	AUTO_FREE char *dir = container_run_path(c, NULL);
	const char *argv[] = {"coracle-shim", dir, NULL};
	struct process p = {.pidfd = FD_NONE};
	int pair[2], rc;
	struct spawn_fd fds[2];
	struct spawn s = {.path = c->g->shim_path,
			  .argv = argv,
			  .fds = fds,
			  .nfds = 1,
			  .new_session = true,
			  .chdir_to = "/"};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair");
	fds[0] = (struct spawn_fd){pair[1], SHIM_CONTROL_FD};
	if (c->g->trace || c->g->config->debug > 0) {
		fds[1] = (struct spawn_fd){2, 2};
		s.nfds = 2;
	}
	rc = spawn_start(&s, &p);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return err_sys(e, rc, "start %s", c->g->shim_path);
	}
	process_reap(c->g, &p);
	return shim_take(c, pair[0], e);
}

int shim_connect(struct container *c, struct err *e)
{
	AUTO_FREE char *path = container_run_path(c, SHIM_SOCKET_FILE);
	int fd = fs_unix_connect(path, SOCK_SEQPACKET);

	if (fd < 0)
		return err_sys(e, fd, "connect to the shim");
	return shim_take(c, fd, e);
}

static ssize_t send_waiting(int sock, const struct buf *text, int fd)
{
	ssize_t n = -EAGAIN;

	for (int i = 0; i < 4; i++) {
		struct pollfd p = {.fd = sock, .events = POLLOUT};

		n = fs_send_fds(sock, text->p, text->n, &fd, fd >= 0 ? 1 : 0);
		if (n == -ENOMEM || n == -ENOBUFS) /* a client's stream would be lost with it */
			poll(NULL, 0, 1);
		else if (n != -EAGAIN)
			return n;
		else if (poll(&p, 1, 2000) <= 0)
			return -ETIMEDOUT;
	}
	return n;
}

int shim_call(struct shim *s, const struct shim_request *r, int fd, shim_answer_fn cb, void *ud,
	      struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(SHIM_MSG_MAX);
	struct shim_request req = *r;
	struct call *call;
	ssize_t n;
	int rc;

	if (!s)
		return err_set(e, ERR_CONFLICT, "the container has no shim");
	req.seq = ++s->next_seq;
	rc = shim_request_encode(&req, &text);
	if (rc < 0)
		return err_sys(e, rc, "request to the shim");
	n = send_waiting(s->fd, &text, fd);
	if (n < 0)
		return err_sys(e, (int)n, "send to the shim");
	call = NEW(struct call);
	call->seq = req.seq;
	call->cb = cb;
	call->ud = ud;
	list_add_tail(&s->calls, &call->link);
	return 0;
}
