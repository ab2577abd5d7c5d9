/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as users see them: create, list, inspect, remove, prune. */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <string.h>

#include "base/banned.h"

static void volume_write(const struct store_volume *v, struct jw *w)
{
	char when[CLOCK_TEXT_MAX];

	clock_format(v->created / 1000000000 * 1000000000, when);
	jw_obj(w);
	jw_kv_str(w, "CreatedAt", when);
	jw_kv_str(w, "Driver", v->driver ? v->driver : "local");
	jw_key(w, "Labels");
	jw_raw(w, v->labels && *v->labels ? v->labels : "null");
	jw_kv_str(w, "Mountpoint", v->mountpoint);
	jw_kv_str(w, "Name", v->name);
	jw_key(w, "Options");
	jw_raw(w, v->options && *v->options ? v->options : "null");
	jw_kv_str(w, "Scope", "local");
	jw_obj_end(w);
}

void map_text(const struct strmap *m, struct buf *out)
{
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	for (size_t i = 0; i < m->n; i++)
		jw_kv_str(&w, m->v[i].k, m->v[i].v);
	jw_obj_end(&w);
}

int engine_volume_create(struct engine *g, const struct volume_create *body, struct buf *out,
			 struct err *e)
{
	AUTO_BUF struct buf labels = BUF_INIT(1 << 20), options = BUF_INIT(1 << 20);
	AUTO(store_volume) struct store_volume *v = NULL;
	struct store_volume want = {.driver = "local"};
	struct jw w = JW_INIT(out);
	char id[ENGINE_ID_MAX];
	bool made = false;

	if ((body->driver && *body->driver && strcmp(body->driver, "local") != 0 &&
	     strcmp(body->driver, "default") != 0 && volume_driver_unknown(body->driver, e) < 0) ||
	    volume_options_check(&body->driver_opts, e) < 0)
		return err_wrap(e, "create %s", body->name ? body->name : "");
	if (body->cluster_spec && strcmp(body->cluster_spec, "null") != 0)
		return err_set(e, ERR_UNSUPPORTED, "cluster volumes are not built in coracle yet");
	want.name = body->name;
	map_text(&body->labels, &labels);
	want.labels = body->labels.set ? buf_text(&labels) : NULL;
	if (body->driver_opts.set) {
		map_text(&body->driver_opts, &options);
		want.options = buf_text(&options);
	}
	if (!want.name || !*want.name) {
		id_random(id);
		want.name = id;
		want.anonymous = true;
		want.labels = body->labels.n > 0 ? buf_text(&labels)
						 : "{\"com.docker.volume.anonymous\":\"\"}";
	}
	if (store_volume_name_check(want.name, e) < 0 ||
	    store_volume_create(g->store, &want, &v, &made, e) < 0)
		return -1;
	if (made)
		engine_event_publish(g, "volume", "create", v->name, "driver", "local", NULL);
	volume_write(v, &w);
	return 0;
}

struct volume_list {
	struct engine *g;
	const struct filters *f;
	struct jw w;
	struct arena *a;
	struct strs prune;
	bool every;
	bool only_dangling, only_used;
};

static bool name_contains(const struct filters *f, const char *name)
{
	const struct strs *v = filters_get(f, "name");

	for (size_t i = 0; v && i < v->n; i++)
		if (strstr(name, v->v[i]))
			return true;
	return !v || v->n == 0;
}

struct labels_holder {
	struct strmap labels;
};
static const struct json_field labels_fields[] = {
	JSON_FIELD(JT_MAP, struct labels_holder, labels, "l", 0), {0}};
static const struct json_schema labels_schema = {"labels", sizeof(struct labels_holder),
						 labels_fields};

static bool volume_labels_match(const struct volume_list *l, const struct store_volume *v)
{
	struct labels_holder h = {0};
	struct err e = ERR_INIT;
	AUTO_FREE char *text = xasprintf("{\"l\":%s}", v->labels && *v->labels ? v->labels : "{}");

	return json_decode_text(text, strlen(text), &labels_schema, &h, l->a, &e) == 0 &&
	       filters_match_labels(l->f, &h.labels);
}

static int volume_list_one(const struct store_volume *v, void *ud)
{
	struct volume_list *l = ud;
	if (!name_contains(l->f, v->name) || !filters_match(l->f, "driver", v->driver) ||
	    !volume_labels_match(l, v))
		return 0;
	if ((l->only_dangling || l->only_used) &&
	    l->only_used != volume_in_use(l->g, v->name, NULL))
		return 0;
	volume_write(v, &l->w);
	return 0;
}

int engine_volume_list(struct engine *g, const struct filters *f, struct buf *out, struct err *e)
{
	static const char *const allowed[] = {"dangling", "name",   "driver",
					      "label",	  "label!", NULL};
	AUTO(arena) struct arena *a = arena_new();
	struct volume_list l = {.g = g, .f = f, .w = JW_INIT(out), .a = a};
	bool dangling;

	if (filters_check(f, allowed, e) < 0 ||
	    filters_bool(f, "dangling", false, &dangling, e) < 0)
		return -1;
	if (filters_get(f, "dangling") && filters_get(f, "dangling")->n > 0) {
		l.only_dangling = dangling;
		l.only_used = !dangling;
	}
	jw_obj(&l.w);
	jw_key(&l.w, "Volumes");
	jw_arr(&l.w);
	if (store_volume_each(g->store, volume_list_one, &l, e) < 0)
		return -1;
	jw_arr_end(&l.w);
	jw_key(&l.w, "Warnings");
	jw_null(&l.w);
	jw_obj_end(&l.w);
	return 0;
}

int engine_volume_inspect(struct engine *g, const char *name, struct buf *out, struct err *e)
{
	AUTO(store_volume) struct store_volume *v = NULL;
	struct jw w = JW_INIT(out);

	if (store_volume_get(g->store, name, &v, e) < 0)
		return -1;
	volume_write(v, &w);
	return 0;
}

int volume_remove_row(struct engine *g, const char *name, struct err *e)
{
	AUTO(store_volume) struct store_volume *v = NULL;

	/* Whatever a killed engine left mounted must not be there when the folder is removed. */
	if (store_volume_get(g->store, name, &v, e) < 0 || volume_detach(v->mountpoint, e) < 0)
		return -1;
	return store_volume_remove(g->store, name, e);
}

int engine_volume_remove(struct engine *g, const char *name, bool force, struct err *e)
{
	AUTO_BUF struct buf users = BUF_INIT(1 << 16);

	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		const struct mount_point *m = c->meta.mounts.v;

		for (size_t i = 0; i < c->meta.mounts.n; i++)
			if (m[i].name && strcmp(m[i].name, name) == 0)
				buf_addf(&users, "%s%s", users.n > 0 ? ", " : "", c->id);
	}
	if (users.n > 0)
		return err_set(e, ERR_CONFLICT, "remove %s: volume is in use - [%s]", name,
			       buf_text(&users));
	if (volume_remove_row(g, name, e) < 0) {
		if (force && e->kind == ERR_NOT_FOUND) {
			err_clear(e);
			return 0;
		}
		return -1;
	}
	engine_event_publish(g, "volume", "destroy", name, "driver", "local", NULL);
	engine_trash(g);
	return 0;
}

static int volume_prune_one(const struct store_volume *v, void *ud)
{
	struct volume_list *l = ud;

	if ((!v->anonymous && !l->every) || volume_in_use(l->g, v->name, NULL) ||
	    !volume_labels_match(l, v))
		return 0;
	const char **n = arena_alloc(l->a, (l->prune.n + 1) * sizeof(*n));

	if (l->prune.n > 0)
		memcpy(n, l->prune.v, l->prune.n * sizeof(*n));
	n[l->prune.n++] = arena_strdup(l->a, v->name);
	l->prune.v = n;
	return 0;
}

int engine_volume_prune(struct engine *g, const struct filters *f, bool every, struct buf *out,
			struct err *e)
{
	static const char *const allowed[] = {"label", "label!", "all", NULL};
	AUTO(arena) struct arena *a = arena_new();
	struct volume_list l = {.g = g, .f = f, .w = JW_INIT(out), .a = a};
	uint64_t freed = 0;

	if (filters_check(f, allowed, e) < 0 || filters_bool(f, "all", every, &l.every, e) < 0 ||
	    store_volume_each(g->store, volume_prune_one, &l, e) < 0)
		return -1;
	jw_obj(&l.w);
	jw_key(&l.w, "VolumesDeleted");
	jw_arr(&l.w);
	for (size_t i = 0; i < l.prune.n; i++) {
		AUTO_FD int dir = fs_open_dir(store_volumes_dir(g->store));
		uint64_t bytes = 0, entries = 0;

		if (dir >= 0)
			fs_disk_usage(dir, l.prune.v[i], &bytes, &entries);
		if (engine_volume_remove(g, l.prune.v[i], false, e) < 0)
			continue;
		freed += bytes;
		jw_str(&l.w, l.prune.v[i]);
	}
	jw_arr_end(&l.w);
	jw_kv_u64(&l.w, "SpaceReclaimed", freed);
	jw_obj_end(&l.w);
	err_clear(e);
	event_reclaimed(g, "volume", freed);
	return 0;
}
