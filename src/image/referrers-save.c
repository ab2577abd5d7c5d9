/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_referrers_save(): manifest after manifest, blob after blob into the store (leased, so that
 * they stay until the tar is written), then the worker writes the layout from there.
 */
#include "image/archive-priv.h"
#include "image/referrers-job.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIST_MAX ((size_t)64 << 20)

struct refer_save {
	struct refer_job base;
	struct store_lease *lease;
	struct registry_call *call;
	size_t next; /* artifact */
	struct oci_manifest manifest;
	size_t blob; /* config, then layers */
	struct archive archive;
	int out_fd;
	/* the blob on its way */
	struct digest digest;
	struct hasher *hasher;
	uint64_t size, got;
	int fd, write_error;
	bool ingest;
};

static void next_blob(struct refer_save *s);
static void next_artifact(struct refer_save *s);

static void blob_close(struct refer_save *s)
{
	fd_close(&s->fd);
	if (s->ingest)
		store_ingest_abort(s->base.job.service->store, &s->digest);
	s->ingest = false;
	hasher_free(s->hasher);
	s->hasher = NULL;
}

static void save_drop(struct image_job *j)
{
	struct refer_save *s = CONTAINER_OF(j, struct refer_save, base.job);
	struct image_service *service = j->service;
	bool any = s->next > 0;

	archive_free(&s->archive);
	registry_cancel(s->call);
	blob_close(s);
	refer_done(&s->base);
	fd_close(&s->out_fd);
	store_lease_free(s->lease);
	free(s);
	if (any)
		service_sweep(service);
}

static void fail(struct refer_save *s, const struct err *e)
{
	struct err err = *e;

	job_end(&s->base.job, NULL, &err);
}

static void add_index(struct refer_save *s)
{
	AUTO_BUF struct buf text = BUF_INIT(LIST_MAX);
	struct jw w = JW_INIT(&text);

	jw_obj(&w);
	jw_kv_i64(&w, "schemaVersion", 2);
	jw_kv_str(&w, "mediaType", OCI_INDEX_TYPE);
	jw_key(&w, "manifests");
	jw_arr(&w);
	for (size_t i = 0; i < s->base.found.n; i++)
		json_encode(&w, &oci_descriptor_schema, oci_descriptor_at(&s->base.found, i));
	jw_arr_end(&w);
	jw_obj_end(&w);
	archive_add_text(&s->archive, "index.json", buf_text(&text));
}

/* ---- the end ---- */

static void save_end(void *ud, const struct err *e)
{
	struct refer_save *s = ud;
	struct err err = e ? *e : ERR_INIT;

	job_end(&s->base.job, s->base.subject_digest.text, e ? &err : NULL);
}

static void write_layout(struct refer_save *s)
{
	struct err e = ERR_INIT;

	add_index(s);
	archive_add_text(&s->archive, "oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
	int rc = s->archive.list.overflow
			 ? err_set(&e, ERR_LIMIT, "too many referrers to save at once")
			 : archive_write(&s->archive, s->out_fd, &e);
	fd_close(&s->out_fd); /* the worker's alone: its end is the reader's end */
	if (rc < 0)
		fail(s, &e);
}

/* ---- blobs ---- */

static enum http_data blob_data(void *ud, const void *data, size_t n)
{
	struct refer_save *s = ud;

	if (n > s->size - s->got)
		return HTTP_DATA_STOP;
	s->write_error = fs_write_all(s->fd, data, n);
	if (s->write_error < 0)
		return HTTP_DATA_STOP;
	hasher_add(s->hasher, data, n);
	s->got += n;
	return HTTP_DATA_OK;
}

static int blob_check(struct refer_save *s, const struct err *e, struct err *err)
{
	struct digest got;

	if (e && e->kind != ERR_CANCELLED) {
		*err = *e;
		return -1;
	}
	if (s->write_error < 0)
		return err_sys(err, s->write_error, "blob %s", s->digest.text);
	if (e)
		return err_set(err, ERR_INVALID, "blob %s is larger than its manifest says",
			       s->digest.text);
	hasher_final(s->hasher, &got);
	if (!digest_eq(&got, &s->digest))
		return err_set(err, ERR_INVALID, "blob %s has another digest: %s", s->digest.text,
			       got.text);
	fd_close(&s->fd);
	if (store_ingest_commit(s->base.job.service->store, &s->digest, s->size, STORE_NOW, err) <
	    0)
		return -1;
	s->ingest = false;
	return 0;
}

static void blob_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct refer_save *s = ud;
	struct err err = ERR_INIT;

	s->call = NULL;
	if (blob_check(s, e, &err) < 0) {
		fail(s, &err);
		return;
	}
	blob_close(s);
	next_blob(s);
}

static int blob_begin(struct refer_save *s, struct err *e)
{
	struct store *store = s->base.job.service->store;
	char algorithm[16], path[DIGEST_TEXT_MAX + 16];
	uint64_t have = 0;

	for (int i = 0; i < 2; i++) { /* the hash starts at the start */
		if (store_ingest_open(store, &s->digest, &s->fd, &have, e) < 0)
			return -1;
		s->ingest = true;
		if (!have)
			break;
		blob_close(s);
	}
	snprintf(algorithm, sizeof(algorithm), "%.*s", (int)strcspn(s->digest.text, ":"),
		 s->digest.text);
	s->hasher = hasher_new(algorithm);
	s->got = 0;
	s->write_error = 0;
	snprintf(path, sizeof(path), "blobs/%s", s->digest.text);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .expect = s->size,
				     .data = blob_data,
				     .done = blob_done,
				     .ud = s};
	registry_start(s->base.registry, &q, &s->call);
	return 0;
}

static void next_blob(struct refer_save *s)
{
	struct store *store = s->base.job.service->store;
	struct err e = ERR_INIT;
	uint64_t size;

	while (s->blob <= s->manifest.layers.n) {
		const struct oci_descriptor *d = s->blob ? oci_descriptor_at(&s->manifest.layers,
									     s->blob - 1)
							 : &s->manifest.config;

		s->blob++;
		if (oci_layer_foreign(d))
			continue;
		(void)digest_parse(d->digest_text, &s->digest);
		s->size = (uint64_t)d->size;
		store_lease_blob(s->lease, &s->digest);
		archive_add_blob(&s->archive, &s->digest, s->size, NULL);
		if (store_blob_has(store, &s->digest, &size) && size == s->size)
			continue;
		if (blob_begin(s, &e) < 0)
			fail(s, &e);
		return;
	}
	next_artifact(s);
}

/* ---- artifacts ---- */

static void manifest_done(void *ud, const struct http_response *resp, const struct buf *body,
			  const struct err *e)
{
	struct refer_save *s = ud;
	struct err err = e ? *e : ERR_INIT;
	struct remote_doc doc;
	struct digest put;
	const struct oci_descriptor *d = oci_descriptor_at(&s->base.found, s->next - 1);

	s->call = NULL;
	if (err.kind == ERR_NONE &&
	    remote_doc_read(d->digest_text, resp, body, s->base.arena, &doc, &err) == 0) {
		store_lease_blob(s->lease, &doc.digest);
		archive_add_blob(&s->archive, &doc.digest, doc.n, NULL);
		(void)store_blob_put(s->base.job.service->store, doc.text, doc.n, STORE_NOW, &put,
				     &err);
	}
	if (err.kind != ERR_NONE) {
		err_wrap(&err, "referrer %s", d->digest_text);
		fail(s, &err);
		return;
	}
	s->manifest = doc.manifest;
	s->blob = doc.kind == MANIFEST_IMAGE ? 0
					     : SIZE_MAX; /* an index: its members are not ours */
	next_blob(s);
}

static void next_artifact(struct refer_save *s)
{
	char path[DIGEST_TEXT_MAX + 16];

	if (s->next == s->base.found.n) {
		write_layout(s);
		return;
	}
	snprintf(path, sizeof(path), "manifests/%s",
		 oci_descriptor_at(&s->base.found, s->next++)->digest_text);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .accept = ACCEPT_MANIFEST,
				     .max_body = IMAGE_MANIFEST_MAX,
				     .done = manifest_done,
				     .ud = s};
	registry_start(s->base.registry, &q, &s->call);
}

static void save_listed(struct refer_job *r, const struct err *e)
{
	struct refer_save *s = CONTAINER_OF(r, struct refer_save, base);
	struct err err = ERR_INIT;

	if (e) {
		fail(s, e);
	} else if (!r->found.n) {
		err_set(&err, ERR_NOT_FOUND, "nothing refers to %s", r->name);
		fail(s, &err);
	} else {
		archive_add_dir(&s->archive, "blobs/");
		archive_add_dir(&s->archive, "blobs/sha256/");
		next_artifact(s);
	}
}

int image_referrers_save(struct image_service *service, const struct image_referrers *o, int fd,
			 const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct refer_save *s = NEW(struct refer_save);

	s->fd = FD_NONE;
	s->out_fd = fd;
	if (refer_init(&s->base, service, o, ev, save_drop, e) < 0) {
		fd_close(&s->out_fd);
		free(s);
		return -1;
	}
	s->base.listed = save_listed;
	s->lease = store_lease_new(service->store);
	archive_init(&s->archive, service, save_end, s);
	*ret = &s->base.job;
	return 0;
}
