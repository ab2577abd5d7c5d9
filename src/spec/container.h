/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's API objects of a container (API 1.51): Config, HostConfig, create body, exec, Mount.
 * Plain structs, decoded and encoded by field tables; memory belongs to the arena given to the
 * decoder. Nothing here judges values: the engine does (engine/validate.c).
 */
#pragma once

#include "base/json.h"

struct healthcheck {
	struct strs test;
	int64_t interval, timeout, start_period, start_interval; /* ns */
	int64_t retries;
};

struct container_config {
	const char *hostname, *domainname, *user;
	bool attach_stdin, attach_stdout, attach_stderr;
	struct strs exposed_ports; /* "80/tcp" */
	bool tty, open_stdin, stdin_once;
	struct strs env; /* NAME=value */
	struct strs cmd;
	const struct healthcheck *healthcheck;
	bool args_escaped;
	const char *image; /* as the user wrote it */
	struct strs volumes;
	const char *working_dir;
	struct strs entrypoint;
	bool network_disabled;
	const char *mac_address;
	struct strs on_build;
	struct strmap labels;
	const char *stop_signal;
	const int64_t *stop_timeout; /* seconds */
	struct strs shell;
};

struct log_config {
	const char *type;
	struct strmap config;
};

struct restart_policy {
	const char *name; /* "", no, always, unless-stopped, on-failure */
	int64_t maximum_retry_count;
};

struct device_mapping {
	const char *path_on_host, *path_in_container, *cgroup_permissions;
};

struct weight_device {
	const char *path;
	uint64_t weight;
};

struct throttle_device {
	const char *path;
	uint64_t rate;
};

struct ulimit {
	const char *name;
	int64_t hard, soft;
};

struct mount_bind_options {
	const char *propagation;
	bool non_recursive, create_mountpoint, read_only_non_recursive, read_only_force_recursive;
};

struct mount_driver_config {
	const char *name;
	struct strmap options;
};

struct mount_volume_options {
	bool no_copy;
	struct strmap labels;
	const struct mount_driver_config *driver_config;
	const char *subpath;
};

struct mount_tmpfs_options {
	int64_t size_bytes;
	int64_t mode;
	const char *options; /* JSON */
};

/* An entry of HostConfig.Mounts. */
struct mount_spec {
	const char *type, *source, *target;
	bool read_only;
	const char *consistency;
	const struct mount_bind_options *bind;
	const struct mount_volume_options *volume;
	const char *image_options; /* JSON */
	const struct mount_tmpfs_options *tmpfs;
	const char *cluster_options; /* JSON */
};

struct host_config {
	struct strs binds;
	const char *container_id_file;
	struct log_config log_config;
	const char *network_mode;
	const char *port_bindings; /* JSON */
	struct restart_policy restart_policy;
	bool auto_remove;
	const char *volume_driver;
	struct strs volumes_from;
	const char *console_size; /* JSON: [height,width] */
	struct strmap annotations;
	struct strs cap_add, cap_drop;
	const char *cgroupns_mode;
	struct strs dns, dns_options, dns_search, extra_hosts, group_add;
	const char *ipc_mode, *cgroup;
	struct strs links;
	int64_t oom_score_adj;
	const char *pid_mode;
	bool privileged, publish_all_ports, readonly_rootfs;
	struct strs security_opt;
	struct strmap storage_opt, tmpfs;
	const char *uts_mode, *userns_mode;
	int64_t shm_size;
	struct strmap sysctls;
	const char *runtime, *isolation;
	/* Resources */
	int64_t cpu_shares, memory, nano_cpus;
	const char *cgroup_parent;
	uint64_t blkio_weight;
	struct objs blkio_weight_device; /* weight_device */
	struct objs blkio_device_read_bps, blkio_device_write_bps, blkio_device_read_iops,
		blkio_device_write_iops;
	int64_t cpu_period, cpu_quota, cpu_realtime_period, cpu_realtime_runtime;
	const char *cpuset_cpus, *cpuset_mems;
	struct objs devices; /* device_mapping */
	struct strs device_cgroup_rules;
	const char *device_requests; /* JSON */
	int64_t kernel_memory, kernel_memory_tcp, memory_reservation, memory_swap;
	const int64_t *memory_swappiness;
	int8_t oom_kill_disable; /* JT_OPT_BOOL */
	const int64_t *pids_limit;
	struct objs ulimits; /* ulimit */
	int64_t cpu_count, cpu_percent, io_maximum_iops, io_maximum_bandwidth;
	struct objs mounts; /* mount_spec */
	struct strs masked_paths, readonly_paths;
	int8_t init; /* JT_OPT_BOOL */
};

/* Body of POST /containers/create: Config's fields on top, two objects beside them. */
struct container_create {
	struct container_config config;
	struct host_config host;
	bool has_host;
	const char *networking; /* NetworkingConfig as JSON, NULL when absent */
};

/* Body of POST /containers/{id}/exec. */
struct exec_config {
	const char *user;
	bool privileged, tty;
	const char *console_size; /* JSON */
	bool attach_stdin, attach_stdout, attach_stderr;
	const char *detach_keys;
	struct strs env;
	const char *working_dir;
	struct strs cmd;
};

/* Body of POST /exec/{id}/start. */
struct exec_start {
	bool detach, tty;
	const char *console_size; /* JSON */
};

/* Body of POST /volumes/create. */
struct volume_create {
	const char *name, *driver;
	struct strmap driver_opts, labels;
	const char *cluster_spec; /* JSON */
};

extern const struct json_schema healthcheck_schema;
extern const struct json_schema container_config_schema;
extern const struct json_schema host_config_schema;
extern const struct json_schema mount_spec_schema;
extern const struct json_schema restart_policy_schema;
extern const struct json_schema exec_config_schema;
extern const struct json_schema exec_start_schema;
extern const struct json_schema volume_create_schema;

/* False for an object without a single field of the configuration: Docker takes it for none at all.
 */
bool container_create_has_config(const struct json *j);
/* Decode a create body; strings live in `a`. */
int container_create_decode(const struct json *j, struct container_create *ret, struct arena *a,
			    struct err *e);

/* "[40,120]" to numbers; both 0 when absent or malformed. */
void console_size_parse(const char *json, uint16_t *ret_h, uint16_t *ret_w);
