/* SPDX-License-Identifier: Apache-2.0 */
/* The TOML reader: what configuration files contain, and the place of each fault. */
#include "cmocka-all.h"
#include "base/buf.h"
#include "wire/toml.h"

#include <string.h>

static struct arena *arena;

static int setup(void **state)
{
	arena = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(arena);
	return 0;
}

static const struct toml *parse(const char *text)
{
	struct err e = ERR_INIT;
	struct toml *t = NULL;
	if (toml_parse(text, strlen(text), arena, &t, &e) < 0)
		fail_msg("%s", e.text);
	return t;
}

static void refused(const char *text, const char *want)
{
	struct err e = ERR_INIT;
	struct toml *t = NULL;
	assert_int_equal(toml_parse(text, strlen(text), arena, &t, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_string_equal(e.text, want);
}

static void hosts_file(void **state)
{
	const struct toml *t = parse("server = \"https://docker.io\"  # origin\r\n"
				     "\n"
				     "[host.\"https://one.example:5000\"]\n"
				     "  capabilities = [ \"pull\",\n   'resolve', # why\n ]\n"
				     "  client = [[\"/c.cert\", \"/c.key\"],[\"/d.pem\"]]\n"
				     "  skip_verify = true\n"
				     "  [host.\"https://one.example:5000\".header]\n"
				     "    x-1 = [\"a\", \"b\"]\n"
				     "[host.\"http://two\"]\n"
				     "  override_path = false\n");
	assert_string_equal(toml_str(t, "server"), "https://docker.io");
	const struct toml *one = toml_get(t, "host")->first;
	assert_string_equal(one->key, "https://one.example:5000");
	assert_string_equal(one->next->key, "http://two");
	assert_null(one->next->next);
	assert_string_equal(toml_get(one, "capabilities")->first->next->text, "resolve");
	assert_null(toml_get(one, "capabilities")->first->next->next);
	assert_string_equal(toml_get(one, "client")->first->next->first->text, "/d.pem");
	assert_true(toml_get(one, "skip_verify")->b);
	assert_string_equal(toml_get(toml_get(one, "header"), "x-1")->last->text, "b");
	assert_int_equal(toml_get(one, "skip_verify")->line, 8);
}

static void registries_file(void **state)
{
	const struct toml *t = parse(
		"unqualified-search-registries = ['a.example', \"docker.io\"]\n"
		"[[registry]]\nprefix = \"*.corp\"\nblocked = true\n"
		"[[registry]]\nlocation='b'\n"
		"[[registry.mirror]]\nlocation='m1'\n"
		"[[registry.mirror]]\nlocation='m2'\ninsecure=true\n"
		"[aliases]\n\"a/b\" = \"c.example/a/b\"\n");
	const struct toml *second = toml_get(t, "registry")->first->next;
	assert_string_equal(toml_str(second, "location"), "b");
	assert_string_equal(toml_str(toml_get(second, "mirror")->last, "location"), "m2");
	assert_null(toml_get(toml_get(t, "registry")->first, "mirror"));
	assert_string_equal(toml_str(toml_get(t, "aliases"), "a/b"), "c.example/a/b");
}

static void values(void **state)
{
	const struct toml *t = parse(
		"a = -17\nb = 0xDEAD_beef\nc = 1_000\nd = 1.5e3\n"
		"e = 1979-05-27T07:32:00Z\nf = \"\\u00e9\\n\\\"\"\n"
		"g = '''\none\n'two' '''\nh = \"\"\"x \\\n   y\"\"\"\n"
		"i = {j = 1, k.l = [{m = ''}]}\nn.o.p = true\nn.o.q = 2\n"
		"'quoted key' = 1\nr = +5\ns = [ ]\nu = 0b11\nv = \"\"\"\"\"\"\n");
	assert_int_equal(toml_get(t, "a")->i, -17);
	assert_int_equal(toml_get(t, "b")->i, 0xdeadbeef);
	assert_int_equal(toml_get(t, "c")->i, 1000);
	assert_string_equal(toml_get(t, "d")->text, "1.5e3");
	assert_int_equal(toml_get(t, "e")->kind, TOML_OTHER);
	assert_string_equal(toml_str(t, "f"), "\xc3\xa9\n\"");
	assert_string_equal(toml_str(t, "g"), "one\n'two' ");
	assert_string_equal(toml_str(t, "h"), "x y");
	assert_int_equal(toml_get(toml_get(toml_get(t, "i"), "k"), "l")->first->kind, TOML_TABLE);
	assert_int_equal(toml_get(toml_get(toml_get(t, "n"), "o"), "q")->i, 2);
	assert_int_equal(toml_get(t, "quoted key")->i, 1);
	assert_int_equal(toml_get(t, "r")->i, 5);
	assert_null(toml_get(t, "s")->first);
	assert_int_equal(toml_get(t, "u")->i, 3);
	assert_string_equal(toml_str(t, "v"), "");
	assert_null(parse("")->first);
}

static void faults(void **state)
{
	refused("a = 1\nb = \n", "2:5: a value is missing here");
	refused("a = x", "1:5: this is no value; texts need quotes");
	refused("a = 1\na = 2", "2:3: this key is defined twice");
	refused("[t]\n[t]\n", "2:3: this table is defined twice");
	refused("[t\n", "1:3: ] is missing here");
	refused("[[t]\n", "1:4: ]] is missing here");
	refused("a = \"b", "1:7: string without an end");
	refused("a = 'b\nc'", "1:7: string without an end");
	refused("a = \"\\q\"", "1:7: unknown escape");
	refused("a = \"\\u0000\"", "1:12: this unicode escape is no character");
	refused("a = [1 2]", "1:8: an array goes on with , or ends with ]");
	refused("a = {b = 1,}", "1:12: a key is missing here");
	refused("a = 1 b = 2", "1:7: the line should end here");
	refused("a\n", "1:2: = is missing after the key");
	refused("= 1\n", "1:1: a key is missing here");
	refused("a = 012", "1:5: this number is malformed or too large");
	refused("a = 9223372036854775808", "1:5: this number is malformed or too large");
	refused("a = 1__0", "1:5: this is no value; texts need quotes");
	refused("a = {b = 1}\na.c = 2\n", "2:3: this table is defined elsewhere");
	refused("a = {b = 1}\n[a.c]\n", "2:4: this is a value already and no table");
	refused("a = [1]\n[[a]]\n", "2:4: this is defined already and no array of tables");
	refused("x = 1\ny = '\xff'\n", "2:6: this is not UTF-8");
	refused("x = '\xed\xa0\x80'\n", "1:6: this is not UTF-8");
	refused("# \x01\n", "1:3: control character in a comment");
	refused("a=[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "1:19: nested too deeply");
	struct err e = ERR_INIT;
	struct toml *t = NULL;
	assert_int_equal(toml_parse("a = '\0'", 8, arena, &t, &e), -1);
	assert_string_equal(e.text, "1:6: control character in a string");
}

static void many_values(void **state)
{
	AUTO_BUF struct buf text = BUF_INIT(TOML_SIZE_MAX);
	struct err e = ERR_INIT;
	struct toml *t = NULL;
	buf_adds(&text, "a = [");
	for (int i = 0; i < TOML_NODES_MAX; i++)
		buf_adds(&text, "1,");
	buf_adds(&text, "]");
	assert_int_equal(toml_parse(buf_text(&text), text.n, arena, &t, &e), -1);
	assert_non_null(strstr(e.text, "too many values"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hosts_file, setup, teardown),
		cmocka_unit_test_setup_teardown(registries_file, setup, teardown),
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(faults, setup, teardown),
		cmocka_unit_test_setup_teardown(many_values, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
