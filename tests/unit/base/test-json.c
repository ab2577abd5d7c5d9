/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: strict parsing, field tables both ways, streaming writer. */
#include "base/json.h"
#include "cmocka-all.h"

#include <string.h>

struct item {
	const char *name;
	int64_t n;
};
static const struct json_field item_fields[] = {
	JSON_FIELD(JT_STR, struct item, name, "Name", 0),
	JSON_FIELD(JT_I64, struct item, n, "N", JSON_REQUIRED),
	{0},
};
static const struct json_schema item_schema = {"item", sizeof(struct item), item_fields};

struct doc {
	struct strs cmd;
	struct strmap labels;
	struct strs ports;
	const struct item *one;
	struct objs list;
	struct objmap map;
	uint64_t limit;
	int8_t maybe;
	const int64_t *opt;
	const char *raw;
};
static const struct json_field doc_fields[] = {
	JSON_FIELD(JT_STRS, struct doc, cmd, "Cmd", JSON_STR_OR_LIST | JSON_NULL_EMPTY),
	JSON_FIELD(JT_MAP, struct doc, labels, "Labels", 0),
	JSON_FIELD(JT_SET, struct doc, ports, "Ports", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJP, struct doc, one, "One", 0, &item_schema),
	JSON_SUB(JT_OBJS, struct doc, list, "List", 0, &item_schema),
	JSON_SUB(JT_OBJMAP, struct doc, map, "Map", JSON_OMITEMPTY, &item_schema),
	JSON_FIELD(JT_U64, struct doc, limit, "Limit", 0),
	JSON_FIELD(JT_OPT_BOOL, struct doc, maybe, "Maybe", 0),
	JSON_FIELD(JT_OPT_I64, struct doc, opt, "Opt", 0),
	JSON_FIELD(JT_RAW, struct doc, raw, "Raw", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema doc_schema = {"doc", sizeof(struct doc), doc_fields};

static int decode(const char *text, struct doc *ret, struct arena *a, struct err *e)
{
	return json_decode_text(text, strlen(text), &doc_schema, ret, a, e);
}

static void test_round_trip(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf out = BUF_INIT(4096);
	struct err e = ERR_INIT;
	struct doc d;
	const char *text =
		"{\"Cmd\":[\"a\",\"b\"],\"Labels\":{\"k\":\"v\"},\"Ports\":{\"80/tcp\":{}},"
		"\"One\":{\"Name\":\"x\",\"N\":-7},\"List\":[{\"Name\":\"\",\"N\":1}],"
		"\"Map\":{\"m\":{\"Name\":\"y\",\"N\":2}},\"Limit\":18446744073709551615,"
		"\"Maybe\":false,\"Opt\":0,\"Raw\":{\"x\":[1,2.5,null]}}";

	(void)state;
	assert_int_equal(decode(text, &d, a, &e), 0);
	assert_true(d.limit == UINT64_MAX);
	assert_int_equal(d.maybe, -1);
	assert_int_equal(*d.opt, 0);
	struct jw w = JW_INIT(&out);
	json_encode(&w, &doc_schema, &d);
	assert_string_equal(buf_text(&out), text);
}

static void test_go_rules(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf out = BUF_INIT(4096);
	struct err e = ERR_INIT;
	struct doc d;

	(void)state;
	/* keys match without case, null is absent, a string is a one-element list, unknown keys are
	 * ignored */
	assert_int_equal(decode("{\"cmd\":\"sh\",\"LABELS\":null,\"Other\":1}", &d, a, &e), 0);
	assert_int_equal(d.cmd.n, 1);
	assert_string_equal(d.cmd.v[0], "sh");
	assert_false(d.labels.set);
	assert_int_equal(decode("{}", &d, a, &e), 0);
	struct jw w = JW_INIT(&out);
	json_encode(&w, &doc_schema, &d);
	assert_string_equal(buf_text(&out),
			    "{\"Cmd\":null,\"Labels\":{},\"One\":null,\"List\":[],\"Limit\":0,"
			    "\"Maybe\":null,\"Opt\":null}");
}

static void test_refusals_name_the_path(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"{\"Cmd\":5}", "doc: Cmd: expected a list of strings, got an integer"},
		{"{\"List\":[{\"N\":1},{\"N\":\"x\"}]}",
		 "doc: List[1].N: expected an integer, got a string"},
		{"{\"One\":{\"Name\":\"x\"}}", "doc: One.N: required field is missing"},
		{"{\"Map\":{\"k\":{\"N\":[]}}}", "doc: Map.k.N: expected an integer, got a list"},
		{"{\"Limit\":-1}", "doc: Limit: expected a non-negative integer, got an integer"},
		{"{\"Opt\":9223372036854775808}",
		 "doc: Opt: expected an integer below 2^63, got an integer"},
		{"[]", "doc: expected an object, got a list"},
	};
	struct err e = ERR_INIT;
	struct doc d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(arena) struct arena *a = arena_new();
		assert_int_equal(decode(cases[i].text, &d, a, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(e.text, cases[i].message);
	}
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"",    "{",   "{} x",	 "{\"a\":NaN}",		"{\"a\":Infinity}",
		"nul", "[1,", "{'a':1}", "{\"a\":\"\\u0000\"}", "\"\xff\xfe\"",
		"[1,]"};
	struct err e = ERR_INIT;
	struct json *j = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(json_parse(bad[i], strlen(bad[i]), &j, &e), -1);
		assert_null(j);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	/* nesting is bounded */
	char deep[256];
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	assert_int_equal(json_parse(deep, 200, &j, &e), -1);
}

static void test_writer_escapes(void **state)
{
	AUTO_BUF struct buf out = BUF_INIT(256);
	struct jw w = JW_INIT(&out);

	(void)state;
	jw_arr(&w);
	jw_str(&w, "q\"\\\n\x01\xff\xc3\xa4");
	jw_double(&w, 0.1);
	jw_double(&w, 3);
	jw_null(&w);
	jw_arr_end(&w);
	assert_string_equal(buf_text(&out),
			    "[\"q\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa4\",0.1,3,null]");
}

static int collect_item(void *ud, const struct json *item, struct err *e)
{
	struct buf *out = ud;

	(void)e;
	json_dump(item, out);
	buf_addc(out, ';');
	return json_i64(item) == 99 ? -7 : 0;
}

static void test_items_one_by_one(void **state)
{
	static const struct {
		const char *text, *items;
		int rc;
	} cases[] = {
		{" [ ] \n", "", 0},
		{"[1, \"a],[\\\"\" ,{\"k\":[1,{\"x\":2}]}]",
		 "1;\"a],[\\\"\";{\"k\":[1,{\"x\":2}]};", 0},
		{"[1,99,2]", "1;99;", -7},
		{"[1,]", "1;", -1},
		{"[,1]", "", -1},
		{"[1,2", "1;", -1},
		{"[1}", "", -1},
		{"[1,[2}]", "1;", -1},
		{"[1] x", "1;", -1},
		{"{\"a\":1}", "", -1},
		{"", "", -1},
		{"[\"abc", "", -1},
		{"[\"abc\\", "", -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_BUF struct buf out = BUF_INIT(1024);
		struct err e = ERR_INIT;
		/* a copy without the NUL: reading behind the end shows under sanitizers */
		size_t n = strlen(cases[i].text);
		AUTO_FREE char *text = xmalloc(n);

		memcpy(text, cases[i].text, n);
		assert_int_equal(json_items(text, n, collect_item, &out, &e), cases[i].rc);
		assert_string_equal(buf_text(&out), cases[i].items);
		assert_int_equal(e.kind == ERR_INVALID, cases[i].rc == -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_go_rules),
		cmocka_unit_test(test_refusals_name_the_path),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_writer_escapes),
		cmocka_unit_test(test_items_one_by_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
