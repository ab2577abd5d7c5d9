/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of networks, endpoints and names. An endpoint is in one table by each of its names, so
 * that a change costs the same in a network of five containers and of five hundred. */
#include "base/mem.h"
#include "names/zone-priv.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

struct zones *zones_new(void)
{
	struct zones *z = NEW(struct zones);

	z->by_id = map_new();
	return z;
}

static char *lower(const char *s)
{
	char *copy = xstrdup(s);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* ---- endpoints ---- */

static void name_add(struct zone *z, const char *key, struct zone_endpoint *ep)
{
	struct zone_name *n = map_get(z->names, key);

	if (!n) {
		n = NEW(struct zone_name);
		map_set(z->names, key, n);
	}
	for (size_t i = 0; i < n->n; i++)
		if (n->v[i] == ep)
			return; /* it has the name twice */
	if (n->n == n->cap) {
		n->cap = n->cap ? 2 * n->cap : 2;
		n->v = xrealloc(n->v, n->cap * sizeof(struct zone_endpoint *));
	}
	n->v[n->n++] = ep;
}

static void name_free(struct zone_name *n)
{
	if (!n)
		return;
	free(n->v);
	free(n);
}

static void name_remove(struct zone *z, const char *key, const struct zone_endpoint *ep)
{
	struct zone_name *n = map_get(z->names, key);

	for (size_t i = 0; n && i < n->n; i++)
		if (n->v[i] == ep) {
			n->v[i] = n->v[--n->n];
			break;
		}
	if (n && n->n == 0)
		name_free(map_del(z->names, key));
}

static void endpoint_free(struct zone_endpoint *ep)
{
	for (size_t i = 0; i < ep->names.n; i++)
		free((void *)(uintptr_t)ep->names.v[i]);
	free(ep->names.v);
	free(ep->address);
	free(ep->id);
	free(ep);
}

static void endpoint_remove(struct zone *z, const char *id)
{
	struct zone_endpoint *ep = map_del(z->endpoints, id);
	char text[IP_TEXT_MAX];

	if (!ep)
		return;
	for (size_t i = 0; i < ep->names.n; i++)
		name_remove(z, ep->names.v[i], ep);
	for (size_t i = 0; i < ep->naddress; i++)
		if (map_get(z->addresses, ip_format(ep->address[i], text)) == ep)
			map_del(z->addresses, text);
	endpoint_free(ep);
}

/* ---- networks ---- */

static struct zone *zone_get(struct zones *z, const char *id)
{
	struct zone *n = map_get(z->by_id, id);

	if (!n) {
		n = NEW(struct zone);
		n->name = xstrdup("");
		n->endpoints = map_new();
		n->names = map_new();
		n->addresses = map_new();
		map_set(z->by_id, id, n);
	}
	n->generation = z->generation;
	return n;
}

static void zone_free(struct zone *n)
{
	size_t pos = 0;
	void *v;

	if (!n)
		return;
	while (map_next(n->endpoints, &pos, NULL, &v))
		endpoint_free(v);
	pos = 0;
	while (map_next(n->names, &pos, NULL, &v))
		name_free(v);
	map_free(n->endpoints);
	map_free(n->names);
	map_free(n->addresses);
	free(n->name);
	free(n);
}

void zones_network(struct zones *z, const char *id, const char *name)
{
	struct zone *n = zone_get(z, id);

	free(n->name);
	n->name = lower(name);
}

void zones_network_remove(struct zones *z, const char *id)
{
	zone_free(map_del(z->by_id, id));
}

void zones_endpoint(struct zones *z, const char *network, const char *id, const struct strs *names,
		    const struct strs *addresses)
{
	struct zone *n = zone_get(z, network);
	struct zone_endpoint *ep = NEW(struct zone_endpoint);
	char text[IP_TEXT_MAX];

	endpoint_remove(n, id);
	ep->id = xstrdup(id);
	ep->generation = z->generation;
	ep->names.v = xcalloc(names->n, sizeof(const char *));
	ep->address = xcalloc(addresses->n, sizeof(struct ip));
	for (size_t i = 0; i < addresses->n; i++)
		if (ip_parse(addresses->v[i], &ep->address[ep->naddress]) == 0)
			map_set(n->addresses, ip_format(ep->address[ep->naddress++], text), ep);
	for (size_t i = 0; i < names->n; i++) {
		ep->names.v[ep->names.n++] = lower(names->v[i]);
		name_add(n, ep->names.v[i], ep);
	}
	map_set(n->endpoints, id, ep);
}

void zones_endpoint_remove(struct zones *z, const char *network, const char *id)
{
	struct zone *n = map_get(z->by_id, network);

	if (n)
		endpoint_remove(n, id);
}

/* ---- everything ---- */

void zones_sync_begin(struct zones *z)
{
	z->generation++;
}

void zones_sync_end(struct zones *z)
{
	size_t pos = 0, at;
	const char *id, *ep_id;
	void *v, *ep;

	while (map_next(z->by_id, &pos, &id, &v)) {
		struct zone *n = v;

		if (n->generation != z->generation) {
			map_del(z->by_id, id);
			zone_free(n);
			continue;
		}
		at = 0;
		while (map_next(n->endpoints, &at, &ep_id, &ep))
			if (((struct zone_endpoint *)ep)->generation != z->generation)
				endpoint_remove(n, ep_id);
	}
}

void zones_free(struct zones *z)
{
	size_t pos = 0;
	void *v;

	if (!z)
		return;
	while (map_next(z->by_id, &pos, NULL, &v))
		zone_free(v);
	map_free(z->by_id);
	free(z);
}
