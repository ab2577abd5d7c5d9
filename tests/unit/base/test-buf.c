/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers keep their maximum; views are cut without losing empty fields. */
#include "base/buf.h"
#include "cmocka-all.h"

#include <string.h>

static void test_cap(void **state)
{
	AUTO_BUF struct buf b = BUF_INIT(10);

	(void)state;
	buf_adds(&b, "12345");
	buf_addf(&b, "%d", 67890);
	assert_int_equal(b.n, 10);
	assert_false(b.overflow);
	buf_addc(&b, 'x');
	assert_true(b.overflow);
	assert_string_equal(buf_text(&b),
			    "1234567890"); /* the write that did not fit left no part */
	buf_reset(&b);
	buf_adds(&b, "again");
	assert_string_equal(buf_text(&b), "again");
}

static void test_long_format(void **state)
{
	AUTO_BUF struct buf b = BUF_INIT(100000);
	char big[5000];

	(void)state;
	memset(big, 'a', sizeof big - 1);
	big[sizeof big - 1] = 0;
	buf_addf(&b, "<%s>", big);
	assert_int_equal(b.n, sizeof big + 1);
	assert_int_equal(b.p[b.n - 1], '>');
}

static void test_drop_and_take(void **state)
{
	AUTO_BUF struct buf b = BUF_INIT(100);

	(void)state;
	buf_adds(&b, "abcdef");
	buf_drop(&b, 2);
	assert_string_equal(buf_text(&b), "cdef");
	AUTO_FREE char *text = buf_take(&b);
	assert_string_equal(text, "cdef");
	assert_int_equal(b.n, 0);
	buf_drop(&b, 5);
	assert_string_equal(buf_text(&b), "");
}

static void test_cut(void **state)
{
	struct str rest = str_of("a,,b,"), field;
	const char *expect[] = {"a", "", "b", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expect); i++) {
		assert_true(str_cut(&rest, ',', &field));
		assert_true(str_eq(field, expect[i]));
	}
	assert_false(str_cut(&rest, ',', &field));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_long_format),
		cmocka_unit_test(test_drop_and_take),
		cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
