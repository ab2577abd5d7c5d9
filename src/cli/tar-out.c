/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory as a tar stream (POSIX ustar with pax records for long names): `load -i DIR` and
 * `cp` towards a container. The second name of a file is a hard link to its first.
 */
#include "cli/tar.h"
#include "cli/commands.h"
#include "base/map.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/banned.h"

#define BLOCK 512U

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "ustar header");

static void octal(char *to, size_t n, uint64_t v)
{
	to[n - 1] = 0;
	for (size_t i = n - 1; i > 0; i--, v >>= 3)
		to[i - 1] = (char)('0' + (v & 7));
}

static int padding(struct conn *k, uint64_t size, struct err *e)
{
	static const char zero[BLOCK];
	size_t rest = (size_t)(size % BLOCK);

	return rest ? conn_send_chunk(k, zero, BLOCK - rest, e) : 0;
}

static int header_send(struct conn *k, const char *name, char type, const char *link,
		       const struct stat *st, uint64_t size, struct err *e)
{
	struct header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
	unsigned sum = 0;

	memcpy(h.name, name, MIN(strlen(name), sizeof h.name));
	memcpy(h.link, link, MIN(strlen(link), sizeof h.link));
	octal(h.mode, sizeof h.mode, st->st_mode & 07777);
	octal(h.uid, sizeof h.uid, st->st_uid & 07777777);
	octal(h.gid, sizeof h.gid, st->st_gid & 07777777);
	octal(h.size, sizeof h.size, size & 077777777777ULL);
	octal(h.mtime, sizeof h.mtime, (uint64_t)st->st_mtime);
	if (type == '3' || type == '4') {
		octal(h.major, sizeof h.major, major(st->st_rdev));
		octal(h.minor, sizeof h.minor, minor(st->st_rdev));
	}
	memset(h.sum, ' ', sizeof h.sum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const unsigned char *)&h)[i];
	octal(h.sum, 7, sum);
	return conn_send_chunk(k, &h, sizeof h, e);
}

/* "LEN key=value\n", where LEN counts itself. */
static void pax_record(struct buf *b, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, n = rest + 1;

	while (n != rest + (size_t)snprintf(NULL, 0, "%zu", n))
		n = rest + (size_t)snprintf(NULL, 0, "%zu", n);
	buf_addf(b, "%zu %s=%s\n", n, key, value);
}

static int entry_head(struct conn *k, const char *name, char type, const char *link,
		      const struct stat *st, uint64_t size, struct err *e)
{
	AUTO_BUF struct buf pax = BUF_INIT(1U << 16);
	char text[24];

	if (strlen(name) > 100)
		pax_record(&pax, "path", name);
	if (strlen(link) > 100)
		pax_record(&pax, "linkpath", link);
	if (size >> 33) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)size);
		pax_record(&pax, "size", text);
	}
	if (pax.n && (header_send(k, "PaxHeaders/entry", 'x', "", st, pax.n, e) < 0 ||
		      conn_send_chunk(k, pax.p, pax.n, e) < 0 || padding(k, pax.n, e) < 0))
		return -1;
	return header_send(k, name, type, link, st, size, e);
}

static int file_data(struct conn *k, int fd, uint64_t size, struct err *e)
{
	AUTO_FREE char *data = xmalloc(CONN_BUF);
	uint64_t left = size;

	while (left) {
		ssize_t n = read(fd, data, (size_t)MIN(left, (uint64_t)CONN_BUF));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "read a file");
		if (n == 0) { /* it shrank: the announced size must still come */
			n = (ssize_t)MIN(left, (uint64_t)CONN_BUF);
			memset(data, 0, (size_t)n);
		}
		if (conn_send_chunk(k, data, (size_t)n, e) < 0)
			return -1;
		left -= (uint64_t)n;
	}
	return padding(k, size, e);
}

struct sender {
	struct conn *k;
	struct map *names; /* "device:inode" -> name in the archive, of files with several */
};

/* The name under which the file was sent before; NULL the first time, which is noted. */
static const char *sent_as(struct sender *s, const struct stat *st, const char *name)
{
	char key[48];
	const char *first;

	if (st->st_nlink < 2)
		return NULL;
	snprintf(key, sizeof key, "%llx:%llx", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	first = map_get(s->names, key);
	if (!first)
		(void)map_set(s->names, key, xstrdup(name));
	return first;
}

static int tree(struct sender *s, int dir, const char *file, const char *name, int depth,
		struct err *e);

static int tree_children(struct sender *s, int dir, const char *file, const char *name, int depth,
			 struct err *e)
{
	int fd = openat(dir, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int rc = 0;

	if (!d) {
		int saved = errno;
		fd_close(&fd);
		return err_sys(e, -saved, "open %s", name);
	}
	while (rc == 0 && (entry = readdir(d))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		AUTO_FREE char *child = *name ? xasprintf("%s/%s", name, entry->d_name)
					      : xstrdup(entry->d_name);
		rc = tree(s, dirfd(d), entry->d_name, child, depth + 1, e);
	}
	closedir(d);
	return rc;
}

static int tree(struct sender *s, int dir, const char *file, const char *name, int depth,
		struct err *e)
{
	struct conn *k = s->k;
	const char *first;
	struct stat st;
	char link[4096];

	if (depth > 256)
		return err_set(e, ERR_LIMIT, "%s: nested too deeply", name);
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "stat %s", name);
	if (S_ISDIR(st.st_mode)) {
		AUTO_FREE char *slash = xasprintf("%s/", name);
		if (*name && entry_head(k, slash, '5', "", &st, 0, e) < 0)
			return -1;
		return tree_children(s, dir, file, name, depth, e);
	}
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(dir, file, link, sizeof link - 1);
		if (n < 0)
			return err_sys(e, -errno, "readlink %s", name);
		link[n] = 0;
		return entry_head(k, name, '2', link, &st, 0, e);
	}
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return entry_head(k, name,
				  S_ISFIFO(st.st_mode)	? '6'
				  : S_ISCHR(st.st_mode) ? '3'
							: '4',
				  "", &st, 0, e);
	if (!S_ISREG(st.st_mode))
		return 0; /* a socket has nothing to copy */
	if ((first = sent_as(s, &st, name)))
		return entry_head(k, name, '1', first, &st, 0, e);
	AUTO_FD int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "open %s", name);
	if (entry_head(k, name, '0', "", &st, (uint64_t)st.st_size, e) < 0)
		return -1;
	return file_data(k, fd, (uint64_t)st.st_size, e);
}

int tar_send(struct conn *k, const char *path, const char *name, struct err *e)
{
	static const char end[2 * BLOCK];
	struct sender s = {.k = k, .names = map_new()};
	int rc = tree(&s, AT_FDCWD, path, name, 0, e);
	const char *key;
	size_t pos = 0;
	void *value;

	while (map_next(s.names, &pos, &key, &value))
		free(value);
	map_free(s.names);
	if (rc < 0 || conn_send_chunk(k, end, sizeof end, e) < 0)
		return -1;
	return conn_send_chunk(k, "", 0, e);
}

int load_dir(struct conn *k, const char *path, struct err *e)
{
	return tar_send(k, path, "", e);
}
