/* SPDX-License-Identifier: Apache-2.0 */
/* Table layout, indentation, human sizes, shortened texts. */
#include "cmocka-all.h"
#include "cli/format.h"
#include "cli/units.h"

#include <string.h>

static void check_align(const char *in, size_t min, size_t padding, const char *want)
{
	struct buf out = BUF_INIT(1 << 16);

	format_align(in, strlen(in), min, padding, &out);
	assert_string_equal(buf_text(&out), want);
	buf_done(&out);
}

static void align(void **state)
{
	(void)state;
	check_align("", 10, 3, "");
	check_align("a\tb\n", 10, 3, "a         b\n");
	check_align("a\tb\tc\nlonger text\tx\ty\n", 10, 3,
		    "a             b         c\nlonger text   x         y\n");
	/* the last cell is never padded, an empty one in the middle is */
	check_align("A\tB\tC\n1\t\t3\n", 10, 3, "A         B         C\n1                   3\n");
	/* a line without the column ends it */
	check_align("aaaaaaaaaaaa\tb\nplain\nc\td\n", 10, 3,
		    "aaaaaaaaaaaa   b\nplain\nc         d\n");
	/* width counts characters, not bytes */
	check_align("\xc3\xa9\tb\nxx\tb\n", 4, 1, "\xc3\xa9   b\nxx  b\n");
}

static void indent(void **state)
{
	struct buf out = BUF_INIT(1 << 16);
	const char *in = "[ {\"a\":{},\"b\":[],\"c\":[1,2],\"d\":\"x{,\\\"}\"}\n]";

	(void)state;
	json_indent(in, strlen(in), "  ", &out);
	assert_string_equal(buf_text(&out),
			    "[\n  {\n    \"a\": {},\n    \"b\": [],\n    \"c\": [\n      1,\n"
			    "      2\n    ],\n    \"d\": \"x{,\\\"}\"\n  }\n]");
	buf_done(&out);
}

static void sizes(void **state)
{
	static const struct {
		double value;
		int precision;
		const char *text;
	} decimals[] = {{0, 3, "0B"},		{999, 3, "999B"},	 {1000, 3, "1kB"},
			{1982464, 3, "1.98MB"}, {1982464, 4, "1.982MB"}, {1e9, 3, "1GB"},
			{2.5e12, 3, "2.5TB"}};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(decimals); i++) {
		units_decimal(decimals[i].value, decimals[i].precision, text, sizeof text);
		assert_string_equal(text, decimals[i].text);
	}
	units_binary(636 * 1024, text, sizeof text);
	assert_string_equal(text, "636KiB");
	units_binary(23.54 * 1024 * 1024 * 1024, text, sizeof text);
	assert_string_equal(text, "23.54GiB");
}

static void texts(void **state)
{
	struct buf out = BUF_INIT(1 << 16);
	char id[13];

	(void)state;
	format_command("sleep 1000", false, &out);
	assert_string_equal(buf_text(&out), "\"sleep 1000\"");
	buf_reset(&out);
	format_command("sh -c 'echo \"long\" text'", false, &out);
	assert_string_equal(buf_text(&out), "\"sh -c 'echo \\\"long\\\" …\"");
	buf_reset(&out);
	format_ellipsis("0123456789", 5, &out);
	assert_string_equal(buf_text(&out), "0123…");
	assert_string_equal(format_short_id("sha256:0123456789abcdef", false, id), "0123456789ab");
	assert_string_equal(format_short_id("0123456789abcdef", true, id), "0123456789abcdef");
	buf_done(&out);
}

static char *list_text(const char *format, const char *def, struct err *e)
{
	static const struct format_header headers[] = {{"ID", "CONTAINER ID"},
						       {"Labels", "LABELS"}};
	static char text[4096];
	FILE *f = tmpfile();
	struct list_out l = {
		.type_name = "*formatter.X", .headers = headers, .nheaders = 2, .out = f};

	assert_non_null(f);
	int rc = list_begin(&l, format, def, e);
	if (rc == 0)
		rc = list_row(&l, "{\"ID\":\"x<y\",\"Labels\":\"a=1,com.b=2\"}", e);
	list_end(&l, rc == 0);
	rewind(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	text[n] = 0;
	fclose(f);
	return rc == 0 ? text : NULL;
}

static void lists(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_string_equal(list_text("", "table {{.ID}}\\t{{.Labels}}", &e),
			    "CONTAINER ID   LABELS\nx<y            a=1,com.b=2\n");
	assert_string_equal(list_text("{{.ID}}\\n", "", &e), "x<y\n\n");
	assert_string_equal(list_text("json", "", &e),
			    "{\"ID\":\"x\\u003cy\",\"Labels\":\"a=1,com.b=2\"}\n");
	assert_string_equal(list_text("table {{.Label \"com.b\"}}", "", &e), "b\n2\n");
	assert_null(list_text("{{.Foo}}", "", &e));
	assert_string_equal(e.text, "failed to execute template: template: :1:2: executing \"\" at "
				    "<.Foo>: can't evaluate field Foo in type *formatter.X");
	assert_null(list_text("{{.ID", "", &e));
	assert_string_equal(e.text, "failed to parse template: template: :1: unclosed action");
}

static void filters(void **state)
{
	const char *list[] = {"label=a=b", "name=x", "label=c"};
	const char *bad[] = {"foo"};
	struct optval v = {.v = list, .n = 3}, w = {.v = bad, .n = 1};
	struct buf path = BUF_INIT(1 << 16);
	struct err e = ERR_INIT;

	(void)state;
	buf_adds(&path, "/x");
	assert_int_equal(format_filters(&path, &v, &e), 0);
	assert_string_equal(
		buf_text(&path),
		"/x?filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%2C%22c%22%3Atrue%7D%2C"
		"%22name%22%3A%7B%22x%22%3Atrue%7D%7D");
	assert_int_equal(format_filters(&path, &w, &e), -1);
	buf_done(&path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(align), cmocka_unit_test(indent), cmocka_unit_test(sizes),
		cmocka_unit_test(texts), cmocka_unit_test(lists),  cmocka_unit_test(filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
