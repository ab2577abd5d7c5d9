/* SPDX-License-Identifier: Apache-2.0 */
/* What a container asks of networks: from the create body and `network connect` to endpoints, and
 * those to and from the container's row. */
#include "base/log.h"
#include "engine/network.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* ---- the row ---- */

/* An endpoint as it is kept: what was asked for, and what it has while the container runs. */
struct endpoint_saved {
	const char *name, *id; /* of the network */
	struct endpoint_settings want;
	const char *endpoint, *ip4, *ip6, *mac, *ifname, *hostif;
	bool up;
};

#define SF(type_, member, key) JSON_FIELD(type_, struct endpoint_saved, member, key, JSON_OMITEMPTY)
static const struct json_field saved_fields[] = {
	SF(JT_STR, name, "Network"),
	SF(JT_STR, id, "NetworkID"),
	JSON_SUB(JT_OBJ, struct endpoint_saved, want, "Settings", 0, &endpoint_settings_schema),
	SF(JT_STR, endpoint, "Endpoint"),
	SF(JT_STR, ip4, "IPv4"),
	SF(JT_STR, ip6, "IPv6"),
	SF(JT_STR, mac, "MAC"),
	SF(JT_STR, ifname, "Interface"),
	SF(JT_STR, hostif, "HostInterface"),
	SF(JT_BOOL, up, "Up"),
	{0},
};
const struct json_schema endpoint_saved_schema = {"endpoint", sizeof(struct endpoint_saved),
						  saved_fields};

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static struct endpoint *endpoint_new(struct container *c, const char *name, const char *id)
{
	struct endpoint *ep = NEW(struct endpoint);

	ep->c = c;
	ep->arena = arena_new();
	ep->net_name = arena_strdup(ep->arena, name);
	ep->net_id = arena_strdup(ep->arena, text_of(id));
	list_init(&ep->by_network);
	list_add_tail(&c->endpoints, &ep->link);
	return ep;
}

static void endpoint_free(struct endpoint *ep)
{
	list_del(&ep->link);
	list_del(&ep->by_network);
	arena_free(ep->arena);
	free(ep);
}

void endpoints_free(struct container *c)
{
	LIST_FOR_EACH (it, &c->endpoints)
		endpoint_free(LIST_ENTRY(it, struct endpoint, link));
}

static struct strs copy_strs(struct arena *a, const struct strs *s)
{
	struct strs ret = {.set = s->set};

	for (size_t i = 0; i < s->n; i++)
		strs_push(&ret, a, arena_strdup(a, s->v[i]));
	ret.set = s->set;
	return ret;
}

static struct strmap copy_map(struct arena *a, const struct strmap *m)
{
	struct strmap ret = {
		.v = arena_alloc(a, (m->n + 1) * sizeof *m->v), .n = m->n, .set = m->set};

	for (size_t i = 0; i < m->n; i++)
		ret.v[i] = (struct strmap_entry){arena_strdup(a, m->v[i].k),
						 arena_strdup(a, m->v[i].v)};
	return ret;
}

static const char *copy_str(struct arena *a, const char *s)
{
	return s && *s ? arena_strdup(a, s) : NULL;
}

/* Only what a user asks for; the rest of EndpointSettings is ours to say. */
static void copy_settings(struct endpoint *ep, const struct endpoint_settings *s)
{
	struct arena *a = ep->arena;

	ep->want = (struct endpoint_settings){.gw_priority = s->gw_priority};
	if (s->ipam) {
		struct endpoint_ipam *ipam = arena_alloc(a, sizeof *ipam);

		ipam->ipv4 = copy_str(a, s->ipam->ipv4);
		ipam->ipv6 = copy_str(a, s->ipam->ipv6);
		ipam->link_local = copy_strs(a, &s->ipam->link_local);
		ep->want.ipam = ipam;
	}
	ep->want.links = copy_strs(a, &s->links);
	ep->want.aliases = copy_strs(a, &s->aliases);
	ep->want.mac_address = copy_str(a, s->mac_address);
	ep->want.driver_opts = copy_map(a, &s->driver_opts);
}

int endpoints_load(struct container *c, const struct objs *saved, struct err *e)
{
	const struct endpoint_saved *v = saved->v;

	for (size_t i = 0; i < saved->n; i++) {
		struct endpoint *ep;

		if (!v[i].name)
			return err_set(e, ERR_INVALID, "an endpoint without a network");
		ep = endpoint_new(c, v[i].name, v[i].id);
		copy_settings(ep, &v[i].want);
		snprintf(ep->id, sizeof ep->id, "%s", text_of(v[i].endpoint));
		ip_parse(v[i].ip4, &ep->ip4);
		ip_parse(v[i].ip6, &ep->ip6);
		ip_mac_parse(v[i].mac, &ep->mac);
		snprintf(ep->ifname, sizeof ep->ifname, "%s", text_of(v[i].ifname));
		snprintf(ep->hostif, sizeof ep->hostif, "%s", text_of(v[i].hostif));
		/* only endpoints_adopt() can say that it is really so */
		ep->was_up = v[i].up;
	}
	return 0;
}

struct objs endpoints_save(const struct container *c, struct arena *a)
{
	struct endpoint_saved *v;
	size_t n = 0;

	LIST_FOR_EACH (it, &c->endpoints)
		n++;
	v = arena_alloc(a, (n + 1) * sizeof *v);
	n = 0;
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);
		char *ip4 = arena_alloc(a, IP_TEXT_MAX), *ip6 = arena_alloc(a, IP_TEXT_MAX),
		     *mac = arena_alloc(a, IP_MAC_TEXT_MAX);

		/* the addresses stay when it is down: the next start takes them again if it can */
		v[n++] = (struct endpoint_saved){.name = ep->net_name,
						 .id = ep->net_id,
						 .want = ep->want,
						 .endpoint = ep->id,
						 .ip4 = ip_format(ep->ip4, ip4),
						 .ip6 = ip_format(ep->ip6, ip6),
						 .mac = ip_mac_format(ep->mac, mac),
						 .ifname = ep->ifname,
						 .hostif = ep->hostif,
						 .up = ep->state == ENDPOINT_UP};
	}
	return (struct objs){.v = v, .n = n, .set = n > 0};
}
