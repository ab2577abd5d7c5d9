/* SPDX-License-Identifier: Apache-2.0 */
/* See repack-priv.h. One worker at a time. */
#include "image/repack-priv.h"
#include "image/worker-priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define CHILD_DIR_FD 3
#define CHILD_OUT_FD 4

struct piece {
	struct digest chain, digest; /* digest: of the tar, once it is there */
	struct digest diff_id;
	int64_t layer;
	char file[64];
	uint64_t size;
};

struct repack {
	struct image_service *s;
	struct store_lease *lease;
	void (*done)(void *ud, const struct err *e);
	void *ud;
	struct image_worker *worker;
	struct service_soon *soon;
	char prefix[32];
	struct piece *v;
	size_t n, at;
};

/* As parts.c looks for it. */
static bool has_content(struct image_service *s, const struct store_layer *l)
{
	return (digest_is_set(&l->blob) && store_blob_has(s->store, &l->blob, NULL)) ||
	       store_blob_has(s->store, &l->diff_id, NULL);
}

bool repack_needed(struct image_service *s, const struct store_image *img)
{
	struct store_layer l;
	struct err none = ERR_INIT;

	for (size_t i = 0; i < img->nlayers; i++)
		if (store_layer_get(s->store, &img->layers[i], &l, &none) == 0 &&
		    !has_content(s, &l))
			return true;
	return false;
}

void repack_free(struct repack *r)
{
	if (!r)
		return;
	image_worker_cancel(r->worker);
	service_soon_cancel(r->soon);
	if (r->prefix[0])
		store_stage_drop(r->s->store, r->prefix);
	free(r->v);
	free(r);
}

bool repack_get(const struct repack *r, const struct digest *chain, struct digest *ret)
{
	for (size_t i = 0; r && i < r->n; i++) {
		if (!digest_eq(&r->v[i].chain, chain) || !digest_is_set(&r->v[i].digest))
			continue;
		*ret = r->v[i].digest;
		return true;
	}
	return false;
}

static void next(void *ud);

static int line(void *ud, const struct json *j, struct err *e)
{
	struct repack *r = ud;
	struct piece *p = &r->v[r->at];
	const char *digest = json_str(json_get(j, "digest"));

	if (!digest)
		return 0;
	if (digest_parse(digest, &p->digest) < 0)
		return err_set(e, ERR_SYSTEM, UNPACK_PROGRAM " did not name what it wrote");
	p->size = json_u64(json_get(j, "size"));
	return 0;
}

static void fail(struct repack *r, const struct err *e)
{
	struct err err = *e;

	r->v[r->at].digest = (struct digest){0};
	err_wrap(&err, "pack layer %s again", r->v[r->at].diff_id.text);
	r->done(r->ud, &err);
}

static void packed(void *ud, const struct err *e)
{
	struct repack *r = ud;
	struct piece *p = &r->v[r->at];
	struct err err = ERR_INIT;

	r->worker = NULL;
	if (!e && !digest_is_set(&p->digest)) {
		err_set(&err, ERR_SYSTEM, UNPACK_PROGRAM " did not finish");
		e = &err;
	}
	if (!e) {
		store_lease_blob(r->lease, &p->digest);
		if (!store_blob_has(r->s->store, &p->digest, NULL) &&
		    store_stage_commit(r->s->store, p->file, &p->digest, p->size, STORE_LATER,
				       &err) < 0)
			e = &err;
	}
	if (e) {
		fail(r, e);
		return;
	}
	r->at++;
	r->soon = service_after(r->s, 0, next, r);
}

static int start(struct repack *r, struct piece *p, struct err *e)
{
	AUTO_FD int dir = FD_NONE, seal = FD_NONE, null = FD_NONE, out = FD_NONE;

	snprintf(p->file, sizeof(p->file), "%s.%zu", r->prefix, r->at);
	if (store_layer_open(r->s->store, p->layer, &dir, &seal, e) < 0)
		return -1;
	out = openat(store_ingest_dir(r->s->store), p->file,
		     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (out < 0 || null < 0)
		return err_sys(e, -errno, "create a staged file");
	const char *argv[] = {UNPACK_PROGRAM, "pack", "--dir-fd", "3", "--out-fd", "4",
			      "--name",	      ".",    "--layer",  NULL};
	struct spawn_fd fds[] = {{dir, CHILD_DIR_FD}, {out, CHILD_OUT_FD}};
	struct image_worker_start o = {.loop = r->s->loop,
				       .program = r->s->unpack,
				       .argv = argv,
				       .fds = fds,
				       .nfds = ARRAY_SIZE(fds),
				       .stdin_fd = null,
				       .ops = {.line = line, .end = packed, .ud = r}};
	return image_worker_start(&o, &r->worker, e);
}

static void next(void *ud)
{
	struct repack *r = ud;
	struct err e = ERR_INIT;

	r->soon = NULL;
	if (r->at == r->n)
		r->done(r->ud, NULL);
	else if (start(r, &r->v[r->at], &e) < 0)
		fail(r, &e);
}

int repack_start(struct image_service *s, const struct store_image *img, struct store_lease *lease,
		 void (*done)(void *ud, const struct err *e), void *ud, struct repack **ret,
		 struct err *e)
{
	struct repack *r = NEW(struct repack);
	struct store_layer l;

	*r = (struct repack){.s = s, .lease = lease, .done = done, .ud = ud};
	r->v = xcalloc(img->nlayers + 1, sizeof(*r->v));
	for (size_t i = 0; i < img->nlayers; i++) {
		if (store_layer_get(s->store, &img->layers[i], &l, e) < 0) {
			repack_free(r);
			return -1;
		}
		if (l.broken) {
			repack_free(r);
			return err_set(e, ERR_CONFLICT,
				       "layer %s is damaged and its blob is gone: pull the image "
				       "again",
				       l.diff_id.text);
		}
		if (!has_content(s, &l))
			r->v[r->n++] = (struct piece){
				.chain = l.chain, .diff_id = l.diff_id, .layer = l.id};
		store_lease_layer(lease, &l.chain);
	}
	store_stage_prefix(s->store, r->prefix);
	r->soon = service_after(s, 0, next, r);
	*ret = r;
	return 0;
}
