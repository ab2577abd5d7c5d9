/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Living beside programs that use iptables: where the policy of its FORWARD chain is DROP (Docker
 * sets it), what we forward would be dropped there though our own table accepts it. One chain of
 * ours at the end of FORWARD accepts what comes from or goes to our bridges; what must not pass is
 * dropped in our own table, and by the rules of others in front.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/*
 * Write the chain for these bridges where it is needed, or where it is already; with n 0 it goes.
 * matters4, matters6: what iptables has in nf_tables drops, or the chain is there; iptables-legacy
 * is asked itself. Nothing is written when all is as it should be. Runs programs: some
 * milliseconds.
 */
int iptables_sync(const char *chain, const char *const *bridges, size_t n, bool matters4,
		  bool matters6, struct err *e);
