/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection and the plain socket behind it; non-blocking, for a poll loop. */
#pragma once

#include "base/err.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define PUMP_CHUNK 16384

struct pump_half {
	char data[PUMP_CHUNK];
	size_t at, n; /* [at, n) waits to be written */
	bool eof;     /* the source ended */
	bool closed;  /* and the sink was told */
};

struct pump {
	SSL *ssl;
	int net, plain; /* owned; plain is FD_NONE until the handshake is done */
	bool ready;	/* handshake done */
	short net_events, plain_events;
	struct pump_half in, out; /* from the net to plain, from plain to the net */
};

enum pump_state { PUMP_MORE, PUMP_READY, PUMP_DONE, PUMP_FAILED };

/* net_fd is taken, also on failure (NULL). */
struct pump *pump_new(SSL_CTX *ctx, int net_fd, bool server);
void pump_free(struct pump *p);
/*
 * Do what can be done without waiting, then wait for net_events and plain_events. PUMP_READY comes
 * once, after the handshake: give it a plain socket and call again. PUMP_FAILED sets *e.
 */
enum pump_state pump_run(struct pump *p, struct err *e);

struct tls_files;
/* What the error queue of OpenSSL says; empties it. */
int tls_error(struct err *e, const char *what);
SSL_CTX *tls_context(const struct tls_files *f, bool server, struct err *e);
