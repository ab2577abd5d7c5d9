/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address management in memory: the addresses of one subnet, and the choice of subnets. Nothing is
 * kept on disk: the owner takes again what his records say. Pure, no I/O.
 */
#pragma once

#include "wire/ip.h"

#include <stddef.h>

struct net_pool;

/* Addresses are chosen in `range` (inside subnet, may be the same); others of the subnet can only
 * be asked for. The network's address and, for IPv4 prefixes up to /30, the broadcast address are
 * never given; IPv6: the first address (anycast of routers) is not. Memory grows with what is
 * taken. */
struct net_pool *net_pool_new(struct ip_prefix subnet, struct ip_prefix range);
void net_pool_free(struct net_pool *p); /* NULL allowed */
/* This one: 0, -EEXIST when it is taken, -ERANGE when it is not in the subnet or never given. */
int net_pool_take(struct net_pool *p, struct ip a);
int net_pool_next(struct net_pool *p, struct ip *ret); /* the lowest free one; -ENOSPC */
void net_pool_release(struct net_pool *p, struct ip a);

struct net_pool_base {
	struct ip_prefix base;
	uint8_t size; /* prefix length of each network cut from it */
};
/* Docker's default address pools of IPv4. */
extern const struct net_pool_base net_pool_defaults[];
extern const size_t net_pool_ndefaults;
/* The first subnet of the family that overlaps none of `taken`; -ENOSPC. */
int net_pool_choose(const struct net_pool_base *bases, size_t nbases, uint8_t family,
		    const struct ip_prefix *taken, size_t ntaken, struct ip_prefix *ret);
