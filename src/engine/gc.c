/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection by policy: images no container uses, the longest unused first, once they were
 * not used for a while; with keep-storage only until what images occupy is below it. An image is
 * used when it is stored, when a container is made of it and when that is removed. Layers and blobs
 * that nothing needs and downloads that were given up a day ago go too; what a running pull, load
 * or push holds stays. Runs on a timer when the configuration says so, and on request.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine-priv.h"
#include "store/measure.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PARTIAL_KEPT_NS (24LL * 3600 * 1000000000)

struct candidate {
	struct digest id;
	int64_t used;
	uint64_t own; /* bytes nobody else needs */
};

struct gc {
	uv_work_t work;
	struct engine *g;
	struct engine_gc o;
	struct store_measuring *m;
	int rc;
	engine_json_fn cb;
	void *ud;
	struct candidate *v;
	size_t n;
};

static void collect(void *ud, const struct digest *id, const struct store_image_usage *u)
{
	struct gc *c = ud;
	AUTO(store_image) struct store_image *img = NULL;
	struct err none = ERR_INIT;

	if (engine_image_users(c->g, id) > 0 || store_image_get(c->g->store, id, &img, &none) < 0 ||
	    (c->o.dangling && (img->ntags || img->nalso)) ||
	    MAX(img->used, img->stored) > clock_now_ns() - c->o.unused_for_ns)
		return;
	c->v = xrealloc(c->v, (c->n + 1) * sizeof(*c->v));
	c->v[c->n++] = (struct candidate){*id, MAX(img->used, img->stored), u->size - u->shared};
}

static int by_use(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

/* One image: told, and removed unless this is a rehearsal. False: it could not be removed. */
static bool one(struct gc *c, const struct candidate *x, struct jw *w)
{
	AUTO(store_image) struct store_image *img = NULL;
	AUTO_BUF struct buf answer = BUF_INIT(ENGINE_TEXT_MAX);
	char when[CLOCK_TEXT_MAX];
	struct err e = ERR_INIT;

	if (store_image_get(c->g->store, &x->id, &img, &e) < 0)
		return false;
	if (!c->o.dry_run &&
	    engine_image_remove(c->g, x->id.text, true, false, NULL, &answer, &e) < 0) {
		log_warn("garbage collection: image %.19s: %s", x->id.text, e.text);
		return false;
	}
	clock_format(x->used, when);
	jw_obj(w);
	jw_kv_str(w, "Id", x->id.text);
	jw_key(w, "Names");
	jw_arr(w);
	for (size_t i = 0; i < img->ntags; i++)
		jw_str(w, img->tags[i]);
	jw_arr_end(w);
	jw_kv_str(w, "LastUsed", when);
	jw_kv_u64(w, "Size", x->own);
	jw_obj_end(w);
	return true;
}

static int sweep(struct gc *c, struct buf *out, struct err *e)
{
	const struct store_measure *sum = store_measure_sum(c->m);
	uint64_t usage = sum->layers + sum->blobs, freed = 0, rest = 0;
	struct jw w = JW_INIT(out);

	if (c->rc < 0)
		return err_sys(e, c->rc, "measure the data directory");
	if (store_measure_keep(c->g->store, c->m, e) < 0 ||
	    store_image_usages(c->g->store, c->m, collect, c, e) < 0)
		return -1;
	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), by_use);
	jw_obj(&w);
	jw_kv_bool(&w, "DryRun", c->o.dry_run);
	jw_kv_u64(&w, "UsageBefore", usage);
	jw_key(&w, "Images");
	jw_arr(&w);
	for (size_t i = 0; i < c->n; i++) {
		if (c->o.keep_bytes > 0 && usage - freed <= (uint64_t)c->o.keep_bytes)
			break;
		if (one(c, &c->v[i], &w))
			freed += c->v[i].own;
	}
	jw_arr_end(&w);
	if (!c->o.dry_run && store_gc(c->g->store, PARTIAL_KEPT_NS, &rest, e) < 0)
		return -1;
	engine_trash(c->g);
	jw_kv_u64(&w, "SpaceReclaimed", freed + rest);
	jw_obj_end(&w);
	return 0;
}

static void run(uv_work_t *work)
{
	struct gc *c = CONTAINER_OF(work, struct gc, work);

	c->rc = store_measure_run(c->m);
}

static void done(uv_work_t *work, int status)
{
	struct gc *c = CONTAINER_OF(work, struct gc, work);
	AUTO_BUF struct buf out = BUF_INIT(64u << 20);
	struct err e = ERR_INIT;
	int rc;

	c->g->on_threads--;
	if (status < 0 || c->g->closing)
		rc = err_set(&e, ERR_UNAVAILABLE, "the engine is shutting down");
	else
		rc = sweep(c, &out, &e);
	c->cb(c->ud, rc < 0 ? NULL : buf_text(&out), rc < 0 ? &e : NULL);
	store_measuring_free(c->m);
	free(c->v);
	free(c);
}

struct engine_gc engine_gc_policy(const struct engine *g)
{
	return (struct engine_gc){.unused_for_ns = g->config->gc.unused_for_ns,
				  .keep_bytes = g->config->gc.keep_bytes};
}

int engine_gc(struct engine *g, const struct engine_gc *o, engine_json_fn cb, void *ud,
	      struct err *e)
{
	struct gc *c = NEW(struct gc);

	c->g = g;
	c->o = *o;
	c->cb = cb;
	c->ud = ud;
	c->m = store_measure_new(g->store, e);
	if (!c->m) {
		free(c);
		return -1;
	}
	int rc = uv_queue_work(g->loop, &c->work, run, done);
	if (rc < 0) {
		store_measuring_free(c->m);
		free(c);
		return err_sys(e, rc, "measure the data directory");
	}
	g->on_threads++;
	return 0;
}

/* ---- the timer ---- */

static void timed_done(void *ud, const char *json, const struct err *e)
{
	struct engine *g = ud;

	if (e)
		log_warn("garbage collection: %s", e->text);
	else
		log_debug("garbage collection: %s", json);
	gc_schedule(g);
}

static void on_timer(uv_timer_t *t)
{
	struct engine *g = t->data;
	const struct engine_gc o = engine_gc_policy(g);
	struct err e = ERR_INIT;

	engine_timer_free(&g->gc_timer);
	if (g->config->gc.enabled > 0 && engine_gc(g, &o, timed_done, g, &e) == 0)
		return; /* the next one is counted from its end: two never overlap */
	if (e.kind)
		log_warn("garbage collection: %s", e.text);
	gc_schedule(g);
}

void gc_schedule(struct engine *g)
{
	if (!g->gc_timer && !g->closing)
		g->gc_timer = engine_timer(g, (uint64_t)g->config->gc.interval_ns / 1000000,
					   on_timer, g);
}
