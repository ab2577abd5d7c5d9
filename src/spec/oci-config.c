/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables of the OCI runtime configuration; the order of fields is the order on output. */
#include "spec/oci-config.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define OMIT JSON_OMITEMPTY
#define REQ  JSON_REQUIRED

static const struct json_field id_map_fields[] = {
	JSON_FIELD(JT_U64, struct oci_id_map, container_id, "containerID", 0),
	JSON_FIELD(JT_U64, struct oci_id_map, host_id, "hostID", 0),
	JSON_FIELD(JT_U64, struct oci_id_map, size, "size", 0),
	{0},
};
static const struct json_schema id_map_schema = {"id mapping", sizeof(struct oci_id_map),
						 id_map_fields};

static const struct json_field user_fields[] = {
	JSON_FIELD(JT_U64, struct oci_user, uid, "uid", 0),
	JSON_FIELD(JT_U64, struct oci_user, gid, "gid", 0),
	JSON_FIELD(JT_OPT_I64, struct oci_user, umask, "umask", OMIT),
	JSON_FIELD(JT_RAW, struct oci_user, additional_gids, "additionalGids", OMIT),
	JSON_FIELD(JT_STR, struct oci_user, username, "username", OMIT),
	JSON_FIELD(JT_STRS, struct oci_user, group_add, "groupAdd", OMIT),
	{0},
};
static const struct json_schema user_schema = {"process user", sizeof(struct oci_user),
					       user_fields};

static const struct json_field box_fields[] = {
	JSON_FIELD(JT_U64, struct oci_box, height, "height", 0),
	JSON_FIELD(JT_U64, struct oci_box, width, "width", 0),
	{0},
};
static const struct json_schema box_schema = {"console size", sizeof(struct oci_box), box_fields};

static const struct json_field caps_fields[] = {
	JSON_FIELD(JT_STRS, struct oci_capabilities, bounding, "bounding", OMIT),
	JSON_FIELD(JT_STRS, struct oci_capabilities, effective, "effective", OMIT),
	JSON_FIELD(JT_STRS, struct oci_capabilities, inheritable, "inheritable", OMIT),
	JSON_FIELD(JT_STRS, struct oci_capabilities, permitted, "permitted", OMIT),
	JSON_FIELD(JT_STRS, struct oci_capabilities, ambient, "ambient", OMIT),
	{0},
};
static const struct json_schema caps_schema = {"capabilities", sizeof(struct oci_capabilities),
					       caps_fields};

static const struct json_field rlimit_fields[] = {
	JSON_FIELD(JT_STR, struct oci_rlimit, type, "type", REQ),
	JSON_FIELD(JT_U64, struct oci_rlimit, soft, "soft", 0),
	JSON_FIELD(JT_U64, struct oci_rlimit, hard, "hard", 0),
	{0},
};
static const struct json_schema rlimit_schema = {"rlimit", sizeof(struct oci_rlimit),
						 rlimit_fields};

static const struct json_field process_fields[] = {
	JSON_FIELD(JT_BOOL, struct oci_process, terminal, "terminal", OMIT),
	JSON_SUB(JT_OBJP, struct oci_process, console_size, "consoleSize", OMIT, &box_schema),
	JSON_SUB(JT_OBJ, struct oci_process, user, "user", 0, &user_schema),
	JSON_FIELD(JT_STRS, struct oci_process, args, "args", 0),
	JSON_FIELD(JT_STRS, struct oci_process, env, "env", OMIT),
	JSON_FIELD(JT_STR, struct oci_process, cwd, "cwd", 0),
	JSON_SUB(JT_OBJP, struct oci_process, capabilities, "capabilities", OMIT, &caps_schema),
	JSON_SUB(JT_OBJS, struct oci_process, rlimits, "rlimits", OMIT, &rlimit_schema),
	JSON_FIELD(JT_BOOL, struct oci_process, no_new_privileges, "noNewPrivileges", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_process, oom_score_adj, "oomScoreAdj", OMIT),
	JSON_FIELD(JT_STR, struct oci_process, apparmor_profile, "apparmorProfile", OMIT),
	JSON_FIELD(JT_STR, struct oci_process, selinux_label, "selinuxLabel", OMIT),
	{0},
};
const struct json_schema oci_process_schema = {"process", sizeof(struct oci_process),
					       process_fields};

static const struct json_field root_fields[] = {
	JSON_FIELD(JT_STR, struct oci_root, path, "path", 0),
	JSON_FIELD(JT_BOOL, struct oci_root, readonly, "readonly", OMIT),
	{0},
};
static const struct json_schema root_schema = {"root", sizeof(struct oci_root), root_fields};

static const struct json_field mount_fields[] = {
	JSON_FIELD(JT_STR, struct oci_mount, destination, "destination", REQ),
	JSON_FIELD(JT_STR, struct oci_mount, type, "type", OMIT),
	JSON_FIELD(JT_STR, struct oci_mount, source, "source", OMIT),
	JSON_FIELD(JT_STRS, struct oci_mount, options, "options", OMIT),
	JSON_SUB(JT_OBJS, struct oci_mount, uid_mappings, "uidMappings", OMIT, &id_map_schema),
	JSON_SUB(JT_OBJS, struct oci_mount, gid_mappings, "gidMappings", OMIT, &id_map_schema),
	{0},
};
static const struct json_schema mount_schema = {"mount", sizeof(struct oci_mount), mount_fields};

static const struct json_field namespace_fields[] = {
	JSON_FIELD(JT_STR, struct oci_namespace, type, "type", REQ),
	JSON_FIELD(JT_STR, struct oci_namespace, path, "path", OMIT),
	{0},
};
static const struct json_schema namespace_schema = {"namespace", sizeof(struct oci_namespace),
						    namespace_fields};

static const struct json_field device_fields[] = {
	JSON_FIELD(JT_STR, struct oci_device, type, "type", REQ),
	JSON_FIELD(JT_STR, struct oci_device, path, "path", REQ),
	JSON_FIELD(JT_I64, struct oci_device, major, "major", 0),
	JSON_FIELD(JT_I64, struct oci_device, minor, "minor", 0),
	JSON_FIELD(JT_OPT_I64, struct oci_device, file_mode, "fileMode", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_device, uid, "uid", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_device, gid, "gid", OMIT),
	{0},
};
static const struct json_schema device_schema = {"device", sizeof(struct oci_device),
						 device_fields};

static const struct json_field device_rule_fields[] = {
	JSON_FIELD(JT_BOOL, struct oci_device_rule, allow, "allow", 0),
	JSON_FIELD(JT_STR, struct oci_device_rule, type, "type", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_device_rule, major, "major", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_device_rule, minor, "minor", OMIT),
	JSON_FIELD(JT_STR, struct oci_device_rule, access, "access", OMIT),
	{0},
};
static const struct json_schema device_rule_schema = {"device rule", sizeof(struct oci_device_rule),
						      device_rule_fields};

static const struct json_field memory_fields[] = {
	JSON_FIELD(JT_OPT_I64, struct oci_memory, limit, "limit", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_memory, reservation, "reservation", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_memory, swap, "swap", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_memory, kernel, "kernel", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_memory, kernel_tcp, "kernelTCP", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_memory, swappiness, "swappiness", OMIT),
	JSON_FIELD(JT_OPT_BOOL, struct oci_memory, disable_oom_killer, "disableOOMKiller", OMIT),
	JSON_FIELD(JT_BOOL, struct oci_memory, use_hierarchy, "useHierarchy", OMIT),
	{0},
};
static const struct json_schema memory_schema = {"memory", sizeof(struct oci_memory),
						 memory_fields};

static const struct json_field cpu_fields[] = {
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, shares, "shares", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, quota, "quota", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, burst, "burst", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, period, "period", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, realtime_runtime, "realtimeRuntime", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, realtime_period, "realtimePeriod", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_cpu, idle, "idle", OMIT),
	JSON_FIELD(JT_STR, struct oci_cpu, cpus, "cpus", OMIT),
	JSON_FIELD(JT_STR, struct oci_cpu, mems, "mems", OMIT),
	{0},
};
static const struct json_schema cpu_schema = {"cpu", sizeof(struct oci_cpu), cpu_fields};

static const struct json_field pids_fields[] = {
	JSON_FIELD(JT_OPT_I64, struct oci_pids, limit, "limit", OMIT),
	{0},
};
static const struct json_schema pids_schema = {"pids", sizeof(struct oci_pids), pids_fields};

static const struct json_field weight_device_fields[] = {
	JSON_FIELD(JT_I64, struct oci_weight_device, major, "major", 0),
	JSON_FIELD(JT_I64, struct oci_weight_device, minor, "minor", 0),
	JSON_FIELD(JT_OPT_I64, struct oci_weight_device, weight, "weight", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_weight_device, leaf_weight, "leafWeight", OMIT),
	{0},
};
static const struct json_schema weight_device_schema = {
	"weight device", sizeof(struct oci_weight_device), weight_device_fields};

static const struct json_field throttle_fields[] = {
	JSON_FIELD(JT_I64, struct oci_throttle_device, major, "major", 0),
	JSON_FIELD(JT_I64, struct oci_throttle_device, minor, "minor", 0),
	JSON_FIELD(JT_U64, struct oci_throttle_device, rate, "rate", 0),
	{0},
};
static const struct json_schema throttle_schema = {
	"throttle device", sizeof(struct oci_throttle_device), throttle_fields};

static const struct json_field block_io_fields[] = {
	JSON_FIELD(JT_OPT_I64, struct oci_block_io, weight, "weight", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_block_io, leaf_weight, "leafWeight", OMIT),
	JSON_SUB(JT_OBJS, struct oci_block_io, weight_device, "weightDevice", OMIT,
		 &weight_device_schema),
	JSON_SUB(JT_OBJS, struct oci_block_io, throttle_read_bps, "throttleReadBpsDevice", OMIT,
		 &throttle_schema),
	JSON_SUB(JT_OBJS, struct oci_block_io, throttle_write_bps, "throttleWriteBpsDevice", OMIT,
		 &throttle_schema),
	JSON_SUB(JT_OBJS, struct oci_block_io, throttle_read_iops, "throttleReadIOPSDevice", OMIT,
		 &throttle_schema),
	JSON_SUB(JT_OBJS, struct oci_block_io, throttle_write_iops, "throttleWriteIOPSDevice", OMIT,
		 &throttle_schema),
	{0},
};
static const struct json_schema block_io_schema = {"blockIO", sizeof(struct oci_block_io),
						   block_io_fields};

static const struct json_field hugepage_fields[] = {
	JSON_FIELD(JT_STR, struct oci_hugepage_limit, page_size, "pageSize", REQ),
	JSON_FIELD(JT_U64, struct oci_hugepage_limit, limit, "limit", 0),
	{0},
};
static const struct json_schema hugepage_schema = {
	"hugepage limit", sizeof(struct oci_hugepage_limit), hugepage_fields};

static const struct json_field resources_fields[] = {
	JSON_SUB(JT_OBJS, struct oci_resources, devices, "devices", OMIT, &device_rule_schema),
	JSON_SUB(JT_OBJP, struct oci_resources, memory, "memory", OMIT, &memory_schema),
	JSON_SUB(JT_OBJP, struct oci_resources, cpu, "cpu", OMIT, &cpu_schema),
	JSON_SUB(JT_OBJP, struct oci_resources, pids, "pids", OMIT, &pids_schema),
	JSON_SUB(JT_OBJP, struct oci_resources, block_io, "blockIO", OMIT, &block_io_schema),
	JSON_SUB(JT_OBJS, struct oci_resources, hugepage_limits, "hugepageLimits", OMIT,
		 &hugepage_schema),
	JSON_FIELD(JT_MAP, struct oci_resources, unified, "unified", OMIT),
	{0},
};
const struct json_schema oci_resources_schema = {"resources", sizeof(struct oci_resources),
						 resources_fields};

static const struct json_field personality_fields[] = {
	JSON_FIELD(JT_STR, struct oci_personality, domain, "domain", REQ),
	{0},
};
static const struct json_schema personality_schema = {"personality", sizeof(struct oci_personality),
						      personality_fields};

static const struct json_field time_offset_fields[] = {
	JSON_FIELD(JT_I64, struct oci_time_offset, secs, "secs", OMIT),
	JSON_FIELD(JT_U64, struct oci_time_offset, nanosecs, "nanosecs", OMIT),
	{0},
};
static const struct json_schema time_offset_schema = {"timeOffset", sizeof(struct oci_time_offset),
						      time_offset_fields};
static const struct json_field time_offsets_fields[] = {
	JSON_SUB(JT_OBJP, struct oci_time_offsets, monotonic, "monotonic", OMIT,
		 &time_offset_schema),
	JSON_SUB(JT_OBJP, struct oci_time_offsets, boottime, "boottime", OMIT, &time_offset_schema),
	{0},
};
static const struct json_schema time_offsets_schema = {
	"timeOffsets", sizeof(struct oci_time_offsets), time_offsets_fields};

static const struct json_field linux_fields[] = {
	JSON_SUB(JT_OBJS, struct oci_linux, uid_mappings, "uidMappings", OMIT, &id_map_schema),
	JSON_SUB(JT_OBJS, struct oci_linux, gid_mappings, "gidMappings", OMIT, &id_map_schema),
	JSON_FIELD(JT_MAP, struct oci_linux, sysctl, "sysctl", OMIT),
	JSON_SUB(JT_OBJP, struct oci_linux, resources, "resources", OMIT, &oci_resources_schema),
	JSON_FIELD(JT_STR, struct oci_linux, cgroups_path, "cgroupsPath", OMIT),
	JSON_SUB(JT_OBJS, struct oci_linux, namespaces, "namespaces", OMIT, &namespace_schema),
	JSON_SUB(JT_OBJS, struct oci_linux, devices, "devices", OMIT, &device_schema),
	JSON_FIELD(JT_RAW, struct oci_linux, seccomp, "seccomp", OMIT),
	JSON_FIELD(JT_STR, struct oci_linux, rootfs_propagation, "rootfsPropagation", OMIT),
	JSON_FIELD(JT_STRS, struct oci_linux, masked_paths, "maskedPaths", OMIT),
	JSON_FIELD(JT_STRS, struct oci_linux, readonly_paths, "readonlyPaths", OMIT),
	JSON_FIELD(JT_STR, struct oci_linux, mount_label, "mountLabel", OMIT),
	JSON_SUB(JT_OBJP, struct oci_linux, personality, "personality", OMIT, &personality_schema),
	JSON_SUB(JT_OBJP, struct oci_linux, time_offsets, "timeOffsets", OMIT,
		 &time_offsets_schema),
	{0},
};
static const struct json_schema linux_schema = {"linux", sizeof(struct oci_linux), linux_fields};

static const struct json_field hook_fields[] = {
	JSON_FIELD(JT_STR, struct oci_hook, path, "path", REQ),
	JSON_FIELD(JT_STRS, struct oci_hook, args, "args", OMIT),
	JSON_FIELD(JT_STRS, struct oci_hook, env, "env", OMIT),
	JSON_FIELD(JT_OPT_I64, struct oci_hook, timeout, "timeout", OMIT),
	{0},
};
static const struct json_schema hook_schema = {"hook", sizeof(struct oci_hook), hook_fields};

static const struct json_field hooks_fields[] = {
	JSON_SUB(JT_OBJS, struct oci_hooks, prestart, "prestart", OMIT, &hook_schema),
	JSON_SUB(JT_OBJS, struct oci_hooks, create_runtime, "createRuntime", OMIT, &hook_schema),
	JSON_SUB(JT_OBJS, struct oci_hooks, create_container, "createContainer", OMIT,
		 &hook_schema),
	JSON_SUB(JT_OBJS, struct oci_hooks, start_container, "startContainer", OMIT, &hook_schema),
	JSON_SUB(JT_OBJS, struct oci_hooks, poststart, "poststart", OMIT, &hook_schema),
	JSON_SUB(JT_OBJS, struct oci_hooks, poststop, "poststop", OMIT, &hook_schema),
	{0},
};
static const struct json_schema hooks_schema = {"hooks", sizeof(struct oci_hooks), hooks_fields};

static const struct json_field config_fields[] = {
	JSON_FIELD(JT_STR, struct oci_config, oci_version, "ociVersion", 0),
	JSON_SUB(JT_OBJP, struct oci_config, process, "process", OMIT, &oci_process_schema),
	JSON_SUB(JT_OBJP, struct oci_config, root, "root", OMIT, &root_schema),
	JSON_FIELD(JT_STR, struct oci_config, hostname, "hostname", OMIT),
	JSON_FIELD(JT_STR, struct oci_config, domainname, "domainname", OMIT),
	JSON_SUB(JT_OBJS, struct oci_config, mounts, "mounts", OMIT, &mount_schema),
	JSON_SUB(JT_OBJP, struct oci_config, hooks, "hooks", OMIT, &hooks_schema),
	JSON_FIELD(JT_MAP, struct oci_config, annotations, "annotations", OMIT),
	JSON_SUB(JT_OBJP, struct oci_config, linux_, "linux", OMIT, &linux_schema),
	{0},
};
const struct json_schema oci_config_schema = {"OCI config", sizeof(struct oci_config),
					      config_fields};

int oci_gids_parse(const char *json, uint32_t *ret, size_t max)
{
	const char *p = json;
	size_t n = 0;

	if (!p)
		return 0;
	while (isspace((unsigned char)*p))
		p++;
	if (strncmp(p, "null", 4) == 0)
		return 0;
	if (*p++ != '[')
		return -EINVAL;
	for (;;) {
		uint64_t v = 0;

		while (isspace((unsigned char)*p) || (*p == ',' && n > 0))
			p++;
		if (*p == ']')
			return (int)n;
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++) {
			v = v * 10 + (uint64_t)(*p - '0');
			if (v > UINT32_MAX)
				return -EINVAL;
		}
		if (n == max)
			return -E2BIG;
		ret[n++] = (uint32_t)v;
	}
}
