/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a container's log for the API: frames or raw text, pulled by the caller, woken when there
 * is more. Files are opened, unpacked, searched and read by a worker thread, one chunk ahead of the
 * caller: neither a large compressed file nor a slow disk holds the loop. The reader belongs to the
 * thread while `busy`.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine-priv.h"
#include "logs/logs.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define DETAILS_MAX 64
#define LOGS_CHUNK  (64u << 10)
#define CHUNK_MAX   (LOGS_CHUNK + (2u << 20)) /* with the last entry whole */

struct engine_logs {
	struct list link;
	struct engine *g;
	char cid[ENGINE_ID_MAX];
	struct engine_logs_options o;
	uv_poll_t *poll;
	uv_timer_t *until;
	void (*wake)(void *ud);
	void *ud;
	bool busy, closed;
	bool finish; /* no more will be written: to be told to the reader */
	bool has;    /* `chunk` and `state` are for the caller */
	uv_work_t work;
	/* the thread's while it is busy */
	char *path;
	struct log_query query;
	struct log_reader *reader;
	bool finishing;
	struct buf chunk;
	enum engine_logs_state state;
};

static void logs_free(struct engine_logs *l)
{
	log_reader_free(l->reader);
	buf_done(&l->chunk);
	free(l->path);
	free(l);
}

static void poll_closed(uv_handle_t *h)
{
	free(h);
}

static void on_change(uv_poll_t *h, int status, int events)
{
	struct engine_logs *l = h->data;

	/* The inotify descriptor stays readable until the reader looks: pause until then. */
	uv_poll_stop(h);
	if (l->wake)
		l->wake(l->ud);
}

static void finish(struct engine_logs *l)
{
	l->finish = true;
	if (l->wake)
		l->wake(l->ud);
}

static void on_until(uv_timer_t *t)
{
	finish(t->data);
}

void logs_container_ended(struct container *c)
{
	LIST_FOR_EACH (it, &c->g->logs) {
		struct engine_logs *l = LIST_ENTRY(it, struct engine_logs, link);

		if (strcmp(l->cid, c->id) == 0)
			finish(l);
	}
}

int engine_logs_open(struct engine *g, struct container *c, const struct engine_logs_options *o,
		     void (*wake)(void *ud), void *ud, struct engine_logs **ret, struct err *e)
{
	bool follow = o->follow && (c->st.running || c->starting || c->st.restarting);
	bool json;
	AUTO_FREE char *name = log_config_file(c, &json);
	struct engine_logs *l;
	int64_t now = clock_now_ns();

	if (!o->out && !o->err)
		return err_set(e, ERR_INVALID,
			       "Bad parameters: you must choose at least one stream");
	if (!name)
		return err_set(e, ERR_UNSUPPORTED,
			       "configured logging driver does not support reading");
	l = NEW(struct engine_logs);
	l->g = g;
	memcpy(l->cid, c->id, sizeof(l->cid));
	l->o = *o;
	l->path = container_data_path(c, name);
	l->query = (struct log_query){.since_ns = o->since_ns,
				      .until_ns = o->until_ns,
				      .tail = o->tail,
				      .follow = follow,
				      .format = json ? LOG_JSON : LOG_LOCAL};
	if (!follow && (o->until_ns == 0 || o->until_ns > now))
		l->query.until_ns = now; /* of the question, whenever the thread comes to it */
	l->chunk = BUF_INIT(CHUNK_MAX);
	l->wake = wake;
	l->ud = ud;
	list_add_tail(&g->logs, &l->link);
	if (follow && o->until_ns)
		l->until = engine_timer(
			g, o->until_ns > now ? (uint64_t)((o->until_ns - now) / 1000000) + 1 : 0,
			on_until, l);
	*ret = l;
	return 0;
}

/* url.QueryEscape */
static void add_escaped(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (isalnum(c) || strchr("-_.~", c))
			buf_addc(out, (char)c);
		else if (c == ' ')
			buf_addc(out, '+');
		else
			buf_addf(out, "%%%02X", c);
	}
}

struct details {
	struct strmap_entry v[DETAILS_MAX];
	size_t n;
};

static void detail_add(const char *key, struct json *value, void *ud)
{
	struct details *d = ud;
	const char *text = json_str(value);
	size_t i = d->n;

	if (d->n == DETAILS_MAX || !text)
		return;
	for (; i > 0 && strcmp(d->v[i - 1].k, key) > 0; i--)
		d->v[i] = d->v[i - 1];
	d->v[i] = (struct strmap_entry){key, text};
	d->n++;
}

/* The entry's attributes as Docker shows them: sorted, "a=1,b=2". */
static void add_details(const struct log_entry *en, struct buf *out)
{
	AUTO(json) struct json *j = NULL;
	struct details d = {.n = 0};
	struct err e = ERR_INIT;

	if (en->attrs.n && json_parse(en->attrs.p, en->attrs.n, &j, &e) == 0)
		json_each(j, detail_add, &d);
	for (size_t i = 0; i < d.n; i++) {
		if (i)
			buf_addc(out, ',');
		add_escaped(out, d.v[i].k);
		buf_addc(out, '=');
		add_escaped(out, d.v[i].v);
	}
	buf_addc(out, ' ');
}

static void add_entry(const struct engine_logs *l, const struct log_entry *en, struct buf *out)
{
	char when[CLOCK_TEXT_MAX];
	size_t start = out->n;

	if (l->o.mux)
		buf_add(out, "\0\0\0\0\0\0\0\0", MUX_HEADER);
	if (l->o.timestamps) {
		clock_format_fixed(en->time_ns, when);
		buf_adds(out, when);
		buf_addc(out, ' ');
	}
	if (l->o.details)
		add_details(en, out);
	buf_add(out, en->text.p, en->text.n);
	if (l->o.mux && !out->overflow) {
		unsigned char head[MUX_HEADER];

		mux_header(head, en->stream == LOG_STDERR ? MUX_STDERR : MUX_STDOUT,
			   out->n - start - MUX_HEADER);
		memcpy(out->p + start, head, MUX_HEADER);
	}
}

/* ---- on the worker thread ---- */

static void add_error(struct engine_logs *l, int rc)
{
	AUTO_FREE char *text = xasprintf("Error grabbing logs: open the log of container %s: %s\n",
					 l->cid, strerrordesc_np(-rc));
	const struct log_entry en = {
		.time_ns = clock_now_ns(), .stream = LOG_STDERR, .text = str_of(text)};

	add_entry(l, &en, &l->chunk);
}

static enum engine_logs_state read_chunk(struct engine_logs *l)
{
	struct log_entry en;

	while (l->chunk.n < LOGS_CHUNK) {
		switch (log_reader_next(l->reader, &en)) {
		case LOG_READ_END:
			return ENGINE_LOGS_END;
		case LOG_READ_WAIT:
			return ENGINE_LOGS_WAIT;
		case LOG_READ_ENTRY:
			if (en.stream == LOG_STDERR ? l->o.err : l->o.out)
				add_entry(l, &en, &l->chunk);
			break;
		}
	}
	return ENGINE_LOGS_MORE;
}

static void run(uv_work_t *work)
{
	struct engine_logs *l = CONTAINER_OF(work, struct engine_logs, work);
	int rc = l->reader ? 0 : log_reader_open(l->path, &l->query, &l->reader);

	if (rc < 0) {
		add_error(l, rc);
		l->state = ENGINE_LOGS_END;
		return;
	}
	if (l->finishing)
		log_reader_finish(l->reader);
	l->state = read_chunk(l);
}

/* ---- on the loop ---- */

static bool watch(struct engine_logs *l)
{
	if (!l->poll) {
		l->poll = NEW(uv_poll_t);
		if (uv_poll_init(l->g->loop, l->poll, log_reader_fd(l->reader)) < 0) {
			free(TAKE_PTR(l->poll));
			return false;
		}
		l->poll->data = l;
	}
	uv_poll_start(l->poll, UV_READABLE, on_change);
	return true;
}

static void done(uv_work_t *work, int status)
{
	struct engine_logs *l = CONTAINER_OF(work, struct engine_logs, work);

	l->g->on_threads--;
	l->busy = false;
	if (l->closed) {
		logs_free(l);
		return;
	}
	if (status < 0)
		l->state = ENGINE_LOGS_END;
	l->has = true;
	if (l->wake && !l->g->closing)
		l->wake(l->ud);
}

static enum engine_logs_state next_chunk(struct engine_logs *l)
{
	l->finishing = l->finish;
	l->busy = uv_queue_work(l->g->loop, &l->work, run, done) == 0;
	l->g->on_threads += l->busy;
	return l->busy ? ENGINE_LOGS_WAIT : ENGINE_LOGS_END;
}

enum engine_logs_state engine_logs_read(struct engine_logs *l, struct buf *out)
{
	if (l->busy)
		return ENGINE_LOGS_WAIT;
	if (!l->has)
		return next_chunk(l);

	/* From next_chunk() on it is the thread's. */
	enum engine_logs_state state = l->state;

	l->has = false;
	buf_add(out, buf_text(&l->chunk), l->chunk.n);
	if (state == ENGINE_LOGS_WAIT)
		buf_done(&l->chunk); /* may last */
	else
		buf_reset(&l->chunk);
	if (state == ENGINE_LOGS_MORE || (state == ENGINE_LOGS_WAIT && l->finish))
		return next_chunk(l) == ENGINE_LOGS_END ? ENGINE_LOGS_END : state;
	if (state == ENGINE_LOGS_WAIT && !watch(l)) {
		log_container(LOG_LEVEL_ERROR, l->cid, "its log cannot be watched");
		return ENGINE_LOGS_END; /* what there was has been told */
	}
	return state;
}

void engine_logs_close(struct engine_logs *l)
{
	if (!l)
		return;
	list_del(&l->link);
	if (l->poll) {
		uv_poll_stop(l->poll);
		uv_close((uv_handle_t *)l->poll, poll_closed);
		l->poll = NULL;
	}
	engine_timer_free(&l->until);
	l->closed = true;
	if (!l->busy)
		logs_free(l);
}
