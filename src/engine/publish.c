/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports of a container. What is asked for stands in HostConfig; while the container runs
 * c->ports holds what it got: for each port of the host a bound socket, and the rules that lead
 * there. The rules follow the endpoint that has the gateway.
 */
#include "base/log.h"
#include "engine/network.h"
#include "engine/publish.h"
#include "net/conntrack.h"
#include "net/hostport.h"
#include "spec/ports.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* ---- the row ---- */

#define PF(type_, member, key) JSON_FIELD(type_, struct port_saved, member, key, 0)
static const struct json_field saved_fields[] = {
	PF(JT_STR, key, "Port"),
	PF(JT_STR, host, "HostIp"),
	PF(JT_I64, host_port, "HostPort"),
	{0},
};
const struct json_schema port_saved_schema = {"published port", sizeof(struct port_saved),
					      saved_fields};

struct objs ports_save(const struct container *c, struct arena *a)
{
	struct objs ret = {.set = true};
	struct port_saved *v;

	if (!c->ports || c->ports->n == 0)
		return ret;
	v = arena_alloc(a, c->ports->n * sizeof(*v));
	for (size_t i = 0; i < c->ports->n; i++) {
		const struct host_port *p = &c->ports->v[i];
		char *key = arena_alloc(a, PORT_TEXT_MAX), *host = arena_alloc(a, IP_TEXT_MAX);

		v[i] = (struct port_saved){port_format(p->port, p->proto, key),
					   ip_format(p->host, host), p->host_port};
	}
	ret.v = v;
	ret.n = c->ports->n;
	return ret;
}

static struct ports *ports_of(struct container *c)
{
	if (!c->ports)
		c->ports = NEW(struct ports);
	return c->ports;
}

static uint16_t *count_of(struct engine *g, enum port_proto proto, uint16_t port)
{
	if (!g->host_ports)
		g->host_ports = NEW(struct host_ports);
	return &g->host_ports->count[proto][port];
}

static void ports_append(struct container *c, struct host_port one)
{
	struct ports *p = ports_of(c);

	if ((p->n & (p->n - 1)) == 0)
		p->v = xrealloc(p->v, MAX(p->n * 2, 1u) * sizeof(*p->v));
	p->v[p->n++] = one;
	++*count_of(c->g, one.proto, one.host_port);
}

void ports_load(struct container *c, const struct objs *saved)
{
	const struct port_saved *v = saved->v;

	for (size_t i = 0; i < saved->n; i++) {
		struct host_port p = {.fd = FD_NONE};
		struct port_range r;

		if (!v[i].key || !v[i].host || port_range_parse(v[i].key, &r) < 0 ||
		    ip_parse(v[i].host, &p.host) < 0 || v[i].host_port < 0 ||
		    v[i].host_port > 65535)
			continue;
		p.proto = r.proto;
		p.port = r.first;
		p.host_port = (uint16_t)v[i].host_port;
		ports_append(c, p);
	}
}

void ports_free(struct container *c)
{
	if (!c->ports)
		return;
	for (size_t i = 0; i < c->ports->n; i++) {
		--*count_of(c->g, c->ports->v[i].proto, c->ports->v[i].host_port);
		fd_close(&c->ports->v[i].fd);
	}
	free(c->ports->v);
	free(c->ports->rules);
	free(c->ports);
	c->ports = NULL;
}

/* ---- what is asked for ---- */

int ports_check(const struct container_config *c, const struct host_config *h, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct port_publishes p = {0};
	struct port_range r;

	for (size_t i = 0; i < c->exposed_ports.n; i++)
		if (port_range_parse(c->exposed_ports.v[i], &r) < 0)
			return err_set(e, ERR_INVALID, "invalid port specification: \"%.100s\"",
				       c->exposed_ports.v[i]);
	return port_bindings_parse(h->port_bindings, &p, a, e);
}

int ports_wanted(const struct container *c, struct port_publishes *ret, struct arena *a,
		 struct err *e)
{
	const struct strs *exposed = &c->meta.config.exposed_ports;
	AUTO_FREE bool *seen = NULL; /* by protocol and port */
	struct port_publishes all = {0};

	if (port_bindings_parse(c->host.port_bindings, &all, a, e) < 0)
		return -1;
	if (c->host.publish_all_ports)
		seen = xcalloc(65536 * PORT_PROTO_COUNT, sizeof(*seen));
	for (size_t i = 0; seen && i < all.n; i++)
		seen[all.v[i].proto * 65536 + all.v[i].port] = true;
	for (size_t i = 0; seen && i < exposed->n; i++) {
		struct port_range r;

		if (port_range_parse(exposed->v[i], &r) < 0)
			continue;
		for (unsigned port = r.first; port <= r.last; port++) {
			char text[PORT_TEXT_MAX + 2];

			if (seen[r.proto * 65536 + port])
				continue;
			seen[r.proto * 65536 + port] = true;
			port_format((uint16_t)port, r.proto, text);
			if (port_publish_parse(text, &all, a, e) < 0)
				return -1;
		}
	}
	*ret = all;
	return 0;
}

/* ---- where it is led to ---- */

static bool leads_out(const struct endpoint *ep, uint8_t family)
{
	const struct ip *ip = family == 6 ? &ep->ip6 : &ep->ip4;

	return ep->net && ep->state != ENDPOINT_CONFIGURED && !ep->net->internal &&
	       ip->family == family;
}

/* As endpoints_gateway(), also of endpoints that are not up yet: answers leave by the gateway. */
struct endpoint *ports_endpoint(const struct container *c, uint8_t family)
{
	struct endpoint *best = NULL;

	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (!leads_out(ep, family))
			continue;
		if (!best || ep->want.gw_priority > best->want.gw_priority ||
		    (ep->want.gw_priority == best->want.gw_priority &&
		     strcmp(ep->net->name, best->net->name) < 0))
			best = ep;
	}
	return best && best->net->driver == NET_BRIDGE ? best : NULL;
}

static struct ip unspecified(uint8_t family)
{
	return (struct ip){.family = family};
}

/* The addresses of the host for one wish; none when the container's networks publish nothing. */
static int hosts_of(const struct container *c, const struct port_publish *p, struct ip ret[2],
		    size_t *ret_n, struct err *e)
{
	const struct endpoint *four = ports_endpoint(c, 4), *six = ports_endpoint(c, 6);
	struct ip host = p->host;
	size_t n = 0;

	*ret_n = 0;
	if (!four && !six)
		return 0;
	if (host.family) {
		if (!(host.family == 6 ? six : four)) {
			char text[IP_TEXT_MAX], key[PORT_TEXT_MAX];

			return err_set(e, ERR_INVALID,
				       "cannot publish port %s at %s: the container has no IPv%d "
				       "address to lead it to",
				       port_format(p->port, p->proto, key), ip_format(host, text),
				       host.family);
		}
		ret[0] = host;
		*ret_n = 1;
		return 0;
	}
	host = (four ? four : six)->net->host_ip;
	if (!host.family && c->g->config->ip)
		ip_parse(c->g->config->ip, &host);
	if (four && (!host.family || ip_is_unspecified(host) || host.family == 4))
		ret[n++] = host.family == 4 ? host : unspecified(4);
	/* One address of IPv4 by default: then IPv6 is not open to the world either. */
	if (six && (!host.family || ip_is_unspecified(host) || host.family == 6))
		ret[n++] = host.family == 6 ? host : unspecified(6);
	*ret_n = n;
	return 0;
}

/* ---- taking ports ---- */

static bool overlaps(const struct host_port *a, enum port_proto proto, struct ip host,
		     uint16_t port)
{
	return a->proto == proto && a->host_port == port && a->host.family == host.family &&
	       (ip_is_unspecified(a->host) || ip_is_unspecified(host) ||
		ip_cmp(a->host, host) == 0);
}

static bool is_ours(struct engine *g, enum port_proto proto, struct ip host, uint16_t port)
{
	if (*count_of(g, proto, port) == 0)
		return false;
	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		for (size_t i = 0; c->ports && i < c->ports->n; i++)
			if (overlaps(&c->ports->v[i], proto, host, port))
				return true;
	}
	return false;
}

enum taken { TAKEN_NOT, TAKEN_OURS, TAKEN_OTHERS };

/* The same port at each address, or none of them. */
static int take_port(struct container *c, const struct port_publish *p, const struct ip *hosts,
		     size_t n, uint16_t port, enum taken *why, struct ip *where)
{
	int fds[2] = {FD_NONE, FD_NONE}, rc = 0;

	*why = TAKEN_NOT;
	for (size_t i = 0; i < n && rc == 0; i++) {
		*where = hosts[i];
		if (is_ours(c->g, p->proto, hosts[i], port)) {
			*why = TAKEN_OURS;
			rc = -EADDRINUSE;
			break;
		}
		fds[i] = hostport_bind(port_proto_number(p->proto), hosts[i], port);
		if (fds[i] == -EPROTONOSUPPORT || fds[i] == -ESOCKTNOSUPPORT)
			fds[i] = FD_NONE; /* no such sockets: nobody else can have it either */
		else if (fds[i] < 0)
			rc = fds[i];
	}
	if (rc < 0) {
		if (*why == TAKEN_NOT && rc == -EADDRINUSE)
			*why = TAKEN_OTHERS;
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return rc;
	}
	for (size_t i = 0; i < n; i++)
		ports_append(c, (struct host_port){.proto = p->proto,
						   .port = p->port,
						   .host = hosts[i],
						   .host_port = port,
						   .fd = fds[i]});
	return 0;
}

static int bind_error(const struct container *c, const struct port_publish *p, struct ip where,
		      uint16_t port, enum taken why, int rc, struct err *e)
{
	const struct endpoint *ep = ports_endpoint(c, where.family);
	char host[IP_TEXT_MAX], to[IP_TEXT_MAX], reason[128];
	bool six = where.family == 6;

	ip_format(where, host);
	ip_format(six ? ep->ip6 : ep->ip4, to);
	if (why == TAKEN_OURS)
		return err_set(e, ERR_SYSTEM,
			       six ? "Bind for [%s]:%u failed: port is already allocated"
				   : "Bind for %s:%u failed: port is already allocated",
			       host, port);
	snprintf(reason, sizeof(reason), "%s", strerror(-rc));
	reason[0] = (char)tolower((unsigned char)reason[0]);
	return err_set(e, ERR_SYSTEM,
		       six ? "failed to bind host port for [%s]:%u:[%s]:%u/%s: %s"
			   : "failed to bind host port for %s:%u:%s:%u/%s: %s",
		       host, port, to, p->port, port_proto_names[p->proto], reason);
}

static int reserve_one(struct container *c, const struct port_publish *p, struct err *e)
{
	uint16_t first = p->host_first, last = p->host_last, from, port;
	enum taken why;
	struct ip hosts[2], where;
	size_t n;
	int rc;

	if (hosts_of(c, p, hosts, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	from = first;
	if (first == 0) { /* any: go on behind the last one that was given */
		hostport_range(&first, &last);
		from = c->g->last_port >= first && c->g->last_port < last
			       ? (uint16_t)(c->g->last_port + 1)
			       : first;
	}
	port = from;
	for (;;) {
		rc = take_port(c, p, hosts, n, port, &why, &where);
		if (rc == 0) {
			if (p->host_first == 0)
				c->g->last_port = port;
			return 0;
		}
		if (rc != -EADDRINUSE || first == last)
			return bind_error(c, p, where, port, why, rc, e);
		port = port == last ? first : (uint16_t)(port + 1);
		if (port == from)
			return p->host_first == 0
				       ? err_set(e, ERR_SYSTEM, "all ports are allocated")
				       : bind_error(c, p, where, p->host_first, why, rc, e);
	}
}

static bool is_routed(const struct container *c, uint8_t family)
{
	const struct endpoint *ep = ports_endpoint(c, family);

	return ep && network_gateway_mode(ep->net, family) == GATEWAY_ROUTED;
}

/* In a routed network a port is published as it is: nothing of the host is taken. */
static bool all_routed(const struct container *c)
{
	return (!ports_endpoint(c, 4) || is_routed(c, 4)) &&
	       (!ports_endpoint(c, 6) || is_routed(c, 6));
}

int ports_reserve(struct container *c, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct port_publishes want = {0};
	const struct endpoint *ep;

	if (c->ports && c->ports->n > 0)
		return 0;
	if (ports_wanted(c, &want, a, e) < 0)
		return -1;
	if (want.n == 0 || all_routed(c))
		return 0;
	for (size_t i = 0; i < want.n; i++) {
		if (reserve_one(c, &want.v[i], e) == 0)
			continue;
		ep = ports_endpoint(c, 4) ? ports_endpoint(c, 4) : ports_endpoint(c, 6);
		ports_free(c);
		return ep ? err_wrap(e,
				     "driver failed programming external connectivity on endpoint "
				     "%s (%s)",
				     c->name, ep->id)
			  : -1;
	}
	return 0;
}

/* ---- rules ---- */

struct rules {
	struct firewall_port *v;
	size_t n;
};

static void rules_append(struct rules *r, struct firewall_port p)
{
	r->v = xrealloc(r->v, (r->n + 1) * sizeof(*r->v));
	r->v[r->n++] = p;
}

static void routed_rules(const struct container *c, uint8_t family, struct rules *ret)
{
	AUTO(arena) struct arena *a = arena_new();
	const struct endpoint *ep = ports_endpoint(c, family);
	struct port_publishes want = {0};
	struct err e = ERR_INIT;

	if (ports_wanted(c, &want, a, &e) < 0)
		return;
	for (size_t i = 0; i < want.n; i++)
		rules_append(ret,
			     (struct firewall_port){.proto = port_proto_number(want.v[i].proto),
						    .host = unspecified(family),
						    .to = family == 6 ? ep->ip6 : ep->ip4,
						    .to_port = want.v[i].port});
}

static void rules_of(const struct container *c, struct rules *ret)
{
	static const uint8_t families[] = {4, 6};

	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		const struct endpoint *ep = ports_endpoint(c, families[f]);

		if (ep && is_routed(c, families[f])) {
			routed_rules(c, families[f], ret);
			continue;
		}
		for (size_t i = 0; ep && c->ports && i < c->ports->n; i++) {
			const struct host_port *p = &c->ports->v[i];

			if (p->host.family == families[f])
				rules_append(ret,
					     (struct firewall_port){
						     .proto = port_proto_number(p->proto),
						     .host = p->host,
						     .host_port = p->host_port,
						     .to = families[f] == 6 ? ep->ip6 : ep->ip4,
						     .to_port = p->port});
		}
	}
}

static void rules_drop(struct container *c)
{
	struct err e = ERR_INIT;

	if (!c->ports || c->ports->nrules == 0)
		return;
	if (firewall_ports_remove(c->g->firewall, c->ports->rules, c->ports->nrules, &e) < 0)
		log_warn("container %.12s: cannot take its published ports out of the rules: %s",
			 c->id, e.text);
	conntrack_forget(c->ports->rules, c->ports->nrules);
	free(TAKE_PTR(c->ports->rules));
	c->ports->nrules = 0;
}

int ports_up(struct container *c, struct err *e)
{
	struct rules r = {0};

	rules_of(c, &r);
	if (c->ports && c->ports->nrules == r.n &&
	    (r.n == 0 || memcmp(c->ports->rules, r.v, r.n * sizeof(*r.v)) == 0)) {
		free(r.v);
		return 0;
	}
	rules_drop(c);
	if (r.n == 0)
		return 0;
	if (c->g->config->iptables < 0) {
		log_warn("container %.12s: its ports are published nowhere: \"iptables\" is off",
			 c->id);
		free(r.v);
		return 0;
	}
	if (engine_firewall(c->g, e) < 0 || firewall_ports_add(c->g->firewall, r.v, r.n, e) < 0) {
		free(r.v);
		return err_wrap(e, "publish the ports of container %s", c->name);
	}
	conntrack_forget(r.v, r.n);
	ports_of(c)->rules = r.v;
	c->ports->nrules = r.n;
	return 0;
}

int ports_moved(struct container *c, struct err *e)
{
	return ports_reserve(c, e) < 0 ? -1 : ports_up(c, e);
}

void ports_down(struct container *c)
{
	rules_drop(c);
	ports_free(c);
}

/* The sockets of the engine before this one are gone with it. */
int ports_adopt(struct container *c, struct err *e)
{
	for (size_t i = 0; c->ports && i < c->ports->n; i++) {
		struct host_port *p = &c->ports->v[i];
		int fd = hostport_bind(port_proto_number(p->proto), p->host, p->host_port);

		if (fd >= 0)
			p->fd = fd;
		else if (fd != -EPROTONOSUPPORT && fd != -ESOCKTNOSUPPORT)
			log_warn("container %.12s: port %u of the host is taken by another "
				 "program now, it stays published: %s",
				 c->id, p->host_port, strerror(-fd));
	}
	return ports_up(c, e);
}
