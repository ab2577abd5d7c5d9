/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: the forms Docker's users type, and the errors they know. */
#include "cmocka-all.h"
#include "cli/run.h"

#include <string.h>

static const struct opt table[] = {
	{'a', "all", OPT_BOOL, NULL, "", NULL, 0},
	{'b', "bool", OPT_BOOL, NULL, "", "true", 0},
	{'e', "env", OPT_LIST, NULL, "", NULL, 0},
	{'n', "last", OPT_INT, NULL, "", "-1", 0},
	{'m', "memory", OPT_BYTES, NULL, "", NULL, 0},
	{0, "cpus", OPT_DECIMAL, NULL, "", NULL, 0},
	{0, "wait", OPT_DURATION, NULL, "", NULL, 0},
	{0, "name", OPT_STR, NULL, "", "none", 0},
	{0, "weight", OPT_UINT16, NULL, "", NULL, 0},
	{0, "gpus", OPT_STR, NULL, "", NULL, OPT_UNBUILT},
	OPT_END,
};

static int parse(struct opts *o, struct err *e, bool interspersed, const char *line)
{
	static char text[512];
	static char *argv[32];
	int argc = 0;

	snprintf(text, sizeof text, "%s", line);
	for (char *s = text; *s && argc < 32;) {
		argv[argc++] = s;
		s += strcspn(s, " ");
		if (*s)
			*s++ = 0;
	}
	return opts_parse(o, table, argc, argv, interspersed, e);
}

static void forms(void **state)
{
	struct opts o;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		parse(&o, &e, true, "x --all -eA=1 -e B=2 --env=C --env D -n5 y --memory=1.5g"), 0);
	assert_true(opts_bool(&o, "all"));
	assert_int_equal(opts_get(&o, "env")->n, 4);
	assert_string_equal(opts_get(&o, "env")->v[0], "A=1");
	assert_string_equal(opts_get(&o, "env")->v[3], "D");
	assert_int_equal(opts_int(&o, "last"), 5);
	assert_int_equal(opts_int(&o, "memory"), 1610612736);
	assert_int_equal(o.argc, 2);
	assert_string_equal(o.argv[1], "y");
	assert_false(opts_set(&o, "name"));
	assert_string_equal(opts_str(&o, "name"), "none");
	opts_done(&o);
	assert_int_equal(parse(&o, &e, true, "-abn 7 --cpus 1.5 --wait 1m30s --bool=false -m=64k"),
			 0);
	assert_true(opts_bool(&o, "all"));
	assert_false(opts_bool(&o, "bool"));
	assert_int_equal(opts_int(&o, "last"), 7);
	assert_int_equal(opts_int(&o, "cpus"), 1500000000);
	assert_int_equal(opts_int(&o, "wait"), 90000000000);
	assert_int_equal(opts_int(&o, "memory"), 65536);
	opts_done(&o);
}

static void defaults_and_ends(void **state)
{
	struct opts o;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(parse(&o, &e, false, "-a image -n 5 --foo"), 0);
	assert_int_equal(o.argc, 4);
	assert_int_equal(opts_int(&o, "last"), -1);
	assert_true(opts_bool(&o, "bool"));
	assert_false(opts_set(&o, "bool"));
	opts_done(&o);
	assert_int_equal(parse(&o, &e, true, "a -- -n b"), 0);
	assert_int_equal(o.argc, 3);
	assert_string_equal(o.argv[1], "-n");
	opts_done(&o);
	assert_int_equal(parse(&o, &e, true, "- --memory -1 --help"), 0);
	assert_string_equal(o.argv[0], "-");
	assert_int_equal(opts_int(&o, "memory"), -1);
	assert_true(o.help);
	opts_done(&o);
}

static void errors(void **state)
{
	static const struct {
		const char *line, *text;
	} bads[] = {
		{"--foo", "unknown flag: --foo"},
		{"--foo=bar", "unknown flag: --foo"},
		{"-az", "unknown shorthand flag: 'z' in -z"},
		{"--env", "flag needs an argument: --env"},
		{"-ae", "flag needs an argument: 'e' in -ae"},
		{"--memory x",
		 "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'"},
		{"--memory -5",
		 "invalid argument \"-5\" for \"-m, --memory\" flag: invalid size: '-5'"},
		{"--last x",
		 "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": "
		 "invalid syntax"},
		{"--all=maybe",
		 "invalid argument \"maybe\" for \"-a, --all\" flag: strconv.ParseBool: parsing "
		 "\"maybe\": invalid syntax"},
		{"--cpus x", "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a "
			     "rational number"},
		{"--weight 70000",
		 "invalid argument \"70000\" for \"--weight\" flag: strconv.ParseUint: parsing "
		 "\"70000\": value out of range"},
		{"--gpus all", "--gpus is not supported yet"},
		{"--=x", "bad flag syntax: --=x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct opts o;
		struct err e = ERR_INIT;
		assert_int_equal(parse(&o, &e, true, bads[i].line), -1);
		assert_string_equal(e.text, bads[i].text);
		opts_done(&o);
	}
}

/* Every table of every command: names unique, letters unique, defaults parse. */
static void tables_are_sound(void **state)
{
	(void)state;
	for (const struct command *c = cli_commands; c->run; c++) {
		struct opts o;
		struct err e = ERR_INIT;
		assert_true(c->top || (c->manage && c->sub));
		for (const struct opt *a = c->opts; a->name; a++) {
			assert_non_null(a->help);
			for (const struct opt *b = a + 1; b->name; b++) {
				assert_string_not_equal(a->name, b->name);
				if (a->letter)
					assert_int_not_equal(a->letter, b->letter);
			}
		}
		assert_int_equal(opts_parse(&o, c->opts, 0, NULL, true, &e), 0);
		opts_done(&o);
		char *help[] = {(char[]){"--help"}};
		assert_int_equal(opts_parse(&o, c->opts, 1, help, true, &e), 0);
		assert_true(o.help);
		opts_done(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(defaults_and_ends),
		cmocka_unit_test(errors),
		cmocka_unit_test(tables_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
