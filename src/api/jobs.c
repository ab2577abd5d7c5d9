/* SPDX-License-Identifier: Apache-2.0 */
/* See jobs.h. */
#include "api/jobs.h"
#include "api/progress.h"

#include "base/banned.h"

static void on_progress(void *ud, const struct image_progress *p)
{
	AUTO_BUF struct buf line = BUF_INIT(1U << 20);
	struct api_request *r = ud;

	/* A client that does not keep up misses bars, never statements. */
	if (p->has_detail && api_stream_queued(r) > API_STREAM_HIGH)
		return;
	api_progress_line(p, &line);
	api_stream_start(r, 200, "application/json");
	api_stream_write(r, line.p, line.n);
}

static void on_done(void *ud, const char *id, const struct err *e)
{
	struct api_request *r = ud;
	struct api_job *t = r->state;

	t->job = NULL;
	if (e && !api_stream_started(r)) {
		api_reply_error(r, e);
	} else {
		api_stream_start(r, 200, "application/json"); /* a quiet job said nothing */
		if (e) {
			AUTO_BUF struct buf line = BUF_INIT(64 << 10);
			api_progress_error(e->text, &line);
			api_stream_write(r, line.p, line.n);
		}
		api_stream_end(r);
	}
	api_drop(r);
}

static void on_gone(struct api_request *r)
{
	struct api_job *t = r->state;

	if (!t->job)
		return;
	image_job_cancel(TAKE_PTR(t->job));
	api_abort(r);
	api_drop(r);
}

void api_job_stream(struct api_request *r, struct api_job *t, struct image_job_events *ev)
{
	r->state = t;
	r->on_gone = on_gone;
	*ev = (struct image_job_events){.progress = on_progress, .done = on_done, .ud = r};
	api_hold(r);
}

static void question_done(void *ud, const char *json, const struct err *e)
{
	struct api_request *r = ud;
	struct api_job *t = r->state;

	t->job = NULL;
	api_done_json(r, json, e);
}

struct api_job *api_job_question(struct api_request *r, struct image_job_events *ev)
{
	struct api_job *t = arena_alloc(r->arena, sizeof *t);

	api_job_stream(r, t, ev);
	ev->progress = NULL;
	ev->done = question_done;
	return t;
}
