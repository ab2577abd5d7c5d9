/* SPDX-License-Identifier: Apache-2.0 */
/* GET /images/json: the list of images and its filters. */
#include "image/indexes.h"
#include "image/service-priv.h"
#include "spec/image.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define NANO 1000000000LL

/* filters "reference": a shell pattern against the familiar name with or without the tag. */
static bool glob(const char *p, const char *s)
{
	for (; *p; p++, s++) {
		if (*p == '*') {
			while (*p == '*')
				p++;
			for (;; s++) {
				if (glob(p, s))
					return true;
				if (!*s || *s == '/')
					return false;
			}
		}
		if (!*s || (*p == '?' ? *s == '/' : *p != *s))
			return false;
	}
	return !*s;
}

static bool ref_matches(const char *pattern, const char *canonical)
{
	char familiar[IMAGE_REF_TEXT_MAX], name[IMAGE_REF_TEXT_MAX];
	struct image_ref ref;
	struct err e = ERR_INIT;
	image_ref_text_familiar(canonical, familiar);
	if (glob(pattern, familiar) || glob(pattern, canonical))
		return true;
	if (image_ref_parse(canonical, &ref, &e) < 0)
		return false;
	image_ref_familiar_name(&ref, name);
	return glob(pattern, name);
}

static int64_t created_of(const struct image_config *c)
{
	int64_t ns = 0;
	if (c->created)
		clock_parse(c->created, &ns);
	return ns;
}

/* What a list needs of a config. */
struct facts {
	struct digest id;
	int64_t created;
	const char *labels, *parent; /* labels: JSON object or "" */
	struct facts *next;
};

struct lister {
	struct image_service *s;
	const struct image_list *o;
	struct arena *arena;
	struct facts *fresh; /* learnt now */
	struct jw w;
	struct image_manifests *manifests; /* NULL: not asked for */
	int64_t before, since;		   /* created of the images named, 0: no filter */
	int64_t until;
};

static bool wanted_by_ref(const struct filters *f, const struct store_image_row *img)
{
	const struct strs *v = filters_get(f, "reference");
	if (!v || !v->n)
		return true;
	for (size_t k = 0; k < v->n; k++) {
		for (size_t i = 0; i < img->ntags; i++)
			if (ref_matches(v->v[k], img->tags[i]))
				return true;
		for (size_t i = 0; i < img->ndigests; i++)
			if (ref_matches(v->v[k], img->digests[i]))
				return true;
	}
	return false;
}

/* A list by reference shows only the names that match. Old clients want to read that there is
 * none. */
static void write_wanted_refs(struct lister *l, const char *key, const char *no_ref,
			      const char *const *refs, size_t n)
{
	const struct strs *v = filters_get(l->o->filters, "reference");
	char familiar[IMAGE_REF_TEXT_MAX];
	struct jw *w = &l->w;

	jw_key(w, key);
	jw_arr(w);
	for (size_t i = 0; i < n; i++) {
		bool match = !v || !v->n;

		for (size_t k = 0; v && k < v->n && !match; k++)
			match = ref_matches(v->v[k], refs[i]);
		if (!match)
			continue;
		image_ref_text_familiar(refs[i], familiar);
		jw_str(w, familiar);
	}
	if (!n && l->o->api < 43)
		jw_str(w, no_ref);
	jw_arr_end(w);
}

static bool truth(const char *s)
{
	return !strcmp(s, "1") || !strcmp(s, "true") || !strcmp(s, "True") || !strcmp(s, "TRUE") ||
	       !strcmp(s, "t");
}

static void add_label(const char *key, struct json *value, void *ud)
{
	struct strmap *m = ud; /* v has room for all */
	const char *text = json_str(value);
	m->v[m->n++] = (struct strmap_entry){key, text ? text : ""};
}

static bool wanted_by_labels(const struct lister *l, const struct facts *x)
{
	const struct filters *f = l->o->filters;
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;
	struct strmap labels = {NULL, 0};
	if (!filters_get(f, "label") && !filters_get(f, "label!"))
		return true;
	if (*x->labels && json_parse(x->labels, strlen(x->labels), &j, &none) == 0) {
		labels.v = arena_alloc(l->arena, (json_len(j) + 1) * sizeof(*labels.v));
		json_each(j, add_label, &labels);
	}
	return filters_match_labels(f, &labels);
}

static bool wanted(const struct lister *l, const struct store_image_row *img, const struct facts *x)
{
	const struct filters *f = l->o->filters;
	/* Another platform of a name that is in the list already. */
	if (!l->o->all && img->nalso && !img->ntags && !img->ndigests)
		return false;
	if (!f || !f->n)
		return true;
	const struct strs *dangling = filters_get(f, "dangling");
	if (dangling && dangling->n && truth(dangling->v[0]) != (img->ntags == 0))
		return false;
	if (l->before && x->created >= l->before)
		return false;
	if (l->since && x->created <= l->since)
		return false;
	if (l->until && x->created >= l->until)
		return false;
	return wanted_by_labels(l, x) && wanted_by_ref(f, img);
}

/* From the row, or once from the config and then kept. False: the config cannot be read. */
static bool facts_of(struct lister *l, const struct store_image_row *row, struct facts *ret)
{
	AUTO(store_image) struct store_image *img = NULL;
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
	struct jw w = JW_INIT(&text);
	struct err e = ERR_INIT;
	struct image_config c;
	*ret = (struct facts){row->id, row->created, row->labels, row->parent, NULL};
	if (row->created != -1)
		return true;
	if (store_image_get(l->s->store, &row->id, &img, &e) < 0 ||
	    image_config_decode(img->config, strlen(img->config), &c, l->arena, &e) < 0)
		return false;
	if (c.config.labels.n) {
		jw_obj(&w);
		for (size_t i = 0; i < c.config.labels.n; i++)
			jw_kv_str(&w, c.config.labels.v[i].k, c.config.labels.v[i].v);
		jw_obj_end(&w);
	}
	ret->created = created_of(&c);
	ret->labels = arena_strdup(l->arena, buf_text(&text));
	ret->parent = c.parent ? c.parent : "";
	ret->next = l->fresh;
	struct facts *keep = arena_alloc(l->arena, sizeof(*keep));
	*keep = *ret;
	l->fresh = keep;
	return true;
}

static void keep_fresh(struct lister *l)
{
	struct err none = ERR_INIT;
	if (!l->fresh || store_begin(l->s->store, false, &none) < 0)
		return;
	for (const struct facts *x = l->fresh; x; x = x->next)
		(void)store_image_facts(l->s->store, &x->id, x->created, x->labels, x->parent,
					&none);
	(void)store_end(l->s->store, true, &none);
}

static int list_one(const struct store_image_row *img, void *ud)
{
	struct lister *l = ud;
	struct facts x;
	struct jw *w = &l->w;
	int64_t size = (int64_t)img->size, shared = -1;
	AUTO(store_image) struct store_image *full = NULL;
	struct err none = ERR_INIT;
	if (!facts_of(l, img, &x) || !wanted(l, img, &x))
		return 0;
	if ((l->manifests || l->o->descriptor) &&
	    store_image_get(l->s->store, &img->id, &full, &none) < 0)
		return 0; /* gone meanwhile */
	jw_obj(w);
	jw_kv_i64(w, "Containers",
		  l->o->users && (l->o->counted || l->o->api >= 51)
			  ? l->o->users(l->o->ud, &img->id)
			  : -1);
	jw_kv_i64(w, "Created", x.created / NANO);
	jw_kv_str(w, "Id", img->id.text);
	jw_key(w, "Labels");
	jw_raw(w, *x.labels ? x.labels : "null");
	if (full && l->o->descriptor)
		image_descriptor_write(l->s, full, true, w);
	jw_kv_str(w, "ParentId", x.parent);
	write_wanted_refs(l, "RepoDigests", "<none>@<none>", img->digests, img->ndigests);
	write_wanted_refs(l, "RepoTags", "<none>:<none>", img->tags, img->ntags);
	if (l->o->sizes)
		(void)l->o->sizes(l->o->ud, &img->id, &size, &shared);
	if (full && l->manifests)
		size = (int64_t)image_manifests_write(l->manifests, full, w);
	jw_kv_i64(w, "SharedSize", shared);
	jw_kv_i64(w, "Size", size);
	if (l->o->api < 44)
		jw_kv_i64(w, "VirtualSize", size);
	jw_obj_end(w);
	return 0;
}

static int filter_image_time(struct image_service *s, const struct filters *f, const char *name,
			     int64_t *ret, struct err *e)
{
	const struct strs *v = filters_get(f, name);
	struct digest id;
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config c;
	if (!v || !v->n)
		return 0;
	if (image_find(s, v->v[0], &id, e) < 0 || store_image_get(s->store, &id, &img, e) < 0 ||
	    image_config_decode(img->config, strlen(img->config), &c, a, e) < 0)
		return -1;
	*ret = created_of(&c);
	return 0;
}

int image_list_json(struct image_service *s, const struct image_list *o, struct buf *out,
		    struct err *e)
{
	static const char *const allowed[] = {"dangling", "label",     "label!", "before",
					      "since",	  "reference", "until",	 NULL};
	AUTO(arena) struct arena *a = arena_new();
	struct lister l = {.s = s, .o = o, .arena = a, .w = JW_INIT(out)};
	AUTO(image_manifests) struct image_manifests *manifests = NULL;
	if (o->manifests && !(manifests = image_manifests_new(s, o, e)))
		return -1;
	l.manifests = manifests;
	if (o->filters) {
		const struct strs *until = filters_get(o->filters, "until");
		if (filters_check(o->filters, allowed, e) < 0 ||
		    filter_image_time(s, o->filters, "before", &l.before, e) < 0 ||
		    filter_image_time(s, o->filters, "since", &l.since, e) < 0)
			return -1;
		if (until && until->n &&
		    clock_parse_when(until->v[0], clock_now_ns(), &l.until) < 0)
			return err_set(e, ERR_INVALID, "invalid filter 'until=%s'", until->v[0]);
	}
	jw_arr(&l.w);
	if (store_image_rows(s->store, list_one, &l, e) < 0)
		return -1;
	jw_arr_end(&l.w);
	keep_fresh(&l);
	return out->overflow ? err_set(e, ERR_LIMIT, "the answer is too large") : 0;
}
