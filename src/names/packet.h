/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS packets: what a query asks, answers to it, and whether an upstream server's answer belongs to
 * a query. The only file that knows ldns is packet.c; all bytes are hostile. No I/O, no state.
 */
#pragma once

#include "base/attr.h"
#include "wire/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX	65535
#define PACKET_HEADER	12
#define PACKET_UDP_MIN	512 /* what every client takes */
#define PACKET_NAME_MAX 256 /* of a name in text, with the 0 byte */
#define PACKET_TTL	600 /* seconds, as Docker's */

enum packet_rcode {
	PACKET_NOERROR = 0,
	PACKET_FORMERR = 1,
	PACKET_SERVFAIL = 2,
	PACKET_NXDOMAIN = 3,
	PACKET_NOTIMP = 4,
	PACKET_REFUSED = 5,
	PACKET_BADVERS = 16,
};
enum packet_type {
	PACKET_A = 1,
	PACKET_PTR = 12,
	PACKET_AAAA = 28,
	PACKET_IXFR = 251,
	PACKET_AXFR = 252,
	PACKET_ANY = 255
};
#define PACKET_CLASS_IN 1

struct packet_query {
	uint16_t id, type, class;
	bool edns;
	size_t udp_max;	 /* largest answer over UDP */
	size_t question; /* bytes of the question section */
	/* Lower case, no dot at the end; "" when it cannot be a name of ours. */
	char name[PACKET_NAME_MAX];
	void *parsed;
};

struct packet_answer {
	enum packet_rcode rcode;
	const struct ip *address; /* A or AAAA records, all of the query's type */
	size_t n;
	const char *ptr; /* or one PTR record; NULL: none */
};

/*
 * Read a query. 0; -EBADMSG: nothing to answer (too short, no query); or a rcode > 0 to answer
 * with. packet_query_done() in every case but -EBADMSG.
 */
int packet_query_parse(const uint8_t *p, size_t n, struct packet_query *ret);
void packet_query_done(struct packet_query *q);
/*
 * The answer, at most max bytes (not less than PACKET_UDP_MIN), with TC set when not all records
 * fit. p, n: the query's bytes. out has PACKET_MAX bytes; returns the length, 0 when it cannot be
 * made.
 */
size_t packet_answer(const struct packet_query *q, const uint8_t *p, size_t n,
		     const struct packet_answer *a, size_t max, uint8_t *out);
/* Without a parsed query: header and question of the query's bytes, with a rcode. */
size_t packet_failure(const uint8_t *p, size_t n, size_t question, enum packet_rcode rcode, bool tc,
		      uint8_t *out);

/* Does an upstream answer belong to the query of n bytes with this id and question length, and is
 * it well-formed? Returns its rcode, or -EBADMSG. */
int packet_match(const uint8_t *answer, size_t answer_n, const uint8_t *query, size_t question,
		 uint16_t id);
uint16_t packet_id(const uint8_t *p);
void packet_set_id(uint8_t *p, uint16_t id);

/* "4.3.2.1.in-addr.arpa", and nibbles below ip6.arpa. */
bool packet_reverse_name(const char *name, struct ip *ret);
