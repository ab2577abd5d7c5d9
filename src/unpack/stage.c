/* SPDX-License-Identifier: Apache-2.0 */
/* Staging the members of a docker-archive or oci-archive: every regular file becomes PREFIX.N in
 * one directory. */
#include "unpack/reader-priv.h"

#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define WRITE_OUT_SIZE (8ull << 20)

static const char zeros[16384];

/* Holes of sparse members count as zero bytes of the content. */
static int add_hole(struct hasher *h, int fd, uint64_t n, struct err *e)
{
	while (n) {
		size_t step = (size_t)MIN(n, (uint64_t)sizeof(zeros));
		int rc = fs_write_all(fd, zeros, step);

		if (rc < 0)
			return err_sys(e, rc, "write");
		hasher_add(h, zeros, step);
		n -= step;
	}
	return 0;
}

static int stage_content(struct reader *r, int fd, uint64_t size, struct digest *ret, struct err *e)
{
	AUTO(hasher) struct hasher *h = hasher_new("sha256");
	uint64_t end = 0, told = 0, at;
	const void *p;
	size_t n;
	int rc;

	while ((rc = reader_block(r, &p, &n, &at, e)) > 0) {
		if (!n)
			continue;
		if (at < end || at > size || n > size - at)
			return err_set(e, ERR_INVALID, "content beyond its size");
		if (add_hole(h, fd, at - end, e) < 0)
			return -1;
		hasher_add(h, p, n);
		rc = fs_write_all(fd, p, n);
		if (rc < 0)
			return err_sys(e, rc, "write");
		end = at + n;
		if (end - told >= WRITE_OUT_SIZE) { /* the disk may begin; only a hint */
			(void)sync_file_range(fd, (off_t)told, (off_t)(end - told),
					      SYNC_FILE_RANGE_WRITE);
			told = end;
		}
	}
	if (rc < 0 || add_hole(h, fd, size - end, e) < 0)
		return -1;
	(void)sync_file_range(fd, (off_t)told, 0, SYNC_FILE_RANGE_WRITE);
	hasher_final(h, ret);
	return 0;
}

static int stage_file(struct reader *r, const struct unpack_stage *o, struct archive_entry *ae,
		      struct err *e)
{
	int64_t size = archive_entry_size(ae);
	char file[64];
	struct digest d;

	if (size < 0 || (uint64_t)size > r->limits.max_size - r->res->content_size)
		return err_set(e, ERR_LIMIT, "larger than %llu bytes",
			       (unsigned long long)r->limits.max_size);
	r->res->content_size += (uint64_t)size;
	snprintf(file, sizeof(file), "%.40s.%llu", o->prefix, (unsigned long long)r->entries);
	AUTO_FD int fd = openat(o->ingest_fd, file,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "create the staged file");
	if (stage_content(r, fd, (uint64_t)size, &d, e) < 0)
		return -1;
	if (o->fn(r->name, file, (uint64_t)size, &d, NULL, o->ud))
		return err_set(e, ERR_SYSTEM, "nobody reads the result");
	return 0;
}

/* The target of a symbolic link, seen from the archive's root; "..", as docker save writes it, is
 * resolved here. */
static int resolve_link(const char *name, const char *target, char ret[static WRITER_PATH_MAX],
			struct err *e)
{
	const char *slash = strrchr(name, '/');
	size_t n = slash && *target != '/' ? (size_t)(slash - name) : 0;
	struct str rest = str_of(target), part;

	memcpy(ret, name, n);
	while (str_cut(&rest, '/', &part)) {
		if (part.n == 0 || str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			if (!n)
				return err_set(e, ERR_INVALID,
					       "the link leaves the archive (\"%s\")", target);
			while (n && ret[n - 1] != '/')
				n--;
			n -= n > 0;
			continue;
		}
		if (n + part.n + 2 > WRITER_PATH_MAX)
			return err_set(e, ERR_LIMIT, "the link is too long");
		if (n)
			ret[n++] = '/';
		memcpy(ret + n, part.p, part.n);
		n += part.n;
	}
	ret[n] = '\0';
	return 0;
}

static int stage_entry(struct reader *r, const struct unpack_stage *o, struct archive_entry *ae,
		       struct err *e)
{
	const char *hard = archive_entry_hardlink(ae), *soft = archive_entry_symlink(ae);
	mode_t type = archive_entry_filetype(ae);

	if (hard || type == AE_IFLNK) {
		if (hard ? member_clean(hard, r->link, e) < 0
			 : resolve_link(r->name, soft ? soft : "", r->link, e) < 0)
			return -1;
		if (o->fn(r->name, NULL, 0, NULL, r->link, o->ud))
			return err_set(e, ERR_SYSTEM, "nobody reads the result");
		return 0;
	}
	if (type == AE_IFDIR)
		return 0;
	if (type != AE_IFREG)
		return err_set(e, ERR_INVALID, "neither a file, a directory nor a link");
	return stage_file(r, o, ae, e);
}

int unpack_stage(const struct unpack_stage *o, struct unpack_result *ret, struct err *e)
{
	struct archive_entry *ae;
	struct reader r;
	int rc;

	struct unpack_input in = o->in;
	in.unhashed = true; /* each member has its own digest */
	*ret = (struct unpack_result){.size = 0};
	rc = reader_init(&r, &in, ret, e);
	while (rc == 0 && (rc = reader_next(&r, &ae, e)) > 0) {
		rc = stage_entry(&r, o, ae, e);
		if (rc < 0 && !strstr(e->text, "entry \""))
			(void)err_wrap(e, "entry \"%s\"", r.name);
	}
	if (rc == 0)
		rc = reader_finish(&r, e);
	reader_done(&r);
	return rc;
}
