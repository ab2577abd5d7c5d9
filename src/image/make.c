/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images made here: import (a tar becomes the only layer) and commit (a container's changes become
 * one more layer). A worker unpacks the tar into a new layer and writes it as a blob at the same
 * time; commit has a second worker that packs the container's upper directory in front of it. The
 * configuration is written last: until then nothing is visible, and a failure leaves nothing.
 */
#include "image/fetch-priv.h"
#include "image/platform.h"
#include "image/service-priv.h"
#include "image/worker-priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spec/instructions.h"
#include "spec/unpack-proto.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define CHILD_TARGET_FD 3
#define CHILD_BLOB_FD	4
#define CHILD_SEAL_FD	5
#define CHILD_DIR_FD	3
#define CHILD_OUT_FD	4

struct make {
	struct image_job job;
	struct arena *arena;
	struct image_make o; /* strings are the arena's */
	struct image_ref ref;
	struct image_platform platform;
	struct container_config config;
	struct image_config base; /* commit: the parent's configuration */
	struct store_image *parent;
	struct store_lease *lease;
	struct store_layer_tmp tmp;
	char prefix[32], file[48];
	struct image_worker *packer, *worker;
	struct http_request *get;
	uint64_t got;
	int64_t told_ns;
	bool paused, failed;
	struct err err; /* the first, or the packer's */
	struct digest blob, diff_id;
	uint64_t size, content_size, entries;
};

static void make_drop(struct image_job *j)
{
	struct make *m = CONTAINER_OF(j, struct make, job);

	image_worker_cancel(m->packer);
	image_worker_cancel(m->worker);
	http_cancel(m->get);
	store_layer_abort(m->job.service->store, &m->tmp);
	store_lease_free(m->lease);
	store_stage_drop(m->job.service->store, m->prefix);
	store_image_free(m->parent);
	arena_free(m->arena);
	free(m);
}

/* ---- the configuration ---- */

static void write_history(struct jw *w, const struct image_history *h)
{
	jw_obj(w);
	if (h->created)
		jw_kv_str(w, "created", h->created);
	if (h->author && *h->author)
		jw_kv_str(w, "author", h->author);
	if (h->created_by && *h->created_by)
		jw_kv_str(w, "created_by", h->created_by);
	if (h->comment && *h->comment)
		jw_kv_str(w, "comment", h->comment);
	if (h->empty_layer)
		jw_kv_bool(w, "empty_layer", true);
	jw_obj_end(w);
}

static void write_config(struct make *m, bool layer, struct jw *w)
{
	char created[CLOCK_TEXT_MAX];
	const struct image_history *old = m->base.history.v;
	struct image_history own = {.created = created,
				    .author = m->o.author,
				    .created_by = m->o.created_by,
				    .comment = m->o.comment,
				    .empty_layer = !layer};

	clock_format(m->o.created_ns ? m->o.created_ns : clock_now_ns(), created);
	jw_obj(w);
	jw_kv_str(w, "architecture", m->platform.arch);
	if (m->o.author && *m->o.author)
		jw_kv_str(w, "author", m->o.author);
	if (m->o.comment && *m->o.comment)
		jw_kv_str(w, "comment", m->o.comment);
	jw_key(w, "config");
	json_encode(w, &container_config_schema, &m->config);
	if (m->o.container)
		jw_kv_str(w, "container", m->o.container);
	jw_kv_str(w, "created", created);
	jw_key(w, "history");
	jw_arr(w);
	for (size_t i = 0; i < m->base.history.n; i++)
		write_history(w, old + i);
	write_history(w, &own);
	jw_arr_end(w);
	jw_kv_str(w, "os", m->platform.os);
	jw_key(w, "rootfs");
	jw_obj(w);
	jw_kv_str(w, "type", "layers");
	jw_key(w, "diff_ids");
	jw_arr(w);
	for (size_t i = 0; i < m->base.rootfs.diff_ids.n; i++)
		jw_str(w, m->base.rootfs.diff_ids.v[i]);
	if (layer)
		jw_str(w, m->diff_id.text);
	jw_arr_end(w);
	jw_obj_end(w);
	if (m->platform.variant[0])
		jw_kv_str(w, "variant", m->platform.variant);
	jw_obj_end(w);
}

/* ---- the end: layer, configuration, row, name ---- */

static int commit_layer(struct make *m, struct digest *ret_chain, struct err *e)
{
	struct store *s = m->job.service->store;
	const struct digest *below = NULL;
	struct store_layer layer;

	if (m->parent && m->parent->nlayers)
		below = &m->parent->layers[m->parent->nlayers - 1];
	store_lease_blob(m->lease, &m->blob);
	if (store_stage_commit(s, m->file, &m->blob, m->size, STORE_NOW, e) < 0 ||
	    store_layer_commit(s, &m->tmp, below, &m->diff_id, &m->blob, m->content_size, &layer,
			       e) < 0)
		return -1;
	*ret_chain = layer.chain;
	store_lease_layer(m->lease, &layer.chain);
	return 0;
}

static int put_image(struct make *m, bool layer, const struct digest *chain, const char *config,
		     struct digest *ret_id, struct err *e)
{
	struct store *s = m->job.service->store;
	size_t n = m->parent ? m->parent->nlayers : 0;
	struct digest *chains = arena_alloc(m->arena, (n + 1) * sizeof(*chains));
	struct digest *blobs = arena_alloc(m->arena, (n + 2) * sizeof(*blobs));
	struct store_image img = {.config = config, .layers = chains, .nlayers = n, .blobs = blobs};

	for (size_t i = 0; i < n; i++) {
		struct store_layer below;
		chains[i] = m->parent->layers[i];
		if (store_layer_get(s, &chains[i], &below, e) < 0)
			return -1;
		if (digest_is_set(&below.blob) && store_blob_has(s, &below.blob, NULL))
			blobs[img.nblobs++] = below.blob;
	}
	if (layer) {
		chains[img.nlayers++] = *chain;
		blobs[img.nblobs++] = m->blob;
	}
	if (store_blob_put(s, config, strlen(config), STORE_NOW, ret_id, e) < 0)
		return -1;
	store_lease_blob(m->lease, ret_id);
	blobs[img.nblobs++] = *ret_id;
	img.id = *ret_id;
	return store_image_put(s, &img, e);
}

static int finish(struct make *m, struct digest *ret_id, struct err *e)
{
	AUTO_BUF struct buf config = BUF_INIT(IMAGE_CONFIG_MAX);
	struct jw w = JW_INIT(&config);
	char text[IMAGE_REF_TEXT_MAX];
	struct digest chain = {0};
	/* A container that changed nothing has only its root directory to pack. */
	bool layer = !m->parent || m->entries > 1;

	if (!m->size)
		return err_set(e, ERR_INVALID, "the archive is empty");
	if (layer && m->base.rootfs.diff_ids.n >= IMAGE_LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "max depth exceeded: more than %d layers",
			       IMAGE_LAYERS_MAX);
	if (layer && commit_layer(m, &chain, e) < 0)
		return -1;
	write_config(m, layer, &w);
	if (config.overflow)
		return err_set(e, ERR_LIMIT, "the configuration is larger than %zu bytes",
			       IMAGE_CONFIG_MAX);
	if (put_image(m, layer, &chain, buf_text(&config), ret_id, e) < 0)
		return -1;
	if (!m->ref.path[0])
		return 0;
	image_ref_canonical(&m->ref, text);
	return store_ref_set(m->job.service->store, text, ret_id, e);
}

static void maybe_end(struct make *m)
{
	struct err e = ERR_INIT;
	struct digest id;
	char familiar[IMAGE_REF_TEXT_MAX] = "";

	if (m->packer || m->worker)
		return;
	if (m->failed || finish(m, &id, &e) < 0) {
		if (m->failed)
			e = m->err;
		job_end(&m->job, NULL, &e);
		return;
	}
	if (m->ref.path[0])
		image_ref_familiar(&m->ref, familiar);
	if (!m->parent) {
		job_line(&m->job, NULL, id.text);
		service_event(m->job.service, "import", id.text, familiar);
	}
	if (familiar[0])
		service_event(m->job.service, "tag", id.text, familiar);
	job_end(&m->job, id.text, NULL);
}

static void fail(struct make *m, const struct err *e, bool first_cause)
{
	if (!m->failed || first_cause)
		m->err = *e;
	m->failed = true;
}

/* ---- workers ---- */

static int apply_line(void *ud, const struct json *j, struct err *e)
{
	struct make *m = ud;
	const char *digest = json_str(json_get(j, "digest")),
		   *diff = json_str(json_get(j, "diffId"));

	if (!digest || !diff || digest_parse(digest, &m->blob) < 0 ||
	    digest_parse(diff, &m->diff_id) < 0)
		return err_set(e, ERR_SYSTEM, UNPACK_PROGRAM " answered in an unknown way");
	m->size = json_u64(json_get(j, "size"));
	m->content_size = json_u64(json_get(j, "contentSize"));
	m->tmp.ids = fetch_ids(j);
	m->entries = json_u64(json_get(j, "entries"));
	return 0;
}

static void apply_end(void *ud, const struct err *e)
{
	struct make *m = ud;
	struct err err = ERR_INIT;

	m->worker = NULL;
	if (!e && !digest_is_set(&m->diff_id)) {
		err_set(&err, ERR_SYSTEM, UNPACK_PROGRAM " gave no result");
		e = &err;
	}
	if (e)
		fail(m, e, false);
	http_cancel(m->get);
	m->get = NULL;
	maybe_end(m);
}

static int pack_line(void *ud, const struct json *j, struct err *e)
{
	return 0;
}

/* What the packer cannot read is the cause of what the other finds cut; not the other way round. */
static void pack_end(void *ud, const struct err *e)
{
	struct make *m = ud;

	m->packer = NULL;
	if (e)
		fail(m, e, !strstr(e->text, "Broken pipe"));
	maybe_end(m);
}

static void drained(void *ud)
{
	struct make *m = ud;

	if (m->paused && m->get) {
		m->paused = false;
		http_resume(m->get);
	}
}

/* in_fd: the tar, borrowed; FD_NONE: it will be fed. */
static int start_apply(struct make *m, int in_fd, struct err *e)
{
	struct store *s = m->job.service->store;
	const char *argv[] = {UNPACK_PROGRAM,
			      "apply",
			      "--target-fd",
			      "3",
			      "--blob-fd",
			      "4",
			      "--seal-fd",
			      "5",
			      "--sync",
			      m->parent ? NULL : "--decode",
			      NULL};

	snprintf(m->file, sizeof(m->file), "%s.0", m->prefix);
	AUTO_FD int blob = openat(store_ingest_dir(s), m->file,
				  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (blob < 0)
		return err_sys(e, -errno, "create the file of the new layer");
	if (store_layer_begin(s, &m->tmp, e) < 0)
		return -1;
	struct spawn_fd fds[] = {{m->tmp.fd, CHILD_TARGET_FD},
				 {blob, CHILD_BLOB_FD},
				 {m->tmp.seal_fd, CHILD_SEAL_FD}};
	struct image_worker_start o = {
		.loop = m->job.service->loop,
		.program = m->job.service->unpack,
		.argv = argv,
		.fds = fds,
		.nfds = 3,
		.stdin_fd = in_fd,
		.ops = {.line = apply_line, .end = apply_end, .drained = drained, .ud = m}};
	return image_worker_start(&o, &m->worker, e);
}

static int start_pack(struct make *m, int upper_fd, struct err *e)
{
	const char *argv[] = {UNPACK_PROGRAM, "pack", "--dir-fd", "3", "--out-fd", "4",
			      "--name",	      ".",    "--layer",  NULL};
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	AUTO_FD int out = p[0], in = p[1], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct spawn_fd fds[] = {{upper_fd, CHILD_DIR_FD}, {in, CHILD_OUT_FD}};
	struct image_worker_start o = {.loop = m->job.service->loop,
				       .program = m->job.service->unpack,
				       .argv = argv,
				       .fds = fds,
				       .nfds = 2,
				       .stdin_fd = null,
				       .ops = {.line = pack_line, .end = pack_end, .ud = m}};
	if (image_worker_start(&o, &m->packer, e) < 0)
		return -1;
	return start_apply(m, out, e);
}

/* ---- import from a URL ---- */

#define PROGRESS_NS 100000000LL

static enum http_data url_data(void *ud, const struct http_response *r, const void *p, size_t n)
{
	struct make *m = ud;

	if (r->status < 200 || r->status > 299)
		return HTTP_DATA_OK; /* the body of an error */
	if (!m->worker)
		return HTTP_DATA_STOP;
	if (image_worker_full(m->worker)) {
		m->paused = true;
		return HTTP_DATA_PAUSE;
	}
	if (!m->got)
		job_linef(&m->job, "Downloading from %s", m->o.url);
	image_worker_feed(m->worker, p, n);
	m->got += n;
	int64_t now = clock_mono_ns();
	if (now - m->told_ns > PROGRESS_NS) {
		m->told_ns = now;
		job_progress(&m->job, NULL, "Importing", (int64_t)m->got,
			     r->content_length > 0 ? r->content_length : 0);
	}
	return HTTP_DATA_OK;
}

static void url_done(void *ud, const struct http_response *r, const struct err *e)
{
	struct make *m = ud;
	struct err err = ERR_INIT;

	m->get = NULL;
	if (!e && (r->status < 200 || r->status > 299)) {
		err_set(&err, r->status == 404 ? ERR_NOT_FOUND : ERR_REMOTE,
			"failed to GET %.500s with status %ld", m->o.url, r->status);
		e = &err;
	}
	if (!e) {
		image_worker_feed_end(m->worker);
		return;
	}
	err = *e;
	image_worker_cancel(TAKE_PTR(m->worker));
	fail(m, &err, true);
	maybe_end(m);
}

static int start_url(struct make *m, struct err *e)
{
	const char *url = m->o.url;

	if (!str_starts(url, "http://") && !str_starts(url, "https://"))
		m->o.url = url = arena_printf(m->arena, "http://%s", url);
	if (start_apply(m, FD_NONE, e) < 0)
		return -1;
	struct http_options o = {.method = "GET",
				 .url = url,
				 .body_fd = FD_NONE,
				 .data = url_data,
				 .done = url_done,
				 .ud = m};
	return http_start(m->job.service->http, &o, &m->get, e);
}

/* ---- the request ---- */

static int copy_config(struct make *m, const struct container_config *from, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
	struct jw w = JW_INIT(&text);

	if (!from)
		return 0;
	json_encode(&w, &container_config_schema, from);
	return json_decode_text(buf_text(&text), text.n, &container_config_schema, &m->config,
				m->arena, e);
}

static int prepare(struct make *m, const struct image_make *o, struct err *e)
{
	struct store *s = m->job.service->store;

	m->o.author = arena_strdup(m->arena, o->author);
	m->o.comment = arena_strdup(m->arena, o->comment);
	m->o.created_by = arena_strdup(m->arena, o->created_by);
	m->o.container = arena_strdup(m->arena, o->container);
	m->o.url = arena_strdup(m->arena, o->url);
	m->o.created_ns = o->created_ns;
	image_platform_host(&m->platform);
	if (o->platform && *o->platform && image_platform_parse(o->platform, &m->platform, e) < 0)
		return -1;
	if (o->ref && *o->ref && image_make_ref(o->ref, o->tag, &m->ref, e) < 0)
		return -1;
	if (copy_config(m, o->config, e) < 0 ||
	    (o->changes && instructions_apply(o->changes, &m->config, m->arena, e) < 0))
		return -1;
	if (!o->parent)
		return 0;
	if (store_image_get(s, o->parent, &m->parent, e) < 0 ||
	    image_config_decode(m->parent->config, strlen(m->parent->config), &m->base, m->arena,
				e) < 0)
		return -1;
	if (m->parent->nlayers)
		store_lease_layer(m->lease, &m->parent->layers[m->parent->nlayers - 1]);
	snprintf(m->platform.os, sizeof(m->platform.os), "%s", m->base.os ? m->base.os : "linux");
	if (m->base.architecture)
		snprintf(m->platform.arch, sizeof(m->platform.arch), "%s", m->base.architecture);
	snprintf(m->platform.variant, sizeof(m->platform.variant), "%s",
		 m->base.variant ? m->base.variant : "");
	return 0;
}

int image_make_ref(const char *repo, const char *tag, struct image_ref *ret, struct err *e)
{
	if (image_ref_parse(repo, ret, e) < 0)
		return -1;
	if (digest_is_set(&ret->digest))
		return err_set(e, ERR_INVALID, "cannot import digest reference");
	if (tag && *tag) {
		if (!image_ref_tag_valid(tag))
			return err_set(e, ERR_INVALID, "invalid tag format");
		snprintf(ret->tag, sizeof(ret->tag), "%s", tag);
	}
	image_ref_default_tag(ret);
	return 0;
}

int image_make(struct image_service *s, const struct image_make *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	AUTO_FD int fd = o->fd, upper = o->upper_fd;
	struct make *m = NEW(struct make);

	job_init(&m->job, s, ev, make_drop);
	m->arena = arena_new();
	m->lease = store_lease_new(s->store);
	m->tmp = STORE_LAYER_TMP_INIT;
	store_stage_prefix(s->store, m->prefix);
	int rc = prepare(m, o, e);
	if (rc == 0)
		rc = o->parent ? start_pack(m, upper, e)
		     : o->url  ? start_url(m, e)
			       : start_apply(m, fd, e);
	if (rc < 0) {
		m->job.ended = true;
		list_del(&m->job.link);
		make_drop(&m->job);
		return -1;
	}
	*ret = &m->job;
	return 0;
}
