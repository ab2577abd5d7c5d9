/* SPDX-License-Identifier: Apache-2.0 */
/* /containers/{id}: attach, logs, wait and stats: answers that go on after their header. */
#include "api/request.h"
#include "base/clock.h"
#include "base/num.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/banned.h"

#define RAW_STREAM   "application/vnd.docker.raw-stream"
#define MULTI_STREAM "application/vnd.docker.multiplexed-stream"

/* Clients before 1.42 do not know the second media type. */
static const char *stream_type(const struct api_request *r, bool mux)
{
	return mux && r->target.version >= 42 ? MULTI_STREAM : RAW_STREAM;
}

/* ---- attach ---- */

struct attach_state {
	struct engine_attach o;
	char id[ENGINE_ID_MAX];
};

static void attach_socket(struct api_request *r, int fd, const void *extra, size_t n)
{
	struct attach_state *s = r->state;
	struct err e = ERR_INIT;
	struct container *c = engine_container_get(r->engine, s->id, &e);

	if (!c) {
		fd_close(&fd);
		return;
	}
	s->o.fd = fd;
	s->o.preface = extra;
	s->o.preface_n = n;
	(void)engine_container_attach(r->engine, c, &s->o,
				      &e); /* closes fd on error; the answer is already out */
}

/* Docker answers here in the media type of the stream: the text, not JSON. */
static void attach_refused(struct api_request *r, const struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(ERR_TEXT_MAX + 16);

	buf_addf(&text, "%s\r\n", e->text);
	api_reply(r, err_kind_http(e->kind), RAW_STREAM, text.p, text.n);
}

static void attach(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct container *c = engine_container_get(r->engine, r->params[0], &e);

	if (!c) {
		attach_refused(r, &e);
		return;
	}
	struct attach_state *s = arena_alloc(r->arena, sizeof *s);
	const char *keys = api_query(r, "detachKeys");
	s->o = (struct engine_attach){
		.in = api_query_bool(r, "stdin"),
		.out = api_query_bool(r, "stdout"),
		.err = api_query_bool(r, "stderr"),
		.stream = api_query_bool(r, "stream"),
		.logs = api_query_bool(r, "logs"),
		.mux = !engine_container_tty(c),
		.detach_keys = keys && *keys ? keys : NULL,
		.fd = FD_NONE,
	};
	snprintf(s->id, sizeof s->id, "%s", engine_container_id(c));
	r->state = s;
	if (engine_attach_check(r->engine, c, &s->o, &e) < 0)
		attach_refused(r, &e);
	else
		/* Who attaches before the start must be there when the start comes. */
		api_hijack(r, stream_type(r, s->o.mux), engine_container_running(c) || s->o.logs,
			   attach_socket);
}

/* ---- logs ---- */

static void logs_pump(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	struct engine_logs *l = r->state;

	while (l) {
		buf_reset(&out);
		enum engine_logs_state state = engine_logs_read(l, &out);
		bool room = out.n == 0 || api_stream_write(r, out.p, out.n);
		if (state == ENGINE_LOGS_END) {
			api_stream_end(r);
			return;
		}
		if (state == ENGINE_LOGS_WAIT || !room)
			return;
	}
}

static void logs_wake(void *ud)
{
	struct api_request *r = ud;

	/* Above the watermark the drain callback goes on. */
	if (r->state && api_stream_queued(r) <= API_STREAM_HIGH)
		logs_pump(r);
}

static void logs_close(struct api_request *r)
{
	engine_logs_close(TAKE_PTR(r->state));
}

/* "1700000000.5", RFC 3339 or a duration; absent, "" and "0" are no limit. */
static int time_query(struct api_request *r, const char *key, int64_t *ret, struct err *e)
{
	const char *text = api_query(r, key);

	*ret = 0;
	if (!text || !*text || strcmp(text, "0") == 0)
		return 0;
	if (clock_parse_when(text, clock_now_ns(), ret) < 0)
		return err_set(e, ERR_INVALID, "invalid value for \"%s\": \"%s\"", key, text);
	return 0;
}

static void logs(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct engine_logs *l = NULL;
	const char *tail = api_query(r, "tail");
	struct container *c = api_container(r);

	if (!c)
		return;
	struct engine_logs_options o = {
		.out = api_query_bool(r, "stdout"),
		.err = api_query_bool(r, "stderr"),
		.follow = api_query_bool(r, "follow"),
		.timestamps = api_query_bool(r, "timestamps"),
		.details = api_query_bool(r, "details"),
		.mux = !engine_container_tty(c),
		.tail = -1,
	};
	if (!o.out && !o.err) {
		api_reply_message(r, 400, "Bad parameters: you must choose at least one stream");
		return;
	}
	if (tail && num_parse_i64(tail, 0, INT64_MAX, &o.tail) < 0)
		o.tail = -1;
	if (time_query(r, "since", &o.since_ns, &e) < 0 ||
	    time_query(r, "until", &o.until_ns, &e) < 0 ||
	    engine_logs_open(r->engine, c, &o, logs_wake, r, &l, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	r->state = l;
	r->on_drain = logs_pump;
	r->on_gone = logs_close;
	r->on_free = logs_close;
	api_stream_start(r, 200, stream_type(r, o.mux));
	logs_pump(r);
}

/* ---- wait ---- */

static void wait_done(void *ud, int64_t code, const char *error, const struct err *e)
{
	struct api_request *r = ud;
	AUTO_BUF struct buf out = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&out);

	r->state = NULL;
	jw_obj(&w);
	jw_kv_i64(&w, "StatusCode", e ? 125 : code);
	if (e || (error && *error)) {
		jw_key(&w, "Error");
		jw_obj(&w);
		jw_kv_str(&w, "Message", e ? e->text : error);
		jw_obj_end(&w);
	}
	jw_obj_end(&w);
	buf_addc(&out, '\n');
	if (r->target.version < 30 && e) {
		api_reply_error(r, e);
	} else if (r->target.version < 30) {
		api_reply_json(r, 200, &out);
	} else {
		api_stream_start(r, 200, "application/json"); /* nothing when it runs already */
		api_stream_write(r, out.p, out.n);
		api_stream_end(r);
	}
	api_drop(r);
}

static void wait_gone(struct api_request *r)
{
	struct engine_wait *w = TAKE_PTR(r->state);

	if (!w)
		return;
	engine_wait_cancel(w);
	api_abort(r);
	api_drop(r);
}

static void wait_container(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct engine_wait *w = NULL;
	const char *condition = r->target.version >= 30 ? api_query(r, "condition") : NULL;
	struct container *c = api_container(r);

	if (!c)
		return;
	api_hold(r);
	int rc = engine_container_wait(r->engine, c, condition, wait_done, r, &w, &e);
	if (rc != 0) {
		api_settle(r, rc, &e);
		return;
	}
	if (!w)
		return;
	r->state = w;
	r->on_gone = wait_gone;
	/* The client starts the container only after it has seen this header. */
	if (r->target.version >= 30)
		api_stream_start(r, 200, "application/json");
}

/* ---- stats ---- */

struct stats {
	uv_timer_t timer;
	struct api_request *r; /* NULL once detached */
	struct engine_stats previous;
	char id[ENGINE_ID_MAX];
	bool forever, full; /* full: the answer needs a second sample */
	unsigned samples;
};

static void stats_freed(uv_handle_t *h)
{
	free(CONTAINER_OF(h, struct stats, timer));
}

static void stats_stop(struct api_request *r)
{
	struct stats *s = TAKE_PTR(r->state);

	if (s)
		uv_close((uv_handle_t *)&s->timer, stats_freed);
}

static void stats_tick(uv_timer_t *t)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	struct stats *s = CONTAINER_OF(t, struct stats, timer);
	struct api_request *r = s->r;
	struct err e = ERR_INIT;
	struct container *c = engine_container_get(r->engine, s->id, &e);

	if (!c || engine_container_stats(r->engine, c, &s->previous, &out, &e) < 0) {
		if (!api_stream_started(r))
			api_reply_error(r, &e);
		api_stream_end(r);
		stats_stop(r);
		return;
	}
	if (++s->samples == 1 && s->full && !s->forever)
		return;
	buf_addc(&out, '\n');
	if (api_stream_queued(r) < API_STREAM_HIGH)
		api_stream_write(r, out.p, out.n);
	if (s->forever)
		return;
	api_stream_end(r);
	stats_stop(r);
}

static void stats(struct api_request *r)
{
	struct container *c = api_container(r);
	const char *stream = api_query(r, "stream");

	if (!c)
		return;
	struct stats *s = NEW(struct stats);
	s->r = r;
	s->forever = !stream || api_bool_parse(stream);
	s->full = !api_query_bool(r, "one-shot");
	snprintf(s->id, sizeof s->id, "%s", engine_container_id(c));
	uv_timer_init(r->loop, &s->timer);
	r->state = s;
	r->on_gone = stats_stop;
	r->on_free = stats_stop;
	api_stream_start(r, 200, "application/json");
	uv_timer_start(&s->timer, stats_tick, 0, 1000);
}

static void attach_ws(struct api_request *r)
{
	api_unsupported(r, "attach over a web socket");
}

const struct api_route api_routes_streams[] = {
	{"POST", "/containers/{id}/attach", attach, API_BODY_JSON},
	{"GET", "/containers/{id}/attach/ws", attach_ws, API_BODY_JSON},
	{"GET", "/containers/{id}/logs", logs, API_BODY_JSON},
	{"POST", "/containers/{id}/wait", wait_container, API_BODY_JSON},
	{"GET", "/containers/{id}/stats", stats, API_BODY_JSON},
	{0},
};
