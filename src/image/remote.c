/* SPDX-License-Identifier: Apache-2.0 */
/* See remote.h: GET manifests/WHICH, then for an image GET blobs/CONFIG. */
#include "image/remote.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct remote {
	struct remote_want want;
	struct image_ref ref;
	struct registry *registry;
	struct registry_call *call;
	struct remote_doc doc;
};

bool remote_digest_matches(const char *text, size_t n, const struct digest *d)
{
	char algorithm[16];
	struct digest got;

	snprintf(algorithm, sizeof(algorithm), "%.*s", (int)strcspn(d->text, ":"), d->text);
	AUTO(hasher) struct hasher *h = hasher_new(algorithm);
	if (!h)
		return false;
	hasher_add(h, text, n);
	hasher_final(h, &got);
	return digest_eq(&got, d);
}

int remote_doc_read(const char *which, const struct http_response *resp, const struct buf *body,
		    struct arena *a, struct remote_doc *ret, struct err *e)
{
	struct remote_doc d = {.n = body->n};
	struct digest want;
	const char *p = buf_text(body);

	if (digest_parse(which, &want) == 0 || digest_parse(resp->digest, &want) == 0) {
		if (!remote_digest_matches(p, body->n, &want))
			return err_set(e, ERR_INVALID, "manifest verification failed for digest %s",
				       want.text);
		d.digest = want;
	} else {
		digest_of(p, body->n, &d.digest);
	}
	if (manifest_kind_of(p, body->n, resp->content_type, &d.kind, e) < 0)
		return -1;
	d.text = arena_strndup(a, p, body->n);
	if (d.kind == MANIFEST_INDEX) {
		if (oci_index_decode(p, body->n, &d.index, a, e) < 0)
			return -1;
		d.media_type = d.index.media_type;
	} else {
		if (oci_manifest_decode(p, body->n, &d.manifest, a, e) < 0)
			return -1;
		d.media_type = d.manifest.media_type;
	}
	if (!d.media_type || !*d.media_type)
		d.media_type = strstr(resp->content_type, "manifest") ||
					       strstr(resp->content_type, "index")
				       ? arena_strdup(a, resp->content_type)
			       : d.kind == MANIFEST_INDEX ? OCI_INDEX_TYPE
							  : OCI_MANIFEST_TYPE;
	*ret = d;
	return 0;
}

static void remote_free(struct remote *r)
{
	registry_cancel(r->call);
	registry_close(r->registry);
	free(r);
}

void remote_cancel(struct remote *r)
{
	if (r)
		remote_free(r);
}

static void finish(struct remote *r, const struct err *e)
{
	struct remote_want w = r->want;
	struct remote_doc doc = r->doc;
	struct err err = e ? *e : ERR_INIT;
	struct image_ref *ref = arena_alloc(w.arena, sizeof(*ref));

	*ref = r->ref;
	doc.ref = ref;
	remote_free(r);
	w.done(w.ud, e ? NULL : &doc, e ? &err : NULL);
}

static void config_done(void *ud, const struct http_response *resp, const struct buf *body,
			const struct err *e)
{
	struct remote *r = ud;
	struct err err = ERR_INIT;
	struct image_config c;
	struct digest want;

	r->call = NULL;
	if (e) {
		finish(r, e);
		return;
	}
	(void)digest_parse(r->doc.manifest.config.digest_text, &want);
	if (!remote_digest_matches(buf_text(body), body->n, &want)) {
		err_set(&err, ERR_INVALID, "image config verification failed for digest %s",
			want.text);
		finish(r, &err);
		return;
	}
	if (image_config_decode(buf_text(body), body->n, &c, r->want.arena, &err) < 0) {
		finish(r, &err);
		return;
	}
	r->doc.platform = (struct oci_platform){.architecture = c.architecture,
						.os = c.os,
						.os_version = c.os_version,
						.variant = c.variant};
	finish(r, NULL);
}

static bool has_image_config(const struct oci_manifest *m)
{
	const char *type = m->config.media_type;

	return !type || !*type || !strcmp(type, OCI_CONFIG_TYPE) ||
	       !strcmp(type, DOCKER_CONFIG_TYPE);
}

static void manifest_done(void *ud, const struct http_response *resp, const struct buf *body,
			  const struct err *e)
{
	struct remote *r = ud;
	struct err err = ERR_INIT;
	char path[DIGEST_TEXT_MAX + 16];

	r->call = NULL;
	if (e) {
		finish(r, e);
		return;
	}
	if (remote_doc_read(digest_is_set(&r->ref.digest) ? r->ref.digest.text : r->ref.tag, resp,
			    body, r->want.arena, &r->doc, &err) < 0) {
		finish(r, &err);
		return;
	}
	if (r->doc.kind == MANIFEST_INDEX || !r->want.platform ||
	    !has_image_config(&r->doc.manifest)) {
		finish(r, NULL);
		return;
	}
	snprintf(path, sizeof(path), "blobs/%s", r->doc.manifest.config.digest_text);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .max_body = (size_t)r->doc.manifest.config.size + 1,
				     .done = config_done,
				     .ud = r};
	registry_start(r->registry, &q, &r->call);
}

struct remote *remote_get(const struct remote_want *w)
{
	struct remote *r = NEW(struct remote);
	char path[DIGEST_TEXT_MAX + 160];

	r->want = *w;
	r->ref = *w->ref;
	r->registry = registry_open(&(struct registry_options){.service = w->service,
							       .ref = &r->ref,
							       .auth = w->auth,
							       .actions = "pull",
							       .insecure = w->insecure});
	snprintf(path, sizeof(path), "manifests/%s",
		 digest_is_set(&r->ref.digest) ? r->ref.digest.text : r->ref.tag);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .accept = ACCEPT_MANIFEST,
				     .max_body = IMAGE_MANIFEST_MAX,
				     .done = manifest_done,
				     .ud = r};
	registry_start(r->registry, &q, &r->call);
	return r;
}
