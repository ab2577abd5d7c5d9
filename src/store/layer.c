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

/* Columns: id, parent, chain, diff_id, blob, size, created. */
static void fill(sqlite3_stmt *st, struct store_layer *l)
{
	*l = (struct store_layer){.id = sqlite3_column_int64(st, 0),
				  .parent = sqlite3_column_int64(st, 1)};
	(void)digest_parse(db_text(st, 2), &l->chain);
	(void)digest_parse(db_text(st, 3), &l->diff_id);
	(void)digest_parse(db_text(st, 4), &l->blob);
	l->size = (uint64_t)sqlite3_column_int64(st, 5);
	l->created = sqlite3_column_int64(st, 6);
}

int store_layer_get(struct store *s, const struct digest *chain, struct store_layer *ret,
		    struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e,
					     "SELECT id, parent, chain, diff_id, blob, size, "
					     "created FROM layers WHERE chain = ?",
					     "s", chain->text);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "no such layer: %s", chain->text);
	fill(st, ret);
	return 0;
}

bool store_layer_has(struct store *s, const struct digest *chain)
{
	struct err ignored = ERR_INIT;
	struct store_layer l;

	return store_layer_get(s, chain, &l, &ignored) == 0;
}

int store_layer_begin(struct store *s, struct store_layer_tmp *ret, struct err *e)
{
	struct store_layer_tmp t = STORE_LAYER_TMP_INIT;
	char diff[64];

	store_unique(s, "tmp-", t.name, sizeof(t.name));
	snprintf(diff, sizeof(diff), "%s/diff", t.name);
	if (mkdirat(s->layers_fd, t.name, 0711) < 0 || mkdirat(s->layers_fd, diff, 0755) < 0 ||
	    (t.fd = openat(s->layers_fd, diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) <
		    0) {
		int rc = -errno;

		store_layer_abort(s, &t);
		return err_sys(e, rc, "make a layer directory");
	}
	(void)fchmod(t.fd, 0755); /* whatever the umask is */
	*ret = t;
	return 0;
}

void store_layer_abort(struct store *s, struct store_layer_tmp *tmp)
{
	struct err ignored = ERR_INIT;

	fd_close(&tmp->fd);
	if (tmp->name[0])
		(void)trash_move(s, s->layers_fd, tmp->name, &ignored);
	tmp->name[0] = '\0';
}

/* Row first (it gives N), rename, sync, then commit: a crash in between leaves a directory that
 * repair removes. */
static int insert(struct store *s, const struct store_layer_tmp *tmp, struct store_layer *l,
		  struct err *e)
{
	char dir[32];

	if (db_run(s, NULL, e,
		   "INSERT INTO layers(chain, diff_id, blob, parent, size, created) VALUES(?, ?, "
		   "?, ?, ?, ?)",
		   "sssiii", l->chain.text, l->diff_id.text, l->blob.text, l->parent,
		   (int64_t)l->size, l->created) < 0)
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

int store_layer_commit(struct store *s, struct store_layer_tmp *tmp, const struct digest *parent,
		       const struct digest *diff_id, const struct digest *blob, uint64_t size,
		       struct store_layer *ret, struct err *e)
{
	struct store_layer l = {.diff_id = *diff_id, .size = size, .created = clock_now_ns()}, p;
	struct err why = ERR_INIT;

	store_chain_id(parent, diff_id, &l.chain);
	if (store_layer_get(s, &l.chain, ret, &why) == 0) {
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
	if (tx_begin(s, true, e) < 0)
		return -1;
	if (insert(s, tmp, &l, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	if (fsync(s->layers_fd) < 0) {
		(void)err_sys(e, -errno, "fsync of the layer folder");
		tx_rollback(s);
		undo(s, tmp, &l);
		return -1;
	}
	if (tx_commit(s, e) < 0) {
		undo(s, tmp, &l);
		return -1;
	}
	fd_close(&tmp->fd);
	tmp->name[0] = '\0';
	*ret = l;
	return 0;
}
