/* SPDX-License-Identifier: Apache-2.0 */
/* Images and their refs. Layers are named by N inside; the chain ids outside. */
#include "store/store-priv.h"

#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

/* What the caller sees, and the memory everything of it is in. */
struct image_box {
	struct store_image img;
	struct arena *arena;
};

void store_image_free(struct store_image *img)
{
	if (!img)
		return;
	struct image_box *box = CONTAINER_OF(img, struct image_box, img);

	arena_free(box->arena);
	free(box);
}

static int put_rows(struct store *s, const struct store_image *img, struct err *e)
{
	uint64_t size = 0;
	struct store_layer l;

	if (db_run(s, NULL, e, "DELETE FROM image_layers WHERE image = ?", "s", img->id.text) < 0)
		return -1;
	/* Without a manifest of its own it keeps the one it has, and what that names. */
	if (img->manifest.text[0] &&
	    db_run(s, NULL, e, "DELETE FROM image_blobs WHERE image = ?", "s", img->id.text) < 0)
		return -1;
	for (size_t i = 0; i < img->nlayers; i++) {
		if (store_layer_get(s, &img->layers[i], &l, e) < 0)
			return err_wrap(e, "image %s", img->id.text);
		size += l.size;
		if (db_run(s, NULL, e,
			   "INSERT INTO image_layers(image, pos, layer) VALUES(?, ?, ?)", "sii",
			   img->id.text, (int64_t)i, l.id) < 0)
			return -1;
	}
	for (size_t i = 0; i < img->nblobs; i++)
		if (db_run(s, NULL, e,
			   "INSERT OR IGNORE INTO image_blobs(image, blob) VALUES(?, ?)", "ss",
			   img->id.text, img->blobs[i].text) < 0)
			return -1;
	return db_run(
		s, NULL, e,
		"INSERT INTO images(id, manifest, config, size, stored) VALUES(?1, ?2, ?3, ?4, ?5) "
		"ON CONFLICT(id) DO UPDATE SET manifest = CASE WHEN ?2 = '' THEN manifest ELSE ?2 "
		"END, "
		"config = ?3, size = ?4",
		"sssii", img->id.text, img->manifest.text, img->config, (int64_t)size,
		img->stored ? img->stored : clock_now_ns());
}

int store_image_put(struct store *s, const struct store_image *img, struct err *e)
{
	AUTO(store_image) struct store_image *old = NULL;
	struct err none = ERR_INIT;
	uint64_t freed = 0;

	if (store_image_get(s, &img->id, &old, &none) < 0)
		old = NULL;
	if (tx_begin(s, true, e) < 0)
		return -1;
	if (put_rows(s, img, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	if (tx_commit(s, e) < 0)
		return -1;
	/* The same image by another manifest: the blobs of the former are nobody's now. A failure
	 * here loses nothing; garbage collection comes again, as it does for one inside
	 * store_begin(), whose end is not known yet. */
	for (size_t i = 0; !s->in_tx && old && i < old->nblobs; i++)
		(void)gc_blob(s, digest_hex(&old->blobs[i]), &freed, &none);
	return 0;
}

/* One column of digests into an arena array. */
static int load_digests(struct store *s, const char *sql, const char *id, size_t n, struct arena *a,
			struct digest **ret, size_t *ret_n, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, sql, "s", id);
	int rc = st ? 0 : -1;

	*ret = arena_alloc(a, (n + 1) * sizeof(**ret));
	*ret_n = 0;
	while (rc == 0 && *ret_n < n && (rc = db_step(s, st, e)) > 0) {
		(void)digest_parse(db_text(st, 0), &(*ret)[(*ret_n)++]);
		rc = 0;
	}
	return rc < 0 ? -1 : 0;
}

/* What its names stand for, unless that is its own manifest. */
static void add_index(struct store_image *img, const char *target)
{
	struct digest d;

	if (digest_parse(target, &d) < 0 || digest_eq(&d, &img->manifest))
		return;
	for (size_t i = 0; i < img->nindexes; i++)
		if (digest_eq(&img->indexes[i], &d))
			return;
	img->indexes[img->nindexes++] = d;
}

static int load_refs(struct store *s, struct store_image *img, struct arena *a, struct err *e)
{
	size_t n = 0, others = 0;

	if (db_count(s, "SELECT count(*) FROM refs WHERE image = ?", img->id.text, &n, e) < 0 ||
	    db_count(s, "SELECT count(*) FROM ref_others WHERE image = ?", img->id.text, &others,
		     e) < 0)
		return -1;
	img->tags = arena_alloc(a, (n + 1) * sizeof(char *));
	img->digests = arena_alloc(a, (n + 1) * sizeof(char *));
	img->also = arena_alloc(a, (others + 1) * sizeof(char *));
	img->indexes = arena_alloc(a, (n + others + 1) * sizeof(struct digest));
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT ref, target FROM refs WHERE image = ? ORDER BY ref", "s",
		img->id.text);
	int rc = st ? 0 : -1;
	while (rc == 0 && n-- > 0 && (rc = db_step(s, st, e)) > 0) {
		const char *ref = arena_strdup(a, db_text(st, 0));

		if (strchr(ref, '@'))
			img->digests[img->ndigests++] = ref;
		else
			img->tags[img->ntags++] = ref;
		add_index(img, db_text(st, 1));
		rc = 0;
	}
	AUTO_STMT sqlite3_stmt *also = db_bind(
		s, e,
		"SELECT o.ref, r.target FROM ref_others o JOIN refs r ON r.ref = o.ref WHERE "
		"o.image = ? ORDER BY o.ref",
		"s", img->id.text);
	rc = rc < 0 || !also ? -1 : 0;
	while (rc == 0 && others-- > 0 && (rc = db_step(s, also, e)) > 0) {
		img->also[img->nalso++] = arena_strdup(a, db_text(also, 0));
		add_index(img, db_text(also, 1));
		rc = 0;
	}
	return rc < 0 ? -1 : 0;
}

static int load_parts(struct store *s, struct image_box *box, struct err *e)
{
	struct store_image *img = &box->img;
	const char *id = img->id.text;
	size_t nl = 0, nb = 0;

	if (db_count(s, "SELECT count(*) FROM image_layers WHERE image = ?", id, &nl, e) < 0 ||
	    db_count(s, "SELECT count(*) FROM image_blobs WHERE image = ?", id, &nb, e) < 0)
		return -1;
	if (load_digests(s,
			 "SELECT l.chain FROM image_layers i JOIN layers l ON l.id = i.layer WHERE "
			 "i.image = ? ORDER BY "
			 "i.pos",
			 id, nl, box->arena, &img->layers, &img->nlayers, e) < 0 ||
	    load_digests(s, "SELECT blob FROM image_blobs WHERE image = ?", id, nb, box->arena,
			 &img->blobs, &img->nblobs, e) < 0)
		return -1;
	return load_refs(s, img, box->arena, e);
}

int store_image_get(struct store *s, const struct digest *id, struct store_image **ret,
		    struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT manifest, config, size, stored, used FROM images WHERE id = ?", "s",
		id->text);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", id->text);
	struct image_box *box = NEW(struct image_box);
	img = &box->img;
	box->arena = arena_new();
	img->id = *id;
	(void)digest_parse(db_text(st, 0), &img->manifest);
	img->config = arena_strdup(box->arena, db_text(st, 1));
	img->size = (uint64_t)sqlite3_column_int64(st, 2);
	img->stored = sqlite3_column_int64(st, 3);
	img->used = sqlite3_column_int64(st, 4);
	if (load_parts(s, box, e) < 0)
		return -1;
	*ret = TAKE_PTR(img);
	return 0;
}

/* Ids by prefix of the hex part; ambiguity is an error, nothing found is 0. */
static int by_prefix(struct store *s, const char *hex, struct digest *ret, struct err *e)
{
	AUTO_FREE char *low = xasprintf("sha256:%s", hex), *high = xasprintf("sha256:%sg", hex);
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2", "ss", low, high);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc <= 0)
		return rc;
	struct digest found;
	if (digest_parse(db_text(st, 0), &found) < 0)
		return err_set(e, ERR_BUG, "bad image id in the database");
	rc = db_step(s, st, e);
	if (rc < 0)
		return -1;
	if (rc > 0)
		return err_set(e, ERR_INVALID, "Multiple IDs found with provided prefix: %s", hex);
	*ret = found;
	return 1;
}

int store_image_resolve(struct store *s, const char *canonical, const char *text,
			struct digest *ret_id, struct err *e)
{
	const char *hex = str_starts(text, "sha256:") ? text + strlen("sha256:") : text;
	struct err why = ERR_INIT;
	int rc;

	if (canonical) {
		if (store_ref_get(s, canonical, ret_id, &why) == 0)
			return 0;
		if (why.kind != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
	}
	if (store_is_hex(hex, 1, 64)) {
		rc = by_prefix(s, hex, ret_id, e);
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	return err_set(e, ERR_NOT_FOUND, "No such image: %s", text);
}

bool store_image_of_manifest(struct store *s, const struct digest *manifest, struct digest *ret)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, &none, "SELECT id FROM images WHERE manifest = ? LIMIT 1", "s", manifest->text);

	return st && db_step(s, st, &none) > 0 && digest_parse(db_text(st, 0), ret) == 0;
}

int store_image_each(struct store *s, store_image_fn fn, void *ud, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	size_t n = store_image_count(s), got = 0;
	struct digest *ids = arena_alloc(a, (n + 1) * sizeof(*ids));
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT id FROM images ORDER BY stored DESC, id",
					     "");
	int rc = st ? 0 : -1;

	/* Ids first: fn may change the tables. */
	while (rc == 0 && got < n && (rc = db_step(s, st, e)) > 0) {
		(void)digest_parse(db_text(st, 0), &ids[got++]);
		rc = 0;
	}
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < got; i++) {
		AUTO(store_image) struct store_image *img = NULL;

		if (store_image_get(s, &ids[i], &img, e) < 0) {
			if (e->kind == ERR_NOT_FOUND) {
				err_clear(e);
				continue;
			}
			return -1;
		}
		if (fn(img, ud))
			break;
	}
	return 0;
}

size_t store_image_count(struct store *s)
{
	struct err ignored = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, &ignored, "SELECT count(*) FROM images", "");

	return st && db_step(s, st, &ignored) > 0 ? (size_t)sqlite3_column_int64(st, 0) : 0;
}

size_t store_image_users(struct store *s, const struct digest *id,
			 char ret_one[static STORE_ID_LEN + 1])
{
	struct err ignored = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, &ignored, "SELECT count(*), max(id) FROM containers WHERE image = ?", "s",
		id->text);

	ret_one[0] = '\0';
	if (!st || db_step(s, st, &ignored) <= 0)
		return 0;
	const char *one = db_text(st, 1);
	size_t n = strlen(one);
	memcpy(ret_one, one, MIN(n, (size_t)STORE_ID_LEN));
	ret_one[MIN(n, (size_t)STORE_ID_LEN)] = '\0';
	return (size_t)sqlite3_column_int64(st, 0);
}

/* Rows of the image, then of the layers that only it needed. */
static int delete_rows(struct store *s, const struct store_image *img, struct id_list *dead,
		       uint64_t *freed, store_digest_fn fn, void *ud, struct err *e)
{
	AUTO_FREE int64_t *own_ids = NULL;
	struct id_list own = {NULL, 0, 0};
	struct store_layer l;
	int rc;

	for (size_t i = 0; i < img->nlayers; i++)
		if (store_layer_get(s, &img->layers[i], &l, e) == 0)
			id_list_add(&own, l.id);
	own_ids = own.v;
	err_clear(e);
	rc = ref_forget_image(s, img->id.text, e);
	rc = rc ? rc
		: db_run(s, NULL, e, "DELETE FROM image_layers WHERE image = ?", "s", img->id.text);
	rc = rc ? rc
		: db_run(s, NULL, e, "DELETE FROM image_blobs WHERE image = ?", "s", img->id.text);
	rc = rc ? rc : db_run(s, NULL, e, "DELETE FROM images WHERE id = ?", "s", img->id.text);
	return rc ? rc : gc_dead_layers(s, &own, dead, freed, fn, ud, e);
}

static int delete_image(struct store *s, const struct store_image *img, struct id_list *dead,
			uint64_t *freed, store_digest_fn fn, void *ud, struct err *e)
{
	if (tx_begin(s, true, e) < 0)
		return -1;
	if (delete_rows(s, img, dead, freed, fn, ud, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

int store_image_delete(struct store *s, const struct digest *id, store_digest_fn fn, void *ud,
		       uint64_t *ret_freed, struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;
	struct id_list dead = {NULL, 0, 0};
	uint64_t freed = 0;
	int rc;

	if (store_image_get(s, id, &img, e) < 0)
		return -1;
	rc = delete_image(s, img, &dead, &freed, fn, ud, e);
	if (rc < 0 && store_release_reserve(s, e)) {
		err_clear(e);
		dead.n = 0;
		freed = 0;
		rc = delete_image(s, img, &dead, &freed, fn, ud, e);
	}
	if (rc == 0)
		rc = gc_trash_layers(s, &dead, e);
	for (size_t i = 0; rc == 0 && i < img->nblobs; i++)
		rc = gc_blob(s, digest_hex(&img->blobs[i]), &freed, e);
	free(dead.v);
	if (rc == 0 && ret_freed)
		*ret_freed = freed;
	return rc;
}
