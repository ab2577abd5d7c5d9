/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: a ring of the last ones in memory for `since`, and subscribers with filters. Lost with
 * the engine, as Docker's are.
 */
#include "base/clock.h"
#include "engine/engine-priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define EVENTS_KEPT 256

struct event {
	int64_t time_ns;
	char *json;
	char type[16], action[64];
	char *id, *name, *image;
	struct arena *arena;
	struct strmap labels;
};

struct event_ring {
	struct event v[EVENTS_KEPT];
	size_t n, next;
};

struct engine_events {
	struct list link;
	struct engine *g;
	struct arena *a;
	struct filters f;
	uv_timer_t *timer;
	engine_event_fn cb;
	void *ud;
};

void events_init(struct engine *g)
{
	list_init(&g->subscribers);
	g->ring = NEW(struct event_ring);
}

static void event_done(struct event *ev)
{
	free(ev->json);
	free(ev->id);
	free(ev->name);
	free(ev->image);
	arena_free(ev->arena);
	memset(ev, 0, sizeof(*ev));
}

static void subscription_free(struct engine_events *s)
{
	list_del(&s->link);
	engine_timer_free(&s->timer);
	arena_free(s->a);
	free(s);
}

void events_done(struct engine *g)
{
	LIST_FOR_EACH (it, &g->subscribers) {
		struct engine_events *s = LIST_ENTRY(it, struct engine_events, link);

		s->cb(s->ud, NULL);
		subscription_free(s);
	}
	for (size_t i = 0; g->ring && i < EVENTS_KEPT; i++)
		event_done(&g->ring->v[i]);
	free(g->ring);
	g->ring = NULL;
}

static bool value_matches(const struct filters *f, const char *name, const char *a, const char *b)
{
	const struct strs *v = filters_get(f, name);

	for (size_t i = 0; v && i < v->n; i++) {
		size_t n = strlen(v->v[i]);

		if ((a && strcmp(a, v->v[i]) == 0) || (b && strcmp(b, v->v[i]) == 0) ||
		    (a && n >= 4 && strlen(a) == 64 && strncmp(a, v->v[i], n) == 0))
			return true;
	}
	return !v || v->n == 0;
}

static bool action_matches(const struct filters *f, const char *action)
{
	const struct strs *v = filters_get(f, "event");
	size_t n = strcspn(action, ":");

	for (size_t i = 0; v && i < v->n; i++)
		if (strcmp(action, v->v[i]) == 0 ||
		    (strlen(v->v[i]) == n && strncmp(action, v->v[i], n) == 0))
			return true;
	return !v || v->n == 0;
}

static bool event_matches(const struct filters *f, const struct event *ev)
{
	static const char *const kinds[] = {"container", "image",  "volume",
					    "network",	 "daemon", "plugin"};

	if (!filters_match(f, "type", ev->type) || !action_matches(f, ev->action))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool mine = strcmp(kinds[i], ev->type) == 0;

		if (!filters_get(f, kinds[i]))
			continue;
		if (strcmp(kinds[i], "image") == 0 && !mine) {
			if (!value_matches(f, "image", ev->image, NULL))
				return false;
			continue;
		}
		if (!mine || !value_matches(f, kinds[i], ev->id, ev->name))
			return false;
	}
	return filters_match_labels(f, &ev->labels);
}

static void event_keep(struct engine *g, struct event *ev)
{
	struct event_ring *r = g->ring;

	LIST_FOR_EACH (it, &g->subscribers) {
		struct engine_events *s = LIST_ENTRY(it, struct engine_events, link);

		if (event_matches(&s->f, ev))
			s->cb(s->ud, ev->json);
	}
	event_done(&r->v[r->next]);
	r->v[r->next] = *ev;
	r->next = (r->next + 1) % EVENTS_KEPT;
	r->n = MIN(r->n + 1, (size_t)EVENTS_KEPT);
}

static void write_pairs(struct jw *w, va_list ap)
{
	const char *key;

	while ((key = va_arg(ap, const char *)))
		jw_kv_str(w, key, va_arg(ap, const char *));
}

static void event_begin(struct event *ev, struct jw *w, const char *type, const char *action,
			const char *id)
{
	ev->time_ns = clock_now_ns();
	snprintf(ev->type, sizeof(ev->type), "%s", type);
	snprintf(ev->action, sizeof(ev->action), "%s", action);
	ev->id = xstrdup(id);
	jw_obj(w);
	if (strcmp(type, "container") == 0 || strcmp(type, "image") == 0)
		jw_kv_str(w, "status", action);
	if (strcmp(type, "container") == 0 || strcmp(type, "image") == 0)
		jw_kv_str(w, "id", id);
	if (ev->image)
		jw_kv_str(w, "from", ev->image);
	jw_kv_str(w, "Type", type);
	jw_kv_str(w, "Action", action);
	jw_key(w, "Actor");
	jw_obj(w);
	jw_kv_str(w, "ID", id);
	jw_key(w, "Attributes");
	jw_obj(w);
}

static void event_end(struct engine *g, struct event *ev, struct jw *w)
{
	jw_obj_end(w);
	jw_obj_end(w);
	jw_kv_str(w, "scope", "local");
	jw_kv_i64(w, "time", ev->time_ns / 1000000000);
	jw_kv_i64(w, "timeNano", ev->time_ns);
	jw_obj_end(w);
	ev->json = buf_take(w->out);
	event_keep(g, ev);
}

void container_event(struct container *c, const char *action, ...)
{
	struct event ev = {0};
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);
	const struct strmap *labels = &c->meta.config.labels;
	va_list ap;

	if (c->g->closing || !c->g->ring)
		return;
	ev.image = xstrdup(c->meta.config.image);
	ev.name = xstrdup(c->name);
	ev.arena = arena_new();
	ev.labels.v = arena_alloc(ev.arena, (labels->n + 1) * sizeof(*labels->v));
	for (size_t i = 0; i < labels->n; i++)
		ev.labels.v[ev.labels.n++] = (struct strmap_entry){
			arena_strdup(ev.arena, labels->v[i].k),
			arena_strdup(ev.arena, labels->v[i].v)};
	event_begin(&ev, &w, "container", action, c->id);
	for (size_t i = 0; i < labels->n; i++)
		jw_kv_str(&w, labels->v[i].k, labels->v[i].v);
	va_start(ap, action);
	write_pairs(&w, ap);
	va_end(ap);
	jw_kv_str(&w, "image", c->meta.config.image);
	jw_kv_str(&w, "name", c->name);
	event_end(c->g, &ev, &w);
}

void engine_event_publish(struct engine *g, const char *type, const char *action, const char *id,
			  ...)
{
	struct event ev = {0};
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);
	va_list ap;

	if (g->closing || !g->ring)
		return;
	va_start(ap, id);
	event_begin(&ev, &w, type, action, id);
	write_pairs(&w, ap);
	va_end(ap);
	event_end(g, &ev, &w);
}

void event_publish_map(struct engine *g, const char *type, const char *action, const char *id,
		       const struct strmap *attributes)
{
	struct event ev = {0};
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);

	if (g->closing || !g->ring)
		return;
	event_begin(&ev, &w, type, action, id);
	for (size_t i = 0; i < attributes->n; i++)
		jw_kv_str(&w, attributes->v[i].k, attributes->v[i].v);
	event_end(g, &ev, &w);
}

static void until_reached(uv_timer_t *t)
{
	struct engine_events *s = t->data;

	s->cb(s->ud, NULL);
	subscription_free(s);
}

static void copy_filters(struct engine_events *s, const struct filters *f)
{
	s->f.v = arena_alloc(s->a, ((f ? f->n : 0) + 1) * sizeof(*s->f.v));
	for (size_t i = 0; f && i < f->n; i++) {
		struct filter *to = &s->f.v[s->f.n++];

		to->name = arena_strdup(s->a, f->v[i].name);
		to->values.set = true;
		to->values.v = arena_alloc(s->a, (f->v[i].values.n + 1) * sizeof(char *));
		for (size_t k = 0; k < f->v[i].values.n; k++)
			to->values.v[to->values.n++] = arena_strdup(s->a, f->v[i].values.v[k]);
	}
}

int engine_events_subscribe(struct engine *g, const struct filters *f, int64_t since_ns,
			    int64_t until_ns, engine_event_fn cb, void *ud,
			    struct engine_events **ret, struct err *e)
{
	static const char *const allowed[] = {"config", "container", "daemon", "event",	 "image",
					      "label",	"network",   "node",   "plugin", "scope",
					      "secret", "service",   "type",   "volume", NULL};
	struct engine_events *s;
	int64_t now = clock_now_ns();

	if (filters_check(f, allowed, e) < 0)
		return -1;
	s = NEW(struct engine_events);
	s->g = g;
	s->a = arena_new();
	s->cb = cb;
	s->ud = ud;
	copy_filters(s, f);
	list_add_tail(&g->subscribers, &s->link);
	*ret = s;
	for (size_t i = 0; since_ns && i < g->ring->n; i++) {
		const struct event *ev =
			&g->ring->v[(g->ring->next + EVENTS_KEPT - g->ring->n + i) % EVENTS_KEPT];

		if (ev->time_ns >= since_ns && (!until_ns || ev->time_ns <= until_ns) &&
		    event_matches(&s->f, ev))
			cb(ud, ev->json);
	}
	if (until_ns)
		s->timer = engine_timer(g,
					until_ns > now ? (uint64_t)((until_ns - now) / 1000000) : 0,
					until_reached, s);
	return 0;
}

void engine_events_cancel(struct engine_events *s)
{
	if (s)
		subscription_free(s);
}
