/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a crash: rows in the store against folders in the run directory. A live shim is adopted
 * (its hello tells the state); a finished one left exit.json; one that died took nothing with it
 * but its pid: what still runs in the cgroup is killed. Folders without a row go. Containers that
 * should run again are started.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine-priv.h"
#include "engine/network.h"
#include "sys/fs.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>

#include "base/banned.h"

static int read_document(const char *dir, const char *file, const struct json_schema *schema,
			 void *ret, struct arena *a)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, file);
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	if (fs_read_path(path, &text) < 0 || text.n == 0)
		return -1;
	return json_decode_text(text.p, text.n, schema, ret, a, &e);
}

/* Kill and remove what a dead shim left: processes and cgroups of the container. */
static void kill_remains(const char *dir, const char *id, const char *cgroup_parent)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_FREE char *cgroup = xasprintf(
		"%s/%s", cgroup_parent && *cgroup_parent ? cgroup_parent : "/coracle", id);
	struct runtime_container rc = RUNTIME_CONTAINER_INIT;
	struct shim_state st = {0};
	struct shim_config sc = {0};
	struct err e = ERR_INIT;

	/* Without a row only the shim's own file knows the parent. */
	if (!cgroup_parent &&
	    read_document(dir, SHIM_CONFIG_FILE, &shim_config_schema, &sc, a) == 0 &&
	    sc.cgroup_parent && *sc.cgroup_parent) {
		free(cgroup);
		cgroup = xasprintf("%s/%s", sc.cgroup_parent, id);
	}
	if (read_document(dir, SHIM_STATE_FILE, &shim_state_schema, &st, a) == 0 && st.pid > 1 &&
	    runtime_adopt((pid_t)st.pid, st.start_ticks, cgroup, &rc, &e) == 0)
		runtime_kill(&rc, SIGKILL, &e);
	if (!rc.cgroup_path)
		rc.cgroup_path = xstrdup(cgroup);
	err_clear(&e);
	if (runtime_delete(&rc, &e) < 0)
		log_container(LOG_LEVEL_WARN, id, "cannot remove its cgroup: %s", e.text);
	runtime_container_done(&rc);
}

void recover_remains(struct container *c)
{
	AUTO_FREE char *dir = container_run_path(c, NULL);

	kill_remains(dir, c->id, c->host.cgroup_parent);
}

void recover_lost(struct container *c)
{
	AUTO_FREE char *dir = container_run_path(c, NULL);
	AUTO(arena) struct arena *a = arena_new();
	struct shim_exit ex = {.code = 137};

	/* Its exit file is written before its control groups go: it may have died between. */
	read_document(dir, SHIM_EXIT_FILE, &shim_exit_schema, &ex, a);
	kill_remains(dir, c->id, c->host.cgroup_parent);
	if (!c->st.started && !c->st.running &&
	    ex.finished_at == 0) { /* never ran: it is only created */
		shim_drop(c);
		container_clean_run(c);
		return;
	}
	c->st.started = true;
	if (ex.started_at)
		c->st.started_at = ex.started_at;
	container_exited(c, ex.code, ex.oom, ex.finished_at);
}

static void recover_deferred(uv_timer_t *t)
{
	struct container *c = t->data;

	engine_timer_free(&c->restart_timer);
	recover_lost(c);
}

static void restart_deferred(uv_timer_t *t)
{
	struct container *c = t->data;
	struct err e = ERR_INIT;

	engine_timer_free(&c->restart_timer);
	if (engine_container_ready(c->g, c, &e) < 0)
		c->restart_timer = engine_timer(c->g, ENGINE_READY_MS, restart_deferred, c);
	else if (!c->st.running && !c->starting)
		container_start(c, NULL, NULL, &e);
}

static void start_at_boot(struct container *c)
{
	c->st.restart_count = 0;
	c->restart_delay_ns = 0;
	c->restart_timer = engine_timer(c->g, 0, restart_deferred, c);
}

static void recover_one(struct container *c)
{
	AUTO_FREE char *dir = container_run_path(c, NULL);
	struct err e = ERR_INIT;
	bool folder = access(dir, F_OK) == 0;

	c->st.removing = false;
	if (c->st.restarting && !c->st.running) {
		start_at_boot(c);
		return;
	}
	if (!folder) {
		/* The machine went down: run is a tmpfs. */
		if (c->st.running)
			c->restart_timer = engine_timer(c->g, 0, recover_deferred, c);
		else if (restart_wanted_at_boot(c))
			start_at_boot(c);
		else if (c->host.auto_remove && c->st.started)
			engine_container_remove(c->g, c, true, true, false, NULL, NULL, &e);
		return;
	}
	if (shim_connect(c, &e) == 0) {
		c->adopting = true;
		c->st.running = c->st.started || c->st.running;
		/* before anything else is started: its addresses are taken */
		if (c->st.running && endpoints_adopt(c, &e) < 0)
			log_error("container %.12s: %s", c->id, e.text);
		return;
	}
	c->restart_timer = engine_timer(c->g, 0, recover_deferred, c);
}

static void remove_orphans(struct engine *g)
{
	AUTO_FREE char *base = xasprintf("%s/containers", g->run_dir);
	AUTO_FD int fd = fs_open_dir(base);
	DIR *d = opendir(base);
	const struct dirent *ent;

	while (d && fd >= 0 && (ent = readdir(d))) {
		AUTO_FREE char *dir = NULL;

		if (strlen(ent->d_name) != 64 || container_by_id(g, ent->d_name))
			continue;
		dir = xasprintf("%s/%s", base, ent->d_name);
		log_container(LOG_LEVEL_INFO, ent->d_name, "no row, removing what is left of it");
		kill_remains(dir, ent->d_name, NULL);
		fs_remove_tree(fd, ent->d_name);
	}
	if (d)
		closedir(d);
}

bool recover_boot(struct engine *g)
{
	AUTO_BUF struct buf now = BUF_INIT(128);
	AUTO_FREE char *before = NULL;
	AUTO_FREE char *json = NULL;
	AUTO_FD int fd = FD_NONE;
	struct err e = ERR_INIT;

	if (fs_read_path("/proc/sys/kernel/random/boot_id", &now) < 0 || now.n < 36)
		return true;
	json = xasprintf("\"%.36s\"", buf_text(&now));
	if (store_doc_get(g->store, "engine", "boot", &before, &e) == 0 &&
	    strcmp(before, json) == 0)
		return false;
	if (before) {
		log_info("the machine was started anew: nothing of the run folder is left");
		fd = fs_open_dir(g->run_dir);
		if (fd >= 0)
			fs_remove_tree(fd, "containers");
		if (fd >= 0)
			mkdirat(fd, "containers", 0711);
	}
	err_clear(&e);
	if (store_doc_put(g->store, "engine", "boot", json, &e) < 0)
		log_warn("cannot remember the boot id: %s", e.text);
	return before != NULL;
}

void recover_all(struct engine *g)
{
	remove_orphans(g);
	LIST_FOR_EACH (it, &g->order)
		recover_one(LIST_ENTRY(it, struct container, link));
	network_leftovers(g);
}
