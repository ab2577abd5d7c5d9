/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracle-tls in front of the engine's tcp:// sockets. The engine keeps the listening socket too:
 * when a helper dies, clients wait in its queue until the next one takes them.
 */
#include "tls-helpers.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/banned.h"

#define READY_MS     10000
#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 60000
#define GOOD_RUN_NS  (10ll * 1000000000) /* after such a life the delay begins anew */
#define LISTENER_FD  3
#define ALIVE_FD     4

static int run(struct tls_helper *h)
{
	const char *argv[12] = {h->program, "serve", h->target, "--cert", h->cert, "--key", h->key};
	size_t n = 7;
	int ends[2];

	if (h->ca) {
		argv[n++] = "--ca";
		argv[n++] = h->ca;
		argv[n++] = "--verify";
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	const struct spawn_fd fds[] = {{2, 2}, {h->listener, LISTENER_FD}, {ends[0], ALIVE_FD}};
	struct spawn s = {
		.path = h->program, .argv = argv, .fds = fds, .nfds = 3, .new_session = true};
	int rc = spawn_start(&s, &h->process);

	close(ends[0]);
	if (rc < 0) {
		close(ends[1]);
		return rc;
	}
	h->alive = ends[1];
	h->began_ns = clock_mono_ns();
	return 0;
}

int tls_helper_start(struct tls_helper *h, const struct tls_helper_options *o, struct err *e)
{
	char byte;

	*h = (struct tls_helper){.program = xstrdup(o->program),
				 .target = xstrdup(o->target),
				 .cert = xstrdup(o->cert),
				 .key = xstrdup(o->key),
				 .ca = xstrdup(o->ca),
				 .listener = o->listener,
				 .alive = FD_NONE,
				 .process = {.pidfd = FD_NONE},
				 .delay_ms = DELAY_MIN_MS};
	int rc = run(h);
	if (rc < 0)
		return err_sys(e, rc, "start %s", h->program);
	struct pollfd ready = {.fd = h->alive, .events = POLLIN};
	if (poll(&ready, 1, READY_MS) != 1 || read(h->alive, &byte, 1) != 1)
		return err_set(e, ERR_INVALID,
			       "TLS with certificate %s and key %s does not work (see above)",
			       h->cert, h->key);
	return 0;
}

static void watch(struct tls_helper *h);

static void again(uv_timer_t *t)
{
	struct tls_helper *h = t->data;
	int rc = run(h);

	if (rc == 0) {
		log_info("%s runs again", h->program);
		watch(h);
		return;
	}
	log_error("start %s: %s", h->program, strerrordesc_np(-rc));
	h->delay_ms = MIN(2 * h->delay_ms, DELAY_MAX_MS);
	uv_timer_start(&h->timer, again, h->delay_ms, 0);
}

static void poll_closed(uv_handle_t *handle)
{
	struct tls_helper *h = handle->data;

	fd_close(&h->process.pidfd);
	if (!h->closing)
		uv_timer_start(&h->timer, again, h->delay_ms, 0);
}

static void on_end(uv_poll_t *p, int status, int events)
{
	struct tls_helper *h = p->data;
	int how = 0;

	if (spawn_wait(&h->process, true, &how) == -EAGAIN)
		return;
	uv_poll_stop(p);
	fd_close(&h->alive);
	h->delay_ms = clock_mono_ns() - h->began_ns >= GOOD_RUN_NS
			      ? DELAY_MIN_MS
			      : MIN(2 * h->delay_ms, DELAY_MAX_MS);
	if (WIFSIGNALED(how))
		log_warn("%s was ended by signal %d; the next one starts in %u ms", h->program,
			 WTERMSIG(how), h->delay_ms);
	else
		log_warn("%s ended with code %d; the next one starts in %u ms", h->program,
			 WEXITSTATUS(how), h->delay_ms);
	uv_close((uv_handle_t *)p, poll_closed);
}

static void watch(struct tls_helper *h)
{
	int rc = uv_poll_init(h->loop, &h->poll, h->process.pidfd);

	h->poll.data = h;
	if (rc < 0)
		log_error("%s cannot be watched: %s", h->program, uv_strerror(rc));
	else
		uv_poll_start(&h->poll, UV_READABLE, on_end);
	h->watched = rc == 0;
}

void tls_helper_watch(struct tls_helper *h, uv_loop_t *loop)
{
	h->loop = loop;
	uv_timer_init(loop, &h->timer);
	h->timer.data = h;
	watch(h);
}

void tls_helper_stop(struct tls_helper *h)
{
	h->closing = true;
	if (h->loop)
		uv_timer_stop(&h->timer);
	if (h->watched && !uv_is_closing((uv_handle_t *)&h->poll))
		uv_poll_stop(&h->poll);
	fd_close(&h->alive);
	/* The port is free at once, however long the helper takes to notice. */
	if (h->listener >= 0)
		shutdown(h->listener, SHUT_RDWR);
	fd_close(&h->listener);
	fd_close(&h->process.pidfd);
	free(h->program);
	free(h->target);
	free(h->cert);
	free(h->key);
	free(h->ca);
}
