/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: json-c behind our own names, plus the strictness it lacks (RFC 8259). */
#include "base/json.h"

/* two of json-c's type names are our own names for other things */
#define json_bool jsonc_bool
#define json_type jsonc_type
#include <json-c/json.h>
#undef json_bool
#undef json_type

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/banned.h"

#define DOC_MAX (256U << 20)

static struct json_object *raw(const struct json *j)
{
	union {
		const struct json *in;
		struct json_object *out;
	} u = {.in = j};
	return u.out;
}

static struct json *wrap(struct json_object *o)
{
	return (struct json *)(void *)o;
}

/* json-c accepts NaN and Infinity and strings with NUL; neither may pass a boundary. */
static bool tree_is_clean(struct json_object *o, const char **ret_why)
{
	switch (json_object_get_type(o)) {
	case json_type_double:
		if (!isfinite(json_object_get_double(o))) {
			*ret_why = "number is not finite";
			return false;
		}
		return true;
	case json_type_string:
		if (memchr(json_object_get_string(o), 0, (size_t)json_object_get_string_len(o))) {
			*ret_why = "string contains a NUL character";
			return false;
		}
		return true;
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (!tree_is_clean(json_object_array_get_idx(o, i), ret_why))
				return false;
		return true;
	case json_type_object: {
		json_object_object_foreach(o, key, value)
		{
			(void)key;
			if (!tree_is_clean(value, ret_why))
				return false;
		}
		return true;
	}
	case json_type_null:
	case json_type_boolean:
	case json_type_int:
	default:
		return true;
	}
}

/* json-c takes 'key' for "key" even when strict; outside strings an apostrophe has no place in
 * JSON. */
static bool has_stray_apostrophe(const char *p, size_t n)
{
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		if (in_string && p[i] == '\\')
			i++;
		else if (p[i] == '"')
			in_string = !in_string;
		else if (p[i] == '\'' && !in_string)
			return true;
	}
	return false;
}

int json_parse(const char *p, size_t n, struct json **ret, struct err *e)
{
	if (n > DOC_MAX)
		return err_set(e, ERR_LIMIT, "JSON document of %zu bytes is too large", n);

	struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH_MAX);
	ASSERT(t);
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
					  JSON_TOKENER_ALLOW_TRAILING_CHARS);
	struct json_object *o = json_tokener_parse_ex(t, p, (int)n);
	enum json_tokener_error code = json_tokener_get_error(t);
	size_t end = json_tokener_get_parse_end(t);
	/* A bare number is only complete at the end of input, which json-c learns from a NUL. */
	if (code == json_tokener_continue) {
		o = json_tokener_parse_ex(t, "", 1);
		code = json_tokener_get_error(t);
		if (code != json_tokener_success) {
			json_tokener_free(t);
			return err_set(e, ERR_INVALID, "invalid JSON: unexpected end of input");
		}
		end = n;
	}
	json_tokener_free(t);
	if (code != json_tokener_success)
		return err_set(e, ERR_INVALID, "invalid JSON at byte %zu: %s", end,
			       json_tokener_error_desc(code));
	while (end < n && strchr(" \t\r\n", p[end]) && p[end])
		end++;
	const char *why = NULL;
	if (has_stray_apostrophe(p, n))
		why = "unexpected character '";
	else if (end != n)
		why = "unexpected bytes after the document";
	if (why || !tree_is_clean(o, &why)) {
		json_object_put(o);
		return err_set(e, ERR_INVALID, "invalid JSON: %s", why);
	}
	/* A null document has no json-c object; give it one so that the root is never NULL. */
	*ret = wrap(o ? o : json_object_new_object());
	return 0;
}

static size_t skip_blanks(const char *p, size_t n, size_t at)
{
	while (at < n && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r' || p[at] == '\n'))
		at++;
	return at;
}

/* Where the value that begins at `at` ends: at a comma or bracket outside of it. */
static size_t value_end(const char *p, size_t n, size_t at)
{
	size_t depth = 0;

	for (; at < n; at++) {
		switch (p[at]) {
		case '"':
			for (at++; at < n && p[at] != '"'; at++)
				at += p[at] == '\\';
			break;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			if (depth-- == 0)
				return at;
			break;
		case ',':
			if (depth == 0)
				return at;
			break;
		default:
			break;
		}
	}
	return n;
}

int json_items(const char *p, size_t n, json_item_fn fn, void *ud, struct err *e)
{
	size_t at = skip_blanks(p, n, 0), end;
	bool first = true, more = true;

	if (at == n || p[at] != '[')
		return err_set(e, ERR_INVALID, "invalid JSON: expected an array");
	for (at++; more; at = end + 1) {
		AUTO(json) struct json *item = NULL;

		end = value_end(p, n, at);
		if (end >= n || p[end] == '}')
			return err_set(e, ERR_INVALID, "invalid JSON: the array does not end");
		more = p[end] == ',';
		if (first && !more && skip_blanks(p, n, at) == end)
			continue; /* [] */
		first = false;
		if (json_parse(p + at, end - at, &item, e) < 0)
			return -1;
		int rc = fn(ud, item, e);
		if (rc < 0)
			return rc;
	}
	if (skip_blanks(p, n, at) != n)
		return err_set(e, ERR_INVALID, "invalid JSON: unexpected bytes after the document");
	return 0;
}

void json_free(struct json *root)
{
	if (root)
		json_object_put(raw(root));
}

enum json_kind json_kind_of(const struct json *j)
{
	switch (json_object_get_type(raw(j))) {
	case json_type_boolean:
		return JSON_BOOL;
	case json_type_int:
		return JSON_INT;
	case json_type_double:
		return JSON_FLOAT;
	case json_type_string:
		return JSON_STRING;
	case json_type_array:
		return JSON_ARRAY;
	case json_type_object:
		return JSON_OBJECT;
	case json_type_null:
	default:
		return JSON_NULL;
	}
}

struct json *json_get(const struct json *obj, const char *key)
{
	struct json_object *value = NULL;

	if (json_kind_of(obj) != JSON_OBJECT || !json_object_object_get_ex(raw(obj), key, &value))
		return NULL;
	return wrap(value);
}

struct json *json_get_icase(const struct json *obj, const char *key)
{
	struct json *found = json_get(obj, key);

	if (found || json_kind_of(obj) != JSON_OBJECT)
		return found;
	json_object_object_foreach(raw(obj), k, v)
	{
		if (!strcasecmp(k, key))
			return wrap(v);
	}
	return NULL;
}

size_t json_len(const struct json *j)
{
	switch (json_kind_of(j)) {
	case JSON_ARRAY:
		return json_object_array_length(raw(j));
	case JSON_OBJECT:
		return (size_t)json_object_object_length(raw(j));
	default:
		return 0;
	}
}

struct json *json_at(const struct json *arr, size_t i)
{
	return json_kind_of(arr) == JSON_ARRAY ? wrap(json_object_array_get_idx(raw(arr), i))
					       : NULL;
}

const char *json_str(const struct json *j)
{
	return json_kind_of(j) == JSON_STRING ? json_object_get_string(raw(j)) : NULL;
}

bool json_bool(const struct json *j)
{
	return json_kind_of(j) == JSON_BOOL && json_object_get_boolean(raw(j));
}

int64_t json_i64(const struct json *j)
{
	return json_object_get_int64(raw(j));
}

uint64_t json_u64(const struct json *j)
{
	return json_object_get_uint64(raw(j));
}

double json_double(const struct json *j)
{
	return json_object_get_double(raw(j));
}

void json_each(const struct json *obj, json_each_fn fn, void *ud)
{
	if (json_kind_of(obj) != JSON_OBJECT)
		return;
	json_object_object_foreach(raw(obj), key, value)
	{
		fn(key, wrap(value), ud);
	}
}

static void dump_member(const char *key, struct json *value, void *ud)
{
	struct buf *out = ud;

	if (out->n && out->p[out->n - 1] != '{')
		buf_addc(out, ',');
	struct jw w = JW_INIT(out);
	jw_str(&w, key);
	buf_addc(out, ':');
	json_dump(value, out);
}

void json_dump(const struct json *j, struct buf *out)
{
	struct jw w = JW_INIT(out);

	switch (json_kind_of(j)) {
	case JSON_NULL:
		jw_null(&w);
		break;
	case JSON_BOOL:
		jw_bool(&w, json_bool(j));
		break;
	case JSON_STRING:
		jw_strn(&w, json_str(j), (size_t)json_object_get_string_len(raw(j)));
		break;
	case JSON_INT:
	case JSON_FLOAT:
		buf_adds(out, json_object_to_json_string_ext(raw(j), JSON_C_TO_STRING_PLAIN));
		break;
	case JSON_ARRAY:
		buf_addc(out, '[');
		for (size_t i = 0; i < json_len(j); i++) {
			if (i)
				buf_addc(out, ',');
			json_dump(json_at(j, i), out);
		}
		buf_addc(out, ']');
		break;
	case JSON_OBJECT:
		buf_addc(out, '{');
		json_each(j, dump_member, out);
		buf_addc(out, '}');
		break;
	}
}
