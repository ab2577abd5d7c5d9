/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_save(): a tar that is an OCI layout and a docker-archive at once, as Docker writes since
 * version 25. A worker writes it from a list of members; blobs go from file to pipe untouched.
 */
#include "image/archive-priv.h"
#include "image/members.h"
#include "image/parts-priv.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIST_MAX ((size_t)64 << 20)

/* An image of the archive: one platform, or all that is here of an index. */
struct saved {
	struct digest id;
	struct digest index; /* unset: only the image */
	struct store_image *img;
	struct parts *parts;
	struct repack *repack;
	const char **names; /* canonical tags asked for */
	size_t nnames;
};

struct save {
	struct image_job job;
	bool platform_given;
	struct image_platform platform;
	struct saved *images;
	size_t n, at; /* at: the next to be looked at */
	int fd;
	struct arena *arena;
	struct store_lease *lease;
	struct archive archive;
};

static void save_drop(struct image_job *j)
{
	struct save *s = CONTAINER_OF(j, struct save, job);
	archive_free(&s->archive);
	for (size_t i = 0; i < s->n; i++) {
		repack_free(s->images[i].repack);
		store_image_free(s->images[i].img);
		parts_free(s->images[i].parts);
	}
	free(s->images);
	fd_close(&s->fd);
	store_lease_free(s->lease);
	arena_free(s->arena);
	free(s);
}

/* ---- what is asked for ---- */

static void add_name(struct save *s, struct saved *v, const char *canonical)
{
	for (size_t i = 0; i < v->nnames; i++)
		if (!strcmp(v->names[i], canonical))
			return;
	const char **grown = arena_alloc(s->arena, (v->nnames + 1) * sizeof(char *));
	if (v->nnames)
		memcpy(grown, v->names, v->nnames * sizeof(char *));
	grown[v->nnames++] = arena_strdup(s->arena, canonical);
	v->names = grown;
}

/* canonical: the tag it is asked for by; NULL: an id. */
static int add_image(struct save *s, const char *text, const char *canonical, struct err *e)
{
	struct store *store = s->job.service->store;
	struct digest id, index = {0};
	size_t i = 0;
	if (member_for(s->job.service, text, s->platform_given ? &s->platform : NULL, &id, e) < 0)
		return -1;
	if (!canonical || s->platform_given || !store_ref_target(store, canonical, &index) ||
	    !index_here(s->job.service, &index))
		index = (struct digest){0};
	while (i < s->n &&
	       (!digest_eq(&s->images[i].id, &id) || !digest_eq(&s->images[i].index, &index)))
		i++;
	if (i == s->n) {
		s->images = xrealloc(s->images, (s->n + 1) * sizeof(*s->images));
		s->images[i] = (struct saved){.id = id, .index = index};
		if (store_image_get(store, &id, &s->images[i].img, e) < 0)
			return -1;
		s->n++;
	}
	if (canonical)
		add_name(s, &s->images[i], canonical);
	return 0;
}

struct bare {
	struct save *s;
	char prefix[IMAGE_REF_TEXT_MAX + 2];
	struct strs tags;
	size_t room;
};

static void push_tag(struct bare *b, const char *tag)
{
	if (b->tags.n == b->room) {
		b->room = b->room ? 2 * b->room : 16;
		const char **v = arena_alloc(b->s->arena, b->room * sizeof(*v));
		if (b->tags.n)
			memcpy(v, b->tags.v, b->tags.n * sizeof(*v));
		b->tags.v = v;
	}
	b->tags.v[b->tags.n++] = arena_strdup(b->s->arena, tag);
}

static int collect_bare(const struct store_image *img, void *ud)
{
	struct bare *b = ud;
	for (size_t i = 0; i < img->ntags; i++)
		if (str_starts(img->tags[i], b->prefix))
			push_tag(b, img->tags[i]);
	return 0;
}

/* A name without tag means all tags of the repository. */
static int add_bare(struct save *s, const struct image_ref *ref, bool *ret_any, struct err *e)
{
	struct bare b = {.s = s};
	char name[IMAGE_REF_TEXT_MAX];
	image_ref_name(ref, name);
	snprintf(b.prefix, sizeof(b.prefix), "%s:", name);
	if (store_image_each(s->job.service->store, collect_bare, &b, e) < 0)
		return -1;
	for (size_t i = 0; i < b.tags.n; i++)
		if (add_image(s, b.tags.v[i], b.tags.v[i], e) < 0)
			return -1;
	*ret_any = b.tags.n > 0;
	return 0;
}

static int add_ref(struct save *s, const char *text, struct err *e)
{
	struct image_ref ref;
	struct err none = ERR_INIT;
	struct digest id;
	char canonical[MEMBER_REF_MAX];
	bool any = false;
	if (image_ref_parse(text, &ref, &none) == 0 && !ref.tag[0] && !digest_is_set(&ref.digest)) {
		if (add_bare(s, &ref, &any, e) < 0)
			return -1;
		if (any)
			return 0;
	}
	if (member_resolve(s->job.service, text, &id, canonical, e) < 0)
		return -1;
	return add_image(s, text, canonical[0] && !strchr(canonical, '@') ? canonical : NULL, e);
}

/* ---- the list of members ---- */

static void index_entry(struct save *s, struct jw *w, const struct saved *v, const char *canonical)
{
	jw_obj(w);
	uint64_t size = v->parts->manifest.n;
	if (digest_is_set(&v->index)) {
		AUTO_FREE char *type = document_type(s->job.service, &v->index, true);
		store_blob_has(s->job.service->store, &v->index, &size);
		jw_kv_str(w, "mediaType", type);
	} else {
		jw_kv_str(w, "mediaType", v->parts->media_type);
	}
	jw_kv_str(w, "digest",
		  digest_is_set(&v->index) ? v->index.text : v->parts->manifest_digest.text);
	jw_kv_u64(w, "size", size);
	if (canonical) {
		const char *colon = strrchr(canonical, ':');
		jw_key(w, "annotations");
		jw_obj(w);
		jw_kv_str(w, "io.containerd.image.name", canonical);
		jw_kv_str(w, "org.opencontainers.image.ref.name", colon ? colon + 1 : canonical);
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

static void add_index(struct save *s)
{
	AUTO_BUF struct buf text = BUF_INIT(LIST_MAX);
	struct jw w = JW_INIT(&text);
	jw_obj(&w);
	jw_kv_i64(&w, "schemaVersion", 2);
	jw_kv_str(&w, "mediaType", OCI_INDEX_TYPE);
	jw_key(&w, "manifests");
	jw_arr(&w);
	for (size_t i = 0; i < s->n; i++) {
		if (!s->images[i].nnames)
			index_entry(s, &w, &s->images[i], NULL);
		for (size_t k = 0; k < s->images[i].nnames; k++)
			index_entry(s, &w, &s->images[i], s->images[i].names[k]);
	}
	jw_arr_end(&w);
	jw_obj_end(&w);
	archive_add_text(&s->archive, "index.json", buf_text(&text));
}

static void add_manifest_json(struct save *s)
{
	AUTO_BUF struct buf text = BUF_INIT(LIST_MAX);
	struct jw w = JW_INIT(&text);
	char name[160], familiar[IMAGE_REF_TEXT_MAX];
	jw_arr(&w);
	for (size_t i = 0; i < s->n; i++) {
		struct saved *v = &s->images[i];
		jw_obj(&w);
		archive_blob_name(&v->parts->config.digest, name);
		jw_kv_str(&w, "Config", name);
		jw_key(&w, "RepoTags");
		if (v->nnames) {
			jw_arr(&w);
			for (size_t k = 0; k < v->nnames; k++) {
				image_ref_text_familiar(v->names[k], familiar);
				jw_str(&w, familiar);
			}
			jw_arr_end(&w);
		} else {
			jw_null(&w);
		}
		jw_key(&w, "Layers");
		jw_arr(&w);
		for (size_t k = 0; k < v->parts->nlayers; k++) {
			archive_blob_name(&v->parts->layers[k].digest, name);
			jw_str(&w, name);
		}
		jw_arr_end(&w);
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	archive_add_text(&s->archive, "manifest.json", buf_text(&text));
}

/* Each blob once; it stays while it is being written. */
static void add_blob(struct save *s, const struct digest *d, uint64_t size)
{
	if (archive_add_blob(&s->archive, d, size, NULL))
		store_lease_blob(s->lease, d);
}

static void add_descriptor(struct save *s, const struct oci_descriptor *d)
{
	struct digest digest;
	uint64_t size;
	if (digest_parse(d->digest_text, &digest) == 0 &&
	    store_blob_has(s->job.service->store, &digest, &size))
		add_blob(s, &digest, size);
}

/* Of an index its documents whose blobs are all here, and itself. */
static int add_member(const struct index_member *m, void *ud, struct err *e)
{
	struct save *s = ud;
	if (!m->known || (!m->index && !m->here))
		return 0;
	for (size_t i = 0; !m->index && i < m->manifest.layers.n; i++)
		add_descriptor(s, oci_descriptor_at(&m->manifest.layers, i));
	if (!m->index)
		add_descriptor(s, &m->manifest.config);
	add_blob(s, &m->digest, m->size);
	return 0;
}

static void add_parts(struct save *s, const struct parts *p)
{
	for (size_t k = 0; k < p->nlayers; k++)
		add_blob(s, &p->layers[k].digest, p->layers[k].size);
	add_blob(s, &p->config.digest, p->config.size);
	if (p->manifest_stored)
		add_blob(s, &p->manifest_digest, p->manifest.n);
	else
		archive_add_blob(&s->archive, &p->manifest_digest, p->manifest.n,
				 buf_text(&p->manifest));
}

static int make_list(struct save *s, struct err *e)
{
	archive_add_dir(&s->archive, "blobs/");
	archive_add_dir(&s->archive, "blobs/sha256/");
	for (size_t i = 0; i < s->n; i++) {
		struct saved *v = &s->images[i];
		/* An index does not name what had to be made again. */
		if (!v->parts->manifest_stored)
			v->index = (struct digest){0};
		add_parts(s, v->parts);
		if (digest_is_set(&v->index) &&
		    index_walk(s->job.service, &v->index, s->arena, add_member, s, e) < 0)
			return -1;
	}
	add_index(s);
	add_manifest_json(s);
	archive_add_text(&s->archive, "oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
	return s->archive.list.overflow ? err_set(e, ERR_LIMIT, "too many layers to save at once")
					: 0;
}

static void fail(struct save *s, const struct err *e)
{
	struct err err = *e;
	job_end(&s->job, NULL, &err);
}

/* ---- layers that are not kept as blobs ---- */

static void look_on(struct save *s);

static void repacked(void *ud, const struct err *e)
{
	struct save *s = ud;
	if (e)
		fail(s, e);
	else
		look_on(s);
}

/* The parts of every image; 1: goes on later. */
static int look(struct save *s, struct err *e)
{
	for (; s->at < s->n; s->at++) {
		struct saved *v = &s->images[s->at];
		if (!v->repack && repack_needed(s->job.service, v->img))
			return repack_start(s->job.service, v->img, s->lease, repacked, s,
					    &v->repack, e) < 0
				       ? -1
				       : 1;
		if (parts_of(s->job.service, v->img, false, v->repack, &v->parts, e) < 0)
			return -1;
	}
	if (make_list(s, e) < 0 || archive_write(&s->archive, s->fd, e) < 0)
		return -1;
	fd_close(&s->fd); /* the worker has it: its end is the archive's end */
	return 0;
}

static void look_on(struct save *s)
{
	struct err e = ERR_INIT;
	if (look(s, &e) < 0)
		fail(s, &e);
}

static void save_end(void *ud, const struct err *e)
{
	struct save *s = ud;
	struct err err = e ? *e : ERR_INIT;
	struct digest id = s->n ? s->images[s->n - 1].id : (struct digest){0};
	if (!e)
		for (size_t i = 0; i < s->n; i++)
			service_event(s->job.service, "save", s->images[i].id.text, "");
	job_end(&s->job, id.text, e ? &err : NULL);
}

int image_save(struct image_service *service, const struct image_save *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct save *s = NEW(struct save);
	job_init(&s->job, service, ev, save_drop);
	s->fd = o->fd;
	s->arena = arena_new();
	s->lease = store_lease_new(service->store);
	archive_init(&s->archive, service, save_end, s);
	s->platform_given = o->platform && *o->platform;
	int rc = s->platform_given ? image_platform_parse(o->platform, &s->platform, e) : 0;
	for (size_t i = 0; rc == 0 && i < o->n; i++)
		rc = add_ref(s, o->refs[i], e);
	if (rc == 0)
		rc = look(s, e);
	if (rc < 0) {
		s->job.ended = true;
		list_del(&s->job.link);
		save_drop(&s->job);
		return -1;
	}
	*ret = &s->job;
	return 0;
}
