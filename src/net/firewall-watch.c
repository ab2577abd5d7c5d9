/* SPDX-License-Identifier: Apache-2.0 */
/* Events of nf_tables: did somebody else take something of ours away, or change how the machine
 * forwards? */
#include "net/firewall-priv.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/banned.h"

int firewall_fd(const struct firewall *fw)
{
	return mnl_socket_get_fd(fw->events);
}

static unsigned judge(const struct firewall *fw, const struct nlmsghdr *h)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(h);
	int what = h->nlmsg_type & 0xff;
	bool chain = what == NFT_MSG_NEWCHAIN || what == NFT_MSG_DELCHAIN;
	struct firewall_subject s;

	/* Number 2 names: of a rule its chain, of a set and of elements the set. */
	if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
	    h->nlmsg_pid == mnl_socket_get_portid(fw->nl) ||
	    !firewall_subject_read(h, chain ? NFTA_CHAIN_NAME : 2, 0, &s))
		return 0;
	if (nfg->nfgen_family != NFPROTO_INET)
		return chain && s.name && strcmp(s.table, "filter") == 0 &&
				       strcmp(s.name, "FORWARD") == 0
			       ? FIREWALL_FOREIGN
			       : 0;
	if (strcmp(s.table, fw->table) != 0)
		return 0;
	switch (what) {
	case NFT_MSG_DELTABLE:
		return FIREWALL_LOST;
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
	case NFT_MSG_DELSET:
	case NFT_MSG_DELSETELEM:
		return s.name && firewall_name_is_user(s.name) ? 0 : FIREWALL_LOST;
	default:
		return 0;
	}
}

unsigned firewall_events(struct firewall *fw)
{
	char p[16384];
	unsigned ret = 0;

	for (;;) {
		ssize_t got = mnl_socket_recvfrom(fw->events, p, sizeof(p));
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 &&
		    errno == ENOBUFS) { /* some were dropped: anything may have happened */
			ret |= FIREWALL_LOST | FIREWALL_FOREIGN;
			continue;
		}
		if (got <= 0)
			return fw->ready ? ret : ret & ~(unsigned)FIREWALL_LOST;
		for (const struct nlmsghdr *h = (void *)p; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left))
			ret |= judge(fw, h);
	}
}
