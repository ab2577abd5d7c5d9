/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: read, write, replace atomically. */
#include "sys/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

int fs_open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int fs_mkdirs(const char *path, mode_t mode)
{
	AUTO_FREE char *p = xstrdup(path);

	if (mkdir(p, mode) == 0 || errno == EEXIST)
		return 0;
	for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(p, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int fs_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t k = write(fd, at, n);
		if (k < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

ssize_t fs_read_full(int fd, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = read(fd, (char *)p + done, n - done);
		if (k < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (k == 0)
			break;
		done += (size_t)k;
	}
	return (ssize_t)done;
}

int fs_read_fd(int fd, struct buf *out)
{
	for (;;) {
		size_t want = MIN((size_t)16384, out->max - out->n);
		char probe;
		char *room = want ? buf_room(out, want) : &probe;
		ssize_t k = read(fd, room, want ? want : 1);

		if (k < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (k == 0)
			break;
		if (!want)
			return -EFBIG;
		out->n += (size_t)k;
	}
	if (out->p)
		out->p[out->n] = 0;
	return 0;
}

int fs_read_at(int dir_fd, const char *path, struct buf *out)
{
	AUTO_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fs_read_fd(fd, out);
}

int fs_read_path(const char *path, struct buf *out)
{
	return fs_read_at(AT_FDCWD, path, out);
}

int fs_write_atomic(int dir_fd, const char *name, const void *p, size_t n, mode_t mode, bool sync)
{
	AUTO_FREE char *temp = xasprintf("%s.tmp%d", name, (int)getpid());
	AUTO_FD int fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
				mode);

	if (fd < 0)
		return -errno;
	int rc = fs_write_all(fd, p, n);
	if (rc == 0 && sync && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
		rc = -errno;
	if (rc < 0) {
		unlinkat(dir_fd, temp, 0);
		return rc;
	}
	/* an O_PATH or AT_FDCWD directory cannot be synced by its descriptor; open it for that */
	if (sync) {
		AUTO_FD int dir = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || fsync(dir) < 0)
			return -errno;
	}
	return 0;
}

int fs_write_file(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);

	if (fd < 0)
		return -errno;
	ssize_t k = write(fd, text, n);
	if (k < 0)
		return -errno;
	return (size_t)k == n ? 0 : -EIO;
}

char *fs_program_dir(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n <= 0)
		return xstrdup(".");
	path[n] = 0;
	char *slash = strrchr(path, '/');
	if (slash && slash != path)
		*slash = 0;
	return xstrdup(path);
}
