/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/{id}/stats: the numbers of a running container as Docker's JSON. */
#include "base/clock.h"
#include "base/num.h"
#include "engine/engine-priv.h"
#include "net/counters.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static uint64_t system_cpu_ns(void)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	struct str rest, word;
	uint64_t sum = 0, v;
	long hz = sysconf(_SC_CLK_TCK);

	if (fs_read_path("/proc/stat", &text) < 0)
		return 0;
	rest = str_of(buf_text(&text));
	str_cut(&rest, '\n', &word);
	rest = word;
	str_cut(&rest, ' ', &word);
	for (int i = 0; i < 8 && rest.n > 0 && str_cut(&rest, ' ', &word);) {
		char number[32];

		if (word.n == 0)
			continue;
		snprintf(number, sizeof(number), "%.*s", (int)MIN(word.n, 31u), word.p);
		if (num_parse_u64(number, 0, UINT64_MAX, &v) == 0)
			sum += v;
		i++;
	}
	return sum * (1000000000ull / (uint64_t)(hz > 0 ? hz : 100));
}

static void write_cpu(struct jw *w, const char *key, const struct engine_stats *s,
		      const struct runtime_stats *r)
{
	jw_key(w, key);
	jw_obj(w);
	jw_key(w, "cpu_usage");
	jw_obj(w);
	jw_kv_u64(w, "total_usage", s->cpu_total);
	if (s->npercpu) {
		jw_key(w, "percpu_usage");
		jw_arr(w);
		for (size_t i = 0; i < s->npercpu; i++)
			jw_u64(w, s->percpu[i]);
		jw_arr_end(w);
	}
	jw_kv_u64(w, "usage_in_kernelmode", s->cpu_kernel);
	jw_kv_u64(w, "usage_in_usermode", s->cpu_user);
	jw_obj_end(w);
	if (s->cpu_system)
		jw_kv_u64(w, "system_cpu_usage", s->cpu_system);
	if (s->online)
		jw_kv_u64(w, "online_cpus", s->online);
	jw_key(w, "throttling_data");
	jw_obj(w);
	jw_kv_u64(w, "periods", r ? r->throttle_periods : 0);
	jw_kv_u64(w, "throttled_periods", r ? r->throttled_periods : 0);
	jw_kv_u64(w, "throttled_time", r ? r->throttled_ns : 0);
	jw_obj_end(w);
	jw_obj_end(w);
}

static void blkio_row(struct jw *w, const struct runtime_blkio *b, const char *op, uint64_t v)
{
	jw_obj(w);
	jw_kv_u64(w, "major", b->major);
	jw_kv_u64(w, "minor", b->minor);
	jw_kv_str(w, "op", op);
	jw_kv_u64(w, "value", v);
	jw_obj_end(w);
}

/* v1 has a row per operation of the kernel, v2 two; lists without a source are empty there, null
 * here; all are null of a container that does not run. */
static void write_blkio(struct jw *w, const struct runtime_stats *r, bool running)
{
	static const char *const others[] = {"io_queue_recursive",     "io_service_time_recursive",
					     "io_wait_time_recursive", "io_merged_recursive",
					     "io_time_recursive",      "sectors_recursive"};

	jw_key(w, "blkio_stats");
	jw_obj(w);
	for (int part = 0; part < 2; part++) {
		jw_key(w, part ? "io_serviced_recursive" : "io_service_bytes_recursive");
		if (!running) {
			jw_null(w);
			continue;
		}
		jw_arr(w);
		for (size_t i = 0; i < r->nblkio; i++) {
			const struct runtime_blkio *b = &r->blkio[i];
			const uint64_t *ops = part ? b->op_count : b->op_bytes;

			for (size_t k = 0; k < RUNTIME_BLKIO_OPS && !r->cgroup_v2; k++)
				if (b->ops >> k & 1)
					blkio_row(w, b, runtime_blkio_ops[k], ops[k]);
			if (!r->cgroup_v2)
				continue;
			blkio_row(w, b, "read", part ? b->reads : b->read_bytes);
			blkio_row(w, b, "write", part ? b->writes : b->write_bytes);
		}
		jw_arr_end(w);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		jw_key(w, others[i]);
		jw_raw(w, r->cgroup_v2 || !running ? "null" : "[]");
	}
	jw_obj_end(w);
}

/* The kernel's memory.stat, every line of it. */
static void write_memory_stat(struct jw *w, const char *text)
{
	struct str rest = str_of(text), line, key;
	uint64_t v;

	jw_obj(w);
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		char name[64], number[32];

		if (!str_cut(&line, ' ', &key) || key.n == 0 || key.n >= sizeof(name) ||
		    line.n >= sizeof(number))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)key.n, key.p);
		snprintf(number, sizeof(number), "%.*s", (int)line.n, line.p);
		if (num_parse_u64(number, 0, UINT64_MAX, &v) == 0)
			jw_kv_u64(w, name, v);
	}
	jw_obj_end(w);
}

static void write_memory(struct jw *w, const struct runtime_stats *r)
{
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	jw_key(w, "memory_stats");
	jw_obj(w);
	jw_kv_u64(w, "usage", r->mem_usage);
	if (!r->cgroup_v2)
		jw_kv_u64(w, "max_usage", r->mem_max_usage);
	jw_key(w, "stats");
	write_memory_stat(w, r->mem_stat);
	if (r->mem_failcnt && !r->cgroup_v2)
		jw_kv_u64(w, "failcnt", r->mem_failcnt);
	jw_kv_u64(w, "limit", MIN(r->mem_limit, total));
	jw_obj_end(w);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and "full ...": {"some": {"avg10": 0, ...}}. */
static void write_pressure_of(struct jw *w, const char *text)
{
	struct str rest = str_of(text), line, word;

	jw_obj(w);
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		char name[16];

		if (!str_cut(&line, ' ', &word) || word.n == 0 || word.n >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)word.n, word.p);
		jw_key(w, name);
		jw_obj(w);
		while (line.n > 0 && str_cut(&line, ' ', &word)) {
			struct str key;
			char number[32];

			if (!str_cut(&word, '=', &key) || key.n == 0 || key.n >= sizeof(name) ||
			    word.n >= sizeof(number))
				continue;
			snprintf(name, sizeof(name), "%.*s", (int)key.n, key.p);
			snprintf(number, sizeof(number), "%.*s", (int)word.n, word.p);
			jw_key(w, name);
			if (strcmp(name, "total") == 0)
				jw_u64(w, strtoull(number, NULL, 10));
			else
				jw_double(w, strtod(number, NULL));
		}
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

/* Ours, not Docker's: the time processes waited for cpu, memory and disk. Absent on v1 and on
 * kernels without it. */
static void write_pressure(struct jw *w, const struct runtime_stats *r)
{
	static const char *const names[] = {"cpu_pressure", "memory_pressure", "io_pressure"};
	bool any = false;

	for (size_t i = 0; i < RUNTIME_PRESSURES; i++)
		any |= r->pressure[i][0] != '\0';
	if (!any)
		return;
	jw_key(w, "pressure_stats");
	jw_obj(w);
	for (size_t i = 0; i < RUNTIME_PRESSURES; i++) {
		if (!r->pressure[i][0])
			continue;
		jw_key(w, names[i]);
		write_pressure_of(w, r->pressure[i]);
	}
	jw_obj_end(w);
}

static void write_direction(struct jw *w, const char *prefix, const struct net_direction *d)
{
	const struct {
		const char *name;
		uint64_t v;
	} rows[] = {{"bytes", d->bytes},
		    {"packets", d->packets},
		    {"errors", d->errors},
		    {"dropped", d->dropped}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char key[16];

		snprintf(key, sizeof(key), "%s_%s", prefix, rows[i].name);
		jw_kv_u64(w, key, rows[i].v);
	}
}

size_t container_counters(const struct container *c, struct net_counters *ret, size_t max)
{
	if (!c->st.running || strcmp(c->host.network_mode, "host") == 0)
		return 0;
	return net_counters_read((pid_t)c->st.pid, ret, max);
}

/* What its namespace counts; that may be another container's. Absent where nothing is counted. */
static void write_networks(struct jw *w, const struct container *c)
{
	struct net_counters v[COUNTERS_MAX];
	size_t n = container_counters(c, v, ARRAY_SIZE(v));

	if (n == 0)
		return;
	jw_key(w, "networks");
	jw_obj(w);
	for (size_t i = 0; i < n; i++) {
		jw_key(w, v[i].name);
		jw_obj(w);
		write_direction(w, "rx", &v[i].rx);
		write_direction(w, "tx", &v[i].tx);
		jw_obj_end(w);
	}
	jw_obj_end(w);
}

int engine_container_stats(struct engine *g, struct container *c, struct engine_stats *previous,
			   struct buf *out, struct err *e)
{
	struct runtime_container rc = RUNTIME_CONTAINER_INIT;
	struct runtime_stats r = {0};
	struct engine_stats now = {.read_ns = clock_now_ns()};
	struct jw w = JW_INIT(out);
	AUTO_FREE char *name = xasprintf("/%s", c->name);
	char when[CLOCK_TEXT_MAX];

	if (c->st.running) {
		int res = container_cgroup(c, &rc, e) < 0 ? -1 : runtime_stats(&rc, &r, e);

		runtime_container_done(&rc);
		if (res < 0)
			return -1;
		now.cpu_total = r.cpu_total_ns;
		now.npercpu = r.npercpu;
		_Static_assert(sizeof(now.percpu) == sizeof(r.percpu_ns), "the same processors");
		memcpy(now.percpu, r.percpu_ns, sizeof(now.percpu));
		now.cpu_user = r.cpu_user_ns;
		now.cpu_kernel = r.cpu_system_ns;
		now.cpu_system = system_cpu_ns();
		now.online = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	}
	jw_obj(&w);
	jw_kv_str(&w, "name", name);
	jw_kv_str(&w, "id", c->id);
	clock_format(c->st.running ? now.read_ns : 0, when);
	jw_kv_str(&w, "read", when);
	clock_format(previous ? previous->read_ns : 0, when);
	jw_kv_str(&w, "preread", when);
	jw_key(&w, "pids_stats");
	jw_obj(&w);
	if (c->st.running) {
		jw_kv_u64(&w, "current", r.pids_current);
		jw_kv_u64(&w, "limit", r.pids_limit ? r.pids_limit : UINT64_MAX);
	}
	jw_obj_end(&w);
	write_blkio(&w, &r, c->st.running);
	jw_kv_i64(&w, "num_procs", 0);
	jw_key(&w, "storage_stats");
	jw_raw(&w, "{}");
	write_cpu(&w, "cpu_stats", &now, &r);
	write_cpu(&w, "precpu_stats", previous ? previous : &(struct engine_stats){0}, NULL);
	if (c->st.running) {
		write_memory(&w, &r);
		write_pressure(&w, &r);
	} else {
		jw_key(&w, "memory_stats");
		jw_raw(&w, "{}");
	}
	write_networks(&w, c);
	jw_obj_end(&w);
	if (previous)
		*previous = now;
	return 0;
}
