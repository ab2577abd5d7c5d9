/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See members.h: what of an index is in the store. Documents are read again each time: they are
 * small, and the store is the only truth about what is here.
 */
#include "image/members.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

struct walk {
	struct image_service *s;
	struct arena *arena;
	struct map *seen; /* each document once */
	size_t documents, bytes;
	index_member_fn fn;
	void *ud;
};

const char *index_attests(const struct oci_descriptor *d)
{
	const char *kind = strmap_get(&d->annotations, "vnd.docker.reference.type");
	const char *subject = strmap_get(&d->annotations, "vnd.docker.reference.digest");

	if (!kind || strcmp(kind, "attestation-manifest") != 0)
		return NULL;
	return subject ? subject : "";
}

/* The document and its kind; false: not here, or nothing that can be read. */
static bool read_document(struct walk *w, struct index_member *m, struct oci_index *index)
{
	struct err none = ERR_INIT;
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	enum manifest_kind kind;

	if (store_blob_read(w->s->store, &m->digest, &text, &none) < 0 ||
	    manifest_kind_of(buf_text(&text), text.n, m->d ? m->d->media_type : NULL, &kind,
			     &none) < 0)
		return false;
	w->bytes += text.n;
	m->size = text.n;
	m->index = kind == MANIFEST_INDEX;
	if (m->index) {
		if (oci_index_decode(buf_text(&text), text.n, index, w->arena, &none) < 0)
			return false;
		m->media_type = index->media_type;
	} else {
		if (oci_manifest_decode(buf_text(&text), text.n, &m->manifest, w->arena, &none) < 0)
			return false;
		m->media_type = m->manifest.media_type;
	}
	if ((!m->media_type || !*m->media_type) && m->d)
		m->media_type = m->d->media_type;
	if (!m->media_type || !*m->media_type)
		m->media_type = m->index ? OCI_INDEX_TYPE : OCI_MANIFEST_TYPE;
	return true;
}

static bool has_blob(struct walk *w, const struct oci_descriptor *d)
{
	struct digest digest;
	uint64_t size;

	return digest_parse(d->digest_text, &digest) == 0 &&
	       store_blob_has(w->s->store, &digest, &size) && d->size >= 0 &&
	       size == (uint64_t)d->size;
}

/* Layers that may not be distributed are fetched from where they say: nobody pushes them. */
static bool blobs_here(struct walk *w, const struct oci_manifest *m)
{
	if (!has_blob(w, &m->config))
		return false;
	for (size_t i = 0; i < m->layers.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&m->layers, i);

		if (!oci_layer_foreign(d) && !has_blob(w, d))
			return false;
	}
	return true;
}

static int visit(struct walk *w, const struct oci_descriptor *d, const struct digest *digest,
		 int depth, struct err *e);

/* 1: all of them are here, 0: not. */
static int visit_all(struct walk *w, const struct oci_index *index, int depth, struct err *e)
{
	bool here = true;

	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index->manifests, i);
		struct digest digest;
		int rc = digest_parse(d->digest_text, &digest) == 0;

		if (rc && !map_set(w->seen, digest.text, w))
			rc = visit(w, d, &digest, depth, e);
		if (rc < 0)
			return -1;
		here = here && rc;
	}
	return here;
}

/* 1: all of it is here, 0: not. */
static int visit(struct walk *w, const struct oci_descriptor *d, const struct digest *digest,
		 int depth, struct err *e)
{
	struct index_member m = {.d = d, .digest = *digest, .media_type = ""};
	struct oci_index index = {0};
	int rc = 1;

	if (depth > INDEX_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "image indexes are nested more than %d deep",
			       INDEX_DEPTH_MAX);
	m.known = read_document(w, &m, &index);
	if (++w->documents > INDEX_DOCUMENTS_MAX || w->bytes > INDEX_BYTES_MAX)
		return err_set(e, ERR_LIMIT,
			       "the image index names more than %d documents, or more than %zu "
			       "bytes of them",
			       INDEX_DOCUMENTS_MAX, INDEX_BYTES_MAX);
	if (m.known && m.index)
		rc = visit_all(w, &index, depth + 1, e);
	else if (m.known)
		rc = blobs_here(w, &m.manifest);
	if (rc < 0)
		return -1;
	m.here = m.known && rc > 0 && (!d || m.size == (uint64_t)d->size);
	if (m.known && !m.index && !store_image_of_manifest(w->s->store, digest, &m.image))
		m.image = (struct digest){0};
	return w->fn(&m, w->ud, e) < 0 ? -1 : m.here;
}

int index_walk(struct image_service *s, const struct digest *index, struct arena *a,
	       index_member_fn fn, void *ud, struct err *e)
{
	struct walk w = {.s = s, .arena = a, .seen = map_new(), .fn = fn, .ud = ud};
	int rc;

	(void)map_set(w.seen, index->text, &w);
	rc = visit(&w, NULL, index, 0, e);
	map_free(w.seen);
	return rc < 0 ? -1 : 0;
}

bool index_here(struct image_service *s, const struct digest *d)
{
	AUTO(arena) struct arena *a = arena_new();
	struct walk w = {.s = s, .arena = a};
	struct index_member m = {.digest = *d};
	struct oci_index index;

	return digest_is_set(d) && read_document(&w, &m, &index) && m.index;
}

char *document_type(struct image_service *s, const struct digest *d, bool index)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;
	const char *type = NULL;

	if (store_blob_read(s->store, d, &text, &none) == 0 &&
	    json_parse(buf_text(&text), text.n, &j, &none) == 0)
		type = json_str(json_get(j, "mediaType"));
	return xstrdup(type && *type ? type : index ? OCI_INDEX_TYPE : OCI_MANIFEST_TYPE);
}

/* ---- what belongs to it besides images ---- */

struct blobs {
	struct image_service *s;
	struct map *seen;
	struct digest *v;
	size_t n;
};

static void keep(struct blobs *b, const struct digest *d)
{
	if (map_set(b->seen, d->text, b) || !store_blob_has(b->s->store, d, NULL))
		return;
	b->v = xrealloc(b->v, (b->n + 1) * sizeof(*b->v));
	b->v[b->n++] = *d;
}

static int collect(const struct index_member *m, void *ud, struct err *e)
{
	struct blobs *b = ud;
	struct digest d;

	if (!m->known || digest_is_set(&m->image))
		return 0;
	keep(b, &m->digest);
	if (m->index)
		return 0;
	if (digest_parse(m->manifest.config.digest_text, &d) == 0)
		keep(b, &d);
	for (size_t i = 0; i < m->manifest.layers.n; i++)
		if (digest_parse(oci_descriptor_at(&m->manifest.layers, i)->digest_text, &d) == 0)
			keep(b, &d);
	return 0;
}

int index_blobs(struct image_service *s, const struct digest *index, struct digest **ret,
		size_t *ret_n, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct blobs b = {.s = s, .seen = map_new()};
	int rc = index_walk(s, index, a, collect, &b, e);

	map_free(b.seen);
	if (rc < 0) {
		free(b.v);
		return -1;
	}
	*ret = b.v;
	*ret_n = b.n;
	return 0;
}
