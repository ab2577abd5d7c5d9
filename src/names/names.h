/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracle-names: the name service of all containers of one engine. It answers on sockets the engine
 * opened in the containers' network namespaces, and on no others; it outlives the engine, which
 * tells it what there is (wire/names-proto.h).
 */
#pragma once

#include "base/err.h"

/* Serve until told to quit, or until nobody needs it: no engine and no container for some seconds.
 * listen_fd: where engines connect. */
int names_main(int listen_fd, struct err *e);
