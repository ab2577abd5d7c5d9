/* SPDX-License-Identifier: Apache-2.0 */
/* docker update: new limits for a container, running or not; and prune of stopped ones. */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* Lay the posted values over the old ones; zero means "leave". */
static void apply(struct host_config *h, const struct host_config *u, struct arena *a)
{
#define NUMBER(m)                                                                                  \
	if (u->m)                                                                                  \
	h->m = u->m
#define BOXED(m)                                                                                   \
	if (u->m)                                                                                  \
	h->m = memcpy(arena_alloc(a, sizeof(int64_t)), u->m, sizeof(int64_t))
#define TEXT(m)                                                                                    \
	if (str_is_set(u->m))                                                                      \
	h->m = arena_strdup(a, u->m)
	NUMBER(cpu_shares);
	NUMBER(memory);
	NUMBER(memory_reservation);
	NUMBER(memory_swap);
	NUMBER(blkio_weight);
	NUMBER(cpu_period);
	NUMBER(cpu_quota);
	NUMBER(nano_cpus);
	NUMBER(cpu_realtime_period);
	NUMBER(cpu_realtime_runtime);
	BOXED(memory_swappiness);
	BOXED(pids_limit);
	if (u->pids_limit && *u->pids_limit < 0)
		h->pids_limit = arena_alloc(a, sizeof(int64_t)); /* 0: no limit */
	TEXT(cpuset_cpus);
	TEXT(cpuset_mems);
	TEXT(restart_policy.name);
#undef NUMBER
#undef BOXED
#undef TEXT
	if (str_is_set(u->restart_policy.name))
		h->restart_policy.maximum_retry_count = u->restart_policy.maximum_retry_count;
	if (u->nano_cpus)
		h->cpu_period = h->cpu_quota = 0;
	if (u->cpu_period || u->cpu_quota)
		h->nano_cpus = 0;
}

struct update_op {
	engine_json_fn cb;
	void *ud;
	struct host_config host; /* strings in the container's arena */
};

static int save_host(struct container *c, const struct host_config *h, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX);
	struct jw w = JW_INIT(&text);

	json_encode(&w, &host_config_schema, h);
	if (store_container_set_config(c->g->store, c->id, NULL, buf_text(&text), e) < 0)
		return -1;
	c->host = *h;
	container_event(c, "update", NULL);
	return 0;
}

static void update_answered(struct container *c, void *ud, const struct shim_message *m,
			    const struct err *e)
{
	struct update_op *op = ud;
	struct err own = ERR_INIT;

	if (!e && save_host(c, &op->host, &own) < 0)
		e = &own;
	op->cb(op->ud, e ? NULL : "{\"Warnings\":[]}", e);
	free(op);
}

int engine_container_update(struct engine *g, struct container *c, const struct json *body,
			    engine_json_fn cb, void *ud, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(SHIM_MSG_MAX);
	struct shim_request r = {.op = shim_op_name(SHIM_OP_UPDATE)};
	struct jw w = JW_INIT(&text);
	struct warnings warn = {.a = a};
	struct host_config u, h = c->host;
	struct oci_resources res = {0};
	struct update_op *op;

	if (json_decode(body, &host_config_schema, &u, a, e) < 0)
		return -1;
	if (c->st.removing)
		return err_set(e, ERR_CONFLICT,
			       "container is marked for removal and cannot be \"update\"");
	apply(&h, &u, c->arena);
	if (validate_resources(&h, &warn, e) < 0 ||
	    validate_restart_policy(&h.restart_policy, h.auto_remove, e) < 0)
		return -1;
	if (!c->st.running) {
		if (save_host(c, &h, e) < 0)
			return -1;
		cb(ud, "{\"Warnings\":[]}", NULL);
		return 0;
	}
	ocispec_resources(&h, &res, a);
	json_encode(&w, &oci_resources_schema, &res);
	r.resources = buf_text(&text);
	op = NEW(struct update_op);
	*op = (struct update_op){cb, ud, h};
	if (shim_call(c->shim, &r, -1, update_answered, op, e) == 0)
		return 0;
	free(op);
	return -1;
}

/* The moment of ?filters={"until":["24h"]}; without one the end of time. */
static int prune_until(const struct filters *f, int64_t *ret, struct err *e)
{
	const struct strs *v = filters_get(f, "until");

	*ret = INT64_MAX;
	if (!v || v->n == 0)
		return 0;
	if (v->n > 1)
		return err_set(e, ERR_INVALID, "more than one until filter specified");
	if (clock_parse_when(v->v[0], clock_now_ns(), ret) < 0)
		return err_set(e, ERR_INVALID, "failed to parse value as time or duration: \"%s\"",
			       v->v[0]);
	return 0;
}

int engine_container_prune(struct engine *g, const struct filters *f, engine_json_fn cb, void *ud,
			   struct err *e)
{
	static const char *const allowed[] = {"label", "label!", "until", NULL};
	AUTO_BUF struct buf out = BUF_INIT(ENGINE_TEXT_MAX);
	struct jw w = JW_INIT(&out);
	uint64_t freed = 0;
	int64_t until;

	if (filters_check(f, allowed, e) < 0 || prune_until(f, &until, e) < 0)
		return -1;
	jw_obj(&w);
	jw_key(&w, "ContainersDeleted");
	jw_arr(&w);
	LIST_FOR_EACH (it, &g->order) {
		struct container *c = LIST_ENTRY(it, struct container, link);
		AUTO_FREE char *dir = container_data_path(c, NULL);
		AUTO_FD int fd = FD_NONE;
		struct err ignored = ERR_INIT;
		uint64_t bytes = 0, entries = 0;
		char id[ENGINE_ID_MAX];

		if (c->st.running || c->st.restarting || c->starting || c->st.removing ||
		    c->created > until || !filters_match_labels(f, &c->meta.config.labels))
			continue;
		memcpy(id, c->id, sizeof(id));
		fd = fs_open_dir(dir);
		if (fd >= 0)
			fs_disk_usage(fd, "upper", &bytes, &entries);
		if (engine_container_remove(g, c, false, false, false, NULL, NULL, &ignored) < 0)
			continue;
		freed += bytes;
		jw_str(&w, id);
	}
	jw_arr_end(&w);
	jw_kv_u64(&w, "SpaceReclaimed", freed);
	jw_obj_end(&w);
	event_reclaimed(g, "container", freed);
	cb(ud, buf_text(&out), NULL);
	return 0;
}
