/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of engines. */
#include "wire/hostaddr.h"
#include "base/attr.h"
#include "cmocka-all.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int rc;
		enum hostaddr_kind kind;
		const char *path, *host, *user;
		unsigned port;
	} rows[] = {
		{"unix:///run/x.sock", 0, HOSTADDR_UNIX, "/run/x.sock", "", "", 0},
		{"unix://x.sock", -EINVAL},
		{"unix://", -EINVAL},
		{"tcp://", 0, HOSTADDR_TCP, "", "", "", 0},
		{"tcp://:2375", 0, HOSTADDR_TCP, "", "", "", 2375},
		{"tcp://127.0.0.1:2376/", 0, HOSTADDR_TCP, "", "127.0.0.1", "", 2376},
		{"tcp://[::1]:2376", 0, HOSTADDR_TCP, "", "::1", "", 2376},
		{"tcp://[::1]", 0, HOSTADDR_TCP, "", "::1", "", 0},
		{"tcp://::1:2376", -EINVAL},
		{"tcp://[::1", -EINVAL},
		{"tcp://[::1]x", -EINVAL},
		{"tcp://a:0", -EINVAL},
		{"tcp://a:65536", -EINVAL},
		{"tcp://a:", -EINVAL},
		{"tcp://a b", -EINVAL},
		{"tcp://a/b", -EINVAL},
		{"fd://", 0, HOSTADDR_FD, "", "", "", 0},
		{"fd://name", 0, HOSTADDR_FD, "", "name", "", 0},
		{"ssh://host", 0, HOSTADDR_SSH, "", "host", "", 0},
		{"ssh://me@host:22/run/x.sock", 0, HOSTADDR_SSH, "/run/x.sock", "host", "me", 22},
		{"ssh://me@[fe80::1%eth0]:22/", 0, HOSTADDR_SSH, "", "fe80::1%eth0", "me", 22},
		{"ssh://-oProxyCommand=x", -EINVAL},
		{"ssh://-l@host", -EINVAL},
		{"ssh://me:secret@host", -EINVAL},
		{"ssh://@host", -EINVAL},
		{"ssh://", -EINVAL},
		{"http://x", -EINVAL},
		{"/run/x.sock", -EINVAL},
		{"", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hostaddr a = {.port = 7};
		int rc = hostaddr_parse(rows[i].text, &a);

		if (rc != rows[i].rc)
			fail_msg("%s gives %d", rows[i].text, rc);
		if (rc < 0) {
			assert_int_equal(a.port, 7); /* untouched */
			continue;
		}
		assert_int_equal(a.kind, rows[i].kind);
		assert_string_equal(a.path, rows[i].path);
		assert_string_equal(a.host, rows[i].host);
		assert_string_equal(a.user, rows[i].user);
		assert_int_equal(a.port, rows[i].port);
	}
}

static void test_long(void **state)
{
	char text[HOSTADDR_MAX + 64];
	struct hostaddr a;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	memcpy(text, "unix:///", 8);
	assert_int_equal(hostaddr_parse(text, &a), -ENAMETOOLONG);
	memcpy(text, "ssh://xx", 8);
	assert_int_equal(hostaddr_parse(text, &a), -ENAMETOOLONG);
}

static void test_port(void **state)
{
	struct hostaddr a;

	(void)state;
	assert_int_equal(hostaddr_parse_port("127.0.0.1:9323", &a), 0);
	assert_int_equal(a.port, 9323);
	assert_int_equal(hostaddr_parse_port(":1", &a), 0);
	assert_string_equal(a.host, "");
	assert_int_equal(hostaddr_parse_port("localhost", &a), -EINVAL);
}

static void test_loopback(void **state)
{
	(void)state;
	assert_true(hostaddr_is_loopback("127.1.2.3"));
	assert_true(hostaddr_is_loopback("::1"));
	assert_true(hostaddr_is_loopback("localhost"));
	assert_false(hostaddr_is_loopback("0.0.0.0"));
	assert_false(hostaddr_is_loopback(""));
	assert_false(hostaddr_is_loopback("127.example.org"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
