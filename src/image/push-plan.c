/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tag's push consists of. The whole index when everything that it names is here: its
 * manifests by digest, itself under the tag. Otherwise one platform's manifest, as Docker does, and
 * the client is told that the index was not pushed.
 */
#include "image/members.h"
#include "image/push-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct planner {
	struct push *p;
	bool whole;
};

static void add(struct push *p, const struct push_doc *d)
{
	p->docs = xrealloc(p->docs, (p->ndocs + 1) * sizeof(*p->docs));
	p->docs[p->ndocs++] = *d;
}

static int plan_member(const struct index_member *m, void *ud, struct err *e)
{
	struct planner *x = ud;
	struct push_doc d = {.digest = m->digest, .image = m->image, .index = m->index};

	x->whole = x->whole && m->here;
	snprintf(d.type, sizeof(d.type), "%s", m->media_type);
	if (m->here)
		add(x->p, &d);
	return 0;
}

/* True: docs is the whole index. */
static bool plan_index(struct push *p, const struct digest *index)
{
	AUTO(arena) struct arena *a = arena_new();
	struct planner x = {.p = p, .whole = true};
	struct err none = ERR_INIT;

	if (index_walk(p->job.service, index, a, plan_member, &x, &none) == 0 && x.whole)
		return true;
	p->ndocs = 0;
	return false;
}

static int plan_one(struct push *p, const char *canonical, struct err *e)
{
	struct push_doc d = {.index = false};

	if (member_for(p->job.service, canonical, p->platform_given ? &p->platform : NULL, &d.image,
		       e) < 0)
		return -1;
	add(p, &d);
	return 0;
}

int push_plan(struct push *p, struct err *e)
{
	char canonical[IMAGE_REF_TEXT_MAX];
	struct digest index;

	p->ndocs = p->doc = 0;
	p->stripped = (struct digest){0};
	image_ref_canonical(&p->ref, canonical);
	if (!store_ref_target(p->job.service->store, canonical, &index) ||
	    !index_here(p->job.service, &index))
		return plan_one(p, canonical, e);
	/* Other compressions make other manifests: the index would name what nobody has. */
	if (!p->platform_given && !p->forced && plan_index(p, &index))
		return 0;
	if (!p->platform_given)
		p->stripped = index;
	return plan_one(p, canonical, e);
}

/* ---- the current document ---- */

static void repacked(void *ud, const struct err *e)
{
	struct push *p = ud;

	if (e)
		push_fail(p, e);
	else
		push_doc(p);
}

/* The manifest it came with may name blobs that the registry has, though they are not here. */
static bool manifest_will_do(struct push *p)
{
	return !p->rebuild && !p->forced && digest_is_set(&p->img->manifest) &&
	       store_blob_has(p->job.service->store, &p->img->manifest, NULL);
}

static void say_repacked(struct push *p)
{
	if (!p->parts->repacked)
		return;
	if (p->parts->other_id)
		job_linef(&p->job,
			  "Layers packed again, with other digests: %zu. The image pushed has the "
			  "ID %s",
			  p->parts->repacked, p->parts->config.digest.text);
	else
		job_linef(&p->job, "Layers packed again: %zu", p->parts->repacked);
}

int push_doc_load(struct push *p, struct err *e)
{
	const struct push_doc *d = &p->docs[p->doc];
	struct image_service *s = p->job.service;

	buf_reset(&p->index);
	if (d->index)
		return store_blob_read(s->store, &d->digest, &p->index, e);
	if (!digest_is_set(&d->image))
		return parts_of_manifest(s, &d->digest, d->type, &p->parts, e);
	if (store_image_get(s->store, &d->image, &p->img, e) < 0)
		return -1;
	if (!p->repack && !manifest_will_do(p) && repack_needed(s, p->img))
		return repack_start(s, p->img, p->lease, repacked, p, &p->repack, e) < 0 ? -1 : 1;
	if (parts_of(s, p->img, !p->rebuild && !p->forced, p->repack, &p->parts, e) < 0)
		return -1;
	say_repacked(p);
	parts_plan(s, p->parts, p->compression, p->forced);
	return 0;
}

struct push_sent push_doc_sent(const struct push *p)
{
	const struct push_doc *d = &p->docs[p->doc];

	if (d->index)
		return (struct push_sent){.digest = d->digest,
					  .type = d->type,
					  .text = buf_text(&p->index),
					  .size = p->index.n};
	return (struct push_sent){.digest = p->parts->manifest_digest,
				  .type = p->parts->media_type,
				  .text = buf_text(&p->parts->manifest),
				  .size = p->parts->manifest.n};
}

bool push_doc_is_last(const struct push *p)
{
	return p->doc + 1 == p->ndocs;
}

/* Docker's note for its command line: the manifest is there instead of the index. */
void push_say_stripped(struct push *p, const struct push_sent *sent)
{
	AUTO_BUF struct buf aux = BUF_INIT((size_t)64 << 10);
	struct jw w = JW_INIT(&aux);
	uint64_t size = 0;

	if (!digest_is_set(&p->stripped))
		return;
	store_blob_has(p->job.service->store, &p->stripped, &size);
	jw_obj(&w);
	jw_kv_bool(&w, "manifestPushedInsteadOfIndex", true);
	jw_key(&w, "originalIndex");
	jw_obj(&w);
	AUTO_FREE char *type = document_type(p->job.service, &p->stripped, true);
	jw_kv_str(&w, "mediaType", type);
	jw_kv_str(&w, "digest", p->stripped.text);
	jw_kv_u64(&w, "size", size);
	jw_obj_end(&w);
	jw_key(&w, "selectedManifest");
	jw_obj(&w);
	jw_kv_str(&w, "mediaType", sent->type);
	jw_kv_str(&w, "digest", sent->digest.text);
	jw_kv_u64(&w, "size", sent->size);
	jw_obj_end(&w);
	jw_obj_end(&w);
	if (p->job.ev.progress && !p->job.ended)
		p->job.ev.progress(p->job.ev.ud, &(struct image_progress){.aux = buf_text(&aux)});
}
