/* SPDX-License-Identifier: Apache-2.0 */
/* One query: answered from the tables, refused, or forwarded. */
#include "names/names-priv.h"

#include <string.h>

#include "base/banned.h"

void serve_answer(struct server *s, const struct client *c, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	if (c->conn)
		conn_send(s, c->conn, p, n);
	else /* a full socket drops it, the client asks again */
		sendto(c->r->udp->src.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL,
		       (const struct sockaddr *)&c->from, sizeof(c->from));
}

/* Names and addresses of our own: true, with *a filled. */
static bool answer_own(struct server *s, const struct names_request *view,
		       const struct packet_query *q, struct packet_answer *a,
		       char ptr[static PACKET_NAME_MAX])
{
	struct ip address;
	uint8_t family = q->type == PACKET_AAAA ? 6 : 4;

	if (q->class != PACKET_CLASS_IN || !q->name[0])
		return false;
	if (q->type == PACKET_PTR && packet_reverse_name(q->name, &address)) {
		if (!lookup_address(s->zones, view, address, ptr))
			return false;
		a->ptr = ptr;
		return true;
	}
	/* Of other types a known name has nothing, which is not the same as not to exist. */
	if (!lookup_name(s->zones, view, q->name, family, &s->found))
		return false;
	if (q->type == PACKET_ANY && s->found.n == 0)
		lookup_name(s->zones, view, q->name, 6, &s->found);
	if (q->type == PACKET_A || q->type == PACKET_AAAA || q->type == PACKET_ANY) {
		a->address = s->found.v;
		a->n = s->found.n;
	}
	return true;
}

void serve_query(struct server *s, struct client *c, uint8_t *p, size_t n)
{
	const struct names_request *view = &c->r->view;
	struct packet_answer a = {.rcode = PACKET_NOERROR};
	struct packet_query q;
	char ptr[PACKET_NAME_MAX];
	int rc = packet_query_parse(p, n, &q);

	if (rc == -EBADMSG)
		return;
	c->max = c->conn ? PACKET_MAX : q.udp_max;
	if (rc > 0)
		a.rcode = (enum packet_rcode)rc;
	else if (q.type == PACKET_AXFR || q.type == PACKET_IXFR)
		a.rcode = PACKET_REFUSED;
	else if (answer_own(s, view, &q, &a, ptr))
		a.rcode = PACKET_NOERROR;
	else if (!view->forward || c->r->nservers == 0)
		a.rcode = PACKET_SERVFAIL;
	else if (!view->ndots || strchr(q.name, '.') || !q.name[0] ||
		 (q.type != PACKET_A && q.type != PACKET_AAAA)) {
		forward_start(s, c, p, n, &q);
		packet_query_done(&q);
		return;
	} /* else: nothing, so that the client goes on with its search list */
	serve_answer(s, c, s->answer, packet_answer(&q, p, n, &a, c->max, s->answer));
	packet_query_done(&q);
}

/*
 * What is there when the turn comes, in one call: a question that arrives later waits for the next
 * turn, which begins with what the engine said in between.
 */
void udp_ready(struct server *s, struct source *src, uint32_t events)
{
	struct listener *l = CONTAINER_OF(src, struct listener, src);
	struct sockaddr_in from[DATAGRAMS_PER_TURN];
	struct iovec iov[DATAGRAMS_PER_TURN];
	struct mmsghdr msg[DATAGRAMS_PER_TURN] = {0};
	int n;

	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		iov[i] = (struct iovec){s->datagram[i], sizeof(s->datagram[i])};
		msg[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						 .msg_namelen = sizeof(from[i]),
						 .msg_iov = &iov[i],
						 .msg_iovlen = 1};
	}
	n = recvmmsg(src->fd, msg, DATAGRAMS_PER_TURN, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n && src->fd >= 0; i++) {
		struct client c = {.r = l->r, .from = from[i]};

		if (!(msg[i].msg_hdr.msg_flags & MSG_TRUNC))
			serve_query(s, &c, s->datagram[i], msg[i].msg_len);
	}
}
