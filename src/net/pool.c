/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of one subnet. What is taken stands in a sorted list; the search for the lowest free
 * one begins where the last one ended, so a filling pool costs no scan per address. */
#include "net/pool.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

struct net_pool {
	struct ip_prefix subnet, range;
	struct ip *v; /* sorted */
	size_t n, cap;
	struct ip hint; /* everything in the range below it is taken; family 0: nothing known */
};

#define P4(w, x, y, z, length)                                                                     \
	{                                                                                          \
		.ip = {.family = 4, .b = {w, x, y, z}}, .len = (length)                            \
	}
const struct net_pool_base net_pool_defaults[] = {
	{P4(172, 17, 0, 0, 16), 16},  {P4(172, 18, 0, 0, 16), 16}, {P4(172, 19, 0, 0, 16), 16},
	{P4(172, 20, 0, 0, 14), 16},  {P4(172, 24, 0, 0, 14), 16}, {P4(172, 28, 0, 0, 14), 16},
	{P4(192, 168, 0, 0, 16), 20},
};
const size_t net_pool_ndefaults = sizeof net_pool_defaults / sizeof *net_pool_defaults;

struct net_pool *net_pool_new(struct ip_prefix subnet, struct ip_prefix range)
{
	struct net_pool *p = NEW(struct net_pool);

	p->subnet = (struct ip_prefix){ip_mask(subnet), subnet.len};
	p->range = (struct ip_prefix){ip_mask(range), range.len};
	return p;
}

void net_pool_free(struct net_pool *p)
{
	if (!p)
		return;
	free(p->v);
	free(p);
}

/* Where it stands, or would stand. */
static size_t place(const struct net_pool *p, struct ip a, bool *found)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip_cmp(p->v[mid], a) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < p->n && ip_cmp(p->v[lo], a) == 0;
	return lo;
}

static void insert(struct net_pool *p, size_t at, struct ip a)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 8;
		p->v = xrealloc(p->v, p->cap * sizeof *p->v);
	}
	memmove(p->v + at + 1, p->v + at, (p->n - at) * sizeof *p->v);
	p->v[at] = a;
	p->n++;
}

static bool never_given(const struct net_pool *p, struct ip a)
{
	unsigned host = ip_bits(a) - p->subnet.len;

	if (host < 2) /* RFC 3021, RFC 6164: both ends of a link */
		return false;
	return ip_cmp(a, p->subnet.ip) == 0 ||
	       (a.family == 4 && ip_cmp(a, ip_last(p->subnet)) == 0);
}

int net_pool_take(struct net_pool *p, struct ip a)
{
	bool found;
	size_t at;

	if (!ip_prefix_has(p->subnet, a) || never_given(p, a))
		return -ERANGE;
	at = place(p, a, &found);
	if (found)
		return -EEXIST;
	insert(p, at, a);
	return 0;
}

int net_pool_next(struct net_pool *p, struct ip *ret)
{
	struct ip a = p->hint.family ? p->hint : p->range.ip, last = ip_last(p->range);
	bool found;
	size_t at = place(p, a, &found);

	for (;; a = ip_add(a, 1)) {
		if (!a.family || ip_cmp(a, last) > 0)
			return -ENOSPC;
		if (at < p->n && ip_cmp(p->v[at], a) == 0) {
			at++;
			continue;
		}
		if (!never_given(p, a))
			break;
	}
	insert(p, at, a);
	p->hint = ip_add(a, 1);
	if (!p->hint.family)
		p->hint = a;
	*ret = a;
	return 0;
}

void net_pool_release(struct net_pool *p, struct ip a)
{
	bool found;
	size_t at = place(p, a, &found);

	if (!found)
		return;
	memmove(p->v + at, p->v + at + 1, (p->n - at - 1) * sizeof *p->v);
	p->n--;
	if (p->hint.family && ip_prefix_has(p->range, a) && ip_cmp(a, p->hint) < 0)
		p->hint = a;
}

/* The last subnet of `size` that overlaps s, so that the search goes on behind all of it. */
static struct ip behind(struct ip_prefix s, uint8_t size)
{
	struct ip_prefix whole = {s.ip, s.len < size ? s.len : size};
	struct ip_prefix block = {ip_last(whole), size};

	return ip_add(ip_last(block), 1);
}

int net_pool_choose(const struct net_pool_base *bases, size_t nbases, uint8_t family,
		    const struct ip_prefix *taken, size_t ntaken, struct ip_prefix *ret)
{
	for (size_t i = 0; i < nbases; i++) {
		const struct net_pool_base *b = &bases[i];
		struct ip_prefix s = {ip_mask(b->base), b->size};
		struct ip last = ip_last(b->base);
		size_t k = 0;

		if (b->base.ip.family != family || b->size < b->base.len)
			continue;
		while (s.ip.family && ip_cmp(s.ip, last) <= 0) {
			for (k = 0; k < ntaken && !ip_prefix_overlap(taken[k], s); k++)
				;
			if (k == ntaken) {
				*ret = s;
				return 0;
			}
			s.ip = behind((struct ip_prefix){ip_mask(taken[k]), taken[k].len}, b->size);
		}
	}
	return -ENOSPC;
}
