/* SPDX-License-Identifier: Apache-2.0 */
/* See check.h. */
#include "store/check.h"

#include "base/json.h"
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

struct check {
	struct store *s;
	bool repair;
	store_problem_fn fn;
	void *ud;
};

static void tell(const struct check *c, const char *kind, const char *name, bool repaired,
		 const char *text)
{
	const struct store_problem p = {
		.kind = kind, .name = name, .text = text, .repaired = repaired};

	c->fn(c->ud, &p);
}

/* ---- pages and indexes ---- */

static int integrity(const struct check *c, size_t *ret, bool say, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(c->s, e, "PRAGMA integrity_check(20)", "");
	int rc = st ? 0 : -1;

	*ret = 0;
	while (rc == 0 && (rc = db_step(c->s, st, e)) > 0) {
		const char *text = db_text(st, 0);

		rc = 0;
		if (!strcmp(text, "ok"))
			continue;
		(*ret)++;
		if (say)
			tell(c, "database", "state.db", false, text);
	}
	return rc;
}

static int check_database(const struct check *c, struct err *e)
{
	const struct store_problem lost = {
		.kind = "database",
		.name = "state.db",
		.text = "pages are damaged",
		.advice = c->repair ? "restart the engine: it salvages what can be read into a new "
				      "database and keeps the old one; then repair again"
				    : "repair, then restart the engine"};
	size_t n = 0, left = 0;
	struct err why = ERR_INIT;

	if (integrity(c, &n, !c->repair, &why) < 0) {
		c->fn(c->ud, &lost);
		if (c->repair)
			db_salvage_mark(c->s);
		return 0;
	}
	if (!n || !c->repair)
		return 0;
	/* Indexes can be made again from their tables. */
	if (db_run(c->s, NULL, &why, "REINDEX", "") == 0 && integrity(c, &left, false, &why) == 0 &&
	    !left) {
		tell(c, "database", "state.db", true, "indexes did not fit their tables");
		return 0;
	}
	c->fn(c->ud, &lost);
	db_salvage_mark(c->s);
	(void)e;
	return 0;
}

/* ---- references between the tables ---- */

struct rule {
	const char *kind, *text;
	const char *find;   /* column 0: name */
	const char *repair; /* NULL: not by itself */
	const char *advice;
};

static const struct rule row_rules[] = {
	{"container", "the row of its root file system has no container",
	 "SELECT container FROM snapshots WHERE container NOT IN (SELECT id FROM containers)",
	 "DELETE FROM snapshots WHERE container NOT IN (SELECT id FROM containers)", NULL},
	{"container", "a layer of its root file system has no row",
	 "SELECT container FROM snapshots WHERE top != 0 AND top NOT IN (SELECT id FROM layers)",
	 NULL, "export what is in its own layer, then remove it"},
};

static int apply_rule(const struct check *c, const struct rule *r, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(c->s, e, r->find, "");
	bool any = false;
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(c->s, st, e)) > 0) {
		const struct store_problem p = {.kind = r->kind,
						.name = db_text(st, 0),
						.text = r->text,
						.advice = r->advice,
						.repaired = c->repair && r->repair};

		c->fn(c->ud, &p);
		any = true;
		rc = 0;
	}
	if (rc == 0 && any && c->repair && r->repair)
		rc = db_run(c->s, NULL, e, r->repair, "");
	return rc;
}

/* The config of an image must be what its id says; the blob is a second copy. */
static int check_configs(const struct check *c, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(c->s, e, "SELECT id, config FROM images", "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(c->s, st, e)) > 0) {
		AUTO_BUF struct buf text = BUF_INIT((size_t)8 << 20);
		struct digest id, is, blob;
		struct err none = ERR_INIT;

		rc = 0;
		digest_of(db_text(st, 1), strlen(db_text(st, 1)), &is);
		if (!strcmp(is.text, db_text(st, 0)))
			continue;
		bool fix = c->repair && digest_parse(db_text(st, 0), &id) == 0 &&
			   store_blob_read(c->s, &id, &text, &none) == 0;
		if (fix) {
			digest_of(buf_text(&text), text.n, &blob);
			fix = digest_eq(&blob, &id) &&
			      db_run(c->s, NULL, e, "UPDATE images SET config = ? WHERE id = ?",
				     "ss", buf_text(&text), id.text) == 0;
		}
		const struct store_problem p = {
			.kind = "image",
			.name = db_text(st, 0),
			.text = "its configuration is not the one its id names",
			.advice = fix || !c->repair ? NULL : "remove it and pull it again",
			.repaired = fix};
		c->fn(c->ud, &p);
	}
	return rc;
}

static int check_rows(const struct check *c, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(row_rules); i++)
		rc = apply_rule(c, &row_rules[i], e);
	return rc ? rc : check_configs(c, e);
}

/* The layer that `chain` stands on is the one whose chain id makes it. 0: there is none. */
static int64_t find_parent(struct store *s, const struct digest *chain,
			   const struct digest *diff_id)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, &none, "SELECT id, chain FROM layers", "");
	struct digest parent, is;

	while (st && db_step(s, st, &none) > 0) {
		if (digest_parse(db_text(st, 1), &parent) < 0)
			continue;
		store_chain_id(&parent, diff_id, &is);
		if (digest_eq(&is, chain))
			return sqlite3_column_int64(st, 0);
	}
	return 0;
}

/* After images were made again: a parent may have a new number. */
static int check_parents(const struct check *c, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		c->s, e,
		"SELECT id, chain, diff_id FROM layers WHERE parent != 0 AND parent NOT IN (SELECT "
		"id FROM layers)",
		"");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(c->s, st, e)) > 0) {
		struct digest chain = {""}, diff_id;
		int64_t parent = 0;

		rc = 0;
		if (digest_parse(db_text(st, 1), &chain) == 0 && c->repair &&
		    digest_parse(db_text(st, 2), &diff_id) == 0)
			parent = find_parent(c->s, &chain, &diff_id);
		if (parent)
			rc = db_run(c->s, NULL, e, "UPDATE layers SET parent = ? WHERE id = ?",
				    "ii", parent, sqlite3_column_int64(st, 0));
		tell(c, "layer", chain.text, parent != 0, "the layer below it has no row");
	}
	return rc;
}

/* ---- containers and volumes ---- */

static bool exists(int dir_fd, const char *path)
{
	struct stat st;

	return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static int check_containers(const struct check *c, struct err *e)
{
	static const char *const parts[] = {"upper", "work"};
	AUTO_STMT sqlite3_stmt *st = db_bind(
		c->s, e,
		"SELECT id, EXISTS(SELECT 1 FROM snapshots WHERE container = id) FROM containers",
		"");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(c->s, st, e)) > 0) {
		const char *id = db_text(st, 0);

		rc = 0;
		if (!exists(c->s->containers_fd, id)) {
			/* Its content is lost; what is left can be removed by its name. */
			bool made = c->repair && mkdirat(c->s->containers_fd, id, 0710) == 0;

			tell(c, "container", id, made, "its folder is gone; its content is lost");
			if (!made)
				continue;
		}
		for (size_t i = 0; sqlite3_column_int(st, 1) && i < ARRAY_SIZE(parts); i++) {
			AUTO_FREE char *path = xasprintf("%s/%s", id, parts[i]);

			if (exists(c->s->containers_fd, path))
				continue;
			tell(c, "container", id,
			     c->repair && mkdirat(c->s->containers_fd, path, i ? 0700 : 0755) == 0,
			     i ? "its work folder is gone"
			       : "the folder of its changes is gone; they are lost");
		}
	}
	return rc;
}

static int check_volumes(const struct check *c, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(c->s, e, "SELECT name FROM volumes", "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(c->s, st, e)) > 0) {
		AUTO_FREE char *data = xasprintf("%s/_data", db_text(st, 0));
		bool fix = c->repair;

		rc = 0;
		if (exists(c->s->volumes_fd, data))
			continue;
		if (fix) {
			(void)mkdirat(c->s->volumes_fd, db_text(st, 0), 0711);
			fix = mkdirat(c->s->volumes_fd, data, 0755) == 0;
		}
		tell(c, "volume", db_text(st, 0), fix, "its folder is gone; its content is lost");
	}
	return rc;
}

/* ---- orphans ---- */

/* Is `name` known? sql has one parameter. */
static bool has_row(struct store *s, const char *sql, const char *name)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, &none, sql, "s", name);

	return !st || db_step(s, st, &none) != 0; /* in doubt it is */
}

static bool known_layer(struct store *s, const char *name)
{
	return map_get(s->busy, name) ||
	       has_row(s, "SELECT 1 FROM layers WHERE CAST(id AS TEXT) = ?", name);
}

static bool known_container(struct store *s, const char *name)
{
	return has_row(s, "SELECT 1 FROM containers WHERE id = ?", name);
}

static bool known_volume(struct store *s, const char *name)
{
	return has_row(s, "SELECT 1 FROM volumes WHERE name = ?", name);
}

static bool known_blob(struct store *s, const char *name)
{
	AUTO_FREE char *digest = xasprintf("sha256:%s", name);

	return lease_holds_blob(s, digest) || map_get(s->ingests, digest) ||
	       unsynced_needs(s, digest) ||
	       has_row(s, "SELECT 1 FROM image_blobs WHERE blob = ? LIMIT 1", digest);
}

/* Partial downloads wait for a resume; garbage collection lets them expire. */
static bool known_ingest(struct store *s, const char *name)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "%.*s", (int)strcspn(name, "."), name);
	return str_ends(name, ".partial") || map_get(s->busy, prefix);
}

static bool adopt_volume(struct store *s, const char *name)
{
	struct err none = ERR_INIT;
	AUTO_FREE char *data = xasprintf("%s/_data", name);
	struct stat st;

	if (store_volume_name_check(name, &none) < 0 ||
	    fstatat(s->volumes_fd, data, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return unlinkat(s->volumes_fd, name, AT_REMOVEDIR) == 0;
	return store_volume_adopt(s, name, &none) == 0;
}

struct folder {
	const char *name, *text;
	size_t fd; /* offset in struct store */
	bool (*known)(struct store *s, const char *name);
};

#define FOLDER_FD(member) offsetof(struct store, member)
static const struct folder folders[] = {
	{"layers", "a layer that has no row", FOLDER_FD(layers_fd), known_layer},
	{"containers", "the folder of no container", FOLDER_FD(containers_fd), known_container},
	{"blobs/sha256", "a blob that no image needs", FOLDER_FD(blobs_fd), known_blob},
	{"ingest", "left by a load that ended", FOLDER_FD(ingest_fd), known_ingest},
	{"volumes", "a volume that has no row", FOLDER_FD(volumes_fd), known_volume},
};

static int folder_fd(const struct store *s, const struct folder *f)
{
	int fd;

	memcpy(&fd, (const char *)s + f->fd, sizeof(fd));
	return fd;
}

static int check_folder(const struct check *c, const struct folder *f, struct err *e)
{
	int dir_fd = folder_fd(c->s, f);
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fs_dir_take(fd);
	struct dirent *d;

	if (!dir)
		return err_sys(e, -errno, "read %s", f->name);
	while (rc == 0 && (d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
		    f->known(c->s, d->d_name))
			continue;
		AUTO_FREE char *path = xasprintf("%s/%s", f->name, d->d_name);
		struct err why = ERR_INIT;
		bool fixed = false;
		if (c->repair && f->known == known_volume)
			fixed = adopt_volume(c->s, d->d_name);
		else if (c->repair)
			fixed = trash_move(c->s, dir_fd, d->d_name, &why) == 0;
		tell(c, "orphan", path, fixed, f->text);
	}
	closedir(dir);
	return rc;
}

/* What is in DATA besides what the store puts there is somebody's; it is named, never touched. */
static int check_top(const struct check *c, struct err *e)
{
	static const char *const ours[] = {
		"blobs",	"containers",	    "events.json",	"ingest",
		"layers",	"reserve",	    "state.db",		"state.db-shm",
		"state.db-wal", "state.db.salvage", "state.db-journal", "trash",
		"volumes"};
	int fd = openat(c->s->data_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fs_dir_take(fd);
	struct dirent *d;

	if (!dir)
		return err_sys(e, -errno, "read %s", c->s->data);
	while ((d = readdir(dir))) {
		bool known = d->d_name[0] == '.' || str_starts(d->d_name, "events.json") ||
			     str_starts(d->d_name, "state.db.damaged-");

		for (size_t i = 0; !known && i < ARRAY_SIZE(ours); i++)
			known = !strcmp(d->d_name, ours[i]);
		if (known)
			continue;
		const struct store_problem p = {.kind = "orphan",
						.name = d->d_name,
						.text = "not of this store",
						.advice = "move it elsewhere if it is yours"};
		c->fn(c->ud, &p);
	}
	closedir(dir);
	return 0;
}

static int check_orphans(const struct check *c, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(folders); i++)
		rc = check_folder(c, &folders[i], e);
	return rc ? rc : check_top(c, e);
}

int store_check(struct store *s, enum store_check_part part, bool repair, store_problem_fn fn,
		void *ud, struct err *e)
{
	const struct check c = {.s = s, .repair = repair, .fn = fn, .ud = ud};

	switch (part) {
	case STORE_CHECK_DATABASE:
		return check_database(&c, e);
	case STORE_CHECK_ROWS:
		return check_rows(&c, e);
	case STORE_CHECK_CONTAINERS:
		return check_parents(&c, e) < 0 ? -1 : check_containers(&c, e);
	case STORE_CHECK_VOLUMES:
		return check_volumes(&c, e);
	case STORE_CHECK_ORPHANS:
		return check_orphans(&c, e);
	case STORE_CHECK_PARTS:
		break;
	}
	return 0;
}
