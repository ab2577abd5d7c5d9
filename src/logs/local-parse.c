/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record of Docker's "local" log file:
 *     length  4 bytes, big endian, of the message
 *     message protobuf LogEntry {1: source, 2: time_nano, 3: line, 4: partial,
 *                                5: metadata {1: last, 2: id, 3: ordinal}}
 *     length  once more, so that the file can be read backwards
 * The line comes without its newline: every entry has one but the unfinished pieces of a line.
 */
#include "logs/logs.h"
#include "logs/logs-priv.h"

#include <string.h>

#include "base/banned.h"

struct scan {
	const unsigned char *p, *end;
};

static bool take_varint(struct scan *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && s->p < s->end; shift += 7) {
		unsigned char c = *s->p++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

struct field {
	uint64_t number, value; /* value: varints */
	struct scan bytes;	/* strings and messages */
};

static bool take_field(struct scan *s, struct field *ret)
{
	uint64_t key, n;

	*ret = (struct field){0};
	if (!take_varint(s, &key))
		return false;
	ret->number = key >> 3;
	switch (key & 7) {
	case 0:
		return take_varint(s, &ret->value);
	case 2:
		if (!take_varint(s, &n) || n > (size_t)(s->end - s->p))
			return false;
		ret->bytes = (struct scan){s->p, s->p + n};
		s->p += n;
		return true;
	default:
		return false; /* nothing of ours, and nothing Docker writes */
	}
}

/* Is this piece the last one of its line? */
static bool partial_last(struct scan s)
{
	struct field f;

	while (s.p < s.end && take_field(&s, &f))
		if (f.number == 1)
			return f.value != 0;
	return false;
}

static bool parse_entry(struct scan s, struct log_entry *ret, bool *whole)
{
	struct field f;
	bool have_time = false, partial = false, last = false;

	*ret = (struct log_entry){.stream = LOG_STDOUT, .text = STR_LIT("")};
	while (s.p < s.end) {
		if (!take_field(&s, &f))
			return false;
		if (f.number == 1 && f.bytes.p) {
			struct str source = {(const char *)f.bytes.p,
					     (size_t)(f.bytes.end - f.bytes.p)};

			ret->stream = str_eq(source, "stderr") ? LOG_STDERR : LOG_STDOUT;
		} else if (f.number == 2 && !f.bytes.p) {
			ret->time_ns = (int64_t)f.value;
			have_time = true;
		} else if (f.number == 3 && f.bytes.p) {
			ret->text = (struct str){(const char *)f.bytes.p,
						 (size_t)(f.bytes.end - f.bytes.p)};
		} else if (f.number == 4) {
			partial = f.value != 0;
		} else if (f.number == 5 && f.bytes.p) {
			last = partial_last(f.bytes);
		}
	}
	*whole = !partial || last;
	return have_time;
}

ssize_t log_record_parse(char *p, size_t n, struct log_entry *ret)
{
	uint32_t len;
	bool whole;

	if (n < 4)
		return 0;
	len = log_be32(p);
	if (len == 0 || len > LOG_RECORD_MAX)
		return -1;
	if (n < (size_t)len + 8)
		return 0;
	if (log_be32(p + 4 + len) != len ||
	    !parse_entry((struct scan){(unsigned char *)p + 4, (unsigned char *)p + 4 + len}, ret,
			 &whole))
		return -1;
	if (!whole)
		return (ssize_t)len + 8;

	/* Room for the newline: over the length in front, whose bytes are used up. */
	memmove(p, ret->text.p, ret->text.n);
	p[ret->text.n] = '\n';
	ret->text = (struct str){p, ret->text.n + 1};
	return (ssize_t)len + 8;
}
