/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's connection: its messages change the tables. A connection that ends changes nothing.
 */
#include "base/log.h"
#include "names/names-priv.h"
#include "sys/fs.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/banned.h"

#define MESSAGES_PER_TURN 64

static void say(struct control *c, enum names_event ev, const char *id)
{
	AUTO_BUF struct buf text = BUF_INIT(NAMES_MSG_MAX);
	struct names_message m = {.event = names_event_name(ev), .id = id};

	if (ev == NAMES_EV_HELLO) {
		m.pid = getpid();
		m.version = CORACLE_VERSION;
	}
	if (names_message_encode(&m, &text) == 0)
		send(c->src.fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void resolver_said(struct server *s, const struct names_request *q, struct arena **a,
			  int *fds, size_t nfds)
{
	struct resolver *r = resolver_get(s, q->id);
	int rc;

	resolver_set(s, r, q, TAKE_PTR(*a));
	if (nfds > 0) {
		rc = resolver_sockets(s, r, fds, nfds);
		if (rc < 0)
			log_warn("resolver %.12s: its sockets are of no use: %s", r->id,
				 strerror(-rc));
	}
	if (!r->udp)
		say(s->control, NAMES_EV_NEED, r->id);
}

static bool has_id(const struct names_request *q)
{
	return q->id && *q->id;
}

static void handle(struct server *s, const struct names_request *q, struct arena **a, int *fds,
		   size_t nfds)
{
	enum names_op op = names_op_parse(q->op);
	bool endpoint = op == NAMES_OP_ENDPOINT || op == NAMES_OP_ENDPOINT_REMOVE;

	if (op != NAMES_OP_SYNC && op != NAMES_OP_SYNCED && op != NAMES_OP_QUIT && !has_id(q))
		return;
	if (endpoint && !q->network)
		return;
	switch (op) {
	case NAMES_OP_SYNC:
		s->generation++;
		zones_sync_begin(s->zones);
		break;
	case NAMES_OP_SYNCED:
		zones_sync_end(s->zones);
		resolvers_sync_end(s);
		break;
	case NAMES_OP_NETWORK:
		zones_network(s->zones, q->id, q->name ? q->name : "");
		break;
	case NAMES_OP_NETWORK_REMOVE:
		zones_network_remove(s->zones, q->id);
		break;
	case NAMES_OP_ENDPOINT:
		zones_endpoint(s->zones, q->network, q->id, &q->names, &q->addresses);
		break;
	case NAMES_OP_ENDPOINT_REMOVE:
		zones_endpoint_remove(s->zones, q->network, q->id);
		break;
	case NAMES_OP_RESOLVER:
		resolver_said(s, q, a, fds, nfds);
		break;
	case NAMES_OP_RESOLVER_REMOVE:
		resolver_remove(s, q->id);
		break;
	case NAMES_OP_QUIT:
		s->quit = true;
		break;
	default:
		break;
	}
}

static void control_close(struct server *s, struct control *c)
{
	if (s->control == c)
		s->control = NULL;
	source_close(s, &c->src);
}

static void control_ready(struct server *s, struct source *src, uint32_t events)
{
	struct control *c = CONTAINER_OF(src, struct control, src);
	static char text[NAMES_MSG_MAX];

	for (int i = 0; i < MESSAGES_PER_TURN && src->fd >= 0 && !s->quit; i++) {
		AUTO(arena) struct arena *a = NULL;
		struct names_request q;
		struct err e = ERR_INIT;
		int fds[NAMES_FDS_MAX];
		size_t nfds = 0;
		ssize_t n = fs_recv_fds(src->fd, text, sizeof(text), fds, NAMES_FDS_MAX, &nfds);

		if (n == -EAGAIN || n == -EMSGSIZE)
			return;
		if (n <= 0) {
			control_close(s, c);
			return;
		}
		a = arena_new();
		if (names_request_decode(text, (size_t)n, &q, a, &e) < 0)
			log_warn("bad message from the engine: %s", e.text);
		else
			handle(s, &q, &a, fds, nfds);
		for (size_t j = 0; j < nfds; j++)
			fd_close(&fds[j]);
	}
}

void control_accept_ready(struct server *s, struct source *src, uint32_t events)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct control *c;

	if (fd < 0)
		return;
	c = NEW(struct control);
	c->src = (struct source){.fd = fd, .ready = control_ready};
	if (s->control)
		control_close(s, s->control);
	s->control = c;
	if (source_watch(s, &c->src, EPOLLIN) < 0)
		control_close(s, c);
	else
		say(c, NAMES_EV_HELLO, NULL);
}
