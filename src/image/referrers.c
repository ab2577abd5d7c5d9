/* SPDX-License-Identifier: Apache-2.0 */
/* See referrers-priv.h. */
#include "image/referrers-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FOUND_MAX 4096
#define PAGES_MAX 64

struct referrers {
	struct referrers_want want;
	struct registry_call *call;
	struct digest subject;
	struct objs found;
	unsigned pages;
	bool fallback;
};

void referrers_tag(const struct digest *d, const char *suffix, char ret[static 160])
{
	snprintf(ret, 160, "%.*s-%s%s", (int)(digest_hex(d) - d->text - 1), d->text, digest_hex(d),
		 suffix);
}

static void referrers_free(struct referrers *r)
{
	registry_cancel(r->call);
	registry_close(r->want.registry);
	free(r);
}

void referrers_cancel(struct referrers *r)
{
	if (r)
		referrers_free(r);
}

static void finish(struct referrers *r, const struct err *e)
{
	struct referrers_want w = r->want;
	struct objs found = r->found;
	struct err err = e ? *e : ERR_INIT;

	referrers_free(r);
	w.done(w.ud, e ? NULL : &found, e ? &err : NULL);
}

static bool wanted(const struct referrers *r, const struct oci_descriptor *d)
{
	const char *type = r->want.artifact_type;

	return !type || !*type || (d->artifact_type && !strcmp(d->artifact_type, type));
}

/* Registries may or may not filter: we always do. */
static int take_page(struct referrers *r, const struct buf *body, struct err *e)
{
	struct oci_index page;

	if (oci_index_decode(buf_text(body), body->n, &page, r->want.arena, e) < 0)
		return err_wrap(e, "referrers of %s", r->subject.text);
	if (page.manifests.n > FOUND_MAX - r->found.n)
		return err_set(e, ERR_LIMIT, "referrers of %s: at most %d are accepted",
			       r->subject.text, FOUND_MAX);
	struct oci_descriptor *all = arena_alloc(
		r->want.arena, (r->found.n + page.manifests.n + 1) * sizeof(*all));
	if (r->found.n)
		memcpy(all, r->found.v, r->found.n * sizeof(*all));
	for (size_t i = 0; i < page.manifests.n; i++)
		if (wanted(r, oci_descriptor_at(&page.manifests, i)))
			all[r->found.n++] = *oci_descriptor_at(&page.manifests, i);
	r->found.v = all;
	r->found.set = true;
	return 0;
}

/* <URL>; rel="next", relative to the registry; an address elsewhere is not followed. */
static bool next_url(const struct referrers *r, const char *link, struct buf *out)
{
	const char *from = strchr(link, '<'), *to = from ? strchr(from, '>') : NULL;
	const char *base = registry_base(r->want.registry), *host = strstr(base, "://") + 3;

	if (!to || !strstr(to, "rel=\"next\""))
		return false;
	from++;
	if (*from == '/' && from[1] != '/')
		buf_add(out, base, (size_t)(host - base) + strcspn(host, "/"));
	else if (!str_starts(from, base))
		return false;
	buf_add(out, from, (size_t)(to - from));
	return true;
}

static void ask(struct referrers *r, const char *path);

static void ask_fallback(struct referrers *r)
{
	char tag[160];
	AUTO_BUF struct buf path = BUF_INIT(256);

	r->fallback = true;
	referrers_tag(&r->subject, "", tag);
	buf_addf(&path, "manifests/%s", tag);
	ask(r, buf_text(&path));
}

static void page_done(void *ud, const struct http_response *resp, const struct buf *body,
		      const struct err *e)
{
	struct referrers *r = ud;
	struct err err = ERR_INIT;
	AUTO_BUF struct buf url = BUF_INIT(2048);
	bool ok = !e && resp->status >= 200 && resp->status <= 299;
	/* A registry without the API answers with any of these, or with a page for people. */
	bool absent = !e && (resp->status == 400 || resp->status == 404 || resp->status == 405 ||
			     resp->status == 406 || resp->status == 501 ||
			     (ok && !strstr(resp->content_type, "json")));

	r->call = NULL;
	if (e) {
		finish(r, e);
	} else if (absent && !r->fallback && !r->pages) {
		ask_fallback(r);
	} else if (absent && r->fallback && resp->status != 200) {
		finish(r, NULL);
	} else if (!ok) {
		err_set(&err, ERR_REMOTE, "referrers of %s: the registry answered with status %ld",
			r->subject.text, resp->status);
		finish(r, &err);
	} else if (take_page(r, body, &err) < 0) {
		finish(r, &err);
	} else if (r->fallback || !next_url(r, resp->link, &url)) {
		finish(r, NULL);
	} else if (++r->pages < PAGES_MAX) {
		ask(r, buf_text(&url));
	} else {
		err_set(&err, ERR_LIMIT, "referrers of %s: a list of more than %d pages",
			r->subject.text, PAGES_MAX);
		finish(r, &err);
	}
}

static void ask(struct referrers *r, const char *path)
{
	struct registry_request q = {.method = "GET",
				     .path = path,
				     .accept = OCI_INDEX_TYPE,
				     .max_body = IMAGE_MANIFEST_MAX,
				     .done = page_done,
				     .any_status = true,
				     .ud = r};
	registry_start(r->want.registry, &q, &r->call);
}

struct referrers *referrers_get(const struct referrers_want *w)
{
	struct referrers *r = NEW(struct referrers);
	AUTO_BUF struct buf path = BUF_INIT(2048);

	r->want = *w;
	r->want.registry = registry_hold(w->registry);
	r->subject = *w->subject;
	buf_addf(&path, "referrers/%s", r->subject.text);
	if (w->artifact_type && *w->artifact_type) {
		buf_adds(&path, "?artifactType=");
		auth_url_encode(w->artifact_type, &path);
	}
	ask(r, buf_text(&path));
	return r;
}
