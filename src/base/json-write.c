/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming writer: values go straight into a capped buffer; one bit per depth remembers the comma.
 */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void value_begins(struct jw *w)
{
	uint64_t bit = 1ULL << (w->depth & 63);

	if (w->comma & bit)
		buf_addc(w->out, ',');
	w->comma |= bit;
}

static void open_level(struct jw *w, char c)
{
	value_begins(w);
	buf_addc(w->out, c);
	w->depth++;
	ASSERT(w->depth < 64);
	w->comma &= ~(1ULL << w->depth);
}

static void close_level(struct jw *w, char c)
{
	ASSERT(w->depth > 0);
	w->depth--;
	buf_addc(w->out, c);
}

void jw_obj(struct jw *w)
{
	open_level(w, '{');
}

void jw_obj_end(struct jw *w)
{
	close_level(w, '}');
}

void jw_arr(struct jw *w)
{
	open_level(w, '[');
}

void jw_arr_end(struct jw *w)
{
	close_level(w, ']');
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	unsigned char c = p[0];
	size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
	    (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void add_special(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		buf_adds(out, "\\\"");
		break;
	case '\\':
		buf_adds(out, "\\\\");
		break;
	case '\n':
		buf_adds(out, "\\n");
		break;
	case '\r':
		buf_adds(out, "\\r");
		break;
	case '\t':
		buf_adds(out, "\\t");
		break;
	default:
		buf_addf(out, "\\u%04x", c);
		break;
	}
}

static bool goes_as_it_is(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void add_quoted(struct buf *out, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t plain = 0; /* bytes before i not yet written */

	buf_addc(out, '"');
	for (size_t i = 0; i < n;) {
		if (goes_as_it_is(p[i])) {
			i++;
			continue;
		}
		size_t len = p[i] < 0x80 ? 0 : utf8_length(p + i, n - i);
		if (len) {
			i += len;
			continue;
		}
		buf_add(out, s + plain, i - plain);
		if (p[i] < 0x80)
			add_special(out, p[i]);
		else
			buf_adds(out, "\xef\xbf\xbd");
		plain = ++i;
	}
	buf_add(out, s + plain, n - plain);
	buf_addc(out, '"');
}

void jw_key(struct jw *w, const char *key)
{
	value_begins(w);
	add_quoted(w->out, key, strlen(key));
	buf_addc(w->out, ':');
	w->comma &= ~(1ULL << (w->depth & 63)); /* the value that follows needs no comma */
}

void jw_strn(struct jw *w, const char *s, size_t n)
{
	value_begins(w);
	add_quoted(w->out, s, n);
}

void jw_str(struct jw *w, const char *s)
{
	if (s)
		jw_strn(w, s, strlen(s));
	else
		jw_null(w);
}

void jw_i64(struct jw *w, int64_t v)
{
	value_begins(w);
	buf_addf(w->out, "%" PRId64, v);
}

void jw_u64(struct jw *w, uint64_t v)
{
	value_begins(w);
	buf_addf(w->out, "%" PRIu64, v);
}

void jw_double(struct jw *w, double v)
{
	char text[40];

	value_begins(w);
	if (!isfinite(v))
		v = 0;
	/* shortest text that reads back as the same number */
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_adds(w->out, text);
}

void jw_bool(struct jw *w, bool v)
{
	value_begins(w);
	buf_adds(w->out, v ? "true" : "false");
}

void jw_null(struct jw *w)
{
	value_begins(w);
	buf_adds(w->out, "null");
}

void jw_raw(struct jw *w, const char *json)
{
	value_begins(w);
	buf_adds(w->out, json);
}

void jw_kv_str(struct jw *w, const char *key, const char *s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void jw_kv_i64(struct jw *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_i64(w, v);
}

void jw_kv_u64(struct jw *w, const char *key, uint64_t v)
{
	jw_key(w, key);
	jw_u64(w, v);
}

void jw_kv_bool(struct jw *w, const char *key, bool v)
{
	jw_key(w, key);
	jw_bool(w, v);
}

void jw_kv_strs(struct jw *w, const char *key, const struct strs *s)
{
	jw_key(w, key);
	jw_arr(w);
	for (size_t i = 0; i < s->n; i++)
		jw_str(w, s->v[i]);
	jw_arr_end(w);
}

void jw_kv_map(struct jw *w, const char *key, const struct strmap *m)
{
	jw_key(w, key);
	jw_obj(w);
	for (size_t i = 0; i < m->n; i++)
		jw_kv_str(w, m->v[i].k, m->v[i].v);
	jw_obj_end(w);
}

void json_indent(const char *json, size_t n, const char *indent, struct buf *out)
{
	int depth = 0;
	bool text = false, opened = false;

	for (size_t i = 0; i < n; i++) {
		char ch = json[i];
		if (text) {
			buf_addc(out, ch);
			if (ch == '\\' && i + 1 < n)
				buf_addc(out, json[++i]);
			else if (ch == '"')
				text = false;
			continue;
		}
		if (ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r')
			continue;
		bool closes = ch == '}' || ch == ']';
		depth -= closes;
		if ((opened && !closes) || (closes && !opened)) {
			buf_addc(out, '\n');
			for (int k = 0; k < depth; k++)
				buf_adds(out, indent);
		}
		opened = false;
		buf_addc(out, ch);
		if (ch == '{' || ch == '[') {
			depth++;
			opened = true;
		} else if (ch == ',') {
			buf_addc(out, '\n');
			for (int k = 0; k < depth; k++)
				buf_adds(out, indent);
		} else if (ch == ':') {
			buf_addc(out, ' ');
		} else if (ch == '"') {
			text = true;
		}
	}
}
