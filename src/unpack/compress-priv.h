/* SPDX-License-Identifier: Apache-2.0 */
/* One block of a layer, compressed on its own: what the threads of compress.c do. */
#pragma once

#include "unpack/unpack.h"

#include <stddef.h>

#define BLOCK_SIZE ((size_t)1 << 20)
/* Room a compressed block of n bytes may take: never more than stored with its headers. */
#define BLOCK_ROOM(n) ((n) + (n) / 64 + 4096)

struct block_codec; /* one per thread */
struct block_codec *block_codec_new(enum unpack_compression how, int level);
void block_codec_free(struct block_codec *c);
DEFINE_AUTO(block_codec);
/*
 * gzip: raw deflate blocks, none of them the last one, ended at a byte; zstd: a whole frame. The
 * same bytes for the same input, whatever else happens. out has BLOCK_ROOM(n).
 */
size_t block_compress(struct block_codec *c, const void *in, size_t n, unsigned char *out);

/* CRC-32 of gzip, continued. */
uint32_t block_crc(uint32_t crc, const void *p, size_t n);
