/* SPDX-License-Identifier: Apache-2.0 */
/* See session-priv.h. Ping (https, then http where that is allowed) -> challenge -> token. */
#include "image/session-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

#define BACKOFF_MS	300u
#define BACKOFF_MAX_MS	10000u
#define TOKEN_MAX	((size_t)64 << 10)
#define TOKEN_TIMEOUT_S 30
#define PING_TIMEOUT_S	30

struct session {
	struct session_options o;
	enum session_state state;
	bool plain, pinged; /* http; base and challenge are known */
	unsigned attempt, generation;
	struct auth_challenge challenge;
	struct buf token, body;
	char *base, *refresh; /* refresh: the identity token, or its successor */
	struct err err;
	struct http_request *request;
	struct service_soon *timer;
};

static void ping(void *ud);
static void fetch_token(void *ud);

unsigned session_backoff(unsigned attempt)
{
	uint32_t random = 0;
	unsigned ms = BACKOFF_MS;
	while (--attempt && ms < BACKOFF_MAX_MS)
		ms *= 2;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	ms = MIN(ms, BACKOFF_MAX_MS);
	return ms * 3 / 4 + random % (ms / 2);
}

static void set_state(struct session *s, enum session_state state)
{
	s->state = state;
	s->o.changed(s->o.ud);
}

static void fail(struct session *s, const struct err *e)
{
	s->err = *e;
	set_state(s, SESSION_FAILED);
}

/* Once more after a while; false when there were enough attempts. */
static bool again(struct session *s, void (*fn)(void *ud))
{
	if (++s->attempt >= s->o.attempts)
		return false;
	s->timer = service_after(s->o.service, session_backoff(s->attempt), fn, s);
	return true;
}

static enum http_data on_data(void *ud, const struct http_response *resp, const void *p, size_t n)
{
	struct session *s = ud;
	buf_add(&s->body, p, n);
	return s->body.overflow ? HTTP_DATA_STOP : HTTP_DATA_OK;
}

static void start(struct session *s, struct http_options *h)
{
	const struct source *v = s->o.source;
	struct err e = ERR_INIT;
	s->state = SESSION_BUSY;
	s->timer = NULL;
	buf_reset(&s->body);
	s->body.overflow = false;
	h->ca = v->ca;
	h->certs = &v->certs;
	h->insecure_tls = v->skip_verify;
	h->data = on_data;
	h->ud = s;
	if (http_start(s->o.service->http, h, &s->request, &e) < 0)
		fail(s, &e);
}

/* ---- tokens ---- */

static void ready(struct session *s)
{
	s->attempt = 0;
	s->generation++;
	set_state(s, SESSION_READY);
}

static void take_token(struct session *s)
{
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;
	const char *token = NULL, *refresh = NULL;
	if (json_parse(buf_text(&s->body), s->body.n, &j, &e) == 0) {
		token = json_str(json_get(j, "token"));
		if (!token || !*token)
			token = json_str(json_get(j, "access_token"));
		refresh = json_str(json_get(j, "refresh_token"));
	}
	if (!token || !*token || strpbrk(token, "\r\n")) {
		err_set(&e, ERR_REMOTE,
			"authorization server did not include a token in the response");
		fail(s, &e);
		return;
	}
	bool keepable = refresh && *refresh &&
			strlen(refresh) < sizeof(((struct auth_credentials *)0)->identity_token);
	if ((s->refresh || s->o.offline) && keepable) {
		if (s->refresh)
			explicit_bzero(s->refresh, strlen(s->refresh));
		free(s->refresh);
		s->refresh = xstrdup(refresh);
	}
	buf_reset(&s->token);
	buf_addf(&s->token, "Bearer %s", token);
	explicit_bzero(s->body.p, s->body.n);
	ready(s);
}

static void token_done(void *ud, const struct http_response *resp, const struct err *e)
{
	struct session *s = ud;
	struct err err = ERR_INIT;
	s->request = NULL;
	bool moment = e ? !http_hopeless(e) && e->kind != ERR_CANCELLED
			: resp->status == 429 || resp->status >= 500;
	if (moment && again(s, fetch_token))
		return;
	if (e) {
		fail(s, e);
		return;
	}
	if (resp->status >= 200 && resp->status <= 299) {
		take_token(s);
		return;
	}
	registry_status_error(resp, &s->body, &err);
	if (resp->status == 401 && s->o.auth && s->o.auth->user[0])
		err_set(&err, ERR_UNAUTHORIZED, "unauthorized: incorrect username or password");
	fail(s, &err);
}

/* One more scope. A query repeats the parameter, OAuth2's form has all of them in one. */
static void add_scope(const struct session *s, const char *scope, bool *any, struct buf *args)
{
	buf_adds(args, *any && s->refresh ? "%20" : "&scope=");
	auth_url_encode(scope, args);
	*any = true;
}

static void add_scopes(const struct session *s, struct buf *args)
{
	AUTO_FREE char *own = s->o.actions[0] ? xasprintf("repository:%s:%s", s->o.source->repo,
							  s->o.actions)
					      : NULL;
	const char *asked = s->challenge.scope;
	bool any = false;
	if (own)
		add_scope(s, own, &any, args);
	for (size_t i = 0; i < s->o.mounts->n; i++) {
		AUTO_FREE char *mount = xasprintf("repository:%s:pull", s->o.mounts->v[i]);
		add_scope(s, mount, &any, args);
	}
	/* What the registry wants besides: a catalogue, a repository it keeps the blob in. */
	if (*asked && (!own || strcmp(asked, own)))
		add_scope(s, asked, &any, args);
}

/* Ask the realm: with a refresh token by OAuth2's POST, else by GET with or without a password. */
static void fetch_token(void *ud)
{
	struct session *s = ud;
	AUTO_BUF struct buf url = BUF_INIT(8192), form = BUF_INIT(32 << 10),
			    header = BUF_INIT(16 << 10);
	const char *secrets[2] = {0};
	const char *realm = s->challenge.realm;
	struct buf *args = s->refresh ? &form : &url;
	buf_adds(&url, realm);
	if (!s->refresh)
		buf_addc(&url, strchr(realm, '?') ? '&' : '?');
	buf_adds(args, "service=");
	auth_url_encode(s->challenge.service, args);
	add_scopes(s, args);
	if (s->refresh) {
		buf_adds(&form, "&grant_type=refresh_token&client_id=coracle&refresh_token=");
		auth_url_encode(s->refresh, &form);
		buf_adds(&form, s->o.offline ? "&access_type=offline" : "");
	} else if (s->o.auth && s->o.auth->user[0]) {
		if (s->o.offline)
			buf_adds(&url, "&offline_token=true&client_id=coracle");
		buf_adds(&url, "&account=");
		auth_url_encode(s->o.auth->user, &url);
		buf_adds(&header, "Authorization: ");
		auth_basic_value(s->o.auth, &header);
		secrets[0] = buf_text(&header);
	}
	struct http_options h = {.method = s->refresh ? "POST" : "GET",
				 .url = buf_text(&url),
				 .secret_headers = secrets,
				 .body = s->refresh ? buf_text(&form) : NULL,
				 .timeout_s = TOKEN_TIMEOUT_S,
				 .done = token_done};
	start(s, &h);
	if (form.p)
		explicit_bzero(form.p, form.n);
	if (header.p)
		explicit_bzero(header.p, header.n);
}

/* The challenge is known: what is needed before calls can go out? */
static void use_challenge(struct session *s)
{
	const struct auth_credentials *auth = s->o.auth;
	if (s->challenge.scheme == AUTH_BEARER && !(auth && auth->registry_token[0])) {
		fetch_token(s);
		return;
	}
	if (s->challenge.scheme == AUTH_BASIC && !(auth && auth->user[0])) {
		struct err e = ERR_INIT;
		err_set(&e, ERR_UNAUTHORIZED, "Get \"%s\": no basic auth credentials", s->base);
		fail(s, &e);
		return;
	}
	if (s->challenge.scheme == AUTH_BASIC) {
		buf_reset(&s->token);
		auth_basic_value(auth, &s->token);
	}
	ready(s);
}

bool session_renew(struct session *s, const char *challenge, unsigned generation)
{
	struct auth_challenge now;
	if (s->state != SESSION_READY || s->generation != generation)
		return true; /* a new token is there or on its way */
	auth_challenge_parse(challenge, &now);
	if (now.scheme == AUTH_NONE || (s->o.auth && s->o.auth->registry_token[0]) ||
	    (now.scheme == AUTH_BASIC && s->challenge.scheme == AUTH_BASIC))
		return false;
	s->challenge = now;
	use_challenge(s);
	return true;
}

/* ---- ping ---- */

static void ping_done(void *ud, const struct http_response *resp, const struct err *e)
{
	struct session *s = ud;
	s->request = NULL;
	if (e && !s->plain && s->o.source->scheme == SOURCE_EITHER && e->sys != EKEYREJECTED &&
	    e->sys != ECONNRESET /* it does speak TLS */) {
		s->plain = true;
		ping(s);
		return;
	}
	bool hopeless = e && (e->sys == ECONNREFUSED || e->sys == EHOSTUNREACH ||
			      http_hopeless(e) || e->sys == EPROTO || e->kind == ERR_CANCELLED);
	if (e && !hopeless) {
		s->plain = s->o.source->scheme == SOURCE_PLAIN;
		if (again(s, ping))
			return;
	}
	if (e) {
		fail(s, e);
		return;
	}
	s->attempt = 0;
	if (resp->status == 401)
		auth_challenge_parse(resp->challenge, &s->challenge);
	use_challenge(s);
}

static void ping(void *ud)
{
	struct session *s = ud;
	const struct source *v = s->o.source;
	const char *headers[SOURCES_MAX + 1] = {0};
	for (size_t i = 0; i < v->headers.n && i < SOURCES_MAX; i++)
		headers[i] = v->headers.v[i];
	free(s->base);
	s->base = xasprintf("http%s://%s%s/", s->plain ? "" : "s", v->host, v->path);
	struct http_options h = {.method = "GET",
				 .url = s->base,
				 .secret_headers = headers,
				 .timeout_s = PING_TIMEOUT_S,
				 .done = ping_done};
	start(s, &h);
}

void session_start(struct session *s)
{
	s->plain = s->o.source->scheme == SOURCE_PLAIN;
	ping(s);
}

/* ---- the object ---- */

struct session *session_new(const struct session_options *o)
{
	struct session *s = NEW(struct session);
	s->o = *o;
	s->token = BUF_INIT(TOKEN_MAX);
	s->body = BUF_INIT(TOKEN_MAX);
	if (o->auth && o->auth->registry_token[0])
		buf_addf(&s->token, "Bearer %s", o->auth->registry_token);
	else if (o->auth && o->auth->identity_token[0])
		s->refresh = xstrdup(o->auth->identity_token);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	http_cancel(s->request);
	service_soon_cancel(s->timer);
	if (s->token.p)
		explicit_bzero(s->token.p, s->token.n);
	if (s->refresh)
		explicit_bzero(s->refresh, strlen(s->refresh));
	buf_done(&s->token);
	buf_done(&s->body);
	free(s->base);
	free(s->refresh);
	free(s);
}

enum session_state session_state(const struct session *s)
{
	return s->state;
}

const struct err *session_error(const struct session *s)
{
	return &s->err;
}

unsigned session_generation(const struct session *s)
{
	return s->generation;
}

const char *session_base(const struct session *s)
{
	return s->base ? s->base : "";
}

const char *session_token(const struct session *s)
{
	return buf_text(&s->token);
}

const char *session_identity(const struct session *s)
{
	return s->refresh ? s->refresh : "";
}
