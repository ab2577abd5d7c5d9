/* SPDX-License-Identifier: Apache-2.0 */
/* See indexes.h. */
#include "image/indexes.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

struct here {
	struct digest id, manifest;
	uint64_t content, unpacked;
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
	struct digest d;

	for (size_t k = 0; k < img->ndigests; k++) {
		const char *at = strchr(img->digests[k], '@');

		if (!at || digest_parse(at + 1, &d) < 0 || digest_eq(&d, &img->manifest) ||
		    !store_blob_has(s->store, &d, NULL) || i-- > 0)
			continue;
		*ret = d;
		return true;
	}
	return false;
}

static int note_image(const struct store_image *img, void *ud)
{
	struct image_manifests *m = ud;
	struct here *h = arena_alloc(m->arena, sizeof(*h));
	struct digest index;
	uint64_t size;

	h->id = img->id;
	h->manifest = img->manifest;
	h->unpacked = img->size;
	for (size_t i = 0; i < img->nblobs; i++) {
		bool skip = false;

		for (size_t k = 0; image_index_at(m->s, img, k, &index); k++)
			skip = skip || digest_eq(&index, &img->blobs[i]);
		if (!skip && store_blob_has(m->s->store, &img->blobs[i], &size))
			h->content += size;
	}
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

static uint64_t write_one(struct image_manifests *m, const struct oci_descriptor *d, struct jw *w)
{
	static const struct oci_platform unknown = {.architecture = "unknown", .os = "unknown"};
	const struct here *h = map_get(m->by_manifest, d->digest_text);
	const char *kind = strmap_get(&d->annotations, "vnd.docker.reference.type");
	const char *subject = strmap_get(&d->annotations, "vnd.docker.reference.digest");
	bool attestation = kind && !strcmp(kind, "attestation-manifest") && subject;
	uint64_t total = h ? h->content + h->unpacked : 0;

	jw_obj(w);
	jw_kv_str(w, "ID", d->digest_text);
	jw_key(w, "Descriptor");
	json_encode(w, &oci_descriptor_schema, d);
	jw_kv_bool(w, "Available", h != NULL);
	jw_key(w, "Size");
	jw_obj(w);
	jw_kv_u64(w, "Content", h ? h->content : 0);
	jw_kv_u64(w, "Total", total);
	jw_obj_end(w);
	jw_kv_str(w, "Kind", attestation ? "attestation" : "image");
	if (attestation) {
		jw_key(w, "AttestationData");
		jw_obj(w);
		jw_kv_str(w, "For", subject);
		jw_obj_end(w);
	} else {
		write_image_data(m, d->platform ? d->platform : &unknown, h, w);
	}
	jw_obj_end(w);
	return total;
}

static bool read_index(struct image_service *s, const struct digest *d, struct oci_index *ret,
		       struct arena *a)
{
	struct err none = ERR_INIT;
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);

	return store_blob_read(s->store, d, &text, &none) == 0 &&
	       oci_index_decode(buf_text(&text), text.n, ret, a, &none) == 0;
}

/* An image without an index is its own only member. */
static void lone_member(const struct store_image *img, struct image_service *s,
			struct oci_descriptor *d, struct oci_platform *p, struct arena *a)
{
	struct image_config c = {0};
	struct err none = ERR_INIT;
	uint64_t size = 0;

	if (image_config_decode(img->config, strlen(img->config), &c, a, &none) == 0)
		*p = (struct oci_platform){.architecture = c.architecture,
					   .os = c.os,
					   .os_version = c.os_version,
					   .variant = c.variant};
	store_blob_has(s->store, &img->manifest, &size);
	*d = (struct oci_descriptor){.media_type = OCI_MANIFEST_TYPE,
				     .digest_text = img->manifest.text,
				     .size = (int64_t)size,
				     .platform = p};
}

uint64_t image_manifests_write(struct image_manifests *m, const struct store_image *img,
			       struct jw *w)
{
	AUTO(arena) struct arena *a = arena_new();
	struct digest index_digest;
	struct oci_index index;
	struct oci_descriptor lone;
	struct oci_platform platform = {0};
	uint64_t total = 0;

	jw_key(w, "Manifests");
	jw_arr(w);
	if (image_index_at(m->s, img, 0, &index_digest) &&
	    read_index(m->s, &index_digest, &index, a)) {
		for (size_t i = 0; i < index.manifests.n; i++)
			total += write_one(m, oci_descriptor_at(&index.manifests, i), w);
	} else if (digest_is_set(&img->manifest)) {
		lone_member(img, m->s, &lone, &platform, a);
		total = write_one(m, &lone, w);
	}
	jw_arr_end(w);
	return total ? total : img->size;
}

void image_descriptor_write(struct image_service *s, const struct store_image *img, struct jw *w)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	AUTO(json) struct json *j = NULL;
	struct digest d;
	struct err none = ERR_INIT;
	bool index = image_index_at(s, img, 0, &d);

	if (!index)
		d = img->manifest;
	if (!digest_is_set(&d) || store_blob_read(s->store, &d, &text, &none) < 0 ||
	    json_parse(buf_text(&text), text.n, &j, &none) < 0)
		return;
	const char *type = json_str(json_get(j, "mediaType"));
	jw_key(w, "Descriptor");
	jw_obj(w);
	jw_kv_str(w, "mediaType",
		  type && *type ? type
		  : index	? OCI_INDEX_TYPE
				: OCI_MANIFEST_TYPE);
	jw_kv_str(w, "digest", d.text);
	jw_kv_u64(w, "size", text.n);
	jw_obj_end(w);
}
