/* SPDX-License-Identifier: Apache-2.0 */
/* Layers whose trees are not known to be on the disk, and making what a lease holds durable. See
 * store.h. */
#include "store/store-priv.h"

#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

void unsynced_boot(struct store *s)
{
	AUTO_BUF struct buf text = BUF_INIT(128);

	if (fs_read_path(BOOT_ID, &text) == 0 && text.n >= 36)
		snprintf(s->boot, sizeof(s->boot), "%.36s", buf_text(&text));
	else /* every start is a new boot then */
		store_unique(s, "open-", s->boot, sizeof(s->boot));
}

void unsynced_changed(struct store *s, int64_t id)
{
	for (size_t i = 0; i < s->syncing.n; i++)
		if (s->syncing.v[i] == id)
			s->syncing.v[i] = -1;
}

bool unsynced_needs(struct store *s, const char *digest)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, &none, "SELECT 1 FROM layers WHERE unsynced != '' AND blob = ? LIMIT 1", "s",
		digest);
	bool needed = !st || db_step(s, st, &none) != 0; /* in doubt it is */

	s->blob_kept = s->blob_kept || needed;
	return needed;
}

int store_unsynced_begin(struct store *s, size_t *ret_n, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT id FROM layers WHERE unsynced = ?", "s",
					     s->boot);
	int rc = st ? 0 : -1;

	s->syncing.n = 0;
	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		id_list_add(&s->syncing, sqlite3_column_int64(st, 0));
		rc = 0;
	}
	*ret_n = s->syncing.n;
	return rc;
}

int store_unsynced_end(struct store *s, bool *ret_kept, struct err *e)
{
	*ret_kept = s->blob_kept;
	/* Not durable: a mark that comes back only costs another look. */
	if (tx_begin(s, false, e) < 0)
		return -1;
	for (size_t i = 0; i < s->syncing.n; i++)
		if (db_run(s, NULL, e, "UPDATE layers SET unsynced = '' WHERE id = ?", "i",
			   s->syncing.v[i]) < 0) {
			tx_rollback(s);
			return -1;
		}
	s->syncing.n = 0;
	s->blob_kept = false;
	return tx_commit(s, e);
}

int store_suspect_done(struct store *s, const struct digest *chain, struct err *e)
{
	return db_run(s, NULL, e,
		      "UPDATE layers SET unsynced = ? WHERE chain = ? AND unsynced != ''", "ss",
		      s->boot, chain->text);
}

int store_layers_fd(const struct store *s)
{
	return s->layers_fd;
}

/* ---- settling ---- */

struct store_settle {
	int blobs_fd;
	size_t n;
	char names[][65];
};

struct store_settle *store_settle_new(const struct store *s, const struct store_lease *l)
{
	const char *key;
	size_t pos = 0, n = 0;
	void *value;

	while (map_next(l->blobs, &pos, &key, &value))
		n++;
	struct store_settle *st = xcalloc(1, sizeof(*st) + n * sizeof(st->names[0]));
	st->blobs_fd = fcntl(s->blobs_fd, F_DUPFD_CLOEXEC, 3);
	for (pos = 0; map_next(l->blobs, &pos, &key, &value);)
		if (str_starts(key, "sha256:"))
			snprintf(st->names[st->n++], sizeof(st->names[0]), "%s", key + 7);
	return st;
}

int store_settle_run(struct store_settle *st, struct err *e)
{
	for (size_t i = 0; i < st->n; i++) {
		AUTO_FD int fd = openat(st->blobs_fd, st->names[i],
					O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 && errno == ENOENT)
			continue; /* its layer was here already */
		if (fd < 0 || fdatasync(fd) < 0)
			return err_sys(e, -errno, "sync blob %s", st->names[i]);
	}
	if (fsync(st->blobs_fd) < 0)
		return err_sys(e, -errno, "fsync of the blob folder");
	return 0;
}

void store_settle_free(struct store_settle *st)
{
	if (!st)
		return;
	fd_close(&st->blobs_fd);
	free(st);
}
