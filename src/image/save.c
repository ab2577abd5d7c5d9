/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_save(): a tar that is an OCI layout and a docker-archive at once, as Docker writes since
 * version 25. A worker writes it from a list of members; blobs go from file to pipe untouched.
 */
#include "image/archive-priv.h"
#include "image/parts-priv.h"
#include "image/platform.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIST_MAX ((size_t)64 << 20)

struct saved {
	struct digest id;
	struct store_image *img;
	struct parts *parts;
	const char **names; /* canonical tags asked for */
	size_t nnames;
};

struct save {
	struct image_job job;
	const char *platform; /* NULL: any; borrowed during image_save() */
	struct saved *images;
	size_t n;
	struct arena *arena;
	struct store_lease *lease;
	struct archive archive;
};

static void save_drop(struct image_job *j)
{
	struct save *s = CONTAINER_OF(j, struct save, job);
	archive_free(&s->archive);
	for (size_t i = 0; i < s->n; i++) {
		store_image_free(s->images[i].img);
		parts_free(s->images[i].parts);
	}
	free(s->images);
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

static struct saved *add_image(struct save *s, const struct digest *id, struct err *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (digest_eq(&s->images[i].id, id))
			return &s->images[i];
	s->images = xrealloc(s->images, (s->n + 1) * sizeof(*s->images));
	struct saved *v = &s->images[s->n];
	*v = (struct saved){.id = *id};
	if (store_image_get(s->job.service->store, id, &v->img, e) < 0)
		return NULL;
	s->n++;
	if (parts_of(s->job.service, v->img, false, &v->parts, e) < 0)
		return NULL;
	return v;
}

struct bare {
	struct save *s;
	char prefix[IMAGE_REF_TEXT_MAX + 2];
	struct objs found;
	struct digest ids[256];
	size_t n;
};

static int collect_bare(const struct store_image *img, void *ud)
{
	struct bare *b = ud;
	for (size_t i = 0; i < img->ntags; i++)
		if (str_starts(img->tags[i], b->prefix) && b->n < ARRAY_SIZE(b->ids)) {
			b->ids[b->n++] = img->id;
			break;
		}
	return 0;
}

/* A name without tag means all tags of the repository. */
static int add_bare(struct save *s, const struct image_ref *ref, bool *ret_any, struct err *e)
{
	AUTO_FREE struct bare *b = NEW(struct bare);
	char name[IMAGE_REF_TEXT_MAX];
	image_ref_name(ref, name);
	snprintf(b->prefix, sizeof(b->prefix), "%s:", name);
	if (store_image_each(s->job.service->store, collect_bare, b, e) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++) {
		struct saved *v = add_image(s, &b->ids[i], e);
		if (!v)
			return -1;
		for (size_t k = 0; k < v->img->ntags; k++)
			if (str_starts(v->img->tags[k], b->prefix))
				add_name(s, v, v->img->tags[k]);
	}
	*ret_any = b->n > 0;
	return 0;
}

static int check_platform(struct save *s, const struct saved *v, const char *text, struct err *e)
{
	struct image_platform want;
	struct image_config config;
	char name[96], have[96];
	if (!s->platform || !*s->platform)
		return 0;
	if (image_platform_parse(s->platform, &want, e) < 0 ||
	    image_config_decode(v->img->config, strlen(v->img->config), &config, s->arena, e) < 0)
		return -1;
	if (image_platform_fits(&want, &config))
		return 0;
	image_platform_format(&want, name);
	snprintf(have, sizeof(have), "%.40s/%.40s", config.os ? config.os : "",
		 config.architecture ? config.architecture : "");
	return err_set(e, ERR_NOT_FOUND,
		       "image with reference %s was found but its platform (%s) does not match the "
		       "specified platform (%s)",
		       text, have, name);
}

static int add_ref(struct save *s, const char *text, struct err *e)
{
	struct image_ref ref;
	struct err none = ERR_INIT;
	struct digest id;
	char canonical[IMAGE_REF_TEXT_MAX];
	bool named = image_ref_parse(text, &ref, &none) == 0, any = false;
	if (named && !ref.tag[0] && !digest_is_set(&ref.digest)) {
		if (add_bare(s, &ref, &any, e) < 0)
			return -1;
		if (any)
			return 0;
	}
	if (image_find(s->job.service, text, &id, e) < 0)
		return -1;
	struct saved *v = add_image(s, &id, e);
	if (!v)
		return -1;
	if (named && ref.tag[0] && !digest_is_set(&ref.digest)) {
		struct digest by_name;
		image_ref_canonical(&ref, canonical);
		/* "sha256:HEX" reads as a name too */
		if (store_ref_get(s->job.service->store, canonical, &by_name, &none) == 0)
			add_name(s, v, canonical);
	}
	return 0;
}

/* ---- the list of members ---- */

static void index_entry(struct jw *w, const struct saved *v, const char *canonical)
{
	jw_obj(w);
	jw_kv_str(w, "mediaType", v->parts->media_type);
	jw_kv_str(w, "digest", v->parts->manifest_digest.text);
	jw_kv_u64(w, "size", v->parts->manifest.n);
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
			index_entry(&w, &s->images[i], NULL);
		for (size_t k = 0; k < s->images[i].nnames; k++)
			index_entry(&w, &s->images[i], s->images[i].names[k]);
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
		archive_blob_name(&v->id, name);
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

static int make_list(struct save *s, struct err *e)
{
	archive_add_dir(&s->archive, "blobs/");
	archive_add_dir(&s->archive, "blobs/sha256/");
	for (size_t i = 0; i < s->n; i++) {
		struct parts *p = s->images[i].parts;
		for (size_t k = 0; k < p->nlayers; k++)
			add_blob(s, &p->layers[k].digest, p->layers[k].size);
		add_blob(s, &p->config.digest, p->config.size);
		if (p->manifest_stored)
			add_blob(s, &p->manifest_digest, p->manifest.n);
		else
			archive_add_blob(&s->archive, &p->manifest_digest, p->manifest.n,
					 buf_text(&p->manifest));
	}
	add_index(s);
	add_manifest_json(s);
	archive_add_text(&s->archive, "oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
	return s->archive.list.overflow ? err_set(e, ERR_LIMIT, "too many layers to save at once")
					: 0;
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
	AUTO_FD int fd = o->fd;
	struct save *s = NEW(struct save);
	job_init(&s->job, service, ev, save_drop);
	s->arena = arena_new();
	s->lease = store_lease_new(service->store);
	archive_init(&s->archive, service, save_end, s);
	int rc = 0;
	s->platform = o->platform;
	for (size_t i = 0; rc == 0 && i < o->n; i++)
		rc = add_ref(s, o->refs[i], e);
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = check_platform(s, &s->images[i], o->n == 1 ? o->refs[0] : s->images[i].id.text,
				    e);
	if (rc == 0)
		rc = make_list(s, e);
	if (rc == 0)
		rc = archive_write(&s->archive, fd, e);
	if (rc < 0) {
		s->job.ended = true;
		list_del(&s->job.link);
		save_drop(&s->job);
		return -1;
	}
	*ret = &s->job;
	return 0;
}
