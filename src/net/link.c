/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces of containers: made by one batch in the host, addressed by one batch inside. */
#include "net/link-priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/banned.h"

unsigned link_index(const struct nl *nl, const char *name)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	return ioctl(nl->fd, SIOCGIFINDEX, &r) < 0 ? 0 : (unsigned)r.ifr_ifindex;
}

bool link_exists(const char *name)
{
	struct nl nl = NL_INIT;
	bool there = nl_open(&nl, FD_NONE, NETLINK_ROUTE) == 0 && link_index(&nl, name) != 0;

	nl_close(&nl);
	return there;
}

int link_open(struct nl *nl, int netns, struct err *e)
{
	int rc = nl_open(nl, netns, NETLINK_ROUTE);

	return rc < 0 ? err_sys(e, rc, "open a netlink socket") : 0;
}

void link_add_address(struct nl_batch *b, unsigned index, struct ip_prefix p, bool scope_link)
{
	unsigned char family = p.ip.family == 4 ? AF_INET : AF_INET6;
	size_t n = ip_bits(p.ip) / 8;
	struct ifaddrmsg *m;
	void *header;
	struct nlmsghdr *h = nl_add(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *m, &header,
				    "add an address", EEXIST);

	m = header;
	*m = (struct ifaddrmsg){.ifa_family = family,
				.ifa_prefixlen = p.len,
				/* nobody else has it: it is from our pool */
				.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
				.ifa_scope = scope_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
				.ifa_index = index};
	mnl_attr_put(h, IFA_LOCAL, n, p.ip.b);
	mnl_attr_put(h, IFA_ADDRESS, n, p.ip.b);
	if (family == AF_INET && p.len < 31) {
		struct ip last = ip_last(p);

		mnl_attr_put(h, IFA_BROADCAST, 4, last.b);
	}
}

void link_add_up(struct nl_batch *b, unsigned index, const char *what)
{
	void *header;

	nl_add(b, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &header, what, 0);
	*(struct ifinfomsg *)header = (struct ifinfomsg){
		.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
}

void link_add_delete(struct nl_batch *b, const char *name)
{
	struct nlmsghdr *h = nl_add(b, RTM_DELLINK, 0, sizeof(struct ifinfomsg), NULL,
				    "remove an interface", ENODEV);

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
}

int link_remove(const char *name, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	struct nl nl = NL_INIT;
	int rc;

	if (link_open(&nl, FD_NONE, e) < 0)
		return -1;
	link_add_delete(b, name);
	rc = nl_send(&nl, b, e);
	nl_close(&nl);
	return rc < 0 ? err_wrap(e, "interface %s", name) : 0;
}

/* ---- the end of a container ---- */

static void put_veth(struct nlmsghdr *h, const struct link_end *l, int netns)
{
	struct nlattr *info, *data, *peer;

	if (l->mtu > 0)
		mnl_attr_put_u32(h, IFLA_MTU, (uint32_t)l->mtu);
	mnl_attr_put_strz(h, IFLA_IFNAME, l->outside);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	/* the peer has a header like the message's own */
	*(struct ifinfomsg *)mnl_nlmsg_put_extra_header(
		h, sizeof(struct ifinfomsg)) = (struct ifinfomsg){0};
	mnl_attr_put_strz(h, IFLA_IFNAME, l->inside);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)netns);
	if (l->has_mac)
		mnl_attr_put(h, IFLA_ADDRESS, 6, l->mac.b);
	if (l->mtu > 0)
		mnl_attr_put_u32(h, IFLA_MTU, (uint32_t)l->mtu);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

static void put_lan(struct nlmsghdr *h, const struct link_end *l, unsigned parent, int netns)
{
	struct nlattr *info, *data;

	mnl_attr_put_strz(h, IFLA_IFNAME, l->inside);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)netns);
	mnl_attr_put_u32(h, IFLA_LINK, parent);
	if (l->mtu > 0)
		mnl_attr_put_u32(h, IFLA_MTU, (uint32_t)l->mtu);
	if (l->has_mac && l->kind == LINK_MACVLAN)
		mnl_attr_put(h, IFLA_ADDRESS, 6, l->mac.b);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, l->kind == LINK_MACVLAN ? "macvlan" : "ipvlan");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	if (l->kind == LINK_MACVLAN) {
		mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, l->mode);
	} else {
		mnl_attr_put_u16(h, IFLA_IPVLAN_MODE, (uint16_t)l->mode);
		mnl_attr_put_u16(h, IFLA_IPVLAN_FLAGS, l->flags);
	}
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

/* Hairpin: where bridges pass through netfilter (net.bridge.bridge-nf-call-iptables), a container
 * that calls its own published port gets its packets back by the port they came from. alias NULL:
 * as it is. One message: each waits for the kernel's lock of all interfaces. */
static void add_port(struct nl_batch *b, const char *name, const char *alias, bool isolated)
{
	struct nlmsghdr *h;
	struct nlattr *info, *data;

	h = nl_add(b, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), NULL, "set up a port", 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	if (alias)
		mnl_attr_put(h, IFLA_IFALIAS, strlen(alias), alias);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(h, IFLA_BRPORT_MODE, 1);
	if (isolated)
		mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

/* By a message to the bridge: one to the interface would make the bridge look at the carrier and
 * enable the port again. What comes late from there finds a port that learns and hears little. */
static void add_disable(struct nl_batch *b, unsigned index)
{
	static const struct {
		uint16_t attr;
		uint8_t value;
	} off[] = {{IFLA_BRPORT_STATE, BR_STATE_DISABLED}, {IFLA_BRPORT_LEARNING, 0},
		   {IFLA_BRPORT_UNICAST_FLOOD, 0},	   {IFLA_BRPORT_MCAST_FLOOD, 0},
		   {IFLA_BRPORT_BCAST_FLOOD, 0},	   {IFLA_BRPORT_FLUSH, 0}};
	void *header;
	struct nlmsghdr *h = nl_add(b, RTM_SETLINK, 0, sizeof(struct ifinfomsg), &header,
				    "disable a port", ENODEV);
	struct nlattr *port;

	*(struct ifinfomsg *)header = (struct ifinfomsg){.ifi_family = AF_BRIDGE,
							 .ifi_index = (int)index};
	port = mnl_attr_nest_start(h, IFLA_PROTINFO);
	for (size_t i = 0; i < sizeof off / sizeof *off; i++)
		mnl_attr_put_u8(h, off[i].attr, off[i].value);
	mnl_attr_nest_end(h, port);
}

void link_ports_disable(const char (*names)[IFNAMSIZ], size_t n)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	struct nl nl = NL_INIT;
	struct err ignored = ERR_INIT;

	if (n == 0 || link_open(&nl, FD_NONE, &ignored) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		unsigned index = link_index(&nl, names[i]);

		if (index)
			add_disable(b, index);
		if (b->messages == NL_BATCH_MAX || i + 1 == n)
			nl_send(&nl, b, &ignored);
	}
	nl_close(&nl);
}

int link_port_attach(const char *name, const char *bridge, bool isolated, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	struct nl nl = NL_INIT;
	struct nlmsghdr *h;
	int rc;

	if (link_open(&nl, FD_NONE, e) < 0)
		return -1;
	h = nl_add(b, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), NULL, "attach to the bridge", 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MASTER, link_index(&nl, bridge));
	add_port(b, name, NULL, isolated);
	rc = nl_send(&nl, b, e);
	nl_close(&nl);
	return rc < 0 ? err_wrap(e, "interface %s", name) : 0;
}

static int make(struct nl *host, const struct link_end *l, int netns, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	unsigned parent = l->master && *l->master ? link_index(host, l->master) : 0;
	struct nlmsghdr *h;
	void *header;

	if (!parent)
		return err_set(e, ERR_SYSTEM, "interface %s does not exist", l->master);
	h = nl_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), &header,
		   l->kind == LINK_VETH ? "create a veth pair" : "create a sub-interface", 0);
	if (l->kind == LINK_VETH) {
		*(struct ifinfomsg *)header = (struct ifinfomsg){.ifi_flags = IFF_UP,
								 .ifi_change = IFF_UP};
		mnl_attr_put_u32(h, IFLA_MASTER, parent);
		put_veth(h, l, netns);
		add_port(b, l->outside, l->alias, l->isolated);
	} else {
		put_lan(h, l, parent, netns);
	}
	return nl_send(host, b, e);
}

struct sysctl {
	const char *family, *group, *interface, *name, *value;
};

static int write_sysctl(void *ud)
{
	const struct sysctl *s = ud;
	char path[192];
	AUTO_FD int fd = FD_NONE;

	snprintf(path, sizeof path, "/proc/sys/net/%s/%s/%s/%s", s->family, s->group, s->interface,
		 s->name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, s->value, strlen(s->value)) < 0 ? -errno : 0;
}

int link_sysctl6(int netns, const char *interface, const char *name, const char *value)
{
	struct sysctl s = {"ipv6", "conf", interface, name, value};
	int rc = netns < 0 ? write_sysctl(&s) : netns_run(netns, write_sysctl, &s);

	return rc == -ENOENT ? 0 : rc; /* a kernel without IPv6 */
}

int link_sysctl(int netns, const char *family, const char *group, const char *interface,
		const char *name, const char *value)
{
	struct sysctl s = {family, group, interface, name, value};

	return netns_run(netns, write_sysctl, &s);
}

static int inside_up(struct nl *nl, const struct link_end *l, int netns, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	unsigned index = link_index(nl, l->inside);
	int rc;

	if (!index)
		return err_set(e, ERR_SYSTEM, "interface %s does not exist in the container",
			       l->inside);
	/* before it is up: else it takes a link-local address first */
	rc = link_sysctl6(netns, l->inside, l->ipv6 ? "accept_ra" : "disable_ipv6",
			  l->ipv6 ? "0" : "1");
	/* nobody else has its hardware address either: the link-local one is good at once */
	if (rc == 0 && l->ipv6)
		rc = link_sysctl6(netns, l->inside, "accept_dad", "0");
	if (rc < 0 && rc != -EROFS)
		return err_sys(e, rc, "set up IPv6 of %s", l->inside);
	/* the runtime does that too, but maybe later: the name service needs 127.0.0.11 now */
	link_add_up(b, 1, "bring up loopback");
	link_add_up(b, index, "bring up the interface");
	for (size_t i = 0; i < l->naddresses; i++)
		link_add_address(b, index, l->address[i], ip_is_link_local(l->address[i].ip));
	return nl_send(nl, b, e);
}

static void read_mac(const struct nl *nl, const char *name, struct ip_mac *ret)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	if (ioctl(nl->fd, SIOCGIFHWADDR, &r) == 0)
		memcpy(ret->b, r.ifr_hwaddr.sa_data, 6);
}

int link_end_up(const struct link_end *l, int netns, struct ip_mac *ret_mac, struct err *e)
{
	struct nl host = NL_INIT, nl = NL_INIT;
	int rc = -1;

	if (link_open(&host, FD_NONE, e) < 0)
		return -1;
	if (link_open(&nl, netns, e) < 0)
		goto out;
	rc = make(&host, l, netns, e);
	if (rc == 0 && inside_up(&nl, l, netns, e) < 0) {
		struct err ignored = ERR_INIT;

		link_end_down(l, netns, &ignored);
		rc = -1;
	}
	if (rc == 0)
		read_mac(&nl, l->inside, ret_mac);
out:
	nl_close(&host);
	nl_close(&nl);
	return rc;
}

int link_end_down(const struct link_end *l, int netns, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	struct nl nl = NL_INIT;
	int rc;

	if (l->kind == LINK_VETH)
		return link_remove(l->outside, e);
	if (netns < 0)
		return 0; /* it went with its namespace */
	if (link_open(&nl, netns, e) < 0)
		return -1;
	link_add_delete(b, l->inside);
	rc = nl_send(&nl, b, e);
	nl_close(&nl);
	return rc;
}
