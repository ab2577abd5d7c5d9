/* SPDX-License-Identifier: Apache-2.0 */
/* The loopback interface of a new network namespace starts down; one rtnetlink message brings it
 * up. */
#include "runtime/runtime-priv.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/banned.h"

int net_loopback_up(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} m = {
		.h = {.nlmsg_len = sizeof(m),
		      .nlmsg_type = RTM_NEWLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.i = {.ifi_index = 1 /* always lo */, .ifi_flags = IFF_UP, .ifi_change = IFF_UP},
	};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[256];
	} r;
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &m, sizeof(m), 0) < 0)
		return -errno;
	ssize_t n = recv(fd, &r, sizeof(r), 0);
	if (n < (ssize_t)(sizeof(r.h) + sizeof(int)))
		return n < 0 ? -errno : -EPROTO;
	return r.h.nlmsg_type == NLMSG_ERROR ? r.e.error : 0;
}
