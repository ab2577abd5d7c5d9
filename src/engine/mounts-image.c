/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of type image: which image they mean, its layers at a start, and that it stays. */
#include "engine/engine-priv.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const struct json_field option_fields[] = {
	JSON_FIELD(JT_STR, struct mount_image_options, subpath, "Subpath", 0),
	{0},
};
static const struct json_schema option_schema = {"ImageOptions", sizeof(struct mount_image_options),
						 option_fields};

/* Relative, and never above where it starts. */
static bool subpath_is_local(const char *p)
{
	struct str rest = str_of(p), part;
	size_t depth = 0;

	if (*p == '/')
		return false;
	while (rest.n > 0 && str_cut(&rest, '/', &part)) {
		if (str_eq(part, "..") && depth-- == 0)
			return false;
		depth += part.n > 0 && !str_eq(part, ".") && !str_eq(part, "..");
	}
	return true;
}

int mount_image_resolve(struct engine *g, const struct mount_spec *s, struct mount_point *m,
			struct arena *a, struct err *e)
{
	const char *options = s->image_options;
	struct mount_image_options o = {0};
	struct digest id;

	if (!s->source || !*s->source)
		return err_set(e, ERR_INVALID,
			       "invalid mount config for type \"image\": field Source must not be "
			       "empty");
	if (options && strcmp(options, "null") != 0 &&
	    json_decode_text(options, strlen(options), &option_schema, &o, a, e) < 0)
		return -1;
	if (o.subpath && !subpath_is_local(o.subpath))
		return err_set(
			e, ERR_INVALID,
			"invalid mount config for type \"image\": subpath must be a relative "
			"path within the volume");
	if (image_default_is(s->source) && image_default_ensure(g->images, e) < 0)
		return -1;
	if (image_find(g->images, s->source, &id, e) < 0)
		return -1;
	m->image = arena_strdup(a, id.text);
	m->image_ref = arena_strdup(a, s->source);
	m->subpath = o.subpath && *o.subpath ? o.subpath : NULL;
	m->rw = false;
	return 0;
}

/* The layers are looked up at each start: a repair may have put them elsewhere. */
int mount_image_layers(struct container *c, struct mount_point *m, struct err *e)
{
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	struct digest id;
	bool same;

	if (digest_parse(m->image, &id) < 0)
		return err_set(e, ERR_INVALID, "No such image: %s", m->image);
	if (store_snapshot_of_image(c->g->store, &id, &sn, e) < 0)
		return err_wrap(e, "mount image %s", m->image_ref);
	same = sn->nlower == m->lower.n;
	for (size_t i = 0; same && i < sn->nlower; i++)
		same = strcmp(m->lower.v[i], sn->lower[i]) == 0;
	if (same)
		return 0;
	m->lower = (struct strs){0};
	for (size_t i = 0; i < sn->nlower; i++)
		strs_push(&m->lower, c->arena, arena_strdup(c->arena, sn->lower[i]));
	return 0;
}

static const struct mount_point *find_mounted(const struct container *c, const char *image)
{
	const struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; i < c->meta.mounts.n; i++)
		if (m[i].image && strcmp(m[i].image, image) == 0)
			return &m[i];
	return NULL;
}

bool container_uses_image(const struct container *c, const char *id)
{
	return strcmp(c->image_id, id) == 0 || find_mounted(c, id);
}

bool mount_image_at(const struct engine *g, const char *image, char *ret, size_t size)
{
	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		const struct mount_point *m = find_mounted(c, image);

		if (!m)
			continue;
		snprintf(ret, size, "%.3000s of container %.12s", m->destination, c->id);
		return true;
	}
	return false;
}
