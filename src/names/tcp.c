/* SPDX-License-Identifier: Apache-2.0 */
/* TCP clients: messages with two bytes of length in front (RFC 1035 4.2.2), several at once. */
#include "names/names-priv.h"

#include <sys/epoll.h>

#include "base/banned.h"

#define IN_MAX	(2 + PACKET_MAX)
#define OUT_MAX (4 * (2 + PACKET_MAX)) /* a client that does not read is closed above this */

void conn_close(struct server *s, struct conn *c)
{
	LIST_FOR_EACH (it, &c->forwards)
		forward_drop(s, LIST_ENTRY(it, struct forward, by_conn));
	list_del(&c->by_age);
	list_del(&c->by_resolver);
	c->r->nconns--;
	buf_done(&c->in);
	buf_done(&c->out);
	source_close(s, &c->src);
}

static void touch(struct server *s, struct conn *c)
{
	list_del(&c->by_age);
	list_add_tail(&s->conns, &c->by_age);
	list_del(&c->by_resolver);
	list_add_tail(&c->r->conns, &c->by_resolver);
	c->used_at = now_ms();
}

/* No reading while answers wait to be taken or queries to be answered. */
static bool may_read(const struct conn *c)
{
	return c->nforwards < CONN_FORWARDS_MAX && c->out.n < PACKET_MAX;
}

void conn_wanted(struct server *s, struct conn *c)
{
	uint32_t events = (may_read(c) ? EPOLLIN : 0u) | (c->out.n > 0 ? EPOLLOUT : 0u);

	if (events != c->events) {
		c->events = events;
		source_change(s, &c->src, events);
	}
}

/* False: it is broken. */
static bool flush(struct conn *c)
{
	while (c->out.n > 0) {
		ssize_t n = send(c->src.fd, c->out.p, c->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_drop(&c->out, (size_t)n);
	}
	return true;
}

/* Never closes: the caller may be in the middle of the connection's queries. */
void conn_send(struct server *s, struct conn *c, const uint8_t *p, size_t n)
{
	const uint8_t head[2] = {(uint8_t)(n >> 8), (uint8_t)n};

	buf_add(&c->out, head, sizeof(head));
	buf_add(&c->out, p, n);
	conn_wanted(s, c);
}

/* The messages that are complete. */
static void take_messages(struct server *s, struct conn *c)
{
	size_t at = 0;

	while (c->in.n - at >= 2 && may_read(c)) {
		uint8_t *p = (uint8_t *)c->in.p + at;
		size_t n = (size_t)p[0] << 8 | p[1];
		struct client client = {.r = c->r, .conn = c};

		if (c->in.n - at < 2 + n)
			break;
		serve_query(s, &client, p + 2, n);
		at += 2 + n;
	}
	buf_drop(&c->in, at);
}

static void conn_ready(struct server *s, struct source *src, uint32_t events)
{
	struct conn *c = CONTAINER_OF(src, struct conn, src);

	touch(s, c);
	if ((events & EPOLLIN) && c->in.n < IN_MAX) {
		char *room = buf_room(&c->in, MIN((size_t)4096, IN_MAX - c->in.n));
		ssize_t n = room ? recv(src->fd, room, MIN((size_t)4096, IN_MAX - c->in.n),
					MSG_DONTWAIT)
				 : 0;

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			conn_close(s, c);
			return;
		}
		c->in.n += n > 0 ? (size_t)n : 0;
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		conn_close(s, c);
		return;
	}
	take_messages(s, c);
	if (!flush(c) || c->out.overflow) {
		conn_close(s, c);
		return;
	}
	take_messages(s, c); /* what had to wait for the room */
	conn_wanted(s, c);
}

void tcp_accept_ready(struct server *s, struct source *src, uint32_t events)
{
	struct listener *l = CONTAINER_OF(src, struct listener, src);
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct conn *c;

	if (fd < 0)
		return;
	if (l->r->nconns >= CONNS_PER_RESOLVER) /* the one that was silent longest */
		conn_close(s, LIST_ENTRY(l->r->conns.next, struct conn, by_resolver));
	c = NEW(struct conn);
	c->src = (struct source){.fd = fd, .ready = conn_ready};
	c->r = l->r;
	c->in = BUF_INIT(IN_MAX);
	c->out = BUF_INIT(OUT_MAX);
	c->events = EPOLLIN;
	c->used_at = now_ms();
	list_init(&c->forwards);
	list_add_tail(&s->conns, &c->by_age);
	list_add_tail(&c->r->conns, &c->by_resolver);
	c->r->nconns++;
	if (source_watch(s, &c->src, c->events) < 0)
		conn_close(s, c);
}

void conns_expire(struct server *s, int64_t now)
{
	LIST_FOR_EACH (it, &s->conns) {
		struct conn *c = LIST_ENTRY(it, struct conn, by_age);

		if (c->used_at + CONN_IDLE_MS > now)
			return;
		conn_close(s, c);
	}
}
