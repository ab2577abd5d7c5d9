/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders: gzip (ISA-L, or zlib where ISA-L is missing) with any number of members, zstd with any
 * number of frames, and plain bytes. Zero padding after the last gzip member is accepted (tape
 * tools add it), other trailing bytes are not.
 */
#include "unpack/stream-priv.h"
#include "unpack/window.h"

#include "base/mem.h"

#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_customMem */
#include <zstd.h>
#include <zstd_errors.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#else
#include <zlib.h>
#endif

#include "base/banned.h"

#define ZSTD_WINDOW_LOG_MAX 31 /* the format's own limit; window.c keeps the memory small */

struct inflater {
	enum codec codec;
	bool whole;   /* between members or frames */
	bool padding; /* only zero bytes may follow */
	ZSTD_DStream *zstd;
	int dir_fd;
#ifdef HAVE_ISAL
	struct inflate_state gz;
#else
	z_stream gz;
#endif
};

enum codec codec_sniff(const unsigned char *p, size_t n)
{
	static const unsigned char zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};

	if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return CODEC_GZIP;
	if (n >= 4 && memcmp(p, zstd_magic, 4) == 0)
		return CODEC_ZSTD;
	if (n >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18)
		return CODEC_ZSTD; /* skippable frame first (estargz and zstd:chunked tools) */
	if (n >= 6 && memcmp(p,
			     "\xfd"
			     "7zXZ",
			     6) == 0)
		return CODEC_FOREIGN;
	if (n >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9')
		return CODEC_FOREIGN;
	return CODEC_PLAIN;
}

static void gzip_start(struct inflater *f, bool first)
{
#ifdef HAVE_ISAL
	if (first)
		isal_inflate_init(&f->gz);
	else
		isal_inflate_reset(&f->gz);
	f->gz.crc_flag = ISAL_GZIP;
#else
	if (first)
		inflateInit2(&f->gz, 15 + 16);
	else
		inflateReset(&f->gz);
#endif
}

struct inflater *inflater_new(enum codec codec, int dir_fd)
{
	struct inflater *f = NEW(struct inflater);

	f->codec = codec;
	f->dir_fd = dir_fd;
	f->whole = codec == CODEC_PLAIN;
	if (codec == CODEC_GZIP)
		gzip_start(f, true);
	if (codec == CODEC_ZSTD) {
		f->zstd = ZSTD_createDStream_advanced(
			(ZSTD_customMem){window_alloc, window_free, &f->dir_fd});
		ASSERT(f->zstd);
		ZSTD_DCtx_setParameter(f->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	}
	return f;
}

void inflater_free(struct inflater *f)
{
	if (!f)
		return;
#ifndef HAVE_ISAL
	if (f->codec == CODEC_GZIP)
		inflateEnd(&f->gz);
#endif
	ZSTD_freeDStream(f->zstd);
	free(f);
}

/* One step of the gzip library: consumes *in, returns bytes made or -1; *ret_end when a member is
 * complete. */
static ssize_t gzip_step(struct inflater *f, struct span *in, unsigned char *out, size_t room,
			 bool *ret_end, struct err *e)
{
	size_t take = MIN(in->n, (size_t)UINT32_MAX);

#ifdef HAVE_ISAL
	unsigned char *start = (unsigned char *)(uintptr_t)in->p;

	f->gz.next_in = start;
	f->gz.avail_in = (uint32_t)take;
	f->gz.next_out = out;
	f->gz.avail_out = (uint32_t)room;
	int rc = isal_inflate(&f->gz);
	size_t used = (size_t)(f->gz.next_in - start), made = (size_t)(f->gz.next_out - out);
	*ret_end = f->gz.block_state == ISAL_BLOCK_FINISH;
	if (rc == ISAL_INCORRECT_CHECKSUM)
		return err_set(e, ERR_INVALID, "corrupt gzip data: wrong checksum");
	if (rc < 0 || rc == ISAL_NEED_DICT)
		return err_set(e, ERR_INVALID, "corrupt gzip data");
#else
	f->gz.next_in = (unsigned char *)(uintptr_t)in->p;
	f->gz.avail_in = (unsigned)take;
	f->gz.next_out = out;
	f->gz.avail_out = (unsigned)room;
	int rc = inflate(&f->gz, Z_NO_FLUSH);
	size_t used = take - f->gz.avail_in, made = room - f->gz.avail_out;
	*ret_end = rc == Z_STREAM_END;
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return err_set(e, ERR_INVALID, "corrupt gzip data: %s",
			       f->gz.msg ? f->gz.msg : "unknown error");
#endif
	in->p += used;
	in->n -= used;
	return (ssize_t)made;
}

static ssize_t gzip_run(struct inflater *f, struct span *in, unsigned char *out, size_t room,
			struct err *e)
{
	size_t made = 0;

	while (made < room) {
		bool end = false;
		ssize_t n;

		if (f->whole) { /* between members: another one, padding, or the end */
			if (!in->n)
				break;
			if (!f->padding && *in->p == 0x1f) {
				gzip_start(f, false);
				f->whole = false;
			} else if (*in->p == 0) {
				f->padding = true;
				in->p++;
				in->n--;
				continue;
			} else {
				return err_set(e, ERR_INVALID, "garbage after the gzip data");
			}
		}
		size_t before = in->n;
		n = gzip_step(f, in, out + made, room - made, &end, e);
		if (n < 0)
			return -1;
		made += (size_t)n;
		if (end)
			f->whole = true;
		else if (n == 0 && in->n == before)
			break; /* wants more input (or cannot go on: found by inflater_whole) */
	}
	return (ssize_t)made;
}

static ssize_t zstd_run(struct inflater *f, struct span *in, unsigned char *out, size_t room,
			struct err *e)
{
	ZSTD_inBuffer zin = {in->p, in->n, 0};
	ZSTD_outBuffer zout = {out, room, 0};

	while (zout.pos < zout.size) {
		size_t before_in = zin.pos, before_out = zout.pos;

		if (f->whole && zin.pos == zin.size)
			break;
		size_t rc = ZSTD_decompressStream(f->zstd, &zout, &zin);
		ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);
		if (code == ZSTD_error_frameParameter_windowTooLarge ||
		    code == ZSTD_error_memory_allocation)
			return err_set(e, ERR_LIMIT,
				       "the zstd data needs a window that is too large");
		if (window_failed())
			return err_sys(e, -window_failed(),
				       "keep the window of the zstd data in a file");
		if (ZSTD_isError(rc))
			return err_set(e, ERR_INVALID, "corrupt zstd data: %s",
				       ZSTD_getErrorName(rc));
		f->whole = rc == 0;
		if (zin.pos == before_in && zout.pos == before_out)
			break;
	}
	in->p += zin.pos;
	in->n -= zin.pos;
	return (ssize_t)zout.pos;
}

ssize_t inflater_run(struct inflater *f, struct span *in, unsigned char *out, size_t room,
		     struct err *e)
{
	switch (f->codec) {
	case CODEC_GZIP:
		return gzip_run(f, in, out, room, e);
	case CODEC_ZSTD:
		return zstd_run(f, in, out, room, e);
	case CODEC_PLAIN: {
		size_t n = MIN(in->n, room);

		memcpy(out, in->p, n);
		in->p += n;
		in->n -= n;
		return (ssize_t)n;
	}
	default:
		return err_set(e, ERR_UNSUPPORTED,
			       "unsupported compression (not gzip, zstd or plain tar)");
	}
}

bool inflater_whole(const struct inflater *f)
{
	return f->whole;
}
