/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a crash of the machine: layers whose trees were not on the disk. Each is compared with its
 * seal by a worker; a damaged one is unpacked again from its blob, which was made durable before
 * its image was told of. Parents come first, as their rows do.
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
	bool damaged;
	struct fetch_sub sub;
};

struct recheck {
	struct image_service *service;
	struct suspect *v;
	size_t n, next, running, damaged, lost;
};

static int add(const struct store_layer *l, void *ud)
{
	struct recheck *r = ud;

	r->v = xrealloc(r->v, (r->n + 1) * sizeof(*r->v));
	r->v[r->n++] = (struct suspect){
		.layer = *l, .fd = FD_NONE, .seal_fd = FD_NONE, .damaged = l->broken};
	return 0;
}

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

static void run_loop(struct recheck *r)
{
	while (r->running)
		uv_run(r->service->loop, UV_RUN_ONCE);
}

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

static int rebuild_start(struct suspect *x, struct err *e)
{
	struct store *s = x->all->service->store;
	struct fetch_want w = {
		.blob = x->layer.blob, .diff_id = x->layer.diff_id, .chain = x->layer.chain};
	struct parent p = {.id = x->layer.parent};

	if (store_layer_mark(s, &x->layer.chain, true, e) < 0 ||
	    (p.id && store_layer_each(s, find_parent, &p, e) < 0))
		return -1;
	w.parent = p.chain;
	(void)store_blob_has(s, &w.blob, &w.size); /* the fetch says what is missing */
	x->sub.done = rebuilt;
	x->sub.ud = x;
	x->all->running++;
	fetch_subscribe(x->all->service, &w, &x->sub);
	return 0;
}

static int check_all(struct recheck *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++) {
		r->v[i].all = r;
		while (r->running >= FSCK_WORKERS)
			uv_run(r->service->loop, UV_RUN_ONCE);
		if (!r->v[i].damaged)
			check_start(&r->v[i]);
	}
	run_loop(r);
	for (size_t i = 0; i < r->n; i++) {
		if (!r->v[i].damaged)
			continue;
		r->damaged++;
		if (rebuild_start(&r->v[i], e) < 0)
			return -1;
		run_loop(r);
	}
	for (size_t i = 0; i < r->n; i++)
		if (store_suspect_done(r->service->store, &r->v[i].layer.chain, e) < 0)
			return -1;
	return 0;
}

int image_recheck(struct image_service *s, bool new_boot, struct err *e)
{
	struct recheck r = {.service = s};

	if (new_boot)
		service_sweep(s);
	int rc = store_suspect_each(s->store, add, &r, e);
	if (rc == 0 && r.n) {
		log_info("checking %zu layers that were not on the disk before the machine went "
			 "down",
			 r.n);
		rc = check_all(&r, e);
		log_info("%zu of %zu layers were damaged, %zu are unpacked again", r.damaged, r.n,
			 r.damaged - r.lost);
	}
	free(r.v);
	if (rc == 0)
		flush_soon(s); /* also what an engine that was killed left */
	return rc;
}
