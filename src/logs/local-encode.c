/* SPDX-License-Identifier: Apache-2.0 */
/* One record of a "local" log file; the layout stands in local-parse.c. */
#include "logs/logs-priv.h"

#include <string.h>

#include "base/banned.h"

static char *put_varint(char *o, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*o++ = (char)(v | 0x80);
	*o++ = (char)v;
	return o;
}

static char *put_bytes(char *o, int field, const void *p, size_t n)
{
	*o++ = (char)(field << 3 | 2);
	o = put_varint(o, n);
	memcpy(o, p, n);
	return o + n;
}

static char *put_be32(char *o, size_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*o++ = (char)(v >> shift);
	return o;
}

static char *put_partial(char *o, const struct log_record *r)
{
	char meta[LOG_ID_MAX + 16], *m = meta;

	if (r->newline) {
		*m++ = 1 << 3;
		*m++ = 1;
	}
	m = put_bytes(m, 2, r->id, strlen(r->id));
	*m++ = 3 << 3;
	m = put_varint(m, (uint64_t)r->ordinal);
	*o++ = 4 << 3;
	*o++ = 1;
	return put_bytes(o, 5, meta, (size_t)(m - meta));
}

size_t log_local_room(const struct log_record *r)
{
	return r->n + LOG_ID_MAX + 96;
}

char *log_local_encode(const struct log_record *r, char *o)
{
	char *start = o + 4;

	o = put_bytes(start, 1, r->stream == LOG_STDERR ? "stderr" : "stdout", 6);
	*o++ = 2 << 3;
	o = put_varint(o, (uint64_t)r->time_ns);
	o = put_bytes(o, 3, r->p, r->n);
	if (r->partial)
		o = put_partial(o, r);
	put_be32(start - 4, (size_t)(o - start));
	return put_be32(o, (size_t)(o - start));
}
