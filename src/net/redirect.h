/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port 53 of 127.0.0.11 inside of a container's namespace leads to the name service's sockets
 * there, and nothing else does: one nft table with stateless rules on the way out. Connection
 * tracking has nothing to do with it (NAT would switch it on for all of the container's traffic),
 * and port 53 itself stays free for the container's own servers.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define REDIRECT_ADDRESS "127.0.0.11"
#define REDIRECT_TABLE	 "coracle_names"

/* Makes the table, or replaces it in one transaction. */
int redirect_names(int netns, uint16_t udp_port, uint16_t tcp_port, struct err *e);
