/* SPDX-License-Identifier: Apache-2.0 */
/* Whole trees by descriptor: remove and measure, never following a link. */
#include "sys/fs.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define DEPTH_MAX 4096

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

DIR *fs_dir_take(int fd)
{
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	int saved = errno;

	if (!d && fd >= 0)
		close(fd);
	errno = saved;
	return d;
}

static DIR *open_tree_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fs_dir_take(fd);
}

static int remove_children(int dir_fd, const char *name, int depth);

static int remove_entry(int dir_fd, const char *name, bool is_dir, int depth)
{
	if (!is_dir) {
		if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
	}
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	int rc = remove_children(dir_fd, name, depth + 1);
	if (rc < 0)
		return rc;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_children(int dir_fd, const char *name, int depth)
{
	DIR *d = open_tree_dir(dir_fd, name);
	int result = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	if (depth > DEPTH_MAX) {
		closedir(d);
		return -ELOOP;
	}
	for (struct dirent *entry; (entry = readdir(d));) {
		if (is_dots(entry->d_name))
			continue;
		int rc = remove_entry(dirfd(d), entry->d_name, entry->d_type == DT_DIR, depth);
		if (rc < 0 && result == 0)
			result = rc; /* go on: remove as much as possible */
	}
	closedir(d);
	return result;
}

int fs_remove_tree(int dir_fd, const char *name)
{
	return remove_entry(dir_fd, name, false, 0);
}

struct usage {
	uint64_t bytes, entries;
	struct inode {
		dev_t dev;
		ino_t ino;
	} * linked; /* files with several names, sorted by arrival; open-addressed set */
	size_t cap, n;
};

static bool seen_before(struct usage *u, const struct stat *st)
{
	if (u->n * 2 >= u->cap) {
		size_t cap = u->cap ? u->cap * 2 : 64;
		struct inode *old = u->linked;
		size_t old_cap = u->cap;

		u->linked = xcalloc(cap, sizeof *u->linked);
		u->cap = cap;
		for (size_t i = 0; i < old_cap; i++) {
			if (!old[i].ino)
				continue;
			size_t at = (size_t)old[i].ino & (cap - 1);
			while (u->linked[at].ino)
				at = (at + 1) & (cap - 1);
			u->linked[at] = old[i];
		}
		free(old);
	}
	size_t at = (size_t)st->st_ino & (u->cap - 1);
	for (; u->linked[at].ino; at = (at + 1) & (u->cap - 1))
		if (u->linked[at].ino == st->st_ino && u->linked[at].dev == st->st_dev)
			return true;
	u->linked[at] = (struct inode){st->st_dev, st->st_ino};
	u->n++;
	return false;
}

static int measure(int dir_fd, const char *name, struct usage *u, int depth)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode) || st.st_nlink < 2 || !seen_before(u, &st))
		u->bytes += (uint64_t)st.st_blocks * 512;
	u->entries++;
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	DIR *d = open_tree_dir(dir_fd, name);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
		if (!is_dots(entry->d_name))
			rc = measure(dirfd(d), entry->d_name, u, depth + 1);
	closedir(d);
	return rc;
}

int fs_disk_usage(int dir_fd, const char *name, uint64_t *ret_bytes, uint64_t *ret_entries)
{
	struct usage u = {0};
	int rc = measure(dir_fd, name, &u, 0);

	free(u.linked);
	if (rc < 0)
		return rc;
	*ret_bytes = u.bytes;
	if (ret_entries)
		*ret_entries = u.entries;
	return 0;
}
