/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar stream into a local directory, for `cp`. The stream comes from a container and is hostile:
 * every entry is made below one directory by openat2 without following links; names with ".." are
 * refused. Devices are made where the kernel lets us, as Docker's client does.
 */
#include "cli/tar.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/banned.h"

#define BLOCK	 512U
#define META_MAX (1U << 20)

/* A folder whose mode and time are still to be set. */
struct later {
	char *name;
	mode_t mode;
	int64_t mtime;
};
#define LATER_MAX (1U << 20)

struct source {
	struct later *later;
	size_t nlater;
	struct conn *k;
	const char *p;
	size_t n;
	struct err *e;
};

/* n bytes of the stream to `to` (NULL: skip) or to fd when >= 0; 1 done, 0 end at a start, -1. */
static int take(struct source *s, char *to, int fd, uint64_t n)
{
	uint64_t left = n;

	while (left) {
		if (!s->n) {
			ssize_t r = conn_read(s->k, &s->p, s->e);
			if (r < 0)
				return -1;
			if (r == 0)
				return left == n ? 0 : err_set(s->e, ERR_REMOTE, "unexpected EOF");
			s->n = (size_t)r;
		}
		size_t part = (size_t)MIN(left, (uint64_t)s->n);
		if (to) {
			memcpy(to, s->p, part);
			to += part;
		} else if (fd >= 0) {
			int rc = fs_write_all(fd, s->p, part);
			if (rc < 0)
				return err_sys(s->e, rc, "write");
		}
		s->p += part;
		s->n -= part;
		left -= part;
	}
	return 1;
}

static uint64_t number(const char *p, size_t n)
{
	uint64_t v = 0;

	if ((unsigned char)p[0] & 0x80) { /* base 256 */
		for (size_t i = n - 8; i < n; i++)
			v = v << 8 | (unsigned char)p[i];
		return v;
	}
	for (size_t i = 0; i < n && p[i]; i++)
		if (p[i] >= '0' && p[i] <= '7')
			v = v << 3 | (uint64_t)(p[i] - '0');
	return v;
}

struct entry {
	char *name, *link; /* from pax or GNU records, for the next header */
	uint64_t size;
	bool has_size;
};

static void entry_done(struct entry *n)
{
	free(n->name);
	free(n->link);
	*n = (struct entry){0};
}

static void pax_records(struct entry *n, const char *p, size_t len)
{
	struct str rest = {p, len}, line;

	while (str_cut(&rest, '\n', &line)) {
		const char *blank = line.n ? memchr(line.p, ' ', line.n) : NULL;
		const char *eq = blank ? memchr(blank, '=', line.n - (size_t)(blank - line.p))
				       : NULL;
		if (!eq)
			continue;
		struct str key = {blank + 1, (size_t)(eq - blank) - 1};
		size_t vlen = line.n - (size_t)(eq + 1 - line.p);
		if (str_eq(key, "path")) {
			free(n->name);
			n->name = xstrndup(eq + 1, vlen);
		} else if (str_eq(key, "linkpath")) {
			free(n->link);
			n->link = xstrndup(eq + 1, vlen);
		} else if (str_eq(key, "size")) {
			n->size = 0;
			for (size_t i = 0; i < vlen && eq[1 + i] >= '0' && eq[1 + i] <= '9'; i++)
				n->size = n->size * 10 + (uint64_t)(eq[1 + i] - '0');
			n->has_size = true;
		}
	}
}

static int meta_entry(struct source *s, char type, uint64_t size, struct entry *n)
{
	if (size > META_MAX)
		return err_set(s->e, ERR_LIMIT, "archive: header record is too large");
	AUTO_FREE char *data = xcalloc(1, (size_t)size + 1);
	if (take(s, data, -1, size) < 0 || take(s, NULL, -1, (BLOCK - size % BLOCK) % BLOCK) < 0)
		return -1;
	if (type == 'x') {
		pax_records(n, data, (size_t)size);
	} else if (type == 'L') {
		free(n->name);
		n->name = xstrdup(data);
	} else if (type == 'K') {
		free(n->link);
		n->link = xstrdup(data);
	}
	return 0;
}

/* The name below the target: first component replaced; NULL when it would leave the directory. */
static char *local_name(const char *name, const char *rename_to)
{
	struct str rest = str_of(name), part;
	struct buf out = BUF_INIT(1U << 16);
	bool first = true;

	while (str_cut(&rest, '/', &part)) {
		if (!part.n)
			continue;
		if (str_eq(part, ".")) { /* the content of a directory: "." is its name */
			if (first && rename_to && strcmp(rename_to, "."))
				buf_adds(&out, rename_to);
			first = false;
			continue;
		}
		if (str_eq(part, "..")) {
			buf_done(&out);
			return NULL;
		}
		bool replaced = first && rename_to;
		if (out.n)
			buf_addc(&out, '/');
		if (!replaced)
			buf_add(&out, part.p, part.n);
		else if (strcmp(rename_to, "."))
			buf_adds(&out, rename_to);
		first = false;
	}
	if (!out.n)
		buf_addc(&out, '.');
	return buf_take(&out);
}

static int parent_of(int dir, const char *name, const char **ret_base, struct err *e)
{
	const char *slash = strrchr(name, '/');
	AUTO_FREE char *parent = slash ? xstrndup(name, (size_t)(slash - name)) : xstrdup(".");
	int fd = fs_open_beneath(dir, parent, O_PATH | O_DIRECTORY, 0);

	*ret_base = slash ? slash + 1 : name;
	if (fd < 0)
		err_sys(e, fd, "open %s", parent);
	return fd;
}

static int make_device(int parent, const char *base, char type, mode_t mode, dev_t rdev)
{
	mode_t kind = type == '3' ? S_IFCHR : S_IFBLK;

	return mknodat(parent, base, kind | (mode & 0777), rdev) < 0
		       ? -1
		       : fchmodat(parent, base, mode & 0777, 0);
}

static int make_entry(struct source *s, int dir, char type, const char *name, const char *link,
		      mode_t mode, uint64_t size, dev_t rdev)
{
	const char *base;
	AUTO_FD int parent = parent_of(dir, name, &base, s->e);

	if (parent < 0)
		return -1;
	if (type == '5') {
		if (strcmp(name, ".") && mkdirat(parent, base, (mode & 0777) | 0700) < 0 &&
		    errno != EEXIST)
			return err_sys(s->e, -errno, "mkdir %s", name);
		return take(s, NULL, -1, size) < 0 ? -1 : 0;
	}
	unlinkat(parent, base, 0);
	if (type == '2') {
		if (symlinkat(link, parent, base) < 0)
			return err_sys(s->e, -errno, "symlink %s", name);
		return 0;
	}
	if (type == '6')
		return mkfifoat(parent, base, mode & 0777) < 0
			       ? err_sys(s->e, -errno, "make %s", name)
			       : 0;
	if (type == '3' || type == '4')
		return make_device(parent, base, type, mode, rdev) < 0
			       ? err_sys(s->e, -errno, "make device %s", name)
			       : 0;
	if (type != '0' && type != 0 && type != '7')
		return take(s, NULL, -1, size) < 0 ? -1 : 0;
	AUTO_FD int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				0600);
	if (fd < 0)
		return err_sys(s->e, -errno, "create %s", name);
	if (take(s, NULL, fd, size) < 0)
		return -1;
	return fchmod(fd, mode) < 0 ? err_sys(s->e, -errno, "chmod %s", name) : 0;
}

static void set_time(int dir, const char *name, int64_t mtime)
{
	const struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
	const char *base;
	struct err ignored = ERR_INIT;
	AUTO_FD int parent = parent_of(dir, name, &base, &ignored);

	if (parent >= 0)
		utimensat(parent, base, times, AT_SYMLINK_NOFOLLOW);
}

/* Mode and time of a folder are set when everything in it is there. */
static void later_add(struct source *s, const char *name, mode_t mode, int64_t mtime)
{
	if (s->nlater == LATER_MAX)
		return;
	s->later = xrealloc(s->later, (s->nlater + 1) * sizeof *s->later);
	s->later[s->nlater++] = (struct later){xstrdup(name), mode, mtime};
}

static void later_apply(struct source *s, int dir)
{
	while (s->nlater > 0) {
		struct later *l = &s->later[--s->nlater];
		AUTO_FD int fd = fs_open_beneath(dir, l->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
						 0);

		if (fd >= 0 && strcmp(l->name, ".") != 0)
			fchmod(fd, l->mode);
		fd_close(&fd);
		if (strcmp(l->name, ".") != 0)
			set_time(dir, l->name, l->mtime);
		free(l->name);
	}
	free(s->later);
}

static int hard_link(struct source *s, int dir, const char *name, const char *link,
		     const char *rename_to)
{
	AUTO_FREE char *target = local_name(link, rename_to);
	const char *base, *old;

	if (!target)
		return err_set(s->e, ERR_INVALID, "archive: link \"%s\" leaves the directory",
			       link);
	AUTO_FD int parent = parent_of(dir, name, &base, s->e);
	AUTO_FD int from = parent < 0 ? FD_NONE : parent_of(dir, target, &old, s->e);
	if (parent < 0 || from < 0)
		return -1;
	unlinkat(parent, base, 0);
	if (linkat(from, old, parent, base, 0) < 0)
		return err_sys(s->e, -errno, "link %s", name);
	return 0;
}

static int one_entry(struct source *s, int dir, const char *h, struct entry *n,
		     const char *rename_to)
{
	char type = h[156];
	uint64_t size = n->has_size ? n->size : number(h + 124, 12);

	if (type == 'x' || type == 'L' || type == 'K' || type == 'g')
		return meta_entry(s, type, number(h + 124, 12), n);
	AUTO_FREE char *name = n->name	? xstrdup(n->name)
			       : h[345] ? xasprintf("%.155s/%.100s", h + 345, h)
					: xasprintf("%.100s", h);
	AUTO_FREE char *link = n->link ? xstrdup(n->link) : xasprintf("%.100s", h + 157);
	AUTO_FREE char *local = local_name(name, rename_to);
	entry_done(n);
	if (!local)
		return err_set(s->e, ERR_INVALID, "archive: entry \"%s\" leaves the directory",
			       name);
	if (type == '1')
		return hard_link(s, dir, local, link, rename_to);
	if (type == '2')
		size = 0;
	mode_t mode = (mode_t)number(h + 100, 8) & 07777;
	int64_t mtime = (int64_t)number(h + 136, 12);
	dev_t rdev = makedev((unsigned)number(h + 329, 8), (unsigned)number(h + 337, 8));
	if (make_entry(s, dir, type, local, link, mode, size, rdev) < 0)
		return -1;
	if (type == '5')
		later_add(s, local, mode, mtime);
	else
		set_time(dir, local, mtime);
	return take(s, NULL, -1, (BLOCK - size % BLOCK) % BLOCK) < 0 ? -1 : 0;
}

int tar_receive(struct conn *k, const char *dir, const char *rename_to, struct err *e)
{
	struct source s = {.k = k, .e = e};
	struct entry next = {0};
	static const char zero[BLOCK];
	char h[BLOCK];
	AUTO_FD int fd = fs_open_dir(dir);
	int rc;

	if (fd < 0)
		return err_set(e, ERR_NOT_FOUND, "open %s: no such directory", dir);
	while ((rc = take(&s, h, -1, BLOCK)) > 0) {
		if (!memcmp(h, zero, BLOCK))
			continue;
		rc = one_entry(&s, fd, h, &next, rename_to);
		if (rc < 0)
			break;
	}
	entry_done(&next);
	later_apply(&s, fd);
	return rc < 0 ? -1 : 0;
}
