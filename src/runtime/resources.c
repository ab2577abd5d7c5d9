/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources to control group files, v1 and v2. */
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct target {
	const char *path;
	bool update;
	void (*notice)(void *, const char *);
	void *ud;
	struct err *e;
};

unsigned resources_controllers(const struct oci_resources *r)
{
	unsigned mask = 0;

	if (!r)
		return 0;
	if (r->cpu && ((r->cpu->cpus && *r->cpu->cpus) || (r->cpu->mems && *r->cpu->mems)))
		mask |= 1U << CG_CPUSET;
	if (r->block_io)
		mask |= 1U << CG_BLKIO;
	if (r->hugepage_limits.n)
		mask |= 1U << CG_HUGETLB;
	return mask;
}

/* A limit that was asked for and cannot be set is an error; with the controller missing, Docker
 * warns and goes on. */
static int put(struct target *t, enum cgroup_ctrl c, const char *file, const char *value)
{
	char text[200];
	int rc = cgroup_write(c, t->path, file, value);

	if (rc == 0)
		return 0;
	if (rc == -ENOENT || rc == -ENODEV) {
		snprintf(text, sizeof(text), "your kernel does not support %s: limit discarded",
			 file);
		if (t->notice)
			t->notice(t->ud, text);
		return 0;
	}
	return err_sys(t->e, rc, "failed to write \"%s\" to %s", value, file);
}

static int put_i64(struct target *t, enum cgroup_ctrl c, const char *file, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	return put(t, c, file, text);
}

static int put_max(struct target *t, enum cgroup_ctrl c, const char *file, int64_t v)
{
	return v < 0 ? put(t, c, file, "max") : put_i64(t, c, file, v);
}

static int memory_v1(struct target *t, const struct oci_memory *m)
{
	static const char *const lim = "memory.limit_in_bytes",
				 *const sw = "memory.memsw.limit_in_bytes";
	int64_t limit = m->limit ? *m->limit : 0, swap = m->swap ? *m->swap : 0;

	/* memsw >= limit holds at every moment: when raising, memsw goes first */
	if (limit && swap) {
		uint64_t now = cgroup_read_u64(CG_MEMORY, t->path, sw, UINT64_MAX);
		bool raise = swap < 0 || (uint64_t)limit > now;
		if (raise && put_i64(t, CG_MEMORY, sw, swap) < 0)
			return -1;
		if (put_i64(t, CG_MEMORY, lim, limit) < 0)
			return -1;
		if (!raise && put_i64(t, CG_MEMORY, sw, swap) < 0)
			return -1;
	} else if ((limit && put_i64(t, CG_MEMORY, lim, limit) < 0) ||
		   (swap && put_i64(t, CG_MEMORY, sw, swap) < 0)) {
		return -1;
	}
	if (m->reservation && *m->reservation &&
	    put_i64(t, CG_MEMORY, "memory.soft_limit_in_bytes", *m->reservation) < 0)
		return -1;
	if (m->swappiness && *m->swappiness >= 0 &&
	    put_i64(t, CG_MEMORY, "memory.swappiness", *m->swappiness) < 0)
		return -1;
	if (m->disable_oom_killer > 0 && put_i64(t, CG_MEMORY, "memory.oom_control", 1) < 0)
		return -1;
	return 0;
}

static int memory_v2(struct target *t, const struct oci_memory *m)
{
	int64_t limit = m->limit ? *m->limit : 0, swap = m->swap ? *m->swap : 0;

	if (limit && put_max(t, CG_MEMORY, "memory.max", limit) < 0)
		return -1;
	/* OCI counts memory + swap; the file counts swap alone */
	if (swap && (swap < 0 || limit > 0)) {
		if (swap > 0 && swap < limit)
			return err_set(t->e, ERR_INVALID,
				       "memory+swap limit should be >= memory limit");
		if (put_max(t, CG_MEMORY, "memory.swap.max", swap < 0 ? -1 : swap - limit) < 0)
			return -1;
	}
	if (m->reservation && *m->reservation &&
	    put_max(t, CG_MEMORY, "memory.low", *m->reservation) < 0)
		return -1;
	return 0;
}

static int cpu_v1(struct target *t, const struct oci_cpu *c)
{
	if (c->shares && *c->shares && put_i64(t, CG_CPU, "cpu.shares", *c->shares) < 0)
		return -1;
	if (c->period && *c->period && put_i64(t, CG_CPU, "cpu.cfs_period_us", *c->period) < 0)
		return -1;
	if (c->quota && *c->quota && put_i64(t, CG_CPU, "cpu.cfs_quota_us", *c->quota) < 0)
		return -1;
	if (c->burst && *c->burst && put_i64(t, CG_CPU, "cpu.cfs_burst_us", *c->burst) < 0)
		return -1;
	if (c->realtime_period && *c->realtime_period &&
	    put_i64(t, CG_CPU, "cpu.rt_period_us", *c->realtime_period) < 0)
		return -1;
	if (c->realtime_runtime && *c->realtime_runtime &&
	    put_i64(t, CG_CPU, "cpu.rt_runtime_us", *c->realtime_runtime) < 0)
		return -1;
	return c->idle && *c->idle ? put_i64(t, CG_CPU, "cpu.idle", *c->idle) : 0;
}

static int cpu_v2(struct target *t, const struct oci_cpu *c)
{
	char text[64];

	if (c->shares && *c->shares) {
		/* 2..262144 onto 1..10000, the mapping runtimes agreed upon */
		int64_t s = MIN(MAX(*c->shares, 2), 262144);
		if (put_i64(t, CG_CPU, "cpu.weight", 1 + ((s - 2) * 9999) / 262142) < 0)
			return -1;
	}
	if ((c->quota && *c->quota) || (c->period && *c->period)) {
		int64_t period = c->period && *c->period ? *c->period : 100000;
		if (c->quota && *c->quota > 0)
			snprintf(text, sizeof(text), "%lld %lld", (long long)*c->quota,
				 (long long)period);
		else
			snprintf(text, sizeof(text), "max %lld", (long long)period);
		if (put(t, CG_CPU, "cpu.max", text) < 0)
			return -1;
	}
	if (c->burst && *c->burst && put_i64(t, CG_CPU, "cpu.max.burst", *c->burst) < 0)
		return -1;
	return c->idle && *c->idle ? put_i64(t, CG_CPU, "cpu.idle", *c->idle) : 0;
}

static int throttle(struct target *t, const struct objs *list, const char *file_v1,
		    const char *key_v2)
{
	const struct oci_throttle_device *d = list->v;
	char text[96];

	for (size_t i = 0; i < list->n; i++) {
		if (cgroup_version() == 2) {
			char rate[24] = "max";
			if (d[i].rate)
				snprintf(rate, sizeof(rate), "%llu", (unsigned long long)d[i].rate);
			snprintf(text, sizeof(text), "%lld:%lld %s=%s", (long long)d[i].major,
				 (long long)d[i].minor, key_v2, rate);
		} else {
			snprintf(text, sizeof(text), "%lld:%lld %llu", (long long)d[i].major,
				 (long long)d[i].minor, (unsigned long long)d[i].rate);
		}
		if (put(t, CG_BLKIO, cgroup_version() == 2 ? "io.max" : file_v1, text) < 0)
			return -1;
	}
	return 0;
}

static int weights(struct target *t, const struct oci_block_io *b)
{
	const struct oci_weight_device *d = b->weight_device.v;
	bool v2 = cgroup_version() == 2;
	char text[96];

	if (b->weight && *b->weight) {
		int64_t w = *b->weight;
		/* bfq's own file takes 1..1000 as Docker gives it; io.weight counts to 10000 */
		if (v2 && cgroup_write_u64(CG_BLKIO, t->path, "io.bfq.weight", (uint64_t)w) != 0) {
			if (put_i64(t, CG_BLKIO, "io.weight", 1 + (w - 10) * 9999 / 990) < 0)
				return -1;
		} else if (!v2 &&
			   cgroup_write_u64(CG_BLKIO, t->path, "blkio.weight", (uint64_t)w) != 0 &&
			   put_i64(t, CG_BLKIO, "blkio.bfq.weight", w) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < b->weight_device.n; i++) {
		if (!d[i].weight)
			continue;
		snprintf(text, sizeof(text), "%lld:%lld %lld", (long long)d[i].major,
			 (long long)d[i].minor, (long long)*d[i].weight);
		if (put(t, CG_BLKIO, v2 ? "io.bfq.weight" : "blkio.weight_device", text) < 0)
			return -1;
	}
	return 0;
}

static int block_io(struct target *t, const struct oci_block_io *b)
{
	if (weights(t, b) < 0 ||
	    throttle(t, &b->throttle_read_bps, "blkio.throttle.read_bps_device", "rbps") < 0 ||
	    throttle(t, &b->throttle_write_bps, "blkio.throttle.write_bps_device", "wbps") < 0 ||
	    throttle(t, &b->throttle_read_iops, "blkio.throttle.read_iops_device", "riops") < 0 ||
	    throttle(t, &b->throttle_write_iops, "blkio.throttle.write_iops_device", "wiops") < 0)
		return -1;
	return 0;
}

#define RULES_MAX 256

static int devices(struct target *t, const struct objs *list)
{
	const struct oci_device_rule *d = list->v;
	/* what every container may use whatever the rules say: mknod of anything, the default
	 * nodes, terminals */
	static const struct cgroup_device_rule always[] = {
		{true, 'c', -1, -1, false, false, true}, {true, 'b', -1, -1, false, false, true},
		{true, 'c', 1, 3, true, true, true},	 {true, 'c', 1, 5, true, true, true},
		{true, 'c', 1, 7, true, true, true},	 {true, 'c', 1, 8, true, true, true},
		{true, 'c', 1, 9, true, true, true},	 {true, 'c', 5, 0, true, true, true},
		{true, 'c', 5, 2, true, true, true},	 {true, 'c', 136, -1, true, true, true},
	};
	struct cgroup_device_rule rules[RULES_MAX];
	size_t n = 0;
	bool all = false;

	if (list->n == 0)
		return 0;
	if (list->n + ARRAY_SIZE(always) > RULES_MAX)
		return err_set(t->e, ERR_LIMIT, "too many device rules");
	for (size_t i = 0; i < list->n; i++) {
		const char *acc = d[i].access && *d[i].access ? d[i].access : "rwm";
		rules[n] = (struct cgroup_device_rule){d[i].allow,
						       d[i].type && *d[i].type ? d[i].type[0] : 'a',
						       d[i].major ? *d[i].major : -1,
						       d[i].minor ? *d[i].minor : -1,
						       strchr(acc, 'r') != NULL,
						       strchr(acc, 'w') != NULL,
						       strchr(acc, 'm') != NULL};
		if (rules[n].type == 'a' && rules[n].major < 0 && rules[n].minor < 0)
			all = d[i].allow;
		n++;
	}
	if (!all) {
		memcpy(rules + n, always, sizeof(always));
		n += ARRAY_SIZE(always);
	} else if (n == 1 && !t->update) {
		return 0; /* a new group allows everything already */
	}
	int rc = cgroup_set_devices(t->path, rules, n);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? err_sys(t->e, rc, "set device rules") : 0;
}

static int hugepages(struct target *t, const struct objs *list)
{
	const struct oci_hugepage_limit *h = list->v;
	char file[64];

	for (size_t i = 0; i < list->n; i++) {
		snprintf(file, sizeof(file),
			 cgroup_version() == 2 ? "hugetlb.%.20s.max"
					       : "hugetlb.%.20s.limit_in_bytes",
			 h[i].page_size);
		if (put_i64(t, CG_HUGETLB, file, (int64_t)MIN(h[i].limit, (uint64_t)INT64_MAX)) < 0)
			return -1;
	}
	return 0;
}

static int cpuset(struct target *t, const struct oci_cpu *c)
{
	if (c->cpus && *c->cpus && put(t, CG_CPUSET, "cpuset.cpus", c->cpus) < 0)
		return -1;
	return c->mems && *c->mems ? put(t, CG_CPUSET, "cpuset.mems", c->mems) : 0;
}

static int unified(struct target *t, const struct strmap *m)
{
	if (m->n && cgroup_version() != 2)
		return err_set(t->e, ERR_UNSUPPORTED, "unified resources need cgroup v2");
	for (size_t i = 0; i < m->n; i++) {
		if (strchr(m->v[i].k, '/') || !strchr(m->v[i].k, '.') ||
		    str_starts(m->v[i].k, "cgroup."))
			return err_set(t->e, ERR_INVALID,
				       "unified resource %s is not a controller's file", m->v[i].k);
		int rc = cgroup_write(CG_MEMORY, t->path, m->v[i].k, m->v[i].v);
		if (rc < 0)
			return err_sys(t->e, rc, "failed to write \"%s\" to %s", m->v[i].v,
				       m->v[i].k);
	}
	return 0;
}

int resources_apply(const char *cgroup, const struct oci_resources *r, bool update,
		    void (*notice)(void *, const char *), void *ud, struct err *e)
{
	struct target t = {cgroup, update, notice, ud, e};
	bool v2 = cgroup_version() == 2;

	if (!r)
		return 0;
	if (r->memory && (v2 ? memory_v2 : memory_v1)(&t, r->memory) < 0)
		return -1;
	if (r->cpu && ((v2 ? cpu_v2 : cpu_v1)(&t, r->cpu) < 0 || cpuset(&t, r->cpu) < 0))
		return -1;
	if (r->pids && r->pids->limit &&
	    put_max(&t, CG_PIDS, "pids.max", *r->pids->limit > 0 ? *r->pids->limit : -1) < 0)
		return -1;
	if (r->block_io && block_io(&t, r->block_io) < 0)
		return -1;
	if (hugepages(&t, &r->hugepage_limits) < 0 || devices(&t, &r->devices) < 0)
		return -1;
	return unified(&t, &r->unified);
}
