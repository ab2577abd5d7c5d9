/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See registry-priv.h. Order of things: ping (https, then http where that is allowed) tells scheme
 * and challenge; a bearer token is fetched when asked for; calls wait meanwhile. A 401 later (token
 * expired, wider scope) fetches a new token once per attempt.
 */
#include "image/registry-priv.h"
#include "image/service-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define ATTEMPTS_MAX	6  /* without any byte gained */
#define ATTEMPTS_TOTAL	40 /* whatever was gained */
#define BACKOFF_MS	200u
#define RETRY_AFTER_MAX 60
#define TOKEN_MAX	((size_t)64 << 10)
#define ERROR_BODY_MAX	((size_t)64 << 10)
#define TOKEN_TIMEOUT_S 30
#define PING_TIMEOUT_S	30

enum state { STATE_NEW, STATE_PING, STATE_TOKEN, STATE_READY, STATE_FAILED };

struct registry {
	unsigned refs;
	struct image_service *service;
	struct image_ref ref;
	struct auth_credentials auth;
	char actions[32], host[256], base[300];
	enum state state;
	bool http; /* plain */
	bool insecure;
	struct auth_challenge challenge;
	struct buf token;	      /* "Bearer ..." */
	struct err err;		      /* STATE_FAILED */
	struct http_request *request; /* ping or token */
	struct buf body;
	struct list calls;
	char *ca, *cert, *key;
	struct arena *arena;
	struct strs sources;
};

struct registry_call {
	struct list link;
	struct registry *reg;
	struct registry_request q;
	char *path, *accept, *content_type, *content_range, *text, *url;
	struct http_request *request;
	struct service_soon *timer;
	struct buf body;
	struct err err;	   /* decided inside a callback */
	uint64_t received; /* delivered beyond q.offset */
	uint64_t skip;	   /* of this answer: bytes we already have */
	uint64_t gained_at;
	unsigned attempts, total, auth_tries;
	bool no_range, started, waiting, stopped;
};

static void call_send(struct registry_call *c);
static void registry_ping(struct registry *r);

/* ---- wording ---- */

static void status_error(const struct http_response *resp, const struct buf *body, struct err *e)
{
	struct err ignored = ERR_INIT;
	AUTO(json) struct json *j = NULL;
	enum err_kind kind = resp->status == 401   ? ERR_UNAUTHORIZED
			     : resp->status == 403 ? ERR_DENIED
			     : resp->status == 404 ? ERR_NOT_FOUND
						   : ERR_REMOTE;
	if (body->n && json_parse(buf_text(body), body->n, &j, &ignored) == 0) {
		struct json *first = json_at(json_get(j, "errors"), 0);
		const char *code = json_str(json_get(first, "code"));
		const char *msg = json_str(json_get(first, "message"));
		if (!code && json_str(json_get(j, "details"))) {
			msg = json_str(json_get(j, "details"));
			code = "unauthorized";
		}
		if (code) {
			char low[64];
			size_t i = 0;
			for (; code[i] && i < sizeof(low) - 1; i++)
				low[i] = code[i] == '_'			    ? ' '
					 : code[i] >= 'A' && code[i] <= 'Z' ? (char)(code[i] + 32)
									    : code[i];
			low[i] = '\0';
			err_set(e, kind, "%s: %.800s", low, msg && *msg ? msg : low);
			return;
		}
	}
	if (resp->status == 401)
		err_set(e, kind, "unauthorized: authentication required");
	else if (resp->status == 403)
		err_set(e, kind, "denied: requested access to the resource is denied");
	else if (resp->status == 404)
		err_set(e, kind, "not found: the registry answered 404");
	else if (resp->status == 429)
		err_set(e, kind, "toomanyrequests: too many requests");
	else
		err_set(e, kind, "received unexpected HTTP status: %ld", resp->status);
}

/* ---- the session ---- */

static char *optional_file(const struct registry *r, const char *name)
{
	struct stat st;
	if (!r->service->certs_dir)
		return NULL;
	char *path = xasprintf("%s/%s/%s", r->service->certs_dir, r->ref.domain, name);
	if (stat(path, &st) == 0)
		return path;
	free(path);
	return NULL;
}

struct registry *registry_open(const struct registry_options *o)
{
	struct registry *r = NEW(struct registry);
	r->refs = 1;
	r->service = o->service;
	r->ref = *o->ref;
	r->insecure = o->insecure || service_insecure(o->service, o->ref->domain);
	if (o->auth)
		r->auth = *o->auth;
	snprintf(r->actions, sizeof(r->actions), "%s", o->actions);
	snprintf(r->host, sizeof(r->host), "%s",
		 strcmp(r->ref.domain, IMAGE_REF_HUB) ? r->ref.domain : "registry-1.docker.io");
	r->token = BUF_INIT(TOKEN_MAX);
	r->body = BUF_INIT(TOKEN_MAX);
	r->ca = optional_file(r, "ca.crt");
	r->cert = optional_file(r, "client.cert");
	r->key = optional_file(r, "client.key");
	list_init(&r->calls);
	r->arena = arena_new();
	for (size_t i = 0; o->sources && i < o->sources->n; i++)
		strs_push(&r->sources, r->arena, arena_strdup(r->arena, o->sources->v[i]));
	if (r->auth.registry_token[0])
		buf_addf(&r->token, "Bearer %s", r->auth.registry_token);
	return r;
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
	http_cancel(r->request);
	r->request = NULL;
	while (!list_empty(&r->calls))
		registry_cancel(LIST_ENTRY(r->calls.next, struct registry_call, link));
	auth_credentials_wipe(&r->auth);
	if (r->token.p)
		explicit_bzero(r->token.p, r->token.n);
	buf_done(&r->token);
	buf_done(&r->body);
	free(r->ca);
	free(r->cert);
	free(r->key);
	r->ca = r->cert = r->key = NULL;
	arena_free(r->arena);
	service_after(r->service, 0, free, r);
}

const char *registry_base(const struct registry *r)
{
	return r->base;
}

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
	free(c->url);
	free(c);
}

static void call_finish(struct registry_call *c, const struct http_response *resp,
			const struct err *e)
{
	struct registry_request q = c->q;
	struct http_response copy = resp ? *resp : (struct http_response){0};
	struct buf body = c->body;
	struct err err = e ? *e : ERR_INIT;
	c->body = BUF_INIT(0);
	c->request = NULL;
	call_free(c);
	q.done(q.ud, &copy, &body, e ? &err : NULL);
	buf_done(&body);
}

/* Session state changed: everybody who waits goes on or fails. */
static void wake_calls(struct registry *r)
{
	while (r->state == STATE_READY || r->state == STATE_FAILED) {
		struct registry_call *c = NULL;
		LIST_FOR_EACH (it, &r->calls) {
			struct registry_call *x = LIST_ENTRY(it, struct registry_call, link);
			if (x->waiting) {
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

static void session_fail(struct registry *r, const struct err *e)
{
	r->state = STATE_FAILED;
	r->err = *e;
	wake_calls(r);
}

static enum http_data session_data(void *ud, const struct http_response *resp, const void *p,
				   size_t n)
{
	struct registry *r = ud;
	buf_add(&r->body, p, n);
	return r->body.overflow ? HTTP_DATA_STOP : HTTP_DATA_OK;
}

static void token_done(void *ud, const struct http_response *resp, const struct err *e)
{
	struct registry *r = ud;
	struct err err = ERR_INIT;
	AUTO(json) struct json *j = NULL;
	r->request = NULL;
	if (e) {
		session_fail(r, e);
		return;
	}
	if (resp->status < 200 || resp->status > 299) {
		status_error(resp, &r->body, &err);
		if (resp->status == 401 && r->auth.user[0])
			err_set(&err, ERR_UNAUTHORIZED,
				"unauthorized: incorrect username or password");
		session_fail(r, &err);
		return;
	}
	const char *token = NULL;
	if (json_parse(buf_text(&r->body), r->body.n, &j, &err) == 0) {
		token = json_str(json_get(j, "token"));
		if (!token || !*token)
			token = json_str(json_get(j, "access_token"));
	}
	if (!token || !*token || strpbrk(token, "\r\n")) {
		err_set(&err, ERR_REMOTE,
			"authorization server did not include a token in the response");
		session_fail(r, &err);
		return;
	}
	buf_reset(&r->token);
	buf_addf(&r->token, "Bearer %s", token);
	r->state = STATE_READY;
	wake_calls(r);
}

/* Ask the realm for a token; the state is STATE_TOKEN until it came. */
static void fetch_token(struct registry *r)
{
	AUTO_BUF struct buf url = BUF_INIT(8192), form = BUF_INIT(32 << 10),
			    header = BUF_INIT(16 << 10);
	const char *headers[3] = {0};
	struct err e = ERR_INIT;
	bool refresh = r->auth.identity_token[0];
	struct buf *args = refresh ? &form : &url;
	if (!refresh)
		buf_addf(&url, "%s%c", r->challenge.realm,
			 strchr(r->challenge.realm, '?') ? '&' : '?');
	else
		buf_adds(&url, r->challenge.realm);
	buf_adds(args, "service=");
	auth_url_encode(r->challenge.service, args);
	if (r->actions[0]) {
		AUTO_FREE char *scope = xasprintf("repository:%s:%s", r->ref.path, r->actions);
		buf_adds(args, "&scope=");
		auth_url_encode(scope, args);
	}
	for (size_t i = 0; i < r->sources.n; i++) {
		AUTO_FREE char *scope = xasprintf("repository:%s:pull", r->sources.v[i]);
		buf_adds(args, "&scope=");
		auth_url_encode(scope, args);
	}
	if (refresh) {
		buf_adds(&form, "&grant_type=refresh_token&client_id=coracle&refresh_token=");
		auth_url_encode(r->auth.identity_token, &form);
	} else if (r->auth.user[0]) {
		buf_adds(&url, "&account=");
		auth_url_encode(r->auth.user, &url);
		buf_adds(&header, "Authorization: ");
		auth_basic_value(&r->auth, &header);
		headers[0] = buf_text(&header);
	}
	r->state = STATE_TOKEN;
	buf_reset(&r->body);
	struct http_options o = {.method = refresh ? "POST" : "GET",
				 .url = buf_text(&url),
				 .headers = headers,
				 .body = refresh ? buf_text(&form) : NULL,
				 .ca_file = r->ca,
				 .insecure_tls = r->insecure,
				 .timeout_s = TOKEN_TIMEOUT_S,
				 .data = session_data,
				 .done = token_done,
				 .ud = r};
	if (http_start(r->service->http, &o, &r->request, &e) < 0)
		session_fail(r, &e);
}

/* The challenge is known: what is needed before calls can go out? */
static void session_ready(struct registry *r)
{
	if (r->challenge.scheme == AUTH_BEARER && !r->auth.registry_token[0]) {
		fetch_token(r);
		return;
	}
	if (r->challenge.scheme == AUTH_BASIC && !r->auth.user[0]) {
		struct err e = ERR_INIT;
		err_set(&e, ERR_UNAUTHORIZED, "Get \"%s\": no basic auth credentials", r->base);
		session_fail(r, &e);
		return;
	}
	if (r->challenge.scheme == AUTH_BASIC) {
		buf_reset(&r->token);
		auth_basic_value(&r->auth, &r->token);
	}
	r->state = STATE_READY;
	wake_calls(r);
}

static void ping_done(void *ud, const struct http_response *resp, const struct err *e)
{
	struct registry *r = ud;
	r->request = NULL;
	if (e && !r->http && r->insecure) {
		r->http = true;
		registry_ping(r);
		return;
	}
	if (e) {
		session_fail(r, e);
		return;
	}
	if (resp->status == 401)
		auth_challenge_parse(resp->challenge, &r->challenge);
	session_ready(r);
}

static void registry_ping(struct registry *r)
{
	struct err e = ERR_INIT;
	r->state = STATE_PING;
	buf_reset(&r->body);
	snprintf(r->base, sizeof(r->base), "http%s://%s/v2/", r->http ? "" : "s", r->host);
	struct http_options o = {.method = "GET",
				 .url = r->base,
				 .ca_file = r->ca,
				 .cert_file = r->cert,
				 .key_file = r->key,
				 .insecure_tls = r->insecure,
				 .timeout_s = PING_TIMEOUT_S,
				 .data = session_data,
				 .done = ping_done,
				 .ud = r};
	if (http_start(r->service->http, &o, &r->request, &e) < 0)
		session_fail(r, &e);
}

/* ---- calls ---- */

static uint64_t call_position(const struct registry_call *c)
{
	return c->q.offset + c->received;
}

/* Content-Range of a 206 must start where we asked. */
static bool range_agrees(const struct http_response *resp, uint64_t want)
{
	char text[64];
	snprintf(text, sizeof(text), "bytes %llu-", (unsigned long long)want);
	return !strncmp(resp->range, text, strlen(text));
}

static enum http_data call_data(void *ud, const struct http_response *resp, const void *p, size_t n)
{
	struct registry_call *c = ud;
	if (resp->status < 200 || resp->status > 299) {
		if (c->body.n < ERROR_BODY_MAX)
			buf_add(&c->body, p, MIN(n, ERROR_BODY_MAX - c->body.n));
		return HTTP_DATA_OK;
	}
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
		if (resp->status == 206 && !range_agrees(resp, at)) {
			err_set(&c->err, ERR_REMOTE,
				"%s: the registry answered with another range than asked for",
				c->path);
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

static void call_again(void *ud)
{
	struct registry_call *c = ud;
	c->timer = NULL;
	call_send(c);
}

/* True when another attempt is on its way. */
static bool call_retry(struct registry_call *c, const struct http_response *resp)
{
	bool get = !strcmp(c->q.method, "GET") || !strcmp(c->q.method, "HEAD");
	if (!get || c->stopped || ++c->total > ATTEMPTS_TOTAL)
		return false;
	if (c->received > c->gained_at)
		c->attempts = 0;
	c->gained_at = c->received;
	if (++c->attempts >= ATTEMPTS_MAX)
		return false;
	unsigned ms = BACKOFF_MS << (c->attempts - 1);
	if (resp->retry_after >= 0)
		ms = (unsigned)MIN(resp->retry_after, RETRY_AFTER_MAX) * 1000;
	buf_reset(&c->body);
	c->timer = service_after(c->reg->service, ms, call_again, c);
	return true;
}

static bool status_transient(long status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}

static bool call_unauthorized(struct registry_call *c, const struct http_response *resp)
{
	struct registry *r = c->reg;
	if (c->auth_tries++ || r->auth.registry_token[0])
		return false;
	struct auth_challenge now;
	auth_challenge_parse(resp->challenge, &now);
	if (now.scheme == AUTH_NONE ||
	    (now.scheme == AUTH_BASIC && r->challenge.scheme == AUTH_BASIC))
		return false;
	buf_reset(&c->body);
	c->waiting = true;
	if (r->state == STATE_READY) {
		r->challenge = now;
		session_ready(r);
	}
	return true;
}

static void call_done(void *ud, const struct http_response *resp, const struct err *e)
{
	struct registry_call *c = ud;
	struct err err = ERR_INIT;
	c->request = NULL;
	if (c->stopped) {
		if (c->err.kind == ERR_NONE)
			err_set(&c->err, ERR_CANCELLED, "the transfer was stopped");
		err = c->err;
		call_finish(c, resp, &err);
		return;
	}
	if (e) {
		if (!call_retry(c, resp))
			call_finish(c, resp, e);
		return;
	}
	if (resp->status == 401 && call_unauthorized(c, resp))
		return;
	if (resp->status == 416 && !c->no_range) {
		c->no_range = true;
		if (call_retry(c, resp))
			return;
	}
	if (status_transient(resp->status) && call_retry(c, resp))
		return;
	if (c->q.any_status || (resp->status >= 200 && resp->status <= 299)) {
		if (c->q.expect && call_position(c) < c->q.expect) {
			err_set(&err, ERR_REMOTE,
				"%s: the registry sent %llu of %llu bytes: unexpected EOF", c->path,
				(unsigned long long)call_position(c),
				(unsigned long long)c->q.expect);
			if (!call_retry(c, resp))
				call_finish(c, resp, &err);
			return;
		}
		call_finish(c, resp, NULL);
		return;
	}
	status_error(resp, &c->body, &err);
	call_finish(c, resp, &err);
}

static void call_http(struct registry_call *c)
{
	struct registry *r = c->reg;
	AUTO_BUF struct buf auth = BUF_INIT(TOKEN_MAX);
	AUTO_FREE char *accept = c->accept ? xasprintf("Accept: %s", c->accept) : NULL;
	AUTO_FREE char *type = c->content_type ? xasprintf("Content-Type: %s", c->content_type)
					       : NULL;
	AUTO_FREE char *part = c->content_range ? xasprintf("Content-Range: %s", c->content_range)
						: NULL;
	char range[64];
	const char *headers[8] = {0};
	struct err e = ERR_INIT;
	size_t n = 0;
	bool whole = strstr(c->path, "://") != NULL;
	free(c->url);
	if (!strcmp(c->path, "/"))
		c->url = xstrdup(r->base);
	else
		c->url = whole ? xstrdup(c->path)
			       : xasprintf("%s%s/%s", r->base, r->ref.path, c->path);
	/* Secrets go to the registry's own host only. */
	if (r->token.n && (!whole || str_starts(c->path, r->base))) {
		buf_addf(&auth, "Authorization: %s", buf_text(&r->token));
		headers[n++] = buf_text(&auth);
	}
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
	struct http_options o = {.method = c->q.method,
				 .url = c->url,
				 .headers = headers,
				 .ca_file = r->ca,
				 .cert_file = r->cert,
				 .key_file = r->key,
				 .insecure_tls = r->insecure,
				 .body = c->text,
				 .body_fd = c->q.body_fd,
				 .body_size = c->q.body_size,
				 .body_offset = c->q.body_offset,
				 .data = call_data,
				 .sent = c->q.sent ? call_sent : NULL,
				 .done = call_done,
				 .ud = c};
	if (http_start(r->service->http, &o, &c->request, &e) < 0)
		call_finish(c, NULL, &e);
}

static void call_send(struct registry_call *c)
{
	struct registry *r = c->reg;
	switch (r->state) {
	case STATE_NEW:
		c->waiting = true;
		registry_ping(r);
		break;
	case STATE_PING:
	case STATE_TOKEN:
		c->waiting = true;
		break;
	case STATE_FAILED: {
		struct err e = r->err;
		call_finish(c, NULL, &e);
		break;
	}
	case STATE_READY:
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
	c->body = BUF_INIT(MAX(q->max_body, ERROR_BODY_MAX));
	if (q->max_body)
		c->body.max = q->max_body;
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
