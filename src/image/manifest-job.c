/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to registries about manifests: distribution inspect, `manifest inspect`, and the
 * look-up of a new list's members for `manifest create`. One request after the other.
 */
#include "image/manifest-list.h"

#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

#define ANSWER_MAX ((size_t)64 << 20)

struct manifest_job {
	struct image_job job;
	struct arena *arena;
	struct auth_credentials auth, other;
	char *auths; /* X-Registry-Config; NULL */
	bool insecure, verbose, found;
	struct manifest_list list; /* found or made */
	struct strs names;	   /* canonical references of members to look up */
	size_t next;
	const struct oci_index *index; /* inspect: of the registry */
	const char *index_type;
	struct image_ref ref;
	struct remote *remote;
	struct service_soon *soon;
};

static void manifest_drop(struct image_job *j)
{
	struct manifest_job *m = CONTAINER_OF(j, struct manifest_job, job);

	remote_cancel(m->remote);
	service_soon_cancel(m->soon);
	auth_credentials_wipe(&m->auth);
	auth_credentials_wipe(&m->other);
	if (m->auths)
		explicit_bzero(m->auths, strlen(m->auths));
	free(m->auths);
	arena_free(m->arena);
	free(m);
}

static int manifest_new(struct image_service *s, const char *auth, bool insecure,
			const struct image_job_events *ev, struct manifest_job **ret, struct err *e)
{
	struct auth_credentials c;

	if (auth_credentials_decode(auth, &c, e) < 0)
		return -1;
	struct manifest_job *m = NEW(struct manifest_job);
	job_init(&m->job, s, ev, manifest_drop);
	m->arena = arena_new();
	m->auth = c;
	m->insecure = insecure;
	auth_credentials_wipe(&c);
	*ret = m;
	return 0;
}

/* A job that never started. */
static int manifest_undo(struct manifest_job *m)
{
	m->job.ended = true;
	list_del(&m->job.link);
	manifest_drop(&m->job);
	return -1;
}

static void fail(struct manifest_job *m, const struct err *e)
{
	struct err err = *e;

	job_end(&m->job, NULL, &err);
}

static void answer(struct manifest_job *m, const struct buf *text)
{
	struct err e = ERR_INIT;

	if (text->overflow) {
		err_set(&e, ERR_LIMIT, "the answer is larger than %zu bytes", text->max);
		fail(m, &e);
	} else {
		job_end(&m->job, buf_text(text), NULL);
	}
}

/* Credentials belong to one registry, and go to no other. */
static const struct auth_credentials *auth_for(struct manifest_job *m, const struct image_ref *ref)
{
	struct err ignored = ERR_INIT; /* it was decoded before */

	if (!m->auths)
		return strcmp(ref->domain, m->ref.domain) ? NULL : &m->auth;
	return auth_credentials_pick(m->auths, ref->domain, &m->other, &ignored) < 0 ? NULL
										     : &m->other;
}

static void look_up(struct manifest_job *m, const struct image_ref *ref, bool platform,
		    void (*done)(void *ud, const struct remote_doc *doc, const struct err *e))
{
	m->remote = remote_get(&(struct remote_want){.service = m->job.service,
						     .ref = ref,
						     .auth = auth_for(m, ref),
						     .insecure = m->insecure,
						     .platform = platform,
						     .arena = m->arena,
						     .done = done,
						     .ud = m});
}

/* ---- distribution inspect ---- */

static void add_platform(struct jw *w, const struct oci_platform *p)
{
	jw_obj(w);
	jw_kv_str(w, "architecture", p->architecture ? p->architecture : "");
	jw_kv_str(w, "os", p->os ? p->os : "");
	if (p->os_version && *p->os_version)
		jw_kv_str(w, "os.version", p->os_version);
	if (p->os_features.n)
		jw_kv_strs(w, "os.features", &p->os_features);
	if (p->variant && *p->variant)
		jw_kv_str(w, "variant", p->variant);
	jw_obj_end(w);
}

static void distribution_done(void *ud, const struct remote_doc *doc, const struct err *e)
{
	struct manifest_job *m = ud;
	AUTO_BUF struct buf text = BUF_INIT(ANSWER_MAX);
	struct jw w = JW_INIT(&text);

	m->remote = NULL;
	if (e) {
		fail(m, e);
		return;
	}
	jw_obj(&w);
	jw_key(&w, "Descriptor");
	jw_obj(&w);
	jw_kv_str(&w, "mediaType", doc->media_type);
	jw_kv_str(&w, "digest", doc->digest.text);
	jw_kv_u64(&w, "size", doc->n);
	jw_obj_end(&w);
	jw_key(&w, "Platforms");
	jw_arr(&w);
	for (size_t i = 0; i < doc->index.manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&doc->index.manifests, i);

		if (d->platform)
			add_platform(&w, d->platform);
	}
	if (doc->platform.architecture || doc->platform.os)
		add_platform(&w, &doc->platform);
	jw_arr_end(&w);
	jw_obj_end(&w);
	answer(m, &text);
}

static void distribution_begin(void *ud)
{
	struct manifest_job *m = ud;

	m->soon = NULL;
	look_up(m, &m->ref, true, distribution_done);
}

int image_distribution(struct image_service *s, const char *ref, const char *auth,
		       const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct manifest_job *m;
	struct image_ref parsed;
	char name[IMAGE_REF_TEXT_MAX];

	if (manifest_ref_parse(ref, &parsed, name, e) < 0 ||
	    manifest_new(s, auth, false, ev, &m, e) < 0)
		return -1;
	m->ref = parsed;
	m->soon = service_after(s, 0, distribution_begin, m);
	*ret = &m->job;
	return 0;
}

/* ---- manifest inspect ---- */

static void print_list(struct manifest_job *m, bool array)
{
	AUTO_BUF struct buf text = BUF_INIT(ANSWER_MAX);

	manifest_members_print(&m->list, array, &text);
	answer(m, &text);
}

static void inspect_next(struct manifest_job *m);

static void inspect_member(void *ud, const struct remote_doc *doc, const struct err *e)
{
	struct manifest_job *m = ud;
	struct err err = ERR_INIT;
	const struct oci_descriptor *d = oci_descriptor_at(&m->index->manifests, m->next);
	struct list_member member;

	m->remote = NULL;
	if (e) {
		err = *e;
		err_wrap(&err, "manifest %s", d->digest_text);
		fail(m, &err);
		return;
	}
	manifest_member_from(doc, d->platform, &member, m->arena);
	member.ref = arena_printf(m->arena, "%s@%s", m->list.name, d->digest_text);
	if (manifest_list_add(&m->list, &member, m->arena, &err) < 0) {
		fail(m, &err);
		return;
	}
	m->next++;
	inspect_next(m);
}

/* -v of an index: every member's own document. */
static void inspect_next(struct manifest_job *m)
{
	struct image_ref ref = m->ref;
	struct err e = ERR_INIT;

	if (m->next == m->index->manifests.n) {
		print_list(m, true);
		return;
	}
	const struct oci_descriptor *d = oci_descriptor_at(&m->index->manifests, m->next);
	if (digest_parse(d->digest_text, &ref.digest) < 0 ||
	    (uint64_t)d->size > IMAGE_MANIFEST_MAX) {
		err_set(&e, ERR_LIMIT, "manifest %s is larger than %zu bytes", d->digest_text,
			IMAGE_MANIFEST_MAX);
		fail(m, &e);
		return;
	}
	look_up(m, &ref, false, inspect_member);
}

static void inspect_done(void *ud, const struct remote_doc *doc, const struct err *e)
{
	struct manifest_job *m = ud;
	struct err err = ERR_INIT;
	struct list_member member;
	AUTO_BUF struct buf text = BUF_INIT(ANSWER_MAX);

	m->remote = NULL;
	if (e) {
		err = *e;
		if (err.kind == ERR_NOT_FOUND)
			err_set(&err, ERR_NOT_FOUND, "no such manifest: %s", m->list.name);
		fail(m, &err);
	} else if (doc->kind == MANIFEST_INDEX && m->verbose) {
		struct oci_index *index = arena_alloc(m->arena, sizeof(*index));

		*index = doc->index;
		m->index = index;
		inspect_next(m);
	} else if (doc->kind == MANIFEST_INDEX) {
		manifest_index_print(&doc->index, doc->media_type, &text);
		answer(m, &text);
	} else if (m->verbose) {
		manifest_member_from(doc, NULL, &member, m->arena);
		(void)manifest_list_add(&m->list, &member, m->arena, &err);
		print_list(m, false);
	} else {
		manifest_print(doc->text, &text);
		answer(m, &text);
	}
}

static void inspect_local(struct manifest_job *m)
{
	AUTO_BUF struct buf text = BUF_INIT(ANSWER_MAX);
	struct err e = ERR_INIT;
	const char *type;

	if (m->verbose) {
		print_list(m, true);
		return;
	}
	/* Members without a platform are shown, too: they can still be annotated. */
	struct oci_descriptor *v = arena_alloc(m->arena, (m->list.members.n + 1) * sizeof(*v));
	struct oci_index index = {.manifests = {.v = v, .n = m->list.members.n}};
	for (size_t i = 0; i < m->list.members.n; i++)
		v[i] = manifest_list_at(&m->list, i)->descriptor;
	if (manifest_list_encode(&m->list, &text, &type, &e) < 0) {
		buf_reset(&text);
		manifest_index_print(&index, DOCKER_LIST_TYPE, &text);
	}
	answer(m, &text);
}

static void inspect_begin(void *ud)
{
	struct manifest_job *m = ud;
	AUTO_BUF struct buf text = BUF_INIT(ANSWER_MAX);

	m->soon = NULL;
	if (m->names.n && m->verbose) {
		print_list(m, false);
	} else if (m->names.n) {
		manifest_print(manifest_list_at(&m->list, 0)->raw, &text);
		answer(m, &text);
	} else if (m->found) {
		inspect_local(m);
	} else {
		look_up(m, &m->ref, m->verbose, inspect_done);
	}
}

/* The one member that was asked for takes the list's place. */
static int pick_member(struct manifest_job *m, const char *list, const char *name, struct err *e)
{
	struct image_service *s = m->job.service;
	struct list_member *found;

	if (manifest_list_load(s, list, &m->list, m->arena, e) < 0)
		return -1;
	found = manifest_list_find(&m->list, name);
	if (!found)
		return err_set(e, ERR_NOT_FOUND, "No such manifest: %s", name);
	m->list.members = (struct objs){.v = found, .n = 1, .set = true};
	strs_push(&m->names, m->arena, found->ref);
	return 0;
}

int image_manifest_inspect(struct image_service *s, const struct image_manifest_inspect *o,
			   const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct manifest_job *m;
	struct image_ref ref;
	char name[IMAGE_REF_TEXT_MAX];

	if (manifest_ref_parse(o->ref, &ref, name, e) < 0 ||
	    manifest_new(s, o->auth, o->insecure, ev, &m, e) < 0)
		return -1;
	m->ref = ref;
	m->verbose = o->verbose;
	if (o->list && *o->list) {
		if (pick_member(m, o->list, name, e) < 0)
			return manifest_undo(m);
	} else if (manifest_list_load(s, o->ref, &m->list, m->arena, e) == 0) {
		m->found = true;
	} else if (e->kind == ERR_NOT_FOUND) {
		err_clear(e);
	} else {
		return manifest_undo(m);
	}
	m->soon = service_after(s, 0, inspect_begin, m);
	*ret = &m->job;
	return 0;
}

/* ---- manifest create ---- */

static void create_next(struct manifest_job *m);

static void create_member(void *ud, const struct remote_doc *doc, const struct err *e)
{
	struct manifest_job *m = ud;
	struct err err = e ? *e : ERR_INIT;
	const char *name = m->names.v[m->next];
	struct list_member member;

	m->remote = NULL;
	if (e && err.kind == ERR_NOT_FOUND)
		err_set(&err, ERR_NOT_FOUND, "no such manifest: %s", name);
	else if (!e && doc->kind == MANIFEST_INDEX)
		err_set(&err, ERR_INVALID, "%s is a manifest list", name);
	if (err.kind != ERR_NONE) {
		fail(m, &err);
		return;
	}
	manifest_member_from(doc, NULL, &member, m->arena);
	if (manifest_list_add(&m->list, &member, m->arena, &err) < 0) {
		fail(m, &err);
		return;
	}
	m->next++;
	create_next(m);
}

static void create_next(struct manifest_job *m)
{
	struct image_ref ref;
	struct err e = ERR_INIT;
	AUTO_BUF struct buf text = BUF_INIT(4096);
	struct jw w = JW_INIT(&text);

	/* What is in the list stays as it is, with its annotations. */
	while (m->next < m->names.n && manifest_list_find(&m->list, m->names.v[m->next]))
		m->next++;
	if (m->next < m->names.n) {
		if (image_ref_parse(m->names.v[m->next], &ref, &e) < 0)
			fail(m, &e);
		else
			look_up(m, &ref, true, create_member);
		return;
	}
	if (manifest_list_save(m->job.service, &m->list, &e) < 0) {
		fail(m, &e);
		return;
	}
	jw_obj(&w);
	jw_kv_str(&w, "Name", m->list.name);
	jw_obj_end(&w);
	answer(m, &text);
}

static void create_begin(void *ud)
{
	struct manifest_job *m = ud;

	m->soon = NULL;
	create_next(m);
}

static int create_names(struct manifest_job *m, const struct strs *members, struct err *e)
{
	struct image_ref ref;
	char name[IMAGE_REF_TEXT_MAX];

	if (!members->n)
		return err_set(e, ERR_INVALID, "a manifest list needs at least one manifest");
	if (members->n > MANIFEST_LIST_MEMBERS_MAX)
		return err_set(e, ERR_LIMIT, "manifest list %s: at most %d manifests are accepted",
			       m->list.name, MANIFEST_LIST_MEMBERS_MAX);
	for (size_t i = 0; i < members->n; i++) {
		if (manifest_ref_parse(members->v[i], &ref, name, e) < 0)
			return -1;
		strs_push(&m->names, m->arena, arena_strdup(m->arena, name));
	}
	return 0;
}

int image_manifest_create(struct image_service *s, const struct image_manifest_create *o,
			  const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct auth_credentials unused;
	struct manifest_job *m;
	int rc;

	if (auth_credentials_pick(o->auths, "", &unused, e) < 0 ||
	    manifest_new(s, o->auth, o->insecure, ev, &m, e) < 0)
		return -1;
	m->auths = o->auths && *o->auths ? xstrdup(o->auths) : NULL;
	rc = manifest_list_load(s, o->list, &m->list, m->arena, e);
	if (rc < 0 && e->kind == ERR_NOT_FOUND) {
		err_clear(e);
		rc = 0;
	} else if (rc == 0 && !o->amend) {
		rc = err_set(e, ERR_CONFLICT,
			     "refusing to amend an existing manifest list with no --amend flag");
	}
	if (rc == 0 && digest_is_set(&m->list.ref.digest))
		rc = err_set(e, ERR_INVALID, "a manifest list needs a tag, not a digest");
	if (rc < 0 || create_names(m, o->members, e) < 0)
		return manifest_undo(m);
	m->ref = m->list.ref;
	m->soon = service_after(s, 0, create_begin, m);
	*ret = &m->job;
	return 0;
}
