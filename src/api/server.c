/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd inside the engine's loop. Each listening socket has a daemon without threads; its
 * epoll descriptor is a poll handle, its next time-out a timer, and MHD_run() does the work.
 * Requests that wait for the engine are suspended; resuming one arms the timer with 0, so
 * nothing here polls.
 */
#include "api/server.h"

#include "api/server-priv.h"
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

static void finish_if_idle(struct api_server *s)
{
	if (!s->stopping || s->handles > 0)
		return;
	free(s->daemons);
	if (s->stopped)
		s->stopped(s->stopped_ud);
	free(s);
}

void server_handle_closed(struct api_server *s)
{
	s->handles--;
	finish_if_idle(s);
}

static void watch_closed(uv_handle_t *h)
{
	struct watch *w = CONTAINER_OF(h, struct watch, poll);
	struct api_server *s = w->server;

	fd_close(&w->fd);
	free(w);
	server_handle_closed(s);
}

struct watch *watch_new(struct api_server *s, struct request *r, int fd)
{
	struct watch *w = NEW(struct watch);

	w->server = s;
	w->r = r;
	w->fd = fd;
	if (uv_poll_init(s->config.loop, &w->poll, fd) < 0) {
		fd_close(&w->fd);
		free(w);
		return NULL;
	}
	s->handles++;
	return w;
}

void watch_close(struct watch **w)
{
	if (*w) {
		(*w)->r = NULL;
		uv_close((uv_handle_t *)&(*w)->poll, watch_closed);
	}
	*w = NULL;
}

static void on_timer(uv_timer_t *t)
{
	server_run(CONTAINER_OF(t, struct api_daemon, timer));
}

/* Not inside the upgrade callback: libmicrohttpd holds a lock there that the close wants. */
static void release_upgraded(struct api_server *s)
{
	LIST_FOR_EACH (it, &s->upgraded) {
		struct request *r = LIST_ENTRY(it, struct request, upgraded);
		list_del(&r->upgraded);
		MHD_upgrade_action(r->urh, MHD_UPGRADE_ACTION_CLOSE);
		server_kick(s);
	}
}

void server_run(struct api_daemon *d)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (d->server->stopping)
		return;
	d->kicked = false;
	MHD_run(d->mhd);
	if (d->server->stopping)
		return;
	release_upgraded(d->server);
	if (d->kicked)
		uv_timer_start(&d->timer, on_timer, 0, 0);
	else if (MHD_get_timeout(d->mhd, &ms) == MHD_YES)
		uv_timer_start(&d->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&d->timer);
}

void server_kick(struct api_server *s)
{
	for (size_t i = 0; i < s->ndaemons && !s->stopping; i++) {
		s->daemons[i].kicked = true;
		uv_timer_start(&s->daemons[i].timer, on_timer, 0, 0);
	}
}

static void on_epoll(uv_poll_t *p, int status, int events)
{
	server_run(CONTAINER_OF(p, struct api_daemon, poll));
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **socket_cls,
			  enum MHD_ConnectionNotificationCode code)
{
	struct api_server *s = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		s->connections++;
		return;
	}
	if (s->connections-- == API_CONNECTIONS_MAX)
		accept_freed(s);
	if (s->connections == 0 && !s->stopping && s->config.on_idle)
		s->config.on_idle(s->config.ud);
}

PRINTF_FMT(2, 0)
static void on_log(void *cls, const char *fmt, va_list ap)
{
	char line[512];

	vsnprintf(line, sizeof line, fmt, ap);
	log_debug("http: %s", line);
}

/* Paths and queries are decoded by route.c, from the text as it came. */
static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
	return strlen(s);
}

static void listen_closed(uv_handle_t *h)
{
	struct api_daemon *d = CONTAINER_OF((uv_poll_t *)(void *)h, struct api_daemon, listen);

	fd_close(&d->fd);
	d->server->handles--;
	finish_if_idle(d->server);
}

static void daemon_closed(uv_handle_t *h)
{
	struct api_server *s = h->data;

	s->handles--;
	finish_if_idle(s);
}

static void close_daemon(struct api_daemon *d)
{
	d->poll.data = d->timer.data = d->again.data = d->server;
	uv_close((uv_handle_t *)&d->timer, daemon_closed);
	uv_close((uv_handle_t *)&d->again, daemon_closed);
	if (d->polls > 0)
		uv_close((uv_handle_t *)&d->poll, daemon_closed);
	if (d->polls > 1)
		uv_close((uv_handle_t *)&d->listen, listen_closed);
	MHD_stop_daemon(d->mhd);
}

static int start_daemon(struct api_server *s, struct api_daemon *d, int fd, struct err *e)
{
	const union MHD_DaemonInfo *info;

	d->server = s;
	d->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG,
		0, NULL, NULL, request_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_URI_LOG_CALLBACK, request_begin, s, MHD_OPTION_NOTIFY_COMPLETED,
		request_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)API_IDLE_TIMEOUT, MHD_OPTION_CONNECTION_LIMIT, API_CONNECTIONS_MAX + 1U,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(64U << 10), MHD_OPTION_END);
	if (!d->mhd)
		return err_set(e, ERR_SYSTEM, "cannot start the HTTP server");
	info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	uv_timer_init(s->config.loop, &d->timer);
	uv_timer_init(s->config.loop, &d->again);
	s->handles += 2;
	int rc = info ? uv_poll_init(s->config.loop, &d->poll, info->epoll_fd) : -EINVAL;
	d->polls += rc == 0;
	rc = rc < 0 ? rc : accept_start(d, fd);
	d->polls += rc == 0;
	s->handles += d->polls;
	if (rc < 0) {
		close_daemon(d); /* the caller keeps the socket */
		return err_sys(e, rc, "watch the HTTP server");
	}
	uv_poll_start(&d->poll, UV_READABLE, on_epoll);
	server_run(d);
	return 0;
}

int api_server_start_with(const struct api_config *config, const struct api_route *const *tables,
			  struct api_server **ret, struct err *e)
{
	struct api_server *s = NEW(struct api_server);

	s->config = *config;
	s->tables = tables;
	s->config.listen_fds = NULL;
	list_init(&s->requests);
	list_init(&s->upgraded);
	s->daemons = xcalloc(config->nlisten, sizeof *s->daemons);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < config->nlisten; i++) {
		if (start_daemon(s, &s->daemons[i], config->listen_fds[i], e) < 0) {
			api_server_stop(s, NULL, NULL);
			return -1;
		}
		s->ndaemons++;
	}
	*ret = s;
	return 0;
}

void api_server_stop(struct api_server *s, void (*stopped)(void *ud), void *ud)
{
	s->stopping = true;
	s->stopped = stopped;
	s->stopped_ud = ud;
	LIST_FOR_EACH (it, &s->requests) {
		struct request *r = LIST_ENTRY(it, struct request, entry);
		api_hold(&r->pub);
		request_gone(r);
		api_abort(&r->pub);
		api_drop(&r->pub);
	}
	release_upgraded(s);
	s->handles++; /* not before this function is done with s */
	for (size_t i = 0; i < s->ndaemons; i++)
		close_daemon(&s->daemons[i]);
	s->handles--;
	finish_if_idle(s);
}

size_t api_server_connections(const struct api_server *s)
{
	return s->connections;
}
