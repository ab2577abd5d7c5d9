/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: context in front, kind kept, truncation visible, kinds by name. */
#include "base/err.h"
#include "cmocka-all.h"

#include <string.h>

static void test_wrap(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_sys(&e, -ENOENT, "open %s", "x"), -1);
	err_wrap(&e, "container %s", "web");
	assert_string_equal(e.text, "container web: open x: No such file or directory");
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(e.kind, ERR_SYSTEM);
}

static void test_truncation_shows(void **state)
{
	struct err e = ERR_INIT;
	char big[ERR_TEXT_MAX * 2];

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = 0;
	err_set(&e, ERR_INVALID, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_string_equal(e.text + ERR_TEXT_MAX - 4, "...");
}

static void test_kind_names(void **state)
{
	(void)state;
	for (int k = 0; k < ERR_KIND_COUNT; k++)
		assert_int_equal(err_kind_parse(err_kind_name((enum err_kind)k)), k);
	assert_int_equal(err_kind_parse("nonsense"), ERR_SYSTEM);
	assert_int_equal(err_kind_http(ERR_CONFLICT), 409);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_truncation_shows),
		cmocka_unit_test(test_kind_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
