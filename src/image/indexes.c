/* SPDX-License-Identifier: Apache-2.0 */
/* See indexes.h. */
#include "image/indexes.h"
#include "image/members.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

struct here {
	struct digest id;
	uint64_t unpacked;
};

struct image_manifests {
	struct image_service *s;
	const struct image_list *o;
	struct arena *arena;
	struct map *by_manifest; /* struct here */
};

bool image_index_at(struct image_service *s, const struct store_image *img, size_t i,
		    struct digest *ret)
{
	for (size_t k = 0; k < img->nindexes; k++) {
		if (!index_here(s, &img->indexes[k]) || i-- > 0)
			continue;
		*ret = img->indexes[k];
		return true;
	}
	return false;
}

static int note_image(const struct store_image *img, void *ud)
{
	struct image_manifests *m = ud;
	struct here *h = arena_alloc(m->arena, sizeof(*h));

	h->id = img->id;
	h->unpacked = img->size;
	if (digest_is_set(&img->manifest))
		map_set(m->by_manifest, img->manifest.text, h);
	return 0;
}

struct image_manifests *image_manifests_new(struct image_service *s, const struct image_list *o,
					    struct err *e)
{
	struct image_manifests *m = NEW(struct image_manifests);

	m->s = s;
	m->o = o;
	m->arena = arena_new();
	m->by_manifest = map_new();
	if (store_image_each(s->store, note_image, m, e) < 0) {
		image_manifests_free(m);
		return NULL;
	}
	return m;
}

void image_manifests_free(struct image_manifests *m)
{
	if (!m)
		return;
	map_free(m->by_manifest);
	arena_free(m->arena);
	free(m);
}

static void write_image_data(struct image_manifests *m, const struct oci_platform *p,
			     const struct here *h, struct jw *w)
{
	jw_key(w, "ImageData");
	jw_obj(w);
	jw_key(w, "Platform");
	jw_obj(w);
	jw_kv_str(w, "architecture", p->architecture ? p->architecture : "");
	jw_kv_str(w, "os", p->os ? p->os : "");
	if (p->os_version && *p->os_version)
		jw_kv_str(w, "os.version", p->os_version);
	if (p->variant && *p->variant)
		jw_kv_str(w, "variant", p->variant);
	jw_obj_end(w);
	jw_key(w, "Containers");
	jw_arr(w);
	const char *id;
	for (size_t i = 0; h && m->o->user_at && (id = m->o->user_at(m->o->ud, &h->id, i)); i++)
		jw_str(w, id);
	jw_arr_end(w);
	jw_key(w, "Size");
	jw_obj(w);
	jw_kv_u64(w, "Unpacked", h ? h->unpacked : 0);
	jw_obj_end(w);
	jw_obj_end(w);
}

/* The bytes in blobs/ of a document and of what it names. */
static uint64_t content_of(struct image_manifests *m, const struct index_member *x)
{
	struct digest d;
	uint64_t total = x->known ? x->size : 0, size;

	for (size_t i = 0; x->known && !x->index && i <= x->manifest.layers.n; i++) {
		const struct oci_descriptor *o = i ? oci_descriptor_at(&x->manifest.layers, i - 1)
						   : &x->manifest.config;

		if (digest_parse(o->digest_text, &d) == 0 && store_blob_has(m->s->store, &d, &size))
			total += size;
	}
	return total;
}

struct members_writer {
	struct image_manifests *m;
	struct jw *w;
	uint64_t total;
};

static void write_one(struct members_writer *t, const struct index_member *x, uint64_t content)
{
	static const struct oci_platform unknown = {.architecture = "unknown", .os = "unknown"};
	struct jw *w = t->w;
	const struct here *h = map_get(t->m->by_manifest, x->digest.text);
	const char *subject = index_attests(x->d);
	uint64_t total = content + (h ? h->unpacked : 0);

	jw_obj(w);
	jw_kv_str(w, "ID", x->d->digest_text);
	jw_key(w, "Descriptor");
	json_encode(w, &oci_descriptor_schema, x->d);
	jw_kv_bool(w, "Available", h != NULL || x->here);
	jw_key(w, "Size");
	jw_obj(w);
	jw_kv_u64(w, "Content", content);
	jw_kv_u64(w, "Total", total);
	jw_obj_end(w);
	jw_kv_str(w, "Kind", subject ? "attestation" : "image");
	if (subject) {
		jw_key(w, "AttestationData");
		jw_obj(w);
		jw_kv_str(w, "For", subject);
		jw_obj_end(w);
	} else {
		write_image_data(t->m, x->d->platform ? x->d->platform : &unknown, h, w);
	}
	jw_obj_end(w);
	t->total += total;
}

static int write_member(const struct index_member *x, void *ud, struct err *e)
{
	struct members_writer *t = ud;

	if (x->d && !x->index) /* of an index its parts tell */
		write_one(t, x, content_of(t->m, x));
	return 0;
}

/* An image without an index is its own only member. */
static void write_lone(struct members_writer *t, const struct store_image *img, struct arena *a)
{
	struct image_config c = {0};
	struct oci_platform p = {0};
	struct err none = ERR_INIT;
	uint64_t size = 0;

	if (image_config_decode(img->config, strlen(img->config), &c, a, &none) == 0)
		p = (struct oci_platform){.architecture = c.architecture,
					  .os = c.os,
					  .os_version = c.os_version,
					  .variant = c.variant};
	store_blob_has(t->m->s->store, &img->manifest, &size);
	AUTO_FREE char *type = document_type(t->m->s, &img->manifest, false);
	struct oci_descriptor d = {.media_type = type,
				   .digest_text = img->manifest.text,
				   .size = (int64_t)size,
				   .platform = &p};
	struct index_member x = {.d = &d, .digest = img->manifest};
	uint64_t content = 0;
	for (size_t i = 0; i < img->nblobs; i++)
		if (store_blob_has(t->m->s->store, &img->blobs[i], &size))
			content += size;
	write_one(t, &x, content);
}

uint64_t image_manifests_write(struct image_manifests *m, const struct store_image *img,
			       struct jw *w)
{
	AUTO(arena) struct arena *a = arena_new();
	struct members_writer t = {.m = m, .w = w};
	struct err none = ERR_INIT;
	struct digest index;

	jw_key(w, "Manifests");
	jw_arr(w);
	if (image_index_at(m->s, img, 0, &index))
		(void)index_walk(m->s, &index, a, write_member, &t, &none);
	else if (digest_is_set(&img->manifest))
		write_lone(&t, img, a);
	jw_arr_end(w);
	return t.total ? t.total : img->size;
}

void image_descriptor_write(struct image_service *s, const struct store_image *img, bool index,
			    struct jw *w)
{
	struct digest d;
	uint64_t size;

	index = index && image_index_at(s, img, 0, &d);
	if (!index)
		d = img->manifest;
	if (!digest_is_set(&d) || !store_blob_has(s->store, &d, &size))
		return;
	AUTO_FREE char *type = document_type(s, &d, index);
	jw_key(w, "Descriptor");
	jw_obj(w);
	jw_kv_str(w, "mediaType", type);
	jw_kv_str(w, "digest", d.text);
	jw_kv_u64(w, "size", size);
	jw_obj_end(w);
}
