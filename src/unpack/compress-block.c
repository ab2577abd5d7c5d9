/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See compress-priv.h. gzip levels 1 to 3 are ISA-L's (several times as fast as zlib's, a few per
 * cent larger), 4 to 9 zlib's; without ISA-L all are zlib's.
 */
#include "unpack/compress-priv.h"

#include "base/mem.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>
#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#endif

#include "base/banned.h"

#define STORED_MAX 65535u

struct block_codec {
	enum unpack_compression how;
	int level;
	ZSTD_CCtx *zstd;
	z_stream z;
	bool z_open;
#ifdef HAVE_ISAL
	struct isal_zstream isal;
	unsigned char *level_buf;
	uint32_t level_size;
#endif
};

#ifdef HAVE_ISAL
static void isal_open(struct block_codec *c)
{
	static const uint32_t sizes[] = {0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
					 ISAL_DEF_LVL3_DEFAULT};

	c->level_size = sizes[c->level];
	c->level_buf = xmalloc(c->level_size);
}

static size_t isal_block(struct block_codec *c, const void *in, size_t n, unsigned char *out)
{
	struct isal_zstream *z = &c->isal;

	isal_deflate_init(z);
	z->level = (uint32_t)c->level;
	z->level_buf = c->level_buf;
	z->level_buf_size = c->level_size;
	z->flush = FULL_FLUSH;
	z->gzip_flag = IGZIP_DEFLATE;
	z->next_in = (unsigned char *)(uintptr_t)in;
	z->avail_in = (uint32_t)n;
	z->next_out = out;
	z->avail_out = (uint32_t)BLOCK_ROOM(n);
	if (isal_deflate(z) != COMP_OK || z->avail_in || !z->avail_out)
		return 0;
	return z->total_out;
}
#endif

static size_t zlib_block(struct block_codec *c, const void *in, size_t n, unsigned char *out)
{
	deflateReset(&c->z);
	c->z.next_in = (unsigned char *)(uintptr_t)in;
	c->z.avail_in = (unsigned)n;
	c->z.next_out = out;
	c->z.avail_out = (unsigned)BLOCK_ROOM(n);
	if (deflate(&c->z, Z_FULL_FLUSH) != Z_OK || c->z.avail_in || !c->z.avail_out)
		return 0;
	return c->z.total_out;
}

/* Deflate's stored blocks: for data that does not get smaller. RFC 1951, 3.2.4. */
static size_t stored_block(const unsigned char *in, size_t n, unsigned char *out)
{
	unsigned char *p = out;

	while (n) {
		unsigned len = (unsigned)MIN(n, (size_t)STORED_MAX);
		*p++ = 0;
		*p++ = (unsigned char)len;
		*p++ = (unsigned char)(len >> 8);
		*p++ = (unsigned char)~len;
		*p++ = (unsigned char)(~len >> 8);
		memcpy(p, in, len);
		p += len;
		in += len;
		n -= len;
	}
	return (size_t)(p - out);
}

struct block_codec *block_codec_new(enum unpack_compression how, int level)
{
	struct block_codec *c = NEW(struct block_codec);

	c->how = how;
	c->level = level;
	if (how == UNPACK_ZSTD) {
		c->zstd = ZSTD_createCCtx();
		ASSERT(c->zstd);
		ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level);
		ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
		return c;
	}
#ifdef HAVE_ISAL
	if (level <= 3) {
		isal_open(c);
		return c;
	}
#endif
	ASSERT(deflateInit2(&c->z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	c->z_open = true;
	return c;
}

void block_codec_free(struct block_codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->zstd);
	if (c->z_open)
		deflateEnd(&c->z);
#ifdef HAVE_ISAL
	free(c->level_buf);
#endif
	free(c);
}

size_t block_compress(struct block_codec *c, const void *in, size_t n, unsigned char *out)
{
	size_t made;

	if (c->how == UNPACK_ZSTD) {
		made = ZSTD_compress2(c->zstd, out, BLOCK_ROOM(n), in, n);
		ASSERT(!ZSTD_isError(made));
		return made;
	}
#ifdef HAVE_ISAL
	made = c->level_buf ? isal_block(c, in, n, out) : zlib_block(c, in, n, out);
#else
	made = zlib_block(c, in, n, out);
#endif
	return made && made < n ? made : stored_block(in, n, out);
}

uint32_t block_crc(uint32_t crc, const void *p, size_t n)
{
#ifdef HAVE_ISAL
	return crc32_gzip_refl(crc, p, n);
#else
	return (uint32_t)crc32_z(crc, p, n);
#endif
}
