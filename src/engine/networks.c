/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as objects: rows of the store, lookup, create and remove. What they are in the host is
 * network-device.c's, their addresses are network-ipam.c's. */
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "engine/network.h"
#include "image/image.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DOC_KIND       "network"
#define DOC_PREDEFINED "network-predefined"

/* A network as it is kept. */
struct network_saved {
	const char *id;
	int64_t created;
	bool asked_subnets;
	struct network_create def;
};
static const struct json_field saved_fields[] = {
	JSON_FIELD(JT_STR, struct network_saved, id, "Id", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct network_saved, created, "Created", 0),
	JSON_FIELD(JT_BOOL, struct network_saved, asked_subnets, "AskedSubnets", 0),
	JSON_SUB(JT_OBJ, struct network_saved, def, "Network", 0, &network_create_schema),
	{0},
};
static const struct json_schema saved_schema = {"network", sizeof(struct network_saved),
						saved_fields};

static const char *const driver_names[] = {"bridge", "macvlan", "ipvlan", "host", "null"};

/* ---- lookup ---- */

bool network_is_default(const struct network *n)
{
	return n->predefined && n->driver == NET_BRIDGE;
}

static struct network *by_name(const struct engine *g, const char *name)
{
	LIST_FOR_EACH (it, &g->networks) {
		struct network *n = LIST_ENTRY(it, struct network, link);

		if (strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

/* Docker's order: the whole id, the name, the start of an id. */
struct network *network_get(struct engine *g, const char *ref, struct err *e)
{
	struct network *found = NULL, *named = by_name(g, ref);
	size_t len = strlen(ref);

	LIST_FOR_EACH (it, &g->networks) {
		struct network *n = LIST_ENTRY(it, struct network, link);

		if (strcmp(n->id, ref) == 0)
			return n;
		if (named || len == 0 || strncmp(n->id, ref, len) != 0)
			continue;
		if (found) {
			err_set(e, ERR_INVALID,
				"network %s is ambiguous (2 matches found based on ID prefix)",
				ref);
			return NULL;
		}
		found = n;
	}
	if (named || found)
		return named ? named : found;
	err_set(e, ERR_NOT_FOUND, "network %s not found", ref);
	return NULL;
}

struct network_subnet *network_subnet_of(struct network *n, uint8_t family, struct ip a)
{
	for (size_t i = 0; i < n->nsubnets; i++) {
		struct network_subnet *s = &n->subnet[i];

		if (s->subnet.ip.family != family)
			continue;
		if (a.family == 0 || ip_prefix_has(s->subnet, a))
			return s;
	}
	return NULL;
}

/* ---- options of the driver ---- */

static int option_bool(const struct network *n, const char *key, bool otherwise, bool *ret,
		       struct err *e)
{
	const char *v = strmap_get(&n->options, key);

	*ret = otherwise;
	if (!v || num_parse_bool(v, ret) == 0)
		return 0;
	return err_set(
		e, ERR_INVALID,
		"failed to parse %s value: strconv.ParseBool: parsing \"%s\": invalid syntax", key,
		v);
}

static int option_interface(struct network *n, const char *key, const char *otherwise,
			    struct err *e)
{
	const char *v = strmap_get(&n->options, key);

	if (!str_is_set(v))
		v = otherwise;
	if (strlen(v) >= sizeof n->bridge || strpbrk(v, "/ \t\n:") || !strcmp(v, ".") ||
	    !strcmp(v, ".."))
		return err_set(e, ERR_INVALID, "invalid interface name \"%s\" for %s", v, key);
	snprintf(n->bridge, sizeof n->bridge, "%s", v);
	return 0;
}

static int option_mtu(struct network *n, struct err *e)
{
	const char *v = strmap_get(&n->options, "com.docker.network.driver.mtu");
	int64_t mtu = 0;

	if (!v)
		return 0;
	if (num_parse_i64(v, 0, 65535, &mtu) < 0)
		return err_set(e, ERR_INVALID,
			       "invalid value \"%s\" for com.docker.network.driver.mtu", v);
	n->mtu = (int)mtu;
	return 0;
}

int network_options(struct network *n, struct err *e)
{
	const char *host_ip = strmap_get(&n->options,
					 "com.docker.network.bridge.host_binding_ipv4");
	char own[IFNAMSIZ];

	n->icc = n->masquerade = true;
	if (option_mtu(n, e) < 0)
		return -1;
	if (n->driver == NET_MACVLAN || n->driver == NET_IPVLAN)
		return option_interface(n, "parent", "", e);
	if (n->driver != NET_BRIDGE)
		return 0;
	snprintf(own, sizeof own, "br-%.12s", n->id);
	if (option_interface(n, "com.docker.network.bridge.name", own, e) < 0 ||
	    option_bool(n, "com.docker.network.bridge.enable_icc", true, &n->icc, e) < 0 ||
	    option_bool(n, "com.docker.network.bridge.enable_ip_masquerade", true, &n->masquerade,
			e) < 0)
		return -1;
	if (str_is_set(host_ip) && (ip_parse(host_ip, &n->host_ip) < 0 || n->host_ip.family != 4))
		return err_set(e, ERR_INVALID, "failed to parse host_binding_ipv4 value: %s",
			       host_ip);
	LIST_FOR_EACH (it, &n->g->networks) {
		const struct network *o = LIST_ENTRY(it, struct network, link);

		if (o->driver == NET_BRIDGE && strcmp(o->bridge, n->bridge) == 0)
			return err_set(
				e, ERR_DENIED,
				"conflicts with network %s (%s): networks have same bridge name",
				o->id, o->name);
	}
	return 0;
}

/* ---- objects and rows ---- */

static const char *copy_str(struct arena *a, const char *s)
{
	return str_is_set(s) ? arena_strdup(a, s) : NULL;
}

static void copy_ipam(struct arena *a, const struct ipam *from, struct ipam *ret)
{
	const struct ipam_config *v = from->config.v;
	struct ipam_config *config = arena_alloc(a, (from->config.n + 1) * sizeof *config);

	*ret = (struct ipam){.driver = str_is_set(from->driver) ? arena_strdup(a, from->driver)
								: "default",
			     .options = strmap_copy(a, &from->options),
			     .config = {.v = config, .n = from->config.n, .set = true}};
	for (size_t i = 0; i < from->config.n; i++)
		config[i] = (struct ipam_config){.subnet = copy_str(a, v[i].subnet),
						 .ip_range = copy_str(a, v[i].ip_range),
						 .gateway = copy_str(a, v[i].gateway),
						 .aux = strmap_copy(a, &v[i].aux)};
}

void network_free(struct network *n)
{
	network_addresses_free(n);
	list_del(&n->link);
	arena_free(n->arena);
	free(n);
}

void networks_free(struct engine *g)
{
	LIST_FOR_EACH (it, &g->networks)
		network_free(LIST_ENTRY(it, struct network, link));
}

/* Not in the engine's list yet. */
struct network *network_new(struct engine *g, const struct network_create *d,
			    enum network_driver driver)
{
	struct network *n = NEW(struct network);
	struct arena *a = arena_new();

	n->g = g;
	n->arena = a;
	n->name = arena_strdup(a, d->name);
	n->driver = driver;
	n->driver_name = driver_names[driver];
	n->ipv4 = d->enable_ipv4 >= 0;
	n->ipv6 = d->enable_ipv6 > 0;
	n->internal = d->internal;
	n->attachable = d->attachable;
	n->config_only = d->config_only;
	n->options = strmap_copy(a, &d->options);
	n->labels = strmap_copy(a, &d->labels);
	n->config_from = d->config_from && strcmp(d->config_from, "null") != 0
				 ? arena_strdup(a, d->config_from)
				 : NULL;
	copy_ipam(a, &d->ipam, &n->ipam);
	list_init(&n->endpoints);
	return n;
}

int network_save(struct network *n, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);
	struct network_saved s = {
		.id = n->id,
		.created = n->created,
		.asked_subnets = n->asked_subnets,
		.def = {.name = n->name,
			.driver = n->driver_name,
			.enable_ipv4 = n->ipv4 ? 1 : -1,
			.enable_ipv6 = n->ipv6 ? 1 : -1,
			.ipam = n->ipam,
			.internal = n->internal,
			.attachable = n->attachable,
			.config_only = n->config_only,
			.config_from = n->config_from,
			.options = n->options,
			.labels = n->labels},
	};

	json_encode(&w, &saved_schema, &s);
	if (text.overflow)
		return err_set(e, ERR_LIMIT, "the network's description is too large");
	return n->predefined
		       ? store_doc_put(n->g->store, DOC_PREDEFINED, n->name, buf_text(&text), e)
		       : store_doc_put(n->g->store, DOC_KIND, n->id, buf_text(&text), e);
}

int network_driver_find(const char *name, enum network_driver *ret, struct err *e)
{
	if (!str_is_set(name) || strcmp(name, "default") == 0)
		name = "bridge";
	for (size_t i = 0; i < ARRAY_SIZE(driver_names); i++) {
		if (strcmp(name, driver_names[i]) == 0) {
			*ret = (enum network_driver)i;
			return 0;
		}
	}
	if (strcmp(name, "overlay") == 0)
		return err_set(
			e, ERR_DENIED,
			"This node is not a swarm manager. Use \"docker swarm init\" or "
			"\"docker swarm join\" to connect this node to swarm and try again.");
	return err_set(e, ERR_NOT_FOUND, "plugin \"%s\" not found", name);
}

static int load_one(const char *key, const char *json, void *ud)
{
	struct engine *g = ud;
	AUTO(arena) struct arena *a = arena_new();
	struct network_saved s;
	struct err e = ERR_INIT;
	enum network_driver driver = NET_BRIDGE;
	struct network *n;

	if (json_decode_text(json, strlen(json), &saved_schema, &s, a, &e) < 0 ||
	    !str_is_set(s.def.name) || network_driver_find(s.def.driver, &driver, &e) < 0) {
		log_error("network %.12s: its row cannot be read: %s", key, e.text);
		return 0;
	}
	n = network_new(g, &s.def, driver);
	snprintf(n->id, sizeof n->id, "%s", s.id);
	n->created = s.created;
	if (network_options(n, &e) < 0 || network_addresses(n, &e) < 0)
		log_error("network %s: %s", n->name, e.text); /* it is shown, and can be removed */
	n->asked_subnets = s.asked_subnets;
	list_add_tail(&g->networks, &n->link);
	return 0;
}

/* ---- the predefined three ---- */

static const char *docker_bool(int8_t v)
{
	return v > 0 ? "true" : "false";
}

/* Engines of other folders in the same network namespace have a bridge of their own. */
static const char *own_bridge(const struct engine *g, struct arena *a)
{
	char table[32];

	engine_table_name(g, table, sizeof table);
	return strchr(table, '-') ? arena_printf(a, "cor%s", strchr(table, '-')) : "coracle0";
}

/* The default bridge is what the configuration says now, not what it said when it was made. */
static void default_bridge(struct engine *g, struct network_create *d, struct arena *a)
{
	const struct config *c = g->config;
	struct ipam_config *v = arena_alloc(a, 2 * sizeof *v);
	struct strmap_entry *o = arena_alloc(a, 8 * sizeof *o);
	struct ip_prefix bip;
	char text[IP_TEXT_MAX];
	size_t n = 0, no = 0;

	if (str_is_set(c->bip) && ip_prefix_parse(c->bip, &bip) == 0) {
		struct ip_prefix net = {ip_mask(bip), bip.len};

		v[n].subnet = arena_strdup(a, ip_prefix_format(net, text));
		v[n].gateway = arena_strdup(a, ip_format(bip.ip, text));
		v[n].ip_range = str_is_set(c->fixed_cidr) ? c->fixed_cidr : NULL;
		n++;
	} else if (str_is_set(c->fixed_cidr)) {
		v[n++].subnet = c->fixed_cidr;
	}
	if (n > 0 && str_is_set(c->default_gateway))
		v[0].gateway = c->default_gateway;
	if (c->ipv6 > 0 && str_is_set(c->fixed_cidr_v6)) {
		v[n].subnet = c->fixed_cidr_v6;
		v[n].gateway = str_is_set(c->default_gateway_v6) ? c->default_gateway_v6 : NULL;
		n++;
	}
	d->ipam.config = (struct objs){.v = v, .n = n, .set = true};
	d->enable_ipv6 = c->ipv6 > 0 ? 1 : -1;
	o[no++] = (struct strmap_entry){"com.docker.network.bridge.default_bridge", "true"};
	o[no++] = (struct strmap_entry){"com.docker.network.bridge.enable_icc",
					docker_bool(c->icc)};
	o[no++] = (struct strmap_entry){"com.docker.network.bridge.enable_ip_masquerade",
					docker_bool(c->ip_masq)};
	o[no++] = (struct strmap_entry){"com.docker.network.bridge.host_binding_ipv4",
					str_is_set(c->ip) ? c->ip : "0.0.0.0"};
	o[no++] = (struct strmap_entry){"com.docker.network.bridge.name",
					str_is_set(c->bridge) ? c->bridge : own_bridge(g, a)};
	o[no++] = (struct strmap_entry){
		"com.docker.network.driver.mtu",
		c->mtu && *c->mtu > 0 ? arena_printf(a, "%lld", (long long)*c->mtu) : "1500"};
	d->options = (struct strmap){.v = o, .n = no, .set = true};
}

/* Its id and its chosen subnet stay the same over restarts: kept as a row of another kind. */
static int predefine(struct engine *g, const char *name, enum network_driver driver, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_FREE char *text = NULL;
	struct network_saved s = {0};
	struct network_create d = {.name = name, .enable_ipv4 = 1, .enable_ipv6 = -1};
	struct err ignored = ERR_INIT;
	struct network *n;
	bool known = store_doc_get(g->store, DOC_PREDEFINED, name, &text, &ignored) == 0 &&
		     json_decode_text(text, strlen(text), &saved_schema, &s, a, &ignored) == 0 &&
		     str_is_set(s.id);

	if (driver == NET_BRIDGE) {
		default_bridge(g, &d, a);
		if (d.ipam.config.n == 0 && known && !s.asked_subnets)
			d.ipam = s.def.ipam;
	}
	n = network_new(g, &d, driver);
	n->predefined = true;
	id_random(n->id);
	n->created = clock_now_ns();
	if (known) {
		snprintf(n->id, sizeof n->id, "%s", s.id);
		n->created = s.created;
	}
	err_clear(&ignored);
	if (network_options(n, &ignored) < 0 ||
	    (driver == NET_BRIDGE && network_addresses(n, &ignored) < 0))
		log_error("network %s: %s", n->name, ignored.text);
	n->asked_subnets = str_is_set(g->config->bip) || str_is_set(g->config->fixed_cidr);
	list_add_tail(&g->networks, &n->link);
	/* a subnet that was chosen is kept; one of the configuration is asked for each time */
	return known && s.asked_subnets == n->asked_subnets ? 0 : network_save(n, e);
}

int networks_load(struct engine *g, struct err *e)
{
	if (predefine(g, "bridge", NET_BRIDGE, e) < 0 || predefine(g, "host", NET_HOST, e) < 0 ||
	    predefine(g, "none", NET_NULL, e) < 0)
		return -1;
	return store_doc_each(g->store, DOC_KIND, load_one, g, e);
}

int network_forget(struct network *n, struct err *e)
{
	return store_doc_del(n->g->store, DOC_KIND, n->id, e);
}
