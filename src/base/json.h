/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON. In: json-c parses (strict, depth and size caps), then **field tables** decode into plain
 * structs whose memory belongs to one arena. Out: a streaming writer into a capped buffer, or
 * json_encode() by the same tables. json-c itself is visible only inside json.c.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 64

/* ---- trees (for templates, documents of unknown shape) ---- */
struct json; /* one node; owned by its root */

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_FLOAT, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Parse exactly one document. Refuses NaN, trailing bytes, depth > JSON_DEPTH_MAX, invalid UTF-8,
 * strings with NUL. */
int json_parse(const char *p, size_t n, struct json **ret, struct err *e);
void json_free(struct json *root); /* roots only; NULL allowed */
DEFINE_AUTO(json);
enum json_kind json_kind_of(const struct json *j); /* NULL pointer is JSON_NULL */
struct json *json_get(const struct json *obj,
		      const char *key); /* exact key, NULL when absent or not an object */
struct json *json_get_icase(const struct json *obj, const char *key);
size_t json_len(const struct json *j); /* array or object */
struct json *json_at(const struct json *arr, size_t i);
const char *json_str(const struct json *j); /* NULL unless a string */
bool json_bool(const struct json *j);
int64_t json_i64(const struct json *j);
uint64_t json_u64(const struct json *j);
double json_double(const struct json *j);
typedef void (*json_each_fn)(const char *key, struct json *value, void *ud);
void json_each(const struct json *obj, json_each_fn fn, void *ud); /* document order */
/*
 * The items of a document that is an array, each as a tree of its own that is gone when fn returns:
 * for long lists, whose whole tree would take ten times their text. fn returns < 0 to stop, which
 * is passed on. ERR_INVALID when the text is no array, with the items before the damage handed out.
 */
typedef int (*json_item_fn)(void *ud, const struct json *item, struct err *e);
int json_items(const char *p, size_t n, json_item_fn fn, void *ud, struct err *e);
/* Serialise a node (compact). */
void json_dump(const struct json *j, struct buf *out);

/* ---- field tables ---- */
enum json_type {
	JT_STR,	     /* const char *, NULL when absent or null */
	JT_BOOL,     /* bool */
	JT_OPT_BOOL, /* int8_t: 0 absent/null, 1 true, -1 false */
	JT_I64,	     /* int64_t */
	JT_U64,	     /* uint64_t, exact up to 2^64-1 */
	JT_OPT_I64,  /* const int64_t *, NULL when absent/null */
	JT_DOUBLE,   /* double */
	JT_STRS,     /* struct strs */
	JT_MAP,	     /* struct strmap: object of strings (null value = "") */
	JT_SET, /* struct strs: object whose keys count and values are {} (ExposedPorts, Volumes) */
	JT_OBJ, /* nested struct, inline */
	JT_OBJP,   /* const struct X *, NULL when absent/null */
	JT_OBJS,   /* struct objs: array of structs */
	JT_OBJMAP, /* struct objmap: object of structs */
	JT_RAW,	   /* const char *: JSON text of the value, kept and written verbatim */
};

enum json_flags {
	JSON_REQUIRED = 1,   /* decode: must be present and not null */
	JSON_OMITEMPTY = 2,  /* encode: leave out when zero/empty/NULL */
	JSON_NULL_EMPTY = 4, /* encode: an unset list/map/string is null, not [] {} "" */
	JSON_STR_OR_LIST =
		8 /* decode JT_STRS: a bare string is one element (Docker's Cmd, Entrypoint) */
};

struct strs {
	const char **v;
	size_t n;
	bool set; /* present and not null */
};
struct strmap_entry {
	const char *k, *v;
};
struct strmap {
	struct strmap_entry *v;
	size_t n;
	bool set;
};
struct objs {
	void *v; /* array of the sub-schema's struct */
	size_t n;
	bool set;
};
struct objmap {
	const char **k;
	void *v;
	size_t n;
	bool set;
};
/* Append v (not copied); the list grows in the arena. */
void strs_push(struct strs *s, struct arena *a, const char *v);
/* Everything in the arena. */
struct strs strs_copy(struct arena *a, const struct strs *s);
struct strmap strmap_copy(struct arena *a, const struct strmap *m);
const char *strmap_get(const struct strmap *m, const char *key);

struct json_schema;
struct json_field {
	const char *key;
	enum json_type type;
	size_t offset;
	unsigned flags;
	const struct json_schema *sub; /* JT_OBJ* only */
};
struct json_schema {
	const char *name; /* for messages: "container config" */
	size_t size;
	const struct json_field *fields; /* ends with key NULL */
};
#define JSON_FIELD(type_, struct_, member, key_, flags_)                                           \
	{                                                                                          \
		.key = (key_), .type = (type_), .offset = offsetof(struct_, member),               \
		.flags = (flags_)                                                                  \
	}
#define JSON_SUB(type_, struct_, member, key_, flags_, sub_)                                       \
	{                                                                                          \
		.key = (key_), .type = (type_), .offset = offsetof(struct_, member),               \
		.flags = (flags_), .sub = (sub_)                                                   \
	}

/*
 * Decode into *ret (zeroed first). Keys match exactly, then case-insensitively (Go does); unknown
 * keys are ignored. Errors are ERR_INVALID and name the path: "HostConfig.Memory: expected an
 * integer, got a string".
 */
int json_decode(const struct json *j, const struct json_schema *schema, void *ret, struct arena *a,
		struct err *e);
int json_decode_text(const char *p, size_t n, const struct json_schema *schema, void *ret,
		     struct arena *a, struct err *e);
/* Appends the paths of keys that no table row has, exactly spelt: "foo, gc.bar". Nothing when all
 * are known; a full buffer shows as out->overflow. */
void json_unknown_keys(const struct json *j, const struct json_schema *schema, struct buf *out);

/* ---- streaming writer ---- */
struct jw {
	struct buf *out;
	uint64_t comma; /* bit per depth: a value stands before */
	int depth;
};
#define JW_INIT(buffer) ((struct jw){.out = (buffer)})
void jw_obj(struct jw *w); /* { as a value */
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w);
void jw_arr_end(struct jw *w);
void jw_key(struct jw *w, const char *key);
void jw_str(struct jw *w, const char *s); /* NULL gives null; invalid UTF-8 becomes U+FFFD */
void jw_strn(struct jw *w, const char *s, size_t n);
void jw_i64(struct jw *w, int64_t v);
void jw_u64(struct jw *w, uint64_t v);
void jw_double(struct jw *w, double v);
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, const char *json); /* verbatim value */
void jw_kv_str(struct jw *w, const char *key, const char *s);
void jw_kv_i64(struct jw *w, const char *key, int64_t v);
void jw_kv_u64(struct jw *w, const char *key, uint64_t v);
void jw_kv_bool(struct jw *w, const char *key, bool v);
void jw_kv_strs(struct jw *w, const char *key, const struct strs *s);
void jw_kv_map(struct jw *w, const char *key, const struct strmap *m);
/* As Go's json.Indent: text to text, numbers and escapes as they came. */
void json_indent(const char *json, size_t n, const char *indent, struct buf *out);
/* A struct by its table, as an object value / only its fields inside an already open object. */
void json_encode(struct jw *w, const struct json_schema *schema, const void *obj);
void json_encode_fields(struct jw *w, const struct json_schema *schema, const void *obj);
