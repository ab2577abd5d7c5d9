/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces in network namespaces of the test: "the host" and a container's. */
#include "net/counters.h"
#include "net/link.h"

#include "base/buf.h"
#include "cmocka-all.h"
#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p = {0};

	assert_int_equal(ip_prefix_parse(text, &p), 0);
	return p;
}

static int new_netns(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		print_message("no network namespace: %s\n", strerror(errno));
		skip();
	}
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* A container's namespace; the caller is in that of a fresh "host" afterwards. */
static int begin(void)
{
	int inside = new_netns(), host = new_netns();

	close(host);
	return inside;
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		struct err e = ERR_INIT;                                                           \
		if ((call) < 0)                                                                    \
			fail_msg("%s", e.text);                                                    \
	} while (0)

static const struct link_bridge *bridge(void)
{
	static struct link_bridge b;

	b = (struct link_bridge){
		.name = "cor-test0", .alias = "coracle:e:network:1", .mtu = 1400, .ipv6 = true};
	b.address[b.naddresses++] = prefix("10.9.0.1/24");
	b.address[b.naddresses++] = prefix("fd00:9::1/64");
	return &b;
}

static struct link_end end(void)
{
	struct link_end l = {.kind = LINK_VETH,
			     .inside = "eth0",
			     .outside = "veth-test",
			     .alias = "coracle:e:endpoint:1",
			     .master = "cor-test0",
			     .mtu = 1400,
			     .mac = {{2, 0x42, 10, 9, 0, 2}},
			     .has_mac = true,
			     .ipv6 = true};

	l.address[l.naddresses++] = prefix("10.9.0.2/24");
	l.address[l.naddresses++] = prefix("fd00:9::2/64");
	return l;
}

struct count {
	const char *name;
	size_t n;
};

static void count_ours(const char *name, const char *rest, void *ud)
{
	struct count *c = ud;

	c->n += strcmp(name, c->name) == 0;
	assert_true(strncmp(rest, "e:", 2) == 0);
}

static size_t ours(const char *name)
{
	struct count c = {.name = name};

	assert_int_equal(link_each_ours(count_ours, &c), 0);
	return c.n;
}

/* Run inside: a UDP socket that is bound to an address says whether it is there, and connect()
 * whether there is a way. */
struct way {
	const char *from, *to;
};

static int try_way(void *ud)
{
	const struct way *w = ud;
	struct ip from, to;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {0}, b = {0};
	socklen_t n;
	int fd, rc;

	ip_parse(w->from, &from);
	ip_parse(w->to, &to);
	if (from.family == 4) {
		a.v4.sin_family = b.v4.sin_family = AF_INET;
		memcpy(&a.v4.sin_addr, from.b, 4);
		memcpy(&b.v4.sin_addr, to.b, 4);
		n = sizeof a.v4;
	} else {
		a.v6.sin6_family = b.v6.sin6_family = AF_INET6;
		memcpy(&a.v6.sin6_addr, from.b, 16);
		memcpy(&b.v6.sin6_addr, to.b, 16);
		n = sizeof a.v6;
	}
	fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = bind(fd, &a.any, n) < 0 || connect(fd, &b.any, n) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int way(int netns, const char *from, const char *to)
{
	struct way w = {from, to};

	return netns_run(netns, try_way, &w);
}

static void test_veth(void **state)
{
	AUTO_FD int inside = begin();
	struct link_end l = end();
	struct ip_mac mac = {0};
	struct ip none = {0}, gw4, gw6;
	bool made = false;

	OK(link_bridge_up(bridge(), &made, &e));
	assert_true(made);
	OK(link_bridge_up(bridge(), &made, &e));
	assert_false(made);
	OK(link_end_up(&l, inside, &mac, &e));
	assert_memory_equal(mac.b, l.mac.b, 6);
	assert_int_equal(ours("cor-test0"), 1);
	assert_int_equal(ours("veth-test"), 1);
	assert_false(link_exists("eth0"));
	assert_int_equal(way(inside, "10.9.0.2", "10.9.0.1"), 0);
	assert_int_equal(way(inside, "fd00:9::2", "fd00:9::1"), 0);
	assert_int_equal(way(inside, "10.9.0.2", "1.2.3.4"), -ENETUNREACH);
	ip_parse("10.9.0.1", &gw4);
	ip_parse("fd00:9::1", &gw6);
	OK(link_default_routes(inside, "eth0", gw4, gw6, false, &e));
	assert_int_equal(way(inside, "10.9.0.2", "1.2.3.4"), 0);
	assert_int_equal(way(inside, "fd00:9::2", "2001:db8::1"), 0);
	OK(link_default_routes(inside, "eth0", none, gw6, false, &e));
	assert_int_equal(way(inside, "10.9.0.2", "1.2.3.4"), -ENETUNREACH);
	assert_int_equal(way(inside, "fd00:9::2", "2001:db8::1"), 0);
	OK(link_end_down(&l, inside, &e));
	OK(link_end_down(&l, inside, &e)); /* absent is fine */
	assert_false(link_exists("veth-test"));
	OK(link_remove("cor-test0", &e));
	assert_false(link_exists("cor-test0"));
}

/* What the kernel refuses leaves nothing and is told in words. */
static void test_refused(void **state)
{
	AUTO_FD int inside = begin();
	struct link_end l = end();
	struct ip_mac mac;
	struct err bad = ERR_INIT;
	bool made;

	assert_int_equal(link_end_up(&l, inside, &mac, &bad), -1);
	assert_non_null(strstr(bad.text, "cor-test0 does not exist"));
	OK(link_bridge_up(bridge(), &made, &e));
	l.address[0] = (struct ip_prefix){.ip = {.family = 4, .b = {10, 9, 0, 3}}, .len = 33};
	err_clear(&bad);
	assert_int_equal(link_end_up(&l, inside, &mac, &bad), -1);
	assert_non_null(strstr(bad.text, "add an address"));
	assert_false(link_exists("veth-test"));
	l = end();
	OK(link_end_up(&l, inside, &mac, &e));
	err_clear(&bad);
	assert_int_equal(link_end_up(&l, inside, &mac, &bad), -1);
	assert_non_null(strstr(bad.text, "create a veth pair"));
	assert_true(link_exists("veth-test")); /* the first one stays whole */
	assert_int_equal(way(inside, "10.9.0.2", "10.9.0.1"), 0);
	l.outside = "cor-test0";
	l.inside = "eth1";
	err_clear(&bad);
	assert_int_equal(link_end_up(&l, inside, &mac, &bad), -1);
	assert_true(link_exists("cor-test0"));
	/* an interface of the bridge's name that is no bridge */
	struct link_bridge b = *bridge();

	b.name = "veth-test";
	err_clear(&bad);
	assert_int_equal(link_bridge_up(&b, &made, &bad), -1);
	assert_int_equal(bad.kind, ERR_CONFLICT);
}

static void test_no_ipv6(void **state)
{
	AUTO_FD int inside = begin();
	struct link_end l = end();
	struct ip_mac mac;
	bool made;

	OK(link_bridge_up(bridge(), &made, &e));
	l.naddresses = 1;
	l.ipv6 = false;
	OK(link_end_up(&l, inside, &mac, &e));
	assert_int_equal(way(inside, "10.9.0.2", "10.9.0.1"), 0);
	assert_int_equal(way(inside, "fd00:9::2", "fd00:9::1"), -EADDRNOTAVAIL);
}

static void test_macvlan(void **state)
{
	AUTO_FD int inside = begin();
	struct link_end l = end();
	struct ip_mac mac;
	struct err bad = ERR_INIT;
	bool made;

	OK(link_bridge_up(bridge(), &made, &e));
	assert_int_equal(link_parent_up("nothing.5", "coracle:e:x:3", false, &made, &bad), -1);
	assert_int_equal(link_parent_up("cor-test0.5000", "coracle:e:x:3", false, &made, &bad), -1);
	l.master = "cor-test0";
	l.outside = "";
	l.mtu = 0;
	l.kind = LINK_MACVLAN;
	l.mode = MACVLAN_MODE_BRIDGE;
	OK(link_end_up(&l, inside, &mac, &e));
	assert_memory_equal(mac.b, l.mac.b, 6);
	assert_int_equal(way(inside, "10.9.0.2", "10.9.0.7"), 0);
	OK(link_end_down(&l, inside, &e));
	assert_int_equal(way(inside, "10.9.0.2", "10.9.0.7"), -EADDRNOTAVAIL);
}

/* Kinds that not every kernel has. */
static void test_parents_and_ipvlan(void **state)
{
	AUTO_FD int inside = begin();
	struct link_end l = end();
	struct ip_mac mac;
	struct err bad = ERR_INIT;
	bool made;

	if (link_parent_up("dm-parent", "coracle:e:network:2", true, &made, &bad) < 0 &&
	    bad.sys == EOPNOTSUPP) {
		print_message("this kernel has no dummy interfaces: %s\n", bad.text);
		skip();
	}
	assert_true(made);
	OK(link_parent_up("dm-parent.42", "coracle:e:network:3", false, &made, &e));
	assert_true(made);
	OK(link_parent_up("dm-parent.42", "coracle:e:network:3", false, &made, &e));
	assert_false(made);
	l.outside = "";
	l.mtu = 0;
	l.kind = LINK_IPVLAN;
	l.master = "dm-parent.42";
	l.mode = IPVLAN_MODE_L3;
	l.address[0] = prefix("10.10.0.2/24");
	l.naddresses = 1;
	l.ipv6 = false;
	OK(link_end_up(&l, inside, &mac, &e));
	assert_int_equal(way(inside, "10.10.0.2", "10.10.0.7"), 0);
	OK(link_end_down(&l, inside, &e));
	assert_int_equal(way(inside, "10.10.0.2", "10.10.0.7"), -EADDRNOTAVAIL);
}

static void note_gone(const char *name, void *ud)
{
	struct count *c = ud;

	c->n += name && strcmp(name, c->name) == 0;
}

static void test_watch(void **state)
{
	AUTO_FD int inside = begin();
	AUTO_FD int watch = link_watch_open();
	struct pollfd p = {.fd = watch, .events = POLLIN};
	struct count bridges = {.name = "cor-test0"};
	struct link_end l = end();
	struct ip_mac mac;
	bool made;

	assert_true(watch >= 0);
	OK(link_bridge_up(bridge(), &made, &e));
	OK(link_end_up(&l, inside, &mac, &e));
	assert_int_equal(poll(&p, 1, 0), 0); /* what comes wakes nobody */
	OK(link_remove("cor-test0", &e));
	assert_int_equal(poll(&p, 1, 1000), 1);
	link_watch_read(watch, note_gone, &bridges);
	assert_int_equal(bridges.n, 1);
	OK(link_bridge_up(bridge(), &made, &e));
	OK(link_port_attach("veth-test", "cor-test0", true, &e));
}

static int received(void *ud)
{
	struct net_counters c[4];
	size_t n = net_counters_read(getpid(), c, 4);

	(void)ud;
	assert_int_equal(n, 1);
	assert_string_equal(c[0].name, "eth0");
	return (int)c[0].rx.packets;
}

/* The question for the hardware address of its neighbour reaches the container. */
static void ask_neighbour(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ip a;

	ip_parse(address, &a);
	memcpy(&to.sin_addr, a.b, 4);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
	close(fd);
}

static void test_ports(void **state)
{
	AUTO_FD int inside = begin();
	static const char names[][IFNAMSIZ] = {"absent", "veth-test"};
	struct link_end l = end();
	struct net_counters c[4];
	struct ip_mac mac;
	bool made;
	int before, after = -1;

	OK(link_bridge_up(bridge(), &made, &e));
	OK(link_end_up(&l, inside, &mac, &e));
	before = netns_run(inside, received, NULL);
	for (int i = 0; i < 50 && netns_run(inside, received, NULL) == before; i++) {
		ask_neighbour("10.9.0.77");
		poll(NULL, 0, 20);
	}
	assert_true(netns_run(inside, received, NULL) > before);
	/* the bridge may still hear late of the carrier, and opens the port to the host again */
	for (int i = 0; i < 50; i++) {
		link_ports_disable(names, 2);
		after = netns_run(inside, received, NULL);
		ask_neighbour("10.9.0.78");
		poll(NULL, 0, 50);
		if (netns_run(inside, received, NULL) == after)
			break;
	}
	assert_int_equal(netns_run(inside, received, NULL), after);
	assert_int_equal(net_counters_read(getpid(), c, 4), 2);
	assert_int_equal(net_counters_read(getpid(), c, 1), 1);
	assert_int_equal(net_counters_read(-1, c, 4), 0);
}

static void test_routes(void **state)
{
	AUTO_FD int inside = begin();
	struct ip_prefix r[64];
	bool made, found = false;
	size_t n;

	OK(link_bridge_up(bridge(), &made, &e));
	n = link_routes(r, 64);
	for (size_t i = 0; i < n; i++)
		found |= ip_prefix_overlap(r[i], prefix("10.9.0.0/24"));
	assert_true(found);
	assert_true(inside >= 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_veth),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_ipv6),
		cmocka_unit_test(test_macvlan),
		cmocka_unit_test(test_parents_and_ipvlan),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
