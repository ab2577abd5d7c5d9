/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a container's log for the API: frames or raw text, pulled by the caller, woken when
 * following. */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "logs/logs.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define DETAILS_MAX 64
#define LOGS_CHUNK  (64u << 10)

struct engine_logs {
	struct list link;
	struct engine *g;
	char cid[ENGINE_ID_MAX];
	struct engine_logs_options o;
	struct log_reader *reader;
	uv_poll_t *poll;
	uv_timer_t *until;
	void (*wake)(void *ud);
	void *ud;
};

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

static void on_until(uv_timer_t *t)
{
	struct engine_logs *l = t->data;

	log_reader_finish(l->reader);
	if (l->wake)
		l->wake(l->ud);
}

void logs_container_ended(struct container *c)
{
	LIST_FOR_EACH (it, &c->g->logs) {
		struct engine_logs *l = LIST_ENTRY(it, struct engine_logs, link);

		if (strcmp(l->cid, c->id) != 0)
			continue;
		log_reader_finish(l->reader);
		if (l->wake)
			l->wake(l->ud);
	}
}

int engine_logs_open(struct engine *g, struct container *c, const struct engine_logs_options *o,
		     void (*wake)(void *ud), void *ud, struct engine_logs **ret, struct err *e)
{
	bool follow = o->follow && (c->st.running || c->starting || c->st.restarting);
	struct log_query q = {.since_ns = o->since_ns,
			      .until_ns = o->until_ns,
			      .tail = o->tail,
			      .follow = follow};
	bool json;
	AUTO_FREE char *name = log_config_file(c, &json);
	AUTO_FREE char *path = container_data_path(c, name);
	struct engine_logs *l;
	struct log_reader *r;
	int64_t now = clock_now_ns();
	int rc;

	if (!o->out && !o->err)
		return err_set(e, ERR_INVALID,
			       "Bad parameters: you must choose at least one stream");
	q.format = json ? LOG_JSON : LOG_LOCAL;
	if (!name)
		return err_set(e, ERR_UNSUPPORTED,
			       "configured logging driver does not support reading");
	rc = log_reader_open(path, &q, &r);
	if (rc < 0)
		return err_sys(e, rc, "open the log of container %s", c->id);
	l = NEW(struct engine_logs);
	l->g = g;
	memcpy(l->cid, c->id, sizeof(l->cid));
	l->o = *o;
	l->reader = r;
	l->wake = wake;
	l->ud = ud;
	list_add_tail(&g->logs, &l->link);
	if (follow && log_reader_fd(r) >= 0) {
		l->poll = NEW(uv_poll_t);
		uv_poll_init(g->loop, l->poll, log_reader_fd(r));
		l->poll->data = l;
	}
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

enum engine_logs_state engine_logs_read(struct engine_logs *l, struct buf *out)
{
	size_t start = out->n;
	struct log_entry en;

	while (out->n - start < LOGS_CHUNK) {
		switch (log_reader_next(l->reader, &en)) {
		case LOG_READ_END:
			return ENGINE_LOGS_END;
		case LOG_READ_WAIT:
			if (l->poll)
				uv_poll_start(l->poll, UV_READABLE, on_change);
			return ENGINE_LOGS_WAIT;
		case LOG_READ_ENTRY:
			if (en.stream == LOG_STDERR ? l->o.err : l->o.out)
				add_entry(l, &en, out);
			break;
		}
	}
	return ENGINE_LOGS_MORE;
}

void engine_logs_close(struct engine_logs *l)
{
	if (!l)
		return;
	list_del(&l->link);
	if (l->poll) {
		uv_poll_stop(l->poll);
		uv_close((uv_handle_t *)l->poll, poll_closed);
	}
	engine_timer_free(&l->until);
	log_reader_free(l->reader);
	free(l);
}
