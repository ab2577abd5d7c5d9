/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request from its first header to its last byte: routing, body, waiting, answer. The rules of
 * libmicrohttpd that shape it: an answer may only be queued before the body or after all of it; a
 * suspended connection is not watched, so we watch a duplicate of its socket for the client's
 * hang-up; after a resume the access callback runs again.
 */
#include "api/request.h"

#include "api/server-priv.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/banned.h"

#define PIPE_BYTES (1 << 20)

/* ---- life ---- */

void *request_begin(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct api_server *s = cls;
	struct request *r = NEW(struct request);

	r->server = s;
	r->conn = conn;
	r->refs = 1;
	r->began_ns = clock_mono_ns();
	r->pipe_fd = r->hijack_fd = r->pub.body_fd = FD_NONE;
	r->pub.engine = s->config.engine;
	r->pub.loop = s->config.loop;
	r->pub.arena = arena_new();
	r->pub.body = BUF_INIT(API_BODY_LIMIT);
	r->queue = BUF_INIT(API_STREAM_MAX);
	r->pub.target.path = arena_strdup(r->pub.arena, uri); /* parsed in request_access() */
	list_add_tail(&s->requests, &r->entry);
	return r;
}

void api_hold(struct api_request *r)
{
	request_of(r)->refs++;
}

void api_drop(struct api_request *p)
{
	struct request *r = request_of(p);

	ASSERT(r->refs > 0);
	if (--r->refs > 0)
		return;
	if (p->on_free)
		p->on_free(p);
	buf_done(&p->body);
	buf_done(&r->queue);
	fd_close(&p->body_fd);
	fd_close(&r->pipe_fd);
	fd_close(&r->hijack_fd);
	if (r->response)
		MHD_destroy_response(r->response);
	json_free(r->json);
	arena_free(p->arena);
	free(r);
}

static void log_request(const struct request *r)
{
	int64_t us = (clock_mono_ns() - r->began_ns) / 1000;
	const struct log_field fields[] = {{"request", NULL, (int64_t)r->number},
					   {"method", r->pub.method, 0},
					   {"path", r->log_path, 0},
					   {"status", NULL, r->status},
					   {"duration_us", NULL, us},
					   {0}};

	if (log_enabled(LOG_LEVEL_DEBUG) && r->pub.method)
		log_write_fields(LOG_LEVEL_DEBUG, fields, "%s %s: %u in %lld us", r->pub.method,
				 r->log_path, r->status, (long long)us);
}

void request_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
		       enum MHD_RequestTerminationCode code)
{
	struct request *r = *con_cls;

	if (!r)
		return;
	*con_cls = NULL;
	r->in_mhd = true;
	log_request(r);
	bool complete = r->phase == PHASE_ANSWERED && (!r->streaming || r->ended);
	if (!complete)
		request_gone(r);
	r->phase = PHASE_DONE;
	r->conn = NULL;
	r->suspended = false;
	list_del(&r->entry);
	watch_close(&r->client);
	watch_close(&r->pipe);
	watch_close(&r->relay);
	relay_input_stop(r);
	fd_close(&r->pipe_fd);
	/* libmicrohttpd holds its lock when an upgraded connection completes. */
	if (!r->server->stopping && !r->urh)
		MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT,
					  (unsigned)API_IDLE_TIMEOUT);
	api_drop(&r->pub);
}

bool api_is_gone(const struct api_request *r)
{
	return request_of_const(r)->gone || request_of_const(r)->phase == PHASE_DONE;
}

void request_gone(struct request *r)
{
	r->gone = true;
	if (r->gone_told)
		return;
	r->gone_told = true;
	fd_close(&r->pipe_fd);
	if (r->pub.on_gone && r->phase != PHASE_DONE)
		r->pub.on_gone(&r->pub);
}

static void on_client(uv_poll_t *p, int status, int events)
{
	struct watch *w = CONTAINER_OF(p, struct watch, poll);
	struct request *r = w->r;

	uv_poll_stop(p);
	if (!r || r->phase == PHASE_DONE)
		return;
	api_hold(&r->pub);
	request_gone(r);
	/* A stream whose client left: let libmicrohttpd find out and close. */
	if (r->streaming)
		request_resume(r);
	api_drop(&r->pub);
}

void request_suspend(struct request *r)
{
	/* A hijack without upgrade looks itself: there a client may close only its half. */
	if (!r->client && !r->gone_told && !r->input) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(
			r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
		int fd = info ? fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 3) : -1;
		r->client = fd >= 0 ? watch_new(r->server, r, fd) : NULL;
		if (r->client)
			uv_poll_start(&r->client->poll, UV_DISCONNECT, on_client);
	}
	r->suspended = true;
	MHD_suspend_connection(r->conn);
}

void request_resume(struct request *r)
{
	if (!r->suspended || !r->conn)
		return;
	r->suspended = false;
	MHD_resume_connection(r->conn);
	server_kick(r->server);
}

/* ---- body ---- */

static void on_pipe_room(uv_poll_t *p, int status, int events)
{
	struct watch *w = CONTAINER_OF(p, struct watch, poll);

	uv_poll_stop(p);
	if (w->r)
		request_resume(w->r);
}

/*
 * Bytes taken; fewer than n when the pipe is full and the request was suspended. It must be: after
 * a part libmicrohttpd waits for more from the client, who may have sent everything.
 */
static size_t feed_pipe(struct request *r, const char *data, size_t n)
{
	size_t taken = 0;

	if (r->pipe_fd < 0)
		return n; /* nobody reads: throw away */
	while (taken < n) {
		ssize_t done = write(r->pipe_fd, data + taken, n - taken);

		if (done > 0) {
			taken += (size_t)done;
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN)
			break;
		watch_close(&r->pipe);
		fd_close(&r->pipe_fd);
		return n;
	}
	if (taken == n)
		return n;
	if (!r->pipe)
		r->pipe = watch_new(r->server, r, fcntl(r->pipe_fd, F_DUPFD_CLOEXEC, 3));
	if (!r->pipe) {
		fd_close(&r->pipe_fd); /* who reads sees an early end, not a gap */
		return n;
	}
	uv_poll_start(&r->pipe->poll, UV_WRITABLE | UV_DISCONNECT, on_pipe_room);
	request_suspend(r);
	return taken;
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t *size)
{
	r->body_seen += *size;
	if (!r->route || r->response || r->route->body == API_BODY_JSON) {
		/* Past the limit the rest is read and dropped, but not for ever. */
		if (r->body_seen > 16ULL * API_BODY_LIMIT &&
		    (!r->route || r->route->body == API_BODY_JSON))
			return MHD_NO;
		if (!r->response)
			buf_add(&r->pub.body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	size_t done = feed_pipe(r, data, *size);
	r->body_seen -= *size - done;
	*size -= done;
	return MHD_YES;
}

static bool open_body_pipe(struct request *r)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		api_reply_message(&r->pub, 500, "pipe: %s", strerrordesc_np(errno));
		return false;
	}
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	(void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
	r->pub.body_fd = fds[0];
	r->pipe_fd = fds[1];
	return true;
}

/* ---- routing ---- */

static void route(struct request *r, const char *method)
{
	struct err e = ERR_INIT;
	const char *uri = r->pub.target.path;

	r->pub.method = arena_strdup(r->pub.arena, method);
	r->number = ++r->server->requests_seen;
	snprintf(r->log_path, sizeof(r->log_path), "%s", uri);
	log_debug("%s %s", method, uri);
	if (api_target_parse(uri, &r->pub.target, r->pub.arena, &e) < 0) {
		api_reply_error(&r->pub, &e);
		return;
	}
	for (const struct api_route *const *t = r->server->tables; *t && !r->route; t++)
		r->route = api_route_find(*t, method, r->pub.target.path, r->pub.params,
					  r->pub.arena);
	if (!r->route) {
		api_reply_message(&r->pub, 404, "page not found");
		return;
	}
	if (r->route->body == API_BODY_STREAM) {
		if (open_body_pipe(r))
			r->route->handler(&r->pub);
	} else {
		const char *length = api_header(&r->pub, "Content-Length");
		uint64_t n = 0;
		if (length && num_parse_u64(length, 0, UINT64_MAX, &n) == 0 && n > API_BODY_LIMIT) {
			api_reply_message(&r->pub, 413, "http: request body too large");
			r->reject_early = true;
		}
	}
}

/* Queue the answer, or wait for it. */
static enum MHD_Result settle(struct request *r)
{
	if (r->aborted || (r->gone && !r->response))
		return MHD_NO;
	if (!r->response) {
		request_suspend(r);
		return MHD_YES;
	}
	/* A slow reader is not an idle client. */
	MHD_set_connection_option(r->conn, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	enum MHD_Result rc = MHD_queue_response(r->conn, r->status, r->response);
	MHD_destroy_response(TAKE_PTR(r->response));
	r->phase = PHASE_ANSWERED;
	return rc;
}

static void run_handler(struct request *r)
{
	r->phase = PHASE_WAIT;
	fd_close(&r->pipe_fd); /* the reader sees the end */
	watch_close(&r->pipe);
	if (r->response || r->route->body == API_BODY_STREAM)
		return;
	if (r->pub.body.overflow)
		api_reply_message(&r->pub, 413, "http: request body too large");
	else
		r->route->handler(&r->pub);
}

enum MHD_Result request_access(void *cls, struct MHD_Connection *conn, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *size, void **con_cls)
{
	struct request *r = *con_cls;
	enum MHD_Result rc = MHD_YES;

	if (!r)
		return MHD_NO;
	api_hold(&r->pub);
	r->in_mhd = true;
	r->suspended = false;
	if (r->phase == PHASE_HEAD) {
		r->phase = PHASE_BODY;
		route(r, method);
		if (r->reject_early)
			rc = settle(r);
	} else if (r->aborted) {
		rc = MHD_NO;
	} else if (*size > 0) {
		rc = take_body(r, data, size);
	} else {
		if (r->phase == PHASE_BODY)
			run_handler(r);
		rc = settle(r);
	}
	r->in_mhd = false;
	api_drop(&r->pub);
	return rc;
}

/* ---- questions ---- */

const char *api_query(const struct api_request *r, const char *key)
{
	return api_target_query(&r->target, key);
}

struct strs api_query_all(const struct api_request *r, const char *key)
{
	struct strs all = {.v = arena_alloc(r->arena, (r->target.nquery + 1) * sizeof(*all.v))};

	for (size_t i = 0; i < r->target.nquery; i++)
		if (strcmp(r->target.query[i].k, key) == 0)
			all.v[all.n++] = r->target.query[i].v;
	all.set = all.n > 0;
	return all;
}

bool api_query_bool(const struct api_request *r, const char *key)
{
	return api_bool_parse(api_query(r, key));
}

int api_query_i64(const struct api_request *r, const char *key, int64_t fallback, int64_t *ret,
		  struct err *e)
{
	const char *text = api_query(r, key);

	*ret = fallback;
	if (!text || !*text)
		return 0;
	if (num_parse_i64(text, INT64_MIN, INT64_MAX, ret) < 0)
		return err_set(e, ERR_INVALID,
			       "invalid value of parameter %s: \"%s\" is not a number", key, text);
	return 0;
}

const char *api_header(const struct api_request *r, const char *name)
{
	const struct request *q = request_of_const(r);

	return q->conn ? MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, name) : NULL;
}

static int check_content_type(const struct api_request *r, struct err *e)
{
	const char *type = api_header(r, "Content-Type");

	if (!type)
		return err_set(e, ERR_INVALID,
			       "malformed Content-Type header (): mime: no media type");
	size_t n = strcspn(type, "; \t");
	if (n != strlen("application/json") || strncasecmp(type, "application/json", n) != 0)
		return err_set(e, ERR_INVALID,
			       "unsupported Content-Type header (%s): must be 'application/json'",
			       type);
	return 0;
}

int api_body_json(struct api_request *p, bool optional, struct json **ret, struct err *e)
{
	struct request *r = request_of(p);

	*ret = NULL;
	if (p->body.n == 0) {
		if (optional)
			return 0;
		if (check_content_type(p, e) < 0)
			return -1;
		return err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
	}
	if (check_content_type(p, e) < 0)
		return -1;
	if (!r->json && json_parse(p->body.p, p->body.n, &r->json, e) < 0) {
		e->kind = ERR_INVALID;
		return err_wrap(e, "invalid JSON");
	}
	*ret = r->json;
	return 0;
}

/* ---- answers ---- */

void api_reply_header(struct api_request *r, const char *name, const char *value)
{
	struct request *q = request_of(r);
	struct api_extra_header *h = arena_alloc(r->arena, sizeof *h);

	h->name = arena_strdup(r->arena, name);
	h->value = arena_strdup(r->arena, value);
	h->next = q->extra;
	q->extra = h;
}

void request_answer(struct request *r, unsigned status, struct MHD_Response *response)
{
	char version[16];

	if (!response)
		return;
	if (r->response || r->phase >= PHASE_ANSWERED || r->aborted) {
		MHD_destroy_response(response);
		return;
	}
	snprintf(version, sizeof version, "1.%d", API_VERSION_MAX);
	MHD_add_response_header(response, "Api-Version", version);
	MHD_add_response_header(response, "Docker-Experimental", "false");
	MHD_add_response_header(response, "Ostype", "linux");
	MHD_add_response_header(response, "Server", "coracle/" CORACLE_VERSION " (linux)");
	for (const struct api_extra_header *h = r->extra; h; h = h->next)
		MHD_add_response_header(response, h->name, h->value);
	r->response = response;
	r->status = status;
	metrics_request(r);
	if (r->phase == PHASE_WAIT)
		request_resume(r);
}

void api_reply(struct api_request *r, int status, const char *content_type, const void *p, size_t n)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
		n, memcpy(xmalloc(n + 1), p, n), free);

	if (content_type)
		MHD_add_response_header(response, "Content-Type", content_type);
	request_answer(request_of(r), (unsigned)status, response);
}

void api_reply_json(struct api_request *r, int status, const struct buf *json)
{
	if (json->overflow) {
		api_reply_message(r, 500, "the answer is larger than %u bytes",
				  (unsigned)json->max);
		return;
	}
	api_reply(r, status, "application/json", buf_text(json), json->n);
}

void api_reply_empty(struct api_request *r, int status)
{
	api_reply(r, status, NULL, "", 0);
}

static void reply_text(struct api_request *r, int status, const char *text)
{
	AUTO_BUF struct buf out = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&out);

	jw_obj(&w);
	jw_kv_str(&w, "message", text);
	jw_obj_end(&w);
	buf_addc(&out, '\n');
	api_reply_json(r, status, &out);
}

void api_reply_error(struct api_request *r, const struct err *e)
{
	if (e->kind == ERR_LATER && request_later(request_of(r)))
		return;
	if (err_kind_http(e->kind) >= 500 && e->kind != ERR_UNSUPPORTED)
		log_error("%s %s: %s", r->method, r->target.path, e->text);
	reply_text(r, err_kind_http(e->kind), e->text);
}

void api_reply_message(struct api_request *r, int status, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	reply_text(r, status, text);
}

void api_abort(struct api_request *p)
{
	struct request *r = request_of(p);

	r->aborted = true;
	request_resume(r);
}

/* ---- shared endings ---- */

void api_done_empty(void *ud, const struct err *e)
{
	struct api_request *r = ud;

	if (e)
		api_reply_error(r, e);
	else
		api_reply_empty(r, 204);
	api_drop(r);
}

void api_done_json(void *ud, const char *json, const struct err *e)
{
	struct api_request *r = ud;

	if (e)
		api_reply_error(r, e);
	else
		api_reply(r, 200, "application/json", json, strlen(json));
	api_drop(r);
}

void api_settle(struct api_request *r, int rc, const struct err *e)
{
	if (rc == 0)
		return;
	if (rc < 0)
		api_reply_error(r, e);
	else
		api_reply_empty(r, 304);
	api_drop(r);
}

void api_finish_json(struct api_request *r, int rc, const struct buf *json, const struct err *e)
{
	if (rc < 0)
		api_reply_error(r, e);
	else
		api_reply_json(r, 200, json);
}

void api_unsupported(struct api_request *r, const char *what)
{
	api_reply_message(r, 501, "%s is not supported yet by coracle", what);
}
