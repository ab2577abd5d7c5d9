/* SPDX-License-Identifier: Apache-2.0 */
/* The life of endpoints: addresses before the start, the interface while the container is built,
 * and away with it all after the exit. */
#include "base/log.h"
#include "engine/network.h"
#include "net/link.h"
#include "net/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* ---- addresses ---- */

static int take_wanted(struct network *n, const char *text, uint8_t family, struct ip *ret,
		       struct err *e)
{
	struct network_subnet *s;
	struct ip a;
	int rc;

	if (ip_parse(text, &a) < 0 || a.family != family)
		return err_set(e, ERR_INVALID, "invalid IPv%d address: %s", family, text);
	s = network_subnet_of(n, family, a);
	if (!s)
		return err_set(e, ERR_INVALID,
			       "no configured subnet or ip-range contain the IP address %s", text);
	rc = net_pool_take(s->pool, a);
	if (rc == -EEXIST)
		return err_set(e, ERR_DENIED, "Address already in use");
	if (rc < 0)
		return err_set(e, ERR_INVALID, "requested address %s is not usable in subnet of %s",
			       text, n->name);
	*ret = a;
	return 0;
}

static int take_next(struct network *n, uint8_t family, struct ip before, struct ip *ret,
		     struct err *e)
{
	struct network_subnet *s = before.family ? network_subnet_of(n, family, before) : NULL;

	if (s && net_pool_take(s->pool, before) == 0) {
		*ret = before;
		return 0;
	}
	for (size_t i = 0; i < n->nsubnets; i++)
		if (n->subnet[i].subnet.ip.family == family &&
		    net_pool_next(n->subnet[i].pool, ret) == 0)
			return 0;
	return err_set(e, ERR_DENIED,
		       "no available IPv%d addresses on this network's address pools: %s (%s)",
		       family, n->name, n->id);
}

static void release(struct network *n, struct ip a)
{
	struct network_subnet *s = a.family ? network_subnet_of(n, a.family, a) : NULL;

	if (s)
		net_pool_release(s->pool, a);
}

static int take_addresses(struct endpoint *ep, struct err *e)
{
	const struct endpoint_ipam *want = ep->want.ipam;
	struct network *n = ep->net;
	struct ip ip4 = {0}, ip6 = {0};

	if (n->ipv4 && (want && str_is_set(want->ipv4) ? take_wanted(n, want->ipv4, 4, &ip4, e)
						       : take_next(n, 4, ep->ip4, &ip4, e)) < 0)
		return -1;
	if (n->ipv6 && (want && str_is_set(want->ipv6) ? take_wanted(n, want->ipv6, 6, &ip6, e)
						       : take_next(n, 6, ep->ip6, &ip6, e)) < 0) {
		release(n, ip4);
		return -1;
	}
	ep->ip4 = ip4;
	ep->ip6 = ip6;
	return 0;
}

/* By the address, so that neighbours' caches hold when a container comes back. */
static void choose_mac(struct endpoint *ep)
{
	struct ip a = ep->ip4.family ? ep->ip4 : ep->ip6;

	if (ip_mac_parse(ep->want.mac_address, &ep->mac) == 0)
		return;
	ep->mac = (struct ip_mac){{0x02, 0x42}};
	memcpy(ep->mac.b + 2, a.b + (a.family == 6 ? 12 : 0), 4);
}

static void choose_name(struct endpoint *ep)
{
	const char *wanted = strmap_get(&ep->want.driver_opts,
					"com.docker.network.endpoint.ifname");
	const char *prefix = strmap_get(&ep->net->options,
					"com.docker.network.container_iface_prefix");

	if (str_is_set(wanted)) {
		snprintf(ep->ifname, sizeof ep->ifname, "%s", wanted);
		return;
	}
	for (int i = 0;; i++) {
		bool used = false;

		snprintf(ep->ifname, sizeof ep->ifname, "%.10s%d",
			 str_is_set(prefix) ? prefix : "eth", i);
		LIST_FOR_EACH (it, &ep->c->endpoints) {
			const struct endpoint *o = LIST_ENTRY(it, struct endpoint, link);

			used |= o != ep && o->state != ENDPOINT_CONFIGURED &&
				strcmp(o->ifname, ep->ifname) == 0;
		}
		if (!used)
			return;
	}
}

static int reserve(struct endpoint *ep, struct err *e)
{
	if (endpoint_resolve(ep, e) < 0)
		return -1;
	if (ep->net->config_only)
		return err_set(e, ERR_DENIED, "configuration-only network %s cannot be used",
			       ep->net->name);
	network_watch(ep->c->g);
	if (network_device_up(ep->net, e) < 0 || take_addresses(ep, e) < 0)
		return -1;
	id_random(ep->id);
	choose_mac(ep);
	choose_name(ep);
	*ep->hostif = '\0';
	if (ep->net->driver == NET_BRIDGE)
		snprintf(ep->hostif, sizeof ep->hostif, "veth%.7s", ep->id);
	ep->state = ENDPOINT_RESERVED;
	list_add_tail(&ep->net->endpoints, &ep->by_network);
	return 0;
}

static void unreserve(struct endpoint *ep)
{
	if (ep->state == ENDPOINT_CONFIGURED)
		return;
	list_del(&ep->by_network);
	release(ep->net, ep->ip4);
	release(ep->net, ep->ip6);
	ep->state = ENDPOINT_CONFIGURED;
}

int endpoints_reserve(struct container *c, struct err *e)
{
	int rc = 0;

	LIST_FOR_EACH (it, &c->endpoints) {
		if (rc == 0)
			rc = reserve(LIST_ENTRY(it, struct endpoint, link), e);
	}
	if (rc == 0)
		rc = ports_reserve(c, e);
	if (rc < 0)
		endpoints_down(c);
	return rc < 0 ? err_wrap(e, ENDPOINTS_FAILED) : 0;
}

/* ---- interfaces ---- */

static uint32_t lan_mode(const struct network *n)
{
	static const struct {
		const char *name;
		enum network_driver driver;
		uint32_t mode;
	} modes[] = {
		{"bridge", NET_MACVLAN, MACVLAN_MODE_BRIDGE},
		{"private", NET_MACVLAN, MACVLAN_MODE_PRIVATE},
		{"vepa", NET_MACVLAN, MACVLAN_MODE_VEPA},
		{"passthru", NET_MACVLAN, MACVLAN_MODE_PASSTHRU},
		{"l2", NET_IPVLAN, IPVLAN_MODE_L2},
		{"l3", NET_IPVLAN, IPVLAN_MODE_L3},
		{"l3s", NET_IPVLAN, IPVLAN_MODE_L3S},
	};
	const char *v = strmap_get(&n->options,
				   n->driver == NET_MACVLAN ? "macvlan_mode" : "ipvlan_mode");

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i].driver == n->driver && v && strcmp(v, modes[i].name) == 0)
			return modes[i].mode;
	return n->driver == NET_MACVLAN ? MACVLAN_MODE_BRIDGE : IPVLAN_MODE_L2;
}

static void add_address(struct link_end *l, struct network *n, struct ip a)
{
	const struct network_subnet *s = a.family ? network_subnet_of(n, a.family, a) : NULL;

	if (s)
		l->address[l->naddresses++] = (struct ip_prefix){a, s->subnet.len};
}

static void describe(const struct endpoint *ep, struct link_end *l, char alias[static 96])
{
	struct network *n = ep->net;
	const struct endpoint_ipam *want = ep->want.ipam;

	snprintf(alias, 96, LINK_ALIAS "%.8s:endpoint:%.64s", n->g->engine_id, ep->id);
	*l = (struct link_end){.kind = n->driver == NET_MACVLAN	 ? LINK_MACVLAN
				       : n->driver == NET_IPVLAN ? LINK_IPVLAN
								 : LINK_VETH,
			       .inside = ep->ifname,
			       .outside = ep->hostif,
			       .alias = alias,
			       .master = n->bridge,
			       .mtu = n->mtu,
			       .isolated = n->driver == NET_BRIDGE && !n->icc,
			       .mac = ep->mac,
			       .has_mac = true,
			       .ipv6 = ep->ip6.family != 0};
	if (l->kind != LINK_VETH)
		l->mode = lan_mode(n);
	add_address(l, n, ep->ip4);
	add_address(l, n, ep->ip6);
	for (size_t i = 0; want && i < want->link_local.n && l->naddresses < ARRAY_SIZE(l->address);
	     i++) {
		struct ip a;

		if (ip_parse(want->link_local.v[i], &a) == 0)
			l->address[l->naddresses++] = (struct ip_prefix){a,
									 a.family == 4 ? 16 : 64};
	}
}

static int plug(struct endpoint *ep, int netns, struct err *e)
{
	struct link_end l;
	char alias[96];
	struct err ignored = ERR_INIT;

	describe(ep, &l, alias);
	if (link_end_up(&l, netns, &ep->mac, e) < 0)
		return err_wrap(e, "endpoint of %s in network %s", ep->c->name, ep->net->name);
	if (endpoint_sysctls(&ep->want, ep->ifname, netns, e) < 0) {
		link_end_down(&l, netns, &ignored);
		return err_wrap(e, "endpoint of %s in network %s", ep->c->name, ep->net->name);
	}
	ep->state = ENDPOINT_UP;
	return 0;
}

/* Which endpoint leads out: the highest priority, else the first name in the alphabet, as Docker
 * has it. Internal networks never do. */
struct endpoint *endpoints_gateway(const struct container *c, uint8_t family)
{
	struct endpoint *best = NULL;

	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);
		struct ip a = family == 4 ? ep->ip4 : ep->ip6;

		if (ep->state != ENDPOINT_UP || !ep->net || ep->net->internal || !a.family)
			continue;
		if (!best || ep->want.gw_priority > best->want.gw_priority ||
		    (ep->want.gw_priority == best->want.gw_priority &&
		     strcmp(ep->net->name, best->net->name) < 0))
			best = ep;
	}
	return best;
}

static struct ip gateway_of(const struct endpoint *ep, uint8_t family)
{
	const struct network_subnet *s =
		ep ? network_subnet_of(ep->net, family, family == 4 ? ep->ip4 : ep->ip6) : NULL;

	if (!s)
		return (struct ip){0};
	if (ep->net->driver == NET_IPVLAN && lan_mode(ep->net) != IPVLAN_MODE_L2)
		return (struct ip){
			.family = family}; /* there is no gateway, the interface leads out */
	return s->gateway;
}

static int route(struct container *c, int netns, struct err *e)
{
	const struct endpoint *out4 = endpoints_gateway(c, 4), *out6 = endpoints_gateway(c, 6);
	struct ip none = {0};

	if (out4 && out6 && out4 != out6) {
		if (link_default_routes(netns, out4->ifname, gateway_of(out4, 4), none, false, e) <
		    0)
			return -1;
		return link_add_default(netns, out6->ifname, gateway_of(out6, 6), e);
	}
	if (!out4 && !out6 && list_empty(&c->endpoints))
		return 0;
	return link_default_routes(netns,
				   out4	  ? out4->ifname
				   : out6 ? out6->ifname
					  : "lo",
				   gateway_of(out4, 4), gateway_of(out6, 6), false, e);
}

int endpoints_up(struct container *c, int netns, struct err *e)
{
	int rc = 0;

	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (rc == 0 && ep->state == ENDPOINT_RESERVED)
			rc = plug(ep, netns, e);
	}
	if (rc == 0 && route(c, netns, e) < 0)
		rc = -1;
	if (rc == 0 && (ports_up(c, e) < 0 || names_up(c, netns, e) < 0))
		rc = -1;
	LIST_FOR_EACH (it, &c->endpoints) {
		if (rc == 0)
			endpoint_event(LIST_ENTRY(it, struct endpoint, link), "connect");
	}
	if (rc == 0)
		return 0;
	endpoints_down(c);
	return err_wrap(e, ENDPOINTS_FAILED);
}

/* ---- away ---- */

void endpoints_down(struct container *c)
{
	AUTO_FREE char(*ports)[IFNAMSIZ] = NULL;
	size_t max = 0, n = 0;

	LIST_FOR_EACH (it, &c->endpoints)
		max++;
	if (max == 0)
		return;
	ports_down(c);
	names_down(c);
	ports = xcalloc(max, sizeof *ports);
	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		ep->was_up = false;
		if (ep->state == ENDPOINT_UP && *ep->hostif)
			memcpy(ports[n++], ep->hostif, IFNAMSIZ);
		if (ep->state == ENDPOINT_UP)
			endpoint_event(ep, "disconnect");
		unreserve(ep);
	}
	network_unplugged(c->g, ports, n);
}

/* ---- one endpoint of a running container ---- */

int endpoint_plug(struct endpoint *ep, int netns, struct err *e)
{
	if (reserve(ep, e) < 0)
		return -1;
	if (plug(ep, netns, e) < 0) {
		unreserve(ep);
		return -1;
	}
	if (route(ep->c, netns, e) == 0 && ports_moved(ep->c, e) == 0)
		return 0;
	endpoint_unplug(ep, netns);
	return -1;
}

void endpoint_unplug(struct endpoint *ep, int netns)
{
	struct link_end l;
	char alias[96];
	struct err e = ERR_INIT;

	if (ep->state == ENDPOINT_UP && ep->net) {
		describe(ep, &l, alias);
		if (link_end_down(&l, netns, &e) < 0)
			log_container(LOG_LEVEL_WARN, ep->c->id, "%s", e.text);
	}
	unreserve(ep);
	err_clear(&e);
	if (netns >= 0 && (route(ep->c, netns, &e) < 0 || ports_moved(ep->c, &e) < 0))
		log_container(LOG_LEVEL_WARN, ep->c->id, "%s", e.text);
}

void endpoint_reattach(const struct endpoint *ep)
{
	struct err e = ERR_INIT;

	if (*ep->hostif && link_port_attach(ep->hostif, ep->net->bridge, !ep->net->icc, &e) < 0)
		log_warn("container %s lost its end in network %s: %s", ep->c->name, ep->net->name,
			 e.text);
}

/* ---- a new engine ---- */

int endpoints_adopt(struct container *c, struct err *e)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);
		struct err problem = ERR_INIT;
		struct network_subnet *s;

		if (!ep->was_up)
			continue;
		ep->was_up = false;
		if (endpoint_resolve(ep, &problem) < 0 ||
		    network_device_up(ep->net, &problem) < 0) {
			log_container(LOG_LEVEL_ERROR, c->id, "%s", problem.text);
			if (!ep->net)
				continue;
		}
		s = ep->ip4.family ? network_subnet_of(ep->net, 4, ep->ip4) : NULL;
		if (s && net_pool_take(s->pool, ep->ip4) < 0)
			log_container(LOG_LEVEL_ERROR, c->id, "its address is taken twice");
		s = ep->ip6.family ? network_subnet_of(ep->net, 6, ep->ip6) : NULL;
		if (s && net_pool_take(s->pool, ep->ip6) < 0)
			log_container(LOG_LEVEL_ERROR, c->id, "its address is taken twice");
		ep->state = ENDPOINT_UP;
		list_add_tail(&ep->net->endpoints, &ep->by_network);
		network_watch(c->g);
		endpoint_reattach(ep);
	}
	return ports_adopt(c, e);
}
