/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Docker Engine API over HTTP/1.1 on inherited listening sockets, served inside the engine's
 * event loop by libmicrohttpd. This header is all that a program needs; request handlers see
 * api/request.h.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct uv_loop_s;
struct engine;
struct api_server;

struct api_config {
	struct uv_loop_s *loop;
	struct engine *engine;
	const int *listen_fds; /* listening stream sockets; taken (closed by api_server_stop) once
				  start succeeded */
	size_t nlisten;
	/* Called when the last connection ended (an engine started on demand may exit then). NULL
	 * allowed. */
	void (*on_idle)(void *ud);
	void *ud;
};

/* Serve until api_server_stop(). Also ignores SIGPIPE. */
int api_server_start(const struct api_config *config, struct api_server **ret, struct err *e);
/* The same for GET /metrics alone. */
int api_metrics_start(const struct api_config *config, struct api_server **ret, struct err *e);
/*
 * Close the listening sockets, cut streams, cancel waiting requests, then call stopped(ud) from the
 * loop once every connection and handle is gone; the server is freed by then. Upgraded (attached)
 * clients belong to the shims and live on.
 */
void api_server_stop(struct api_server *s, void (*stopped)(void *ud), void *ud);
/* Open HTTP connections, upgraded ones included until their shim took over. */
size_t api_server_connections(const struct api_server *s);
