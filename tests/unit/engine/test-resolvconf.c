/* SPDX-License-Identifier: Apache-2.0 */
/* resolv.conf of containers: what of the host's and of the user's settings ends up where. */
#include "engine/resolvconf.h"

#include "../cmocka-all.h"

#include <string.h>

#include "base/banned.h"

enum form { PLAIN, LEGACY, INTERNAL };

struct row {
	const char *host; /* the host's file */
	const char *dns[3], *search[3], *options[3];
	enum form form;
	bool ipv6;
	const char *want;    /* the file without its first comment */
	const char *servers; /* as the name service is told, joined by spaces */
};

static const struct row rows[] = {
	{"nameserver 10.0.0.1\nnameserver fd00::1\nsearch a.example b.example\noptions edns0\n",
	 {NULL},
	 {NULL},
	 {NULL},
	 PLAIN,
	 true,
	 "nameserver 10.0.0.1\nnameserver fd00::1\nsearch a.example b.example\noptions edns0\n\n"
	 "# Based on host file: '/etc/resolv.conf'\n# Overrides: []\n",
	 "10.0.0.1 fd00::1"},
	/* no loopback, no IPv6 without IPv6; comments and junk */
	{"# c\n; d\nnameserver 127.0.0.1\n\tnameserver\t10.0.0.1\t# x\nnameserver fd00::1\n"
	 "nameserver nonsense\nnameserver\ndomain old.example\nsortlist 10.0.0.0\n",
	 {NULL},
	 {NULL},
	 {NULL},
	 LEGACY,
	 false,
	 "nameserver 10.0.0.1\nsearch old.example\nsortlist 10.0.0.0\n\n"
	 "# Based on host file: '/etc/resolv.conf' (legacy)\n# Invalid nameservers: [nonsense]\n"
	 "# Overrides: []\n",
	 "10.0.0.1"},
	{"nameserver 127.0.0.1\n",
	 {NULL},
	 {NULL},
	 {NULL},
	 LEGACY,
	 true,
	 "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\n"
	 "nameserver 2001:4860:4860::8844\n\n"
	 "# Based on host file: '/etc/resolv.conf' (legacy)\n# Used default nameservers.\n"
	 "# Overrides: []\n",
	 "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844"},
	{"nameserver 10.0.0.1\nsearch lan\noptions rotate\n",
	 {"127.0.0.1", "9.9.9.9"},
	 {"."},
	 {"ndots:3"},
	 LEGACY,
	 false,
	 "nameserver 127.0.0.1\nnameserver 9.9.9.9\noptions ndots:3\n\n"
	 "# Based on host file: '/etc/resolv.conf' (legacy)\n"
	 "# Overrides: [nameservers search options]\n# Option ndots from: override\n",
	 "127.0.0.1 9.9.9.9"},
	/* the name service: everything goes there, and it asks the rest */
	{"nameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver fd00::1\nsearch lan\n",
	 {NULL},
	 {NULL},
	 {NULL},
	 INTERNAL,
	 false,
	 "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n\n"
	 "# Based on host file: '/etc/resolv.conf' (internal resolver)\n"
	 "# ExtServers: [host(127.0.0.53) 10.0.0.1 host(fd00::1)]\n# Overrides: []\n"
	 "# Option ndots from: internal\n",
	 "host:127.0.0.53 10.0.0.1 host:fd00::1"},
	{"nameserver 10.0.0.1\noptions edns0 ndots:2 ndots:x\n",
	 {"127.0.0.1"},
	 {"corp"},
	 {NULL},
	 INTERNAL,
	 true,
	 "nameserver 127.0.0.11\nsearch corp\noptions edns0 ndots:2\n\n"
	 "# Based on host file: '/etc/resolv.conf' (internal resolver)\n"
	 "# ExtServers: [127.0.0.1]\n# Overrides: [nameservers search]\n"
	 "# Option ndots from: host\n",
	 "127.0.0.1"},
	{"",
	 {NULL},
	 {NULL},
	 {NULL},
	 INTERNAL,
	 false,
	 "nameserver 127.0.0.11\noptions ndots:0\n\n"
	 "# Based on host file: '/etc/resolv.conf' (internal resolver)\n"
	 "# Used default nameservers.\n# ExtServers: [8.8.8.8 8.8.4.4]\n# Overrides: []\n"
	 "# Option ndots from: internal\n",
	 "8.8.8.8 8.8.4.4"},
	{"nameserver fe80::1%lo\n",
	 {NULL},
	 {NULL},
	 {NULL},
	 INTERNAL,
	 true,
	 "nameserver 127.0.0.11\noptions ndots:0\n\n"
	 "# Based on host file: '/etc/resolv.conf' (internal resolver)\n"
	 "# ExtServers: [host(fe80::1%lo)]\n# Overrides: []\n# Option ndots from: internal\n",
	 "host:fe80::1%1"},
};

static struct strs list(const char *const v[3], struct arena *a)
{
	struct strs s = {0};

	for (int i = 0; i < 3 && v[i]; i++)
		strs_push(&s, a, v[i]);
	return s;
}

static void check(const struct row *row)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(1 << 16), told = BUF_INIT(1 << 16);
	struct strs dns = list(row->dns, a), search = list(row->search, a),
		    options = list(row->options, a), servers = {0};
	const char *body;
	struct resolv r;

	resolv_parse(row->host, "/etc/resolv.conf", &r, a);
	resolv_override(&r, &dns, &search, &options, a);
	if (row->form == LEGACY)
		resolv_legacy(&r, row->ipv6, a);
	if (row->form == INTERNAL)
		resolv_internal(&r, row->ipv6, a);
	r.ipv6 = row->ipv6;
	resolv_write(&r, &text);
	body = strstr(buf_text(&text), "\n\n");
	assert_non_null(body);
	assert_string_equal(body + 2, row->want);
	if (row->form == PLAIN)
		return;
	resolv_servers(&r, &servers, a);
	for (size_t i = 0; i < servers.n; i++)
		buf_addf(&told, "%s%s", i ? " " : "", servers.v[i]);
	if (row->form == INTERNAL)
		assert_string_equal(buf_text(&told), row->servers);
}

static void all_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(&rows[i]);
}

static void knows_the_stub(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	struct resolv r;

	resolv_parse("nameserver 127.0.0.53\noptions edns0 trust-ad\n", "/etc/resolv.conf", &r, a);
	assert_true(resolv_is_stub(&r));
	assert_false(resolv_ndots_asked(&r));
	resolv_parse("nameserver 127.0.0.53\nnameserver 10.0.0.1\noptions ndots:1\n",
		     "/etc/resolv.conf", &r, a);
	assert_false(resolv_is_stub(&r));
	assert_true(resolv_ndots_asked(&r));
	resolv_parse("options ndots:0\n", "/etc/resolv.conf", &r, a);
	assert_false(resolv_ndots_asked(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rows),
		cmocka_unit_test(knows_the_stub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
