/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of clients and of upstream servers, and the engine's messages. Input: one byte that says
 * what it is, then 'q': a query; 'a': a query, 0xff 0xff, an answer to it; 'm': a message.
 */
#include "names/zone.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_all(const struct packet_query *q, const uint8_t *p, size_t n)
{
	static uint8_t out[PACKET_MAX];
	static struct ip many[40]; /* more than 512 bytes of them */
	const struct packet_answer answers[] = {
		{.rcode = PACKET_SERVFAIL},
		{.rcode = PACKET_NOERROR, .address = many, .n = ARRAY_SIZE(many)},
		{.rcode = PACKET_NOERROR, .ptr = "name.network"},
		{.rcode = PACKET_BADVERS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ip){.family = i % 2 ? 4 : 6, .b = {(uint8_t)i}};
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		for (size_t max = PACKET_UDP_MIN; max < PACKET_MAX; max = 100 * max) {
			size_t len = packet_answer(q, p, n, &answers[i], max, out);

			ASSERT(len >= PACKET_HEADER && len <= max && packet_id(out) == q->id);
			ASSERT(out[2] & 0x80);
		}
}

static void query(const uint8_t *p, size_t n)
{
	struct packet_query q;
	struct ip ip;
	int rc = packet_query_parse(p, n, &q);

	ASSERT(rc == -EBADMSG || rc >= 0);
	if (rc == -EBADMSG)
		return;
	ASSERT(strlen(q.name) < PACKET_NAME_MAX && PACKET_HEADER + q.question <= n);
	packet_reverse_name(q.name, &ip);
	answer_all(&q, p, n);
	packet_query_done(&q);
}

static void upstream(const uint8_t *p, size_t n)
{
	const uint8_t *mark = memmem(p, n, "\xff\xff", 2);
	size_t query_n = mark ? (size_t)(mark - p) : 0;
	struct packet_query q;
	int rc;

	if (!mark || packet_query_parse(p, query_n, &q) == -EBADMSG)
		return;
	rc = packet_match(mark + 2, n - query_n - 2, p, q.question, q.id);
	ASSERT(rc == -EBADMSG || (rc >= 0 && rc < 16));
	packet_query_done(&q);
}

static void message(const uint8_t *p, size_t n)
{
	static struct addresses found;
	AUTO(arena) struct arena *a = arena_new();
	AUTO(zones) struct zones *z = zones_new();
	struct names_request r;
	struct names_message m;
	struct err e = ERR_INIT;
	char name[PACKET_NAME_MAX];

	names_message_decode((const char *)p, n, &m, a, &e);
	if (names_request_decode((const char *)p, n, &r, a, &e) < 0)
		return;
	if (r.id) {
		zones_network(z, r.id, r.name ? r.name : "");
		zones_endpoint(z, r.id, "e", &r.names, &r.addresses);
		zones_endpoint(z, r.id, "f", &r.names, &r.addresses);
	}
	lookup_name(z, &r, "web.front", 4, &found);
	lookup_name(z, &r, "web", 6, &found);
	lookup_address(z, &r, (struct ip){.family = 4, .b = {10, 1, 0, 2}}, name);
	zones_sync_begin(z);
	zones_sync_end(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'q')
		query(data + 1, size - 1);
	else if (data[0] == 'a')
		upstream(data + 1, size - 1);
	else
		message(data + 1, size - 1);
	return 0;
}
