/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of subnets: which are given, in which order, and what is left out. */
#include "net/pool.h"

#include "cmocka-all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static struct ip ip(const char *text)
{
	struct ip a = {0};

	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p = {0};

	assert_int_equal(ip_prefix_parse(text, &p), 0);
	return p;
}

static struct net_pool *pool(const char *subnet, const char *range)
{
	return net_pool_new(prefix(subnet), prefix(range));
}

static void next_is(struct net_pool *p, const char *want)
{
	char text[IP_TEXT_MAX];
	struct ip a = {0};

	assert_int_equal(net_pool_next(p, &a), 0);
	assert_string_equal(ip_format(a, text), want);
}

static void test_lowest_free(void **state)
{
	struct net_pool *p = pool("172.17.0.0/16", "172.17.0.0/16");

	assert_int_equal(net_pool_take(p, ip("172.17.0.1")), 0);
	next_is(p, "172.17.0.2");
	next_is(p, "172.17.0.3");
	next_is(p, "172.17.0.4");
	net_pool_release(p, ip("172.17.0.3"));
	net_pool_release(p, ip("172.17.0.3")); /* twice is harmless */
	next_is(p, "172.17.0.3");
	next_is(p, "172.17.0.5");
	net_pool_release(p, ip("172.17.0.2"));
	net_pool_release(p, ip("172.17.0.4"));
	assert_int_equal(net_pool_take(p, ip("172.17.0.2")), 0);
	next_is(p, "172.17.0.4");
	next_is(p, "172.17.0.6");
	net_pool_free(p);
}

static void test_refused(void **state)
{
	struct net_pool *p = pool("10.0.0.0/24", "10.0.0.128/25");

	assert_int_equal(net_pool_take(p, ip("10.0.0.0")), -ERANGE);
	assert_int_equal(net_pool_take(p, ip("10.0.0.255")), -ERANGE);
	assert_int_equal(net_pool_take(p, ip("10.0.1.1")), -ERANGE);
	assert_int_equal(net_pool_take(p, ip("fd00::1")), -ERANGE);
	assert_int_equal(net_pool_take(p, ip("10.0.0.7")),
			 0); /* outside the range, but asked for */
	assert_int_equal(net_pool_take(p, ip("10.0.0.7")), -EEXIST);
	next_is(p, "10.0.0.128");
	net_pool_free(p);
}

static void exhausted(const char *subnet, size_t count)
{
	struct net_pool *p = pool(subnet, subnet);
	struct ip a, first = {0};

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(net_pool_next(p, &a), 0);
		if (i == 0)
			first = a;
	}
	assert_int_equal(net_pool_next(p, &a), -ENOSPC);
	assert_int_equal(net_pool_next(p, &a), -ENOSPC);
	net_pool_release(p, first);
	assert_int_equal(net_pool_next(p, &a), 0);
	assert_int_equal(ip_cmp(a, first), 0);
	assert_int_equal(net_pool_next(p, &a), -ENOSPC);
	net_pool_free(p);
}

static void test_exhausted(void **state)
{
	exhausted("10.0.0.0/29", 6);
	exhausted("10.0.0.4/30", 2);
	exhausted("10.0.0.6/31", 2);
	exhausted("10.0.0.9/32", 1);
	exhausted("fd00::/125", 7);
	exhausted("fd00::2/127", 2);
	exhausted("255.255.255.248/29", 6); /* the end of the address space */
	exhausted("10.1.0.0/16", 65534);
}

static void test_ipv6_is_sparse(void **state)
{
	struct net_pool *p = pool("fd00:1::/64", "fd00:1::/64");

	next_is(p, "fd00:1::1");
	assert_int_equal(net_pool_take(p, ip("fd00:1::ffff:0:0:1")), 0);
	next_is(p, "fd00:1::2");
	net_pool_free(p);
}

/* Against a simple model, with a fixed seed. */
static void test_against_model(void **state)
{
	struct net_pool *p = pool("10.0.0.0/24", "10.0.0.64/26");
	bool taken[256] = {[0] = true, [255] = true};
	unsigned seed = 42;

	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245U + 12345U;
		unsigned what = seed >> 16, n = (seed >> 18) & 255;
		struct ip a = ip_add(ip("10.0.0.0"), n);

		if (what % 3 == 0) {
			if (n && n != 255) {
				net_pool_release(p, a);
				taken[n] = false;
			}
		} else if (what % 3 == 1) {
			assert_int_equal(net_pool_take(p, a) == 0, !taken[n]);
			taken[n] = true;
		} else {
			int want = -1;

			for (int k = 64; k < 128 && want < 0; k++)
				want = taken[k] ? -1 : k;
			assert_int_equal(net_pool_next(p, &a), want < 0 ? -ENOSPC : 0);
			if (want >= 0) {
				assert_int_equal(a.b[3], want);
				taken[want] = true;
			}
		}
	}
	net_pool_free(p);
}

static void chosen(const struct net_pool_base *bases, size_t n, const char *const *taken,
		   const char *want)
{
	struct ip_prefix t[32], ret;
	char text[IP_TEXT_MAX];
	size_t nt = 0;
	int rc;

	for (; taken[nt]; nt++)
		t[nt] = prefix(taken[nt]);
	rc = net_pool_choose(bases, n, 4, t, nt, &ret);
	assert_int_equal(rc, want ? 0 : -ENOSPC);
	if (want)
		assert_string_equal(ip_prefix_format(ret, text), want);
}

static void test_choose(void **state)
{
	const struct net_pool_base small = {prefix("10.10.0.0/23"), 24};
	const struct net_pool_base last = {prefix("255.255.254.0/23"), 24};

	chosen(net_pool_defaults, net_pool_ndefaults, (const char *[]){NULL}, "172.17.0.0/16");
	chosen(net_pool_defaults, net_pool_ndefaults,
	       (const char *[]){"172.17.0.0/16", "172.18.3.0/24", NULL}, "172.19.0.0/16");
	/* a route of the host over all of 172.16/12 */
	chosen(net_pool_defaults, net_pool_ndefaults,
	       (const char *[]){"172.16.0.0/12", "192.168.0.0/24", NULL}, "192.168.16.0/20");
	chosen(net_pool_defaults, net_pool_ndefaults,
	       (const char *[]){"172.16.0.0/12", "192.168.0.0/16", NULL}, NULL);
	chosen(net_pool_defaults, net_pool_ndefaults,
	       (const char *[]){"0.0.0.0/1", "128.0.0.0/1", NULL}, NULL);
	chosen(&small, 1, (const char *[]){"10.10.0.5/32", NULL}, "10.10.1.0/24");
	chosen(&small, 1, (const char *[]){"10.10.0.5/32", "10.10.1.128/25", NULL}, NULL);
	chosen(&last, 1, (const char *[]){"255.255.254.0/24", "255.255.255.0/24", NULL}, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lowest_free),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_exhausted),     cmocka_unit_test(test_ipv6_is_sparse),
		cmocka_unit_test(test_against_model), cmocka_unit_test(test_choose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
