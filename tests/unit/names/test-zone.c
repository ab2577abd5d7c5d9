/* SPDX-License-Identifier: Apache-2.0 */
/* Networks, endpoints and what one container sees of them. */
#include "names/zone.h"

#include "cmocka-all.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static struct addresses found;

static void say(struct zones *z, const char *text)
{
	AUTO(arena) struct arena *a = arena_new();
	struct names_request r;
	struct err e = ERR_INIT;

	assert_int_equal(names_request_decode(text, strlen(text), &r, a, &e), 0);
	if (names_op_parse(r.op) == NAMES_OP_NETWORK)
		zones_network(z, r.id, r.name);
	else
		zones_endpoint(z, r.network, r.id, &r.names, &r.addresses);
}

static struct zones *example(void)
{
	struct zones *z = zones_new();

	zones_sync_begin(z);
	say(z, "{\"op\":\"network\",\"id\":\"1\",\"name\":\"Front\"}");
	say(z, "{\"op\":\"network\",\"id\":\"2\",\"name\":\"b.c\"}");
	say(z, "{\"op\":\"endpoint\",\"network\":\"1\",\"id\":\"e1\",\"names\":[\"Web\",\"all\","
	       "\"all\"],"
	       "\"addresses\":[\"10.1.0.2\",\"fd00::2\",\"nonsense\"]}");
	say(z, "{\"op\":\"endpoint\",\"network\":\"1\",\"id\":\"e2\",\"names\":[\"db\",\"all\"],"
	       "\"addresses\":[\"10.1.0.3\"]}");
	say(z, "{\"op\":\"endpoint\",\"network\":\"2\",\"id\":\"e1\",\"names\":[\"web\",\"a\"],"
	       "\"addresses\":[\"10.2.0.2\"]}");
	zones_sync_end(z);
	return z;
}

static struct names_request view(struct arena *a, const char *networks)
{
	char *text = arena_printf(a, "{\"op\":\"resolver\",\"id\":\"c\",\"networks\":%s}",
				  networks);
	struct names_request r;
	struct err e = ERR_INIT;

	assert_int_equal(names_request_decode(text, strlen(text), &r, a, &e), 0);
	return r;
}

/* "10.1.0.2 ..." sorted as they stand; "none", "empty" */
static const char *ask(const struct zones *z, const struct names_request *v, const char *name,
		       uint8_t family)
{
	static char text[IP_TEXT_MAX];

	if (!lookup_name(z, v, name, family, &found))
		return "none";
	return found.n ? ip_format(found.v[0], text) : "empty";
}

static void names_of_my_networks(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(zones) struct zones *z = example();
	struct names_request first = view(a, "[{\"id\":\"1\"}]"), both, none = view(a, "[]");

	both = view(a,
		    "[{\"id\":\"2\"},{\"id\":\"1\",\"links\":{\"Alias\":\"db\",\"web\":\"db\"}}]");
	assert_string_equal(ask(z, &first, "web", 4), "10.1.0.2");
	assert_string_equal(ask(z, &first, "web", 6), "fd00::2");
	assert_string_equal(ask(z, &first, "db", 6), "empty");
	assert_string_equal(ask(z, &first, "a", 4), "none");
	assert_string_equal(ask(z, &first, "web.front", 4), "10.1.0.2");
	assert_string_equal(ask(z, &first, "web.b.c", 4), "none");
	assert_string_equal(ask(z, &none, "web", 4), "none");
	/* a link comes before a name, the first network before the second; the rest of a name is a
	 * network's name */
	assert_string_equal(ask(z, &both, "web", 4), "10.1.0.3");
	assert_string_equal(ask(z, &both, "alias", 4), "10.1.0.3");
	assert_string_equal(ask(z, &both, "web.b.c", 4), "10.2.0.2");
	assert_string_equal(ask(z, &both, "a.b.c", 4), "10.2.0.2");
	assert_string_equal(ask(z, &both, "a.front", 4), "none");
	assert_string_equal(ask(z, &both, "", 4), "none");
	assert_string_equal(ask(z, &both, "...", 4), "none");
}

static void all_of_a_name(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(zones) struct zones *z = example();
	struct names_request v = view(a, "[{\"id\":\"1\"}]");

	assert_true(lookup_name(z, &v, "all", 4, &found));
	assert_int_equal(found.n, 2);
	zones_endpoint_remove(z, "1", "e1");
	assert_true(lookup_name(z, &v, "all", 4, &found));
	assert_int_equal(found.n, 1);
	assert_string_equal(ask(z, &v, "web", 4), "none");
	zones_endpoint_remove(z, "1", "e2");
	assert_string_equal(ask(z, &v, "all", 4), "none");
}

static void addresses_to_names(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(zones) struct zones *z = example();
	struct names_request v = view(a, "[{\"id\":\"2\"},{\"id\":\"1\"}]");
	char name[PACKET_NAME_MAX];
	struct ip ip;

	assert_int_equal(ip_parse("fd00::2", &ip), 0);
	assert_true(lookup_address(z, &v, ip, name));
	assert_string_equal(name, "web.front");
	assert_int_equal(ip_parse("10.9.0.2", &ip), 0);
	assert_false(lookup_address(z, &v, ip, name));
	zones_endpoint_remove(z, "1", "e1");
	assert_int_equal(ip_parse("fd00::2", &ip), 0);
	assert_false(lookup_address(z, &v, ip, name));
}

static void a_sync_forgets(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(zones) struct zones *z = example();
	struct names_request v = view(a, "[{\"id\":\"1\"},{\"id\":\"2\"}]");

	zones_sync_begin(z);
	say(z, "{\"op\":\"endpoint\",\"network\":\"1\",\"id\":\"e2\",\"names\":[\"db\"],"
	       "\"addresses\":[\"10.1.0.9\"]}");
	assert_string_equal(ask(z, &v, "a", 4), "10.2.0.2"); /* until the end of the sync */
	zones_sync_end(z);
	assert_string_equal(ask(z, &v, "a", 4), "none");
	assert_string_equal(ask(z, &v, "web", 4), "none");
	assert_string_equal(ask(z, &v, "db", 4), "10.1.0.9");
	zones_network_remove(z, "1");
	assert_string_equal(ask(z, &v, "db", 4), "none");
}

static void more_than_fit(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(zones) struct zones *z = zones_new();
	struct names_request v = view(a, "[{\"id\":\"1\"}]");
	char text[256];

	for (int i = 0; i < ADDRESSES_MAX + 100; i++) {
		snprintf(
			text, sizeof(text),
			"{\"op\":\"endpoint\",\"network\":\"1\",\"id\":\"e%d\",\"names\":[\"all\"],"
			"\"addresses\":[\"10.1.%d.%d\"]}",
			i, i / 256, i % 256);
		say(z, text);
	}
	assert_true(lookup_name(z, &v, "all", 4, &found));
	assert_int_equal(found.n, ADDRESSES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_my_networks), cmocka_unit_test(all_of_a_name),
		cmocka_unit_test(addresses_to_names),	cmocka_unit_test(a_sync_forgets),
		cmocka_unit_test(more_than_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
