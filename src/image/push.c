/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_push(): see push-priv.h. The manifest is the one the image came with, byte for byte, unless
 * layers had to become others. What was pushed is remembered as a source for mounts.
 */
#include "image/known-priv.h"
#include "image/platform.h"
#include "image/push-priv.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define ATTEMPTS_MAX	5
#define BACKOFF_MS	500u
#define RETRY_AFTER_MAX 60
#define SOURCES_MAX	8

static void push_tag(struct push *p);
static void push_manifest(void *ud);

static void drop_doc(struct push *p)
{
	for (size_t i = 0; i < p->nblobs; i++)
		push_blob_reset(&p->blobs[i]);
	free(p->blobs);
	store_image_free(p->img);
	parts_free(p->parts);
	p->blobs = NULL;
	p->nblobs = 0;
	p->img = NULL;
	p->parts = NULL;
}

static void push_drop(struct image_job *j)
{
	struct push *p = CONTAINER_OF(j, struct push, job);
	service_soon_cancel(p->step);
	service_soon_cancel(p->timer);
	registry_cancel(p->call);
	drop_doc(p);
	repack_free(p->repack);
	free(p->docs);
	buf_done(&p->index);
	registry_close(p->registry);
	store_lease_free(p->lease);
	map_free(p->there);
	arena_free(p->arena);
	free(p);
}

unsigned push_retry_ms(const struct http_response *resp, const struct err *e, unsigned attempt)
{
	long s = resp->status;
	bool moment = s == 0 ? e->kind == ERR_REMOTE
			     : s == 408 || s == 429 || (s >= 500 && s != 501 && s != 507) ||
				       (s >= 200 && s <= 299);
	if (!moment || attempt >= ATTEMPTS_MAX)
		return 0;
	if (resp->retry_after >= 0 && s)
		return (unsigned)MIN(MAX(resp->retry_after, 1), RETRY_AFTER_MAX) * 1000;
	return BACKOFF_MS << attempt;
}

/* ---- steps ---- */

static bool packing(const struct push *p)
{
	for (size_t i = 0; i < p->nblobs; i++)
		if (p->blobs[i].state == BLOB_PACKING)
			return true;
	return false;
}

static size_t active(const struct push *p)
{
	size_t n = 0;
	for (size_t i = 0; i < p->nblobs; i++)
		n += p->blobs[i].state == BLOB_ACTIVE;
	return n;
}

static void start_blob(struct push *p, struct push_blob *b)
{
	if (b->state == BLOB_WANT_PACK && !packing(p)) {
		push_pack_start(b);
	} else if (b->state == BLOB_TODO || b->state == BLOB_PACKED) {
		if (active(p) < p->job.service->settings.uploads) {
			push_blob_start(b);
		} else if (!b->told_waiting) {
			b->told_waiting = true;
			push_blob_say(b, "Waiting");
		}
	}
}

static void run_step(void *ud)
{
	struct push *p = ud;
	bool all = true;
	p->step = NULL;
	if (p->rebuild_wanted && !p->rebuild && p->err.kind == ERR_NONE) {
		p->rebuild = true;
		push_doc(p);
		return;
	}
	if (p->err.kind == ERR_NONE) /* the configuration, then the top layer first */
		for (size_t i = p->nblobs; i-- > 0;)
			start_blob(p, &p->blobs[i]);
	if (p->err.kind != ERR_NONE) {
		struct err e = p->err;
		job_end(&p->job, NULL, &e);
		return;
	}
	if (p->img && !p->parts)
		return; /* layers are being packed */
	for (size_t i = 0; i < p->nblobs; i++)
		all = all && p->blobs[i].state == BLOB_DONE;
	if (all && !p->call && !p->timer) {
		if (p->parts)
			parts_seal(p->parts);
		p->attempts = 0;
		push_manifest(p);
	}
}

void push_step(struct push *p)
{
	if (!p->step)
		p->step = service_after(p->job.service, 0, run_step, p);
}

void push_fail(struct push *p, const struct err *e)
{
	if (p->err.kind == ERR_NONE)
		p->err = *e;
	if (p->err.kind == ERR_UNAUTHORIZED)
		p->err.kind = ERR_SYSTEM; /* a 401 would make clients ask for a password */
	push_step(p);
}

/* ---- manifest ---- */

static void remember(struct push *p, const struct push_sent *sent)
{
	char text[IMAGE_REF_TEXT_MAX], tag[IMAGE_REF_TEXT_MAX];
	struct err none = ERR_INIT;
	struct image_ref by_digest = p->ref;
	by_digest.tag[0] = '\0';
	by_digest.digest = sent->digest;
	image_ref_canonical(&by_digest, text);
	image_ref_canonical(&p->ref, tag);
	if (p->img && !p->parts->other_id)
		store_ref_join(p->job.service->store, text, &p->img->id, &sent->digest, true,
			       &none);
	else if (!p->img)
		store_ref_copy(p->job.service->store, tag, text, &none);
	image_ref_familiar(&p->ref, text);
	service_event(p->job.service, "push", text, text);
}

static void say_digest(struct push *p, const struct push_sent *sent)
{
	char aux[400];
	job_linef(&p->job, "%s: digest: %s size: %zu", p->ref.tag, sent->digest.text, sent->size);
	snprintf(aux, sizeof(aux), "{\"Tag\":\"%s\",\"Digest\":\"%s\",\"Size\":%zu}", p->ref.tag,
		 sent->digest.text, sent->size);
	if (p->job.ev.progress && !p->job.ended)
		p->job.ev.progress(p->job.ev.ud, &(struct image_progress){.aux = aux});
}

/* The next document, or the next tag. */
static void manifest_sent(struct push *p, const struct push_sent *sent)
{
	p->rebuild = p->rebuild_wanted = false;
	repack_free(p->repack);
	p->repack = NULL;
	if (!push_doc_is_last(p)) {
		p->doc++;
		push_doc(p);
		return;
	}
	say_digest(p, sent);
	push_say_stripped(p, sent);
	remember(p, sent);
	p->next_tag++;
	push_tag(p);
}

static void manifest_done(void *ud, const struct http_response *resp, const struct buf *body,
			  const struct err *e)
{
	struct push *p = ud;
	struct push_sent sent = push_doc_sent(p);
	struct err err = ERR_INIT;
	p->call = NULL;
	if (e) {
		unsigned ms = push_retry_ms(resp, e, ++p->attempts);
		if (ms)
			p->timer = service_after(p->job.service, ms, push_manifest, p);
		else
			push_fail(p, e);
		return;
	}
	if (str_starts(resp->digest, "sha256:") && strcmp(resp->digest, sent.digest.text)) {
		err_set(&err, ERR_REMOTE, "the registry stored manifest %s as %s", sent.digest.text,
			resp->digest);
		push_fail(p, &err);
		return;
	}
	manifest_sent(p, &sent);
}

static void push_manifest(void *ud)
{
	struct push *p = ud;
	struct push_sent sent = push_doc_sent(p);
	char path[200];
	p->timer = NULL;
	snprintf(path, sizeof(path), "manifests/%s",
		 push_doc_is_last(p) ? p->ref.tag : sent.digest.text);
	struct registry_request q = {.method = "PUT",
				     .path = path,
				     .content_type = sent.type,
				     .body = sent.text,
				     .done = manifest_done,
				     .ud = p};
	registry_start(p->registry, &q, &p->call);
}

/* ---- tags ---- */

static void make_blobs(struct push *p)
{
	if (!p->parts) {
		p->nblobs = 0;
		return;
	}
	p->nblobs = p->parts->nlayers + 1;
	p->blobs = xcalloc(p->nblobs, sizeof(*p->blobs));
	for (size_t i = p->nblobs; i-- > 0;) {
		struct push_blob *b = &p->blobs[i];
		b->push = p;
		b->fd = FD_NONE;
		b->layer = i < p->parts->nlayers;
		b->part = b->layer ? &p->parts->layers[i] : &p->parts->config;
		store_lease_blob(p->lease, digest_is_set(&b->part->source) ? &b->part->source
									   : &b->part->digest);
		digest_short(digest_is_set(&b->part->diff_id) ? &b->part->diff_id
							      : &b->part->digest,
			     b->id);
		if (!p->rebuild)
			push_blob_say(b, "Preparing");
	}
}

void push_doc(struct push *p)
{
	struct err e = ERR_INIT;
	drop_doc(p);
	int rc = push_doc_load(p, &e);
	if (rc < 0) {
		push_fail(p, &e);
	} else if (rc == 0) {
		make_blobs(p);
		push_step(p);
	}
}

static void push_tag(struct push *p)
{
	struct err e = ERR_INIT;
	if (p->next_tag == p->tags.n) {
		struct digest last = push_doc_sent(p).digest;
		if (p->img)
			last = p->img->id;
		job_end(&p->job, last.text, NULL);
		return;
	}
	snprintf(p->ref.tag, sizeof(p->ref.tag), "%s", p->tags.v[p->next_tag]);
	if (push_plan(p, &e) < 0) {
		push_fail(p, &e);
		return;
	}
	push_doc(p);
}

/* Repositories the first tag's layers could be mounted from: the token must cover them. */
static void collect_sources(struct push *p, struct strs *ret)
{
	struct store *s = p->job.service->store;
	AUTO(store_image) struct store_image *img = NULL;
	struct err none = ERR_INIT;
	struct digest id;
	char canonical[IMAGE_REF_TEXT_MAX];
	struct image_ref ref = p->ref;
	snprintf(ref.tag, sizeof(ref.tag), "%s", p->tags.v[0]);
	image_ref_canonical(&ref, canonical);
	if (store_ref_get(s, canonical, &id, &none) < 0 || store_image_get(s, &id, &img, &none) < 0)
		return;
	for (size_t i = 0; i < img->nblobs; i++) {
		struct strs repos = {0};
		known_repos(p->job.service, ref.domain, &img->blobs[i], p->arena, &repos);
		for (size_t k = 0; k < repos.n && ret->n < SOURCES_MAX; k++) {
			size_t at = 0;
			while (at < ret->n && strcmp(ret->v[at], repos.v[k]))
				at++;
			if (at == ret->n && strcmp(repos.v[k], ref.path))
				strs_push(ret, p->arena, repos.v[k]);
		}
	}
}

static void push_begin(void *ud)
{
	struct push *p = ud;
	char name[IMAGE_REF_TEXT_MAX];
	p->step = NULL;
	image_ref_name(&p->ref, name);
	job_linef(&p->job, "The push refers to repository [%s]", name);
	if (p->refused.kind != ERR_NONE) {
		struct err e = p->refused;
		job_end(&p->job, NULL, &e);
		return;
	}
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
			struct tag_finder f = {.p = p};
			image_ref_name(&p->ref, name);
			snprintf(f.prefix, sizeof(f.prefix), "%s:", name);
			if (store_image_each(p->job.service->store, find_tags, &f, e) < 0)
				return -1;
			if (p->tags.n)
				return err_set(e, ERR_NOT_FOUND, "tag does not exist: %s:%s",
					       familiar, p->ref.tag);
		}
	}
	return p->tags.n ? 0
			 : err_set(e, ERR_NOT_FOUND,
				   "An image does not exist locally with the tag: %s", familiar);
}

static int set_options(struct push *p, const struct image_push *o, struct err *e)
{
	p->compression = o->compression && *o->compression ? o->compression : "gzip";
	p->forced = o->compression && *o->compression;
	p->level = o->level;
	if (strcmp(p->compression, "gzip") && strcmp(p->compression, "zstd"))
		return err_set(e, ERR_INVALID, "invalid compression \"%.40s\" (gzip or zstd)",
			       p->compression);
	p->compression = strcmp(p->compression, "zstd") ? "gzip" : "zstd";
	if (p->level < 0 || p->level > (strcmp(p->compression, "zstd") ? 9 : 19))
		return err_set(e, ERR_INVALID, "invalid compression level %d for %s (1 to %d)",
			       p->level, p->compression, strcmp(p->compression, "zstd") ? 9 : 19);
	snprintf(p->how, sizeof(p->how), "%s:%d", p->compression, p->level);
	p->platform_given = o->platform && *o->platform;
	return p->platform_given ? image_platform_parse(o->platform, &p->platform, e) : 0;
}

static void open_registry(struct push *p, const struct auth_credentials *auth)
{
	struct strs sources = {0};
	collect_sources(p, &sources);
	p->registry = registry_open(&(struct registry_options){.service = p->job.service,
							       .ref = &p->ref,
							       .auth = auth,
							       .actions = "pull,push",
							       .sources = &sources});
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
	p->arena = arena_new();
	p->there = map_new();
	p->lease = store_lease_new(s->store);
	p->index = BUF_INIT(IMAGE_MANIFEST_MAX);
	int rc = set_options(p, o, e);
	/* Docker begins to answer before it looks for the image: its clients read this in the
	 * stream. */
	if (rc == 0 && choose_tags(p, o->all_tags, &p->refused) == 0)
		open_registry(p, &auth);
	auth_credentials_wipe(&auth);
	if (rc < 0) {
		p->job.ended = true;
		list_del(&p->job.link);
		push_drop(&p->job);
		return -1;
	}
	p->step = service_after(s, 0, push_begin, p);
	*ret = &p->job;
	return 0;
}
