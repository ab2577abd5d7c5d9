/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's one nf_tables table: rules that never change (firewall.nft) and sets whose elements
 * are the networks and published ports. The object knows all elements that should be there; a
 * change is one netlink transaction of a few elements, and the whole can be put back at any time.
 * Everything here is answered by the kernel at once, except writing the rules (runs `nft`, some
 * milliseconds, only when they are not there).
 */
#pragma once

#include "base/err.h"
#include "wire/ip.h"

#include <stdbool.h>
#include <stdint.h>

struct firewall;

enum gateway_mode {
	GATEWAY_NAT,	     /* only published ports, by the host's address */
	GATEWAY_ROUTED,	     /* only published ports, by the container's own address */
	GATEWAY_UNPROTECTED, /* as NAT, and all ports by the container's own address */
	GATEWAY_ISOLATED,    /* internal networks: the bridge has no address */
};

struct firewall_network {
	const char *bridge;
	bool internal, icc;
	struct firewall_family {
		enum gateway_mode mode;
		bool masquerade;
		struct ip snat; /* instead of the address of the way out; family 0: none */
	} v4, v6;
};

struct firewall_port {
	uint8_t proto;	    /* IPPROTO_TCP, UDP, SCTP */
	struct ip host;	    /* unspecified: all addresses of that family */
	uint16_t host_port; /* 0: routed, `to` is reached by itself */
	struct ip to;	    /* of the same family */
	uint16_t to_port;
};

/* need_accept: clients that are not containers must be accepted by the chain `user`. Nothing is
 * written yet. */
int firewall_open(const char *table, bool need_accept, struct firewall **ret, struct err *e);
void firewall_close(struct firewall *fw); /* the table stays; NULL allowed */
/* Take the table away, unless the administrator has rules in it or it guards interfaces: those
 * would forward to each other without it. */
int firewall_remove(struct firewall *fw, struct err *e);

int firewall_network_add(struct firewall *fw, const struct firewall_network *n, struct err *e);
int firewall_network_remove(struct firewall *fw, const struct firewall_network *n, struct err *e);
int firewall_ports_add(struct firewall *fw, const struct firewall_port *p, size_t n, struct err *e);
int firewall_ports_remove(struct firewall *fw, const struct firewall_port *p, size_t n,
			  struct err *e);
/* Interfaces between which nothing is forwarded; family 4 or 6. */
int firewall_guard_add(struct firewall *fw, const char *const *ifnames, size_t n, uint8_t family,
		       struct err *e);

/* Elements of an engine that ran before and are not known here go. Without any element and table
 * nothing happens. */
int firewall_settle(struct firewall *fw, struct err *e);
/* Rules and elements as they should be, whatever is there now. */
int firewall_repair(struct firewall *fw, struct err *e);
/* Is anything of the table there? */
bool firewall_is_there(struct firewall *fw);
/* Are the rules there? Asks the kernel. */
bool firewall_is_whole(struct firewall *fw);

/* Of the tables that iptables makes in nf_tables: has FORWARD the policy DROP, or is the chain
 * `ours` there? Family 4 or 6. */
bool firewall_iptables_matters(struct firewall *fw, uint8_t family, const char *ours);

/* ---- what others do to the rules ---- */
#define FIREWALL_LOST	 1 /* something of ours was taken away: firewall_repair() */
#define FIREWALL_FOREIGN 2 /* a FORWARD chain as iptables makes it changed */
/* Readable when there are events. */
int firewall_fd(const struct firewall *fw);
/* Reads them all. */
unsigned firewall_events(struct firewall *fw);
