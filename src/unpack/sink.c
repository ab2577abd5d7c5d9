/* SPDX-License-Identifier: Apache-2.0 */
/* The writing side of tar. */
#include "unpack/sink-priv.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <errno.h>
#include <unistd.h>

#include "base/banned.h"

#define COPY_SIZE (256 * 1024)

static la_ssize_t write_cb(struct archive *a, void *ud, const void *p, size_t n)
{
	struct sink *k = ud;
	int rc = fs_write_all(k->fd, p, n);

	if (rc < 0) {
		k->error = rc;
		archive_set_error(a, -rc, "write");
		return -1;
	}
	if (k->hash)
		hasher_add(k->hash, p, n);
	k->size += n;
	return (la_ssize_t)n;
}

static int fail(struct sink *k, struct err *e)
{
	const char *name = archive_entry_pathname(k->entry);

	if (k->error)
		(void)err_sys(e, k->error, "write the archive");
	else
		(void)err_set(e, ERR_SYSTEM, "write the archive: %s",
			      archive_error_string(k->archive));
	return name ? err_wrap(e, "entry \"%s\"", name) : -1;
}

int sink_init(struct sink *k, int fd, bool blobs, struct err *e)
{
	*k = (struct sink){.fd = fd,
			   .archive = archive_write_new(),
			   .entry = archive_entry_new(),
			   .hash = blobs ? NULL : hasher_new("sha256"),
			   .buf = xmalloc(COPY_SIZE)};
	ASSERT(k->archive && k->entry);
	/* In the C locale libarchive writes names as bytes and says so in the header of those that
	 * are not ASCII. */
	archive_write_set_format_pax_restricted(k->archive);
	/* Else each extended attribute is there a second time, in a form that only libarchive
	 * reads. */
	archive_write_set_format_option(k->archive, NULL, "xattrheader", "SCHILY");
	archive_write_set_bytes_per_block(k->archive, blobs ? 0 : COPY_SIZE);
	archive_write_set_bytes_in_last_block(k->archive, 1);
	if (archive_write_open(k->archive, k, NULL, write_cb, NULL) != ARCHIVE_OK)
		return fail(k, e);
	return 0;
}

void sink_done(struct sink *k)
{
	if (k->archive) {
		archive_write_fail(k->archive); /* after sink_finish() nothing is left to write */
		archive_write_free(k->archive);
	}
	archive_entry_free(k->entry);
	hasher_free(k->hash);
	free(k->buf);
	*k = (struct sink){.archive = NULL};
}

int sink_header(struct sink *k, struct err *e)
{
	int rc = archive_write_header(k->archive, k->entry);

	return rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? 0 : fail(k, e);
}

int sink_data(struct sink *k, const void *p, size_t n, struct err *e)
{
	return n && archive_write_data(k->archive, p, n) < 0 ? fail(k, e) : 0;
}

int sink_copy(struct sink *k, int fd, uint64_t size, struct err *e)
{
	while (size) {
		ssize_t n = read(fd, k->buf, (size_t)MIN(size, (uint64_t)COPY_SIZE));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "entry \"%s\": read",
				       archive_entry_pathname(k->entry));
		if (n == 0)
			break;
		if (sink_data(k, k->buf, (size_t)n, e) < 0)
			return -1;
		size -= (uint64_t)n;
	}
	return archive_write_finish_entry(k->archive) < ARCHIVE_WARN ? fail(k, e) : 0;
}

int sink_finish(struct sink *k, struct unpack_result *ret, struct err *e)
{
	archive_entry_clear(k->entry);
	if (archive_write_close(k->archive) != ARCHIVE_OK)
		return fail(k, e);
	if (k->hash)
		hasher_final(k->hash, &ret->digest);
	ret->size = k->size;
	return 0;
}
