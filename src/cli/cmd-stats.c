/* SPDX-License-Identifier: Apache-2.0 */
/* stats: one request per container at the same time, one table per round. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/units.h"
#include "base/mem.h"

#include <string.h>
#include <time.h>

#include "base/banned.h"

#define STATS_MAX 1024

static const struct format_header stats_headers[] = {
	{"Container", "CONTAINER"},
	{"Name", "NAME"},
	{"ID", "CONTAINER ID"},
	{"CPUPerc", "CPU %"},
	{"MemUsage", "MEM USAGE / LIMIT"},
	{"MemPerc", "MEM %"},
	{"NetIO", "NET I/O"},
	{"BlockIO", "BLOCK I/O"},
	{"PIDs", "PIDS"},
};

static double cpu_percent(const struct json *j)
{
	const struct json *now = json_get(j, "cpu_stats"), *old = json_get(j, "precpu_stats");
	double cpu = json_double(json_get(json_get(now, "cpu_usage"), "total_usage")) -
		     json_double(json_get(json_get(old, "cpu_usage"), "total_usage"));
	double host = json_double(json_get(now, "system_cpu_usage")) -
		      json_double(json_get(old, "system_cpu_usage"));
	double cpus = json_double(json_get(now, "online_cpus"));

	if (cpus == 0)
		cpus = (double)json_len(json_get(json_get(now, "cpu_usage"), "percpu_usage"));
	return host > 0 && cpu > 0 ? cpu / host * cpus * 100 : 0;
}

static double memory_used(const struct json *m)
{
	double usage = json_double(json_get(m, "usage"));
	const struct json *stats = json_get(m, "stats");
	const struct json *v1 = json_get(stats, "total_inactive_file");
	double cache = json_double(v1 ? v1 : json_get(stats, "inactive_file"));

	return cache < usage ? usage - cache : usage;
}

struct io {
	double in, out;
};

static void add_network(const char *key, struct json *value, void *ud)
{
	struct io *io = ud;

	(void)key;
	io->in += json_double(json_get(value, "rx_bytes"));
	io->out += json_double(json_get(value, "tx_bytes"));
}

static struct io block_io(const struct json *j)
{
	const struct json *list = json_get(json_get(j, "blkio_stats"),
					   "io_service_bytes_recursive");
	struct io io = {0, 0};

	for (size_t i = 0; i < json_len(list); i++) {
		const char *op = json_str(json_get(json_at(list, i), "op"));
		double value = json_double(json_get(json_at(list, i), "value"));
		if (op && (*op == 'r' || *op == 'R'))
			io.in += value;
		else if (op && (*op == 'w' || *op == 'W'))
			io.out += value;
	}
	return io;
}

static char *io_text(struct io io)
{
	char a[32], b[32];

	units_decimal(io.in, 3, a, sizeof a);
	units_decimal(io.out, 3, b, sizeof b);
	return xasprintf("%s / %s", a, b);
}

static void stats_row(const struct json *j, const char *asked, bool no_trunc, struct buf *out)
{
	struct jw w = JW_INIT(out);
	const struct json *m = json_get(j, "memory_stats");
	const char *name = json_str(json_get(j, "name"));
	double used = memory_used(m), limit = json_double(json_get(m, "limit"));
	struct io net = {0, 0};
	char used_text[32], limit_text[32], id[13];

	json_each(json_get(j, "networks"), add_network, &net);
	units_binary(used, used_text, sizeof used_text);
	units_binary(limit, limit_text, sizeof limit_text);
	AUTO_FREE char *cpu = xasprintf("%.2f%%", cpu_percent(j));
	AUTO_FREE char *memory = xasprintf("%s / %s", used_text, limit_text);
	AUTO_FREE char *percent = xasprintf("%.2f%%", limit > 0 ? used / limit * 100 : 0);
	AUTO_FREE char *net_text = io_text(net);
	AUTO_FREE char *block = io_text(block_io(j));
	AUTO_FREE char *pids = xasprintf(
		"%lld", (long long)json_i64(json_get(json_get(j, "pids_stats"), "current")));
	jw_obj(&w);
	jw_kv_str(&w, "BlockIO", block);
	jw_kv_str(&w, "CPUPerc", cpu);
	jw_kv_str(&w, "Container", asked);
	jw_kv_str(&w, "ID", format_short_id(json_str(json_get(j, "id")), no_trunc, id));
	jw_kv_str(&w, "MemPerc", percent);
	jw_kv_str(&w, "MemUsage", memory);
	jw_kv_str(&w, "Name", name && *name == '/' ? name + 1 : name);
	jw_kv_str(&w, "NetIO", net_text);
	jw_kv_str(&w, "PIDs", pids);
	jw_obj_end(&w);
}

/* The names to show: the arguments, or all running containers. */
static int names(struct cli *c, const struct opts *o, char **ret, size_t *ret_n, struct err *e)
{
	AUTO(json) struct json *list = NULL;
	size_t n = 0;

	for (int i = 0; i < o->argc && n < STATS_MAX; i++)
		ret[n++] = xstrdup(o->argv[i]);
	if (!o->argc) {
		if (client_json(c, "GET",
				opts_bool(o, "all") ? "/containers/json?all=1" : "/containers/json",
				NULL, &list, e) < 0)
			return -1;
		for (size_t i = 0; i < json_len(list) && n < STATS_MAX; i++) {
			const char *id = json_str(json_get(json_at(list, i), "Id"));
			ret[n++] = xstrndup(id ? id : "", 12);
		}
	}
	*ret_n = n;
	return 0;
}

static int stats_round(struct cli *c, const struct opts *o, struct list_out *l, struct err *e)
{
	AUTO_FREE char **all = xcalloc(STATS_MAX, sizeof *all);
	AUTO_FREE struct conn *k = xcalloc(STATS_MAX, sizeof *k);
	size_t n = 0, opened = 0;
	int rc = names(c, o, all, &n, e);

	for (; rc == 0 && opened < n; opened++) {
		AUTO_FREE char *path = url_path("/containers/%s/stats?stream=0", all[opened]);
		k[opened].fd = FD_NONE;
		rc = conn_open(c, &k[opened], e);
		if (rc == 0)
			rc = conn_send(&k[opened], "GET", path, NULL, NULL, NULL, 0, e);
	}
	for (size_t i = 0; i < opened; i++) {
		AUTO_BUF struct buf body = BUF_INIT(16U << 20);
		AUTO_BUF struct buf row = BUF_INIT(1U << 20);
		AUTO(json) struct json *j = NULL;
		if (rc == 0)
			rc = conn_check(&k[i], e) < 0 || conn_body(&k[i], &body, e) < 0 ||
					     json_parse(buf_text(&body), body.n, &j, e) < 0
				     ? -1
				     : 0;
		if (rc == 0) {
			stats_row(j, all[i], opts_bool(o, "no-trunc"), &row);
			rc = list_row(l, buf_text(&row), e);
		}
		conn_close(c, &k[i]);
	}
	for (size_t i = 0; i < n; i++)
		free(all[i]);
	return rc;
}

int cmd_stats(struct cli *c, struct opts *o)
{
	struct err e = ERR_INIT;
	bool once = opts_bool(o, "no-stream");
	const struct timespec pause = {.tv_nsec = 500000000};

	for (;;) {
		struct list_out l = {.type_name = "*container.statsContext",
				     .headers = stats_headers,
				     .nheaders = ARRAY_SIZE(stats_headers)};
		int rc = list_begin(&l, opts_str(o, "format"),
				    "table {{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}"
				    "\\t{{.MemPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}\\t{{.PIDs}}",
				    &e);
		if (rc == 0)
			rc = stats_round(c, o, &l, &e);
		if (rc == 0 && !once)
			printf("\033[H\033[2J");
		list_end(&l, rc == 0);
		if (rc < 0)
			return cli_fail(c, &e);
		if (once)
			return 0;
		nanosleep(&pause, NULL);
	}
}
