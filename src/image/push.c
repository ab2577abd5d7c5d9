/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_push(): per tag, each blob the registry does not have (HEAD), uploaded in one piece (POST,
 * PUT), then the manifest, unchanged when the image came with one. One blob at a time.
 */
#include "image/parts-priv.h"
#include "image/registry-priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PROGRESS_NS 100000000LL

struct push {
	struct image_job job;
	struct image_ref ref;
	struct registry *registry;
	struct registry_call *call;
	struct service_soon *soon;
	struct store_lease *lease;
	struct arena *arena;
	struct strs tags;
	size_t next_tag;
	struct store_image *img;
	struct parts *parts;
	size_t at; /* layers, then the config */
	int fd;
	int64_t told_ns;
	char id[13];
};

static void push_blob(struct push *p);

static void push_drop(struct image_job *j)
{
	struct push *p = CONTAINER_OF(j, struct push, job);
	service_soon_cancel(p->soon);
	registry_cancel(p->call);
	registry_close(p->registry);
	store_image_free(p->img);
	parts_free(p->parts);
	store_lease_free(p->lease);
	arena_free(p->arena);
	fd_close(&p->fd);
	free(p);
}

static void push_fail(struct push *p, const struct err *e)
{
	struct err err = *e;
	if (err.kind == ERR_UNAUTHORIZED)
		err.kind = ERR_SYSTEM; /* a 401 would make clients ask for a password */
	job_end(&p->job, NULL, &err);
}

static const struct part *current(const struct push *p)
{
	return p->at < p->parts->nlayers ? &p->parts->layers[p->at] : &p->parts->config;
}

static bool is_layer(const struct push *p)
{
	return p->at < p->parts->nlayers;
}

static void say(struct push *p, const char *status)
{
	if (is_layer(p))
		job_line(&p->job, p->id, status);
}

static void call(struct push *p, struct registry_request *q)
{
	q->ud = p;
	registry_start(p->registry, q, &p->call);
}

/* ---- manifest ---- */

static void push_tag(struct push *p);

static void manifest_done(void *ud, const struct http_response *resp, const struct buf *body,
			  const struct err *e)
{
	struct push *p = ud;
	char line[300], aux[400], familiar[IMAGE_REF_TEXT_MAX];
	p->call = NULL;
	if (e) {
		push_fail(p, e);
		return;
	}
	snprintf(line, sizeof(line), "%s: digest: %s size: %zu", p->ref.tag,
		 p->parts->manifest_digest.text, p->parts->manifest.n);
	job_line(&p->job, NULL, line);
	snprintf(aux, sizeof(aux), "{\"Tag\":\"%s\",\"Digest\":\"%s\",\"Size\":%zu}", p->ref.tag,
		 p->parts->manifest_digest.text, p->parts->manifest.n);
	if (p->job.ev.progress && !p->job.ended)
		p->job.ev.progress(p->job.ev.ud, &(struct image_progress){.aux = aux});
	struct image_ref by_digest = p->ref;
	struct err none = ERR_INIT;
	by_digest.tag[0] = '\0';
	by_digest.digest = p->parts->manifest_digest;
	image_ref_canonical(&by_digest, familiar);
	store_ref_set(p->job.service->store, familiar, &p->img->id, &none);
	image_ref_familiar(&p->ref, familiar);
	service_event(p->job.service, "push", familiar, familiar);
	p->next_tag++;
	push_tag(p);
}

static void push_manifest(struct push *p)
{
	char path[200];
	snprintf(path, sizeof(path), "manifests/%s", p->ref.tag);
	struct registry_request q = {.method = "PUT",
				     .path = path,
				     .content_type = p->parts->media_type,
				     .body = buf_text(&p->parts->manifest),
				     .done = manifest_done};
	call(p, &q);
}

/* ---- blobs ---- */

static void next_blob(struct push *p, const char *status)
{
	say(p, status);
	fd_close(&p->fd);
	p->at++;
	push_blob(p);
}

static void put_done(void *ud, const struct http_response *resp, const struct buf *body,
		     const struct err *e)
{
	struct push *p = ud;
	p->call = NULL;
	if (e)
		push_fail(p, e);
	else
		next_blob(p, "Pushed");
}

static void put_sent(void *ud, uint64_t total)
{
	struct push *p = ud;
	int64_t now = clock_mono_ns();
	if (!is_layer(p) || now - p->told_ns < PROGRESS_NS)
		return;
	p->told_ns = now;
	job_progress(&p->job, p->id, "Pushing", (int64_t)total, (int64_t)current(p)->size);
}

/* The upload's address, absolute, with the digest. */
static void upload_url(struct push *p, const char *location, struct buf *out)
{
	if (location[0] == '/') {
		const char *host = strstr(registry_base(p->registry), "://") + 3;
		size_t n = (size_t)(host - registry_base(p->registry)) + strcspn(host, "/");
		buf_add(out, registry_base(p->registry), n);
	}
	buf_addf(out, "%s%cdigest=", location, strchr(location, '?') ? '&' : '?');
	auth_url_encode(current(p)->digest.text, out);
}

static void post_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct push *p = ud;
	struct err err = ERR_INIT;
	AUTO_BUF struct buf url = BUF_INIT(8192);
	p->call = NULL;
	if (e) {
		push_fail(p, e);
		return;
	}
	if (resp->status == 201) { /* mounted */
		next_blob(p, "Mounted");
		return;
	}
	if (!resp->location[0]) {
		err_set(&err, ERR_REMOTE, "the registry did not say where to upload");
		push_fail(p, &err);
		return;
	}
	upload_url(p, resp->location, &url);
	if (store_blob_open(p->job.service->store, &current(p)->digest, &p->fd, &err) < 0) {
		push_fail(p, &err);
		return;
	}
	struct registry_request q = {.method = "PUT",
				     .path = buf_text(&url),
				     .content_type = "application/octet-stream",
				     .body_fd = p->fd,
				     .body_size = current(p)->size,
				     .sent = put_sent,
				     .done = put_done};
	call(p, &q);
}

static void head_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct push *p = ud;
	p->call = NULL;
	if (e) {
		push_fail(p, e);
		return;
	}
	if (resp->status == 200) {
		next_blob(p, "Layer already exists");
		return;
	}
	struct registry_request q = {
		.method = "POST", .path = "blobs/uploads/", .body = "", .done = post_done};
	call(p, &q);
}

static void push_blob(struct push *p)
{
	char path[DIGEST_TEXT_MAX + 16];
	if (p->at > p->parts->nlayers) {
		push_manifest(p);
		return;
	}
	digest_short(&current(p)->diff_id, p->id);
	snprintf(path, sizeof(path), "blobs/%s", current(p)->digest.text);
	struct registry_request q = {
		.method = "HEAD", .path = path, .any_status = true, .done = head_done};
	call(p, &q);
}

/* ---- tags ---- */

static void push_tag(struct push *p)
{
	struct err e = ERR_INIT;
	struct digest id;
	char canonical[IMAGE_REF_TEXT_MAX], short_id[13];
	if (p->next_tag == p->tags.n) {
		struct digest last = p->img->id;
		job_end(&p->job, last.text, NULL);
		return;
	}
	store_image_free(p->img);
	parts_free(p->parts);
	p->img = NULL;
	p->parts = NULL;
	snprintf(p->ref.tag, sizeof(p->ref.tag), "%s", p->tags.v[p->next_tag]);
	image_ref_canonical(&p->ref, canonical);
	if (store_ref_get(p->job.service->store, canonical, &id, &e) < 0 ||
	    store_image_get(p->job.service->store, &id, &p->img, &e) < 0 ||
	    parts_of(p->job.service, p->img, &p->parts, &e) < 0) {
		push_fail(p, &e);
		return;
	}
	for (size_t i = p->parts->nlayers; i > 0; i--) {
		store_lease_blob(p->lease, &p->parts->layers[i - 1].digest);
		digest_short(&p->parts->layers[i - 1].diff_id, short_id);
		job_line(&p->job, short_id, "Preparing");
	}
	store_lease_blob(p->lease, &p->parts->config.digest);
	p->at = 0;
	push_blob(p);
}

static void push_begin(void *ud)
{
	struct push *p = ud;
	char name[IMAGE_REF_TEXT_MAX];
	p->soon = NULL;
	image_ref_name(&p->ref, name);
	job_linef(&p->job, "The push refers to repository [%s]", name);
	push_tag(p);
}

struct tag_finder {
	struct push *p;
	char prefix[IMAGE_REF_TEXT_MAX + 2];
};

static int find_tags(const struct store_image *img, void *ud)
{
	struct tag_finder *f = ud;
	struct push *p = f->p;
	for (size_t i = 0; i < img->ntags; i++) {
		if (!str_starts(img->tags[i], f->prefix))
			continue;
		const char **grown = arena_alloc(p->arena, (p->tags.n + 1) * sizeof(char *));
		if (p->tags.n)
			memcpy(grown, p->tags.v, p->tags.n * sizeof(char *));
		grown[p->tags.n++] = arena_strdup(p->arena, img->tags[i] + strlen(f->prefix));
		p->tags.v = grown;
	}
	return 0;
}

static int choose_tags(struct push *p, bool all, struct err *e)
{
	char name[IMAGE_REF_TEXT_MAX], familiar[IMAGE_REF_TEXT_MAX];
	struct digest id;
	struct err none = ERR_INIT;
	image_ref_familiar_name(&p->ref, familiar);
	if (all) {
		struct tag_finder f = {.p = p};
		image_ref_name(&p->ref, name);
		snprintf(f.prefix, sizeof(f.prefix), "%s:", name);
		if (store_image_each(p->job.service->store, find_tags, &f, e) < 0)
			return -1;
	} else {
		image_ref_canonical(&p->ref, name);
		if (store_ref_get(p->job.service->store, name, &id, &none) == 0) {
			p->tags.v = arena_alloc(p->arena, sizeof(char *));
			p->tags.v[p->tags.n++] = arena_strdup(p->arena, p->ref.tag);
		} else {
			return err_set(e, ERR_NOT_FOUND, "tag does not exist: %s:%s", familiar,
				       p->ref.tag);
		}
	}
	return p->tags.n ? 0
			 : err_set(e, ERR_NOT_FOUND,
				   "An image does not exist locally with the tag: %s", familiar);
}

int image_push(struct image_service *s, const struct image_push *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct image_ref ref;
	struct auth_credentials auth;
	if (image_ref_parse(o->ref, &ref, e) < 0)
		return -1;
	if (digest_is_set(&ref.digest))
		return err_set(e, ERR_INVALID, "cannot push a digest reference");
	if (auth_credentials_decode(o->auth, &auth, e) < 0)
		return -1;
	if (!o->all_tags)
		image_ref_default_tag(&ref);
	struct push *p = NEW(struct push);
	job_init(&p->job, s, ev, push_drop);
	p->ref = ref;
	p->fd = FD_NONE;
	p->arena = arena_new();
	p->lease = store_lease_new(s->store);
	p->registry = registry_open(&(struct registry_options){
		.service = s, .ref = &p->ref, .auth = &auth, .actions = "pull,push"});
	auth_credentials_wipe(&auth);
	if (choose_tags(p, o->all_tags, e) < 0) {
		p->job.ended = true;
		list_del(&p->job.link);
		push_drop(&p->job);
		return -1;
	}
	p->soon = service_after(s, 0, push_begin, p);
	*ret = &p->job;
	return 0;
}
