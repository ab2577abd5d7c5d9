/* SPDX-License-Identifier: Apache-2.0 */
/* Routes: the default ones of containers, and what the host has in use. */
#include "net/link-priv.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

static int af(uint8_t family)
{
	return family == 4 ? AF_INET : AF_INET6;
}

struct route_seen {
	struct nl_batch *b;
	int family;
};

/* A default route is a message of no destination; it goes as it came. */
static void delete_default(const struct nlmsghdr *h, void *ud)
{
	struct route_seen *s = ud;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	struct nlmsghdr *out;
	void *header;

	if (m->rtm_dst_len != 0 || m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST ||
	    m->rtm_family != s->family || s->b->messages >= 16)
		return;
	out = nl_add(s->b, RTM_DELROUTE, 0, sizeof *m, &header, "remove a default route", ESRCH);
	memcpy(header, m, sizeof *m);
	nl_each_attr (a, h, sizeof *m) {
		uint16_t type = mnl_attr_get_type(a);

		if (type == RTA_GATEWAY || type == RTA_OIF || type == RTA_PRIORITY)
			mnl_attr_put(out, type, mnl_attr_get_payload_len(a),
				     mnl_attr_get_payload(a));
	}
}

static void add_default(struct nl_batch *b, unsigned index, struct ip gateway, bool onlink)
{
	struct nlmsghdr *h;
	struct rtmsg *m;
	void *header;

	h = nl_add(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof *m, &header,
		   "add the default route", 0);
	m = header;
	*m = (struct rtmsg){.rtm_family = (unsigned char)af(gateway.family),
			    .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = RTPROT_BOOT,
			    .rtm_scope = RT_SCOPE_UNIVERSE,
			    .rtm_type = RTN_UNICAST,
			    .rtm_flags = onlink ? RTNH_F_ONLINK : 0};
	/* "to everywhere by this interface" when it has no gateway at all (ipvlan L3) */
	if (ip_is_unspecified(gateway))
		m->rtm_scope = RT_SCOPE_LINK;
	else
		mnl_attr_put(h, RTA_GATEWAY, ip_bits(gateway) / 8, gateway.b);
	mnl_attr_put_u32(h, RTA_OIF, index);
}

int link_default_routes(int netns, const char *inside, struct ip gateway4, struct ip gateway6,
			bool onlink, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	const struct ip *const gateways[] = {&gateway4, &gateway6};
	struct nl nl = NL_INIT;
	int rc = -1;

	if (link_open(&nl, netns, e) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		struct route_seen s = {b, i ? AF_INET6 : AF_INET};
		struct rtmsg want = {.rtm_family = (unsigned char)s.family};

		rc = nl_dump(&nl, RTM_GETROUTE, &want, sizeof want, delete_default, &s);
		if (rc < 0 && rc != -ENOENT && rc != -EOPNOTSUPP && rc != -EAFNOSUPPORT) {
			err_sys(e, rc, "read the routes of the container");
			goto out;
		}
	}
	for (int i = 0; i < 2; i++)
		if (gateways[i]->family)
			add_default(b, link_index(&nl, inside), *gateways[i], onlink);
	rc = nl_send(&nl, b, e);
out:
	nl_close(&nl);
	return rc < 0 ? -1 : 0;
}

int link_add_default(int netns, const char *inside, struct ip gateway, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	struct nl nl = NL_INIT;
	int rc;

	if (link_open(&nl, netns, e) < 0)
		return -1;
	add_default(b, link_index(&nl, inside), gateway, false);
	rc = nl_send(&nl, b, e);
	nl_close(&nl);
	return rc;
}

struct routes {
	struct ip_prefix *v;
	size_t n, max;
};

static void note_route(const struct nlmsghdr *h, void *ud)
{
	struct routes *r = ud;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	if (m->rtm_dst_len == 0 || r->n >= r->max || m->rtm_table == RT_TABLE_LOCAL)
		return;
	nl_each_attr (a, h, sizeof *m) {
		struct ip_prefix p = {.len = m->rtm_dst_len};
		size_t n = m->rtm_family == AF_INET ? 4 : 16;

		if (mnl_attr_get_type(a) != RTA_DST || mnl_attr_get_payload_len(a) != n)
			continue;
		p.ip.family = n == 4 ? 4 : 6;
		memcpy(p.ip.b, mnl_attr_get_payload(a), n);
		/* a host has these on every interface; they say nothing about what is taken */
		if (!ip_is_link_local(p.ip) && !ip_is_multicast(p.ip))
			r->v[r->n++] = p;
	}
}

size_t link_routes(struct ip_prefix *ret, size_t max)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct routes r = {.v = ret, .max = max};
	struct nl nl = NL_INIT;

	if (nl_open(&nl, FD_NONE, NETLINK_ROUTE) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct rtmsg want = {.rtm_family = (unsigned char)families[i]};

		nl_dump(&nl, RTM_GETROUTE, &want, sizeof want, note_route, &r);
	}
	nl_close(&nl);
	return r.n;
}
