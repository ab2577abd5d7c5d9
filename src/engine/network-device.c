/* SPDX-License-Identifier: Apache-2.0 */
/* What a network is in the host: its bridge or the parent of its sub-interfaces, and its rules. */
#include "base/log.h"
#include "engine/network.h"
#include "net/link.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const char *alias_of(const struct network *n, char ret[static 96])
{
	snprintf(ret, 96, LINK_ALIAS "%.8s:network:%.64s", n->g->engine_id, n->id);
	return ret;
}

static int bridge_up(struct network *n, struct err *e)
{
	char alias[96];
	struct link_bridge b = {
		.name = n->bridge, .alias = alias_of(n, alias), .mtu = n->mtu, .ipv6 = n->ipv6};
	bool made = false;

	for (size_t i = 0; i < n->nsubnets && b.naddresses < ARRAY_SIZE(b.address); i++)
		if (n->subnet[i].gateway.family)
			b.address[b.naddresses++] = (struct ip_prefix){n->subnet[i].gateway,
								       n->subnet[i].subnet.len};
	return link_bridge_up(&b, &made, e);
}

/* Docker's name for the parent of an internal one: "dm-" and the start of the id. */
static int parent_up(struct network *n, struct err *e)
{
	bool dummy = !*n->bridge, made = false;
	char alias[96];

	if (dummy)
		snprintf(n->bridge, sizeof n->bridge, "dm-%.12s", n->id);
	return link_parent_up(n->bridge, alias_of(n, alias), dummy || str_starts(n->bridge, "dm-"),
			      &made, e);
}

int network_device_up(struct network *n, struct err *e)
{
	switch (n->driver) {
	case NET_BRIDGE:
		if (bridge_up(n, e) < 0)
			return -1;
		return network_rules_up(n, e);
	case NET_MACVLAN:
	case NET_IPVLAN:
		return parent_up(n, e);
	case NET_HOST:
	case NET_NULL:
		break;
	}
	return 0;
}

struct removal {
	const char *alias;
	char name[16][IFNAMSIZ];
	size_t n;
};

static void note_own(const char *name, const char *rest, void *ud)
{
	struct removal *r = ud;

	if (strcmp(rest, r->alias + strlen(LINK_ALIAS)) == 0 && r->n < ARRAY_SIZE(r->name))
		snprintf(r->name[r->n++], IFNAMSIZ, "%s", name);
}

/* Only what we made: a bridge or parent that was there before has no alias of ours. */
void network_device_down(struct network *n)
{
	char alias[96];
	struct removal r = {.alias = alias_of(n, alias)};

	if (n->driver == NET_BRIDGE)
		network_rules_down(n);
	link_each_ours(note_own, &r);
	for (size_t i = 0; i < r.n; i++) {
		struct err e = ERR_INIT;

		if (link_remove(r.name[i], &e) < 0)
			log_warn("network %s: %s", n->name, e.text);
	}
}

void networks_leave(struct engine *g)
{
	struct err e = ERR_INIT;

	LIST_FOR_EACH (it, &g->networks)
		if (!list_empty(&LIST_ENTRY(it, struct network, link)->endpoints))
			return;
	/* one that never used networks has nothing to take away, and does not ask the kernel for it
	 */
	if (!g->firewall)
		return;
	LIST_FOR_EACH (it, &g->networks) {
		struct network *n = LIST_ENTRY(it, struct network, link);

		if (network_is_default(n))
			network_device_down(n);
	}
	if (firewall_remove(g->firewall, &e) < 0)
		log_warn("the rules of the networks stay: %s", e.text);
}
