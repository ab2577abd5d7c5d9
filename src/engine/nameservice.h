/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side of coracle-names: the process and the connection (nameservice.c), and what is
 * said over it (nameserver.c). The process is started when a container needs it first, survives the
 * engine and is taken over by the next one. When it dies it is started again and told everything.
 */
#pragma once

#include "engine/network.h"
#include "wire/names-proto.h"

struct nameservice;

/* ---- nameservice.c ---- */
/* Connect to the process or start it. 0 when it is connected already. */
int nameservice_need(struct engine *g, struct err *e);
bool nameservice_connected(const struct engine *g);
/* Send; waits for nothing. Without a connection nothing happens: a new one begins with everything.
 * The descriptors are taken. */
void nameservice_say(struct engine *g, const struct names_request *r, int *fds, size_t nfds);

/* ---- nameserver.c, called by the other ---- */
void names_say_all(struct engine *g);		     /* a connection is new */
void names_needed(struct engine *g, const char *id); /* this resolver has no sockets */
bool names_wanted(const struct engine *g);	     /* does a container need the service? */
