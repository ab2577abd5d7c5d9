/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See tags-priv.h. The registry names the next page in a Link header; only the query of that
 * address is used, so that no other host or repository can be asked.
 */
#include "image/tags-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PAGE_MAX  ((size_t)4 << 20)
#define PAGES_MAX 2000

struct tags {
	struct registry *registry;
	struct registry_call *call;
	struct registry_trail trail;
	struct arena *arena;
	struct strs list;
	size_t room;
	unsigned pages;
	char query[1024];
	void (*done)(void *ud, const struct strs *tags, const struct err *e);
	void *ud;
};

static void get_page(struct tags *t);

void tags_cancel(struct tags *t)
{
	if (!t)
		return;
	registry_cancel(t->call);
	registry_close(t->registry);
	arena_free(t->arena);
	free(t);
}

static void end(struct tags *t, const struct err *e)
{
	t->done(t->ud, &t->list, e);
	tags_cancel(t);
}

void tags_next_query(const char *link, char *ret, size_t n)
{
	const char *p = link;
	ret[0] = '\0';
	while ((p = strchr(p, '<'))) {
		const char *close = strchr(p, '>');
		if (!close)
			return;
		size_t params = strcspn(close, ",");
		AUTO_FREE char *rel = xstrndup(close, params);
		if (strstr(rel, "rel=\"next\"") || strstr(rel, "rel=next")) {
			const char *q = memchr(p, '?', (size_t)(close - p));
			if (q && (size_t)(close - q) <= n)
				snprintf(ret, n, "%.*s", (int)(close - q - 1), q + 1);
			return;
		}
		p = close + params;
	}
}

static void add_tag(struct tags *t, const char *tag)
{
	if (t->list.n == t->room) {
		t->room = t->room ? t->room * 2 : 256;
		const char **v = arena_alloc(t->arena, t->room * sizeof(*v));
		if (t->list.n)
			memcpy(v, t->list.v, t->list.n * sizeof(*v));
		t->list.v = v;
	}
	t->list.v[t->list.n++] = arena_strdup(t->arena, tag);
}

static int take_page(struct tags *t, const struct buf *body, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	if (json_parse(buf_text(body), body->n, &j, e) < 0)
		return err_wrap(e, "list of tags");
	struct json *list = json_get(j, "tags");
	for (size_t i = 0; i < json_len(list); i++) {
		const char *tag = json_str(json_at(list, i));
		if (!tag || !image_ref_tag_valid(tag))
			continue;
		if (t->list.n == TAGS_MAX)
			return err_set(e, ERR_LIMIT, "list of tags: more than %d tags", TAGS_MAX);
		add_tag(t, tag);
	}
	return 0;
}

static void page_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct tags *t = ud;
	struct err err = ERR_INIT;
	char query[sizeof(t->query)];
	t->call = NULL;
	if (e) {
		err = *e;
		end(t, &err);
		return;
	}
	tags_next_query(resp->link, query, sizeof(query));
	if (take_page(t, body, &err) < 0) {
		end(t, &err);
	} else if (!query[0]) {
		end(t, NULL);
	} else if (!strcmp(query, t->query) || ++t->pages >= PAGES_MAX) {
		err_set(&err, ERR_REMOTE, "list of tags: the registry's pages have no end");
		end(t, &err);
	} else {
		snprintf(t->query, sizeof(t->query), "%s", query);
		get_page(t);
	}
}

static void get_page(struct tags *t)
{
	AUTO_FREE char *path = xasprintf("tags/list%s%s", t->query[0] ? "?" : "", t->query);
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .max_body = PAGE_MAX,
				     .first_source = t->trail.source,
				     .trail = &t->trail,
				     .done = page_done,
				     .ud = t};
	registry_start(t->registry, &q, &t->call);
}

struct tags *tags_list(struct registry *r,
		       void (*done)(void *ud, const struct strs *tags, const struct err *e),
		       void *ud)
{
	struct tags *t = NEW(struct tags);
	t->registry = registry_hold(r);
	t->arena = arena_new();
	t->done = done;
	t->ud = ud;
	get_page(t);
	return t;
}
