/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged state.db: what can be read of it goes into a new one, the old one is kept aside. Rows
 * are told apart by their shape, and the disk is the judge where pages cannot say what is still
 * true: containers without folder are left out; what an image keeps in blobs/ is read from the
 * manifests there, so that fsck makes lost images again. The new file takes the old one's place in
 * one rename, and a crash at any point leaves either the old state or the new one.
 */
#include "store/salvage-priv.h"

#include "base/json.h"
#include "base/num.h"
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

/*
 * Shapes: k row id (stored as NULL), i integer, s "sha256:...", e the same or empty, h 64 hex
 * digits, r a reference (not s), t any text. Rows from before a column was added are shorter.
 */
static const struct shape {
	const char *types, *sql;
} shapes[] = {
	{"ksseiii", "layers(id, chain, diff_id, blob, parent, size, created)"},
	{"ksseiiiiiiiii", "layers(id, chain, diff_id, blob, parent, size, created, disk, broken, "
			  "uid_min, uid_max, gid_min, gid_max)"},
	{"ksseiiiiiiiiit", "layers(id, chain, diff_id, blob, parent, size, created, disk, broken, "
			   "uid_min, uid_max, gid_min, gid_max, unsynced)"},
	{"setii", "images(id, manifest, config, size, stored)"},
	{"setiiitti", "images(id, manifest, config, size, stored, created, labels, parent, used)"},
	{"sii", "image_layers(image, pos, layer)"},
	{"ss", "image_blobs(image, blob)"},
	{"rs", "refs(ref, image)"},
	{"rse", "refs(ref, image, target)"},
	{"rsi", "ref_others(ref, image, added)"},
	{"httttti", "containers(id, name, image, config, hostconfig, state, created)"},
	{"hi", "tops(container, top)"},
	{"ttttii", "volumes(name, driver, labels, options, created, anonymous)"},
	{"ttt", "docs(kind, key, json)"},
};

struct salvage {
	struct store *s;
	struct store *to; /* only its database is open */
	sqlite3_stmt *insert[ARRAY_SIZE(shapes)];
	unsigned rows;
};

static int exec(struct store *s, const char *sql, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
								       : db_fail(s, e, "salvage");
}

/* ---- rows of the damaged file ---- */

static bool is_digest(const struct salvage_value *v)
{
	char text[DIGEST_TEXT_MAX];
	struct digest d;

	if (v->n >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)v->n, v->p);
	return digest_parse(text, &d) == 0;
}

static bool is_id(const struct salvage_value *v)
{
	char text[STORE_ID_LEN + 1];

	if (v->n != STORE_ID_LEN)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)v->n, v->p);
	return store_is_hex(text, STORE_ID_LEN, STORE_ID_LEN);
}

static bool fits_one(char type, const struct salvage_value *v)
{
	if (type == 'k')
		return v->type == SALVAGE_NULL;
	if (type == 'i')
		return v->type == SALVAGE_INT;
	if (v->type != SALVAGE_TEXT)
		return false;
	switch (type) {
	case 's':
		return is_digest(v);
	case 'e':
		return !v->n || is_digest(v);
	case 'h':
		return is_id(v);
	case 'r':
		return v->n && !is_digest(v) && memchr(v->p, '/', v->n);
	default:
		return true;
	}
}

static bool fits(const char *types, const struct salvage_value *v, size_t n)
{
	size_t i = 0;

	while (i < n && types[i] && fits_one(types[i], &v[i]))
		i++;
	return i == n && !types[i];
}

/* A row that cannot be inserted is a row less, except on a full disk. */
static int insert(struct salvage *x, size_t shape, int64_t rowid, const struct salvage_value *v,
		  size_t n, struct err *e)
{
	sqlite3_stmt *st = x->insert[shape];

	sqlite3_reset(st);
	for (size_t i = 0; i < n; i++) {
		int at = (int)i + 1, rc;

		if (v[i].type == SALVAGE_TEXT)
			rc = sqlite3_bind_text(st, at, v[i].p, (int)v[i].n, SQLITE_TRANSIENT);
		else
			rc = sqlite3_bind_int64(st, at, v[i].type == SALVAGE_NULL ? rowid : v[i].i);
		if (rc != SQLITE_OK)
			return db_fail(x->to, e, "salvage");
	}
	int rc = sqlite3_step(st);
	sqlite3_reset(st);
	if (rc == SQLITE_DONE)
		x->rows++;
	else if ((rc & 0xff) != SQLITE_CONSTRAINT)
		return db_fail(x->to, e, "salvage");
	return 0;
}

static int row(void *ud, int64_t rowid, const struct salvage_value *v, size_t n, struct err *e)
{
	struct salvage *x = ud;

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (fits(shapes[i].types, v, n))
			return insert(x, i, rowid, v, n, e);
	return 0;
}

static int read_rows(struct salvage *x, struct err *e)
{
	AUTO_FD int db = openat(x->s->data_fd, "state.db", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FD int wal = openat(x->s->data_fd, "state.db-wal", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc = exec(x->to, "CREATE TEMP TABLE tops(container TEXT, top INTEGER)", e);

	if (db < 0)
		return err_sys(e, -errno, "open the damaged database");
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(shapes); i++) {
		char marks[2 * SALVAGE_COLUMNS_MAX + 1] = "?";

		for (size_t k = 1; shapes[i].types[k]; k++)
			snprintf(marks + strlen(marks), sizeof(marks) - strlen(marks), ",?");
		AUTO_FREE char *sql = xasprintf("INSERT OR IGNORE INTO %s VALUES(%s)",
						shapes[i].sql, marks);
		if (sqlite3_prepare_v2(x->to->db, sql, -1, &x->insert[i], NULL) != SQLITE_OK)
			rc = db_fail(x->to, e, "salvage");
	}
	if (rc == 0)
		rc = salvage_pages(db, wal, row, x, e);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		sqlite3_finalize(x->insert[i]);
	return rc;
}

/* ---- what the disk says ---- */

static int each_name(int dir_fd, int (*fn)(struct salvage *x, const char *name, struct err *e),
		     struct salvage *x, struct err *e)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fs_dir_take(fd);
	struct dirent *d;

	if (!dir)
		return err_sys(e, -errno, "read a folder of the store");
	while (rc == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = fn(x, d->d_name, e);
	closedir(dir);
	return rc;
}

static int keep_blob(struct salvage *x, const char *image, const char *blob, struct err *e)
{
	struct digest d;

	if (digest_parse(blob, &d) < 0 || !store_blob_has(x->s, &d, NULL))
		return 0;
	return db_run(x->to, NULL, e, "INSERT OR IGNORE INTO image_blobs(image, blob) VALUES(?, ?)",
		      "ss", image, d.text);
}

/* Blobs that are manifests say which others belong to their image. */
static int read_blob(struct salvage *x, const char *name, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(MANIFEST_MAX);
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;
	struct digest is;
	struct stat st;

	if (!store_is_hex(name, 64, 64) ||
	    fstatat(x->s->blobs_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > MANIFEST_MAX || fs_read_at(x->s->blobs_fd, name, &text) < 0 ||
	    !memchr(buf_text(&text), '{', MIN(text.n, (size_t)16)))
		return 0;
	digest_of(text.p, text.n, &is);
	if (strcmp(digest_hex(&is), name) != 0 || json_parse(text.p, text.n, &j, &none) < 0)
		return 0;
	const char *config = json_str(json_get(json_get(j, "config"), "digest"));
	const struct json *layers = json_get(j, "layers");
	struct digest id;
	if (!config || digest_parse(config, &id) < 0 || !json_len(layers))
		return 0;
	int rc = keep_blob(x, id.text, is.text, e);
	rc = rc ? rc : keep_blob(x, id.text, id.text, e);
	for (size_t i = 0; rc == 0 && i < json_len(layers); i++) {
		const char *blob = json_str(json_get(json_at(layers, i), "digest"));

		if (blob)
			rc = keep_blob(x, id.text, blob, e);
	}
	return rc;
}

/* A number that a layer's folder has must not be given to another one. */
static int number(struct salvage *x, const char *name, struct err *e)
{
	uint64_t id;

	if (num_parse_u64(name, 1, INT64_MAX, &id) < 0)
		return 0;
	return db_run(x->to, NULL, e,
		      "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'layers'", "i",
		      (int64_t)id);
}

static const char fill[] =
	/* The index by blob has the same two columns the other way round. */
	"DELETE FROM image_blobs WHERE image NOT IN (SELECT id FROM images UNION SELECT image FROM "
	"refs UNION SELECT image FROM image_layers UNION SELECT image FROM containers);"
	"DELETE FROM ref_others WHERE ref NOT IN (SELECT ref FROM refs);"
	"INSERT INTO sqlite_sequence(name, seq) SELECT 'layers', 0 WHERE NOT EXISTS (SELECT 1 FROM "
	"sqlite_sequence WHERE name = 'layers');";

/* Tops come from the images; rows are the second choice: their shape is that of an index, too. */
static const char snapshots[] =
	"INSERT OR REPLACE INTO snapshots(container, top) SELECT id, coalesce((SELECT layer FROM "
	"image_layers i JOIN layers l ON l.id = i.layer WHERE i.image = c.image ORDER BY pos DESC "
	"LIMIT 1), (SELECT max(top) FROM tops t WHERE t.container = c.id AND top IN (SELECT id "
	"FROM layers)), 0) FROM containers c WHERE image != '';";

static int forget_gone(struct salvage *x, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(x->to, e, "SELECT id FROM containers", "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(x->to, st, e)) > 0) {
		struct stat info;

		rc = 0;
		if (fstatat(x->s->containers_fd, db_text(st, 0), &info, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno == ENOENT)
			rc = db_run(x->to, NULL, e, "DELETE FROM containers WHERE id = ?", "s",
				    db_text(st, 0));
	}
	return rc;
}

static int fill_new(struct salvage *x, struct err *e)
{
	int rc = tx_begin(x->to, true, e);

	rc = rc ? rc : read_rows(x, e);
	rc = rc ? rc : exec(x->to, fill, e);
	rc = rc ? rc : each_name(x->s->blobs_fd, read_blob, x, e);
	rc = rc ? rc : each_name(x->s->layers_fd, number, x, e);
	rc = rc ? rc : forget_gone(x, e);
	rc = rc ? rc : exec(x->to, snapshots, e);
	if (rc < 0) {
		tx_rollback(x->to);
		return -1;
	}
	return tx_commit(x->to, e);
}

/* ---- changing places ---- */

static void remove_new(struct store *s)
{
	(void)unlinkat(s->data_fd, SALVAGE_NEW, 0);
	(void)unlinkat(s->data_fd, SALVAGE_NEW "-wal", 0);
}

static int keep_old(struct store *s, struct err *e)
{
	static const char *const parts[] = {"", "-wal"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char from[64], to[128];

		snprintf(from, sizeof(from), "state.db%s", parts[i]);
		snprintf(to, sizeof(to), "%s%s", s->repair.kept, parts[i]);
		if (linkat(s->data_fd, from, s->data_fd, to, 0) < 0 && errno != ENOENT)
			return err_sys(e, -errno, "keep the damaged database as %s", to);
	}
	return 0;
}

/* From here on the new file is the truth: also what a crash in between comes back to. */
static int change_places(struct store *s, struct err *e)
{
	if (unlinkat(s->data_fd, "state.db-wal", 0) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "remove state.db-wal");
	if (renameat(s->data_fd, SALVAGE_DONE, s->data_fd, "state.db") < 0)
		return err_sys(e, -errno, "rename " SALVAGE_DONE);
	(void)fsync(s->data_fd);
	(void)unlinkat(s->data_fd, SALVAGE_MARK, 0);
	return 0;
}

int db_salvage_finish(struct store *s, struct err *e)
{
	return faccessat(s->data_fd, SALVAGE_DONE, F_OK, 0) == 0 ? change_places(s, e) : 0;
}

int db_salvage(struct store *s, struct err *e)
{
	struct store to = {.data = s->data, .data_fd = s->data_fd};
	struct salvage x = {.s = s, .to = &to};

	db_close(s);
	remove_new(s);
	if (db_open_file(&to, SALVAGE_NEW, e) < 0 || fill_new(&x, e) < 0) {
		db_close(&to);
		remove_new(s);
		return err_wrap(e, "salvage the state database");
	}
	db_close(&to);
	store_unique(s, SALVAGE_KEPT, s->repair.kept, sizeof(s->repair.kept));
	s->repair.rows_salvaged = x.rows;
	if (keep_old(s, e) < 0)
		return -1;
	if (renameat(s->data_fd, SALVAGE_NEW, s->data_fd, SALVAGE_DONE) < 0)
		return err_sys(e, -errno, "rename " SALVAGE_NEW);
	(void)fsync(s->data_fd);
	return change_places(s, e);
}

void db_salvage_mark(struct store *s)
{
	AUTO_FD int fd = openat(s->data_fd, SALVAGE_MARK,
				O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	(void)fd; /* its name is all */
}

/* ---- folders whose rows are lost ---- */

/* Their content is the user's: kept beside the old database, never in the trash. */
static int keep_folder(struct salvage *x, const char *name, struct err *e)
{
	struct store *s = x->s;
	char dir[96];
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT 1 FROM containers WHERE id = ?", "s",
					     name);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc)
		return rc < 0 ? -1 : 0;
	snprintf(dir, sizeof(dir), "%s.containers", s->repair.kept);
	if (mkdirat(s->data_fd, dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "make %s", dir);
	AUTO_FREE char *to = xasprintf("%s/%s", dir, name);
	if (renameat(s->containers_fd, name, s->data_fd, to) < 0)
		return err_sys(e, -errno, "keep the folder of container %s", name);
	s->repair.containers_kept++;
	return 0;
}

int db_salvage_folders(struct store *s, struct err *e)
{
	struct salvage x = {.s = s};

	return each_name(s->containers_fd, keep_folder, &x, e);
}
