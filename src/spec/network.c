/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables of networks and endpoints. */
#include "spec/network.h"

#include "base/banned.h"

#define IC(type_, member, key, flags) JSON_FIELD(type_, struct ipam_config, member, key, flags)
static const struct json_field ipam_config_fields[] = {
	IC(JT_STR, subnet, "Subnet", JSON_OMITEMPTY),
	IC(JT_STR, ip_range, "IPRange", JSON_OMITEMPTY),
	IC(JT_STR, gateway, "Gateway", JSON_OMITEMPTY),
	IC(JT_MAP, aux, "AuxiliaryAddresses", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema ipam_config_schema = {"IPAM config", sizeof(struct ipam_config),
						      ipam_config_fields};

static const struct json_field ipam_fields[] = {
	JSON_FIELD(JT_STR, struct ipam, driver, "Driver", 0),
	JSON_FIELD(JT_MAP, struct ipam, options, "Options", JSON_NULL_EMPTY),
	JSON_SUB(JT_OBJS, struct ipam, config, "Config", 0, &ipam_config_schema),
	{0},
};
const struct json_schema ipam_schema = {"IPAM", sizeof(struct ipam), ipam_fields};

#define NC(type_, member, key) JSON_FIELD(type_, struct network_create, member, key, 0)
static const struct json_field network_create_fields[] = {
	NC(JT_STR, name, "Name"),
	NC(JT_OPT_BOOL, check_duplicate, "CheckDuplicate"),
	NC(JT_STR, driver, "Driver"),
	NC(JT_STR, scope, "Scope"),
	NC(JT_OPT_BOOL, enable_ipv4, "EnableIPv4"),
	NC(JT_OPT_BOOL, enable_ipv6, "EnableIPv6"),
	JSON_SUB(JT_OBJ, struct network_create, ipam, "IPAM", 0, &ipam_schema),
	NC(JT_BOOL, internal, "Internal"),
	NC(JT_BOOL, attachable, "Attachable"),
	NC(JT_BOOL, ingress, "Ingress"),
	NC(JT_BOOL, config_only, "ConfigOnly"),
	NC(JT_RAW, config_from, "ConfigFrom"),
	NC(JT_MAP, options, "Options"),
	NC(JT_MAP, labels, "Labels"),
	{0},
};
const struct json_schema network_create_schema = {"network", sizeof(struct network_create),
						  network_create_fields};

#define EI(type_, member, key) JSON_FIELD(type_, struct endpoint_ipam, member, key, JSON_OMITEMPTY)
static const struct json_field endpoint_ipam_fields[] = {
	EI(JT_STR, ipv4, "IPv4Address"),
	EI(JT_STR, ipv6, "IPv6Address"),
	EI(JT_STRS, link_local, "LinkLocalIPs"),
	{0},
};
static const struct json_schema endpoint_ipam_schema = {
	"IPAM config of an endpoint", sizeof(struct endpoint_ipam), endpoint_ipam_fields};

#define ES(type_, member, key, flags)                                                              \
	JSON_FIELD(type_, struct endpoint_settings, member, key, flags)
static const struct json_field endpoint_settings_fields[] = {
	JSON_SUB(JT_OBJP, struct endpoint_settings, ipam, "IPAMConfig", 0, &endpoint_ipam_schema),
	ES(JT_STRS, links, "Links", JSON_NULL_EMPTY),
	ES(JT_STRS, aliases, "Aliases", JSON_NULL_EMPTY),
	ES(JT_STR, mac_address, "MacAddress", 0),
	ES(JT_MAP, driver_opts, "DriverOpts", JSON_NULL_EMPTY),
	ES(JT_I64, gw_priority, "GwPriority", 0),
	ES(JT_STR, network_id, "NetworkID", 0),
	ES(JT_STR, endpoint_id, "EndpointID", 0),
	ES(JT_STR, gateway, "Gateway", 0),
	ES(JT_STR, ip_address, "IPAddress", 0),
	ES(JT_I64, ip_prefix_len, "IPPrefixLen", 0),
	ES(JT_STR, ipv6_gateway, "IPv6Gateway", 0),
	ES(JT_STR, global_ipv6_address, "GlobalIPv6Address", 0),
	ES(JT_I64, global_ipv6_prefix_len, "GlobalIPv6PrefixLen", 0),
	ES(JT_STRS, dns_names, "DNSNames", JSON_NULL_EMPTY),
	{0},
};
const struct json_schema endpoint_settings_schema = {"endpoint", sizeof(struct endpoint_settings),
						     endpoint_settings_fields};

#define CN(type_, member, key) JSON_FIELD(type_, struct network_connect, member, key, 0)
static const struct json_field network_connect_fields[] = {
	CN(JT_STR, container, "Container"),
	JSON_SUB(JT_OBJP, struct network_connect, endpoint, "EndpointConfig", 0,
		 &endpoint_settings_schema),
	CN(JT_BOOL, force, "Force"),
	{0},
};
const struct json_schema network_connect_schema = {
	"network connect", sizeof(struct network_connect), network_connect_fields};

static const struct json_field networking_config_fields[] = {
	JSON_SUB(JT_OBJMAP, struct networking_config, endpoints, "EndpointsConfig", 0,
		 &endpoint_settings_schema),
	{0},
};
const struct json_schema networking_config_schema = {
	"NetworkingConfig", sizeof(struct networking_config), networking_config_fields};
