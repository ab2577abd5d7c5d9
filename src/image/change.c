/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tag, remove, prune. Removing a name only untags while other names are left; the last name (or an
 * id) deletes the image, unless a container uses it.
 */
#include "image/known-priv.h"
#include "image/members.h"
#include "image/service-priv.h"
#include "spec/image.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* By an id: what it stands for under the first of its names. */
static int tag_id(struct image_service *s, const struct digest *id, const char *canonical,
		  struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;
	struct digest target = {0};

	if (store_image_get(s->store, id, &img, e) < 0)
		return -1;
	if (img->ntags)
		return store_ref_copy(s->store, img->tags[0], canonical, e);
	if (img->ndigests)
		return store_ref_copy(s->store, img->digests[0], canonical, e);
	if (img->nalso)
		(void)store_ref_target(s->store, img->also[0], &target);
	return store_ref_join(s->store, canonical, id, &target, true, e);
}

int image_tag(struct image_service *s, const char *text, const char *repo, const char *tag,
	      struct err *e)
{
	struct digest id;
	struct image_ref ref;
	char canonical[IMAGE_REF_TEXT_MAX], familiar[IMAGE_REF_TEXT_MAX];
	char from[MEMBER_REF_MAX];
	if (image_ref_parse(repo, &ref, e) < 0)
		return -1;
	if (digest_is_set(&ref.digest))
		return err_set(e, ERR_INVALID, "refusing to create a tag with a digest reference");
	if (tag && *tag) {
		if (!image_ref_tag_valid(tag))
			return err_set(e, ERR_INVALID, "invalid tag format");
		snprintf(ref.tag, sizeof(ref.tag), "%s", tag);
	}
	image_ref_default_tag(&ref);
	if (member_resolve(s, text, &id, from, e) < 0)
		return -1;
	image_ref_canonical(&ref, canonical);
	image_ref_familiar(&ref, familiar);
	if ((from[0] ? store_ref_copy(s->store, from, canonical, e)
		     : tag_id(s, &id, canonical, e)) < 0)
		return -1;
	service_event(s, "tag", id.text, familiar);
	return 0;
}

/* ---- remove ---- */

/* Images of other platforms. */
struct others {
	struct digest *v;
	size_t n;
};

struct remover {
	struct image_service *s;
	struct jw w;
	const struct store_image *img;
	const struct image_remove *o;
	struct others others;
	char short_id[13];
};

static void untagged(struct remover *r, const char *canonical)
{
	char familiar[IMAGE_REF_TEXT_MAX];
	image_ref_text_familiar(canonical, familiar);
	jw_obj(&r->w);
	jw_kv_str(&r->w, "Untagged", familiar);
	jw_obj_end(&r->w);
	service_event(r->s, "untag", r->img->id.text, r->img->id.text);
}

static void deleted(const struct digest *d, void *ud)
{
	struct remover *r = ud;
	jw_obj(&r->w);
	jw_kv_str(&r->w, "Deleted", d->text);
	jw_obj_end(&r->w);
}

/* What stands against removing the image itself. Hard: --force does not help. */
static int check_hard(struct remover *r, const struct image_user *u, struct err *e)
{
	if (u->mounted[0])
		return err_set(
			e, ERR_CONFLICT,
			"conflict: unable to delete %s (cannot be forced) - image is mounted "
			"at %s: see image unmount",
			r->short_id, u->mounted);
	if (u->running)
		return err_set(e, ERR_CONFLICT,
			       "conflict: unable to delete %s (cannot be forced) - image is being "
			       "used by running container %.12s",
			       r->short_id, u->id);
	return 0;
}

static bool repository_is(const char *ref, const char *name)
{
	size_t n = strlen(name);
	return !strncmp(ref, name, n) && (ref[n] == ':' || ref[n] == '@');
}

/* One name at most, digests of the same repository not counted: removing any of them by name, or
 * the image by id, is what the user meant. */
static bool single_reference(const struct store_image *img)
{
	char name[IMAGE_REF_TEXT_MAX];
	struct image_ref ref;
	struct err e = ERR_INIT;
	if (img->ntags + img->ndigests <= 1)
		return true;
	if (img->ntags > 1 ||
	    image_ref_parse(img->ntags ? img->tags[0] : img->digests[0], &ref, &e) < 0)
		return false;
	image_ref_name(&ref, name);
	for (size_t i = 0; i < img->ndigests; i++)
		if (!repository_is(img->digests[i], name))
			return false;
	return true;
}

/* ---- other platforms under the same names ---- */

static void add_others(struct others *o, struct image_service *s, const struct store_image *img,
		       const char **refs, size_t nrefs)
{
	struct err none = ERR_INIT;
	for (size_t i = 0; i < nrefs; i++) {
		AUTO_FREE struct digest *v = NULL;
		size_t n = 0, at;
		if (store_ref_images(s->store, refs[i], &v, &n, &none) < 0)
			continue;
		for (size_t k = 0; k < n; k++) {
			for (at = 0; at < o->n && !digest_eq(&o->v[at], &v[k]); at++)
				;
			if (at < o->n || digest_eq(&v[k], &img->id))
				continue;
			o->v = xrealloc(o->v, (o->n + 1) * sizeof(*o->v));
			o->v[o->n++] = v[k];
		}
	}
}

static struct others others_of(struct image_service *s, const struct store_image *img)
{
	struct others o = {NULL, 0};
	add_others(&o, s, img, img->tags, img->ntags);
	add_others(&o, s, img, img->digests, img->ndigests);
	return o;
}

static bool others_used(const struct others *o, const struct image_remove *how,
			struct image_user *ret)
{
	for (size_t i = 0; how && how->user && i < o->n; i++)
		if (how->user(how->ud, &o->v[i], ret))
			return true;
	return false;
}

/* Those that lost their last name with it. One that a container uses stays without a name. */
static int sweep_others(struct remover *r, const struct others *o, uint64_t *freed, struct err *e)
{
	for (size_t i = 0; i < o->n; i++) {
		AUTO(store_image) struct store_image *img = NULL;
		struct image_user u = {0};
		struct err none = ERR_INIT;
		uint64_t bytes = 0;
		if (store_image_get(r->s->store, &o->v[i], &img, &none) < 0 ||
		    img->ntags + img->ndigests + img->nalso > 0 ||
		    (r->o && r->o->user && r->o->user(r->o->ud, &o->v[i], &u)))
			continue;
		deleted(&o->v[i], r);
		if (store_image_delete(r->s->store, &o->v[i], deleted, r, &bytes, e) < 0)
			return -1;
		service_event(r->s, "delete", o->v[i].text, o->v[i].text);
		*freed += bytes;
	}
	return 0;
}

static int delete_all(struct remover *r, struct err *e)
{
	struct digest id = r->img->id;
	for (size_t i = 0; i < r->img->ntags; i++)
		untagged(r, r->img->tags[i]);
	for (size_t i = 0; i < r->img->ndigests; i++)
		untagged(r, r->img->digests[i]);
	jw_obj(&r->w);
	jw_kv_str(&r->w, "Deleted", id.text);
	jw_obj_end(&r->w);
	if (store_image_delete(r->s->store, &id, deleted, r, NULL, e) < 0)
		return -1;
	service_event(r->s, "delete", id.text, id.text);
	return 0;
}

static int drop_digests(struct remover *r, const struct image_ref *ref, struct err *e)
{
	char name[IMAGE_REF_TEXT_MAX];
	image_ref_name(ref, name);
	for (size_t i = 0; i < r->img->ndigests; i++) {
		if (!repository_is(r->img->digests[i], name))
			continue;
		if (store_ref_del(r->s->store, r->img->digests[i], NULL, e) < 0)
			return -1;
		untagged(r, r->img->digests[i]);
	}
	return 0;
}

static int remove_name(struct remover *r, const struct image_ref *ref, const char *text,
		       struct err *e)
{
	char canonical[IMAGE_REF_TEXT_MAX], name[IMAGE_REF_TEXT_MAX];
	struct image_user u = {0};
	bool used = (r->o->user && r->o->user(r->o->ud, &r->img->id, &u)) ||
		    others_used(&r->others, r->o, &u);
	bool tag = !digest_is_set(&ref->digest);
	size_t left = r->img->ntags + r->img->ndigests - 1;
	image_ref_canonical(ref, canonical);
	image_ref_name(ref, name);
	if (used && single_reference(r->img) && u.mounted[0])
		return check_hard(r, &u, e);
	if (used && single_reference(r->img) && !r->o->force)
		return err_set(e, ERR_CONFLICT,
			       "conflict: unable to remove repository reference \"%s\" (must "
			       "force) - container %.12s is using its referenced image %s",
			       text, u.id, r->short_id);
	/* With the last tag of a repository go its digests. */
	bool last = tag;
	for (size_t i = 0; i < r->img->ntags; i++)
		last &= !strcmp(r->img->tags[i], canonical) ||
			!repository_is(r->img->tags[i], name);
	for (size_t i = 0; last && i < r->img->ndigests; i++)
		left -= repository_is(r->img->digests[i], name);
	/* An image that runs loses its name only. */
	if (!left && !(used && u.running))
		return delete_all(r, e);
	if (store_ref_del(r->s->store, canonical, NULL, e) < 0)
		return -1;
	untagged(r, canonical);
	return last ? drop_digests(r, ref, e) : 0;
}

static int remove_id(struct remover *r, struct err *e)
{
	struct image_user u = {0};
	bool used = r->o->user && r->o->user(r->o->ud, &r->img->id, &u);
	if (used && check_hard(r, &u, e) < 0)
		return -1;
	if (!single_reference(r->img) && !r->o->force)
		return err_set(e, ERR_CONFLICT,
			       "conflict: unable to delete %s (must be forced) - image is "
			       "referenced in multiple repositories",
			       r->short_id);
	if (used && !r->o->force)
		return err_set(e, ERR_CONFLICT,
			       "conflict: unable to delete %s (must be forced) - image is being "
			       "used by stopped container %.12s",
			       r->short_id, u.id);
	return delete_all(r, e);
}

static int remove_any(struct remover *r, const char *text, struct err *e)
{
	struct digest by_name;
	struct image_ref ref;
	struct err none = ERR_INIT;
	char canonical[IMAGE_REF_TEXT_MAX], familiar[IMAGE_REF_TEXT_MAX];
	bool named = image_ref_parse(text, &ref, &none) == 0;
	if (named) {
		image_ref_default_tag(&ref);
		image_ref_canonical(&ref, canonical);
		named = store_ref_get(r->s->store, canonical, &by_name, &none) == 0;
	}
	if (!named)
		return remove_id(r, e);
	image_ref_familiar(&ref, familiar);
	return remove_name(r, &ref, familiar, e);
}

static int remove_begin(struct remover *r, const struct digest *id, struct store_image **ret,
			struct err *e)
{
	if (store_image_get(r->s->store, id, ret, e) < 0)
		return -1;
	r->img = *ret;
	r->others = others_of(r->s, r->img);
	digest_short(id, r->short_id);
	return 0;
}

/* Everything of one platform, under all its names; those that have others keep them. */
static int remove_platform(struct remover *r, const char *text, const char *platform, struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL, *now = NULL;
	struct image_user u = {0};
	struct digest id;
	if (image_find_platform(r->s, text, platform, &id, e) < 0 ||
	    store_image_get(r->s->store, &id, &img, e) < 0)
		return -1;
	r->img = img;
	digest_short(&id, r->short_id);
	if (r->o->user && r->o->user(r->o->ud, &id, &u) && check_hard(r, &u, e) < 0)
		return -1;
	if (store_ref_step_down(r->s->store, &id, e) < 0 ||
	    store_image_get(r->s->store, &id, &now, e) < 0)
		return -1;
	r->img = now;
	return delete_all(r, e);
}

static int remove_all(struct remover *r, const char *text, struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;
	const struct strs *p = &r->o->platforms;
	struct digest id;
	uint64_t freed = 0;
	if (p->n && !r->o->force)
		return err_set(e, ERR_INVALID,
			       "Content will be removed from all images referencing this variant. "
			       "Use --force to force delete.");
	for (size_t i = 0; i < p->n; i++)
		if (remove_platform(r, text, p->v[i], e) < 0)
			return -1;
	if (p->n)
		return 0;
	if (image_find(r->s, text, &id, e) < 0 || remove_begin(r, &id, &img, e) < 0)
		return -1;
	return remove_any(r, text, e) < 0 ? -1 : sweep_others(r, &r->others, &freed, e);
}

int image_remove(struct image_service *s, const char *text, const struct image_remove *o,
		 struct buf *out, struct err *e)
{
	AUTO_BUF struct buf answer = BUF_INIT((size_t)4 << 20);
	struct remover r = {.s = s, .w = JW_INIT(&answer), .o = o};
	jw_arr(&r.w);
	int rc = remove_all(&r, text, e);
	jw_arr_end(&r.w);
	free(r.others.v);
	if (rc == 0)
		buf_add(out, buf_text(&answer), answer.n);
	return rc;
}

/* ---- prune ---- */

struct candidates {
	struct digest *v;
	size_t n;
	const struct filters *f;
	int64_t until;
	bool all;
};

static int collect_one(const struct store_image *img, void *ud)
{
	struct candidates *c = ud;
	struct err e = ERR_INIT;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config config;
	if (!c->all && img->ntags)
		return 0;
	if (img->nalso && !img->ntags && !img->ndigests)
		return 0; /* it goes with the name that has it */
	if (image_config_decode(img->config, strlen(img->config), &config, a, &e) < 0)
		return 0;
	int64_t created = 0;
	if (config.created)
		clock_parse(config.created, &created);
	if (c->until && created >= c->until)
		return 0;
	if (c->f && !filters_match_labels(c->f, &config.config.labels))
		return 0;
	c->v = xrealloc(c->v, (c->n + 1) * sizeof(*c->v));
	c->v[c->n++] = img->id;
	return 0;
}

int image_prune(struct image_service *s, const struct filters *f, const struct image_remove *o,
		struct buf *out, struct err *e)
{
	static const char *const allowed[] = {"dangling", "label", "label!", "until", NULL};
	struct candidates c = {.f = f};
	uint64_t freed = 0;
	bool failed = false; /* then the answer is the first error, whatever else went */
	const struct strs *until = filters_get(f, "until");
	bool dangling;
	if (filters_check(f, allowed, e) < 0 || filters_bool(f, "dangling", true, &dangling, e) < 0)
		return -1;
	c.all = !dangling;
	if (until && until->n && clock_parse_when(until->v[0], clock_now_ns(), &c.until) < 0)
		return err_set(e, ERR_INVALID, "failed to parse value as time or duration: \"%s\"",
			       until->v[0]);
	if (store_image_each(s->store, collect_one, &c, e) < 0) {
		free(c.v);
		return -1;
	}
	struct jw w = JW_INIT(out);
	jw_obj(&w);
	jw_key(&w, "ImagesDeleted");
	jw_arr(&w);
	for (size_t i = 0; i < c.n; i++) {
		struct image_user u = {0};
		struct err one = ERR_INIT;
		AUTO(store_image) struct store_image *img = NULL;
		if ((o && o->user && o->user(o->ud, &c.v[i], &u)) ||
		    store_image_get(s->store, &c.v[i], &img, &one) < 0)
			continue;
		struct remover r = {.s = s, .w = w, .img = img, .o = o};
		struct others others = others_of(s, img);
		if (others_used(&others, o, &u)) {
			free(others.v);
			continue;
		}
		for (size_t k = 0; k < img->ntags; k++)
			untagged(&r, img->tags[k]);
		for (size_t k = 0; k < img->ndigests; k++)
			untagged(&r, img->digests[k]);
		deleted(&c.v[i], &r);
		uint64_t bytes = 0;
		if (store_image_delete(s->store, &c.v[i], deleted, &r, &bytes, &one) < 0) {
			if (!failed)
				*e = one;
			failed = true;
			free(others.v);
			continue;
		}
		service_event(s, "delete", c.v[i].text, c.v[i].text);
		freed += bytes;
		(void)sweep_others(&r, &others, &freed, &one);
		free(others.v);
		w = r.w;
	}
	known_sweep(s);
	free(c.v);
	jw_arr_end(&w);
	jw_kv_u64(&w, "SpaceReclaimed", freed);
	jw_obj_end(&w);
	return failed ? -1 : 0;
}
