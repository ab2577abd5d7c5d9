/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /coracle/exposure: what of the running containers is reachable from where, and why. One
 * object for each published port, and for each way in that is no published port (open and routed
 * networks, the host's network).
 */
#include "engine/publish.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct entry {
	const struct container *c;
	const char *network;
	const char *port; /* "80/tcp", "all" */
	const char *address;
	uint16_t host_port; /* 0: none of the host */
	const char *to;
	const char *loopback, *host, *containers, *outside; /* "yes", "no", "user chain" ... */
	const char *why;
};

static void write_entry(const struct entry *x, struct jw *w)
{
	jw_obj(w);
	jw_kv_str(w, "Container", x->c->name);
	jw_kv_str(w, "ID", x->c->id);
	jw_kv_str(w, "Network", x->network);
	jw_kv_str(w, "Port", x->port);
	jw_kv_str(w, "Address", x->address);
	jw_kv_i64(w, "HostPort", x->host_port);
	jw_kv_str(w, "To", x->to);
	jw_kv_str(w, "Loopback", x->loopback);
	jw_kv_str(w, "Host", x->host);
	jw_kv_str(w, "Containers", x->containers);
	jw_kv_str(w, "Outside", x->outside);
	jw_kv_str(w, "Why", x->why);
	jw_obj_end(w);
}

static bool need_accept(const struct engine *g)
{
	return strcmp(g->config->published_ports_policy, "user-chain") == 0;
}

/* Clients outside: the administrator's chain comes first in any case; with the policy "user-chain"
 * it must accept. */
static const char *outside(const struct engine *g)
{
	return need_accept(g) ? "user chain" : "yes";
}

static const char *with_port(struct arena *a, struct ip ip, uint16_t port)
{
	char text[IP_TEXT_MAX];

	return arena_printf(a, ip.family == 6 ? "[%s]:%u" : "%s:%u", ip_format(ip, text), port);
}

static void published(const struct container *c, const struct host_port *p, struct arena *a,
		      struct jw *w)
{
	const struct endpoint *ep = ports_endpoint(c, p->host.family);
	bool all = ip_is_unspecified(p->host), loop = ip_is_loopback(p->host), six;
	char key[PORT_TEXT_MAX], text[IP_TEXT_MAX];
	struct entry x = {.c = c, .host_port = p->host_port};

	if (!ep)
		return;
	six = p->host.family == 6;
	x.network = ep->net->name;
	x.port = port_format(p->port, p->proto, key);
	x.address = arena_strdup(a, ip_format(p->host, text));
	x.to = with_port(a, six ? ep->ip6 : ep->ip4, p->port);
	/* IPv6 has no way from ::1 to another interface. */
	x.loopback = !six && (all || loop) ? "yes" : "no";
	x.host = loop ? "no" : "yes";
	x.containers = loop ? "no" : "yes";
	x.outside = loop ? "no" : outside(c->g);
	x.why = all    ? "published on all addresses of the host"
		: loop ? "published on a loopback address"
		       : "published on one address of the host";
	write_entry(&x, w);
}

static void routed(const struct container *c, const struct endpoint *ep, uint8_t family,
		   struct arena *a, struct jw *w)
{
	struct port_publishes want = {0};
	struct err e = ERR_INIT;
	char key[PORT_TEXT_MAX];
	struct ip ip = family == 6 ? ep->ip6 : ep->ip4;

	if (ports_wanted(c, &want, a, &e) < 0)
		return;
	for (size_t i = 0; i < want.n; i++) {
		struct entry x = {.c = c,
				  .network = ep->net->name,
				  .port = port_format(want.v[i].port, want.v[i].proto, key),
				  .address = "",
				  .to = with_port(a, ip, want.v[i].port),
				  .loopback = "no",
				  .host = "yes",
				  .containers = "yes",
				  .outside = outside(c->g),
				  .why = "published by its own address: gateway mode routed"};
		write_entry(&x, w);
	}
}

static void open_network(const struct container *c, const struct endpoint *ep, uint8_t family,
			 struct arena *a, struct jw *w)
{
	char text[IP_TEXT_MAX];
	struct entry x = {.c = c,
			  .network = ep->net->name,
			  .port = "all",
			  .address = "",
			  .to = arena_strdup(a, ip_format(family == 6 ? ep->ip6 : ep->ip4, text)),
			  .loopback = "no",
			  .host = "yes",
			  .containers = "no",
			  .outside = "yes",
			  .why = "every port by its own address: gateway mode nat-unprotected"};

	write_entry(&x, w);
}

static void by_networks(const struct container *c, struct arena *a, struct jw *w)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		for (uint8_t family = 4; family <= 6; family += 2) {
			const struct ip *ip = family == 6 ? &ep->ip6 : &ep->ip4;
			enum gateway_mode mode;

			if (!ep->net || ep->net->driver != NET_BRIDGE || ep->net->internal ||
			    !ip->family)
				continue;
			mode = network_gateway_mode(ep->net, family);
			if (mode == GATEWAY_ROUTED && ep == ports_endpoint(c, family))
				routed(c, ep, family, a, w);
			else if (mode == GATEWAY_UNPROTECTED)
				open_network(c, ep, family, a, w);
		}
	}
}

static void on_lan(const struct container *c, struct arena *a, struct jw *w)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);
		char text[IP_TEXT_MAX];
		struct entry x = {.c = c,
				  .port = "all",
				  .address = "",
				  .loopback = "no",
				  .host = "no",
				  .containers = "no",
				  .outside = "yes",
				  .why = "it is in the network of the parent interface"};

		if (!ep->net || ep->net->internal ||
		    (ep->net->driver != NET_MACVLAN && ep->net->driver != NET_IPVLAN))
			continue;
		x.network = ep->net->name;
		x.to = arena_strdup(a, ip_format(ep->ip4.family ? ep->ip4 : ep->ip6, text));
		write_entry(&x, w);
	}
}

void engine_exposure(struct engine *g, struct buf *out)
{
	AUTO(arena) struct arena *a = arena_new();
	struct jw w = JW_INIT(out);

	jw_arr(&w);
	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		struct entry x = {.c = c,
				  .network = "host",
				  .port = "all",
				  .address = "",
				  .to = "",
				  .loopback = "yes",
				  .host = "yes",
				  .containers = "yes",
				  .outside = "host's rules",
				  .why = "it listens in the network of the host"};

		if (!c->st.running)
			continue;
		if (strcmp(c->host.network_mode, "host") == 0)
			write_entry(&x, &w);
		for (size_t i = 0; c->ports && i < c->ports->n; i++)
			published(c, &c->ports->v[i], a, &w);
		by_networks(c, a, &w);
		on_lan(c, a, &w);
	}
	jw_arr_end(&w);
}
