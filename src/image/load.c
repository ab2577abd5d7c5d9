/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_load(): a confined worker stages the archive's members as files and tells their digests;
 * then manifest.json (docker-archive) or index.json (OCI layout) says which members make which
 * image; their blobs enter the store and the layers are unpacked like those of a pull. A layout
 * folder is turned into a tar by a second worker first, so that there is one path for all.
 */
#include "image/layers-priv.h"
#include "image/load-priv.h"
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

#define CHILD_FD	 3
#define CHILD_OUT_FD	 4
#define LINKS_MAX	 16
#define INDEX_DEPTH_MAX	 4
#define MEMBERS_MAX_TEXT "100000"
#define IMAGES_MAX	 1000

struct member {
	char file[64];
	uint64_t size;
	struct digest digest;
	const char *link; /* instead of the others */
	bool committed;
};

/* One image of the archive, ready to enter the store. */
struct load_image {
	const char *config_member;
	struct digest manifest; /* unset for docker-archive */
	const char *manifest_member;
	struct objs layers; /* oci_descriptor */
	struct strs names;
};

struct load {
	struct image_job job;
	struct image_platform platform;
	bool platform_given, quiet, as_pull;
	char *tag;
	int fd;
	char prefix[32];
	struct arena *arena;
	struct map *members;
	struct image_worker *worker, *packer;
	struct service_soon *soon;
	struct store_lease *lease;
	struct load_image *images;
	size_t nimages, next;
	struct image_config config;
	struct digest config_digest, last_id;
	char *config_text;
	struct layers *layers;
};

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

static struct member *member_get(struct load *l, const char *name)
{
	for (int i = 0; i < LINKS_MAX; i++) {
		struct member *m = map_get(l->members, name);
		if (!m || !m->link)
			return m;
		name = m->link;
	}
	return NULL;
}

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

/* A small member as text. */
static int member_read(struct load *l, const char *name, struct buf *out, struct err *e)
{
	struct member *m = member_get(l, name);
	if (!m)
		return err_set(e, ERR_INVALID, "the archive has no member \"%.300s\"", name);
	if (m->size > out->max)
		return err_set(e, ERR_LIMIT,
			       "archive member \"%.300s\" has %llu bytes, at most %zu are accepted",
			       name, (unsigned long long)m->size, out->max);
	if (m->committed)
		return store_blob_read(l->job.service->store, &m->digest, out, e);
	int rc = fs_read_at(store_ingest_dir(l->job.service->store), m->file, out);
	return rc < 0 ? err_sys(e, rc, "cannot read archive member \"%.300s\"", name) : 0;
}

static int member_commit(struct load *l, const char *name, struct err *e)
{
	struct member *m = member_get(l, name);
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

/* The member of a digest, checked: content and length are what the descriptor says. */
static const char *blob_member(struct load *l, const struct oci_descriptor *d, struct err *e)
{
	const char *colon = strchr(d->digest_text, ':');
	char *name = arena_printf(l->arena, "blobs/%.*s/%s", (int)(colon - d->digest_text),
				  d->digest_text, colon + 1);
	struct member *m = member_get(l, name);
	if (!m) {
		err_set(e, ERR_INVALID, "the archive has no member \"%s\"", name);
		return NULL;
	}
	if (strcmp(m->digest.text, d->digest_text)) {
		err_set(e, ERR_INVALID, "archive member \"%s\" has the digest %s", name,
			m->digest.text);
		return NULL;
	}
	if (d->size < 0 || m->size != (uint64_t)d->size) {
		err_set(e, ERR_INVALID,
			"archive member \"%s\" has %llu bytes, its descriptor says %lld", name,
			(unsigned long long)m->size, (long long)d->size);
		return NULL;
	}
	return name;
}

/* ---- what is in the archive ---- */

static struct load_image *image_add(struct load *l, struct err *e)
{
	if (l->nimages == IMAGES_MAX) {
		err_set(e, ERR_LIMIT, "the archive has more than %d images", IMAGES_MAX);
		return NULL;
	}
	return &l->images[l->nimages++];
}

static int scan_docker(struct load *l, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	struct objs list;
	if (member_read(l, "manifest.json", &text, e) < 0 ||
	    archive_manifest_decode(buf_text(&text), text.n, &list, l->arena, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		const struct archive_image *a = (const struct archive_image *)list.v + i;
		struct load_image *img = image_add(l, e);
		if (!img)
			return -1;
		struct oci_descriptor *d = arena_alloc(l->arena, (a->layers.n + 1) * sizeof(*d));
		for (size_t k = 0; k < a->layers.n; k++) {
			struct member *m = member_get(l, a->layers.v[k]);
			if (!m)
				return err_set(e, ERR_INVALID,
					       "the archive has no member \"%.300s\"",
					       a->layers.v[k]);
			d[k].digest_text = m->digest.text;
			d[k].size = (int64_t)m->size;
			d[k].media_type = a->layers.v[k]; /* member name, for commit */
		}
		img->config_member = a->config;
		img->layers = (struct objs){.v = d, .n = a->layers.n, .set = true};
		img->names = a->repo_tags;
	}
	return 0;
}

static int scan_descriptor(struct load *l, const struct oci_descriptor *d, const char *name,
			   int depth, struct err *e);

static int scan_manifest(struct load *l, const char *member, const struct buf *text,
			 const char *name, struct err *e)
{
	struct oci_manifest m;
	if (oci_manifest_decode(buf_text(text), text->n, &m, l->arena, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member);
	struct load_image *img = image_add(l, e);
	if (!img)
		return -1;
	img->manifest = member_get(l, member)->digest;
	img->manifest_member = member;
	img->config_member = blob_member(l, &m.config, e);
	if (!img->config_member)
		return -1;
	img->layers = m.layers;
	struct oci_descriptor *d = m.layers.v;
	for (size_t i = 0; i < m.layers.n; i++) {
		d[i].media_type = blob_member(l, &d[i], e);
		d[i].urls = (struct strs){0};
		if (!d[i].media_type)
			return -1;
	}
	if (name) {
		img->names.v = arena_alloc(l->arena, sizeof(char *));
		img->names.v[img->names.n++] = name;
	}
	return 0;
}

/* The name an index entry carries: containerd's annotation, or a ref.name that is a whole name. */
static const char *entry_name(const struct oci_descriptor *d)
{
	const char *name = strmap_get(&d->annotations, "io.containerd.image.name");
	if (name)
		return name;
	name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
	return name && strpbrk(name, ":/") ? name : NULL;
}

static bool is_attestation(const struct oci_descriptor *d)
{
	const char *type = strmap_get(&d->annotations, "vnd.docker.reference.type");
	return type && !strcmp(type, "attestation-manifest");
}

/* Entries without names that differ by platform are one image: keep the fitting one. */
static int scan_index(struct load *l, const struct buf *text, const char *name, int depth,
		      struct err *e)
{
	struct oci_index index;
	if (oci_index_decode(buf_text(text), text->n, &index, l->arena, e) < 0)
		return -1;
	size_t platforms = 0, named = 0, real = 0;
	for (size_t i = 0; i < index.manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index.manifests, i);
		if (is_attestation(d))
			continue;
		real++;
		platforms += d->platform != NULL;
		named += entry_name(d) != NULL;
	}
	if (real > 1 && platforms == real && !named) {
		char want[96];
		const struct oci_descriptor *d = image_platform_choose(&l->platform, &index);
		image_platform_format(&l->platform, want);
		if (!d)
			return err_set(e, ERR_NOT_FOUND,
				       "no matching manifest for %s in the manifest list entries",
				       want);
		return scan_descriptor(l, d, name, depth, e);
	}
	for (size_t i = 0; i < index.manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index.manifests, i);
		const char *own = entry_name(d);
		if (!is_attestation(d) && scan_descriptor(l, d, own ? own : name, depth, e) < 0)
			return -1;
	}
	return 0;
}

static int scan_descriptor(struct load *l, const struct oci_descriptor *d, const char *name,
			   int depth, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	enum manifest_kind kind;
	if (depth > INDEX_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "image indexes are nested more than %d deep",
			       INDEX_DEPTH_MAX);
	const char *member = blob_member(l, d, e);
	if (!member || member_read(l, member, &text, e) < 0)
		return -1;
	if (manifest_kind_of(buf_text(&text), text.n, d->media_type, &kind, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member);
	if (kind == MANIFEST_INDEX)
		return scan_index(l, &text, name, depth + 1, e);
	return scan_manifest(l, member, &text, name, e);
}

/* --platform: the images of another one are left out. */
static int keep_platform(struct load *l, struct err *e)
{
	char want[96];
	size_t n = 0;
	for (size_t i = 0; i < l->nimages; i++) {
		AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
		struct image_config config;
		if (member_read(l, l->images[i].config_member, &text, e) < 0 ||
		    image_config_decode(buf_text(&text), text.n, &config, l->arena, e) < 0)
			return -1;
		if (image_platform_fits(&l->platform, &config))
			l->images[n++] = l->images[i];
	}
	image_platform_format(&l->platform, want);
	if (!n && l->nimages)
		return err_set(e, ERR_NOT_FOUND, "the archive has no image for the platform %s",
			       want);
	l->nimages = n;
	return 0;
}

static int scan_archive(struct load *l, struct err *e)
{
	l->images = arena_alloc(l->arena, IMAGES_MAX * sizeof(*l->images));
	if (member_get(l, "index.json") && member_get(l, "oci-layout") &&
	    !member_get(l, "manifest.json")) {
		AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
		if (member_read(l, "index.json", &text, e) < 0)
			return -1;
		if (scan_index(l, &text, NULL, 0, e) < 0)
			return err_wrap(e, "index.json");
	} else if (member_get(l, "manifest.json")) {
		if (scan_docker(l, e) < 0)
			return -1;
	} else if (member_get(l, "repositories")) {
		return err_set(e, ERR_UNSUPPORTED,
			       "the archive has only \"repositories\", no manifest.json: it was "
			       "saved by Docker before 1.10, which is not supported");
	} else {
		return err_set(e, ERR_INVALID,
			       "open manifest.json: no such file or directory: neither a "
			       "docker-archive nor an OCI layout");
	}
	if (!l->nimages)
		return err_set(e, ERR_INVALID, "the archive holds no image");
	return l->platform_given ? keep_platform(l, e) : 0;
}

/* ---- one image into the store ---- */

static int name_image(struct load *l, const char *name, struct err *e)
{
	struct image_ref ref;
	char text[IMAGE_REF_TEXT_MAX];
	if (image_ref_parse(name, &ref, e) < 0)
		return err_wrap(e, "invalid tag \"%.200s\"", name);
	ref.digest = (struct digest){0};
	image_ref_default_tag(&ref);
	image_ref_canonical(&ref, text);
	if (store_ref_set(l->job.service->store, text, &l->config_digest, e) < 0)
		return -1;
	image_ref_familiar(&ref, text);
	if (!l->as_pull)
		job_streamf(&l->job, "Loaded image: %s\n", text);
	return 0;
}

static int finish_image(struct load *l, struct err *e)
{
	struct load_image *img = &l->images[l->next];
	size_t named = 0;
	if (layers_put_image(l->layers, &l->config_digest, l->config_text, &img->manifest, NULL,
			     e) < 0)
		return -1;
	for (size_t i = 0; i < img->names.n; i++, named++)
		if (name_image(l, img->names.v[i], e) < 0)
			return -1;
	if (!named && l->tag && l->nimages == 1) {
		if (name_image(l, l->tag, e) < 0)
			return -1;
		named++;
	}
	if (!named && !l->as_pull)
		job_streamf(&l->job, "Loaded image ID: %s\n", l->config_digest.text);
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
	if (member_read(l, img->config_member, &text, e) < 0)
		return -1;
	digest_of(buf_text(&text), text.n, &l->config_digest);
	if (image_config_decode(buf_text(&text), text.n, &l->config, l->arena, e) < 0)
		return err_wrap(e, "archive member \"%.300s\"", img->config_member);
	l->config_text = xstrndup(buf_text(&text), text.n);
	if (member_commit(l, img->config_member, e) < 0 ||
	    (img->manifest_member && member_commit(l, img->manifest_member, e) < 0))
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
	if (e || scan_archive(l, &err) < 0) {
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
