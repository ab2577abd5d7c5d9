/* SPDX-License-Identifier: Apache-2.0 */
/* See known-priv.h. Keys are "DIGEST DOMAIN" and "DIGEST gzip:2". */
#include "image/known-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define REPOS	 "blob-repositories"
#define PACKED	 "blob-packed"
#define TEXT_MAX ((size_t)64 << 10)
#define KEY_MAX	 (DIGEST_TEXT_MAX + 300)

static void key_of(const struct digest *d, const char *what, char ret[static KEY_MAX])
{
	snprintf(ret, KEY_MAX, "%s %s", d->text, what);
}

void known_repos(struct image_service *s, const char *domain, const struct digest *blob,
		 struct arena *a, struct strs *ret)
{
	char key[KEY_MAX];
	AUTO_FREE char *text = NULL;
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;
	key_of(blob, domain, key);
	if (store_doc_get(s->store, REPOS, key, &text, &none) < 0 ||
	    json_parse(text, strlen(text), &j, &none) < 0)
		return;
	for (size_t i = 0; i < json_len(j) && i < KNOWN_REPOS_MAX; i++) {
		const char *repo = json_str(json_at(j, i));
		if (repo)
			strs_push(ret, a, arena_strdup(a, repo));
	}
}

/* first (NULL: nothing) in front, the others behind it without `without`. */
static void write_repos(struct image_service *s, const char *domain, const struct digest *blob,
			const char *first, const struct strs *others, const char *without)
{
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	struct jw w = JW_INIT(&text);
	struct err none = ERR_INIT;
	char key[KEY_MAX];
	size_t n = 0;
	key_of(blob, domain, key);
	jw_arr(&w);
	if (first)
		jw_str(&w, first), n++;
	for (size_t i = 0; i < others->n && n < KNOWN_REPOS_MAX; i++)
		if (strcmp(others->v[i], without))
			jw_str(&w, others->v[i]), n++;
	jw_arr_end(&w);
	if (n)
		store_doc_put(s->store, REPOS, key, buf_text(&text), &none);
	else
		store_doc_del(s->store, REPOS, key, &none);
}

void known_add(struct image_service *s, const struct image_ref *ref, const struct digest *blob)
{
	AUTO(arena) struct arena *a = arena_new();
	struct strs repos = {0};
	known_repos(s, ref->domain, blob, a, &repos);
	if (!repos.n || strcmp(repos.v[0], ref->path))
		write_repos(s, ref->domain, blob, ref->path, &repos, ref->path);
}

void known_forget(struct image_service *s, const char *domain, const char *repo,
		  const struct digest *blob)
{
	AUTO(arena) struct arena *a = arena_new();
	struct strs repos = {0};
	known_repos(s, domain, blob, a, &repos);
	write_repos(s, domain, blob, NULL, &repos, repo);
}

void known_packed_put(struct image_service *s, const struct digest *source, const char *how,
		      const struct digest *blob, uint64_t size)
{
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	struct jw w = JW_INIT(&text);
	struct err none = ERR_INIT;
	char key[KEY_MAX];
	key_of(source, how, key);
	jw_obj(&w);
	jw_kv_str(&w, "digest", blob->text);
	jw_kv_u64(&w, "size", size);
	jw_obj_end(&w);
	store_doc_put(s->store, PACKED, key, buf_text(&text), &none);
}

bool known_packed_get(struct image_service *s, const struct digest *source, const char *how,
		      struct digest *ret, uint64_t *ret_size)
{
	AUTO_FREE char *text = NULL;
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;
	char key[KEY_MAX];
	key_of(source, how, key);
	if (store_doc_get(s->store, PACKED, key, &text, &none) < 0 ||
	    json_parse(text, strlen(text), &j, &none) < 0)
		return false;
	const char *digest = json_str(json_get(j, "digest"));
	*ret_size = json_u64(json_get(j, "size"));
	return digest && digest_parse(digest, ret) == 0;
}

struct sweep {
	struct image_service *s;
	struct arena *arena;
	struct strs gone;
};

static int collect(const char *key, const char *json, void *ud)
{
	struct sweep *w = ud;
	struct digest d;
	char text[DIGEST_TEXT_MAX];
	size_t n = strcspn(key, " ");
	if (n >= sizeof(text))
		return 0;
	memcpy(text, key, n);
	text[n] = '\0';
	if (digest_parse(text, &d) < 0 || !store_blob_has(w->s->store, &d, NULL))
		strs_push(&w->gone, w->arena, arena_strdup(w->arena, key));
	return 0;
}

void known_sweep(struct image_service *s)
{
	static const char *const kinds[] = {REPOS, PACKED};
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		AUTO(arena) struct arena *a = arena_new();
		struct sweep w = {.s = s, .arena = a};
		struct err none = ERR_INIT;
		store_doc_each(s->store, kinds[k], collect, &w, &none);
		for (size_t i = 0; i < w.gone.n; i++)
			store_doc_del(s->store, kinds[k], w.gone.v[i], &none);
	}
}
