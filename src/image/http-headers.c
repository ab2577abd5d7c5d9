/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of an answer that registries and their clients live by. */
#include "image/http-priv.h"

#include "base/num.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/banned.h"

#define SECONDS_MAX (366LL * 86400)

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

static struct str up_to(struct str v, char c)
{
	const char *end = memchr(v.p, c, v.n);
	if (end)
		v.n = (size_t)(end - v.p);
	return v;
}

/* "17" or "17;w=21600"; -1 when it is no number. */
static int64_t number(struct str v, int64_t max)
{
	char text[32];
	uint64_t num;
	keep(text, sizeof(text), up_to(v, ';'));
	return num_parse_u64(text, 0, (uint64_t)max, &num) == 0 ? (int64_t)num : -1;
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static int64_t delay(struct str v)
{
	char text[64];
	int64_t seconds = number(v, SECONDS_MAX);
	if (seconds >= 0)
		return seconds;
	keep(text, sizeof(text), v);
	time_t when = curl_getdate(text, NULL), now = time(NULL);
	if (when < 0)
		return -1;
	return when > now ? MIN((int64_t)(when - now), SECONDS_MAX) : 0;
}

/* Seconds, or a Unix time, which is larger than any sensible number of seconds. */
static int64_t reset_delay(struct str v)
{
	int64_t n = number(v, INT64_MAX), now = (int64_t)time(NULL);
	if (n <= SECONDS_MAX)
		return n;
	return n > now ? MIN(n - now, SECONDS_MAX) : 0;
}

void http_response_init(struct http_response *r)
{
	memset(r, 0, sizeof(*r));
	r->content_length = r->retry_after = r->rate_remaining = r->rate_reset = -1;
}

void http_response_header(struct http_response *r, const char *p, size_t n)
{
	struct str v;
	if (header_is(p, n, "Content-Type", &v)) {
		keep(r->content_type, sizeof(r->content_type), up_to(v, ';'));
	} else if (header_is(p, n, "WWW-Authenticate", &v)) {
		size_t have = strlen(r->challenge);
		snprintf(r->challenge + have, sizeof(r->challenge) - have, "%s%.*s",
			 have ? ", " : "", (int)MIN(v.n, (size_t)1500), v.p);
	} else if (header_is(p, n, "Docker-Content-Digest", &v)) {
		keep(r->digest, sizeof(r->digest), v);
	} else if (header_is(p, n, "Location", &v)) {
		keep(r->location, sizeof(r->location), v.n < sizeof(r->location) ? v : STR_LIT(""));
	} else if (header_is(p, n, "Link", &v)) {
		keep(r->link, sizeof(r->link), v);
	} else if (header_is(p, n, "Content-Range", &v)) {
		keep(r->range, sizeof(r->range), v);
	} else if (header_is(p, n, "Range", &v)) {
		keep(r->uploaded, sizeof(r->uploaded), v);
	} else if (header_is(p, n, "OCI-Chunk-Min-Length", &v)) {
		r->chunk_min = (uint64_t)MAX(number(v, INT64_MAX), (int64_t)0);
	} else if (header_is(p, n, "Content-Length", &v)) {
		r->content_length = number(v, INT64_MAX);
	} else if (header_is(p, n, "Retry-After", &v)) {
		r->retry_after = delay(v);
	} else if (header_is(p, n, "RateLimit-Remaining", &v) ||
		   header_is(p, n, "X-RateLimit-Remaining", &v)) {
		r->rate_remaining = number(v, INT64_MAX);
	} else if (header_is(p, n, "RateLimit-Reset", &v) ||
		   header_is(p, n, "X-RateLimit-Reset", &v)) {
		r->rate_reset = reset_delay(v);
	}
}
