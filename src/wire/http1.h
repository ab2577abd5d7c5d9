/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 responses as a push parser: bytes go in as they arrive, body bytes come out as views
 * into the input. No I/O, no allocation; headers past the limits are an error. Only what a client
 * of the engine API needs: status, content-length, chunked, upgrade, connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP1_LINE_MAX	  8192
#define HTTP1_HEADERS_MAX 128

enum http1_state {
	HTTP1_STATUS,
	HTTP1_HEADER,
	HTTP1_BODY_LENGTH,
	HTTP1_BODY_EOF,
	HTTP1_CHUNK_SIZE,
	HTTP1_CHUNK_DATA,
	HTTP1_CHUNK_END,
	HTTP1_TRAILER,
	HTTP1_DONE,
	HTTP1_UPGRADED, /* everything that follows belongs to the other protocol */
};

struct http1 {
	enum http1_state state;
	bool head_request; /* set by the caller: the answer has no body */
	/* valid once the headers are complete */
	int status;
	bool headers_done;
	bool keep_alive;
	bool chunked;
	bool json;	    /* content type is application/json */
	bool mux;	    /* content type is the multiplexed stream of attach */
	uint64_t remaining; /* of the body or of the current chunk */
	bool has_length;
	char api_version[16];
	char path_stat[HTTP1_LINE_MAX]; /* X-Docker-Container-Path-Stat */
	/* internal */
	unsigned nheaders;
	size_t nline;
	char line[HTTP1_LINE_MAX];
};

void http1_init(struct http1 *h);
/*
 * Feed n bytes. Returns how many were consumed (at least 1 unless n is 0 or the message is done) or
 * -EPROTO. When body bytes were found, *ret_body points at them inside p and *ret_n is their
 * number; the call then stops, so that the caller handles one piece at a time.
 */
ssize_t http1_feed(struct http1 *h, const char *p, size_t n, const char **ret_body, size_t *ret_n);
/* The peer closed: 0 when that ends the message properly, -EPROTO when bytes are missing. */
int http1_eof(struct http1 *h);
static inline bool http1_done(const struct http1 *h)
{
	return h->state == HTTP1_DONE;
}
