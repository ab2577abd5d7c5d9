/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables of Docker's container objects, in the order dockerd prints them. */
#include "spec/container.h"

#include "base/num.h"

#include <stdio.h>

#include "base/banned.h"

static const struct json_field healthcheck_fields[] = {
	JSON_FIELD(JT_STRS, struct healthcheck, test, "Test", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct healthcheck, interval, "Interval", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct healthcheck, timeout, "Timeout", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct healthcheck, start_period, "StartPeriod", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct healthcheck, start_interval, "StartInterval", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct healthcheck, retries, "Retries", JSON_OMITEMPTY),
	{0},
};
const struct json_schema healthcheck_schema = {"health check", sizeof(struct healthcheck),
					       healthcheck_fields};

#define CF(type, member, key, flags) JSON_FIELD(type, struct container_config, member, key, flags)
static const struct json_field container_config_fields[] = {
	CF(JT_STR, hostname, "Hostname", 0),
	CF(JT_STR, domainname, "Domainname", 0),
	CF(JT_STR, user, "User", 0),
	CF(JT_BOOL, attach_stdin, "AttachStdin", 0),
	CF(JT_BOOL, attach_stdout, "AttachStdout", 0),
	CF(JT_BOOL, attach_stderr, "AttachStderr", 0),
	CF(JT_SET, exposed_ports, "ExposedPorts", JSON_OMITEMPTY),
	CF(JT_BOOL, tty, "Tty", 0),
	CF(JT_BOOL, open_stdin, "OpenStdin", 0),
	CF(JT_BOOL, stdin_once, "StdinOnce", 0),
	CF(JT_STRS, env, "Env", 0),
	CF(JT_STRS, cmd, "Cmd", JSON_STR_OR_LIST | JSON_NULL_EMPTY),
	JSON_SUB(JT_OBJP, struct container_config, healthcheck, "Healthcheck", JSON_OMITEMPTY,
		 &healthcheck_schema),
	CF(JT_BOOL, args_escaped, "ArgsEscaped", JSON_OMITEMPTY),
	CF(JT_STR, image, "Image", 0),
	CF(JT_SET, volumes, "Volumes", JSON_NULL_EMPTY),
	CF(JT_STR, working_dir, "WorkingDir", 0),
	CF(JT_STRS, entrypoint, "Entrypoint", JSON_STR_OR_LIST | JSON_NULL_EMPTY),
	CF(JT_BOOL, network_disabled, "NetworkDisabled", JSON_OMITEMPTY),
	CF(JT_STR, mac_address, "MacAddress", JSON_OMITEMPTY),
	CF(JT_STRS, on_build, "OnBuild", JSON_NULL_EMPTY),
	CF(JT_MAP, labels, "Labels", JSON_NULL_EMPTY),
	CF(JT_STR, stop_signal, "StopSignal", JSON_OMITEMPTY),
	CF(JT_OPT_I64, stop_timeout, "StopTimeout", JSON_OMITEMPTY),
	CF(JT_STRS, shell, "Shell", JSON_OMITEMPTY | JSON_STR_OR_LIST),
	{0},
};
const struct json_schema container_config_schema = {
	"container config", sizeof(struct container_config), container_config_fields};

static const struct json_field log_config_fields[] = {
	JSON_FIELD(JT_STR, struct log_config, type, "Type", 0),
	JSON_FIELD(JT_MAP, struct log_config, config, "Config", 0),
	{0},
};
static const struct json_schema log_config_schema = {"log config", sizeof(struct log_config),
						     log_config_fields};

static const struct json_field restart_policy_fields[] = {
	JSON_FIELD(JT_STR, struct restart_policy, name, "Name", 0),
	JSON_FIELD(JT_I64, struct restart_policy, maximum_retry_count, "MaximumRetryCount", 0),
	{0},
};
const struct json_schema restart_policy_schema = {"restart policy", sizeof(struct restart_policy),
						  restart_policy_fields};

static const struct json_field device_fields[] = {
	JSON_FIELD(JT_STR, struct device_mapping, path_on_host, "PathOnHost", 0),
	JSON_FIELD(JT_STR, struct device_mapping, path_in_container, "PathInContainer", 0),
	JSON_FIELD(JT_STR, struct device_mapping, cgroup_permissions, "CgroupPermissions", 0),
	{0},
};
static const struct json_schema device_schema = {"device", sizeof(struct device_mapping),
						 device_fields};

static const struct json_field weight_fields[] = {
	JSON_FIELD(JT_STR, struct weight_device, path, "Path", 0),
	JSON_FIELD(JT_U64, struct weight_device, weight, "Weight", 0),
	{0},
};
static const struct json_schema weight_schema = {"weight device", sizeof(struct weight_device),
						 weight_fields};

static const struct json_field throttle_fields[] = {
	JSON_FIELD(JT_STR, struct throttle_device, path, "Path", 0),
	JSON_FIELD(JT_U64, struct throttle_device, rate, "Rate", 0),
	{0},
};
static const struct json_schema throttle_schema = {"throttle device",
						   sizeof(struct throttle_device), throttle_fields};

static const struct json_field ulimit_fields[] = {
	JSON_FIELD(JT_STR, struct ulimit, name, "Name", 0),
	JSON_FIELD(JT_I64, struct ulimit, hard, "Hard", 0),
	JSON_FIELD(JT_I64, struct ulimit, soft, "Soft", 0),
	{0},
};
static const struct json_schema ulimit_schema = {"ulimit", sizeof(struct ulimit), ulimit_fields};

static const struct json_field bind_fields[] = {
	JSON_FIELD(JT_STR, struct mount_bind_options, propagation, "Propagation", JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct mount_bind_options, non_recursive, "NonRecursive",
		   JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct mount_bind_options, create_mountpoint, "CreateMountpoint",
		   JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct mount_bind_options, read_only_non_recursive,
		   "ReadOnlyNonRecursive", JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct mount_bind_options, read_only_force_recursive,
		   "ReadOnlyForceRecursive", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema bind_schema = {"bind options", sizeof(struct mount_bind_options),
					       bind_fields};

static const struct json_field driver_fields[] = {
	JSON_FIELD(JT_STR, struct mount_driver_config, name, "Name", JSON_OMITEMPTY),
	JSON_FIELD(JT_MAP, struct mount_driver_config, options, "Options", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema driver_schema = {"driver config",
						 sizeof(struct mount_driver_config), driver_fields};

static const struct json_field volume_fields[] = {
	JSON_FIELD(JT_BOOL, struct mount_volume_options, no_copy, "NoCopy", JSON_OMITEMPTY),
	JSON_FIELD(JT_MAP, struct mount_volume_options, labels, "Labels", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct mount_volume_options, subpath, "Subpath", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJP, struct mount_volume_options, driver_config, "DriverConfig",
		 JSON_OMITEMPTY, &driver_schema),
	{0},
};
static const struct json_schema volume_schema = {
	"volume options", sizeof(struct mount_volume_options), volume_fields};

static const struct json_field tmpfs_fields[] = {
	JSON_FIELD(JT_I64, struct mount_tmpfs_options, size_bytes, "SizeBytes", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct mount_tmpfs_options, mode, "Mode", JSON_OMITEMPTY),
	JSON_FIELD(JT_RAW, struct mount_tmpfs_options, options, "Options", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema tmpfs_schema = {"tmpfs options", sizeof(struct mount_tmpfs_options),
						tmpfs_fields};

#define MF(type_, member, key) JSON_FIELD(type_, struct mount_spec, member, key, JSON_OMITEMPTY)
static const struct json_field mount_fields[] = {
	MF(JT_STR, type, "Type"),
	MF(JT_STR, source, "Source"),
	MF(JT_STR, target, "Target"),
	MF(JT_BOOL, read_only, "ReadOnly"),
	MF(JT_STR, consistency, "Consistency"),
	JSON_SUB(JT_OBJP, struct mount_spec, bind, "BindOptions", JSON_OMITEMPTY, &bind_schema),
	JSON_SUB(JT_OBJP, struct mount_spec, volume, "VolumeOptions", JSON_OMITEMPTY,
		 &volume_schema),
	MF(JT_RAW, image_options, "ImageOptions"),
	JSON_SUB(JT_OBJP, struct mount_spec, tmpfs, "TmpfsOptions", JSON_OMITEMPTY, &tmpfs_schema),
	MF(JT_RAW, cluster_options, "ClusterOptions"),
	{0},
};
const struct json_schema mount_spec_schema = {"mount", sizeof(struct mount_spec), mount_fields};

#define HF(type, member, key, flags) JSON_FIELD(type, struct host_config, member, key, flags)
#define HO(type, member, key, flags, sub)                                                          \
	JSON_SUB(type, struct host_config, member, key, flags, sub)
static const struct json_field host_config_fields[] = {
	HF(JT_STRS, binds, "Binds", JSON_NULL_EMPTY),
	HF(JT_STR, container_id_file, "ContainerIDFile", 0),
	HO(JT_OBJ, log_config, "LogConfig", 0, &log_config_schema),
	HF(JT_STR, network_mode, "NetworkMode", 0),
	HF(JT_RAW, port_bindings, "PortBindings", 0),
	HO(JT_OBJ, restart_policy, "RestartPolicy", 0, &restart_policy_schema),
	HF(JT_BOOL, auto_remove, "AutoRemove", 0),
	HF(JT_STR, volume_driver, "VolumeDriver", 0),
	HF(JT_STRS, volumes_from, "VolumesFrom", JSON_NULL_EMPTY),
	HF(JT_RAW, console_size, "ConsoleSize", 0),
	HF(JT_MAP, annotations, "Annotations", JSON_OMITEMPTY),
	HF(JT_STRS, cap_add, "CapAdd", JSON_NULL_EMPTY | JSON_STR_OR_LIST),
	HF(JT_STRS, cap_drop, "CapDrop", JSON_NULL_EMPTY | JSON_STR_OR_LIST),
	HF(JT_STR, cgroupns_mode, "CgroupnsMode", 0),
	HF(JT_STRS, dns, "Dns", 0),
	HF(JT_STRS, dns_options, "DnsOptions", 0),
	HF(JT_STRS, dns_search, "DnsSearch", 0),
	HF(JT_STRS, extra_hosts, "ExtraHosts", JSON_NULL_EMPTY),
	HF(JT_STRS, group_add, "GroupAdd", JSON_NULL_EMPTY),
	HF(JT_STR, ipc_mode, "IpcMode", 0),
	HF(JT_STR, cgroup, "Cgroup", 0),
	HF(JT_STRS, links, "Links", JSON_NULL_EMPTY),
	HF(JT_I64, oom_score_adj, "OomScoreAdj", 0),
	HF(JT_STR, pid_mode, "PidMode", 0),
	HF(JT_BOOL, privileged, "Privileged", 0),
	HF(JT_BOOL, publish_all_ports, "PublishAllPorts", 0),
	HF(JT_BOOL, readonly_rootfs, "ReadonlyRootfs", 0),
	HF(JT_STRS, security_opt, "SecurityOpt", JSON_NULL_EMPTY),
	HF(JT_MAP, storage_opt, "StorageOpt", JSON_OMITEMPTY),
	HF(JT_MAP, tmpfs, "Tmpfs", JSON_OMITEMPTY),
	HF(JT_STR, uts_mode, "UTSMode", 0),
	HF(JT_STR, userns_mode, "UsernsMode", 0),
	HF(JT_I64, shm_size, "ShmSize", 0),
	HF(JT_MAP, sysctls, "Sysctls", JSON_OMITEMPTY),
	HF(JT_STR, runtime, "Runtime", JSON_OMITEMPTY),
	HF(JT_STR, isolation, "Isolation", 0),
	HF(JT_I64, cpu_shares, "CpuShares", 0),
	HF(JT_I64, memory, "Memory", 0),
	HF(JT_I64, nano_cpus, "NanoCpus", 0),
	HF(JT_STR, cgroup_parent, "CgroupParent", 0),
	HF(JT_U64, blkio_weight, "BlkioWeight", 0),
	HO(JT_OBJS, blkio_weight_device, "BlkioWeightDevice", JSON_NULL_EMPTY, &weight_schema),
	HO(JT_OBJS, blkio_device_read_bps, "BlkioDeviceReadBps", JSON_NULL_EMPTY, &throttle_schema),
	HO(JT_OBJS, blkio_device_write_bps, "BlkioDeviceWriteBps", JSON_NULL_EMPTY,
	   &throttle_schema),
	HO(JT_OBJS, blkio_device_read_iops, "BlkioDeviceReadIOps", JSON_NULL_EMPTY,
	   &throttle_schema),
	HO(JT_OBJS, blkio_device_write_iops, "BlkioDeviceWriteIOps", JSON_NULL_EMPTY,
	   &throttle_schema),
	HF(JT_I64, cpu_period, "CpuPeriod", 0),
	HF(JT_I64, cpu_quota, "CpuQuota", 0),
	HF(JT_I64, cpu_realtime_period, "CpuRealtimePeriod", 0),
	HF(JT_I64, cpu_realtime_runtime, "CpuRealtimeRuntime", 0),
	HF(JT_STR, cpuset_cpus, "CpusetCpus", 0),
	HF(JT_STR, cpuset_mems, "CpusetMems", 0),
	HO(JT_OBJS, devices, "Devices", 0, &device_schema),
	HF(JT_STRS, device_cgroup_rules, "DeviceCgroupRules", JSON_NULL_EMPTY),
	HF(JT_RAW, device_requests, "DeviceRequests", 0),
	HF(JT_I64, kernel_memory, "KernelMemory", JSON_OMITEMPTY),
	HF(JT_I64, kernel_memory_tcp, "KernelMemoryTCP", JSON_OMITEMPTY),
	HF(JT_I64, memory_reservation, "MemoryReservation", 0),
	HF(JT_I64, memory_swap, "MemorySwap", 0),
	HF(JT_OPT_I64, memory_swappiness, "MemorySwappiness", 0),
	HF(JT_OPT_BOOL, oom_kill_disable, "OomKillDisable", 0),
	HF(JT_OPT_I64, pids_limit, "PidsLimit", 0),
	HO(JT_OBJS, ulimits, "Ulimits", JSON_NULL_EMPTY, &ulimit_schema),
	HF(JT_I64, cpu_count, "CpuCount", 0),
	HF(JT_I64, cpu_percent, "CpuPercent", 0),
	HF(JT_I64, io_maximum_iops, "IOMaximumIOps", 0),
	HF(JT_I64, io_maximum_bandwidth, "IOMaximumBandwidth", 0),
	HO(JT_OBJS, mounts, "Mounts", JSON_OMITEMPTY, &mount_spec_schema),
	HF(JT_STRS, masked_paths, "MaskedPaths", JSON_NULL_EMPTY),
	HF(JT_STRS, readonly_paths, "ReadonlyPaths", JSON_NULL_EMPTY),
	HF(JT_OPT_BOOL, init, "Init", JSON_OMITEMPTY),
	{0},
};
const struct json_schema host_config_schema = {"host config", sizeof(struct host_config),
					       host_config_fields};

#define XF(type, member, key) JSON_FIELD(type, struct exec_config, member, key, 0)
static const struct json_field exec_config_fields[] = {
	XF(JT_STR, user, "User"),
	XF(JT_BOOL, privileged, "Privileged"),
	XF(JT_BOOL, tty, "Tty"),
	XF(JT_RAW, console_size, "ConsoleSize"),
	XF(JT_BOOL, attach_stdin, "AttachStdin"),
	XF(JT_BOOL, attach_stderr, "AttachStderr"),
	XF(JT_BOOL, attach_stdout, "AttachStdout"),
	XF(JT_STR, detach_keys, "DetachKeys"),
	XF(JT_STRS, env, "Env"),
	XF(JT_STR, working_dir, "WorkingDir"),
	JSON_FIELD(JT_STRS, struct exec_config, cmd, "Cmd", JSON_STR_OR_LIST),
	{0},
};
const struct json_schema exec_config_schema = {"exec config", sizeof(struct exec_config),
					       exec_config_fields};

static const struct json_field exec_start_fields[] = {
	JSON_FIELD(JT_BOOL, struct exec_start, detach, "Detach", 0),
	JSON_FIELD(JT_BOOL, struct exec_start, tty, "Tty", 0),
	JSON_FIELD(JT_RAW, struct exec_start, console_size, "ConsoleSize", 0),
	{0},
};
const struct json_schema exec_start_schema = {"exec start", sizeof(struct exec_start),
					      exec_start_fields};

static const struct json_field volume_create_fields[] = {
	JSON_FIELD(JT_STR, struct volume_create, name, "Name", 0),
	JSON_FIELD(JT_STR, struct volume_create, driver, "Driver", 0),
	JSON_FIELD(JT_MAP, struct volume_create, driver_opts, "DriverOpts", 0),
	JSON_FIELD(JT_MAP, struct volume_create, labels, "Labels", 0),
	JSON_FIELD(JT_RAW, struct volume_create, cluster_spec, "ClusterVolumeSpec", 0),
	{0},
};
const struct json_schema volume_create_schema = {"volume", sizeof(struct volume_create),
						 volume_create_fields};

bool container_create_has_config(const struct json *j)
{
	for (const struct json_field *f = container_config_fields; f->key; f++)
		if (json_get_icase(j, f->key))
			return true;
	return false;
}

int container_create_decode(const struct json *j, struct container_create *ret, struct arena *a,
			    struct err *e)
{
	struct container_create c = {0};
	const struct json *host, *net;

	if (json_kind_of(j) != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "invalid JSON: expected an object");
	if (json_decode(j, &container_config_schema, &c.config, a, e) < 0)
		return -1;
	host = json_get_icase(j, "HostConfig");
	if (json_kind_of(host) != JSON_NULL) {
		if (json_decode(host, &host_config_schema, &c.host, a, e) < 0)
			return err_wrap(e, "HostConfig");
		c.has_host = true;
	}
	net = json_get_icase(j, "NetworkingConfig");
	if (json_kind_of(net) != JSON_NULL) {
		AUTO_BUF struct buf text = BUF_INIT(1 << 20);

		json_dump(net, &text);
		c.networking = arena_strdup(a, buf_text(&text));
	}
	*ret = c;
	return 0;
}

void console_size_parse(const char *json, uint16_t *ret_h, uint16_t *ret_w)
{
	unsigned long v[2] = {0, 0};
	const char *p = json;

	*ret_h = *ret_w = 0;
	if (!p || *p++ != '[')
		return;
	for (int i = 0; i < 2; i++) {
		while (*p == ' ')
			p++;
		for (; *p >= '0' && *p <= '9' && v[i] < 100000; p++)
			v[i] = v[i] * 10 + (unsigned long)(*p - '0');
		while (*p == ' ')
			p++;
		if (*p++ != (i ? ']' : ','))
			return;
	}
	if (v[0] > UINT16_MAX || v[1] > UINT16_MAX)
		return;
	*ret_h = (uint16_t)v[0];
	*ret_w = (uint16_t)v[1];
}
