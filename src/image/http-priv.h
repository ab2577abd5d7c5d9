/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP client: libcurl's multi interface driven by the libuv loop. One request, one answer; no
 * knowledge of registries. Bodies are streamed and may be paused.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>
#include <uv.h>

struct http;
struct http_request;

struct http_response {
	long status; /* 0: no answer came */
	char content_type[128];
	char challenge[2048]; /* WWW-Authenticate lines joined by ", " */
	char digest[160];     /* Docker-Content-Digest */
	char range[128];
	char uploaded[64]; /* Range of an upload: "0-1023" */
	char link[1024];
	char location[4096];	/* "" when it is longer */
	int64_t content_length; /* -1: unknown */
	uint64_t chunk_min;	/* OCI-Chunk-Min-Length, 0: not given */
	int64_t retry_after;	/* seconds from now, -1: not given */
	int64_t rate_remaining; /* requests left of the limit, -1: not given */
	int64_t rate_reset;	/* seconds until the limit is full again, -1: not given */
	bool cert_missing;	/* the server asked for a client certificate and got none */
};
/* Take over one header line if it is one of the above. */
void http_response_header(struct http_response *r, const char *p, size_t n);
void http_response_init(struct http_response *r);

enum http_data { HTTP_DATA_OK, HTTP_DATA_PAUSE, HTTP_DATA_STOP };

/* PEM files of client certificates with their keys; the first without a certificate is the end. */
#define HTTP_CERTS_MAX 8
struct http_certs {
	struct {
		const char *cert, *key;
	} v[HTTP_CERTS_MAX];
};

struct http_options {
	const char *method; /* GET HEAD POST PUT PATCH DELETE */
	const char *url;
	const char *const *headers; /* "Accept: x", NULL-terminated; NULL: none */
	/* Credentials and the like: never follow a redirect to another host, port or scheme. */
	const char *const *secret_headers;
	const char *ca;			/* PEM text of authorities besides the system's; NULL */
	const struct http_certs *certs; /* NULL: none */
	bool insecure_tls;
	int timeout_s;	   /* whole request; 0: only stalls are limited */
	bool no_redirects; /* 3xx is an answer; otherwise GET and HEAD follow up to 10 */
	/* Body to send: text, or body_size bytes of body_fd (borrowed) from body_offset. */
	const char *body;
	int body_fd;
	uint64_t body_size, body_offset;
	/* PAUSE consumes nothing: the same bytes come again after http_resume(). */
	enum http_data (*data)(void *ud, const struct http_response *r, const void *p, size_t n);
	void (*sent)(void *ud, uint64_t total); /* upload progress; NULL */
	/* The request is gone afterwards. e: transport failure, with the text Go's client would
	 * use. */
	void (*done)(void *ud, const struct http_response *r, const struct err *e);
	void *ud;
};

/* A failure that another attempt would only repeat: refused certificates, headers without an end,
 * redirects in circles, an address that is none. */
bool http_hopeless(const struct err *e);

struct proxy_rules;
struct http *http_new(uv_loop_t *loop);
/* Before the first request. A transfer below 1 KiB/s for stall_s seconds fails. */
void http_configure(struct http *h, const struct proxy_rules *proxies, unsigned stall_s);
void http_free(struct http *h); /* requests still open are dropped; handles close later */
int http_start(struct http *h, const struct http_options *o, struct http_request **ret,
	       struct err *e);
void http_resume(struct http_request *r);
void http_cancel(struct http_request *r); /* no callback any more; NULL allowed */
