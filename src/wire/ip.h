/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 and IPv6 addresses, prefixes and MAC addresses as values: text to bytes and back, and the
 * arithmetic address pools need. Pure; nothing is looked up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_TEXT_MAX	64 /* of an address or a prefix, with the 0 byte */
#define IP_MAC_TEXT_MAX 18

struct ip {
	uint8_t family; /* 0: none, 4, 6 */
	uint8_t b[16];	/* network order; an IPv4 address is in the first four, the rest is 0 */
};
struct ip_prefix {
	struct ip ip; /* as parsed the bits behind len may be set; ip_mask() clears them */
	uint8_t len;
};
struct ip_mac {
	uint8_t b[6];
};

/* 0 or -EINVAL. No zone, no port, no leading zeros in IPv4 numbers; an IPv4 address written in IPv6
 * form becomes an IPv4 address. */
int ip_parse(const char *text, struct ip *ret);
/* "10.0.0.0/8". Without "/": -EINVAL. */
int ip_prefix_parse(const char *text, struct ip_prefix *ret);
int ip_mac_parse(const char *text, struct ip_mac *ret); /* six bytes in hex with ":" or "-" */
/* RFC 5952 for IPv6. ret: IP_TEXT_MAX. Returns ret; family 0 is "". */
char *ip_format(struct ip a, char *ret);
char *ip_prefix_format(struct ip_prefix p, char *ret);
char *ip_mac_format(struct ip_mac m, char *ret); /* ret: IP_MAC_TEXT_MAX */

unsigned ip_bits(struct ip a);	       /* 32, 128; 0 for none */
int ip_cmp(struct ip a, struct ip b);  /* family first */
bool ip_is_unspecified(struct ip a);   /* 0.0.0.0, :: (not family 0) */
bool ip_is_loopback(struct ip a);      /* 127/8, ::1 */
bool ip_is_multicast(struct ip a);     /* 224/4, ff00::/8 */
bool ip_is_link_local(struct ip a);    /* 169.254/16, fe80::/10 */
struct ip ip_mask(struct ip_prefix p); /* the first address of the prefix */
struct ip ip_last(struct ip_prefix p); /* its last one */
bool ip_prefix_has(struct ip_prefix p, struct ip a);
bool ip_prefix_overlap(struct ip_prefix a, struct ip_prefix b);
/* a + n; family 0 when that leaves the address space. */
struct ip ip_add(struct ip a, uint64_t n);
/* b - a, for b >= a of one family; UINT64_MAX when it is more than fits. */
uint64_t ip_distance(struct ip a, struct ip b);
