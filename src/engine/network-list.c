/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as JSON: list and inspect, as API 1.51 has them. */
#include "base/clock.h"
#include "base/num.h"
#include "engine/network.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void write_prefix(struct jw *w, const char *key, struct ip a, const struct network *n)
{
	char address[IP_TEXT_MAX], text[IP_TEXT_MAX + 8] = "";

	for (size_t i = 0; a.family && i < n->nsubnets; i++)
		if (ip_prefix_has(n->subnet[i].subnet, a))
			snprintf(text, sizeof text, "%s/%u", ip_format(a, address),
				 n->subnet[i].subnet.len);
	jw_kv_str(w, key, text);
}

static void write_containers(const struct network *n, struct jw *w)
{
	char mac[IP_MAC_TEXT_MAX];

	jw_obj(w);
	LIST_FOR_EACH (it, &n->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, by_network);

		if (ep->state != ENDPOINT_UP)
			continue;
		jw_key(w, ep->c->id);
		jw_obj(w);
		jw_kv_str(w, "Name", ep->c->name);
		jw_kv_str(w, "EndpointID", ep->id);
		jw_kv_str(w, "MacAddress", ip_mac_format(ep->mac, mac));
		write_prefix(w, "IPv4Address", ep->ip4, n);
		write_prefix(w, "IPv6Address", ep->ip6, n);
		jw_obj_end(w);
	}
	/* containers on the host's network and on none have no endpoint of their own */
	LIST_FOR_EACH (it, &n->g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		if (n->driver < NET_HOST || !c->st.running || strcmp(c->host.network_mode, n->name))
			continue;
		jw_key(w, c->id);
		jw_obj(w);
		jw_kv_str(w, "Name", c->name);
		jw_kv_str(w, "EndpointID", "");
		jw_kv_str(w, "MacAddress", "");
		jw_kv_str(w, "IPv4Address", "");
		jw_kv_str(w, "IPv6Address", "");
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

static void write_ipam(const struct network *n, struct jw *w)
{
	const struct ipam_config *v = n->ipam.config.v;

	jw_key(w, "IPAM");
	jw_obj(w);
	jw_kv_str(w, "Driver", n->ipam.driver);
	jw_key(w, "Options");
	if (n->ipam.options.set && n->ipam.options.n > 0) {
		jw_obj(w);
		for (size_t i = 0; i < n->ipam.options.n; i++)
			jw_kv_str(w, n->ipam.options.v[i].k, n->ipam.options.v[i].v);
		jw_obj_end(w);
	} else if (n->predefined) {
		jw_null(w);
	} else {
		jw_raw(w, "{}");
	}
	jw_key(w, "Config");
	if (n->ipam.config.n == 0 && n->driver >= NET_HOST) {
		jw_null(w);
		jw_obj_end(w);
		return;
	}
	jw_arr(w);
	for (size_t i = 0; i < n->ipam.config.n; i++) {
		jw_obj(w);
		jw_kv_str(w, "Subnet", v[i].subnet ? v[i].subnet : "");
		if (v[i].ip_range)
			jw_kv_str(w, "IPRange", v[i].ip_range);
		if (v[i].gateway)
			jw_kv_str(w, "Gateway", v[i].gateway);
		if (v[i].aux.n > 0)
			jw_kv_map(w, "AuxiliaryAddresses", &v[i].aux);
		jw_obj_end(w);
	}
	jw_arr_end(w);
	jw_obj_end(w);
}

static void write_network(const struct network *n, bool containers, struct jw *w)
{
	char when[CLOCK_TEXT_MAX];

	jw_obj(w);
	jw_kv_str(w, "Name", n->name);
	jw_kv_str(w, "Id", n->id);
	clock_format(n->created, when);
	jw_kv_str(w, "Created", when);
	jw_kv_str(w, "Scope", "local");
	jw_kv_str(w, "Driver", n->driver_name);
	jw_kv_bool(w, "EnableIPv4", n->ipv4);
	jw_kv_bool(w, "EnableIPv6", n->ipv6);
	write_ipam(n, w);
	jw_kv_bool(w, "Internal", n->internal);
	jw_kv_bool(w, "Attachable", n->attachable);
	jw_kv_bool(w, "Ingress", n->ingress);
	jw_key(w, "ConfigFrom");
	jw_raw(w, n->config_from ? n->config_from : "{\"Network\":\"\"}");
	jw_kv_bool(w, "ConfigOnly", n->config_only);
	jw_key(w, "Containers");
	if (containers)
		write_containers(n, w);
	else
		jw_raw(w, "{}");
	jw_kv_map(w, "Options", &n->options);
	jw_kv_map(w, "Labels", &n->labels);
	jw_obj_end(w);
}

/* Does a container use it? "dangling" and prune ask. */
static bool in_use(const struct network *n)
{
	return !list_empty(&n->endpoints);
}

static bool contains_one(const struct strs *v, const char *text, bool prefix)
{
	if (!v || v->n == 0)
		return true;
	for (size_t i = 0; i < v->n; i++)
		if (prefix ? str_starts(text, v->v[i]) : strstr(text, v->v[i]) != NULL)
			return true;
	return false;
}

static int check_values(const struct filters *f, struct err *e)
{
	const struct strs *type = filters_get(f, "type"), *dangling = filters_get(f, "dangling");
	bool yes;

	for (size_t i = 0; type && i < type->n; i++)
		if (strcmp(type->v[i], "custom") != 0 && strcmp(type->v[i], "builtin") != 0)
			return err_set(e, ERR_INVALID, "invalid filter: 'type'='%s'", type->v[i]);
	for (size_t i = 0; dangling && i < dangling->n; i++)
		if (num_parse_bool(dangling->v[i], &yes) < 0)
			return err_set(e, ERR_INVALID,
				       "invalid value for \"dangling\" filter: \"%s\"",
				       dangling->v[i]);
	return 0;
}

static bool wanted(const struct network *n, const struct filters *f)
{
	const struct strs *dangling = filters_get(f, "dangling");
	bool yes = false;

	if (dangling && dangling->n > 0 && num_parse_bool(dangling->v[0], &yes) == 0 &&
	    yes != (!n->predefined && !in_use(n)))
		return false;
	return contains_one(filters_get(f, "name"), n->name, false) &&
	       contains_one(filters_get(f, "id"), n->id, true) &&
	       filters_match(f, "driver", n->driver_name) && filters_match(f, "scope", "local") &&
	       filters_match(f, "type", n->predefined ? "builtin" : "custom") &&
	       filters_match_labels(f, &n->labels);
}

int engine_network_list(struct engine *g, const struct filters *f, struct buf *out, struct err *e)
{
	static const char *const allowed[] = {"dangling", "driver", "id",   "label", "label!",
					      "name",	  "scope",  "type", NULL};
	struct jw w = JW_INIT(out);

	if (filters_check(f, allowed, e) < 0 || check_values(f, e) < 0)
		return -1;
	jw_arr(&w);
	LIST_FOR_EACH (it, &g->networks) {
		const struct network *n = LIST_ENTRY(it, struct network, link);

		if (wanted(n, f))
			write_network(n, false, &w);
	}
	jw_arr_end(&w);
	buf_addc(out, '\n');
	return 0;
}

int engine_network_inspect(struct engine *g, const char *ref, struct buf *out, struct err *e)
{
	struct network *n = network_get(g, ref, e);
	struct jw w = JW_INIT(out);

	if (!n)
		return -1;
	write_network(n, true, &w);
	buf_addc(out, '\n');
	return 0;
}
