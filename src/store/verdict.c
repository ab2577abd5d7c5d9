/* SPDX-License-Identifier: Apache-2.0 */
/* What a check of content needs from the store: lists of what to look at, and what becomes of what
 * was found damaged. See check.h. */
#include "base/json.h"
#include "store/check.h"
#include "store/store-priv.h"
#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define MANIFEST_MAX ((size_t)4 << 20)
#define NAMES_MAX    5

struct digest_list {
	struct digest *v; /* pairs where two are needed */
	size_t n, cap;
};

static void list_add_digest(struct digest_list *l, const char *text)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	if (digest_parse(text, &l->v[l->n]) < 0)
		l->v[l->n].text[0] = '\0';
	l->n++;
}

int store_check_blobs(struct store *s, store_blob_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT blob, min(image) FROM image_blobs GROUP BY blob ORDER BY blob", "");
	struct digest_list l = {NULL, 0, 0};
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		list_add_digest(&l, db_text(st, 0));
		list_add_digest(&l, db_text(st, 1));
		rc = 0;
	}
	for (size_t i = 0; rc == 0 && i < l.n; i += 2)
		if (fn(&l.v[i], &l.v[i + 1], ud))
			break;
	free(l.v);
	return rc;
}

/* The row of an image keeps its config: a second copy of the blob. */
static bool restore_config(struct store *s, const struct digest *blob)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, &none, "SELECT config FROM images WHERE id = ?",
					     "s", blob->text);
	struct digest is;

	if (!st || db_step(s, st, &none) <= 0)
		return false;
	const char *text = db_text(st, 0);
	digest_of(text, strlen(text), &is);
	return digest_eq(&is, blob) &&
	       fs_write_atomic(s->blobs_fd, digest_hex(blob), text, strlen(text), 0600, true) == 0;
}

static int forget_blob(struct store *s, const struct digest *blob, struct err *e)
{
	if (tx_begin(s, true, e) < 0)
		return -1;
	if (db_run(s, NULL, e, "DELETE FROM image_blobs WHERE blob = ?", "s", blob->text) < 0 ||
	    db_run(s, NULL, e, "UPDATE images SET manifest = '' WHERE manifest = ?", "s",
		   blob->text) < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

int store_blob_condemn(struct store *s, const struct digest *blob, bool *ret_restored,
		       struct err *e)
{
	*ret_restored = false;
	if (lease_holds_blob(s, blob->text))
		return err_set(e, ERR_CONFLICT, "a running job uses it");
	if (restore_config(s, blob)) {
		*ret_restored = true;
		return 0;
	}
	if (forget_blob(s, blob, e) < 0)
		return -1;
	return trash_move(s, s->blobs_fd, digest_hex(blob), e);
}

void store_layer_images(struct store *s, const struct digest *chain, char *ret, size_t n)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, &none,
		"SELECT coalesce((SELECT ref FROM refs r WHERE r.image = i.image AND ref NOT LIKE "
		"'%@%' LIMIT 1), substr(i.image, 8, 12)) FROM image_layers i JOIN layers l ON "
		"l.id = i.layer WHERE l.chain = ? ORDER BY 1 LIMIT 6",
		"s", chain->text);
	size_t at = 0;

	ret[0] = '\0';
	for (int i = 0; st && db_step(s, st, &none) > 0 && at < n; i++)
		at += (size_t)snprintf(ret + at, n - at, "%s%s", i ? ", " : "",
				       i < NAMES_MAX ? db_text(st, 0) : "...");
}

int store_check_broken(struct store *s, store_digest_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e,
		"SELECT image FROM image_layers i JOIN layers l ON l.id = i.layer WHERE l.broken "
		"UNION SELECT image FROM image_layers WHERE layer NOT IN (SELECT id FROM layers) "
		"UNION SELECT image FROM refs WHERE image NOT IN (SELECT id FROM images) "
		"UNION SELECT image FROM ref_others WHERE image NOT IN (SELECT id FROM images) "
		"UNION SELECT image FROM image_layers WHERE image NOT IN (SELECT id FROM images) "
		"UNION SELECT image FROM image_blobs WHERE image NOT IN (SELECT id FROM images) "
		"UNION SELECT id FROM images WHERE (SELECT count(*) FROM image_layers WHERE image "
		"= id) != CASE WHEN json_valid(config) THEN json_array_length(config, "
		"'$.rootfs.diff_ids') END",
		"");
	struct digest_list l = {NULL, 0, 0};
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		list_add_digest(&l, db_text(st, 0));
		rc = 0;
	}
	for (size_t i = 0; rc == 0 && i < l.n; i++)
		fn(&l.v[i], ud);
	free(l.v);
	return rc;
}

int store_image_ids(struct store *s, const struct digest *id, struct store_ids *ret,
		    bool *ret_broken, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e,
		"SELECT coalesce(max(broken), 0), coalesce(max(uid_min = -1), 0), "
		"min(uid_min) FILTER (WHERE uid_min >= 0), max(uid_max), "
		"min(gid_min) FILTER (WHERE gid_min >= 0), max(gid_max) "
		"FROM image_layers i JOIN layers l ON l.id = i.layer WHERE i.image = ?",
		"s", id->text);

	if (!st || db_step(s, st, e) < 0)
		return -1;
	*ret_broken = sqlite3_column_int(st, 0) != 0;
	if (sqlite3_column_int(st, 1))
		*ret = STORE_IDS_NONE;
	else if (sqlite3_column_type(st, 2) == SQLITE_NULL)
		*ret = STORE_IDS_EMPTY;
	else
		*ret = (struct store_ids){sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3),
					  sqlite3_column_int64(st, 4), sqlite3_column_int64(st, 5)};
	return 0;
}

int store_image_forget(struct store *s, const struct digest *image, struct err *e)
{
	static const char *const tables[] = {"DELETE FROM image_layers WHERE image = ?",
					     "DELETE FROM image_blobs WHERE image = ?"};

	if (tx_begin(s, true, e) < 0)
		return -1;
	int rc = ref_forget_image(s, image->text, e);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(tables); i++)
		rc = db_run(s, NULL, e, tables[i], "s", image->text);
	if (rc < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

/* Is this blob a manifest of the image? */
static bool is_manifest_of(struct store *s, const char *hex, const struct digest *image)
{
	AUTO_BUF struct buf text = BUF_INIT(MANIFEST_MAX);
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;
	struct digest is;
	struct stat st;

	if (fstatat(s->blobs_fd, hex, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > MANIFEST_MAX || fs_read_at(s->blobs_fd, hex, &text) < 0 ||
	    !memchr(buf_text(&text), '{', MIN(text.n, (size_t)16)) ||
	    !strstr(buf_text(&text), image->text))
		return false;
	digest_of(text.p, text.n, &is);
	if (strcmp(digest_hex(&is), hex) != 0 || json_parse(text.p, text.n, &j, &none) < 0)
		return false;
	const char *config = json_str(json_get(json_get(j, "config"), "digest"));
	return config && !strcmp(config, image->text);
}

static int by_rows(struct store *s, const struct digest *image, struct digest *ret, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT blob FROM image_blobs WHERE image = ?",
					     "s", image->text);
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		rc = digest_parse(db_text(st, 0), ret) == 0 &&
		     is_manifest_of(s, digest_hex(ret), image);
		if (rc > 0)
			return 1;
	}
	return rc;
}

int store_manifest_of(struct store *s, const struct digest *image, struct digest *ret,
		      struct err *e)
{
	int rc = by_rows(s, image, ret, e), fd;
	bool found = false;
	struct dirent *d;
	DIR *dir;

	if (rc)
		return rc < 0 ? -1 : 0;
	fd = openat(s->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fs_dir_take(fd);
	while (dir && !found && (d = readdir(dir))) {
		if (!store_is_hex(d->d_name, 64, 64) || !is_manifest_of(s, d->d_name, image))
			continue;
		snprintf(ret->text, sizeof(ret->text), "sha256:%.64s", d->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found ? 0 : err_set(e, ERR_NOT_FOUND, "its manifest is not kept");
}

int store_layer_containers(struct store *s, const struct digest *chain, store_id_fn fn, void *ud,
			   struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e,
		"WITH RECURSIVE up(id) AS (SELECT id FROM layers WHERE chain = ? UNION SELECT "
		"l.id FROM layers l JOIN up ON l.parent = up.id) SELECT container FROM snapshots "
		"JOIN up ON top = up.id",
		"s", chain->text);
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		if (fn(db_text(st, 0), ud))
			return 0;
		rc = 0;
	}
	return rc;
}
