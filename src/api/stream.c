/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streaming answers: a queue between a producer in the loop and libmicrohttpd, which pulls. An
 * empty queue suspends the connection; above API_STREAM_HIGH the producer is told to stop and below
 * API_STREAM_LOW to go on.
 */
#include "api/server-priv.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define CHUNK_MAX (32U << 10)

static ssize_t pull(void *cls, uint64_t pos, char *out, size_t max)
{
	struct request *r = cls;
	bool was_in = r->in_mhd;

	if (r->aborted || r->queue.overflow || r->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	r->in_mhd = true;
	r->suspended = false;
	size_t n = MIN(max, r->queue.n - r->queue_at);
	if (n > 0) {
		memcpy(out, r->queue.p + r->queue_at, n);
		r->queue_at += n;
	}
	if (r->queue_at == r->queue.n) {
		buf_reset(&r->queue);
		r->queue_at = 0;
	}
	if (r->paused && r->queue.n - r->queue_at < API_STREAM_LOW) {
		r->paused = false;
		if (r->pub.on_drain && !r->ended)
			r->pub.on_drain(&r->pub);
	}
	r->in_mhd = was_in;
	if (n > 0)
		return (ssize_t)n;
	if (r->queue.n > r->queue_at)
		return pull(cls, pos, out, max); /* on_drain brought more */
	if (r->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	request_suspend(r);
	return 0;
}

void api_stream_start(struct api_request *p, int status, const char *content_type)
{
	struct request *r = request_of(p);
	struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
									  CHUNK_MAX, pull, r, NULL);

	if (r->streaming || r->response || r->phase >= PHASE_ANSWERED) {
		MHD_destroy_response(response);
		return;
	}
	r->streaming = true;
	if (content_type)
		MHD_add_response_header(response, "Content-Type", content_type);
	request_answer(r, (unsigned)status, response);
}

bool api_stream_started(const struct api_request *p)
{
	return request_of_const(p)->streaming;
}

size_t api_stream_queued(const struct api_request *p)
{
	const struct request *r = request_of_const(p);

	return r->queue.n - r->queue_at;
}

bool api_stream_write(struct api_request *p, const void *data, size_t n)
{
	struct request *r = request_of(p);

	if (api_is_gone(p) || r->ended || r->aborted)
		return false;
	/* Move what is left to the front only when most of the buffer is behind us. */
	if (r->queue_at > API_STREAM_HIGH / 2) {
		buf_drop(&r->queue, r->queue_at);
		r->queue_at = 0;
	}
	buf_add(&r->queue, data, n);
	if (r->phase == PHASE_ANSWERED)
		request_resume(r);
	r->paused |= api_stream_queued(p) > API_STREAM_HIGH;
	return !r->paused;
}

void api_stream_end(struct api_request *p)
{
	struct request *r = request_of(p);

	r->ended = true;
	if (r->phase == PHASE_ANSWERED)
		request_resume(r);
}

/* ---- from a descriptor ---- */

static void relay_stop(struct api_request *p)
{
	watch_close(&request_of(p)->relay);
}

static void on_relay(uv_poll_t *poll, int status, int events)
{
	struct watch *w = CONTAINER_OF(poll, struct watch, poll);
	struct request *r = w->r;
	char data[65536]; /* a whole pipe */

	ssize_t n = read(w->fd, data, sizeof data);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		watch_close(&r->relay);
		if (r->relay_end)
			r->relay_end(&r->pub);
		else
			api_stream_end(&r->pub);
		return;
	}
	api_stream_start(&r->pub, 200, r->relay_type); /* the first time */
	if (!api_stream_write(&r->pub, data, (size_t)n))
		uv_poll_stop(poll);
}

static void relay_go_on(struct api_request *p)
{
	struct request *r = request_of(p);

	if (r->relay)
		uv_poll_start(&r->relay->poll, UV_READABLE, on_relay);
}

void api_stream_from_fd(struct api_request *p, int fd, const char *content_type,
			void (*on_end)(struct api_request *r))
{
	struct request *r = request_of(p);

	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	r->relay = watch_new(r->server, r, fd);
	if (!r->relay) {
		api_abort(p);
		return;
	}
	r->relay_type = content_type;
	r->relay_end = on_end;
	p->on_drain = relay_go_on;
	if (!p->on_gone)
		p->on_gone = relay_stop;
	relay_go_on(p);
}
