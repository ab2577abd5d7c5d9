/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: made here as JSON text, kept in the event log, sent to subscribers whose filters fit. An
 * event is matched as the document it is, so that one from the log and a new one are treated alike.
 */
#include "base/clock.h"
#include "engine/engine-priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

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
	event_log_close(TAKE_PTR(g->event_log));
}

/* ---- filters ---- */

/* Absent, or one of its values is a beginning of a or b. */
static bool fits_prefix(const struct filters *f, const char *name, const char *a, const char *b)
{
	const struct strs *v = filters_get(f, name);

	for (size_t i = 0; v && i < v->n; i++)
		if (str_starts(a, v->v[i]) || str_starts(b, v->v[i]))
			return true;
	return !v || v->n == 0;
}

/* These three carry a text behind a colon; asked for without it, any text fits. */
static bool fits_action(const struct filters *f, const char *action)
{
	static const char *const open[] = {"health_status", "exec_create", "exec_start"};
	const struct strs *v = filters_get(f, "event");
	size_t n = strcspn(action, ":");

	for (size_t i = 0; v && i < v->n; i++) {
		if (strcmp(action, v->v[i]) == 0)
			return true;
		for (size_t k = 0; k < ARRAY_SIZE(open); k++)
			if (strcmp(v->v[i], open[k]) == 0 && strlen(open[k]) == n &&
			    strncmp(action, open[k], n) == 0)
				return true;
	}
	return !v || v->n == 0;
}

static size_t without_tag(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *colon = strchr(slash ? slash : name, ':');

	return colon ? (size_t)(colon - name) : strlen(name);
}

static bool fits_image(const struct filters *f, const char *id, const char *name)
{
	const struct strs *v = filters_get(f, "image");
	const char *const have[] = {id, name};

	for (size_t i = 0; v && i < v->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(have); k++) {
			size_t n = without_tag(have[k]);

			if (strcmp(have[k], v->v[i]) == 0 ||
			    (strlen(v->v[i]) == n && strncmp(have[k], v->v[i], n) == 0))
				return true;
		}
	return !v || v->n == 0;
}

static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_str(json_get(j, key));

	return s ? s : "";
}

struct attributes {
	struct strmap map;
	struct arena *a;
	size_t room;
};

static void add_attribute(const char *key, struct json *value, void *ud)
{
	struct attributes *at = ud;

	if (at->map.n < at->room)
		at->map.v[at->map.n++] = (struct strmap_entry){
			key, json_str(value) ? json_str(value) : ""};
}

static bool fits_labels(const struct filters *f, const struct json *attributes)
{
	AUTO(arena) struct arena *a = NULL;
	struct attributes at = {.room = json_len(attributes)};

	if (!filters_get(f, "label"))
		return true;
	a = arena_new();
	at.map.v = arena_alloc(a, (at.room + 1) * sizeof(*at.map.v));
	json_each(attributes, add_attribute, &at);
	return filters_match_labels(f, &at.map);
}

static bool event_fits(const struct filters *f, const struct json *ev)
{
	static const char *const kinds[] = {"container", "volume",  "network", "daemon", "plugin",
					    "node",	 "service", "secret",  "config"};
	const struct json *actor = json_get(ev, "Actor"), *at = json_get(actor, "Attributes");
	const char *type = text_of(ev, "Type"), *id = text_of(actor, "ID");

	if (!filters_match(f, "type", type) || !fits_action(f, text_of(ev, "Action")) ||
	    !filters_match(f, "scope", text_of(ev, "scope")))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!fits_prefix(f, kinds[i], id, text_of(at, "name")))
			return false;
	return fits_image(f, id, text_of(at, strcmp(type, "image") == 0 ? "name" : "image")) &&
	       fits_labels(f, at);
}

/* ---- making one ---- */

static void event_send(struct engine *g, const struct buf *json)
{
	AUTO(json) struct json *ev = NULL;
	struct err e = ERR_INIT;

	event_log_add(g->event_log, json->p, json->n);
	if (list_empty(&g->subscribers) || json_parse(json->p, json->n, &ev, &e) < 0)
		return;
	LIST_FOR_EACH (it, &g->subscribers) {
		struct engine_events *s = LIST_ENTRY(it, struct engine_events, link);

		if (event_fits(&s->f, ev))
			s->cb(s->ud, json->p);
	}
}

static void write_pairs(struct jw *w, va_list ap)
{
	const char *key;

	while ((key = va_arg(ap, const char *)))
		jw_kv_str(w, key, va_arg(ap, const char *));
}

/* A label with the name of an attribute of ours gives way to it. */
static bool is_attribute(const char *label, va_list ap)
{
	bool found = strcmp(label, "image") == 0 || strcmp(label, "name") == 0;
	va_list copy;
	const char *key;

	va_copy(copy, ap);
	while (!found && (key = va_arg(copy, const char *))) {
		found = strcmp(key, label) == 0;
		(void)va_arg(copy, const char *);
	}
	va_end(copy);
	return found;
}

static void event_begin(struct jw *w, const char *type, const char *action, const char *id,
			const char *from)
{
	jw_obj(w);
	if (strcmp(type, "container") == 0 || strcmp(type, "image") == 0) {
		jw_kv_str(w, "status", action);
		jw_kv_str(w, "id", id);
	}
	if (from)
		jw_kv_str(w, "from", from);
	jw_kv_str(w, "Type", type);
	jw_kv_str(w, "Action", action);
	jw_key(w, "Actor");
	jw_obj(w);
	jw_kv_str(w, "ID", id);
	jw_key(w, "Attributes");
	jw_obj(w);
}

static void event_end(struct engine *g, struct jw *w)
{
	g->events_published++;
	int64_t now = clock_now_ns();

	/* Never two at one time: `since` the last one seen must not lose the next. */
	now = MAX(now, g->last_event_ns + 1);
	g->last_event_ns = now;
	jw_obj_end(w);
	jw_obj_end(w);
	jw_kv_str(w, "scope", "local");
	jw_kv_i64(w, "time", now / 1000000000);
	jw_kv_i64(w, "timeNano", now);
	jw_obj_end(w);
	if (!w->out->overflow)
		event_send(g, w->out);
}

void container_event(struct container *c, const char *action, ...)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);
	const struct strmap *labels = &c->meta.config.labels;
	va_list ap;

	if (c->g->closing || !c->g->event_log)
		return;
	event_begin(&w, "container", action, c->id, c->meta.config.image);
	va_start(ap, action);
	for (size_t i = 0; i < labels->n; i++)
		if (!is_attribute(labels->v[i].k, ap))
			jw_kv_str(&w, labels->v[i].k, labels->v[i].v);
	write_pairs(&w, ap);
	va_end(ap);
	jw_kv_str(&w, "image", c->meta.config.image);
	jw_kv_str(&w, "name", c->name);
	event_end(c->g, &w);
}

void engine_event_publish(struct engine *g, const char *type, const char *action, const char *id,
			  ...)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);
	va_list ap;

	if (g->closing || !g->event_log)
		return;
	event_begin(&w, type, action, id, NULL);
	va_start(ap, id);
	write_pairs(&w, ap);
	va_end(ap);
	event_end(g, &w);
}

void event_publish_map(struct engine *g, const char *type, const char *action, const char *id,
		       const struct strmap *attributes)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);

	if (g->closing || !g->event_log)
		return;
	event_begin(&w, type, action, id, NULL);
	for (size_t i = 0; i < attributes->n; i++)
		jw_kv_str(&w, attributes->v[i].k, attributes->v[i].v);
	event_end(g, &w);
}

void event_reclaimed(struct engine *g, const char *type, uint64_t bytes)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	engine_event_publish(g, type, "prune", "", "reclaimed", text, NULL);
}

/* ---- subscriptions ---- */

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

static void send_past(const char *json, size_t n, void *ud)
{
	struct engine_events *s = ud;
	AUTO(json) struct json *ev = NULL;
	AUTO_FREE char *text = xstrndup(json, n);
	struct err e = ERR_INIT;

	if (json_parse(text, n, &ev, &e) == 0 && event_fits(&s->f, ev))
		s->cb(s->ud, text);
}

int engine_events_check(const struct filters *f, struct err *e)
{
	static const char *const allowed[] = {"config", "container", "daemon", "event",	 "image",
					      "label",	"network",   "node",   "plugin", "scope",
					      "secret", "service",   "type",   "volume", NULL};

	return filters_check(f, allowed, e);
}

int engine_events_subscribe(struct engine *g, const struct filters *f, int64_t since_ns,
			    int64_t until_ns, engine_event_fn cb, void *ud,
			    struct engine_events **ret, struct err *e)
{
	struct engine_events *s;
	int64_t now = clock_now_ns();

	if (engine_events_check(f, e) < 0)
		return -1;
	s = NEW(struct engine_events);
	s->g = g;
	s->a = arena_new();
	s->cb = cb;
	s->ud = ud;
	copy_filters(s, f);
	list_add_tail(&g->subscribers, &s->link);
	*ret = s;
	if (since_ns || until_ns)
		event_log_each(g->event_log, since_ns, until_ns, send_past, s);
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
