/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that do one request per container and print its name: stop, kill, rm and their like. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/run.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

/* One request for each argument; names on stdout, all errors at the end as Docker does. */
static int each(struct cli *c, const struct opts *o, const char *method, const char *path_fmt,
		const char *query, const char *body)
{
	AUTO_BUF struct buf errors = BUF_INIT(1U << 20);

	for (int i = 0; i < o->argc; i++) {
		AUTO_REPLY struct reply r = REPLY_INIT;
		struct err e = ERR_INIT;
		AUTO_FREE char *path = url_path(path_fmt, o->argv[i]);
		AUTO_FREE char *whole = xasprintf("%s%s", path, query);

		if (client_call(c, method, whole, body, &r, &e) == 0)
			printf("%s\n", o->argv[i]), fflush(stdout);
		else
			buf_addf(&errors, "%s\n", e.text);
	}
	fputs(buf_text(&errors), stderr);
	return errors.n ? 1 : 0;
}

static int stop_like(struct cli *c, struct opts *o, const char *path)
{
	AUTO_BUF struct buf query = BUF_INIT(4096);
	char seconds[24];

	snprintf(seconds, sizeof seconds, "%lld", (long long)opts_int(o, "timeout"));
	if (opts_set(o, "signal"))
		url_query(&query, "signal", opts_str(o, "signal"));
	if (opts_set(o, "timeout"))
		url_query(&query, "t", seconds);
	else if (opts_set(o, "time"))
		url_query(&query, "t", opts_str(o, "time"));
	return each(c, o, "POST", path, buf_text(&query), NULL);
}

int cmd_stop(struct cli *c, struct opts *o)
{
	return stop_like(c, o, "/containers/%s/stop");
}

int cmd_restart(struct cli *c, struct opts *o)
{
	return stop_like(c, o, "/containers/%s/restart");
}

int cmd_kill(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf query = BUF_INIT(4096);

	if (opts_set(o, "signal"))
		url_query(&query, "signal", opts_str(o, "signal"));
	return each(c, o, "POST", "/containers/%s/kill", buf_text(&query), NULL);
}

int cmd_pause(struct cli *c, struct opts *o)
{
	return each(c, o, "POST", "/containers/%s/pause", "", NULL);
}

int cmd_unpause(struct cli *c, struct opts *o)
{
	return each(c, o, "POST", "/containers/%s/unpause", "", NULL);
}

int cmd_rm(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf query = BUF_INIT(4096);
	AUTO_BUF struct buf errors = BUF_INIT(1U << 20);
	bool force = opts_bool(o, "force");

	if (opts_bool(o, "volumes"))
		url_query(&query, "v", "1");
	if (force)
		url_query(&query, "force", "1");
	if (opts_bool(o, "link"))
		url_query(&query, "link", "1");
	int code = 0;
	for (int i = 0; i < o->argc; i++) {
		AUTO_REPLY struct reply r = REPLY_INIT;
		struct err e = ERR_INIT;
		const char *name = o->argv[i] + (o->argv[i][0] == '/');
		AUTO_FREE char *path = url_path("/containers/%s", name);
		AUTO_FREE char *whole = xasprintf("%s%s", path, buf_text(&query));

		if (client_call(c, "DELETE", whole, NULL, &r, &e) == 0) {
			printf("%s\n", name), fflush(stdout);
			continue;
		}
		buf_addf(&errors, "%s\n", e.text);
		if (!force || e.kind != ERR_NOT_FOUND)
			code = 1;
	}
	fputs(buf_text(&errors), stderr);
	return code;
}

int cmd_rename(struct cli *c, struct opts *o)
{
	AUTO_REPLY struct reply r = REPLY_INIT;
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct err e = ERR_INIT;

	buf_adds(&path, "/containers/");
	url_segment(&path, o->argv[0]);
	buf_adds(&path, "/rename");
	url_query(&path, "name", o->argv[1]);
	if (client_call(c, "POST", path.p, NULL, &r, &e) < 0) {
		cli_fail(c, &e);
		fprintf(stderr, "Error: failed to rename container named %s\n", o->argv[0]);
		return 1;
	}
	return 0;
}

int cmd_wait(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf errors = BUF_INIT(1U << 20);

	for (int i = 0; i < o->argc; i++) {
		struct conn k = CONN_INIT;
		struct err e = ERR_INIT;
		AUTO_FREE char *path = url_path("/containers/%s/wait", o->argv[i]);
		int code = -1;

		if (conn_open(c, &k, &e) == 0 &&
		    conn_send(&k, "POST", path, NULL, NULL, NULL, 0, &e) == 0)
			code = wait_result(&k, &e);
		conn_close(c, &k);
		if (code >= 0)
			printf("%d\n", code), fflush(stdout);
		else
			buf_addf(&errors, "%s\n", e.text);
	}
	fputs(buf_text(&errors), stderr);
	return errors.n ? 1 : 0;
}

static void update_int(struct jw *w, const char *key, const struct opts *o, const char *name)
{
	if (opts_set(o, name))
		jw_kv_i64(w, key, opts_int(o, name));
}

int cmd_update(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 16);
	struct jw w = JW_INIT(&body);
	struct err e = ERR_INIT;
	bool any = false;

	for (size_t i = 0; o->table[i].name; i++)
		any = any || o->vals[i].set;
	if (!any) {
		fprintf(stderr, "you must provide one or more flags when using this command\n");
		return 1;
	}
	jw_obj(&w);
	update_int(&w, "BlkioWeight", o, "blkio-weight");
	update_int(&w, "CpuPeriod", o, "cpu-period");
	update_int(&w, "CpuQuota", o, "cpu-quota");
	update_int(&w, "CpuRealtimePeriod", o, "cpu-rt-period");
	update_int(&w, "CpuRealtimeRuntime", o, "cpu-rt-runtime");
	update_int(&w, "CpuShares", o, "cpu-shares");
	update_int(&w, "KernelMemory", o, "kernel-memory");
	update_int(&w, "NanoCpus", o, "cpus");
	update_int(&w, "Memory", o, "memory");
	update_int(&w, "MemoryReservation", o, "memory-reservation");
	update_int(&w, "MemorySwap", o, "memory-swap");
	update_int(&w, "PidsLimit", o, "pids-limit");
	if (opts_set(o, "cpuset-cpus"))
		jw_kv_str(&w, "CpusetCpus", opts_str(o, "cpuset-cpus"));
	if (opts_set(o, "cpuset-mems"))
		jw_kv_str(&w, "CpusetMems", opts_str(o, "cpuset-mems"));
	if (opts_set(o, "restart")) {
		jw_key(&w, "RestartPolicy");
		if (parse_restart(&w, opts_str(o, "restart"), &e) < 0)
			return cli_fail(c, &e);
	}
	jw_obj_end(&w);
	return each(c, o, "POST", "/containers/%s/update", "", buf_text(&body));
}

int cmd_diff(struct cli *c, struct opts *o)
{
	AUTO_FREE char *path = url_path("/containers/%s/changes", o->argv[0]);
	AUTO(json) struct json *list = NULL;
	struct err e = ERR_INIT;

	if (client_json(c, "GET", path, NULL, &list, &e) < 0)
		return cli_fail(c, &e);
	for (size_t i = 0; i < json_len(list); i++) {
		int64_t kind = json_i64(json_get(json_at(list, i), "Kind"));
		printf("%c %s\n",
		       kind == 0   ? 'C'
		       : kind == 1 ? 'A'
				   : 'D',
		       json_str(json_get(json_at(list, i), "Path")));
	}
	return 0;
}

static void print_port(const char *key, struct json *value, void *ud)
{
	const char *only = ud;

	if (only && strcmp(only, key))
		return;
	for (size_t i = 0; i < json_len(value); i++) {
		const char *ip = json_str(json_get(json_at(value, i), "HostIp"));
		const char *port = json_str(json_get(json_at(value, i), "HostPort"));
		if (!only)
			printf("%s -> ", key);
		printf(ip && strchr(ip, ':') ? "[%s]:%s\n" : "%s:%s\n", ip ? ip : "",
		       port ? port : "");
	}
}

int cmd_port(struct cli *c, struct opts *o)
{
	AUTO_FREE char *path = url_path("/containers/%s/json", o->argv[0]);
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;

	if (client_json(c, "GET", path, NULL, &j, &e) < 0)
		return cli_fail(c, &e);
	const struct json *ports = json_get(json_get(j, "NetworkSettings"), "Ports");
	AUTO_FREE char *only = NULL;
	if (o->argc > 1)
		only = strchr(o->argv[1], '/') ? xstrdup(o->argv[1])
					       : xasprintf("%s/tcp", o->argv[1]);
	if (only && !json_len(json_get(ports, only))) {
		fprintf(stderr, "Error: No public port '%s' published for %s\n", o->argv[1],
			o->argv[0]);
		return 1;
	}
	json_each(ports, print_port, only);
	return 0;
}

int cmd_export(struct cli *c, struct opts *o)
{
	AUTO_FREE char *path = url_path("/containers/%s/export", o->argv[0]);
	struct err e = ERR_INIT;
	const char *output = opts_str(o, "output");

	if (!*output && isatty(1)) {
		fprintf(stderr, "cowardly refusing to save to a terminal. Use the -o flag or "
				"redirect\n");
		return 1;
	}
	return download(c, path, output, &e) < 0 ? cli_fail(c, &e) : 0;
}

int cmd_top(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO_BUF struct buf args = BUF_INIT(1U << 16);
	AUTO_BUF struct buf text = BUF_INIT(64U << 20);
	AUTO_BUF struct buf out = BUF_INIT(64U << 20);
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;

	for (int i = 1; i < o->argc; i++)
		buf_addf(&args, "%s%s", i > 1 ? " " : "", o->argv[i]);
	buf_adds(&path, "/containers/");
	url_segment(&path, o->argv[0]);
	buf_adds(&path, "/top");
	if (args.n)
		url_query(&path, "ps_args", args.p);
	if (client_json(c, "GET", path.p, NULL, &j, &e) < 0)
		return cli_fail(c, &e);
	const struct json *titles = json_get(j, "Titles"), *rows = json_get(j, "Processes");
	for (size_t r = 0; r <= json_len(rows); r++) {
		const struct json *row = r ? json_at(rows, r - 1) : titles;
		for (size_t i = 0; i < json_len(row); i++)
			buf_addf(&text, "%s%s", i ? "\t" : "", json_str(json_at(row, i)));
		buf_addc(&text, '\n');
	}
	format_align(buf_text(&text), text.n, 20, 3, &out);
	fputs(buf_text(&out), stdout);
	return 0;
}
