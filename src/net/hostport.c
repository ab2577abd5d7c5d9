/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of the host taken by sockets; see the header. */
#include "net/hostport.h"

#include "base/buf.h"
#include "base/num.h"
#include "sys/fs.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

static int bind_to(int fd, struct ip host, uint16_t port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (host.family == 6) {
		memcpy(&six.sin6_addr, host.b, 16);
		if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int)) < 0)
			return -errno;
		return bind(fd, (struct sockaddr *)&six, sizeof(six)) < 0 ? -errno : 0;
	}
	memcpy(&four.sin_addr, host.b, 4);
	return bind(fd, (struct sockaddr *)&four, sizeof(four)) < 0 ? -errno : 0;
}

/* A server that has just ended leaves connections in TIME_WAIT, which hold its port for a minute
 * against all but sockets with SO_REUSEADDR; one that listens holds it against these too. Without
 * the option afterwards, since with it two could have the port. */
static int bind_to_ended(int fd, struct ip host, uint16_t port)
{
	int rc;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0)
		return -errno;
	rc = bind_to(fd, host, port);
	if (rc == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){0}, sizeof(int)) < 0)
		return -errno;
	return rc;
}

int hostport_bind(uint8_t proto, struct ip host, uint16_t port)
{
	/* Datagrams that are not led to a container must not pile up here. */
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog drop = {.len = 1, .filter = &nothing};
	int type = proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, rc;
	AUTO_FD int fd = socket(host.family == 6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, proto);

	if (fd < 0)
		return -errno;
	if (proto == IPPROTO_UDP &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof(drop)) < 0)
		return -errno;
	rc = bind_to(fd, host, port);
	if (rc == -EADDRINUSE && type == SOCK_STREAM)
		rc = bind_to_ended(fd, host, port);
	return rc < 0 ? rc : TAKE_FD(fd);
}

void hostport_range(uint16_t *ret_first, uint16_t *ret_last)
{
	AUTO_BUF struct buf text = BUF_INIT(64);
	struct str rest, first;
	uint64_t from = 49153, to = 65535;

	if (fs_read_path("/proc/sys/net/ipv4/ip_local_port_range", &text) == 0) {
		char a[16] = "", b[16] = "";

		rest = (struct str){text.p, strcspn(buf_text(&text), "\n")};
		if (str_cut(&rest, '\t', &first) && first.n < sizeof(a) && rest.n < sizeof(b)) {
			memcpy(a, first.p, first.n);
			memcpy(b, rest.p, rest.n);
		}
		if (num_parse_u64(a, 1, 65535, &from) < 0 ||
		    num_parse_u64(b, from, 65535, &to) < 0) {
			from = 49153;
			to = 65535;
		}
	}
	*ret_first = (uint16_t)from;
	*ret_last = (uint16_t)to;
}
