/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the firewall: its sets, its connection to nf_tables, its rules. */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "net/firewall.h"
#include "net/nft-codec.h"

#include <libmnl/libmnl.h>

#define FIREWALL_TABLE_MAX 64
#define FIREWALL_BATCH_MAX (64U << 20) /* about 500000 elements */

enum firewall_set {
	SET_BRIDGES,
	SET_PAIRS,
	SET_INTERNAL,
	SET_NO_ICC,
	SET_ROUTED,
	SET_OPEN,
	SET_MASKED,
	SET_SNAT4,
	SET_SNAT6,
	SET_PORTS4,
	SET_PORTS4_AT,
	SET_PORTS6,
	SET_PORTS6_AT,
	SET_SELF4,
	SET_SELF6,
	SET_DIRECT4,
	SET_DIRECT6,
	SET_GUARD,
	SET_COUNT
};
extern const char *const firewall_set_names[SET_COUNT];

struct firewall {
	char table[FIREWALL_TABLE_MAX];
	bool need_accept;
	bool ready; /* the rules were seen or written */
	struct mnl_socket *nl, *events;
	uint32_t seq;
	struct map *want; /* struct nft_element (heap) by its set and key as text */
};

bool firewall_has_guard(const struct firewall *fw);

/* ---- firewall-rules.c ---- */
int firewall_rules_write(struct firewall *fw, struct err *e);
/* Send the transaction of a finished batch: 0 or the negative errno of its first refused message.
 */
int firewall_send(struct firewall *fw, const struct nft_batch *b);
/* Is a chain or set of the table the administrator's? */
bool firewall_name_is_user(const char *name);

/* What a message is about: attribute 1 is the table of rules, chains and sets alike. */
struct firewall_subject {
	uint16_t name_attr, flags_attr; /* where they are; 0: not wanted */
	const char *table, *name;	/* in the message; NULL: absent */
	uint32_t flags;
};
bool firewall_subject_read(const struct nlmsghdr *h, uint16_t name_attr, uint16_t flags_attr,
			   struct firewall_subject *ret);
