/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of engine and containers for Prometheus, text format 0.0.4: all samples of a name
 * stand together behind its HELP and TYPE. What the host does not measure is left out, never zero.
 */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "net/counters.h"
#include "sys/cgroup.h"

#include <string.h>
#include <sys/resource.h>

#include "base/banned.h"

#define PRESSURES 3

struct sample {
	const struct container *c;
	struct runtime_stats r;
	uint64_t read_bytes, write_bytes, rx_bytes, tx_bytes;
	size_t ninterfaces;
	bool has_pressure[PRESSURES];
	uint64_t some_us[PRESSURES], full_us[PRESSURES];
};

static const char *const pressure_names[PRESSURES] = {"cpu", "memory", "io"};

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP coracle_%s %s\n# TYPE coracle_%s %s\n", name, help, name, type);
}

/* Label values escape backslash, quote and newline. */
static void label(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "%s=\"", name);
	for (const char *p = value ? value : ""; *p; p++) {
		if (*p == '\n')
			buf_adds(b, "\\n");
		else if (*p == '"' || *p == '\\')
			buf_addf(b, "\\%c", *p);
		else
			buf_addc(b, *p);
	}
	buf_addc(b, '"');
}

static void labels(struct buf *b, const struct container *c)
{
	label(b, "id", c->id);
	buf_addc(b, ',');
	label(b, "name", c->name);
	buf_addc(b, ',');
	label(b, "image", c->meta.config.image);
}

static void number(struct buf *b, const char *name, const char *type, const char *help, double v)
{
	head(b, name, type, help);
	buf_addf(b, "coracle_%s %.17g\n", name, v);
}

/* ---- the engine ---- */

static void write_states(const struct engine *g, struct buf *b)
{
	static const char *const states[] = {"created",	 "running", "paused", "restarting",
					     "removing", "exited",  "dead"};
	static const char *const healths[] = {"starting", "healthy", "unhealthy"};
	uint64_t count[ARRAY_SIZE(states)] = {0}, health[ARRAY_SIZE(healths)] = {0};

	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		const char *name = container_status_name(c);

		for (size_t i = 0; i < ARRAY_SIZE(states); i++)
			count[i] += strcmp(name, states[i]) == 0;
		for (size_t i = 0; c->health.enabled && c->st.running && i < ARRAY_SIZE(healths);
		     i++)
			health[i] += c->health.status && strcmp(c->health.status, healths[i]) == 0;
	}
	head(b, "containers", "gauge", "Containers by state.");
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		buf_addf(b, "coracle_containers{state=\"%s\"} %llu\n", states[i],
			 (unsigned long long)count[i]);
	head(b, "containers_health", "gauge", "Running containers with a health check, by result.");
	for (size_t i = 0; i < ARRAY_SIZE(healths); i++)
		buf_addf(b, "coracle_containers_health{status=\"%s\"} %llu\n", healths[i],
			 (unsigned long long)health[i]);
}

static void write_engine(const struct engine *g, struct buf *b)
{
	struct rusage self = {0};

	getrusage(RUSAGE_SELF, &self);
	head(b, "build_info", "gauge", "The engine's version.");
	buf_addf(b, "coracle_build_info{version=\"%s\"} 1\n", CORACLE_VERSION);
	number(b, "start_time_seconds", "gauge", "When the engine started, Unix time.",
	       (double)g->started_at / 1e9);
	write_states(g, b);
	number(b, "images", "gauge", "Images in the store.", (double)store_image_count(g->store));
	number(b, "events_total", "counter", "Events published since the engine started.",
	       (double)g->events_published);
	number(b, "cpu_seconds_total", "counter", "CPU time of the engine's process.",
	       (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
		       (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6);
	number(b, "max_resident_memory_bytes", "gauge", "Peak memory of the engine's process.",
	       (double)self.ru_maxrss * 1024);
}

/* ---- containers ---- */

static bool pressure(const char *text, const char *line, uint64_t *ret)
{
	const char *p = strstr(text, line);

	p = p ? strstr(p, "total=") : NULL;
	if (!p)
		return false;
	*ret = strtoull(p + strlen("total="), NULL, 10);
	return true;
}

static bool take_sample(const struct container *c, struct sample *s)
{
	struct runtime_container rc = RUNTIME_CONTAINER_INIT;
	struct net_counters interfaces[COUNTERS_MAX];
	struct err e = ERR_INIT;
	bool ok;

	*s = (struct sample){.c = c};
	ok = c->st.running && container_cgroup(c, &rc, &e) == 0 &&
	     runtime_stats(&rc, &s->r, &e) == 0;
	for (size_t i = 0; ok && i < s->r.nblkio; i++) {
		s->read_bytes += s->r.blkio[i].read_bytes;
		s->write_bytes += s->r.blkio[i].write_bytes;
	}
	s->ninterfaces = ok ? container_counters(c, interfaces, ARRAY_SIZE(interfaces)) : 0;
	for (size_t i = 0; i < s->ninterfaces; i++) {
		s->rx_bytes += interfaces[i].rx.bytes;
		s->tx_bytes += interfaces[i].tx.bytes;
	}
	for (size_t i = 0; ok && s->r.cgroup_v2 && i < PRESSURES; i++) {
		static const enum cgroup_ctrl ctrl[PRESSURES] = {CG_CPU, CG_MEMORY, CG_BLKIO};
		AUTO_FREE char *file = xasprintf("%s.pressure", pressure_names[i]);
		char text[512];

		if (cgroup_read(ctrl[i], rc.cgroup_path, file, text, sizeof(text)) <= 0)
			continue;
		s->has_pressure[i] = pressure(text, "some", &s->some_us[i]) &&
				     pressure(text, "full", &s->full_us[i]);
	}
	runtime_container_done(&rc);
	return ok;
}

typedef double (*value_fn)(const struct sample *s);

static double v_cpu(const struct sample *s)
{
	return (double)s->r.cpu_total_ns / 1e9;
}
static double v_cpu_user(const struct sample *s)
{
	return (double)s->r.cpu_user_ns / 1e9;
}
static double v_cpu_system(const struct sample *s)
{
	return (double)s->r.cpu_system_ns / 1e9;
}
static double v_throttled(const struct sample *s)
{
	return (double)s->r.throttled_ns / 1e9;
}
static double v_memory(const struct sample *s)
{
	return (double)s->r.mem_usage;
}
static double v_working_set(const struct sample *s)
{
	return s->r.mem_usage > s->r.mem_inactive_file
		       ? (double)(s->r.mem_usage - s->r.mem_inactive_file)
		       : 0;
}
static double v_limit(const struct sample *s)
{
	return s->r.mem_limit == UINT64_MAX || s->r.mem_limit > INT64_MAX / 2
		       ? -1
		       : (double)s->r.mem_limit;
}
static double v_failcnt(const struct sample *s)
{
	return s->r.cgroup_v2 ? -1 : (double)s->r.mem_failcnt;
}
static double v_pids(const struct sample *s)
{
	return (double)s->r.pids_current;
}
static double v_read(const struct sample *s)
{
	return (double)s->read_bytes;
}
static double v_write(const struct sample *s)
{
	return (double)s->write_bytes;
}
static double v_received(const struct sample *s)
{
	return s->ninterfaces ? (double)s->rx_bytes : -1;
}
static double v_sent(const struct sample *s)
{
	return s->ninterfaces ? (double)s->tx_bytes : -1;
}
static double v_restarts(const struct sample *s)
{
	return (double)s->c->st.restart_count;
}
static double v_started(const struct sample *s)
{
	return (double)s->c->st.started_at / 1e9;
}

static const struct {
	const char *name, *type, *help;
	value_fn value; /* negative: not known, left out */
} rows[] = {
	{"container_cpu_seconds_total", "counter", "CPU time.", v_cpu},
	{"container_cpu_user_seconds_total", "counter", "CPU time in user mode.", v_cpu_user},
	{"container_cpu_system_seconds_total", "counter", "CPU time in the kernel.", v_cpu_system},
	{"container_cpu_throttled_seconds_total", "counter", "Time held back by the CPU quota.",
	 v_throttled},
	{"container_memory_usage_bytes", "gauge", "Memory, page cache included.", v_memory},
	{"container_memory_working_set_bytes", "gauge", "Memory without inactive page cache.",
	 v_working_set},
	{"container_memory_limit_bytes", "gauge", "The memory limit, where there is one.", v_limit},
	{"container_memory_failures_total", "counter", "Times the limit was hit (cgroup v1).",
	 v_failcnt},
	{"container_pids", "gauge", "Processes and threads.", v_pids},
	{"container_io_read_bytes_total", "counter", "Bytes read from devices.", v_read},
	{"container_io_write_bytes_total", "counter", "Bytes written to devices.", v_write},
	{"container_network_receive_bytes_total", "counter", "Bytes received from networks.",
	 v_received},
	{"container_network_transmit_bytes_total", "counter", "Bytes sent to networks.", v_sent},
	{"container_restarts_total", "counter", "Restarts by the policy.", v_restarts},
	{"container_start_time_seconds", "gauge", "When it started, Unix time.", v_started},
};

static void write_pressure(const struct sample *v, size_t n, struct buf *b)
{
	bool told = false;

	for (size_t i = 0; i < n; i++) {
		for (size_t p = 0; p < PRESSURES; p++) {
			if (!v[i].has_pressure[p])
				continue;
			if (!told)
				head(b, "container_pressure_seconds_total", "counter",
				     "Time that some or all processes waited for a resource "
				     "(PSI).");
			told = true;
			for (int full = 0; full < 2; full++) {
				buf_adds(b, "coracle_container_pressure_seconds_total{");
				labels(b, v[i].c);
				buf_addf(b, ",resource=\"%s\",kind=\"%s\"} %.6f\n",
					 pressure_names[p], full ? "full" : "some",
					 (double)(full ? v[i].full_us[p] : v[i].some_us[p]) / 1e6);
			}
		}
	}
}

void engine_metrics(struct engine *g, struct buf *out)
{
	AUTO_FREE struct sample *v = xcalloc(map_count(g->by_id) + 1, sizeof(*v));
	size_t n = 0;

	write_engine(g, out);
	LIST_FOR_EACH (it, &g->order)
		n += take_sample(LIST_ENTRY(it, struct container, link), &v[n]);
	for (size_t k = 0; n > 0 && k < ARRAY_SIZE(rows); k++) {
		bool told = false;

		for (size_t i = 0; i < n; i++) {
			double value = rows[k].value(&v[i]);

			if (value < 0)
				continue;
			if (!told)
				head(out, rows[k].name, rows[k].type, rows[k].help);
			told = true;
			buf_addf(out, "coracle_%s{", rows[k].name);
			labels(out, v[i].c);
			buf_addf(out, "} %.17g\n", value);
		}
	}
	write_pressure(v, n, out);
}
