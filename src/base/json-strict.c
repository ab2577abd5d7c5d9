/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a document that no row of its field table knows: for documents that people write. */
#include "base/json.h"

#include <string.h>

#include "base/banned.h"

#define PATH_MAX_TEXT 512

struct strict {
	const struct json_schema *schema;
	const char *path;
	struct buf *out;
};

static void check_value(const struct json_field *f, struct json *value, const char *path,
			struct buf *out);

static const struct json_field *find_row(const struct json_schema *s, const char *key)
{
	for (const struct json_field *f = s->fields; f->key; f++)
		if (!strcmp(f->key, key))
			return f;
	return NULL;
}

static void check_member(const char *key, struct json *value, void *ud)
{
	struct strict *s = ud;
	const struct json_field *f = find_row(s->schema, key);
	AUTO_BUF struct buf path = BUF_INIT(PATH_MAX_TEXT);

	buf_addf(&path, "%s%s%.*s", s->path, *s->path ? "." : "", 200, key);
	if (f)
		check_value(f, value, buf_text(&path), s->out);
	else
		buf_addf(s->out, "%s%s", s->out->n ? ", " : "", buf_text(&path));
}

struct members {
	const struct json_schema *schema;
	const char *path;
	struct buf *out;
};

static void check_object(const char *key, struct json *value, void *ud)
{
	const struct members *m = ud;
	AUTO_BUF struct buf path = BUF_INIT(PATH_MAX_TEXT);

	buf_addf(&path, "%s.%.*s", m->path, 200, key);
	json_each(value, check_member,
		  &(struct strict){m->schema, path.overflow ? m->path : buf_text(&path), m->out});
}

static void check_value(const struct json_field *f, struct json *value, const char *path,
			struct buf *out)
{
	struct strict inner = {f->sub, path, out};

	switch (f->type) {
	case JT_OBJ:
	case JT_OBJP:
		json_each(value, check_member, &inner);
		break;
	case JT_OBJS:
		for (size_t i = 0; i < json_len(value); i++)
			json_each(json_at(value, i), check_member, &inner);
		break;
	case JT_OBJMAP:
		json_each(value, check_object, &(struct members){f->sub, path, out});
		break;
	default:
		break;
	}
}

void json_unknown_keys(const struct json *j, const struct json_schema *schema, struct buf *out)
{
	json_each(j, check_member, &(struct strict){schema, "", out});
}
