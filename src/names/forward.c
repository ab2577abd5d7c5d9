/* SPDX-License-Identifier: Apache-2.0 */
/* Queries that servers answer: which one is asked, for how long, and what the client is told. */
#include "names/names-priv.h"

#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

static void forward_free(struct server *s, struct forward *f)
{
	struct conn *conn = f->client.conn;

	upstream_release(s, f);
	list_del(&f->by_time);
	s->nforwards--;
	f->client.r->nforwards--;
	if (conn) {
		list_del(&f->by_conn);
		conn->nforwards--;
		conn_wanted(s, conn);
	}
	free(f);
}

void forward_drop(struct server *s, struct forward *f)
{
	forward_free(s, f);
}

static void fail(struct server *s, struct forward *f)
{
	size_t n = packet_failure(f->query, f->n, f->question, (enum packet_rcode)f->rcode, false,
				  s->answer);
	struct client c = f->client;

	packet_set_id(s->answer, f->client_id);
	forward_free(s, f);
	serve_answer(s, &c, s->answer, n);
}

/* The next server that is worth a try; NULL: none. Silent ones come last in a round. */
static struct server_address *next_server(struct forward *f)
{
	struct resolver *r = f->client.r;
	int64_t now = now_ms();

	for (; f->round < ROUNDS; f->round++, f->tried = 0)
		for (int bad = 0; bad < 2; bad++)
			for (size_t i = 0; i < r->nservers; i++) {
				if ((f->tried | f->settled) & 1u << i)
					continue;
				if (!bad && r->server[i].bad_until > now)
					continue;
				f->tried |= 1u << i;
				return &r->server[i];
			}
	return NULL;
}

static bool id_in_use(const struct upstream *u, uint16_t id)
{
	LIST_FOR_EACH (it, &u->users)
		if (LIST_ENTRY(it, struct forward, by_place)->id == id)
			return true;
	return false;
}

static bool new_id(struct forward *f, const struct upstream *u)
{
	do {
		if (getrandom(&f->id, sizeof(f->id), 0) != (ssize_t)sizeof(f->id))
			return false;
	} while (id_in_use(u, f->id));
	packet_set_id(f->query, f->id);
	return true;
}

static void set_deadline(struct server *s, struct forward *f)
{
	f->deadline = now_ms() + TRY_MS;
	list_del(&f->by_time);
	list_add_tail(&s->forwards, &f->by_time);
}

/* Ask f->server. 0: asked, or waiting for a socket. */
static int ask(struct server *s, struct forward *f)
{
	struct resolver *r = f->client.r;
	struct upstream *u;
	int rc = 0;

	u = upstream_get(s, r, f->server, f->client.conn != NULL, &rc);
	if (!u && rc == 0)
		list_add_tail(&r->waiting, &f->by_place);
	if (!u)
		return rc;
	if (!new_id(f, u))
		rc = -EAGAIN;
	if (rc == 0)
		rc = upstream_send(s, u, f);
	if (rc < 0)
		upstream_idle(s, u);
	return rc;
}

/* Goes on with the next server until one could be asked; f is gone when there is none. */
static void ask_next(struct server *s, struct forward *f)
{
	while (now_ms() < f->give_up && (f->server = next_server(f)) != NULL) {
		set_deadline(s, f);
		if (ask(s, f) == 0)
			return;
	}
	fail(s, f);
}

void forwards_retry_waiting(struct server *s, struct resolver *r)
{
	while (!list_empty(&r->waiting)) {
		struct forward *f = LIST_ENTRY(r->waiting.next, struct forward, by_place);
		int rc;

		list_del(&f->by_place);
		rc = ask(s, f);
		if (rc < 0)
			ask_next(s, f);
		else if (!f->upstream) { /* at the end of the list again: nothing is free */
			list_del(&f->by_place);
			list_add_head(&r->waiting, &f->by_place);
			return;
		}
	}
}

void forward_start(struct server *s, const struct client *c, const uint8_t *p, size_t n,
		   const struct packet_query *q)
{
	struct forward *f;

	if (s->nforwards >= FORWARDS_MAX || c->r->nforwards >= FORWARDS_PER_RESOLVER) {
		n = packet_failure(p, n, q->question, PACKET_SERVFAIL, false, s->answer);
		serve_answer(s, c, s->answer, n);
		return;
	}
	f = xcalloc(1, sizeof(*f) + n);
	f->client = *c;
	f->client_id = q->id;
	f->question = q->question;
	f->rcode = PACKET_SERVFAIL;
	f->give_up = now_ms() + GIVE_UP_MS;
	f->n = n;
	memcpy(f->query, p, n);
	s->nforwards++;
	c->r->nforwards++;
	if (c->conn) {
		list_add_tail(&c->conn->forwards, &f->by_conn);
		c->conn->nforwards++;
	}
	list_add_tail(&s->forwards, &f->by_time);
	ask_next(s, f);
}

void forward_failed(struct server *s, struct forward *f)
{
	struct resolver *r = f->client.r;

	upstream_release(s, f);
	ask_next(s, f);
	forwards_retry_waiting(s, r);
}

bool forward_answered(struct server *s, struct forward *f, uint8_t *p, size_t n)
{
	int rcode = packet_match(p, n, f->query, f->question, f->id);
	struct resolver *r = f->client.r;
	struct client c = f->client;

	if (rcode < 0)
		return false;
	((struct server_address *)(uintptr_t)f->server)->bad_until = 0;
	if (rcode != PACKET_NOERROR && rcode != PACKET_NXDOMAIN) {
		/* It cannot, or does not want to; the next one may. */
		f->settled |= 1u << (f->server - r->server);
		f->rcode = rcode;
		forward_failed(s, f);
		return true;
	}
	packet_set_id(p, f->client_id);
	if (n > c.max) { /* more than was asked for: the client comes again by TCP */
		n = packet_failure(p, n, f->question, (enum packet_rcode)rcode, true, s->answer);
		p = s->answer;
	}
	serve_answer(s, &c, p, n); /* before p goes with the socket it came from */
	forward_free(s, f);
	forwards_retry_waiting(s, r);
	return true;
}

void forwards_expire(struct server *s, int64_t now)
{
	LIST_FOR_EACH (it, &s->forwards) {
		struct forward *f = LIST_ENTRY(it, struct forward, by_time);

		if (f->deadline > now)
			return;
		if (f->upstream)
			((struct server_address *)(uintptr_t)f->server)->bad_until = now + BAD_MS;
		forward_failed(s, f);
		it_next = s->forwards.next; /* others may have gone with it */
	}
}
