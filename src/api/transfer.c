/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image jobs over HTTP: pull, push, load, save. A job's messages are lines of JSON. As with Docker,
 * an error before the first line is a plain error answer, one after it a line
 * {"errorDetail":{"message"},"error"}. A client that leaves cancels its job.
 */
#include "api/jobs.h"
#include "base/log.h"
#include "base/num.h"
#include "image/referrers.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

struct transfer {
	struct api_job j;    /* first: r->state is both */
	bool drained, saved; /* save: the pipe ended; the job did */
};

static struct transfer *transfer_new(struct api_request *r, struct image_job_events *ev)
{
	struct transfer *t = arena_alloc(r->arena, sizeof *t);

	api_job_stream(r, &t->j, ev);
	return t;
}

/* ---- pull, import ---- */

static bool has_tag(const char *ref)
{
	const char *slash = strrchr(ref, '/');

	return strchr(slash ? slash : ref, ':') || strchr(ref, '@');
}

static void import(struct api_request *r, const char *src)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	const char *message = api_query(r, "message");
	struct strs changes = api_query_all(r, "changes");
	int64_t created;
	struct image_make o = {.upper_fd = FD_NONE,
			       .fd = FD_NONE,
			       .platform = api_query(r, "platform"),
			       .ref = api_query(r, "repo"),
			       .tag = api_query(r, "tag"),
			       .changes = &changes};

	/* Our own: when the image says it was made, in seconds (reproducible images). */
	if (api_query_i64(r, "created", 0, &created, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	o.created_ns = created * 1000000000;
	o.comment = message && *message ? message : arena_printf(r->arena, "Imported from %s", src);
	if (strcmp(src, "-") != 0)
		o.url = src;
	else
		o.fd = TAKE_FD(r->body_fd);
	struct transfer *t = transfer_new(r, &ev);
	api_settle(r, image_make(engine_images(r->engine), &o, &ev, &t->j.job, &e), &e);
}

static void pull(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	const char *from = api_query(r, "fromImage"), *tag = api_query(r, "tag");
	struct image_pull o = {.platform = api_query(r, "platform"),
			       .auth = api_header(r, "X-Registry-Auth")};

	if (api_query(r, "fromSrc") && *api_query(r, "fromSrc")) {
		import(r, api_query(r, "fromSrc"));
		return;
	}
	if (!from || !*from) {
		api_reply_message(r, 400, "invalid reference format");
		return;
	}
	o.ref = tag && *tag
			? arena_printf(r->arena, "%s%s%s", from, strchr(tag, ':') ? "@" : ":", tag)
			: from;
	o.all_tags = !has_tag(o.ref) && !image_default_is(o.ref);
	struct transfer *t = transfer_new(r, &ev);
	api_settle(r, image_pull(engine_images(r->engine), &o, &ev, &t->j.job, &e), &e);
}

/* ?platform={"os":"linux","architecture":"arm64","variant":"v8"} */
static int push_platform(struct api_request *r, const char **ret, struct err *e)
{
	const char *text = api_query(r, "platform");
	AUTO(json) struct json *j = NULL;

	if (!text || !*text)
		return 0;
	if (json_parse(text, strlen(text), &j, e) < 0)
		return err_wrap(e, "failed to parse platform");
	const char *os = json_str(json_get_icase(j, "os"));
	const char *arch = json_str(json_get_icase(j, "architecture"));
	const char *variant = json_str(json_get_icase(j, "variant"));
	if (!os || !*os)
		return err_set(e, ERR_INVALID, "failed to parse platform: no os");
	*ret = arena_printf(r->arena, "%s%s%s%s%s", os, arch && *arch ? "/" : "",
			    arch && *arch ? arch : "", variant && *variant ? "/" : "",
			    variant && *variant ? variant : "");
	return 0;
}

static void push(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	const char *tag = api_query(r, "tag");
	struct image_push o = {.auth = api_header(r, "X-Registry-Auth"),
			       .compression = api_query(r, "compression")};
	const char *level = api_query(r, "compressionLevel");
	uint64_t n = 0;

	if (level && *level && num_parse_u64(level, 1, 100, &n) < 0) {
		api_reply_message(r, 400, "invalid compressionLevel \"%s\"", level);
		return;
	}
	o.level = (int)n;
	if (push_platform(r, &o.platform, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	o.ref = tag && *tag ? arena_printf(r->arena, "%s:%s", r->params[0], tag) : r->params[0];
	o.all_tags = !has_tag(o.ref);
	struct transfer *t = transfer_new(r, &ev);
	api_settle(r, image_push(engine_images(r->engine), &o, &ev, &t->j.job, &e), &e);
}

/* ---- load, save ---- */

static void load(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct image_load o = {.fd = TAKE_FD(r->body_fd),
			       .platform = api_query(r, "platform"),
			       .quiet = api_query_bool(r, "quiet")};
	struct transfer *t = transfer_new(r, &ev);

	api_settle(r, image_load(engine_images(r->engine), &o, &ev, &t->j.job, &e), &e);
}

/* The archive is complete only when the pipe is empty and the job says so: a cut one must not look
 * whole. */
static void save_end(struct api_request *r)
{
	struct transfer *t = r->state;

	if (!t->drained || !t->saved)
		return;
	api_stream_start(r, 200, "application/x-tar");
	api_stream_end(r);
}

static void save_drained(struct api_request *r)
{
	((struct transfer *)r->state)->drained = true;
	save_end(r);
}

static void save_done(void *ud, const char *id, const struct err *e)
{
	struct api_request *r = ud;
	struct transfer *t = r->state;

	t->j.job = NULL;
	t->saved = !e;
	if (!e) {
		save_end(r);
	} else if (!api_stream_started(r)) {
		api_reply_error(r, e);
	} else {
		log_error("save: %s", e->text);
		api_abort(r);
	}
	api_drop(r);
}

static void save_refs(struct api_request *r, const char *const *refs, size_t n)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct image_save o = {.refs = refs, .n = n, .platform = api_query(r, "platform")};
	struct digest id;
	int fds[2];

	for (size_t i = 0; i < n; i++)
		if (image_find(engine_images(r->engine), refs[i], &id, &e) < 0) {
			/* here Docker says the name as it came */
			if (e.kind == ERR_NOT_FOUND)
				err_set(&e, ERR_NOT_FOUND, "No such image: %s", refs[i]);
			api_reply_error(r, &e);
			return;
		}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		api_reply_message(r, 500, "pipe: %s", strerror(errno));
		return;
	}
	struct transfer *t = transfer_new(r, &ev);
	ev.progress = NULL;
	ev.done = save_done;
	o.fd = fds[1];
	if (image_save(engine_images(r->engine), &o, &ev, &t->j.job, &e) < 0) {
		close(fds[0]);
		api_settle(r, -1, &e);
		return;
	}
	api_stream_from_fd(r, fds[0], "application/x-tar", save_drained);
}

static void save_one(struct api_request *r)
{
	save_refs(r, &r->params[0], 1);
}

static void save_many(struct api_request *r)
{
	struct strs names = api_query_all(r, "names");

	if (names.n == 0)
		api_reply_message(r, 400, "no images to save");
	else
		save_refs(r, names.v, names.n);
}

static void save_referrers(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct image_referrers o = {.ref = r->params[0],
				    .artifact_type = api_query(r, "artifactType"),
				    .platform = api_query(r, "platform"),
				    .auth = api_header(r, "X-Registry-Auth"),
				    .insecure = api_query_bool(r, "insecure")};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		api_reply_message(r, 500, "pipe: %s", strerror(errno));
		return;
	}
	struct transfer *t = transfer_new(r, &ev);
	ev.progress = NULL;
	ev.done = save_done;
	if (image_referrers_save(engine_images(r->engine), &o, fds[1], &ev, &t->j.job, &e) < 0) {
		close(fds[0]);
		api_settle(r, -1, &e);
		return;
	}
	api_stream_from_fd(r, fds[0], "application/x-tar", save_drained);
}

const struct api_route api_routes_transfer[] = {
	{"POST", "/images/create", pull, API_BODY_STREAM},
	{"GET", "/coracle/images/{name*}/referrers/get", save_referrers, API_BODY_JSON},
	{"POST", "/images/load", load, API_BODY_STREAM},
	{"GET", "/images/get", save_many, API_BODY_JSON},
	{"GET", "/images/{name*}/get", save_one, API_BODY_JSON},
	{"POST", "/images/{name*}/push", push, API_BODY_JSON},
	{0},
};
