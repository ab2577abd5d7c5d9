/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that the kernel remembers (nf_conntrack). Without connections, as with UDP, a client's flow
 * goes on the way it once took, long after rules changed: to a container that is gone, or past one
 * that came.
 */
#pragma once

#include "net/firewall.h"

/* Forget the flows to these published ports, those of TCP left out (they end by themselves).
 * Failures are harmless; returns how many went. Reads the kernel's whole table when there is
 * something to do. */
size_t conntrack_forget(const struct firewall_port *p, size_t n);
