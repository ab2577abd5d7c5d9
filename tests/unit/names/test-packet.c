/* SPDX-License-Identifier: Apache-2.0 */
/* DNS packets byte by byte: what a query asks, how much fits in an answer, which answers belong. */
#include "names/packet.h"

#include "cmocka-all.h"

#include <string.h>

#include "base/banned.h"

/* "Web.Front", type A, id 0x1234, recursion desired */
static const uint8_t plain[] = "\x12\x34\x01\x00\0\1\0\0\0\0\0\0\3Web\5Front\0\0\1\0\1";
/* "web", AAAA, with an OPT record: 1232 bytes, DO, one unknown option */
static const uint8_t with_edns[] = "\0\7\1\0\0\1\0\0\0\0\0\1\3web\0\0\x1c\0\1"
				   "\0\0\x29\x04\xd0\0\0\x80\0\0\6\xfd\xe9\0\2hi";
#define LEN(a) (sizeof(a) - 1)

static uint8_t out[PACKET_MAX];

static void reads_a_query(void **state)
{
	struct packet_query q;

	assert_int_equal(packet_query_parse(plain, LEN(plain), &q), 0);
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, PACKET_A);
	assert_int_equal(q.class, PACKET_CLASS_IN);
	assert_string_equal(q.name, "web.front");
	assert_int_equal(q.question, 15);
	assert_false(q.edns);
	assert_int_equal(q.udp_max, 512);
	packet_query_done(&q);

	assert_int_equal(packet_query_parse(with_edns, LEN(with_edns), &q), 0);
	assert_int_equal(q.type, PACKET_AAAA);
	assert_true(q.edns);
	assert_int_equal(q.udp_max, 1232);
	packet_query_done(&q);
}

static void refuses_what_is_none(void **state)
{
	uint8_t p[LEN(plain)];
	struct packet_query q;

	for (size_t n = 0; n < LEN(plain); n++) { /* every cut */
		int rc = packet_query_parse(plain, n, &q);

		assert_int_equal(rc, n < PACKET_HEADER ? -EBADMSG : PACKET_FORMERR);
		if (rc >= 0)
			packet_query_done(&q);
	}
	memcpy(p, plain, sizeof(p));
	p[2] |= 0x80; /* an answer is never answered */
	assert_int_equal(packet_query_parse(p, sizeof(p), &q), -EBADMSG);
	memcpy(p, plain, sizeof(p));
	p[2] = 0x29; /* UPDATE */
	assert_int_equal(packet_query_parse(p, sizeof(p), &q), PACKET_NOTIMP);
	memcpy(p, plain, sizeof(p));
	p[13] = '.'; /* a dot inside of a label is no name of ours */
	assert_int_equal(packet_query_parse(p, sizeof(p), &q), 0);
	assert_string_equal(q.name, "");
	packet_query_done(&q);
}

static void fills_to_the_limit(void **state)
{
	struct ip many[100];
	struct packet_answer a = {.address = many, .n = ARRAY_SIZE(many)};
	struct packet_query q;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ip){.family = 4, .b = {10, 0, 0, (uint8_t)i}};
	assert_int_equal(packet_query_parse(plain, LEN(plain), &q), 0);
	n = packet_answer(&q, plain, LEN(plain), &a, 512, out);
	assert_int_equal(n, 12 + 15 + 30 * 16);
	assert_true(out[2] & 0x02); /* TC */
	assert_int_equal(out[7], 30);
	n = packet_answer(&q, plain, LEN(plain), &a, PACKET_MAX, out);
	assert_int_equal(n, 12 + 15 + 100 * 16);
	assert_false(out[2] & 0x02);
	assert_memory_equal(out + 12, plain + 12, 15); /* the spelling stays */
	assert_memory_equal(out + 27, "\xc0\x0c\0\1\0\1\0\0\2\x58\0\4\x0a\0\0\0", 16);
	packet_query_done(&q);
}

static void matches_answers(void **state)
{
	static const uint8_t good[] = "\x55\x66\x81\x80\0\1\0\1\0\0\0\0\3wEB\5fRONT\0\0\1\0\1"
				      "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1";
	uint8_t p[LEN(good)];

	assert_int_equal(packet_match(good, LEN(good), plain, 15, 0x5566), PACKET_NOERROR);
	assert_int_equal(packet_match(good, LEN(good), plain, 15, 0x5567), -EBADMSG);
	assert_int_equal(packet_match(good, LEN(good), plain, 14, 0x5566), -EBADMSG);
	assert_int_equal(packet_match(good, LEN(good) - 1, plain, 15, 0x5566), -EBADMSG);
	memcpy(p, good, sizeof(p));
	p[13] = 'x'; /* another name */
	assert_int_equal(packet_match(p, sizeof(p), plain, 15, 0x5566), -EBADMSG);
	memcpy(p, good, sizeof(p));
	p[24] = 28; /* another type */
	assert_int_equal(packet_match(p, sizeof(p), plain, 15, 0x5566), -EBADMSG);
	memcpy(p, good, sizeof(p));
	p[2] = 0x01; /* a query */
	assert_int_equal(packet_match(p, sizeof(p), plain, 15, 0x5566), -EBADMSG);
	memcpy(p, good, sizeof(p));
	p[28] = 27; /* the record's name is a pointer to itself */
	assert_int_equal(packet_match(p, sizeof(p), plain, 15, 0x5566), -EBADMSG);
	memcpy(p, good, sizeof(p));
	p[3] = 0x83;
	assert_int_equal(packet_match(p, sizeof(p), plain, 15, 0x5566), PACKET_NXDOMAIN);
	/* without a question, an error is believed, an answer is not */
	assert_int_equal(packet_match((const uint8_t *)"\x55\x66\x81\x81\0\0\0\0\0\0\0\0", 12,
				      plain, 15, 0x5566),
			 PACKET_FORMERR);
	assert_int_equal(packet_match((const uint8_t *)"\x55\x66\x81\x80\0\0\0\0\0\0\0\0", 12,
				      plain, 15, 0x5566),
			 -EBADMSG);
}

static void reads_reverse_names(void **state)
{
	static const char v6[] =
		"3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
	static const char *const bad[] = {"",
					  "in-addr.arpa",
					  ".in-addr.arpa",
					  "1.2.3.in-addr.arpa",
					  "1.2.3.4.5.in-addr.arpa",
					  "1.2.3.256.in-addr.arpa",
					  "1..3.4.in-addr.arpa",
					  "1.2.3.4.example",
					  "f.ip6.arpa"};
	char text[IP_TEXT_MAX];
	struct ip ip;

	assert_true(packet_reverse_name("4.3.2.10.in-addr.arpa", &ip));
	assert_string_equal(ip_format(ip, text), "10.2.3.4");
	assert_true(packet_reverse_name(v6, &ip));
	assert_string_equal(ip_format(ip, text), "fd00::3");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(packet_reverse_name(bad[i], &ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_query),       cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(fills_to_the_limit),  cmocka_unit_test(matches_answers),
		cmocka_unit_test(reads_reverse_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
