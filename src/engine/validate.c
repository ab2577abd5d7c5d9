/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container may ask for: Docker's checks with Docker's words, and a clear refusal by name of
 * what belongs to Docker but is not built. Pure: looks at the structs and at the number of CPUs,
 * nothing else.
 */
#include "base/num.h"
#include "engine/engine-priv.h"
#include "engine/network.h"
#include "sys/caps.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

#define MEMORY_MIN (6ll << 20)

void warnings_add(struct warnings *w, const char *text)
{
	if (w && w->n < ARRAY_SIZE(w->v))
		w->v[w->n++] = arena_strdup(w->a, text);
}

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, s) == 0)
			return true;
	return false;
}

static int not_built(struct err *e, const char *what)
{
	return err_set(e, ERR_UNSUPPORTED, "%s is not built in coracle yet", what);
}

/* JSON text with nothing in it: absent, null, {}, []. */
static bool json_is_empty(const char *json)
{
	return !json || strcmp(json, "null") == 0 || strcmp(json, "{}") == 0 ||
	       strcmp(json, "[]") == 0;
}

int capability_normalize(const char *name, char ret[static 40])
{
	size_t n = 0;

	if (strncasecmp(name, "CAP_", 4) != 0)
		n = (size_t)snprintf(ret, 40, "CAP_");
	for (; *name && n < 39; name++)
		ret[n++] = (char)toupper((unsigned char)*name);
	ret[n] = '\0';
	if (strcmp(ret, "CAP_ALL") == 0) {
		snprintf(ret, 40, "ALL");
		return 0;
	}
	return caps_by_name(ret) >= 0 ? 0 : -EINVAL;
}

static int validate_capabilities(const char *field, const struct strs *caps, struct err *e)
{
	char name[40];

	for (size_t i = 0; i < caps->n; i++)
		if (capability_normalize(caps->v[i], name) < 0)
			return err_set(e, ERR_INVALID, "invalid %s: unknown capability: \"%s\"",
				       field, name);
	return 0;
}

/* As Docker any text that the kernel takes, except one that would break the lines of /etc/hosts. */
static int validate_hostname(const char *name, struct err *e)
{
	if (strlen(name) > HOST_NAME_MAX)
		return err_set(e, ERR_INVALID, "invalid hostname format: %.80s...", name);
	for (const char *p = name; *p; p++)
		if (iscntrl((unsigned char)*p))
			return err_set(e, ERR_INVALID, "invalid hostname format: %s", name);
	return 0;
}

static int validate_health(const struct healthcheck *h, struct err *e)
{
	static const struct {
		const char *name;
		size_t offset;
	} times[] = {
		{"Interval", offsetof(struct healthcheck, interval)},
		{"Timeout", offsetof(struct healthcheck, timeout)},
		{"StartPeriod", offsetof(struct healthcheck, start_period)},
		{"StartInterval", offsetof(struct healthcheck, start_interval)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t v = *(const int64_t *)(const void *)((const char *)h + times[i].offset);

		if (v != 0 && v < 1000000)
			return err_set(e, ERR_INVALID, "%s in Healthcheck cannot be less than 1ms",
				       times[i].name);
	}
	if (h->retries < 0)
		return err_set(e, ERR_INVALID, "Retries in Healthcheck cannot be negative");
	if (h->test.n > 0 && strcmp(h->test.v[0], "NONE") != 0 &&
	    strcmp(h->test.v[0], "CMD") != 0 && strcmp(h->test.v[0], "CMD-SHELL") != 0)
		return err_set(e, ERR_INVALID, "Unknown healthcheck type '%s' (expected 'CMD')",
			       h->test.v[0]);
	return 0;
}

int validate_config(const struct container_config *c, struct err *e)
{
	if (str_is_set(c->hostname) && validate_hostname(c->hostname, e) < 0)
		return -1;
	if (str_is_set(c->working_dir) && c->working_dir[0] != '/')
		return err_set(
			e, ERR_INVALID,
			"the working directory '%s' is invalid, it needs to be an absolute path",
			c->working_dir);
	for (size_t i = 0; i < c->env.n; i++)
		if (c->env.v[i][0] == '\0' || c->env.v[i][0] == '=')
			return err_set(e, ERR_INVALID, "invalid environment variable: %s",
				       c->env.v[i]);
	if (str_is_set(c->stop_signal) && signal_parse(c->stop_signal) < 0)
		return err_set(e, ERR_INVALID, "invalid signal: %s", c->stop_signal);
	if (c->healthcheck && validate_health(c->healthcheck, e) < 0)
		return -1;
	if (str_is_set(c->mac_address))
		return not_built(e, "--mac-address");
	for (size_t i = 0; i < c->volumes.n; i++)
		if (c->volumes.v[i][0] != '/')
			return err_set(e, ERR_INVALID,
				       "invalid mount path: '%s' mount path must be absolute",
				       c->volumes.v[i]);
	return 0;
}

static int validate_memory(const struct host_config *h, struct err *e)
{
	if (h->memory != 0 && h->memory < MEMORY_MIN)
		return err_set(e, ERR_INVALID, "Minimum memory limit allowed is 6MB");
	if (h->memory_swap < -1)
		return err_set(e, ERR_INVALID, "invalid MemorySwap value: %lld",
			       (long long)h->memory_swap);
	if (h->memory > 0 && h->memory_swap > 0 && h->memory_swap < h->memory)
		return err_set(
			e, ERR_INVALID,
			"Minimum memoryswap limit should be larger than memory limit, see usage");
	if (h->memory == 0 && h->memory_swap > 0)
		return err_set(
			e, ERR_INVALID,
			"You should always set the Memory limit when using Memoryswap limit, "
			"see usage");
	if (h->memory_swappiness && (*h->memory_swappiness < -1 || *h->memory_swappiness > 100))
		return err_set(e, ERR_INVALID,
			       "Invalid value: %lld, valid memory swappiness range is 0-100",
			       (long long)*h->memory_swappiness);
	if (h->memory_reservation != 0 && h->memory_reservation < MEMORY_MIN)
		return err_set(e, ERR_INVALID, "Minimum memory reservation allowed is 6MB");
	if (h->memory > 0 && h->memory_reservation > 0 && h->memory < h->memory_reservation)
		return err_set(
			e, ERR_INVALID,
			"Minimum memory limit can not be less than memory reservation limit, "
			"see usage");
	if (h->oom_kill_disable > 0 && h->memory == 0)
		return 0; /* Docker warns only */
	return 0;
}

/* "0-3,5": numbers and ranges. */
static bool cpuset_is_valid(const char *s)
{
	for (;;) {
		unsigned long a = 0, b = 0;

		if (!isdigit((unsigned char)*s))
			return false;
		for (; isdigit((unsigned char)*s) && a < 100000; s++)
			a = a * 10 + (unsigned long)(*s - '0');
		b = a;
		if (*s == '-') {
			s++;
			if (!isdigit((unsigned char)*s))
				return false;
			for (b = 0; isdigit((unsigned char)*s) && b < 100000; s++)
				b = b * 10 + (unsigned long)(*s - '0');
		}
		if (a > b || b >= 8192)
			return false;
		if (!*s)
			return true;
		if (*s++ != ',')
			return false;
	}
}

static int validate_cpu(const struct host_config *h, struct err *e)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (h->nano_cpus > 0 && h->cpu_period > 0)
		return err_set(e, ERR_INVALID,
			       "Conflicting options: Nano CPUs and CPU Period cannot both be set");
	if (h->nano_cpus > 0 && h->cpu_quota > 0)
		return err_set(e, ERR_INVALID,
			       "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
	if (h->nano_cpus < 0 || h->nano_cpus > online * 1000000000ll)
		return err_set(e, ERR_INVALID,
			       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs "
			       "available",
			       online, online);
	if (h->cpu_period != 0 && (h->cpu_period < 1000 || h->cpu_period > 1000000))
		return err_set(e, ERR_INVALID,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than "
			       "1s (i.e. 1000000)");
	if (h->cpu_quota > 0 && h->cpu_quota < 1000)
		return err_set(e, ERR_INVALID,
			       "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if (h->cpu_shares < 0)
		return err_set(e, ERR_INVALID,
			       "invalid CPU shares (%lld): value must be a positive integer",
			       (long long)h->cpu_shares);
	if ((h->cpu_realtime_period || h->cpu_realtime_runtime) &&
	    access("/sys/fs/cgroup/cpu/cpu.rt_runtime_us", F_OK) < 0)
		return err_set(e, ERR_INVALID, "kernel does not support CPU real-time scheduler");
	if (h->cpu_realtime_period && h->cpu_realtime_runtime > h->cpu_realtime_period)
		return err_set(e, ERR_INVALID,
			       "cpu real-time runtime cannot be higher than cpu "
			       "real-time period");
	if (h->cpu_count || h->cpu_percent || h->io_maximum_iops || h->io_maximum_bandwidth)
		return err_set(e, ERR_INVALID,
			       "CpuCount, CpuPercent, IOMaximumIOps and IOMaximumBandwidth are for "
			       "Windows only");
	if (str_is_set(h->cpuset_cpus) && !cpuset_is_valid(h->cpuset_cpus))
		return err_set(e, ERR_INVALID,
			       "Invalid value %s for cpuset cpus: invalid format: %s",
			       h->cpuset_cpus, h->cpuset_cpus);
	if (str_is_set(h->cpuset_mems) && !cpuset_is_valid(h->cpuset_mems))
		return err_set(e, ERR_INVALID,
			       "Invalid value %s for cpuset mems: invalid format: %s",
			       h->cpuset_mems, h->cpuset_mems);
	return 0;
}

/* The highest number in a cpuset list. */
static unsigned long cpuset_highest(const char *s)
{
	unsigned long n = 0, best = 0;

	for (; *s; s++) {
		if (isdigit((unsigned char)*s)) {
			n = n * 10 + (unsigned long)(*s - '0');
			best = MAX(best, n);
		} else {
			n = 0;
		}
	}
	return best;
}

int validate_resources(const struct host_config *h, struct warnings *w, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	if (validate_memory(h, e) < 0 || validate_cpu(h, e) < 0)
		return -1;
	if (str_is_set(h->cpuset_cpus) && cpuset_highest(h->cpuset_cpus) >= (unsigned long)cpus)
		return err_set(e, ERR_INVALID,
			       "Requested CPUs are not available - requested %s, available: 0-%ld",
			       h->cpuset_cpus, cpus - 1);
	if (h->blkio_weight != 0 && (h->blkio_weight < 10 || h->blkio_weight > 1000))
		return err_set(e, ERR_INVALID, "Range of blkio weight is from 10 to 1000");
	if (h->kernel_memory > 0)
		warnings_add(w, "Specifying a kernel memory limit is deprecated and not supported "
				"by this kernel. Limitation discarded.");
	if (h->oom_kill_disable > 0 && h->memory == 0)
		warnings_add(w, "OOM killer is disabled for the container, but no memory limit is "
				"set, this can result "
				"in the system running out of resources.");
	return 0;
}

int validate_restart_policy(const struct restart_policy *p, bool auto_remove, struct err *e)
{
	static const char *const names[] = {"",		  "no", "always", "unless-stopped",
					    "on-failure", NULL};
	const char *name = p->name ? p->name : "";

	if (!is_one_of(name, names))
		return err_set(e, ERR_INVALID,
			       "invalid restart policy: unknown policy '%s'; use one of 'no', "
			       "'always', 'on-failure', "
			       "or 'unless-stopped'",
			       name);
	if (p->maximum_retry_count != 0 && strcmp(name, "on-failure") != 0)
		return err_set(e, ERR_INVALID,
			       "invalid restart policy: maximum retry count can only be used with "
			       "'on-failure'%s",
			       p->maximum_retry_count < 0 ? " and cannot be negative" : "");
	if (p->maximum_retry_count < 0)
		return err_set(e, ERR_INVALID,
			       "invalid restart policy: maximum retry count cannot be negative");
	if (auto_remove && *name && strcmp(name, "no") != 0)
		return err_set(e, ERR_INVALID,
			       "can't create 'AutoRemove' container with restart policy");
	return 0;
}

static int validate_modes(const struct host_config *h, const struct container_config *c,
			  struct err *e)
{
	static const char *const ipc[] = {"", "none", "private", "shareable", "host", NULL};
	const char *net = h->network_mode ? h->network_mode : "";

	if (strcmp(net, "container:") == 0)
		return err_set(e, ERR_INVALID, "invalid container format container:<name|id>");
	if (str_starts(net, "container:") && str_is_set(h->uts_mode))
		return err_set(e, ERR_INVALID,
			       "conflicting options: uts mode and the network mode");
	if (str_starts(net, "container:") && str_is_set(c->hostname))
		return err_set(e, ERR_INVALID,
			       "conflicting options: hostname and the network mode");
	if (h->pid_mode && *h->pid_mode && strcmp(h->pid_mode, "host") != 0 &&
	    !str_starts(h->pid_mode, "container:"))
		return err_set(e, ERR_INVALID, "invalid PID mode: %s", h->pid_mode);
	if (h->ipc_mode && !is_one_of(h->ipc_mode, ipc) && !str_starts(h->ipc_mode, "container:"))
		return err_set(e, ERR_INVALID, "invalid IPC mode: %s", h->ipc_mode);
	if (str_is_set(h->uts_mode) && strcmp(h->uts_mode, "host") != 0)
		return err_set(e, ERR_INVALID, "invalid UTS mode: %s", h->uts_mode);
	if (str_is_set(h->uts_mode) && str_is_set(c->hostname))
		return err_set(e, ERR_INVALID, "conflicting options: hostname and the UTS mode");
	if (str_is_set(h->cgroupns_mode) && strcmp(h->cgroupns_mode, "host") != 0 &&
	    strcmp(h->cgroupns_mode, "private") != 0)
		return err_set(e, ERR_INVALID, "invalid cgroup namespace mode: %s",
			       h->cgroupns_mode);
	if (str_is_set(h->userns_mode) && strcmp(h->userns_mode, "host") != 0)
		return err_set(e, ERR_INVALID, "invalid USER mode: %s", h->userns_mode);
	if (str_is_set(h->isolation) && strcmp(h->isolation, "default") != 0)
		return err_set(e, ERR_INVALID,
			       "invalid isolation (%s): linux only supports 'default'",
			       h->isolation);
	if (str_is_set(h->runtime) && strcmp(h->runtime, "coracle") != 0 &&
	    strcmp(h->runtime, "runc") != 0 && strcmp(h->runtime, "io.containerd.runc.v2") != 0)
		return err_set(e, ERR_INVALID, "unknown or invalid runtime name: %s", h->runtime);
	return 0;
}

static int validate_lists(const struct host_config *h, struct err *e)
{
	static const char *const limits[] = {
		"core",	  "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
		"nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",	 NULL};
	const struct ulimit *u = h->ulimits.v;
	const struct device_mapping *d = h->devices.v;

	for (size_t i = 0; i < h->ulimits.n; i++) {
		if (!u[i].name || !is_one_of(u[i].name, limits))
			return err_set(e, ERR_INVALID, "invalid ulimit type: %s",
				       u[i].name ? u[i].name : "");
		if (u[i].hard != -1 && (u[i].soft == -1 || u[i].soft > u[i].hard))
			return err_set(e, ERR_INVALID,
				       "ulimit soft limit must be less than or equal to hard "
				       "limit: %lld > %lld",
				       (long long)u[i].soft, (long long)u[i].hard);
	}
	for (size_t i = 0; i < h->devices.n; i++)
		if (!str_is_set(d[i].path_on_host) ||
		    (str_is_set(d[i].path_in_container) && d[i].path_in_container[0] != '/'))
			return err_set(e, ERR_INVALID, "bad format for path: %s",
				       d[i].path_on_host ? d[i].path_on_host : "");
	for (size_t i = 0; i < h->device_cgroup_rules.n; i++) {
		struct oci_device_rule rule;
		AUTO(arena) struct arena *a = arena_new();

		if (ocispec_device_rule(h->device_cgroup_rules.v[i], &rule, a) < 0)
			return err_set(e, ERR_INVALID, "invalid device cgroup rule format: '%s'",
				       h->device_cgroup_rules.v[i]);
	}
	for (size_t i = 0; i < h->extra_hosts.n; i++) {
		const char *colon = strchr(h->extra_hosts.v[i], ':');

		if (!colon || colon == h->extra_hosts.v[i] || !colon[1])
			return err_set(e, ERR_INVALID, "bad format for add-host: \"%s\"",
				       h->extra_hosts.v[i]);
	}
	for (size_t i = 0; i < h->tmpfs.n; i++) {
		struct str rest = str_of(h->tmpfs.v[i].v), field;

		if (h->tmpfs.v[i].k[0] != '/')
			return err_set(e, ERR_INVALID,
				       "invalid mount path: '%s' mount path must be absolute",
				       h->tmpfs.v[i].k);
		while (rest.n > 0 && str_cut(&rest, ',', &field)) {
			char text[64];

			snprintf(text, sizeof(text), "%.*s", (int)MIN(field.n, 63u), field.p);
			if (field.n > 0 && !tmpfs_option_is_known(text))
				return err_set(e, ERR_INVALID, "invalid tmpfs option [\"%s\"]",
					       text);
		}
	}
	return validate_capabilities("CapAdd", &h->cap_add, e) < 0
		       ? -1
		       : validate_capabilities("CapDrop", &h->cap_drop, e);
}

static int validate_not_built(const struct host_config *h, struct err *e)
{
	if (str_is_set(h->volume_driver) && strcmp(h->volume_driver, "local") != 0)
		return volume_driver_unknown(h->volume_driver, e);
	if (h->storage_opt.n > 0)
		return not_built(e, "--storage-opt");
	if (!json_is_empty(h->device_requests))
		return err_set(e, ERR_UNSUPPORTED,
			       "could not select device driver: device requests (--gpus) are not "
			       "built in coracle yet");
	if (str_is_set(h->cgroup))
		return err_set(e, ERR_INVALID, "invalid cgroup spec: %s", h->cgroup);
	return 0;
}

int validate_host_config(const struct host_config *h, const struct container_config *c,
			 struct warnings *w, struct err *e)
{
	struct security sec;
	AUTO(arena) struct arena *a = arena_new();

	if (validate_modes(h, c, e) < 0 || validate_not_built(h, e) < 0 ||
	    ports_check(c, h, e) < 0 || validate_resources(h, w, e) < 0 ||
	    validate_restart_policy(&h->restart_policy, h->auto_remove, e) < 0 ||
	    log_config_check(&h->log_config, e) < 0 || validate_lists(h, e) < 0)
		return -1;
	if (h->shm_size < 0)
		return err_set(e, ERR_INVALID, "SHM size can not be less than 0");
	if (h->oom_score_adj < -1000 || h->oom_score_adj > 1000)
		return err_set(e, ERR_INVALID,
			       "Invalid value %lld, range for oom score adj is [-1000, 1000]",
			       (long long)h->oom_score_adj);
	for (size_t i = 0; i < h->sysctls.n; i++) {
		const char *net = h->network_mode ? h->network_mode : "";

		if (strcmp(net, "host") == 0 && str_starts(h->sysctls.v[i].k, "net."))
			return err_set(e, ERR_INVALID,
				       "sysctl \"%s\" not allowed in host network namespace",
				       h->sysctls.v[i].k);
	}
	if (h->network_mode && strcmp(h->network_mode, "host") == 0 &&
	    !json_is_empty(h->port_bindings))
		warnings_add(w, "Published ports are discarded when using host network mode");
	return security_parse(&h->security_opt, h->privileged, &sec, a, e);
}

static int unmask_add(struct security *s, const char *list, struct arena *a)
{
	struct str rest = str_of(list), field;

	while (str_cut(&rest, ':', &field)) {
		const char **v = arena_alloc(a, (s->unmask.n + 1) * sizeof(*v));

		if (s->unmask.n > 0)
			memcpy(v, s->unmask.v, s->unmask.n * sizeof(*v));
		v[s->unmask.n++] = arena_strndup(a, field.p, field.n);
		s->unmask.v = v;
	}
	return 0;
}

int security_parse(const struct strs *opts, bool privileged, struct security *ret, struct arena *a,
		   struct err *e)
{
	struct security s = {.seccomp = privileged ? "unconfined" : "default"};

	for (size_t i = 0; i < opts->n; i++) {
		const char *o = opts->v[i], *v;

		if (strcmp(o, "no-new-privileges") == 0) {
			s.no_new_privileges = true;
			continue;
		}
		v = strchr(o, '=') ? strchr(o, '=') : strchr(o, ':');
		if (!v)
			return err_set(e, ERR_INVALID, "invalid --security-opt 1: \"%s\"", o);
		v++;
		if (str_starts(o, "no-new-privileges")) {
			if (strcmp(v, "true") != 0 && strcmp(v, "false") != 0)
				return err_set(e, ERR_INVALID, "invalid --security-opt 2: \"%s\"",
					       o);
			s.no_new_privileges = strcmp(v, "true") == 0;
		} else if (str_starts(o, "seccomp=") || str_starts(o, "seccomp:")) {
			if (strcmp(v, "unconfined") == 0)
				s.seccomp = "unconfined";
			else if (strcmp(v, "builtin") == 0)
				s.seccomp = "default";
			else if (v[0] == '{')
				s.seccomp = arena_strdup(a, v);
			else
				return err_set(e, ERR_INVALID,
					       "opening seccomp profile (%s) failed: expected the "
					       "text of a JSON profile",
					       v);
		} else if (str_starts(o, "apparmor=") || str_starts(o, "apparmor:")) {
			if (strcmp(v, "unconfined") != 0)
				return not_built(e, "--security-opt apparmor");
		} else if (str_starts(o, "label=") || str_starts(o, "label:")) {
			if (strcmp(v, "disable") != 0)
				return not_built(e, "--security-opt label (SELinux)");
		} else if (str_starts(o, "systempaths=")) {
			if (strcmp(v, "unconfined") != 0)
				return err_set(e, ERR_INVALID, "invalid --security-opt 2: \"%s\"",
					       o);
			unmask_add(&s, "ALL", a);
		} else if (str_starts(o, "unmask=")) {
			unmask_add(&s, v, a);
		} else if (str_starts(o, "writable-cgroups=")) {
			return not_built(e, "--security-opt writable-cgroups");
		} else {
			return err_set(e, ERR_INVALID, "invalid --security-opt 2: \"%s\"", o);
		}
	}
	*ret = s;
	return 0;
}
