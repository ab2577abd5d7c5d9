/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolv.conf of a container, made from the host's by Docker's rules: overrides of the user, then
 * what the kind of network demands. Pure: text in, text out; strings live in the arena.
 */
#pragma once

#include "base/json.h"

#define RESOLV_INTERNAL "127.0.0.11" /* where the name service answers */

struct resolv {
	const char *path;    /* of the host's file, for the comment */
	struct strs servers; /* addresses; of the internal form: the upstream ones */
	struct strs search, options, other, invalid;
	bool own_servers, own_search, own_options; /* the user's instead of the host's */
	bool internal;				   /* the name service answers */
	bool ipv6;				   /* the container has IPv6 */
	bool defaults;				   /* no server was left */
	const char *form; /* "legacy", "internal resolver"; NULL: as it is */
};

void resolv_parse(const char *text, const char *path, struct resolv *ret, struct arena *a);
/* Sets that are empty change nothing; "." as search domain: none at all. */
void resolv_override(struct resolv *r, const struct strs *dns, const struct strs *search,
		     const struct strs *options, struct arena *a);
/* For the default bridge: no addresses that mean the host itself, never without a server. */
void resolv_legacy(struct resolv *r, bool ipv6, struct arena *a);
/* For networks with the name service. */
void resolv_internal(struct resolv *r, bool ipv6, struct arena *a);
/* Is the host's file only the stub of systemd-resolved? Then its servers are in another file. */
bool resolv_is_stub(const struct resolv *r);
/* The upstream servers as the name service is told. */
void resolv_servers(const struct resolv *r, struct strs *ret, struct arena *a);
bool resolv_ndots_asked(const struct resolv *r);
void resolv_write(const struct resolv *r, struct buf *out);
