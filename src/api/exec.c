/* SPDX-License-Identifier: Apache-2.0 */
/* /containers/{id}/exec and /exec/{id}. */
#include "api/request.h"
#include "engine/engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/banned.h"

static void create(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(4096);
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;
	struct exec_config body;
	struct json *j;
	char id[ENGINE_ID_MAX];
	struct container *c;

	if (api_body_json(r, false, &j, &e) < 0 ||
	    json_decode(j, &exec_config_schema, &body, r->arena, &e) < 0 ||
	    !(c = engine_container_get(r->engine, r->params[0], &e)) ||
	    engine_exec_create(r->engine, c, r->params[0], &body, id, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	jw_obj(&w);
	jw_kv_str(&w, "Id", id);
	jw_obj_end(&w);
	buf_addc(&out, '\n');
	api_reply_json(r, 201, &out);
}

struct exec_state {
	struct exec_start o;
	bool mux;
	int fd; /* duplicate of the client's socket, for the text of an error */
};

/* Docker tells a failed start in the stream, because its header is already out. */
static void started(void *ud, const struct err *e)
{
	struct api_request *r = ud;
	struct exec_state *s = r->state;

	if (e && s->fd >= 0) {
		char text[ERR_TEXT_MAX + 16];
		int n = snprintf(text + 8, sizeof text - 8, "%s\r\n", e->text);
		unsigned char head[8] = {
			1, 0, 0, 0, 0, 0, (unsigned char)(n >> 8), (unsigned char)n};
		memcpy(text, head, sizeof head);
		(void)!send(s->fd, s->mux ? text : text + 8, (size_t)n + (s->mux ? 8 : 0),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	fd_close(&s->fd);
	api_drop(r);
}

/* Of a detached start: Docker answers 200 here, not 204. */
static void detached(void *ud, const struct err *e)
{
	struct api_request *r = ud;

	if (e)
		api_reply_error(r, e);
	else
		api_reply_empty(r, 200);
	api_drop(r);
}

static void take_socket(struct api_request *r, int fd, const void *extra, size_t n)
{
	struct exec_state *s = r->state;
	struct err e = ERR_INIT;
	struct engine_attach a = {
		.in = true,
		.out = true,
		.err = true,
		.stream = true,
		.mux = s->mux,
		.fd = fd,
		.preface = extra,
		.preface_n = n,
	};

	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	api_hold(r);
	if (engine_exec_start(r->engine, r->params[0], &s->o, &a, started, r, &e) < 0)
		started(r, &e);
}

static void start(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct exec_state *s = arena_alloc(r->arena, sizeof *s);
	struct json *j;

	s->fd = FD_NONE;
	r->state = s;
	if (api_body_json(r, true, &j, &e) < 0 ||
	    (j && json_decode(j, &exec_start_schema, &s->o, r->arena, &e) < 0) ||
	    engine_exec_check(r->engine, r->params[0], &s->o, &s->mux, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	if (!s->o.detach) {
		api_hijack(r,
			   s->mux && r->target.version >= 42
				   ? "application/vnd.docker.multiplexed-stream"
				   : "application/vnd.docker.raw-stream",
			   true, take_socket);
		return;
	}
	api_hold(r);
	api_settle(r, engine_exec_start(r->engine, r->params[0], &s->o, NULL, detached, r, &e), &e);
}

static void resize(struct api_request *r)
{
	struct err e = ERR_INIT;
	int64_t h, w;

	if (api_query_i64(r, "h", 0, &h, &e) < 0 || api_query_i64(r, "w", 0, &w, &e) < 0 ||
	    engine_exec_resize(r->engine, r->params[0], (unsigned)MIN(MAX(h, 0), UINT16_MAX),
			       (unsigned)MIN(MAX(w, 0), UINT16_MAX), &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 200);
}

/* ---- inspect ---- */

struct recheck {
	uv_timer_t timer;
	struct api_request *r;
};

static void recheck_closed(uv_handle_t *h)
{
	free(CONTAINER_OF(h, struct recheck, timer));
}

static void answer_inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	struct err e = ERR_INIT;

	api_finish_json(r, engine_exec_inspect(r->engine, r->params[0], &out, &e), &out, &e);
}

static void recheck_now(uv_timer_t *t)
{
	struct recheck *k = CONTAINER_OF(t, struct recheck, timer);

	answer_inspect(k->r);
	api_drop(k->r);
	uv_close((uv_handle_t *)t, recheck_closed);
}

/*
 * Clients ask for the exit code the moment their stream ended. The shim told the engine before it
 * ended the stream, but the loop may serve this request first: whoever still seems to run is looked
 * at again one turn later.
 */
static void inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	struct err e = ERR_INIT;

	if (engine_exec_inspect(r->engine, r->params[0], &out, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	if (!strstr(buf_text(&out), "\"Running\":true")) {
		api_reply_json(r, 200, &out);
		return;
	}
	struct recheck *k = NEW(struct recheck);
	k->r = r;
	api_hold(r);
	uv_timer_init(r->loop, &k->timer);
	uv_timer_start(&k->timer, recheck_now, 2, 0);
}

const struct api_route api_routes_exec[] = {
	{"POST", "/containers/{id}/exec", create, API_BODY_JSON},
	{"POST", "/exec/{id}/start", start, API_BODY_JSON},
	{"POST", "/exec/{id}/resize", resize, API_BODY_JSON},
	{"GET", "/exec/{id}/json", inspect, API_BODY_JSON},
	{0},
};
