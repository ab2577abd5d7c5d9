/* SPDX-License-Identifier: Apache-2.0 */
/* /networks: the two that need no bridge, "none" and "host"; everything else says that it is not
 * built yet. */
#include "api/request.h"
#include "spec/filters.h"

#include <string.h>

#include "base/banned.h"

static const struct {
	const char *name, *driver, *id;
} networks[] = {
	{"host", "host", "686f737400000000000000000000000000000000000000000000000000000001"},
	{"none", "null", "6e6f6e6500000000000000000000000000000000000000000000000000000002"},
};

static void write_network(struct jw *w, size_t i)
{
	jw_obj(w);
	jw_kv_str(w, "Name", networks[i].name);
	jw_kv_str(w, "Id", networks[i].id);
	jw_kv_str(w, "Created", "0001-01-01T00:00:00Z");
	jw_kv_str(w, "Scope", "local");
	jw_kv_str(w, "Driver", networks[i].driver);
	jw_kv_bool(w, "EnableIPv4", true);
	jw_kv_bool(w, "EnableIPv6", false);
	jw_key(w, "IPAM");
	jw_raw(w, "{\"Driver\":\"default\",\"Options\":null,\"Config\":null}");
	jw_kv_bool(w, "Internal", false);
	jw_kv_bool(w, "Attachable", false);
	jw_kv_bool(w, "Ingress", false);
	jw_key(w, "ConfigFrom");
	jw_raw(w, "{\"Network\":\"\"}");
	jw_kv_bool(w, "ConfigOnly", false);
	jw_key(w, "Containers");
	jw_raw(w, "{}");
	jw_key(w, "Options");
	jw_raw(w, "{}");
	jw_key(w, "Labels");
	jw_raw(w, "{}");
	jw_obj_end(w);
}

static bool matches_id(const char *id, const char *text)
{
	size_t n = strlen(text);

	return n >= 3 && strncmp(id, text, n) == 0;
}

static void list(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;
	static const char *const allowed[] = {"dangling", "driver", "id",   "label",
					      "name",	  "scope",  "type", NULL};
	struct filters f;
	const struct strmap no_labels = {0};

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0 ||
	    filters_check(&f, allowed, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	jw_arr(&w);
	for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
		const struct strs *names = filters_get(&f, "name"), *ids = filters_get(&f, "id");
		bool keep = !names;
		for (size_t k = 0; names && k < names->n; k++)
			keep |= strstr(networks[i].name, names->v[k]) != NULL;
		for (size_t k = 0; ids && k < ids->n; k++)
			keep &= strstr(networks[i].id, ids->v[k]) != NULL;
		if (keep && filters_match(&f, "driver", networks[i].driver) &&
		    filters_match(&f, "scope", "local") && filters_match(&f, "type", "builtin") &&
		    filters_match_labels(&f, &no_labels))
			write_network(&w, i);
	}
	jw_arr_end(&w);
	buf_addc(&out, '\n');
	api_reply_json(r, 200, &out);
}

static void inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&out);

	for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
		if (strcmp(networks[i].name, r->params[0]) != 0 &&
		    !matches_id(networks[i].id, r->params[0]))
			continue;
		write_network(&w, i);
		api_reply_json(r, 200, &out);
		return;
	}
	api_reply_message(r, 404, "network %s not found", r->params[0]);
}

static void create(struct api_request *r)
{
	api_unsupported(r, "network create");
}

static void remove_network(struct api_request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(networks); i++)
		if (strcmp(networks[i].name, r->params[0]) == 0 ||
		    matches_id(networks[i].id, r->params[0])) {
			api_reply_message(r, 403,
					  "%s is a pre-defined network and cannot be removed",
					  networks[i].name);
			return;
		}
	api_reply_message(r, 404, "network %s not found", r->params[0]);
}

static void connect_network(struct api_request *r)
{
	api_unsupported(r, "network connect");
}

static void disconnect_network(struct api_request *r)
{
	api_unsupported(r, "network disconnect");
}

static void prune(struct api_request *r)
{
	static const char none[] = "{\"NetworksDeleted\":null}\n";

	api_reply(r, 200, "application/json", none, sizeof none - 1);
}

const struct api_route api_routes_networks[] = {
	{"GET", "/networks", list, API_BODY_JSON},
	{"GET", "/networks/", list, API_BODY_JSON},
	{"POST", "/networks/create", create, API_BODY_JSON},
	{"POST", "/networks/prune", prune, API_BODY_JSON},
	{"GET", "/networks/{id}", inspect, API_BODY_JSON},
	{"DELETE", "/networks/{id}", remove_network, API_BODY_JSON},
	{"POST", "/networks/{id}/connect", connect_network, API_BODY_JSON},
	{"POST", "/networks/{id}/disconnect", disconnect_network, API_BODY_JSON},
	{0},
};
