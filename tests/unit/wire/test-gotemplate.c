/* SPDX-License-Identifier: Apache-2.0 */
/* Go templates by table: what Go's text/template gives for the same text and data. */
#include "cmocka-all.h"
#include "wire/gotemplate.h"

#include <stdio.h>
#include <string.h>

static const char data[] = "{\"ID\":\"abc123\",\"Name\":\"web "
			   "one\",\"N\":42,\"Neg\":-3,\"F\":1.5,\"Yes\":true,\"No\":false,"
			   "\"Null\":null,\"Empty\":\"\",\"List\":[\"a\",\"b\",\"c\"],\"None\":[],"
			   "\"Map\":{\"z\":\"26\",\"a\":\"1\"},\"Deep\":{\"Er\":{\"Est\":\"x\"}},"
			   "\"Mounts\":[{\"Type\":\"bind\",\"RW\":true},{\"Type\":\"volume\","
			   "\"RW\":false}],\"H\":\"<&>\"}";

static const struct {
	const char *template, *output;
} goods[] = {
	{"", ""},
	{"plain } text {", "plain } text {"},
	{"{{.ID}}", "abc123"},
	{"{{ .ID }}:{{.N}}:{{.Yes}}:{{.F}}", "abc123:42:true:1.5"},
	{"{{.Null}}|{{.Nothing}}", "<no value>|<no value>"},
	{"{{.List}} {{.None}} {{.Map}}", "[a b c] [] map[a:1 z:26]"},
	{"{{.Deep.Er.Est}} {{.Deep.Er}}", "x map[Est:x]"},
	{"{{json .Map}} {{json .List}} {{json .ID}} {{json .Null}} {{.N | json}}",
	 "{\"z\":\"26\",\"a\":\"1\"} [\"a\",\"b\",\"c\"] \"abc123\" null 42"},
	{"{{json .H}}", "\"<&>\""},
	{"{{if .Yes}}y{{else}}n{{end}}{{if .No}}y{{else}}n{{end}}", "yn"},
	{"{{if .Null}}1{{else if .Empty}}2{{else if .N}}3{{else}}4{{end}}", "3"},
	{"{{if not .None}}empty{{end}}", "empty"},
	{"{{with .Deep}}{{.Er.Est}}{{end}}{{with .Empty}}x{{else}}none{{end}}", "xnone"},
	{"{{with $x := .ID}}{{$x}}{{$.N}}{{end}}", "abc12342"},
	{"{{range .List}}<{{.}}>{{end}}", "<a><b><c>"},
	{"{{range $i, $v := .List}}{{if $i}}, {{end}}{{$i}}={{$v}}{{end}}", "0=a, 1=b, 2=c"},
	{"{{range $k, $v := .Map}}{{$k}}{{$v}};{{end}}", "a1;z26;"},
	{"{{range .None}}x{{else}}empty{{end}}", "empty"},
	{"{{range .Null}}x{{else}}nil{{end}}", "nil"},
	{"{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"},
	{"{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"},
	{"{{range .Mounts}}{{.Type}}:{{.RW}} {{end}}", "bind:true volume:false "},
	{"{{$n := 0}}{{range .List}}{{$n = .}}{{end}}{{$n}}", "c"},
	{"{{/* a comment */}}x", "x"},
	{"a {{- .ID -}} b", "aabc123b"},
	{"a\n {{- \"x\" }}\n{{ \"y\" -}}\n b", "ax\nyb"},
	{"{{eq .N 42}} {{ne .N 42}} {{lt .N 43}} {{le .N 42}} {{gt .N 42}} {{ge .N 42}}",
	 "true false true true false true"},
	{"{{eq .ID \"x\" \"abc123\"}} {{eq .Yes true}} {{lt \"a\" \"b\"}}", "true true true"},
	{"{{and .Yes .N}} {{and .No .N}} {{or .Empty .N}} {{or .Yes .N}}", "42 false 42 true"},
	{"{{len .List}} {{len .ID}} {{len .Map}}", "3 6 2"},
	{"{{index .List 1}} {{index .Map \"z\"}} {{index .Mounts 0 \"Type\"}}", "b 26 bind"},
	{"[{{index .Map \"none\"}}]", "[]"},
	{"{{slice .ID 1 3}} {{slice .List 1}}", "bc [b c]"},
	{"{{upper .ID}} {{lower \"ABC\"}} {{title .Name}}", "ABC123 abc Web One"},
	{"{{join .List \", \"}} {{join (split \"a:b:c\" \":\") \"+\"}}", "a, b, c a+b+c"},
	{"{{range split \"a b\" \" \"}}<{{.}}>{{end}}", "<a><b>"},
	{"{{pad .ID 2 1}}| {{truncate .ID 3}} {{truncate .ID 99}}", "  abc123 | abc abc123"},
	{"{{print 1 2 \"x\" 3}} {{println .ID .N}}", "1 2x3 abc123 42\n"},
	{"{{printf \"%s|%5d|%-5d|%05d|%v|%q|%t|%%\" .ID .N .N .N .List .ID .Yes}}",
	 "abc123|   42|42   |00042|[a b c]|\"abc123\"|true|%"},
	{"{{printf \"%-8s|%8s|%.2f|%.2s\" .ID .ID .F .ID}}", "abc123  |  abc123|1.50|ab"},
	{"{{printf \"%d\" .ID}} {{printf \"%s\"}}", "%!d(abc123) %!s(MISSING)"},
	{"{{.ID | printf \"<%s>\" | upper}}", "<ABC123>"},
	{"{{(index .Mounts 1).Type}}", "volume"},
	{"{{\"q\\\"\\t\\u00e9\"}}{{`raw\\t`}}", "q\"\t\xc3\xa9raw\\t"},
	{"{{html .H}} {{urlquery \"a b&c\"}}", "&lt;&amp;&gt; a+b%26c"},
	{"{{\"}}\"}}", "}}"},
};

static const struct {
	const char *template, *error;
	bool map; /* missing keys are errors */
} bads[] = {
	{"{{.ID", "template: :1: unclosed action", false},
	{"{{", "template: :1: unclosed action", false},
	{"x\n{{foo .ID}}", "template: :2: function \"foo\" not defined", false},
	{"{{\"abc}}", "template: :1: unterminated quoted string", false},
	{"{{if .ID}}x", "template: :1: unexpected EOF", false},
	{"{{end}}", "template: :1: unexpected {{end}}", false},
	{"{{else}}", "template: :1: unexpected {{else}}", false},
	{"{{$x}}", "template: :1: undefined variable \"$x\"", false},
	{"{{}}", "template: :1: missing value for command", false},
	{"{{(.ID}}", "template: :1: unclosed left paren", false},
	{"{{break}}", "template: :1: {{break}} outside {{range}}", false},
	{"{{define \"x\"}}{{end}}", "template: :1: {{define}} is not supported", false},
	{"{{index .List 9}}",
	 "template: :1:2: executing \"\" at <index .List 9>: error calling index: index out of "
	 "range: 9",
	 false},
	{"{{.Foo}}", "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\"",
	 true},
	{"{{.Deep.Foo}}",
	 "template: :1:7: executing \"\" at <.Deep.Foo>: map has no entry for key \"Foo\"", true},
	{"{{.ID.x}}",
	 "template: :1:5: executing \"\" at <.ID.x>: can't evaluate field x in type string", true},
	{"{{lt .ID 3}}",
	 "template: :1:2: executing \"\" at <lt .ID 3>: error calling lt: incompatible types for "
	 "comparison",
	 false},
	{"{{upper .N}}",
	 "template: :1:2: executing \"\" at <upper .N>: wrong type for value; expected string",
	 false},
};

static struct json *tree(void)
{
	struct json *j = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(json_parse(data, strlen(data), &j, &e), 0);
	return j;
}

static void outputs(void **state)
{
	struct json *j = tree();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		struct gt_template *t = NULL;
		struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;
		if (gt_parse(goods[i].template, &t, &e) < 0 || gt_run(t, j, NULL, &out, &e) < 0)
			fail_msg("%s: %s", goods[i].template, e.text);
		if (strcmp(buf_text(&out), goods[i].output))
			fail_msg("%s: got \"%s\", want \"%s\"", goods[i].template, buf_text(&out),
				 goods[i].output);
		gt_free(t);
		buf_done(&out);
	}
	json_free(j);
}

static void errors(void **state)
{
	struct json *j = tree();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		const struct gt_options o = {.missing = bads[i].map ? GT_MISSING_MAP
								    : GT_MISSING_NO_VALUE};
		struct gt_template *t = NULL;
		struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;
		if (gt_parse(bads[i].template, &t, &e) == 0 && gt_run(t, j, &o, &out, &e) == 0)
			fail_msg("%s: no error, \"%s\"", bads[i].template, buf_text(&out));
		assert_string_equal(e.text, bads[i].error);
		gt_free(t);
		buf_done(&out);
	}
	json_free(j);
}

static void depth_is_bounded(void **state)
{
	char text[8192];
	struct gt_template *t = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;

	(void)state;
	n += (size_t)snprintf(text, sizeof text, "{{");
	for (int i = 0; i < 500; i++)
		text[n++] = '(';
	snprintf(text + n, sizeof text - n, ".ID}}");
	assert_int_equal(gt_parse(text, &t, &e), -1);
	assert_non_null(strstr(e.text, "too deeply"));
	n = 0;
	for (int i = 0; i < 500; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "{{if 1}}");
	assert_int_equal(gt_parse(text, &t, &e), -1);
	assert_non_null(strstr(e.text, "too deeply"));
}

static void output_is_bounded(void **state)
{
	struct json *j = tree();
	struct gt_template *t = NULL;
	struct buf out = BUF_INIT(10);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(gt_parse("{{range .List}}0123456789{{end}}", &t, &e), 0);
	assert_int_equal(gt_run(t, j, NULL, &out, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
	gt_free(t);
	buf_done(&out);
	json_free(j);
}

static bool row_field(const void *row, const char *name, struct buf *out)
{
	if (strcmp(name, "ID") && strcmp(name, "Name"))
		return false;
	buf_addf(out, "%s-%s", (const char *)row, name);
	return true;
}

static void rows_of_fields_need_no_document(void **state)
{
	static const struct {
		const char *text, *expected; /* NULL: gt_run() is asked */
	} cases[] = {
		{"{{.ID}}\t{{ .Name }}|", "r-ID\tr-Name|"},
		{"plain", "plain"},
		{"x{{.ID}}{{.Other}}", NULL},
		{"{{.ID.Part}}", NULL},
		{"{{json .ID}}", NULL},
		{"{{.ID | upper}}", NULL},
		{"{{if .ID}}y{{end}}", NULL},
		{"{{$x := .ID}}", NULL},
		{"{{.}}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(gt_template) struct gt_template *t = NULL;
		AUTO_BUF struct buf out = BUF_INIT(100);
		struct err e = ERR_INIT;

		buf_adds(&out, "before ");
		assert_int_equal(gt_parse(cases[i].text, &t, &e), 0);
		assert_int_equal(gt_run_fields(t, row_field, "r", &out), cases[i].expected != NULL);
		if (cases[i].expected)
			assert_string_equal(buf_text(&out) + 7, cases[i].expected);
		assert_int_equal(out.n, 7 + (cases[i].expected ? strlen(cases[i].expected) : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs),
		cmocka_unit_test(errors),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(output_is_bounded),
		cmocka_unit_test(rows_of_fields_need_no_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
