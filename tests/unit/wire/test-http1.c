/* SPDX-License-Identifier: Apache-2.0 */
/* The response codec: every answer whole, split at every byte, and byte by byte. */
#include "cmocka-all.h"
#include "wire/http1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Feed in pieces of the given lengths (the last one takes the rest); the body goes to `body`. */
static int feed(struct http1 *h, const char *text, size_t n, size_t first, size_t step, char *body,
		size_t *ret_body, size_t *ret_used)
{
	size_t at = 0, got = 0, end = first;

	while (at < n) {
		const char *p;
		size_t k;
		ssize_t used = http1_feed(h, text + at, (end < n ? end : n) - at, &p, &k);
		if (used < 0)
			return (int)used;
		memcpy(body + got, p ? p : "", k);
		got += k;
		at += (size_t)used;
		if (h->state == HTTP1_DONE || h->state == HTTP1_UPGRADED)
			break;
		if (at >= end)
			end += step;
	}
	*ret_body = got;
	*ret_used = at;
	return 0;
}

struct good {
	const char *text, *body;
	int status;
	bool keep_alive, done, head;
	size_t rest; /* bytes that are not part of the answer */
};

static const struct good goods[] = {
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true, true, false, 0},
	{"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello", 200, true, true, false, 0},
	{"HTTP/1.1 204 No Content\r\n\r\nNEXT", "", 204, true, true, false, 4},
	{"HTTP/1.1 304\r\nContent-Length: 7\r\n\r\n", "", 304, true, true, false, 0},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
	 "world\r\n0\r\n\r\n",
	 "hello world", 200, true, true, false, 0},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: "
	 "x\r\n\r\nZ",
	 "0123456789", 200, true, true, false, 1},
	{"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", "{}", 404,
	 false, true, false, 0},
	{"HTTP/1.0 200 OK\r\n\r\nto the end", "to the end", 200, false, false, false, 0},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", "x",
	 201, true, true, false, 0},
	{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "", 200, true, true, true, 0},
	{"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nraw", "", 101, true,
	 false, false, 3},
};

static void check_good(const struct good *g, size_t first, size_t step)
{
	struct http1 *h = calloc(1, sizeof *h);
	char body[256];
	size_t n, used;

	http1_init(h);
	h->head_request = g->head;
	assert_int_equal(feed(h, g->text, strlen(g->text), first, step, body, &n, &used), 0);
	assert_int_equal(h->status, g->status);
	assert_true(h->headers_done);
	assert_int_equal(http1_done(h), g->done);
	assert_int_equal(h->keep_alive, g->keep_alive);
	assert_int_equal(n, strlen(g->body));
	assert_memory_equal(body, g->body, n);
	assert_int_equal(strlen(g->text) - used, g->rest);
	assert_int_equal(http1_eof(h), 0);
	free(h);
}

static void answers_whole_and_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
		size_t n = strlen(goods[i].text);
		check_good(&goods[i], n, n);
		check_good(&goods[i], 1, 1);
		for (size_t cut = 1; cut < n; cut++)
			check_good(&goods[i], cut, n);
	}
}

static void headers_are_kept(void **state)
{
	struct http1 *h = calloc(1, sizeof *h);
	char body[16];
	size_t n, used;
	const char *text =
		"HTTP/1.1 200 OK\r\nApi-Version: 1.51 \r\ncontent-type:\tapplication/json\r\n"
		"X-Docker-Container-Path-Stat: eyJ9\r\nContent-Length: 0\r\n\r\n";

	(void)state;
	http1_init(h);
	assert_int_equal(feed(h, text, strlen(text), 7, 3, body, &n, &used), 0);
	assert_string_equal(h->api_version, "1.51");
	assert_string_equal(h->path_stat, "eyJ9");
	assert_true(h->json);
	assert_false(h->mux);
	free(h);
}

static void bad_answers(void **state)
{
	static const char *const bads[] = {
		"HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"garbage\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: empty name\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
		struct http1 *h = calloc(1, sizeof *h);
		char body[256];
		size_t n, used, len = strlen(bads[i]);
		http1_init(h);
		int rc = feed(h, bads[i], len, 1, 1, body, &n, &used);
		if (rc != -EPROTO)
			fail_msg("accepted: %s", bads[i]);
		free(h);
	}
}

static void limits(void **state)
{
	struct http1 *h = calloc(1, sizeof *h);
	char *line = malloc(HTTP1_LINE_MAX + 1), body[16];
	size_t n, used;
	int rc = 0;

	(void)state;
	http1_init(h);
	memset(line, 'a', HTTP1_LINE_MAX + 1);
	assert_int_equal(feed(h, line, HTTP1_LINE_MAX + 1, 4096, 4096, body, &n, &used), -EPROTO);
	http1_init(h);
	assert_int_equal(feed(h, "HTTP/1.1 200 OK\r\n", 17, 17, 17, body, &n, &used), 0);
	for (int i = 0; i <= HTTP1_HEADERS_MAX && rc == 0; i++)
		rc = feed(h, "a: b\r\n", 6, 6, 6, body, &n, &used);
	assert_int_equal(rc, -EPROTO);
	free(line);
	free(h);
}

static void missing_bytes_are_seen(void **state)
{
	static const char *const cut[] = {
		"HTTP/1.1 200",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
		struct http1 *h = calloc(1, sizeof *h);
		char body[64];
		size_t n, used, len = strlen(cut[i]);
		http1_init(h);
		assert_int_equal(feed(h, cut[i], len, len, len, body, &n, &used), 0);
		assert_int_equal(http1_eof(h), -EPROTO);
		free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_whole_and_split),
		cmocka_unit_test(headers_are_kept),
		cmocka_unit_test(bad_answers),
		cmocka_unit_test(limits),
		cmocka_unit_test(missing_bytes_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
