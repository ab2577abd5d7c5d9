/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a crash of the machine: layers whose trees were not on the disk. Each is compared with its
 * seal by a worker; a damaged one is unpacked again from its blob, which was made durable before
 * its image was told of. Parents come first, as their rows do. The engine serves meanwhile: who
 * wants the files of such a layer is told to come back (ERR_LATER) until the layer is through.
 */
#include "image/fetch-priv.h"
#include "image/flush-priv.h"
#include "image/fsck-priv.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

struct suspect {
	struct recheck *all;
	struct store_layer layer;
	struct image_worker *worker;
	int fd, seal_fd;
	bool damaged, through;
	struct fetch_sub sub;
};

struct recheck {
	struct image_service *service;
	struct service_soon *soon;
	struct suspect *v; /* in the order of their rows */
	size_t n, next, rebuild, running, damaged, lost;
};

static void step_soon(struct recheck *r);

static int add(const struct store_layer *l, void *ud)
{
	struct recheck *r = ud;

	r->v = xrealloc(r->v, (r->n + 1) * sizeof(*r->v));
	r->v[r->n++] = (struct suspect){
		.layer = *l, .fd = FD_NONE, .seal_fd = FD_NONE, .damaged = l->broken};
	return 0;
}

/* Sound, made again, or given up: whoever waits for it need not any more. */
static void through(struct suspect *x)
{
	struct err e = ERR_INIT;

	x->through = true;
	if (store_suspect_done(x->all->service->store, &x->layer.chain, &e) < 0)
		log_warn("layer %s will be checked again: %s", x->layer.chain.text, e.text);
}

/* ---- compare ---- */

static int check_line(void *ud, const struct json *j, struct err *e)
{
	struct suspect *x = ud;

	(void)e;
	if (json_get(j, "problem"))
		x->damaged = true;
	return 0;
}

static void check_over(struct suspect *x)
{
	fd_close(&x->fd);
	fd_close(&x->seal_fd);
	x->all->running--;
	if (!x->damaged)
		through(x);
	step_soon(x->all);
}

static void check_end(void *ud, const struct err *e)
{
	struct suspect *x = ud;

	x->worker = NULL;
	x->damaged = x->damaged || e;
	check_over(x);
}

static void check_start(struct suspect *x)
{
	const struct layer_check o = {.id = x->layer.id,
				      .ops = {.line = check_line, .end = check_end, .ud = x}};
	struct err e = ERR_INIT;

	x->all->running++;
	if (fsck_check_layer(x->all->service, &o, &x->worker, &x->fd, &x->seal_fd, &e) < 0 ||
	    !x->worker) {
		x->damaged = true;
		check_over(x);
	}
}

/* ---- make again ---- */

static void rebuilt(void *ud, const struct err *e)
{
	struct suspect *x = ud;

	if (e) {
		x->all->lost++;
		log_warn("layer %s was not on the disk before the machine went down and cannot be "
			 "unpacked again: %s",
			 x->layer.chain.text, e->text);
	}
	x->all->running--;
	through(x);
	step_soon(x->all);
}

/* A row names its parent by number. */
struct parent {
	int64_t id;
	struct digest chain;
};

static int find_parent(const struct store_layer *l, void *ud)
{
	struct parent *p = ud;

	if (l->id != p->id)
		return 0;
	p->chain = l->chain;
	return 1;
}

static void rebuild_start(struct suspect *x)
{
	struct store *s = x->all->service->store;
	struct fetch_want w = {
		.blob = x->layer.blob, .diff_id = x->layer.diff_id, .chain = x->layer.chain};
	struct parent p = {.id = x->layer.parent};
	struct store_layer now;
	struct err e = ERR_INIT;

	x->all->running++;
	if (store_layer_get(s, &x->layer.chain, &now, &e) < 0 || now.id != x->layer.id) {
		x->all->running--; /* its image was removed meanwhile */
		through(x);
		return;
	}
	x->all->damaged++;
	if (store_layer_mark(s, &x->layer.chain, true, &e) < 0 ||
	    (p.id && store_layer_each(s, find_parent, &p, &e) < 0)) {
		rebuilt(x, &e);
		return;
	}
	w.parent = p.chain;
	(void)store_blob_has(s, &w.blob, &w.size); /* the fetch says what is missing */
	x->sub.done = rebuilt;
	x->sub.ud = x;
	fetch_subscribe(x->all->service, &w, &x->sub);
}

/* ---- all of them ---- */

static void finish(struct recheck *r)
{
	struct image_service *s = r->service;

	log_info("%zu of %zu layers were damaged, %zu are unpacked again", r->damaged, r->n,
		 r->damaged - r->lost);
	recheck_free(s);
	flush_soon(s);
}

static void step(void *ud)
{
	struct recheck *r = ud;

	r->soon = NULL;
	while (r->running < FSCK_WORKERS && r->next < r->n) {
		struct suspect *x = &r->v[r->next++];
		if (!x->damaged)
			check_start(x);
	}
	if (r->running || r->next < r->n)
		return;
	while (!r->running && r->rebuild < r->n) {
		struct suspect *x = &r->v[r->rebuild++];
		if (!x->through)
			rebuild_start(x);
	}
	if (!r->running && r->rebuild == r->n)
		finish(r);
}

static void step_soon(struct recheck *r)
{
	if (!r->soon)
		r->soon = service_after(r->service, 0, step, r);
}

void recheck_free(struct image_service *s)
{
	struct recheck *r = TAKE_PTR(s->recheck);

	if (!r)
		return;
	service_soon_cancel(r->soon);
	for (size_t i = 0; i < r->n; i++) {
		image_worker_cancel(r->v[i].worker);
		fd_close(&r->v[i].fd);
		fd_close(&r->v[i].seal_fd);
		if (r->v[i].sub.fetch)
			fetch_unsubscribe(&r->v[i].sub);
	}
	free(r->v);
	free(r);
}

int image_recheck(struct image_service *s, bool new_boot, struct err *e)
{
	struct recheck *r = NEW(struct recheck);

	if (new_boot)
		service_sweep(s);
	r->service = s;
	s->recheck = r;
	int rc = store_suspect_each(s->store, add, r, e);
	if (rc < 0 || !r->n) {
		recheck_free(s);
		if (rc == 0)
			flush_soon(s); /* also what an engine that was killed left */
		return rc;
	}
	log_info("checking %zu layers that were not on the disk before the machine went down",
		 r->n);
	for (size_t i = 0; i < r->n; i++)
		r->v[i].all = r;
	step_soon(r);
	return 0;
}

bool image_rechecking(const struct image_service *s)
{
	return s->recheck != NULL;
}

static bool is_suspect(void *ud, int64_t layer)
{
	const struct recheck *r = ud;

	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].layer.id == layer)
			return !r->v[i].through;
	return false;
}

int image_files_ready(struct image_service *s, const char *container, const struct digest *image,
		      struct err *e)
{
	if (!s->recheck || !store_rests_on(s->store, container, image, is_suspect, s->recheck))
		return 0;
	return err_set(e, ERR_LATER, "its layers are being checked after a crash of the machine");
}
