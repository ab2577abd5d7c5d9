/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/json: filters, status texts, one summary per container. */
#include "base/clock.h"
#include "base/num.h"
#include "engine/engine-priv.h"
#include "engine/network.h"
#include "spec/ports.h"
#include "store/measure.h"
#include "sys/fs.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

const char *container_status_name(const struct container *c)
{
	if (c->st.running)
		return c->st.paused ? "paused" : "running";
	if (c->st.restarting)
		return "restarting";
	if (c->st.removing)
		return "removing";
	if (c->st.dead)
		return "dead";
	return c->st.started ? "exited" : "created";
}

static void add_ago(struct buf *out, int64_t ns)
{
	char text[64];

	clock_human(MAX(ns, 0), text, sizeof(text));
	buf_adds(out, text);
}

void container_status_text(const struct container *c, int64_t now, struct buf *out)
{
	const struct container_state *st = &c->st;

	if (st->running) {
		buf_adds(out, "Up ");
		add_ago(out, now - st->started_at);
		if (st->paused)
			buf_adds(out, " (Paused)");
		else if (c->health.enabled)
			buf_addf(out, " (%s%s)",
				 strcmp(c->health.status, "starting") == 0 ? "health: " : "",
				 c->health.status);
		return;
	}
	if (st->restarting) {
		buf_addf(out, "Restarting (%lld) ", (long long)st->exit_code);
		add_ago(out, now - st->finished_at);
		buf_adds(out, " ago");
	} else if (st->removing) {
		buf_adds(out, "Removal In Progress");
	} else if (st->dead) {
		buf_adds(out, "Dead");
	} else if (!st->started || !st->finished_at) {
		buf_adds(out, "Created");
	} else {
		buf_addf(out, "Exited (%lld) ", (long long)st->exit_code);
		add_ago(out, now - st->finished_at);
		buf_adds(out, " ago");
	}
}

void mounts_write(const struct container *c, struct jw *w)
{
	const struct mount_point *m = c->meta.mounts.v;

	jw_arr(w);
	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		jw_obj(w);
		jw_kv_str(w, "Type", m[i].type);
		if (m[i].name || m[i].image)
			jw_kv_str(w, "Name", m[i].image ? m[i].image_ref : m[i].name);
		jw_kv_str(w, "Source", m[i].image ? m[i].image : m[i].source ? m[i].source : "");
		jw_kv_str(w, "Destination", m[i].destination);
		if (m[i].driver)
			jw_kv_str(w, "Driver", m[i].driver);
		jw_kv_str(w, "Mode", m[i].mode ? m[i].mode : "");
		jw_kv_bool(w, "RW", m[i].rw);
		jw_kv_str(w, "Propagation", m[i].propagation ? m[i].propagation : "");
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

/* ---- filters ---- */

#define NAME_EXPRESSION_MAX 256 /* glibc expands repetitions in memory */

struct query {
	struct engine *g;
	const struct engine_list_options *o;
	const struct container *before, *since;
	bool is_task; /* there are no tasks here: true finds nothing */
	struct digest ancestors[16];
	size_t nancestors;
	regex_t names[16];
	size_t nnames;
};

/* Docker looks for the expression in "/NAME" and in "NAME". */
static bool filter_name(const struct query *q, const char *name)
{
	AUTO_FREE char *slashed = q->nnames ? xasprintf("/%s", name) : NULL;

	for (size_t i = 0; i < q->nnames; i++)
		if (regexec(&q->names[i], name, 0, NULL, 0) == 0 ||
		    regexec(&q->names[i], slashed, 0, NULL, 0) == 0)
			return true;
	return q->nnames == 0;
}

/*
 * What would cost time or memory without bound is refused, as RE2 does: repetitions that multiply
 * to more than 1000, and references back.
 */
static bool expression_is_cheap(const char *p)
{
	uint64_t product = 1;

	for (; *p; p++) {
		if (*p == '\\' && p[1]) {
			if (*++p >= '0' && *p <= '9')
				return false;
			continue;
		}
		if (*p != '{')
			continue;
		char *end;
		uint64_t times = strtoul(p + 1, &end, 10);
		if (*end == ',' && end[1] >= '0' && end[1] <= '9')
			times = strtoul(end + 1, &end, 10);
		product *= MAX(MIN(times, 1001u), 1u);
		if (product > 1000)
			return false;
	}
	return true;
}

/* POSIX extended expressions; Docker's are RE2: what both know means the same. */
static int compile_names(struct query *q, struct err *e)
{
	const struct strs *v = filters_get(q->o->filters, "name");
	char why[128];

	for (size_t i = 0; v && i < v->n; i++) {
		if (q->nnames == ARRAY_SIZE(q->names) || strlen(v->v[i]) > NAME_EXPRESSION_MAX)
			return err_set(e, ERR_LIMIT, "too many or too long filters 'name='");
		if (!expression_is_cheap(v->v[i]))
			return err_set(e, ERR_INVALID,
				       "error parsing regexp: invalid repeat count: `%s`", v->v[i]);
		int rc = regcomp(&q->names[q->nnames], v->v[i], REG_EXTENDED | REG_NOSUB);
		if (rc != 0) {
			regerror(rc, &q->names[q->nnames], why, sizeof(why));
			return err_set(e, ERR_INVALID, "error parsing regexp: %s: `%s`", why,
				       v->v[i]);
		}
		q->nnames++;
	}
	return 0;
}

static bool filter_id(const struct filters *f, const char *id)
{
	const struct strs *v = filters_get(f, "id");

	for (size_t i = 0; v && i < v->n; i++)
		if (strncmp(id, v->v[i], strlen(v->v[i])) == 0)
			return true;
	return !v || v->n == 0;
}

static bool filter_exited(const struct filters *f, const struct container *c)
{
	const struct strs *v = filters_get(f, "exited");

	for (size_t i = 0; v && i < v->n; i++) {
		int64_t code;

		if (num_parse_i64(v->v[i], -1000, 1000, &code) == 0 && code == c->st.exit_code &&
		    !c->st.running && c->st.started)
			return true;
	}
	return !v || v->n == 0;
}

static bool filter_volume(const struct filters *f, const struct container *c)
{
	const struct strs *v = filters_get(f, "volume");
	const struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; v && i < v->n; i++)
		for (size_t k = 0; k < c->meta.mounts.n; k++)
			if ((m[k].name && strcmp(m[k].name, v->v[i]) == 0) ||
			    strcmp(m[k].destination, v->v[i]) == 0 ||
			    (m[k].source && strcmp(m[k].source, v->v[i]) == 0))
				return true;
	return !v || v->n == 0;
}

static int check_ports(const struct filters *f, const char *name, struct err *e)
{
	const struct strs *v = filters_get(f, name);
	struct port_range p;

	for (size_t i = 0; v && i < v->n; i++) {
		if (strchr(v->v[i], ':'))
			return err_set(e, ERR_INVALID, "filter for '%s' should not contain ':': %s",
				       name, v->v[i]);
		if (port_range_parse(v->v[i], &p) < 0)
			return err_set(e, ERR_INVALID,
				       "error while looking up for %s %s: invalid port or range",
				       name, v->v[i]);
	}
	return 0;
}

static bool filter_ports(const struct filters *f, const char *name, const struct container *c)
{
	const struct strs *v = filters_get(f, name);
	struct port_range want;

	for (size_t i = 0; v && i < v->n; i++)
		if (port_range_parse(v->v[i], &want) == 0 &&
		    ports_match(c, &want, strcmp(name, "publish") == 0))
			return true;
	return !v || v->n == 0;
}

static bool filter_ancestor(const struct query *q, const struct container *c)
{
	const struct strs *v = filters_get(q->o->filters, "ancestor");

	for (size_t i = 0; i < q->nancestors; i++)
		if (strcmp(q->ancestors[i].text, c->image_id) == 0)
			return true;
	return !v || v->n == 0;
}

static bool matches(const struct query *q, const struct container *c)
{
	const struct filters *f = q->o->filters;
	const char *health = c->health.enabled && c->st.running ? c->health.status : "none";

	return filter_name(q, c->name) && filter_id(f, c->id) &&
	       filters_match_labels(f, &c->meta.config.labels) &&
	       filters_match(f, "status", container_status_name(c)) && filter_exited(f, c) &&
	       filter_volume(f, c) && filter_ancestor(q, c) &&
	       filters_match(f, "network", c->host.network_mode) &&
	       filters_match(f, "health", health) && filter_ports(f, "expose", c) &&
	       filter_ports(f, "publish", c) && !q->is_task;
}

static int prepare_query(struct query *q, struct err *e)
{
	static const char *const allowed[] = {
		"ancestor", "before",	 "exited", "expose", "health", "id",
		"is-task",  "isolation", "label",  "label!", "name",   "network",
		"publish",  "since",	 "status", "volume", NULL};
	static const char *const states[] = {"created",	 "dead",       "exited", "paused",
					     "removing", "restarting", "running"};
	const struct filters *f = q->o->filters;
	const struct strs *v;

	if (filters_check(f, allowed, e) < 0 ||
	    filters_bool(f, "is-task", false, &q->is_task, e) < 0 || compile_names(q, e) < 0)
		return -1;
	v = filters_get(f, "status");
	for (size_t i = 0; v && i < v->n; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(states) && !known; k++)
			known = strcmp(states[k], v->v[i]) == 0;
		if (!known)
			return err_set(e, ERR_INVALID, "invalid filter 'status=%s'", v->v[i]);
	}
	if (check_ports(f, "expose", e) < 0 || check_ports(f, "publish", e) < 0)
		return -1;
	v = filters_get(f, "exited");
	for (size_t i = 0; v && i < v->n; i++) {
		int64_t code;

		if (num_parse_i64(v->v[i], INT32_MIN, INT32_MAX, &code) < 0)
			return err_set(e, ERR_INVALID, "invalid filter 'exited=%s'", v->v[i]);
	}
	v = filters_get(f, "health");
	for (size_t i = 0; v && i < v->n; i++)
		if (strcmp(v->v[i], "none") != 0 && strcmp(v->v[i], "starting") != 0 &&
		    strcmp(v->v[i], "healthy") != 0 && strcmp(v->v[i], "unhealthy") != 0)
			return err_set(e, ERR_INVALID,
				       "invalid filter 'health=%s': invalid value for health (%s): "
				       "must be one of none, starting, healthy, unhealthy",
				       v->v[i], v->v[i]);
	v = filters_get(f, "before");
	if (v && v->n > 0 && !(q->before = engine_container_get(q->g, v->v[0], e)))
		return -1;
	v = filters_get(f, "since");
	if (v && v->n > 0 && !(q->since = engine_container_get(q->g, v->v[0], e)))
		return -1;
	v = filters_get(f, "ancestor");
	for (size_t i = 0; v && i < v->n && q->nancestors < ARRAY_SIZE(q->ancestors); i++) {
		struct err ignored = ERR_INIT;

		if (image_find(q->g->images, v->v[i], &q->ancestors[q->nancestors], &ignored) == 0)
			q->nancestors++;
	}
	return 0;
}

void container_size_write(const struct container *c, const struct store_measuring *m, struct jw *w)
{
	AUTO_FREE char *dir = container_data_path(c, NULL);
	AUTO_FD int fd = fs_open_dir(dir);
	AUTO(store_image) struct store_image *img = NULL;
	struct err e = ERR_INIT;
	uint64_t bytes = 0, entries = 0;
	struct digest id;

	if (m)
		bytes = store_measure_container(m, c->id);
	else if (fd >= 0)
		fs_disk_usage(fd, "upper", &bytes, &entries);
	if (digest_parse(c->image_id, &id) == 0)
		store_image_get(c->g->store, &id, &img, &e);
	jw_kv_u64(w, "SizeRw", bytes);
	jw_kv_u64(w, "SizeRootFs", bytes + (img ? img->size : 0));
}

static void summary(const struct container *c, const struct engine_list_options *o, int64_t now,
		    struct jw *w)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	AUTO_FREE char *name = xasprintf("/%s", c->name);

	jw_obj(w);
	jw_kv_str(w, "Id", c->id);
	jw_key(w, "Names");
	jw_arr(w);
	jw_str(w, name);
	jw_arr_end(w);
	jw_kv_str(w, "Image", c->meta.config.image);
	jw_kv_str(w, "ImageID", c->image_id);
	buf_adds(&text, c->meta.path);
	for (size_t i = 0; i < c->meta.args.n; i++) {
		bool quote = strpbrk(c->meta.args.v[i], " \t\n") != NULL || !*c->meta.args.v[i];

		buf_addf(&text, quote ? " '%s'" : " %s", c->meta.args.v[i]);
	}
	jw_kv_str(w, "Command", buf_text(&text));
	jw_kv_i64(w, "Created", c->created / 1000000000);
	jw_key(w, "Ports");
	ports_write_list(c, w);
	if (o->size)
		container_size_write(c, o->measured, w);
	jw_kv_map(w, "Labels", &c->meta.config.labels);
	jw_kv_str(w, "State", container_status_name(c));
	buf_reset(&text);
	container_status_text(c, now, &text);
	jw_kv_str(w, "Status", buf_text(&text));
	jw_key(w, "HostConfig");
	jw_obj(w);
	jw_kv_str(w, "NetworkMode", c->host.network_mode);
	if (c->host.annotations.n > 0)
		jw_kv_map(w, "Annotations", &c->host.annotations);
	jw_obj_end(w);
	jw_key(w, "NetworkSettings");
	jw_obj(w);
	jw_key(w, "Networks");
	networks_write(c, w);
	jw_obj_end(w);
	jw_key(w, "Mounts");
	mounts_write(c, w);
	jw_obj_end(w);
}

static int list_matching(struct query *q, struct buf *out, struct err *e)
{
	const struct engine_list_options *o = q->o;
	struct jw w = JW_INIT(out);
	int64_t now = clock_now_ns(), left = o->limit > 0 ? o->limit : INT64_MAX;
	const struct strs *status = filters_get(o->filters, "status"),
			  *exited = filters_get(o->filters, "exited");
	bool all = o->all || o->limit > 0 || (status && status->n > 0) || (exited && exited->n > 0);
	bool below = false;

	if (prepare_query(q, e) < 0)
		return -1;
	jw_arr(&w);
	/* Newest first. */
	for (struct list *it = q->g->order.prev; it != &q->g->order && left > 0; it = it->prev) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		if (c == q->since)
			break;
		if (q->before && !below) {
			below = c == q->before;
			continue;
		}
		if ((!all && !c->st.running && !c->st.restarting) || !matches(q, c))
			continue;
		summary(c, o, now, &w);
		left--;
	}
	jw_arr_end(&w);
	return 0;
}

int engine_container_list(struct engine *g, const struct engine_list_options *o, struct buf *out,
			  struct err *e)
{
	struct query q = {.g = g, .o = o};
	int rc = list_matching(&q, out, e);

	for (size_t i = 0; i < q.nnames; i++)
		regfree(&q.names[i]);
	return rc;
}
