/* SPDX-License-Identifier: Apache-2.0 */
/* From parsed options to the body of POST /containers/create; only what was asked for is sent. */
#include "cli/run.h"
#include "base/mem.h"

#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "base/banned.h"

static void put_str(struct jw *w, const char *key, const struct opts *o, const char *name)
{
	if (opts_set(o, name))
		jw_kv_str(w, key, opts_str(o, name));
}

static void put_int(struct jw *w, const char *key, const struct opts *o, const char *name)
{
	if (opts_set(o, name))
		jw_kv_i64(w, key, opts_int(o, name));
}

static void put_bool(struct jw *w, const char *key, const struct opts *o, const char *name)
{
	if (opts_set(o, name))
		jw_kv_bool(w, key, opts_bool(o, name));
}

static void put_values(struct jw *w, const struct optval *v)
{
	for (size_t i = 0; i < v->n; i++)
		jw_str(w, v->v[i]);
}

static void put_list(struct jw *w, const char *key, const struct opts *o, const char *name)
{
	const struct optval *v = opts_get(o, name);

	if (!v->n)
		return;
	jw_key(w, key);
	jw_arr(w);
	put_values(w, v);
	jw_arr_end(w);
}

static void put_pairs(struct jw *w, const char *key, const struct opts *o, const char *name)
{
	const struct optval *v = opts_get(o, name);

	if (!v->n)
		return;
	jw_key(w, key);
	parse_pairs(w, v);
}

static int attach_flags(const struct opts *o, bool detach, struct run_attach *a, struct err *e)
{
	const struct optval *v = opts_get(o, "attach");

	*a = (struct run_attach){.tty = opts_bool(o, "tty")};
	for (size_t i = 0; i < v->n; i++) {
		if (!strcasecmp(v->v[i], "stdin"))
			a->in = true;
		else if (!strcasecmp(v->v[i], "stdout"))
			a->out = true;
		else if (!strcasecmp(v->v[i], "stderr"))
			a->err = true;
		else
			return err_set(e, ERR_INVALID,
				       "invalid argument \"%s\" for \"-a, --attach\" flag: valid "
				       "streams are STDIN, STDOUT and STDERR",
				       v->v[i]);
	}
	if (detach && v->n)
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --attach "
			       "and --detach");
	if (!v->n && !detach) {
		a->out = a->err = true;
		a->in = opts_bool(o, "interactive");
	}
	return 0;
}

static void put_command(struct jw *w, const struct opts *o)
{
	if (o->argc > 1) {
		jw_key(w, "Cmd");
		jw_arr(w);
		for (int i = 1; i < o->argc; i++)
			jw_str(w, o->argv[i]);
		jw_arr_end(w);
	}
	jw_kv_str(w, "Image", o->argv[0]);
	if (opts_set(o, "entrypoint")) {
		jw_key(w, "Entrypoint");
		jw_arr(w);
		jw_str(w, opts_str(o, "entrypoint"));
		jw_arr_end(w);
	}
}

static int put_health(struct jw *w, const struct opts *o, struct err *e)
{
	static const struct {
		const char *option, *key;
	} values[] = {{"health-interval", "Interval"},
		      {"health-timeout", "Timeout"},
		      {"health-start-period", "StartPeriod"},
		      {"health-start-interval", "StartInterval"},
		      {"health-retries", "Retries"}};
	const char *command = opts_str(o, "health-cmd");
	bool any = *command;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		any = any || opts_int(o, values[i].option);
	if (opts_bool(o, "no-healthcheck")) {
		if (any)
			return err_set(e, ERR_INVALID,
				       "--no-healthcheck conflicts with --health-* options");
		jw_key(w, "Healthcheck"), jw_raw(w, "{\"Test\":[\"NONE\"]}");
		return 0;
	}
	if (!any)
		return 0;
	jw_key(w, "Healthcheck");
	jw_obj(w);
	if (*command) {
		jw_key(w, "Test");
		jw_arr(w);
		jw_str(w, "CMD-SHELL");
		jw_str(w, command);
		jw_arr_end(w);
	}
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (opts_int(o, values[i].option) < 0)
			return err_set(e, ERR_INVALID, "--%s cannot be negative", values[i].option);
		put_int(w, values[i].key, o, values[i].option);
	}
	jw_obj_end(w);
	return 0;
}

static int put_config(struct jw *w, const struct opts *o, const struct run_attach *a, struct err *e)
{
	bool stdin_open = opts_bool(o, "interactive");

	put_str(w, "Hostname", o, "hostname");
	put_str(w, "Domainname", o, "domainname");
	put_str(w, "User", o, "user");
	jw_kv_bool(w, "AttachStdin", a->in);
	jw_kv_bool(w, "AttachStdout", a->out);
	jw_kv_bool(w, "AttachStderr", a->err);
	jw_kv_bool(w, "Tty", a->tty);
	jw_kv_bool(w, "OpenStdin", stdin_open);
	jw_kv_bool(w, "StdinOnce", stdin_open && a->in);
	if (put_exposed_ports(w, o, e) < 0)
		return -1;
	jw_key(w, "Env");
	jw_arr(w);
	if (parse_env(w, opts_get(o, "env-file"), opts_get(o, "env"), e) < 0)
		return -1;
	jw_arr_end(w);
	put_command(w, o);
	if (put_health(w, o, e) < 0)
		return -1;
	jw_key(w, "Volumes");
	jw_obj(w);
	if (parse_volumes(w, opts_get(o, "volume"), false, e) < 0)
		return -1;
	jw_obj_end(w);
	put_str(w, "WorkingDir", o, "workdir");
	jw_key(w, "Labels");
	if (parse_labels(w, opts_get(o, "label-file"), opts_get(o, "label"), e) < 0)
		return -1;
	put_str(w, "StopSignal", o, "stop-signal");
	put_int(w, "StopTimeout", o, "stop-timeout");
	return 0;
}

/* An array whose elements come from one parser each. */
static int put_parsed(struct jw *w, const char *key, const struct opts *o, const char *name,
		      int (*parse)(struct jw *w, const char *text, struct err *e), struct err *e)
{
	const struct optval *v = opts_get(o, name);

	if (!v->n)
		return 0;
	jw_key(w, key);
	jw_arr(w);
	for (size_t i = 0; i < v->n; i++)
		if (parse(w, v->v[i], e) < 0)
			return -1;
	jw_arr_end(w);
	return 0;
}

/* Weights and rates of block devices. */
static int put_devices_io(struct jw *w, const struct opts *o, struct err *e)
{
	static const struct {
		const char *option, *key;
		enum device_io kind;
	} lists[] = {{"blkio-weight-device", "BlkioWeightDevice", DEVICE_WEIGHT},
		     {"device-read-bps", "BlkioDeviceReadBps", DEVICE_BYTES},
		     {"device-write-bps", "BlkioDeviceWriteBps", DEVICE_BYTES},
		     {"device-read-iops", "BlkioDeviceReadIOps", DEVICE_OPERATIONS},
		     {"device-write-iops", "BlkioDeviceWriteIOps", DEVICE_OPERATIONS}};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct optval *v = opts_get(o, lists[i].option);

		if (!v->n)
			continue;
		jw_key(w, lists[i].key);
		jw_arr(w);
		for (size_t k = 0; k < v->n; k++)
			if (parse_device_io(w, v->v[k], lists[i].kind, e) < 0)
				return err_wrap(e, "invalid argument \"%s\" for \"--%s\" flag",
						v->v[k], lists[i].option);
		jw_arr_end(w);
	}
	return 0;
}

static int put_resources(struct jw *w, const struct opts *o, struct err *e)
{
	put_int(w, "CpuShares", o, "cpu-shares");
	put_int(w, "Memory", o, "memory");
	put_int(w, "NanoCpus", o, "cpus");
	put_str(w, "CgroupParent", o, "cgroup-parent");
	put_int(w, "BlkioWeight", o, "blkio-weight");
	put_int(w, "CpuPeriod", o, "cpu-period");
	put_int(w, "CpuQuota", o, "cpu-quota");
	put_str(w, "CpusetCpus", o, "cpuset-cpus");
	put_str(w, "CpusetMems", o, "cpuset-mems");
	put_int(w, "MemoryReservation", o, "memory-reservation");
	put_int(w, "MemorySwap", o, "memory-swap");
	put_int(w, "MemorySwappiness", o, "memory-swappiness");
	put_bool(w, "OomKillDisable", o, "oom-kill-disable");
	put_int(w, "PidsLimit", o, "pids-limit");
	put_int(w, "CpuRealtimePeriod", o, "cpu-rt-period");
	put_int(w, "CpuRealtimeRuntime", o, "cpu-rt-runtime");
	put_int(w, "KernelMemory", o, "kernel-memory");
	put_int(w, "CpuCount", o, "cpu-count");
	put_int(w, "CpuPercent", o, "cpu-percent");
	put_int(w, "IOMaximumIOps", o, "io-maxiops");
	put_int(w, "IOMaximumBandwidth", o, "io-maxbandwidth");
	put_list(w, "DeviceCgroupRules", o, "device-cgroup-rule");
	if (put_parsed(w, "Devices", o, "device", parse_device, e) < 0 ||
	    put_devices_io(w, o, e) < 0)
		return -1;
	if (opts_set(o, "gpus")) {
		jw_key(w, "DeviceRequests");
		jw_arr(w);
		if (parse_gpus(w, opts_str(o, "gpus"), e) < 0)
			return -1;
		jw_arr_end(w);
	}
	return put_parsed(w, "Ulimits", o, "ulimit", parse_ulimit, e);
}

static int put_mounts(struct jw *w, const struct opts *o, struct err *e)
{
	const struct optval *tmpfs = opts_get(o, "tmpfs");

	jw_key(w, "Binds");
	jw_arr(w);
	if (parse_volumes(w, opts_get(o, "volume"), true, e) < 0)
		return -1;
	jw_arr_end(w);
	if (tmpfs->n) {
		jw_key(w, "Tmpfs");
		jw_obj(w);
		for (size_t i = 0; i < tmpfs->n; i++) {
			const char *colon = strchr(tmpfs->v[i], ':');
			AUTO_FREE char *path = xstrndup(tmpfs->v[i], strcspn(tmpfs->v[i], ":"));
			jw_kv_str(w, path, colon ? colon + 1 : "");
		}
		jw_obj_end(w);
	}
	put_list(w, "VolumesFrom", o, "volumes-from");
	put_str(w, "VolumeDriver", o, "volume-driver");
	put_pairs(w, "StorageOpt", o, "storage-opt");
	return put_parsed(w, "Mounts", o, "mount", parse_mount, e);
}

static int put_security(struct jw *w, const struct opts *o, struct err *e)
{
	const struct optval *v = opts_get(o, "security-opt");
	bool unconfined = false;

	put_list(w, "CapAdd", o, "cap-add");
	put_list(w, "CapDrop", o, "cap-drop");
	put_bool(w, "Privileged", o, "privileged");
	if (v->n) {
		jw_key(w, "SecurityOpt");
		jw_arr(w);
		if (parse_security_opts(w, v, &unconfined, e) < 0)
			return -1;
		jw_arr_end(w);
	}
	if (unconfined) {
		jw_key(w, "MaskedPaths"), jw_raw(w, "[]");
		jw_key(w, "ReadonlyPaths"), jw_raw(w, "[]");
	}
	return 0;
}

/* Also into ret: the other half of it stands beside HostConfig. */
static int put_network(struct jw *w, const struct opts *o, struct run_networks **ret, struct err *e)
{
	if (run_networks_parse(o, ret, e) < 0)
		return -1;
	run_networks_host(*ret, o, w);
	put_list(w, "Dns", o, "dns");
	put_list(w, "DnsOptions", o, opts_set(o, "dns-opt") ? "dns-opt" : "dns-option");
	put_list(w, "DnsSearch", o, "dns-search");
	return put_parsed(w, "ExtraHosts", o, "add-host", parse_add_host, e);
}

static int put_host(struct jw *w, const struct opts *o, const struct run_attach *a,
		    struct run_networks **networks, struct err *e)
{
	struct winsize ws;

	if (put_mounts(w, o, e) < 0)
		return -1;
	if (a->tty && ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_row) {
		jw_key(w, "ConsoleSize");
		jw_arr(w);
		jw_i64(w, ws.ws_row);
		jw_i64(w, ws.ws_col);
		jw_arr_end(w);
	}
	if (opts_set(o, "log-driver") || opts_set(o, "log-opt")) {
		jw_key(w, "LogConfig");
		jw_obj(w);
		jw_kv_str(w, "Type", opts_str(o, "log-driver"));
		put_pairs(w, "Config", o, "log-opt");
		jw_obj_end(w);
	}
	jw_key(w, "RestartPolicy");
	if (parse_restart(w, opts_str(o, "restart"), e) < 0)
		return -1;
	if (put_port_bindings(w, o, e) < 0)
		return -1;
	put_bool(w, "AutoRemove", o, "rm");
	put_pairs(w, "Annotations", o, "annotation");
	put_list(w, "GroupAdd", o, "group-add");
	put_str(w, "IpcMode", o, "ipc");
	put_str(w, "PidMode", o, "pid");
	put_str(w, "UTSMode", o, "uts");
	put_str(w, "UsernsMode", o, "userns");
	put_str(w, "CgroupnsMode", o, "cgroupns");
	put_int(w, "OomScoreAdj", o, "oom-score-adj");
	put_bool(w, "ReadonlyRootfs", o, "read-only");
	put_int(w, "ShmSize", o, "shm-size");
	put_pairs(w, "Sysctls", o, "sysctl");
	put_str(w, "Runtime", o, "runtime");
	put_str(w, "Isolation", o, "isolation");
	put_bool(w, "Init", o, "init");
	if (put_network(w, o, networks, e) < 0 || put_security(w, o, e) < 0)
		return -1;
	return put_resources(w, o, e);
}

/* Namespaces whose names are known without asking the engine. */
static int check_modes(const struct opts *o, struct err *e)
{
	static const struct {
		const char *option, *name;
		bool other, own;
	} modes[] = {{"pid", "PID", true, false},
		     {"uts", "UTS", false, false},
		     {"cgroupns", "CGROUP", false, true},
		     {"userns", "USER", false, false}};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		const char *s = opts_str(o, modes[i].option);
		if (*s && strcmp(s, "host") && !(modes[i].own && !strcmp(s, "private")) &&
		    !(modes[i].other && str_starts(s, "container:") && s[10]))
			return err_set(e, ERR_INVALID, "--%s: invalid %s mode", modes[i].option,
				       modes[i].name);
	}
	return 0;
}

/* Only kernel parameters that belong to a namespace. */
static int check_sysctls(const struct opts *o, struct err *e)
{
	static const char *const names[] = {
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
	const struct optval *v = opts_get(o, "sysctl");

	for (size_t i = 0; i < v->n; i++) {
		size_t key = strcspn(v->v[i], "=");
		bool good = v->v[i][key] &&
			    (str_starts(v->v[i], "net.") || str_starts(v->v[i], "fs.mqueue."));
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			good = good || (v->v[i][key] && strlen(names[k]) == key &&
					!strncmp(names[k], v->v[i], key));
		if (!good)
			return err_set(e, ERR_INVALID,
				       "invalid argument \"%s\" for \"--sysctl\" flag: sysctl '%s' "
				       "is not allowed",
				       v->v[i], v->v[i]);
	}
	return 0;
}

int run_body(const struct opts *o, bool detach, struct buf *out, struct run_attach *ret_attach,
	     struct err *e)
{
	struct run_networks *networks = NULL;
	struct run_attach a;
	struct jw w = JW_INIT(out);
	int rc;

	if (opts_bool(o, "rm") && strcmp(opts_str(o, "restart"), "no") && *opts_str(o, "restart"))
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --restart "
			       "and --rm");
	if (attach_flags(o, detach, &a, e) < 0 || check_modes(o, e) < 0 || check_sysctls(o, e) < 0)
		return -1;
	jw_obj(&w);
	if (put_config(&w, o, &a, e) < 0)
		return -1;
	jw_key(&w, "HostConfig");
	jw_obj(&w);
	rc = put_host(&w, o, &a, &networks, e);
	jw_obj_end(&w);
	if (rc == 0)
		run_networks_config(networks, &w);
	run_networks_free(networks);
	jw_obj_end(&w);
	*ret_attach = a;
	return rc;
}
