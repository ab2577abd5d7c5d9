/* SPDX-License-Identifier: Apache-2.0 */
/* The input side: read, hash, store, sniff and inflate in a thread of its own; chunks come out in
 * order. */
#pragma once

#include "unpack/unpack.h"

#include <stddef.h>
#include <sys/types.h>

struct stream;

/* raw: do not inflate (and do not hand out anything: stream_next gives 0 at the end). */
int stream_open(const struct unpack_input *in, bool raw, struct stream **ret, struct err *e);
/*
 * Next chunk of uncompressed bytes; valid until the next call. 0 at the end, -1 on errors. When it
 * has returned 0 or -1 the input was read to its end or given up.
 */
ssize_t stream_next(struct stream *s, const void **ret, struct err *e);
/* The input is not compressed: it is what stream_next() gives. Known from the first chunk on. */
bool stream_is_plain(const struct stream *s);
/* After stream_next() returned 0. The digest is unset when the input is `unhashed`. */
void stream_totals(const struct stream *s, struct digest *ret_digest, uint64_t *ret_size);
/* Stops the thread wherever it is. NULL allowed. */
void stream_free(struct stream *s);
DEFINE_AUTO(stream);

/* ---- inflate.c ---- */
enum codec { CODEC_UNKNOWN, CODEC_PLAIN, CODEC_GZIP, CODEC_ZSTD, CODEC_FOREIGN };
#define SNIFF_BYTES 6
/* n < SNIFF_BYTES only at the end of the input. */
enum codec codec_sniff(const unsigned char *p, size_t n);

struct inflater;
/* dir_fd: writable folder for what does not fit into memory, FD_NONE: there is none. */
struct inflater *inflater_new(enum codec codec, int dir_fd);
void inflater_free(struct inflater *f);
DEFINE_AUTO(inflater);
struct span {
	const unsigned char *p;
	size_t n;
};
/*
 * Decode from *in into out[0..room); returns bytes made, -1 on bad data. Consumes *in. With
 * 0 returned and in->n == 0 it wants more; a stream that ends in its middle is found by
 * inflater_whole().
 */
ssize_t inflater_run(struct inflater *f, struct span *in, unsigned char *out, size_t room,
		     struct err *e);
bool inflater_whole(const struct inflater *f);
