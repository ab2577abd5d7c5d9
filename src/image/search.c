/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_search(): Docker's search of a registry (/v1/search) where it has one, else what its
 * catalogue (/v2/_catalog) lists, page by page. Names from a catalogue are given as they can be
 * pulled: "host/team/app".
 */
#include "image/registry-priv.h"
#include "image/service-priv.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define BODY_MAX  ((size_t)16 << 20)
#define PAGES_MAX 100
#define OUT_MAX	  ((size_t)1 << 20)

struct search {
	struct image_job job;
	struct image_ref ref;
	struct registry *registry;
	struct registry_call *call;
	struct buf out;
	struct jw w;
	char term[256];
	bool hub;
	unsigned limit, found, pages;
	int8_t official, automated; /* 0: any */
	int64_t stars;
};

static void catalog(struct search *s, const char *path);

static void search_drop(struct image_job *j)
{
	struct search *s = CONTAINER_OF(j, struct search, job);
	registry_cancel(s->call);
	registry_close(s->registry);
	buf_done(&s->out);
	free(s);
}

static void finish(struct search *s)
{
	jw_arr_end(&s->w);
	job_end(&s->job, buf_text(&s->out), NULL);
}

static void add(struct search *s, const char *name, const char *description, int64_t stars,
		bool official, bool automated)
{
	if (s->found >= s->limit || stars < s->stars ||
	    (s->official && official != (s->official > 0)) ||
	    (s->automated && automated != (s->automated > 0)))
		return;
	s->found++;
	jw_obj(&s->w);
	jw_kv_i64(&s->w, "star_count", stars);
	jw_kv_bool(&s->w, "is_official", official);
	jw_kv_str(&s->w, "name", name);
	jw_kv_bool(&s->w, "is_automated", automated);
	jw_kv_str(&s->w, "description", description ? description : "");
	jw_obj_end(&s->w);
}

/* </v2/_catalog?last=x&n=100>; rel="next" -> path with query; false at the end. */
static bool next_page(const char *link, char *ret, size_t n)
{
	const char *start = strchr(link, '<'), *end = start ? strchr(start, '>') : NULL;
	const char *query = start ? strstr(start, "/v2/_catalog?") : NULL;
	if (!end || !query || query > end || !strstr(end, "next"))
		return false;
	query += strlen("/v2/");
	return (size_t)snprintf(ret, n, "%.*s", (int)(end - query), query) < n;
}

static void catalog_done(void *ud, const struct http_response *resp, const struct buf *body,
			 const struct err *e)
{
	struct search *s = ud;
	struct err err = ERR_INIT;
	AUTO(json) struct json *j = NULL;
	char page[1024];
	s->call = NULL;
	if (e) {
		err = *e;
		if (err.kind == ERR_UNAUTHORIZED)
			err.kind = ERR_SYSTEM;
		if (resp->status == 404)
			err_set(&err, ERR_UNSUPPORTED, "the registry %s has no catalogue to search",
				s->ref.domain);
		job_end(&s->job, NULL, &err);
		return;
	}
	if (json_parse(buf_text(body), body->n, &j, &err) < 0) {
		err_wrap(&err, "catalogue of %s", s->ref.domain);
		job_end(&s->job, NULL, &err);
		return;
	}
	const struct json *list = json_get(j, "repositories");
	for (size_t i = 0; i < json_len(list); i++) {
		const char *name = json_str(json_at(list, i));
		if (!name || !strstr(name, s->term))
			continue;
		AUTO_FREE char *full = xasprintf("%s/%s", s->ref.domain, name);
		add(s, full, NULL, 0, false, false);
	}
	if (s->found < s->limit && ++s->pages < PAGES_MAX &&
	    next_page(resp->link, page, sizeof(page)))
		catalog(s, page);
	else
		finish(s);
}

static void catalog(struct search *s, const char *path)
{
	AUTO_FREE char *url = xasprintf("%s%s", registry_base(s->registry), path);
	struct registry_request q = {
		.method = "GET", .path = url, .max_body = BODY_MAX, .done = catalog_done, .ud = s};
	registry_start(s->registry, &q, &s->call);
}

static void v1_done(void *ud, const struct http_response *resp, const struct buf *body,
		    const struct err *e)
{
	struct search *s = ud;
	struct err none = ERR_INIT;
	AUTO(json) struct json *j = NULL;
	s->call = NULL;
	bool answer = !e && resp->status == 200 &&
		      json_parse(buf_text(body), body->n, &j, &none) == 0 &&
		      json_kind_of(json_get(j, "results")) == JSON_ARRAY;
	if (!answer && s->hub && e) {
		job_end(&s->job, NULL, e);
		return;
	}
	if (!answer) {
		catalog(s, "_catalog?n=1000");
		return;
	}
	const struct json *list = json_get(j, "results");
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *r = json_at(list, i);
		const char *name = json_str(json_get(r, "name"));
		if (name)
			add(s, name, json_str(json_get(r, "description")),
			    json_i64(json_get(r, "star_count")),
			    json_bool(json_get(r, "is_official")),
			    json_bool(json_get(r, "is_automated")));
	}
	finish(s);
}

static void ping_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct search *s = ud;
	AUTO_BUF struct buf url = BUF_INIT(4096);
	const char *base = registry_base(s->registry);
	s->call = NULL;
	if (e) {
		struct err err = *e;
		if (err.kind == ERR_UNAUTHORIZED)
			err.kind = ERR_SYSTEM; /* a 401 would make clients ask for a password */
		job_end(&s->job, NULL, &err);
		return;
	}
	if (s->hub)
		buf_adds(&url, "https://index." IMAGE_REF_HUB "/");
	else
		buf_add(&url, base, strlen(base) - strlen("v2/"));
	buf_adds(&url, "v1/search?q=");
	auth_url_encode(s->term, &url);
	buf_addf(&url, "&n=%u", s->limit);
	struct registry_request q = {.method = "GET",
				     .path = buf_text(&url),
				     .max_body = BODY_MAX,
				     .any_status = true,
				     .done = v1_done,
				     .ud = s};
	registry_start(s->registry, &q, &s->call);
}

/* is-official=true -> 1, false -> -1. */
static int flag(const struct filters *f, const char *name, int8_t *ret, struct err *e)
{
	const struct strs *v = f ? filters_get(f, name) : NULL;
	if (!v || !v->n)
		return 0;
	bool yes = !strcmp(v->v[0], "true") || !strcmp(v->v[0], "1");
	if (!yes && strcmp(v->v[0], "false") && strcmp(v->v[0], "0"))
		return err_set(e, ERR_INVALID, "invalid filter '%s=%.100s'", name, v->v[0]);
	*ret = yes ? 1 : -1;
	return 0;
}

static int take_filters(struct search *s, const struct filters *f, struct err *e)
{
	static const char *const allowed[] = {"is-automated", "is-official", "stars", NULL};
	const struct strs *stars = f ? filters_get(f, "stars") : NULL;
	if (f && filters_check(f, allowed, e) < 0)
		return -1;
	for (size_t i = 0; stars && i < stars->n; i++) {
		int64_t n;
		if (num_parse_i64(stars->v[i], 0, INT64_MAX, &n) < 0)
			return err_set(e, ERR_INVALID, "invalid filter 'stars=%.100s'",
				       stars->v[i]);
		s->stars = MAX(s->stars, n);
	}
	return flag(f, "is-official", &s->official, e) < 0
		       ? -1
		       : flag(f, "is-automated", &s->automated, e);
}

/* "host:5000/term", "term". */
static int take_term(struct search *s, const char *term, struct err *e)
{
	size_t n = strcspn(term, "/");
	bool host = term[n] && (memchr(term, '.', n) || memchr(term, ':', n) ||
				(n == 9 && !memcmp(term, "localhost", 9)));
	if (!*term || strstr(term, "://") || n >= sizeof(s->ref.domain) ||
	    strlen(term) >= sizeof(s->term))
		return err_set(e, ERR_INVALID, "invalid search term \"%.100s\"", term);
	snprintf(s->ref.domain, sizeof(s->ref.domain), "%.*s", (int)n, host ? term : "");
	if (!host)
		snprintf(s->ref.domain, sizeof(s->ref.domain), IMAGE_REF_HUB);
	snprintf(s->term, sizeof(s->term), "%s", host ? term + n + 1 : term);
	s->hub = !strcmp(s->ref.domain, IMAGE_REF_HUB);
	snprintf(s->ref.path, sizeof(s->ref.path), "%s", s->hub ? "library/search" : "search");
	return 0;
}

int image_search(struct image_service *service, const struct image_search *o,
		 const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct auth_credentials auth;
	if (o->limit < 0 || o->limit > 100)
		return err_set(e, ERR_INVALID, "limit %lld is outside the range of [1, 100]",
			       (long long)o->limit);
	if (auth_credentials_decode(o->auth, &auth, e) < 0)
		return -1;
	struct search *s = NEW(struct search);
	int rc = take_term(s, o->term, e);
	rc = rc ? rc : take_filters(s, o->filters, e);
	if (rc < 0) {
		auth_credentials_wipe(&auth);
		free(s);
		return -1;
	}
	job_init(&s->job, service, ev, search_drop);
	s->limit = o->limit ? (unsigned)o->limit : 25;
	s->out = BUF_INIT(OUT_MAX);
	s->w = JW_INIT(&s->out);
	jw_arr(&s->w);
	s->registry = registry_open(&(struct registry_options){
		.service = service, .ref = &s->ref, .auth = &auth, .actions = ""});
	auth_credentials_wipe(&auth);
	struct registry_request q = {.method = "GET", .path = "/", .done = ping_done, .ud = s};
	registry_start(s->registry, &q, &s->call);
	*ret = &s->job;
	return 0;
}
