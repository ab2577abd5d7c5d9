/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's listening sockets: unix, tcp with TLS in front or plain, and those of systemd. */
#pragma once

#include "base/err.h"
#include "config/config.h"
#include "tls-helpers.h"

#include <stddef.h>

#define LISTEN_MAX 16

struct listeners {
	int fds[LISTEN_MAX]; /* handed to the API server */
	size_t n;
	char *paths[LISTEN_MAX]; /* unix sockets to remove at the end */
	size_t npaths;
	struct tls_helper helpers[LISTEN_MAX]; /* one per TLS socket */
	size_t nhelpers;
};

/*
 * Open all of c->hosts. The engine's lock must be held: what stands at a unix path is stale then.
 * program_dir is where coracle-tls is. On failure listeners_close() releases what was opened.
 */
int listeners_open(struct listeners *l, const struct config *c, const char *program_dir,
		   struct err *e);
/* Once the loop runs: helpers that die are started again. *l must not move. */
void listeners_watch(struct listeners *l, uv_loop_t *loop);
/* Sockets go, helpers stop accepting; their connections may finish. */
void listeners_close(struct listeners *l);
/* The socket of metrics-addr, "HOST:PORT". */
int listen_metrics(const char *address, struct err *e);
