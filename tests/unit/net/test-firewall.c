/* SPDX-License-Identifier: Apache-2.0 */
/* The table in a network namespace of the test: what nft reads back after our messages. */
#include "net/firewall.h"

#include "base/mem.h"
#include "net/program.h"

#include "cmocka-all.h"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static struct ip ip(const char *text)
{
	struct ip a = {0};

	if (*text)
		assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static void run(const char *input)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	AUTO_FREE char *path = program_find("nft");
	struct err e = ERR_INIT;

	assert_non_null(path);
	if (program_run(path, argv, input, strlen(input), NULL, &e) < 0)
		fail_msg("%s", e.text);
}

/* The elements of a set on one line, sorted by nft; "" when it is empty. */
static char *elements(const char *kind, const char *set)
{
	const char *argv[] = {"nft", "list", kind, "inet", "coracle-test", set, NULL};
	AUTO_FREE char *path = program_find("nft");
	AUTO_BUF struct buf out = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	const char *from, *to;
	char *ret, *w;

	if (program_run(path, argv, "", 0, &out, &e) < 0)
		fail_msg("%s", e.text);
	from = strstr(buf_text(&out), "elements = {");
	if (!from)
		return xstrdup("");
	from += strlen("elements = { ");
	to = strchr(from, '}');
	ret = w = xstrndup(from, (size_t)(to - from));
	for (const char *p = ret; *p; p++)
		if (*p != '\n' && *p != '\t' && !(*p == ' ' && (p[1] == ' ' || !p[1])))
			*w++ = *p;
	*w = '\0';
	return ret;
}

static void check(const char *kind, const char *set, const char *want)
{
	AUTO_FREE char *have = elements(kind, set);

	assert_string_equal(have, want);
}

static struct firewall *begin(void)
{
	struct firewall *fw = NULL;
	struct err e = ERR_INIT;

	if (unshare(CLONE_NEWNET) < 0) {
		print_message("no network namespace: %s\n", strerror(errno));
		skip();
	}
	if (firewall_open("coracle-test", false, &fw, &e) < 0)
		fail_msg("%s", e.text);
	return fw;
}

static const struct firewall_network br0 = {
	.bridge = "coracle0", .icc = true, .v4 = {.masquerade = true}, .v6 = {.masquerade = true}};

static void add_network(struct firewall *fw, const struct firewall_network *n)
{
	struct err e = ERR_INIT;

	if (firewall_network_add(fw, n, &e) < 0)
		fail_msg("%s", e.text);
}

static void add_port(struct firewall *fw, const struct firewall_port *p)
{
	struct err e = ERR_INIT;

	if (firewall_ports_add(fw, p, 1, &e) < 0)
		fail_msg("%s", e.text);
}

static void test_elements(void **state)
{
	struct firewall *fw = begin();
	struct firewall_network other = {.bridge = "br-0123456789ab", .icc = false};
	struct firewall_port p[] = {
		{IPPROTO_TCP, ip("0.0.0.0"), 8080, ip("172.17.0.2"), 80},
		{IPPROTO_UDP, ip("127.0.0.1"), 53, ip("172.17.0.2"), 5353},
		{IPPROTO_SCTP, ip("::"), 9, ip("fd00::2"), 99},
		{IPPROTO_TCP, ip("fd01::1"), 443, ip("fd00::2"), 8443},
		{IPPROTO_TCP, ip("0.0.0.0"), 0, ip("10.9.0.2"), 25},
	};
	struct err e = ERR_INIT;

	assert_false(firewall_is_whole(fw));
	other.v4 = (struct firewall_family){GATEWAY_ROUTED, true, ip("")};
	other.v6 = (struct firewall_family){GATEWAY_UNPROTECTED, true, ip("fd01::5")};
	add_network(fw, &br0);
	assert_true(firewall_is_whole(fw));
	add_network(fw, &other);
	assert_int_equal(firewall_ports_add(fw, p, ARRAY_SIZE(p), &e), 0);
	check("set", "no_icc", "\"br-0123456789ab\"");
	check("set", "routed", "\"br-0123456789ab\" . ipv4");
	check("set", "open", "\"br-0123456789ab\" . ipv6");
	check("map", "snat6", "\"br-0123456789ab\" : fd01::5");
	check("map", "ports4", "tcp . 8080 : 172.17.0.2 . 80");
	check("map", "ports4_at", "127.0.0.1 . udp . 53 : 172.17.0.2 . 5353");
	check("map", "ports6", "sctp . 9 : fd00::2 . 99");
	check("map", "ports6_at", "fd01::1 . tcp . 443 : fd00::2 . 8443");
	check("set", "direct4", "10.9.0.2 . tcp . 25");
	assert_int_equal(firewall_ports_remove(fw, p, ARRAY_SIZE(p), &e), 0);
	assert_int_equal(firewall_network_remove(fw, &other, &e), 0);
	check("map", "ports4", "");
	check("map", "ports6_at", "");
	check("set", "bridges", "\"coracle0\"");
	check("set", "pairs", "\"coracle0\" . \"coracle0\"");
	/* What is not there is no error. */
	assert_int_equal(firewall_ports_remove(fw, p, ARRAY_SIZE(p), &e), 0);
	firewall_close(fw);
}

static void test_internal(void **state)
{
	struct firewall *fw = begin();
	struct firewall_network n = br0;

	n.internal = true;
	add_network(fw, &n);
	check("set", "internal", "\"coracle0\"");
	check("set", "masked", "");
	firewall_close(fw);
}

/* Others flush, delete, meddle; all comes back, and the administrator's chain stays. */
static void test_repair(void **state)
{
	static const char *const harm[] = {
		"flush ruleset\n",
		"delete table inet coracle-test\n",
		"flush chain inet coracle-test forward\n",
		"delete element inet coracle-test ports4 { tcp . 8080 }\n",
		"flush set inet coracle-test bridges\n",
	};
	struct firewall *fw = begin();
	struct firewall_port p = {IPPROTO_TCP, ip("0.0.0.0"), 8080, ip("172.17.0.2"), 80};
	struct err e = ERR_INIT;

	add_network(fw, &br0);
	add_port(fw, &p);
	firewall_events(fw); /* the writing itself tells nothing */
	for (size_t i = 0; i < ARRAY_SIZE(harm); i++) {
		struct pollfd pfd = {.fd = firewall_fd(fw), .events = POLLIN};

		run(harm[i]);
		assert_int_equal(poll(&pfd, 1, 0), 1);
		assert_true(firewall_events(fw) & FIREWALL_LOST);
		if (firewall_repair(fw, &e) < 0)
			fail_msg("%s", e.text);
		assert_true(firewall_is_whole(fw));
		check("map", "ports4", "tcp . 8080 : 172.17.0.2 . 80");
		check("set", "bridges", "\"coracle0\"");
		/* No event of our own work: no loop. */
		assert_int_equal(firewall_events(fw), 0);
	}
	run("add set inet coracle-test user-good { type ipv4_addr; }\n"
	    "add rule inet coracle-test user ip saddr != @user-good drop\n"
	    "add chain inet coracle-test mine\n"
	    "flush chain inet coracle-test publish\n");
	assert_int_equal(firewall_repair(fw, &e), 0);
	run("flush set inet coracle-test user-good\n"
	    "add chain inet coracle-test mine\ndelete chain inet coracle-test mine\n");
	assert_true(firewall_is_whole(fw));
	firewall_events(fw);
	run("flush chain inet coracle-test user\n");
	assert_int_equal(firewall_events(fw) & FIREWALL_LOST, 0);
	firewall_close(fw);
}

/* A change meets a table that is gone: it is made again, with all that was there. */
static void test_change_repairs(void **state)
{
	struct firewall *fw = begin();
	struct firewall_port p = {IPPROTO_TCP, ip("0.0.0.0"), 8080, ip("172.17.0.2"), 80},
			     q = {IPPROTO_TCP, ip("0.0.0.0"), 8081, ip("172.17.0.2"), 81};
	struct err e = ERR_INIT;

	add_network(fw, &br0);
	add_port(fw, &p);
	run("flush ruleset\n");
	add_port(fw, &q);
	check("map", "ports4", "tcp . 8080 : 172.17.0.2 . 80, tcp . 8081 : 172.17.0.2 . 81");
	run("flush ruleset\n");
	assert_int_equal(firewall_ports_remove(fw, &p, 1, &e), 0);
	check("map", "ports4", "tcp . 8081 : 172.17.0.2 . 81");
	firewall_close(fw);
}

/* The next engine finds the elements of this one: what it does not know goes when it settles. */
static void test_settle(void **state)
{
	struct firewall *fw = begin(), *next = NULL;
	struct firewall_port old = {IPPROTO_TCP, ip("0.0.0.0"), 1, ip("172.17.0.2"), 80},
			     kept = {IPPROTO_TCP, ip("0.0.0.0"), 2, ip("172.17.0.3"), 80},
			     moved = {IPPROTO_TCP, ip("0.0.0.0"), 1, ip("172.17.0.9"), 80};
	struct err e = ERR_INIT;

	add_network(fw, &br0);
	add_port(fw, &old);
	add_port(fw, &kept);
	firewall_close(fw);
	assert_int_equal(firewall_open("coracle-test", false, &next, &e), 0);
	assert_true(firewall_is_whole(next));
	add_network(next, &br0);
	add_port(next, &kept);
	check("map", "ports4", "tcp . 1 : 172.17.0.2 . 80, tcp . 2 : 172.17.0.3 . 80");
	assert_int_equal(firewall_settle(next, &e), 0);
	check("map", "ports4", "tcp . 2 : 172.17.0.3 . 80");
	assert_int_equal(firewall_events(next), 0);
	firewall_close(next);
	/* A key that is there with another value. */
	assert_int_equal(firewall_open("coracle-test", false, &next, &e), 0);
	add_port(next, &kept);
	add_port(next, &old);
	firewall_close(next);
	assert_int_equal(firewall_open("coracle-test", true, &next, &e), 0);
	assert_false(firewall_is_whole(next)); /* other rules */
	add_port(next, &moved);
	check("map", "ports4", "tcp . 1 : 172.17.0.9 . 80");
	/* Taken away, unless an administrator has rules in it. */
	run("add rule inet coracle-test user counter\n");
	assert_int_equal(firewall_remove(next, &e), 0);
	assert_true(firewall_is_whole(next));
	run("flush chain inet coracle-test user\n");
	assert_int_equal(firewall_remove(next, &e), 0);
	assert_false(firewall_is_whole(next));
	firewall_close(next);
}

static void test_many(void **state)
{
	struct firewall *fw = begin();
	AUTO_FREE struct firewall_port *p = xcalloc(20000, sizeof(*p));
	struct err e = ERR_INIT;

	for (size_t i = 0; i < 20000; i++)
		p[i] = (struct firewall_port){IPPROTO_TCP, ip("0.0.0.0"), (uint16_t)(1000 + i),
					      ip("172.17.0.2"), (uint16_t)(1000 + i)};
	add_network(fw, &br0);
	if (firewall_ports_add(fw, p, 20000, &e) < 0)
		fail_msg("%s", e.text);
	run("flush ruleset\n");
	if (firewall_repair(fw, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(firewall_ports_remove(fw, p, 20000, &e), 0);
	check("map", "ports4", "");
	firewall_close(fw);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elements), cmocka_unit_test(test_internal),
		cmocka_unit_test(test_repair),	 cmocka_unit_test(test_change_repairs),
		cmocka_unit_test(test_settle),	 cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
