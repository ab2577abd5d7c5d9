/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements of nf_tables sets as bytes, and the netlink messages that add and delete them (layout:
 * linux/netfilter/nf_tables.h; values as nft 1.0 lays them out: every part of a concatenation
 * starts at a multiple of four bytes, numbers in network order). Pure: nothing is sent here.
 */
#pragma once

#include "base/buf.h"
#include "wire/ip.h"

#include <stdbool.h>
#include <stdint.h>

#define NFT_KEY_MAX  32 /* two interface names */
#define NFT_DATA_MAX 20 /* IPv6 address and port */

struct nft_element {
	uint8_t set; /* the caller's number of it */
	uint8_t nkey, ndata;
	uint8_t key[NFT_KEY_MAX], data[NFT_DATA_MAX];
};

/* Append a part. */
void nft_key_ifname(struct nft_element *el, const char *name);
void nft_key_ip(struct nft_element *el, struct ip a);
void nft_key_u8(struct nft_element *el, uint8_t v);    /* inet_proto, nf_proto */
void nft_key_port(struct nft_element *el, uint16_t v); /* inet_service */
void nft_data_ip(struct nft_element *el, struct ip a);
void nft_data_port(struct nft_element *el, uint16_t v);
bool nft_element_same_key(const struct nft_element *a, const struct nft_element *b);

/*
 * Messages of one transaction, appended to a buffer. seq counts up from the given one; only the
 * last message asks for an acknowledgement, the kernel reports errors of the others by itself.
 */
struct nft_batch {
	struct buf *out;
	uint32_t first_seq, seq;
	const char *table;
};
void nft_batch_begin(struct nft_batch *b, struct buf *out, uint32_t seq, const char *table);
/* n elements of the set named `set`; more than fit in one message become several. */
void nft_batch_add(struct nft_batch *b, const char *set, const struct nft_element *const *els,
		   size_t n);
void nft_batch_delete(struct nft_batch *b, const char *set, const struct nft_element *const *els,
		      size_t n);
void nft_batch_flush(struct nft_batch *b, const char *set); /* all elements go */
/* Ends it; false when nothing is in it or the buffer was too small. */
bool nft_batch_end(struct nft_batch *b);
