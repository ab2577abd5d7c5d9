/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See registry-priv.h. A call goes to one source at a time: it waits for that source's session
 * (session.c), is repeated there while that makes sense, and moves on to the next source that can
 * do what it wants. What was received stays: the next answer goes on from that byte.
 */
#include "image/registry-priv.h"
#include "image/session-priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define ATTEMPTS_TOTAL	   40 /* that gained little */
#define LITTLE_BYTES	   ((uint64_t)64 << 10)
#define MIRROR_ATTEMPTS	   2
#define RETRY_AFTER_MAX	   60
#define AUTH_TRIES	   6
#define ERROR_BODY_MAX	   ((size_t)64 << 10)
#define HEADER_MAX	   ((size_t)66 << 10)
#define DOCUMENT_TIMEOUT_S 120

struct slot {
	struct registry *reg;
	struct session *session;
	unsigned accepted; /* the last generation of its token that the registry took for a call */
};

struct registry {
	unsigned refs;
	struct image_service *service;
	struct image_ref ref;
	struct auth_credentials auth;
	char actions[32];
	struct sources *sources; /* NULL: err says why */
	struct strs mounts;	 /* repositories blobs are mounted from; memory of the sources */
	size_t first;		 /* the only one that counts for a push */
	struct slot slots[SOURCES_MAX];
	struct err err;
	struct list calls;
};

struct registry_call {
	struct list link;
	struct registry *reg;
	struct registry_request q;
	char *path, *accept, *content_type, *content_range, *text;
	struct http_request *request;
	struct service_soon *timer;
	struct buf body;
	struct err err;	   /* decided inside a callback */
	size_t at;	   /* source */
	uint64_t received; /* delivered beyond q.offset */
	uint64_t skip;	   /* of this answer: bytes we already have */
	uint64_t gained_at;
	unsigned attempts, total, auth_tries, generation;
	bool no_range, started, waiting, stopped, flooded;
};

static void call_send(struct registry_call *c);

/* ---- the session ---- */

static void session_changed(void *ud)
{
	struct slot *slot = ud;
	struct registry *r = slot->reg;
	size_t at = (size_t)(slot - r->slots);
	while (slot->session && session_state(slot->session) != SESSION_BUSY) {
		struct registry_call *c = NULL;
		LIST_FOR_EACH (it, &r->calls) {
			struct registry_call *x = LIST_ENTRY(it, struct registry_call, link);
			if (x->waiting && x->at == at) {
				c = x;
				break;
			}
		}
		if (!c)
			return;
		c->waiting = false;
		call_send(c);
	}
}

/* The caller takes the risk for the registry itself, whatever the configuration says. */
static void allow_insecure(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->v[i].origin)
			continue;
		s->v[i].skip_verify = true;
		if (s->v[i].scheme == SOURCE_TLS)
			s->v[i].scheme = SOURCE_EITHER;
	}
}

/* A push goes to one place: the first source that takes one. */
static void choose_for_push(struct registry *r)
{
	while (r->first + 1 < r->sources->n && !r->sources->v[r->first].push)
		r->first++;
	r->sources->n = r->first + 1;
}

struct registry *registry_open(const struct registry_options *o)
{
	struct registry *r = NEW(struct registry);
	r->refs = 1;
	r->service = o->service;
	r->ref = *o->ref;
	if (o->auth)
		r->auth = *o->auth;
	snprintf(r->actions, sizeof(r->actions), "%s", o->actions);
	list_init(&r->calls);
	if (sources_find(o->service, o->ref, &r->sources, &r->err) < 0)
		return r;
	for (size_t i = 0; o->sources && i < o->sources->n; i++)
		strs_push(&r->mounts, r->sources->arena,
			  arena_strdup(r->sources->arena, o->sources->v[i]));
	if (o->insecure)
		allow_insecure(r->sources);
	if (strstr(r->actions, "push"))
		choose_for_push(r);
	for (size_t i = r->first; i < r->sources->n; i++) {
		bool last = i + 1 == r->sources->n;
		r->slots[i].reg = r;
		/* The user's password is for the registry, and no business of its mirrors. */
		r->slots[i].session = session_new(&(struct session_options){
			.service = o->service,
			.source = &r->sources->v[i],
			.auth = r->sources->v[i].origin ? &r->auth : NULL,
			.actions = r->actions,
			.mounts = &r->mounts,
			.offline = o->offline && r->sources->v[i].origin,
			.attempts = last ? o->service->settings.attempts : 1,
			.changed = session_changed,
			.ud = &r->slots[i]});
	}
	return r;
}

int registry_usable(const struct registry *r, struct err *e)
{
	if (r->sources)
		return 0;
	*e = r->err;
	return -1;
}

size_t registry_sources(const struct registry *r)
{
	return r->sources ? r->sources->n : 0;
}

struct registry *registry_hold(struct registry *r)
{
	r->refs++;
	return r;
}

/* The memory goes a turn later: a caller up the stack may be about to look at the session. */
void registry_close(struct registry *r)
{
	if (!r || --r->refs)
		return;
	while (!list_empty(&r->calls))
		registry_cancel(LIST_ENTRY(r->calls.next, struct registry_call, link));
	for (size_t i = 0; i < SOURCES_MAX; i++) {
		session_free(r->slots[i].session);
		r->slots[i].session = NULL;
	}
	auth_credentials_wipe(&r->auth);
	if (r->sources)
		sources_free(r->sources);
	r->sources = NULL;
	service_after(r->service, 0, free, r);
}

const char *registry_identity(const struct registry *r)
{
	return r->sources ? session_identity(r->slots[r->sources->n - 1].session) : "";
}

const char *registry_base(const struct registry *r)
{
	return r->sources ? session_base(r->slots[r->sources->n - 1].session) : "";
}

/* ---- calls ---- */

static void call_free(struct registry_call *c)
{
	list_del(&c->link);
	service_soon_cancel(c->timer);
	http_cancel(c->request);
	buf_done(&c->body);
	free(c->path);
	free(c->accept);
	free(c->content_type);
	free(c->content_range);
	free(c->text);
	free(c);
}

static void call_finish(struct registry_call *c, const struct http_response *resp,
			const struct err *e)
{
	struct registry_request q = c->q;
	struct http_response copy = {0};
	struct buf body = c->body;
	struct err err = e ? *e : ERR_INIT;
	if (resp)
		copy = *resp;
	c->body = BUF_INIT(0);
	c->request = NULL;
	call_free(c);
	q.done(q.ud, &copy, &body, e ? &err : NULL);
	buf_done(&body);
}

static void call_again(void *ud)
{
	struct registry_call *c = ud;
	c->timer = NULL;
	call_send(c);
}

static bool is_read(const struct registry_call *c)
{
	return !strcmp(c->q.method, "GET") || !strcmp(c->q.method, "HEAD");
}

static bool is_foreign(const struct registry_call *c)
{
	return strstr(c->path, "://") && is_read(c);
}

/* A whole URL that leads somewhere else than to the registry itself. */
static bool is_elsewhere(const struct registry_call *c)
{
	return is_foreign(c) && !str_starts(c->path, session_base(c->reg->slots[c->at].session));
}

/* The first source from `at` on that is good for this call; the number of sources when none is. */
static size_t next_source(const struct registry_call *c, size_t at)
{
	const struct sources *s = c->reg->sources;
	bool digest = str_starts(c->path, "blobs/") || strstr(c->path, "/sha256:") ||
		      strstr(c->path, "/sha512:");
	at = MAX(at, c->reg->first);
	if (is_foreign(c) || !strcmp(c->path, "/"))
		return at < s->n ? s->n - 1 : s->n;
	while (at < s->n && !(!is_read(c) ? s->v[at].push
			      : digest	  ? s->v[at].pull
					  : s->v[at].resolve))
		at++;
	return at;
}

static bool has_next(const struct registry_call *c)
{
	return !is_foreign(c) && next_source(c, c->at + 1) < c->reg->sources->n;
}

static void trail(struct registry_call *c)
{
	if (!c->q.trail)
		return;
	c->q.trail->source = c->at;
	c->q.trail->attempts++;
	c->q.trail->mixed = c->q.trail->mixed || c->received > 0;
}

/* This source is of no use: the next one, or the end. */
static void call_failed(struct registry_call *c, const struct http_response *resp,
			const struct err *e)
{
	if (!has_next(c)) {
		call_finish(c, resp, e);
		return;
	}
	log_debug("%s: %s; trying the next source", c->path, e->text);
	c->at = next_source(c, c->at + 1);
	c->attempts = c->auth_tries = 0;
	c->no_range = false;
	buf_reset(&c->body);
	c->body.overflow = false;
	err_clear(&c->err);
	c->timer = service_after(c->reg->service, 0, call_again, c);
}

static uint64_t call_position(const struct registry_call *c)
{
	return c->q.offset + c->received;
}

/* Content-Range of a 206 must start where we asked, in an object of the size we know. */
static bool range_agrees(const struct http_response *resp, uint64_t want, uint64_t size)
{
	char text[64];
	uint64_t total;
	const char *slash = strchr(resp->range, '/');
	snprintf(text, sizeof(text), "bytes %llu-", (unsigned long long)want);
	if (strncmp(resp->range, text, strlen(text)) != 0)
		return false;
	return !size || !slash || num_parse_u64(slash + 1, 0, UINT64_MAX, &total) < 0 ||
	       total == size;
}

static enum http_data call_data(void *ud, const struct http_response *resp, const void *p, size_t n)
{
	struct registry_call *c = ud;
	if (c->q.trail)
		c->q.trail->received += n;
	if (resp->status < 200 || resp->status > 299) {
		size_t room = MIN(ERROR_BODY_MAX, c->body.max) - c->body.n;
		buf_add(&c->body, p, MIN(n, room));
		c->flooded = n > room; /* enough to know what is wrong */
		return c->flooded ? HTTP_DATA_STOP : HTTP_DATA_OK;
	}
	c->auth_tries = 0;
	if (!c->q.data || c->q.max_body) {
		buf_add(&c->body, p, n);
		if (!c->body.overflow)
			return HTTP_DATA_OK;
		err_set(&c->err, ERR_LIMIT, "%s: the answer is larger than %zu bytes", c->path,
			c->q.max_body ? c->q.max_body : ERROR_BODY_MAX);
		c->stopped = true;
		return HTTP_DATA_STOP;
	}
	if (!c->started) {
		c->started = true;
		uint64_t at = call_position(c);
		if (resp->status == 206 && !range_agrees(resp, at, c->q.expect)) {
			err_set(&c->err, ERR_REMOTE,
				"%s: the registry answered with another range than asked for: "
				"\"%s\"",
				c->path, resp->range);
			c->stopped = true;
			return HTTP_DATA_STOP;
		}
		c->skip = resp->status == 206 ? 0 : at;
	}
	size_t drop = (size_t)MIN(c->skip, (uint64_t)n);
	if (n > drop) {
		enum http_data d = c->q.data(c->q.ud, (const char *)p + drop, n - drop);
		if (d != HTTP_DATA_OK) {
			c->stopped = c->stopped || d == HTTP_DATA_STOP;
			return d;
		}
	}
	c->skip -= drop;
	c->received += n - drop;
	return HTTP_DATA_OK;
}

static void call_sent(void *ud, uint64_t total)
{
	struct registry_call *c = ud;
	c->q.sent(c->q.ud, total);
}

/* Seconds that the registry asks us to wait, -1 when it does not. */
static int64_t asked_to_wait(const struct http_response *resp)
{
	if (resp->retry_after >= 0)
		return resp->retry_after;
	return resp->status == 429 && resp->rate_remaining == 0 ? resp->rate_reset : -1;
}

/* True when another attempt is on its way. */
static bool call_retry(struct registry_call *c, const struct http_response *resp)
{
	bool more = has_next(c);
	int64_t wait = asked_to_wait(resp);
	if (!is_read(c) || c->stopped)
		return false;
	if (c->received > c->gained_at)
		c->attempts = 0;
	if (c->received < c->gained_at + LITTLE_BYTES && ++c->total > ATTEMPTS_TOTAL)
		return false;
	c->gained_at = c->received;
	if (++c->attempts >= (more ? MIRROR_ATTEMPTS : c->reg->service->settings.attempts))
		return false;
	/* Somebody else may have it now; and nobody wants to look at a silent terminal for hours.
	 */
	if (wait > (more ? 0 : RETRY_AFTER_MAX))
		return false;
	unsigned ms = wait >= 0 ? (unsigned)wait * 1000 : 0;
	ms = MAX(ms, session_backoff(c->attempts));
	buf_reset(&c->body);
	c->body.overflow = false;
	if (c->q.waiting && ms >= 1000)
		c->q.waiting(c->q.ud, (ms + 999) / 1000);
	c->timer = service_after(c->reg->service, ms, call_again, c);
	return true;
}

static bool status_transient(long status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}

/* The token was not good (any more). True when the call goes on with another one. */
static bool call_unauthorized(struct registry_call *c, const struct http_response *resp)
{
	struct session *s = c->reg->slots[c->at].session;
	if (is_elsewhere(c) || c->auth_tries++ >= AUTH_TRIES)
		return false;
	bool fresh = session_state(s) == SESSION_READY && session_generation(s) == c->generation;
	bool was_good = c->reg->slots[c->at].accepted == c->generation;
	/* A new token that is refused at once will not get better; one that other calls used up or
	 * that expired may be replaced a few times. */
	if (fresh && !was_good && c->auth_tries > 1)
		return false;
	buf_reset(&c->body);
	if (fresh || session_state(s) == SESSION_BUSY) {
		c->waiting = true;
		/* May end this call before it returns, but not when it says no. */
		if (session_renew(s, resp->challenge, c->generation))
			return true;
		c->waiting = false;
		return false;
	}
	c->timer = service_after(c->reg->service, 0, call_again, c);
	return true;
}

static void call_done(void *ud, const struct http_response *resp, const struct err *e)
{
	struct registry_call *c = ud;
	struct err err = ERR_INIT;
	c->request = NULL;
	if (c->stopped && c->err.kind == ERR_NONE) {
		err_set(&err, ERR_CANCELLED, "the transfer was stopped");
		call_finish(c, resp, &err);
		return;
	}
	if (c->stopped) {
		c->stopped = false;
		err = c->err;
		call_failed(c, resp, &err);
		return;
	}
	if (e && !c->flooded) {
		err = *e;
		if (http_hopeless(e) || !call_retry(c, resp))
			call_failed(c, resp, &err);
		return;
	}
	c->flooded = false;
	if (resp->status == 401 && call_unauthorized(c, resp))
		return;
	if (resp->status != 401 && !is_elsewhere(c))
		c->reg->slots[c->at].accepted = c->generation;
	if (resp->status == 416 && !c->no_range) {
		c->no_range = true;
		if (call_retry(c, resp))
			return;
	}
	bool good = resp->status >= 200 && resp->status <= 299;
	if (!good && !c->q.any_status)
		registry_status_error(resp, &c->body, &err);
	if (status_transient(resp->status) && call_retry(c, resp))
		return;
	if (!good && !c->q.any_status) {
		call_failed(c, resp, &err);
		return;
	}
	if (c->q.expect && call_position(c) < c->q.expect) {
		err_set(&err, ERR_REMOTE,
			"%s: the registry sent %llu of %llu bytes: unexpected EOF", c->path,
			(unsigned long long)call_position(c), (unsigned long long)c->q.expect);
		if (!call_retry(c, resp))
			call_failed(c, resp, &err);
		return;
	}
	call_finish(c, resp, NULL);
}

static char *call_url(const struct registry_call *c, const struct source *v, const char *base)
{
	if (!strcmp(c->path, "/"))
		return xstrdup(base);
	if (strstr(c->path, "://"))
		return xstrdup(c->path);
	AUTO_BUF struct buf out = BUF_INIT(HEADER_MAX);
	buf_addf(&out, "%s%s/%s", base, v->repo, c->path);
	if (v->ns) {
		buf_addf(&out, "%cns=", strchr(c->path, '?') ? '&' : '?');
		auth_url_encode(v->ns, &out);
	}
	return buf_take(&out);
}

static void call_http(struct registry_call *c)
{
	struct registry *r = c->reg;
	struct session *s = r->slots[c->at].session;
	const struct source *v = &r->sources->v[c->at];
	AUTO_BUF struct buf auth = BUF_INIT(HEADER_MAX);
	AUTO_FREE char *accept = c->accept ? xasprintf("Accept: %s", c->accept) : NULL;
	AUTO_FREE char *type = c->content_type ? xasprintf("Content-Type: %s", c->content_type)
					       : NULL;
	AUTO_FREE char *part = c->content_range ? xasprintf("Content-Range: %s", c->content_range)
						: NULL;
	AUTO_FREE char *url = call_url(c, v, session_base(s));
	const char *headers[5] = {0}, *secrets[SOURCES_MAX + 2] = {0};
	char range[64];
	struct err e = ERR_INIT;
	size_t n = 0, k = 0;
	/* Secrets go to the registry's own host only; what is said about its TLS is for it only. */
	bool own = str_starts(url, session_base(s)), foreign = is_elsewhere(c);
	if (own && session_token(s)[0]) {
		buf_addf(&auth, "Authorization: %s", session_token(s));
		secrets[k++] = buf_text(&auth);
	}
	for (size_t i = 0; own && i < v->headers.n && k <= SOURCES_MAX; i++)
		secrets[k++] = v->headers.v[i];
	if (accept)
		headers[n++] = accept;
	if (type)
		headers[n++] = type;
	if (part)
		headers[n++] = part;
	if (call_position(c) && !c->no_range) {
		snprintf(range, sizeof(range), "Range: bytes=%llu-",
			 (unsigned long long)call_position(c));
		headers[n++] = range;
	}
	c->started = false;
	c->generation = session_generation(s);
	trail(c);
	struct http_options o = {.method = c->q.method,
				 .url = url,
				 .headers = headers,
				 .secret_headers = secrets,
				 .ca = foreign ? NULL : v->ca,
				 .certs = foreign ? NULL : &v->certs,
				 .insecure_tls = !foreign && v->skip_verify,
				 .timeout_s = c->q.max_body ? DOCUMENT_TIMEOUT_S : 0,
				 .body = c->text,
				 .body_fd = c->q.body_fd,
				 .body_size = c->q.body_size,
				 .body_offset = c->q.body_offset,
				 .data = call_data,
				 .sent = c->q.sent ? call_sent : NULL,
				 .done = call_done,
				 .ud = c};
	int rc = http_start(r->service->http, &o, &c->request, &e);
	if (auth.p)
		explicit_bzero(auth.p, auth.n);
	if (rc < 0)
		call_finish(c, NULL, &e);
}

static void call_send(struct registry_call *c)
{
	struct registry *r = c->reg;
	struct err e = ERR_INIT;
	if (!r->sources) {
		e = r->err;
		call_finish(c, NULL, &e);
		return;
	}
	if (c->at >= r->sources->n) {
		err_set(&e, ERR_SYSTEM, "no source of %s is configured for this", r->ref.domain);
		call_finish(c, NULL, &e);
		return;
	}
	struct session *s = r->slots[c->at].session;
	switch (session_state(s)) {
	case SESSION_NEW:
		c->waiting = true;
		session_start(s);
		break;
	case SESSION_BUSY:
		c->waiting = true;
		break;
	case SESSION_FAILED:
		e = *session_error(s);
		call_failed(c, NULL, &e);
		break;
	case SESSION_READY:
		call_http(c);
		break;
	}
}

void registry_start(struct registry *r, const struct registry_request *q,
		    struct registry_call **ret)
{
	struct registry_call *c = NEW(struct registry_call);
	c->reg = r;
	c->q = *q;
	c->path = xstrdup(q->path);
	c->accept = xstrdup(q->accept);
	c->content_type = xstrdup(q->content_type);
	c->content_range = xstrdup(q->content_range);
	c->text = xstrdup(q->body);
	c->body = BUF_INIT(q->max_body ? q->max_body : ERROR_BODY_MAX);
	if (r->sources)
		c->at = next_source(c, q->first_source);
	if (q->trail)
		*q->trail = (struct registry_trail){.source = c->at};
	list_add_tail(&r->calls, &c->link);
	*ret = c;
	c->timer = service_after(r->service, 0, call_again, c);
}

void registry_resume(struct registry_call *c)
{
	if (c->request)
		http_resume(c->request);
}

void registry_cancel(struct registry_call *c)
{
	if (c)
		call_free(c);
}
