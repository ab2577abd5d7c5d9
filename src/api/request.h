/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a resource handler sees of HTTP. A handler runs once the body is there (or at once for
 * API_BODY_STREAM) and then
 *  - replies (api_reply_*), or starts a stream (api_stream_start), or asks for the raw socket
 * (api_hijack); or
 *  - returns without any of it: the request waits (suspended) until somebody replies from a
 * callback. A callback that needs the request holds it: api_hold() before, api_drop() in the
 * callback. Replies to a client that is gone are dropped silently, so callbacks need not check.
 */
#pragma once

#include "api/route.h"
#include "api/server.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_BODY_LIMIT	(4U << 20)
#define API_REPLY_LIMIT (64U << 20)
#define API_STREAM_HIGH (256U << 10) /* api_stream_write() says stop above this */
#define API_STREAM_LOW	(64U << 10)  /* on_drain runs below this */
#define API_STREAM_MAX	(16U << 20)  /* a producer that never stops is cut off */

struct engine;
struct uv_loop_s;
struct api_server;

struct container;

struct api_request {
	struct engine *engine;
	struct uv_loop_s *loop;
	struct arena *arena; /* lives as long as the request */
	const char *method;
	struct api_target target;
	const char *params[API_PARAMS_MAX];
	struct buf body;
	int body_fd; /* API_BODY_STREAM: read end of the pipe; take it with TAKE_FD */

	/* The handler's own: state, and what to do when the queue has room again or nobody listens
	 * any more. */
	void *state;
	void (*on_drain)(struct api_request *r);
	/*
	 * The client vanished, or the server stops; runs at most once, never after the reply is
	 * complete. Stop producing; without it the request simply waits for its reply. Call
	 * api_abort() when no reply will come.
	 */
	void (*on_gone)(struct api_request *r);
	void (*on_free)(struct api_request *r); /* last: release what state holds */
};

void api_hold(struct api_request *r);
void api_drop(struct api_request *r);
bool api_is_gone(const struct api_request *r);

/* ---- questions ---- */
const char *api_query(const struct api_request *r, const char *key);	 /* NULL when absent */
struct strs api_query_all(const struct api_request *r, const char *key); /* of the request */
bool api_query_bool(const struct api_request *r, const char *key);
/* Absent or empty gives fallback; ERR_INVALID when it is no number. */
int api_query_i64(const struct api_request *r, const char *key, int64_t fallback, int64_t *ret,
		  struct err *e);
const char *api_header(const struct api_request *r, const char *name); /* NULL when absent */
/* The body as JSON, owned by the request. An empty body is ERR_INVALID unless optional (then *ret
 * is NULL). */
int api_body_json(struct api_request *r, bool optional, struct json **ret, struct err *e);

/* ---- answers: exactly one of these per request; further ones are ignored ---- */
void api_reply(struct api_request *r, int status, const char *content_type, const void *p,
	       size_t n);
void api_reply_json(struct api_request *r, int status, const struct buf *json);
void api_reply_empty(struct api_request *r, int status);
/* ERR_LATER is no answer: the handler runs again in a while. */
void api_reply_error(struct api_request *r, const struct err *e);
void api_reply_message(struct api_request *r, int status, const char *fmt, ...) PRINTF_FMT(3, 4);
/* Extra header of the answer that follows. Call before it; texts are copied. */
void api_reply_header(struct api_request *r, const char *name, const char *value);
/* Close the connection without a (complete) answer. */
void api_abort(struct api_request *r);

/* ---- streams: chunked, headers leave at once ---- */
void api_stream_start(struct api_request *r, int status, const char *content_type);
/* false: above the high watermark (on_drain will run) or nobody listens. The bytes are taken either
 * way. */
bool api_stream_write(struct api_request *r, const void *p, size_t n);
bool api_stream_started(const struct api_request *r);
size_t api_stream_queued(const struct api_request *r);
void api_stream_end(struct api_request *r);

/* ---- hijack ---- */
/*
 * Answer 101 (or, to clients that did not ask for an upgrade, 200) and hand the raw socket over: fd
 * belongs to the callee; extra is what the client sent behind its request. Runs exactly once unless
 * the client is gone before. at_once: output may follow before the client read the header, which
 * some clients cannot take: it is then handed over a moment later.
 */
typedef void (*api_hijack_fn)(struct api_request *r, int fd, const void *extra, size_t n);
void api_hijack(struct api_request *r, const char *content_type, bool at_once, api_hijack_fn fn);

/*
 * Copy what fd delivers into the stream, which starts (200) with the first byte. At the end of fd
 * on_end runs, or the stream ends when it is NULL. fd is taken; the client's leaving closes it.
 */
void api_stream_from_fd(struct api_request *r, int fd, const char *content_type,
			void (*on_end)(struct api_request *r));

/* ---- shared endings of engine calls: hold the request, call, then api_settle() ---- */
void api_done_empty(void *ud, const struct err *e);		     /* 204; drops the request */
void api_done_json(void *ud, const char *json, const struct err *e); /* 200; drops the request */
/* rc of the engine call: 0 nothing (the callback answers), 1 answers 304, -1 the error; both drop
 * the request. */
void api_settle(struct api_request *r, int rc, const struct err *e);
/* The container of the first path parameter; NULL: the error is answered already. */
struct container *api_container(struct api_request *r);
/* 200 with the buffer, or the error when rc < 0. */
void api_finish_json(struct api_request *r, int rc, const struct buf *json, const struct err *e);
/* 501 "<what> is not supported yet by coracle" */
void api_unsupported(struct api_request *r, const char *what);

/* ---- tables ---- */
/* Serve other tables than Docker's (tests). NULL ends the list. */
int api_server_start_with(const struct api_config *config, const struct api_route *const *tables,
			  struct api_server **ret, struct err *e);

extern const struct api_route api_routes_system[];
extern const struct api_route api_routes_fsck[]; /* ours: /coracle/fsck */
extern const struct api_route api_routes_images[];
extern const struct api_route api_routes_manifests[]; /* distribution, manifest lists */
extern const struct api_route api_routes_transfer[];  /* pull, push, load, save */
extern const struct api_route api_routes_containers[];
extern const struct api_route api_routes_streams[]; /* attach, logs, wait, stats */
extern const struct api_route api_routes_archive[]; /* cp, export */
extern const struct api_route api_routes_exec[];
extern const struct api_route api_routes_volumes[];
extern const struct api_route api_routes_networks[];
extern const struct api_route api_routes_other[]; /* plugins, swarm, build, ... */
