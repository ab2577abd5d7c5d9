/* SPDX-License-Identifier: Apache-2.0 */
/* Images that lost layers or rows, made again from the blobs the store keeps. */
#include "image/fsck-priv.h"
#include "image/parts-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void add_image(const struct digest *d, void *ud)
{
	struct fsck *f = ud;

	f->images = xrealloc(f->images, (f->nimages + 2) * sizeof(*f->images));
	f->images[f->nimages++] = *d;
}

int fsck_rebuild_list(struct fsck *f, struct err *e)
{
	f->images = xcalloc(1, sizeof(*f->images));
	return store_check_broken(f->job.service->store, add_image, f, e);
}

void fsck_rebuild_done(struct fsck *f)
{
	layers_free(f->layers);
	f->layers = NULL;
	store_lease_free(f->lease);
	f->lease = NULL;
	arena_free(f->arena);
	f->arena = NULL;
	free(f->config_text);
	f->config_text = NULL;
}

/* With a row whose layers are all known, the layers' own problems were told already. */
static bool row_is_whole(struct fsck *f, const struct digest *id)
{
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config c;
	struct err none = ERR_INIT;

	return store_image_get(f->job.service->store, id, &img, &none) == 0 &&
	       image_config_decode(img->config, strlen(img->config), &c, a, &none) == 0 &&
	       c.rootfs.diff_ids.n == img->nlayers;
}

/* Neither row nor manifest: only names are left of it. */
static bool forget(struct fsck *f, const struct digest *id)
{
	AUTO(store_image) struct store_image *img = NULL;
	struct err none = ERR_INIT;

	return store_image_get(f->job.service->store, id, &img, &none) < 0 &&
	       none.kind == ERR_NOT_FOUND &&
	       store_image_forget(f->job.service->store, id, &none) == 0;
}

static void finish(struct fsck *f, const struct err *e)
{
	const struct digest *id = &f->images[f->image];
	struct store_problem p = {.kind = "image", .name = id->text, .repaired = f->o.repair && !e};
	bool whole = row_is_whole(f, id);
	struct err why = ERR_INIT;
	char text[400];

	if (!e && f->layers &&
	    layers_put_image(f->layers, id, f->config_text, &f->manifest_digest, NULL, &why) < 0)
		e = &why;
	if (!whole) {
		bool gone = f->o.repair && e && forget(f, id);

		snprintf(text, sizeof(text),
			 "rows of the image or of its layers are missing%s%.300s%s", e ? ": " : "",
			 e ? e->text : "", gone ? "; its names were removed, pull it again" : "");
		p.text = text;
		p.repaired = f->o.repair && (!e || gone);
		p.advice = f->o.repair ? "pull it again, or remove it" : NULL;
		fsck_tell(f, &p);
	}
	fsck_rebuild_done(f);
	f->image++;
	fsck_next(f);
}

static void layers_done(void *ud, const struct err *e)
{
	struct fsck *f = ud;
	struct err err = e ? *e : ERR_INIT;

	finish(f, e ? &err : NULL);
}

/* The manifest it came with, or one made from what its layers came from. */
static int find_manifest(struct fsck *f, const struct digest *id, struct buf *text, struct err *e)
{
	struct store *s = f->job.service->store;
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(parts) struct parts *p = NULL;
	struct err why = ERR_INIT;

	f->manifest_digest = (struct digest){""};
	if (store_manifest_of(s, id, &f->manifest_digest, &why) == 0)
		return store_blob_read(s, &f->manifest_digest, text, e);
	if (store_image_get(s, id, &img, &why) < 0 ||
	    parts_of(f->job.service, img, false, NULL, &p, &why) < 0)
		return err_set(e, ERR_NOT_FOUND, "%s", why.text);
	buf_add(text, buf_text(&p->manifest), p->manifest.n);
	return 0;
}

static int prepare(struct fsck *f, const struct digest *id, struct err *e)
{
	struct store *s = f->job.service->store;
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	AUTO_BUF struct buf config = BUF_INIT(IMAGE_CONFIG_MAX);

	f->arena = arena_new();
	f->lease = store_lease_new(s);
	store_lease_blob(f->lease, id);
	if (find_manifest(f, id, &text, e) < 0 ||
	    oci_manifest_decode(buf_text(&text), text.n, &f->manifest, f->arena, e) < 0 ||
	    store_blob_read(s, id, &config, e) < 0 ||
	    image_config_decode(buf_text(&config), config.n, &f->config, f->arena, e) < 0)
		return -1;
	f->config_text = xstrndup(buf_text(&config), config.n);
	const struct layers_want want = {.job = &f->job,
					 .lease = f->lease,
					 .descriptors = &f->manifest.layers,
					 .diff_ids = &f->config.rootfs.diff_ids,
					 .quiet = true,
					 .done = layers_done,
					 .ud = f};
	return layers_start(&want, &f->layers, e);
}

void fsck_rebuild_one(struct fsck *f)
{
	const struct digest *id = &f->images[f->image];
	struct err e = ERR_INIT;

	if (!f->o.repair || prepare(f, id, &e) < 0) {
		if (!f->o.repair)
			err_set(&e, ERR_NOT_FOUND, "not repaired");
		finish(f, f->o.repair ? &e : NULL);
	}
}
