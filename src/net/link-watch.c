/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces that go away, as the kernel tells it. */
#include "net/link-priv.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

/* Only RTM_DELLINK of the interface itself (a port that leaves its bridge is one of AF_BRIDGE): the
 * other messages, some for each start of a container, wake nobody. The filter reads big endian. */
static int filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap16(RTM_DELLINK), 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 sizeof(struct nlmsghdr) + offsetof(struct ifinfomsg, ifi_family)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNSPEC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	code[1].k = RTM_DELLINK;
#endif
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno
											  : 0;
}

int link_watch_open(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int rc;

	if (fd < 0)
		return -errno;
	rc = filter(fd);
	if (rc < 0)
		return rc;
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void tell(const struct nlmsghdr *h, void (*fn)(const char *name, void *ud), void *ud)
{
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_DELLINK ||
	    h->nlmsg_len < MNL_ALIGN(sizeof *h) + sizeof(struct ifinfomsg))
		return;
	nl_each_attr (a, h, sizeof(struct ifinfomsg))
		if (mnl_attr_get_type(a) == IFLA_IFNAME &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			fn(mnl_attr_get_str(a), ud);
}

void link_watch_read(int fd, void (*fn)(const char *name, void *ud), void *ud)
{
	_Alignas(8) char in[16384];

	for (;;) {
		ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			fn(NULL, ud);
			continue;
		}
		if (n <= 0)
			return;
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)in; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left))
			tell(h, fn, ud);
	}
}
