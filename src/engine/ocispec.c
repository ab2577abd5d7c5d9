/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From Docker's container objects to an OCI runtime configuration: the mounts, capabilities,
 * devices, masked paths and limits Docker gives. Pure but for host devices (--device,
 * --privileged), which are looked up under /dev.
 */
#include "base/num.h"
#include "engine/engine-priv.h"
#include "sys/caps.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/banned.h"

#define DEVICES_MAX 1024

const char *const default_masked_paths[] = {
	"/proc/asound",
	"/proc/acpi",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/sys/firmware",
	"/sys/devices/virtual/powercap",
	NULL,
};
const char *const default_readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};
static const char *const default_caps[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_FSETID",
	"CAP_FOWNER",
	"CAP_MKNOD",
	"CAP_NET_RAW",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETFCAP",
	"CAP_SETPCAP",
	"CAP_NET_BIND_SERVICE",
	"CAP_SYS_CHROOT",
	"CAP_KILL",
	"CAP_AUDIT_WRITE",
	NULL,
};

static const int64_t *boxed(struct arena *a, int64_t v)
{
	int64_t *p = arena_alloc(a, sizeof(*p));

	*p = v;
	return p;
}

static struct strs list_of(struct arena *a, const char *const *v)
{
	struct strs s = {.set = true};

	while (v[s.n])
		s.n++;
	s.v = arena_alloc(a, (s.n + 1) * sizeof(*s.v));
	memcpy(s.v, v, s.n * sizeof(*s.v));
	return s;
}
#define LIST(a, ...) list_of(a, (const char *const[]){__VA_ARGS__, NULL})

static void *objs_push(struct objs *o, struct arena *a, size_t size, size_t grow)
{
	char *n;

	if (o->n % grow == 0) {
		n = arena_alloc(a, (o->n + grow) * size);
		if (o->n > 0)
			memcpy(n, o->v, o->n * size);
		o->v = n;
	}
	o->set = true;
	return (char *)o->v + size * o->n++;
}

/* ---- mounts ---- */

static struct oci_mount *mount_add(struct objs *m, struct arena *a, const char *dst,
				   const char *type, const char *src, struct strs options)
{
	struct oci_mount *x = objs_push(m, a, sizeof(*x), 16);

	*x = (struct oci_mount){
		.destination = dst, .type = type, .source = src, .options = options};
	return x;
}

static bool has_destination(const struct objs *mounts, const char *dst)
{
	const struct mount_point *p = mounts->v;

	for (size_t i = 0; i < mounts->n; i++)
		if (strcmp(p[i].destination, dst) == 0)
			return true;
	return false;
}

static void base_mounts(const struct ocispec_in *in, struct objs *m, struct arena *a)
{
	const struct host_config *h = in->host;
	const char *ipc = h->ipc_mode ? h->ipc_mode : "private";
	const char *ro = h->privileged ? "rw" : "ro";

	if (!has_destination(in->mounts, "/proc"))
		mount_add(m, a, "/proc", "proc", "proc", LIST(a, "nosuid", "noexec", "nodev"));
	if (!has_destination(in->mounts, "/dev"))
		mount_add(m, a, "/dev", "tmpfs", "tmpfs",
			  LIST(a, "nosuid", "strictatime", "mode=755", "size=65536k"));
	mount_add(
		m, a, "/dev/pts", "devpts", "devpts",
		LIST(a, "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
	if (!has_destination(in->mounts, "/sys"))
		mount_add(m, a, "/sys", "sysfs", "sysfs", LIST(a, "nosuid", "noexec", "nodev", ro));
	if (!has_destination(in->mounts, "/sys/fs/cgroup"))
		mount_add(m, a, "/sys/fs/cgroup", "cgroup", "cgroup",
			  LIST(a, "nosuid", "noexec", "nodev", ro));
	if (!has_destination(in->mounts, "/dev/mqueue")) {
		if (strcmp(ipc, "host") == 0 && access("/dev/mqueue", F_OK) == 0)
			mount_add(m, a, "/dev/mqueue", "bind", "/dev/mqueue",
				  LIST(a, "rbind", "nosuid", "noexec", "nodev"));
		else
			mount_add(m, a, "/dev/mqueue", "mqueue", "mqueue",
				  LIST(a, "nosuid", "noexec", "nodev"));
	}
	if (has_destination(in->mounts, "/dev/shm"))
		return;
	for (size_t i = 0; i < h->tmpfs.n; i++)
		if (strcmp(h->tmpfs.v[i].k, "/dev/shm") == 0)
			return;
	if (strcmp(ipc, "none") == 0)
		return;
	if (strcmp(ipc, "host") == 0 || in->shm_dir)
		mount_add(m, a, "/dev/shm", "bind", in->shm_dir ? in->shm_dir : "/dev/shm",
			  LIST(a, "rbind", "rprivate", "nosuid", "noexec", "nodev"));
	else
		mount_add(m, a, "/dev/shm", "tmpfs", "shm",
			  LIST(a, "nosuid", "noexec", "nodev", "mode=1777",
			       arena_printf(a, "size=%lld", (long long)h->shm_size)));
}

static void file_mount(const struct ocispec_in *in, struct objs *m, struct arena *a,
		       const char *name)
{
	const char *dst = arena_printf(a, "/etc/%s", name);

	if (!in->files_dir || has_destination(in->mounts, dst))
		return;
	mount_add(m, a, dst, "bind", arena_printf(a, "%s/%s", in->files_dir, name),
		  LIST(a, "rbind", "rprivate", in->host->readonly_rootfs ? "ro" : "rw"));
}

static size_t path_depth(const char *p)
{
	size_t n = 0;

	for (; *p; p++)
		n += *p == '/' && p[1] && p[1] != '/';
	return n;
}

static int by_depth(const void *x, const void *y)
{
	const struct mount_point *const *a = x, *const *b = y;
	size_t da = path_depth((*a)->destination), db = path_depth((*b)->destination);

	return da != db ? (da > db ? 1 : -1) : strcmp((*a)->destination, (*b)->destination);
}

static void tmpfs_mount(struct objs *m, struct arena *a, const char *dst, const char *options)
{
	struct strs o = LIST(a, "noexec", "nosuid", "nodev");
	struct str rest = str_of(options), field;

	while (rest.n > 0 && str_cut(&rest, ',', &field)) {
		char *text = arena_strndup(a, field.p, field.n);
		static const char *const flips[][2] = {
			{"exec", "noexec"}, {"suid", "nosuid"}, {"dev", "nodev"}};

		for (size_t i = 0; i < ARRAY_SIZE(flips); i++)
			for (size_t k = 0; strcmp(text, flips[i][0]) == 0 && k < o.n; k++)
				if (strcmp(o.v[k], flips[i][1]) == 0)
					o.v[k] = text;
		if (*text && !(str_eq(str_of("exec"), text) || str_eq(str_of("suid"), text) ||
			       str_eq(str_of("dev"), text)))
			strs_push(&o, a, text);
	}
	mount_add(m, a, dst, "tmpfs", "tmpfs", o);
}

static void user_mounts(const struct ocispec_in *in, struct objs *m, struct arena *a)
{
	const struct mount_point *p = in->mounts->v;
	size_t n = in->mounts->n, total = n + in->host->tmpfs.n;
	const struct mount_point **order = arena_alloc(a, (total + 1) * sizeof(*order));
	struct mount_point *extra = arena_alloc(a, (in->host->tmpfs.n + 1) * sizeof(*extra));

	for (size_t i = 0; i < n; i++)
		order[i] = &p[i];
	for (size_t i = 0; i < in->host->tmpfs.n; i++) {
		extra[i] = (struct mount_point){.type = "tmpfs",
						.destination = in->host->tmpfs.v[i].k,
						.options = in->host->tmpfs.v[i].v,
						.rw = true};
		order[n + i] = &extra[i];
	}
	qsort(order, total, sizeof(*order), by_depth);
	for (size_t i = 0; i < total; i++) {
		const struct mount_point *x = order[i];
		const char *prop = str_is_set(x->propagation) ? x->propagation : "rprivate";
		struct strs o;

		if (strcmp(x->type, "tmpfs") == 0) {
			tmpfs_mount(m, a, x->destination,
				    x->rw ? x->options
					  : arena_printf(a, "%s,ro", x->options ? x->options : ""));
			continue;
		}
		if (x->image) {
			mount_add(m, a, x->destination, OCI_MOUNT_IMAGE,
				  x->subpath ? x->subpath : "", x->lower);
			continue;
		}
		o = LIST(a, x->non_recursive ? "bind" : "rbind", prop,
			 x->rw && !x->device_ro		     ? "rw"
			 : x->shallow_ro || x->non_recursive ? "ro"
							     : "rro");
		mount_add(m, a, x->destination, "bind",
			  x->subpath ? x->source : mount_real_source(x), o);
	}
}

/* ---- devices ---- */

int ocispec_device_rule(const char *text, struct oci_device_rule *ret, struct arena *a)
{
	struct str rest = str_of(text), type, nums, access, major, minor;
	struct oci_device_rule r = {.allow = true};
	int64_t n;

	if (!str_cut(&rest, ' ', &type) || !str_cut(&rest, ' ', &nums) ||
	    !str_cut(&rest, ' ', &access) || rest.n > 0)
		return -EINVAL;
	if (type.n != 1 || !strchr("abc", type.p[0]) || access.n == 0 || access.n > 3)
		return -EINVAL;
	for (size_t i = 0; i < access.n; i++)
		if (!strchr("rwm", access.p[i]))
			return -EINVAL;
	r.type = arena_strndup(a, type.p, 1);
	r.access = arena_strndup(a, access.p, access.n);
	if (!str_cut(&nums, ':', &major) || !str_cut(&nums, ':', &minor) || nums.n > 0)
		return -EINVAL;
	if (!str_eq(major, "*")) {
		if (num_parse_i64(arena_strndup(a, major.p, major.n), 0, INT32_MAX, &n) < 0)
			return -EINVAL;
		r.major = boxed(a, n);
	}
	if (!str_eq(minor, "*")) {
		if (num_parse_i64(arena_strndup(a, minor.p, minor.n), 0, INT32_MAX, &n) < 0)
			return -EINVAL;
		r.minor = boxed(a, n);
	}
	*ret = r;
	return 0;
}

static void rule_add(struct objs *rules, struct arena *a, bool allow, const char *type,
		     int64_t major, int64_t minor, const char *access)
{
	struct oci_device_rule *r = objs_push(rules, a, sizeof(*r), 32);

	*r = (struct oci_device_rule){.allow = allow, .type = type, .access = access};
	if (major >= 0)
		r->major = boxed(a, major);
	if (minor >= 0)
		r->minor = boxed(a, minor);
}

static void default_rules(struct objs *rules, struct arena *a)
{
	rule_add(rules, a, false, NULL, -1, -1, "rwm");
	rule_add(rules, a, true, "c", -1, -1, "m");
	rule_add(rules, a, true, "b", -1, -1, "m");
	rule_add(rules, a, true, "c", 1, 3, "rwm");    /* null */
	rule_add(rules, a, true, "c", 1, 5, "rwm");    /* zero */
	rule_add(rules, a, true, "c", 1, 7, "rwm");    /* full */
	rule_add(rules, a, true, "c", 1, 8, "rwm");    /* random */
	rule_add(rules, a, true, "c", 1, 9, "rwm");    /* urandom */
	rule_add(rules, a, true, "c", 5, 0, "rwm");    /* tty */
	rule_add(rules, a, true, "c", 5, 1, "rwm");    /* console */
	rule_add(rules, a, true, "c", 5, 2, "rwm");    /* ptmx */
	rule_add(rules, a, true, "c", 136, -1, "rwm"); /* pts */
}

struct device_out {
	struct objs *devices, *rules;
	struct arena *a;
};

static bool device_add(const struct device_out *o, const struct stat *st, const char *path,
		       const char *access)
{
	const char *type = S_ISCHR(st->st_mode) ? "c" : S_ISBLK(st->st_mode) ? "b" : NULL;
	struct oci_device *d;

	if (!type || o->devices->n >= DEVICES_MAX)
		return false;
	d = objs_push(o->devices, o->a, sizeof(*d), 32);
	*d = (struct oci_device){.type = type,
				 .path = path,
				 .major = major(st->st_rdev),
				 .minor = minor(st->st_rdev)};
	d->file_mode = boxed(o->a, st->st_mode & 07777);
	d->uid = boxed(o->a, st->st_uid);
	d->gid = boxed(o->a, st->st_gid);
	if (o->rules)
		rule_add(o->rules, o->a, true, type, d->major, d->minor, access);
	return true;
}

/* Every device node below a host folder, shown below `dst`. The pseudo file systems of /dev are
 * left out. */
static size_t device_dir(const struct device_out *o, const char *src, const char *dst,
			 const char *access, int depth)
{
	DIR *dir = depth < 8 ? opendir(src) : NULL;
	const struct dirent *ent;
	size_t n = 0;

	while (dir && (ent = readdir(dir))) {
		static const char *const skip[] = {".",	   "..",	  "pts",     "shm",
						   "fd",   "mqueue",	  "console", ".udev",
						   ".lxc", ".lxd-mounts", "ptmx",    "tty"};
		struct stat st;
		bool skipped = false;
		const char *p = arena_printf(o->a, "%s/%s", src, ent->d_name);

		for (size_t i = 0; i < ARRAY_SIZE(skip) && !skipped; i++)
			skipped = strcmp(skip[i], ent->d_name) == 0;
		if (skipped || lstat(p, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			n += device_dir(o, p, arena_printf(o->a, "%s/%s", dst, ent->d_name), access,
					depth + 1);
		else
			n += device_add(o, &st, arena_printf(o->a, "%s/%s", dst, ent->d_name),
					access);
	}
	if (dir)
		closedir(dir);
	return n;
}

static int host_devices(const struct host_config *h, struct objs *devices, struct objs *rules,
			struct arena *a, struct err *e)
{
	struct device_out o = {devices, rules, a};
	const struct device_mapping *d = h->devices.v;

	for (size_t i = 0; i < h->devices.n; i++) {
		const char *src = d[i].path_on_host,
			   *dst = str_is_set(d[i].path_in_container) ? d[i].path_in_container : src;
		const char *access = str_is_set(d[i].cgroup_permissions) ? d[i].cgroup_permissions
									 : "rwm";
		struct stat st;

		if (stat(src, &st) < 0)
			return err_set(e, ERR_INVALID,
				       "error gathering device information while adding custom "
				       "device \"%s\": no such file or "
				       "directory",
				       src);
		if (S_ISDIR(st.st_mode) ? device_dir(&o, src, dst, access, 0) == 0
					: !device_add(&o, &st, dst, access))
			return err_set(e, ERR_INVALID,
				       "error gathering device information while adding custom "
				       "device \"%s\": not a device "
				       "node",
				       src);
	}
	return 0;
}

/* ---- limits ---- */

static struct objs throttle_list(const struct objs *in, struct arena *a)
{
	const struct throttle_device *t = in->v;
	struct objs out = {0};

	for (size_t i = 0; i < in->n; i++) {
		struct oci_throttle_device *d;
		struct stat st;

		if (!t[i].path || stat(t[i].path, &st) < 0)
			continue;
		d = objs_push(&out, a, sizeof(*d), 8);
		*d = (struct oci_throttle_device){major(st.st_rdev), minor(st.st_rdev), t[i].rate};
	}
	return out;
}

static void block_io(const struct host_config *h, struct oci_resources *r, struct arena *a)
{
	const struct weight_device *w = h->blkio_weight_device.v;
	struct oci_block_io *b;

	if (!h->blkio_weight && !h->blkio_weight_device.n && !h->blkio_device_read_bps.n &&
	    !h->blkio_device_write_bps.n && !h->blkio_device_read_iops.n &&
	    !h->blkio_device_write_iops.n)
		return;
	b = arena_alloc(a, sizeof(*b));
	if (h->blkio_weight)
		b->weight = boxed(a, (int64_t)h->blkio_weight);
	for (size_t i = 0; i < h->blkio_weight_device.n; i++) {
		struct oci_weight_device *d;
		struct stat st;

		if (!w[i].path || stat(w[i].path, &st) < 0)
			continue;
		d = objs_push(&b->weight_device, a, sizeof(*d), 8);
		*d = (struct oci_weight_device){.major = major(st.st_rdev),
						.minor = minor(st.st_rdev),
						.weight = boxed(a, (int64_t)w[i].weight)};
	}
	b->throttle_read_bps = throttle_list(&h->blkio_device_read_bps, a);
	b->throttle_write_bps = throttle_list(&h->blkio_device_write_bps, a);
	b->throttle_read_iops = throttle_list(&h->blkio_device_read_iops, a);
	b->throttle_write_iops = throttle_list(&h->blkio_device_write_iops, a);
	r->block_io = b;
}

void ocispec_resources(const struct host_config *h, struct oci_resources *ret, struct arena *a)
{
	struct oci_memory *m = arena_alloc(a, sizeof(*m));
	struct oci_cpu *c = arena_alloc(a, sizeof(*c));
	bool memory, cpu;

	memory = h->memory || h->memory_reservation || h->memory_swap || h->memory_swappiness ||
		 h->oom_kill_disable > 0;
	if (h->memory)
		m->limit = boxed(a, h->memory);
	if (h->memory_reservation)
		m->reservation = boxed(a, h->memory_reservation);
	if (h->memory_swap)
		m->swap = boxed(a, h->memory_swap);
	if (h->memory_swappiness && *h->memory_swappiness >= 0)
		m->swappiness = h->memory_swappiness;
	m->disable_oom_killer = h->oom_kill_disable > 0 ? 1 : 0;
	cpu = h->cpu_shares || h->nano_cpus || h->cpu_quota || h->cpu_period ||
	      h->cpu_realtime_period || h->cpu_realtime_runtime || str_is_set(h->cpuset_cpus) ||
	      str_is_set(h->cpuset_mems);
	if (h->cpu_shares)
		c->shares = boxed(a, h->cpu_shares);
	if (h->nano_cpus > 0) {
		c->period = boxed(a, 100000);
		c->quota = boxed(a, h->nano_cpus / 10000);
	}
	if (h->cpu_quota)
		c->quota = boxed(a, h->cpu_quota);
	if (h->cpu_period)
		c->period = boxed(a, h->cpu_period);
	if (h->cpu_realtime_period)
		c->realtime_period = boxed(a, h->cpu_realtime_period);
	if (h->cpu_realtime_runtime)
		c->realtime_runtime = boxed(a, h->cpu_realtime_runtime);
	c->cpus = str_is_set(h->cpuset_cpus) ? h->cpuset_cpus : NULL;
	c->mems = str_is_set(h->cpuset_mems) ? h->cpuset_mems : NULL;
	if (memory)
		ret->memory = m;
	if (cpu)
		ret->cpu = c;
	if (h->pids_limit && *h->pids_limit != 0) {
		struct oci_pids *p = arena_alloc(a, sizeof(*p));

		p->limit = boxed(a, *h->pids_limit);
		ret->pids = p;
	}
	block_io(h, ret, a);
}

/* ---- process ---- */

static bool in_list(const struct strs *s, const char *v)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], v) == 0)
			return true;
	return false;
}

static struct strs capabilities(const struct host_config *h, bool privileged, struct arena *a)
{
	struct strs add = {0}, drop = {0}, out = {.set = true};
	char name[40];

	for (size_t i = 0; i < h->cap_add.n; i++)
		if (capability_normalize(h->cap_add.v[i], name) == 0)
			strs_push(&add, a, arena_strdup(a, name));
	for (size_t i = 0; i < h->cap_drop.n; i++)
		if (capability_normalize(h->cap_drop.v[i], name) == 0)
			strs_push(&drop, a, arena_strdup(a, name));
	for (int i = 0; caps_name(i); i++) {
		const char *c = caps_name(i);
		bool on = privileged;

		if (!privileged) {
			bool dropped = in_list(&drop, c);
			struct strs base = list_of(a, default_caps);

			if (in_list(&add, "ALL"))
				on = !dropped;
			else if (in_list(&drop, "ALL"))
				on = in_list(&add, c);
			else
				on = (in_list(&base, c) && !dropped) || in_list(&add, c);
		}
		if (on)
			strs_push(&out, a, c);
	}
	return out;
}

static const struct oci_capabilities *capability_sets(struct strs list, struct arena *a)
{
	struct oci_capabilities *c = arena_alloc(a, sizeof(*c));

	c->bounding = c->effective = c->permitted = list;
	return c;
}

static void env_set(struct strs *env, const char *v, struct arena *a)
{
	size_t n = strcspn(v, "=");

	for (size_t i = 0; i < env->n; i++) {
		if (strcspn(env->v[i], "=") != n || memcmp(env->v[i], v, n) != 0)
			continue;
		if (v[n]) {
			env->v[i] = v;
		} else { /* a name without '=' takes the variable away */
			memmove(&env->v[i], &env->v[i + 1], (env->n - i - 1) * sizeof(*env->v));
			env->n--;
		}
		return;
	}
	if (v[n])
		strs_push(env, a, v);
}

static struct strs environment(const struct ocispec_in *in, bool tty, const char *hostname,
			       struct arena *a)
{
	struct strs env = {.set = true};

	strs_push(&env, a, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (str_is_set(hostname))
		strs_push(&env, a, arena_printf(a, "HOSTNAME=%s", hostname));
	if (tty)
		strs_push(&env, a, "TERM=xterm");
	for (size_t i = 0; in->link_env && i < in->link_env->n; i++)
		env_set(&env, in->link_env->v[i], a);
	for (size_t i = 0; i < in->config->env.n; i++)
		env_set(&env, in->config->env.v[i], a);
	return env;
}

static void rlimits(const struct host_config *h, struct objs *out, struct arena *a)
{
	const struct ulimit *u = h->ulimits.v;

	for (size_t i = 0; i < h->ulimits.n; i++) {
		struct oci_rlimit *r = objs_push(out, a, sizeof(*r), 16);
		char *name = arena_printf(a, "RLIMIT_%s", u[i].name);

		for (char *p = name; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		*r = (struct oci_rlimit){name, (uint64_t)u[i].soft, (uint64_t)u[i].hard};
	}
}

static int process(const struct ocispec_in *in, struct oci_process *p, struct arena *a,
		   struct err *e)
{
	const struct host_config *h = in->host;
	const struct container_config *c = in->config;
	struct security sec;

	if (security_parse(&h->security_opt, h->privileged, &sec, a, e) < 0)
		return -1;
	p->terminal = c->tty;
	if (in->console_h && in->console_w) {
		struct oci_box *box = arena_alloc(a, sizeof(*box));

		*box = (struct oci_box){in->console_h, in->console_w};
		p->console_size = box;
	}
	/* Not left out: root may be a member of further groups. */
	p->user.username = str_is_set(c->user) ? c->user : "0";
	p->user.group_add = h->group_add;
	strs_push(&p->args, a, in->path);
	for (size_t i = 0; i < in->args->n; i++)
		strs_push(&p->args, a, in->args->v[i]);
	p->env = environment(in, c->tty, c->hostname, a);
	p->cwd = str_is_set(c->working_dir) ? c->working_dir : "/";
	p->capabilities = capability_sets(capabilities(h, h->privileged, a), a);
	rlimits(h, &p->rlimits, a);
	p->no_new_privileges = sec.no_new_privileges;
	p->oom_score_adj = boxed(a, h->oom_score_adj);
	return 0;
}

/* ---- the whole ---- */

static void namespace_add(struct objs *n, struct arena *a, const char *type, const char *path)
{
	struct oci_namespace *x = objs_push(n, a, sizeof(*x), 8);

	*x = (struct oci_namespace){type, path};
}

static void namespaces(const struct ocispec_in *in, struct objs *n, struct arena *a)
{
	const struct host_config *h = in->host;

	namespace_add(n, a, "mount", NULL);
	if (!str_is_set(h->network_mode) || strcmp(h->network_mode, "host") != 0)
		namespace_add(n, a, "network", in->net_ns);
	if (!str_is_set(h->uts_mode) || strcmp(h->uts_mode, "host") != 0)
		namespace_add(n, a, "uts", NULL);
	if (!str_is_set(h->pid_mode) || strcmp(h->pid_mode, "host") != 0)
		namespace_add(n, a, "pid", in->pid_ns);
	if (!str_is_set(h->ipc_mode) || strcmp(h->ipc_mode, "host") != 0)
		namespace_add(n, a, "ipc", in->ipc_ns);
	if (str_is_set(h->cgroupns_mode) && strcmp(h->cgroupns_mode, "private") == 0)
		namespace_add(n, a, "cgroup", NULL);
}

static void unmask(struct strs *paths, const struct strs *names)
{
	size_t n = 0;

	for (size_t i = 0; i < paths->n; i++)
		if (!in_list(names, paths->v[i]) && !in_list(names, "ALL"))
			paths->v[n++] = paths->v[i];
	paths->n = n;
}

static int kernel_part(const struct ocispec_in *in, struct oci_linux *l, struct arena *a,
		       struct err *e)
{
	const struct host_config *h = in->host;
	struct oci_resources *r = arena_alloc(a, sizeof(*r));
	struct security sec;

	if (security_parse(&h->security_opt, h->privileged, &sec, a, e) < 0)
		return -1;
	namespaces(in, &l->namespaces, a);
	ocispec_resources(h, r, a);
	if (h->privileged) {
		struct device_out o = {&l->devices, NULL, a};

		rule_add(&r->devices, a, true, NULL, -1, -1, "rwm");
		device_dir(&o, "/dev", "/dev", "rwm", 0);
	} else {
		default_rules(&r->devices, a);
	}
	if (host_devices(h, &l->devices, h->privileged ? NULL : &r->devices, a, e) < 0)
		return -1;
	for (size_t i = 0; i < h->device_cgroup_rules.n; i++) {
		struct oci_device_rule *rule = objs_push(&r->devices, a, sizeof(*rule), 32);

		if (ocispec_device_rule(h->device_cgroup_rules.v[i], rule, a) < 0)
			r->devices.n--;
	}
	l->resources = r;
	if (!str_is_set(h->network_mode) || (strcmp(h->network_mode, "host") != 0 && !in->net_ns)) {
		l->sysctl.v = arena_alloc(a, (h->sysctls.n + 2) * sizeof(*l->sysctl.v));
		if (!strmap_get(&h->sysctls, "net.ipv4.ip_unprivileged_port_start"))
			l->sysctl.v[l->sysctl.n++] = (struct strmap_entry){
				"net.ipv4.ip_unprivileged_port_start", "0"};
		if (!strmap_get(&h->sysctls, "net.ipv4.ping_group_range"))
			l->sysctl.v[l->sysctl.n++] = (struct strmap_entry){
				"net.ipv4.ping_group_range", "0 2147483647"};
		for (size_t i = 0; i < h->sysctls.n; i++)
			l->sysctl.v[l->sysctl.n++] = h->sysctls.v[i];
		l->sysctl.set = true;
	} else {
		l->sysctl = h->sysctls;
	}
	if (!h->privileged) {
		l->masked_paths = h->masked_paths.set ? h->masked_paths
						      : list_of(a, default_masked_paths);
		l->readonly_paths = h->readonly_paths.set ? h->readonly_paths
							  : list_of(a, default_readonly_paths);
		if (sec.unmask.n > 0) {
			struct strs m = l->masked_paths, ro = l->readonly_paths;

			l->masked_paths = (struct strs){0};
			l->readonly_paths = (struct strs){0};
			for (size_t i = 0; i < m.n; i++)
				strs_push(&l->masked_paths, a, m.v[i]);
			for (size_t i = 0; i < ro.n; i++)
				strs_push(&l->readonly_paths, a, ro.v[i]);
			unmask(&l->masked_paths, &sec.unmask);
			unmask(&l->readonly_paths, &sec.unmask);
		}
	}
	l->rootfs_propagation = NULL;
	return 0;
}

int ocispec_build(const struct ocispec_in *in, struct oci_config *ret, struct arena *a,
		  struct err *e)
{
	struct oci_process *p = arena_alloc(a, sizeof(*p));
	struct oci_linux *l = arena_alloc(a, sizeof(*l));
	struct oci_root *root = arena_alloc(a, sizeof(*root));
	struct oci_config c = {.oci_version = "1.2.0", .process = p, .root = root, .linux_ = l};
	bool host_uts = str_is_set(in->host->uts_mode) && strcmp(in->host->uts_mode, "host") == 0;

	if (process(in, p, a, e) < 0 || kernel_part(in, l, a, e) < 0)
		return -1;
	if (!host_uts) {
		c.hostname = in->config->hostname;
		c.domainname = str_is_set(in->config->domainname) ? in->config->domainname : NULL;
	}
	root->path = "rootfs";
	root->readonly = in->host->readonly_rootfs;
	base_mounts(in, &c.mounts, a);
	file_mount(in, &c.mounts, a, "resolv.conf");
	file_mount(in, &c.mounts, a, "hostname");
	file_mount(in, &c.mounts, a, "hosts");
	user_mounts(in, &c.mounts, a);
	c.annotations = in->host->annotations;
	*ret = c;
	return 0;
}

int ocispec_exec(const struct ocispec_in *in, const struct exec_config *x, struct oci_process *ret,
		 struct arena *a, struct err *e)
{
	struct oci_process p = {0};
	uint16_t h, w;

	if (process(in, &p, a, e) < 0)
		return -1;
	p.terminal = x->tty;
	p.console_size = NULL;
	console_size_parse(x->console_size, &h, &w);
	if (h && w) {
		struct oci_box *box = arena_alloc(a, sizeof(*box));

		*box = (struct oci_box){h, w};
		p.console_size = box;
	}
	p.args = x->cmd;
	p.env = environment(in, x->tty, in->config->hostname, a);
	for (size_t i = 0; i < x->env.n; i++)
		env_set(&p.env, x->env.v[i], a);
	if (str_is_set(x->user))
		p.user.username = x->user;
	if (str_is_set(x->working_dir))
		p.cwd = x->working_dir;
	if (x->privileged)
		p.capabilities = capability_sets(capabilities(in->host, true, a), a);
	*ret = p;
	return 0;
}
