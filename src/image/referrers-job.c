/* SPDX-License-Identifier: Apache-2.0 */
/* image_referrers(): the name's manifest (or the index's member for a platform), its referrers. */
#include "image/referrers-job.h"

#include "image/manifest-list.h"

#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

#define ANSWER_MAX ((size_t)16 << 20)

void refer_done(struct refer_job *r)
{
	remote_cancel(r->remote);
	referrers_cancel(r->referrers);
	service_soon_cancel(r->soon);
	registry_close(r->registry);
	auth_credentials_wipe(&r->auth);
	arena_free(r->arena);
}

static void found(void *ud, const struct objs *v, const struct err *e)
{
	struct refer_job *r = ud;

	r->referrers = NULL;
	if (!e)
		r->found = *v;
	r->listed(r, e);
}

/* The member that a platform asks for, or the document itself. */
static int pick_subject(struct refer_job *r, const struct remote_doc *doc, struct err *e)
{
	const struct oci_descriptor *d;
	char want[96];

	r->subject = (struct oci_descriptor){
		.media_type = doc->media_type,
		.digest_text = arena_strdup(r->arena, doc->digest.text),
		.size = (int64_t)doc->n};
	if (doc->kind == MANIFEST_INDEX && r->platform_given) {
		d = image_platform_choose(&r->platform, &doc->index);
		image_platform_format(&r->platform, want);
		if (!d)
			return err_set(e, ERR_NOT_FOUND,
				       "no matching manifest for %s in the manifest list entries",
				       want);
		r->subject = *d;
	}
	(void)digest_parse(r->subject.digest_text, &r->subject_digest);
	return 0;
}

static void resolved(void *ud, const struct remote_doc *doc, const struct err *e)
{
	struct refer_job *r = ud;
	struct err err = e ? *e : ERR_INIT;

	r->remote = NULL;
	if (e && err.kind == ERR_NOT_FOUND)
		err_set(&err, ERR_NOT_FOUND, "no such manifest: %s", r->name);
	if (e || pick_subject(r, doc, &err) < 0) {
		r->listed(r, &err);
		return;
	}
	r->referrers = referrers_get(&(struct referrers_want){.registry = r->registry,
							      .subject = &r->subject_digest,
							      .artifact_type = r->artifact_type,
							      .arena = r->arena,
							      .done = found,
							      .ud = r});
}

static void begin(void *ud)
{
	struct refer_job *r = ud;

	r->soon = NULL;
	r->registry = registry_open(&(struct registry_options){.service = r->job.service,
							       .ref = &r->ref,
							       .auth = &r->auth,
							       .actions = "pull",
							       .insecure = r->insecure});
	r->remote = remote_get(&(struct remote_want){.service = r->job.service,
						     .ref = &r->ref,
						     .auth = &r->auth,
						     .insecure = r->insecure,
						     .arena = r->arena,
						     .done = resolved,
						     .ud = r});
}

int refer_init(struct refer_job *r, struct image_service *s, const struct image_referrers *o,
	       const struct image_job_events *ev, void (*drop)(struct image_job *), struct err *e)
{
	bool given = o->platform && *o->platform;

	if (manifest_ref_parse(o->ref, &r->ref, r->name, e) < 0 ||
	    (given && image_platform_parse(o->platform, &r->platform, e) < 0) ||
	    auth_credentials_decode(o->auth, &r->auth, e) < 0)
		return -1;
	job_init(&r->job, s, ev, drop);
	r->arena = arena_new();
	r->insecure = o->insecure;
	r->platform_given = given;
	r->artifact_type = arena_strdup(r->arena, o->artifact_type);
	r->soon = service_after(s, 0, begin, r);
	return 0;
}

static void list_drop(struct image_job *j)
{
	struct refer_job *r = CONTAINER_OF(j, struct refer_job, job);

	refer_done(r);
	free(r);
}

static void list_listed(struct refer_job *r, const struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(ANSWER_MAX);
	struct jw w = JW_INIT(&text);
	struct err err = e ? *e : ERR_INIT;

	if (e) {
		job_end(&r->job, NULL, &err);
		return;
	}
	jw_obj(&w);
	jw_kv_str(&w, "Name", r->name);
	jw_key(&w, "Subject");
	json_encode(&w, &oci_descriptor_schema, &r->subject);
	jw_key(&w, "Referrers");
	jw_arr(&w);
	for (size_t i = 0; i < r->found.n; i++)
		json_encode(&w, &oci_descriptor_schema, oci_descriptor_at(&r->found, i));
	jw_arr_end(&w);
	jw_obj_end(&w);
	if (text.overflow) {
		err_set(&err, ERR_LIMIT, "the list of referrers is larger than %zu bytes",
			ANSWER_MAX);
		job_end(&r->job, NULL, &err);
	} else {
		job_end(&r->job, buf_text(&text), NULL);
	}
}

int image_referrers(struct image_service *s, const struct image_referrers *o,
		    const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct refer_job *r = NEW(struct refer_job);

	if (refer_init(r, s, o, ev, list_drop, e) < 0) {
		free(r);
		return -1;
	}
	r->listed = list_listed;
	*ret = &r->job;
	return 0;
}
