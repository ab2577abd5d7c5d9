/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that speak TLS for the engine's tcp:// sockets, and start again when they die. */
#pragma once

#include "base/err.h"
#include "sys/spawn.h"

#include <stdbool.h>
#include <uv.h>

struct tls_helper_options {
	const char *program;	     /* coracle-tls */
	const char *target;	     /* unix socket of the engine that gets the clients */
	const char *cert, *key, *ca; /* files; ca NULL: clients need no certificate */
	int listener;		     /* listening tcp socket, taken */
};

struct tls_helper {
	char *program, *target, *cert, *key, *ca;
	int listener;
	int alive; /* our end of a pipe: closed, the helper stops accepting */
	struct process process;
	int64_t began_ns;
	unsigned delay_ms;
	uv_loop_t *loop; /* NULL: not watched yet */
	uv_poll_t poll;
	uv_timer_t timer;
	bool watched, closing;
};

/* Returns when it serves. tls_helper_stop() releases it, also after a failure. */
int tls_helper_start(struct tls_helper *h, const struct tls_helper_options *o, struct err *e);
/* From now on a helper that ends is followed by another, sooner or later as it lived. h must not
 * move, and live until the loop has closed its handles. */
void tls_helper_watch(struct tls_helper *h, uv_loop_t *loop);
/* It takes no more clients and ends with its last one. */
void tls_helper_stop(struct tls_helper *h);
