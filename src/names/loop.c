/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: epoll, deadlines, and the end. */
#include "base/clock.h"
#include "names/names-priv.h"

#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/banned.h"

#define EVENTS 64

int64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

int source_watch(struct server *s, struct source *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, src->fd, &ev) < 0 ? -errno : 0;
}

void source_change(struct server *s, struct source *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	epoll_ctl(s->epoll, EPOLL_CTL_MOD, src->fd, &ev);
}

void source_close(struct server *s, struct source *src)
{
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, src->fd, NULL); /* others may have its file open */
	fd_close(&src->fd);
	list_add_tail(&s->graves, &src->grave);
}

static void bury(struct server *s)
{
	LIST_FOR_EACH (it, &s->graves) {
		list_del(it);
		free(LIST_ENTRY(it, struct source, grave));
	}
}

/* How long the loop may sleep; the lists have their first deadline in front. */
static int sleep_ms(const struct server *s, int64_t now)
{
	int64_t at = now + 60000;

	if (!list_empty(&s->forwards))
		at = MIN(at, LIST_ENTRY(s->forwards.next, struct forward, by_time)->deadline);
	if (!list_empty(&s->conns))
		at = MIN(at,
			 LIST_ENTRY(s->conns.next, struct conn, by_age)->used_at + CONN_IDLE_MS);
	if (s->unused_since)
		at = MIN(at, s->unused_since + UNUSED_MS);
	return (int)(MAX(at - now, 0) + (at > now));
}

static void check_use(struct server *s, int64_t now)
{
	if (s->control || map_count(s->resolvers) > 0)
		s->unused_since = 0;
	else if (!s->unused_since)
		s->unused_since = now;
	else if (now - s->unused_since >= UNUSED_MS)
		s->quit = true;
}

static void dispatch(struct server *s, const struct epoll_event *ev, int n, bool control)
{
	for (int i = 0; i < n; i++) {
		struct source *src = ev[i].data.ptr;

		if (src->fd >= 0 && control == (s->control && src == &s->control->src))
			src->ready(s, src, ev[i].events);
	}
}

static int loop(struct server *s, struct err *e)
{
	struct epoll_event ev[EVENTS];

	while (!s->quit) {
		int n = epoll_wait(s->epoll, ev, EVENTS, sleep_ms(s, now_ms()));
		int64_t now;

		if (n < 0 && errno != EINTR)
			return err_sys(e, -errno, "epoll_wait");
		/* The engine first: what it said before a question came is true for the answer. */
		dispatch(s, ev, n, true);
		dispatch(s, ev, n, false);
		now = now_ms();
		forwards_expire(s, now);
		conns_expire(s, now);
		check_use(s, now);
		bury(s);
	}
	return 0;
}

/* A dozen descriptors per container. */
static void raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int names_main(int listen_fd, struct err *e)
{
	struct server *s = NEW(struct server);
	int rc;

	raise_limit();
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0) {
		free(s);
		return err_sys(e, -errno, "epoll_create1");
	}
	s->listen = (struct source){.fd = listen_fd, .ready = control_accept_ready};
	s->zones = zones_new();
	s->resolvers = map_new();
	list_init(&s->forwards);
	list_init(&s->conns);
	list_init(&s->graves);
	rc = source_watch(s, &s->listen, EPOLLIN);
	if (rc < 0)
		err_sys(e, rc, "epoll");
	else
		rc = names_confine(e) < 0 ? -1 : loop(s, e);
	/* The process ends here; what it holds goes with it. */
	return rc < 0 ? -1 : 0;
}
