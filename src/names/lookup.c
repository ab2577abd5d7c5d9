/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container may know: the names of the networks it is in, in the order of its networks; its
 * own links before them; "name.network"; and host.docker.internal.
 */
#include "names/zone-priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/banned.h"

#define HOST_NAME "host.docker.internal"

/* Which of several containers comes first is a matter of balance, not of secrets. */
static uint64_t next_random(void)
{
	static uint64_t state;

	while (!state)
		if (getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
			state = 88172645463325252u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void shuffle(struct addresses *a)
{
	for (size_t i = a->n; i > 1; i--) {
		size_t j = (size_t)(next_random() % i);
		struct ip t = a->v[i - 1];

		a->v[i - 1] = a->v[j];
		a->v[j] = t;
	}
}

static void collect(const struct zone_name *n, uint8_t family, struct addresses *ret)
{
	/* with more endpoints than fit, not always the same ones */
	size_t first = n->n > ADDRESSES_MAX ? (size_t)(next_random() % n->n) : 0;

	for (size_t i = 0; i < n->n; i++) {
		const struct zone_endpoint *ep = n->v[(first + i) % n->n];

		for (size_t j = 0; j < ep->naddress && ret->n < ADDRESSES_MAX; j++)
			if (ep->address[j].family == family)
				ret->v[ret->n++] = ep->address[j];
	}
}

static const char *link_target(const struct names_membership *m, const char *name)
{
	for (size_t i = 0; i < m->links.n; i++)
		if (strcasecmp(m->links.v[i].k, name) == 0)
			return m->links.v[i].v;
	return NULL;
}

/* network: its name; NULL: all of the container's networks. */
static bool in_networks(const struct zones *z, const struct names_request *view, const char *name,
			const char *network, uint8_t family, struct addresses *ret)
{
	const struct names_membership *m = view->networks.v;
	bool known = false;

	for (int links = 1; links >= 0; links--)
		for (size_t i = 0; i < view->networks.n && ret->n == 0; i++) {
			const struct zone *n = map_get(z->by_id, m[i].id);
			const char *key = links ? link_target(&m[i], name) : name;
			const struct zone_name *found;

			if (!n || !key || (network && strcmp(n->name, network) != 0))
				continue;
			found = map_get(n->names, key);
			if (found) {
				known = true;
				collect(found, family, ret);
			}
		}
	return known;
}

bool lookup_name(const struct zones *z, const struct names_request *view, const char *name,
		 uint8_t family, struct addresses *ret)
{
	char part[PACKET_NAME_MAX];
	bool known;

	ret->n = 0;
	known = in_networks(z, view, name, NULL, family, ret);
	/* "a.b.c" can be a in network b.c, and a.b in c; the longest name first. */
	for (const char *dot = name + strlen(name); ret->n == 0 && dot > name; dot--) {
		if (*dot != '.')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)(dot - name), name);
		known |= in_networks(z, view, part, dot + 1, family, ret);
	}
	if (!known && view->host.n > 0 && strcmp(name, HOST_NAME) == 0) {
		known = true;
		for (size_t i = 0; i < view->host.n; i++)
			if (ip_parse(view->host.v[i], &ret->v[ret->n]) == 0 &&
			    ret->v[ret->n].family == family && ret->n + 1 < ADDRESSES_MAX)
				ret->n++;
	}
	shuffle(ret);
	return known;
}

bool lookup_address(const struct zones *z, const struct names_request *view, struct ip a,
		    char ret[static PACKET_NAME_MAX])
{
	const struct names_membership *m = view->networks.v;
	char text[IP_TEXT_MAX];

	ip_format(a, text);
	for (size_t i = 0; i < view->networks.n; i++) {
		const struct zone *n = map_get(z->by_id, m[i].id);
		const struct zone_endpoint *ep = n ? map_get(n->addresses, text) : NULL;

		if (!ep || ep->names.n == 0)
			continue;
		return snprintf(ret, PACKET_NAME_MAX, "%s.%s", ep->names.v[0], n->name) <
		       PACKET_NAME_MAX;
	}
	return false;
}
