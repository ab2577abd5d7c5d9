/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a container, from its control groups. */
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define TEXT_MAX 8192

static uint64_t field(const char *text, const char *key)
{
	uint64_t v = 0;

	cgroup_field(text, key, &v);
	return v;
}

static struct runtime_blkio *device(struct runtime_stats *s, unsigned major, unsigned minor)
{
	for (size_t i = 0; i < s->nblkio; i++)
		if (s->blkio[i].major == major && s->blkio[i].minor == minor)
			return &s->blkio[i];
	if (s->nblkio == RUNTIME_BLKIO_MAX)
		return NULL;
	s->blkio[s->nblkio] = (struct runtime_blkio){.major = major, .minor = minor};
	return &s->blkio[s->nblkio++];
}

const char *const runtime_blkio_ops[RUNTIME_BLKIO_OPS] = {"Read",  "Write",   "Sync",
							  "Async", "Discard", "Total"};

static void blkio_op(struct runtime_blkio *d, const char *text, bool bytes)
{
	for (unsigned i = 0; i < RUNTIME_BLKIO_OPS; i++) {
		size_t n = strlen(runtime_blkio_ops[i]);

		if (strncmp(text, runtime_blkio_ops[i], n) != 0 || text[n] != ' ')
			continue;
		(bytes ? d->op_bytes : d->op_count)[i] = strtoull(text + n, NULL, 10);
		d->ops |= 1U << i;
	}
}

/* "8:0 Read 4096" lines of v1. */
static void blkio_v1(struct runtime_stats *s, const char *path, const char *file, bool bytes)
{
	char text[TEXT_MAX];

	if (cgroup_read(CG_BLKIO, path, file, text, sizeof(text)) <= 0)
		return;
	for (char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		char *end;
		unsigned long major = strtoul(p, &end, 10);
		if (*end != ':')
			continue;
		unsigned long minor = strtoul(end + 1, &end, 10);
		struct runtime_blkio *d = device(s, (unsigned)major, (unsigned)minor);
		if (!d)
			return;
		if (*end == ' ')
			blkio_op(d, end + 1, bytes);
		if (strncmp(end, " Read ", 6) == 0)
			*(bytes ? &d->read_bytes : &d->reads) = strtoull(end + 6, NULL, 10);
		else if (strncmp(end, " Write ", 7) == 0)
			*(bytes ? &d->write_bytes : &d->writes) = strtoull(end + 7, NULL, 10);
	}
}

static uint64_t after(const char *line, const char *key)
{
	const char *p = strstr(line, key), *nl = strchr(line, '\n');

	return p && (!nl || p < nl) ? strtoull(p + strlen(key), NULL, 10) : 0;
}

static void blkio_v2(struct runtime_stats *s, const char *path)
{
	char text[TEXT_MAX];

	if (cgroup_read(CG_BLKIO, path, "io.stat", text, sizeof(text)) <= 0)
		return;
	for (char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		char *end;
		unsigned long major = strtoul(p, &end, 10);
		if (*end != ':')
			continue;
		struct runtime_blkio *d = device(s, (unsigned)major,
						 (unsigned)strtoul(end + 1, NULL, 10));
		if (!d)
			return;
		d->read_bytes = after(p, "rbytes=");
		d->write_bytes = after(p, "wbytes=");
		d->reads = after(p, "rios=");
		d->writes = after(p, "wios=");
	}
}

/* "12 34 ": one number per possible processor. */
static void percpu_v1(const char *p, struct runtime_stats *s)
{
	char text[RUNTIME_CPUS_MAX * 21 + 2];
	char *at = text, *end;

	if (cgroup_read(CG_CPUACCT, p, "cpuacct.usage_percpu", text, sizeof(text)) <= 0)
		return;
	for (; s->npercpu < RUNTIME_CPUS_MAX; at = end) {
		uint64_t v = strtoull(at, &end, 10);

		if (end == at)
			break;
		s->percpu_ns[s->npercpu++] = v;
	}
}

static void stats_v1(const char *p, struct runtime_stats *s)
{
	char text[TEXT_MAX];

	s->cpu_total_ns = cgroup_read_u64(CG_CPUACCT, p, "cpuacct.usage", 0);
	s->cpu_user_ns = cgroup_read_u64(CG_CPUACCT, p, "cpuacct.usage_user", 0);
	s->cpu_system_ns = cgroup_read_u64(CG_CPUACCT, p, "cpuacct.usage_sys", 0);
	cgroup_read(CG_CPU, p, "cpu.stat", text, sizeof(text));
	s->throttle_periods = field(text, "nr_periods");
	s->throttled_periods = field(text, "nr_throttled");
	s->throttled_ns = field(text, "throttled_time");
	s->mem_usage = cgroup_read_u64(CG_MEMORY, p, "memory.usage_in_bytes", 0);
	s->mem_max_usage = cgroup_read_u64(CG_MEMORY, p, "memory.max_usage_in_bytes", 0);
	s->mem_failcnt = cgroup_read_u64(CG_MEMORY, p, "memory.failcnt", 0);
	s->mem_limit = cgroup_read_u64(CG_MEMORY, p, "memory.limit_in_bytes", UINT64_MAX);
	if (s->mem_limit >= UINT64_C(1) << 62) /* "none" is a huge page-aligned number there */
		s->mem_limit = UINT64_MAX;
	cgroup_read(CG_MEMORY, p, "memory.stat", s->mem_stat, sizeof(s->mem_stat));
	s->mem_inactive_file = field(s->mem_stat, "total_inactive_file");
	s->mem_cache = field(s->mem_stat, "total_cache");
	s->mem_rss = field(s->mem_stat, "total_rss");
	s->mem_swap = field(s->mem_stat, "total_swap");
	s->mem_pgfault = field(s->mem_stat, "total_pgfault");
	s->mem_pgmajfault = field(s->mem_stat, "total_pgmajfault");
	percpu_v1(p, s);
	blkio_v1(s, p, "blkio.throttle.io_service_bytes", true);
	blkio_v1(s, p, "blkio.throttle.io_serviced", false);
}

static void stats_v2(const char *p, struct runtime_stats *s)
{
	char text[TEXT_MAX];

	cgroup_read(CG_CPU, p, "cpu.stat", text, sizeof(text));
	s->cpu_total_ns = field(text, "usage_usec") * 1000;
	s->cpu_user_ns = field(text, "user_usec") * 1000;
	s->cpu_system_ns = field(text, "system_usec") * 1000;
	s->throttle_periods = field(text, "nr_periods");
	s->throttled_periods = field(text, "nr_throttled");
	s->throttled_ns = field(text, "throttled_usec") * 1000;
	s->mem_usage = cgroup_read_u64(CG_MEMORY, p, "memory.current", 0);
	s->mem_limit = cgroup_read_u64(CG_MEMORY, p, "memory.max", UINT64_MAX);
	s->mem_max_usage = cgroup_read_u64(CG_MEMORY, p, "memory.peak", 0);
	cgroup_read(CG_MEMORY, p, "memory.events", text, sizeof(text));
	s->mem_failcnt = field(text, "max");
	cgroup_read(CG_MEMORY, p, "memory.stat", s->mem_stat, sizeof(s->mem_stat));
	s->mem_inactive_file = field(s->mem_stat, "inactive_file");
	s->mem_cache = field(s->mem_stat, "file");
	s->mem_rss = field(s->mem_stat, "anon");
	s->mem_swap = cgroup_read_u64(CG_MEMORY, p, "memory.swap.current", 0);
	s->mem_pgfault = field(s->mem_stat, "pgfault");
	s->mem_pgmajfault = field(s->mem_stat, "pgmajfault");
	blkio_v2(s, p);
	cgroup_read(CG_CPU, p, "cpu.pressure", s->pressure[0], sizeof(s->pressure[0]));
	cgroup_read(CG_MEMORY, p, "memory.pressure", s->pressure[1], sizeof(s->pressure[1]));
	cgroup_read(CG_BLKIO, p, "io.pressure", s->pressure[2], sizeof(s->pressure[2]));
}

int runtime_stats(const struct runtime_container *c, struct runtime_stats *ret, struct err *e)
{
	const char *p = c->cgroup_path;

	*ret = (struct runtime_stats){.cgroup_v2 = cgroup_version() == 2, .mem_limit = UINT64_MAX};
	if (!cgroup_exists(p, CG_MEMORY))
		return err_set(e, ERR_CONFLICT, "the container has no control group");
	if (ret->cgroup_v2)
		stats_v2(p, ret);
	else
		stats_v1(p, ret);
	ret->pids_current = cgroup_read_u64(CG_PIDS, p, "pids.current", 0);
	uint64_t limit = cgroup_read_u64(CG_PIDS, p, "pids.max", UINT64_MAX);
	ret->pids_limit = limit == UINT64_MAX ? 0 : limit;
	return 0;
}
