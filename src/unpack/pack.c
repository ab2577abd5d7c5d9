/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree as tar: docker cp out of a container, export, and layers of commit and build. By
 * descriptors without following links: the tree may change under us and belong to someone hostile.
 */
#include "unpack/sink-priv.h"
#include "unpack/writer-priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/banned.h"

#define DEPTH_MAX 256
#define SORT_MAX                                                                                   \
	((size_t)8 << 20) /* names held at once; a directory beyond is written unsorted            \
			   */
#define XATTR_MAX (64 * 1024)

struct pack {
	struct sink sink;
	struct map *links; /* "dev:ino" -> first member name */
	struct unpack_result *ret;
	bool layer;
	size_t names; /* bytes of names held */
	bool dotted;  /* members of "./" are named with it */
	char *xattr_names, *xattr_value;
	char name[WRITER_PATH_MAX]; /* of the current member */
};

static bool wanted(const char *xattr)
{
	return str_starts(xattr, "security.capability") ||
	       (str_starts(xattr, "user.") && !str_starts(xattr, "user.overlay."));
}

static void add_xattrs(struct pack *p, int fd)
{
	ssize_t n = flistxattr(fd, p->xattr_names, XATTR_MAX);

	for (char *x = p->xattr_names; n > 0 && x < p->xattr_names + n; x += strlen(x) + 1) {
		ssize_t len = wanted(x) ? fgetxattr(fd, x, p->xattr_value, XATTR_MAX) : -1;

		if (len >= 0)
			archive_entry_xattr_add_entry(p->sink.entry, x, p->xattr_value,
						      (size_t)len);
	}
}

static bool is_opaque(int fd)
{
	char v = 0;

	return fgetxattr(fd, "trusted.overlay.opaque", &v, 1) == 1 && v == 'y';
}

static void start(struct pack *p, const char *name, const struct stat *st)
{
	archive_entry_clear(p->sink.entry);
	archive_entry_copy_stat(p->sink.entry, st);
	archive_entry_unset_atime(p->sink.entry);
	archive_entry_unset_ctime(p->sink.entry);
	archive_entry_set_pathname(p->sink.entry, name);
	p->ret->entries++;
}

/* An empty file that stands for a deletion: dir/.wh.NAME or dir/.wh..wh..opq. */
static int add_marker(struct pack *p, const char *name, struct err *e)
{
	struct stat st = {.st_mode = S_IFREG | 0600};

	start(p, name, &st);
	return sink_header(&p->sink, e);
}

static int add_whiteout(struct pack *p, size_t base, const char *hidden, struct err *e)
{
	char name[WRITER_PATH_MAX + 8];

	snprintf(name, sizeof(name), "%.*s.wh.%s", (int)base, p->name, hidden);
	return add_marker(p, name, e);
}

/* 1: written as a hard link to an earlier member. */
static int add_link(struct pack *p, const struct stat *st, struct err *e)
{
	char key[48];
	const char *first;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	first = map_get(p->links, key);
	if (!first) {
		(void)map_set(p->links, key, xstrdup(p->name));
		return 0;
	}
	start(p, p->name, st);
	archive_entry_set_size(p->sink.entry, 0);
	archive_entry_set_hardlink(p->sink.entry, first);
	return sink_header(&p->sink, e) < 0 ? -1 : 1;
}

static int add_file(struct pack *p, int dir, const char *base, struct err *e)
{
	struct stat st;
	AUTO_FD int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "entry \"%s\": open", p->name);
	if (!S_ISREG(st.st_mode))
		return 0; /* replaced meanwhile */
	start(p, p->name, &st);
	add_xattrs(p, fd);
	if (sink_header(&p->sink, e) < 0)
		return -1;
	return sink_copy(&p->sink, fd, (uint64_t)st.st_size, e);
}

static int add_node(struct pack *p, int dir, const char *base, const struct stat *st, struct err *e)
{
	char target[WRITER_PATH_MAX];

	start(p, p->name, st);
	archive_entry_set_size(p->sink.entry, 0);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir, base, target, sizeof(target) - 1);

		if (n < 0)
			return err_sys(e, -errno, "entry \"%s\": read the link", p->name);
		target[n] = '\0';
		archive_entry_set_symlink(p->sink.entry, target);
	}
	return sink_header(&p->sink, e);
}

static int add_dir(struct pack *p, int fd, unsigned depth, struct err *e);

static int add_any(struct pack *p, int dir, const char *base, unsigned depth, struct err *e)
{
	struct stat st;
	int rc;

	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "entry \"%s\"", p->name);
	if (S_ISSOCK(st.st_mode))
		return 0; /* tar has no sockets */
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return err_sys(e, -errno, "entry \"%s\": open", p->name);
		rc = add_dir(p, fd, depth + 1, e);
		close(fd);
		return rc;
	}
	rc = add_link(p, &st, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	return S_ISREG(st.st_mode) ? add_file(p, dir, base, e) : add_node(p, dir, base, &st, e);
}

static int add_child(struct pack *p, int fd, const char *base, size_t at, unsigned depth,
		     struct err *e)
{
	struct stat st;
	int n;

	if (p->layer && fstatat(fd, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(0, 0))
		return add_whiteout(p, at, base, e);
	n = snprintf(p->name + at, sizeof(p->name) - at, "%s", base);
	if (n < 0 || (size_t)n >= sizeof(p->name) - at - 1)
		return err_set(e, ERR_LIMIT, "entry \"%.200s\": the name is too long", p->name);
	return add_any(p, fd, base, depth, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **v;
	size_t n, cap, bytes;
};

static void names_done(struct pack *p, struct names *l)
{
	p->names -= l->bytes;
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

/* False: there are too many. */
static bool read_names(struct pack *p, DIR *dir, struct names *ret)
{
	struct dirent *d;

	while ((d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		size_t n = strlen(d->d_name) + 32; /* as the heap counts */
		ret->bytes += n;
		p->names += n;
		if (p->names > SORT_MAX)
			return false;
		if (ret->n == ret->cap) {
			ret->cap = ret->cap ? 2 * ret->cap : 64;
			ret->v = xrealloc(ret->v, ret->cap * sizeof(*ret->v));
		}
		ret->v[ret->n++] = xstrdup(d->d_name);
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	return true;
}

/* By name, so that the same tree gives the same bytes wherever it lies. */
static int add_children(struct pack *p, DIR *dir, size_t at, unsigned depth, struct err *e)
{
	struct names l = {NULL, 0, 0, 0};
	struct dirent *d;
	int rc = 0;

	if (read_names(p, dir, &l)) {
		for (size_t i = 0; rc == 0 && i < l.n; i++)
			rc = add_child(p, dirfd(dir), l.v[i], at, depth, e);
		names_done(p, &l);
		return rc;
	}
	names_done(p, &l);
	rewinddir(dir);
	while (rc == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = add_child(p, dirfd(dir), d->d_name, at, depth, e);
	return rc;
}

/* The directory p->name itself ("" for a root that is not named), then what is in it. */
static int add_dir(struct pack *p, int fd, unsigned depth, struct err *e)
{
	size_t at = strlen(p->name);
	struct stat st;
	DIR *dir;
	int rc = 0, own;

	if (depth > DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "entry \"%.200s\": more than %d directories deep",
			       p->name, DEPTH_MAX);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "entry \"%s\"", p->name);
	p->name[at++] = '/';
	p->name[at] = '\0';
	start(p, p->name, &st);
	add_xattrs(p, fd);
	if (sink_header(&p->sink, e) < 0)
		return -1;
	if (p->layer && is_opaque(fd) && add_whiteout(p, at, ".wh..opq", e) < 0)
		return -1;
	own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fs_dir_take(own);
	if (!dir)
		return err_sys(e, -errno, "entry \"%s\": read", p->name);
	if (at == 2 && p->name[0] == '.' && !p->dotted) /* "./": its members are named without it */
		at = 0;
	rc = add_children(p, dir, at, depth, e);
	closedir(dir);
	return rc;
}

static int pack_path(struct pack *p, const struct unpack_pack *o, struct err *e)
{
	AUTO_FREE char *path = xstrdup(o->path && *o->path ? o->path : ".");
	size_t n = strlen(path);
	p->dotted = !o->name && str_ends(path, "/.");
	bool follow = str_ends(path, "/.") || str_ends(path, "/") || !strcmp(path, ".");

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	if (follow || !*base || !strcmp(base, "..")) {
		AUTO_FD int fd = fs_open_in_root(o->dir_fd, path, O_RDONLY | O_DIRECTORY, 0);

		if (fd == -ENOENT)
			return err_set(e, ERR_NOT_FOUND, "no such path: %s", o->path);
		if (fd < 0)
			return err_sys(e, fd, "open \"%s\"", path);
		snprintf(p->name, sizeof(p->name), "%.*s", WRITER_PATH_MAX - 2,
			 o->name ? o->name : ".");
		return add_dir(p, fd, 0, e);
	}
	snprintf(p->name, sizeof(p->name), "%.*s", WRITER_PATH_MAX - 2, o->name ? o->name : base);
	AUTO_FREE char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	struct stat st;
	AUTO_FD int dir = fs_open_in_root(o->dir_fd, *parent ? parent : ".", O_RDONLY | O_DIRECTORY,
					  0);
	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_NOT_FOUND, "no such path: %s", o->path);
	return add_any(p, dir, base, 0, e);
}

int unpack_pack(const struct unpack_pack *o, struct unpack_result *ret, struct err *e)
{
	struct pack p = {.links = map_new(),
			 .ret = ret,
			 .layer = o->layer,
			 .xattr_names = xmalloc(XATTR_MAX),
			 .xattr_value = xmalloc(XATTR_MAX)};
	const char *key;
	size_t pos = 0;
	void *value;
	int rc;

	*ret = (struct unpack_result){.size = 0};
	rc = sink_init(&p.sink, o->out_fd, false, e);
	rc = rc ? rc : pack_path(&p, o, e);
	rc = rc ? rc : sink_finish(&p.sink, ret, e);
	if (rc < 0)
		snprintf(ret->entry, sizeof(ret->entry), "%.*s", UNPACK_ENTRY_MAX - 1, p.name);
	sink_done(&p.sink);
	while (map_next(p.links, &pos, &key, &value))
		free(value);
	map_free(p.links);
	free(p.xattr_names);
	free(p.xattr_value);
	return rc;
}
