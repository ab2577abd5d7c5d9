/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hijacked connections. A client that asked for an upgrade gets 101 and its raw socket goes on as a
 * duplicate; libmicrohttpd then closes its own descriptor without shutdown(2), which leaves the
 * duplicate's connection alone. A client that did not ask (old "plain hijack") cannot be served
 * that way by libmicrohttpd: it gets 200 and the output as a chunked body through a socket pair.
 * Its input is what it writes behind the request: while libmicrohttpd answers it does not read, so
 * we do, from a duplicate (docs/adr/0006-http-server.md).
 */
#include "api/server-priv.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

/*
 * Python's clients read the header through a buffer and the stream past it: what is there together
 * with the header they lose. dockerd is slow enough, we wait until theirs is read.
 */
#define SETTLE_MS    1
#define SETTLE_TURNS 500

struct settling {
	uv_timer_t timer;
	struct request *r;
	int fd;
	char *extra;
	size_t n;
	unsigned turns;
};

static bool reads_ahead(const struct request *r)
{
	const char *agent = api_header(&r->pub, "User-Agent");

	return agent &&
	       (str_starts(agent, "docker-sdk-python/") || str_starts(agent, "docker-compose/1."));
}

static void settling_closed(uv_handle_t *h)
{
	free(CONTAINER_OF((uv_timer_t *)(void *)h, struct settling, timer));
}

static void on_settling(uv_timer_t *t)
{
	struct settling *s = CONTAINER_OF(t, struct settling, timer);
	int left = 0;

	if (ioctl(s->fd, SIOCOUTQ, &left) == 0 && left > 0 && s->turns++ < SETTLE_TURNS)
		return;
	uv_timer_stop(t);
	s->r->hijack(&s->r->pub, TAKE_FD(s->fd), s->extra, s->n);
	api_drop(&s->r->pub);
	uv_close((uv_handle_t *)t, settling_closed);
}

static void settle_first(struct request *r, int fd, const char *extra, size_t n)
{
	struct settling *s = NEW(struct settling);

	*s = (struct settling){.r = r, .fd = fd, .n = n};
	s->extra = arena_strndup(r->pub.arena, extra ? extra : "", n);
	api_hold(&r->pub);
	uv_timer_init(r->server->config.loop, &s->timer);
	uv_timer_start(&s->timer, on_settling, 0, SETTLE_MS);
}

static void on_upgraded(void *cls, struct MHD_Connection *conn, void *con_cls, const char *extra,
			size_t n, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
	struct request *r = cls;
	int fd = TAKE_FD(r->hijack_fd);

	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (r->ahead)
		settle_first(r, fd, extra, n);
	else
		r->hijack(&r->pub, fd, extra, n);
	r->urh = urh;
	list_add_tail(&r->server->upgraded, &r->upgraded);
}

/* ---- clients without upgrade ---- */

#define INPUT_MAX (32U << 10)

struct relay_input {
	struct watch *from, *to; /* the client; our end of the socket pair */
	char data[INPUT_MAX];
	size_t n, at;
};

void relay_input_stop(struct request *r)
{
	if (!r->input)
		return;
	watch_close(&r->input->from);
	watch_close(&r->input->to);
}

static void on_input(uv_poll_t *poll, int status, int events);

static void on_room(uv_poll_t *poll, int status, int events)
{
	struct watch *w = CONTAINER_OF(poll, struct watch, poll);
	struct request *r = w->r;
	struct relay_input *in = r->input;
	ssize_t n = send(w->fd, in->data + in->at, in->n - in->at, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		uv_poll_start(poll, UV_WRITABLE, on_room);
		return;
	}
	if (n < 0) { /* nobody reads any more */
		relay_input_stop(r);
		return;
	}
	in->at += (size_t)n;
	if (in->at < in->n) {
		uv_poll_start(poll, UV_WRITABLE, on_room);
		return;
	}
	uv_poll_stop(poll);
	uv_poll_start(&in->from->poll, UV_READABLE, on_input);
}

static void on_input(uv_poll_t *handle, int status, int events)
{
	struct watch *w = CONTAINER_OF(handle, struct watch, poll);
	struct request *r = w->r;
	struct relay_input *in = r->input;
	ssize_t n = recv(w->fd, in->data, sizeof(in->data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		struct pollfd p = {.fd = w->fd};

		shutdown(in->to->fd, SHUT_WR);
		relay_input_stop(r);
		/* Both halves closed: it left. Over TCP only the next write tells. */
		if (n < 0 || (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))) {
			api_hold(&r->pub);
			request_gone(r);
			request_resume(r);
			api_drop(&r->pub);
		}
		return;
	}
	in->n = (size_t)n;
	in->at = 0;
	uv_poll_stop(handle);
	on_room(&in->to->poll, 0, UV_WRITABLE);
}

/* False: without input the stream still has its output. */
static bool relay_input_start(struct request *r, int out)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	int from = info ? fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 3) : -1;
	int to = fcntl(out, F_DUPFD_CLOEXEC, 3);

	r->input = arena_alloc(r->pub.arena, sizeof(*r->input));
	r->input->from = from >= 0 ? watch_new(r->server, r, from) : NULL;
	r->input->to = to >= 0 ? watch_new(r->server, r, to) : NULL;
	if (!r->input->from || !r->input->to) {
		relay_input_stop(r);
		return false;
	}
	watch_close(&r->client);
	uv_poll_start(&r->input->from->poll, UV_READABLE, on_input);
	return true;
}

static void relay_start(struct request *r, const char *content_type)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		api_reply_message(&r->pub, 500, "cannot relay the stream: %s", strerror(errno));
		return;
	}
	if (!relay_input_start(r, fds[0]))
		shutdown(fds[0], SHUT_WR);
	/* What follows the request is no further request. */
	api_reply_header(&r->pub, "Connection", "close");
	api_stream_start(&r->pub, 200, content_type);
	api_stream_from_fd(&r->pub, fds[0], content_type, NULL);
	r->hijack(&r->pub, fds[1], "", 0);
}

static bool wants_upgrade(const struct request *r)
{
	const char *upgrade = api_header(&r->pub, "Upgrade");

	return upgrade && strcasecmp(upgrade, "tcp") == 0;
}

void api_hijack(struct api_request *p, const char *content_type, bool at_once, api_hijack_fn fn)
{
	struct request *r = request_of(p);

	r->hijack = fn;
	if (!wants_upgrade(r)) {
		relay_start(r, content_type);
		return;
	}
	/* Before the header is out: afterwards nobody could be told that it failed. */
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	r->hijack_fd = info ? fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 3) : FD_NONE;
	if (r->hijack_fd < 0) {
		api_reply_message(&r->pub, 500, "cannot keep the connection: %s",
				  strerrordesc_np(errno));
		return;
	}
	r->ahead = at_once && reads_ahead(r);
	struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, r);
	MHD_add_response_header(response, "Upgrade", "tcp");
	MHD_add_response_header(response, "Content-Type", content_type);
	request_answer(r, MHD_HTTP_SWITCHING_PROTOCOLS, response);
}
