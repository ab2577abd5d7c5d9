/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_pull(): tags (with all_tags) -> manifest (through an index by platform) -> config -> layers
 * -> the image's row and its names. Layers come through fetch.c, at most `parallel` heavy at once.
 */
#include "image/known-priv.h"
#include "image/layers-priv.h"
#include "image/load-priv.h"
#include "image/members.h"
#include "image/remote.h"
#include "image/verify-priv.h"
#include "image/sources-priv.h"
#include "image/tags-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define INDEXES_MAX 8 /* documents on the way from a name to a manifest */

struct pull {
	struct image_job job;
	struct image_ref ref, written;
	struct image_platform platform;
	bool platform_given, all_tags, any_new;
	struct short_names names; /* what the name may mean; `ref` is the one at `name` */
	size_t name;
	struct auth_credentials auth;
	struct registry *registry;
	struct registry_call *call;
	struct verify *verify;
	struct registry_trail trail;
	size_t source; /* for manifest and config: sources before it had wrong bytes */
	struct tags *tag_list;
	struct service_soon *soon;
	struct store_lease *lease;
	struct arena *arena; /* of this image */
	struct strs tags;    /* still to come with all_tags */
	struct arena *tags_arena;
	size_t next_tag;
	struct digest top, manifest_digest, config_digest, last_id;
	struct oci_manifest manifest;
	const struct oci_descriptor *chosen; /* from the index; NULL: there was none */
	struct objs nested; /* oci_descriptor: indexes inside indexes, still to try */

	size_t next_nested;
	unsigned indexes;
	char *config_text;
	struct layers *layers;
};

static void pull_image(struct pull *p);
static void pull_begin(void *ud);
static void open_registry(struct pull *p);

static void drop_image(struct pull *p)
{
	verify_free(p->verify);
	layers_free(p->layers);
	free(p->config_text);
	arena_free(p->arena);
	p->verify = NULL;
	p->layers = NULL;
	p->config_text = NULL;
	p->arena = NULL;
	p->chosen = NULL;
	p->nested = (struct objs){0};
	p->next_nested = 0;
	p->indexes = 0;
	p->source = 0;
	p->top = p->manifest_digest = (struct digest){0};
}

static void pull_drop(struct image_job *j)
{
	struct pull *p = CONTAINER_OF(j, struct pull, job);
	service_soon_cancel(p->soon);
	registry_cancel(p->call);
	tags_cancel(p->tag_list);
	drop_image(p);
	auth_credentials_wipe(&p->auth);
	registry_close(p->registry);
	store_lease_free(p->lease);
	arena_free(p->tags_arena);
	free(p);
}

/* Docker's words for what a registry said about the whole image. */
static void pull_fail(struct pull *p, const struct err *e)
{
	struct err err = *e;
	char name[IMAGE_REF_TEXT_MAX], full[IMAGE_REF_TEXT_MAX];
	if (!digest_is_set(&p->top) && !p->tags.n && p->name + 1 < p->names.n) {
		p->name++;
		open_registry(p);
		p->soon = service_after(p->job.service, 0, pull_begin, p);
		return;
	}
	image_ref_familiar_name(&p->ref, name);
	image_ref_familiar(&p->ref, full);
	if (str_starts(err.text, "manifest unknown")) {
		err.kind = ERR_NOT_FOUND;
		err_wrap(&err, "manifest for %s not found", full);
	} else if (str_starts(err.text, "name unknown")) {
		err.kind = ERR_NOT_FOUND;
		err_wrap(&err, "repository %s not found", name);
	} else if (err.kind == ERR_DENIED || str_starts(err.text, "denied:") ||
		   str_starts(err.text, "insufficient_scope")) {
		err.kind = ERR_NOT_FOUND;
		err_wrap(&err,
			 "pull access denied for %s, repository does not exist or may require "
			 "'docker login'",
			 name);
	}
	if (err.kind == ERR_UNAUTHORIZED)
		err.kind = ERR_SYSTEM; /* a 401 would make clients ask for a password */
	job_end(&p->job, NULL, &err);
}

static void next_image(struct pull *p)
{
	if (p->all_tags && p->next_tag < p->tags.n) {
		drop_image(p);
		snprintf(p->ref.tag, sizeof(p->ref.tag), "%s", p->tags.v[p->next_tag++]);
		pull_image(p);
		return;
	}
	struct digest id = p->last_id;
	char text[IMAGE_REF_TEXT_MAX];
	if (p->all_tags)
		image_ref_familiar_name(&p->ref, text);
	else
		image_ref_familiar(&p->ref, text);
	job_linef(&p->job, "Status: %s %s",
		  p->any_new ? "Downloaded newer image for" : "Image is up to date for", text);
	job_end(&p->job, id.text, NULL);
}

/* ---- the end of one image ---- */

/* Is it one of those that the name has? */
static bool has_image(struct store *s, const char *ref, const struct digest *image)
{
	AUTO_FREE struct digest *v = NULL;
	struct err none = ERR_INIT;
	size_t n = 0;
	if (store_ref_images(s, ref, &v, &n, &none) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (digest_eq(&v[i], image))
			return true;
	return false;
}

static int set_refs(struct pull *p, bool *ret_changed, struct err *e)
{
	struct image_service *s = p->job.service;
	char text[IMAGE_REF_TEXT_MAX];
	struct image_ref by_digest = p->ref;
	by_digest.tag[0] = '\0';
	by_digest.digest = p->top;
	image_ref_canonical(&p->ref, text);
	*ret_changed = !has_image(s->store, text, &p->config_digest);
	if (!digest_is_set(&p->ref.digest) &&
	    member_join(s, text, &p->config_digest, &p->top, e) < 0)
		return -1;
	image_ref_canonical(&by_digest, text);
	return member_join(s, text, &p->config_digest, &p->top, e);
}

/* The image, its names and what is known of its blobs, all at once. */
static int put_image(struct pull *p, bool *ret_changed, struct err *e)
{
	struct store *s = p->job.service->store;
	struct err none = ERR_INIT;
	if (store_begin(s, true, e) < 0)
		return -1;
	if (layers_put_image(p->layers, &p->config_digest, p->config_text, &p->manifest_digest,
			     p->chosen ? &p->top : NULL, e) < 0 ||
	    set_refs(p, ret_changed, e) < 0) {
		store_end(s, false, &none);
		return -1;
	}
	for (size_t i = 0; i < p->manifest.layers.n; i++) {
		struct digest blob;
		if (digest_parse(oci_descriptor_at(&p->manifest.layers, i)->digest_text, &blob) ==
		    0)
			known_add(p->job.service, &p->ref, &blob);
	}
	return store_end(s, true, e);
}

static void pull_finish(struct pull *p)
{
	struct err e = ERR_INIT;
	char text[IMAGE_REF_TEXT_MAX];
	bool changed = false;
	if (put_image(p, &changed, &e) < 0) {
		job_end(&p->job, NULL, &e);
		return;
	}
	image_ref_familiar(&p->ref, text);
	p->last_id = p->config_digest;
	job_linef(&p->job, "Digest: %s", p->top.text);
	p->any_new = p->any_new || changed || layers_fetched(p->layers);
	char name[IMAGE_REF_TEXT_MAX];
	image_ref_familiar_name(&p->ref, name);
	service_event(p->job.service, "pull", text, name);
	next_image(p);
}

static void layers_done(void *ud, const struct err *e)
{
	if (e)
		pull_fail(ud, e);
	else
		pull_finish(ud);
}

/* What came was wrong: is there somebody else to ask? */
static bool other_source(struct pull *p)
{
	p->source = p->trail.source + 1;
	return p->source < registry_sources(p->registry);
}

/* ---- config ---- */

static void config_fetch(struct pull *p);

static void use_config(struct pull *p, const char *text, size_t n)
{
	struct err e = ERR_INIT;
	struct image_config c;
	struct digest got;
	digest_of(text, n, &got);
	if (n != (size_t)p->manifest.config.size ||
	    strcmp(got.text, p->manifest.config.digest_text)) {
		err_set(&e, ERR_INVALID, "image config verification failed for digest %s",
			p->manifest.config.digest_text);
		if (other_source(p))
			config_fetch(p);
		else
			job_end(&p->job, NULL, &e);
		return;
	}
	p->config_text = xstrndup(text, n);
	if (image_config_decode(text, n, &c, p->arena, &e) < 0) {
		err_wrap(&e, "%s", got.text);
		goto fail;
	}
	if (c.os && *c.os && strcmp(c.os, "linux")) {
		err_set(&e, ERR_UNSUPPORTED,
			"image operating system \"%.100s\" cannot be used on this platform: "
			"operating "
			"system is not supported",
			c.os);
		goto fail;
	}
	if (p->platform_given && !p->chosen) {
		struct oci_platform have = {.os = c.os && *c.os ? c.os : "linux",
					    .architecture = c.architecture,
					    .variant = c.variant};
		if (c.architecture && *c.architecture &&
		    !image_platform_score(&p->platform, &have)) {
			char want[96], full[IMAGE_REF_TEXT_MAX];
			image_platform_format(&p->platform, want);
			image_ref_familiar(&p->ref, full);
			err_set(&e, ERR_NOT_FOUND,
				"image with reference %s was found but its platform (%s/%s%s%s) "
				"does not match the "
				"specified platform (%s)",
				full, have.os, have.architecture,
				c.variant && *c.variant ? "/" : "", c.variant ? c.variant : "",
				want);
			goto fail;
		}
	}
	struct digest put;
	struct layers_want want = {.job = &p->job,
				   .registry = p->registry,
				   .lease = p->lease,
				   .descriptors = &p->manifest.layers,
				   .diff_ids = &c.rootfs.diff_ids,
				   .done = layers_done,
				   .ud = p};
	if (store_blob_put(p->job.service->store, text, n, STORE_LATER, &put, &e) < 0)
		goto fail;
	if (layers_start(&want, &p->layers, &e) < 0) {
		err_wrap(&e, "%s", got.text);
		goto fail;
	}
	return;
fail:
	job_end(&p->job, NULL, &e);
}

static void config_done(void *ud, const struct http_response *resp, const struct buf *body,
			const struct err *e)
{
	struct pull *p = ud;
	p->call = NULL;
	if (e) {
		pull_fail(p, e);
		return;
	}
	use_config(p, buf_text(body), body->n);
}

static void config_fetch(struct pull *p)
{
	char path[DIGEST_TEXT_MAX + 16];
	snprintf(path, sizeof(path), "blobs/%s", p->config_digest.text);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .max_body = (size_t)p->manifest.config.size + 1,
				     .first_source = p->source,
				     .trail = &p->trail,
				     .done = config_done,
				     .ud = p};
	registry_start(p->registry, &q, &p->call);
}

static void config_get(struct pull *p)
{
	struct err e = ERR_INIT;
	const struct oci_descriptor *c = &p->manifest.config;
	if (c->media_type && *c->media_type && strcmp(c->media_type, OCI_CONFIG_TYPE) &&
	    strcmp(c->media_type, DOCKER_CONFIG_TYPE) &&
	    strcmp(c->media_type, "application/octet-stream") &&
	    strcmp(c->media_type, "text/html")) {
		err_set(&e, ERR_UNSUPPORTED, "unsupported media type %.200s of config %s",
			c->media_type, c->digest_text);
		job_end(&p->job, NULL, &e);
		return;
	}
	if (digest_parse(c->digest_text, &p->config_digest) < 0)
		return;
	store_lease_blob(p->lease, &p->config_digest);
	if (store_blob_has(p->job.service->store, &p->config_digest, NULL)) {
		AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
		if (store_blob_read(p->job.service->store, &p->config_digest, &text, &e) == 0) {
			use_config(p, buf_text(&text), text.n);
			return;
		}
	}
	p->source = 0;
	config_fetch(p);
}

/* ---- manifest ---- */

/* ---- policy ---- */

static void verify_done(void *ud, const struct err *e)
{
	struct pull *p = ud;
	struct err err = e ? *e : ERR_INIT;

	p->verify = NULL;
	if (e)
		job_end(&p->job, NULL, &err);
	else
		config_get(p);
}

/* Nothing but manifests is fetched of an image that the policy refuses. */
static int check_policy(struct pull *p, struct err *e)
{
	struct verify_want w = {.service = p->job.service,
				.registry = p->registry,
				.ref = &p->ref,
				.top = &p->top,
				.manifest = &p->manifest_digest,
				.done = verify_done,
				.ud = p};

	if (verify_start(&w, &p->verify, e) < 0)
		return -1;
	if (!p->verify)
		config_get(p);
	return 0;
}

static void manifest_get(struct pull *p, const char *which);

static bool is_index(const struct oci_descriptor *d)
{
	return d->media_type &&
	       (!strcmp(d->media_type, OCI_INDEX_TYPE) || !strcmp(d->media_type, DOCKER_LIST_TYPE));
}

/* Indexes that say nothing about their platform may contain the right one: for later. */
static void keep_nested(struct pull *p, const struct oci_index *index)
{
	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index->manifests, i);
		if (!is_index(d) || (d->platform && d->platform->os && *d->platform->os) ||
		    p->nested.n == INDEXES_MAX)
			continue;
		struct oci_descriptor *v = arena_alloc(p->arena, (p->nested.n + 1) * sizeof(*v));
		if (p->nested.n)
			memcpy(v, p->nested.v, p->nested.n * sizeof(*v));
		v[p->nested.n++] = *d;
		p->nested.v = v;
	}
}

static int choose_from_index(struct pull *p, const struct oci_index *index, struct err *e)
{
	char want[96];
	image_platform_format(&p->platform, want);
	if (++p->indexes > INDEXES_MAX)
		return err_set(e, ERR_INVALID,
			       "image index %s: more than %d indexes, one in the other, and no "
			       "manifest for %s",
			       p->top.text, INDEXES_MAX, want);
	p->chosen = image_platform_choose(&p->platform, index);
	if (!p->chosen) {
		keep_nested(p, index);
		if (p->next_nested < p->nested.n)
			p->chosen = oci_descriptor_at(&p->nested, p->next_nested++);
	}
	if (!p->chosen)
		return err_set(e, ERR_NOT_FOUND,
			       "no matching manifest for %s in the manifest list entries", want);
	if ((uint64_t)p->chosen->size > IMAGE_MANIFEST_MAX)
		return err_set(e, ERR_LIMIT, "manifest %s is larger than %zu bytes",
			       p->chosen->digest_text, IMAGE_MANIFEST_MAX);
	return 0;
}

/* The index that the name stands for stays with the image. */
static int keep_top(struct pull *p, const char *text, size_t n, struct err *e)
{
	struct digest put;
	if (p->indexes > 1)
		return 0;
	store_lease_blob(p->lease, &p->top);
	return store_blob_put(p->job.service->store, text, n, STORE_LATER, &put, e);
}

static int check_manifest(struct pull *p, const struct http_response *resp, const struct buf *body,
			  struct digest *ret, struct err *e)
{
	digest_of(buf_text(body), body->n, ret);
	const char *want = p->chosen			   ? p->chosen->digest_text
			   : digest_is_set(&p->ref.digest) ? p->ref.digest.text
							   : resp->digest;
	if (*want && str_starts(want, "sha256:") && strcmp(want, ret->text))
		return err_set(e, ERR_INVALID, "manifest verification failed for digest %s", want);
	if (p->chosen && (uint64_t)p->chosen->size != body->n)
		return err_set(e, ERR_INVALID, "manifest %s has %zu bytes, the index says %lld",
			       p->chosen->digest_text, body->n, (long long)p->chosen->size);
	return 0;
}

/* A document as it came: right bytes, right form. */
struct document {
	struct digest digest;
	enum manifest_kind kind;
	struct oci_index index;
};

static int read_manifest(struct pull *p, const struct http_response *resp, const struct buf *body,
			 struct document *d, struct err *e)
{
	const char *text = buf_text(body);
	if (check_manifest(p, resp, body, &d->digest, e) < 0)
		return -1;
	int rc = manifest_kind_of(text, body->n, resp->content_type, &d->kind, e);
	if (rc == 0)
		rc = d->kind == MANIFEST_INDEX
			     ? oci_index_decode(text, body->n, &d->index, p->arena, e)
			     : oci_manifest_decode(text, body->n, &p->manifest, p->arena, e);
	return rc < 0 ? err_wrap(e, "%s", d->digest.text) : 0;
}

static int use_manifest(struct pull *p, const struct document *d, const struct buf *body,
			struct err *e)
{
	struct digest got = d->digest;
	if (!p->chosen) {
		char line[300];
		p->top = got;
		snprintf(line, sizeof(line), "Pulling from %s", p->ref.path);
		job_line(&p->job, digest_is_set(&p->ref.digest) ? p->ref.digest.text : p->ref.tag,
			 line);
	}
	p->source = 0;
	if (d->kind == MANIFEST_INDEX) {
		if (choose_from_index(p, &d->index, e) < 0 ||
		    keep_top(p, buf_text(body), body->n, e) < 0)
			return -1;
		manifest_get(p, p->chosen->digest_text);
		return 0;
	}
	p->manifest_digest = got;
	store_lease_blob(p->lease, &got);
	if (store_blob_put(p->job.service->store, buf_text(body), body->n, STORE_LATER, &got, e) <
	    0)
		return -1;
	return check_policy(p, e);
}

static const char *wanted_manifest(const struct pull *p)
{
	if (p->chosen)
		return p->chosen->digest_text;
	return digest_is_set(&p->ref.digest) ? p->ref.digest.text : p->ref.tag;
}

static void manifest_done(void *ud, const struct http_response *resp, const struct buf *body,
			  const struct err *e)
{
	struct pull *p = ud;
	struct err err = ERR_INIT;
	struct document d = {0};
	p->call = NULL;
	if (e) {
		pull_fail(p, e);
	} else if (read_manifest(p, resp, body, &d, &err) < 0) {
		if (other_source(p))
			manifest_get(p, wanted_manifest(p));
		else
			job_end(&p->job, NULL, &err);
	} else if (use_manifest(p, &d, body, &err) < 0) {
		job_end(&p->job, NULL, &err);
	}
}

static void manifest_get(struct pull *p, const char *which)
{
	char path[DIGEST_TEXT_MAX + 160];
	snprintf(path, sizeof(path), "manifests/%s", which);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .accept = ACCEPT_MANIFEST,
				     .max_body = IMAGE_MANIFEST_MAX,
				     .first_source = p->source,
				     .trail = &p->trail,
				     .done = manifest_done,
				     .ud = p};
	registry_start(p->registry, &q, &p->call);
}

static void pull_image(struct pull *p)
{
	p->arena = arena_new();
	manifest_get(p, wanted_manifest(p));
}

/* ---- all tags ---- */

static void tags_done(void *ud, const struct strs *tags, const struct err *e)
{
	struct pull *p = ud;
	p->tag_list = NULL;
	if (e) {
		pull_fail(p, e);
		return;
	}
	p->tags_arena = arena_new();
	p->tags.v = arena_alloc(p->tags_arena, (tags->n + 1) * sizeof(char *));
	for (size_t i = 0; i < tags->n; i++)
		p->tags.v[p->tags.n++] = arena_strdup(p->tags_arena, tags->v[i]);
	next_image(p);
}

static void pull_begin(void *ud)
{
	struct pull *p = ud;
	p->soon = NULL;
	if (p->all_tags)
		p->tag_list = tags_list(p->registry, tags_done, p);
	else
		pull_image(p);
}

/* The registry of the name that is tried now. The password was given for the name as written. */
static void open_registry(struct pull *p)
{
	bool other = strcmp(p->names.v[p->name].domain, p->written.domain) != 0;
	drop_image(p);
	registry_close(p->registry);
	p->ref = p->names.v[p->name];
	p->registry = registry_open(&(struct registry_options){.service = p->job.service,
							       .ref = &p->ref,
							       .auth = other ? NULL : &p->auth,
							       .actions = "pull"});
}

int image_pull(struct image_service *s, const struct image_pull *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct image_ref ref;
	struct image_platform platform;
	struct auth_credentials auth;
	bool given = o->platform && *o->platform;
	if (image_ref_parse(o->ref, &ref, e) < 0)
		return -1;
	image_platform_host(&platform);
	if (given && image_platform_parse(o->platform, &platform, e) < 0)
		return -1;
	if (image_default_is(o->ref))
		return default_pull(s, ev, ret, e);
	if (auth_credentials_decode(o->auth, &auth, e) < 0)
		return -1;
	if (!o->all_tags)
		image_ref_default_tag(&ref);

	struct short_names names;
	if (short_names_find(s, o->ref, &ref, &names, e) < 0) {
		auth_credentials_wipe(&auth);
		return -1;
	}
	struct pull *p = NEW(struct pull);
	job_init(&p->job, s, ev, pull_drop);
	p->ref = p->written = ref;
	p->names = names;
	p->auth = auth;
	p->platform = platform;
	p->platform_given = given;
	p->all_tags = o->all_tags;
	p->lease = store_lease_new(s->store);
	auth_credentials_wipe(&auth);
	open_registry(p);
	if (registry_usable(p->registry, e) < 0) {
		p->job.ended = true;
		list_del(&p->job.link);
		pull_drop(&p->job);
		return -1;
	}
	p->soon = service_after(s, 0, pull_begin, p);
	*ret = &p->job;
	return 0;
}
