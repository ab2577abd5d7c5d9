/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See toml.h. One pass over the bytes; the first fault ends it. The rules about defining a table
 * twice are kept as flags on its node: who made it decides who may add to it.
 */
#include "wire/toml.h"

#include "base/buf.h"
#include "base/num.h"

#include <string.h>

#include "base/banned.h"

enum {
	BY_HEADER = 1, /* [table] */
	BY_DOTS = 2,   /* a.b = 1 made a */
	INLINE = 4,    /* {..} and [..]: nothing can be added */
	OF_TABLES = 8, /* [[array]] */
};

struct parser {
	const char *p, *end, *start_of_line, *named; /* named: the last key */
	unsigned line, depth, nodes;
	struct arena *arena;
	struct err *e;
};

static int fail(struct parser *t, const char *what)
{
	return err_set(t->e, ERR_INVALID, "%u:%u: %s", t->line,
		       (unsigned)(t->p - t->start_of_line) + 1, what);
}

static bool at(const struct parser *t, char c)
{
	return t->p < t->end && *t->p == c;
}

static bool at_text(const struct parser *t, const char *s)
{
	size_t n = strlen(s);
	return (size_t)(t->end - t->p) >= n && !memcmp(t->p, s, n);
}

static void newline(struct parser *t)
{
	t->line++;
	t->start_of_line = t->p;
}

static void skip_blanks(struct parser *t)
{
	while (at(t, ' ') || at(t, '\t'))
		t->p++;
}

/* A comment up to the end of its line; control characters are refused. */
static int skip_comment(struct parser *t)
{
	if (!at(t, '#'))
		return 0;
	for (; t->p < t->end && *t->p != '\n'; t->p++) {
		unsigned char c = (unsigned char)*t->p;
		if ((c < ' ' && c != '\t' && c != '\r') || c == 127)
			return fail(t, "control character in a comment");
	}
	return 0;
}

static bool take_newline(struct parser *t)
{
	if (at_text(t, "\r\n"))
		t->p++;
	else if (!at(t, '\n'))
		return false;
	t->p++;
	newline(t);
	return true;
}

/* Blanks, comments and line ends, as allowed inside arrays and between statements. */
static int skip_lines(struct parser *t)
{
	do {
		skip_blanks(t);
		if (skip_comment(t) < 0)
			return -1;
	} while (take_newline(t));
	return 0;
}

static struct toml *add(struct parser *t, struct toml *parent, enum toml_kind kind, const char *key)
{
	if (t->nodes++ >= TOML_NODES_MAX) {
		fail(t, "too many values");
		return NULL;
	}
	struct toml *n = arena_alloc(t->arena, sizeof(*n));
	n->kind = kind;
	n->key = key;
	n->line = t->line;
	n->column = (unsigned)((key ? t->named : t->p) - t->start_of_line) + 1;
	if (parent && parent->last)
		parent->last->next = n;
	else if (parent)
		parent->first = n;
	if (parent)
		parent->last = n;
	return n;
}

/* ---- strings ---- */

static void add_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \uXXXX or \UXXXXXXXX, p at the letter. */
static int take_unicode(struct parser *t, struct buf *out)
{
	unsigned digits = *t->p++ == 'u' ? 4 : 8;
	uint32_t c = 0;
	for (unsigned i = 0; i < digits; i++, t->p++) {
		int v = t->p < t->end ? hex_value(*t->p) : -1;
		if (v < 0)
			return fail(t, "a unicode escape needs 4 or 8 hexadecimal digits");
		c = c << 4 | (uint32_t)v;
	}
	if (!c || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return fail(t, "this unicode escape is no character");
	add_utf8(out, c);
	return 0;
}

static int take_escape(struct parser *t, bool multi, struct buf *out)
{
	static const char from[] = "btnfre\"\\", to[] = "\b\t\n\f\r\033\"\\";
	t->p++;
	if (t->p == t->end)
		return fail(t, "string without an end");
	if (*t->p == 'u' || *t->p == 'U')
		return take_unicode(t, out);
	const char *found = strchr(from, *t->p);
	if (*t->p && found) {
		buf_addc(out, to[found - from]);
		t->p++;
		return 0;
	}
	/* A backslash at the end of a line swallows all white space up to the next text. */
	if (multi) {
		skip_blanks(t);
		if (take_newline(t)) {
			do
				skip_blanks(t);
			while (take_newline(t));
			return 0;
		}
	}
	return fail(t, "unknown escape");
}

/* Any of the four kinds of string, p at its first quote. */
static int take_string(struct parser *t, bool multi_allowed, const char **ret)
{
	AUTO_BUF struct buf out = BUF_INIT(TOML_SIZE_MAX);
	char quote = *t->p, three[4] = {quote, quote, quote};
	bool multi = multi_allowed && at_text(t, three);
	t->p += multi ? 3 : 1;
	if (multi)
		take_newline(t);
	for (;;) {
		if (t->p == t->end || (!multi && (*t->p == '\n' || *t->p == '\r')))
			return fail(t, "string without an end");
		unsigned char c = (unsigned char)*t->p;
		if (multi ? at_text(t, three) : c == (unsigned char)quote) {
			t->p += multi ? 3 : 1;
			/* Up to two quotes may stand before the closing three. */
			for (int i = 0; multi && i < 2 && at(t, quote); i++, t->p++)
				buf_addc(&out, quote);
			*ret = arena_strdup(t->arena, buf_text(&out));
			return 0;
		}
		if (c == '\\' && quote == '"') {
			if (take_escape(t, multi, &out) < 0)
				return -1;
		} else if (multi && take_newline(t)) {
			buf_addc(&out, '\n');
		} else if ((c < ' ' && c != '\t') || c == 127) {
			return fail(t, "control character in a string");
		} else {
			buf_addc(&out, (char)c);
			t->p++;
		}
	}
}

/* ---- keys ---- */

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static int take_key(struct parser *t, const char **ret)
{
	t->named = t->p;

	if (at(t, '"') || at(t, '\''))
		return take_string(t, false, ret);
	const char *start = t->p;
	while (t->p < t->end && is_bare(*t->p))
		t->p++;
	if (t->p == start)
		return fail(t, "a key is missing here");
	*ret = arena_strndup(t->arena, start, (size_t)(t->p - start));
	return 0;
}

/* One more part of a dotted key behind this one? */
static bool take_dot(struct parser *t)
{
	skip_blanks(t);
	if (!at(t, '.'))
		return false;
	t->p++;
	skip_blanks(t);
	return true;
}

static struct toml *member(const struct toml *table, const char *key)
{
	for (struct toml *m = table->first; m; m = m->next)
		if (!strcmp(m->key, key))
			return m;
	return NULL;
}

/* ---- values ---- */

static int take_value(struct parser *t, struct toml *n);

static int take_array(struct parser *t, struct toml *n)
{
	n->kind = TOML_ARRAY;
	n->flags = INLINE;
	t->p++;
	for (;;) {
		if (skip_lines(t) < 0)
			return -1;
		if (at(t, ']'))
			break;
		struct toml *item = add(t, n, TOML_OTHER, NULL);
		if (!item || take_value(t, item) < 0 || skip_lines(t) < 0)
			return -1;
		if (at(t, ','))
			t->p++;
		else if (!at(t, ']'))
			return fail(t, "an array goes on with , or ends with ]");
	}
	t->p++;
	return 0;
}

static int take_pair(struct parser *t, struct toml *table);

static int take_inline_table(struct parser *t, struct toml *n)
{
	n->kind = TOML_TABLE;
	t->p++;
	skip_blanks(t);
	while (!at(t, '}')) {
		if (take_pair(t, n) < 0)
			return -1;
		skip_blanks(t);
		if (at(t, '}'))
			break;
		if (!at(t, ','))
			return fail(t, "an inline table goes on with , or ends with }");
		t->p++;
		skip_blanks(t);
		if (at(t, '}'))
			return fail(t, "a key is missing here");
	}
	n->flags = INLINE;
	t->p++;
	return 0;
}

/* Digits of a base with single underscores between them, without the underscores. */
static bool clean_number(const char *p, size_t n, char *ret, size_t size)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '_') {
			if (!i || i + 1 == n || hex_value(p[i - 1]) < 0 || hex_value(p[i + 1]) < 0)
				return false;
			continue;
		}
		if (k + 1 >= size)
			return false;
		ret[k++] = p[i];
	}
	ret[k] = '\0';
	return true;
}

static bool based_number(const char *s, int64_t *ret)
{
	int base = s[1] == 'x' ? 16 : s[1] == 'o' ? 8 : 2;
	uint64_t v = 0;
	if (!s[2])
		return false;
	for (s += 2; *s; s++) {
		int d = hex_value(*s);
		if (d < 0 || d >= base || v > (uint64_t)(INT64_MAX - d) / (uint64_t)base)
			return false;
		v = v * (uint64_t)base + (uint64_t)d;
	}
	*ret = (int64_t)v;
	return true;
}

/* Something that looks like a float, a date or a time; it is kept as text. */
static bool other_scalar(const char *s)
{
	const char *p = *s == '+' || *s == '-' ? s + 1 : s;
	return !strcmp(p, "inf") || !strcmp(p, "nan") ||
	       (*p >= '0' && *p <= '9' && strpbrk(p, ".:-eE") &&
		strspn(p, "0123456789.+-:eETtZz") == strlen(p));
}

static int take_scalar(struct parser *t, struct toml *n)
{
	const char *start = t->p;
	char text[80];
	while (t->p < t->end && (is_bare(*t->p) || *t->p == '+' || *t->p == '.' || *t->p == ':'))
		t->p++;
	size_t len = (size_t)(t->p - start);
	t->p = start;
	if (!len)
		return fail(t, "a value is missing here");
	if (!clean_number(start, len, text, sizeof(text)))
		return fail(t, "this is no value; texts need quotes");
	const char *digits = text[0] == '+' || text[0] == '-' ? text + 1 : text;
	if (!strcmp(text, "true") || !strcmp(text, "false")) {
		n->kind = TOML_BOOL;
		n->b = text[0] == 't';
	} else if (text[0] == '0' && text[1] && strchr("xob", text[1])) {
		if (!based_number(text, &n->i))
			return fail(t, "this number is malformed or too large");
		n->kind = TOML_INT;
	} else if (digits[strspn(digits, "0123456789")] == '\0') {
		if ((digits[0] == '0' && digits[1]) ||
		    num_parse_i64(text[0] == '+' ? digits : text, INT64_MIN, INT64_MAX, &n->i) < 0)
			return fail(t, "this number is malformed or too large");
		n->kind = TOML_INT;
	} else if (other_scalar(text)) {
		n->kind = TOML_OTHER;
		n->text = arena_strdup(t->arena, text);
	} else {
		return fail(t, "this is no value; texts need quotes");
	}
	t->p += len;
	return 0;
}

static int take_value(struct parser *t, struct toml *n)
{
	int rc;
	if (t->p == t->end)
		return fail(t, "a value is missing here");
	if (t->depth++ >= TOML_DEPTH_MAX)
		return fail(t, "nested too deeply");
	switch (*t->p) {
	case '"':
	case '\'':
		n->kind = TOML_STRING;
		rc = take_string(t, true, &n->text);
		break;
	case '[':
		rc = take_array(t, n);
		break;
	case '{':
		rc = take_inline_table(t, n);
		break;
	default:
		rc = take_scalar(t, n);
	}
	t->depth--;
	return rc;
}

/* ---- statements ---- */

/* key = value, the key may have dots. */
static int take_pair(struct parser *t, struct toml *table)
{
	const char *key;
	unsigned depth = 0;
	if (take_key(t, &key) < 0)
		return -1;
	while (take_dot(t)) {
		struct toml *m = member(table, key);
		if (!m) {
			m = add(t, table, TOML_TABLE, key);
			if (!m)
				return -1;
			m->flags = BY_DOTS;
		} else if (m->kind != TOML_TABLE || !(m->flags & BY_DOTS)) {
			return fail(t, "this table is defined elsewhere");
		}
		if (++depth > TOML_DEPTH_MAX)
			return fail(t, "nested too deeply");
		table = m;
		if (take_key(t, &key) < 0)
			return -1;
	}
	if (member(table, key))
		return fail(t, "this key is defined twice");
	if (!at(t, '='))
		return fail(t, "= is missing after the key");
	struct toml *n = add(t, table, TOML_OTHER, key);
	if (!n)
		return -1;
	t->p++;
	skip_blanks(t);
	return take_value(t, n);
}

/* The table that a part of a header before the last one means. */
static struct toml *enter(struct parser *t, struct toml *table, const char *key)
{
	struct toml *m = member(table, key);
	if (!m)
		return add(t, table, TOML_TABLE, key);
	if (m->kind == TOML_ARRAY && (m->flags & OF_TABLES))
		return m->last;
	if (m->kind == TOML_TABLE && !(m->flags & INLINE))
		return m;
	fail(t, "this is a value already and no table");
	return NULL;
}

/* The last part of a header names the table that follows. */
static struct toml *open_table(struct parser *t, struct toml *table, const char *key, bool array)
{
	struct toml *m = member(table, key);
	if (array) {
		if (!m) {
			m = add(t, table, TOML_ARRAY, key);
			if (m)
				m->flags = OF_TABLES;
		} else if (!(m->flags & OF_TABLES)) {
			fail(t, "this is defined already and no array of tables");
			return NULL;
		}
		struct toml *item = m ? add(t, m, TOML_TABLE, NULL) : NULL;
		if (item)
			item->column = (unsigned)(t->named - t->start_of_line) + 1;
		return item;
	}
	if (!m)
		m = add(t, table, TOML_TABLE, key);
	else if (m->kind != TOML_TABLE || m->flags) {
		fail(t, "this table is defined twice");
		return NULL;
	}
	if (m)
		m->flags = BY_HEADER;
	return m;
}

static int take_header(struct parser *t, struct toml *root, struct toml **ret)
{
	struct toml *table = root;
	const char *key;
	unsigned depth = 0;
	t->p++;
	bool array = at(t, '[');
	if (array)
		t->p++;
	skip_blanks(t);
	if (take_key(t, &key) < 0)
		return -1;
	while (take_dot(t)) {
		if (++depth > TOML_DEPTH_MAX)
			return fail(t, "nested too deeply");
		table = enter(t, table, key);
		if (!table || take_key(t, &key) < 0)
			return -1;
	}
	if (!at_text(t, array ? "]]" : "]"))
		return fail(t, array ? "]] is missing here" : "] is missing here");
	*ret = open_table(t, table, key, array);
	t->p += array ? 2 : 1;
	return *ret ? 0 : -1;
}

/* Length of the valid UTF-8 in front; n when all of it is (RFC 3629: shortest forms, no
 * surrogates). */
static size_t utf8_valid(const unsigned char *p, size_t n)
{
	size_t i = 0;
	while (i < n) {
		unsigned char c = p[i];
		size_t more = c < 0x80		      ? 0
			      : c >= 0xc2 && c < 0xe0 ? 1
			      : c >= 0xe0 && c < 0xf0 ? 2
			      : c >= 0xf0 && c < 0xf5 ? 3
						      : 9;
		if (more == 9 || n - i <= more)
			return i;
		unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		for (size_t k = 1; k <= more; k++, low = 0x80, high = 0xbf)
			if (p[i + k] < low || p[i + k] > high)
				return i;
		i += more + 1;
	}
	return n;
}

static int check_bytes(struct parser *t)
{
	size_t n = (size_t)(t->end - t->p), good = utf8_valid((const unsigned char *)t->p, n);
	const char *bad = good < n ? t->p + good : NULL;
	if (!bad)
		return 0;
	for (; t->p < bad; t->p++)
		if (*t->p == '\n') {
			t->line++;
			t->start_of_line = t->p + 1;
		}
	return fail(t, "this is not UTF-8");
}

int toml_parse(const char *p, size_t n, struct arena *a, struct toml **ret, struct err *e)
{
	struct parser t = {.p = p, .end = p + n, .start_of_line = p, .line = 1, .arena = a, .e = e};
	struct toml *root, *table;
	if (n > TOML_SIZE_MAX)
		return err_set(e, ERR_LIMIT, "larger than %zu bytes", TOML_SIZE_MAX);
	if (check_bytes(&t) < 0)
		return -1;
	if (at_text(&t, "\xef\xbb\xbf"))
		t.p += 3;
	root = table = add(&t, NULL, TOML_TABLE, NULL);
	root->flags = BY_HEADER;
	for (;;) {
		if (skip_lines(&t) < 0)
			return -1;
		if (t.p == t.end)
			break;
		if ((at(&t, '[') ? take_header(&t, root, &table) : take_pair(&t, table)) < 0)
			return -1;
		skip_blanks(&t);
		if (skip_comment(&t) < 0)
			return -1;
		if (t.p < t.end && !take_newline(&t))
			return fail(&t, "the line should end here");
	}
	*ret = root;
	return 0;
}

const struct toml *toml_get(const struct toml *t, const char *key)
{
	return t && t->kind == TOML_TABLE ? member(t, key) : NULL;
}

const char *toml_str(const struct toml *t, const char *key)
{
	const struct toml *m = toml_get(t, key);
	return m && m->kind == TOML_STRING ? m->text : NULL;
}

const char *toml_kind_name(enum toml_kind kind)
{
	static const char *const names[] = {"a text",		"a number", "true or false",
					    "a number or date", "a list",   "a table"};
	return names[kind];
}
