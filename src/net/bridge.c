/* SPDX-License-Identifier: Apache-2.0 */
/* What a network is in the host: its bridge, or the parent of its sub-interfaces. */
#include "net/link-priv.h"

#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/banned.h"

static void random_mac(struct ip_mac *ret)
{
	if (getrandom(ret->b, 6, 0) != 6)
		memset(ret->b, 0x42, 6);
	ret->b[0] = (uint8_t)((ret->b[0] & 0xfe) | 0x02); /* local, one station */
}

static void note_kind(const struct nlmsghdr *h, void *ud)
{
	const struct nlattr *a, *k;

	nl_each_attr (a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) != IFLA_LINKINFO)
			continue;
		nl_each_nested (k, a)
			if (mnl_attr_get_type(k) == IFLA_INFO_KIND)
				*(bool *)ud |= strncmp(mnl_attr_get_str(k), "bridge",
						       mnl_attr_get_payload_len(k)) == 0;
	}
}

static bool is_bridge(struct nl *nl, unsigned index)
{
	struct ifinfomsg want = {.ifi_index = (int)index};
	bool ret = false;

	return nl_get(nl, RTM_GETLINK, &want, sizeof want, note_kind, &ret) < 0 || ret;
}

static void add_alias(struct nl_batch *b, const char *name, const char *alias)
{
	struct nlmsghdr *h = nl_add(b, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), NULL,
				    "name an interface", 0);

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put(h, IFLA_IFALIAS, strlen(alias), alias);
}

static int make(struct nl *nl, const struct link_bridge *b, bool *ret_made, struct err *e)
{
	AUTO_FREE struct nl_batch *batch = NEW(struct nl_batch);
	struct ip_mac mac;
	struct nlmsghdr *h;
	struct nlattr *info;
	struct err first = ERR_INIT;

	random_mac(&mac);
	h = nl_add(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), NULL,
		   "create the bridge", 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, b->name);
	/* else it takes the lowest address of its ports, and neighbours forget it */
	mnl_attr_put(h, IFLA_ADDRESS, 6, mac.b);
	if (b->mtu > 0)
		mnl_attr_put_u32(h, IFLA_MTU, (uint32_t)b->mtu);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(h, info);
	if (nl_send(nl, batch, &first) < 0) {
		if (first.sys != EEXIST) {
			*e = first;
			return err_wrap(e, "bridge %s", b->name);
		}
		return 0;
	}
	*ret_made = true;
	if (b->alias) {
		add_alias(batch, b->name, b->alias);
		return nl_send(nl, batch, e);
	}
	return 0;
}

int link_bridge_up(const struct link_bridge *b, bool *ret_made, struct err *e)
{
	AUTO_FREE struct nl_batch *batch = NEW(struct nl_batch);
	struct nl nl = NL_INIT;
	unsigned index;
	int rc = -1;

	*ret_made = false;
	if (link_open(&nl, FD_NONE, e) < 0)
		return -1;
	index = link_index(&nl, b->name);
	if (!index && make(&nl, b, ret_made, e) < 0)
		goto out;
	if (!*ret_made && !is_bridge(&nl, index)) {
		err_set(e, ERR_CONFLICT, "interface %s exists and is not a bridge", b->name);
		goto out;
	}
	index = link_index(&nl, b->name);
	if (!index) {
		err_set(e, ERR_SYSTEM, "bridge %s went away", b->name);
		goto out;
	}
	if (b->ipv6) {
		static const char *const settings[][2] = {
			{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"accept_dad", "0"}};

		for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
			link_sysctl6(FD_NONE, b->name, settings[i][0], settings[i][1]);
	}
	for (size_t i = 0; i < b->naddresses; i++)
		link_add_address(batch, index, b->address[i], ip_is_link_local(b->address[i].ip));
	link_add_up(batch, index, "bring up the bridge");
	rc = nl_send(&nl, batch, e);
	if (rc < 0)
		err_wrap(e, "bridge %s", b->name);
out:
	nl_close(&nl);
	if (rc < 0 && *ret_made) {
		struct err ignored = ERR_INIT;

		link_remove(b->name, &ignored);
		*ret_made = false;
	}
	return rc;
}

/* ---- parents of macvlan and ipvlan ---- */

static int add_parent(struct nl *nl, const char *name, const char *kind, unsigned link,
		      int64_t vlan, const char *alias, struct err *e)
{
	AUTO_FREE struct nl_batch *b = NEW(struct nl_batch);
	struct nlmsghdr *h;
	struct nlattr *info, *data;
	void *header;

	h = nl_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), &header,
		   "create the parent interface", 0);
	*(struct ifinfomsg *)header = (struct ifinfomsg){.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	if (link)
		mnl_attr_put_u32(h, IFLA_LINK, link);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind);
	if (vlan >= 0) {
		data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
		mnl_attr_put_u16(h, IFLA_VLAN_ID, (uint16_t)vlan);
		mnl_attr_nest_end(h, data);
	}
	mnl_attr_nest_end(h, info);
	add_alias(b, name, alias);
	return nl_send(nl, b, e);
}

static int vlan_parent(struct nl *nl, const char *name, const char *alias, struct err *e)
{
	const char *dot = strrchr(name, '.');
	char parent[IFNAMSIZ];
	int64_t vlan = -1;
	unsigned index;

	if (!dot || num_parse_i64(dot + 1, 1, 4094, &vlan) < 0)
		return err_set(e, ERR_INVALID, "the parent interface %s does not exist", name);
	snprintf(parent, sizeof parent, "%.*s", (int)(dot - name), name);
	index = link_index(nl, parent);
	if (!index)
		return err_set(e, ERR_INVALID, "the parent interface %s of %s does not exist",
			       parent, name);
	return add_parent(nl, name, "vlan", index, vlan, alias, e);
}

int link_parent_up(const char *parent, const char *alias, bool dummy, bool *ret_made, struct err *e)
{
	struct nl nl = NL_INIT;
	int rc = 0;

	*ret_made = false;
	if (link_open(&nl, FD_NONE, e) < 0)
		return -1;
	if (!link_index(&nl, parent)) {
		rc = dummy ? add_parent(&nl, parent, "dummy", 0, -1, alias, e)
			   : vlan_parent(&nl, parent, alias, e);
		*ret_made = rc == 0;
	}
	nl_close(&nl);
	return rc;
}

/* ---- what is ours ---- */

struct ours {
	void (*fn)(const char *name, const char *rest, void *ud);
	void *ud;
};

static void note_link(const struct nlmsghdr *h, void *ud)
{
	const struct ours *o = ud;
	const char *name = NULL, *alias = NULL;
	const struct nlattr *a;

	nl_each_attr (a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == IFLA_IFALIAS)
			alias = mnl_attr_get_str(a);
	}
	if (name && alias && strncmp(alias, LINK_ALIAS, strlen(LINK_ALIAS)) == 0)
		o->fn(name, alias + strlen(LINK_ALIAS), o->ud);
}

int link_each_ours(void (*fn)(const char *name, const char *rest, void *ud), void *ud)
{
	struct ifinfomsg want = {.ifi_family = AF_UNSPEC};
	struct ours o = {fn, ud};
	struct nl nl = NL_INIT;
	int rc = nl_open(&nl, FD_NONE, NETLINK_ROUTE);

	if (rc == 0)
		rc = nl_dump(&nl, RTM_GETLINK, &want, sizeof want, note_link, &o);
	nl_close(&nl);
	return rc;
}
