/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_save(): a tar that is an OCI layout and a docker-archive at once, as Docker writes since
 * version 25. A worker writes it from a list of members; blobs go from file to pipe untouched.
 */
#include "image/parts-priv.h"
#include "image/platform.h"
#include "image/worker-priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIST_MAX     ((size_t)64 << 20)
#define CHILD_OUT_FD 3
#define CHILD_DIR_FD 4

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
	struct image_worker *worker;
	struct buf list;
	size_t fed;
	bool done;
};

static void save_drop(struct image_job *j)
{
	struct save *s = CONTAINER_OF(j, struct save, job);
	image_worker_cancel(s->worker);
	for (size_t i = 0; i < s->n; i++) {
		store_image_free(s->images[i].img);
		parts_free(s->images[i].parts);
	}
	free(s->images);
	buf_done(&s->list);
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

static void member_end(struct save *s, struct jw *w)
{
	jw_kv_i64(w, "mtime", 0);
	jw_obj_end(w);
	buf_addc(&s->list, '\n');
}

static void add_dir(struct save *s, const char *name)
{
	struct jw w = JW_INIT(&s->list);
	jw_obj(&w);
	jw_kv_str(&w, "name", name);
	jw_kv_bool(&w, "dir", true);
	member_end(s, &w);
}

static void add_text(struct save *s, const char *name, const char *text)
{
	struct jw w = JW_INIT(&s->list);
	jw_obj(&w);
	jw_kv_str(&w, "name", name);
	jw_kv_str(&w, "text", text);
	member_end(s, &w);
}

static void blob_name(const struct digest *d, char ret[static 160])
{
	snprintf(ret, 160, "blobs/%.*s/%s", (int)(digest_hex(d) - d->text - 1), d->text,
		 digest_hex(d));
}

/* Each blob once. text: the bytes when they are not in the store. */
static void add_blob(struct save *s, struct map *seen, const struct digest *d, uint64_t size,
		     const char *text)
{
	char name[160];
	if (map_set(seen, d->text, s))
		return;
	blob_name(d, name);
	if (text) {
		add_text(s, name, text);
		return;
	}
	store_lease_blob(s->lease, d);
	struct jw w = JW_INIT(&s->list);
	jw_obj(&w);
	jw_kv_str(&w, "name", name);
	jw_kv_str(&w, "file", name + strlen("blobs/"));
	jw_kv_u64(&w, "size", size);
	member_end(s, &w);
}

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
	add_text(s, "index.json", buf_text(&text));
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
		blob_name(&v->id, name);
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
			blob_name(&v->parts->layers[k].digest, name);
			jw_str(&w, name);
		}
		jw_arr_end(&w);
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	add_text(s, "manifest.json", buf_text(&text));
}

static int make_list(struct save *s, struct err *e)
{
	AUTO(map) struct map *seen = map_new();
	add_dir(s, "blobs/");
	add_dir(s, "blobs/sha256/");
	for (size_t i = 0; i < s->n; i++) {
		struct parts *p = s->images[i].parts;
		for (size_t k = 0; k < p->nlayers; k++)
			add_blob(s, seen, &p->layers[k].digest, p->layers[k].size, NULL);
		add_blob(s, seen, &p->config.digest, p->config.size, NULL);
		add_blob(s, seen, &p->manifest_digest, p->manifest.n,
			 p->manifest_stored ? NULL : buf_text(&p->manifest));
	}
	add_index(s);
	add_manifest_json(s);
	add_text(s, "oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
	return s->list.overflow ? err_set(e, ERR_LIMIT, "too many layers to save at once") : 0;
}

/* ---- the worker ---- */

static void feed(void *ud)
{
	struct save *s = ud;
	while (s->fed < s->list.n) {
		size_t n = MIN(s->list.n - s->fed, (size_t)65536);
		const char *p = s->list.p + s->fed;
		s->fed += n;
		if (!image_worker_feed(s->worker, p, n))
			return;
	}
	image_worker_feed_end(s->worker);
}

static int save_line(void *ud, const struct json *j, struct err *e)
{
	struct save *s = ud;
	if (json_bool(json_get(j, "done")))
		s->done = true;
	return 0;
}

static void save_end(void *ud, const struct err *e)
{
	struct save *s = ud;
	struct err err = ERR_INIT;
	s->worker = NULL;
	if (!e && !s->done) {
		err_set(&err, ERR_SYSTEM, UNPACK_PROGRAM " did not finish the archive");
		e = &err;
	}
	struct digest id = s->n ? s->images[s->n - 1].id : (struct digest){0};
	if (!e)
		for (size_t i = 0; i < s->n; i++)
			service_event(s->job.service, "save", s->images[i].id.text, "");
	if (e)
		err = *e;
	job_end(&s->job, id.text, e ? &err : NULL);
}

static int start_worker(struct save *s, int out_fd, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/blobs", store_data_dir(s->job.service->store));
	AUTO_FD int dir_fd = fs_open_dir(path);
	if (dir_fd < 0)
		return err_sys(e, dir_fd, "cannot open %s", path);
	const char *argv[] = {UNPACK_PROGRAM, "tar", "--out-fd", "3", "--dir-fd", "4", NULL};
	struct spawn_fd fds[] = {{out_fd, CHILD_OUT_FD}, {dir_fd, CHILD_DIR_FD}};
	struct image_worker_start o = {
		.loop = s->job.service->loop,
		.program = s->job.service->unpack,
		.argv = argv,
		.fds = fds,
		.nfds = 2,
		.stdin_fd = FD_NONE,
		.ops = {.line = save_line, .end = save_end, .drained = feed, .ud = s}};
	return image_worker_start(&o, &s->worker, e);
}

int image_save(struct image_service *service, const struct image_save *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	AUTO_FD int fd = o->fd;
	struct save *s = NEW(struct save);
	job_init(&s->job, service, ev, save_drop);
	s->arena = arena_new();
	s->lease = store_lease_new(service->store);
	s->list = BUF_INIT(LIST_MAX);
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
		rc = start_worker(s, fd, e);
	if (rc < 0) {
		s->job.ended = true;
		list_del(&s->job.link);
		save_drop(&s->job);
		return -1;
	}
	feed(s);
	*ret = &s->job;
	return 0;
}
