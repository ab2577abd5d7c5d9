/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a json-file log. The escape loop decides how fast a container may write. */
#include "logs/logs-priv.h"

#include <string.h>

#include "base/banned.h"

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static char *put(char *o, const char *s, size_t n)
{
	memcpy(o, s, n);
	return o + n;
}

/* Bytes of the word that JSON does not take as they are: their highest bits. */
static uint64_t special(uint64_t x)
{
	const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
	uint64_t quote = x ^ ones * '"', back = x ^ ones * '\\';

	/* Below 0x20; either character (a zero byte of the difference); 0x80 and above. */
	return (((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((back - ones) & ~back) |
		x) &
	       high;
}

/* Copy what needs no escape, eight bytes at a time; how many. */
static size_t plain(char *o, const unsigned char *p, size_t n)
{
	size_t i = 0;
	uint64_t x;

	for (; i + sizeof x <= n; i += sizeof x) {
		memcpy(&x, p + i, sizeof x);
		if (special(x))
			break;
		memcpy(o + i, &x, sizeof x);
	}
	for (; i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\'; i++)
		o[i] = (char)p[i];
	return i;
}

static size_t escape_text(unsigned char c, char o[static 8])
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";
	const char *at = c ? memchr(from, c, sizeof from - 1) : NULL;

	memcpy(o, "\\u00", 4);
	o[4] = hex[c >> 4];
	o[5] = hex[c & 15];
	if (at)
		o[1] = to[at - from];
	return at ? 2 : 6;
}

/* The same byte again and again (zeros of a binary file, quotes): one store of eight bytes each, of
 * which the next one overwrites the surplus. */
static size_t escape_run(char **at, const unsigned char *p, size_t n)
{
	char text[8] = {0}, *o = *at;
	size_t len = escape_text(*p, text), i = 0;

	do {
		memcpy(o, text, sizeof text);
		o += len;
	} while (++i < n && p[i] == *p);
	*at = o;
	return i;
}

/* JSON text of n bytes at o: at most 6 * n bytes, and two more are touched; invalid UTF-8 becomes
 * U+FFFD. */
static char *escape(char *o, const unsigned char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t k = plain(o, p + i, n - i);

		o += k;
		i += k;
		if (i == n)
			break;
		if (p[i] < 0x80) {
			i += escape_run(&o, p + i, n - i);
			continue;
		}

		size_t len = utf8_len(p + i, n - i);

		o = len ? put(o, (const char *)p + i, len) : put(o, "\xef\xbf\xbd", 3);
		i += len ? len : 1;
	}
	return o;
}

size_t log_json_room(const struct log_file *f, const struct log_record *r)
{
	return r->n * 6 + (f->attrs ? strlen(f->attrs) : 0) + 144;
}

char *log_json_encode(struct log_file *f, const struct log_record *r, char *o)
{
	static const char *const tail[LOG_STREAMS] = {
		"\",\"stream\":\"stdout\"",
		"\",\"stream\":\"stderr\"",
	};

	if (f->now_ns != r->time_ns) {
		f->now_ns = r->time_ns;
		clock_format_fixed(r->time_ns, f->now);
	}
	o = put(o, "{\"log\":\"", 8);
	o = escape(o, (const unsigned char *)r->p, r->n);
	if (r->newline)
		o = put(o, "\\n", 2);
	o = put(o, tail[r->stream], strlen(tail[r->stream]));
	if (f->attrs) {
		o = put(o, ",\"attrs\":", 9);
		o = put(o, f->attrs, strlen(f->attrs));
	}
	o = put(o, ",\"time\":\"", 9);
	o = put(o, f->now, strlen(f->now));
	return put(o, "\"}\n", 3);
}
