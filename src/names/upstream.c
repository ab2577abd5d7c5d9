/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets to servers: chosen, connected for as long as they have queries, disconnected. */
#include "names/names-priv.h"

#include <sys/epoll.h>
#include <sys/random.h>

#include "base/banned.h"

static bool choose(unsigned n)
{
	uint8_t r = 0;

	return getrandom(&r, 1, 0) == 1 && r % n == 0;
}

static void disconnect(struct upstream *u)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	connect(u->src.fd, &none, sizeof(none)); /* the port goes with it */
	u->peer = NULL;
}

/* ---- what comes ---- */

static void fail_users(struct server *s, struct upstream *u)
{
	struct list users;

	/* A failed query may come back to this very socket: each only once. */
	list_init(&users);
	LIST_FOR_EACH (it, &u->users) {
		list_del(it);
		list_add_tail(&users, it);
	}
	while (!list_empty(&users))
		forward_failed(s, LIST_ENTRY(users.next, struct forward, by_place));
}

static void udp_upstream_ready(struct server *s, struct source *src, uint32_t events)
{
	struct upstream *u = CONTAINER_OF(src, struct upstream, src);

	for (int i = 0; i < 32 && src->fd >= 0; i++) {
		ssize_t n = recv(src->fd, s->packet, sizeof(s->packet), MSG_DONTWAIT);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				fail_users(s, u); /* the server's host refused it */
			return;
		}
		LIST_FOR_EACH (it, &u->users)
			if (forward_answered(s, LIST_ENTRY(it, struct forward, by_place), s->packet,
					     (size_t)n))
				break;
	}
}

static int tcp_flush(struct upstream *u)
{
	while (u->out.n > 0) {
		ssize_t n = send(u->src.fd, u->out.p, u->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		buf_drop(&u->out, (size_t)n);
	}
	return 0;
}

/* True: the connection goes on. */
static bool tcp_read(struct server *s, struct upstream *u)
{
	char *room = buf_room(&u->in, 4096);
	ssize_t n = room ? recv(u->src.fd, room, 4096, MSG_DONTWAIT) : 0;
	size_t len;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	u->in.n += (size_t)n;
	if (u->in.n < 2)
		return n > 0;
	len = (size_t)(uint8_t)u->in.p[0] << 8 | (uint8_t)u->in.p[1];
	if (u->in.n < 2 + len)
		return n > 0;
	/* one query a connection: what does not answer it ends it */
	return !list_empty(&u->users) &&
	       forward_answered(s, LIST_ENTRY(u->users.next, struct forward, by_place),
				(uint8_t *)u->in.p + 2, len);
}

static void tcp_upstream_ready(struct server *s, struct source *src, uint32_t events)
{
	struct upstream *u = CONTAINER_OF(src, struct upstream, src);
	bool fine = true;

	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN))
		fine = false;
	if (fine && (events & EPOLLOUT)) {
		fine = tcp_flush(u) == 0;
		if (fine && u->out.n == 0)
			source_change(s, src, EPOLLIN);
	}
	if (fine && (events & EPOLLIN))
		fine = tcp_read(s, u);
	if (!fine && src->fd >= 0)
		fail_users(s, u);
}

/* ---- their life ---- */

struct upstream *upstream_new(struct server *s, struct resolver *r, int fd, bool host)
{
	int type = 0, family = 0;
	socklen_t n = sizeof(int), m = sizeof(int);
	struct upstream *u;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &m) < 0 ||
	    (type != SOCK_DGRAM && type != SOCK_STREAM)) {
		fd_close(&fd);
		return NULL;
	}
	u = NEW(struct upstream);
	u->tcp = type == SOCK_STREAM;
	u->src = (struct source){.fd = fd,
				 .ready = u->tcp ? tcp_upstream_ready : udp_upstream_ready};
	u->r = r;
	u->host = host;
	u->family = (sa_family_t)family;
	u->out = BUF_INIT(2 + PACKET_MAX);
	u->in = BUF_INIT(2 + PACKET_MAX + 4096);
	list_init(&u->users);
	list_add_tail(&r->upstreams, &u->link);
	/* An unconnected TCP socket would always be ready: it is watched while it is used. */
	if (!u->tcp && source_watch(s, &u->src, EPOLLIN) < 0) {
		upstream_free(s, u);
		return NULL;
	}
	return u;
}

void upstream_free(struct server *s, struct upstream *u)
{
	list_del(&u->link);
	buf_done(&u->out);
	buf_done(&u->in);
	source_close(s, &u->src);
}

struct upstream *upstream_get(struct server *s, struct resolver *r, const struct server_address *a,
			      bool tcp, int *ret_error)
{
	struct upstream *idle = NULL, *shared = NULL;
	unsigned nidle = 0, mine = 0;
	int fd;

	*ret_error = 0;
	LIST_FOR_EACH (it, &r->upstreams) {
		struct upstream *u = LIST_ENTRY(it, struct upstream, link);

		if (u->tcp != tcp || u->host != a->host || u->family != a->sa.sa_family)
			continue;
		mine++;
		if (!u->peer && choose(++nidle))
			idle = u;
		else if (u->peer == a && !tcp && u->nusers < SHARE_MAX)
			shared = u;
	}
	if (idle)
		return idle;
	if (a->host && mine < HOST_SOCKETS_MAX) {
		fd = socket(a->sa.sa_family,
			    (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0)
			return upstream_new(s, r, fd, true);
		*ret_error = -errno;
	} else if (mine == 0) {
		*ret_error = -EAFNOSUPPORT; /* the namespace has none of this family */
	}
	return shared;
}

int upstream_send(struct server *s, struct upstream *u, struct forward *f)
{
	const struct server_address *a = f->server;

	if (u->peer != a) {
		if (connect(u->src.fd, &a->sa, a->n) < 0 && errno != EINPROGRESS)
			return -errno;
		u->peer = a;
	}
	if (u->tcp) {
		const uint8_t head[2] = {(uint8_t)(f->n >> 8), (uint8_t)f->n};

		buf_reset(&u->in);
		buf_reset(&u->out);
		buf_add(&u->out, head, sizeof(head));
		buf_add(&u->out, f->query, f->n);
		if (source_watch(s, &u->src, EPOLLIN | EPOLLOUT) < 0)
			return -ENOMEM;
	} else if (send(u->src.fd, f->query, f->n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		return -errno;
	}
	f->upstream = u;
	list_add_tail(&u->users, &f->by_place);
	u->nusers++;
	return 0;
}

void upstream_idle(struct server *s, struct upstream *u)
{
	if (u->nusers > 0 || !u->peer)
		return;
	if (u->tcp)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, u->src.fd, NULL);
	disconnect(u);
	if (u->host)
		upstream_free(s, u);
}

void upstream_release(struct server *s, struct forward *f)
{
	struct upstream *u = TAKE_PTR(f->upstream);

	list_del(&f->by_place);
	if (!u)
		return;
	u->nusers--;
	upstream_idle(s, u);
}
