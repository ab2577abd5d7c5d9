/* SPDX-License-Identifier: Apache-2.0 */
/* Flows that the kernel remembers; see the header. */
#include "net/conntrack.h"

#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#include "base/banned.h"

#define FOUND_MAX (8U << 20) /* bytes of flows to forget in one go */

struct search {
	const struct firewall_port *p;
	size_t n;
	uint8_t family;
	struct buf found; /* attributes CTA_TUPLE_ORIG, one behind the other */
};

struct tuple {
	uint8_t proto;
	struct ip to;
	uint16_t port;
};

static int read_address(const struct nlattr *a, void *ud)
{
	struct tuple *t = ud;
	uint16_t type = mnl_attr_get_type(a), n = mnl_attr_get_payload_len(a);

	if ((type == CTA_IP_V4_DST && n == 4) || (type == CTA_IP_V6_DST && n == 16)) {
		t->to = (struct ip){.family = n == 4 ? 4 : 6};
		memcpy(t->to.b, mnl_attr_get_payload(a), n);
	}
	return MNL_CB_OK;
}

static int read_proto(const struct nlattr *a, void *ud)
{
	struct tuple *t = ud;

	if (mnl_attr_get_type(a) == CTA_PROTO_NUM && mnl_attr_validate(a, MNL_TYPE_U8) == 0)
		t->proto = mnl_attr_get_u8(a);
	else if (mnl_attr_get_type(a) == CTA_PROTO_DST_PORT &&
		 mnl_attr_validate(a, MNL_TYPE_U16) == 0)
		t->port = ntohs(mnl_attr_get_u16(a));
	return MNL_CB_OK;
}

static int read_tuple(const struct nlattr *a, void *ud)
{
	if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
		mnl_attr_parse_nested(a, read_address, ud);
	else if (mnl_attr_get_type(a) == CTA_TUPLE_PROTO)
		mnl_attr_parse_nested(a, read_proto, ud);
	return MNL_CB_OK;
}

static bool is_searched(const struct search *s, const struct tuple *t)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->p[i].proto == t->proto && s->p[i].host_port == t->port &&
		    s->p[i].to.family == t->to.family &&
		    (ip_is_unspecified(s->p[i].host) || ip_cmp(s->p[i].host, t->to) == 0))
			return true;
	return false;
}

static int on_attribute(const struct nlattr *a, void *ud)
{
	struct search *s = ud;
	struct tuple t = {0};

	if (mnl_attr_get_type(a) != CTA_TUPLE_ORIG)
		return MNL_CB_OK;
	mnl_attr_parse_nested(a, read_tuple, &t);
	if (t.proto != IPPROTO_TCP && is_searched(s, &t))
		buf_add(&s->found, a, MNL_ALIGN(a->nla_len));
	return MNL_CB_STOP;
}

static int on_flow(const struct nlmsghdr *h, void *ud)
{
	mnl_attr_parse(h, sizeof(struct nfgenmsg), on_attribute, ud);
	return MNL_CB_OK;
}

static struct nlmsghdr *message(char *room, int what, int flags, uint8_t family, unsigned seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	struct nfgenmsg *nfg;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | what);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
	nfg->nfgen_family = family == 6 ? AF_INET6 : AF_INET;
	nfg->version = NFNETLINK_V0;
	return h;
}

static void dump(struct mnl_socket *nl, struct search *s)
{
	char room[32768];
	const struct nlmsghdr *h = message(room, IPCTNL_MSG_CT_GET, NLM_F_DUMP, s->family,
					   s->family);
	int rc = MNL_CB_OK;

	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return;
	while (rc > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(nl, room, sizeof(room));

		if (got <= 0)
			return;
		rc = mnl_cb_run(room, (size_t)got, s->family, 0, on_flow, s);
	}
}

static size_t forget(struct mnl_socket *nl, const struct search *s)
{
	size_t n = 0;

	for (size_t at = 0; at < s->found.n; n++) {
		const struct nlattr *a = (const void *)(s->found.p + at);
		char room[1024];
		struct nlmsghdr *h = message(room, IPCTNL_MSG_CT_DELETE, 0, s->family, 0);

		memcpy((char *)h + h->nlmsg_len, a, MNL_ALIGN(a->nla_len));
		h->nlmsg_len += MNL_ALIGN(a->nla_len);
		mnl_socket_sendto(nl, h, h->nlmsg_len);
		at += MNL_ALIGN(a->nla_len);
	}
	return n;
}

size_t conntrack_forget(const struct firewall_port *p, size_t n)
{
	struct timeval patience = {.tv_sec = 2};
	struct mnl_socket *nl = NULL;
	size_t gone = 0;

	for (uint8_t family = 4; family <= 6; family += 2) {
		struct search s = {p, n, family, BUF_INIT(FOUND_MAX)};
		bool any = false;

		for (size_t i = 0; i < n; i++)
			any |= p[i].proto != IPPROTO_TCP && p[i].to.family == family &&
			       p[i].host_port;
		if (!any)
			continue;
		if (!nl)
			nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
		if (!nl)
			return gone;
		setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
		dump(nl, &s);
		gone += forget(nl, &s);
		buf_done(&s.found);
	}
	if (nl)
		mnl_socket_close(nl);
	return gone;
}
