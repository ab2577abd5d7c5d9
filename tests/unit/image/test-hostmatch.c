/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts, networks and the rules about proxies (those of Go's HTTP client). */
#include "image/hostmatch.h"

#include "cmocka-all.h"

#include <stdlib.h>

static void hosts(void **state)
{
	struct host_port h;
	assert_true(host_port_parse("Reg.Example:5000", &h));
	assert_string_equal(h.host, "reg.example");
	assert_int_equal(h.port, 5000);
	assert_true(host_port_parse("[2001:db8::1]:443", &h));
	assert_string_equal(h.host, "2001:db8::1");
	assert_int_equal(h.port, 443);
	assert_true(host_port_parse("::1", &h));
	assert_string_equal(h.host, "::1");
	assert_int_equal(h.port, 0);
	assert_false(host_port_parse("a:0", &h));
	assert_false(host_port_parse("a:70000", &h));
	assert_false(host_port_parse("[::1", &h));
	assert_false(host_port_parse("", &h));
	assert_true(host_is_loopback("localhost"));
	assert_true(host_is_loopback("127.9.9.9"));
	assert_true(host_is_loopback("::1"));
	assert_true(host_is_loopback("::ffff:127.0.0.1"));
	assert_false(host_is_loopback("128.0.0.1"));
	assert_false(host_is_loopback("localhost.example"));
}

static bool in(const char *ip, const char *cidr)
{
	struct host_ip a;
	assert_true(host_ip_parse(ip, &a));
	return host_ip_in(&a, cidr);
}

static void networks(void **state)
{
	assert_true(in("10.1.2.3", "10.0.0.0/8"));
	assert_true(in("10.1.2.3", "10.1.2.2/31"));
	assert_false(in("10.1.2.3", "10.1.2.4/30"));
	assert_true(in("10.1.2.3", "0.0.0.0/0"));
	assert_false(in("10.1.2.3", "::/0"));
	assert_false(in("10.1.2.3", "10.0.0.0/33"));
	assert_false(in("10.1.2.3", "10.0.0.0"));
	assert_true(in("2001:db8::5", "2001:db8::/127") == false);
	assert_true(in("2001:db8::5", "2001:db8::4/127"));
}

static const char *direct(const char *rules, const char *host, unsigned port)
{
	struct proxy_rules r = {.http = "http://proxy:1", .https = "proxy:2", .none = rules};
	return proxy_for(&r, true, host, port);
}

static void proxies(void **state)
{
	struct proxy_rules r = {.http = "http://proxy:1", .https = "proxy:2"};
	assert_string_equal(proxy_for(&r, false, "reg.example", 80), "http://proxy:1");
	assert_string_equal(proxy_for(&r, true, "reg.example", 443), "proxy:2");
	assert_null(proxy_for(&r, true, "localhost", 443));
	assert_null(proxy_for(&r, true, "127.0.0.1", 5000));
	assert_null(direct("*", "reg.example", 443));
	assert_null(direct("other, reg.example", "reg.example", 443));
	assert_null(direct("example", "reg.example", 443));
	assert_non_null(direct("ample", "reg.example", 443));
	assert_non_null(direct(".reg.example", "reg.example", 443));
	assert_null(direct(".example", "reg.example", 443));
	assert_null(direct("*.example", "reg.example", 443));
	assert_null(direct("REG.example:443", "reg.example", 443));
	assert_non_null(direct("reg.example:444", "reg.example", 443));
	assert_null(direct("10.0.0.0/8", "10.200.0.1", 443));
	assert_non_null(direct("10.0.0.0/8", "11.0.0.1", 443));
	assert_null(direct("10.0.0.1", "10.0.0.1", 443));
	assert_null(direct("2001:db8::/32", "2001:db8::1", 443));
	assert_non_null(direct("", "reg.example", 443));
	assert_non_null(direct(" , ,", "reg.example", 443));
}

static void environment(void **state)
{
	struct proxy_rules r;
	setenv("HTTP_PROXY", "a:1", 1);
	setenv("http_proxy", "b:1", 1);
	unsetenv("HTTPS_PROXY");
	setenv("https_proxy", "c:1", 1);
	setenv("NO_PROXY", "", 1);
	setenv("no_proxy", "d", 1);
	proxy_rules_env(&r);
	assert_string_equal(r.http, "a:1");
	assert_string_equal(r.https, "c:1");
	assert_string_equal(r.none, "d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(networks),
		cmocka_unit_test(proxies),
		cmocka_unit_test(environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
