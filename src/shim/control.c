/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's connection: requests in, answers and events out. An engine that is gone or deaf
 * changes nothing here. */
#include "shim/shim-priv.h"

#include "base/log.h"
#include "sys/fs.h"

#include <sys/socket.h>

#include "base/banned.h"

#define SEND_PATIENCE_MS 30000

struct message {
	struct list node;
	size_t n;
	char text[];
};

void control_close(struct shim *s)
{
	LIST_FOR_EACH (it, &s->outbox) {
		list_del(it);
		free(LIST_ENTRY(it, struct message, node));
	}
	s->outbox_n = 0;
	s->control_slot = -1;
	fd_close(&s->control_fd);
}

/* Not the end of a connection: the same call works later. */
static bool passes(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOMEM || error == ENOBUFS;
}

/* 0 sent, 1 not now, -1 the connection is over. */
static int message_send(struct shim *s, const char *p, size_t n)
{
	for (;;) {
		if (send(s->control_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		return passes(errno) ? 1 : -1;
	}
}

void control_flush(struct shim *s)
{
	LIST_FOR_EACH (it, &s->outbox) {
		struct message *m = LIST_ENTRY(it, struct message, node);
		int rc = message_send(s, m->text, m->n);

		if (rc > 0)
			return;
		if (rc < 0) {
			control_close(s);
			return;
		}
		list_del(it);
		s->outbox_n--;
		free(m);
	}
}

void control_send(struct shim *s, const struct shim_message *msg)
{
	AUTO_BUF struct buf out = BUF_INIT(SHIM_MSG_MAX);
	struct message *m;
	int rc = 1;

	if (s->control_fd < 0 || shim_message_encode(msg, &out) < 0)
		return;
	if (list_empty(&s->outbox))
		rc = message_send(s, out.p, out.n);
	if (rc < 0 || (rc > 0 && s->outbox_n >= CONTROL_QUEUE))
		control_close(s);
	if (rc <= 0 || s->control_fd < 0)
		return;
	m = xmalloc(sizeof *m + out.n);
	m->n = out.n;
	__builtin_memcpy(m->text, out.p, out.n);
	list_add_tail(&s->outbox, &m->node);
	s->outbox_n++;
}

/* 0, or -1 when the engine does not read for too long. */
static int wait_writable(struct shim *s)
{
	struct pollfd p = {.fd = s->control_fd, .events = POLLOUT};
	int rc;

	do
		rc = poll(&p, 1, SEND_PATIENCE_MS);
	while (rc < 0 && errno == EINTR);
	return rc > 0 ? 0 : -1;
}

int control_send_fd(struct shim *s, const struct shim_message *m, int fd, struct err *e)
{
	AUTO_BUF struct buf out = BUF_INIT(SHIM_MSG_MAX);
	ssize_t rc = shim_message_encode(m, &out);

	if (rc < 0)
		return err_sys(e, (int)rc, "message to the engine");
	do {
		control_flush(s);
		if (s->control_fd < 0)
			return err_set(e, ERR_UNAVAILABLE, "the engine went away during the start");
		rc = list_empty(&s->outbox) ? fs_send_fds(s->control_fd, out.p, out.n, &fd, 1)
					    : -EAGAIN;
	} while (rc == -EAGAIN && wait_writable(s) == 0);
	return rc < 0 ? err_sys(e, (int)rc, "hand a descriptor to the engine") : 0;
}

void control_hello(struct shim *s)
{
	struct shim_message m = {
		.event = shim_event_name(SHIM_EV_HELLO),
		.state = s->exited    ? SHIM_STATE_EXITED
			 : s->paused  ? SHIM_STATE_PAUSED
			 : s->started ? SHIM_STATE_RUNNING
				      : SHIM_STATE_CREATED,
		.pid = s->started && !s->exited ? s->main.pid : 0,
		.code = s->main.code,
		.signal = s->main.signal,
		.oom = s->oom,
		.started_at = s->started_at,
		.finished_at = s->finished_at,
	};

	control_send(s, &m);
}

void control_accept(struct shim *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	control_close(s);
	s->control_fd = fd;
	control_hello(s);
}

static int attach(struct shim *s, const struct shim_request *r, int *fd, struct err *e)
{
	if (*fd < 0)
		return err_set(e, ERR_INVALID, "attach without a descriptor");
	if (s->exited)
		return err_set(e, ERR_CONFLICT, "container %s is not running", s->id);
	if (client_new(&s->main, r, *fd, e) < 0)
		return -1;
	*fd = FD_NONE;
	return 0;
}

static int quit(struct shim *s, struct err *e)
{
	if (s->started && !s->exited)
		return err_set(e, ERR_CONFLICT, "container %s is running", s->id);
	s->quit = true;
	return 0;
}

/* Carry out one request; *fd is taken when it is set to FD_NONE. */
static int dispatch(struct shim *s, const struct shim_request *r, int *fd, struct shim_message *m,
		    struct err *e)
{
	int rc;

	switch (shim_op_parse(r->op)) {
	case SHIM_OP_START:
		rc = process_start(s, r, e);
		m->pid = s->main.pid;
		m->started_at = s->started_at;
		return rc;
	case SHIM_OP_ATTACH:
		return attach(s, r, fd, e);
	case SHIM_OP_EXEC:
		rc = process_exec(s, r, *fd, e);
		if (rc >= 0)
			*fd = FD_NONE;
		m->pid = rc;
		return rc < 0 ? -1 : 0;
	case SHIM_OP_RESIZE:
	case SHIM_OP_EXEC_RESIZE:
		return process_resize(s, r, e);
	case SHIM_OP_SIGNAL:
	case SHIM_OP_EXEC_SIGNAL:
		return process_signal(s, r, e);
	case SHIM_OP_PAUSE:
		return process_pause(s, true, e);
	case SHIM_OP_RESUME:
		return process_pause(s, false, e);
	case SHIM_OP_UPDATE:
		return process_update(s, r, e);
	case SHIM_OP_NETWORK:
		return process_network(s, r, e);
	case SHIM_OP_QUIT:
		return quit(s, e);
	case SHIM_OP_NONE:
	case SHIM_OP_COUNT:
		break;
	}
	return err_set(e, ERR_INVALID, "unknown request");
}

static void handle(struct shim *s, const char *p, size_t n, int *fd)
{
	AUTO(arena) struct arena *a = arena_new();
	struct shim_request r = {0};
	struct shim_message m = {0};
	struct err e = ERR_INIT;
	bool was_started = s->started;

	m.ok = shim_request_decode(p, n, &r, a, &e) == 0 && dispatch(s, &r, fd, &m, &e) == 0;
	m.seq = r.seq;
	if (!m.ok) {
		m.kind = err_kind_name(e.kind);
		m.error = e.text;
		m.pid = 0;
	}
	control_send(s, &m);
	if (s->started && !was_started)
		state_write(s);
}

void control_read(struct shim *s)
{
	while (s->control_fd >= 0 && !s->quit) {
		AUTO_FREE char *text = NULL;
		int fds[4] = {FD_NONE, FD_NONE, FD_NONE, FD_NONE};
		size_t nfds = 0;
		ssize_t size = recv(s->control_fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		ssize_t n;

		if (size < 0 && passes(errno))
			return;
		if (size <= 0 || size > SHIM_MSG_MAX) {
			control_close(s);
			return;
		}
		text = xmalloc((size_t)size + 1);
		n = fs_recv_fds(s->control_fd, text, (size_t)size, fds, 4, &nfds);
		if (n < 0 && passes((int)-n))
			return;
		if (n <= 0) {
			control_close(s);
			return;
		}
		for (size_t i = 1; i < nfds; i++)
			fd_close(&fds[i]);
		text[n] = '\0';
		handle(s, text, (size_t)n, &fds[0]);
		fd_close(&fds[0]);
	}
}
