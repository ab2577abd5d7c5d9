/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets in foreign namespaces, batches with acknowledgements, dumps. */
#include "net/netlink.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

int netns_run(int netns, int (*fn)(void *ud), void *ud)
{
	AUTO_FD int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int rc;

	if (own < 0 || setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	rc = fn(ud);
	if (setns(own, CLONE_NEWNET) < 0) {
		log_error("cannot return from a network namespace: %s", strerror(errno));
		abort();
	}
	return rc;
}

struct socket_wish {
	int domain, type, protocol;
};

static int open_socket(void *ud)
{
	const struct socket_wish *w = ud;
	int fd = socket(w->domain, w->type | SOCK_CLOEXEC, w->protocol);

	return fd < 0 ? -errno : fd;
}

int netns_socket(int netns, int domain, int type, int protocol)
{
	struct socket_wish w = {domain, type, protocol};

	return netns_run(netns, open_socket, &w);
}

int nl_open(struct nl *ret, int netns, int protocol)
{
	struct socket_wish w = {AF_NETLINK, SOCK_RAW, protocol};
	int one = 1, fd = netns < 0 ? open_socket(&w) : netns_run(netns, open_socket, &w);

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof one);
	*ret = (struct nl){.fd = fd, .seq = 1};
	return 0;
}

void nl_close(struct nl *nl)
{
	fd_close(&nl->fd);
}

static void finish(struct nl_batch *b)
{
	if (b->open)
		b->n += MNL_ALIGN(b->open->nlmsg_len);
	b->open = NULL;
}

struct nlmsghdr *nl_add(struct nl_batch *b, uint16_t type, uint16_t flags, size_t size, void **ret,
			const char *what, int forgive)
{
	void *header;

	finish(b);
	/* attributes of one message are small; a batch that is larger is a bug of ours */
	ASSERT(b->messages < NL_BATCH_MAX && b->n + 1024 < NL_BATCH_SIZE);
	memset(b->buf + b->n, 0, 1024);
	b->open = mnl_nlmsg_put_header(b->buf + b->n);
	b->open->nlmsg_type = type;
	b->open->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	header = mnl_nlmsg_put_extra_header(b->open, size);
	b->what[b->messages] = what;
	b->forgive[b->messages++] = forgive;
	if (ret)
		*ret = header;
	return b->open;
}

/* The kernel's sentence, "" when there is none. */
static void kernel_text(const struct nlmsghdr *h, char *ret, size_t n)
{
	const struct nlmsgerr *m = mnl_nlmsg_get_payload(h);
	size_t skip = sizeof *m;
	const struct nlattr *a;

	*ret = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED) && m->msg.nlmsg_len > sizeof m->msg)
		skip += MNL_ALIGN(m->msg.nlmsg_len) - sizeof m->msg;
	if (skip > mnl_nlmsg_get_payload_len(h))
		return;
	nl_each_attr (a, h, skip) {
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			snprintf(ret, n, "%s", mnl_attr_get_str(a));
	}
}

static int note(const struct nl_batch *b, uint32_t first, const struct nlmsghdr *h, int *failed,
		struct err *e)
{
	const struct nlmsgerr *m = mnl_nlmsg_get_payload(h);
	size_t i = h->nlmsg_seq - first;
	char text[256];

	if (h->nlmsg_type != NLMSG_ERROR || i >= b->messages)
		return 0;
	if (m->error && -m->error != b->forgive[i] && *failed == 0) {
		*failed = m->error;
		kernel_text(h, text, sizeof text);
		if (*text)
			err_sys(e, m->error, "%s: %s", b->what[i], text);
		else
			err_sys(e, m->error, "%s", b->what[i]);
	}
	return 1;
}

int nl_send(struct nl *nl, struct nl_batch *b, struct err *e)
{
	_Alignas(8) char in[8192];
	uint32_t first = nl->seq;
	size_t pos = 0, acks = 0;
	int failed = 0;

	finish(b);
	if (b->messages == 0)
		return 0;
	while (pos < b->n) {
		struct nlmsghdr h;

		memcpy(&h, b->buf + pos, sizeof h);
		h.nlmsg_seq = nl->seq++;
		memcpy(b->buf + pos, &h, sizeof h);
		pos += MNL_ALIGN(h.nlmsg_len);
	}
	if (send(nl->fd, b->buf, b->n, 0) < 0) {
		failed = -errno;
		err_sys(e, failed, "%s: netlink", b->what[0]);
		acks = b->messages;
	}
	while (acks < b->messages) {
		ssize_t n = recv(nl->fd, in, sizeof in, 0);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			failed = n < 0 ? -errno : -EPROTO;
			err_sys(e, failed, "%s: netlink", b->what[acks]);
			break;
		}
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)in; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left))
			acks += (size_t)note(b, first, h, &failed, e);
	}
	b->n = b->messages = 0;
	return failed ? -1 : 0;
}

/* Answers until NLMSG_DONE of a dump, or the one of a question. */
static int ask(struct nl *nl, uint16_t type, uint16_t flags, const void *header, size_t size,
	       void (*fn)(const struct nlmsghdr *h, void *ud), void *ud)
{
	AUTO_FREE char *in = xmalloc(32768);
	_Alignas(8) char out[256] = "";
	struct nlmsghdr *req = mnl_nlmsg_put_header(out);
	uint32_t seq = nl->seq++;

	req->nlmsg_type = type;
	req->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	req->nlmsg_seq = seq;
	memcpy(mnl_nlmsg_put_extra_header(req, size), header, size);
	if (send(nl->fd, req, req->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(nl->fd, in, 32768, 0);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)in;
		     mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
			fn(h, ud);
			if (!(flags & NLM_F_DUMP))
				return 0;
		}
	}
}

int nl_get(struct nl *nl, uint16_t type, const void *header, size_t size,
	   void (*fn)(const struct nlmsghdr *h, void *ud), void *ud)
{
	return ask(nl, type, 0, header, size, fn, ud);
}

int nl_dump(struct nl *nl, uint16_t type, const void *header, size_t size,
	    void (*fn)(const struct nlmsghdr *h, void *ud), void *ud)
{
	return ask(nl, type, NLM_F_DUMP, header, size, fn, ud);
}
