/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text and back, and Docker's human durations. */
#include "base/clock.h"
#include "base/attr.h"
#include "cmocka-all.h"

static void test_format(void **state)
{
	char text[CLOCK_TEXT_MAX];

	(void)state;
	clock_format(1700000000120000000, text);
	assert_string_equal(text, "2023-11-14T22:13:20.12Z");
	clock_format(1700000000000000000, text);
	assert_string_equal(text, "2023-11-14T22:13:20Z");
	clock_format_fixed(1700000000120000000, text);
	assert_string_equal(text, "2023-11-14T22:13:20.120000000Z");
	clock_format(0, text);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ns;
	} rows[] = {
		{"2023-11-14T22:13:20.12Z", 0, 1700000000120000000},
		{"2023-11-14T23:13:20+01:00", 0, 1700000000000000000},
		{"1969-12-31T23:59:59Z", 0, -1000000000},
		{"0001-01-01T00:00:00Z", 0, 0},
		{"2023-11-14", -EINVAL, 0},
		{"2023-13-14T22:13:20Z", -EINVAL, 0},
		{"2023-11-14T22:13:20", -EINVAL, 0},
		{"2023-11-14T22:13:20Zx", -EINVAL, 0},
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(clock_parse(rows[i].text, &ns), rows[i].rc);
		if (!rows[i].rc)
			assert_true(ns == rows[i].ns);
	}
}

static void test_when(void **state)
{
	const int64_t now = 1700000000000000000;
	int64_t ns;

	(void)state;
	assert_int_equal(clock_parse_when("10m", now, &ns), 0);
	assert_true(ns == now - 600000000000);
	assert_int_equal(clock_parse_when("1700000000.5", now, &ns), 0);
	assert_true(ns == now + 500000000);
	assert_int_equal(clock_parse_when("2023-11-14", now, &ns), 0);
	assert_true(ns == 1699920000000000000);
	assert_int_equal(clock_parse_when("2023-11-14T22:13", now, &ns), 0);
	assert_true(ns == 1699999980000000000);
	assert_int_equal(clock_parse_when("yesterday", now, &ns), -EINVAL);
}

static void test_human(void **state)
{
	static const struct {
		int64_t s;
		const char *text;
	} rows[] = {
		{0, "Less than a second"}, {1, "1 second"},	      {59, "59 seconds"},
		{60, "About a minute"},	   {150, "2 minutes"},	      {3600, "About an hour"},
		{7200, "2 hours"},	   {3 * 86400, "3 days"},     {15 * 86400, "2 weeks"},
		{70 * 86400, "2 months"},  {800L * 86400, "2 years"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		clock_human(rows[i].s * 1000000000, text, sizeof text);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_duration(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{1, "1ns"},
		{1500, "1.5\302\265s"},
		{500000000, "500ms"},
		{1500000000, "1.5s"},
		{30000000000, "30s"},
		{90000000000, "1m30s"},
		{3600000000000, "1h0m0s"},
		{-2000000000, "-2s"},
		{INT64_MIN, "-2562047h47m16.854775808s"},
	};
	char text[CLOCK_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		clock_format_duration(rows[i].ns, text);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),	 cmocka_unit_test(test_parse),
		cmocka_unit_test(test_when),	 cmocka_unit_test(test_human),
		cmocka_unit_test(test_duration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
