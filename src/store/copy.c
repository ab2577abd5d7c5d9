/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a tree by descriptors, for volumes that start with the image's content. Nothing is
 * followed: the source may be a hostile root file system. Hard links inside the tree stay links;
 * holes stay holes; data is cloned where the file system can.
 */
#include "store/store-priv.h"

#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/banned.h"

#define DEPTH_MAX     256
#define XATTR_MAX     (64 * 1024)
#define COPY_STEP_MAX (1 << 30)

struct copy {
	struct map *links; /* "dev:ino" of files with several names -> path in the destination */
	int dst_root;
	char path[4096]; /* of the current entry, below dst_root */
};

static bool skip_xattr(const char *name)
{
	return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

static int copy_xattrs(int from, int to)
{
	AUTO_FREE char *names = xmalloc(XATTR_MAX), *value = xmalloc(XATTR_MAX);
	ssize_t n = flistxattr(from, names, XATTR_MAX);

	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t len;

		if (skip_xattr(name))
			continue;
		len = fgetxattr(from, name, value, XATTR_MAX);
		if (len >= 0 && fsetxattr(to, name, value, (size_t)len, 0) < 0 &&
		    errno != ENOTSUP && errno != EPERM)
			return -errno;
	}
	return 0;
}

static int set_meta(int fd, const struct stat *st)
{
	struct timespec ts[2] = {st->st_atim, st->st_mtim};

	if (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0 ||
	    futimens(fd, ts) < 0)
		return -errno;
	return 0;
}

/* Bytes [at, end) of one data segment. */
static int copy_range(int from, int to, off_t at, off_t end)
{
	AUTO_FREE char *buf = NULL;

	while (at < end) {
		off_t in = at, out = at;
		ssize_t n = buf ? -1
				: copy_file_range(from, &in, to, &out,
						  (size_t)MIN(end - at, COPY_STEP_MAX), 0);

		if (n < 0) { /* other file systems, old kernels: by hand */
			if (!buf)
				buf = xmalloc(128 * 1024);
			n = pread(from, buf, (size_t)MIN(end - at, 128 * 1024), at);
			if (n > 0)
				n = pwrite(to, buf, (size_t)n, at);
			if (n < 0)
				return -errno;
		}
		if (n == 0)
			return 0; /* it shrank */
		at += n;
	}
	return 0;
}

static int copy_data(int from, int to, off_t size)
{
	off_t at = 0;

	if (size == 0)
		return 0;
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA), hole;
		int rc;

		if (data < 0) {
			if (errno == ENXIO)
				break; /* only a hole is left */
			data = at;
		}
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			hole = size;
		rc = copy_range(from, to, data, MIN(hole, size));
		if (rc < 0)
			return rc;
		at = hole;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_file(int src, int dst, const char *name, const struct stat *st)
{
	AUTO_FD int from = openat(src, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int to = openat(dst, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				0600);
	int rc;

	if (from < 0 || to < 0)
		return -errno;
	rc = copy_data(from, to, st->st_size);
	if (rc == 0 && (fchown(to, st->st_uid, st->st_gid) < 0))
		rc = -errno;
	rc = rc ? rc : copy_xattrs(from, to);
	return rc ? rc : set_meta(to, st);
}

static int copy_node(int src, int dst, const char *name, const struct stat *st)
{
	struct timespec ts[2] = {st->st_atim, st->st_mtim};

	if (S_ISLNK(st->st_mode)) {
		char target[4096];
		ssize_t n = readlinkat(src, name, target, sizeof(target) - 1);

		if (n < 0)
			return -errno;
		target[n] = '\0';
		if (symlinkat(target, dst, name) < 0)
			return -errno;
	} else if (mknodat(dst, name, st->st_mode & (S_IFMT | 07777), st->st_rdev) < 0) {
		return -errno;
	}
	if (fchownat(dst, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(dst, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(dst, name, ts, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* 1: made as a link to an earlier name; 0: has to be copied. */
static int try_link(struct copy *c, int dst, const char *name, const struct stat *st)
{
	char key[48];
	const char *earlier;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	earlier = map_get(c->links, key);
	if (!earlier) {
		(void)map_set(c->links, key, xstrdup(c->path));
		return 0;
	}
	return linkat(c->dst_root, earlier, dst, name, 0) < 0 ? -errno : 1;
}

static int copy_dir(struct copy *c, int src, int dst, unsigned depth, struct err *e);

static int copy_entry(struct copy *c, int src, int dst, const char *name, unsigned depth,
		      struct err *e)
{
	struct stat st;
	int rc;

	if (fstatat(src, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "copy \"%s\"", c->path);
	if (S_ISDIR(st.st_mode)) {
		if (mkdirat(dst, name, 0700) < 0 && errno != EEXIST)
			return err_sys(e, -errno, "copy \"%s\"", c->path);
		AUTO_FD int from = openat(src, name,
					  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		AUTO_FD int to = openat(dst, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0 || to < 0)
			return err_sys(e, -errno, "copy \"%s\"", c->path);
		return copy_dir(c, from, to, depth + 1, e);
	}
	rc = try_link(c, dst, name, &st);
	if (rc == 0)
		rc = S_ISREG(st.st_mode) ? copy_file(src, dst, name, &st)
					 : copy_node(src, dst, name, &st);
	if (rc == -EEXIST) /* the destination was not empty: what is there stays */
		rc = 0;
	return rc < 0 ? err_sys(e, rc, "copy \"%s\"", c->path) : 0;
}

static int copy_dir(struct copy *c, int src, int dst, unsigned depth, struct err *e)
{
	size_t base = strlen(c->path);
	struct dirent *d;
	struct stat st;
	int rc = 0, fd = openat(src, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fs_dir_take(fd);

	if (!dir || fstat(src, &st) < 0) {
		rc = -errno;
		if (dir)
			closedir(dir);
		return err_sys(e, rc, "copy \"%s\"", c->path);
	}
	if (depth > DEPTH_MAX)
		rc = err_set(e, ERR_LIMIT, "copy: more than %d directories deep", DEPTH_MAX);
	while (rc == 0 && (d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		int n = snprintf(c->path + base, sizeof(c->path) - base, "%s%s", base ? "/" : "",
				 d->d_name);
		if (n < 0 || (size_t)n >= sizeof(c->path) - base)
			rc = err_set(e, ERR_LIMIT, "copy: a path is too long");
		else
			rc = copy_entry(c, src, dst, d->d_name, depth, e);
		c->path[base] = '\0';
	}
	closedir(dir);
	if (rc == 0) {
		rc = fchown(dst, st.st_uid, st.st_gid) < 0 ? -errno : copy_xattrs(src, dst);
		rc = rc ? rc : set_meta(dst, &st);
		rc = rc < 0 ? err_sys(e, rc, "copy \"%s\"", c->path) : 0;
	}
	return rc;
}

int store_copy_tree(int src_root_fd, const char *path, int dst_fd, struct err *e)
{
	struct copy c = {.links = map_new(), .dst_root = dst_fd};
	AUTO_FD int src = fs_open_in_root(src_root_fd, path, O_RDONLY | O_DIRECTORY, 0);
	const char *key;
	size_t pos = 0;
	void *value;
	int rc = 0;

	if (src >= 0)
		rc = copy_dir(&c, src, dst_fd, 0, e);
	else if (src != -ENOENT && src != -ENOTDIR)
		rc = err_sys(e, src, "open \"%s\" in the image", path);
	while (map_next(c.links, &pos, &key, &value))
		free(value);
	map_free(c.links);
	return rc;
}
