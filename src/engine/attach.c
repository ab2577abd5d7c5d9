/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that attach: their descriptor goes to the shim, at once or when the container starts.
 * With logs=1 the old log is sent before, as fast as the client takes it; the loop never waits.
 */
#include "base/log.h"
#include "engine/engine-priv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

void pending_free(struct pending_attach *p)
{
	fd_close(&p->o.fd);
	free((void *)(uintptr_t)p->o.detach_keys);
	free((void *)(uintptr_t)p->o.preface);
	free(p);
}

int attach_send(struct container *c, const struct engine_attach *o, struct err *e)
{
	AUTO_BUF struct buf preface = BUF_INIT(SHIM_MSG_MAX);
	struct shim_request r = {.op = shim_op_name(SHIM_OP_ATTACH)};
	char id[32];

	snprintf(id, sizeof(id), "a%llu", (unsigned long long)++c->g->next_attach);
	r.id = id;
	r.want_stdin = o->in && c->meta.config.open_stdin;
	r.want_stdout = o->out;
	r.want_stderr = o->err;
	r.mux = o->mux && !c->meta.config.tty;
	if (c->meta.config.tty)
		r.detach_keys = o->detach_keys ? o->detach_keys : "";
	if (o->preface_n > 0) {
		base64_encode(o->preface, o->preface_n, &preface);
		r.preface = buf_text(&preface);
	}
	return shim_call(c->shim, &r, o->fd, NULL, NULL, e);
}

int engine_attach_check(struct engine *g, struct container *c, const struct engine_attach *o,
			struct err *e)
{
	struct detach_keys keys;

	if (o->detach_keys && *o->detach_keys && detach_keys_parse(o->detach_keys, &keys) < 0)
		return err_set(e, ERR_INVALID, "Invalid detach keys (%s) provided", o->detach_keys);
	if (c->st.paused)
		return err_set(e, ERR_CONFLICT,
			       "container %s is paused, unpause the container before attach",
			       c->id);
	if (c->st.restarting)
		return err_set(e, ERR_CONFLICT,
			       "container %s is restarting, wait until the container is running",
			       c->id);
	return 0;
}

/* To the shim, or to those that wait for the start. Takes p. */
static int attach_stream(struct container *c, struct pending_attach *p, struct err *e)
{
	int rc = 0;

	/* A shim that was told to start has already got those who waited. */
	if (p->o.stream && !((c->st.running || c->starting) && c->shim)) {
		list_add_tail(&c->pending, &p->link);
		return 0;
	}
	if (p->o.stream)
		rc = attach_send(c, &p->o, e);
	pending_free(p);
	return rc;
}

/* ---- the log before the stream ---- */

struct replay {
	struct list link; /* engine.replays */
	struct engine *g;
	char cid[ENGINE_ID_MAX];
	struct pending_attach *client;
	struct engine_logs *logs;
	uv_poll_t *poll; /* while the client's socket is full */
	struct buf out;
	size_t sent;
	bool ended; /* all of the log is in `out` */
};

static void poll_closed(uv_handle_t *h)
{
	free(h);
}

static void poll_end(struct replay *r)
{
	if (!r->poll)
		return;
	uv_poll_stop(r->poll);
	uv_close((uv_handle_t *)r->poll, poll_closed);
	r->poll = NULL;
}

static void replay_end(struct replay *r, bool good)
{
	struct container *c = container_by_id(r->g, r->cid);
	struct err e = ERR_INIT;

	poll_end(r);
	list_del(&r->link);
	engine_logs_close(r->logs);
	if (!c || !good)
		pending_free(r->client);
	else if (attach_stream(c, r->client, &e) < 0)
		log_container(LOG_LEVEL_WARN, r->cid, "cannot hand over a client: %s", e.text);
	buf_done(&r->out);
	free(r);
}

static void replay_pump(void *ud);

static void on_writable(uv_poll_t *h, int status, int events)
{
	struct replay *r = h->data;

	poll_end(r);
	replay_pump(r);
}

static bool wait_writable(struct replay *r)
{
	if (r->poll)
		return true;
	r->poll = NEW(uv_poll_t);
	r->poll->data = r;
	if (uv_poll_init(r->g->loop, r->poll, r->client->o.fd) < 0) {
		free(TAKE_PTR(r->poll));
		return false;
	}
	return uv_poll_start(r->poll, UV_WRITABLE, on_writable) == 0;
}

/* 1: all is written, 0: the client is full, -1: it has gone. */
static int replay_write(struct replay *r)
{
	while (r->sent < r->out.n) {
		ssize_t n = write(r->client->o.fd, r->out.p + r->sent, r->out.n - r->sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return wait_writable(r) ? 0 : -1;
		if (n < 0)
			return -1;
		r->sent += (size_t)n;
	}
	buf_reset(&r->out);
	r->sent = 0;
	return 1;
}

static void replay_pump(void *ud)
{
	struct replay *r = ud;

	if (r->poll)
		return; /* woken by the log while the client is full */
	for (;;) {
		enum engine_logs_state state = r->ended ? ENGINE_LOGS_END
							: engine_logs_read(r->logs, &r->out);
		int rc = replay_write(r);

		r->ended = state == ENGINE_LOGS_END;
		if (rc < 0 || (r->ended && rc > 0)) {
			replay_end(r, rc > 0);
			return;
		}
		if (state != ENGINE_LOGS_MORE || rc == 0)
			return;
	}
}

void attach_done(struct engine *g)
{
	LIST_FOR_EACH (it, &g->replays)
		replay_end(LIST_ENTRY(it, struct replay, link), false);
}

/* 1: there is no log to send. Takes the client otherwise. */
static int replay_start(struct container *c, struct pending_attach *p)
{
	struct engine_logs_options lo = {.out = p->o.out,
					 .err = p->o.err,
					 .mux = p->o.mux && !c->meta.config.tty,
					 .tail = -1};
	struct replay *r = NEW(struct replay);
	struct err e = ERR_INIT;

	*r = (struct replay){.g = c->g, .client = p, .out = BUF_INIT(4 << 20)};
	memcpy(r->cid, c->id, sizeof(r->cid));
	if (!c->st.started || engine_logs_open(c->g, c, &lo, replay_pump, r, &r->logs, &e) < 0) {
		free(r);
		return 1;
	}
	list_add_tail(&c->g->replays, &r->link);
	replay_pump(r);
	return 0;
}

int engine_container_attach(struct engine *g, struct container *c, const struct engine_attach *o,
			    struct err *e)
{
	struct pending_attach *p;
	int fd = o->fd;

	if (engine_attach_check(g, c, o, e) < 0) {
		fd_close(&fd);
		return -1;
	}
	container_event(c, "attach", NULL);
	p = NEW(struct pending_attach);
	p->o = *o;
	p->o.detach_keys = xstrdup(o->detach_keys);
	p->o.preface = NULL;
	if (o->preface_n > 0) {
		void *copy = xmalloc(o->preface_n);

		memcpy(copy, o->preface, o->preface_n);
		p->o.preface = copy;
	}
	if (o->logs && replay_start(c, p) == 0)
		return 0;
	return attach_stream(c, p, e);
}
