/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS in a process of its own: `coracle-tls serve` stands in front of the engine's socket,
 * `coracle-tls dial` behind the command line. Both sides see a plain stream, half-closes included,
 * so attach and exec work as on a unix socket, and neither the engine nor the command line links
 * OpenSSL's TLS. See docs/adr/0007-tls-by-a-helper.md.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct tls_files {
	const char *cert, *key; /* PEM; NULL: none (clients only) */
	const char *ca;		/* who signs the peer's certificate; NULL: see `verify` */
	bool verify; /* server: demand a client certificate; client: check the server's, against
			the system's CAs when ca is NULL */
};

/*
 * As root, read the keys, then become nobody without capabilities for good. Accept on listen_fd,
 * and give each client that proved itself a connection to the unix socket `target`. alive_fd is a
 * socket: it gets one byte when certificates and sockets are good; when it reaches its end (the
 * engine went away) no new clients are accepted; returns 0 once the last one left. -1 when
 * certificates or sockets are unusable.
 */
int tls_serve(int listen_fd, int alive_fd, const char *target, const struct tls_files *f,
	      struct err *e);
/* Connect to host:port; ready(ud) once the handshake is done; then copy both ways until both sides
 * ended. plain_fd is a stream socket, taken. */
int tls_dial(const char *host, const char *port, int plain_fd, const struct tls_files *f,
	     void (*ready)(void *ud), void *ud, struct err *e);
