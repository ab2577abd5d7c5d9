/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks: a probe runs as an exec every interval; its output is caught through a socket
 * pair. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine-priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

#define SECOND		  1000000000ll
#define HEALTH_OUTPUT_MAX 4096

struct probe {
	struct engine *g;
	char cid[ENGINE_ID_MAX], exec_id[ENGINE_ID_MAX];
	uint64_t generation;
	int fd;
	uv_poll_t *poll; /* of fd */
	uv_timer_t *timeout;
	int64_t start;
	bool timed_out, truncated;
	char output[HEALTH_OUTPUT_MAX + 4];
	size_t n;
};

static void schedule(struct container *c);

static int64_t or_default(int64_t v, int64_t d)
{
	return v > 0 ? v : d;
}

static void add_entry(struct health *h, int64_t start, int64_t code, char *output)
{
	if (h->nlog == HEALTH_LOG_MAX) {
		free((void *)(uintptr_t)h->log[0].output);
		memmove(&h->log[0], &h->log[1], sizeof(h->log[0]) * (HEALTH_LOG_MAX - 1));
		h->nlog--;
	}
	h->log[h->nlog++] = (struct health_entry){start, clock_now_ns(), code, output};
}

static void set_status(struct container *c, const char *status)
{
	AUTO_FREE char *action = xasprintf("health_status: %s", status);

	if (strcmp(c->health.status, status) == 0)
		return;
	c->health.status = status;
	container_event(c, action, NULL);
}

static void probe_result(struct container *c, int64_t start, int64_t code, char *output)
{
	const struct healthcheck *hc = c->meta.config.healthcheck;
	struct health *h = &c->health;
	bool grace = clock_now_ns() - c->st.started_at < hc->start_period;

	add_entry(h, start, code, output);
	if (code == 0) {
		h->failing = 0;
		set_status(c, "healthy");
	} else if (!grace || strcmp(h->status, "starting") != 0) {
		h->failing++;
		if (h->failing >= or_default(hc->retries, 3))
			set_status(c, "unhealthy");
	}
	container_save_state_log(c);
	schedule(c);
}

static void poll_closed(uv_handle_t *h)
{
	free(h);
}

static void probe_free(struct probe *p)
{
	engine_timer_free(&p->timeout);
	if (p->poll) {
		uv_poll_stop(p->poll);
		uv_close((uv_handle_t *)p->poll, poll_closed);
	}
	fd_close(&p->fd);
	free(p);
}

/* Take what the probe printed; what is beyond the limit is thrown away, so that it never blocks. */
static void probe_read(struct probe *p)
{
	char chunk[HEALTH_OUTPUT_MAX];
	ssize_t n;

	while ((n = recv(p->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0) {
		size_t take = MIN((size_t)n, HEALTH_OUTPUT_MAX - p->n);

		memcpy(p->output + p->n, chunk, take);
		p->n += take;
		p->truncated |= take < (size_t)n;
	}
	if (n == 0 && p->poll)
		uv_poll_stop(p->poll);
}

static void probe_readable(uv_poll_t *poll, int status, int events)
{
	probe_read(poll->data);
}

static char *probe_output(struct probe *p)
{
	probe_read(p);
	p->output[p->n] = '\0';
	return xasprintf("%s%s", p->output, p->truncated ? "..." : "");
}

static void probe_exit(struct exec *x, void *ud)
{
	struct probe *p = ud;
	struct container *c = container_by_id(p->g, p->cid);

	if (c && c->health.enabled && c->health.generation == p->generation && !p->timed_out) {
		c->health.running = false;
		probe_result(c, p->start, x->exit_code, probe_output(p));
	}
	probe_free(p);
}

static void probe_timeout(uv_timer_t *t)
{
	struct probe *p = t->data;
	struct container *c = container_by_id(p->g, p->cid);
	struct shim_request r = {
		.op = shim_op_name(SHIM_OP_EXEC_SIGNAL), .id = p->exec_id, .signo = 9};
	struct err e = ERR_INIT;
	char limit[CLOCK_TEXT_MAX];

	engine_timer_free(&p->timeout);
	p->timed_out = true;
	if (!c || c->health.generation != p->generation)
		return;
	if (c->shim)
		shim_call(c->shim, &r, -1, NULL, NULL, &e);
	c->health.running = false;
	clock_format_duration(or_default(c->meta.config.healthcheck->timeout, 30 * SECOND), limit);
	AUTO_FREE char *printed = probe_output(p);
	probe_result(c, p->start, -1,
		     xasprintf("Health check exceeded timeout (%s)%s%s", limit,
			       *printed ? ": " : "", printed));
}

static int probe_command(const struct container *c, struct exec_config *x, struct arena *a)
{
	const struct strs *t = &c->meta.config.healthcheck->test;
	const struct strs *shell = &c->meta.config.shell;
	size_t n = 0;

	x->cmd.v = arena_alloc(a, (t->n + shell->n + 4) * sizeof(char *));
	if (strcmp(t->v[0], "CMD") == 0) {
		for (size_t i = 1; i < t->n; i++)
			x->cmd.v[n++] = t->v[i];
	} else {
		for (size_t i = 0; i < shell->n; i++)
			x->cmd.v[n++] = shell->v[i];
		if (n == 0) {
			x->cmd.v[n++] = "/bin/sh";
			x->cmd.v[n++] = "-c";
		}
		if (t->n > 1)
			x->cmd.v[n++] = t->v[1];
	}
	x->cmd.n = n;
	x->attach_stdout = x->attach_stderr = true;
	return n > 0 ? 0 : -1;
}

static void probe_run(uv_timer_t *t)
{
	struct container *c = t->data;
	AUTO(arena) struct arena *a = arena_new();
	struct exec_config xc = {0};
	struct exec_start xs = {0};
	struct engine_attach at = {.out = true, .err = true, .stream = true};
	struct err e = ERR_INIT;
	struct probe *p;
	struct exec *x;
	int pair[2];

	engine_timer_free(&c->health.timer);
	if (c->st.paused) {
		schedule(c);
		return;
	}
	if (probe_command(c, &xc, a) < 0)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		log_container(LOG_LEVEL_WARN, c->id, "health check: %m");
		schedule(c);
		return;
	}
	p = NEW(struct probe);
	*p = (struct probe){.g = c->g,
			    .generation = c->health.generation,
			    .fd = pair[0],
			    .start = clock_now_ns()};
	memcpy(p->cid, c->id, sizeof(p->cid));
	p->poll = NEW(uv_poll_t);
	p->poll->data = p;
	if (uv_poll_init(c->g->loop, p->poll, p->fd) == 0)
		uv_poll_start(p->poll, UV_READABLE, probe_readable);
	else
		free(TAKE_PTR(p->poll));
	at.fd = pair[1];
	if (!p->poll || engine_exec_create(c->g, c, c->id, &xc, p->exec_id, &e) < 0) {
		log_container(LOG_LEVEL_WARN, c->id, "health check: %s",
			      p->poll ? e.text : "it cannot be watched");
		close(pair[1]);
		probe_free(p);
		schedule(c);
		return;
	}
	x = exec_get(c->g, p->exec_id);
	x->on_exit = probe_exit;
	x->on_exit_ud = p;
	p->timeout = engine_timer(
		c->g,
		(uint64_t)(or_default(c->meta.config.healthcheck->timeout, 30 * SECOND) / 1000000),
		probe_timeout, p);
	c->health.running = true;
	if (engine_exec_start(c->g, p->exec_id, &xs, &at, NULL, NULL, &e) < 0) {
		log_container(LOG_LEVEL_WARN, c->id, "health check: %s", e.text);
		x->on_exit = NULL;
		probe_free(p);
		c->health.running = false;
		schedule(c);
	}
}

static void schedule(struct container *c)
{
	const struct healthcheck *hc = c->meta.config.healthcheck;
	int64_t wait = or_default(hc->interval, 30 * SECOND);

	if (strcmp(c->health.status, "starting") == 0 &&
	    clock_now_ns() - c->st.started_at < hc->start_period)
		wait = or_default(hc->start_interval, 5 * SECOND);
	engine_timer_free(&c->health.timer);
	c->health.timer = engine_timer(c->g, (uint64_t)(wait / 1000000), probe_run, c);
}

static bool is_wanted(const struct container *c)
{
	const struct healthcheck *hc = c->meta.config.healthcheck;

	return hc && hc->test.n > 0 && strcmp(hc->test.v[0], "NONE") != 0;
}

void health_resume(struct container *c)
{
	if (!is_wanted(c))
		return;
	if (!c->health.enabled)
		health_start(c);
	else
		schedule(c);
}

void health_start(struct container *c)
{
	health_stop(c);
	if (!is_wanted(c))
		return;
	c->health.enabled = true;
	c->health.status = "starting";
	c->health.failing = 0;
	schedule(c);
}

void health_stop(struct container *c)
{
	engine_timer_free(&c->health.timer);
	c->health.generation++;
	c->health.running = false;
	if (c->health.enabled && !c->st.running)
		c->health.status = "unhealthy";
}

void health_save(const struct container *c, struct health_saved *ret)
{
	const struct health *h = &c->health;

	*ret = (struct health_saved){.status = h->status, .failing = h->failing};
	ret->log.v = (void *)(uintptr_t)h->log;
	ret->log.n = h->nlog;
	ret->log.set = true;
}

void health_restore(struct container *c, const struct health_saved *from)
{
	static const char *const known[] = {"starting", "healthy", "unhealthy"};
	struct health *h = &c->health;
	const struct health_entry *log = from->log.v;

	h->enabled = true;
	h->status = known[0];
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (from->status && strcmp(from->status, known[i]) == 0)
			h->status = known[i];
	h->failing = from->failing;
	for (size_t i = 0; i < MIN(from->log.n, (size_t)HEALTH_LOG_MAX); i++) {
		h->log[h->nlog] = log[i];
		h->log[h->nlog++].output = xstrdup(log[i].output ? log[i].output : "");
	}
}

void health_free(struct container *c)
{
	for (size_t i = 0; i < c->health.nlog; i++)
		free((void *)(uintptr_t)c->health.log[i].output);
	c->health.nlog = 0;
}

void health_write(const struct container *c, struct jw *w)
{
	const struct health *h = &c->health;
	char when[CLOCK_TEXT_MAX];

	jw_obj(w);
	jw_kv_str(w, "Status", h->status);
	jw_kv_i64(w, "FailingStreak", h->failing);
	jw_key(w, "Log");
	jw_arr(w);
	for (size_t i = 0; i < h->nlog; i++) {
		jw_obj(w);
		clock_format(h->log[i].start, when);
		jw_kv_str(w, "Start", when);
		clock_format(h->log[i].end, when);
		jw_kv_str(w, "End", when);
		jw_kv_i64(w, "ExitCode", h->log[i].exit_code);
		jw_kv_str(w, "Output", h->log[i].output);
		jw_obj_end(w);
	}
	jw_arr_end(w);
	jw_obj_end(w);
}
