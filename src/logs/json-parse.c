/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of a json-file log. Not a general JSON parser: an object of string members, unescaped in
 * place; anything else (torn lines, other documents) is refused. Members we do not know are skipped
 * when they are strings or objects.
 */
#include "logs/logs.h"

#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

struct scan {
	char *p, *end;
};

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static int hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'f' ? c - 'a' + 10
			: c >= 'A' && c <= 'F' ? c - 'A' + 10
					       : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *put_utf8(char *o, unsigned c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 63));
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	}
	return o;
}

/* s->p stands behind "\u"; a surrogate pair is one character, a lone surrogate U+FFFD. */
static char *unescape_u(struct scan *s, char *o)
{
	int c, low;

	if (s->end - s->p < 4)
		return NULL;
	c = hex4(s->p);
	if (c < 0)
		return NULL;
	s->p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return put_utf8(o, (unsigned)c);
	if (c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
		low = hex4(s->p + 2);
		if (low >= 0xdc00 && low <= 0xdfff) {
			s->p += 6;
			return put_utf8(o, 0x10000 + ((unsigned)(c - 0xd800) << 10) +
						   (unsigned)(low - 0xdc00));
		}
	}
	return put_utf8(o, 0xfffd);
}

/* A string, unescaped over itself (the result is never longer). */
static bool take_string(struct scan *s, struct str *ret)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *o;

	if (!take(s, '"'))
		return false;
	ret->p = o = s->p;
	while (s->p < s->end && *s->p != '"') {
		if ((unsigned char)*s->p < 0x20)
			return false;
		if (*s->p != '\\') {
			if (o != s->p)
				*o = *s->p;
			o++;
			s->p++;
			continue;
		}
		if (++s->p == s->end)
			return false;

		char c = *s->p++;

		if (c == 'u') {
			o = unescape_u(s, o);
			if (!o)
				return false;
			continue;
		}

		const char *at = memchr(from, c, sizeof from - 1);

		if (!at)
			return false;
		*o++ = to[at - from];
	}
	if (s->p == s->end)
		return false;
	s->p++;
	ret->n = (size_t)(o - ret->p);
	return true;
}

/* {"a":"b",...}: Docker's "attrs". */
static bool skip_object(struct scan *s)
{
	struct str ignored;

	if (!take(s, '{'))
		return false;
	if (take(s, '}'))
		return true;
	do {
		if (!take_string(s, &ignored) || !take(s, ':') || !take_string(s, &ignored))
			return false;
	} while (take(s, ','));
	return take(s, '}');
}

/* To the end of an object of strings, changing nothing. */
static bool object_end(struct scan *s)
{
	for (bool quoted = false; s->p < s->end; s->p++) {
		if (quoted && *s->p == '\\' && s->p + 1 < s->end)
			s->p++;
		else if (*s->p == '"')
			quoted = !quoted;
		else if (!quoted && *s->p == '}')
			return s->p++ < s->end;
	}
	return false;
}

static bool parse_time(struct str v, int64_t *ret)
{
	char text[CLOCK_TEXT_MAX];

	if (v.n >= sizeof text)
		return false;
	memcpy(text, v.p, v.n);
	text[v.n] = '\0';
	return clock_parse(text, ret) == 0;
}

bool log_line_parse(char *line, size_t n, struct log_entry *ret)
{
	struct scan s = {line, line + n};
	struct str key, value;
	bool have_log = false, have_time = false;

	*ret = (struct log_entry){.stream = LOG_STDOUT};
	if (!take(&s, '{'))
		return false;
	do {
		if (!take_string(&s, &key) || !take(&s, ':'))
			return false;
		skip_space(&s);
		if (s.p < s.end && *s.p == '{') {
			const char *from = s.p;

			/* Kept as it stands: whoever shows it parses it. */
			if (!(str_eq(key, "attrs") ? object_end(&s) : skip_object(&s)))
				return false;
			if (str_eq(key, "attrs"))
				ret->attrs = (struct str){from, (size_t)(s.p - from)};
			continue;
		}
		if (!take_string(&s, &value))
			return false;
		if (str_eq(key, "log")) {
			ret->text = value;
			have_log = true;
		} else if (str_eq(key, "stream")) {
			ret->stream = str_eq(value, "stderr") ? LOG_STDERR : LOG_STDOUT;
		} else if (str_eq(key, "time")) {
			have_time = parse_time(value, &ret->time_ns);
		}
	} while (take(&s, ','));
	if (!take(&s, '}'))
		return false;
	skip_space(&s);
	return s.p == s.end && have_log && have_time;
}
