/* SPDX-License-Identifier: Apache-2.0 */
/* What a container asks of networks: from the create body and `network connect` to endpoints, and
 * those to and from the container's row. */
#include "base/log.h"
#include "engine/network.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* ---- the row ---- */

/* An endpoint as it is kept: what was asked for, and what it has while the container runs. */
struct endpoint_saved {
	const char *name, *id; /* of the network */
	struct endpoint_settings want;
	const char *endpoint, *ip4, *ip6, *mac, *ifname, *hostif;
	bool up;
};

#define SF(type_, member, key) JSON_FIELD(type_, struct endpoint_saved, member, key, JSON_OMITEMPTY)
static const struct json_field saved_fields[] = {
	SF(JT_STR, name, "Network"),
	SF(JT_STR, id, "NetworkID"),
	JSON_SUB(JT_OBJ, struct endpoint_saved, want, "Settings", 0, &endpoint_settings_schema),
	SF(JT_STR, endpoint, "Endpoint"),
	SF(JT_STR, ip4, "IPv4"),
	SF(JT_STR, ip6, "IPv6"),
	SF(JT_STR, mac, "MAC"),
	SF(JT_STR, ifname, "Interface"),
	SF(JT_STR, hostif, "HostInterface"),
	SF(JT_BOOL, up, "Up"),
	{0},
};
const struct json_schema endpoint_saved_schema = {"endpoint", sizeof(struct endpoint_saved),
						  saved_fields};

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static struct endpoint *endpoint_new(struct container *c, const char *name, const char *id)
{
	struct endpoint *ep = NEW(struct endpoint);

	ep->c = c;
	ep->arena = arena_new();
	ep->net_name = arena_strdup(ep->arena, name);
	ep->net_id = arena_strdup(ep->arena, text_of(id));
	list_init(&ep->by_network);
	list_add_tail(&c->endpoints, &ep->link);
	return ep;
}

static void endpoint_free(struct endpoint *ep)
{
	list_del(&ep->link);
	list_del(&ep->by_network);
	arena_free(ep->arena);
	free(ep);
}

void endpoints_free(struct container *c)
{
	LIST_FOR_EACH (it, &c->endpoints)
		endpoint_free(LIST_ENTRY(it, struct endpoint, link));
}

static const char *copy_str(struct arena *a, const char *s)
{
	return s && *s ? arena_strdup(a, s) : NULL;
}

/* Only what a user asks for; the rest of EndpointSettings is ours to say. */
static void copy_settings(struct endpoint *ep, const struct endpoint_settings *s)
{
	struct arena *a = ep->arena;

	ep->want = (struct endpoint_settings){.gw_priority = s->gw_priority};
	if (s->ipam) {
		struct endpoint_ipam *ipam = arena_alloc(a, sizeof *ipam);

		ipam->ipv4 = copy_str(a, s->ipam->ipv4);
		ipam->ipv6 = copy_str(a, s->ipam->ipv6);
		ipam->link_local = strs_copy(a, &s->ipam->link_local);
		ep->want.ipam = ipam;
	}
	ep->want.links = strs_copy(a, &s->links);
	ep->want.aliases = strs_copy(a, &s->aliases);
	ep->want.mac_address = copy_str(a, s->mac_address);
	ep->want.driver_opts = strmap_copy(a, &s->driver_opts);
}

int endpoints_load(struct container *c, const struct objs *saved, struct err *e)
{
	const struct endpoint_saved *v = saved->v;

	for (size_t i = 0; i < saved->n; i++) {
		struct endpoint *ep;

		if (!v[i].name)
			return err_set(e, ERR_INVALID, "an endpoint without a network");
		ep = endpoint_new(c, v[i].name, v[i].id);
		copy_settings(ep, &v[i].want);
		snprintf(ep->id, sizeof ep->id, "%s", text_of(v[i].endpoint));
		ip_parse(v[i].ip4, &ep->ip4);
		ip_parse(v[i].ip6, &ep->ip6);
		ip_mac_parse(v[i].mac, &ep->mac);
		snprintf(ep->ifname, sizeof ep->ifname, "%s", text_of(v[i].ifname));
		snprintf(ep->hostif, sizeof ep->hostif, "%s", text_of(v[i].hostif));
		/* only endpoints_adopt() can say that it is really so */
		ep->was_up = v[i].up;
	}
	return 0;
}

struct objs endpoints_save(const struct container *c, struct arena *a)
{
	struct endpoint_saved *v;
	size_t n = 0;

	LIST_FOR_EACH (it, &c->endpoints)
		n++;
	v = arena_alloc(a, (n + 1) * sizeof *v);
	n = 0;
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);
		char *ip4 = arena_alloc(a, IP_TEXT_MAX), *ip6 = arena_alloc(a, IP_TEXT_MAX),
		     *mac = arena_alloc(a, IP_MAC_TEXT_MAX);

		/* the addresses stay when it is down: the next start takes them again if it can */
		v[n++] = (struct endpoint_saved){.name = ep->net_name,
						 .id = ep->net_id,
						 .want = ep->want,
						 .endpoint = ep->id,
						 .ip4 = ip_format(ep->ip4, ip4),
						 .ip6 = ip_format(ep->ip6, ip6),
						 .mac = ip_mac_format(ep->mac, mac),
						 .ifname = ep->ifname,
						 .hostif = ep->hostif,
						 .up = ep->state == ENDPOINT_UP};
	}
	return (struct objs){.v = v, .n = n, .set = n > 0};
}

/* ---- what is asked for ---- */

static bool same_network(const struct endpoint *ep, const struct network *n, const char *ref)
{
	return n ? ep->net == n || strcmp(ep->net_id, n->id) == 0 ||
			       (!*ep->net_id && strcmp(ep->net_name, n->name) == 0)
		 : strcmp(ep->net_name, ref) == 0;
}

static struct endpoint *find(const struct container *c, const struct network *n, const char *ref)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (same_network(ep, n, ref))
			return ep;
	}
	return NULL;
}

int endpoint_resolve(struct endpoint *ep, struct err *e)
{
	const char *ref = *ep->net_id ? ep->net_id : ep->net_name;

	if (!ep->net)
		ep->net = network_get(ep->c->g, ref, e);
	/* made again under the same name: Compose and people do that */
	if (!ep->net && ref != ep->net_name) {
		err_clear(e);
		ep->net = network_get(ep->c->g, ep->net_name, e);
	}
	if (!ep->net)
		return -1;
	if (strcmp(ep->net_id, ep->net->id) != 0)
		ep->net_id = arena_strdup(ep->arena, ep->net->id);
	return 0;
}

static int check_address(const struct network *n, const char *text, uint8_t family, struct err *e)
{
	struct ip a;

	if (!str_is_set(text))
		return 0;
	if (ip_parse(text, &a) < 0 || a.family != family)
		return err_set(e, ERR_INVALID, "invalid IPv%d address: %s", family, text);
	if (ip_is_unspecified(a) || ip_is_multicast(a))
		return err_set(e, ERR_INVALID, "invalid IPv%d address: %s", family, text);
	if (!n)
		return 0;
	if (n->driver > NET_IPVLAN || network_is_default(n))
		return err_set(
			e, ERR_INVALID,
			"user specified IP address is supported on user defined networks only");
	if (!n->asked_subnets)
		return err_set(e, ERR_INVALID,
			       "user specified IP address is supported only when connecting to "
			       "networks with user configured subnets");
	for (size_t i = 0; i < n->nsubnets; i++)
		if (ip_prefix_has(n->subnet[i].subnet, a))
			return 0;
	return err_set(e, ERR_INVALID, "no configured subnet or ip-range contain the IP address %s",
		       text);
}

static int check_settings(const struct network *n, const struct endpoint_settings *s, struct err *e)
{
	struct ip_mac mac;
	struct ip a;

	if (n && n->config_only)
		return err_set(e, ERR_DENIED, "configuration-only network %s cannot be used",
			       n->name);
	if (s->ipam) {
		if (check_address(n, s->ipam->ipv4, 4, e) < 0 ||
		    check_address(n, s->ipam->ipv6, 6, e) < 0)
			return -1;
		for (size_t i = 0; i < s->ipam->link_local.n; i++)
			if (ip_parse(s->ipam->link_local.v[i], &a) < 0)
				return err_set(e, ERR_INVALID, "invalid link-local IP address: %s",
					       s->ipam->link_local.v[i]);
	}
	if (str_is_set(s->mac_address) && ip_mac_parse(s->mac_address, &mac) < 0)
		return err_set(e, ERR_INVALID, "invalid MAC address: %s", s->mac_address);
	if (endpoint_sysctls(s, "", FD_NONE, e) < 0)
		return -1;
	if (n && s->aliases.n > 0 && (network_is_default(n) || n->driver > NET_IPVLAN))
		return err_set(
			e, ERR_INVALID,
			"network-scoped alias is supported only for containers in user defined "
			"networks");
	return 0;
}

static int check_named(const char *name, const struct network *n, const struct endpoint_settings *s,
		       struct err *e)
{
	if (check_settings(n, s, e) == 0)
		return 0;
	return err_wrap(e, "invalid config for network %s: invalid endpoint settings", name);
}

static bool has_own_network(const char *mode)
{
	return strcmp(mode, "none") != 0 && strcmp(mode, "host") != 0 &&
	       !str_starts(mode, "container:");
}

static int add(struct container *c, const char *name, const struct endpoint_settings *s,
	       struct err *e)
{
	static const struct endpoint_settings nothing;
	struct err missing = ERR_INIT;
	/* a network that does not exist (yet) shows at the start, as with Docker */
	struct network *n = network_get(c->g, name, &missing);
	struct endpoint *ep;

	if (find(c, n, name))
		return 0;
	if (check_named(name, n, s ? s : &nothing, e) < 0)
		return -1;
	if (n && n->driver >= NET_HOST)
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot attach both user-defined and "
			       "non-user-defined network-modes");
	ep = endpoint_new(c, n ? n->name : name, n ? n->id : "");
	ep->net = n;
	copy_settings(ep, s ? s : &nothing);
	return 0;
}

static const struct endpoint_settings *settings_for(const struct networking_config *nc,
						    const struct container *c, const char *mode)
{
	const struct endpoint_settings *v = nc->endpoints.v;
	struct err ignored = ERR_INIT;
	const struct network *n = network_get(c->g, mode, &ignored);

	for (size_t i = 0; i < nc->endpoints.n; i++) {
		const char *k = nc->endpoints.k[i];

		if (strcmp(k, mode) == 0 ||
		    (n && (strcmp(k, n->name) == 0 || strcmp(k, n->id) == 0)) ||
		    (strcmp(k, "default") == 0 && n && network_is_default(n)))
			return &v[i];
	}
	return NULL;
}

int endpoints_configure(struct container *c, const char *networking_json, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct networking_config nc = {0};
	const char *mode = c->host.network_mode;
	const struct endpoint_settings *first;
	struct endpoint_settings merged = {0};

	if (networking_json && json_decode_text(networking_json, strlen(networking_json),
						&networking_config_schema, &nc, a, e) < 0)
		return err_wrap(e, "NetworkingConfig");
	first = settings_for(&nc, c, mode);
	if (!has_own_network(mode)) {
		/* the mode has the other's id by now, the key what the user wrote */
		bool shared = str_starts(mode, "container:");

		for (size_t i = 0; i < nc.endpoints.n; i++)
			if (strcmp(nc.endpoints.k[i], mode) != 0 &&
			    !(shared && str_starts(nc.endpoints.k[i], "container:")) &&
			    strcmp(nc.endpoints.k[i], "default") != 0)
				return err_set(
					e, ERR_INVALID,
					"conflicting options: cannot attach both user-defined "
					"and non-user-defined network-modes");
		return 0;
	}
	if (c->meta.config.network_disabled)
		return 0;
	if (first)
		merged = *first;
	if (!str_is_set(merged.mac_address))
		merged.mac_address = c->meta.config.mac_address;
	else if (str_is_set(c->meta.config.mac_address) &&
		 strcmp(merged.mac_address, c->meta.config.mac_address) != 0)
		return err_set(
			e, ERR_INVALID,
			"the container-wide MAC address must match the endpoint-specific MAC "
			"address for the main network, or be left empty");
	if (add(c, mode, &merged, e) < 0)
		return -1;
	for (size_t i = 0; i < nc.endpoints.n; i++) {
		const struct endpoint_settings *s =
			(const struct endpoint_settings *)nc.endpoints.v + i;

		if (s != first && add(c, nc.endpoints.k[i], s, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- connect and disconnect ---- */

static int netns_of(const struct container *c, struct err *e)
{
	char path[48];
	int fd;

	snprintf(path, sizeof path, "/proc/%lld/ns/net", (long long)c->st.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "open the network namespace of container %s", c->name);
	return fd;
}

void endpoint_event(const struct endpoint *ep, const char *action)
{
	engine_event_publish(ep->c->g, "network", action, ep->net->id, "container", ep->c->id,
			     "name", ep->net->name, "type", ep->net->driver_name, NULL);
}

static int check_connect(const struct container *c, const struct network *n, struct err *e)
{
	const char *mode = c->host.network_mode;

	if (c->st.dead || c->st.removing)
		return err_set(e, ERR_CONFLICT,
			       "container %s is marked for removal and cannot be connected or "
			       "disconnected to the network %s",
			       c->id, n->name);
	if (strcmp(mode, "host") == 0 || str_starts(mode, "container:"))
		return err_set(e, ERR_INVALID,
			       "container sharing network namespace with another container or host "
			       "cannot be connected to any other network");
	if (strcmp(mode, "none") == 0)
		return err_set(e, ERR_DENIED,
			       "container cannot be connected to multiple networks with one of the "
			       "networks in private (none) mode");
	if (n->driver == NET_HOST)
		return err_set(e, ERR_DENIED,
			       "container cannot be disconnected from host network or connected to "
			       "host network");
	if (n->driver == NET_NULL)
		return err_set(e, ERR_DENIED,
			       "container cannot be connected to multiple networks with one of the "
			       "networks in private (none) mode");
	return 0;
}

int engine_network_connect(struct engine *g, const char *ref, const struct network_connect *body,
			   struct err *e)
{
	static const struct endpoint_settings nothing;
	const struct endpoint_settings *s = body->endpoint ? body->endpoint : &nothing;
	struct network *n = network_get(g, ref, e);
	struct container *c = n ? engine_container_get(g, body->container ? body->container : "", e)
				: NULL;
	struct endpoint *ep;

	if (!c || check_connect(c, n, e) < 0)
		return -1;
	if (find(c, n, n->name))
		return err_set(e, ERR_DENIED, "endpoint with name %s already exists in network %s",
			       c->name, n->name);
	if (check_settings(n, s, e) < 0)
		return err_wrap(e, "invalid endpoint settings");
	ep = endpoint_new(c, n->name, n->id);
	ep->net = n;
	copy_settings(ep, s);
	if (c->st.running) {
		AUTO_FD int netns = netns_of(c, e);

		if (netns < 0 || endpoint_plug(ep, netns, e) < 0) {
			endpoint_free(ep);
			return -1;
		}
		names_changed(c);
		endpoint_event(ep, "connect");
	}
	return container_save_state(c, e);
}

int engine_network_disconnect(struct engine *g, const char *ref, const struct network_connect *body,
			      struct err *e)
{
	struct err missing = ERR_INIT;
	struct network *n = network_get(g, ref, &missing);
	struct container *c = engine_container_get(g, body->container ? body->container : "", e);
	struct endpoint *ep;

	if (!c)
		return -1;
	ep = find(c, n, ref);
	/* of a network that is gone only the container's memory is left */
	if (!n && !ep) {
		*e = missing;
		return -1;
	}
	if ((n && n->driver == NET_HOST) || (!ep && strcmp(c->host.network_mode, "host") == 0))
		return err_set(e, ERR_DENIED,
			       "container cannot be disconnected from host network or connected to "
			       "host network");
	if (!ep)
		return err_set(e, ERR_DENIED, "container %s is not connected to network %s", c->id,
			       n->name);
	if (ep->state == ENDPOINT_UP && c->st.running) {
		AUTO_FD int netns = netns_of(c, e);

		if (netns < 0 && !body->force)
			return -1;
		endpoint_unplug(ep, netns);
		if (ep->net)
			endpoint_event(ep, "disconnect");
	}
	endpoint_free(ep);
	names_changed(c);
	return container_save_state(c, e);
}

/* ---- inspect ---- */

/* What the name server knows it by in a network of the user's. */
static void dns_names(const struct endpoint *ep, struct arena *a, struct strs *ret)
{
	const struct container *c = ep->c;
	const char *all[3] = {c->name, arena_strndup(a, c->id, 12), c->meta.config.hostname};

	if (!ep->net || network_is_default(ep->net))
		return;
	for (size_t i = 0; i < 2 + ep->want.aliases.n + 1; i++) {
		const char *name = i == 0			 ? all[0]
				   : i <= ep->want.aliases.n	 ? ep->want.aliases.v[i - 1]
				   : i == ep->want.aliases.n + 1 ? all[1]
								 : all[2];
		bool known = !str_is_set(name);

		for (size_t k = 0; k < ret->n; k++)
			known |= strcmp(ret->v[k], name) == 0;
		if (!known)
			strs_push(ret, a, name);
	}
}

void endpoint_settings_of(const struct endpoint *ep, struct endpoint_settings *ret, struct arena *a)
{
	const bool up = ep->state == ENDPOINT_UP;
	char text[IP_TEXT_MAX], mac[IP_MAC_TEXT_MAX];
	const struct network_subnet *s4, *s6;

	*ret = ep->want;
	ret->network_id = ep->net_id;
	ret->endpoint_id = up ? ep->id : "";
	ret->mac_address = up ? arena_strdup(a, ip_mac_format(ep->mac, mac))
			      : text_of(ep->want.mac_address);
	ret->gateway = ret->ip_address = ret->ipv6_gateway = ret->global_ipv6_address = "";
	ret->links.set = ret->links.n > 0;
	ret->aliases.set = ret->aliases.n > 0;
	ret->driver_opts.set = ret->driver_opts.n > 0;
	dns_names(ep, a, &ret->dns_names);
	ret->dns_names.set = ret->dns_names.n > 0;
	if (!up || !ep->net)
		return;
	s4 = ep->ip4.family ? network_subnet_of(ep->net, 4, ep->ip4) : NULL;
	s6 = ep->ip6.family ? network_subnet_of(ep->net, 6, ep->ip6) : NULL;
	if (s4) {
		ret->ip_address = arena_strdup(a, ip_format(ep->ip4, text));
		ret->ip_prefix_len = s4->subnet.len;
		if (!ep->net->internal)
			ret->gateway = arena_strdup(a, ip_format(s4->gateway, text));
	}
	if (s6) {
		ret->global_ipv6_address = arena_strdup(a, ip_format(ep->ip6, text));
		ret->global_ipv6_prefix_len = s6->subnet.len;
		if (!ep->net->internal)
			ret->ipv6_gateway = arena_strdup(a, ip_format(s6->gateway, text));
	}
}

void networks_write(const struct container *c, struct jw *w)
{
	AUTO(arena) struct arena *a = arena_new();
	const char *mode = c->host.network_mode;
	struct endpoint_settings s;

	jw_obj(w);
	if (strcmp(mode, "none") == 0 || strcmp(mode, "host") == 0) {
		struct err ignored = ERR_INIT;
		const struct network *n = network_get(c->g, mode, &ignored);

		s = (struct endpoint_settings){.mac_address = "",
					       .endpoint_id = "",
					       .gateway = "",
					       .ip_address = "",
					       .ipv6_gateway = "",
					       .global_ipv6_address = ""};
		s.network_id = n && c->st.running ? n->id : "";
		jw_key(w, mode);
		json_encode(w, &endpoint_settings_schema, &s);
	}
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		endpoint_settings_of(ep, &s, a);
		jw_key(w, ep->net_name);
		json_encode(w, &endpoint_settings_schema, &s);
	}
	jw_obj_end(w);
}
