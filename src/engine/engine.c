/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing of the engine, its table of containers, their rows in the store, timers, the
 * trash. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine-priv.h"
#include "engine/network.h"
#include "sys/fs.h"
#include "sys/seal.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define TRASH_TRIES    5 /* of what could not be removed at once; then with the next removal */
#define TRASH_AGAIN_MS 1000

#define METAF(type, member, key, flags) JSON_FIELD(type, struct container_meta, member, key, flags)
static const struct json_field meta_fields[] = {
	JSON_SUB(JT_OBJ, struct container_meta, config, "Config", 0, &container_config_schema),
	JSON_SUB(JT_OBJS, struct container_meta, mounts, "Mounts", 0, &mount_point_schema),
	METAF(JT_STR, path, "Path", 0),
	METAF(JT_STRS, args, "Args", 0),
	METAF(JT_STR, platform, "Platform", JSON_OMITEMPTY),
	{0},
};
const struct json_schema container_meta_schema = {"container", sizeof(struct container_meta),
						  meta_fields};

static const struct json_field health_entry_fields[] = {
	JSON_FIELD(JT_I64, struct health_entry, start, "Start", 0),
	JSON_FIELD(JT_I64, struct health_entry, end, "End", 0),
	JSON_FIELD(JT_I64, struct health_entry, exit_code, "ExitCode", 0),
	JSON_FIELD(JT_STR, struct health_entry, output, "Output", 0),
	{0},
};
static const struct json_schema health_entry_schema = {"health log", sizeof(struct health_entry),
						       health_entry_fields};
static const struct json_field health_saved_fields[] = {
	JSON_FIELD(JT_STR, struct health_saved, status, "Status", 0),
	JSON_FIELD(JT_I64, struct health_saved, failing, "FailingStreak", 0),
	JSON_SUB(JT_OBJS, struct health_saved, log, "Log", 0, &health_entry_schema),
	{0},
};
static const struct json_schema health_saved_schema = {"health", sizeof(struct health_saved),
						       health_saved_fields};

#define ST(type, member, key) JSON_FIELD(type, struct container_state, member, key, JSON_OMITEMPTY)
static const struct json_field state_fields[] = {
	ST(JT_BOOL, running, "Running"),
	ST(JT_BOOL, paused, "Paused"),
	ST(JT_BOOL, restarting, "Restarting"),
	ST(JT_BOOL, oom_killed, "OOMKilled"),
	ST(JT_BOOL, dead, "Dead"),
	ST(JT_BOOL, removing, "Removing"),
	ST(JT_BOOL, manual_stop, "ManualStop"),
	ST(JT_BOOL, started, "Started"),
	ST(JT_I64, pid, "Pid"),
	ST(JT_I64, exit_code, "ExitCode"),
	ST(JT_STR, error, "Error"),
	ST(JT_I64, started_at, "StartedAt"),
	ST(JT_I64, finished_at, "FinishedAt"),
	ST(JT_I64, restart_count, "RestartCount"),
	JSON_SUB(JT_OBJP, struct container_state, health, "Health", JSON_OMITEMPTY,
		 &health_saved_schema),
	JSON_SUB(JT_OBJS, struct container_state, networks, "Networks", JSON_OMITEMPTY,
		 &endpoint_saved_schema),
	JSON_SUB(JT_OBJS, struct container_state, ports, "Ports", JSON_OMITEMPTY,
		 &port_saved_schema),
	{0},
};
const struct json_schema container_state_schema = {"state", sizeof(struct container_state),
						   state_fields};

/* ---- lookup ---- */

struct container *container_by_id(struct engine *g, const char *id)
{
	return map_get(g->by_id, id);
}

struct container *engine_container_get(struct engine *g, const char *ref, struct err *e)
{
	const char *name = ref[0] == '/' ? ref + 1 : ref;
	struct container *c = map_get(g->by_id, ref), *found = NULL;
	size_t n = strlen(ref);

	if (!c)
		c = map_get(g->by_name, name);
	if (c)
		return c;
	if (n > 0 && n < 64 && strspn(ref, "0123456789abcdef") == n) {
		LIST_FOR_EACH (it, &g->order) {
			c = LIST_ENTRY(it, struct container, link);
			if (strncmp(c->id, ref, n) != 0)
				continue;
			if (found) {
				err_set(e, ERR_INVALID,
					"multiple IDs found with provided prefix: %s", ref);
				return NULL;
			}
			found = c;
		}
	}
	if (!found)
		err_set(e, ERR_NOT_FOUND, "No such container: %s", ref);
	return found;
}

const char *engine_container_id(const struct container *c)
{
	return c->id;
}

const char *engine_container_name(const struct container *c)
{
	return c->name;
}

bool engine_container_running(const struct container *c)
{
	return c->st.running;
}

bool engine_container_tty(const struct container *c)
{
	return c->meta.config.tty;
}

bool engine_container_open_stdin(const struct container *c)
{
	return c->meta.config.open_stdin;
}

char *container_run_path(const struct container *c, const char *file)
{
	return xasprintf("%s/containers/%s%s%s", c->g->run_dir, c->id, file ? "/" : "",
			 file ? file : "");
}

char *container_data_path(const struct container *c, const char *file)
{
	return xasprintf("%s/%s%s%s", store_containers_dir(c->g->store), c->id, file ? "/" : "",
			 file ? file : "");
}

void container_set_error(struct container *c, const char *text)
{
	free((void *)(uintptr_t)c->st.error);
	c->st.error = text && *text ? xstrdup(text) : NULL;
}

int container_save_state(struct container *c, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&text);
	struct health_saved health;

	c->st.networks = endpoints_save(c, a);
	c->st.ports = ports_save(c, a);
	if (c->health.enabled) {
		health_save(c, &health);
		c->st.health = &health;
	}
	json_encode(&w, &container_state_schema, &c->st);
	c->st.health = NULL;
	c->st.networks = c->st.ports = (struct objs){0};
	return store_container_set_state(c->g->store, c->id, buf_text(&text), e);
}

void container_save_state_log(struct container *c)
{
	struct err e = ERR_INIT;

	if (container_save_state(c, &e) < 0)
		log_container(LOG_LEVEL_ERROR, c->id, "cannot save its state: %s", e.text);
}

/* ---- timers ---- */

struct timer_box {
	uv_timer_t t;
};

uv_timer_t *engine_timer(struct engine *g, uint64_t ms, uv_timer_cb cb, void *ud)
{
	struct timer_box *b = NEW(struct timer_box);

	uv_timer_init(g->loop, &b->t);
	b->t.data = ud;
	uv_timer_start(&b->t, cb, ms, 0);
	return &b->t;
}

static void timer_closed(uv_handle_t *h)
{
	free(h);
}

void engine_timer_free(uv_timer_t **t)
{
	if (!*t)
		return;
	uv_timer_stop(*t);
	uv_close((uv_handle_t *)*t, timer_closed);
	*t = NULL;
}

/* ---- containers in memory ---- */

static void container_free(struct container *c)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_UNAVAILABLE, "the engine is shutting down");
	restart_cancel(c);
	health_stop(c);
	shim_drop(c);
	container_fail_hooks(c, &e);
	deferred_fail(c, &e);
	LIST_FOR_EACH (it, &c->pending) {
		list_del(it);
		pending_free(LIST_ENTRY(it, struct pending_attach, link));
	}
	health_free(c);
	names_free(c);
	endpoints_free(c);
	ports_free(c);
	container_set_error(c, NULL);
	free(c->name);
	free(c->image_id);
	arena_free(c->arena);
	free(c);
}

void container_unlink(struct container *c)
{
	exec_container_gone(c);
	map_del(c->g->by_id, c->id);
	if (map_get(c->g->by_name, c->name) == c)
		map_del(c->g->by_name, c->name);
	list_del(&c->link);
	container_free(c);
}

struct container *container_load(struct engine *g, const struct store_container *row, struct err *e)
{
	struct container *c = NEW(struct container);
	struct container_state st = {0};

	c->g = g;
	c->arena = arena_new();
	list_init(&c->hooks);
	list_init(&c->waits);
	list_init(&c->pending);
	list_init(&c->endpoints);
	list_init(&c->after_start);
	snprintf(c->id, sizeof(c->id), "%s", row->id);
	c->name = xstrdup(row->name);
	c->image_id = xstrdup(row->image_id ? row->image_id : "");
	c->created = row->created;
	if (json_decode_text(row->config, strlen(row->config), &container_meta_schema, &c->meta,
			     c->arena, e) < 0 ||
	    json_decode_text(row->hostconfig, strlen(row->hostconfig), &host_config_schema,
			     &c->host, c->arena, e) < 0 ||
	    json_decode_text(row->state, strlen(row->state), &container_state_schema, &st, c->arena,
			     e) < 0 ||
	    endpoints_load(c, &st.networks, e) < 0) {
		container_free(c);
		return NULL;
	}
	ports_load(c, &st.ports);
	c->st = st;
	c->st.networks = c->st.ports = (struct objs){0};
	c->st.error = NULL;
	container_set_error(c, st.error);
	c->st.health = NULL;
	if (st.health)
		health_restore(c, st.health);
	map_set(g->by_id, c->id, c);
	map_set(g->by_name, c->name, c);
	list_add_tail(&g->order, &c->link);
	return c;
}

static int load_one(const struct store_container *row, void *ud)
{
	struct engine *g = ud;
	struct err e = ERR_INIT;

	if (!container_load(g, row, &e))
		log_container(LOG_LEVEL_ERROR, row->id, "its row cannot be read: %s", e.text);
	return 0;
}

/* ---- trash: deletes on a worker thread ---- */

static void trash_timer(uv_timer_t *t)
{
	struct engine *g = t->data;

	engine_timer_free(&g->trash_timer);
	engine_trash(g);
}

static void trash_run(uv_work_t *w)
{
	const struct engine *g = CONTAINER_OF(w, struct engine, trash_work);

	store_trash_empty(g->data_dir);
}

static void trash_done(uv_work_t *w, int status)
{
	struct engine *g = CONTAINER_OF(w, struct engine, trash_work);

	g->trash_busy = false;
	if (status == 0 && g->trash_again && !g->closing)
		engine_trash(g);
	else if (!g->closing && !g->trash_timer && store_trash_pending(g->store) &&
		 g->trash_failures++ < TRASH_TRIES)
		g->trash_timer = engine_timer(g, TRASH_AGAIN_MS, trash_timer, g);
	else
		g->trash_failures = 0;
}

void engine_trash(struct engine *g)
{
	g->trash_again = g->trash_busy;
	if (g->trash_busy || g->closing || !store_trash_pending(g->store))
		return;
	if (uv_queue_work(g->loop, &g->trash_work, trash_run, trash_done) == 0)
		g->trash_busy = true;
}

/* Failed pulls and loads leave something too: emptied a moment later, when the operation is over.
 */
static void on_trash(void *ud)
{
	struct engine *g = ud;

	if (!g->trash_timer && !g->closing)
		g->trash_timer = engine_timer(g, 100, trash_timer, g);
}

/* ---- open, close ---- */

static void image_event(void *ud, const char *action, const char *id, const char *name)
{
	engine_event_publish(ud, "image", action, id, "name", name && *name ? name : id, NULL);
}

static int make_dirs(struct engine *g, struct err *e)
{
	AUTO_FREE char *containers = xasprintf("%s/containers", g->run_dir);
	int rc = fs_mkdirs(g->data_dir, 0711);

	if (rc == 0)
		rc = fs_mkdirs(g->run_dir, 0711);
	if (rc == 0)
		rc = fs_mkdirs(containers, 0711);
	if (rc == 0)
		rc = fs_mkdirs(g->seccomp_cache, 0700);
	return rc < 0 ? err_sys(e, rc, "create folders below %s and %s", g->data_dir, g->run_dir)
		      : 0;
}

static void load_identity(struct engine *g)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *json = NULL;
	char id[ENGINE_ID_MAX];

	if (store_doc_get(g->store, "engine", "id", &text, &e) == 0 && strlen(text) == 38) {
		snprintf(g->engine_id, sizeof(g->engine_id), "%.36s", text + 1);
		return;
	}
	id_random(id);
	snprintf(g->engine_id, sizeof(g->engine_id), "%.8s-%.4s-4%.3s-a%.3s-%.12s", id, id + 8,
		 id + 12, id + 15, id + 18);
	json = xasprintf("\"%s\"", g->engine_id);
	err_clear(&e);
	if (store_doc_put(g->store, "engine", "id", json, &e) < 0)
		log_warn("cannot keep the engine's id: %s", e.text);
}

/* The names of our interfaces begin with the engine's id. */
static int networks_open(struct engine *g, struct err *e)
{
	load_identity(g);
	return networks_load(g, e);
}

/* The shim's processes go into containers: they run from a sealed view of its file. */
static void seal_shim(struct engine *g)
{
	AUTO_FREE char *path = xasprintf("%s/coracle-shim", g->program_dir);

	g->shim_fd = seal_program(path);
	if (g->shim_fd < 0)
		log_warn("%s cannot be sealed against containers: %s", path, strerror(-g->shim_fd));
	g->shim_path = g->shim_fd < 0 ? TAKE_PTR(path) : xasprintf("/proc/self/fd/%d", g->shim_fd);
}

static void tell_salvage(const struct engine *g)
{
	const struct store_repair *r = store_repair_report(g->store);

	if (!r->kept[0])
		return;
	log_warn("the state database was damaged: %u rows were salvaged, the old one is kept as "
		 "%s/%s; system fsck --repair looks for what is missing",
		 r->rows_salvaged, g->data_dir, r->kept);
	if (r->containers_kept)
		log_warn("the rows of %u containers are lost; their folders are kept in "
			 "%s/%s.containers",
			 r->containers_kept, g->data_dir, r->kept);
}

int engine_open(struct uv_loop_s *loop, const struct engine_options *o, struct engine **ret,
		struct err *e)
{
	struct engine *g = NEW(struct engine);
	struct image_service_config ic = {.loop = loop};
	const char *home = secure_getenv("CORACLE_HOME");
	AUTO_FREE char *policy = home && *home ? xasprintf("%s/etc/policy.json", home) : NULL;

	g->loop = loop;
	g->data_dir = xstrdup(o->data_dir);
	g->run_dir = xstrdup(o->run_dir);
	g->program_dir = xstrdup(o->program_dir);
	g->host = xstrdup(o->host ? o->host : "");
	seal_shim(g);
	g->init_path = xasprintf("%s/coracle-init", o->program_dir);
	g->seccomp_cache = xasprintf("%s/seccomp", o->run_dir);
	g->own_config = o->config ? NULL : config_default();
	g->config = o->config ? o->config : g->own_config;
	g->trace = o->trace;
	g->started_at = clock_now_ns();
	g->by_id = map_new();
	g->by_name = map_new();
	g->execs = map_new();
	list_init(&g->execs_new);
	list_init(&g->execs_ended);
	list_init(&g->order);
	list_init(&g->networks);
	list_init(&g->logs);
	list_init(&g->replays);
	events_init(g);
	if (make_dirs(g, e) < 0 || store_open(g->data_dir, g->run_dir, &g->store, e) < 0)
		goto fail;
	tell_salvage(g);
	g->event_log = event_log_open(g->data_dir);
	store_on_trash(g->store, on_trash, g);
	ic.store = g->store;
	ic.program_dir = g->program_dir;
	ic.settings = settings_for_images(g->config);
	ic.policy = policy;
	if (image_service_new(&ic, &g->images, e) < 0)
		goto fail;
	image_service_on_event(g->images, image_event, g);
	if (image_recheck(g->images, recover_boot(g), e) < 0 || networks_open(g, e) < 0 ||
	    store_container_each(g->store, load_one, g, e) < 0)
		goto fail;
	gc_schedule(g);
	recover_all(g);
	names_open(g);
	engine_firewall_resume(g);
	engine_trash(g);
	*ret = g;
	return 0;
fail:
	engine_close(g);
	return -1;
}

void engine_close(struct engine *g)
{
	const char *key;
	void *value;
	size_t pos = 0;

	if (!g)
		return;
	g->closing = true;
	attach_done(g);
	networks_leave(g);
	engine_timer_free(&g->trash_timer);
	engine_timer_free(&g->gc_timer);
	names_close(g);
	LIST_FOR_EACH (it, &g->order) {
		struct container *c = LIST_ENTRY(it, struct container, link);

		list_del(it);
		container_free(c);
	}
	while (map_next(g->execs, &pos, &key, &value))
		exec_free(value);
	network_heal_close(g);
	engine_firewall_close(g);
	networks_free(g);
	events_done(g);
	/* The image service closes its handles in the loop; a worker in the trash must end before
	 * the store. */
	image_service_free(g->images);
	uv_run(g->loop, UV_RUN_NOWAIT);
	while (g->trash_busy || g->on_threads || g->unplugging)
		uv_run(g->loop, UV_RUN_ONCE);
	store_close(g->store);
	map_free(g->by_id);
	map_free(g->by_name);
	map_free(g->execs);
	free(g->host_ports);
	free(g->data_dir);
	free(g->run_dir);
	free(g->program_dir);
	free(g->host);
	free(g->shim_path);
	fd_close(&g->shim_fd);
	free(g->init_path);
	free(g->seccomp_cache);
	config_free(g->own_config);
	free(g);
}

struct store *engine_store(struct engine *g)
{
	return g->store;
}

struct image_service *engine_images(struct engine *g)
{
	return g->images;
}
