/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which engine a command talks to. In this order: -H or -c; CORACLE_HOST; CORACLE_HOME (its own
 * engine); DOCKER_HOST; DOCKER_CONTEXT; the context chosen with `context use`; the engine of this
 * machine.
 */
#pragma once

#include "base/err.h"
#include "base/opts.h"
#include "wire/hostaddr.h"

#include <stdbool.h>

struct endpoint {
	char *host;	      /* as written, for messages */
	char *context;	      /* name */
	const char *variable; /* "DOCKER_HOST" when an environment variable decided, else NULL */
	struct hostaddr addr;
	bool ours; /* nobody named it: the command line may start it */
	bool tls, verify;
	char *ca, *cert, *key; /* PEM files, NULL: none */
};
extern const struct opt global_options[];

/* `o` is the global options, parsed by global_options. */
int endpoint_find(const struct opts *o, struct endpoint *ret, struct err *e);
/* The part of it that reads no context file: name and what decided. */
void endpoint_name(const struct opts *o, struct endpoint *ret);
void endpoint_done(struct endpoint *p);
/* The socket of the engine that CORACLE_HOME or the machine has. Heap. */
char *endpoint_default_host(void);
/* A connected stream socket for any kind but unix. */
int endpoint_dial(const struct endpoint *p, struct err *e);
