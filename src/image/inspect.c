/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about images in Docker's shapes: inspect, list, history; looking an image up. */
#include "image/indexes.h"
#include "image/sources-priv.h"
#include "image/service-priv.h"
#include "spec/image.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define NANO 1000000000LL

/* A short name may stand for an image of another registry (registries.conf). */
static bool find_short(struct image_service *s, const char *text, const struct image_ref *ref,
		       struct digest *ret)
{
	char canonical[IMAGE_REF_TEXT_MAX];
	struct err none = ERR_INIT;
	struct short_names names;
	if (short_names_find(s, text, ref, &names, &none) < 0)
		return false;
	for (size_t i = 0; i < names.n; i++) {
		image_ref_canonical(&names.v[i], canonical);
		if (store_image_resolve(s->store, canonical, canonical, ret, &none) == 0)
			return true;
	}
	return false;
}

int image_find(struct image_service *s, const char *text, struct digest *ret, struct err *e)
{
	struct image_ref ref;
	char canonical[IMAGE_REF_TEXT_MAX], familiar[IMAGE_REF_TEXT_MAX];
	struct err why = ERR_INIT;
	const char *key = NULL;
	bool id = str_starts(text, "sha256:");
	if (!id && image_ref_parse(text, &ref, &why) == 0) {
		image_ref_default_tag(&ref);
		image_ref_canonical(&ref, canonical);
		key = canonical;
	} else if (!id && strspn(text, "0123456789abcdef") != strlen(text)) {
		return err_set(e, ERR_INVALID, "%s", why.text);
	}
	if (store_image_resolve(s->store, key, text, ret, e) == 0)
		return 0;
	if (key && e->kind == ERR_NOT_FOUND && find_short(s, text, &ref, ret))
		return 0;
	if (e->kind == ERR_NOT_FOUND) {
		snprintf(familiar, sizeof(familiar), "%s", text);
		if (key)
			image_ref_familiar(&ref, familiar);
		err_set(e, ERR_NOT_FOUND, "No such image: %s", familiar);
	}
	return -1;
}

static void write_refs(struct jw *w, const char *key, const char **v, size_t n)
{
	char text[IMAGE_REF_TEXT_MAX];
	jw_key(w, key);
	jw_arr(w);
	for (size_t i = 0; i < n; i++) {
		image_ref_text_familiar(v[i], text);
		jw_str(w, text);
	}
	jw_arr_end(w);
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static void write_graph(struct image_service *s, struct jw *w, const struct digest *id)
{
	struct err none = ERR_INIT;
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	AUTO_BUF struct buf lower = BUF_INIT((size_t)1 << 20);
	jw_key(w, "GraphDriver");
	jw_obj(w);
	jw_key(w, "Data");
	if (store_snapshot_of_image(s->store, id, &sn, &none) == 0 && sn->nlower) {
		jw_obj(w);
		for (size_t i = 1; i < sn->nlower; i++)
			buf_addf(&lower, "%s%s/%s", i > 1 ? ":" : "", sn->layers_dir, sn->lower[i]);
		if (lower.n)
			jw_kv_str(w, "LowerDir", buf_text(&lower));
		buf_reset(&lower);
		buf_addf(&lower, "%s/%s", sn->layers_dir, sn->lower[0]);
		jw_kv_str(w, "UpperDir", buf_text(&lower));
		jw_obj_end(w);
	} else {
		jw_null(w);
	}
	jw_kv_str(w, "Name", "overlay2");
	jw_obj_end(w);
}

static void write_range(struct jw *w, const char *key, int64_t min, int64_t max)
{
	jw_key(w, key);
	if (min < 0) {
		jw_null(w);
		return;
	}
	jw_obj(w);
	jw_kv_i64(w, "Min", min);
	jw_kv_i64(w, "Max", max);
	jw_obj_end(w);
}

/* Ours; clients of Docker skip what they do not know. Ranges are null while they are unknown
 * (layers of an older version) and for images without files. */
static void write_ours(struct image_service *s, struct jw *w, const struct digest *id)
{
	struct store_ids ids = STORE_IDS_NONE;
	struct err none = ERR_INIT;
	bool broken = false;

	(void)store_image_ids(s->store, id, &ids, &broken, &none);
	jw_key(w, "Coracle");
	jw_obj(w);
	write_range(w, "UidRange", ids.uid_min, ids.uid_max);
	write_range(w, "GidRange", ids.gid_min, ids.gid_max);
	jw_kv_bool(w, "Damaged", broken);
	jw_obj_end(w);
}

int image_inspect_json(struct image_service *s, const char *text, struct buf *out, struct err *e)
{
	struct digest id;
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config c;
	char when[CLOCK_TEXT_MAX];
	if (image_find(s, text, &id, e) < 0 || store_image_get(s->store, &id, &img, e) < 0 ||
	    image_config_decode(img->config, strlen(img->config), &c, a, e) < 0)
		return -1;
	struct jw w = JW_INIT(out);
	jw_obj(&w);
	jw_kv_str(&w, "Id", img->id.text);
	write_refs(&w, "RepoTags", img->tags, img->ntags);
	write_refs(&w, "RepoDigests", img->digests, img->ndigests);
	jw_kv_str(&w, "Parent", or_empty(c.parent));
	jw_kv_str(&w, "Comment", or_empty(c.comment));
	jw_kv_str(&w, "Created", c.created ? c.created : CLOCK_ZERO_TEXT);
	jw_kv_str(&w, "DockerVersion", or_empty(c.docker_version));
	jw_kv_str(&w, "Author", or_empty(c.author));
	jw_key(&w, "Config");
	if (c.config_raw)
		json_encode(&w, &container_config_schema, &c.config);
	else
		jw_null(&w);
	jw_kv_str(&w, "Architecture", or_empty(c.architecture));
	if (c.variant && *c.variant)
		jw_kv_str(&w, "Variant", c.variant);
	jw_kv_str(&w, "Os", or_empty(c.os));
	if (c.os_version && *c.os_version)
		jw_kv_str(&w, "OsVersion", c.os_version);
	jw_kv_u64(&w, "Size", img->size);
	jw_kv_u64(&w, "VirtualSize", img->size);
	write_graph(s, &w, &id);
	jw_key(&w, "RootFS");
	jw_obj(&w);
	jw_kv_str(&w, "Type", "layers");
	if (c.rootfs.diff_ids.n)
		jw_kv_strs(&w, "Layers", &c.rootfs.diff_ids);
	jw_obj_end(&w);
	jw_key(&w, "Metadata");
	jw_obj(&w);
	clock_format(img->stored, when);
	jw_kv_str(&w, "LastTagTime", when);
	jw_obj_end(&w);
	image_descriptor_write(s, img, &w);
	write_ours(s, &w, &id);
	jw_obj_end(&w);
	return out->overflow ? err_set(e, ERR_LIMIT, "the answer is too large") : 0;
}

/* ---- list ---- */

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

/* A list by reference shows only the names that match. */
static void write_wanted_refs(struct jw *w, const char *key, const struct filters *f,
			      const char *const *refs, size_t n)
{
	const struct strs *v = filters_get(f, "reference");
	char familiar[IMAGE_REF_TEXT_MAX];

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
	ret->parent = or_empty(c.parent);
	ret->next = l->fresh;
	struct facts *keep = arena_alloc(l->arena, sizeof(*keep));
	*keep = *ret;
	l->fresh = keep;
	return true;
}

static void keep_fresh(struct lister *l)
{
	struct err none = ERR_INIT;
	if (!l->fresh || store_begin(l->s->store, &none) < 0)
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
	jw_kv_i64(w, "Containers", l->o->users ? l->o->users(l->o->ud, &img->id) : -1);
	jw_kv_i64(w, "Created", x.created / NANO);
	jw_kv_str(w, "Id", img->id.text);
	jw_key(w, "Labels");
	jw_raw(w, *x.labels ? x.labels : "null");
	if (full && l->o->descriptor)
		image_descriptor_write(l->s, full, w);
	jw_kv_str(w, "ParentId", x.parent);
	write_wanted_refs(w, "RepoDigests", l->o->filters, img->digests, img->ndigests);
	write_wanted_refs(w, "RepoTags", l->o->filters, img->tags, img->ntags);
	if (l->o->sizes)
		(void)l->o->sizes(l->o->ud, &img->id, &size, &shared);
	if (full && l->manifests)
		size = (int64_t)image_manifests_write(l->manifests, full, w);
	jw_kv_i64(w, "SharedSize", shared);
	jw_kv_i64(w, "Size", size);
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

/* ---- history ---- */

static uint64_t layer_size(struct image_service *s, const struct store_image *img, size_t i)
{
	struct store_layer layer;
	struct err none = ERR_INIT;
	if (i >= img->nlayers || store_layer_get(s->store, &img->layers[i], &layer, &none) < 0)
		return 0;
	return layer.size;
}

int image_history_json(struct image_service *s, const char *text, struct buf *out, struct err *e)
{
	struct digest id;
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config c;
	if (image_find(s, text, &id, e) < 0 || store_image_get(s->store, &id, &img, e) < 0 ||
	    image_config_decode(img->config, strlen(img->config), &c, a, e) < 0)
		return -1;
	struct jw w = JW_INIT(out);
	const struct image_history *h = c.history.v;
	size_t layer = 0;
	for (size_t i = 0; i < c.history.n; i++)
		layer += !h[i].empty_layer;
	jw_arr(&w);
	for (size_t i = c.history.n; i > 0; i--) {
		int64_t ns = 0;
		if (h[i - 1].created)
			clock_parse(h[i - 1].created, &ns);
		jw_obj(&w);
		jw_kv_str(&w, "Comment", or_empty(h[i - 1].comment));
		jw_kv_i64(&w, "Created", ns / NANO);
		jw_kv_str(&w, "CreatedBy", or_empty(h[i - 1].created_by));
		jw_kv_str(&w, "Id", i == c.history.n ? img->id.text : "<missing>");
		jw_kv_u64(&w, "Size", h[i - 1].empty_layer ? 0 : layer_size(s, img, --layer));
		if (i == c.history.n && img->ntags) {
			write_refs(&w, "Tags", img->tags, img->ntags);
		} else {
			jw_key(&w, "Tags");
			jw_null(&w);
		}
		jw_obj_end(&w);
	}
	jw_arr_end(&w);
	return out->overflow ? err_set(e, ERR_LIMIT, "the answer is too large") : 0;
}
