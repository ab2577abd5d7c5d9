/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of zone.c, read by lookup.c. */
#pragma once

#include "base/map.h"
#include "names/zone.h"

struct zone_endpoint {
	char *id;
	struct strs names; /* heap */
	struct ip *address;
	size_t naddress;
	unsigned generation;
};

/* All endpoints with one name. */
struct zone_name {
	struct zone_endpoint **v;
	size_t n, cap;
};

struct zone {
	char *name;
	struct map *endpoints; /* id -> struct zone_endpoint */
	struct map *names;     /* lower case -> struct zone_name */
	struct map *addresses; /* text -> struct zone_endpoint */
	unsigned generation;
};

struct zones {
	struct map *by_id;
	unsigned generation;
};
