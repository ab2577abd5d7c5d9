/* SPDX-License-Identifier: Apache-2.0 */
/* Commands with streams: attach, start, exec, logs. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/run.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

static int inspect(struct cli *c, const char *name, struct json **ret, struct err *e)
{
	AUTO_FREE char *path = url_path("/containers/%s/json", name);

	return client_json(c, "GET", path, NULL, ret, e);
}

static int exit_code(struct cli *c, struct conn *wait, struct stream *s)
{
	struct err e = ERR_INIT;

	if (s->detached)
		return 0;
	int code = wait_result(wait, &e);
	if (code < 0)
		return cli_fail(c, &e);
	return code;
}

struct join {
	struct conn attach, wait;
	struct stream s;
	char *path, *resize, *kill;
};

static int join_open(struct cli *c, struct join *n, const char *id, const char *condition, bool in,
		     bool tty, bool proxy, const char *keys, struct err *e)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO_FREE char *wait = xasprintf("/containers/%s/wait%s", id, condition);

	buf_addf(&path, "/containers/%s/attach?stream=1%s&stdout=1&stderr=1", id,
		 in ? "&stdin=1" : "");
	if (*keys)
		url_query(&path, "detachKeys", keys);
	if (conn_open(c, &n->wait, e) < 0 ||
	    conn_send(&n->wait, "POST", wait, NULL, NULL, NULL, 0, e) < 0 ||
	    stream_open(c, &n->attach, path.p, NULL, e) < 0 || conn_check(&n->attach, e) < 0)
		return -1;
	/* wait on a container that runs answers its headers at once */
	n->resize = xasprintf("/containers/%s/resize", id);
	n->kill = xasprintf("/containers/%s/kill", id);
	n->s = (struct stream){.cli = c,
			       .attach = &n->attach,
			       .wait = &n->wait,
			       .tty = tty,
			       .in = in,
			       .in_tty = tty && in,
			       .detach_keys = keys,
			       .resize_path = tty ? n->resize : NULL,
			       .kill_path = proxy ? n->kill : NULL};
	return 0;
}

static int join_run(struct cli *c, struct join *n)
{
	struct err e = ERR_INIT;

	if (n->s.in_tty)
		stream_raw_begin();
	stream_resize(&n->s);
	int rc = stream_run(&n->s, &e);
	stream_raw_end();
	if (n->s.detached)
		fprintf(stderr, "read escape sequence\n");
	return rc < 0 ? cli_fail(c, &e) : exit_code(c, &n->wait, &n->s);
}

static void join_done(struct cli *c, struct join *n)
{
	conn_close(c, &n->attach);
	conn_close(c, &n->wait);
	free(n->resize);
	free(n->kill);
}

int cmd_attach(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *j = NULL;
	struct join n = {.attach = CONN_INIT, .wait = CONN_INIT};
	struct err e = ERR_INIT;
	int code = 1;

	if (inspect(c, o->argv[0], &j, &e) < 0)
		return cli_fail(c, &e);
	const struct json *state = json_get(j, "State"), *config = json_get(j, "Config");
	const char *why = !json_bool(json_get(state, "Running"))     ? "a stopped"
			  : json_bool(json_get(state, "Paused"))     ? "a paused"
			  : json_bool(json_get(state, "Restarting")) ? "a restarting"
								     : NULL;
	if (why) {
		fprintf(stderr, "cannot attach to %s container%s\n", why,
			strstr(why, "restart")	? ", wait until it is running"
			: strstr(why, "paused") ? ", unpause it first"
						: ", start it first");
		return 1;
	}
	bool tty = json_bool(json_get(config, "Tty"));
	bool in = json_bool(json_get(config, "OpenStdin")) && !opts_bool(o, "no-stdin");
	if (tty && in && !isatty(0)) {
		fprintf(stderr, "the input device is not a TTY\n");
		return 1;
	}
	stream_signals();
	if (join_open(c, &n, json_str(json_get(j, "Id")), "", in, tty,
		      opts_bool(o, "sig-proxy") && !tty, opts_str(o, "detach-keys"), &e) < 0)
		cli_fail(c, &e);
	else
		code = join_run(c, &n);
	join_done(c, &n);
	return code;
}

static int start_one(struct cli *c, const char *name, struct err *e)
{
	AUTO_REPLY struct reply r = REPLY_INIT;
	AUTO_FREE char *path = url_path("/containers/%s/start", name);

	return client_call(c, "POST", path, NULL, &r, e);
}

static int start_attached(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *j = NULL;
	struct join n = {.attach = CONN_INIT, .wait = CONN_INIT};
	struct err e = ERR_INIT;
	int code = 1;

	if (inspect(c, o->argv[0], &j, &e) < 0)
		return cli_fail(c, &e);
	const struct json *config = json_get(j, "Config");
	bool tty = json_bool(json_get(config, "Tty"));
	bool in = opts_bool(o, "interactive") && json_bool(json_get(config, "OpenStdin"));
	bool remove = json_bool(json_get(json_get(j, "HostConfig"), "AutoRemove"));
	stream_signals();
	if (join_open(c, &n, json_str(json_get(j, "Id")),
		      remove ? "?condition=removed" : "?condition=next-exit", in, tty,
		      opts_bool(o, "sig-proxy") && !tty, opts_str(o, "detach-keys"), &e) < 0 ||
	    conn_check(&n.wait, &e) < 0 || start_one(c, o->argv[0], &e) < 0)
		cli_fail(c, &e);
	else
		code = join_run(c, &n);
	join_done(c, &n);
	return code;
}

int cmd_start(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf failed = BUF_INIT(1U << 16);

	if (opts_bool(o, "attach") || opts_bool(o, "interactive")) {
		if (o->argc > 1) {
			fprintf(stderr,
				"you cannot start and attach multiple containers at once\n");
			return 1;
		}
		return start_attached(c, o);
	}
	for (int i = 0; i < o->argc; i++) {
		struct err e = ERR_INIT;
		if (start_one(c, o->argv[i], &e) == 0) {
			printf("%s\n", o->argv[i]), fflush(stdout);
			continue;
		}
		fprintf(stderr, "%s\n", e.text);
		buf_addf(&failed, "%s%s", failed.n ? ", " : "", o->argv[i]);
	}
	if (!failed.n)
		return 0;
	fprintf(stderr, "Error: failed to start containers: %s\n", failed.p);
	return 1;
}

/* ---- exec ---- */
static int exec_body(const struct opts *o, struct buf *out, struct err *e)
{
	struct jw w = JW_INIT(out);
	bool detach = opts_bool(o, "detach");

	jw_obj(&w);
	jw_kv_str(&w, "User", opts_str(o, "user"));
	jw_kv_bool(&w, "Privileged", opts_bool(o, "privileged"));
	jw_kv_bool(&w, "Tty", opts_bool(o, "tty"));
	jw_kv_bool(&w, "AttachStdin", !detach && opts_bool(o, "interactive"));
	jw_kv_bool(&w, "AttachStdout", !detach);
	jw_kv_bool(&w, "AttachStderr", !detach);
	if (opts_set(o, "detach-keys"))
		jw_kv_str(&w, "DetachKeys", opts_str(o, "detach-keys"));
	jw_key(&w, "Env");
	jw_arr(&w);
	if (parse_env(&w, opts_get(o, "env-file"), opts_get(o, "env"), e) < 0)
		return -1;
	jw_arr_end(&w);
	jw_kv_str(&w, "WorkingDir", opts_str(o, "workdir"));
	jw_key(&w, "Cmd");
	jw_arr(&w);
	for (int i = 1; i < o->argc; i++)
		jw_str(&w, o->argv[i]);
	jw_arr_end(&w);
	jw_obj_end(&w);
	return 0;
}

#define EXIT_PATIENCE_MS 2000
#define EXIT_STEP_MS	 20

static int exec_exit_code(struct cli *c, const char *id)
{
	AUTO(json) struct json *j = NULL;
	AUTO_FREE char *path = url_path("/exec/%s/json", id);
	struct err e = ERR_INIT;

	/* The stream may end a moment before the engine hears of the exit. */
	for (int waited = 0;; waited += EXIT_STEP_MS) {
		if (client_json(c, "GET", path, NULL, &j, &e) < 0) {
			if (e.kind == ERR_NOT_FOUND)
				err_set(&e, ERR_NOT_FOUND,
					"the engine was restarted while the command ran: its exit "
					"code is not known");
			return cli_fail(c, &e);
		}
		if (!json_bool(json_get(j, "Running")) || waited >= EXIT_PATIENCE_MS)
			break;
		json_free(TAKE_PTR(j));
		usleep(EXIT_STEP_MS * 1000);
	}
	if (json_kind_of(json_get(j, "ExitCode")) != JSON_INT) {
		fprintf(stderr, "%s\n",
			json_bool(json_get(j, "Running"))
				? "the connection ended before the command did; it goes on"
				: "the connection ended before the command began");
		return 1;
	}
	return (int)json_i64(json_get(j, "ExitCode"));
}

static int exec_start(struct cli *c, const struct opts *o, const char *id, const char *start)
{
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;
	bool tty = opts_bool(o, "tty"), in = opts_bool(o, "interactive");
	AUTO_FREE char *resize = xasprintf("/exec/%s/resize", id);
	struct stream s = {.cli = c,
			   .attach = &k,
			   .tty = tty,
			   .in = in,
			   .in_tty = tty && in,
			   .detach_keys = opts_str(o, "detach-keys"),
			   .resize_path = tty ? resize : NULL};
	AUTO_FREE char *path = url_path("/exec/%s/start", id);

	stream_signals();
	int rc = stream_open(c, &k, path, start, &e);
	if (rc == 0)
		rc = conn_check(&k, &e);
	if (rc == 0) {
		if (s.in_tty)
			stream_raw_begin();
		stream_resize(&s);
		rc = stream_run(&s, &e);
		stream_raw_end();
	}
	conn_close(c, &k);
	if (rc < 0)
		return cli_fail(c, &e), run_exit_code(&e) == 125 ? 1 : run_exit_code(&e);
	return s.detached ? 0 : exec_exit_code(c, id);
}

int cmd_exec(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(64U << 20);
	AUTO(json) struct json *answer = NULL;
	AUTO_FREE char *path = url_path("/containers/%s/exec", o->argv[0]);
	struct err e = ERR_INIT;
	bool detach = opts_bool(o, "detach"), tty = opts_bool(o, "tty");

	if (tty && !detach && opts_bool(o, "interactive") && !isatty(0)) {
		fprintf(stderr, "the input device is not a TTY\n");
		return 1;
	}
	if (exec_body(o, &body, &e) < 0 ||
	    client_json(c, "POST", path, buf_text(&body), &answer, &e) < 0)
		return cli_fail(c, &e);
	const char *id = json_str(json_get(answer, "Id"));
	AUTO_FREE char *start = xasprintf("{\"Detach\":%s,\"Tty\":%s}", detach ? "true" : "false",
					  tty ? "true" : "false");
	if (!detach)
		return exec_start(c, o, id ? id : "", start);
	AUTO_REPLY struct reply r = REPLY_INIT;
	AUTO_FREE char *go = url_path("/exec/%s/start", id ? id : "");
	return client_call(c, "POST", go, start, &r, &e) < 0 ? cli_fail(c, &e) : 0;
}

/* ---- logs ---- */
int cmd_logs(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *j = NULL;
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;

	if (inspect(c, o->argv[0], &j, &e) < 0)
		return cli_fail(c, &e);
	AUTO_FREE char *since = format_when(opts_str(o, "since"));
	AUTO_FREE char *until = format_when(opts_str(o, "until"));
	buf_adds(&path, "/containers/");
	url_segment(&path, json_str(json_get(j, "Id")));
	buf_adds(&path, "/logs?stdout=1&stderr=1");
	if (*since)
		url_query(&path, "since", since);
	if (*until)
		url_query(&path, "until", until);
	if (opts_bool(o, "timestamps"))
		url_query(&path, "timestamps", "1");
	if (opts_bool(o, "details"))
		url_query(&path, "details", "1");
	if (opts_bool(o, "follow"))
		url_query(&path, "follow", "1");
	url_query(&path, "tail", opts_str(o, "tail"));
	int rc = conn_open(c, &k, &e);
	if (rc == 0)
		rc = conn_send(&k, "GET", path.p, NULL, NULL, NULL, 0, &e);
	if (rc == 0)
		rc = conn_check(&k, &e);
	if (rc == 0)
		rc = stream_copy(&k, json_bool(json_get(json_get(j, "Config"), "Tty")), &e);
	conn_close(c, &k);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
