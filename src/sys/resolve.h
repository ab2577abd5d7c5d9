/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of hosts, asked by another program: a static one cannot load what the C library needs for
 * it (nsswitch.conf).
 */
#pragma once

#include <netinet/in.h>

/*
 * Runs `helper resolve HOST` (coracle-tls) and waits for it, at most half a minute. Numbers come
 * back as they are, without a helper. 0 with the address as text; -ENOENT: no such host;
 * -ETIMEDOUT; other negative errno: the helper could not run.
 */
int resolve_host(const char *helper, const char *host, char ret[static INET6_ADDRSTRLEN]);
