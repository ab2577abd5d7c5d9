/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's switches that routing to containers needs, of the network namespace we are in. */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

bool forward_is_on(uint8_t family); /* 4, 6; also true where there is no IPv6 at all */
/* Can it be turned on? ERR_SYSTEM with the reason (a read-only /proc/sys). */
int forward_check(uint8_t family, struct err *e);
/* Names of the interfaces that forward nothing now, loopback left out; strings in the arena. */
void forward_off_interfaces(uint8_t family, struct strs *ret, struct arena *a);
/*
 * Turn it on for all interfaces. IPv6 hosts that are told their address by a router (accept_ra 1)
 * would stop listening to it: those interfaces get accept_ra 2.
 */
int forward_turn_on(uint8_t family, struct err *e);
/* Connections of this host to 127.0.0.0/8 may be led to this interface. */
int forward_route_localnet(const char *ifname, struct err *e);
