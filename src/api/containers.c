/* SPDX-License-Identifier: Apache-2.0 */
/* /containers: life and questions. Streams of a container are in streams.c, files in archive.c. */
#include "api/request.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct container *api_container(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = engine_container_get(r->engine, r->params[0], &e);

	if (!c)
		api_reply_error(r, &e);
	return c;
}

static void create(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;
	struct container_create body;
	struct engine_created made = {.warnings = {0}};
	struct json *j;

	if (api_body_json(r, false, &j, &e) == 0 && json_kind_of(j) == JSON_OBJECT &&
	    !container_create_has_config(j)) {
		api_reply_message(r, 400, "config cannot be empty in order to create a container");
		return;
	}
	if (e.kind != ERR_NONE || container_create_decode(j, &body, r->arena, &e) < 0 ||
	    engine_container_create(r->engine, api_query(r, "name"), api_query(r, "platform"),
				    &body, r->arena, &made, &e) < 0) {
		/* Clients take 404 for a missing image and pull it. */
		if (e.kind == ERR_NOT_FOUND && !str_starts(e.text, "No such image"))
			e.kind = ERR_INVALID;
		api_reply_error(r, &e);
		return;
	}
	made.warnings.set = true;
	jw_obj(&w);
	jw_kv_str(&w, "Id", made.id);
	jw_kv_strs(&w, "Warnings", &made.warnings);
	jw_obj_end(&w);
	buf_addc(&out, '\n');
	api_reply_json(r, 201, &out);
}

static void list(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct filters filters;
	struct engine_list_options o = {.all = api_query_bool(r, "all"),
					.size = api_query_bool(r, "size"),
					.filters = &filters};

	if (api_query_i64(r, "limit", 0, &o.limit, &e) < 0 ||
	    filters_decode(api_query(r, "filters"), &filters, r->arena, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	o.limit = MAX(o.limit, 0);
	api_finish_json(r, engine_container_list(r->engine, &o, &out, &e), &out, &e);
}

static void inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (c)
		api_finish_json(
			r,
			engine_container_inspect(r->engine, c, api_query_bool(r, "size"), &out, &e),
			&out, &e);
}

static void start(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c;

	if (r->body.n > 7) {
		api_reply_message(r, 400,
				  "starting container with non-empty request body was deprecated "
				  "since API v1.22 and removed in v1.24");
		return;
	}
	if (api_query(r, "checkpoint") && *api_query(r, "checkpoint")) {
		api_unsupported(r, "start from a checkpoint");
		return;
	}
	c = api_container(r);
	if (!c)
		return;
	api_hold(r);
	api_settle(r, engine_container_start(r->engine, c, api_done_empty, r, &e), &e);
}

/* The t parameter of stop and restart; answers the error itself. */
static bool stop_options(struct api_request *r, const char **ret_signal, int *ret_timeout)
{
	struct err e = ERR_INIT;
	int64_t t;

	if (api_query_i64(r, "t", ENGINE_STOP_DEFAULT, &t, &e) < 0) {
		api_reply_error(r, &e);
		return false;
	}
	*ret_timeout = t == ENGINE_STOP_DEFAULT ? ENGINE_STOP_DEFAULT
						: (int)MIN(MAX(t, -1), INT32_MAX);
	*ret_signal = r->target.version >= 42 ? api_query(r, "signal") : NULL;
	return true;
}

static void stop(struct api_request *r)
{
	struct err e = ERR_INIT;
	const char *signal;
	int timeout;
	struct container *c = api_container(r);

	if (!c || !stop_options(r, &signal, &timeout))
		return;
	api_hold(r);
	api_settle(r, engine_container_stop(r->engine, c, signal, timeout, api_done_empty, r, &e),
		   &e);
}

static void restart(struct api_request *r)
{
	struct err e = ERR_INIT;
	const char *signal;
	int timeout;
	struct container *c = api_container(r);

	if (!c || !stop_options(r, &signal, &timeout))
		return;
	api_hold(r);
	api_settle(r,
		   engine_container_restart(r->engine, c, signal, timeout, api_done_empty, r, &e),
		   &e);
}

static void kill_container(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = engine_container_get(r->engine, r->params[0], &e);

	if (!c) {
		err_wrap(&e, "cannot kill container: %s", r->params[0]);
		api_reply_error(r, &e);
		return;
	}
	api_hold(r);
	int rc = engine_container_kill(r->engine, c, api_query(r, "signal"), api_done_empty, r, &e);
	if (rc < 0 && !str_starts(e.text, "cannot kill container"))
		err_wrap(&e, "cannot kill container: %s", r->params[0]);
	api_settle(r, rc, &e);
}

static void pause_container(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (!c)
		return;
	api_hold(r);
	api_settle(r, engine_container_pause(r->engine, c, api_done_empty, r, &e), &e);
}

static void unpause(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (!c)
		return;
	api_hold(r);
	api_settle(r, engine_container_unpause(r->engine, c, api_done_empty, r, &e), &e);
}

static void remove_container(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (!c)
		return;
	api_hold(r);
	api_settle(r,
		   engine_container_remove(r->engine, c, api_query_bool(r, "force"),
					   api_query_bool(r, "v"), api_query_bool(r, "link"),
					   api_done_empty, r, &e),
		   &e);
}

static void rename_container(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (!c)
		return;
	if (engine_container_rename(r->engine, c, api_query(r, "name"), &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void resize(struct api_request *r)
{
	struct err e = ERR_INIT;
	int64_t h, w;
	struct container *c = api_container(r);

	if (!c)
		return;
	if (api_query_i64(r, "h", 0, &h, &e) < 0 || api_query_i64(r, "w", 0, &w, &e) < 0 ||
	    engine_container_resize(r->engine, c, (unsigned)MIN(MAX(h, 0), UINT16_MAX),
				    (unsigned)MIN(MAX(w, 0), UINT16_MAX), &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 200);
}

static void update(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct json *j;
	struct container *c = api_container(r);

	if (!c)
		return;
	if (api_body_json(r, false, &j, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	api_hold(r);
	api_settle(r, engine_container_update(r->engine, c, j, api_done_json, r, &e), &e);
}

static void top(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (!c)
		return;
	api_hold(r);
	api_settle(
		r,
		engine_container_top(r->engine, c, api_query(r, "ps_args"), api_done_json, r, &e),
		&e);
}

static void changes(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct container *c = api_container(r);

	if (c)
		api_finish_json(r, engine_container_changes(r->engine, c, &out, &e), &out, &e);
}

static void prune(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct filters filters;

	if (filters_decode(api_query(r, "filters"), &filters, r->arena, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	api_hold(r);
	api_settle(r, engine_container_prune(r->engine, &filters, api_done_json, r, &e), &e);
}

static void committed(void *ud, const char *json, const struct err *e)
{
	struct api_request *r = ud;

	if (e)
		api_reply_error(r, e);
	else
		api_reply(r, 201, "application/json", json, strlen(json));
	api_drop(r);
}

static void commit(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct json *body;
	struct container_config config;
	const char *pause = api_query(r, "pause"), *ref = api_query(r, "container");
	struct strs changes = api_query_all(r, "changes");
	struct engine_commit o = {.repo = api_query(r, "repo"),
				  .tag = api_query(r, "tag"),
				  .comment = api_query(r, "comment"),
				  .author = api_query(r, "author"),
				  .changes = &changes,
				  .pause = !pause || !*pause || api_query_bool(r, "pause")};
	struct container *c = engine_container_get(r->engine, ref ? ref : "", &e);

	if (!c || api_body_json(r, true, &body, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	if (json_kind_of(body) == JSON_OBJECT && json_len(body)) {
		if (json_decode(body, &container_config_schema, &config, r->arena, &e) < 0) {
			api_reply_error(r, &e);
			return;
		}
		o.config = &config;
	}
	api_hold(r);
	api_settle(r, engine_container_commit(r->engine, c, &o, committed, r, &e), &e);
}

const struct api_route api_routes_containers[] = {
	{"POST", "/containers/create", create, API_BODY_JSON},
	{"GET", "/containers/json", list, API_BODY_JSON},
	{"POST", "/containers/prune", prune, API_BODY_JSON},
	{"GET", "/containers/{id}/json", inspect, API_BODY_JSON},
	{"POST", "/containers/{id}/start", start, API_BODY_JSON},
	{"POST", "/containers/{id}/stop", stop, API_BODY_JSON},
	{"POST", "/containers/{id}/restart", restart, API_BODY_JSON},
	{"POST", "/containers/{id}/kill", kill_container, API_BODY_JSON},
	{"POST", "/containers/{id}/pause", pause_container, API_BODY_JSON},
	{"POST", "/containers/{id}/unpause", unpause, API_BODY_JSON},
	{"POST", "/containers/{id}/rename", rename_container, API_BODY_JSON},
	{"POST", "/containers/{id}/resize", resize, API_BODY_JSON},
	{"POST", "/containers/{id}/update", update, API_BODY_JSON},
	{"GET", "/containers/{id}/top", top, API_BODY_JSON},
	{"GET", "/containers/{id}/changes", changes, API_BODY_JSON},
	{"DELETE", "/containers/{id}", remove_container, API_BODY_JSON},
	{"POST", "/commit", commit, API_BODY_JSON},
	{0},
};
