/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: data/layers/N/diff, rows keyed by chain id. */
#include "store/store-priv.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

void store_chain_id(const struct digest *parent, const struct digest *diff_id, struct digest *ret)
{
	char text[2 * DIGEST_TEXT_MAX + 1];
	int n;

	if (!parent || !digest_is_set(parent)) {
		*ret = *diff_id;
		return;
	}
	n = snprintf(text, sizeof(text), "%s %s", parent->text, diff_id->text);
	digest_of(text, (size_t)n, ret);
}

#define COLUMNS                                                                                    \
	"SELECT id, parent, chain, diff_id, blob, size, created, broken, uid_min, uid_max, "       \
	"gid_min, gid_max FROM layers "

static void fill(sqlite3_stmt *st, struct store_layer *l)
{
	*l = (struct store_layer){.id = sqlite3_column_int64(st, 0),
				  .parent = sqlite3_column_int64(st, 1)};
	(void)digest_parse(db_text(st, 2), &l->chain);
	(void)digest_parse(db_text(st, 3), &l->diff_id);
	(void)digest_parse(db_text(st, 4), &l->blob);
	l->size = (uint64_t)sqlite3_column_int64(st, 5);
	l->created = sqlite3_column_int64(st, 6);
	l->broken = sqlite3_column_int(st, 7) != 0;
	l->ids = (struct store_ids){sqlite3_column_int64(st, 8), sqlite3_column_int64(st, 9),
				    sqlite3_column_int64(st, 10), sqlite3_column_int64(st, 11)};
}

int store_layer_get(struct store *s, const struct digest *chain, struct store_layer *ret,
		    struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, COLUMNS "WHERE chain = ?", "s", chain->text);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "no such layer: %s", chain->text);
	fill(st, ret);
	return 0;
}

int store_layer_each(struct store *s, store_layer_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, COLUMNS "ORDER BY id", "");
	struct store_layer l;
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		fill(st, &l);
		if (fn(&l, ud))
			return 0;
		rc = 0;
	}
	return rc;
}

int store_suspect_each(struct store *s, store_layer_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, COLUMNS "WHERE unsynced NOT IN ('', ?) ORDER BY id", "s", s->boot);
	struct store_layer l;
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		fill(st, &l);
		if (fn(&l, ud))
			return 0;
		rc = 0;
	}
	return rc;
}

int store_layer_mark(struct store *s, const struct digest *chain, bool broken, struct err *e)
{
	if (tx_begin(s, true, e) < 0)
		return -1;
	if (db_run(s, NULL, e, "UPDATE layers SET broken = ? WHERE chain = ?", "is",
		   (int64_t)broken, chain->text) < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

int store_layer_open(struct store *s, int64_t id, int *ret_dir, int *ret_seal, struct err *e)
{
	char path[48];

	snprintf(path, sizeof(path), "%lld/diff", (long long)id);
	AUTO_FD int dir = openat(s->layers_fd, path,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM,
			       "its directory cannot be opened: %s", strerror(errno));
	snprintf(path, sizeof(path), "%lld/seal", (long long)id);
	*ret_seal = openat(s->layers_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*ret_dir = TAKE_FD(dir);
	return 0;
}

bool store_layer_has(struct store *s, const struct digest *chain)
{
	struct err ignored = ERR_INIT;
	struct store_layer l;

	return store_layer_get(s, chain, &l, &ignored) == 0 && !l.broken;
}

int store_layer_begin(struct store *s, struct store_layer_tmp *ret, struct err *e)
{
	struct store_layer_tmp t = STORE_LAYER_TMP_INIT;
	char diff[64], seal[64];

	store_unique(s, "tmp-", t.name, sizeof(t.name));
	(void)map_set(s->busy, t.name, s);
	snprintf(diff, sizeof(diff), "%s/diff", t.name);
	snprintf(seal, sizeof(seal), "%s/seal", t.name);
	if (mkdirat(s->layers_fd, t.name, 0711) < 0 || mkdirat(s->layers_fd, diff, 0755) < 0 ||
	    (t.fd = openat(s->layers_fd, diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) <
		    0 ||
	    (t.seal_fd = openat(s->layers_fd, seal, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) <
		    0) {
		int rc = -errno;

		store_layer_abort(s, &t);
		return err_sys(e, rc, "make a layer directory");
	}
	(void)fchmod(t.fd, 0755); /* whatever the umask is */
	*ret = t;
	return 0;
}

static void finished(struct store *s, struct store_layer_tmp *tmp)
{
	fd_close(&tmp->fd);
	fd_close(&tmp->seal_fd);
	(void)map_del(s->busy, tmp->name);
	tmp->name[0] = '\0';
}

void store_layer_abort(struct store *s, struct store_layer_tmp *tmp)
{
	struct err ignored = ERR_INIT;

	if (tmp->name[0])
		(void)trash_move(s, s->layers_fd, tmp->name, &ignored);
	finished(s, tmp);
}

/*
 * Row first (it gives N), rename, sync, then commit: a crash in between leaves a directory that
 * repair removes. An unsynced one is not waited for: the row may then be there without the
 * directory, which makes it a broken one.
 */
static int insert(struct store *s, const struct store_layer_tmp *tmp, struct store_layer *l,
		  struct err *e)
{
	char dir[32];

	if (db_run(s, NULL, e,
		   "INSERT INTO layers(chain, diff_id, blob, parent, size, created, uid_min, "
		   "uid_max, gid_min, gid_max, unsynced) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		   "sssiiiiiiis", l->chain.text, l->diff_id.text, l->blob.text, l->parent,
		   (int64_t)l->size, l->created, l->ids.uid_min, l->ids.uid_max, l->ids.gid_min,
		   l->ids.gid_max, tmp->unsynced ? s->boot : "") < 0)
		return -1;
	l->id = sqlite3_last_insert_rowid(s->db);
	snprintf(dir, sizeof(dir), "%lld", (long long)l->id);
	if (renameat(s->layers_fd, tmp->name, s->layers_fd, dir) < 0)
		return err_sys(e, -errno, "rename layer %s", l->chain.text);
	return 0;
}

/* A rolled back row frees its N for the next layer: the directory must not keep it. */
static void undo(struct store *s, const struct store_layer_tmp *tmp, const struct store_layer *l)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "%lld", (long long)l->id);
	if (l->id)
		(void)renameat(s->layers_fd, dir, s->layers_fd, tmp->name);
}

/* The damaged directory goes, tmp takes its place. A crash in between leaves a broken row without
 * directory, as it was. */
static int replace(struct store *s, struct store_layer_tmp *tmp, struct store_layer *l,
		   const struct digest *blob, struct err *e)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "%lld", (long long)l->id);
	if (trash_move(s, s->layers_fd, dir, e) < 0)
		return -1;
	if (renameat(s->layers_fd, tmp->name, s->layers_fd, dir) < 0 ||
	    (!tmp->unsynced && fsync(s->layers_fd) < 0))
		return err_sys(e, -errno, "rename layer %s", l->chain.text);
	if (tx_begin(s, !tmp->unsynced, e) < 0)
		return -1;
	if (db_run(s, NULL, e,
		   "UPDATE layers SET broken = 0, disk = -1, blob = ?, uid_min = ?, uid_max = ?, "
		   "gid_min = ?, gid_max = ?, unsynced = ? WHERE id = ?",
		   "siiiisi", blob && digest_is_set(blob) ? blob->text : l->blob.text,
		   tmp->ids.uid_min, tmp->ids.uid_max, tmp->ids.gid_min, tmp->ids.gid_max,
		   tmp->unsynced ? s->boot : "", l->id) < 0) {
		tx_rollback(s);
		return -1;
	}
	if (tx_commit(s, e) < 0)
		return -1;
	l->ids = tmp->ids;
	l->broken = false;
	unsynced_changed(s, l->id);
	finished(s, tmp);
	return 0;
}

int store_layer_commit(struct store *s, struct store_layer_tmp *tmp, const struct digest *parent,
		       const struct digest *diff_id, const struct digest *blob, uint64_t size,
		       struct store_layer *ret, struct err *e)
{
	struct store_layer l = {.diff_id = *diff_id, .size = size, .created = clock_now_ns()}, p;
	struct err why = ERR_INIT;

	l.ids = tmp->ids;
	store_chain_id(parent, diff_id, &l.chain);
	if (store_layer_get(s, &l.chain, ret, &why) == 0) {
		if (ret->broken)
			return replace(s, tmp, ret, blob, e);
		store_layer_abort(s, tmp);
		return 0;
	}
	if (parent && digest_is_set(parent)) {
		if (store_layer_get(s, parent, &p, e) < 0)
			return err_wrap(e, "parent of layer %s", l.chain.text);
		l.parent = p.id;
	}
	if (blob)
		l.blob = *blob;
	if (tx_begin(s, !tmp->unsynced, e) < 0)
		return -1;
	if (insert(s, tmp, &l, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	if (!tmp->unsynced && fsync(s->layers_fd) < 0) {
		(void)err_sys(e, -errno, "fsync of the layer folder");
		tx_rollback(s);
		undo(s, tmp, &l);
		return -1;
	}
	if (tx_commit(s, e) < 0) {
		undo(s, tmp, &l);
		return -1;
	}
	unsynced_changed(s, l.id);
	finished(s, tmp);
	*ret = l;
	return 0;
}
