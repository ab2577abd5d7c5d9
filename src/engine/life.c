/* SPDX-License-Identifier: Apache-2.0 */
/* A running container until it is gone: signals, stop, pause, the exit and what follows from it,
 * wait, removal. */
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "engine/engine-priv.h"
#include "engine/network.h"
#include "sys/fs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define RESTART_DELAY_MIN    (100ll * 1000000)
#define RESTART_DELAY_MAX    (60ll * 1000000000)
#define RESTART_GOOD_RUN     (10ll * 1000000000)
#define AUTO_REMOVE_TRIES    6
#define AUTO_REMOVE_AGAIN_MS 50ull

/* ---- hooks and waits ---- */

void exit_hook_add(struct container *c, exit_hook_fn fn, void *ud)
{
	struct exit_hook *h = NEW(struct exit_hook);

	h->fn = fn;
	h->ud = ud;
	list_add_tail(&c->hooks, &h->link);
}

static void run_hooks(struct container *c, const struct err *e)
{
	struct list ready;

	list_init(&ready);
	while (!list_empty(&c->hooks)) {
		struct list *it = c->hooks.next;

		list_del(it);
		list_add_tail(&ready, it);
	}
	while (!list_empty(&ready)) {
		struct exit_hook *h = LIST_ENTRY(ready.next, struct exit_hook, link);

		list_del(&h->link);
		h->fn(c, h->ud, e);
		free(h);
	}
}

static void wait_finish(struct engine_wait *w, int64_t code, const char *error, const struct err *e)
{
	list_del(&w->link);
	w->cb(w->ud, code, error, e);
	free(w);
}

void container_fail_hooks(struct container *c, const struct err *e)
{
	run_hooks(c, e);
	LIST_FOR_EACH (it, &c->waits)
		wait_finish(LIST_ENTRY(it, struct engine_wait, link), 0, "", e);
}

void wait_notify(struct container *c, bool removed)
{
	int64_t code = c->st.exit_code;

	/*
	 * No error text here, even when the start failed: the start call has reported it already,
	 * and Docker's command line would print it a second time.
	 */
	LIST_FOR_EACH (it, &c->waits) {
		struct engine_wait *w = LIST_ENTRY(it, struct engine_wait, link);

		if (!w->removed || removed)
			wait_finish(w, code, "", NULL);
	}
}

int engine_container_wait(struct engine *g, struct container *c, const char *condition,
			  engine_wait_fn cb, void *ud, struct engine_wait **ret_wait, struct err *e)
{
	struct engine_wait *w;
	bool removed = false, next = false;

	if (condition && strcmp(condition, "removed") == 0)
		removed = true;
	else if (condition && strcmp(condition, "next-exit") == 0)
		next = true;
	else if (condition && *condition && strcmp(condition, "not-running") != 0)
		return err_set(e, ERR_INVALID, "invalid condition: \"%s\"", condition);
	*ret_wait = NULL;
	if (!removed && !next && !c->st.running && !c->starting && !c->st.restarting) {
		cb(ud, c->st.exit_code, "", NULL);
		return 0;
	}
	w = NEW(struct engine_wait);
	*w = (struct engine_wait){.removed = removed, .next_exit = next, .cb = cb, .ud = ud};
	list_add_tail(&c->waits, &w->link);
	*ret_wait = w;
	return 0;
}

void engine_wait_cancel(struct engine_wait *w)
{
	list_del(&w->link);
	free(w);
}

/* ---- signals ---- */

struct done_call {
	engine_done_fn cb;
	void *ud;
};

static void done_answered(struct container *c, void *ud, const struct shim_message *m,
			  const struct err *e)
{
	struct done_call *d = ud;

	if (d->cb)
		d->cb(d->ud, e);
	free(d);
}

static int call_done(struct container *c, const struct shim_request *r, engine_done_fn cb, void *ud,
		     struct err *e)
{
	struct done_call *d = NEW(struct done_call);

	*d = (struct done_call){cb, ud};
	if (shim_call(c->shim, r, -1, done_answered, d, e) == 0)
		return 0;
	free(d);
	return -1;
}

int container_signal(struct container *c, int signo, engine_done_fn cb, void *ud, struct err *e)
{
	struct shim_request r = {.op = shim_op_name(SHIM_OP_SIGNAL), .signo = signo};
	char text[16];

	snprintf(text, sizeof(text), "%d", signo);
	if (call_done(c, &r, cb, ud, e) < 0)
		return -1;
	container_event(c, "kill", "signal", text, NULL);
	/* A frozen process must thaw to die. */
	if (c->st.paused && signo == SIGKILL) {
		struct shim_request resume = {.op = shim_op_name(SHIM_OP_RESUME)};
		struct err ignored = ERR_INIT;

		shim_call(c->shim, &resume, -1, NULL, NULL, &ignored);
		c->st.paused = false;
	}
	return 0;
}

int engine_container_kill(struct engine *g, struct container *c, const char *signal,
			  engine_done_fn cb, void *ud, struct err *e)
{
	int signo = signal && *signal ? signal_parse(signal) : SIGKILL;
	int stop = c->meta.config.stop_signal ? signal_parse(c->meta.config.stop_signal) : SIGTERM;
	uint64_t number;

	if (signo < 0 && num_parse_u64(signal, 1, INT32_MAX, &number) == 0)
		return err_set(e, ERR_INVALID, "the linux daemon does not support signal %s",
			       signal);
	if (signo < 0)
		return err_set(e, ERR_INVALID, "invalid signal: %s", signal);
	if (c->starting)
		return deferred_add(
			c, &(struct deferred_op){
				   .what = DEFERRED_KILL, .signal = signal, .cb = cb, .ud = ud});
	if (!c->st.running)
		return err_set(e, ERR_CONFLICT,
			       "cannot kill container: %s: container %s is not running", c->name,
			       c->id);
	if (signo == SIGKILL || signo == stop)
		c->st.manual_stop = true;
	return container_signal(c, signo, cb, ud, e);
}

/* ---- stop and restart ---- */

struct stop_op {
	struct container *c;
	uv_timer_t *timer;
	engine_done_fn cb;
	void *ud;
	bool killed;
};

static void stop_exited(struct container *c, void *ud, const struct err *e)
{
	struct stop_op *op = ud;

	engine_timer_free(&op->timer);
	if (!e)
		container_event(c, "stop", NULL);
	if (op->cb)
		op->cb(op->ud, e);
	free(op);
}

static void stop_timeout(uv_timer_t *t)
{
	struct stop_op *op = t->data;
	struct err e = ERR_INIT;

	if (container_signal(op->c, SIGKILL, NULL, NULL, &e) < 0)
		log_container(LOG_LEVEL_WARN, op->c->id, "cannot kill: %s", e.text);
}

static int begin_stop(struct container *c, const char *signal, int timeout_s, engine_done_fn cb,
		      void *ud, struct err *e)
{
	const char *name = signal && *signal ? signal : c->meta.config.stop_signal;
	int signo = name && *name ? signal_parse(name) : SIGTERM;
	int64_t timeout = timeout_s;
	struct stop_op *op;

	if (signo < 0)
		return err_set(e, ERR_INVALID, "invalid signal: %s", name);
	if (timeout_s == ENGINE_STOP_DEFAULT)
		timeout = c->meta.config.stop_timeout ? *c->meta.config.stop_timeout : 10;
	if (timeout == 0)
		signo = SIGKILL;
	c->st.manual_stop = !c->g->shutting_down;
	if (c->host.restart_policy.name && *c->host.restart_policy.name)
		container_save_state_log(c); /* a new engine must not start it again */
	if (container_signal(c, signo, NULL, NULL, e) < 0)
		return -1;
	op = NEW(struct stop_op);
	*op = (struct stop_op){.c = c, .cb = cb, .ud = ud};
	if (timeout > 0)
		op->timer = engine_timer(c->g, (uint64_t)timeout * 1000, stop_timeout, op);
	exit_hook_add(c, stop_exited, op);
	return 0;
}

int engine_container_stop(struct engine *g, struct container *c, const char *signal, int timeout_s,
			  engine_done_fn cb, void *ud, struct err *e)
{
	if (c->starting)
		return deferred_add(c, &(struct deferred_op){.what = DEFERRED_STOP,
							     .signal = signal,
							     .timeout_s = timeout_s,
							     .cb = cb,
							     .ud = ud});
	if (c->st.restarting && !c->st.running) {
		restart_cancel(c);
		c->st.manual_stop = true;
		container_save_state_log(c);
		wait_notify(c, false);
		cb(ud, NULL);
		return 0;
	}
	if (!c->st.running)
		return 1;
	return begin_stop(c, signal, timeout_s, cb, ud, e);
}

struct restart_op {
	struct engine *g;
	char id[ENGINE_ID_MAX];
	engine_done_fn cb;
	void *ud;
};

static void restart_started(void *ud, const struct err *e)
{
	struct restart_op *op = ud;
	struct container *c = container_by_id(op->g, op->id);

	if (!e && c)
		container_event(c, "restart", NULL);
	op->cb(op->ud, e);
	free(op);
}

static void restart_stopped(void *ud, const struct err *e)
{
	struct restart_op *op = ud;
	struct container *c = container_by_id(op->g, op->id);
	struct err own = ERR_INIT;

	if (!e && !c) {
		err_set(&own, ERR_NOT_FOUND, "No such container: %s", op->id);
		e = &own;
	}
	if (!e && container_start(c, restart_started, op, &own) == 0)
		return;
	op->cb(op->ud, e ? e : &own);
	free(op);
}

int engine_container_restart(struct engine *g, struct container *c, const char *signal,
			     int timeout_s, engine_done_fn cb, void *ud, struct err *e)
{
	struct restart_op *op;

	if (c->st.removing)
		return err_set(e, ERR_CONFLICT,
			       "container is marked for removal and cannot be started");
	if (c->starting)
		return deferred_add(c, &(struct deferred_op){.what = DEFERRED_RESTART,
							     .signal = signal,
							     .timeout_s = timeout_s,
							     .cb = cb,
							     .ud = ud});
	if (!c->st.running && engine_container_ready(g, c, e) < 0)
		return -1;
	op = NEW(struct restart_op);
	*op = (struct restart_op){.g = g, .cb = cb, .ud = ud};
	snprintf(op->id, sizeof(op->id), "%s", c->id);
	if (!c->st.running) {
		restart_cancel(c);
		return container_start(c, restart_started, op, e);
	}
	/* --rm containers stay when they are restarted: nobody may remove them between. */
	if (begin_stop(c, signal, timeout_s, restart_stopped, op, e) < 0) {
		free(op);
		return -1;
	}
	return 0;
}

/* ---- pause, resize ---- */

struct pause_op {
	bool pause;
	engine_done_fn cb;
	void *ud;
};

static void pause_answered(struct container *c, void *ud, const struct shim_message *m,
			   const struct err *e)
{
	struct pause_op *op = ud;

	if (!e) {
		c->st.paused = op->pause;
		container_save_state_log(c);
		container_event(c, op->pause ? "pause" : "unpause", NULL);
	}
	op->cb(op->ud, e);
	free(op);
}

static int pause_call(struct container *c, bool pause, engine_done_fn cb, void *ud, struct err *e)
{
	struct shim_request r = {.op = shim_op_name(pause ? SHIM_OP_PAUSE : SHIM_OP_RESUME)};
	struct pause_op *op = NEW(struct pause_op);

	*op = (struct pause_op){pause, cb, ud};
	if (shim_call(c->shim, &r, -1, pause_answered, op, e) == 0)
		return 0;
	free(op);
	return -1;
}

int engine_container_pause(struct engine *g, struct container *c, engine_done_fn cb, void *ud,
			   struct err *e)
{
	if (!c->st.running)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (c->st.paused)
		return err_set(e, ERR_CONFLICT, "container %s is already paused", c->id);
	return pause_call(c, true, cb, ud, e);
}

int engine_container_unpause(struct engine *g, struct container *c, engine_done_fn cb, void *ud,
			     struct err *e)
{
	if (!c->st.paused)
		return err_set(e, ERR_CONFLICT, "Container %s is not paused", c->id);
	return pause_call(c, false, cb, ud, e);
}

int engine_container_resize(struct engine *g, struct container *c, unsigned h, unsigned w,
			    struct err *e)
{
	struct shim_request r = {.op = shim_op_name(SHIM_OP_RESIZE), .h = h, .w = w};
	char ht[16], wt[16];

	if (!c->st.running)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (shim_call(c->shim, &r, -1, NULL, NULL, e) < 0)
		return -1;
	snprintf(ht, sizeof(ht), "%u", h);
	snprintf(wt, sizeof(wt), "%u", w);
	container_event(c, "resize", "height", ht, "width", wt, NULL);
	return 0;
}

/* ---- the exit ---- */

void container_clean_run(struct container *c)
{
	static const char *const files[] = {SHIM_CONFIG_FILE, SHIM_BUNDLE_FILE, SHIM_SOCKET_FILE,
					    SHIM_STATE_FILE, SHIM_EXIT_FILE};
	AUTO_FREE char *path = container_run_path(c, NULL);
	AUTO_FD int dir = fs_open_dir(path);

	if (dir < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(dir, files[i], 0);
	if (rmdir(path) < 0 && errno != ENOENT) {
		AUTO_FREE char *parent = xasprintf("%s/containers", c->g->run_dir);
		AUTO_FD int pfd = fs_open_dir(parent);

		if (pfd >= 0)
			fs_remove_tree(pfd, c->id);
	}
}

static bool failed_with_retries_left(const struct container *c)
{
	const struct restart_policy *p = &c->host.restart_policy;

	return c->st.exit_code != 0 &&
	       (p->maximum_retry_count == 0 || c->st.restart_count < p->maximum_retry_count);
}

/* What a user stopped stays stopped while this engine runs, whatever the policy. */
static bool should_restart(const struct container *c)
{
	const struct restart_policy *p = &c->host.restart_policy;
	const char *name = p->name ? p->name : "no";

	if (c->st.manual_stop || c->st.removing || c->g->closing)
		return false;
	if (strcmp(name, "always") == 0 || strcmp(name, "unless-stopped") == 0)
		return true;
	return strcmp(name, "on-failure") == 0 && failed_with_retries_left(c);
}

/*
 * At the start of an engine Docker starts again what ran before with a policy that says so: with
 * "always" even what a user had stopped; with "on-failure" what ended with an error, as everything
 * does that ran when the machine went down, and has retries left. A container that never ran is
 * left alone. (docs/restart-policies.md)
 */
bool restart_wanted_at_boot(const struct container *c)
{
	const char *name = c->host.restart_policy.name ? c->host.restart_policy.name : "";

	if (!c->st.started || c->st.dead)
		return false;
	if (strcmp(name, "always") == 0)
		return true;
	if (c->st.manual_stop)
		return false;
	return strcmp(name, "unless-stopped") == 0 ||
	       (strcmp(name, "on-failure") == 0 && failed_with_retries_left(c));
}

void restart_cancel(struct container *c)
{
	engine_timer_free(&c->restart_timer);
	c->st.restarting = false;
}

static void restart_now(uv_timer_t *t)
{
	struct container *c = t->data;
	struct err e = ERR_INIT;

	engine_timer_free(&c->restart_timer);
	if (engine_container_ready(c->g, c, &e) < 0)
		c->restart_timer = engine_timer(c->g, ENGINE_READY_MS, restart_now, c);
	else
		container_start(c, NULL, NULL, &e);
}

static void plan_restart(struct container *c)
{
	int64_t ran = c->st.finished_at - c->st.started_at;

	if (c->restart_delay_ns == 0 || ran > RESTART_GOOD_RUN)
		c->restart_delay_ns = RESTART_DELAY_MIN;
	else
		c->restart_delay_ns = MIN(c->restart_delay_ns * 2, RESTART_DELAY_MAX);
	c->st.restarting = true;
	if (c->g->shutting_down)
		return; /* the next engine starts it */
	c->st.restart_count++;
	c->restart_timer = engine_timer(c->g, (uint64_t)(c->restart_delay_ns / 1000000),
					restart_now, c);
}

static void shim_left(struct container *c, void *ud, const struct shim_message *m,
		      const struct err *e)
{
	c->leaving = false;
	shim_drop(c);
	if (c->start_waits && !c->g->closing)
		container_start_go_on(c);
}

/*
 * It tells of the exit before it removes the control groups, so that nobody waits for that, and
 * answers this afterwards. A next start has to wait: its groups have the same names, and the first
 * process in them would be taken for a remnant and killed.
 */
static void tell_shim_to_leave(struct container *c)
{
	struct shim_request r = {.op = shim_op_name(SHIM_OP_QUIT)};
	struct err e = ERR_INIT;

	if (!c->shim)
		return;
	c->leaving = shim_call(c->shim, &r, -1, shim_left, NULL, &e) == 0;
	if (!c->leaving)
		shim_drop(c);
}

static void remove_again(uv_timer_t *t)
{
	struct container *c = t->data;

	engine_timer_free(&c->restart_timer);
	container_auto_remove(c);
}

void container_auto_remove(struct container *c)
{
	struct err e = ERR_INIT;

	if (engine_container_remove(c->g, c, true, true, false, NULL, NULL, &e) == 0)
		return;
	log_container(LOG_LEVEL_ERROR, c->id, "cannot remove: %s", e.text);
	if (c->removals++ < AUTO_REMOVE_TRIES) {
		c->restart_timer = engine_timer(c->g, AUTO_REMOVE_AGAIN_MS << c->removals,
						remove_again, c);
		return;
	}
	/* Who waits for the removal would wait for ever. */
	LIST_FOR_EACH (it, &c->waits)
		wait_finish(LIST_ENTRY(it, struct engine_wait, link), c->st.exit_code, e.text,
			    NULL);
}

void container_exited(struct container *c, int64_t code, bool oom, int64_t finished_at)
{
	struct engine *g = c->g;
	char id[ENGINE_ID_MAX], text[32], duration[32];

	trace_point("exit: reported");
	snprintf(id, sizeof(id), "%s", c->id);
	c->st.running = c->st.paused = false;
	c->st.pid = 0;
	c->st.exit_code = code;
	if (oom && !c->st.oom_killed)
		container_event(c, "oom", NULL);
	c->st.oom_killed = c->st.oom_killed || oom;
	c->st.finished_at = finished_at ? finished_at : clock_now_ns();
	health_stop(c);
	exec_container_gone(c);
	endpoints_down(c);
	if (should_restart(c))
		plan_restart(c);
	container_save_state_log(c);
	tell_shim_to_leave(c);
	container_clean_run(c);
	snprintf(text, sizeof(text), "%lld", (long long)code);
	snprintf(duration, sizeof(duration), "%lld",
		 (long long)MAX(0, (c->st.finished_at - c->st.started_at) / 1000000000));
	container_event(c, "die", "execDuration", duration, "exitCode", text, NULL);
	mounts_events(c, false);
	volumes_unmount(c);
	if (!c->st.restarting)
		logs_container_ended(c);
	run_hooks(c, NULL);
	c = container_by_id(g, id);
	if (!c)
		return;
	if (!c->starting)
		wait_notify(c, false);
	c = container_by_id(g, id);
	if (c && c->host.auto_remove && !c->st.running && !c->starting && !c->st.restarting &&
	    !c->st.removing) {
		container_auto_remove(c);
	}
	trace_point("exit: done");
}

void container_on_message(struct container *c, const struct shim_message *m)
{
	switch (shim_event_parse(m->event)) {
	case SHIM_EV_EXITED:
		container_exited(c, m->code, m->oom, m->finished_at);
		break;
	case SHIM_EV_HELLO:
		if (!c->adopting)
			break;
		c->adopting = false;
		if (strcmp(m->state, SHIM_STATE_EXITED) == 0) {
			container_exited(c, m->code, m->oom, m->finished_at);
		} else if (strcmp(m->state, SHIM_STATE_CREATED) == 0) {
			recover_lost(c); /* the old engine died before it said start */
		} else {
			c->st.running = c->st.started = true;
			c->st.paused = strcmp(m->state, SHIM_STATE_PAUSED) == 0;
			c->st.pid = m->pid;
			c->st.started_at = m->started_at;
			container_save_state_log(c);
			health_resume(c);
		}
		break;
	case SHIM_EV_ATTACH_DONE:
		if (m->reason && strcmp(m->reason, SHIM_REASON_DETACH) == 0)
			container_event(c, "detach", NULL);
		break;
	case SHIM_EV_EXEC_EXITED:
		exec_exited(c, m->id, m->code);
		break;
	case SHIM_EV_OOM:
		c->st.oom_killed = true;
		container_event(c, "oom", NULL);
		break;
	case SHIM_EV_NOTICE:
		log_container(LOG_LEVEL_WARN, c->id, "%s", m->reason ? m->reason : "");
		break;
	default:
		break;
	}
}

void container_on_gone(struct container *c)
{
	struct engine *g = c->g;
	char id[ENGINE_ID_MAX];

	snprintf(id, sizeof(id), "%s", c->id);
	shim_drop(c); /* answers a pending start with an error */
	c = container_by_id(g, id);
	if (c && !g->closing && (c->st.running || c->adopting)) {
		struct err e = ERR_INIT;

		/* A shim that lives gave up a connection, nothing more: its hello tells how it is.
		 */
		c->adopting = shim_connect(c, &e) == 0;
		if (c->adopting)
			return;
		log_container(LOG_LEVEL_WARN, c->id, "its shim is gone");
		recover_lost(c);
	}
}

/* ---- removal ---- */

struct remove_op {
	bool volumes;
	engine_done_fn cb;
	void *ud;
};

static int finish_remove(struct container *c, bool volumes, struct err *e)
{
	struct engine *g = c->g;

	restart_cancel(c);
	shim_drop(c);
	container_clean_run(c);
	if (store_container_delete(g->store, c->id, e) < 0) {
		c->st.removing = false;
		c->st.dead = true;
		return err_wrap(e, "unable to remove container %s", c->id);
	}
	logs_container_ended(c);
	container_event(c, "destroy", NULL);
	mounts_release(c, volumes);
	wait_notify(c, true);
	container_unlink(c);
	engine_trash(g);
	trace_point("removed");
	return 0;
}

static void remove_exited(struct container *c, void *ud, const struct err *e)
{
	struct remove_op *op = ud;
	struct err own = ERR_INIT;

	if (!e && finish_remove(c, op->volumes, &own) < 0)
		e = &own;
	if (op->cb)
		op->cb(op->ud, e);
	free(op);
}

int engine_container_remove(struct engine *g, struct container *c, bool force, bool volumes,
			    bool link, engine_done_fn cb, void *ud, struct err *e)
{
	struct remove_op *op;

	if (link)
		return err_set(e, ERR_UNSUPPORTED,
			       "container links (--link) are not built in coracle yet");
	if (c->st.removing)
		return err_set(e, ERR_CONFLICT, "removal of container %s is already in progress",
			       c->id);
	if (c->starting)
		return deferred_add(c, &(struct deferred_op){.what = DEFERRED_REMOVE,
							     .force = force,
							     .volumes = volumes,
							     .cb = cb,
							     .ud = ud});
	if (!force && c->st.paused)
		return err_set(e, ERR_CONFLICT,
			       "cannot remove container \"/%s\": container is paused and must be "
			       "unpaused first",
			       c->name);
	if (!force && (c->st.running || c->st.restarting))
		return err_set(e, ERR_CONFLICT,
			       "cannot remove container \"/%s\": container is %s: stop the "
			       "container before removing or force remove",
			       c->name, container_status_name(c));
	if (!c->st.running) {
		if (finish_remove(c, volumes, e) < 0)
			return -1;
		if (cb)
			cb(ud, NULL);
		return 0;
	}
	c->st.removing = true;
	c->st.manual_stop = true;
	if (container_signal(c, SIGKILL, NULL, NULL, e) < 0) {
		/* a shim that has just died took the container with it: the end of its connection
		 * is read next, and is the exit this waits for */
		if (!c->shim || (e->sys != EPIPE && e->sys != ECONNRESET)) {
			c->st.removing = false;
			return -1;
		}
		err_clear(e);
	}
	op = NEW(struct remove_op);
	*op = (struct remove_op){volumes, cb, ud};
	exit_hook_add(c, remove_exited, op);
	return 0;
}
