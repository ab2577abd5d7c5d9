/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http-priv.h. libcurl asks for sockets to watch (one uv_poll each) and one timer; finished
 * transfers are collected after every call into it. Cancelling inside one of libcurl's callbacks is
 * put off until the callback returns.
 */
#include "image/hostmatch.h"
#include "image/http-tls.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/fs.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

#define RECEIVE_BYTES	  (256L << 10)
#define STALL_BYTES	  1024L /* per second */
#define CONNECT_SECONDS	  20L
#define HEADERS_MAX	  ((size_t)256 << 10)
#define REDIRECT_BODY_MAX ((size_t)64 << 10)
#define REDIRECTS_MAX	  10
#define USER_AGENT	  "docker/28.0.0 (linux) coracle/" CORACLE_VERSION

struct http {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct list requests;
	unsigned sockets; /* uv handles still open */
	bool closing, timer_open;
	struct proxy_rules proxies;
	unsigned stall_s;
};

struct http_request {
	struct list link;
	struct http *http;
	CURL *easy;
	struct curl_slist *headers, *open_headers; /* with and without the secrets */
	struct http_options o;
	struct http_response resp;
	struct http_tls *tls;
	char *url, *method;
	uint64_t sent;
	size_t header_bytes, redirect_bytes;
	unsigned redirects;
	bool in_callback, cancelled, stopped, flooded;
	char detail[CURL_ERROR_SIZE];
};

struct sock {
	uv_poll_t poll;
	curl_socket_t fd;
	struct http *http;
};

static void collect(struct http *h);
static bool follow_redirect(struct http_request *r);

static void http_maybe_free(struct http *h)
{
	if (h->closing && !h->sockets && !h->timer_open)
		free(h);
}

static void slist_wipe(struct curl_slist *l)
{
	for (struct curl_slist *i = l; i; i = i->next)
		explicit_bzero(i->data, strlen(i->data));
	curl_slist_free_all(l);
}

static void request_free(struct http_request *r)
{
	list_del(&r->link);
	if (r->http->multi)
		curl_multi_remove_handle(r->http->multi, r->easy);
	curl_easy_cleanup(r->easy);
	http_tls_free(r->tls);
	slist_wipe(r->headers);
	curl_slist_free_all(r->open_headers);
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

static bool will_redirect(const struct http_request *r)
{
	long s = r->resp.status;
	return !r->o.no_redirects && r->resp.location[0] &&
	       (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) &&
	       (!strcmp(r->method, "GET") || !strcmp(r->method, "HEAD"));
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

/* libcurl reports no code that tells these apart, only OpenSSL's words. */
static const char *verify_text(const struct http_request *r, const char *host)
{
	static char text[300];
	if (strstr(r->detail, "does not match") ||
	    strstr(r->detail, "no alternative certificate")) {
		snprintf(text, sizeof(text), "certificate is not valid for %s", host);
		return text;
	}
	if (strstr(r->detail, "expired") || strstr(r->detail, "not yet valid"))
		return "certificate has expired or is not yet valid";
	if (strstr(r->detail, "issuer certificate") || strstr(r->detail, "self-signed") ||
	    strstr(r->detail, "self signed") || strstr(r->detail, "verify the first"))
		return "certificate signed by unknown authority";
	return r->detail[0] ? r->detail : "certificate refused";
}

/* What the other side said, or that it speaks no TLS at all. */
static const char *handshake_text(const struct http_request *r)
{
	if (strstr(r->detail, "certificate required"))
		return "remote error: tls: certificate required";
	if (strstr(r->detail, "bad certificate"))
		return "remote error: tls: bad certificate";
	if (strstr(r->detail, "unknown ca"))
		return "remote error: tls: unknown certificate authority";
	if (strstr(r->detail, "alert"))
		return "remote error: tls: handshake failure";
	if (strstr(r->detail, "wrong version number"))
		return "http: server gave HTTP response to HTTPS client";
	return "tls: handshake failure";
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
		snprintf(what, sizeof(what), "tls: failed to verify certificate: x509: %s",
			 verify_text(r, host));
		break;
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(what, sizeof(what),
			 "the configured certificate authorities are unreadable");
		break;
	case CURLE_SSL_CERTPROBLEM:
		snprintf(what, sizeof(what), "client certificate: %s", r->detail);
		break;
	case CURLE_SSL_CONNECT_ERROR:
		snprintf(what, sizeof(what), "%s", handshake_text(r));
		break;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		snprintf(what, sizeof(what), "%s",
			 strstr(r->detail, "alert") ? handshake_text(r)
						    : "read: connection reset by peer");
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		snprintf(what, sizeof(what), "this is no http or https address");
		break;
	case CURLE_OUT_OF_MEMORY: /* what libcurl says to a line above its own limit */
		r->flooded = true;
		snprintf(what, sizeof(what), "a header of the server is longer than 100 KiB");
		break;
	case CURLE_WRITE_ERROR:
		snprintf(what, sizeof(what), "%s",
			 r->flooded ? "the server's headers are larger than 256 KiB"
				    : curl_easy_strerror(code));
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		snprintf(what, sizeof(what), "%s",
			 code == CURLE_GOT_NOTHING ? "EOF" : "unexpected EOF");
		break;
	default:
		snprintf(what, sizeof(what), "%s", curl_easy_strerror(code));
	}
	/* Whatever the other side says to it, and often it only closes the connection. */
	bool no_cert = http_tls_unanswered(r->tls) && r->resp.status == 0 &&
		       code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_OPERATION_TIMEDOUT;
	if (no_cert)
		http_tls_advice(r->tls, host, port, what, sizeof(what));
	err_set(e, ERR_REMOTE, "%s \"%.800s\": %s", verb, r->url, what);
	curl_off_t tls_us = 0; /* set once a TLS handshake was complete */
	curl_easy_getinfo(r->easy, CURLINFO_APPCONNECT_TIME_T, &tls_us);
	bool said_no = strstr(r->detail, "alert") &&
		       (strstr(r->detail, "certificate") || strstr(r->detail, "unknown ca") ||
			strstr(r->detail, "handshake"));
	e->sys = no_cert					     ? EKEYREJECTED
		 : code == CURLE_COULDNT_CONNECT		     ? ECONNREFUSED
		 : code == CURLE_COULDNT_RESOLVE_HOST		     ? EHOSTUNREACH
		 : code == CURLE_PEER_FAILED_VERIFICATION || said_no ? EKEYREJECTED
		 : code == CURLE_SSL_CERTPROBLEM		     ? EKEYREJECTED
		 : code == CURLE_SSL_CONNECT_ERROR		     ? EPROTO
		 : code == CURLE_UNSUPPORTED_PROTOCOL		     ? EINVAL
		 : code == CURLE_URL_MALFORMAT			     ? EINVAL
		 : r->flooded					     ? EMSGSIZE
		 : tls_us > 0					     ? ECONNRESET
								     : 0;
}

bool http_hopeless(const struct err *e)
{
	return e->sys == EKEYREJECTED || e->sys == EMSGSIZE || e->sys == ELOOP || e->sys == EINVAL;
}

static void finish(struct http_request *r, CURLcode code)
{
	struct err e = ERR_INIT;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &r->resp.status);
	r->resp.cert_missing = http_tls_unanswered(r->tls);
	bool failed = code != CURLE_OK && !r->stopped;
	if (will_redirect(r) && (!failed || code == CURLE_WRITE_ERROR) && !r->cancelled) {
		if (follow_redirect(r))
			return;
		failed = true;
		err_set(&e, ERR_REMOTE, "%c%s \"%.800s\": %s", r->method[0],
			*r->method == 'G' ? "et" : "ead", r->url,
			r->redirects > REDIRECTS_MAX
				? "stopped after 10 redirects"
				: "redirect to an address that is not http or https");
		e.sys = ELOOP;
	} else if (failed)
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

static size_t on_header(char *p, size_t size, size_t n, void *ud)
{
	struct http_request *r = ud;
	n *= size;
	r->header_bytes += n;
	if (r->header_bytes > HEADERS_MAX) {
		r->flooded = true;
		return 0;
	}
	if (n > 5 && !strncasecmp(p, "HTTP/", 5))
		http_response_init(&r->resp); /* a new answer: redirect or 100 */
	else
		http_response_header(&r->resp, p, n);
	return n;
}

static size_t on_data(char *p, size_t size, size_t n, void *ud)
{
	struct http_request *r = ud;
	n *= size;
	if (r->cancelled)
		return 0;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &r->resp.status);
	if (will_redirect(r)) { /* nobody wants its body; a short one keeps the connection usable */
		r->redirect_bytes += n;
		return r->redirect_bytes > REDIRECT_BODY_MAX ? 0 : n;
	}
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

/* URL and the proxy that goes with it; libcurl's own look at the environment is switched off. */
static void set_address(struct http_request *r)
{
	char host[256], port[16];
	uint64_t n = 0;
	host_of(r->url, host, sizeof(host), port, sizeof(port));
	num_parse_u64(port, 0, 65535, &n);
	if (host[0] == '[' && strchr(host, ']')) {
		*strchr(host, ']') = '\0';
		memmove(host, host + 1, strlen(host));
	}
	const char *proxy = proxy_for(&r->http->proxies, str_starts(r->url, "https:"), host,
				      (unsigned)n);
	curl_easy_setopt(r->easy, CURLOPT_URL, r->url);
	curl_easy_setopt(r->easy, CURLOPT_PROXY, proxy ? proxy : "");
	curl_easy_setopt(r->easy, CURLOPT_NOPROXY, "");
}

static void set_options(struct http_request *r, const struct http_options *o)
{
	CURL *c = r->easy;
	curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)r);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->detail);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* follow_redirect() does */
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)r->http->stall_s);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)o->timeout_s);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
	r->tls = http_tls_new(c, o);
	for (size_t i = 0; o->headers && o->headers[i]; i++) {
		r->headers = curl_slist_append(r->headers, o->headers[i]);
		r->open_headers = curl_slist_append(r->open_headers, o->headers[i]);
	}
	for (size_t i = 0; o->secret_headers && o->secret_headers[i]; i++)
		r->headers = curl_slist_append(r->headers, o->secret_headers[i]);
	r->headers = curl_slist_append(r->headers, "Expect:");
	r->open_headers = curl_slist_append(r->open_headers, "Expect:");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
	set_address(r);
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
	r->o.certs = NULL;
	r->o.ca = NULL;
	r->url = xstrdup(o->url);
	r->method = xstrdup(o->method);
	r->o.secret_headers = NULL;
	http_response_init(&r->resp);
	set_options(r, o);
	list_add_tail(&h->requests, &r->link);
	*ret = r;
	curl_multi_add_handle(h->multi, r->easy);
	return 0;
}

/* scheme://host:port of a URL; false when it has none that we speak. */
static bool url_origin(CURLU *u, char *ret, size_t n)
{
	char *scheme = NULL, *host = NULL, *port = NULL;
	bool ok = !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
		  !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
		  !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
		  (!strcmp(scheme, "http") || !strcmp(scheme, "https"));
	if (ok)
		ok = (size_t)snprintf(ret, n, "%s://%s:%s", scheme, host, port) < n;
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return ok;
}

/* The same request to where the answer pointed; secrets stay with their own host. */
static bool follow_redirect(struct http_request *r)
{
	char from[400], to[400], *url = NULL;
	CURLU *u = curl_url();
	bool ok = ++r->redirects <= REDIRECTS_MAX && u &&
		  !curl_url_set(u, CURLUPART_URL, r->url, 0) && url_origin(u, from, sizeof(from)) &&
		  !curl_url_set(u, CURLUPART_URL, r->resp.location, 0) &&
		  url_origin(u, to, sizeof(to)) && !curl_url_get(u, CURLUPART_URL, &url, 0);
	curl_url_cleanup(u);
	if (!ok)
		return false;
	free(r->url);
	r->url = xstrdup(url);
	curl_free(url);
	if (strcmp(from, to)) {
		curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->open_headers);
		slist_wipe(r->headers);
		r->headers = NULL;
	}
	r->redirect_bytes = 0;
	http_response_init(&r->resp);
	set_address(r);
	curl_multi_add_handle(r->http->multi, r->easy);
	return true;
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
	h->stall_s = 60;
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

static void set_text(const char **to, const char *from)
{
	free((void *)(uintptr_t)*to);
	*to = xstrdup(from);
}

void http_configure(struct http *h, const struct proxy_rules *proxies, unsigned stall_s)
{
	set_text(&h->proxies.http, proxies->http);
	set_text(&h->proxies.https, proxies->https);
	set_text(&h->proxies.none, proxies->none);
	h->stall_s = stall_s;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	LIST_FOR_EACH (it, &h->requests)
		request_free(LIST_ENTRY(it, struct http_request, link));
	curl_multi_cleanup(h->multi);
	h->multi = NULL;
	http_configure(h, &(struct proxy_rules){0}, 0);
	h->closing = true;
	uv_timer_stop(&h->timer);
	uv_close((uv_handle_t *)&h->timer, timer_closed);
}
