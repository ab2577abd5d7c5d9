/* SPDX-License-Identifier: Apache-2.0 */
/* /containers/{id}/archive and /export: files of a container as tar streams (docker cp, docker
 * export). */
#include "api/request.h"
#include "base/log.h"
#include "engine/engine.h"
#include "wire/base64.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

struct transfer {
	struct engine_files_job *job;
	bool drained, packed; /* tar out: the pipe ended; the worker did */
};

/* The stat of ?path= as the header that clients want before the archive; answers the error itself.
 */
static bool add_stat(struct api_request *r, struct container *c)
{
	AUTO_BUF struct buf json = BUF_INIT(64 << 10), text = BUF_INIT(128 << 10);
	struct err e = ERR_INIT;
	const char *path = api_query(r, "path");

	if (!path || !*path) {
		api_reply_message(r, 400, "bad parameter: path cannot be empty");
		return false;
	}
	if (engine_container_stat_path(r->engine, c, path, &json, &e) < 0) {
		api_reply_error(r, &e);
		return false;
	}
	base64_encode(json.p, json.n, &text);
	api_reply_header(r, "X-Docker-Container-Path-Stat", buf_text(&text));
	return true;
}

static void head(struct api_request *r)
{
	struct container *c = api_container(r);

	if (c && add_stat(r, c))
		api_reply_empty(r, 200);
}

static void on_gone(struct api_request *r)
{
	struct transfer *t = r->state;

	if (!t->job)
		return;
	engine_files_cancel(TAKE_PTR(t->job));
	api_abort(r);
	api_drop(r);
}

/* ---- out ---- */

/* Complete only when the pipe is empty and the worker says so: a cut archive must not look whole.
 */
static void out_end(struct api_request *r)
{
	struct transfer *t = r->state;

	if (!t->drained || !t->packed)
		return;
	api_stream_start(r, 200, "application/x-tar");
	api_stream_end(r);
}

static void out_drained(struct api_request *r)
{
	((struct transfer *)r->state)->drained = true;
	out_end(r);
}

static void out_done(void *ud, const struct err *e)
{
	struct api_request *r = ud;
	struct transfer *t = r->state;

	t->job = NULL;
	t->packed = !e;
	if (!e) {
		out_end(r);
	} else if (!api_stream_started(r)) {
		api_reply_error(r, e);
	} else {
		log_error("%s: %s", r->target.path, e->text);
		api_abort(r);
	}
	api_drop(r);
}

static void send_tar(struct api_request *r, struct container *c, const char *path)
{
	struct transfer *t = arena_alloc(r->arena, sizeof *t);
	struct err e = ERR_INIT;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		api_reply_message(r, 500, "pipe: %s", strerror(errno));
		return;
	}
	r->state = t;
	r->on_gone = on_gone;
	api_hold(r);
	if (engine_container_tar_out(r->engine, c, path, fds[1], out_done, r, &t->job, &e) < 0) {
		close(fds[0]);
		api_settle(r, -1, &e);
		return;
	}
	api_stream_from_fd(r, fds[0], "application/x-tar", out_drained);
}

static void get(struct api_request *r)
{
	struct container *c = api_container(r);

	if (c && add_stat(r, c))
		send_tar(r, c, api_query(r, "path"));
}

static void export_container(struct api_request *r)
{
	struct container *c = api_container(r);

	if (c)
		send_tar(r, c, NULL);
}

/* ---- in ---- */

static void in_done(void *ud, const struct err *e)
{
	struct api_request *r = ud;

	((struct transfer *)r->state)->job = NULL;
	if (e)
		api_reply_error(r, e);
	else
		api_reply_empty(r, 200);
	api_drop(r);
}

static void put(struct api_request *r)
{
	struct container *c = api_container(r);
	struct transfer *t = arena_alloc(r->arena, sizeof *t);
	struct err e = ERR_INIT;
	const char *path = api_query(r, "path");

	const struct engine_tar_in o = {.keep_types = api_query_bool(r, "noOverwriteDirNonDir"),
					.own = api_query_bool(r, "copyUIDGID")};

	if (!c)
		return;
	if (engine_container_ready(r->engine, c, &e) < 0) { /* before the body is taken */
		api_reply_error(r, &e);
		return;
	}
	if (!path || !*path) {
		api_reply_message(r, 400, "bad parameter: path cannot be empty");
		return;
	}
	r->state = t;
	r->on_gone = on_gone;
	api_hold(r);
	api_settle(r,
		   engine_container_tar_in(r->engine, c, path, &o, TAKE_FD(r->body_fd), in_done, r,
					   &t->job, &e),
		   &e);
}

const struct api_route api_routes_archive[] = {
	{"HEAD", "/containers/{id}/archive", head, API_BODY_JSON},
	{"GET", "/containers/{id}/archive", get, API_BODY_JSON},
	{"PUT", "/containers/{id}/archive", put, API_BODY_STREAM},
	{"GET", "/containers/{id}/export", export_container, API_BODY_JSON},
	{0},
};
