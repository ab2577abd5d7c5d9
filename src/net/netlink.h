/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets and batches (libmnl builds the messages). A batch is one send; every message in
 * it is acknowledged, the first that failed is the error, with the kernel's own words when it has
 * some (extended acknowledgement, kernel 4.12). Sending does the work in the kernel before it
 * returns.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <libmnl/libmnl.h>
#include <stdint.h>

/*
 * A socket of another network namespace: enter it, open, come back. The calling thread's other
 * namespaces stay. netns is a descriptor of the namespace. Returns the descriptor (close-on-exec)
 * or a negative errno; a way back that fails ends the program, since nothing could be trusted then.
 */
int netns_socket(int netns, int domain, int type, int protocol);
/* Run fn inside it; fn must not block. Returns what fn returns, or a negative errno. */
int netns_run(int netns, int (*fn)(void *ud), void *ud);

/* mnl_attr_for_each() without its cast: clang sees that it drops const. */
#define nl_each_attr(attr, nlh, offset)                                                            \
	for ((attr) = mnl_nlmsg_get_payload_offset(nlh, offset);                                   \
	     mnl_attr_ok((attr), (int)((const char *)mnl_nlmsg_get_payload_tail(nlh) -             \
				       (const char *)(attr)));                                     \
	     (attr) = mnl_attr_next(attr))

#define nl_each_nested(attr, nest)                                                                 \
	for ((attr) = mnl_attr_get_payload(nest);                                                  \
	     mnl_attr_ok((attr), (int)((const char *)mnl_attr_get_payload(nest) +                  \
				       mnl_attr_get_payload_len(nest) - (const char *)(attr)));    \
	     (attr) = mnl_attr_next(attr))

struct nl {
	int fd; /* owned */
	uint32_t seq;
};
#define NL_INIT ((struct nl){.fd = FD_NONE})

/* netns FD_NONE: the caller's own. protocol: NETLINK_ROUTE, NETLINK_NETFILTER. */
int nl_open(struct nl *ret, int netns, int protocol);
void nl_close(struct nl *nl);

#define NL_BATCH_MAX  32
#define NL_BATCH_SIZE 16384
struct nl_batch {
	_Alignas(8) char buf[NL_BATCH_SIZE];
	size_t n; /* bytes that are finished */
	struct nlmsghdr *open;
	const char *what[NL_BATCH_MAX]; /* "add address": for the error, not copied */
	int forgive[NL_BATCH_MAX];	/* an errno that is no error: EEXIST, ENODEV... or 0 */
	size_t messages;
};
/* Begin a message; `size` bytes of header follow the nlmsghdr, zeroed. Attributes are put with
 * mnl_attr_put*() on the result. NLM_F_REQUEST and NLM_F_ACK are added. */
struct nlmsghdr *nl_add(struct nl_batch *b, uint16_t type, uint16_t flags, size_t size, void **ret,
			const char *what, int forgive);
/* Send what is in it and read the acknowledgements; the batch is empty again. */
int nl_send(struct nl *nl, struct nl_batch *b, struct err *e);
/* One answer to one question. Returns 0 or a negative errno. */
int nl_get(struct nl *nl, uint16_t type, const void *header, size_t size,
	   void (*fn)(const struct nlmsghdr *h, void *ud), void *ud);
/* A dump, message by message. Returns 0 or a negative errno. */
int nl_dump(struct nl *nl, uint16_t type, const void *header, size_t size,
	    void (*fn)(const struct nlmsghdr *h, void *ud), void *ud);
