/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking the store. Order: database and rows; content of every blob and layer, each in a confined
 * worker; with repair, images whose layers are broken are made again from the blobs that are kept;
 * then containers, volumes and what nobody needs. Every step is one turn of the loop, so the engine
 * goes on answering.
 */
#include "image/fsck-priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define CHILD_DIR_FD  3
#define CHILD_SEAL_FD 4

static void run_soon(void *ud);

void fsck_next(struct fsck *f)
{
	if (!f->soon)
		f->soon = service_after(f->job.service, 0, run_soon, f);
}

static void fsck_drop(struct image_job *j)
{
	struct fsck *f = CONTAINER_OF(j, struct fsck, job);

	for (size_t i = 0; i < f->nitems; i++) {
		image_worker_cancel(f->items[i].worker);
		fd_close(&f->items[i].fd);
		fd_close(&f->items[i].seal_fd);
	}
	service_soon_cancel(f->soon);
	fsck_rebuild_done(f);
	free(f->images);
	free(f->items);
	free(f);
}

void fsck_tell(struct fsck *f, const struct store_problem *p)
{
	AUTO_BUF struct buf text = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&text);

	f->res.problems++;
	f->res.repaired += p->repaired;
	jw_obj(&w);
	jw_kv_str(&w, "kind", p->kind);
	jw_kv_str(&w, "name", p->name);
	jw_kv_str(&w, "problem", p->text);
	jw_kv_bool(&w, "repaired", p->repaired);
	if (p->advice && !p->repaired)
		jw_kv_str(&w, "advice", p->advice);
	jw_obj_end(&w);
	if (f->job.ev.progress)
		f->job.ev.progress(f->job.ev.ud, &(struct image_progress){.aux = buf_text(&text)});
}

static void tell_part(void *ud, const struct store_problem *p)
{
	fsck_tell(ud, p);
}

/* ---- verdicts ---- */

static void end_blob(struct fsck *f, struct fsck_item *it)
{
	struct store_problem p = {.kind = "blob", .name = it->digest.text, .text = it->what};
	struct err e = ERR_INIT;
	bool restored = false;
	char text[sizeof(it->what) + 100];

	if (!it->what[0])
		return;
	if (f->o.repair) {
		p.repaired = store_blob_condemn(f->job.service->store, &it->digest, &restored,
						&e) == 0;
		snprintf(text, sizeof(text), "%s%s", it->what,
			 !p.repaired ? ""
			 : restored  ? " (written again)"
				     : " (removed; its image runs, another pull brings it back "
				       "for push and save)");
		p.text = text;
		p.advice = e.kind ? e.text : NULL;
	}
	fsck_tell(f, &p);
}

static void tell_layer(struct fsck *f, struct fsck_item *it, bool repaired, const char *advice)
{
	char text[sizeof(it->what) + 400], images[300];

	store_layer_images(f->job.service->store, &it->digest, images, sizeof(images));
	snprintf(text, sizeof(text), "%s%s%s%s", it->what, *images ? " (image " : "", images,
		 *images ? ")" : "");
	fsck_tell(f, &(struct store_problem){.kind = "layer",
					     .name = it->digest.text,
					     .text = text,
					     .advice = advice,
					     .repaired = repaired});
}

/* Containers that run on a damaged layer keep it: replacing it would pull it away below them. */
static int stop_if_running(const char *id, void *ud)
{
	struct fsck_item *it = ud;

	return it->job->o.running && it->job->o.running(it->job->o.running_ud, id);
}

struct find_running {
	struct fsck_item *it;
	char id[STORE_ID_LEN + 1];
};

static int find_running(const char *id, void *ud)
{
	struct find_running *x = ud;

	if (!stop_if_running(id, x->it))
		return 0;
	snprintf(x->id, sizeof(x->id), "%s", id);
	return 1;
}

static void end_layer(struct fsck *f, struct fsck_item *it)
{
	struct store *s = f->job.service->store;
	struct find_running x = {.it = it};
	struct err e = ERR_INIT;

	if (!it->what[0] && !it->layer.broken)
		return;
	if (!it->what[0]) { /* it was marked, and is sound */
		snprintf(it->what, sizeof(it->what), "it is marked as damaged, but it is sound");
		tell_layer(f, it, f->o.repair && store_layer_mark(s, &it->digest, false, &e) == 0,
			   NULL);
		return;
	}
	if (it->more)
		snprintf(it->what + strlen(it->what), sizeof(it->what) - strlen(it->what),
			 ", and %llu more", (unsigned long long)it->more);
	if (!f->o.repair) {
		tell_layer(f, it, false, NULL);
		return;
	}
	if (store_layer_containers(s, &it->digest, find_running, &x, &e) == 0 && x.id[0]) {
		char advice[200];

		snprintf(advice, sizeof(advice),
			 "container %.12s runs on it: stop it and repair again", x.id);
		tell_layer(f, it, false, advice);
		return;
	}
	if (store_layer_mark(s, &it->digest, true, &e) < 0) {
		tell_layer(f, it, false, e.text);
		return;
	}
	it->deferred = true;
}

/* ---- content, by workers ---- */

static void item_end(struct fsck_item *it)
{
	struct fsck *f = it->job;

	fd_close(&it->fd);
	fd_close(&it->seal_fd);
	f->running--;
	f->done++;
	if (it->kind == FSCK_BLOB)
		end_blob(f, it);
	else
		end_layer(f, it);
	fsck_next(f);
}

static int item_line(void *ud, const struct json *j, struct err *e)
{
	struct fsck_item *it = ud;
	const char *path = json_str(json_get(j, "path")),
		   *problem = json_str(json_get(j, "problem"));

	(void)e;
	/* A changed folder is the trace of what changed in it: that is the better name. */
	if (path && problem && (!it->what[0] || str_ends(it->what, "has another time")))
		snprintf(it->what, sizeof(it->what), "\"%.400s\" %s", path, problem);
	if (json_get(j, "done")) {
		uint64_t n = json_u64(json_get(j, "problems"));

		it->more = n ? n - 1 : 0;
		it->job->res.bytes += json_u64(json_get(j, "bytes"));
		it->job->res.entries += json_u64(json_get(j, "entries"));
	} else if (json_get(j, "digest")) {
		it->job->res.bytes += json_u64(json_get(j, "size"));
	}
	return 0;
}

static void item_done(void *ud, const struct err *e)
{
	struct fsck_item *it = ud;

	it->worker = NULL;
	if (e && it->kind == FSCK_BLOB && e->kind == ERR_INVALID)
		snprintf(it->what, sizeof(it->what), "its content does not match its digest");
	else if (e)
		snprintf(it->what, sizeof(it->what), "it cannot be checked: %.500s", e->text);
	item_end(it);
}

static int start_worker(struct fsck_item *it, const char *const *argv, int stdin_fd, struct err *e)
{
	struct image_service *s = it->job->job.service;
	struct image_worker_start o = {.loop = s->loop,
				       .program = s->unpack,
				       .argv = argv,
				       .stdin_fd = stdin_fd,
				       .ops = {.line = item_line, .end = item_done, .ud = it}};

	return image_worker_start(&o, &it->worker, e);
}

static int start_blob(struct fsck_item *it, struct err *e)
{
	const char *argv[] = {UNPACK_PROGRAM, "apply", "--digest", it->digest.text, NULL};

	struct stat st;

	if (store_blob_open(it->job->job.service->store, &it->digest, &it->fd, e) < 0)
		return -1;
	if (it->size >= 0 && fstat(it->fd, &st) == 0 && st.st_size != it->size) {
		int n = snprintf(it->what, sizeof(it->what),
				 "its content does not match its digest");
		if (it->size != FSCK_WRONG)
			snprintf(it->what + n, sizeof(it->what) - (size_t)n,
				 ": it has %lld bytes, its manifest says %lld",
				 (long long)st.st_size, (long long)it->size);
		return 0;
	}
	if (it->job->o.quick)
		return 0;
	return start_worker(it, argv, it->fd, e);
}

int fsck_check_layer(struct image_service *s, const struct layer_check *o,
		     struct image_worker **ret, int *ret_dir, int *ret_seal, struct err *e)
{
	const char *argv[] = {UNPACK_PROGRAM,
			      "check",
			      "--dir-fd",
			      "3",
			      "--seal-fd",
			      "4",
			      o->quick ? "--quick" : NULL,
			      NULL};

	if (store_layer_open(s->store, o->id, ret_dir, ret_seal, e) < 0)
		return -1;
	if (*ret_seal < 0) /* from before there were seals */
		return 0;
	const struct spawn_fd fds[] = {{*ret_dir, CHILD_DIR_FD}, {*ret_seal, CHILD_SEAL_FD}};
	const struct image_worker_start w = {.loop = s->loop,
					     .program = s->unpack,
					     .argv = argv,
					     .fds = fds,
					     .nfds = ARRAY_SIZE(fds),
					     .stdin_fd = *ret_dir,
					     .ops = o->ops};
	return image_worker_start(&w, ret, e);
}

static int start_layer(struct fsck_item *it, struct err *e)
{
	const struct layer_check o = {.id = it->layer.id,
				      .quick = it->job->o.quick,
				      .ops = {.line = item_line, .end = item_done, .ud = it}};

	if (fsck_check_layer(it->job->job.service, &o, &it->worker, &it->fd, &it->seal_fd, e) < 0)
		return -1;
	it->job->res.unsealed += it->seal_fd < 0;
	return 0;
}

static void start_item(struct fsck *f)
{
	struct fsck_item *it = &f->items[f->next++];
	struct err e = ERR_INIT;
	int rc = it->kind == FSCK_BLOB ? start_blob(it, &e) : start_layer(it, &e);

	f->running++;
	if (rc < 0)
		snprintf(it->what, sizeof(it->what), "%.500s",
			 e.kind == ERR_NOT_FOUND && it->kind == FSCK_BLOB ? "it is missing"
									  : e.text);
	if (!it->worker)
		item_end(it);
}

static struct fsck_item *add_item(struct fsck *f, enum fsck_kind kind, const struct digest *d)
{
	if ((f->nitems & (f->nitems - 1)) == 0)
		f->items = xrealloc(f->items, (f->nitems ? 2 * f->nitems : 1) * sizeof(*f->items));
	struct fsck_item *it = &f->items[f->nitems++];
	*it = (struct fsck_item){.job = f,
				 .kind = kind,
				 .digest = *d,
				 .fd = FD_NONE,
				 .seal_fd = FD_NONE,
				 .size = -1};
	return it;
}

static int add_blob(const struct digest *blob, const struct digest *image, void *ud)
{
	struct fsck *f = ud;

	add_item(f, FSCK_BLOB, blob)->image = *image;
	f->res.blobs++;
	return 0;
}

/* ---- the sizes that manifests tell, so that a truncated blob shows without reading it ---- */

static int by_digest(const void *key, const void *item)
{
	return strcmp(((const struct digest *)key)->text,
		      ((const struct fsck_item *)item)->digest.text);
}

/* Blobs are the first nblobs items, sorted by their digest. */
static struct fsck_item *find_blob(struct fsck *f, const struct digest *d)
{
	return f->res.blobs ? bsearch(d, f->items, f->res.blobs, sizeof(*f->items), by_digest)
			    : NULL;
}

static void size_of(struct fsck *f, const struct oci_descriptor *desc)
{
	struct digest d;
	struct fsck_item *it = digest_parse(desc->digest_text, &d) == 0 ? find_blob(f, &d) : NULL;

	if (it && desc->size >= 0)
		it->size = desc->size;
}

/* A manifest is small: it is checked here and now, and then it is believed. */
static int add_sizes(const struct store_image *img, void *ud)
{
	struct fsck *f = ud;
	struct fsck_item *own = digest_is_set(&img->manifest) ? find_blob(f, &img->manifest) : NULL;
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	AUTO(arena) struct arena *a = arena_new();
	struct oci_manifest m;
	struct err none = ERR_INIT;
	struct digest is;

	if (!own || store_blob_read(f->job.service->store, &own->digest, &text, &none) < 0)
		return 0;
	digest_of(buf_text(&text), text.n, &is);
	if (!digest_eq(&is, &own->digest)) {
		own->size = FSCK_WRONG;
		return 0;
	}
	if (oci_manifest_decode(buf_text(&text), text.n, &m, a, &none) < 0)
		return 0;
	size_of(f, &m.config);
	for (size_t i = 0; i < m.layers.n; i++)
		size_of(f, oci_descriptor_at(&m.layers, i));
	return 0;
}

static int add_layer(const struct store_layer *l, void *ud)
{
	struct fsck *f = ud;

	add_item(f, FSCK_LAYER, &l->chain)->layer = *l;
	f->res.layers++;
	return 0;
}

/* ---- the order of things ---- */

static void tell_deferred(struct fsck *f)
{
	for (size_t i = 0; i < f->nitems; i++) {
		struct fsck_item *it = &f->items[i];

		if (it->deferred)
			tell_layer(f, it, store_layer_has(f->job.service->store, &it->digest),
				   "its blob is not kept: pull the image again, or remove it");
	}
}

static void status(struct fsck *f)
{
	if (f->nitems)
		job_progress(&f->job, "fsck", "Checking content", (int64_t)f->done,
			     (int64_t)f->nitems);
}

static int one_part(struct fsck *f, enum store_check_part part, struct err *e)
{
	static const char *const names[] = {"database", "rows", "containers", "volumes", "orphans"};

	job_linef(&f->job, "Checking %s", names[part]);
	return store_check(f->job.service->store, part, f->o.repair, tell_part, f, e);
}

/* True: something was done, and there is more. */
static int step(struct fsck *f, struct err *e)
{
	struct store *s = f->job.service->store;

	if (f->part <= STORE_CHECK_ROWS)
		return one_part(f, f->part++, e) < 0 ? -1 : 1;
	if (!f->items && !f->content_done) {
		f->content_done = true;
		return store_check_blobs(s, add_blob, f, e) < 0 ||
				       store_image_each(s, add_sizes, f, e) < 0 ||
				       store_layer_each(s, add_layer, f, e) < 0
			       ? -1
			       : 1;
	}
	if (f->next < f->nitems || f->running) {
		while (f->running < FSCK_WORKERS && f->next < f->nitems)
			start_item(f);
		status(f);
		return f->next < f->nitems &&
		       f->running < FSCK_WORKERS; /* else a worker's end goes on */
	}
	if (!f->images) {
		if (fsck_rebuild_list(f, e) < 0)
			return -1;
		return 1;
	}
	if (f->image < f->nimages) {
		fsck_rebuild_one(f);
		return 0;
	}
	if (f->part == STORE_CHECK_CONTAINERS)
		tell_deferred(f);
	if (f->part < STORE_CHECK_PARTS)
		return one_part(f, f->part++, e) < 0 ? -1 : 1;
	if (f->o.done)
		f->o.done(f->o.ud, &f->res);
	job_end(&f->job, "", NULL);
	return 0;
}

static void run_soon(void *ud)
{
	struct fsck *f = ud;
	struct err e = ERR_INIT;

	f->soon = NULL;
	int rc = step(f, &e);
	if (rc < 0)
		job_end(&f->job, NULL, &e);
	else if (rc > 0)
		fsck_next(f);
}

int image_fsck(struct image_service *s, const struct image_fsck *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	if (image_rechecking(s))
		return err_set(e, ERR_LATER,
			       "layers are being checked after a crash of the machine");
	struct fsck *f = NEW(struct fsck);

	f->o = *o;
	job_init(&f->job, s, ev, fsck_drop);
	fsck_next(f);
	*ret = &f->job;
	return 0;
}
