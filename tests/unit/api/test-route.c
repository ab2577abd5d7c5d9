/* SPDX-License-Identifier: Apache-2.0 */
/* Targets, versions, queries and the routing table. */
#include "api/route.h"
#include "cmocka-all.h"

#include <string.h>

static void a(struct api_request *r)
{
}
static void b(struct api_request *r)
{
}

static const struct api_route table[] = {
	{"GET", "/containers/json", a, API_BODY_JSON},
	{"GET", "/containers/{id}/json", b, API_BODY_JSON},
	{"GET", "/images/json", a, API_BODY_JSON},
	{"GET", "/images/{name*}/json", b, API_BODY_JSON},
	{"DELETE", "/images/{name*}", b, API_BODY_JSON},
	{"DELETE", "/containers/{id}/checkpoints/{name}", b, API_BODY_JSON},
	{0},
};

static void versions(void **state)
{
	static const struct {
		const char *target;
		int version; /* -1: refused */
		const char *path_or_text;
	} rows[] = {
		{"/_ping", 51, "/_ping"},
		{"/v1.24/info", 24, "/info"},
		{"/v1.51/info", 51, "/info"},
		{"/v1.99/info", -1,
		 "client version 1.99 is too new. Maximum supported API version is 1.51"},
		{"/v2/info", -1,
		 "client version 2 is too new. Maximum supported API version is 1.51"},
		{"/v1.9/info", -1,
		 "client version 1.9 is too old. Minimum supported API version is 1.24, please "
		 "upgrade your client to a newer version"},
		{"/v1.99999999999999999999/x", -1,
		 "client version 1.99999999999999999999 is too new. Maximum supported API version "
		 "is 1.51"},
		{"/volumes/v1.30", 51, "/volumes/v1.30"},
		{"/v1.30", 51, "/v1.30"}, /* nothing behind it: a path */
		{"/vx/info", 51, "/vx/info"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(arena) struct arena *arena = arena_new();
		struct api_target t;
		struct err e = ERR_INIT;
		int rc = api_target_parse(rows[i].target, &t, arena, &e);
		assert_int_equal(rc, rows[i].version < 0 ? -1 : 0);
		if (rc < 0) {
			assert_string_equal(e.text, rows[i].path_or_text);
			assert_int_equal(err_kind_http(e.kind), 400);
		} else {
			assert_int_equal(t.version, rows[i].version);
			assert_string_equal(t.path, rows[i].path_or_text);
		}
	}
}

static void queries(void **state)
{
	AUTO(arena) struct arena *arena = arena_new();
	struct api_target t;
	struct err e = ERR_INIT;

	assert_int_equal(api_target_parse("/v1.41/images/a%2Fb/"
					  "json?all=1&f=%7B%22a%22%3A1%7D&x=a+b&empty=&bare&&all=2",
					  &t, arena, &e),
			 0);
	assert_string_equal(t.path, "/images/a/b/json");
	assert_int_equal(t.nquery, 6);
	assert_string_equal(api_target_query(&t, "all"), "1");
	assert_string_equal(api_target_query(&t, "f"), "{\"a\":1}");
	assert_string_equal(api_target_query(&t, "x"), "a b");
	assert_string_equal(api_target_query(&t, "empty"), "");
	assert_string_equal(api_target_query(&t, "bare"), "");
	assert_null(api_target_query(&t, "al"));
	assert_string_equal(t.query[5].v, "2");

	static const char *const bad[] = {"/a%",     "/a%2",	  "/a%zz",    "/a%00",
					  "/a?b=%0", "/a?b=%00c", "relative", ""};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(api_target_parse(bad[i], &t, arena, &e), -1);
	char many[2048] = "/x?";
	for (size_t i = 0; i < API_QUERY_MAX; i++)
		memcpy(many + 3 + 3 * i, "a=&", 4);
	assert_int_equal(api_target_parse(many, &t, arena, &e), -1);
	assert_string_equal(e.text, "too many query parameters");
}

static void routes(void **state)
{
	static const struct {
		const char *method, *path;
		int row; /* -1: none */
		const char *params[2];
	} rows[] = {
		{"GET", "/containers/json", 0, {0}},
		{"GET", "/containers/abc/json", 1, {"abc"}},
		{"GET", "/containers//json", -1, {0}},
		{"GET", "/containers/a/b/json", -1, {0}},
		{"POST", "/containers/json", -1, {0}},
		{"HEAD", "/containers/json", -1, {0}},
		{"GET", "/containers/json/", -1, {0}},
		{"GET", "/images/json", 2, {0}},
		{"GET", "/images/localhost:5000/a/b:1/json", 3, {"localhost:5000/a/b:1"}},
		{"GET", "/images/json/json", 3, {"json"}},
		{"GET", "/images//json", -1, {0}},
		{"DELETE", "/images/a/b@sha256:1", 4, {"a/b@sha256:1"}},
		{"DELETE", "/images/", -1, {0}},
		{"DELETE", "/containers/x/checkpoints/y", 5, {"x", "y"}},
		{"GET", "/", -1, {0}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(arena) struct arena *arena = arena_new();
		const char *params[API_PARAMS_MAX] = {0};
		const struct api_route *r = api_route_find(table, rows[i].method, rows[i].path,
							   params, arena);
		assert_ptr_equal(r, rows[i].row < 0 ? NULL : &table[rows[i].row]);
		for (size_t k = 0; r && k < 2 && rows[i].params[k]; k++)
			assert_string_equal(params[k], rows[i].params[k]);
	}
}

static void booleans(void **state)
{
	assert_false(api_bool_parse(NULL));
	assert_false(api_bool_parse(""));
	assert_false(api_bool_parse("0"));
	assert_false(api_bool_parse("False"));
	assert_false(api_bool_parse("no"));
	assert_false(api_bool_parse("none"));
	assert_true(api_bool_parse("1"));
	assert_true(api_bool_parse("true"));
	assert_true(api_bool_parse("yes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions),
		cmocka_unit_test(queries),
		cmocka_unit_test(routes),
		cmocka_unit_test(booleans),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
