/* SPDX-License-Identifier: Apache-2.0 */
/* /volumes. */
#include "api/request.h"
#include "engine/engine.h"

#include "base/banned.h"

static void create(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct volume_create body;
	struct json *j;

	if (api_body_json(r, false, &j, &e) < 0 ||
	    json_decode(j, &volume_create_schema, &body, r->arena, &e) < 0 ||
	    engine_volume_create(r->engine, &body, &out, &e) < 0)
		api_reply_error(r, &e);
	else
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
		api_finish_json(r, engine_volume_list(r->engine, &f, &out, &e), &out, &e);
}

static void inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;

	api_finish_json(r, engine_volume_inspect(r->engine, r->params[0], &out, &e), &out, &e);
}

static void remove_volume(struct api_request *r)
{
	struct err e = ERR_INIT;

	if (engine_volume_remove(r->engine, r->params[0], api_query_bool(r, "force"), &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void prune(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct filters f;

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0)
		api_reply_error(r, &e);
	else
		api_finish_json(
			r, engine_volume_prune(r->engine, &f, r->target.version < 42, &out, &e),
			&out, &e);
}

static void update(struct api_request *r)
{
	api_reply_message(r, 503,
			  "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
			  "swarm join\" to connect this "
			  "node to swarm and try again.");
}

const struct api_route api_routes_volumes[] = {
	{"GET", "/volumes", list, API_BODY_JSON},
	{"POST", "/volumes/create", create, API_BODY_JSON},
	{"POST", "/volumes/prune", prune, API_BODY_JSON},
	{"GET", "/volumes/{name}", inspect, API_BODY_JSON},
	{"PUT", "/volumes/{name}", update, API_BODY_JSON},
	{"DELETE", "/volumes/{name}", remove_volume, API_BODY_JSON},
	{0},
};
