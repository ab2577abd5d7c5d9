/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a container: files in its run folder, a shim, the clients that attached before, "start".
 * Nothing waits: the shim's answer continues in start_answered(). A failed start leaves the
 * container as it was, with exit code and text.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "engine/engine-priv.h"
#include "engine/hostfiles.h"
#include "engine/links.h"
#include "engine/network.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static void drop_pending(struct container *c)
{
	LIST_FOR_EACH (it, &c->pending) {
		list_del(it);
		pending_free(LIST_ENTRY(it, struct pending_attach, link));
	}
}

/* ---- files of a run ---- */

static int put_file(int dir, const char *name, const char *text, size_t n, struct err *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return err_sys(e, -errno, "write %s", name);
	rc = fs_write_all(fd, text, n);
	fd_close(&fd);
	return rc < 0 ? err_sys(e, rc, "write %s", name) : 0;
}

static int peer_namespace(struct engine *g, const char *mode, const char *ns, const char **ret,
			  struct arena *a, struct container **ret_peer, struct err *e)
{
	struct container *peer;

	if (!mode || !str_starts(mode, "container:"))
		return 0;
	peer = engine_container_get(g, mode + strlen("container:"), e);
	if (!peer)
		return -1;
	if (!peer->st.running)
		return err_set(
			e, ERR_CONFLICT,
			"cannot join %s namespace of a non running container: container %s is %s",
			ns, peer->id, container_status_name(peer));
	*ret = arena_printf(a, "/proc/%lld/ns/%s", (long long)peer->st.pid, ns);
	if (ret_peer)
		*ret_peer = peer;
	return 0;
}

int container_spec_input(struct container *c, struct ocispec_in *ret, struct arena *a,
			 struct err *e)
{
	struct ocispec_in in = {.id = c->id,
				.config = &c->meta.config,
				.host = &c->host,
				.mounts = &c->meta.mounts,
				.path = c->meta.path,
				.args = &c->meta.args};
	AUTO_FREE char *files = hostfiles_dir(c);
	struct container *peer = NULL;
	struct strs *links = arena_alloc(a, sizeof(*links));

	if (links_env(c, links, a, e) < 0)
		return -1;
	in.files_dir = arena_strdup(a, files);
	in.link_env = links;
	in.cgroup_version = runtime_cgroup_version();
	if (c->meta.config.tty)
		console_size_parse(c->host.console_size, &in.console_h, &in.console_w);
	if (peer_namespace(c->g, c->host.network_mode, "net", &in.net_ns, a, NULL, e) < 0 ||
	    peer_namespace(c->g, c->host.pid_mode, "pid", &in.pid_ns, a, NULL, e) < 0 ||
	    peer_namespace(c->g, c->host.ipc_mode, "ipc", &in.ipc_ns, a, &peer, e) < 0)
		return -1;
	if (peer && strcmp(peer->host.ipc_mode, "shareable") ==
			    0) /* the runtime takes the mount out of the other's namespace */
		in.shm_dir = arena_printf(a, "/proc/%lld/root/dev/shm", (long long)peer->st.pid);
	*ret = in;
	return 0;
}

static int write_shim_json(struct container *c, int dir, const struct store_snapshot *sn,
			   struct arena *a, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX);
	struct jw w = JW_INIT(&text);
	struct security sec;
	struct shim_config s = {.id = c->id,
				.tty = c->meta.config.tty,
				.open_stdin = c->meta.config.open_stdin,
				.stdin_once = c->meta.config.stdin_once,
				.network = !list_empty(&c->endpoints),
				.trace = c->g->trace};
	AUTO_FREE char *profile = container_run_path(c, "seccomp.json"),
		       *helper = xasprintf("%s/coracle-tls", c->g->program_dir);

	if (security_parse(&c->host.security_opt, c->host.privileged, &sec, a, e) < 0)
		return -1;
	if (log_config_shim(c, &s.log, a, e) < 0 || volumes_for_shim(c, &s.volumes, a, e) < 0)
		return -1;
	s.rootfs.layers_dir = sn->layers_dir;
	s.rootfs.lower = (struct strs){.v = sn->lower, .n = sn->nlower, .set = true};
	s.rootfs.upper = sn->upper;
	s.rootfs.work = sn->work;
	s.rootfs.readonly = c->host.readonly_rootfs;
	s.seccomp.profile = sec.seccomp;
	s.seccomp.cache_dir = c->g->seccomp_cache;
	if (sec.seccomp[0] == '{') {
		if (put_file(dir, "seccomp.json", sec.seccomp, strlen(sec.seccomp), e) < 0)
			return -1;
		s.seccomp.profile = profile;
	}
	s.cgroup_parent = c->host.cgroup_parent && *c->host.cgroup_parent ? c->host.cgroup_parent
									  : NULL;
	s.helper = helper;
	s.init_path = c->host.init > 0 ? c->g->init_path : NULL;
	json_encode(&w, &shim_config_schema, &s);
	return put_file(dir, SHIM_CONFIG_FILE, text.p, text.n, e);
}

static int prepare(struct container *c, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	AUTO_FREE char *path = container_run_path(c, NULL);
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX);
	AUTO_FD int dir = FD_NONE;
	struct jw w = JW_INIT(&text);
	struct ocispec_in in;
	struct oci_config config;

	if (store_snapshot_get(c->g->store, c->id, &sn, e) < 0)
		return -1;
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "create %s", path);
	dir = fs_open_dir(path);
	if (dir < 0)
		return err_sys(e, dir, "open %s", path);
	unlinkat(dir, SHIM_EXIT_FILE, 0);
	if (endpoints_reserve(c, e) < 0 || mounts_sources(c, e) < 0 || hostfiles_write(c, e) < 0 ||
	    container_spec_input(c, &in, a, e) < 0 || ocispec_build(&in, &config, a, e) < 0)
		return -1;
	json_encode(&w, &oci_config_schema, &config);
	if (text.overflow)
		return err_set(e, ERR_LIMIT, "the container's configuration is too large");
	if (put_file(dir, SHIM_BUNDLE_FILE, text.p, text.n, e) < 0 ||
	    write_shim_json(c, dir, sn, a, e) < 0)
		return -1;
	trace_point("start: files written");
	return 0;
}

/* ---- start ---- */

static void start_done(struct container *c, const struct err *e)
{
	engine_done_fn cb = TAKE_PTR(c->start_cb);
	struct engine *g = c->g;
	void *ud = c->start_ud;
	char id[ENGINE_ID_MAX];
	struct list ops;

	snprintf(id, sizeof(id), "%s", c->id);
	c->starting = false;
	deferred_take(c, &ops);
	if (cb)
		cb(ud, e);
	deferred_run(g, id, &ops);
}

static void start_failed(struct container *c, struct err *e)
{
	char id[ENGINE_ID_MAX];
	struct engine *g = c->g;

	snprintf(id, sizeof(id), "%s", c->id);
	c->st.exit_code = e->kind == ERR_NO_PROGRAM	  ? 127
			  : e->kind == ERR_NOT_EXECUTABLE ? 126
							  : 128;
	c->st.running = c->st.restarting = false;
	c->st.pid = 0;
	container_set_error(c, e->text);
	if (c->shim) {
		struct shim_request quit = {.op = shim_op_name(SHIM_OP_QUIT)};
		struct err ignored = ERR_INIT;

		shim_call(c->shim, &quit, -1, NULL, NULL, &ignored);
		shim_drop(c);
	} else { /* it died in the middle: nobody else takes away what it began */
		recover_remains(c);
	}
	endpoints_down(c);
	c->starting = false;
	volumes_unmount(c);
	c->starting = true;
	drop_pending(c);
	container_clean_run(c);
	container_save_state_log(c);
	start_done(c, e);
	c = container_by_id(g, id);
	if (c && !g->closing && c->host.auto_remove && !c->st.removing) {
		container_auto_remove(c);
	} else if (c && !g->closing) {
		wait_notify(c, false);
	}
}

void container_on_netns(struct container *c, int fd)
{
	struct shim_request r = {.op = shim_op_name(SHIM_OP_NETWORK)};
	struct err e = ERR_INIT, lost = ERR_INIT;

	trace_point("start: cloned");
	if (!c->starting || fd < 0)
		err_set(&e, ERR_CONFLICT, "container %.12s is not starting", c->id);
	if (e.kind != ERR_NONE || endpoints_up(c, fd, &e) < 0) {
		r.kind = err_kind_name(e.kind);
		r.error = e.text;
	}
	trace_point("start: network is up");
	if (shim_call(c->shim, &r, -1, NULL, NULL, &lost) < 0)
		log_warn("container %.12s: %s", c->id, lost.text);
}

static void start_answered(struct container *c, void *ud, const struct shim_message *m,
			   const struct err *e)
{
	trace_point("start: shim answered");
	if (e) {
		struct err wrapped = *e;

		if (str_starts(e->text, "unable to find user ") ||
		    str_starts(e->text, "unable to find group ") ||
		    str_starts(e->text, "Cannot mkdir: ") ||
		    str_starts(e->text, ENDPOINTS_FAILED)) {
			start_failed(c, &wrapped);
			return;
		}
		err_set(&wrapped, e->kind,
			"failed to create task for container: failed to create shim task: OCI "
			"runtime create failed: %.1500s: "
			"unknown",
			e->text);
		start_failed(c, &wrapped);
		return;
	}
	c->st.running = c->st.started = true;
	c->st.restarting = c->st.paused = c->st.oom_killed = c->st.dead = c->st.manual_stop = false;
	c->st.pid = m->pid;
	c->st.exit_code = 0;
	c->st.started_at = m->started_at ? m->started_at : clock_now_ns();

	container_set_error(c, NULL);
	container_save_state_log(c);
	mounts_events(c, true);
	container_event(c, "start", NULL);
	health_start(c);
	names_started(c);
	start_done(c, NULL);
}

static void start_now(struct container *c, struct err *e)
{
	struct shim_request r = {.op = shim_op_name(SHIM_OP_START)};
	uint16_t h = 0, w = 0;

	if (prepare(c, e) < 0 || shim_spawn(c, e) < 0) {
		start_failed(c, e);
		return;
	}
	trace_point("start: shim spawned");
	LIST_FOR_EACH (it, &c->pending) {
		struct pending_attach *p = LIST_ENTRY(it, struct pending_attach, link);
		struct err ignored = ERR_INIT;

		list_del(it);
		if (attach_send(c, &p->o, &ignored) < 0)
			log_container(LOG_LEVEL_WARN, c->id, "cannot hand over a client: %s",
				      ignored.text);
		pending_free(p);
	}
	if (c->meta.config.tty)
		console_size_parse(c->host.console_size, &h, &w);
	r.h = h;
	r.w = w;
	if (shim_call(c->shim, &r, -1, start_answered, NULL, e) < 0)
		start_failed(c, e);
}

int container_start(struct container *c, engine_done_fn cb, void *ud, struct err *e)
{
	trace_point("start: begin");
	c->starting = true;
	c->start_cb = cb;
	c->start_ud = ud;
	if (c->leaving)
		c->start_waits = true;
	else
		start_now(c, e);
	return 0;
}

void container_start_go_on(struct container *c)
{
	struct err e = ERR_INIT;

	c->start_waits = false;
	start_now(c, &e);
}

int engine_container_start(struct engine *g, struct container *c, engine_done_fn cb, void *ud,
			   struct err *e)
{
	if (c->st.paused)
		return err_set(e, ERR_CONFLICT,
			       "cannot start a paused container, try unpause instead");
	if (c->st.running || c->starting)
		return 1;
	if (c->st.removing || c->st.dead)
		return err_set(e, ERR_CONFLICT,
			       "container is marked for removal and cannot be started");
	if (engine_container_ready(g, c, e) < 0)
		return -1;
	restart_cancel(c);
	c->st.restart_count = 0;
	c->restart_delay_ns = 0;
	return container_start(c, cb, ud, e);
}
