/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One blob on its way to the registry (OCI distribution, "Pushing blobs"):
 *   HEAD: it is there -> done
 *   POST, with the repository it may be mounted from: 201 -> done, 202 -> the upload's address
 *   small blobs: PUT of everything; large ones: PATCH of chunks, then an empty PUT
 * After a cut the registry is asked how far it got (GET of the upload) and the rest follows as
 * chunks; an upload it does not know any more starts again. A body that is too large for it (413)
 * is tried in smaller chunks.
 */
#include "image/known-priv.h"
#include "image/push-priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PROGRESS_NS   100000000LL
#define CHUNK	      ((uint64_t)64 << 20)
#define CHUNK_MIN     ((uint64_t)256 << 10)
#define REDIRECTS_MAX 5

static void post(struct push_blob *b);
static void send_part(struct push_blob *b);
static void ask_offset(void *ud);

void push_blob_reset(struct push_blob *b)
{
	registry_cancel(b->call);
	service_soon_cancel(b->timer);
	image_worker_cancel(b->worker);
	fd_close(&b->fd);
	free(b->location);
	b->call = NULL;
	b->timer = NULL;
	b->worker = NULL;
	b->location = NULL;
}

void push_blob_say(struct push_blob *b, const char *status)
{
	if (b->layer)
		job_line(&b->push->job, b->id, status);
}

void push_blob_done(struct push_blob *b, const char *status)
{
	struct push *p = b->push;
	push_blob_reset(b);
	b->state = BLOB_DONE;
	map_set(p->there, b->part->digest.text, p);
	if (b->layer)
		known_add(p->job.service, &p->ref, &b->part->digest);
	push_blob_say(b, status);
	push_step(p);
}

static void call(struct push_blob *b, struct registry_request *q)
{
	q->ud = b;
	registry_start(b->push->registry, q, &b->call);
}

/* ---- failures ---- */

static void restart(void *ud)
{
	struct push_blob *b = ud;
	b->timer = NULL;
	post(b);
}

static void retry_line(struct push_blob *b, unsigned ms)
{
	char line[64];
	unsigned s = (ms + 999) / 1000;
	snprintf(line, sizeof(line), "Retrying in %u second%s", s, s == 1 ? "" : "s");
	push_blob_say(b, line);
}

/* A step of the upload failed: later again from where the registry is, or for good. */
static void failed(struct push_blob *b, const struct http_response *resp, const struct err *e)
{
	if (b->offset > b->gained_at)
		b->attempts = 0;
	b->gained_at = MAX(b->gained_at, b->offset);
	if (resp->status == 413 && b->chunk > CHUNK_MIN && b->part->size > CHUNK_MIN) {
		b->chunk = MAX(MIN(b->chunk, b->part->size) / 4, CHUNK_MIN);
		b->gained_at = 0;
		free(b->location);
		b->location = NULL;
		post(b);
		return;
	}
	bool lost = b->location && (resp->status == 404 || resp->status == 416);
	unsigned ms = push_retry_ms(resp, e, ++b->attempts);
	if (lost && b->attempts < 3)
		ms = 1;
	if (!ms) {
		push_fail(b->push, e);
		return;
	}
	if (lost) {
		free(b->location);
		b->location = NULL;
	} else {
		retry_line(b, ms);
	}
	b->timer = service_after(b->push->job.service, ms, b->location ? ask_offset : restart, b);
}

/* ---- the upload's address and position ---- */

/* An absolute URL of what Location says; it may be a path. */
static void take_location(struct push_blob *b, const char *location)
{
	if (!location[0])
		return; /* the old one goes on */
	free(b->location);
	if (location[0] == '/') {
		const char *base = registry_base(b->push->registry);
		const char *host = strstr(base, "://") + 3;
		b->location = xasprintf("%.*s%s", (int)((size_t)(host - base) + strcspn(host, "/")),
					base, location);
	} else {
		b->location = xstrdup(location);
	}
}

/* "0-1023" or "bytes=0-1023" -> 1024; "0-0" means nothing or one byte, taken as nothing. */
static bool uploaded(const char *range, uint64_t *ret)
{
	uint64_t last;
	const char *dash = strchr(range, '-');
	if (str_starts(range, "bytes="))
		range += strlen("bytes=");
	if (!dash || !str_starts(range, "0-") || num_parse_u64(dash + 1, 0, INT64_MAX, &last) < 0)
		return false;
	*ret = last ? last + 1 : 0;
	return true;
}

/* True when the answer sent the upload elsewhere. */
static bool redirected(struct push_blob *b, const struct http_response *resp)
{
	if ((resp->status != 307 && resp->status != 308) || !resp->location[0] ||
	    ++b->redirects > REDIRECTS_MAX)
		return false;
	take_location(b, resp->location);
	send_part(b);
	return true;
}

/* ---- sending ---- */

static void sent(void *ud, uint64_t total)
{
	struct push_blob *b = ud;
	int64_t now = clock_mono_ns();
	if (!b->layer || now - b->told_ns < PROGRESS_NS)
		return;
	b->told_ns = now;
	job_progress(&b->push->job, b->id, "Pushing", (int64_t)(b->offset + total),
		     (int64_t)b->part->size);
}

static void put_done(void *ud, const struct http_response *resp, const struct buf *body,
		     const struct err *e)
{
	struct push_blob *b = ud;
	b->call = NULL;
	if (e && redirected(b, resp))
		return;
	if (e)
		failed(b, resp, e);
	else
		push_blob_done(b, "Pushed");
}

static void patch_done(void *ud, const struct http_response *resp, const struct buf *body,
		       const struct err *e)
{
	struct push_blob *b = ud;
	uint64_t at = b->offset + b->sending;
	struct err err = ERR_INIT;
	b->call = NULL;
	if (e && redirected(b, resp))
		return;
	if (e) {
		failed(b, resp, e);
		return;
	}
	(void)uploaded(resp->uploaded, &at);
	if (at > b->part->size || at <= b->offset) {
		err_set(&err, ERR_REMOTE,
			"the registry says it has %llu bytes of a part that ended at %llu",
			(unsigned long long)at, (unsigned long long)(b->offset + b->sending));
		failed(b, resp, &err);
		return;
	}
	b->offset = at;
	b->redirects = 0;
	take_location(b, resp->location);
	send_part(b);
}

static void put(struct push_blob *b, bool whole)
{
	AUTO_BUF struct buf url = BUF_INIT(16384);
	buf_addf(&url, "%s%cdigest=", b->location, strchr(b->location, '?') ? '&' : '?');
	auth_url_encode(b->part->digest.text, &url);
	struct registry_request q = {.method = "PUT",
				     .path = buf_text(&url),
				     .content_type = "application/octet-stream",
				     .sent = sent,
				     .done = put_done};
	if (whole && b->part->size) {
		q.body_fd = b->fd;
		q.body_size = b->part->size;
	} else {
		q.body = "";
	}
	call(b, &q);
}

static void patch(struct push_blob *b)
{
	char range[64];
	b->sending = MIN(b->chunk, b->part->size - b->offset);
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)b->offset,
		 (unsigned long long)(b->offset + b->sending - 1));
	struct registry_request q = {.method = "PATCH",
				     .path = b->location,
				     .content_type = "application/octet-stream",
				     .content_range = range,
				     .body_fd = b->fd,
				     .body_size = b->sending,
				     .body_offset = b->offset,
				     .sent = sent,
				     .done = patch_done};
	call(b, &q);
}

static void send_part(struct push_blob *b)
{
	if (b->offset == 0 && b->part->size <= b->chunk)
		put(b, true);
	else if (b->offset < b->part->size)
		patch(b);
	else
		put(b, false);
}

static void offset_done(void *ud, const struct http_response *resp, const struct buf *body,
			const struct err *e)
{
	struct push_blob *b = ud;
	b->call = NULL;
	if (e) {
		failed(b, resp, e);
		return;
	}
	take_location(b, resp->location);
	if (!uploaded(resp->uploaded, &b->offset) || b->offset > b->part->size) {
		free(b->location);
		b->location = NULL;
		b->offset = 0;
		post(b);
		return;
	}
	/* The answer to a complete PUT may be what was lost. */
	send_part(b);
}

static void ask_offset(void *ud)
{
	struct push_blob *b = ud;
	b->timer = NULL;
	struct registry_request q = {.method = "GET", .path = b->location, .done = offset_done};
	call(b, &q);
}

/* ---- before sending ---- */

/* The bytes to send; false when they have to be made first (or nothing can be done). */
static bool have_bytes(struct push_blob *b)
{
	struct err e = ERR_INIT;
	if (b->fd >= 0)
		return true;
	if (digest_is_set(&b->part->source)) {
		b->state = BLOB_WANT_PACK;
		push_step(b->push);
		return false;
	}
	if (b->part->missing) {
		b->push->rebuild_wanted = true;
		push_step(b->push);
		return false;
	}
	if (store_blob_open(b->push->job.service->store, &b->part->digest, &b->fd, &e) < 0) {
		push_fail(b->push, &e);
		return false;
	}
	return true;
}

static void post_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct push_blob *b = ud;
	struct push *p = b->push;
	struct err err = ERR_INIT;
	b->call = NULL;
	if (e && b->mount) { /* some registries refuse what they could just not do */
		known_forget(p->job.service, p->ref.domain, b->mount, &b->part->digest);
		b->mount = NULL;
		post(b);
		return;
	}
	if (e) {
		failed(b, resp, e);
		return;
	}
	if (resp->status == 201) {
		char line[300];
		snprintf(line, sizeof(line), "Mounted from %s", b->mount ? b->mount : p->ref.path);
		push_blob_done(b, line);
		return;
	}
	if (b->mount)
		known_forget(p->job.service, p->ref.domain, b->mount, &b->part->digest);
	b->mount = NULL;
	if (!resp->location[0]) {
		err_set(&err, ERR_REMOTE, "the registry did not say where to upload");
		push_fail(p, &err);
		return;
	}
	take_location(b, resp->location);
	b->offset = 0;
	b->chunk = MAX(b->chunk, resp->chunk_min);
	if (have_bytes(b))
		send_part(b);
}

static void post(struct push_blob *b)
{
	AUTO_BUF struct buf path = BUF_INIT(4096);
	b->offset = 0;
	if (!b->mount && !have_bytes(b))
		return;
	buf_adds(&path, "blobs/uploads/");
	if (b->mount) {
		buf_adds(&path, "?from=");
		auth_url_encode(b->mount, &path);
		buf_adds(&path, "&mount=");
		auth_url_encode(b->part->digest.text, &path);
	}
	struct registry_request q = {
		.method = "POST", .path = buf_text(&path), .body = "", .done = post_done};
	call(b, &q);
}

/* Where it may be mounted from: the repository it was seen in last. */
static const char *mount_source(struct push_blob *b)
{
	struct push *p = b->push;
	struct strs repos = {0};
	known_repos(p->job.service, p->ref.domain, &b->part->digest, p->arena, &repos);
	for (size_t i = 0; i < repos.n; i++)
		if (strcmp(repos.v[i], p->ref.path))
			return repos.v[i];
	return NULL;
}

static void head_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct push_blob *b = ud;
	b->call = NULL;
	if (e) {
		push_fail(b->push, e);
		return;
	}
	if (resp->status == 200) {
		push_blob_done(b, "Layer already exists");
		return;
	}
	b->mount = mount_source(b);
	post(b);
}

void push_blob_start(struct push_blob *b)
{
	struct push *p = b->push;
	char path[DIGEST_TEXT_MAX + 16];
	b->chunk = CHUNK;
	if (b->state == BLOB_PACKED && b->location) { /* the upload waited for its bytes */
		b->state = BLOB_ACTIVE;
		send_part(b);
		return;
	}
	b->state = BLOB_ACTIVE;
	if (!digest_is_set(&b->part->digest) &&
	    !known_packed_get(p->job.service, &b->part->source, p->how, &b->part->digest,
			      &b->part->size)) {
		b->state = BLOB_WANT_PACK;
		push_step(p);
		return;
	}
	if (map_get(p->there, b->part->digest.text)) {
		push_blob_done(b, "Layer already exists");
		return;
	}
	snprintf(path, sizeof(path), "blobs/%s", b->part->digest.text);
	struct registry_request q = {
		.method = "HEAD", .path = path, .any_status = true, .done = head_done};
	call(b, &q);
}
