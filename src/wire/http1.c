/* SPDX-License-Identifier: Apache-2.0 */
/* One line buffer for status line, headers, chunk sizes and trailers; bodies are never copied. */
#include "wire/http1.h"

#include "base/attr.h"

#include <string.h>
#include <strings.h>

#include "base/banned.h"

void http1_init(struct http1 *h)
{
	memset(h, 0, offsetof(struct http1, line));
	h->keep_alive = true;
}

static bool parse_decimal(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10U, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

static int parse_status(struct http1 *h)
{
	const char *s = h->line;

	/* RFC 9112, 4: HTTP/1.x SP 3DIGIT SP [reason] */
	if (strncmp(s, "HTTP/1.", 7) || (s[7] != '0' && s[7] != '1') || s[8] != ' ')
		return -EPROTO;
	h->keep_alive = s[7] == '1';
	s += 9;
	for (int i = 0; i < 3; i++)
		if (s[i] < '0' || s[i] > '9')
			return -EPROTO;
	if (s[3] && s[3] != ' ')
		return -EPROTO;
	h->status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	h->state = HTTP1_HEADER;
	return h->status < 100 ? -EPROTO : 0;
}

static void keep(char *to, size_t size, const char *value)
{
	size_t n = strlen(value);

	if (n < size)
		memcpy(to, value, n + 1);
}

static int parse_header(struct http1 *h)
{
	char *colon = strchr(h->line, ':');

	if (!colon || colon == h->line || ++h->nheaders > HTTP1_HEADERS_MAX)
		return -EPROTO;
	*colon = 0;
	char *value = colon + 1;
	while (*value == ' ' || *value == '\t')
		value++;
	size_t n = strlen(value);
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		value[--n] = 0;

	const char *name = h->line;
	if (!strcasecmp(name, "Content-Length")) {
		uint64_t length;
		if (!parse_decimal(value, &length) || (h->has_length && length != h->remaining))
			return -EPROTO;
		h->remaining = length;
		h->has_length = true;
	} else if (!strcasecmp(name, "Transfer-Encoding")) {
		if (strcasecmp(value, "chunked"))
			return -EPROTO;
		h->chunked = true;
	} else if (!strcasecmp(name, "Connection")) {
		if (!strcasecmp(value, "close"))
			h->keep_alive = false;
	} else if (!strcasecmp(name, "Content-Type")) {
		h->json = !strncasecmp(value, "application/json", 16);
		h->mux = !strcasecmp(value, "application/vnd.docker.multiplexed-stream");
	} else if (!strcasecmp(name, "Api-Version")) {
		keep(h->api_version, sizeof h->api_version, value);
	} else if (!strcasecmp(name, "X-Docker-Container-Path-Stat")) {
		keep(h->path_stat, sizeof h->path_stat, value);
	}
	return 0;
}

static int headers_end(struct http1 *h)
{
	if (h->status == 101) {
		h->headers_done = true;
		h->state = HTTP1_UPGRADED;
		return 0;
	}
	if (h->status < 200) { /* an interim answer: the real one follows */
		h->nheaders = 0;
		h->state = HTTP1_STATUS;
		return 0;
	}
	h->headers_done = true;
	if (h->chunked && h->has_length)
		return -EPROTO; /* RFC 9112, 6.3: a sign of request smuggling */
	if (h->head_request || h->status == 204 || h->status == 304) {
		h->state = HTTP1_DONE;
	} else if (h->chunked) {
		h->state = HTTP1_CHUNK_SIZE;
	} else if (h->has_length) {
		h->state = h->remaining ? HTTP1_BODY_LENGTH : HTTP1_DONE;
	} else {
		h->keep_alive = false;
		h->state = HTTP1_BODY_EOF;
	}
	return 0;
}

static int parse_chunk_size(struct http1 *h)
{
	uint64_t v = 0;
	const char *s = h->line;
	int digits = 0;

	for (; *s && *s != ';' && *s != ' '; s++, digits++) {
		char c = (char)(*s | 0x20);
		unsigned d;
		if (*s >= '0' && *s <= '9')
			d = (unsigned)(*s - '0');
		else if (c >= 'a' && c <= 'f')
			d = (unsigned)(c - 'a') + 10;
		else
			return -EPROTO;
		v = v << 4 | d;
	}
	if (!digits || digits > 15)
		return -EPROTO;
	h->remaining = v;
	h->state = v ? HTTP1_CHUNK_DATA : HTTP1_TRAILER;
	return 0;
}

static int line_complete(struct http1 *h)
{
	if (h->nline && h->line[h->nline - 1] == '\r')
		h->nline--;
	h->line[h->nline] = 0;
	bool empty = h->nline == 0;
	bool has_nul = strlen(h->line) != h->nline;
	h->nline = 0;
	if (has_nul)
		return -EPROTO;
	switch (h->state) {
	case HTTP1_STATUS:
		return parse_status(h);
	case HTTP1_HEADER:
		return empty ? headers_end(h) : parse_header(h);
	case HTTP1_CHUNK_SIZE:
		return parse_chunk_size(h);
	case HTTP1_CHUNK_END:
		h->state = HTTP1_CHUNK_SIZE;
		return empty ? 0 : -EPROTO;
	case HTTP1_TRAILER:
		if (empty)
			h->state = HTTP1_DONE;
		return ++h->nheaders > HTTP1_HEADERS_MAX ? -EPROTO : 0;
	default:
		return -EPROTO;
	}
}

static size_t take_body(struct http1 *h, const char *p, size_t n, const char **ret_body,
			size_t *ret_n)
{
	if (h->state != HTTP1_BODY_EOF) {
		n = n < h->remaining ? n : (size_t)h->remaining;
		h->remaining -= n;
		if (!h->remaining)
			h->state = h->state == HTTP1_CHUNK_DATA ? HTTP1_CHUNK_END : HTTP1_DONE;
	}
	*ret_body = p;
	*ret_n = n;
	return n;
}

ssize_t http1_feed(struct http1 *h, const char *p, size_t n, const char **ret_body, size_t *ret_n)
{
	size_t used = 0;

	*ret_body = NULL;
	*ret_n = 0;
	while (used < n) {
		switch (h->state) {
		case HTTP1_DONE:
		case HTTP1_UPGRADED:
			return (ssize_t)used;
		case HTTP1_BODY_LENGTH:
		case HTTP1_BODY_EOF:
		case HTTP1_CHUNK_DATA:
			return (ssize_t)(used + take_body(h, p + used, n - used, ret_body, ret_n));
		default:
			break;
		}
		const char *end = memchr(p + used, '\n', n - used);
		size_t part = end ? (size_t)(end - (p + used)) : n - used;
		if (part >= sizeof h->line - h->nline)
			return -EPROTO;
		memcpy(h->line + h->nline, p + used, part);
		h->nline += part;
		used += part;
		if (end) {
			used++;
			int rc = line_complete(h);
			if (rc < 0)
				return rc;
		}
	}
	return (ssize_t)used;
}

int http1_eof(struct http1 *h)
{
	if (h->state == HTTP1_BODY_EOF)
		h->state = HTTP1_DONE;
	return h->state == HTTP1_DONE || h->state == HTTP1_UPGRADED ? 0 : -EPROTO;
}
