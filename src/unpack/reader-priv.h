/* SPDX-License-Identifier: Apache-2.0 */
/* libarchive behind the stream: tar formats only, no filters; hashes what it reads. Visible to
 * layer.c and stage.c only. */
#pragma once

#include "unpack/stream-priv.h"
#include "unpack/writer-priv.h"

#include <archive.h>
#include <archive_entry.h>

struct reader {
	struct stream *stream;
	struct archive *archive;
	struct hasher *hash; /* uncompressed bytes; NULL: the stream's digest is theirs, or none */
	uint64_t size;	     /* of them */
	uint64_t entries;
	struct unpack_limits limits;
	bool empty;	   /* the input had no byte */
	bool ended;	   /* stream_next() returned 0 */
	struct err err;	   /* of the stream */
	const void *first; /* chunk read ahead */
	ssize_t first_n;
	char name[WRITER_PATH_MAX]; /* cleaned name of the current entry */
	char link[WRITER_PATH_MAX]; /* cleaned hard link target */
	struct unpack_result *res;
};

int reader_init(struct reader *r, const struct unpack_input *in, struct unpack_result *res,
		struct err *e);
void reader_done(struct reader *r);
/* 1: an entry, r->name is set; 0: the end; -1. */
int reader_next(struct reader *r, struct archive_entry **ret, struct err *e);
/* A block of the current entry's content: 1, 0 at its end, -1. */
int reader_block(struct reader *r, const void **p, size_t *n, uint64_t *at, struct err *e);
/* Read to the end of the stream, fill res (digest, diff_id, sizes, entries). */
int reader_finish(struct reader *r, struct err *e);
/* After a failure: read on, and if the bytes themselves are not the expected ones, say that
 * instead. */
void reader_blame(struct reader *r, struct err *e);
