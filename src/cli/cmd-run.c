/* SPDX-License-Identifier: Apache-2.0 */
/* run and create: create, attach and wait side by side, start, stream, exit code. */
#include "cli/commands.h"
#include "cli/run.h"
#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

int run_exit_code(const struct err *e)
{
	if (strstr(e->text, "executable file not found") ||
	    strstr(e->text, "no such file or directory") ||
	    strstr(e->text, "system cannot find the file specified"))
		return 127;
	if (strstr(e->text, "permission denied") || strstr(e->text, "is a directory"))
		return 126;
	return 125;
}

/* How run and create report: with a hint, or for a bad option value with the usage line. */
static int run_fail(struct cli *c, const struct err *e, int code)
{
	fflush(stdout);
	if (str_starts(e->text, "invalid argument \""))
		return cli_fail(c, e);
	if (str_starts(e->text, "conflicting options: cannot specify both --attach")) {
		fprintf(stderr, "%s\n", e->text);
		return 1;
	}
	fprintf(stderr, "%s: %s\n\nRun '%s %s --help' for more information\n", CLI_NAME, e->text,
		CLI_NAME, str_ends(c->path, "create") ? "create" : "run");
	return code;
}

static int check_pull(const struct opts *o, struct err *e)
{
	const char *p = opts_str(o, "pull");

	if (!strcmp(p, "always") || !strcmp(p, "missing") || !strcmp(p, "never"))
		return 0;
	return err_set(e, ERR_INVALID,
		       "invalid pull option: '%s': must be one of \"always\", \"missing\" or "
		       "\"never\"",
		       p);
}

/* The file is made before the container, so that an existing one is an error in time. */
static int cidfile_open(const char *path, int *ret, struct err *e)
{
	if (!*path)
		return 0;
	if (access(path, F_OK) == 0)
		return err_set(e, ERR_CONFLICT,
			       "container ID file found, make sure the other container isn't "
			       "running or delete %s",
			       path);
	*ret = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (*ret < 0)
		return err_sys(e, -errno, "failed to create the container ID file");
	return 0;
}

static char *create_path(const struct opts *o)
{
	struct buf path = BUF_INIT(1U << 16);

	buf_adds(&path, "/containers/create");
	if (opts_set(o, "name"))
		url_query(&path, "name", opts_str(o, "name"));
	if (opts_set(o, "platform"))
		url_query(&path, "platform", opts_str(o, "platform"));
	return buf_take(&path);
}

static void print_warnings(const struct json *answer)
{
	const struct json *list = json_get(answer, "Warnings");

	for (size_t i = 0; i < json_len(list); i++)
		fprintf(stderr, "WARNING: %s\n", json_str(json_at(list, i)));
}

static int create_once(struct cli *c, const struct opts *o, const char *body, char **ret_id,
		       struct err *e)
{
	AUTO(json) struct json *answer = NULL;
	AUTO_FREE char *path = create_path(o);

	if (client_json(c, "POST", path, body, &answer, e) < 0)
		return -1;
	print_warnings(answer);
	*ret_id = xstrdup(json_str(json_get(answer, "Id")));
	return *ret_id ? 0 : err_set(e, ERR_REMOTE, "the engine's answer has no Id");
}

static int create(struct cli *c, const struct opts *o, const char *body, char **ret_id,
		  struct err *e)
{
	AUTO_FD int cid = FD_NONE;
	const char *image = o->argv[0], *policy = opts_str(o, "pull");
	const char *platform = opts_set(o, "platform") ? opts_str(o, "platform") : NULL;
	bool quiet = opts_bool(o, "quiet");
	const char *cidfile = opts_str(o, "cidfile");

	if (cidfile_open(cidfile, &cid, e) < 0)
		return -1;
	int rc = 0;
	if (!strcmp(policy, "always"))
		rc = image_pull(c, image, platform, quiet, false, stderr, e);
	if (rc == 0)
		rc = create_once(c, o, body, ret_id, e);
	if (rc < 0 && e->kind == ERR_NOT_FOUND && strstr(e->text, "No such image") &&
	    !strcmp(policy, "missing")) {
		AUTO_FREE char *name = image_familiar(image);
		if (!quiet)
			fprintf(stderr, "Unable to find image '%s' locally\n", name);
		rc = image_pull(c, image, platform, quiet, false, stderr, e);
		if (rc == 0)
			rc = create_once(c, o, body, ret_id, e);
	}
	if (cid >= 0 && rc < 0)
		unlink(cidfile);
	if (cid >= 0 && rc == 0 && write(cid, *ret_id, strlen(*ret_id)) < 0)
		return err_sys(e, -errno, "failed to write the container ID to the file");
	return rc;
}

int cmd_create(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(64U << 20);
	AUTO_FREE char *id = NULL;
	struct run_attach a;
	struct err e = ERR_INIT;

	if (check_pull(o, &e) < 0 || run_body(o, false, &body, &a, &e) < 0)
		return run_fail(c, &e, 125);
	if (create(c, o, buf_text(&body), &id, &e) < 0)
		return cli_fail(c, &e);
	puts(id);
	return 0;
}

int wait_result(struct conn *k, struct err *e)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);
	AUTO(json) struct json *j = NULL;

	if (conn_check(k, e) < 0 || conn_body(k, &body, e) < 0 ||
	    json_parse(buf_text(&body), body.n, &j, e) < 0)
		return -1;
	const char *error = json_str(json_get(json_get(j, "Error"), "Message"));
	if (error && *error)
		return err_set(e, ERR_SYSTEM, "Error waiting for container: %s", error);
	return (int)json_i64(json_get(j, "StatusCode"));
}

struct session {
	struct conn attach, wait;
	struct stream s;
	char *resize, *kill;
};

static void session_done(struct cli *c, struct session *n)
{
	stream_raw_end();
	conn_close(c, &n->attach);
	conn_close(c, &n->wait);
	free(n->resize);
	free(n->kill);
}

static int session_open(struct cli *c, const struct opts *o, const char *id,
			const struct run_attach *a, struct session *n, struct err *e)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO_FREE char *wait = xasprintf("/containers/%s/wait?condition=%s", id,
					 opts_bool(o, "rm") ? "removed" : "next-exit");
	const char *keys = opts_str(o, "detach-keys");

	buf_addf(&path, "/containers/%s/attach?stream=1%s%s%s", id, a->in ? "&stdin=1" : "",
		 a->out ? "&stdout=1" : "", a->err ? "&stderr=1" : "");
	if (*keys)
		url_query(&path, "detachKeys", keys);
	/* both on their way before the first answer is read: one turn instead of two */
	if (conn_open(c, &n->wait, e) < 0 ||
	    conn_send(&n->wait, "POST", wait, NULL, NULL, NULL, 0, e) < 0)
		return -1;
	if ((a->in || a->out || a->err) &&
	    (stream_open(c, &n->attach, path.p, NULL, e) < 0 || conn_check(&n->attach, e) < 0))
		return -1;
	if (conn_check(&n->wait, e) < 0)
		return -1;
	n->resize = xasprintf("/containers/%s/resize", id);
	n->kill = xasprintf("/containers/%s/kill", id);
	n->s = (struct stream){.cli = c,
			       .attach = &n->attach,
			       .wait = &n->wait,
			       .tty = a->tty,
			       .in = a->in,
			       .in_tty = a->tty && a->in,
			       .detach_keys = keys,
			       .resize_path = a->tty ? n->resize : NULL,
			       .kill_path = opts_bool(o, "sig-proxy") ? n->kill : NULL};
	return 0;
}

static int start(struct cli *c, const char *id, struct err *e)
{
	AUTO_REPLY struct reply r = REPLY_INIT;
	AUTO_FREE char *path = xasprintf("/containers/%s/start", id);

	return client_call(c, "POST", path, NULL, &r, e);
}

static int run_attached(struct cli *c, const struct opts *o, const char *id,
			const struct run_attach *a)
{
	struct session n = {.attach = CONN_INIT, .wait = CONN_INIT};
	struct err e = ERR_INIT, ignored = ERR_INIT;
	int code;

	stream_signals();
	if (session_open(c, o, id, a, &n, &e) < 0) {
		code = run_fail(c, &e, 125);
	} else if (start(c, id, &e) < 0) {
		code = run_fail(c, &e, run_exit_code(&e));
		if (opts_bool(o, "rm"))
			wait_result(&n.wait, &ignored);
	} else {
		trace_point("started");
		if (n.s.in_tty)
			stream_raw_begin();
		stream_resize(&n.s);
		if (!a->in && !a->out && !a->err)
			printf("%s\n", id), fflush(stdout);
		if (n.attach.fd < 0)
			code = wait_result(&n.wait, &e);
		else if (stream_run(&n.s, &e) < 0)
			code = -1;
		else
			code = n.s.detached ? 0 : wait_result(&n.wait, &e);
		stream_raw_end();
		if (code < 0)
			code = run_fail(c, &e, 125);
	}
	session_done(c, &n);
	return code;
}

int cmd_run(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(64U << 20);
	AUTO_FREE char *id = NULL;
	bool detach = opts_bool(o, "detach");
	struct run_attach a;
	struct err e = ERR_INIT;

	if (check_pull(o, &e) < 0 || run_body(o, detach, &body, &a, &e) < 0)
		return run_fail(c, &e, 125);
	if (a.tty && a.in && !isatty(0)) {
		fprintf(stderr, "the input device is not a TTY\n");
		return 1;
	}
	if (create(c, o, buf_text(&body), &id, &e) < 0)
		return run_fail(c, &e, run_exit_code(&e));
	trace_point("created");
	if (!detach)
		return run_attached(c, o, id, &a);
	if (start(c, id, &e) < 0)
		return run_fail(c, &e, run_exit_code(&e));
	puts(id);
	return 0;
}
