/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of the `filters` parameter; both shapes Docker accepts (lists, and objects of booleans).
 */
#include "spec/filters.h"

#include "base/buf.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

#define FILTERS_MAX 64

struct collect {
	struct arena *a;
	struct filters *f;
	struct strs *values;
	bool bad;
};

static void collect_key(const char *key, struct json *value, void *ud)
{
	struct collect *c = ud;

	if (json_kind_of(value) != JSON_BOOL)
		c->bad = true;
	else if (json_bool(value))
		c->values->v[c->values->n++] = arena_strdup(c->a, key);
}

static void collect_filter(const char *key, struct json *value, void *ud)
{
	struct collect *c = ud;
	enum json_kind kind = json_kind_of(value);
	size_t n = json_len(value);
	struct filter *f;

	if (c->f->n == FILTERS_MAX || (kind != JSON_ARRAY && kind != JSON_OBJECT)) {
		c->bad = true;
		return;
	}
	f = &c->f->v[c->f->n++];
	f->name = arena_strdup(c->a, key);
	f->values.set = true;
	f->values.v = arena_alloc(c->a, (n + 1) * sizeof(char *));
	if (kind == JSON_OBJECT) {
		c->values = &f->values;
		json_each(value, collect_key, c);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *s = json_str(json_at(value, i));

		if (!s)
			c->bad = true;
		else
			f->values.v[f->values.n++] = arena_strdup(c->a, s);
	}
}

int filters_decode(const char *text, struct filters *ret, struct arena *a, struct err *e)
{
	struct filters f = {0};
	struct collect c = {.a = a, .f = &f};
	AUTO(json) struct json *j = NULL;

	if (!text || !*text) {
		*ret = f;
		return 0;
	}
	if (json_parse(text, strlen(text), &j, e) < 0)
		return err_wrap(e, "invalid filter");
	if (json_kind_of(j) != JSON_OBJECT && json_kind_of(j) != JSON_NULL)
		return err_set(e, ERR_INVALID, "invalid filter: expected an object");
	f.v = arena_alloc(a, FILTERS_MAX * sizeof(*f.v));
	json_each(j, collect_filter, &c);
	if (c.bad)
		return err_set(e, ERR_INVALID, "invalid filter: values must be a list of strings");
	*ret = f;
	return 0;
}

int filters_check(const struct filters *f, const char *const *allowed, struct err *e)
{
	for (size_t i = 0; f && i < f->n; i++) {
		bool known = false;

		for (const char *const *a = allowed; *a && !known; a++)
			known = strcmp(*a, f->v[i].name) == 0;
		if (!known)
			return err_set(e, ERR_INVALID, "invalid filter '%s'", f->v[i].name);
	}
	return 0;
}

int filters_bool(const struct filters *f, const char *name, bool fallback, bool *ret, struct err *e)
{
	const struct strs *v = filters_get(f, name);
	AUTO_BUF struct buf values = BUF_INIT(ERR_TEXT_MAX / 2);
	bool yes = false, no = false;

	*ret = fallback;
	if (!v || v->n == 0)
		return 0;
	for (size_t i = 0; i < v->n; i++) {
		yes |= strcmp(v->v[i], "true") == 0 || strcmp(v->v[i], "1") == 0;
		no |= strcmp(v->v[i], "false") == 0 || strcmp(v->v[i], "0") == 0;
		buf_addf(&values, "%s%s", i ? " " : "", v->v[i]);
	}
	if (yes == no)
		return err_set(e, ERR_INVALID, "invalid filter '%s=[%s]'", name, buf_text(&values));
	*ret = yes;
	return 0;
}

const struct strs *filters_get(const struct filters *f, const char *name)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return &f->v[i].values;
	return NULL;
}

bool filters_match(const struct filters *f, const char *name, const char *value)
{
	const struct strs *v = filters_get(f, name);

	if (!v || v->n == 0)
		return true;
	for (size_t i = 0; i < v->n; i++)
		if (value && strcmp(v->v[i], value) == 0)
			return true;
	return false;
}

static bool label_holds(const struct strmap *labels, const char *want)
{
	const char *eq = strchr(want, '=');
	size_t n = eq ? (size_t)(eq - want) : strlen(want);

	for (size_t i = 0; i < labels->n; i++) {
		const char *k = labels->v[i].k;

		if (strlen(k) == n && memcmp(k, want, n) == 0)
			return !eq || strcmp(labels->v[i].v, eq + 1) == 0;
	}
	return false;
}

bool filters_match_labels(const struct filters *f, const struct strmap *labels)
{
	const struct strs *want = filters_get(f, "label"), *refuse = filters_get(f, "label!");

	for (size_t i = 0; want && i < want->n; i++)
		if (!label_holds(labels, want->v[i]))
			return false;
	for (size_t i = 0; refuse && i < refuse->n; i++)
		if (label_holds(labels, refuse->v[i]))
			return false;
	return true;
}
