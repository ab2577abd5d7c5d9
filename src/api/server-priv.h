/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by server.c, request.c, stream.c and hijack.c: the request behind struct api_request and
 * its states. */
#pragma once

#include "api/request.h"
#include "api/server.h"
#include "base/list.h"

#include <microhttpd.h>
#include <uv.h>

/* Seconds a client may be silent while it sends a request, or between two of them. */
#define API_IDLE_TIMEOUT    120
#define API_CONNECTIONS_MAX 4096

struct api_daemon {
	struct api_server *server;
	struct MHD_Daemon *mhd;
	uv_poll_t poll;	  /* its epoll descriptor */
	uv_timer_t timer; /* its next time-out */
	bool kicked;	  /* something was resumed: run soon */
	int fd;		  /* the listening socket */
	uv_poll_t listen;
	unsigned polls; /* as many of poll and listen are in use */
	uv_timer_t again;
	bool lacking; /* descriptors or memory: told once */
};

struct api_server {
	struct api_config config;
	const struct api_route *const *tables; /* NULL ends */
	struct api_daemon *daemons;
	size_t ndaemons;
	struct list requests; /* struct request */
	struct list upgraded; /* struct request: libmicrohttpd may forget the socket */
	size_t connections;
	size_t handles; /* uv handles not closed yet */
	uint64_t requests_seen;
	bool stopping;
	void (*stopped)(void *ud);
	void *stopped_ud;
};

/*
 * Life of a request: HEAD (target known) -> BODY (bytes come in) -> WAIT (handler ran, no answer
 * yet; suspended) -> ANSWERED
 * -> DONE (libmicrohttpd forgot it; only holders keep the memory).
 */
enum request_phase { PHASE_HEAD, PHASE_BODY, PHASE_WAIT, PHASE_ANSWERED, PHASE_DONE };

struct watch {
	uv_poll_t poll;
	struct api_server *server;
	struct request *r; /* NULL once detached */
	int fd;		   /* own duplicate */
};

struct api_extra_header {
	const char *name, *value;
	struct api_extra_header *next;
};

struct request {
	struct api_request pub; /* first */
	struct list entry;
	struct api_server *server;
	struct MHD_Connection *conn; /* NULL when DONE */
	enum request_phase phase;
	int64_t began_ns; /* monotonic */
	uint64_t number;
	char log_path[512]; /* as asked for, cut */
	unsigned refs;
	bool in_mhd;	/* inside a callback of libmicrohttpd: no resume needed */
	bool suspended; /* by us */
	bool gone, gone_told, aborted;
	const struct api_route *route;
	bool reject_early;
	uint64_t body_seen;
	struct json *json;
	struct watch *client; /* client vanished */

	/* body into a pipe */
	int pipe_fd; /* write end */
	struct watch *pipe;

	/* the answer */
	struct MHD_Response *response; /* until queued */
	unsigned status;
	struct api_extra_header *extra;

	/* stream */
	bool streaming, ended, paused;
	struct buf queue;
	size_t queue_at; /* bytes of queue already given to libmicrohttpd */

	/* hijack */
	api_hijack_fn hijack;
	int hijack_fd; /* duplicate, until the upgrade; else FD_NONE */
	bool ahead;    /* this client would lose bytes that come with the header */
	struct MHD_UpgradeResponseHandle *urh;
	struct list upgraded;
	struct watch *relay; /* api_stream_from_fd() */
	const char *relay_type;
	void (*relay_end)(struct api_request *r);
	struct relay_input *input; /* of a hijack without upgrade; in the arena */
};

static inline struct request *request_of(struct api_request *r)
{
	return CONTAINER_OF(r, struct request, pub);
}
static inline const struct request *request_of_const(const struct api_request *r)
{
	return (const struct request *)(const void *)r;
}

/* server.c */
/* Run the daemons in the next turn of the loop: libmicrohttpd does not wake an external loop after
 * a resume. */
void server_kick(struct api_server *s);
void server_run(struct api_daemon *d); /* now */
/* later.c: run the handler again in a while; false: nobody would get the answer. */
bool request_later(struct request *r);
/* One of the server's `handles` is closed; the server may be gone afterwards. */
void server_handle_closed(struct api_server *s);
struct watch *watch_new(struct api_server *s, struct request *r, int fd /* taken */);
void watch_close(struct watch **w);

/* hijack.c: the client's input goes nowhere any more */
void relay_input_stop(struct request *r);

/* accept.c */
/* Takes clients of fd (kept by the caller when it fails) from now on. Negative errno. */
int accept_start(struct api_daemon *d, int fd);
void accept_freed(struct api_server *s); /* a client left */

/* metrics.c: count a request that was answered (status, first byte ready) */
void metrics_request(const struct request *r);

/* request.c: callbacks of libmicrohttpd */
void *request_begin(void *cls, const char *uri, struct MHD_Connection *conn);
enum MHD_Result request_access(void *cls, struct MHD_Connection *conn, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *size, void **con_cls);
void request_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
		       enum MHD_RequestTerminationCode code);
void request_suspend(struct request *r);
void request_resume(struct request *r);
/* The client is gone: tells the handler once. */
void request_gone(struct request *r);
/* Queue `response` (taken) as the answer. Ignored (and destroyed) when there is one. */
void request_answer(struct request *r, unsigned status, struct MHD_Response *response);
