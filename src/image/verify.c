/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See verify-priv.h. One request after the other, for each digest: the tag's manifest, its layers
 * of the right type; the referrers, the manifest of each, its layers. It ends with the signature
 * that satisfies the last open requirement, or with all of them seen.
 */
#include "image/verify-priv.h"

#include "base/mem.h"
#include "image/referrers-priv.h"
#include "image/remote.h"
#include "image/signature.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define SIGNATURES_MAX 128 /* looked at for one image */
#define REASONS_MAX    1000

enum source { SOURCE_TAG, SOURCE_REFERRERS, SOURCE_END };

struct open_requirement {
	const struct policy_requirement *r;
	struct signature_keys *keys;
	bool satisfied;
};

struct verify {
	struct verify_want want;
	struct image_ref ref;
	struct digest subjects[2];
	size_t nsubjects, subject;
	enum source source;
	struct policy *policy;
	struct open_requirement *open;
	size_t nopen;
	struct arena *arena;
	struct registry_call *call;
	struct referrers *referrers;
	struct objs found; /* referrers still to read from `next` on */
	size_t next;
	struct oci_manifest manifest; /* of a signature */
	size_t layer;
	unsigned seen, refused;
	struct buf reasons;
	const char *text; /* annotation of the layer on its way */
	struct digest payload;
};

static void next_layer(struct verify *v);
static void next_source(struct verify *v);

void verify_free(struct verify *v)
{
	if (!v)
		return;
	registry_cancel(v->call);
	referrers_cancel(v->referrers);
	registry_close(v->want.registry);
	for (size_t i = 0; i < v->nopen; i++)
		signature_keys_free(v->open[i].keys);
	free(v->open);
	policy_free(v->policy);
	arena_free(v->arena);
	buf_done(&v->reasons);
	free(v);
}

static void finish(struct verify *v, const struct err *e)
{
	struct verify_want w = v->want;
	struct err err = e ? *e : ERR_INIT;

	verify_free(v);
	w.done(w.ud, e ? &err : NULL);
}

static int rejected(struct err *e, const char *why)
{
	return err_set(e, ERR_DENIED, "Source image rejected: %s", why);
}

/* Every signature was seen and something is still open. */
static void finish_rejected(struct verify *v)
{
	struct err e = ERR_INIT;
	AUTO_BUF struct buf why = BUF_INIT(REASONS_MAX + 200);

	if (!v->refused)
		buf_adds(&why, "A signature was required, but no signature exists");
	else if (v->refused == 1)
		buf_adds(&why, buf_text(&v->reasons));
	else
		buf_addf(&why, "None of the signatures were accepted, reasons: %s",
			 buf_text(&v->reasons));
	rejected(&e, buf_text(&why));
	finish(v, &e);
}

static void refuse(struct verify *v, const struct err *why)
{
	if (v->reasons.n + strlen(why->text) + 2 < REASONS_MAX)
		buf_addf(&v->reasons, "%s%s", v->refused ? "; " : "", why->text);
	v->refused++;
}

/* ---- one signature ---- */

static bool judge(struct verify *v, const char *payload, size_t n)
{
	bool all = true;
	struct err why = ERR_INIT;

	for (size_t i = 0; i < v->nopen; i++) {
		struct open_requirement *o = &v->open[i];

		if (!o->satisfied &&
		    signature_accepts(o->r, o->keys, &v->ref, &v->subjects[v->subject], payload, n,
				      v->text, &why) == 0)
			o->satisfied = true;
		all = all && o->satisfied;
	}
	if (!all)
		refuse(v, &why);
	return all;
}

static void payload_done(void *ud, const struct http_response *resp, const struct buf *body,
			 const struct err *e)
{
	struct verify *v = ud;
	struct err err = ERR_INIT;

	v->call = NULL;
	if (e) {
		err = *e;
		err_wrap(&err, "signature %s", v->payload.text);
		refuse(v, &err);
	} else if (!remote_digest_matches(buf_text(body), body->n, &v->payload)) {
		err_set(&err, ERR_DENIED, "signature payload %s has another digest",
			v->payload.text);
		refuse(v, &err);
	} else if (judge(v, buf_text(body), body->n)) {
		finish(v, NULL);
		return;
	}
	next_layer(v);
}

/* The next layer that is a signature; false when none is left. */
static bool pick_layer(struct verify *v, const struct oci_descriptor **ret)
{
	while (v->layer < v->manifest.layers.n) {
		const struct oci_descriptor *d = oci_descriptor_at(&v->manifest.layers, v->layer++);

		v->text = strmap_get(&d->annotations, SIGNATURE_ANNOTATION);
		if (d->media_type && !strcmp(d->media_type, SIGNATURE_LAYER_TYPE) && v->text) {
			*ret = d;
			return true;
		}
	}
	return false;
}

static void next_referrer(struct verify *v);

static void next_layer(struct verify *v)
{
	const struct oci_descriptor *d;
	struct err why = ERR_INIT;
	char path[DIGEST_TEXT_MAX + 16];

	while (pick_layer(v, &d)) {
		if (v->seen++ >= SIGNATURES_MAX) {
			err_set(&why, ERR_LIMIT, "more than %d signatures", SIGNATURES_MAX);
			refuse(v, &why);
			finish_rejected(v);
			return;
		}
		if ((uint64_t)d->size > SIGNATURE_PAYLOAD_MAX) {
			err_set(&why, ERR_LIMIT,
				"signature payload %s of %lld bytes, at most %zu are accepted",
				d->digest_text, (long long)d->size, SIGNATURE_PAYLOAD_MAX);
			refuse(v, &why);
			continue;
		}
		(void)digest_parse(d->digest_text, &v->payload);
		snprintf(path, sizeof(path), "blobs/%s", d->digest_text);
		struct registry_request q = {.method = "GET",
					     .path = path,
					     .max_body = (size_t)d->size + 1,
					     .done = payload_done,
					     .ud = v};
		registry_start(v->want.registry, &q, &v->call);
		return;
	}
	if (v->source == SOURCE_REFERRERS)
		next_referrer(v);
	else
		next_source(v);
}

/* ---- where signatures are ---- */

static void manifest_done(void *ud, const struct http_response *resp, const struct buf *body,
			  const struct err *e)
{
	struct verify *v = ud;
	struct err err = ERR_INIT;
	struct remote_doc doc;
	const char *which = v->source == SOURCE_REFERRERS
				    ? oci_descriptor_at(&v->found, v->next - 1)->digest_text
				    : "";

	v->call = NULL;
	v->manifest = (struct oci_manifest){0};
	v->layer = 0;
	if (e && e->kind == ERR_NOT_FOUND) {
		next_layer(v); /* of an empty manifest: on with the next place */
		return;
	}
	if (e)
		err = *e;
	else if (remote_doc_read(which, resp, body, v->arena, &doc, &err) == 0)
		v->manifest = doc.manifest; /* an index has no layers */
	if (err.kind != ERR_NONE) {
		err_wrap(&err, "signature manifest");
		refuse(v, &err);
	}
	next_layer(v);
}

static void ask_manifest(struct verify *v, const char *which)
{
	char path[300];

	snprintf(path, sizeof(path), "manifests/%s", which);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .accept = ACCEPT_MANIFEST,
				     .max_body = IMAGE_MANIFEST_MAX,
				     .done = manifest_done,
				     .ud = v};
	registry_start(v->want.registry, &q, &v->call);
}

static void next_referrer(struct verify *v)
{
	struct err why = ERR_INIT;

	if (v->next >= v->found.n) {
		next_source(v);
		return;
	}
	if (v->next >= SIGNATURES_MAX) {
		err_set(&why, ERR_LIMIT, "more than %d signatures", SIGNATURES_MAX);
		refuse(v, &why);
		finish_rejected(v);
		return;
	}
	ask_manifest(v, oci_descriptor_at(&v->found, v->next++)->digest_text);
}

static void referrers_done(void *ud, const struct objs *found, const struct err *e)
{
	struct verify *v = ud;

	v->referrers = NULL;
	v->found = found ? *found : (struct objs){0};
	v->next = 0;
	if (e)
		refuse(v, e);
	next_referrer(v);
}

static void ask_referrers(struct verify *v)
{
	v->referrers = referrers_get(&(struct referrers_want){.registry = v->want.registry,
							      .subject = &v->subjects[v->subject],
							      .artifact_type = SIGNATURE_ARTIFACT,
							      .arena = v->arena,
							      .done = referrers_done,
							      .ud = v});
}

static void ask_tag(struct verify *v)
{
	char tag[160];

	referrers_tag(&v->subjects[v->subject], ".sig", tag);
	ask_manifest(v, tag);
}

static void next_source(struct verify *v)
{
	if (v->source == SOURCE_TAG) {
		v->source = SOURCE_REFERRERS;
		ask_referrers(v);
	} else if (++v->subject < v->nsubjects) {
		v->source = SOURCE_TAG;
		ask_tag(v);
	} else {
		finish_rejected(v);
	}
}

/* ---- begin ---- */

/* What needs no signature is decided at once; -1 or the number of requirements still open. */
static int open_requirements(struct verify *v, const struct objs *all, struct err *e)
{
	const struct policy_requirement *r = all->v;
	char name[IMAGE_REF_TEXT_MAX], why[IMAGE_REF_TEXT_MAX + 100];

	v->open = xcalloc(all->n, sizeof(*v->open));
	image_ref_canonical(&v->ref, name);
	for (size_t i = 0; i < all->n; i++) {
		switch (r[i].kind) {
		case POLICY_ACCEPT:
			break;
		case POLICY_REJECT:
			snprintf(why, sizeof(why),
				 "Running image docker://%s is rejected by policy.", name);
			return rejected(e, why);
		case POLICY_UNSUPPORTED:
			snprintf(why, sizeof(why),
				 "the policy asks for %.60s in a form that is not supported",
				 r[i].type);
			return rejected(e, why);
		case POLICY_SIGSTORE:
			v->open[v->nopen].r = &r[i];
			if (signature_keys_load(&r[i], &v->open[v->nopen].keys, e) < 0)
				return err_wrap(e, "Source image rejected");
			v->nopen++;
			break;
		}
	}
	return (int)v->nopen;
}

int verify_start(const struct verify_want *w, struct verify **ret, struct err *e)
{
	const char *files[] = {w->service->policy, "/etc/coracle/policy.json",
			       "/etc/containers/policy.json"};
	struct policy *policy = NULL;

	*ret = NULL;
	if (policy_load(files, ARRAY_SIZE(files), &policy, e) < 0) {
		e->kind = ERR_DENIED;
		return err_wrap(e, "Source image rejected");
	}
	if (!policy)
		return 0;
	struct verify *v = NEW(struct verify);
	v->want = *w;
	v->want.registry = registry_hold(w->registry);
	v->ref = *w->ref;
	v->policy = policy;
	v->arena = arena_new();
	v->reasons = BUF_INIT(REASONS_MAX + 64);
	v->subjects[v->nsubjects++] = *w->top;
	if (!digest_eq(w->top, w->manifest))
		v->subjects[v->nsubjects++] = *w->manifest;
	int open = open_requirements(v, policy_for(policy, &v->ref), e);
	if (open <= 0) {
		verify_free(v);
		return open;
	}
	ask_tag(v);
	*ret = v;
	return 0;
}
