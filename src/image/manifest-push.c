/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_manifest_push(): for each member from another repository its blobs (there already, mounted,
 * or copied through a partial file of the store, hashed on the way), then its manifest by digest;
 * at last the list under its tag. One request at a time.
 */
#include "image/manifest-list.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct list_push {
	struct image_job job;
	struct arena *arena;
	struct auth_credentials auth;
	struct manifest_list list;
	bool purge, insecure;
	struct strs sources;
	struct registry *to, *from;
	struct registry_call *call;
	struct service_soon *soon;
	struct buf text; /* the list */
	const char *type;
	size_t at;		     /* member */
	struct image_ref source;     /* its repository */
	struct oci_manifest current; /* its manifest */
	size_t blob;		     /* config, then layers */
	/* a copy under way */
	struct digest digest;
	struct hasher *hasher;
	uint64_t size, got;
	int fd, write_error;
	bool ingest;
	char location[4096];
};

static void push_member(struct list_push *p);
static void push_blob(struct list_push *p);

static void copy_end(struct list_push *p)
{
	fd_close(&p->fd);
	if (p->ingest)
		store_ingest_abort(p->job.service->store, &p->digest);
	p->ingest = false;
	hasher_free(p->hasher);
	p->hasher = NULL;
}

static void list_push_drop(struct image_job *j)
{
	struct list_push *p = CONTAINER_OF(j, struct list_push, job);

	service_soon_cancel(p->soon);
	registry_cancel(p->call);
	registry_close(p->to);
	registry_close(p->from);
	copy_end(p);
	auth_credentials_wipe(&p->auth);
	buf_done(&p->text);
	arena_free(p->arena);
	free(p);
}

static void fail(struct list_push *p, const struct err *e)
{
	struct err err = *e;

	if (err.kind == ERR_UNAUTHORIZED)
		err.kind = ERR_SYSTEM; /* a 401 would make clients ask for a password */
	job_end(&p->job, NULL, &err);
}

static void start(struct list_push *p, struct registry *r, struct registry_request *q)
{
	q->ud = p;
	registry_start(r, q, &p->call);
}

/* ---- documents ---- */

static void list_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct list_push *p = ud;
	struct err err = ERR_INIT;
	struct digest d;

	p->call = NULL;
	if (e) {
		fail(p, e);
		return;
	}
	digest_of(buf_text(&p->text), p->text.n, &d);
	job_line(&p->job, NULL, d.text);
	if (p->purge && image_manifest_rm(p->job.service, p->list.name, &err) < 0) {
		fail(p, &err);
		return;
	}
	job_end(&p->job, d.text, NULL);
}

static void member_done(void *ud, const struct http_response *resp, const struct buf *body,
			const struct err *e)
{
	struct list_push *p = ud;
	const struct list_member *m = manifest_list_at(&p->list, p->at);
	char name[IMAGE_REF_TEXT_MAX];

	p->call = NULL;
	if (e) {
		fail(p, e);
		return;
	}
	image_ref_name(&p->list.ref, name);
	job_linef(&p->job, "Pushed ref %s@%s with digest: %s", name, m->descriptor.digest_text,
		  m->descriptor.digest_text);
	p->at++;
	push_member(p);
}

static void put_manifest(struct list_push *p, const char *which, const char *type, const char *text,
			 void (*done)(void *ud, const struct http_response *resp,
				      const struct buf *body, const struct err *e))
{
	char path[DIGEST_TEXT_MAX + 160];

	snprintf(path, sizeof(path), "manifests/%s", which);
	struct registry_request q = {
		.method = "PUT", .path = path, .content_type = type, .body = text, .done = done};
	start(p, p->to, &q);
}

/* ---- blobs ---- */

static const struct oci_descriptor *current(const struct list_push *p)
{
	return p->blob ? oci_descriptor_at(&p->current.layers, p->blob - 1) : &p->current.config;
}

static void next_blob(struct list_push *p)
{
	copy_end(p);
	p->blob++;
	push_blob(p);
}

static void upload_done(void *ud, const struct http_response *resp, const struct buf *body,
			const struct err *e)
{
	struct list_push *p = ud;

	p->call = NULL;
	if (e)
		fail(p, e);
	else
		next_blob(p);
}

static void upload(struct list_push *p)
{
	AUTO_BUF struct buf url = BUF_INIT(sizeof(p->location) + 512);

	if (p->location[0] == '/') {
		const char *base = registry_base(p->to), *host = strstr(base, "://") + 3;

		buf_add(&url, base, (size_t)(host - base) + strcspn(host, "/"));
	}
	buf_addf(&url, "%s%cdigest=", p->location, strchr(p->location, '?') ? '&' : '?');
	auth_url_encode(p->digest.text, &url);
	struct registry_request q = {.method = "PUT",
				     .path = buf_text(&url),
				     .content_type = "application/octet-stream",
				     .body_fd = p->fd,
				     .body_size = p->size,
				     .done = upload_done};
	start(p, p->to, &q);
}

static enum http_data copy_data(void *ud, const void *data, size_t n)
{
	struct list_push *p = ud;

	if (n > p->size - p->got)
		return HTTP_DATA_STOP;
	p->write_error = fs_write_all(p->fd, data, n);
	if (p->write_error < 0)
		return HTTP_DATA_STOP;
	hasher_add(p->hasher, data, n);
	p->got += n;
	return HTTP_DATA_OK;
}

static void copy_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct list_push *p = ud;
	struct err err = ERR_INIT;
	struct digest got;

	p->call = NULL;
	if (e && e->kind != ERR_CANCELLED)
		err = *e;
	else if (e && p->write_error < 0)
		err_sys(&err, p->write_error, "copy of blob %s", p->digest.text);
	else if (e)
		err_set(&err, ERR_INVALID, "blob %s is larger than its manifest says",
			p->digest.text);
	if (err.kind == ERR_NONE) {
		hasher_final(p->hasher, &got);
		if (!digest_eq(&got, &p->digest))
			err_set(&err, ERR_INVALID, "blob %s has another digest: %s", p->digest.text,
				got.text);
	}
	if (err.kind != ERR_NONE)
		fail(p, &err);
	else
		upload(p);
}

/* The registry did not mount it: fetch and upload. */
static int copy_begin(struct list_push *p, struct err *e)
{
	struct store *s = p->job.service->store;
	char algorithm[16], path[DIGEST_TEXT_MAX + 16];
	uint64_t have;

	if (store_blob_has(s, &p->digest, &have) && have == p->size) {
		if (store_blob_open(s, &p->digest, &p->fd, e) < 0)
			return -1;
		upload(p);
		return 0;
	}
	for (int i = 0; i < 2; i++) { /* bytes of a cut pull are no use here */
		if (store_ingest_open(s, &p->digest, &p->fd, &have, e) < 0)
			return -1;
		p->ingest = true;
		if (!have)
			break;
		fd_close(&p->fd);
		store_ingest_abort(s, &p->digest);
		p->ingest = false;
	}
	snprintf(algorithm, sizeof(algorithm), "%.*s", (int)strcspn(p->digest.text, ":"),
		 p->digest.text);
	p->hasher = hasher_new(algorithm);
	p->got = 0;
	snprintf(path, sizeof(path), "blobs/%s", p->digest.text);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .expect = p->size,
				     .data = copy_data,
				     .done = copy_done};
	start(p, p->from, &q);
	return 0;
}

static void post_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct list_push *p = ud;
	struct err err = ERR_INIT;

	p->call = NULL;
	if (e) {
		fail(p, e);
	} else if (resp->status == 201) {
		next_blob(p);
	} else if (!resp->location[0]) {
		err_set(&err, ERR_REMOTE, "the registry did not say where to upload");
		fail(p, &err);
	} else {
		snprintf(p->location, sizeof(p->location), "%s", resp->location);
		if (copy_begin(p, &err) < 0)
			fail(p, &err);
	}
}

static void head_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct list_push *p = ud;
	AUTO_BUF struct buf path = BUF_INIT(2048);

	p->call = NULL;
	if (e) {
		fail(p, e);
		return;
	}
	if (resp->status == 200) {
		next_blob(p);
		return;
	}
	buf_adds(&path, "blobs/uploads/?mount=");
	auth_url_encode(p->digest.text, &path);
	buf_adds(&path, "&from=");
	auth_url_encode(p->source.path, &path);
	struct registry_request q = {
		.method = "POST", .path = buf_text(&path), .body = "", .done = post_done};
	start(p, p->to, &q);
}

static void push_blob(struct list_push *p)
{
	const struct list_member *m = manifest_list_at(&p->list, p->at);
	char path[DIGEST_TEXT_MAX + 16];

	while (p->blob && p->blob <= p->current.layers.n && oci_layer_foreign(current(p)))
		p->blob++;
	if (p->blob > p->current.layers.n) {
		put_manifest(p, m->descriptor.digest_text, m->descriptor.media_type, m->raw,
			     member_done);
		return;
	}
	(void)digest_parse(current(p)->digest_text, &p->digest);
	p->size = (uint64_t)current(p)->size;
	snprintf(path, sizeof(path), "blobs/%s", p->digest.text);
	struct registry_request q = {
		.method = "HEAD", .path = path, .any_status = true, .done = head_done};
	start(p, p->to, &q);
}

/* ---- members ---- */

static int begin_member(struct list_push *p, const struct list_member *m, struct err *e)
{
	struct digest d;

	if (digest_parse(m->descriptor.digest_text, &d) < 0 ||
	    !remote_digest_matches(m->raw, strlen(m->raw), &d))
		return err_set(e, ERR_BUG, "the kept manifest of %s has another digest", m->ref);
	if (oci_manifest_decode(m->raw, strlen(m->raw), &p->current, p->arena, e) < 0)
		return err_wrap(e, "manifest %s", m->ref);
	registry_close(p->from);
	p->from = registry_open(&(struct registry_options){.service = p->job.service,
							   .ref = &p->source,
							   .auth = &p->auth,
							   .actions = "pull",
							   .insecure = p->insecure});
	return 0;
}

static void push_member(struct list_push *p)
{
	struct err e = ERR_INIT;

	for (; p->at < p->list.members.n; p->at++) {
		const struct list_member *m = manifest_list_at(&p->list, p->at);

		if (image_ref_parse(m->ref, &p->source, &e) < 0) {
			fail(p, &e);
			return;
		}
		if (strcmp(p->source.path, p->list.ref.path) != 0) {
			p->blob = 0;
			if (begin_member(p, m, &e) < 0)
				fail(p, &e);
			else
				push_blob(p);
			return;
		}
	}
	put_manifest(p, p->list.ref.tag, p->type, buf_text(&p->text), list_done);
}

static void push_begin(void *ud)
{
	struct list_push *p = ud;

	p->soon = NULL;
	push_member(p);
}

/* What the target's token must allow besides: mounting from these repositories. */
static void add_source(struct list_push *p, const char *path)
{
	for (size_t i = 0; i < p->sources.n; i++)
		if (!strcmp(p->sources.v[i], path))
			return;
	if (strcmp(path, p->list.ref.path) != 0)
		strs_push(&p->sources, p->arena, arena_strdup(p->arena, path));
}

static int check(struct list_push *p, struct err *e)
{
	for (size_t i = 0; i < p->list.members.n; i++) {
		struct image_ref ref;

		if (image_ref_parse(manifest_list_at(&p->list, i)->ref, &ref, e) < 0)
			return -1;
		if (strcmp(ref.domain, p->list.ref.domain) != 0)
			return err_set(e, ERR_INVALID,
				       "cannot use source images from a different registry than "
				       "the target image: %s != %s",
				       ref.domain, p->list.ref.domain);
		add_source(p, ref.path);
	}
	return manifest_list_encode(&p->list, &p->text, &p->type, e);
}

int image_manifest_push(struct image_service *s, const struct image_manifest_push *o,
			const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct auth_credentials auth;

	if (auth_credentials_decode(o->auth, &auth, e) < 0)
		return -1;
	struct list_push *p = NEW(struct list_push);
	job_init(&p->job, s, ev, list_push_drop);
	p->fd = FD_NONE;
	p->arena = arena_new();
	p->auth = auth;
	p->purge = o->purge;
	p->insecure = o->insecure;
	p->text = BUF_INIT(IMAGE_MANIFEST_MAX);
	auth_credentials_wipe(&auth);
	if (manifest_list_load(s, o->list, &p->list, p->arena, e) < 0 || check(p, e) < 0) {
		p->job.ended = true;
		list_del(&p->job.link);
		list_push_drop(&p->job);
		return -1;
	}
	p->to = registry_open(&(struct registry_options){.service = s,
							 .ref = &p->list.ref,
							 .auth = &p->auth,
							 .actions = "pull,push",
							 .sources = &p->sources,
							 .insecure = p->insecure});
	p->soon = service_after(s, 0, push_begin, p);
	*ret = &p->job;
	return 0;
}
