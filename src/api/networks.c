/* SPDX-License-Identifier: Apache-2.0 */
/* /networks. */
#include "api/request.h"
#include "engine/engine.h"
#include "spec/filters.h"
#include "spec/network.h"

#include <string.h>

#include "base/banned.h"

static void create(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&out);
	struct network_create body;
	char id[ENGINE_ID_MAX];
	struct err e = ERR_INIT;
	struct json *j;

	if (api_body_json(r, false, &j, &e) < 0 ||
	    json_decode(j, &network_create_schema, &body, r->arena, &e) < 0 ||
	    engine_network_create(r->engine, &body, id, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	jw_obj(&w);
	jw_kv_str(&w, "Id", id);
	jw_kv_str(&w, "Warning", "");
	jw_obj_end(&w);
	buf_addc(&out, '\n');
	api_reply_json(r, 201, &out);
}

static void list(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct filters f;

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0)
		api_reply_error(r, &e);
	else
		api_finish_json(r, engine_network_list(r->engine, &f, &out, &e), &out, &e);
}

static void inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	const char *scope = api_query(r, "scope");
	struct err e = ERR_INIT;

	if (scope && *scope && strcmp(scope, "local") != 0) {
		api_reply_message(r, 404, "network %s not found", r->params[0]);
		return;
	}
	api_finish_json(r, engine_network_inspect(r->engine, r->params[0], &out, &e), &out, &e);
}

static void remove_network(struct api_request *r)
{
	struct err e = ERR_INIT;

	if (engine_network_remove(r->engine, r->params[0], &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void plug(struct api_request *r,
		 int (*fn)(struct engine *g, const char *ref, const struct network_connect *body,
			   struct err *e))
{
	struct network_connect body;
	struct err e = ERR_INIT;
	struct json *j;

	if (api_body_json(r, false, &j, &e) < 0 ||
	    json_decode(j, &network_connect_schema, &body, r->arena, &e) < 0 ||
	    fn(r->engine, r->params[0], &body, &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 200);
}

static void connect_network(struct api_request *r)
{
	plug(r, engine_network_connect);
}

static void disconnect_network(struct api_request *r)
{
	plug(r, engine_network_disconnect);
}

static void prune(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct filters f;

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0)
		api_reply_error(r, &e);
	else
		api_finish_json(r, engine_network_prune(r->engine, &f, &out, &e), &out, &e);
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
