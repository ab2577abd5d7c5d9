/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /coracle/gc?dry-run=1&dangling=1&unused-for=1h&keep-storage=20GB: see engine/gc.c; what is
 * not said is as configured.
 *
 * POST /coracle/fsck?repair=1&quick=1: a stream of JSON lines. Problems are {"kind","name",
 * "problem","repaired","advice"}, progress is Docker's {"status",...}, the last line is {"summary":
 * {...}} or {"errorDetail":...}.
 */
#include "api/progress.h"
#include "api/request.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/engine.h"
#include "image/image.h"

#include "base/banned.h"

static void write_line(struct api_request *r, const struct buf *line)
{
	api_stream_start(r, 200, "application/json");
	api_stream_write(r, line->p, line->n);
}

static void on_progress(void *ud, const struct image_progress *p)
{
	AUTO_BUF struct buf line = BUF_INIT(64 << 10);
	struct api_request *r = ud;

	if (p->has_detail && api_stream_queued(r) > API_STREAM_HIGH)
		return;
	if (p->aux) {
		buf_adds(&line, p->aux);
		buf_adds(&line, "\r\n");
	} else {
		api_progress_line(p, &line);
	}
	write_line(r, &line);
}

static void on_result(void *ud, const struct image_fsck_result *f)
{
	AUTO_BUF struct buf line = BUF_INIT(4096);
	struct jw w = JW_INIT(&line);

	jw_obj(&w);
	jw_key(&w, "summary");
	jw_obj(&w);
	jw_kv_u64(&w, "problems", f->problems);
	jw_kv_u64(&w, "repaired", f->repaired);
	jw_kv_u64(&w, "blobs", f->blobs);
	jw_kv_u64(&w, "layers", f->layers);
	jw_kv_u64(&w, "unsealed", f->unsealed);
	jw_kv_u64(&w, "entries", f->entries);
	jw_kv_u64(&w, "bytes", f->bytes);
	jw_obj_end(&w);
	jw_obj_end(&w);
	buf_adds(&line, "\r\n");
	write_line(ud, &line);
}

static void on_done(void *ud, const char *id, const struct err *e)
{
	struct api_request *r = ud;

	(void)id;
	r->state = NULL;
	if (e && !api_stream_started(r)) {
		api_reply_error(r, e);
	} else {
		if (e) {
			AUTO_BUF struct buf line = BUF_INIT(64 << 10);

			api_progress_error(e->text, &line);
			write_line(r, &line);
		}
		api_stream_end(r);
	}
	api_drop(r);
}

static void on_gone(struct api_request *r)
{
	if (!r->state)
		return;
	image_job_cancel(TAKE_PTR(r->state));
	api_abort(r);
	api_drop(r);
}

static void fsck(struct api_request *r)
{
	const struct image_job_events ev = {.progress = on_progress, .done = on_done, .ud = r};
	struct image_job *job = NULL;
	struct err e = ERR_INIT;

	r->on_gone = on_gone;
	api_hold(r);
	int rc = engine_fsck(r->engine, api_query_bool(r, "repair"), api_query_bool(r, "quick"),
			     on_result, &ev, &job, &e);
	r->state = job;
	api_settle(r, rc, &e);
}

/* ---- gc ---- */

static void gc(struct api_request *r)
{
	struct engine_gc o = engine_gc_policy(r->engine);
	const char *unused = api_query(r, "unused-for"), *keep = api_query(r, "keep-storage");
	struct err e = ERR_INIT;

	o.dry_run = api_query_bool(r, "dry-run");
	o.dangling = api_query_bool(r, "dangling");
	if (unused && num_parse_duration(unused, &o.unused_for_ns) < 0) {
		api_reply_message(r, 400, "invalid duration \"%s\"", unused);
		return;
	}
	if (keep && num_parse_bytes(keep, &o.keep_bytes) < 0) {
		api_reply_message(r, 400, "invalid size \"%s\"", keep);
		return;
	}
	api_hold(r);
	api_settle(r, engine_gc(r->engine, &o, api_done_json, r, &e), &e);
}

const struct api_route api_routes_fsck[] = {
	{"POST", "/coracle/gc", gc, API_BODY_JSON},
	{"POST", "/coracle/fsck", fsck, API_BODY_JSON},
	{0},
};
