/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces: bridges of the host, the ends of containers, macvlan and ipvlan, addresses and routes
 * (rtnetlink). Everything we make carries an alias that begins with LINK_ALIAS, so that leftovers
 * are found again. Calls do their work before they return; a removal costs some 10 ms and has a
 * thread of its own to be done in.
 */
#pragma once

#include "net/netlink.h"
#include "wire/ip.h"

#include <net/if.h>
#include <stdbool.h>

#define LINK_ALIAS "coracle:"

struct link_bridge {
	const char *name;
	const char *alias;	      /* "coracle:NETWORK" */
	int mtu;		      /* 0: the kernel's */
	struct ip_prefix address[16]; /* of the host in it: gateway and length */
	size_t naddresses;
	bool ipv6;
};
/* Make it, or heal what is missing of it: up, addresses. *ret_made: it was not there. An interface
 * of the name that is no bridge is ERR_CONFLICT. */
int link_bridge_up(const struct link_bridge *b, bool *ret_made, struct err *e);
int link_remove(const char *name, struct err *e); /* absent is fine */
/* Ends of containers that are gone: nothing is forwarded to or from these ports any more. Costs
 * microseconds; their removal can wait. Absent ones are fine. */
void link_ports_disable(const char (*names)[IFNAMSIZ], size_t n);
/* The host's end of a container back into a bridge that was made anew. */
int link_port_attach(const char *name, const char *bridge, bool isolated, struct err *e);

enum link_kind { LINK_VETH, LINK_MACVLAN, LINK_IPVLAN };

struct link_route {
	struct ip_prefix to; /* family and length 0: default */
	struct ip via;	     /* family 0: directly */
};

/* One interface of a container. */
struct link_end {
	enum link_kind kind;
	const char *inside;  /* name in the namespace: "eth0" */
	const char *outside; /* veth: name of the host's end */
	const char *alias;   /* of the host's end */
	const char *master;  /* veth: the bridge; macvlan, ipvlan: the parent */
	uint32_t mode;	     /* macvlan, ipvlan: MACVLAN_MODE_*, IPVLAN_MODE_* of linux/if_link.h */
	uint16_t flags;	     /* ipvlan: IPVLAN_F_* */
	int mtu;
	bool isolated; /* veth: this port talks to the bridge only (icc=false) */
	struct ip_mac mac;
	bool has_mac;
	struct ip_prefix address[2 + 8]; /* IPv4, IPv6, link local */
	size_t naddresses;
	bool ipv6; /* else IPv6 is off on it, as with Docker */
};
/* Make it in the namespace and give it its addresses; loopback comes up too. Nothing is left on
 * failure. ret_mac: what it has. */
int link_end_up(const struct link_end *l, int netns, struct ip_mac *ret_mac, struct err *e);
/* net.FAMILY.GROUP.INTERFACE.NAME in the namespace; the parts hold no "/". Negative errno. */
int link_sysctl(int netns, const char *family, const char *group, const char *interface,
		const char *name, const char *value);
/* veth: by the host's end. Others: by the name inside. */
int link_end_down(const struct link_end *l, int netns, struct err *e);

/* Default routes of the namespace by these gateways (family 0: none of this family), out of
 * `inside`; others go. */
int link_default_routes(int netns, const char *inside, struct ip gateway4, struct ip gateway6,
			bool onlink, struct err *e);

/* One more, of the other family. */
int link_add_default(int netns, const char *inside, struct ip gateway, struct err *e);

/* Destinations of the host's routes, without default routes and those of interfaces that are ours
 * (name or alias tell); at most max. */
size_t link_routes(struct ip_prefix *ret, size_t max);

/* Interfaces with our alias: fn(name, alias without LINK_ALIAS). */
int link_each_ours(void (*fn)(const char *name, const char *rest, void *ud), void *ud);
bool link_exists(const char *name);

/* A socket that is readable when an interface of the host was removed. Negative errno. */
int link_watch_open(void);
/* Reads all there is: fn for each interface; name NULL: some were missed. */
void link_watch_read(int fd, void (*fn)(const char *name, void *ud), void *ud);
/* "parent.10" with a VLAN number that does not exist yet is made, as Docker does; a dummy when
 * parent is NULL (internal macvlan). *ret_made: to be removed with the network. */
int link_parent_up(const char *parent, const char *alias, bool dummy, bool *ret_made,
		   struct err *e);
