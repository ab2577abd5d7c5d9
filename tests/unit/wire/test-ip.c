/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: text there and back, and the arithmetic of pools. */
#include "wire/ip.h"

#include "cmocka-all.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

static struct ip ip(const char *text)
{
	struct ip a;

	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	assert_int_equal(ip_prefix_parse(text, &p), 0);
	return p;
}

static void test_text(void **state)
{
	static const char *const rows[][2] = {
		{"10.1.2.3", "10.1.2.3"},
		{"::", "::"},
		{"FD00:0:0::1", "fd00::1"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"1.2.3", NULL},
		{"01.2.3.4", NULL},
		{"1.2.3.4 ", NULL},
		{"fe80::1%eth0", NULL},
		{"1.2.3.256", NULL},
		{"", NULL},
		{"::g", NULL},
		{"1.2.3.4/8", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[IP_TEXT_MAX];
		struct ip a;

		if (!rows[i][1]) {
			assert_int_equal(ip_parse(rows[i][0], &a), -EINVAL);
			continue;
		}
		assert_string_equal(ip_format(ip(rows[i][0]), text), rows[i][1]);
	}
}

static void test_prefix(void **state)
{
	static const char *const bad[] = {
		"10.0.0.0",    "10.0.0.0/33", "10.0.0.0/",	     "fd00::/129", "10.0.0.0/-1",
		"10.0.0.0/8x", "/8",	      "::ffff:10.0.0.0/104", "1.1.1.1/ 8", "1.1.1.1/0008"};
	char text[IP_TEXT_MAX];
	struct ip_prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(ip_prefix_parse(bad[i], &p), -EINVAL);
	p = prefix("172.17.5.9/20");
	assert_string_equal(ip_prefix_format(p, text), "172.17.5.9/20");
	assert_string_equal(ip_format(ip_mask(p), text), "172.17.0.0");
	assert_string_equal(ip_format(ip_last(p), text), "172.17.15.255");
	assert_true(ip_prefix_has(p, ip("172.17.15.255")));
	assert_false(ip_prefix_has(p, ip("172.17.16.0")));
	assert_false(ip_prefix_has(p, ip("::")));
	p = prefix("fd00:1::5/64");
	assert_string_equal(ip_format(ip_last(p), text), "fd00:1::ffff:ffff:ffff:ffff");
	assert_true(ip_prefix_overlap(prefix("10.0.0.0/8"), prefix("10.9.8.7/24")));
	assert_true(ip_prefix_overlap(prefix("10.9.8.7/24"), prefix("10.0.0.0/8")));
	assert_false(ip_prefix_overlap(prefix("10.0.0.0/24"), prefix("10.0.1.0/24")));
	assert_true(ip_prefix_overlap(prefix("0.0.0.0/0"), prefix("10.0.1.0/24")));
	assert_false(ip_prefix_overlap(prefix("0.0.0.0/0"), prefix("::/0")));
}

static void test_sums(void **state)
{
	char text[IP_TEXT_MAX];

	(void)state;
	assert_string_equal(ip_format(ip_add(ip("10.0.0.255"), 2), text), "10.0.1.1");
	assert_string_equal(ip_format(ip_add(ip("fd00::ffff:ffff"), 1), text), "fd00::1:0:0");
	assert_int_equal(ip_add(ip("255.255.255.255"), 1).family, 0);
	assert_int_equal(ip_distance(ip("10.0.0.255"), ip("10.0.1.1")), 2);
	assert_int_equal(ip_distance(ip("10.0.0.0"), ip("10.0.0.0")), 0);
	assert_true(ip_distance(ip("::"), ip("1::")) == UINT64_MAX);
	assert_true(ip_distance(ip("fd00::"), ip("fd00::ffff:ffff:ffff:ffff")) == UINT64_MAX);
	assert_true(ip_cmp(ip("10.0.0.1"), ip("::")) < 0);
	assert_true(ip_is_loopback(ip("127.9.9.9")) && ip_is_loopback(ip("::1")));
	assert_true(ip_is_link_local(ip("fe80::1")) && ip_is_link_local(ip("169.254.0.1")));
	assert_true(ip_is_multicast(ip("ff02::1")) && !ip_is_multicast(ip("10.0.0.1")));
	assert_true(ip_is_unspecified(ip("0.0.0.0")) && !ip_is_unspecified((struct ip){0}));
}

static void test_mac(void **state)
{
	char text[IP_MAC_TEXT_MAX];
	struct ip_mac m;

	(void)state;
	assert_int_equal(ip_mac_parse("02:42:AC:11-00:02", &m), -EINVAL);
	assert_int_equal(ip_mac_parse("02:42:AC:11:00:02", &m), 0);
	assert_string_equal(ip_mac_format(m, text), "02:42:ac:11:00:02");
	assert_int_equal(ip_mac_parse("02-42-ac-11-00-02", &m), 0);
	assert_int_equal(ip_mac_parse("02:42:ac:11:00", &m), -EINVAL);
	assert_int_equal(ip_mac_parse("02:42:ac:11:00:0g", &m), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
