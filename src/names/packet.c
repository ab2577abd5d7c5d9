/* SPDX-License-Identifier: Apache-2.0 */
/* DNS packets through ldns. What it is not asked: the question's place and length in the raw bytes,
 * which forwarding needs, and the header of answers to packets it cannot read. */
#include "names/packet.h"

#include "base/num.h"

#include <ctype.h>
#include <ldns/ldns.h>
#include <string.h>

#include "base/banned.h"

#define EDNS_SIZE   1232 /* what we say we take over UDP */
#define RECORD_HEAD 12	 /* compressed owner, type, class, TTL, length */

uint16_t packet_id(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void packet_set_id(uint8_t *p, uint16_t id)
{
	p[0] = (uint8_t)(id >> 8);
	p[1] = (uint8_t)id;
}

static uint16_t count_at(const uint8_t *p, size_t at)
{
	return (uint16_t)(p[at] << 8 | p[at + 1]);
}

/* Length of the one question, whose name is not compressed; 0 when it is not like that. */
static size_t question_length(const uint8_t *p, size_t n)
{
	size_t at = PACKET_HEADER;

	if (n < PACKET_HEADER || count_at(p, 4) != 1)
		return 0;
	while (at < n && p[at] != 0) {
		if (p[at] > 63)
			return 0;
		at += p[at] + 1u;
		if (at - PACKET_HEADER > 254)
			return 0;
	}
	return at + 5 <= n ? at + 5 - PACKET_HEADER : 0;
}

/* The text of a name on the wire; "" when a label has a byte that names of ours cannot have. */
static void name_text(const uint8_t *p, char ret[static PACKET_NAME_MAX])
{
	size_t n = 0;

	while (*p) {
		for (unsigned len = *p++; len; len--, p++) {
			if (*p <= ' ' || *p >= 127 || *p == '.') {
				ret[0] = '\0';
				return;
			}
			ret[n++] = (char)tolower(*p);
		}
		ret[n++] = '.';
	}
	ret[n ? n - 1 : 0] = '\0';
}

int packet_query_parse(const uint8_t *p, size_t n, struct packet_query *ret)
{
	ldns_pkt *pkt = NULL;

	*ret = (struct packet_query){.udp_max = PACKET_UDP_MIN};
	if (n < PACKET_HEADER || n > PACKET_MAX || (p[2] & 0x80))
		return -EBADMSG;
	ret->id = packet_id(p);
	if (((p[2] >> 3) & 15) != LDNS_PACKET_QUERY)
		return PACKET_NOTIMP;
	ret->question = question_length(p, n);
	if (ret->question == 0 || ldns_wire2pkt(&pkt, p, n) != LDNS_STATUS_OK) {
		ret->question = 0;
		return PACKET_FORMERR;
	}
	ret->parsed = pkt;
	ret->type = count_at(p, PACKET_HEADER + ret->question - 4);
	ret->class = count_at(p, PACKET_HEADER + ret->question - 2);
	name_text(p + PACKET_HEADER, ret->name);
	ret->edns = ldns_pkt_edns(pkt);
	if (ret->edns && ldns_pkt_edns_udp_size(pkt) > PACKET_UDP_MIN)
		ret->udp_max = ldns_pkt_edns_udp_size(pkt);
	if (ret->edns && ldns_pkt_edns_version(pkt) != 0)
		return PACKET_BADVERS;
	return 0;
}

void packet_query_done(struct packet_query *q)
{
	ldns_pkt_free(q->parsed);
	q->parsed = NULL;
}

size_t packet_failure(const uint8_t *p, size_t n, size_t question, enum packet_rcode rcode, bool tc,
		      uint8_t *out)
{
	if (n < PACKET_HEADER + question)
		return 0;
	memset(out, 0, PACKET_HEADER);
	memcpy(out, p, 2);
	out[2] = (uint8_t)(0x80 | (p[2] & 0x79) | (tc ? 0x02 : 0)); /* opcode and RD as asked */
	out[3] = (uint8_t)(0x80 | (rcode & 15));
	if (question) {
		out[5] = 1;
		memcpy(out + PACKET_HEADER, p + PACKET_HEADER, question);
	}
	return PACKET_HEADER + question;
}

static ldns_rr *record_new(const ldns_rdf *owner, ldns_rr_type type, ldns_rdf *data)
{
	ldns_rr *rr = data ? ldns_rr_new() : NULL;

	if (!rr) {
		ldns_rdf_deep_free(data);
		return NULL;
	}
	ldns_rr_set_owner(rr, ldns_rdf_clone(owner));
	ldns_rr_set_type(rr, type);
	ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
	ldns_rr_set_ttl(rr, PACKET_TTL);
	ldns_rr_push_rdf(rr, data);
	return rr;
}

/* Header, question and EDNS part of the answer. */
static ldns_pkt *answer_new(const ldns_pkt *query, const struct packet_query *q,
			    enum packet_rcode rcode)
{
	ldns_pkt *pkt = ldns_pkt_new();
	ldns_rr *question = ldns_rr_clone(ldns_rr_list_rr(ldns_pkt_question(query), 0));

	if (!pkt || !question || !ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, question)) {
		ldns_pkt_free(pkt);
		ldns_rr_free(question);
		return NULL;
	}
	ldns_pkt_set_id(pkt, q->id);
	ldns_pkt_set_qr(pkt, true);
	ldns_pkt_set_rd(pkt, ldns_pkt_rd(query));
	ldns_pkt_set_cd(pkt, ldns_pkt_cd(query));
	ldns_pkt_set_ra(pkt, true);
	ldns_pkt_set_rcode(pkt, (uint8_t)(rcode & 15));
	if (q->edns) {
		ldns_pkt_set_edns_udp_size(pkt, EDNS_SIZE);
		ldns_pkt_set_edns_extended_rcode(pkt, (uint8_t)(rcode >> 4));
		ldns_pkt_set_edns_do(pkt, ldns_pkt_edns_do(query));
	}
	return pkt;
}

static bool add_records(ldns_pkt *pkt, const struct packet_query *q, const struct packet_answer *a,
			size_t max)
{
	size_t room = max - PACKET_HEADER - q->question - (q->edns ? 11 : 0);
	const ldns_rdf *owner = ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(pkt), 0));

	if (a->ptr) {
		ldns_rr *rr = record_new(owner, LDNS_RR_TYPE_PTR, ldns_dname_new_frm_str(a->ptr));

		return rr && ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr);
	}
	for (size_t i = 0; i < a->n; i++) {
		bool v6 = a->address[i].family == 6;
		size_t n = v6 ? 16 : 4;
		ldns_rr *rr;

		if (room < RECORD_HEAD + n) {
			ldns_pkt_set_tc(pkt, true);
			break;
		}
		room -= RECORD_HEAD + n;
		rr = record_new(owner, v6 ? LDNS_RR_TYPE_AAAA : LDNS_RR_TYPE_A,
				ldns_rdf_new_frm_data(v6 ? LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, n,
						      a->address[i].b));
		if (!rr || !ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr))
			return false;
	}
	return true;
}

/* One buffer for all packets, because ldns wants to own what it may grow. */
static size_t write_out(const ldns_pkt *pkt, uint8_t *out)
{
	static ldns_buffer *b;

	if (!b)
		b = ldns_buffer_new(PACKET_MAX);
	if (!b)
		return 0;
	ldns_buffer_clear(b);
	if (ldns_pkt2buffer_wire(b, pkt) != LDNS_STATUS_OK || ldns_buffer_position(b) > PACKET_MAX)
		return 0;
	memcpy(out, ldns_buffer_begin(b), ldns_buffer_position(b));
	return ldns_buffer_position(b);
}

size_t packet_answer(const struct packet_query *q, const uint8_t *p, size_t n,
		     const struct packet_answer *a, size_t max, uint8_t *out)
{
	ldns_pkt *pkt = q->parsed ? answer_new(q->parsed, q, a->rcode) : NULL;
	size_t len = 0;

	if (!q->parsed)
		return packet_failure(p, n, q->question, a->rcode, false, out);
	if (pkt && add_records(pkt, q, a, MIN(MAX(max, PACKET_UDP_MIN), PACKET_MAX)))
		len = write_out(pkt, out);
	ldns_pkt_free(pkt);
	return len ? len : packet_failure(p, n, q->question, PACKET_SERVFAIL, false, out);
}

static bool same_question(const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) /* length bytes are below 64: tolower() leaves them alone */
		if (tolower(a[i]) != tolower(b[i]))
			return false;
	return true;
}

int packet_match(const uint8_t *answer, size_t answer_n, const uint8_t *query, size_t question,
		 uint16_t id)
{
	ldns_pkt *pkt = NULL;
	ldns_status st;

	if (answer_n < PACKET_HEADER || answer_n > PACKET_MAX || packet_id(answer) != id ||
	    !(answer[2] & 0x80) || ((answer[2] >> 3) & 15) != LDNS_PACKET_QUERY)
		return -EBADMSG;
	if (count_at(answer, 4) == 0 && (answer[3] & 15) != 0)
		return answer[3] & 15; /* some servers do not repeat what they refuse */
	if (question_length(answer, answer_n) != question ||
	    !same_question(answer + PACKET_HEADER, query + PACKET_HEADER, question))
		return -EBADMSG;
	st = ldns_wire2pkt(&pkt, answer, answer_n);
	ldns_pkt_free(pkt);
	/* cut at the client's size, some servers leave half a record */
	if (st != LDNS_STATUS_OK && !(answer[2] & 0x02))
		return -EBADMSG;
	return answer[3] & 15;
}

/* ---- names of addresses ---- */

static bool reverse4(const char *name, size_t n, struct ip *ret)
{
	char part[4];
	uint64_t v;

	*ret = (struct ip){.family = 4};
	for (int i = 3; i >= 0; i--) {
		size_t len = 0;

		while (len < n && name[len] != '.')
			len++;
		if (len == 0 || len > 3 || (i == 0) != (len == n))
			return false;
		memcpy(part, name, len);
		part[len] = '\0';
		if (num_parse_u64(part, 0, 255, &v) < 0)
			return false;
		ret->b[i] = (uint8_t)v;
		name += len + 1;
		n -= MIN(n, len + 1);
	}
	return true;
}

static bool reverse6(const char *name, size_t n, struct ip *ret)
{
	*ret = (struct ip){.family = 6};
	if (n != 63)
		return false;
	for (unsigned i = 0; i < 32; i++) {
		unsigned char c = (unsigned char)name[2 * i];
		unsigned v = isdigit(c) ? c - 48u : c - 87u; /* '0', 'a' - 10 */

		if (!isxdigit(c) || (i < 31 && name[2 * i + 1] != '.'))
			return false;
		ret->b[15 - i / 2] |= (uint8_t)(i % 2 ? v << 4 : v);
	}
	return true;
}

bool packet_reverse_name(const char *name, struct ip *ret)
{
	static const char v4[] = ".in-addr.arpa", v6[] = ".ip6.arpa";
	size_t n = strlen(name);

	if (n > sizeof v4 - 1 && strcmp(name + n - (sizeof v4 - 1), v4) == 0)
		return reverse4(name, n - (sizeof v4 - 1), ret);
	if (n > sizeof v6 - 1 && strcmp(name + n - (sizeof v6 - 1), v6) == 0)
		return reverse6(name, n - (sizeof v6 - 1), ret);
	return false;
}
