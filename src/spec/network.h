/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's API objects of networks (API 1.51): bodies of /networks/create, connect and disconnect,
 * and EndpointSettings, which is both what a user asks for and what inspect shows. Plain structs
 * with field tables; memory belongs to the arena given to the decoder.
 */
#pragma once

#include "base/json.h"

struct ipam_config {
	const char *subnet, *ip_range, *gateway; /* NULL: not given */
	struct strmap aux;			 /* name -> address */
};

struct ipam {
	const char *driver;
	struct strmap options;
	struct objs config; /* struct ipam_config */
};

/* Body of POST /networks/create. */
struct network_create {
	const char *name, *driver, *scope;
	bool internal, attachable, ingress, config_only;
	int8_t check_duplicate, enable_ipv4, enable_ipv6; /* JT_OPT_BOOL: 0 not given, 1, -1 */
	struct ipam ipam;
	const char *config_from; /* JSON */
	struct strmap options, labels;
};

struct endpoint_ipam {
	const char *ipv4, *ipv6;
	struct strs link_local;
};

/* EndpointSettings. The first part is asked for and kept; the second is filled in by the engine. */
struct endpoint_settings {
	const struct endpoint_ipam *ipam;
	struct strs links, aliases;
	const char *mac_address;
	struct strmap driver_opts;
	int64_t gw_priority;

	const char *network_id, *endpoint_id, *gateway, *ip_address, *ipv6_gateway,
		*global_ipv6_address;
	int64_t ip_prefix_len, global_ipv6_prefix_len;
	struct strs dns_names;
};

/* Bodies of POST /networks/{id}/connect and disconnect. */
struct network_connect {
	const char *container;
	const struct endpoint_settings *endpoint; /* NULL: none */
	bool force;
};

/* NetworkingConfig of a create body: EndpointsConfig by network name or id. */
struct networking_config {
	struct objmap endpoints; /* struct endpoint_settings */
};

extern const struct json_schema network_create_schema, endpoint_settings_schema,
	network_connect_schema, networking_config_schema, ipam_schema;
