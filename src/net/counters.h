/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel counts per interface, in the network namespace of a process. */
#pragma once

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct net_counters {
	char name[IFNAMSIZ];
	struct net_direction {
		uint64_t bytes, packets, errors, dropped;
	} rx, tx;
};
/* All interfaces but loopback, at most max; 0 when the process is gone. */
size_t net_counters_read(pid_t pid, struct net_counters *ret, size_t max);
