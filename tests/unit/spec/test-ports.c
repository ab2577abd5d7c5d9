/* SPDX-License-Identifier: Apache-2.0 */
/* How users write ports: every form of -p with what Docker's client sends for it, and its errors.
 */
#include "spec/ports.h"

#include "cmocka-all.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void bindings_of(const char *text, char *ret, size_t n)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf out = BUF_INIT(1 << 24);
	struct port_publishes p = {0};
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;

	if (port_publish_parse(text, &p, a, &e) < 0) {
		snprintf(ret, n, "%s", e.text);
		return;
	}
	port_bindings_write(&p, &w);
	snprintf(ret, n, "%s", buf_text(&out));
}

static void test_publish(void **state)
{
	static const char *const rows[][2] = {
		{"80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}"},
		{"8080:80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}"},
		{"8080:80/", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}"},
		{"53:53/UDP", "{\"53/udp\":[{\"HostIp\":\"\",\"HostPort\":\"53\"}]}"},
		{"9:9/sctp", "{\"9/sctp\":[{\"HostIp\":\"\",\"HostPort\":\"9\"}]}"},
		{"127.0.0.1:8080:80",
		 "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}]}"},
		{"127.0.0.1::80", "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}"},
		{":80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}"},
		{"[::1]:8080:80", "{\"80/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"8080\"}]}"},
		{"[fd00::5]::80", "{\"80/tcp\":[{\"HostIp\":\"fd00::5\",\"HostPort\":\"\"}]}"},
		{"fd00::5:8080:80",
		 "{\"80/tcp\":[{\"HostIp\":\"fd00::5\",\"HostPort\":\"8080\"}]}"},
		{"8000-8001:80-81", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000\"}],"
				    "\"81/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8001\"}]}"},
		{"80-81", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}],"
			  "\"81/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}"},
		{"8000-8010:80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000-8010\"}]}"},
		{"8000-8001:80-82",
		 "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"},
		{"", "no port specified: <empty>"},
		{"80:", "no port specified: 80:<empty>"},
		{"/tcp", "no port specified: /tcp<empty>"},
		{"a", "invalid containerPort: a"},
		{"65536", "invalid containerPort: 65536"},
		{"81-80", "invalid containerPort: 81-80"},
		{"-1", "invalid containerPort: -1"},
		{"80-", "invalid containerPort: 80-"},
		{"0x50:80", "invalid hostPort: 0x50"},
		{"70000:80", "invalid hostPort: 70000"},
		{"80:80/icmp", "invalid proto: icmp"},
		{"80/tcp/udp", "invalid proto: tcp/udp"},
		{"host:80:80", "invalid IP address: host"},
		{"1.2.3:80:80", "invalid IP address: 1.2.3"},
		{"[::1:80:80", "invalid IP address [::1: missing ']'"},
	};
	char have[2048];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bindings_of(rows[i][0], have, sizeof(have));
		assert_string_equal(have, rows[i][1]);
	}
}

static void test_long_form(void **state)
{
	static const char *const rows[][2] = {
		{"published=8080,target=80", "8080:80/tcp"},
		{"target=53,published=5353,protocol=udp,mode=host", "5353:53/udp"},
		{"target=80", ":80/tcp"},
		{"8080", "invalid publish opts format (should be name=value but got '8080')"},
		{"target=80,=1", "invalid publish opts format (should be name=value but got '=1')"},
		{"", "invalid publish opts format (should be name=value but got '')"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(arena) struct arena *a = arena_new();
		struct err e = ERR_INIT;
		const char *text;

		if (port_publish_long_form(rows[i][0], &text, a, &e) < 0)
			text = e.text;
		assert_string_equal(text, rows[i][1]);
	}
}

static void test_bindings(void **state)
{
	static const struct {
		const char *json, *error;
		size_t n;
	} rows[] = {
		{"{}", NULL, 0},
		{"null", NULL, 0},
		{"{\"80/tcp\":null,\"81/tcp\":[]}", NULL, 0},
		{"{\"80\":[{}]}", NULL, 1},
		{"{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"},{\"HostPort\":\"1-3\"}]}", NULL,
		 2},
		{"{\"80/tcp\":[{\"HostPort\":\"80/tcp\"}]}", NULL, 1},
		{"[]", "HostConfig.PortBindings: expected an object", 0},
		{"{\"80/tcp\":1}", "HostConfig.PortBindings: expected a list of bindings of 80/tcp",
		 0},
		{"{\"80/tcp\":[1]}", "HostConfig.PortBindings: expected an object", 0},
		{"{\"x/tcp\":[{}]}", "invalid port specification: \"x\"", 0},
		{"{\"80-90/tcp\":[{}]}", "invalid port specification: \"80-90\"", 0},
		{"{\"80/tcp\":[{\"HostPort\":\"99999\"}]}", "invalid port specification: \"99999\"",
		 0},
		{"{\"80/tcp\":[{\"HostIp\":\"x\"}]}", "invalid IP address: x", 0},
		{"{\"80/icmp\":[{}]}", "invalid proto: icmp", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(arena) struct arena *a = arena_new();
		struct port_publishes p = {0};
		struct err e = ERR_INIT;
		int rc = port_bindings_parse(rows[i].json, &p, a, &e);

		if (rows[i].error) {
			assert_int_equal(rc, -1);
			assert_string_equal(e.text, rows[i].error);
		} else {
			assert_int_equal(rc, 0);
			assert_int_equal(p.n, rows[i].n);
		}
	}
}

/* All ports at once, and more than there can be. */
static void test_many(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf out = BUF_INIT(1 << 24);
	struct port_publishes p = {0};
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;

	assert_int_equal(port_publish_parse("0-65535:0-65535", &p, a, &e), 0);
	assert_int_equal(p.n, 65536);
	assert_int_equal(p.v[65535].host_first, 65535);
	port_bindings_write(&p, &w);
	assert_false(out.overflow);
	assert_int_equal(port_publish_parse("80", &p, a, &e), -1);
	assert_int_equal(e.kind, ERR_LIMIT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_long_form),
		cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
