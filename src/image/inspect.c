/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about one image in Docker's shapes: inspect, history. */
#include "image/indexes.h"
#include "image/service-priv.h"
#include "spec/image.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define NANO 1000000000LL

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

/* Docker's: what is said last is the comment when the image has none. */
static const char *comment_of(const struct image_config *c)
{
	const struct image_history *h = c->history.v;

	if (c->comment && *c->comment)
		return c->comment;
	return c->history.n ? or_empty(h[c->history.n - 1].comment) : "";
}

static void write_system(struct jw *w, const struct image_config *c)
{
	jw_kv_str(w, "Architecture", or_empty(c->architecture));
	if (c->variant && *c->variant)
		jw_kv_str(w, "Variant", c->variant);
	jw_kv_str(w, "Os", c->os && *c->os ? c->os : "linux");
	if (c->os_version && *c->os_version)
		jw_kv_str(w, "OsVersion", c->os_version);
}

static void write_rootfs(struct jw *w, const struct image_config *c)
{
	jw_key(w, "RootFS");
	jw_obj(w);
	jw_kv_str(w, "Type", "layers");
	if (c->rootfs.diff_ids.n)
		jw_kv_strs(w, "Layers", &c->rootfs.diff_ids);
	jw_obj_end(w);
}

/* Which fields there are depends on the version of the API, as with Docker 28. */
static void write_inspect(struct image_service *s, const struct image_inspect *o,
			  const struct store_image *img, const struct image_config *c, struct jw *w)
{
	char when[CLOCK_TEXT_MAX];

	jw_kv_str(w, "Id", img->id.text);
	write_refs(w, "RepoTags", img->tags, img->ntags);
	write_refs(w, "RepoDigests", img->digests, img->ndigests);
	jw_kv_str(w, "Parent", or_empty(c->parent));
	jw_kv_str(w, "Comment", comment_of(c));
	if (c->created)
		jw_kv_str(w, "Created", c->created);
	else if (o->api < 44)
		jw_kv_str(w, "Created", CLOCK_ZERO_TEXT);
	jw_kv_str(w, "DockerVersion", or_empty(c->docker_version));
	jw_kv_str(w, "Author", or_empty(c->author));
	jw_key(w, "Config");
	image_config_write(w, &c->config, o->api < 50);
	write_system(w, c);
	jw_kv_u64(w, "Size", img->size);
	if (o->api < 44)
		jw_kv_u64(w, "VirtualSize", img->size);
	write_graph(s, w, &img->id);
	write_rootfs(w, c);
	jw_key(w, "Metadata");
	jw_obj(w);
	clock_format(img->stored, when);
	jw_kv_str(w, "LastTagTime", when);
	jw_obj_end(w);
	if (o->api >= 48)
		image_descriptor_write(s, img, !(o->platform && *o->platform), w);
}

int image_inspect_json(struct image_service *s, const char *text, const struct image_inspect *o,
		       struct buf *out, struct err *e)
{
	const struct image_list users = {.user_at = o->user_at, .ud = o->ud};
	AUTO(image_manifests) struct image_manifests *m = NULL;
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config c;
	struct digest id;

	if (o->manifests && o->platform && *o->platform)
		return err_set(e, ERR_INVALID,
			       "conflicting options: manifests and platform options cannot both be "
			       "set");
	if (image_find_platform(s, text, o->platform, &id, e) < 0 ||
	    store_image_get(s->store, &id, &img, e) < 0 ||
	    image_config_decode(img->config, strlen(img->config), &c, a, e) < 0)
		return -1;
	if (o->manifests && !(m = image_manifests_new(s, &users, e)))
		return -1;
	struct jw w = JW_INIT(out);
	jw_obj(&w);
	write_inspect(s, o, img, &c, &w);
	if (m)
		(void)image_manifests_write(m, img, &w);
	write_ours(s, &w, &id);
	jw_obj_end(&w);
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

int image_history_json(struct image_service *s, const char *text, const char *platform,
		       struct buf *out, struct err *e)
{
	struct digest id;
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct image_config c;
	if (image_find_platform(s, text, platform, &id, e) < 0 ||
	    store_image_get(s->store, &id, &img, e) < 0 ||
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
