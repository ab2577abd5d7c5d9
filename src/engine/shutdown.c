/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an engine whose containers end with it (live-restore off). */
#include "base/log.h"
#include "engine/engine-priv.h"

#include <signal.h>

#include "base/banned.h"

#define STOP_DEFAULT_S 10
#define GRACE_S	       5    /* beyond the longest time-out of a container */
#define KILL_MS	       3000 /* for what was killed to be gone */

struct shutdown {
	struct engine *g;
	size_t left;
	bool killed, starting; /* starting: still asking, do not finish yet */
	uv_timer_t *timer;
	void (*done)(void *ud);
	void *ud;
};

static void tell(struct shutdown *s)
{
	void (*done)(void *ud) = s->done;

	s->done = NULL;
	if (done)
		done(s->ud);
}

static void finish(struct shutdown *s)
{
	engine_timer_free(&s->timer);
	tell(s);
	free(s);
}

static void stopped(void *ud, const struct err *e)
{
	struct shutdown *s = ud;

	if (e)
		log_warn("shutdown: %s", e->text);
	if (--s->left == 0 && !s->starting)
		finish(s);
}

static void on_timeout(uv_timer_t *t)
{
	struct shutdown *s = t->data;
	struct err e = ERR_INIT;

	engine_timer_free(&s->timer);
	if (s->killed) {
		log_warn("shutdown: containers did not even end when killed");
		tell(s); /* the stops end when the engine closes */
		return;
	}
	log_warn("shutdown: time is over, killing what still runs");
	s->killed = true;
	LIST_FOR_EACH (it, &s->g->order) {
		struct container *c = LIST_ENTRY(it, struct container, link);

		if (c->st.running)
			container_signal(c, SIGKILL, NULL, NULL, &e);
	}
	s->timer = engine_timer(s->g, KILL_MS, on_timeout, s);
}

/* Seconds for all of it; -1 for ever. */
static int64_t time_for_all(const struct engine *g)
{
	int64_t all = *g->config->shutdown_timeout;

	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		int64_t own = c->meta.config.stop_timeout ? *c->meta.config.stop_timeout
							  : STOP_DEFAULT_S;

		if (!c->st.running || all < 0)
			continue;
		if (own < 0)
			return -1;
		if (c->meta.config.stop_timeout && own + GRACE_S > all)
			all = own + GRACE_S;
	}
	return all;
}

void engine_shutdown(struct engine *g, void (*done)(void *ud), void *ud)
{
	struct shutdown *s = NEW(struct shutdown);
	int64_t seconds = time_for_all(g);

	*s = (struct shutdown){.g = g, .done = done, .ud = ud, .starting = true};
	g->shutting_down = true;
	LIST_FOR_EACH (it, &g->order) {
		struct container *c = LIST_ENTRY(it, struct container, link);
		struct err e = ERR_INIT;
		int rc;

		engine_timer_free(&c->restart_timer); /* its policy applies at the next start */
		if (!c->st.running)
			continue;
		s->left++;
		rc = engine_container_stop(g, c, NULL, ENGINE_STOP_DEFAULT, stopped, s, &e);
		if (rc == 0)
			continue;
		s->left--;
		if (rc < 0)
			log_warn("shutdown: container %.12s: %s", c->id, e.text);
	}
	s->starting = false;
	if (s->left == 0)
		finish(s);
	else if (seconds >= 0)
		s->timer = engine_timer(g, (uint64_t)seconds * 1000, on_timeout, s);
}
