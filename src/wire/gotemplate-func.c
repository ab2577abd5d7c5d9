/* SPDX-License-Identifier: Apache-2.0 */
/* Go templates: values as text, and the functions. */
#include "wire/gotemplate-priv.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct gt_value gt_from_json(const struct json *j)
{
	switch (json_kind_of(j)) {
	case JSON_BOOL:
		return (struct gt_value){.kind = GT_BOOL, .b = json_bool(j)};
	case JSON_INT:
		return (struct gt_value){.kind = GT_INT, .i = json_i64(j)};
	case JSON_FLOAT:
		return (struct gt_value){.kind = GT_FLOAT, .f = json_double(j)};
	case JSON_STRING:
		return (struct gt_value){.kind = GT_STRING, .s = str_of(json_str(j))};
	case JSON_ARRAY:
	case JSON_OBJECT:
		return (struct gt_value){.kind = GT_JSON, .j = j};
	case JSON_NULL:
		break;
	}
	return (struct gt_value){.kind = GT_NIL};
}

bool gt_truth(const struct gt_value *v)
{
	switch (v->kind) {
	case GT_NIL:
		return false;
	case GT_BOOL:
		return v->b;
	case GT_INT:
		return v->i != 0;
	case GT_FLOAT:
		return v->f != 0;
	case GT_STRING:
		return v->s.n != 0;
	case GT_JSON:
		return json_len(v->j) != 0;
	}
	return false;
}

struct gt_value gt_text(struct gt_run *r, const char *p, size_t n)
{
	return (struct gt_value){.kind = GT_STRING, .s = {arena_strndup(r->arena, p, n), n}};
}

static struct gt_value from_buf(struct gt_run *r, const struct buf *b)
{
	return gt_text(r, buf_text(b), b->n);
}

struct member {
	const char *key;
	struct json *value;
};
struct members {
	struct member *v;
	size_t n;
};

static void collect(const char *key, struct json *value, void *ud)
{
	struct members *m = ud;

	m->v[m->n++] = (struct member){key, value};
}

static int by_key(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* As fmt.Print: lists [a b], maps map[k:v], sorted by key. */
void gt_print(const struct gt_value *v, struct buf *out)
{
	switch (v->kind) {
	case GT_NIL:
		buf_adds(out, v->null_text ? v->null_text : "<no value>");
		break;
	case GT_BOOL:
		buf_adds(out, v->b ? "true" : "false");
		break;
	case GT_INT:
		buf_addf(out, "%" PRId64, v->i);
		break;
	case GT_FLOAT: {
		char text[64];
		snprintf(text, sizeof text, "%.17g", v->f);
		for (int precision = 1; precision < 17; precision++) {
			char shorter[64];
			snprintf(shorter, sizeof shorter, "%.*g", precision, v->f);
			if (strtod(shorter, NULL) == v->f) {
				memcpy(text, shorter, sizeof text);
				break;
			}
		}
		buf_adds(out, text);
		break;
	}
	case GT_STRING:
		buf_add(out, v->s.p, v->s.n);
		break;
	case GT_JSON:
		if (json_kind_of(v->j) == JSON_ARRAY) {
			buf_addc(out, '[');
			for (size_t i = 0; i < json_len(v->j); i++) {
				struct gt_value item = gt_from_json(json_at(v->j, i));
				item.null_text = "<nil>";
				if (i)
					buf_addc(out, ' ');
				gt_print(&item, out);
			}
			buf_addc(out, ']');
			break;
		}
		struct members m = {.v = xcalloc(json_len(v->j) + 1, sizeof *m.v)};
		json_each(v->j, collect, &m);
		qsort(m.v, m.n, sizeof *m.v, by_key);
		buf_adds(out, "map[");
		for (size_t i = 0; i < m.n; i++) {
			struct gt_value item = gt_from_json(m.v[i].value);
			item.null_text = "<nil>";
			buf_addf(out, "%s%s:", i ? " " : "", m.v[i].key);
			gt_print(&item, out);
		}
		buf_addc(out, ']');
		free(m.v);
		break;
	}
}

static void print_args(const struct gt_value *args, size_t n, bool line, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bool blank = line ||
			     (args[i].kind != GT_STRING && i && args[i - 1].kind != GT_STRING);
		struct gt_value v = args[i];
		if (v.kind == GT_NIL)
			v.null_text = "<nil>";
		if (i && blank)
			buf_addc(out, ' ');
		gt_print(&v, out);
	}
	if (line)
		buf_addc(out, '\n');
}

static void quoted(const struct gt_value *v, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(out);

	gt_print(v, &text);
	jw_strn(&w, buf_text(&text), text.n);
}

/* One verb; flags and width as C has them, checked by hand so that no format reaches printf. */
static void one_verb(char verb, const char *flags, int width, int precision,
		     const struct gt_value *v, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	double f = v->kind == GT_INT ? (double)v->i : v->f;

	if (verb == 'd' && v->kind == GT_INT)
		buf_addf(&text, strchr(flags, '+') ? "%+" PRId64 : "%" PRId64, v->i);
	else if (verb == 'x' && v->kind == GT_INT)
		buf_addf(&text, "%" PRIx64, (uint64_t)v->i);
	else if (verb == 'o' && v->kind == GT_INT)
		buf_addf(&text, "%" PRIo64, (uint64_t)v->i);
	else if ((verb == 'f' || verb == 'g' || verb == 'e') && v->kind == GT_FLOAT)
		buf_addf(&text,
			 verb == 'f'   ? "%.*f"
			 : verb == 'e' ? "%.*e"
				       : "%.*g",
			 precision < 0 ? 6 : precision, f);
	else if (verb == 'q')
		quoted(v, &text);
	else if (verb == 's' || verb == 'v' || (verb == 't' && v->kind == GT_BOOL))
		gt_print(v, &text);
	else {
		buf_addf(&text, "%%!%c(", verb);
		gt_print(v, &text);
		buf_addc(&text, ')');
	}
	if (precision >= 0 && (verb == 's') && text.n > (size_t)precision) {
		text.n = (size_t)precision;
		text.p[text.n] = 0;
	}
	bool left = strchr(flags, '-') != NULL;
	bool zero = strchr(flags, '0') != NULL && !left;
	for (size_t i = text.n; !left && (size_t)width > i; i++)
		buf_addc(out, zero ? '0' : ' ');
	buf_add(out, buf_text(&text), text.n);
	for (size_t i = text.n; left && (size_t)width > i; i++)
		buf_addc(out, ' ');
}

static int take_int(const char **s, const char *end, int missing)
{
	int v = 0;

	if (*s >= end || !isdigit((unsigned char)**s))
		return missing;
	for (; *s < end && isdigit((unsigned char)**s); (*s)++)
		v = v < 10000 ? v * 10 + (**s - '0') : v;
	return v;
}

static int do_printf(struct gt_run *r, const struct gt_value *args, size_t n, struct gt_value *ret,
		     struct err *e)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 24);
	size_t next = 1;

	if (!n || args[0].kind != GT_STRING)
		return err_set(e, ERR_INVALID, "wrong type for value; expected string");
	const char *s = args[0].s.p, *end = s + args[0].s.n;
	while (s < end) {
		char flags[8] = "";
		size_t nflags = 0;
		if (*s != '%') {
			buf_addc(&out, *s++);
			continue;
		}
		for (s++; s < end && *s && strchr("+-# 0", *s); s++)
			if (nflags < sizeof flags - 1)
				flags[nflags++] = *s;
		int width = take_int(&s, end, 0), precision = -1;
		if (s < end && *s == '.') {
			s++;
			precision = take_int(&s, end, 0);
		}
		if (s >= end) {
			buf_adds(&out, "%!(NOVERB)");
			break;
		}
		char verb = *s++;
		if (verb == '%')
			buf_addc(&out, '%');
		else if (next >= n)
			buf_addf(&out, "%%!%c(MISSING)", verb);
		else
			one_verb(verb, flags, width, precision, &args[next++], &out);
	}
	if (next < n) {
		buf_adds(&out, "%!(EXTRA ");
		for (; next < n; next++) {
			buf_adds(&out, args[next].kind == GT_STRING ? "string=" : "int=");
			gt_print(&args[next], &out);
			buf_adds(&out, next + 1 < n ? ", " : "");
		}
		buf_addc(&out, ')');
	}
	*ret = from_buf(r, &out);
	return 0;
}

static void to_json(struct gt_run *r, const struct gt_value *v, struct buf *out)
{
	struct jw w = JW_INIT(out);

	switch (v->kind) {
	case GT_NIL:
		jw_null(&w);
		break;
	case GT_BOOL:
		jw_bool(&w, v->b);
		break;
	case GT_INT:
		jw_i64(&w, v->i);
		break;
	case GT_FLOAT:
		jw_double(&w, v->f);
		break;
	case GT_STRING:
		jw_strn(&w, v->s.p, v->s.n);
		break;
	case GT_JSON:
		json_dump(v->j, out);
		break;
	}
	if (!r->o->html_json)
		return;
	AUTO_BUF struct buf plain = *out;
	*out = BUF_INIT(plain.max);
	for (size_t i = 0; i < plain.n; i++) {
		if (strchr("<>&", plain.p[i]) && plain.p[i])
			buf_addf(out, "\\u%04x", (unsigned)plain.p[i]);
		else
			buf_addc(out, plain.p[i]);
	}
}

/* A list made by a function: parsed back into a tree that lives as long as the run. */
static int keep_tree(struct gt_run *r, const struct buf *text, struct gt_value *ret, struct err *e)
{
	struct json *j = NULL;

	if (r->nroots == ARRAY_SIZE(r->roots))
		return err_set(e, ERR_INVALID, "too many lists");
	if (json_parse(buf_text(text), text->n, &j, e) < 0)
		return -1;
	r->roots[r->nroots++] = j;
	*ret = (struct gt_value){.kind = GT_JSON, .j = j};
	return 0;
}

static int do_split(struct gt_run *r, const struct gt_value *args, struct gt_value *ret,
		    struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 24);
	struct jw w = JW_INIT(&text);
	struct str s = args[0].s, sep = args[1].s;

	jw_arr(&w);
	while (s.p) {
		const char *at = sep.n && s.n ? memmem(s.p, s.n, sep.p, sep.n) : NULL;
		size_t n = at ? (size_t)(at - s.p) : sep.n ? s.n : MIN(s.n, (size_t)1);
		if (sep.n || n)
			jw_strn(&w, s.p, n);
		if (!at && (sep.n || s.n <= 1))
			break;
		s.p += n + (at ? sep.n : 0);
		s.n -= n + (at ? sep.n : 0);
	}
	jw_arr_end(&w);
	return keep_tree(r, &text, ret, e);
}

static int do_join(struct gt_run *r, const struct gt_value *args, struct gt_value *ret)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 24);

	for (size_t i = 0; args[0].kind == GT_JSON && i < json_len(args[0].j); i++) {
		struct gt_value item = gt_from_json(json_at(args[0].j, i));
		if (i)
			buf_add(&out, args[1].s.p, args[1].s.n);
		gt_print(&item, &out);
	}
	*ret = from_buf(r, &out);
	return 0;
}

static int do_index(const struct gt_value *args, size_t n, struct gt_value *ret, struct err *e)
{
	struct gt_value v = args[0];

	for (size_t i = 1; i < n; i++) {
		if (v.kind == GT_NIL)
			return err_set(e, ERR_INVALID, "error calling index: index of untyped nil");
		if (v.kind == GT_JSON && json_kind_of(v.j) == JSON_OBJECT) {
			if (args[i].kind != GT_STRING)
				return err_set(e, ERR_INVALID,
					       "error calling index: value has type int; should be "
					       "string");
			AUTO_FREE char *key = xstrndup(args[i].s.p, args[i].s.n);
			struct json *child = json_get(v.j, key);
			/* a missing key of a map of texts is the empty text */
			struct members m = {.v = xcalloc(json_len(v.j) + 1, sizeof *m.v)};
			json_each(v.j, collect, &m);
			bool texts = !m.n || json_kind_of(m.v[0].value) == JSON_STRING;
			free(m.v);
			v = child || !texts ? gt_from_json(child)
					    : (struct gt_value){.kind = GT_STRING, .s = {"", 0}};
		} else if (v.kind == GT_JSON) {
			if (args[i].kind != GT_INT)
				return err_set(e, ERR_INVALID,
					       "error calling index: cannot index slice/array with "
					       "type string");
			if (args[i].i < 0 || (uint64_t)args[i].i >= json_len(v.j))
				return err_set(e, ERR_INVALID,
					       "error calling index: index out of range: %" PRId64,
					       args[i].i);
			v = gt_from_json(json_at(v.j, (size_t)args[i].i));
		} else if (v.kind == GT_STRING && args[i].kind == GT_INT) {
			if (args[i].i < 0 || (uint64_t)args[i].i >= v.s.n)
				return err_set(e, ERR_INVALID,
					       "error calling index: index out of range: %" PRId64,
					       args[i].i);
			v = (struct gt_value){.kind = GT_INT, .i = (unsigned char)v.s.p[args[i].i]};
		} else {
			return err_set(e, ERR_INVALID,
				       "error calling index: can't index item of type %s",
				       v.kind == GT_STRING ? "string" : "int");
		}
	}
	*ret = v;
	return 0;
}

static int do_slice(struct gt_run *r, const struct gt_value *args, size_t n, struct gt_value *ret,
		    struct err *e)
{
	bool text = args[0].kind == GT_STRING;
	int64_t len = text ? (int64_t)args[0].s.n : (int64_t)json_len(args[0].j);
	int64_t from = n > 1 ? args[1].i : 0, to = n > 2 ? args[2].i : len;

	if (from < 0 || to > len || from > to)
		return err_set(e, ERR_INVALID, "error calling slice: index out of range: %" PRId64,
			       to > len ? to : from);
	if (text) {
		*ret = gt_text(r, args[0].s.p + from, (size_t)(to - from));
		return 0;
	}
	AUTO_BUF struct buf out = BUF_INIT(1U << 24);
	buf_addc(&out, '[');
	for (int64_t i = from; i < to; i++) {
		if (i > from)
			buf_addc(&out, ',');
		json_dump(json_at(args[0].j, (size_t)i), &out);
	}
	buf_addc(&out, ']');
	return keep_tree(r, &out, ret, e);
}

static int compare(const struct gt_value *a, const struct gt_value *b, bool order, int *ret,
		   struct err *e)
{
	bool numbers = (a->kind == GT_INT || a->kind == GT_FLOAT) &&
		       (b->kind == GT_INT || b->kind == GT_FLOAT);

	if (numbers && a->kind == b->kind && a->kind == GT_INT) {
		*ret = (a->i > b->i) - (a->i < b->i);
	} else if (numbers) {
		double x = a->kind == GT_INT ? (double)a->i : a->f;
		double y = b->kind == GT_INT ? (double)b->i : b->f;
		*ret = (x > y) - (x < y);
	} else if (a->kind == GT_STRING && b->kind == GT_STRING) {
		int c = memcmp(a->s.p, b->s.p, MIN(a->s.n, b->s.n));
		*ret = c ? c : (a->s.n > b->s.n) - (a->s.n < b->s.n);
	} else if (!order && a->kind == GT_BOOL && b->kind == GT_BOOL) {
		*ret = a->b != b->b;
	} else if (!order && (a->kind == GT_NIL || b->kind == GT_NIL)) {
		*ret = a->kind != b->kind;
	} else {
		return err_set(e, ERR_INVALID,
			       order && a->kind == b->kind ? "invalid type for comparison"
							   : "incompatible types for comparison");
	}
	return 0;
}

static int do_compare(const char *name, const struct gt_value *args, size_t n, struct gt_value *ret,
		      struct err *e)
{
	bool eq = !strcmp(name, "eq"), ne = !strcmp(name, "ne");
	int c = 0;

	*ret = (struct gt_value){.kind = GT_BOOL};
	for (size_t i = 1; i < n; i++) {
		if (compare(&args[0], &args[i], !eq && !ne, &c, e) < 0)
			return err_wrap(e, "error calling %s", name);
		bool yes = eq			 ? c == 0
			   : ne			 ? c != 0
			   : !strcmp(name, "lt") ? c < 0
			   : !strcmp(name, "le") ? c <= 0
			   : !strcmp(name, "gt") ? c > 0
						 : c >= 0;
		if (yes) {
			ret->b = true;
			break;
		}
	}
	return 0;
}

static struct gt_value do_case(struct gt_run *r, const char *name, struct str s)
{
	struct gt_value v = gt_text(r, s.p, s.n);
	char *p = arena_strndup(r->arena, s.p, s.n);
	bool start = true;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)p[i];
		if (name[0] == 'l')
			p[i] = (char)tolower(c);
		else if (name[0] == 'u' || start)
			p[i] = (char)toupper(c);
		start = !isalnum(c) && c != '_' && c < 0x80 && c != '\'';
	}
	v.s.p = p;
	return v;
}

static struct gt_value do_pad(struct gt_run *r, struct str s, int64_t before, int64_t after)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);

	if (s.n) {
		for (int64_t i = 0; i < before && i < 4096; i++)
			buf_addc(&out, ' ');
		buf_add(&out, s.p, s.n);
		for (int64_t i = 0; i < after && i < 4096; i++)
			buf_addc(&out, ' ');
	}
	return from_buf(r, &out);
}

/* At most n code points. */
static struct gt_value do_truncate(struct gt_run *r, struct str s, int64_t n)
{
	size_t i = 0;

	for (int64_t count = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80 && count++ == n)
			break;
	return gt_text(r, s.p, i);
}

/* Names, how many arguments, and which kinds they must be: s text, i integer, * anything. */
static const struct {
	const char *name;
	int min, max;
	const char *kinds;
} functions[] = {
	{"and", 1, -1, "*"},	 {"or", 1, -1, "*"},	   {"not", 1, 1, "*"},
	{"eq", 2, -1, "*"},	 {"ne", 2, 2, "*"},	   {"lt", 2, 2, "*"},
	{"le", 2, 2, "*"},	 {"gt", 2, 2, "*"},	   {"ge", 2, 2, "*"},
	{"len", 1, 1, "*"},	 {"index", 1, -1, "*"},	   {"slice", 1, 3, "*ii"},
	{"print", 0, -1, "*"},	 {"println", 0, -1, "*"},  {"printf", 1, -1, "*"},
	{"json", 1, 1, "*"},	 {"split", 2, 2, "ss"},	   {"join", 2, 2, "*s"},
	{"title", 1, 1, "s"},	 {"lower", 1, 1, "s"},	   {"upper", 1, 1, "s"},
	{"pad", 3, 3, "sii"},	 {"truncate", 2, 2, "si"}, {"html", 1, 1, "*"},
	{"urlquery", 1, 1, "*"},
};

bool gt_function_exists(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!strcmp(functions[i].name, name))
			return true;
	return false;
}

static int check_args(const char *name, const struct gt_value *args, size_t n, struct err *e)
{
	size_t f = 0;

	while (strcmp(functions[f].name, name))
		f++;
	if ((int)n < functions[f].min || (functions[f].max >= 0 && (int)n > functions[f].max))
		return err_set(e, ERR_INVALID, "wrong number of args for %s: want %s%d got %zu",
			       name, functions[f].max < 0 ? "at least " : "", functions[f].min, n);
	const char *kinds = functions[f].kinds;
	for (size_t i = 0; i < n && kinds[1] && kinds[i]; i++) {
		if ((kinds[i] == 's' && args[i].kind != GT_STRING) ||
		    (kinds[i] == 'i' && args[i].kind != GT_INT))
			return err_set(e, ERR_INVALID, "wrong type for value; expected %s",
				       kinds[i] == 's' ? "string" : "int");
	}
	if (kinds[0] == 's' && args[0].kind != GT_STRING)
		return err_set(e, ERR_INVALID, "wrong type for value; expected string");
	return 0;
}

static int do_len(const struct gt_value *v, struct gt_value *ret, struct err *e)
{
	*ret = (struct gt_value){.kind = GT_INT};
	if (v->kind == GT_STRING)
		ret->i = (int64_t)v->s.n;
	else if (v->kind == GT_JSON)
		ret->i = (int64_t)json_len(v->j);
	else if (v->kind != GT_NIL || !v->null_text)
		return err_set(e, ERR_INVALID, "error calling len: len of %s",
			       v->kind == GT_NIL ? "nil pointer" : "type int");
	return 0;
}

static struct gt_value do_escape(struct gt_run *r, const char *name, const struct gt_value *v)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 22);
	AUTO_BUF struct buf out = BUF_INIT(1U << 24);

	gt_print(v, &text);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (name[0] == 'h') {
			static const char from[] = "<>&'\"";
			static const char *const to[] = {"&lt;", "&gt;", "&amp;", "&#39;", "&#34;"};
			const char *at = strchr(from, c);
			if (at && c)
				buf_adds(&out, to[at - from]);
			else
				buf_addc(&out, (char)c);
		} else if (isalnum(c) || (c && strchr("-_.~", c))) {
			buf_addc(&out, (char)c);
		} else if (c == ' ') {
			buf_addc(&out, '+');
		} else {
			buf_addf(&out, "%%%02X", c);
		}
	}
	return from_buf(r, &out);
}

int gt_call(struct gt_run *r, const char *name, const struct gt_value *args, size_t n,
	    struct gt_value *ret, struct err *e)
{
	AUTO_BUF struct buf out = BUF_INIT(256U << 20);

	if (check_args(name, args, n, e) < 0)
		return -1;
	if (!strcmp(name, "and") || !strcmp(name, "or")) {
		*ret = args[n - 1];
	} else if (!strcmp(name, "not")) {
		*ret = (struct gt_value){.kind = GT_BOOL, .b = !gt_truth(&args[0])};
	} else if (strlen(name) == 2) {
		return do_compare(name, args, n, ret, e);
	} else if (!strcmp(name, "len")) {
		return do_len(&args[0], ret, e);
	} else if (!strcmp(name, "index")) {
		return do_index(args, n, ret, e);
	} else if (!strcmp(name, "slice")) {
		if (args[0].kind != GT_STRING &&
		    (args[0].kind != GT_JSON || json_kind_of(args[0].j) != JSON_ARRAY))
			return err_set(e, ERR_INVALID, "error calling slice: can't slice item");
		return do_slice(r, args, n, ret, e);
	} else if (!strcmp(name, "print") || !strcmp(name, "println")) {
		print_args(args, n, name[5] != 0, &out);
		*ret = from_buf(r, &out);
	} else if (!strcmp(name, "printf")) {
		return do_printf(r, args, n, ret, e);
	} else if (!strcmp(name, "json")) {
		to_json(r, &args[0], &out);
		*ret = from_buf(r, &out);
	} else if (!strcmp(name, "split")) {
		return do_split(r, args, ret, e);
	} else if (!strcmp(name, "join")) {
		return do_join(r, args, ret);
	} else if (!strcmp(name, "pad")) {
		*ret = do_pad(r, args[0].s, args[1].i, args[2].i);
	} else if (!strcmp(name, "truncate")) {
		*ret = do_truncate(r, args[0].s, args[1].i);
	} else if (!strcmp(name, "html") || !strcmp(name, "urlquery")) {
		*ret = do_escape(r, name, &args[0]);
	} else {
		*ret = do_case(r, name, args[0].s);
	}
	return 0;
}
