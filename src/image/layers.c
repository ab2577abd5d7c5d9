/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See layers-priv.h. At most max-concurrent-downloads layers are downloaded or unpacked at a time,
 * whoever pulls them; those of an archive count for it alone. One that only waits for the disk lets
 * the next begin, so that the processors are not idle meanwhile, up to as many again.
 */
#include "image/layers-priv.h"
#include "image/members.h"

#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

enum layer_state { LAYER_TODO, LAYER_ACTIVE, LAYER_SYNCING, LAYER_UNPACKED, LAYER_DONE };

struct layer {
	struct layers *set;
	const struct oci_descriptor *desc;
	struct digest blob, diff_id, chain;
	char id[13];
	enum layer_state state;
	bool told_waiting;
	struct fetch_sub sub;
};

/* Blobs and their names on their way to the disk, by a thread of the pool. */
struct settle {
	uv_work_t work;
	struct layers *set; /* NULL: nobody waits any more */
	struct store_settle *files;
	struct err err;
	int rc;
};

struct layers {
	struct list link;
	struct settle *settle;
	struct layers_want want;
	struct service_soon *soon;
	size_t n;
	bool fetched, ended;
	struct layer v[];
};

static void step(struct layers *s);

static void end(struct layers *s, const struct err *e)
{
	if (s->ended)
		return;
	s->ended = true;
	s->want.done(s->want.ud, e);
}

static void settle_run(uv_work_t *w)
{
	struct settle *t = CONTAINER_OF(w, struct settle, work);

	t->rc = store_settle_run(t->files, &t->err);
}

static void settle_done(uv_work_t *w, int status)
{
	struct settle *t = CONTAINER_OF(w, struct settle, work);
	struct layers *s = t->set;
	struct err e = t->err;
	bool failed = status < 0 || t->rc < 0;

	store_settle_free(t->files);
	free(t);
	if (!s)
		return;
	s->settle = NULL;
	end(s, failed ? &e : NULL);
}

/* The image can be told of when its blobs are durable; its layers' trees follow (flush.c). */
static void settle(struct layers *s)
{
	struct settle *t;

	if (s->settle)
		return;
	t = s->settle = NEW(struct settle);
	t->set = s;
	t->err = ERR_INIT;
	t->files = store_settle_new(s->want.job->service->store, s->want.lease);
	uv_queue_work(s->want.job->service->loop, &t->work, settle_run, settle_done);
}

static void layer_progress(void *ud, const char *status, int64_t current, int64_t total)
{
	struct layer *l = ud;
	if (!strcmp(status, "Pull complete"))
		l->set->fetched = true;
	if (l->set->want.quiet)
		return;
	if (l->set->want.loading) {
		if (!strcmp(status, "Extracting"))
			job_progress(l->set->want.job, l->id, "Loading layer", current, total);
		return;
	}
	if (total)
		job_progress(l->set->want.job, l->id, status, current, total);
	else
		job_line(l->set->want.job, l->id, status);
}

static void layer_syncing(void *ud)
{
	struct layer *l = ud;
	l->state = LAYER_SYNCING;
	step(l->set);
}

static void layer_unpacked(void *ud)
{
	struct layer *l = ud;
	l->state = LAYER_UNPACKED;
	step(l->set);
}

static void layer_done(void *ud, const struct err *e)
{
	struct layer *l = ud;
	if (e) {
		struct err err = *e;
		end(l->set, &err);
		return;
	}
	l->state = LAYER_DONE;
	store_lease_layer(l->set->want.lease, &l->chain);
	step(l->set);
}

static void start_one(struct layers *s, size_t i)
{
	struct layer *l = &s->v[i];
	struct fetch_want want = {.blob = l->blob,
				  .diff_id = l->diff_id,
				  .chain = l->chain,
				  .size = (uint64_t)l->desc->size,
				  .urls = oci_layer_foreign(l->desc) ? &l->desc->urls : NULL,
				  .registry = s->want.registry};
	if (i)
		want.parent = s->v[i - 1].chain;
	l->state = LAYER_ACTIVE;
	l->sub.progress = layer_progress;
	l->sub.syncing = layer_syncing;
	l->sub.unpacked = layer_unpacked;
	l->sub.done = layer_done;
	l->sub.ud = l;
	store_lease_blob(s->want.lease, &l->blob);
	fetch_subscribe(s->want.job->service, &want, &l->sub);
}

/* What takes part in the limit that counts for these layers. */
static void count(const struct layers *s, size_t *active, size_t *syncing)
{
	if (s->want.registry) {
		fetch_count(s->want.job->service, active, syncing);
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		*active += s->v[i].state == LAYER_ACTIVE;
		*syncing += s->v[i].state == LAYER_SYNCING;
	}
}

static void step(struct layers *s)
{
	struct image_service *service = s->want.job->service;
	const size_t parallel = service->settings.downloads;
	size_t active = 0, syncing = 0, done = 0;
	if (s->ended)
		return;
	count(s, &active, &syncing);
	for (size_t i = 0; i < s->n; i++)
		done += s->v[i].state == LAYER_DONE;
	if (done == s->n) {
		settle(s);
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct layer *l = &s->v[i];
		if (l->state != LAYER_TODO)
			continue;
		bool known = fetch_known(service, &l->chain, &l->blob);
		if (known || (active < parallel && active + syncing < 2 * parallel)) {
			start_one(s, i);
			active += !known;
		} else if (!l->told_waiting) {
			l->told_waiting = true;
			if (!s->want.quiet && !s->want.loading)
				job_line(s->want.job, l->id, "Waiting");
		}
	}
}

static void poke_all(void *ud)
{
	struct image_service *s = ud;
	s->poke = NULL;
	LIST_FOR_EACH (it, &s->layer_sets) {
		struct layers *l = LIST_ENTRY(it, struct layers, link);
		if (!l->soon)
			step(l);
	}
}

void layers_poke(struct image_service *s)
{
	if (!s->poke)
		s->poke = service_after(s, 0, poke_all, s);
}

static void first_step(void *ud)
{
	struct layers *s = ud;
	s->soon = NULL;
	step(s);
}

static int prepare(struct layers *s, size_t i, struct err *e)
{
	struct layer *l = &s->v[i];
	l->set = s;
	l->desc = oci_descriptor_at(s->want.descriptors, i);
	if (digest_parse(l->desc->digest_text, &l->blob) < 0 ||
	    digest_parse(s->want.diff_ids->v[i], &l->diff_id) < 0)
		return err_set(e, ERR_INVALID, "invalid layer digest");
	store_chain_id(i ? &s->v[i - 1].chain : NULL, &l->diff_id, &l->chain);
	digest_short(&l->blob, l->id);
	uint64_t size;
	if (store_blob_has(s->want.job->service->store, &l->blob, &size) &&
	    size != (uint64_t)l->desc->size)
		return err_set(e, ERR_INVALID, "layer %s has %llu bytes, its manifest says %lld",
			       l->id, (unsigned long long)size, (long long)l->desc->size);
	if (store_layer_has(s->want.job->service->store, &l->chain)) {
		store_lease_layer(s->want.lease, &l->chain);
		l->state = LAYER_DONE;
		if (!s->want.quiet && !s->want.loading)
			job_line(s->want.job, l->id, "Already exists");
	} else if (!s->want.quiet && !s->want.loading) {
		job_line(s->want.job, l->id, "Pulling fs layer");
	}
	return 0;
}

int layers_start(const struct layers_want *w, struct layers **ret, struct err *e)
{
	size_t n = w->descriptors->n;
	if (w->diff_ids->n != n)
		return err_set(e, ERR_INVALID,
			       "the image config names %zu layers, the manifest %zu",
			       w->diff_ids->n, n);
	struct layers *s = xcalloc(1, sizeof(*s) + n * sizeof(s->v[0]));
	s->want = *w;
	s->want.descriptors = w->descriptors;
	s->n = n;
	for (size_t i = 0; i < n; i++)
		if (prepare(s, i, e) < 0) {
			free(s);
			return -1;
		}
	list_add_tail(&w->job->service->layer_sets, &s->link);
	s->soon = service_after(w->job->service, 0, first_step, s);
	*ret = s;
	return 0;
}

void layers_free(struct layers *s)
{
	if (!s)
		return;
	s->ended = true;
	list_del(&s->link);
	if (s->settle)
		s->settle->set = NULL;
	service_soon_cancel(s->soon);
	for (size_t i = 0; i < s->n; i++)
		fetch_unsubscribe(&s->v[i].sub);
	free(s);
}

bool layers_fetched(const struct layers *s)
{
	return s->fetched;
}

/* What its indexes keep with it, those it came from before too. */
static int add_indexes(struct image_service *s, struct store_image *img, struct digest **blobs,
		       const struct store_image *before, const struct digest *index, struct err *e)
{
	size_t n = (index ? 1 : 0) + (before ? before->nindexes : 0);

	for (size_t i = 0; i < n; i++) {
		const struct digest *d = index && i == 0 ? index
							 : &before->indexes[i - (index ? 1 : 0)];
		AUTO_FREE struct digest *more = NULL;
		size_t count = 0;

		if (!index_here(s, d))
			continue;
		if (index_blobs(s, d, &more, &count, e) < 0)
			return -1;
		*blobs = xrealloc(*blobs, (img->nblobs + count + 1) * sizeof(**blobs));
		for (size_t k = 0; k < count; k++)
			(*blobs)[img->nblobs++] = more[k];
	}
	img->blobs = *blobs;
	return 0;
}

int layers_put_image(struct layers *s, const struct digest *config, const char *config_text,
		     const struct digest *manifest, const struct digest *index, struct err *e)
{
	struct image_service *service = s->want.job->service;
	struct store *store = service->store;
	AUTO(store_image) struct store_image *before = NULL;
	struct err none = ERR_INIT;
	if (store_image_get(store, config, &before, &none) < 0)
		before = NULL;
	AUTO_FREE struct digest *chains = xcalloc(s->n + 1, sizeof(*chains));
	AUTO_FREE struct digest *blobs = xcalloc(s->n + 2, sizeof(*blobs));
	struct store_image img = {.id = *config, .config = config_text, .layers = chains};
	blobs[img.nblobs++] = *config;
	if (manifest && digest_is_set(manifest)) {
		img.manifest = *manifest;
		blobs[img.nblobs++] = *manifest;
	}
	for (size_t i = 0; i < s->n; i++) {
		chains[img.nlayers++] = s->v[i].chain;
		struct store_layer layer;
		if (store_blob_has(store, &s->v[i].blob, NULL))
			blobs[img.nblobs++] = s->v[i].blob;
		else if (store_layer_get(store, &s->v[i].chain, &layer, &none) == 0 &&
			 digest_is_set(&layer.blob) && store_blob_has(store, &layer.blob, NULL))
			blobs[img.nblobs++] = layer.blob; /* the same layer, packed otherwise */
	}
	if (add_indexes(service, &img, &blobs, before, index, e) < 0)
		return -1;
	return store_image_put(store, &img, e);
}
