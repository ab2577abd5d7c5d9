/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_load(): a confined worker stages the archive's members as files and tells their digests;
 * then manifest.json (docker-archive) or index.json (OCI layout) says which members make which
 * image; their blobs enter the store and the layers are unpacked like those of a pull. A layout
 * folder is turned into a tar by a second worker first, so that there is one path for all.
 */
#include "image/load-priv.h"
#include "image/members.h"

#include "base/map.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define CHILD_FD	 3
#define CHILD_OUT_FD	 4
#define MEMBERS_MAX_TEXT "100000"

static void next_image(struct load *l);

static void load_drop(struct image_job *j)
{
	struct load *l = CONTAINER_OF(j, struct load, job);
	image_worker_cancel(l->worker);
	image_worker_cancel(l->packer);
	service_soon_cancel(l->soon);
	layers_free(l->layers);
	store_lease_free(l->lease);
	store_stage_drop(l->job.service->store, l->prefix);
	map_free(l->members);
	arena_free(l->arena);
	fd_close(&l->fd);
	free(l->config_text);
	free(l->tag);
	free(l);
}

static void load_fail(struct load *l, const struct err *e)
{
	struct err err = *e;
	job_end(&l->job, NULL, &err);
}

/* ---- members ---- */

static int member_line(void *ud, const struct json *j, struct err *e)
{
	struct load *l = ud;
	const char *name = json_str(json_get(j, "name")), *file = json_str(json_get(j, "file"));
	const char *link = json_str(json_get(j, "link")), *digest = json_str(json_get(j, "digest"));
	if (!name)
		return 0; /* progress or the end */
	struct member *m = arena_alloc(l->arena, sizeof(*m));
	if (link) {
		m->link = arena_strdup(l->arena, link);
	} else {
		if (!file || strlen(file) >= sizeof(m->file) || !digest ||
		    digest_parse(digest, &m->digest) < 0)
			return err_set(e, ERR_SYSTEM,
				       UNPACK_PROGRAM " described a member in an unknown way");
		snprintf(m->file, sizeof(m->file), "%s", file);
		m->size = json_u64(json_get(j, "size"));
	}
	map_set(l->members, name, m);
	return 0;
}

static int member_commit(struct load *l, const char *name, struct err *e)
{
	struct member *m = load_member(l, name);
	if (!m)
		return err_set(e, ERR_INVALID, "the archive has no member \"%.300s\"", name);
	store_lease_blob(l->lease, &m->digest);
	if (m->committed)
		return 0;
	m->committed = true;
	if (store_blob_has(l->job.service->store, &m->digest, NULL))
		return 0;
	return store_stage_commit(l->job.service->store, m->file, &m->digest, m->size, STORE_LATER,
				  e);
}

/* ---- one image into the store ---- */

/* The digest that the image's names stand for; unset for a docker-archive. */
static struct digest target_of(const struct load_image *img)
{
	struct digest d = img->manifest;
	if (img->index)
		(void)digest_parse(img->index->digest_text, &d);
	return d;
}

static int name_image(struct load *l, const char *name, struct err *e)
{
	const struct load_image *img = &l->images[l->next];
	struct image_service *s = l->job.service;
	struct image_ref ref;
	struct digest target = target_of(img);
	char text[IMAGE_REF_TEXT_MAX];
	if (image_ref_parse(name, &ref, e) < 0)
		return err_wrap(e, "invalid tag \"%.200s\"", name);
	ref.digest = (struct digest){0};
	image_ref_default_tag(&ref);
	image_ref_canonical(&ref, text);
	if (member_join(s, text, &l->config_digest, &target, e) < 0)
		return -1;
	if (digest_is_set(&target)) {
		struct image_ref by_digest = ref;
		by_digest.tag[0] = '\0';
		by_digest.digest = target;
		image_ref_canonical(&by_digest, text);
		if (member_join(s, text, &l->config_digest, &target, e) < 0)
			return -1;
	}
	return 0;
}

static int put_image(struct load *l, bool *ret_named, struct err *e)
{
	struct load_image *img = &l->images[l->next];
	struct digest target = target_of(img);
	if (layers_put_image(l->layers, &l->config_digest, l->config_text, &img->manifest,
			     img->index ? &target : NULL, e) < 0)
		return -1;
	if (!img->names.n && l->tag && (l->nimages == 1 || (img->index && !l->next)))
		strs_push(&img->names, l->arena, l->tag);
	for (size_t i = 0; i < img->names.n; i++)
		if (name_image(l, img->names.v[i], e) < 0)
			return -1;
	*ret_named = img->names.n > 0;
	return 0;
}

/* The same name as one before it, written otherwise. */
static bool repeated(const struct strs *names, size_t i)
{
	struct image_ref ref;
	struct err none = ERR_INIT;
	char text[IMAGE_REF_TEXT_MAX], before[IMAGE_REF_TEXT_MAX];
	if (image_ref_parse(names->v[i], &ref, &none) < 0)
		return false;
	image_ref_default_tag(&ref);
	image_ref_canonical(&ref, text);
	for (size_t k = 0; k < i; k++) {
		if (image_ref_parse(names->v[k], &ref, &none) < 0)
			continue;
		image_ref_default_tag(&ref);
		image_ref_canonical(&ref, before);
		if (!strcmp(text, before))
			return true;
	}
	return false;
}

static void say_loaded(struct load *l, bool named)
{
	const struct load_image *img = &l->images[l->next];
	struct image_ref ref;
	struct err none = ERR_INIT;
	char text[IMAGE_REF_TEXT_MAX];
	if (l->as_pull || img->more)
		return;
	if (!named)
		job_streamf(&l->job, "Loaded image ID: %s\n", l->config_digest.text);
	for (size_t i = 0; i < img->names.n; i++) {
		if (repeated(&img->names, i) || image_ref_parse(img->names.v[i], &ref, &none) < 0)
			continue;
		ref.digest = (struct digest){0};
		image_ref_default_tag(&ref);
		image_ref_familiar(&ref, text);
		job_streamf(&l->job, "Loaded image: %s\n", text);
	}
}

/* The image and its names, all at once. */
static int finish_image(struct load *l, struct err *e)
{
	struct store *s = l->job.service->store;
	struct err none = ERR_INIT;
	bool named = false;
	if (store_begin(s, true, e) < 0)
		return -1;
	if (put_image(l, &named, e) < 0) {
		store_end(s, false, &none);
		return -1;
	}
	if (store_end(s, true, e) < 0)
		return -1;
	say_loaded(l, named);
	l->last_id = l->config_digest;
	service_event(l->job.service, l->as_pull ? "pull" : "load",
		      l->as_pull ? IMAGE_DEFAULT_NAME ":latest" : l->config_digest.text,
		      l->as_pull ? IMAGE_DEFAULT_NAME : "");
	return 0;
}

static void image_layers_done(void *ud, const struct err *e)
{
	struct load *l = ud;
	struct err err = ERR_INIT;
	if (e || finish_image(l, &err) < 0) {
		load_fail(l, e ? e : &err);
		return;
	}
	layers_free(l->layers);
	l->layers = NULL;
	free(l->config_text);
	l->config_text = NULL;
	l->next++;
	next_image(l);
}

static int start_image(struct load *l, struct err *e)
{
	struct load_image *img = &l->images[l->next];
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
	if (load_member_read(l, img->config_member, &text, e) < 0)
		return -1;
	digest_of(buf_text(&text), text.n, &l->config_digest);
	if (image_config_decode(buf_text(&text), text.n, &l->config, l->arena, e) < 0)
		return err_wrap(e, "archive member \"%.300s\"", img->config_member);
	l->config_text = xstrndup(buf_text(&text), text.n);
	if (member_commit(l, img->config_member, e) < 0 ||
	    (img->manifest_member && member_commit(l, img->manifest_member, e) < 0))
		return -1;
	for (size_t i = 0; i < img->extras.n; i++)
		if (member_commit(l, img->extras.v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < img->layers.n; i++)
		if (member_commit(l, oci_descriptor_at(&img->layers, i)->media_type, e) < 0)
			return -1;
	struct layers_want want = {.job = &l->job,
				   .lease = l->lease,
				   .descriptors = &img->layers,
				   .diff_ids = &l->config.rootfs.diff_ids,
				   .quiet = l->quiet,
				   .loading = !l->as_pull,
				   .done = image_layers_done,
				   .ud = l};
	return layers_start(&want, &l->layers, e);
}

static void next_image(struct load *l)
{
	struct err e = ERR_INIT;
	if (l->next < l->nimages) {
		if (start_image(l, &e) < 0)
			load_fail(l, &e);
		return;
	}
	struct digest id = l->last_id;
	if (l->as_pull)
		job_linef(&l->job,
			  "Status: Downloaded newer image for " IMAGE_DEFAULT_NAME ":latest");
	job_end(&l->job, id.text, NULL);
}

/* ---- staging ---- */

static void stage_end(void *ud, const struct err *e)
{
	struct load *l = ud;
	struct err err = ERR_INIT;
	l->worker = NULL;
	if (e || load_scan(l, &err) < 0) {
		load_fail(l, e ? e : &err);
		return;
	}
	next_image(l);
}

static int pack_line(void *ud, const struct json *j, struct err *e)
{
	return 0;
}

static void pack_end(void *ud, const struct err *e)
{
	struct load *l = ud;
	l->packer = NULL;
	if (e)
		load_fail(l, e);
}

/* A worker that writes the folder as tar into a pipe; *ret_fd is the reading end. */
static int start_packer(struct load *l, const char *dir, int *ret_fd, struct err *e)
{
	int p[2];
	AUTO_FD int dir_fd = fs_open_dir(dir);
	if (dir_fd < 0)
		return err_sys(e, dir_fd, "cannot open %.500s", dir);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	const char *argv[] = {UNPACK_PROGRAM, "pack", "--dir-fd", "3", "--out-fd", "4",
			      "--name",	      ".",    NULL};
	struct spawn_fd fds[] = {{dir_fd, CHILD_FD}, {p[1], CHILD_OUT_FD}};
	AUTO_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct image_worker_start o = {.loop = l->job.service->loop,
				       .program = l->job.service->unpack,
				       .argv = argv,
				       .fds = fds,
				       .nfds = 2,
				       .stdin_fd = null,
				       .ops = {.line = pack_line, .end = pack_end, .ud = l}};
	int rc = image_worker_start(&o, &l->packer, e);
	close(p[1]);
	if (rc < 0)
		close(p[0]);
	else
		*ret_fd = p[0];
	return rc;
}

static int start_stage(struct load *l, struct err *e)
{
	const char *argv[] = {UNPACK_PROGRAM, "archive",       "--ingest-fd",	 "3", "--prefix",
			      l->prefix,      "--max-entries", MEMBERS_MAX_TEXT, NULL};
	struct spawn_fd fds[] = {{store_ingest_dir(l->job.service->store), CHILD_FD}};
	struct image_worker_start o = {.loop = l->job.service->loop,
				       .program = l->job.service->unpack,
				       .argv = argv,
				       .fds = fds,
				       .nfds = 1,
				       .stdin_fd = l->fd,
				       .ops = {.line = member_line, .end = stage_end, .ud = l}};
	int rc = image_worker_start(&o, &l->worker, e);
	fd_close(&l->fd); /* the worker has it: its end is the archive's end */
	return rc;
}

int image_load(struct image_service *s, const struct image_load *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct image_platform platform;
	AUTO_FD int fd = o->dir ? FD_NONE : o->fd;
	image_platform_host(&platform);
	if (o->platform && *o->platform && image_platform_parse(o->platform, &platform, e) < 0)
		return -1;
	struct load *l = NEW(struct load);
	job_init(&l->job, s, ev, load_drop);
	l->platform = platform;
	l->platform_given = o->platform && *o->platform;
	l->quiet = o->quiet;
	l->tag = xstrdup(o->tag);
	l->fd = TAKE_FD(fd);
	l->arena = arena_new();
	l->members = map_new();
	l->lease = store_lease_new(s->store);
	store_stage_prefix(s->store, l->prefix);
	if ((o->dir && start_packer(l, o->dir, &l->fd, e) < 0) || start_stage(l, e) < 0) {
		l->job.ended = true;
		list_del(&l->job.link);
		load_drop(&l->job);
		return -1;
	}
	*ret = &l->job;
	return 0;
}

void load_as_pull(struct image_job *j)
{
	CONTAINER_OF(j, struct load, job)->as_pull = true;
}
