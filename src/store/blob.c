/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: immutable files named by their sha256; downloads in ingest/HEX.partial, staged archive
 * members beside them. */
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

#define STAGE_GAP 4096 /* members of an archive that are no files */

#define PARTIAL_NAME_MAX (64 + sizeof(".partial"))

/* File name in blobs/sha256; only sha256 is stored. */
static int blob_name(const struct digest *d, const char **ret, struct err *e)
{
	if (!str_starts(d->text, "sha256:"))
		return err_set(e, ERR_UNSUPPORTED,
			       "digest algorithm of \"%s\" is not supported for storage", d->text);
	*ret = digest_hex(d);
	return 0;
}

bool store_blob_has(struct store *s, const struct digest *d, uint64_t *ret_size)
{
	struct err ignored = ERR_INIT;
	const char *name = "";
	struct stat st;

	if (blob_name(d, &name, &ignored) < 0 ||
	    fstatat(s->blobs_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return true;
}

int store_blob_open(struct store *s, const struct digest *d, int *ret_fd, struct err *e)
{
	const char *name = "";
	int fd;

	if (blob_name(d, &name, e) < 0)
		return -1;
	fd = openat(s->blobs_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "no such blob: %s", d->text);
	if (fd < 0)
		return err_sys(e, -errno, "open blob %s", d->text);
	*ret_fd = fd;
	return 0;
}

int store_blob_read(struct store *s, const struct digest *d, struct buf *out, struct err *e)
{
	AUTO_FD int fd = FD_NONE;
	int rc;

	if (store_blob_open(s, d, &fd, e) < 0)
		return -1;
	rc = fs_read_fd(fd, out);
	if (rc == -EFBIG)
		return err_set(e, ERR_LIMIT, "blob %s is larger than %zu bytes", d->text, out->max);
	if (rc < 0)
		return err_sys(e, rc, "read blob %s", d->text);
	return 0;
}

int store_blob_put(struct store *s, const void *p, size_t n, enum store_when when,
		   struct digest *ret, struct err *e)
{
	struct digest d;
	int rc;

	digest_of(p, n, &d);
	if (!store_blob_has(s, &d, NULL)) {
		rc = fs_write_atomic(s->blobs_fd, digest_hex(&d), p, n, 0600, when == STORE_NOW);
		if (rc < 0)
			return err_sys(e, rc, "write blob %s", d.text);
	}
	*ret = d;
	return 0;
}

static int partial_name(const struct digest *d, char ret[static PARTIAL_NAME_MAX], struct err *e)
{
	const char *hex = "";

	if (blob_name(d, &hex, e) < 0)
		return -1;
	snprintf(ret, PARTIAL_NAME_MAX, "%s.partial", hex);
	return 0;
}

int store_ingest_open(struct store *s, const struct digest *d, int *ret_fd, uint64_t *ret_have,
		      struct err *e)
{
	char name[PARTIAL_NAME_MAX];
	struct stat st;

	if (partial_name(d, name, e) < 0)
		return -1;
	if (map_get(s->ingests, d->text))
		return err_set(e, ERR_CONFLICT, "blob %s is being downloaded already", d->text);
	AUTO_FD int fd = openat(s->ingest_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
				0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "open the partial blob %s", d->text);
	(void)map_set(s->ingests, d->text, s);
	*ret_have = (uint64_t)st.st_size;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A finished file of the ingest folder becomes a blob. A blob that is there already wins: same
 * content. */
static int commit_file(struct store *s, const char *file, const struct digest *d, uint64_t size,
		       enum store_when when, struct err *e)
{
	const char *hex = "";
	struct stat st;

	if (blob_name(d, &hex, e) < 0)
		return -1;
	AUTO_FD int fd = openat(s->ingest_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT && store_blob_has(s, d, NULL))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "open \"%s\" of blob %s", file, d->text);
	if ((uint64_t)st.st_size != size)
		return err_set(e, ERR_INVALID, "blob %s has %llu bytes, expected %llu", d->text,
			       (unsigned long long)st.st_size, (unsigned long long)size);
	if (when == STORE_NOW && fsync(fd) < 0)
		return err_sys(e, -errno, "fsync of blob %s", d->text);
	if (renameat(s->ingest_fd, file, s->blobs_fd, hex) < 0)
		return err_sys(e, -errno, "rename blob %s", d->text);
	if (when == STORE_NOW && fsync(s->blobs_fd) < 0)
		return err_sys(e, -errno, "fsync of the blob folder");
	return 0;
}

int store_ingest_commit(struct store *s, const struct digest *d, uint64_t size,
			enum store_when when, struct err *e)
{
	char name[PARTIAL_NAME_MAX];

	if (partial_name(d, name, e) < 0 || commit_file(s, name, d, size, when, e) < 0)
		return -1;
	(void)map_del(s->ingests, d->text);
	return 0;
}

void store_ingest_close(struct store *s, const struct digest *d)
{
	(void)map_del(s->ingests, d->text);
}

void store_ingest_abort(struct store *s, const struct digest *d)
{
	struct err ignored = ERR_INIT;
	char name[PARTIAL_NAME_MAX];

	if (partial_name(d, name, &ignored) == 0)
		(void)unlinkat(s->ingest_fd, name, 0);
	(void)map_del(s->ingests, d->text);
}

int store_ingest_dir(const struct store *s)
{
	return s->ingest_fd;
}

void store_stage_prefix(struct store *s, char ret[static 32])
{
	store_unique(s, "s-", ret, 32);
	(void)map_set(s->busy, ret, s);
}

int store_stage_commit(struct store *s, const char *file, const struct digest *d, uint64_t size,
		       enum store_when when, struct err *e)
{
	if (strchr(file, '/'))
		return err_set(e, ERR_INVALID, "bad name of a staged file: \"%s\"", file);
	return commit_file(s, file, d, size, when, e);
}

/* Staged by a worker that is gone: this one's, and what an earlier drop could not remove. */
static bool is_stale(const struct store *s, const char *name)
{
	const char *dot = strrchr(name, '.');
	char prefix[32];

	if (!str_starts(name, "s-") || !dot || (size_t)(dot - name) >= sizeof(prefix))
		return false;
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(dot - name), name);
	return !map_get(s->busy, prefix);
}

/* Where the folder cannot be read: the worker numbers its files from 0, leaving some out. */
static void drop_numbered(struct store *s, const char *prefix)
{
	char name[48];

	for (unsigned i = 0, missing = 0; missing < STAGE_GAP; i++) {
		snprintf(name, sizeof(name), "%s.%u", prefix, i);
		missing = unlinkat(s->ingest_fd, name, 0) < 0 ? missing + 1 : 0;
	}
}

void store_stage_drop(struct store *s, const char *prefix)
{
	int fd = openat(s->ingest_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fs_dir_take(fd);
	struct dirent *d;

	(void)map_del(s->busy, prefix);
	for (errno = 0; dir && (d = readdir(dir)); errno = 0)
		if (is_stale(s, d->d_name))
			(void)unlinkat(s->ingest_fd, d->d_name, 0);
	if ((errno || !dir) && *prefix)
		drop_numbered(s, prefix);
	if (dir)
		closedir(dir);
}
