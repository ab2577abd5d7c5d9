/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI runtime-spec config.json (and the parts other programs send alone: process, linux.resources).
 * One table decodes and encodes: the engine writes this document, the shim and the runtime read it.
 * Numbers that are "not set" are NULL pointers (JT_OPT_I64), so 0 and -1 keep their meaning.
 */
#pragma once

#include "base/json.h"

struct oci_user {
	uint64_t uid, gid;
	const int64_t *umask;
	const char *additional_gids; /* JSON array of numbers as text, see oci_gids_parse() */
	/* Ours on Linux: "name[:group]" or numbers, resolved in the image's files; wins over uid
	 * and gid. */
	const char *username;
	struct strs
		group_add; /* ours ("groupAdd"): extra group names or numbers, resolved likewise */
};

struct oci_box {
	uint64_t height, width;
};

struct oci_capabilities {
	struct strs bounding, effective, inheritable, permitted, ambient;
};

struct oci_rlimit {
	const char *type; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

struct oci_process {
	bool terminal;
	const struct oci_box *console_size;
	struct oci_user user;
	struct strs args, env;
	const char *cwd;
	const struct oci_capabilities *capabilities;
	struct objs rlimits; /* struct oci_rlimit */
	bool no_new_privileges;
	const int64_t *oom_score_adj;
	const char *apparmor_profile;
	const char *selinux_label;
};

struct oci_root {
	const char *path; /* absolute, or relative to the bundle; unused when the shim gives an
			     overlay */
	bool readonly;
};

/*
 * A type of ours for what no OCI type says: the files of an image. source is the path inside it,
 * options are its layers as the runtime's root file system names them, topmost first.
 */
#define OCI_MOUNT_IMAGE "coracle.image"

struct oci_mount {
	const char *destination, *type, *source;
	struct strs options;
	struct objs uid_mappings, gid_mappings; /* struct oci_id_map */
};

struct oci_id_map {
	uint64_t container_id, host_id, size;
};

struct oci_namespace {
	const char *type; /* pid network mount ipc uts user cgroup time */
	const char *path; /* NULL: a new one */
};

struct oci_device {
	const char *type, *path;
	int64_t major, minor;
	const int64_t *file_mode;
	const int64_t *uid, *gid;
};

struct oci_device_rule {
	bool allow;
	const char *type;	      /* a c b; NULL is a */
	const int64_t *major, *minor; /* NULL or -1: any */
	const char *access;	      /* rwm; NULL is rwm */
};

struct oci_memory {
	const int64_t *limit, *reservation, *swap, *kernel, *kernel_tcp, *swappiness;
	int8_t disable_oom_killer;
	bool use_hierarchy;
};

struct oci_cpu {
	const int64_t *shares, *quota, *burst, *period, *realtime_runtime, *realtime_period, *idle;
	const char *cpus, *mems;
};

struct oci_pids {
	const int64_t *limit; /* 0 or -1: no limit */
};

struct oci_weight_device {
	int64_t major, minor;
	const int64_t *weight, *leaf_weight;
};

struct oci_throttle_device {
	int64_t major, minor;
	uint64_t rate;
};

struct oci_block_io {
	const int64_t *weight, *leaf_weight;
	struct objs weight_device; /* struct oci_weight_device */
	struct objs throttle_read_bps, throttle_write_bps, throttle_read_iops,
		throttle_write_iops; /* oci_throttle_device */
};

struct oci_hugepage_limit {
	const char *page_size; /* "2MB" */
	uint64_t limit;
};

struct oci_resources {
	struct objs devices; /* struct oci_device_rule */
	const struct oci_memory *memory;
	const struct oci_cpu *cpu;
	const struct oci_pids *pids;
	const struct oci_block_io *block_io;
	struct objs hugepage_limits; /* struct oci_hugepage_limit */
	struct strmap unified;	     /* cgroup v2 file to value */
};

struct oci_personality {
	const char *domain; /* "LINUX" or "LINUX32" */
};

struct oci_time_offset {
	int64_t secs;
	uint64_t nanosecs;
};
struct oci_time_offsets {
	const struct oci_time_offset *monotonic, *boottime;
};

struct oci_linux {
	struct objs namespaces;			/* struct oci_namespace */
	struct objs uid_mappings, gid_mappings; /* struct oci_id_map */
	struct objs devices;			/* struct oci_device */
	const char *cgroups_path;
	const struct oci_resources *resources;
	struct strmap sysctl;
	const char *seccomp; /* raw JSON, OCI form */
	const char *rootfs_propagation;
	struct strs masked_paths, readonly_paths;
	const char *mount_label;
	const struct oci_personality *personality;
	const struct oci_time_offsets *time_offsets;
};

struct oci_hook {
	const char *path;
	struct strs args, env;
	const int64_t *timeout; /* seconds */
};

struct oci_hooks {
	struct objs prestart, create_runtime, create_container, start_container, poststart,
		poststop; /* struct oci_hook */
};

struct oci_config {
	const char *oci_version;
	const struct oci_process *process;
	const struct oci_root *root;
	const char *hostname, *domainname;
	struct objs mounts; /* struct oci_mount */
	const struct oci_hooks *hooks;
	struct strmap annotations;
	const struct oci_linux *linux_;
};

extern const struct json_schema oci_config_schema;
extern const struct json_schema oci_process_schema;
extern const struct json_schema oci_resources_schema;

#define OCI_GIDS_MAX 512
/* Parse "[1,2,3]" (or NULL) into ret[0..max); the count, or -EINVAL / -E2BIG. */
int oci_gids_parse(const char *json, uint32_t *ret, size_t max);
