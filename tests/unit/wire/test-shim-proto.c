/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the shim: what is encoded is decoded; detach keys; base64; frames. */
#include "cmocka-all.h"
#include "wire/shim-proto.h"

#include <string.h>

static void test_request_round_trip(void **state)
{
	AUTO_BUF struct buf text = BUF_INIT(SHIM_MSG_MAX);
	AUTO(arena) struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct shim_request in = {
		.seq = 18446744073709551615ULL,
		.op = "exec",
		.id = "e\"1",
		.want_stdout = true,
		.mux = true,
		.detach_keys = "",
		.h = 24,
		.process = "{\"args\":[\"a\"]}",
	};
	struct shim_request out;

	assert_int_equal(shim_request_encode(&in, &text), 0);
	assert_int_equal(shim_request_decode(text.p, text.n, &out, a, &e), 0);
	assert_int_equal(out.seq, in.seq);
	assert_int_equal(shim_op_parse(out.op), SHIM_OP_EXEC);
	assert_string_equal(out.id, in.id);
	assert_true(out.want_stdout && out.mux && !out.want_stdin && !out.want_stderr);
	assert_string_equal(out.detach_keys, ""); /* "default keys" is not "no keys" */
	assert_int_equal(out.h, 24);
	assert_string_equal(out.process, in.process);
	assert_null(out.resources);
	in.detach_keys = NULL;
	buf_reset(&text);
	assert_int_equal(shim_request_encode(&in, &text), 0);
	assert_int_equal(shim_request_decode(text.p, text.n, &out, a, &e), 0);
	assert_null(out.detach_keys);
}

static void test_message_round_trip(void **state)
{
	AUTO_BUF struct buf text = BUF_INIT(SHIM_MSG_MAX);
	AUTO(arena) struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct shim_message in = {.seq = 3, .kind = "not-found", .error = "exec: \"x\": no"}, out;

	assert_int_equal(shim_message_encode(&in, &text), 0);
	assert_int_equal(shim_message_decode(text.p, text.n, &out, a, &e), 0);
	assert_false(out.ok);
	assert_null(out.event);
	assert_int_equal(shim_message_error(&out, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.text, in.error);
}

static void test_bad_messages(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "{}",
					  "{\"op\":\"walk\"}",
					  "{\"op\":1}",
					  "{\"op\":\"start\",\"seq\":-1}",
					  "{\"op\":\"start\",\"h\":\"x\"}"};
	AUTO(arena) struct arena *a = arena_new();
	struct shim_request r;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e = ERR_INIT;
		assert_int_equal(shim_request_decode(bad[i], strlen(bad[i]), &r, a, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void test_names(void **state)
{
	for (int i = 1; i < SHIM_OP_COUNT; i++)
		assert_int_equal(shim_op_parse(shim_op_name((enum shim_op)i)), i);
	for (int i = 1; i < SHIM_EV_COUNT; i++)
		assert_int_equal(shim_event_parse(shim_event_name((enum shim_event)i)), i);
	assert_int_equal(shim_op_parse(NULL), SHIM_OP_NONE);
	assert_int_equal(shim_event_parse("hell"), SHIM_EV_NONE);
}

static void test_detach_keys_syntax(void **state)
{
	static const struct {
		const char *text;
		const char *bytes; /* NULL: refused */
		size_t n;
	} rows[] = {
		{NULL, "\x10\x11", 2},
		{"", "\x10\x11", 2},
		{"ctrl-a", "\1", 1},
		{"a,b", "ab", 2},
		{"ctrl-@,x", "\0x", 2},
		{"ctrl-[,ctrl-\\", "\x1b\x1c", 2},
		{"ctrl-],ctrl-^,ctrl-_", "\x1d\x1e\x1f", 3},
		{"CTRL-Z", "\x1a", 1},
		{"del", "\x7f", 1},
		{"ctrl-1", NULL, 0},
		{"ctrl-", NULL, 0},
		{"a,,b", NULL, 0},
		{"abc", NULL, 0},
		{"a,", NULL, 0},
		{"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct detach_keys k;
		int rc = detach_keys_parse(rows[i].text, &k);

		assert_int_equal(rc, rows[i].bytes ? 0 : -EINVAL);
		if (rc < 0)
			continue;
		assert_int_equal(k.n, rows[i].n);
		assert_memory_equal(k.key, rows[i].bytes, k.n);
	}
}

/* Feed text byte by byte and at once: the same bytes come out, and the sequence is found at the
 * same place. */
static void feed(const char *keys, const char *text, const char *want, bool detached)
{
	for (int whole = 0; whole < 2; whole++) {
		AUTO_BUF struct buf out = BUF_INIT(100);
		struct detach_keys k;
		bool hit = false;

		assert_int_equal(detach_keys_parse(keys, &k), 0);
		if (whole)
			hit = detach_keys_feed(&k, text, strlen(text), &out);
		for (size_t i = 0; !whole && !hit && i < strlen(text); i++)
			hit = detach_keys_feed(&k, text + i, 1, &out);
		assert_int_equal(hit, detached);
		assert_string_equal(buf_text(&out), want);
	}
}

static void test_detach_keys_in_input(void **state)
{
	feed(NULL, "ls\x10\x11more", "ls", true);
	feed(NULL, "\x10x\x11", "\x10x\x11", false);
	feed(NULL, "\x10\x10\x11", "\x10", true);
	feed(NULL, "abc\x10", "abc", false); /* held back */
	feed("a,a,b", "aaab", "a", true);
	feed("a,a,b", "aaxaab", "aax", true);
	feed("a,b,a,c", "ababac", "ab", true);
	feed("q", "xyq", "xy", true);
}

static void test_base64(void **state)
{
	static const char *const rows[][2] = {
		{"", ""},	 {"f", "Zg=="},	       {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe", "//4="}};
	static const char *const bad[] = {"Z", "Zg=", "Z===", "Zg==Zg==", "Zm9!", "=m9v"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_BUF struct buf enc = BUF_INIT(100), dec = BUF_INIT(100);

		base64_encode(rows[i][0], strlen(rows[i][0]), &enc);
		assert_string_equal(buf_text(&enc), rows[i][1]);
		assert_int_equal(base64_decode(rows[i][1], &dec), 0);
		assert_string_equal(buf_text(&dec), rows[i][0]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_BUF struct buf dec = BUF_INIT(100);

		assert_int_equal(base64_decode(bad[i], &dec), -EINVAL);
	}
	AUTO_BUF struct buf small = BUF_INIT(2);

	assert_int_equal(base64_decode("Zm9v", &small), -EMSGSIZE);
}

static void test_mux_header(void **state)
{
	unsigned char h[MUX_HEADER];

	mux_header(h, MUX_STDERR, 0x01020304);
	assert_memory_equal(h, "\2\0\0\0\1\2\3\4", MUX_HEADER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_round_trip),
		cmocka_unit_test(test_message_round_trip),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_detach_keys_syntax),
		cmocka_unit_test(test_detach_keys_in_input),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_mux_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
