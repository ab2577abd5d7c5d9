/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/hosts, /etc/hostname and /etc/resolv.conf of a container: files in its data folder that are
 * bound into it, so that they are changed in place. */
#pragma once

#include "engine/engine-priv.h"
#include "engine/resolvconf.h"

/* Before a start, when its addresses are known. */
int hostfiles_write(struct container *c, struct err *e);
/* Networks or a linked container changed while it runs. */
void hostfiles_update(struct container *c);
/* Those that are linked to it (default bridge) are told its address. */
void hostfiles_update_parents(const struct container *c);
/* The folder whose files the container uses: its own, or of the one whose network it shares. Heap.
 */
char *hostfiles_dir(const struct container *c);
void hostfiles_resolv(const struct container *c, struct resolv *ret, struct arena *a);
/* Addresses of the host as the container can reach it. */
void hostfiles_gateway(const struct container *c, struct strs *ret, struct arena *a);
