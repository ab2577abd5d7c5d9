/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a container while it starts: as with Docker, whose container is locked then, it
 * waits for the start to end instead of failing.
 */
#include "engine/engine-priv.h"

#include "base/banned.h"

struct deferred {
	struct list link;
	struct deferred_op op;
	char *signal; /* op.signal, owned */
};

int deferred_add(struct container *c, const struct deferred_op *op)
{
	struct deferred *d = NEW(struct deferred);

	d->op = *op;
	d->op.signal = d->signal = xstrdup(op->signal);
	list_add_tail(&c->after_start, &d->link);
	return 0;
}

static void answer(struct deferred *d, const struct err *e)
{
	list_del(&d->link);
	if (d->op.cb)
		d->op.cb(d->op.ud, e);
	free(d->signal);
	free(d);
}

/* 0: its own callback answers; 1: there was nothing to do. */
static int carry_out(struct engine *g, struct container *c, const struct deferred_op *op,
		     struct err *e)
{
	switch (op->what) {
	case DEFERRED_REMOVE:
		return engine_container_remove(g, c, op->force, op->volumes, false, op->cb, op->ud,
					       e);
	case DEFERRED_STOP:
		return engine_container_stop(g, c, op->signal, op->timeout_s, op->cb, op->ud, e);
	case DEFERRED_RESTART:
		return engine_container_restart(g, c, op->signal, op->timeout_s, op->cb, op->ud, e);
	case DEFERRED_KILL:
		break;
	}
	return engine_container_kill(g, c, op->signal, op->cb, op->ud, e);
}

void deferred_take(struct container *c, struct list *ret)
{
	list_init(ret);
	LIST_FOR_EACH (it, &c->after_start) {
		list_del(it);
		list_add_tail(ret, it);
	}
}

void deferred_run(struct engine *g, const char *id, struct list *ops)
{
	while (!list_empty(ops)) {
		struct deferred *d = LIST_ENTRY(ops->next, struct deferred, link);
		struct container *c;
		struct err e = ERR_INIT;
		int rc;

		c = engine_container_get(g, id, &e); /* an earlier one may have removed it */
		rc = c ? carry_out(g, c, &d->op, &e) : -1;
		if (rc == 0)
			d->op.cb = NULL;
		answer(d, rc < 0 ? &e : NULL);
	}
}

void deferred_fail(struct container *c, const struct err *e)
{
	LIST_FOR_EACH (it, &c->after_start)
		answer(LIST_ENTRY(it, struct deferred, link), e);
}
