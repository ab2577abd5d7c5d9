/* SPDX-License-Identifier: Apache-2.0 */
/* See parts-priv.h. */
#include "image/parts-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

void parts_free(struct parts *p)
{
	if (!p)
		return;
	buf_done(&p->manifest);
	free(p->layers);
	free(p);
}

/* Fill from the manifest as stored; false when something of it is not here (`partial`: layers may
 * be missing). */
static bool from_stored(struct image_service *s, const struct store_image *img, bool partial,
			struct parts *p)
{
	struct err none = ERR_INIT;
	struct oci_manifest m;
	AUTO(arena) struct arena *a = arena_new();
	if (!digest_is_set(&img->manifest) ||
	    store_blob_read(s->store, &img->manifest, &p->manifest, &none) < 0 ||
	    oci_manifest_decode(buf_text(&p->manifest), p->manifest.n, &m, a, &none) < 0 ||
	    m.layers.n != img->nlayers)
		return false;
	for (size_t i = 0; i < m.layers.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&m.layers, i);
		if (digest_parse(d->digest_text, &p->layers[i].digest) < 0 || d->size < 0)
			return false;
		p->layers[i].size = (uint64_t)d->size;
		p->layers[i].missing = !store_blob_has(s->store, &p->layers[i].digest, NULL);
		if (p->layers[i].missing && !partial)
			return false;
	}
	p->manifest_digest = img->manifest;
	p->manifest_stored = true;
	p->media_type = m.media_type && !strcmp(m.media_type, DOCKER_MANIFEST_TYPE)
				? DOCKER_MANIFEST_TYPE
				: OCI_MANIFEST_TYPE;
	return true;
}

/* Compression by the blob's first bytes. */
static const char *layer_type(struct image_service *s, const struct digest *d)
{
	struct err none = ERR_INIT;
	unsigned char head[4] = {0};
	AUTO_FD int fd = FD_NONE;
	if (store_blob_open(s->store, d, &fd, &none) < 0 || pread(fd, head, sizeof(head), 0) != 4)
		return OCI_LAYER_TYPE;
	if (head[0] == 0x1f && head[1] == 0x8b)
		return OCI_LAYER_TYPE "+gzip";
	if (!memcmp(head, "\x28\xb5\x2f\xfd", 4))
		return OCI_LAYER_TYPE "+zstd";
	return OCI_LAYER_TYPE;
}

static void write_descriptor(struct jw *w, const char *type, const struct part *p)
{
	jw_obj(w);
	jw_kv_str(w, "mediaType", type);
	jw_kv_str(w, "digest", p->digest.text);
	jw_kv_u64(w, "size", p->size);
	jw_obj_end(w);
}

static void write_manifest(struct parts *p)
{
	buf_reset(&p->manifest);
	struct jw w = JW_INIT(&p->manifest);
	jw_obj(&w);
	jw_kv_i64(&w, "schemaVersion", 2);
	jw_kv_str(&w, "mediaType", OCI_MANIFEST_TYPE);
	jw_key(&w, "config");
	write_descriptor(&w, OCI_CONFIG_TYPE, &p->config);
	jw_key(&w, "layers");
	jw_arr(&w);
	for (size_t i = 0; i < p->nlayers; i++)
		write_descriptor(&w, p->layers[i].type, &p->layers[i]);
	jw_arr_end(&w);
	jw_obj_end(&w);
	digest_of(buf_text(&p->manifest), p->manifest.n, &p->manifest_digest);
	p->media_type = OCI_MANIFEST_TYPE;
	p->manifest_stored = false;
}

/* ---- another configuration ---- */

struct config_copy {
	struct jw *w;
	const struct parts *p;
	bool rootfs;
};

static void copy_member(const char *key, struct json *value, void *ud)
{
	struct config_copy *c = ud;
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);

	jw_key(c->w, key);
	if (c->rootfs && !strcmp(key, "diff_ids")) {
		jw_arr(c->w);
		for (size_t i = 0; i < c->p->nlayers; i++)
			jw_str(c->w, c->p->layers[i].diff_id.text);
		jw_arr_end(c->w);
	} else if (!c->rootfs && !strcmp(key, "rootfs")) {
		struct config_copy inner = {c->w, c->p, true};
		jw_obj(c->w);
		json_each(value, copy_member, &inner);
		jw_obj_end(c->w);
	} else {
		json_dump(value, &text);
		jw_raw(c->w, buf_text(&text));
	}
}

/* The same with the diff ids that the layers have now. */
static int other_config(struct image_service *s, const struct store_image *img, struct parts *p,
			struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
	AUTO(json) struct json *j = NULL;
	struct jw w = JW_INIT(&text);
	struct config_copy c = {&w, p, false};

	if (json_parse(img->config, strlen(img->config), &j, e) < 0)
		return -1;
	jw_obj(&w);
	json_each(j, copy_member, &c);
	jw_obj_end(&w);
	if (text.overflow)
		return err_set(e, ERR_LIMIT, "the configuration is larger than %zu bytes",
			       IMAGE_CONFIG_MAX);
	p->other_id = true;
	p->config.size = text.n;
	return store_blob_put(s->store, buf_text(&text), text.n, STORE_LATER, &p->config.digest, e);
}

static int make_layer(struct image_service *s, const struct digest *chain, struct parts *p,
		      struct part *part, const struct repack *repack, struct err *e)
{
	struct store_layer layer;

	if (store_layer_get(s->store, chain, &layer, e) < 0)
		return -1;
	/* As it came, else the plain tar of another image with the same layer. */
	part->missing = false;
	part->digest = layer.blob;
	if (!digest_is_set(&layer.blob) || !store_blob_has(s->store, &part->digest, &part->size))
		part->digest = layer.diff_id;
	if (repack_get(repack, chain, &part->digest)) {
		p->repacked++;
		part->diff_id = part->digest;
	}
	if (!store_blob_has(s->store, &part->digest, &part->size))
		return err_set(e, ERR_NOT_FOUND,
			       "the content of layer %s is not in the store any more",
			       layer.diff_id.text);
	part->type = layer_type(s, &part->digest);
	return 0;
}

static int make_manifest(struct image_service *s, const struct store_image *img, struct parts *p,
			 const struct repack *repack, struct err *e)
{
	bool other = false;

	for (size_t i = 0; i < img->nlayers; i++) {
		struct digest before = p->layers[i].diff_id;

		if (make_layer(s, &img->layers[i], p, &p->layers[i], repack, e) < 0)
			return -1;
		other = other || !digest_eq(&before, &p->layers[i].diff_id);
	}
	if (other && other_config(s, img, p, e) < 0)
		return -1;
	write_manifest(p);
	return 0;
}

void parts_plan(struct image_service *s, struct parts *p, const char *compression, bool forced)
{
	const char *want = strcmp(compression, "zstd") ? OCI_LAYER_TYPE "+gzip"
						       : OCI_LAYER_TYPE "+zstd";
	if (p->manifest_stored && !forced)
		return;
	for (size_t i = 0; i < p->nlayers; i++) {
		struct part *l = &p->layers[i];
		l->type = layer_type(s, &l->digest);
		if (!strcmp(l->type, want) || (!forced && strcmp(l->type, OCI_LAYER_TYPE)))
			continue;
		l->source = l->digest;
		l->digest = (struct digest){0};
		l->size = 0;
		l->type = want;
		p->changed = true;
	}
}

void parts_seal(struct parts *p)
{
	if (p->changed)
		write_manifest(p);
	p->changed = false;
}

int parts_of_manifest(struct image_service *s, const struct digest *manifest, const char *type,
		      struct parts **ret, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(parts) struct parts *p = NEW(struct parts);
	struct oci_manifest m;
	p->manifest = BUF_INIT(IMAGE_MANIFEST_MAX);
	if (store_blob_read(s->store, manifest, &p->manifest, e) < 0 ||
	    oci_manifest_decode(buf_text(&p->manifest), p->manifest.n, &m, a, e) < 0)
		return -1;
	p->layers = xcalloc(m.layers.n + 1, sizeof(*p->layers));
	for (size_t i = 0; i <= m.layers.n; i++) {
		const struct oci_descriptor *d = i ? oci_descriptor_at(&m.layers, i - 1)
						   : &m.config;
		struct part *part = i ? &p->layers[p->nlayers] : &p->config;
		if (i && oci_layer_foreign(d))
			continue;
		if (digest_parse(d->digest_text, &part->digest) < 0 || d->size < 0)
			return err_set(e, ERR_INVALID, "manifest %s: invalid blob", manifest->text);
		part->size = (uint64_t)d->size;
		p->nlayers += i > 0;
	}
	p->manifest_digest = *manifest;
	p->manifest_stored = true;
	p->media_type = !strcmp(type, DOCKER_MANIFEST_TYPE) ? DOCKER_MANIFEST_TYPE
							    : OCI_MANIFEST_TYPE;
	*ret = TAKE_PTR(p);
	return 0;
}

int parts_of(struct image_service *s, const struct store_image *img, bool partial,
	     const struct repack *repack, struct parts **ret, struct err *e)
{
	AUTO(parts) struct parts *p = NEW(struct parts);
	p->manifest = BUF_INIT(IMAGE_MANIFEST_MAX);
	p->layers = xcalloc(img->nlayers + 1, sizeof(*p->layers));
	p->nlayers = img->nlayers;
	p->config.digest = img->id;
	if (!store_blob_has(s->store, &img->id, &p->config.size))
		return err_set(e, ERR_NOT_FOUND,
			       "the configuration of image %s is not in the store", img->id.text);
	for (size_t i = 0; i < img->nlayers; i++) {
		struct store_layer layer;
		if (store_layer_get(s->store, &img->layers[i], &layer, e) < 0)
			return -1;
		p->layers[i].diff_id = layer.diff_id;
	}
	if (!from_stored(s, img, partial, p) && make_manifest(s, img, p, repack, e) < 0)
		return -1;
	*ret = TAKE_PTR(p);
	return 0;
}
