/* SPDX-License-Identifier: Apache-2.0 */
/* /_ping, /version, /info, /events, /system/df, /auth. */
#include "api/request.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "image/image.h"

#include <string.h>

#include "base/banned.h"

static void ping(struct api_request *r)
{
	api_reply_header(r, "Cache-Control", "no-cache, no-store, must-revalidate");
	api_reply_header(r, "Pragma", "no-cache");
	api_reply_header(r, "Builder-Version", "1");
	api_reply_header(r, "Swarm", "inactive");
	api_reply(r, 200, "text/plain; charset=utf-8", "OK", 2);
}

static void version(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	struct err e = ERR_INIT;

	api_finish_json(r, engine_version(r->engine, &out, &e), &out, &e);
}

static void info(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	struct err e = ERR_INIT;

	api_finish_json(r, engine_info(r->engine, &out, &e), &out, &e);
}

static void exposure(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(64U << 20);
	struct err e = ERR_INIT;

	engine_exposure(r->engine, &out);
	api_finish_json(r, out.overflow ? err_set(&e, ERR_LIMIT, "the answer is too large") : 0,
			&out, &e);
}

static int df_types(const struct api_request *r, unsigned *ret, struct err *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} types[] = {{"container", ENGINE_DF_CONTAINERS},
		     {"image", ENGINE_DF_IMAGES},
		     {"volume", ENGINE_DF_VOLUMES},
		     {"build-cache", ENGINE_DF_BUILD_CACHE}};

	*ret = 0;
	for (size_t i = 0; i < r->target.nquery; i++) {
		size_t k = 0;

		if (strcmp(r->target.query[i].k, "type") != 0)
			continue;
		while (k < ARRAY_SIZE(types) && strcmp(r->target.query[i].v, types[k].name) != 0)
			k++;
		if (k == ARRAY_SIZE(types))
			return err_set(e, ERR_INVALID, "unknown object type: %s",
				       r->target.query[i].v);
		*ret |= types[k].bit;
	}
	return 0;
}

static void disk_usage(struct api_request *r)
{
	struct err e = ERR_INIT;
	unsigned types;

	if (df_types(r, &types, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	api_hold(r);
	api_settle(r, engine_disk_usage(r->engine, types, r->target.version, api_done_json, r, &e),
		   &e);
}

/* ---- login ---- */

static void auth_done(void *ud, const char *id, const struct err *e)
{
	struct api_request *r = ud;
	AUTO_BUF struct buf out = BUF_INIT((size_t)512 << 10); /* a token of 64 KiB, escaped */
	struct jw w = JW_INIT(&out);

	r->state = NULL;
	if (e) {
		api_reply_error(r, e);
	} else {
		jw_obj(&w);
		jw_kv_str(&w, "IdentityToken", id);
		jw_kv_str(&w, "Status", "Login Succeeded");
		jw_obj_end(&w);
		api_reply_json(r, 200, &out);
		explicit_bzero(out.p, out.n);
	}
	api_drop(r);
}

static void auth_gone(struct api_request *r)
{
	struct image_job *job = TAKE_PTR(r->state);

	if (!job)
		return;
	image_job_cancel(job);
	api_abort(r);
	api_drop(r);
}

static void auth(struct api_request *r)
{
	struct json *j = NULL; /* the request's */
	struct err e = ERR_INIT;
	struct image_job *job = NULL;

	if (api_body_json(r, false, &j, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	struct image_login o = {.server = json_str(json_get_icase(j, "serveraddress")),
				.user = json_str(json_get_icase(j, "username")),
				.secret = json_str(json_get_icase(j, "password")),
				.identity_token = json_str(json_get_icase(j, "identitytoken"))};
	struct image_job_events ev = {.done = auth_done, .ud = r};
	if (image_login(engine_images(r->engine), &o, &ev, &job, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	r->state = job;
	r->on_gone = auth_gone;
	api_hold(r);
}

/* ---- events ---- */

static void on_event(void *ud, const char *json)
{
	struct api_request *r = ud;

	if (!json) {
		r->state = NULL;
		api_stream_end(r);
		return;
	}
	api_stream_write(r, json, strlen(json));
	api_stream_write(r, "\n", 1);
}

static void events_stop(struct api_request *r)
{
	engine_events_cancel(TAKE_PTR(r->state));
}

static int time_query(struct api_request *r, const char *key, int64_t *ret, struct err *e)
{
	const char *text = api_query(r, key);

	*ret = 0;
	if (text && *text && clock_parse_when(text, clock_now_ns(), ret) < 0)
		return err_set(e, ERR_INVALID, "invalid value for \"%s\": \"%s\"", key, text);
	return 0;
}

static void events(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct engine_events *s = NULL;
	struct filters f;
	int64_t since, until;

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0 ||
	    engine_events_check(&f, &e) < 0 || time_query(r, "since", &since, &e) < 0 ||
	    time_query(r, "until", &until, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	if (since && until && until < since) {
		api_reply_message(r, 400, "`since` time (%s) cannot be after `until` time (%s)",
				  api_query(r, "since"), api_query(r, "until"));
		return;
	}
	api_stream_start(r, 200, "application/json");
	if (engine_events_subscribe(r->engine, &f, since, until, on_event, r, &s, &e) < 0) {
		api_stream_end(r);
		return;
	}
	r->state = s;
	r->on_gone = events_stop;
	r->on_free = events_stop;
}

const struct api_route api_routes_system[] = {
	{"GET", "/_ping", ping, API_BODY_JSON},
	{"HEAD", "/_ping", ping, API_BODY_JSON},
	{"GET", "/version", version, API_BODY_JSON},
	{"GET", "/info", info, API_BODY_JSON},
	{"GET", "/coracle/exposure", exposure, API_BODY_JSON},
	{"GET", "/events", events, API_BODY_JSON},
	{"GET", "/system/df", disk_usage, API_BODY_JSON},
	{"POST", "/auth", auth, API_BODY_JSON},
	{0},
};
