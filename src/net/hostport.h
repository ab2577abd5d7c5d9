/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of the host that is taken by a socket: bound, so that nobody else gets it, and never
 * listening (a connection that is not led to the container is refused).
 */
#pragma once

#include "wire/ip.h"

#include <stdint.h>

/* proto: IPPROTO_TCP, UDP, SCTP. Returns the socket, or a negative errno: -EADDRINUSE,
 * -EADDRNOTAVAIL; -EPROTONOSUPPORT when this kernel has no such sockets (SCTP). */
int hostport_bind(uint8_t proto, struct ip host, uint16_t port);
/* The range for ports that nobody named. */
void hostport_range(uint16_t *ret_first, uint16_t *ret_last);
