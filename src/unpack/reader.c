/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar entries out of the stream. The process stays in the C locale on purpose: libarchive then
 * hands names over as the bytes they are (with a warning that it could not convert them). In a
 * UTF-8 locale it would normalise them, and a layer with decomposed letters would come out with
 * other file names than it went in.
 */
#include "unpack/reader-priv.h"

#include "base/buf.h"

#include "spec/unpack-proto.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static ssize_t next_chunk(struct reader *r, const void **p)
{
	ssize_t n;

	if (r->ended)
		return 0;
	if (r->err.kind != ERR_NONE)
		return -1;
	n = stream_next(r->stream, p, &r->err);
	if (n == 0)
		r->ended = true;
	if (n > 0) {
		if (r->hash)
			hasher_add(r->hash, *p, (size_t)n);
		r->size += (uint64_t)n;
	}
	return n;
}

static la_ssize_t read_cb(struct archive *a, void *ud, const void **p)
{
	struct reader *r = ud;
	ssize_t n = r->first_n;

	if (n > 0) {
		*p = r->first;
		r->first_n = 0;
		return n;
	}
	n = next_chunk(r, p);
	if (n < 0)
		archive_set_error(a, -1, "input");
	return n;
}

/* The library's or the stream's complaint, with the entry it was about. */
static int reader_fail(struct reader *r, struct err *e)
{
	if (r->err.kind != ERR_NONE)
		*e = r->err;
	else
		(void)err_set(e, ERR_INVALID, "bad tar: %s", archive_error_string(r->archive));
	if (r->name[0])
		(void)err_wrap(e, "entry \"%s\"", r->name);
	snprintf(r->res->entry, sizeof(r->res->entry), "%.*s", UNPACK_ENTRY_MAX - 1, r->name);
	return -1;
}

int reader_init(struct reader *r, const struct unpack_input *in, struct unpack_result *res,
		struct err *e)
{
	*r = (struct reader){.res = res};
	if (stream_open(in, false, &r->stream, e) < 0)
		return -1;
	r->limits = in->limits;
	if (!r->limits.max_entries)
		r->limits.max_entries = UNPACK_MAX_ENTRIES;
	if (!r->limits.max_size)
		r->limits.max_size = UNPACK_MAX_SIZE;
	if (!in->unhashed)
		r->hash = hasher_new("sha256");
	r->archive = archive_read_new();
	ASSERT(r->archive);
	archive_read_support_format_tar(r->archive);
	r->first_n = next_chunk(r, &r->first);
	if (r->first_n < 0)
		return reader_fail(r, e);
	r->empty = r->first_n == 0;
	if (stream_is_plain(r->stream) && !str_starts(in->digest.text, "sha512:")) {
		/* The tar is the input, which the other thread hashes. */
		hasher_free(r->hash);
		r->hash = NULL;
	}
	if (!r->empty && archive_read_open2(r->archive, r, NULL, read_cb, NULL, NULL) != ARCHIVE_OK)
		return reader_fail(r, e);
	return 0;
}

void reader_done(struct reader *r)
{
	if (r->archive)
		archive_read_free(r->archive);
	stream_free(r->stream);
	hasher_free(r->hash);
	*r = (struct reader){.archive = NULL};
}

static bool only_charset(const char *why)
{
	return why && strstr(why, "can't be converted") != NULL;
}

/* No entry of its own can be named yet: its number, and the one before it. */
static int header_fail(struct reader *r, struct err *e)
{
	char last[WRITER_PATH_MAX];

	if (!r->entries)
		return reader_fail(r, e);
	memcpy(last, r->name, strlen(r->name) + 1);
	r->name[0] = '\0';
	(void)reader_fail(r, e);
	return err_wrap(e, "entry %llu, after \"%s\"", (unsigned long long)r->entries + 1, last);
}

int reader_next(struct reader *r, struct archive_entry **ret, struct err *e)
{
	const char *raw;
	int rc;

	if (r->empty)
		return 0;
	rc = archive_read_next_header(r->archive, ret);
	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc != ARCHIVE_OK &&
	    !(rc == ARCHIVE_WARN && only_charset(archive_error_string(r->archive))))
		return header_fail(r, e);
	raw = archive_entry_pathname(*ret);
	if (!raw)
		return err_set(e, ERR_INVALID, "bad tar: entry %llu has no name",
			       (unsigned long long)r->entries + 1);
	snprintf(r->res->entry, sizeof(r->res->entry), "%.*s", UNPACK_ENTRY_MAX - 1, raw);
	if (member_clean(raw, r->name, e) < 0) {
		r->name[0] = '\0';
		return -1;
	}
	if (++r->entries > r->limits.max_entries) {
		(void)err_set(&r->err, ERR_LIMIT, "more than %llu entries",
			      (unsigned long long)r->limits.max_entries);
		return reader_fail(r, e);
	}
	return 1;
}

int reader_block(struct reader *r, const void **p, size_t *n, uint64_t *at, struct err *e)
{
	la_int64_t off = 0;
	int rc = archive_read_data_block(r->archive, p, n, &off);

	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc != ARCHIVE_OK)
		return reader_fail(r, e);
	*at = (uint64_t)off;
	return 1;
}

int reader_finish(struct reader *r, struct err *e)
{
	const void *p;

	r->name[0] = r->res->entry[0] = '\0';
	while (next_chunk(r, &p) > 0)
		;
	if (!r->ended)
		return reader_fail(r, e);
	stream_totals(r->stream, &r->res->digest, &r->res->size);
	if (r->hash)
		hasher_final(r->hash, &r->res->diff_id);
	else
		r->res->diff_id = r->res->digest;
	r->res->diff_size = r->size;
	r->res->entries = r->entries;
	return 0;
}

void reader_blame(struct reader *r, struct err *e)
{
	const void *p;

	if (!r->stream || r->err.kind != ERR_NONE)
		return;
	while (next_chunk(r, &p) > 0)
		;
	if (r->err.kind == ERR_INVALID)
		*e = r->err;
}
