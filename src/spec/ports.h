/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How users write ports: "80", "53/udp", "8000-8010/tcp", and what `-p` and `--expose` take
 * ("[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]"). Texts and limits of Docker (go-connections/nat).
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "wire/ip.h"

#include <stdint.h>

enum port_proto { PORT_TCP, PORT_UDP, PORT_SCTP, PORT_PROTO_COUNT };
extern const char *const port_proto_names[PORT_PROTO_COUNT]; /* "tcp" ... */
/* Upper case is fine; -EINVAL. n bytes. */
int port_proto_parse(const char *text, size_t n, enum port_proto *ret);
/* IPPROTO_TCP and so on, and back. */
uint8_t port_proto_number(enum port_proto p);

struct port_range {
	uint16_t first, last;
	enum port_proto proto;
};
/* "80", "80-90"; -EINVAL. Protocol is left alone. n bytes. */
int port_numbers_parse(const char *text, size_t n, struct port_range *ret);
/* With an optional "/PROTOCOL", tcp by default. */
int port_range_parse(const char *text, struct port_range *ret);
/* "80/tcp" */
#define PORT_TEXT_MAX 24
char *port_format(uint16_t port, enum port_proto proto, char ret[static PORT_TEXT_MAX]);

/* One port of the container and where in the host it is published. */
struct port_publish {
	enum port_proto proto;
	uint16_t port;
	struct ip host;			/* family 0: as the network says */
	const char *host_text;		/* the address as given, for JSON; "" */
	uint16_t host_first, host_last; /* one of these; 0: any free one */
};
struct port_publishes {
	struct port_publish *v;
	size_t n;
};
#define PORT_PUBLISH_MAX 65536

/* One value of `-p`; appends to *ret (memory of the arena). */
int port_publish_parse(const char *text, struct port_publishes *ret, struct arena *a,
		       struct err *e);
/* "published=8080,target=80,protocol=tcp" to "8080:80/tcp". */
int port_publish_long_form(const char *text, const char **ret, struct arena *a, struct err *e);
/* HostConfig.PortBindings (JSON) to a list, in the order of the document; ERR_INVALID. */
int port_bindings_parse(const char *json, struct port_publishes *ret, struct arena *a,
			struct err *e);
/* And from a list to JSON: an object by container port. */
void port_bindings_write(const struct port_publishes *p, struct jw *w);
