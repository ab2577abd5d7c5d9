/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of links share. */
#pragma once

#include "net/link.h"

int link_open(struct nl *nl, int netns, struct err *e);
unsigned link_index(const struct nl *nl, const char *name); /* 0: there is none */
void link_add_address(struct nl_batch *b, unsigned index, struct ip_prefix p, bool scope_link);
void link_add_up(struct nl_batch *b, unsigned index, const char *what);
void link_add_delete(struct nl_batch *b, const char *name);
/* net.ipv6.conf.INTERFACE.NAME; netns FD_NONE: here. A kernel without IPv6 is no error. */
int link_sysctl6(int netns, const char *interface, const char *name, const char *value);
