/* SPDX-License-Identifier: Apache-2.0 */
/* Applying a layer: entries of the tar become files of an overlayfs lower directory. */
#include "unpack/reader-priv.h"
#include "unpack/seal-priv.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/banned.h"

#define XATTRS_MAX 256

static int write_at(int fd, const char *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t r = pwrite(fd, p, n, (off_t)at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -EIO;
		p += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return 0;
}

static int write_content(struct reader *r, struct seal *seal, const struct member *m, int fd,
			 struct err *e)
{
	uint64_t end = 0, at;
	const void *p;
	size_t n;
	int rc;

	while ((rc = reader_block(r, &p, &n, &at, e)) > 0) {
		if (!n)
			continue;
		if (at > m->size || n > m->size - at)
			return err_set(e, ERR_INVALID, "entry \"%s\": content beyond its size",
				       m->name);
		rc = write_at(fd, p, n, at);
		if (rc < 0)
			return err_sys(e, rc, "entry \"%s\": write", m->name);
		seal_content(seal, p, n, at);
		end = MAX(end, at + n);
	}
	if (rc < 0)
		return -1;
	if (end < m->size && ftruncate(fd, (off_t)m->size) < 0) /* it ends in a hole */
		return err_sys(e, -errno, "entry \"%s\": set the size", m->name);
	return 0;
}

static int member_xattrs(struct archive_entry *ae, struct member *m, struct member_xattr *x,
			 struct err *e)
{
	if (archive_entry_xattr_reset(ae) > XATTRS_MAX)
		return err_set(e, ERR_LIMIT, "entry \"%s\": more than %d extended attributes",
			       m->name, XATTRS_MAX);
	struct member_xattr one;

	/* libarchive's own tars have each twice, under two headers; a later one counts. */
	while (archive_entry_xattr_next(ae, &one.name, &one.value, &one.size) == ARCHIVE_OK) {
		size_t i = 0;

		while (i < m->nxattrs && strcmp(x[i].name, one.name) != 0)
			i++;
		if (i == XATTRS_MAX)
			break;
		x[i] = one;
		m->nxattrs += i == m->nxattrs;
	}
	m->xattrs = x;
	return 0;
}

static int member_fill(struct reader *r, struct archive_entry *ae, struct member *m,
		       struct member_xattr *x, struct err *e)
{
	int64_t uid = archive_entry_uid(ae), gid = archive_entry_gid(ae),
		size = archive_entry_size(ae);
	const char *link = archive_entry_hardlink(ae);

	*m = (struct member){.name = r->name, .mode = archive_entry_mode(ae)};
	if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return err_set(e, ERR_INVALID, "entry \"%s\": impossible owner", m->name);
	m->uid = (uid_t)uid;
	m->gid = (gid_t)gid;
	r->res->uid_min = MIN(r->res->uid_min, m->uid);
	r->res->uid_max = MAX(r->res->uid_max, m->uid);
	r->res->gid_min = MIN(r->res->gid_min, m->gid);
	r->res->gid_max = MAX(r->res->gid_max, m->gid);
	m->mtime = (struct timespec){.tv_sec = archive_entry_mtime(ae),
				     .tv_nsec = archive_entry_mtime_nsec(ae)};
	if (m->mtime.tv_nsec < 0 || m->mtime.tv_nsec > 999999999)
		m->mtime.tv_nsec = 0;
	if (link) {
		if (member_clean(link, r->link, e) < 0)
			return err_wrap(e, "target of the hard link \"%s\"", m->name);
		m->link = r->link;
		return 0;
	}
	if (S_ISREG(m->mode)) {
		if (size < 0)
			return err_set(e, ERR_INVALID, "entry \"%s\": negative size", m->name);
		m->size = (uint64_t)size;
		if (m->size > r->limits.max_size - r->res->content_size)
			return err_set(e, ERR_LIMIT,
				       "entry \"%s\": more than %llu bytes uncompressed", m->name,
				       (unsigned long long)r->limits.max_size);
		r->res->content_size += m->size;
	}
	m->symlink = archive_entry_symlink(ae);
	if (S_ISCHR(m->mode) || S_ISBLK(m->mode))
		m->rdev = makedev((unsigned)archive_entry_rdevmajor(ae),
				  (unsigned)archive_entry_rdevminor(ae));
	return member_xattrs(ae, m, x, e);
}

static int apply_entry(struct reader *r, struct writer *w, struct seal *seal,
		       const struct unpack_apply *o, struct archive_entry *ae,
		       struct member_xattr *x, struct err *e)
{
	struct member m;
	int fd;

	if (member_fill(r, ae, &m, x, e) < 0)
		return -1;
	if (o->own) {
		m.uid = o->uid;
		m.gid = o->gid;
	}
	if (writer_add(w, &m, &fd, e) < 0)
		return -1;
	if (fd < 0)
		return 0;
	if (write_content(r, seal, &m, fd, e) < 0) {
		close(fd);
		return -1;
	}
	if (writer_close_file(&m, fd, e) < 0)
		return -1;
	seal_file(seal, &m);
	return 0;
}

static int apply_all(struct reader *r, const struct unpack_apply *o, struct err *e)
{
	AUTO(seal) struct seal *seal = seal_new(o->plain ? FD_NONE : o->seal_fd, o->target_fd);
	AUTO(writer) struct writer *w = writer_new(o->target_fd, o->plain, o->user_xattr);
	AUTO_FREE struct member_xattr *x = xcalloc(XATTRS_MAX, sizeof(*x));
	struct archive_entry *ae;
	int rc;

	writer_seal(w, seal);
	if (o->keep_types)
		writer_keep_types(w);
	while ((rc = reader_next(r, &ae, e)) > 0)
		if (apply_entry(r, w, seal, o, ae, x, e) < 0)
			return -1;
	if (rc < 0)
		return -1;
	writer_free(TAKE_PTR(w)); /* the directories' times are set: an odd seal reads them */
	return seal_finish(seal, e);
}

/* Only store and hash; also the way for blobs that are not archives. */
static int verify_only(const struct unpack_apply *o, struct unpack_result *ret, struct err *e)
{
	AUTO(stream) struct stream *s = NULL;
	const void *p;

	if (stream_open(&o->in, true, &s, e) < 0 || stream_next(s, &p, e) < 0)
		return -1;
	stream_totals(s, &ret->digest, &ret->size);
	return 0;
}

/* What is left is to wait for the disk. */
static void tell_syncing(const struct unpack_apply *o)
{
	static const char syncing[] = "{\"syncing\":true}\n";

	if (o->in.progress_fd >= 0)
		(void)fs_write_all(o->in.progress_fd, syncing, sizeof(syncing) - 1);
}

/* Both are on one file system as a rule; then one call makes both durable. */
static int sync_all(const struct unpack_apply *o, struct err *e)
{
	struct stat blob, target;

	tell_syncing(o);
	if (o->in.blob_fd >= 0) {
		if (fstat(o->in.blob_fd, &blob) < 0 || fstat(o->target_fd, &target) < 0)
			return err_sys(e, -errno, "stat the layer");
		if (blob.st_dev != target.st_dev && fsync(o->in.blob_fd) < 0)
			return err_sys(e, -errno, "fsync of the blob");
	}
	if (syncfs(o->target_fd) < 0)
		return err_sys(e, -errno, "sync the layer");
	return 0;
}

int unpack_apply(const struct unpack_apply *o, struct unpack_result *ret, struct err *e)
{
	struct unpack_input in = o->in;
	struct reader r;
	mode_t old = umask(0);
	int rc = -1;

	*ret = (struct unpack_result){.uid_min = UINT32_MAX, .gid_min = UINT32_MAX};
	if (o->target_fd < 0) {
		umask(old);
		return verify_only(o, ret, e);
	}
	in.sync = false; /* once, at the end */
	if (reader_init(&r, &in, ret, e) == 0 && apply_all(&r, o, e) == 0) {
		if (in.sync_blob)
			tell_syncing(o);
		rc = reader_finish(&r, e);
	} else if (e->kind == ERR_INVALID)
		reader_blame(&r, e);
	reader_done(&r);
	umask(old);
	if (rc < 0)
		return -1;
	if (digest_is_set(&o->diff_id) && !digest_eq(&o->diff_id, &ret->diff_id))
		return err_set(e, ERR_INVALID, "wrong diff id: expected %s, got %s",
			       o->diff_id.text, ret->diff_id.text);
	return o->in.sync ? sync_all(o, e) : 0;
}
