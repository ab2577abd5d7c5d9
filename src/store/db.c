/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: state.db, WAL, one connection that keeps it locked (no shared memory file, no other
 * reader), STRICT tables, schema number in user_version. Statements are prepared once and found by
 * the address of their text.
 *
 * Durability: commits are synchronous=NORMAL (in WAL mode the log is not synced, a power cut may
 * lose the last ones, a crash of the program loses none). Durable transactions switch to FULL for
 * their commit; syncing the log then also covers every earlier commit.
 */
#include "store/salvage-priv.h"

#include <errno.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define SCHEMA_VERSION 4

static const char schema[] =
	"CREATE TABLE layers(id INTEGER PRIMARY KEY AUTOINCREMENT, chain TEXT NOT NULL UNIQUE, "
	"diff_id TEXT NOT NULL,"
	" blob TEXT NOT NULL, parent INTEGER NOT NULL, size INTEGER NOT NULL, created INTEGER NOT "
	"NULL) STRICT;"
	"CREATE INDEX layers_parent ON layers(parent);"
	"CREATE TABLE images(id TEXT PRIMARY KEY, manifest TEXT NOT NULL, config TEXT NOT NULL, "
	"size INTEGER NOT NULL,"
	" stored INTEGER NOT NULL) STRICT;"
	"CREATE TABLE image_layers(image TEXT NOT NULL, pos INTEGER NOT NULL, layer INTEGER NOT "
	"NULL,"
	" PRIMARY KEY(image, pos)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX image_layers_layer ON image_layers(layer);"
	"CREATE TABLE image_blobs(image TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY(image, "
	"blob)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX image_blobs_blob ON image_blobs(blob);"
	"CREATE TABLE refs(ref TEXT PRIMARY KEY, image TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX refs_image ON refs(image);"
	"CREATE TABLE containers(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image TEXT NOT "
	"NULL, config TEXT NOT NULL,"
	" hostconfig TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL) STRICT;"
	"CREATE INDEX containers_image ON containers(image);"
	"CREATE TABLE snapshots(container TEXT PRIMARY KEY, top INTEGER NOT NULL) STRICT, WITHOUT "
	"ROWID;"
	"CREATE TABLE volumes(name TEXT PRIMARY KEY, driver TEXT NOT NULL, labels TEXT NOT NULL, "
	"options TEXT NOT NULL,"
	" created INTEGER NOT NULL, anonymous INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE docs(kind TEXT NOT NULL, key TEXT NOT NULL, json TEXT NOT NULL, PRIMARY "
	"KEY(kind, key)) STRICT, WITHOUT "
	"ROWID;"
	"PRAGMA user_version = 1;";

/*
 * 2: what fsck, df and lists want to know without reading the disk or parsing documents. -1 is
 * unknown: rows from before, or not asked for yet.
 *   layers.disk     allocated bytes of data/layers/N, filled when somebody asks
 *   layers.broken   the directory is known to be damaged or gone
 *   images.created  ns, .labels (JSON object or ''), .parent: from the config
 *   images.used     ns: when a container was made of it last
 */
static const char schema2[] = "ALTER TABLE layers ADD COLUMN disk INTEGER NOT NULL DEFAULT -1;"
			      "ALTER TABLE layers ADD COLUMN broken INTEGER NOT NULL DEFAULT 0;"
			      "ALTER TABLE layers ADD COLUMN uid_min INTEGER NOT NULL DEFAULT -1;"
			      "ALTER TABLE layers ADD COLUMN uid_max INTEGER NOT NULL DEFAULT -1;"
			      "ALTER TABLE layers ADD COLUMN gid_min INTEGER NOT NULL DEFAULT -1;"
			      "ALTER TABLE layers ADD COLUMN gid_max INTEGER NOT NULL DEFAULT -1;"
			      "ALTER TABLE images ADD COLUMN created INTEGER NOT NULL DEFAULT -1;"
			      "ALTER TABLE images ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
			      "ALTER TABLE images ADD COLUMN parent TEXT NOT NULL DEFAULT '';"
			      "ALTER TABLE images ADD COLUMN used INTEGER NOT NULL DEFAULT 0;"
			      "CREATE INDEX images_stored ON images(stored);"
			      "PRAGMA user_version = 2;";

/*
 * 3: layers.unsynced: the boot during which the layer was unpacked while its tree is not known to
 * be on the disk; '': it is.
 */
static const char schema3[] = "ALTER TABLE layers ADD COLUMN unsynced TEXT NOT NULL DEFAULT '';"
			      "PRAGMA user_version = 3;";

/*
 * 4: refs.target: the index or manifest that the name stands for, '' when there is none (made here,
 * or loaded from an old archive). ref_others: further platforms of the same index that are here
 * under the name; added: ns.
 */
static const char schema4[] =
	"ALTER TABLE refs ADD COLUMN target TEXT NOT NULL DEFAULT '';"
	"UPDATE refs SET target = substr(ref, instr(ref, '@') + 1) WHERE instr(ref, '@') > 0;"
	"UPDATE refs SET target = coalesce((SELECT r.target FROM refs r WHERE r.image = refs.image "
	"AND r.target != '' ORDER BY r.ref LIMIT 1), '') WHERE target = '';"
	"CREATE TABLE ref_others(ref TEXT NOT NULL, image TEXT NOT NULL, added INTEGER NOT NULL,"
	" PRIMARY KEY(ref, image)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX ref_others_image ON ref_others(image);"
	"CREATE INDEX images_manifest ON images(manifest);"
	"PRAGMA user_version = 4;";

int db_fail(struct store *s, struct err *e, const char *what)
{
	int code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_OK;

	if ((code == SQLITE_CORRUPT || code == SQLITE_NOTADB) && !s->damaged) {
		s->damaged = true;
		db_salvage_mark(s);
	}
	return err_set(e, ERR_SYSTEM, "state database: %s: %s", what,
		       s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

static int exec(struct store *s, const char *sql, struct err *e)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(s, e, "execute");
	return 0;
}

static int schema_version(struct store *s, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "PRAGMA user_version", "");

	if (!st || db_step(s, st, e) < 0)
		return -1;
	return sqlite3_column_int(st, 0);
}

int db_open_file(struct store *s, const char *name, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", s->data, name);
	int version;

	if (sqlite3_open_v2(path, &s->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return db_fail(s, e, "open");
	sqlite3_extended_result_codes(s->db, 1);
	if (exec(s,
		 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA "
		 "synchronous=NORMAL;"
		 "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024; PRAGMA "
		 "wal_autocheckpoint=400;",
		 e) < 0)
		return -1;
	version = schema_version(s, e);
	if (version < 0)
		return -1;
	if (version > SCHEMA_VERSION)
		return err_set(e, ERR_UNSUPPORTED,
			       "state database has version %d, this program knows up to %d",
			       version, SCHEMA_VERSION);
	if (version == SCHEMA_VERSION)
		return 0;
	if (tx_begin(s, true, e) < 0)
		return -1;
	if ((version < 1 && exec(s, schema, e) < 0) || (version < 2 && exec(s, schema2, e) < 0) ||
	    (version < 3 && exec(s, schema3, e) < 0) || exec(s, schema4, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

static bool is_sound(struct store *s)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, &none, "PRAGMA integrity_check(1)", "");

	return st && db_step(s, st, &none) > 0 && !strcmp(db_text(st, 0), "ok");
}

/* Somebody met damage before: is it there, and more than indexes? */
static bool marked_damage(struct store *s)
{
	struct err none = ERR_INIT;

	if (faccessat(s->data_fd, SALVAGE_MARK, F_OK, 0) < 0)
		return false;
	if (!is_sound(s) && (db_run(s, NULL, &none, "REINDEX", "") < 0 || !is_sound(s)))
		return true;
	(void)unlinkat(s->data_fd, SALVAGE_MARK, 0);
	return false;
}

int db_open(struct store *s, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	if (db_salvage_finish(s, e) < 0)
		return -1;
	rc = db_open_file(s, "state.db", &why);
	/* A newer program's database is no damage, whatever else was met before. */
	if (rc < 0 && !s->damaged &&
	    (why.kind == ERR_UNSUPPORTED || faccessat(s->data_fd, SALVAGE_MARK, F_OK, 0) < 0)) {
		*e = why;
		return -1;
	}
	if (rc == 0 && !marked_damage(s))
		return 0;
	if (db_salvage(s, e) < 0 || db_open_file(s, "state.db", e) < 0)
		return -1;
	s->damaged = false;
	return db_salvage_folders(s, e);
}

void db_close(struct store *s)
{
	for (size_t i = 0; i < STMT_SLOTS; i++)
		sqlite3_finalize(s->stmts[i].stmt);
	memset(s->stmts, 0, sizeof(s->stmts));
	sqlite3_close(s->db);
	s->db = NULL;
}

static sqlite3_stmt *prepared(struct store *s, const char *sql, struct err *e)
{
	size_t at = ((uintptr_t)sql >> 3) % STMT_SLOTS, looked = 0;

	while (s->stmts[at].sql && s->stmts[at].sql != sql) {
		at = (at + 1) % STMT_SLOTS;
		ASSERT(++looked < STMT_SLOTS); /* texts are literals: there are so many */
	}
	if (!s->stmts[at].sql) {
		if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
				       &s->stmts[at].stmt, NULL) != SQLITE_OK) {
			(void)db_fail(s, e, "prepare");
			return NULL;
		}
		s->stmts[at].sql = sql;
	}
	return s->stmts[at].stmt;
}

static sqlite3_stmt *vbind(struct store *s, struct err *e, const char *sql, const char *types,
			   va_list ap)
{
	sqlite3_stmt *st = prepared(s, sql, e);

	if (!st)
		return NULL;
	sqlite3_reset(st);
	for (int i = 0; types[i]; i++) {
		int rc;

		if (types[i] == 's')
			rc = sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1,
					       SQLITE_TRANSIENT);
		else
			rc = sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t));
		if (rc != SQLITE_OK) {
			(void)db_fail(s, e, "bind");
			return NULL;
		}
	}
	return st;
}

sqlite3_stmt *db_bind(struct store *s, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	sqlite3_stmt *st = vbind(s, e, sql, types, ap);
	va_end(ap);
	return st;
}

int db_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE) {
		sqlite3_reset(st);
		return 0;
	}
	if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
		(void)err_set(e, ERR_CONFLICT, "already exists");
	else
		(void)db_fail(s, e, "step");
	if (rc == SQLITE_FULL)
		e->sys = ENOSPC;
	sqlite3_reset(st);
	return -1;
}

int db_run(struct store *s, int *ret_changes, struct err *e, const char *sql, const char *types,
	   ...)
{
	va_list ap;

	va_start(ap, types);
	sqlite3_stmt *st = vbind(s, e, sql, types, ap);
	va_end(ap);
	if (!st || db_step(s, st, e) < 0)
		return -1;
	sqlite3_reset(st);
	if (ret_changes)
		*ret_changes = sqlite3_changes(s->db);
	return 0;
}

int db_count(struct store *s, const char *sql, const char *key, size_t *ret, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, sql, "s", key);

	if (!st || db_step(s, st, e) < 0)
		return -1;
	*ret = (size_t)sqlite3_column_int64(st, 0);
	return 0;
}

void db_reset(sqlite3_stmt **st)
{
	if (*st)
		sqlite3_reset(*st);
}

const char *db_text(sqlite3_stmt *st, int col)
{
	const unsigned char *t = sqlite3_column_text(st, col);

	return t ? (const char *)t : "";
}

int tx_begin(struct store *s, bool durable, struct err *e)
{
	if (s->in_tx)
		return 0;
	if (durable && exec(s, "PRAGMA synchronous=FULL", e) < 0)
		return -1;
	return db_run(s, NULL, e, "BEGIN IMMEDIATE", "");
}

/* NORMAL again after a durable commit; costs a microsecond otherwise. */
static void relax(struct store *s)
{
	struct err ignored = ERR_INIT;

	(void)exec(s, "PRAGMA synchronous=NORMAL", &ignored);
}

int tx_commit(struct store *s, struct err *e)
{
	if (s->in_tx)
		return 0;
	if (db_run(s, NULL, e, "COMMIT", "") < 0) {
		tx_rollback(s);
		return -1;
	}
	relax(s);
	return 0;
}

void tx_rollback(struct store *s)
{
	struct err ignored = ERR_INIT;

	if (s->in_tx)
		return;
	if (!sqlite3_get_autocommit(s->db))
		(void)db_run(s, NULL, &ignored, "ROLLBACK", "");
	relax(s);
}

int store_begin(struct store *s, bool durable, struct err *e)
{
	ASSERT(!s->in_tx);
	if (tx_begin(s, durable, e) < 0)
		return -1;
	s->in_tx = true;
	return 0;
}

int store_end(struct store *s, bool commit, struct err *e)
{
	ASSERT(s->in_tx);
	s->in_tx = false;
	if (commit)
		return tx_commit(s, e);
	tx_rollback(s);
	return 0;
}
