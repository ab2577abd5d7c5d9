/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs inside a running container. An exec object lives until some minutes after it
 * ended. */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "engine/links.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define EXEC_KEPT_NS (5ll * 60 * 1000000000)
#define EXECS_KEPT   256 /* ended ones; each takes some 5 kB */
#define EXECS_NEW    256 /* created, not started */

void exec_free(struct exec *x)
{
	arena_free(x->arena);
	free(x);
}

struct exec *exec_get(struct engine *g, const char *id)
{
	return map_get(g->execs, id);
}

static void leave_new(struct engine *g, struct exec *x)
{
	list_del(&x->link);
	g->nexecs_new--;
}

/* Nothing can happen with it any more: it is kept for those who ask how it ended, not for ever. */
static void keep_ended(struct engine *g, struct exec *x)
{
	if (x->finished_at)
		return;
	if (!x->started)
		leave_new(g, x);
	x->finished_at = clock_now_ns();
	list_add_tail(&g->execs_ended, &x->link);
	g->nexecs_ended++;
}

static void forget(struct engine *g, struct exec *x)
{
	list_del(&x->link);
	map_del(g->execs, x->id);
	exec_free(x);
}

/* Forget execs nobody can still want, and those that nobody ever started, from a number on. */
static void forget_old(struct engine *g)
{
	int64_t now = clock_now_ns();

	for (; g->nexecs_new >= EXECS_NEW; g->nexecs_new--)
		forget(g, LIST_ENTRY(g->execs_new.next, struct exec, link));
	for (; !list_empty(&g->execs_ended); g->nexecs_ended--) {
		struct exec *x = LIST_ENTRY(g->execs_ended.next, struct exec, link);

		if (g->nexecs_ended <= EXECS_KEPT && now - x->finished_at < EXEC_KEPT_NS)
			return;
		forget(g, x);
	}
}

static struct exec *find(struct engine *g, const char *id, struct err *e)
{
	struct exec *x = exec_get(g, id);

	if (!x)
		err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
	return x;
}

int engine_exec_create(struct engine *g, struct container *c, const char *ref,
		       const struct exec_config *body, char ret_id[static ENGINE_ID_MAX],
		       struct err *e)
{
	struct detach_keys keys;
	struct exec *x;

	forget_old(g);
	if (!c->st.running)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (c->st.paused)
		return err_set(e, ERR_CONFLICT,
			       "container %s is paused, unpause the container before exec", ref);
	if (body->cmd.n == 0)
		return err_set(e, ERR_INVALID, "No exec command specified");
	if (body->detach_keys && *body->detach_keys &&
	    detach_keys_parse(body->detach_keys, &keys) < 0)
		return err_set(e, ERR_INVALID, "Invalid escape keys (%s) provided",
			       body->detach_keys);
	x = NEW(struct exec);
	x->arena = arena_new();
	x->config = *body;
	x->config.env = strs_copy(x->arena, &x->config.env);
	x->config.cmd = strs_copy(x->arena, &x->config.cmd);
	x->config.user = arena_strdup(x->arena, body->user);
	x->config.console_size = arena_strdup(x->arena, body->console_size);
	x->config.detach_keys = arena_strdup(x->arena, body->detach_keys);
	x->config.working_dir = arena_strdup(x->arena, body->working_dir);
	snprintf(x->cid, sizeof(x->cid), "%s", c->id);
	id_random(x->id);
	map_set(g->execs, x->id, x);
	list_add_tail(&g->execs_new, &x->link);
	g->nexecs_new++;
	memcpy(ret_id, x->id, sizeof(x->id));
	return 0;
}

/* "exec_create: sh -c true" */
static void exec_event(struct container *c, const struct exec *x, const char *what,
		       bool with_command)
{
	AUTO_BUF struct buf action = BUF_INIT(64);

	buf_adds(&action, what);
	if (with_command) {
		buf_adds(&action, ":");
		for (size_t i = 0; i < x->config.cmd.n && !action.overflow; i++)
			buf_addf(&action, " %s", x->config.cmd.v[i]);
	}
	container_event(c, buf_text(&action), "execID", x->id, NULL);
}

int engine_exec_check(struct engine *g, const char *id, const struct exec_start *o, bool *ret_mux,
		      struct err *e)
{
	const struct exec *x = find(g, id, e);
	const struct container *c;

	if (!x)
		return -1;
	c = container_by_id(g, x->cid);
	if (!c)
		return err_set(e, ERR_NOT_FOUND, "No such container: %s", x->cid);
	if (x->finished_at || (x->started && !x->running))
		return err_set(e, ERR_CONFLICT, "exec %s has already run", id);
	if (x->running)
		return err_set(e, ERR_CONFLICT, "exec command %s is already running", id);
	if (!c->st.running)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (c->st.paused)
		return err_set(e, ERR_CONFLICT,
			       "container %s is paused, unpause the container before exec", c->id);
	*ret_mux = !x->config.tty;
	return 0;
}

/* The code of an exec that never ran. Docker: what is not there is 127, everything else 126. */
static void exec_failed(struct engine *g, struct exec *x, const struct err *e)
{
	bool missing = e->kind == ERR_NO_PROGRAM ||
		       strcasestr(e->text, "no such file or directory");

	keep_ended(g, x);
	x->started = true;
	x->running = false;
	x->has_exit = true;
	x->exit_code = missing ? 127 : 126;
}

static void exec_error(struct err *own, const struct err *e)
{
	bool plain = str_starts(e->text, "unable to find user ") ||
		     str_starts(e->text, "unable to find group ");

	if (plain)
		*own = *e;
	else
		err_set(own, e->kind, "OCI runtime exec failed: exec failed: %.1500s: unknown",
			e->text);
}

struct exec_call {
	struct engine *g;
	char id[ENGINE_ID_MAX];
	engine_done_fn cb;
	void *ud;
};

static void exec_answered(struct container *c, void *ud, const struct shim_message *m,
			  const struct err *e)
{
	struct exec_call *call = ud;
	struct exec *x = exec_get(call->g, call->id);
	struct err own = ERR_INIT;

	if (e) {
		exec_error(&own, e);
		if (x)
			exec_failed(call->g, x, e);
	} else if (x) {
		x->pid = m->pid;
	}
	if (call->cb)
		call->cb(call->ud, e ? &own : NULL);
	if (e && x && x->on_exit)
		x->on_exit(x, x->on_exit_ud);
	free(call);
}

static int build_process(struct container *c, struct exec *x, struct buf *out, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct ocispec_in in = {.id = c->id,
				.config = &c->meta.config,
				.host = &c->host,
				.mounts = &c->meta.mounts,
				.path = c->meta.path,
				.args = &c->meta.args};
	struct strs links = {0};
	struct err ignored = ERR_INIT;
	struct oci_process p;
	struct jw w = JW_INIT(out);

	links_env(c, &links, a, &ignored); /* of those that run */
	in.link_env = &links;
	if (ocispec_exec(&in, &x->config, &p, a, e) < 0)
		return -1;
	json_encode(&w, &oci_process_schema, &p);
	return 0;
}

int engine_exec_start(struct engine *g, const char *id, const struct exec_start *o,
		      const struct engine_attach *attach, engine_done_fn cb, void *ud,
		      struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(SHIM_MSG_MAX), preface = BUF_INIT(SHIM_MSG_MAX);
	struct shim_request r = {.op = shim_op_name(SHIM_OP_EXEC), .id = id};
	AUTO_FD int fd = attach ? attach->fd : FD_NONE;
	struct exec_call *call;
	struct container *c;
	struct exec *x;
	uint16_t h, w;
	bool mux;

	if (engine_exec_check(g, id, o, &mux, e) < 0)
		return -1;
	x = exec_get(g, id);
	c = container_by_id(g, x->cid);
	if (x->config.working_dir && *x->config.working_dir && *x->config.working_dir != '/') {
		err_set(e, ERR_INVALID,
			"OCI runtime exec failed: exec failed: cwd must be an absolute path: "
			"unknown");
		exec_failed(g, x, e);
		return -1;
	}
	if (build_process(c, x, &text, e) < 0)
		return -1;
	r.process = buf_text(&text);
	r.tty = x->config.tty;
	console_size_parse(o->console_size ? o->console_size : x->config.console_size, &h, &w);
	r.h = h;
	r.w = w;
	if (attach) {
		r.want_stdin = x->config.attach_stdin;
		r.want_stdout = x->config.attach_stdout;
		r.want_stderr = x->config.attach_stderr;
		r.mux = attach->mux && !x->config.tty;
		if (x->config.tty)
			r.detach_keys = x->config.detach_keys ? x->config.detach_keys : "";
		if (attach->preface_n > 0) {
			base64_encode(attach->preface, attach->preface_n, &preface);
			r.preface = buf_text(&preface);
		}
	}
	exec_event(c, x, "exec_create", true);
	exec_event(c, x, "exec_start", true);
	call = NEW(struct exec_call);
	*call = (struct exec_call){.g = g, .cb = cb, .ud = ud};
	memcpy(call->id, x->id, sizeof(call->id));
	if (shim_call(c->shim, &r, fd, exec_answered, call, e) < 0) {
		free(call);
		return -1;
	}
	leave_new(g, x);
	x->started = x->running = true;
	return 0;
}

static void exec_ended(struct container *c, struct exec *x, int64_t code)
{
	char text[32];

	x->running = false;
	x->has_exit = true;
	x->exit_code = code;
	keep_ended(c->g, x);
	snprintf(text, sizeof(text), "%lld", (long long)code);
	container_event(c, "exec_die", "execID", x->id, "exitCode", text, NULL);
	if (x->on_exit)
		x->on_exit(x, x->on_exit_ud);
}

void exec_exited(struct container *c, const char *id, int64_t code)
{
	struct exec *x = id ? exec_get(c->g, id) : NULL;

	if (x && x->running)
		exec_ended(c, x, code);
}

void exec_container_gone(struct container *c)
{
	const char *id;
	void *v;
	size_t pos = 0;

	while (map_next(c->g->execs, &pos, &id, &v)) {
		struct exec *x = v;

		if (strcmp(x->cid, c->id) != 0)
			continue;
		if (x->running)
			exec_ended(c, x, 137);
		else if (!x->finished_at)
			keep_ended(c->g, x);
	}
}

int engine_exec_resize(struct engine *g, const char *id, unsigned h, unsigned w, struct err *e)
{
	struct exec *x = find(g, id, e);
	struct shim_request r = {.op = shim_op_name(SHIM_OP_EXEC_RESIZE), .id = id, .h = h, .w = w};
	struct container *c;

	if (!x)
		return -1;
	c = container_by_id(g, x->cid);
	if (!c || !x->running)
		return err_set(e, ERR_CONFLICT, "exec %s is not running", id);
	return shim_call(c->shim, &r, -1, NULL, NULL, e);
}

int engine_exec_inspect(struct engine *g, const char *id, struct buf *out, struct err *e)
{
	const struct exec *x = find(g, id, e);
	struct strs args = {.set = true};
	struct jw w = JW_INIT(out);

	if (!x)
		return -1;
	args.v = x->config.cmd.v + 1;
	args.n = x->config.cmd.n - 1;
	jw_obj(&w);
	jw_kv_str(&w, "ID", x->id);
	jw_kv_bool(&w, "Running", x->running);
	jw_key(&w, "ExitCode");
	if (x->has_exit)
		jw_i64(&w, x->exit_code);
	else
		jw_null(&w);
	jw_key(&w, "ProcessConfig");
	jw_obj(&w);
	jw_kv_bool(&w, "tty", x->config.tty);
	jw_kv_str(&w, "entrypoint", x->config.cmd.v[0]);
	jw_kv_strs(&w, "arguments", &args);
	jw_kv_bool(&w, "privileged", x->config.privileged);
	if (x->config.user && *x->config.user)
		jw_kv_str(&w, "user", x->config.user);
	jw_obj_end(&w);
	jw_kv_bool(&w, "OpenStdin", x->config.attach_stdin);
	jw_kv_bool(&w, "OpenStderr", x->config.attach_stderr);
	jw_kv_bool(&w, "OpenStdout", x->config.attach_stdout);
	jw_kv_bool(&w, "CanRemove", x->has_exit);
	jw_kv_str(&w, "ContainerID", x->cid);
	jw_kv_str(&w, "DetachKeys", x->config.detach_keys ? x->config.detach_keys : "");
	jw_kv_i64(&w, "Pid", x->pid);
	jw_obj_end(&w);
	return 0;
}
