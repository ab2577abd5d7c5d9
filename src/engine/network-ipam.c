/* SPDX-License-Identifier: Apache-2.0 */
/* The subnets of a network: what the user asked for is checked, what he left open is chosen. */
#include "engine/network.h"
#include "net/link.h"
#include "net/pool.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define BASES_MAX 64
#define INVALID	  "invalid network config:\n"

/* ---- what is asked for ---- */

static int parse_subnet(const struct network *n, const char *text, struct ip_prefix *ret,
			struct err *e)
{
	struct ip_prefix p;
	char good[IP_TEXT_MAX];

	if (ip_prefix_parse(text, &p) < 0)
		return err_set(e, ERR_INVALID, INVALID "invalid subnet %s: invalid CIDR address",
			       text);
	*ret = (struct ip_prefix){ip_mask(p), p.len};
	if (ip_cmp(ret->ip, p.ip) != 0)
		return err_set(e, ERR_INVALID, INVALID "invalid subnet %s: it should be %s", text,
			       ip_prefix_format(*ret, good));
	if (p.ip.family == 6 && !n->ipv6)
		return err_set(e, ERR_INVALID,
			       INVALID
			       "invalid subnet %s: IPv6 has not been enabled for this network",
			       text);
	if (p.ip.family == 4 && !n->ipv4)
		return err_set(e, ERR_INVALID,
			       INVALID "invalid subnet %s: IPv4 has been disabled for this network",
			       text);
	return 0;
}

static int parse_range(const char *text, const struct ip_prefix *subnet, struct ip_prefix *ret,
		       struct err *e)
{
	char good[IP_TEXT_MAX], of[IP_TEXT_MAX];
	struct ip_prefix p;

	if (ip_prefix_parse(text, &p) < 0)
		return err_set(e, ERR_INVALID, INVALID "invalid ip-range %s: invalid CIDR address",
			       text);
	*ret = (struct ip_prefix){ip_mask(p), p.len};
	if (p.ip.family != subnet->ip.family)
		return err_set(e, ERR_INVALID,
			       INVALID "invalid ip-range %s: parent subnet is an IPv%d block", text,
			       subnet->ip.family);
	if (p.len < subnet->len)
		return err_set(
			e, ERR_INVALID,
			INVALID
			"invalid ip-range %s: CIDR block is bigger than its parent subnet %s",
			text, ip_prefix_format(*subnet, of));
	if (ip_cmp(ret->ip, p.ip) != 0)
		return err_set(e, ERR_INVALID, INVALID "invalid ip-range %s: it should be %s", text,
			       ip_prefix_format(*ret, good));
	if (!ip_prefix_has(*subnet, p.ip))
		return err_set(e, ERR_INVALID,
			       INVALID
			       "invalid ip-range %s: parent subnet %s doesn't contain ip-range",
			       text, ip_prefix_format(*subnet, of));
	return 0;
}

static int parse_address(const char *what, const char *text, const struct ip_prefix *subnet,
			 struct ip *ret, struct err *e)
{
	char of[IP_TEXT_MAX];

	if (ip_parse(text, ret) < 0)
		return err_set(e, ERR_INVALID, INVALID "invalid %s %s: invalid address", what,
			       text);
	if (ret->family != subnet->ip.family)
		return err_set(e, ERR_INVALID,
			       INVALID "invalid %s %s: parent subnet is an IPv%d block", what, text,
			       subnet->ip.family);
	if (!ip_prefix_has(*subnet, *ret))
		return err_set(e, ERR_INVALID,
			       INVALID
			       "invalid %s %s: parent subnet %s doesn't contain this address",
			       what, text, ip_prefix_format(*subnet, of));
	return 0;
}

static int parse_config(struct network *n, const struct ipam_config *c, struct network_subnet *s,
			struct err *e)
{
	struct ip aux;

	if (parse_subnet(n, c->subnet, &s->subnet, e) < 0)
		return -1;
	s->range = s->subnet;
	if (str_is_set(c->ip_range) && parse_range(c->ip_range, &s->subnet, &s->range, e) < 0)
		return -1;
	if (str_is_set(c->gateway) &&
	    parse_address("gateway", c->gateway, &s->subnet, &s->gateway, e) < 0)
		return -1;
	for (size_t i = 0; i < c->aux.n; i++)
		if (parse_address("auxiliary address", c->aux.v[i].v, &s->subnet, &aux, e) < 0)
			return -1;
	s->aux = c->aux;
	return 0;
}

/* ---- what is chosen ---- */

static size_t taken(const struct network *n, bool routes, struct ip_prefix *v, size_t max)
{
	size_t k = 0;

	LIST_FOR_EACH (it, &n->g->networks) {
		const struct network *o = LIST_ENTRY(it, struct network, link);

		for (size_t i = 0; o != n && i < o->nsubnets && k < max; i++)
			v[k++] = o->subnet[i].subnet;
	}
	for (size_t i = 0; i < n->nsubnets && k < max; i++)
		v[k++] = n->subnet[i].subnet;
	if (routes)
		k += link_routes(v + k, max - k);
	return k;
}

static size_t configured_bases(const struct config *c, uint8_t family, struct net_pool_base *v)
{
	const struct config_pool *p = c->default_address_pools.v;
	size_t n = 0;

	for (size_t i = 0; i < c->default_address_pools.n && n < BASES_MAX; i++)
		if (ip_prefix_parse(p[i].base, &v[n].base) == 0 && v[n].base.ip.family == family)
			v[n++].size = (uint8_t)p[i].size;
	return n;
}

/* RFC 4193 wants a random 40 bit global id: the engine's own id has more than that. */
static struct net_pool_base unique_local(const struct engine *g)
{
	struct net_pool_base b = {.base = {.ip = {.family = 6}, .len = 48}, .size = 64};
	unsigned k = 1, half = 0;

	b.base.ip.b[0] = 0xfd;
	for (const char *s = g->engine_id; *s && k < 6; s++) {
		int d = *s >= '0' && *s <= '9'	 ? *s - '0'
			: *s >= 'a' && *s <= 'f' ? *s - 'a' + 10
						 : -1;

		if (d < 0)
			continue;
		b.base.ip.b[k] = (uint8_t)(b.base.ip.b[k] << 4 | d);
		k += half++ & 1;
	}
	return b;
}

static int choose(struct network *n, uint8_t family, struct err *e)
{
	struct net_pool_base own[BASES_MAX];
	const struct net_pool_base *bases = own;
	size_t nbases = configured_bases(n->g->config, family, own), max = 4096;
	AUTO_FREE struct ip_prefix *used = xcalloc(max, sizeof *used);
	struct network_subnet *s = &n->subnet[n->nsubnets];

	if (nbases == 0 && family == 6) {
		own[0] = unique_local(n->g);
		nbases = 1;
	} else if (nbases == 0) {
		bases = net_pool_defaults;
		nbases = net_pool_ndefaults;
	}
	if (net_pool_choose(bases, nbases, family, used, taken(n, true, used, max), &s->subnet) < 0)
		return err_set(e, ERR_INVALID,
			       "all predefined address pools have been fully subnetted");
	s->range = s->subnet;
	n->nsubnets++;
	return 0;
}

static int refuse_overlap(struct network *n, size_t i, struct err *e)
{
	AUTO_FREE struct ip_prefix *used = xcalloc(4096, sizeof *used);
	size_t k = taken(n, false, used, 4096);

	for (size_t j = 0; j < k; j++)
		if (ip_prefix_overlap(used[j], n->subnet[i].subnet))
			return err_set(e, ERR_DENIED,
				       "invalid pool request: Pool overlaps with other one on this "
				       "address space");
	return 0;
}

/* ---- pools ---- */

static int take(struct network_subnet *s, struct ip a, const char *what, struct err *e)
{
	char text[IP_TEXT_MAX];
	int rc = net_pool_take(s->pool, a);

	if (rc == -EEXIST)
		return err_set(e, ERR_DENIED, "failed to allocate %s (%s): Address already in use",
			       what, ip_format(a, text));
	if (rc < 0)
		return err_set(
			e, ERR_INVALID,
			"failed to allocate %s (%s): it is the first or the last address of its "
			"subnet",
			what, ip_format(a, text));
	return 0;
}

static int open_pool(struct network *n, struct network_subnet *s, struct err *e)
{
	struct ip aux;

	s->pool = net_pool_new(s->subnet, s->range);
	for (size_t i = 0; i < s->aux.n; i++) {
		if (strcmp(s->aux.v[i].k, "DefaultGatewayIPv4") == 0)
			continue;
		if (ip_parse(s->aux.v[i].v, &aux) == 0 &&
		    take(s, aux, "secondary ip address", e) < 0)
			return -1;
	}
	if (s->gateway.family)
		return take(s, s->gateway, "gateway", e);
	/* ipvlan L3 and internal macvlan know no gateway, but Docker sets the address aside too */
	if (net_pool_next(s->pool, &s->gateway) < 0)
		return err_set(e, ERR_DENIED,
			       "failed to allocate gateway (): no available IPv%d "
			       "addresses on this network's address pools",
			       s->subnet.ip.family);
	return 0;
}

/* n->ipam says from now on what really is. */
static void write_back(struct network *n)
{
	struct ipam_config *v = arena_alloc(n->arena, (n->nsubnets + 1) * sizeof *v);
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < n->nsubnets; i++) {
		const struct network_subnet *s = &n->subnet[i];

		v[i].subnet = arena_strdup(n->arena, ip_prefix_format(s->subnet, text));
		v[i].gateway = arena_strdup(n->arena, ip_format(s->gateway, text));
		v[i].aux = s->aux;
		if (ip_cmp(s->range.ip, s->subnet.ip) != 0 || s->range.len != s->subnet.len)
			v[i].ip_range = arena_strdup(n->arena, ip_prefix_format(s->range, text));
	}
	n->ipam.config = (struct objs){.v = v, .n = n->nsubnets, .set = true};
}

static int fill_addresses(struct network *n, struct err *e)
{
	const struct ipam_config *c = n->ipam.config.v;
	bool have4 = false, have6 = false;

	if (strcmp(n->ipam.driver, "null") == 0 || n->config_only)
		return 0;
	if (strcmp(n->ipam.driver, "default") != 0)
		return err_set(e, ERR_NOT_FOUND, "plugin \"%s\" not found", n->ipam.driver);
	for (size_t i = 0; i < n->ipam.config.n; i++) {
		struct network_subnet *s = &n->subnet[n->nsubnets];

		if (!str_is_set(c[i].subnet)) {
			if (str_is_set(c[i].ip_range) || str_is_set(c[i].gateway))
				return err_set(e, ERR_INVALID,
					       INVALID
					       "invalid subnet : an ip-range or a gateway needs "
					       "a subnet");
			continue;
		}
		if (n->nsubnets == NETWORK_SUBNETS_MAX)
			return err_set(e, ERR_INVALID, "a network has at most %d subnets",
				       NETWORK_SUBNETS_MAX);
		*s = (struct network_subnet){0};
		if (parse_config(n, &c[i], s, e) < 0 || refuse_overlap(n, n->nsubnets, e) < 0)
			return -1;
		*(s->subnet.ip.family == 4 ? &have4 : &have6) = true;
		n->nsubnets++;
		n->asked_subnets = true;
	}
	if ((n->ipv4 && !have4 && choose(n, 4, e) < 0) ||
	    (n->ipv6 && !have6 && choose(n, 6, e) < 0))
		return -1;
	for (size_t i = 0; i < n->nsubnets; i++)
		if (open_pool(n, &n->subnet[i], e) < 0)
			return -1;
	write_back(n);
	return 0;
}

/* A network whose row no longer fits is still shown and removed: it then has no subnet at all, not
 * one without a pool. */
int network_addresses(struct network *n, struct err *e)
{
	int rc = fill_addresses(n, e);

	if (rc < 0)
		network_addresses_free(n);
	return rc;
}

void network_addresses_free(struct network *n)
{
	for (size_t i = 0; i < n->nsubnets; i++)
		net_pool_free(n->subnet[i].pool);
	n->nsubnets = 0;
}
