/* SPDX-License-Identifier: Apache-2.0 */
/* Walking an unpacked layer as records of its seal. */
#include "unpack/seal-priv.h"

#include "base/buf.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/banned.h"

#define DEPTH_MAX  250
#define XATTR_MAX  (64 * 1024)
#define READ_SIZE  (256 * 1024)
#define CAPABILITY "security.capability"

bool seal_user_xattrs(int target_fd)
{
	char byte;

	return fgetxattr(target_fd, "user.coracle", &byte, 1) >= 0 || errno != ENOTSUP;
}

bool seal_xattr_counts(const char *name, bool user_xattrs)
{
	if (str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay."))
		return false;
	return !strcmp(name, CAPABILITY) || str_starts(name, "trusted.") ||
	       (user_xattrs && str_starts(name, "user."));
}

struct walk {
	const struct seal_tree *t;
	char path[WRITER_PATH_MAX];
	char *names, *value; /* XATTR_MAX each */
};

/* Attributes of `base` in the working directory. */
static int add_xattrs(struct walk *w, const char *base, struct seal_record *r)
{
	ssize_t n = llistxattr(base, w->names, XATTR_MAX);

	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *name = w->names; name < w->names + n; name += strlen(name) + 1) {
		bool opaque = !strcmp(name, "trusted.overlay.opaque") ||
			      !strcmp(name, "user.overlay.opaque");
		ssize_t len;

		if (!opaque && !seal_xattr_counts(name, w->t->user_xattrs))
			continue;
		len = lgetxattr(base, name, w->value, XATTR_MAX);
		if (len < 0)
			return -errno;
		if (opaque)
			r->flags |= SEAL_OPAQUE;
		else
			r->xattrs ^= seal_crc(seal_crc(0, name, strlen(name) + 1), w->value,
					      (size_t)len);
	}
	return 0;
}

static void fill(const char *name, const struct stat *st, struct seal_record *r)
{
	bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

	*r = (struct seal_record){.kind = SEAL_ENTRY,
				  .name = name,
				  .mode = st->st_mode,
				  .uid = st->st_uid,
				  .gid = st->st_gid,
				  .sec = st->st_mtim.tv_sec,
				  .nsec = (uint32_t)st->st_mtim.tv_nsec};
	if (S_ISREG(st->st_mode))
		r->size = (uint64_t)st->st_size;
	else if (device)
		r->size = st->st_rdev;
	if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0)) {
		r->flags = SEAL_NOTIME | SEAL_NOOWNER;
		r->mode = S_IFCHR;
		r->size = 0;
	}
}

static int one(struct walk *w, int dir_fd, const char *base, struct stat *st, struct err *e)
{
	struct seal_record r;
	int rc = 0;

	if (fstatat(dir_fd, base, st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "\"%s\"", w->path);
	fill(w->path, st, &r);
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		rc = fchdir(dir_fd) < 0 ? -errno : add_xattrs(w, base, &r);
	if (rc < 0)
		return err_sys(e, rc, "attributes of \"%s\"", w->path);
	return w->t->fn(w->t->ud, &r, st, dir_fd, base, e);
}

static int children(struct walk *w, int dir_fd, unsigned depth, struct err *e);

static int child(struct walk *w, int dir_fd, const char *base, unsigned depth, struct err *e)
{
	size_t at = strlen(w->path);
	struct stat st;
	int rc, n = snprintf(w->path + at, sizeof(w->path) - at, "%s%s", at ? "/" : "", base);

	if (n < 0 || (size_t)n >= sizeof(w->path) - at || depth > DEPTH_MAX)
		rc = err_set(e, ERR_LIMIT, "\"%.100s\": too deep", w->path);
	else
		rc = one(w, dir_fd, base, &st, e);
	if (rc == 0 && S_ISDIR(st.st_mode)) {
		int fd = openat(dir_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		rc = fd < 0 ? err_sys(e, -errno, "open \"%s\"", w->path)
			    : children(w, fd, depth + 1, e);
	}
	w->path[at] = '\0';
	return rc;
}

/* Takes dir_fd. */
static int children(struct walk *w, int dir_fd, unsigned depth, struct err *e)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *d;
	int rc = 0;

	if (!dir) {
		rc = err_sys(e, -errno, "read \"%s\"", w->path);
		close(dir_fd);
		return rc;
	}
	while (rc == 0 && (errno = 0, d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = child(w, dirfd(dir), d->d_name, depth, e);
	if (rc == 0 && errno)
		rc = err_sys(e, -errno, "read \"%s\"", w->path);
	closedir(dir);
	return rc;
}

int seal_tree_walk(const struct seal_tree *t, struct err *e)
{
	struct walk w = {
		.t = t, .path = "", .names = xmalloc(XATTR_MAX), .value = xmalloc(XATTR_MAX)};
	int fd = openat(t->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int rc;

	if (fd < 0)
		rc = err_sys(e, -errno, "open the layer");
	else if ((rc = one(&w, fd, ".", &st, e)) == 0)
		rc = children(&w, fd, 0, e);
	else
		close(fd);
	free(w.names);
	free(w.value);
	return rc;
}

static int sum_file(int dir_fd, const char *base, uint64_t *ret, uint64_t *ret_bytes)
{
	AUTO_FD int fd = openat(dir_fd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FREE char *buf = NULL;
	uint64_t crc = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	buf = xmalloc(READ_SIZE);
	while ((n = read(fd, buf, READ_SIZE)) > 0) {
		crc = seal_crc(crc, buf, (size_t)n);
		*ret_bytes += (uint64_t)n;
	}
	if (n < 0)
		return -errno;
	*ret = crc;
	return 0;
}

int seal_tree_sum(const struct seal_record *r, int dir_fd, const char *base, uint64_t *ret,
		  uint64_t *ret_bytes)
{
	char target[WRITER_PATH_MAX];
	ssize_t n;

	*ret = 0;
	if (S_ISREG(r->mode))
		return r->size ? sum_file(dir_fd, base, ret, ret_bytes) : 0;
	if (!S_ISLNK(r->mode))
		return 0;
	n = readlinkat(dir_fd, base, target, sizeof(target));
	if (n < 0)
		return -errno;
	*ret = seal_crc(0, target, (size_t)n);
	return 0;
}
