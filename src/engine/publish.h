/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of published ports: what a running container has, and its place in the row. */
#pragma once

#include "engine/network.h"
#include "net/firewall.h"
#include "spec/ports.h"

/* One port of the host that is led to the container. */
struct host_port {
	enum port_proto proto;
	uint16_t port;	/* of the container */
	struct ip host; /* unspecified: all addresses of that family */
	uint16_t host_port;
	int fd; /* holds the port; FD_NONE where the kernel has no sockets of the protocol */
};

struct ports {
	struct host_port *v;
	size_t n;
	struct firewall_port *rules; /* in the table now */
	size_t nrules;
};

/* How many reservations there are of each port of the host, so that most need no search. */
struct host_ports {
	uint16_t count[PORT_PROTO_COUNT][65536];
};

/* As it is kept in the row. */
struct port_saved {
	const char *key, *host; /* "80/tcp", "0.0.0.0" */
	int64_t host_port;
};

/* All that a container wants published: its bindings, and with -P each exposed port that has none,
 * on any port of the host. */
int ports_wanted(const struct container *c, struct port_publishes *ret, struct arena *a,
		 struct err *e);
/* The endpoint that published ports of a family lead to; NULL: none. */
struct endpoint *ports_endpoint(const struct container *c, uint8_t family);
