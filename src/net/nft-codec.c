/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of nf_tables sets as netlink messages; see the header. */
#include "net/nft-codec.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <string.h>

#include "base/banned.h"

/* A message is at most this long: the attribute that holds the elements counts in 16 bits. */
#define MESSAGE_MAX 16384

/* ---- values ---- */

static void part(uint8_t *p, uint8_t *n, size_t max, const void *v, size_t size)
{
	size_t padded = (size + 3) & ~(size_t)3;

	ASSERT(*n + padded <= max);
	memset(p + *n, 0, padded);
	memcpy(p + *n, v, size);
	*n = (uint8_t)(*n + padded);
}

static void key_part(struct nft_element *el, const void *v, size_t size)
{
	part(el->key, &el->nkey, sizeof(el->key), v, size);
}

static void data_part(struct nft_element *el, const void *v, size_t size)
{
	part(el->data, &el->ndata, sizeof(el->data), v, size);
}

void nft_key_ifname(struct nft_element *el, const char *name)
{
	char text[IFNAMSIZ] = {0};

	memcpy(text, name, strnlen(name, sizeof(text) - 1));
	key_part(el, text, sizeof(text));
}

void nft_key_ip(struct nft_element *el, struct ip a)
{
	key_part(el, a.b, a.family == 6 ? 16 : 4);
}

void nft_key_u8(struct nft_element *el, uint8_t v)
{
	key_part(el, &v, 1);
}

void nft_key_port(struct nft_element *el, uint16_t v)
{
	key_part(el, &(uint16_t){htons(v)}, 2);
}

void nft_data_ip(struct nft_element *el, struct ip a)
{
	data_part(el, a.b, a.family == 6 ? 16 : 4);
}

void nft_data_port(struct nft_element *el, uint16_t v)
{
	data_part(el, &(uint16_t){htons(v)}, 2);
}

bool nft_element_same_key(const struct nft_element *a, const struct nft_element *b)
{
	return a->set == b->set && a->nkey == b->nkey && memcmp(a->key, b->key, a->nkey) == 0;
}

/* ---- messages ---- */

static struct nlmsghdr *message(struct nft_batch *b, int type, int flags, uint8_t family,
				uint16_t res_id)
{
	char *room = buf_room(b->out, MESSAGE_MAX);
	struct nlmsghdr *h;
	struct nfgenmsg *nfg;

	if (!room) {
		b->out->overflow = true;
		return NULL;
	}
	h = mnl_nlmsg_put_header(room);
	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = b->seq++;
	nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return h;
}

static void commit(struct nft_batch *b, const struct nlmsghdr *h)
{
	b->out->n += MNL_ALIGN(h->nlmsg_len);
}

void nft_batch_begin(struct nft_batch *b, struct buf *out, uint32_t seq, const char *table)
{
	struct nlmsghdr *h;

	*b = (struct nft_batch){.out = out, .first_seq = seq, .seq = seq, .table = table};
	h = message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (h)
		commit(b, h);
}

static struct nlmsghdr *elements_begin(struct nft_batch *b, int what, const char *set)
{
	int flags = what == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
	struct nlmsghdr *h = message(b, NFNL_SUBSYS_NFTABLES << 8 | what, flags, NFPROTO_INET, 0);

	if (!h)
		return NULL;
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, b->table);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set);
	return h;
}

static void value(struct nlmsghdr *h, uint16_t attr, const uint8_t *p, size_t n)
{
	struct nlattr *nest = mnl_attr_nest_start(h, attr);

	mnl_attr_put(h, NFTA_DATA_VALUE, n, p);
	mnl_attr_nest_end(h, nest);
}

static void element(struct nlmsghdr *h, const struct nft_element *el, bool data)
{
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);

	value(h, NFTA_SET_ELEM_KEY, el->key, el->nkey);
	if (data && el->ndata)
		value(h, NFTA_SET_ELEM_DATA, el->data, el->ndata);
	mnl_attr_nest_end(h, nest);
}

static void elements(struct nft_batch *b, int what, const char *set,
		     const struct nft_element *const *els, size_t n)
{
	for (size_t i = 0; i < n;) {
		struct nlmsghdr *h = elements_begin(b, what, set);
		struct nlattr *list;

		if (!h)
			return;
		list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (; i < n && h->nlmsg_len < MESSAGE_MAX - 256; i++)
			element(h, els[i], what == NFT_MSG_NEWSETELEM);
		mnl_attr_nest_end(h, list);
		commit(b, h);
	}
}

void nft_batch_add(struct nft_batch *b, const char *set, const struct nft_element *const *els,
		   size_t n)
{
	elements(b, NFT_MSG_NEWSETELEM, set, els, n);
}

void nft_batch_delete(struct nft_batch *b, const char *set, const struct nft_element *const *els,
		      size_t n)
{
	elements(b, NFT_MSG_DELSETELEM, set, els, n);
}

void nft_batch_flush(struct nft_batch *b, const char *set)
{
	const struct nlmsghdr *h = elements_begin(b, NFT_MSG_DELSETELEM, set);

	if (h)
		commit(b, h);
}

/* The last message before the end is the one that is acknowledged. */
static void ask_answer(struct nft_batch *b)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)b->out->p, *last = h;

	for (size_t at = 0; at < b->out->n; at += MNL_ALIGN(h->nlmsg_len)) {
		h = (struct nlmsghdr *)(void *)(b->out->p + at);
		last = h;
	}
	last->nlmsg_flags |= NLM_F_ACK;
}

bool nft_batch_end(struct nft_batch *b)
{
	struct nlmsghdr *h;

	if (b->out->overflow || b->seq - b->first_seq < 2)
		return false;
	ask_answer(b);
	h = message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (!h)
		return false;
	commit(b, h);
	return true;
}
