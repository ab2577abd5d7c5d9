/* SPDX-License-Identifier: Apache-2.0 */
/* The nft table of a container that has a name service; see the header. As nft would write it:
 *
 *   table ip coracle_names { chain output { type filter hook output priority raw;
 *     ip daddr 127.0.0.11 udp dport 53 notrack udp dport set PORT
 *     ip saddr 127.0.0.11 udp sport PORT notrack udp sport set 53     and both again for tcp
 */
#include "net/redirect.h"
#include "net/netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

#define CHAIN	 "output"
#define BUFFER	 8192
#define DNS_PORT 53
#define PRIORITY (-300) /* raw: before connection tracking */

struct batch {
	_Alignas(8) char buf[BUFFER];
	size_t n;
	uint32_t seq;
};

static struct nlmsghdr *message(struct batch *b, int type, int flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(b->buf + b->n);
	struct nfgenmsg *nfg;
	bool frame = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	h->nlmsg_type = (uint16_t)(frame ? type : NFNL_SUBSYS_NFTABLES << 8 | type);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = b->seq++;
	nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(frame ? NFNL_SUBSYS_NFTABLES : 0);
	return h;
}

static void commit(struct batch *b, const struct nlmsghdr *h)
{
	b->n += MNL_ALIGN(h->nlmsg_len);
	ASSERT(b->n + 1024 < BUFFER); /* four rules of a fixed size */
}

/* ---- expressions ---- */

static struct nlattr *expression(struct nlmsghdr *h, const char *name, struct nlattr **data)
{
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);

	mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
	*data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
	return nest;
}

static void expression_end(struct nlmsghdr *h, struct nlattr *nest, struct nlattr *data)
{
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, nest);
}

static void value(struct nlmsghdr *h, uint16_t attr, const void *p, size_t n)
{
	struct nlattr *nest = mnl_attr_nest_start(h, attr);

	mnl_attr_put(h, NFTA_DATA_VALUE, n, p);
	mnl_attr_nest_end(h, nest);
}

static void compare(struct nlmsghdr *h, const void *p, size_t n)
{
	struct nlattr *data, *nest = expression(h, "cmp", &data);

	mnl_attr_put_u32(h, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
	value(h, NFTA_CMP_DATA, p, n);
	expression_end(h, nest, data);
}

static void protocol_is(struct nlmsghdr *h, uint8_t protocol)
{
	struct nlattr *data, *nest = expression(h, "meta", &data);

	mnl_attr_put_u32(h, NFTA_META_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(NFT_META_L4PROTO));
	expression_end(h, nest, data);
	compare(h, &protocol, 1);
}

static void payload_is(struct nlmsghdr *h, enum nft_payload_bases base, uint32_t offset,
		       const void *p, uint32_t n)
{
	struct nlattr *data, *nest = expression(h, "payload", &data);

	mnl_attr_put_u32(h, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_BASE, htonl(base));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_OFFSET, htonl(offset));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_LEN, htonl(n));
	expression_end(h, nest, data);
	compare(h, p, n);
}

static void no_tracking(struct nlmsghdr *h)
{
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_LIST_ELEM);

	mnl_attr_put_strz(h, NFTA_EXPR_NAME, "notrack");
	mnl_attr_nest_end(h, nest);
}

static void port_set(struct nlmsghdr *h, uint8_t protocol, uint32_t offset, uint16_t port)
{
	struct nlattr *data, *nest = expression(h, "immediate", &data);
	uint16_t v = htons(port);

	mnl_attr_put_u32(h, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_1));
	value(h, NFTA_IMMEDIATE_DATA, &v, sizeof(v));
	expression_end(h, nest, data);

	nest = expression(h, "payload", &data);
	mnl_attr_put_u32(h, NFTA_PAYLOAD_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_BASE, htonl(NFT_PAYLOAD_TRANSPORT_HEADER));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_OFFSET, htonl(offset));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_LEN, htonl(sizeof(v)));
	mnl_attr_put_u32(h, NFTA_PAYLOAD_CSUM_TYPE, htonl(NFT_PAYLOAD_CSUM_INET));
	/* where the checksum stands in the header */
	mnl_attr_put_u32(h, NFTA_PAYLOAD_CSUM_OFFSET, htonl(protocol == IPPROTO_UDP ? 6 : 16));
	expression_end(h, nest, data);
}

/* query: to port 53; else an answer from our port */
static void rule(struct batch *b, uint8_t protocol, bool query, uint16_t port)
{
	struct nlmsghdr *h = message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_IPV4);
	struct nlattr *list;
	uint8_t address[4];
	uint16_t from = htons(query ? DNS_PORT : port);
	uint32_t offset = query ? 2 : 0; /* destination port, source port */

	inet_pton(AF_INET, REDIRECT_ADDRESS, address);
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, REDIRECT_TABLE);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, CHAIN);
	list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
	payload_is(h, NFT_PAYLOAD_NETWORK_HEADER, query ? 16 : 12, address, sizeof(address));
	protocol_is(h, protocol);
	payload_is(h, NFT_PAYLOAD_TRANSPORT_HEADER, offset, &from, sizeof(from));
	no_tracking(h);
	port_set(h, protocol, offset, query ? port : DNS_PORT);
	mnl_attr_nest_end(h, list);
	commit(b, h);
}

/* ---- the transaction ---- */

static void table(struct batch *b, int type, int flags)
{
	struct nlmsghdr *h = message(b, type, flags, NFPROTO_IPV4);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, REDIRECT_TABLE);
	commit(b, h);
}

static void chain(struct batch *b)
{
	struct nlmsghdr *h = message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_IPV4);
	struct nlattr *hook;

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, REDIRECT_TABLE);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, CHAIN);
	mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "filter");
	hook = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(NF_INET_LOCAL_OUT));
	mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl((uint32_t)PRIORITY));
	mnl_attr_nest_end(h, hook);
	commit(b, h);
}

/* replace: a table of an earlier time goes, which costs the kernel a wait that the first one has
 * not. */
static void build(struct batch *b, bool replace, uint16_t udp_port, uint16_t tcp_port)
{
	const struct {
		uint8_t protocol;
		uint16_t port;
	} rules[] = {{IPPROTO_UDP, udp_port}, {IPPROTO_TCP, tcp_port}};
	struct nlmsghdr *h = NULL;

	*b = (struct batch){.seq = 1};
	commit(b, message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC));
	if (replace)
		table(b, NFT_MSG_DELTABLE, 0);
	table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | (replace ? 0 : NLM_F_EXCL));
	chain(b);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		rule(b, rules[i].protocol, true, rules[i].port);
		rule(b, rules[i].protocol, false, rules[i].port);
	}
	/* The last message before the end is acknowledged; errors of the others come by themselves.
	 */
	for (size_t at = 0; at < b->n; at += MNL_ALIGN(h->nlmsg_len))
		h = (struct nlmsghdr *)(void *)(b->buf + at);
	h->nlmsg_flags |= NLM_F_ACK;
	commit(b, message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC));
}

/* The kernel has worked before send() returns: the answer is there. */
static int exchange(int fd, const struct batch *b)
{
	char answer[4096];
	ssize_t n;

	if (send(fd, b->buf, b->n, 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)answer; NLMSG_OK(h, (size_t)n);
	     h = NLMSG_NEXT(h, n)) {
		const struct nlmsgerr *msg = NLMSG_DATA(h);

		if (h->nlmsg_type == NLMSG_ERROR)
			return msg->error;
	}
	return -EPROTO;
}

int redirect_names(int netns, uint16_t udp_port, uint16_t tcp_port, struct err *e)
{
	struct nl nl = NL_INIT;
	struct batch b;
	int rc = nl_open(&nl, netns, NETLINK_NETFILTER);

	if (rc < 0)
		return err_sys(e, rc, "netfilter socket of the container");
	build(&b, false, udp_port, tcp_port);
	rc = exchange(nl.fd, &b);
	if (rc == -EEXIST) {
		nl_close(&nl); /* with whatever else it has to say */
		rc = nl_open(&nl, netns, NETLINK_NETFILTER);
		build(&b, true, udp_port, tcp_port);
		if (rc == 0)
			rc = exchange(nl.fd, &b);
	}
	nl_close(&nl);
	return rc < 0 ? err_sys(e, rc, "lead %s to the name service", REDIRECT_ADDRESS) : 0;
}
