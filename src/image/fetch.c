/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fetch-priv.h. One fetch per chain id. Steps: (another fetch has the same blob: wait) ->
 * stream into the worker, which writes the blob, checks it and unpacks -> wait until the parent
 * layer is in the store -> commit. A broken download leaves its bytes for the next attempt; a wrong
 * digest does not.
 */
#include "image/fetch-priv.h"
#include "image/flush-priv.h"
#include "image/worker-priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PROGRESS_NS	100000000LL
#define CHILD_TARGET_FD 3
#define CHILD_BLOB_FD	4
#define CHILD_SEAL_FD	5

enum fetch_state { FETCH_BLOCKED, FETCH_RUNNING, FETCH_UNPACKED, FETCH_ENDED };

struct fetch {
	struct list link;
	struct image_service *service;
	struct fetch_want want;
	struct arena *arena;
	struct strs urls;
	size_t next_url, source; /* the first one to ask */
	struct registry_trail trail;
	enum fetch_state state;
	struct list subs;
	struct service_soon *soon;
	struct image_worker *worker;
	struct registry_call *call;
	struct store_layer_tmp tmp;
	struct store_lease *lease;
	int blob_fd;
	bool ingest; /* store_ingest_open() is ours */
	bool paused, fed_all, restarted, syncing;
	uint64_t have, position, content_size;
	int64_t told_ns;
};

static void fetch_run(struct fetch *f);

static void tell(struct fetch *f, const char *status, int64_t current, int64_t total)
{
	LIST_FOR_EACH (it, &f->subs) {
		struct fetch_sub *s = LIST_ENTRY(it, struct fetch_sub, link);
		if (s->progress)
			s->progress(s->ud, status, current, total);
	}
}

static void release(struct fetch *f, bool keep_bytes)
{
	image_worker_cancel(f->worker);
	f->worker = NULL;
	registry_cancel(f->call);
	f->call = NULL;
	fd_close(&f->blob_fd);
	if (f->ingest && keep_bytes)
		store_ingest_close(f->service->store, &f->want.blob);
	else if (f->ingest)
		store_ingest_abort(f->service->store, &f->want.blob);
	f->ingest = false;
	store_layer_abort(f->service->store, &f->tmp);
}

static void fetch_free(struct fetch *f)
{
	release(f, true);
	list_del(&f->link);
	service_soon_cancel(f->soon);
	store_lease_free(f->lease);
	registry_close(f->want.registry);
	arena_free(f->arena);
	free(f);
}

static void run_soon(void *ud)
{
	struct fetch *f = ud;
	f->soon = NULL;
	fetch_run(f);
}

static void try_commits(struct image_service *s);

/* Tell everybody and go. Others may have waited for this blob or this layer. */
static void fetch_end(struct fetch *f, const struct err *e)
{
	struct image_service *s = f->service;
	f->state = FETCH_ENDED;
	list_del(&f->link);
	while (!list_empty(&f->subs)) {
		struct fetch_sub *sub = LIST_ENTRY(f->subs.next, struct fetch_sub, link);
		list_del(&sub->link);
		sub->fetch = NULL;
		sub->done(sub->ud, e);
	}
	struct digest blob = f->want.blob;
	fetch_free(f);
	layers_poke(s);
	LIST_FOR_EACH (it, &s->fetches) {
		struct fetch *o = LIST_ENTRY(it, struct fetch, link);
		if (o->state == FETCH_BLOCKED && !o->soon && digest_eq(&o->want.blob, &blob))
			o->soon = service_after(s, 0, run_soon, o);
	}
}

static void fetch_fail(struct fetch *f, const struct err *e, bool keep_bytes)
{
	struct err err = *e;
	release(f, keep_bytes);
	fetch_end(f, &err);
}

/*
 * The bytes were wrong: all of them once more, from whoever may have better ones. False when nobody
 * is left.
 */
static bool fetch_elsewhere(struct fetch *f)
{
	if (!f->ingest || !f->want.registry)
		return false;
	if (f->next_url < f->urls.n) {
		f->next_url++;
	} else if (f->have || f->trail.mixed) {
		/* Pieces of several answers: the same again in one piece, but only once. */
		if (f->restarted)
			f->source = f->trail.source + 1;
		f->restarted = true;
	} else {
		f->source = f->trail.source + 1;
	}
	if (f->source >= registry_sources(f->want.registry))
		return false;
	log_debug("layer %s: wrong bytes, asking again", f->want.blob.text);
	f->fed_all = f->paused = false;
	release(f, false);
	fetch_run(f);
	return true;
}

/* ---- commit in chain order ---- */

static bool parent_ready(const struct fetch *f)
{
	return !digest_is_set(&f->want.parent) ||
	       store_layer_has(f->service->store, &f->want.parent);
}

static void fetch_commit(struct fetch *f)
{
	struct err e = ERR_INIT;
	struct store_layer layer;
	if (store_layer_commit(f->service->store, &f->tmp,
			       digest_is_set(&f->want.parent) ? &f->want.parent : NULL,
			       &f->want.diff_id, &f->want.blob, f->content_size, &layer, &e) < 0) {
		fetch_fail(f, &e, true);
		return;
	}
	store_lease_layer(f->lease, &f->want.chain);
	flush_soon(f->service);
	tell(f, "Pull complete", 0, 0);
	fetch_end(f, NULL);
}

static void try_commits(struct image_service *s)
{
	bool again;
	do {
		again = false;
		LIST_FOR_EACH (it, &s->fetches) {
			struct fetch *f = LIST_ENTRY(it, struct fetch, link);
			if (f->state == FETCH_UNPACKED && parent_ready(f)) {
				fetch_commit(f);
				again = true;
				break;
			}
		}
	} while (again);
}

/* ---- the stream ---- */

struct store_ids fetch_ids(const struct json *j)
{
	if (!json_get(j, "uidMin"))
		return STORE_IDS_EMPTY;
	return (struct store_ids){json_i64(json_get(j, "uidMin")), json_i64(json_get(j, "uidMax")),
				  json_i64(json_get(j, "gidMin")), json_i64(json_get(j, "gidMax"))};
}

static int worker_line(void *ud, const struct json *j, struct err *e)
{
	struct fetch *f = ud;
	struct json *progress = json_get(j, "progress");
	if (progress) {
		if (f->fed_all)
			tell(f, "Extracting", json_i64(progress), (int64_t)f->want.size);
		return 0;
	}
	if (json_get(j, "syncing")) {
		f->syncing = true;
		layers_poke(f->service);
		LIST_FOR_EACH (it, &f->subs) {
			struct fetch_sub *s = LIST_ENTRY(it, struct fetch_sub, link);
			if (s->syncing)
				s->syncing(s->ud);
		}
		return 0;
	}
	const char *digest = json_str(json_get(j, "digest")),
		   *diff = json_str(json_get(j, "diffId"));
	if (!digest || !diff || strcmp(digest, f->want.blob.text) ||
	    strcmp(diff, f->want.diff_id.text))
		return err_set(e, ERR_INVALID,
			       "layer %s: unpacked to something else than announced",
			       f->want.blob.text);
	f->content_size = json_u64(json_get(j, "contentSize"));
	f->tmp.ids = fetch_ids(j);
	f->tmp.unsynced = true;
	return 0;
}

static void worker_end(void *ud, const struct err *e)
{
	struct fetch *f = ud;
	struct err err = ERR_INIT;
	f->worker = NULL;
	if (e) {
		bool bad = e->kind == ERR_INVALID || e->kind == ERR_LIMIT;
		err = *e;
		if (bad && fetch_elsewhere(f))
			return;
		err_wrap(&err, "failed to register layer: %s", f->want.blob.text);
		fetch_fail(f, &err, !bad);
		return;
	}
	registry_cancel(f->call);
	f->call = NULL;
	fd_close(&f->blob_fd);
	if (f->ingest) {
		f->ingest = false;
		if (store_ingest_commit(f->service->store, &f->want.blob, f->want.size, STORE_LATER,
					&err) < 0) {
			fetch_fail(f, &err, true);
			return;
		}
	}
	f->state = FETCH_UNPACKED;
	layers_poke(f->service);
	LIST_FOR_EACH (it, &f->subs) {
		struct fetch_sub *s = LIST_ENTRY(it, struct fetch_sub, link);
		if (s->unpacked)
			s->unpacked(s->ud);
	}
	try_commits(f->service);
}

static void worker_drained(void *ud)
{
	struct fetch *f = ud;
	if (f->paused && f->call) {
		f->paused = false;
		registry_resume(f->call);
	}
}

static enum http_data blob_data(void *ud, const void *p, size_t n)
{
	struct fetch *f = ud;
	if (!f->worker)
		return HTTP_DATA_STOP;
	if (image_worker_full(f->worker)) {
		f->paused = true;
		return HTTP_DATA_PAUSE;
	}
	if (n > f->want.size - f->position)
		return HTTP_DATA_STOP; /* more than announced: blob_done says so */
	f->position += n;
	image_worker_feed(f->worker, p, n);
	int64_t now = clock_mono_ns();
	if (now - f->told_ns > PROGRESS_NS) {
		f->told_ns = now;
		tell(f, "Downloading", (int64_t)f->position, (int64_t)f->want.size);
	}
	return HTTP_DATA_OK;
}

static void all_fed(struct fetch *f)
{
	f->fed_all = true;
	tell(f, "Verifying Checksum", 0, 0);
	tell(f, "Download complete", 0, 0);
	image_worker_feed_end(f->worker);
}

static void blob_waiting(void *ud, unsigned seconds)
{
	struct fetch *f = ud;
	char text[64];
	snprintf(text, sizeof(text), "Retrying in %u second%s", seconds, seconds == 1 ? "" : "s");
	tell(f, text, 0, 0);
}

static void start_download(struct fetch *f);

static void blob_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct fetch *f = ud;
	f->call = NULL;
	if (!e && f->worker) {
		all_fed(f);
		return;
	}
	struct err err = ERR_INIT;
	if (e && e->kind != ERR_CANCELLED) {
		err = *e;
		if (f->next_url < f->urls.n && f->worker) {
			f->next_url++; /* the next place, from the byte reached */
			start_download(f);
		} else {
			fetch_fail(f, &err, true);
		}
		return;
	}
	if (f->worker && fetch_elsewhere(f))
		return;
	err_set(&err, ERR_INVALID, "layer %s: the registry sent more than the %llu bytes announced",
		f->want.blob.text, (unsigned long long)f->want.size);
	fetch_fail(f, &err, false);
}

static void start_download(struct fetch *f)
{
	char path[DIGEST_TEXT_MAX + 16];
	if (f->position == f->want.size) {
		all_fed(f);
		return;
	}
	snprintf(path, sizeof(path), "blobs/%s", f->want.blob.text);
	struct registry_request q = {.method = "GET",
				     .path = f->next_url < f->urls.n ? f->urls.v[f->next_url]
								     : path,
				     .offset = f->position,
				     .expect = f->want.size,
				     .first_source = f->source,
				     .trail = &f->trail,
				     .data = blob_data,
				     .waiting = blob_waiting,
				     .done = blob_done,
				     .ud = f};
	registry_start(f->want.registry, &q, &f->call);
	if (f->position)
		tell(f, "Downloading", (int64_t)f->position, (int64_t)f->want.size);
}

/* Where the bytes come from: a blob we have, or a partial one that grows. */
static int open_input(struct fetch *f, struct err *e)
{
	struct store *s = f->service->store;
	uint64_t size;
	f->have = f->position = 0;
	if (store_blob_has(s, &f->want.blob, &size)) {
		if (size != f->want.size)
			return err_set(e, ERR_INVALID,
				       "layer %s: the manifest says %llu bytes, the blob has %llu",
				       f->want.blob.text, (unsigned long long)f->want.size,
				       (unsigned long long)size);
		return store_blob_open(s, &f->want.blob, &f->blob_fd, e);
	}
	if (!f->want.registry)
		return err_set(e, ERR_INVALID, "layer %s is missing", f->want.blob.text);
	for (int i = 0; i < 2; i++) {
		if (store_ingest_open(s, &f->want.blob, &f->blob_fd, &f->have, e) < 0)
			return -1;
		f->ingest = true;
		if (f->have <= f->want.size)
			break;
		fd_close(&f->blob_fd);
		store_ingest_abort(s, &f->want.blob);
		f->ingest = false;
	}
	f->position = f->have;
	return 0;
}

static int start_worker(struct fetch *f, struct err *e)
{
	char target[12], blob[12], seal[12], have[24], size[24];
	const char *argv[24];
	size_t n = 0;
	snprintf(target, sizeof(target), "%d", CHILD_TARGET_FD);
	snprintf(blob, sizeof(blob), "%d", CHILD_BLOB_FD);
	snprintf(seal, sizeof(seal), "%d", CHILD_SEAL_FD);
	snprintf(have, sizeof(have), "%llu", (unsigned long long)f->have);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)f->want.size);
	argv[n++] = UNPACK_PROGRAM;
	argv[n++] = "apply";
	argv[n++] = "--target-fd";
	argv[n++] = target;
	argv[n++] = "--seal-fd";
	argv[n++] = seal;
	argv[n++] = "--digest";
	argv[n++] = f->want.blob.text;
	argv[n++] = "--size";
	argv[n++] = size;
	argv[n++] = "--diff-id";
	argv[n++] = f->want.diff_id.text;
	argv[n++] = "--progress";
	argv[n++] = "--sync-blob";
	if (f->ingest) {
		argv[n++] = "--blob-fd";
		argv[n++] = blob;
		argv[n++] = "--blob-have";
		argv[n++] = have;
	}
	argv[n] = NULL;
	struct spawn_fd fds[3] = {{f->tmp.fd, CHILD_TARGET_FD},
				  {f->tmp.seal_fd, CHILD_SEAL_FD},
				  {f->blob_fd, CHILD_BLOB_FD}};
	struct image_worker_start o = {.loop = f->service->loop,
				       .program = f->service->unpack,
				       .argv = argv,
				       .fds = fds,
				       .nfds = f->ingest ? 3 : 2,
				       .stdin_fd = f->ingest ? FD_NONE : f->blob_fd,
				       .ops = {.line = worker_line,
					       .end = worker_end,
					       .drained = worker_drained,
					       .ud = f}};
	return image_worker_start(&o, &f->worker, e);
}

static bool blob_busy(const struct fetch *f)
{
	LIST_FOR_EACH (it, &f->service->fetches) {
		struct fetch *o = LIST_ENTRY(it, struct fetch, link);
		if (o != f && o->state == FETCH_RUNNING && digest_eq(&o->want.blob, &f->want.blob))
			return true;
	}
	return false;
}

static void fetch_run(struct fetch *f)
{
	struct err e = ERR_INIT;
	if (store_layer_has(f->service->store, &f->want.chain)) {
		store_lease_layer(f->lease, &f->want.chain);
		tell(f, "Already exists", 0, 0);
		fetch_end(f, NULL);
		return;
	}
	if (blob_busy(f)) {
		f->state = FETCH_BLOCKED;
		tell(f, "Waiting", 0, 0);
		return;
	}
	f->state = FETCH_RUNNING;
	store_lease_blob(f->lease, &f->want.blob);
	if (open_input(f, &e) < 0 || store_layer_begin(f->service->store, &f->tmp, &e) < 0 ||
	    start_worker(f, &e) < 0) {
		fetch_fail(f, &e, true);
		return;
	}
	if (f->ingest) {
		start_download(f);
	} else {
		f->fed_all = true;
		tell(f, "Download complete", 0, 0);
	}
}

void fetch_count(const struct image_service *s, size_t *ret_active, size_t *ret_syncing)
{
	*ret_active = *ret_syncing = 0;
	LIST_FOR_EACH (it, &s->fetches) {
		const struct fetch *f = LIST_ENTRY(it, struct fetch, link);
		if (!f->want.registry || f->state == FETCH_UNPACKED || f->state == FETCH_ENDED)
			continue;
		*(f->syncing ? ret_syncing : ret_active) += 1;
	}
}

static struct fetch *find(const struct image_service *s, const struct digest *chain,
			  const struct digest *blob)
{
	LIST_FOR_EACH (it, &s->fetches) {
		struct fetch *f = LIST_ENTRY(it, struct fetch, link);
		if (digest_eq(&f->want.chain, chain) && digest_eq(&f->want.blob, blob))
			return f;
	}
	return NULL;
}

bool fetch_known(const struct image_service *s, const struct digest *chain,
		 const struct digest *blob)
{
	return find(s, chain, blob) != NULL;
}

void fetch_subscribe(struct image_service *s, const struct fetch_want *want, struct fetch_sub *sub)
{
	struct fetch *f = find(s, &want->chain, &want->blob);
	if (f) {
		sub->fetch = f;
		list_add_tail(&f->subs, &sub->link);
		return;
	}
	f = NEW(struct fetch);
	f->service = s;
	f->want = *want;
	f->want.registry = want->registry ? registry_hold(want->registry) : NULL;
	f->arena = arena_new();
	for (size_t i = 0; want->urls && i < want->urls->n; i++)
		if (str_starts(want->urls->v[i], "http://") ||
		    str_starts(want->urls->v[i], "https://"))
			strs_push(&f->urls, f->arena, arena_strdup(f->arena, want->urls->v[i]));
	f->want.urls = NULL;
	f->tmp = STORE_LAYER_TMP_INIT;
	f->blob_fd = FD_NONE;
	f->lease = store_lease_new(s->store);
	list_init(&f->subs);
	sub->fetch = f;
	list_add_tail(&f->subs, &sub->link);
	list_add_tail(&s->fetches, &f->link);
	f->soon = service_after(s, 0, run_soon, f);
}

void fetch_unsubscribe(struct fetch_sub *sub)
{
	struct fetch *f = sub->fetch;
	if (!f)
		return;
	sub->fetch = NULL;
	list_del(&sub->link);
	if (f->state != FETCH_ENDED && list_empty(&f->subs))
		fetch_end(f, NULL);
}
