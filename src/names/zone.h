/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is to answer: networks, their endpoints, the endpoints' names and addresses; and what
 * one container sees of it. Filled from the engine's messages, no I/O.
 */
#pragma once

#include "names/packet.h"
#include "wire/names-proto.h"

#define ADDRESSES_MAX 4096 /* of one answer: more fit in no packet */

struct zones;
struct zones *zones_new(void);
void zones_free(struct zones *z);
DEFINE_AUTO(zones);

/* Between begin and end everything is said again; what was not is gone afterwards. */
void zones_sync_begin(struct zones *z);
void zones_sync_end(struct zones *z);
void zones_network(struct zones *z, const char *id, const char *name);
void zones_network_remove(struct zones *z, const char *id);
/* Addresses that are none are skipped. */
void zones_endpoint(struct zones *z, const char *network, const char *id, const struct strs *names,
		    const struct strs *addresses);
void zones_endpoint_remove(struct zones *z, const char *network, const char *id);

struct addresses {
	struct ip v[ADDRESSES_MAX];
	size_t n;
};
/*
 * Addresses of a name (lower case) in one family, 4 or 6, shuffled. view: the container's resolver,
 * as the engine said it. False: not a name of ours. True without addresses: known, none of that
 * family.
 */
bool lookup_name(const struct zones *z, const struct names_request *view, const char *name,
		 uint8_t family, struct addresses *ret);
/* The name behind an address, "name.network"; false: none of ours. */
bool lookup_address(const struct zones *z, const struct names_request *view, struct ip a,
		    char ret[static PACKET_NAME_MAX]);
