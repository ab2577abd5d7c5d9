/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports as inspect, lists and filters show them. */
#include "engine/publish.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* One port of the container; ports of the host stand behind it in the same order as reserved. */
struct shown {
	uint16_t port;
	enum port_proto proto;
	const struct host_port *host; /* NULL: only exposed */
	size_t order;
};
struct shown_list {
	struct shown *v;
	size_t n;
};

static bool has_ports(const struct container *c)
{
	const char *mode = c->host.network_mode;

	return c->st.running && strcmp(mode, "none") != 0 && strcmp(mode, "host") != 0 &&
	       strncmp(mode, "container:", 10) != 0;
}

static void show(struct shown_list *l, uint16_t port, enum port_proto proto,
		 const struct host_port *host)
{
	if ((l->n & (l->n - 1)) == 0)
		l->v = xrealloc(l->v, MAX(l->n * 2, 1u) * sizeof(*l->v));
	l->v[l->n] = (struct shown){port, proto, host, l->n};
	l->n++;
}

/* Numbers in the order of their texts: "8/tcp", "80/tcp", "81/tcp", "9/tcp". */
static unsigned by_digits(unsigned port)
{
	unsigned padding = 0;

	for (; port > 0 && port < 10000; port *= 10)
		padding++;
	return port * 8 + 8 - padding; /* a shorter one stands before those that it begins */
}

/* As the keys of a JSON object are sorted: by their text. */
static int by_key(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	unsigned p = by_digits(x->port), q = by_digits(y->port);

	if (p != q)
		return p < q ? -1 : 1;
	if (x->proto != y->proto)
		return strcmp(port_proto_names[x->proto], port_proto_names[y->proto]);
	/* Published first: then the exposed one of the same port is a repetition. */
	if (!x->host != !y->host)
		return x->host ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static bool same_port(const struct shown *a, const struct shown *b)
{
	return a->port == b->port && a->proto == b->proto;
}

static void collect(const struct container *c, struct shown_list *l)
{
	const struct strs *exposed = &c->meta.config.exposed_ports;
	AUTO(arena) struct arena *a = arena_new();
	struct port_publishes asked = {0};
	struct err e = ERR_INIT;
	/* an image may expose the same ports in any number of ranges */
	uint8_t seen[PORT_PROTO_COUNT][65536 / 8] = {0};
	size_t kept = 0;

	if (!has_ports(c))
		return;
	for (size_t i = 0; c->ports && i < c->ports->n; i++)
		show(l, c->ports->v[i].port, c->ports->v[i].proto, &c->ports->v[i]);
	for (size_t i = 0; i < exposed->n; i++) {
		struct port_range r;

		if (port_range_parse(exposed->v[i], &r) < 0)
			continue;
		for (unsigned port = r.first; port <= r.last; port++) {
			uint8_t *byte = &seen[r.proto][port / 8], bit = (uint8_t)(1u << port % 8);

			if (!(*byte & bit))
				show(l, (uint16_t)port, r.proto, NULL);
			*byte |= bit;
		}
	}
	/* Asked for and not there: the network publishes nothing. */
	if (port_bindings_parse(c->host.port_bindings, &asked, a, &e) == 0)
		for (size_t i = 0; i < asked.n; i++)
			show(l, asked.v[i].port, asked.v[i].proto, NULL);
	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), by_key);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].host || i == 0 || !same_port(&l->v[i], &l->v[kept - 1]))
			l->v[kept++] = l->v[i];
	l->n = kept;
}

void ports_write_inspect(const struct container *c, struct jw *w)
{
	struct shown_list l = {0};
	char key[PORT_TEXT_MAX], text[IP_TEXT_MAX], number[8];

	collect(c, &l);
	jw_obj(w);
	for (size_t i = 0; i < l.n;) {
		const struct shown *first = &l.v[i];

		jw_key(w, port_format(first->port, first->proto, key));
		if (!first->host) {
			jw_null(w);
			i++;
			continue;
		}
		jw_arr(w);
		for (; i < l.n && same_port(&l.v[i], first); i++) {
			snprintf(number, sizeof(number), "%u", l.v[i].host->host_port);
			jw_obj(w);
			jw_kv_str(w, "HostIp", ip_format(l.v[i].host->host, text));
			jw_kv_str(w, "HostPort", number);
			jw_obj_end(w);
		}
		jw_arr_end(w);
	}
	jw_obj_end(w);
	free(l.v);
}

void ports_write_list(const struct container *c, struct jw *w)
{
	struct shown_list l = {0};
	char text[IP_TEXT_MAX];

	collect(c, &l);
	jw_arr(w);
	for (size_t i = 0; i < l.n; i++) {
		const struct shown *s = &l.v[i];

		jw_obj(w);
		if (s->host)
			jw_kv_str(w, "IP", ip_format(s->host->host, text));
		jw_kv_i64(w, "PrivatePort", s->port);
		if (s->host)
			jw_kv_i64(w, "PublicPort", s->host->host_port);
		jw_kv_str(w, "Type", port_proto_names[s->proto]);
		jw_obj_end(w);
	}
	jw_arr_end(w);
	free(l.v);
}

bool ports_match(const struct container *c, const struct port_range *want, bool published)
{
	struct shown_list l = {0};
	bool found = false;

	collect(c, &l);
	for (size_t i = 0; i < l.n && !found; i++) {
		const struct shown *s = &l.v[i];
		uint16_t port = published && s->host ? s->host->host_port : s->port;

		found = s->proto == want->proto && (!published || s->host) && port >= want->first &&
			port <= want->last;
	}
	free(l.v);
	return found;
}
