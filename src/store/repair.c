/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash can leave between the database and the disk, put right at every open. Rules: nothing
 * acknowledged is lost (its row and its files are both there by construction); files nobody
 * acknowledged go to the trash; volumes hold users' data and are adopted instead.
 */
#include "store/store-priv.h"

#include "base/clock.h"
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

static int row_exists(struct store *s, const char *sql, const char *type, int64_t id,
		      const char *text, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = *type == 'i' ? db_bind(s, e, sql, "i", id)
						  : db_bind(s, e, sql, "s", text);

	return st ? db_step(s, st, e) : -1;
}

static int layer_dir(struct store *s, const char *name, struct err *e)
{
	uint64_t id;
	int rc = 0;

	if (num_parse_u64(name, 1, INT64_MAX, &id) == 0)
		rc = row_exists(s, "SELECT 1 FROM layers WHERE id = ?", "i", (int64_t)id, NULL, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	s->repair.layers_orphan++;
	return trash_move(s, s->layers_fd, name, e);
}

static int container_dir(struct store *s, const char *name, struct err *e)
{
	int rc = row_exists(s, "SELECT 1 FROM containers WHERE id = ?", "s", 0, name, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	s->repair.containers_orphan++;
	return trash_move(s, s->containers_fd, name, e);
}

int store_volume_adopt(struct store *s, const char *name, struct err *e)
{
	return db_run(s, NULL, e,
		      "INSERT INTO volumes(name, driver, labels, options, created, anonymous) "
		      "VALUES(?, 'local', '{}', "
		      "'{}', ?, ?)",
		      "sii", name, clock_now_ns(), (int64_t)store_is_hex(name, 64, 64));
}

static int volume_dir(struct store *s, const char *name, struct err *e)
{
	struct err bad = ERR_INIT;
	struct stat st;
	AUTO_FREE char *data = xasprintf("%s/_data", name);
	int rc = row_exists(s, "SELECT 1 FROM volumes WHERE name = ?", "s", 0, name, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (store_volume_name_check(name, &bad) < 0 ||
	    fstatat(s->volumes_fd, data, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		(void)unlinkat(s->volumes_fd, name, AT_REMOVEDIR); /* half made: only if empty */
		return 0;
	}
	s->repair.volumes_orphan++;
	return store_volume_adopt(s, name, e);
}

static int ingest_file(struct store *s, const char *name, struct err *e)
{
	char hex[65];

	snprintf(hex, sizeof(hex), "%s", name);
	if (strlen(name) == 64 + strlen(".partial") && str_ends(name, ".partial") &&
	    store_is_hex(hex, 64, 64))
		return 0;
	s->repair.ingest_stale++;
	return trash_move(s, s->ingest_fd, name, e);
}

static int blob_file(struct store *s, const char *name, struct err *e)
{
	struct stat st;

	if (store_is_hex(name, 64, 64) &&
	    fstatat(s->blobs_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_size > 0 || str_starts(name, "e3b0c44298fc1c14")))
		return 0;
	s->repair.blobs_lost++;
	return trash_move(s, s->blobs_fd, name, e);
}

static int each(struct store *s, int dir_fd,
		int (*fn)(struct store *s, const char *name, struct err *e), struct err *e)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fs_dir_take(fd);
	struct dirent *d;

	if (!dir)
		return err_sys(e, -errno, "read a folder of the store");
	while (rc == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = fn(s, d->d_name, e);
	closedir(dir);
	return rc;
}

/* Rows whose directory is gone: kept and marked, so that fsck or another pull makes them again. */
static int lost_layers(struct store *s, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT id FROM layers WHERE broken = 0", "");
	struct id_list lost = {NULL, 0, 0};
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		int64_t id = sqlite3_column_int64(st, 0);
		char path[48];
		struct stat info;

		snprintf(path, sizeof(path), "%lld/diff", (long long)id);
		if (fstatat(s->layers_fd, path, &info, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			id_list_add(&lost, id);
		rc = 0;
	}
	for (size_t i = 0; rc == 0 && i < lost.n; i++)
		rc = db_run(s, NULL, e, "UPDATE layers SET broken = 1 WHERE id = ?", "i",
			    lost.v[i]);
	s->repair.layers_lost += (unsigned)lost.n;
	free(lost.v);
	return rc;
}

static int half_containers(struct store *s, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT id FROM containers", "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		const char *id = db_text(st, 0);
		struct stat info;

		rc = 0;
		if (fstatat(s->containers_fd, id, &info, AT_SYMLINK_NOFOLLOW) == 0 ||
		    errno != ENOENT)
			continue;
		s->repair.containers_half++;
		rc = db_run(s, NULL, e, "DELETE FROM containers WHERE id = ?", "s", id);
	}
	if (rc == 0)
		rc = db_run(
			s, NULL, e,
			"DELETE FROM snapshots WHERE container NOT IN (SELECT id FROM containers)",
			"");
	return rc;
}

static int lost_volumes(struct store *s, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT name FROM volumes", "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		AUTO_FREE char *data = xasprintf("%s/_data", db_text(st, 0));
		struct stat info;

		rc = 0;
		if (fstatat(s->volumes_fd, data, &info, AT_SYMLINK_NOFOLLOW) == 0 ||
		    errno != ENOENT)
			continue;
		s->repair.volumes_lost++;
		(void)mkdirat(s->volumes_fd, db_text(st, 0), 0711);
		if (mkdirat(s->volumes_fd, data, 0755) < 0)
			return err_sys(e, -errno, "make volume %s again", db_text(st, 0));
	}
	return rc;
}

int store_repair_all(struct store *s, struct err *e)
{
	int rc;

	if (tx_begin(s, false, e) < 0)
		return -1;
	rc = lost_layers(s, e);
	rc = rc ? rc : half_containers(s, e);
	rc = rc ? rc : lost_volumes(s, e);
	rc = rc ? rc : each(s, s->volumes_fd, volume_dir, e);
	if (rc < 0) {
		tx_rollback(s);
		return err_wrap(e, "repair the store");
	}
	if (tx_commit(s, e) < 0)
		return -1;
	/* Files last: a row that says they are needed is never younger than this. */
	rc = each(s, s->layers_fd, layer_dir, e);
	rc = rc ? rc : each(s, s->containers_fd, container_dir, e);
	rc = rc ? rc : each(s, s->ingest_fd, ingest_file, e);
	rc = rc ? rc : each(s, s->blobs_fd, blob_file, e);
	return rc < 0 ? err_wrap(e, "repair the store") : 0;
}
