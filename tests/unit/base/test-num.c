/* SPDX-License-Identifier: Apache-2.0 */
/* Number parsing by table. */
#include "base/num.h"
#include "base/attr.h"
#include "cmocka-all.h"

struct row {
	const char *text;
	int rc;
	int64_t value;
};

static void run(const struct row *rows, size_t n, int (*parse)(const char *, int64_t *))
{
	for (size_t i = 0; i < n; i++) {
		int64_t v = 424242;
		assert_int_equal(parse(rows[i].text, &v), rows[i].rc);
		assert_true(v == (rows[i].rc ? 424242 : rows[i].value)); /* untouched on failure */
	}
}

static void test_bytes(void **state)
{
	static const struct row rows[] = {
		{"512", 0, 512},	 {"64k", 0, 65536},	  {"64KB", 0, 65536},
		{"1.5g", 0, 1610612736}, {"2GiB", 0, 2147483648}, {"1 kb", 0, 1024},
		{"-1", 0, -1},		 {"10x", -EINVAL, 0},	  {"", -EINVAL, 0},
		{"k", -EINVAL, 0},	 {"1kk", -EINVAL, 0},	  {"99999999p", -ERANGE, 0},
	};

	(void)state;
	run(rows, ARRAY_SIZE(rows), num_parse_bytes);
}

static void test_duration(void **state)
{
	static const struct row rows[] = {
		{"1h2m3.5s", 0, 3723500000000},
		{"150ms", 0, 150000000},
		{"0", 0, 0},
		{"-3s", 0, -3000000000},
		{"1µs", 0, 1000},
		{"5", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"1d", -EINVAL, 0},
		{"9999999999h", -ERANGE, 0},
	};

	(void)state;
	run(rows, ARRAY_SIZE(rows), num_parse_duration);
}

static void test_nano(void **state)
{
	static const struct row rows[] = {
		{"1.5", 0, 1500000000}, {".25", 0, 250000000}, {"2", 0, 2000000000},
		{"", -EINVAL, 0},	{"-1", -EINVAL, 0},    {"1.x", -EINVAL, 0},
		{".", -EINVAL, 0},
	};

	(void)state;
	run(rows, ARRAY_SIZE(rows), num_parse_nano);
}

static void test_integers(void **state)
{
	uint64_t u;
	int64_t i;
	uint32_t o;

	(void)state;
	assert_int_equal(num_parse_u64("18446744073709551615", 0, UINT64_MAX, &u), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(num_parse_u64("18446744073709551616", 0, UINT64_MAX, &u), -ERANGE);
	assert_int_equal(num_parse_u64("7", 8, 9, &u), -ERANGE);
	assert_int_equal(num_parse_u64(" 7", 0, 9, &u), -EINVAL);
	assert_int_equal(num_parse_u64("7 ", 0, 9, &u), -EINVAL);
	assert_int_equal(num_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(num_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i), -ERANGE);
	assert_int_equal(num_parse_octal("0755", 07777, &o), 0);
	assert_int_equal(o, 0755);
	assert_int_equal(num_parse_octal("8", 07777, &o), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_nano),
		cmocka_unit_test(test_integers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
