/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables: one description per struct serves decoding and encoding. */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* Where we are in the document, for messages; lives on the stack of the recursion. */
struct where {
	const struct where *up;
	const char *key; /* NULL: an array element */
	size_t index;
};

struct decoder {
	struct arena *arena;
	struct err *e;
};

static const char *const kind_names[] = {"null",     "a boolean", "an integer", "a number",
					 "a string", "a list",	  "an object"};

static void path_text(const struct where *w, struct buf *out)
{
	if (!w)
		return;
	path_text(w->up, out);
	if (w->key) {
		if (out->n)
			buf_addc(out, '.');
		buf_adds(out, w->key);
	} else {
		buf_addf(out, "[%zu]", w->index);
	}
}

static int wrong_type(struct decoder *d, const struct where *w, const char *expected,
		      const struct json *j)
{
	AUTO_BUF struct buf path = BUF_INIT(1024);

	path_text(w, &path);
	return err_set(d->e, ERR_INVALID, "%s%sexpected %s, got %s", buf_text(&path),
		       path.n ? ": " : "", expected, kind_names[json_kind_of(j)]);
}

static int decode_struct(struct decoder *d, const struct where *w, const struct json *j,
			 const struct json_schema *s, void *ret);

static int load_str(struct decoder *d, const struct where *w, const struct json *j,
		    const char **ret)
{
	const char *s = json_str(j);

	if (!s)
		return wrong_type(d, w, "a string", j);
	*ret = arena_strdup(d->arena, s);
	return 0;
}

static int load_int(struct decoder *d, const struct where *w, const struct json *j,
		    enum json_type type, void *at)
{
	if (json_kind_of(j) != JSON_INT)
		return wrong_type(d, w, "an integer", j);
	if (type == JT_U64) {
		AUTO_BUF struct buf text = BUF_INIT(64);
		json_dump(j, &text);
		if (buf_text(&text)[0] == '-')
			return wrong_type(d, w, "a non-negative integer", j);
		*(uint64_t *)at = json_u64(j);
		return 0;
	}
	int64_t v = json_i64(j);
	if (v == INT64_MAX && json_u64(j) > (uint64_t)INT64_MAX)
		return wrong_type(d, w, "an integer below 2^63", j);
	if (type == JT_OPT_I64) {
		int64_t *p = arena_alloc(d->arena, sizeof *p);
		*p = v;
		*(const int64_t **)at = p;
	} else {
		*(int64_t *)at = v;
	}
	return 0;
}

static int load_strs(struct decoder *d, const struct where *w, const struct json *j, unsigned flags,
		     struct strs *ret)
{
	if ((flags & JSON_STR_OR_LIST) && json_kind_of(j) == JSON_STRING) {
		ret->v = arena_alloc(d->arena, 2 * sizeof *ret->v);
		ret->n = 1;
		ret->set = true;
		return load_str(d, w, j, &ret->v[0]);
	}
	if (json_kind_of(j) != JSON_ARRAY)
		return wrong_type(d, w, "a list of strings", j);
	size_t n = json_len(j);
	ret->v = arena_alloc(d->arena, (n + 1) * sizeof *ret->v);
	for (size_t i = 0; i < n; i++) {
		struct where at = {w, NULL, i};
		if (load_str(d, &at, json_at(j, i), &ret->v[i]) < 0)
			return -1;
	}
	ret->n = n;
	ret->set = true;
	return 0;
}

/* One pass over an object's members for the three map-like types. */
struct members {
	struct decoder *d;
	const struct where *w;
	const struct json_field *f;
	void *at;
	int rc;
};

static void load_member(const char *key, struct json *value, void *ud)
{
	struct members *m = ud;
	struct where at = {m->w, key, 0};

	if (m->rc < 0)
		return;
	const char *k = arena_strdup(m->d->arena, key);
	if (m->f->type == JT_SET) {
		struct strs *s = m->at;
		s->v[s->n++] = k;
	} else if (m->f->type == JT_MAP) {
		struct strmap *s = m->at;
		const char *v = "";
		if (json_kind_of(value) != JSON_NULL)
			m->rc = load_str(m->d, &at, value, &v);
		s->v[s->n++] = (struct strmap_entry){k, v};
	} else {
		struct objmap *s = m->at;
		char *item = (char *)s->v + s->n * m->f->sub->size;
		s->k[s->n++] = k;
		if (json_kind_of(value) != JSON_NULL)
			m->rc = decode_struct(m->d, &at, value, m->f->sub, item);
	}
}

static int load_members(struct decoder *d, const struct where *w, const struct json *j,
			const struct json_field *f, void *at)
{
	struct members m = {d, w, f, at, 0};
	size_t n = json_len(j);

	if (json_kind_of(j) != JSON_OBJECT)
		return wrong_type(d, w, "an object", j);
	if (f->type == JT_SET) {
		struct strs *s = at;
		s->v = arena_alloc(d->arena, (n + 1) * sizeof *s->v);
		s->set = true;
	} else if (f->type == JT_MAP) {
		struct strmap *s = at;
		s->v = arena_alloc(d->arena, (n + 1) * sizeof *s->v);
		s->set = true;
	} else {
		struct objmap *s = at;
		s->k = arena_alloc(d->arena, (n + 1) * sizeof *s->k);
		s->v = arena_alloc(d->arena, (n + 1) * f->sub->size);
		s->set = true;
	}
	json_each(j, load_member, &m);
	return m.rc;
}

static int load_objs(struct decoder *d, const struct where *w, const struct json *j,
		     const struct json_field *f, struct objs *ret)
{
	if (json_kind_of(j) != JSON_ARRAY)
		return wrong_type(d, w, "a list", j);
	size_t n = json_len(j);
	char *items = arena_alloc(d->arena, (n + 1) * f->sub->size);
	for (size_t i = 0; i < n; i++) {
		struct where at = {w, NULL, i};
		if (decode_struct(d, &at, json_at(j, i), f->sub, items + i * f->sub->size) < 0)
			return -1;
	}
	*ret = (struct objs){items, n, true};
	return 0;
}

static int load_field(struct decoder *d, const struct where *w, const struct json *j,
		      const struct json_field *f, void *at)
{
	enum json_kind kind = json_kind_of(j);

	switch (f->type) {
	case JT_STR:
		return load_str(d, w, j, at);
	case JT_BOOL:
	case JT_OPT_BOOL:
		if (kind != JSON_BOOL)
			return wrong_type(d, w, "a boolean", j);
		if (f->type == JT_BOOL)
			*(bool *)at = json_bool(j);
		else
			*(int8_t *)at = json_bool(j) ? 1 : -1;
		return 0;
	case JT_I64:
	case JT_U64:
	case JT_OPT_I64:
		return load_int(d, w, j, f->type, at);
	case JT_DOUBLE:
		if (kind != JSON_INT && kind != JSON_FLOAT)
			return wrong_type(d, w, "a number", j);
		*(double *)at = json_double(j);
		return 0;
	case JT_STRS:
		return load_strs(d, w, j, f->flags, at);
	case JT_MAP:
	case JT_SET:
	case JT_OBJMAP:
		return load_members(d, w, j, f, at);
	case JT_OBJ:
		return decode_struct(d, w, j, f->sub, at);
	case JT_OBJP: {
		void *p = arena_alloc(d->arena, f->sub->size);
		*(void **)at = p;
		return decode_struct(d, w, j, f->sub, p);
	}
	case JT_OBJS:
		return load_objs(d, w, j, f, at);
	case JT_RAW: {
		AUTO_BUF struct buf text = BUF_INIT(64U << 20);
		json_dump(j, &text);
		*(const char **)at = arena_strndup(d->arena, buf_text(&text), text.n);
		return 0;
	}
	}
	return err_set(d->e, ERR_BUG, "unknown field type in the table of %s", f->key);
}

static int decode_struct(struct decoder *d, const struct where *w, const struct json *j,
			 const struct json_schema *s, void *ret)
{
	if (json_kind_of(j) != JSON_OBJECT)
		return wrong_type(d, w, "an object", j);
	for (const struct json_field *f = s->fields; f->key; f++) {
		struct where at = {w, f->key, 0};
		struct json *value = json_get_icase(j, f->key);

		if (json_kind_of(value) == JSON_NULL) {
			AUTO_BUF struct buf path = BUF_INIT(1024);
			if (!(f->flags & JSON_REQUIRED))
				continue;
			path_text(&at, &path);
			return err_set(d->e, ERR_INVALID, "%s: required field is missing",
				       buf_text(&path));
		}
		if (load_field(d, &at, value, f, (char *)ret + f->offset) < 0)
			return -1;
	}
	return 0;
}

int json_decode(const struct json *j, const struct json_schema *schema, void *ret, struct arena *a,
		struct err *e)
{
	struct decoder d = {a, e};

	memset(ret, 0, schema->size);
	if (decode_struct(&d, NULL, j, schema, ret) < 0)
		return err_wrap(e, "%s", schema->name);
	return 0;
}

int json_decode_text(const char *p, size_t n, const struct json_schema *schema, void *ret,
		     struct arena *a, struct err *e)
{
	AUTO(json) struct json *j = NULL;

	if (json_parse(p, n, &j, e) < 0)
		return err_wrap(e, "%s", schema->name);
	return json_decode(j, schema, ret, a, e);
}

void strs_push(struct strs *s, struct arena *a, const char *v)
{
	const char **n = arena_alloc(a, (s->n + 1) * sizeof(*n));

	if (s->n > 0)
		memcpy(n, s->v, s->n * sizeof(*n));
	n[s->n++] = v;
	s->v = n;
	s->set = true;
}

struct strs strs_copy(struct arena *a, const struct strs *s)
{
	struct strs ret = {
		.v = arena_alloc(a, (s->n + 1) * sizeof *s->v), .n = s->n, .set = s->set};

	for (size_t i = 0; i < s->n; i++)
		ret.v[i] = arena_strdup(a, s->v[i]);
	return ret;
}

struct strmap strmap_copy(struct arena *a, const struct strmap *m)
{
	struct strmap ret = {
		.v = arena_alloc(a, (m->n + 1) * sizeof *m->v), .n = m->n, .set = m->set};

	for (size_t i = 0; i < m->n; i++)
		ret.v[i] = (struct strmap_entry){arena_strdup(a, m->v[i].k),
						 arena_strdup(a, m->v[i].v)};
	return ret;
}

const char *strmap_get(const struct strmap *m, const char *key)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->v[i].k, key))
			return m->v[i].v;
	return NULL;
}

/* ---- encoding ---- */

static bool field_is_empty(const struct json_field *f, const void *at)
{
	switch (f->type) {
	case JT_STR:
	case JT_RAW: {
		const char *s = *(const char *const *)at;
		return !s || !*s;
	}
	case JT_OBJP:
	case JT_OPT_I64:
		return *(const void *const *)at == NULL;
	case JT_BOOL:
		return !*(const bool *)at;
	case JT_OPT_BOOL:
		return *(const int8_t *)at == 0;
	case JT_I64:
	case JT_U64:
		return *(const uint64_t *)at == 0;
	case JT_DOUBLE:
		return *(const double *)at == 0;
	case JT_STRS:
	case JT_SET:
		return ((const struct strs *)at)->n == 0;
	case JT_MAP:
		return ((const struct strmap *)at)->n == 0;
	case JT_OBJS:
		return ((const struct objs *)at)->n == 0;
	case JT_OBJMAP:
		return ((const struct objmap *)at)->n == 0;
	case JT_OBJ:
		for (const struct json_field *g = f->sub->fields; g->key; g++)
			if (!field_is_empty(g, (const char *)at + g->offset))
				return false;
		return true;
	}
	return false;
}

static bool list_is_unset(const struct json_field *f, const void *at)
{
	switch (f->type) {
	case JT_STRS:
	case JT_SET:
		return !((const struct strs *)at)->set && !((const struct strs *)at)->n;
	case JT_MAP:
		return !((const struct strmap *)at)->set && !((const struct strmap *)at)->n;
	case JT_OBJS:
		return !((const struct objs *)at)->set && !((const struct objs *)at)->n;
	case JT_OBJMAP:
		return !((const struct objmap *)at)->set && !((const struct objmap *)at)->n;
	case JT_STR:
		return !*(const char *const *)at;
	default:
		return false;
	}
}

static void encode_set(struct jw *w, const struct strs *s)
{
	jw_obj(w);
	for (size_t i = 0; i < s->n; i++) {
		jw_key(w, s->v[i]);
		jw_obj(w);
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

static void encode_strs(struct jw *w, const struct strs *s)
{
	jw_arr(w);
	for (size_t i = 0; i < s->n; i++)
		jw_str(w, s->v[i]);
	jw_arr_end(w);
}

static void encode_map(struct jw *w, const struct strmap *m)
{
	jw_obj(w);
	for (size_t i = 0; i < m->n; i++)
		jw_kv_str(w, m->v[i].k, m->v[i].v);
	jw_obj_end(w);
}

static void encode_objs(struct jw *w, const struct json_schema *sub, const struct objs *o)
{
	jw_arr(w);
	for (size_t i = 0; i < o->n; i++)
		json_encode(w, sub, (const char *)o->v + i * sub->size);
	jw_arr_end(w);
}

static void encode_objmap(struct jw *w, const struct json_schema *sub, const struct objmap *o)
{
	jw_obj(w);
	for (size_t i = 0; i < o->n; i++) {
		jw_key(w, o->k[i]);
		json_encode(w, sub, (const char *)o->v + i * sub->size);
	}
	jw_obj_end(w);
}

static void encode_value(struct jw *w, const struct json_field *f, const void *at)
{
	switch (f->type) {
	case JT_STR: {
		const char *s = *(const char *const *)at;
		jw_str(w, s ? s : "");
		break;
	}
	case JT_RAW: {
		const char *s = *(const char *const *)at;
		jw_raw(w, s && *s ? s : "null");
		break;
	}
	case JT_BOOL:
		jw_bool(w, *(const bool *)at);
		break;
	case JT_OPT_BOOL:
		if (*(const int8_t *)at == 0)
			jw_null(w);
		else
			jw_bool(w, *(const int8_t *)at > 0);
		break;
	case JT_I64:
		jw_i64(w, *(const int64_t *)at);
		break;
	case JT_U64:
		jw_u64(w, *(const uint64_t *)at);
		break;
	case JT_DOUBLE:
		jw_double(w, *(const double *)at);
		break;
	case JT_OPT_I64: {
		const int64_t *p = *(const int64_t *const *)at;
		if (p)
			jw_i64(w, *p);
		else
			jw_null(w);
		break;
	}
	case JT_STRS:
		encode_strs(w, at);
		break;
	case JT_SET:
		encode_set(w, at);
		break;
	case JT_MAP:
		encode_map(w, at);
		break;
	case JT_OBJ:
		json_encode(w, f->sub, at);
		break;
	case JT_OBJP: {
		const void *p = *(const void *const *)at;
		if (p)
			json_encode(w, f->sub, p);
		else
			jw_null(w);
		break;
	}
	case JT_OBJS:
		encode_objs(w, f->sub, at);
		break;
	case JT_OBJMAP:
		encode_objmap(w, f->sub, at);
		break;
	}
}

void json_encode_fields(struct jw *w, const struct json_schema *schema, const void *obj)
{
	for (const struct json_field *f = schema->fields; f->key; f++) {
		const void *at = (const char *)obj + f->offset;

		if ((f->flags & JSON_OMITEMPTY) && field_is_empty(f, at))
			continue;
		jw_key(w, f->key);
		if ((f->flags & JSON_NULL_EMPTY) && list_is_unset(f, at))
			jw_null(w);
		else
			encode_value(w, f, at);
	}
}

void json_encode(struct jw *w, const struct json_schema *schema, const void *obj)
{
	jw_obj(w);
	json_encode_fields(w, schema, obj);
	jw_obj_end(w);
}
