/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a seal; the format is in seal-priv.h. */
#include "unpack/seal-priv.h"

#include "base/map.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/banned.h"

#define OUT_SIZE    (64 * 1024)
#define RECORD_MAX  (2 * WRITER_PATH_MAX + 256)
#define ZEROS_MAX   (64ull << 20) /* longer holes are not summed */
#define SECONDS_MAX INT32_MAX	  /* file systems clamp what is beyond */

struct seal {
	int fd, target_fd, error;
	bool odd, user_xattrs;
	uint64_t records, crc;
	uint64_t sum, at; /* of the file being written */
	bool nosum;
	char last[WRITER_PATH_MAX]; /* name of the record before */
	size_t n;
	unsigned char out[OUT_SIZE];
};

static const char magic[8] = "CORSEAL1";

struct seal *seal_new(int fd, int target_fd)
{
	struct seal *s;

	if (fd <= 0)
		return NULL;
	s = NEW(struct seal);
	s->fd = fd;
	s->target_fd = target_fd;
	s->user_xattrs = seal_user_xattrs(target_fd);
	memcpy(s->out, magic, sizeof(magic));
	s->n = sizeof(magic);
	return s;
}

void seal_free(struct seal *s)
{
	free(s);
}

void seal_odd(struct seal *s)
{
	if (s)
		s->odd = true;
}

static void flush(struct seal *s)
{
	int rc = fs_write_all(s->fd, s->out, s->n);

	if (rc < 0 && !s->error)
		s->error = rc;
	s->crc = seal_crc(s->crc, s->out, s->n);
	s->n = 0;
}

static void put_num(struct seal *s, uint64_t v)
{
	while (v >= 0x80) {
		s->out[s->n++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	s->out[s->n++] = (unsigned char)v;
}

static void put_u64(struct seal *s, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		s->out[s->n++] = (unsigned char)(v >> (8 * i));
}

static void put_bytes(struct seal *s, const char *p, size_t n)
{
	put_num(s, n);
	memcpy(s->out + s->n, p, n);
	s->n += n;
}

static void put_name(struct seal *s, const char *name)
{
	size_t n = strlen(name), shared = 0;

	while (s->last[shared] && s->last[shared] == name[shared])
		shared++;
	put_num(s, shared);
	put_bytes(s, name + shared, n - shared);
	memcpy(s->last + shared, name + shared, n - shared + 1);
}

void seal_put(struct seal *s, const struct seal_record *r)
{
	unsigned flags = r->flags | (r->xattrs ? SEAL_XATTRS : 0);

	if (!s)
		return;
	if (s->n > OUT_SIZE - RECORD_MAX)
		flush(s);
	s->records++;
	s->out[s->n++] = (unsigned char)r->kind;
	s->out[s->n++] = (unsigned char)flags;
	put_name(s, r->name);
	if (r->kind == SEAL_LINK) {
		put_bytes(s, r->link, strlen(r->link));
		return;
	}
	put_num(s, r->mode);
	put_num(s, r->uid);
	put_num(s, r->gid);
	put_num(s, (uint64_t)r->sec);
	put_num(s, r->nsec);
	put_num(s, r->size);
	put_u64(s, r->sum);
	if (flags & SEAL_XATTRS)
		put_u64(s, r->xattrs);
}

void seal_implicit(struct seal *s, const char *path, size_t n)
{
	char name[WRITER_PATH_MAX];
	struct seal_record r = {
		.kind = SEAL_ENTRY, .flags = SEAL_NOTIME, .name = name, .mode = S_IFDIR | 0755};

	if (!s || s->odd)
		return;
	memcpy(name, path, n);
	name[n] = '\0';
	seal_put(s, &r);
}

void seal_whiteout(struct seal *s, const char *parent, size_t n, const char *base)
{
	char name[WRITER_PATH_MAX];
	struct seal_record r = {.kind = SEAL_ENTRY,
				.flags = SEAL_NOTIME | SEAL_NOOWNER,
				.name = name,
				.mode = S_IFCHR};

	if (!s || s->odd)
		return;
	snprintf(name, sizeof(name), "%.*s%s%s", (int)n, parent, n ? "/" : "", base);
	seal_put(s, &r);
}

static uint64_t sum_xattrs(const struct seal *s, const struct member *m)
{
	uint64_t sum = 0;

	if (!S_ISREG(m->mode) && !S_ISDIR(m->mode))
		return 0;
	for (size_t i = 0; i < m->nxattrs; i++) {
		const struct member_xattr *x = &m->xattrs[i];

		if (seal_xattr_counts(x->name, s->user_xattrs))
			sum ^= seal_crc(seal_crc(0, x->name, strlen(x->name) + 1), x->value,
					x->size);
	}
	return sum;
}

static void fill(const struct seal *s, const struct member *m, struct seal_record *r)
{
	*r = (struct seal_record){.kind = SEAL_ENTRY,
				  .name = m->name,
				  .mode = m->mode & (S_IFMT | 07777),
				  .uid = m->uid,
				  .gid = m->gid,
				  .sec = m->mtime.tv_sec,
				  .nsec = (uint32_t)m->mtime.tv_nsec,
				  .size = m->size,
				  .xattrs = sum_xattrs(s, m)};
	if (r->sec < 0 || r->sec > SECONDS_MAX) {
		r->flags |= SEAL_NOTIME;
		r->sec = 0;
	}
}

void seal_member(struct seal *s, const struct member *m)
{
	struct seal_record r;

	if (!s || s->odd)
		return;
	fill(s, m, &r);
	if (m->link) {
		r.kind = SEAL_LINK;
		r.link = m->link;
		r.xattrs = 0;
	} else if (S_ISLNK(m->mode)) {
		r.sum = seal_crc(0, m->symlink, strlen(m->symlink));
	} else if (S_ISCHR(m->mode) || S_ISBLK(m->mode)) {
		r.size = m->rdev;
	}
	seal_put(s, &r);
}

/* Zeros up to `at`: a hole of a sparse file. */
static void sum_hole(struct seal *s, uint64_t at)
{
	static const char zeros[16384];

	if (at - s->at > ZEROS_MAX)
		s->nosum = true;
	while (!s->nosum && s->at < at) {
		size_t n = (size_t)MIN(at - s->at, (uint64_t)sizeof(zeros));

		s->sum = seal_crc(s->sum, zeros, n);
		s->at += n;
	}
}

void seal_content(struct seal *s, const void *p, size_t n, uint64_t at)
{
	if (!s || s->odd)
		return;
	if (at < s->at)
		s->nosum = true; /* out of order: nothing honest does that */
	else if (at > s->at)
		sum_hole(s, at);
	if (s->nosum)
		return;
	s->sum = seal_crc(s->sum, p, n);
	s->at = at + n;
}

void seal_file(struct seal *s, const struct member *m)
{
	struct seal_record r;

	if (!s || s->odd)
		return;
	if (m->size > s->at)
		sum_hole(s, m->size);
	fill(s, m, &r);
	r.sum = s->nosum ? 0 : s->sum;
	r.flags |= s->nosum ? SEAL_NOSUM : 0;
	seal_put(s, &r);
	s->sum = s->at = 0;
	s->nosum = false;
}

/* ---- odd layers: the same from the tree ---- */

struct rescan {
	struct seal *s;
	struct map *links; /* "dev:ino" -> first name */
};

static int rescan_entry(void *ud, struct seal_record *r, const struct stat *st, int dir_fd,
			const char *base, struct err *e)
{
	struct rescan *x = ud;
	uint64_t bytes = 0;
	char key[48];
	int rc;

	if (st->st_nlink > 1 && !S_ISDIR(st->st_mode)) {
		snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
			 (unsigned long long)st->st_ino);
		r->link = map_get(x->links, key);
		if (r->link) {
			r->kind = SEAL_LINK;
			r->xattrs = 0;
			seal_put(x->s, r);
			return 0;
		}
		(void)map_set(x->links, key, xstrdup(r->name));
	}
	rc = seal_tree_sum(r, dir_fd, base, &r->sum, &bytes);
	if (rc < 0)
		return err_sys(e, rc, "read \"%s\" again", r->name);
	if (r->sec < 0 || r->sec > SECONDS_MAX) {
		r->flags |= SEAL_NOTIME;
		r->sec = 0;
	}
	seal_put(x->s, r);
	return 0;
}

static int rescan(struct seal *s, struct err *e)
{
	struct rescan x = {.s = s, .links = map_new()};
	struct seal_tree t = {.root_fd = s->target_fd,
			      .user_xattrs = s->user_xattrs,
			      .fn = rescan_entry,
			      .ud = &x};
	const char *key;
	size_t pos = 0;
	void *value;
	int rc = 0;

	if (ftruncate(s->fd, 0) < 0 || lseek(s->fd, 0, SEEK_SET) < 0)
		rc = err_sys(e, -errno, "write the layer's seal");
	memcpy(s->out, magic, sizeof(magic));
	s->n = sizeof(magic);
	s->records = s->crc = 0;
	s->last[0] = '\0';
	rc = rc ? rc : seal_tree_walk(&t, e);
	while (map_next(x.links, &pos, &key, &value))
		free(value);
	map_free(x.links);
	return rc;
}

int seal_finish(struct seal *s, struct err *e)
{
	if (!s)
		return 0;
	if (s->odd && rescan(s, e) < 0)
		return -1;
	flush(s);
	uint64_t crc = s->crc;
	s->out[s->n++] = SEAL_END;
	s->out[s->n++] = 0;
	put_num(s, s->records);
	put_u64(s, crc);
	flush(s);
	return s->error ? err_sys(e, s->error, "write the layer's seal") : 0;
}
