/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http-priv.h. libcurl asks for sockets to watch (one uv_poll each) and one timer; finished
 * transfers are collected after every call into it. Cancelling inside one of libcurl's callbacks is
 * put off until the callback returns.
 */
#include "image/http-priv.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/num.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

#define RECEIVE_BYTES	(256L << 10)
#define STALL_SECONDS	60L
#define CONNECT_SECONDS 20L
#define USER_AGENT	"docker/28.0.0 (linux) coracle/" CORACLE_VERSION

struct http {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct list requests;
	unsigned sockets; /* uv handles still open */
	bool closing, timer_open;
};

struct http_request {
	struct list link;
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	struct http_options o;
	struct http_response resp;
	char *url, *method;
	uint64_t sent;
	bool in_callback, cancelled, stopped;
};

struct sock {
	uv_poll_t poll;
	curl_socket_t fd;
	struct http *http;
};

static void collect(struct http *h);

static void http_maybe_free(struct http *h)
{
	if (h->closing && !h->sockets && !h->timer_open)
		free(h);
}

static void request_free(struct http_request *r)
{
	list_del(&r->link);
	if (r->http->multi)
		curl_multi_remove_handle(r->http->multi, r->easy);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	free(r->url);
	free(r->method);
	free(r);
}

/* ---- libcurl's event interface ---- */

static void sock_closed(uv_handle_t *h)
{
	struct sock *s = h->data;
	s->http->sockets--;
	http_maybe_free(s->http);
	free(s);
}

static void on_socket(uv_poll_t *p, int status, int events)
{
	struct sock *s = p->data;
	struct http *h = s->http;
	int flags = 0, running;
	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(h->multi, s->fd, flags, &running);
	collect(h);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *ud, void *sp)
{
	struct http *h = ud;
	struct sock *s = sp;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			uv_poll_stop(&s->poll);
			uv_close((uv_handle_t *)&s->poll, sock_closed);
			curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	if (!s) {
		s = NEW(struct sock);
		s->fd = fd;
		s->http = h;
		s->poll.data = s;
		if (uv_poll_init(h->loop, &s->poll, fd) < 0) {
			free(s);
			return -1;
		}
		h->sockets++;
		curl_multi_assign(h->multi, fd, s);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) |
		     (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	if (events)
		uv_poll_start(&s->poll, events, on_socket);
	else
		uv_poll_stop(&s->poll);
	return 0;
}

static void on_timer(uv_timer_t *t)
{
	struct http *h = t->data;
	int running;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(h);
}

static int want_timer(CURLM *multi, long ms, void *ud)
{
	struct http *h = ud;
	if (h->closing)
		return 0;
	if (ms < 0)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

/* ---- texts of failures, as Go's HTTP client words them ---- */

static void host_of(const char *url, char *host, size_t host_n, char *port, size_t port_n)
{
	CURLU *u = curl_url();
	char *h = NULL, *p = NULL;
	if (u && !curl_url_set(u, CURLUPART_URL, url, 0)) {
		curl_url_get(u, CURLUPART_HOST, &h, 0);
		curl_url_get(u, CURLUPART_PORT, &p, CURLU_DEFAULT_PORT);
	}
	snprintf(host, host_n, "%s", h ? h : "");
	snprintf(port, port_n, "%s", p ? p : "");
	curl_free(h);
	curl_free(p);
	curl_url_cleanup(u);
}

static void describe(struct http_request *r, CURLcode code, struct err *e)
{
	char host[256], port[16], verb[16], what[512];
	long os = 0;
	host_of(r->url, host, sizeof(host), port, sizeof(port));
	curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &os);
	snprintf(verb, sizeof(verb), "%c%.14s", r->method[0], r->method + 1);
	for (char *c = verb + 1; *c; c++)
		*c |= 0x20;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(what, sizeof(what), "dial tcp: lookup %s: no such host", host);
		break;
	case CURLE_COULDNT_CONNECT:
		snprintf(what, sizeof(what), "dial tcp %s:%s: connect: %s", host, port,
			 os == ECONNREFUSED || !os ? "connection refused"
			 : os == ENETUNREACH	   ? "network is unreachable"
			 : os == EHOSTUNREACH	   ? "no route to host"
						   : strerror((int)os));
		break;
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(what, sizeof(what), "%s",
			 r->resp.status ? "net/http: timeout awaiting the rest of the body"
					: "net/http: request canceled while waiting for connection "
					  "(Client.Timeout exceeded while awaiting headers)");
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(what, sizeof(what), "tls: failed to verify certificate: x509: %s",
			 "certificate signed by unknown authority or not valid for this host");
		break;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(what, sizeof(what), "http: server gave HTTP response to HTTPS client");
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		snprintf(what, sizeof(what), "%s",
			 code == CURLE_GOT_NOTHING ? "EOF" : "unexpected EOF");
		break;
	case CURLE_TOO_MANY_REDIRECTS:
		snprintf(what, sizeof(what), "stopped after 10 redirects");
		break;
	default:
		snprintf(what, sizeof(what), "%s", curl_easy_strerror(code));
	}
	err_set(e, ERR_REMOTE, "%s \"%.800s\": %s", verb, r->url, what);
	e->sys = code == CURLE_COULDNT_CONNECT	   ? ECONNREFUSED
		 : code == CURLE_SSL_CONNECT_ERROR ? EPROTO
						   : 0;
}

static void finish(struct http_request *r, CURLcode code)
{
	struct err e = ERR_INIT;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &r->resp.status);
	bool failed = code != CURLE_OK && !r->stopped;
	if (failed)
		describe(r, code, &e);
	if (r->stopped) {
		err_set(&e, ERR_CANCELLED, "the transfer was stopped");
		failed = true;
	}
	bool silent = r->cancelled;
	struct http_options o = r->o;
	struct http_response *resp = &r->resp;
	list_del(&r->link);
	if (!silent)
		o.done(o.ud, resp, failed ? &e : NULL);
	request_free(r);
}

static void collect(struct http *h)
{
	CURLMsg *m;
	int left;
	while (!h->closing && (m = curl_multi_info_read(h->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		struct http_request *r = NULL;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		curl_multi_remove_handle(h->multi, m->easy_handle);
		finish(r, code);
	}
}

/* ---- one transfer ---- */

static bool header_is(const char *p, size_t n, const char *name, struct str *ret)
{
	size_t k = strlen(name);
	if (n <= k || p[k] != ':' || strncasecmp(p, name, k))
		return false;
	p += k + 1;
	n -= k + 1;
	while (n && (*p == ' ' || *p == '\t'))
		p++, n--;
	while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' '))
		n--;
	*ret = (struct str){p, n};
	return true;
}

static void keep(char *to, size_t size, struct str v)
{
	snprintf(to, size, "%.*s", (int)MIN(v.n, size - 1), v.p);
}

static size_t on_header(char *p, size_t size, size_t n, void *ud)
{
	struct http_request *r = ud;
	struct str v;
	uint64_t num;
	char text[32];
	n *= size;
	if (n > 5 && !strncasecmp(p, "HTTP/", 5)) {
		memset(&r->resp, 0, sizeof(r->resp)); /* a new answer: redirect or 100 */
		r->resp.content_length = r->resp.retry_after = -1;
	} else if (header_is(p, n, "Content-Type", &v)) {
		const char *semi = memchr(v.p, ';', v.n);
		if (semi)
			v.n = (size_t)(semi - v.p);
		keep(r->resp.content_type, sizeof(r->resp.content_type), v);
	} else if (header_is(p, n, "WWW-Authenticate", &v)) {
		size_t have = strlen(r->resp.challenge);
		snprintf(r->resp.challenge + have, sizeof(r->resp.challenge) - have, "%s%.*s",
			 have ? ", " : "", (int)MIN(v.n, (size_t)1500), v.p);
	} else if (header_is(p, n, "Docker-Content-Digest", &v)) {
		keep(r->resp.digest, sizeof(r->resp.digest), v);
	} else if (header_is(p, n, "Location", &v)) {
		keep(r->resp.location, sizeof(r->resp.location), v);
	} else if (header_is(p, n, "Link", &v)) {
		keep(r->resp.link, sizeof(r->resp.link), v);
	} else if (header_is(p, n, "Content-Range", &v)) {
		keep(r->resp.range, sizeof(r->resp.range), v);
	} else if (header_is(p, n, "Range", &v)) {
		keep(r->resp.uploaded, sizeof(r->resp.uploaded), v);
	} else if (header_is(p, n, "OCI-Chunk-Min-Length", &v)) {
		keep(text, sizeof(text), v);
		if (num_parse_u64(text, 0, INT64_MAX, &num) == 0)
			r->resp.chunk_min = num;
	} else if (header_is(p, n, "Content-Length", &v)) {
		keep(text, sizeof(text), v);
		if (num_parse_u64(text, 0, INT64_MAX, &num) == 0)
			r->resp.content_length = (int64_t)num;
	} else if (header_is(p, n, "Retry-After", &v)) {
		keep(text, sizeof(text), v);
		if (num_parse_u64(text, 0, 86400, &num) == 0)
			r->resp.retry_after = (int)num;
	}
	return n;
}

static size_t on_data(char *p, size_t size, size_t n, void *ud)
{
	struct http_request *r = ud;
	n *= size;
	if (r->cancelled)
		return 0;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &r->resp.status);
	if (r->resp.status >= 300 && r->resp.status < 400)
		return n; /* body of a redirect */
	r->in_callback = true;
	enum http_data d = r->o.data ? r->o.data(r->o.ud, &r->resp, p, n) : HTTP_DATA_OK;
	r->in_callback = false;
	if (d == HTTP_DATA_STOP)
		r->stopped = true;
	if (d == HTTP_DATA_PAUSE && !r->cancelled)
		return CURL_WRITEFUNC_PAUSE;
	return d == HTTP_DATA_STOP || r->cancelled ? 0 : n;
}

static size_t on_body(char *p, size_t size, size_t n, void *ud)
{
	struct http_request *r = ud;
	size_t want = (size_t)MIN((uint64_t)(size * n), r->o.body_size - r->sent);
	ssize_t got = want ? pread(r->o.body_fd, p, want, (off_t)(r->o.body_offset + r->sent)) : 0;
	if (got < 0 || (want && !got))
		return CURL_READFUNC_ABORT;
	r->sent += (uint64_t)got;
	if (r->o.sent && !r->cancelled)
		r->o.sent(r->o.ud, r->sent);
	return (size_t)got;
}

/* Rewind for a redirect or a repeated request. */
static int on_seek(void *ud, curl_off_t at, int origin)
{
	struct http_request *r = ud;
	if (origin != SEEK_SET || at < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	r->sent = (uint64_t)at;
	return CURL_SEEKFUNC_OK;
}

static void set_body(struct http_request *r, const struct http_options *o)
{
	CURL *c = r->easy;
	if (!strcmp(o->method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (o->body_fd > 0 && !o->body) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_body);
		curl_easy_setopt(c, CURLOPT_READDATA, r);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, r);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)o->body_size);
		curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, RECEIVE_BYTES);
	} else if (o->body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(o->body));
		curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, o->body);
	}
	if (strcmp(o->method, "GET") && strcmp(o->method, "HEAD"))
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
}

static void set_options(struct http_request *r, const struct http_options *o)
{
	CURL *c = r->easy;
	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)r);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, strcmp(o->method, "GET") ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, 10L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)o->timeout_s);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
	if (o->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
	if (o->cert_file)
		curl_easy_setopt(c, CURLOPT_SSLCERT, o->cert_file);
	if (o->key_file)
		curl_easy_setopt(c, CURLOPT_SSLKEY, o->key_file);
	if (o->insecure_tls) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	for (size_t i = 0; o->headers && o->headers[i]; i++)
		r->headers = curl_slist_append(r->headers, o->headers[i]);
	r->headers = curl_slist_append(r->headers, "Expect:");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
	set_body(r, o);
}

int http_start(struct http *h, const struct http_options *o, struct http_request **ret,
	       struct err *e)
{
	struct http_request *r = NEW(struct http_request);
	r->http = h;
	r->easy = curl_easy_init();
	if (!r->easy) {
		free(r);
		return err_set(e, ERR_SYSTEM, "cannot start an HTTP request");
	}
	r->o = *o;
	r->o.headers = NULL;
	r->o.body = NULL;
	r->url = xstrdup(o->url);
	r->method = xstrdup(o->method);
	r->resp.content_length = r->resp.retry_after = -1;
	set_options(r, o);
	list_add_tail(&h->requests, &r->link);
	*ret = r;
	curl_multi_add_handle(h->multi, r->easy);
	return 0;
}

void http_resume(struct http_request *r)
{
	if (!r->cancelled && !r->stopped)
		curl_easy_pause(r->easy, CURLPAUSE_CONT);
}

void http_cancel(struct http_request *r)
{
	if (!r || r->cancelled)
		return;
	r->cancelled = true;
	if (!r->in_callback)
		request_free(r);
}

static void timer_closed(uv_handle_t *t)
{
	struct http *h = t->data;
	h->timer_open = false;
	http_maybe_free(h);
}

struct http *http_new(uv_loop_t *loop)
{
	struct http *h = NEW(struct http);
	h->loop = loop;
	h->multi = curl_multi_init();
	list_init(&h->requests);
	uv_timer_init(loop, &h->timer);
	h->timer.data = h;
	h->timer_open = true;
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 16L);
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	LIST_FOR_EACH (it, &h->requests)
		request_free(LIST_ENTRY(it, struct http_request, link));
	curl_multi_cleanup(h->multi);
	h->multi = NULL;
	h->closing = true;
	uv_timer_stop(&h->timer);
	uv_close((uv_handle_t *)&h->timer, timer_closed);
}
