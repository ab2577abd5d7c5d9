/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /system/df. The disk is measured on a worker thread (store/measure.h says what is counted);
 * the answer is written on the loop. Docker's fields: an image's Size is what its layers and blobs
 * occupy, SharedSize the part other images need too, LayersSize all layers and blobs; a container's
 * SizeRw is its own layer. "Coracle" has every part of the data directory and their sum, which is
 * what `du` finds.
 */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "store/measure.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct df {
	uv_work_t work;
	struct engine *g;
	unsigned types;
	int api;
	struct store_measuring *m;
	int rc;
	engine_json_fn cb;
	void *ud;
};

/* ---- sizes of images ---- */

struct sizes {
	struct engine *g;
	struct arena *arena;
	struct map *images;
	bool disk;
};

static void keep_usage(void *ud, const struct digest *id, const struct store_image_usage *u)
{
	struct sizes *s = ud;
	struct store_image_usage *copy = arena_alloc(s->arena, sizeof(*copy));

	*copy = *u;
	(void)map_set(s->images, id->text, copy);
}

static bool image_sizes(void *ud, const struct digest *id, int64_t *ret_size, int64_t *ret_shared)
{
	const struct sizes *s = ud;
	const struct store_image_usage *u = map_get(s->images, id->text);

	if (!u) { /* no layers, nothing shared */
		*ret_shared = 0;
		return true;
	}
	if (s->disk)
		*ret_size = (int64_t)u->size;
	*ret_shared = s->disk ? (int64_t)u->shared : u->layers_shared;
	return true;
}

static int64_t image_users(void *ud, const struct digest *id)
{
	const struct sizes *s = ud;

	return engine_image_users(s->g, id);
}

int engine_image_list_sizes(struct engine *g, const struct image_list *base,
			    const struct store_measuring *m, struct buf *out, struct err *e)
{
	struct sizes s = {.g = g, .arena = arena_new(), .images = map_new(), .disk = m != NULL};
	struct image_list o = *base;
	int rc = store_image_usages(g->store, m, keep_usage, &s, e);

	o.sizes = image_sizes;
	o.users = image_users;
	o.user_at = NULL; /* its `ud` is another */
	o.ud = &s;
	rc = rc ? rc : image_list_json(g->images, &o, out, e);
	map_free(s.images);
	arena_free(s.arena);
	return rc;
}

/* ---- the answer ---- */

struct volumes {
	struct df *d;
	struct jw *w;
};

static int write_volume(const struct store_volume *v, void *ud)
{
	const struct volumes *x = ud;
	int64_t users = 0;
	char when[CLOCK_TEXT_MAX];

	LIST_FOR_EACH (it, &x->d->g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		const struct mount_point *m = c->meta.mounts.v;

		for (size_t i = 0; i < c->meta.mounts.n; i++)
			users += m[i].name && strcmp(m[i].name, v->name) == 0;
	}
	clock_format(v->created, when);
	jw_obj(x->w);
	jw_kv_str(x->w, "CreatedAt", when);
	jw_kv_str(x->w, "Driver", v->driver ? v->driver : "local");
	jw_key(x->w, "Labels");
	jw_raw(x->w, v->labels && *v->labels ? v->labels : "null");
	jw_kv_str(x->w, "Mountpoint", v->mountpoint);
	jw_kv_str(x->w, "Name", v->name);
	jw_key(x->w, "Options");
	jw_null(x->w);
	jw_kv_str(x->w, "Scope", "local");
	jw_key(x->w, "UsageData");
	jw_obj(x->w);
	jw_kv_i64(x->w, "RefCount", users);
	jw_kv_u64(x->w, "Size", store_measure_volume(x->d->m, v->name));
	jw_obj_end(x->w);
	jw_obj_end(x->w);
	return 0;
}

static int write_images(struct df *d, struct jw *w, struct err *e)
{
	const struct store_measure *sum = store_measure_sum(d->m);
	const struct image_list o = {.all = true, .digests = true, .counted = true, .api = d->api};
	AUTO_BUF struct buf part = BUF_INIT(64u << 20);

	jw_kv_u64(w, "LayersSize", d->types & ENGINE_DF_IMAGES ? sum->layers + sum->blobs : 0);
	jw_key(w, "Images");
	if (!(d->types & ENGINE_DF_IMAGES)) {
		jw_null(w);
		return 0;
	}
	if (engine_image_list_sizes(d->g, &o, d->m, &part, e) < 0)
		return -1;
	jw_raw(w, buf_text(&part));
	return 0;
}

static int write_containers(struct df *d, struct jw *w, struct err *e)
{
	const struct engine_list_options o = {.all = true, .size = true, .measured = d->m};
	AUTO_BUF struct buf part = BUF_INIT(64u << 20);

	jw_key(w, "Containers");
	if (!(d->types & ENGINE_DF_CONTAINERS)) {
		jw_null(w);
		return 0;
	}
	if (engine_container_list(d->g, &o, &part, e) < 0)
		return -1;
	jw_raw(w, buf_text(&part));
	return 0;
}

static int write_volumes(struct df *d, struct jw *w, struct err *e)
{
	struct volumes v = {d, w};

	jw_key(w, "Volumes");
	if (!(d->types & ENGINE_DF_VOLUMES)) {
		jw_null(w);
		return 0;
	}
	jw_arr(w);
	if (store_volume_each(d->g->store, write_volume, &v, e) < 0)
		return -1;
	jw_arr_end(w);
	return 0;
}

static void write_sums(const struct df *d, struct jw *w)
{
	const struct store_measure *s = store_measure_sum(d->m);

	jw_key(w, "Coracle");
	jw_obj(w);
	jw_kv_u64(w, "Layers", s->layers);
	jw_kv_u64(w, "Blobs", s->blobs);
	jw_kv_u64(w, "Containers", s->containers);
	jw_kv_u64(w, "Volumes", s->volumes);
	jw_kv_u64(w, "Downloads", s->ingest);
	jw_kv_u64(w, "Trash", s->trash);
	jw_kv_u64(w, "Database", s->database);
	jw_kv_u64(w, "Other", s->other);
	jw_kv_u64(w, "Total", s->total);
	jw_obj_end(w);
}

static int write_all(struct df *d, struct buf *out, struct err *e)
{
	struct jw w = JW_INIT(out);

	if (d->rc < 0)
		return err_sys(e, d->rc, "measure the data directory");
	if (store_measure_keep(d->g->store, d->m, e) < 0)
		return -1;
	jw_obj(&w);
	if (write_images(d, &w, e) < 0 || write_containers(d, &w, e) < 0 ||
	    write_volumes(d, &w, e) < 0)
		return -1;
	jw_key(&w, "BuildCache");
	if (d->types & ENGINE_DF_BUILD_CACHE) {
		jw_arr(&w);
		jw_arr_end(&w);
	} else {
		jw_null(&w);
	}
	write_sums(d, &w);
	jw_obj_end(&w);
	return out->overflow ? err_set(e, ERR_LIMIT, "the answer is too large") : 0;
}

static void run(uv_work_t *work)
{
	struct df *d = CONTAINER_OF(work, struct df, work);

	d->rc = store_measure_run(d->m);
}

static void done(uv_work_t *work, int status)
{
	struct df *d = CONTAINER_OF(work, struct df, work);
	AUTO_BUF struct buf out = BUF_INIT(64u << 20);
	struct err e = ERR_INIT;
	int rc;

	d->g->on_threads--;
	if (status < 0 || d->g->closing)
		rc = err_set(&e, ERR_UNAVAILABLE, "the engine is shutting down");
	else
		rc = write_all(d, &out, &e);
	d->cb(d->ud, rc < 0 ? NULL : buf_text(&out), rc < 0 ? &e : NULL);
	store_measuring_free(d->m);
	free(d);
}

int engine_disk_usage(struct engine *g, unsigned types, int api, engine_json_fn cb, void *ud,
		      struct err *e)
{
	struct df *d = NEW(struct df);
	int rc;

	d->g = g;
	d->types = types ? types : ~0u;
	d->api = api;
	d->cb = cb;
	d->ud = ud;
	d->m = store_measure_new(g->store, e);
	if (!d->m) {
		free(d);
		return -1;
	}
	rc = uv_queue_work(g->loop, &d->work, run, done);
	if (rc < 0) {
		store_measuring_free(d->m);
		free(d);
		return err_sys(e, rc, "measure the data directory");
	}
	g->on_threads++;
	return 0;
}
