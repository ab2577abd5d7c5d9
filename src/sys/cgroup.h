/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups. The host is "v1" when the memory controller is mounted there (also hybrid), else
 * "v2". A group is a path
 * ("/coracle/ID") that exists below every hierarchy in use. Only files of groups below such a path
 * are ever written. 0/value or negative errno.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_ctrl {
	CG_MEMORY,
	CG_PIDS,
	CG_CPU,
	CG_CPUACCT,
	CG_DEVICES,
	CG_FREEZER,
	CG_CPUSET,
	CG_BLKIO,
	CG_HUGETLB,
	CG_CTRL_COUNT
};
#define CG_ALWAYS                                                                                  \
	(1U << CG_MEMORY | 1U << CG_PIDS | 1U << CG_CPU | 1U << CG_CPUACCT | 1U << CG_DEVICES |    \
	 1U << CG_FREEZER)

int cgroup_version(void);		     /* 1, 2, or 0: nothing usable mounted */
bool cgroup_has(enum cgroup_ctrl c);	     /* controller usable here */
const char *cgroup_name(enum cgroup_ctrl c); /* v1 name: "memory" */
/* Directory of a group in a hierarchy: "/sys/fs/cgroup/memory/coracle/ID" (v2: the same for all).
 */
int cgroup_dir(enum cgroup_ctrl c, const char *path, char *ret, size_t n);
/* Make the group in the hierarchies of mask (v2: enable controllers on the way). On failure what
 * was made is removed. */
int cgroup_make(const char *path, unsigned mask);
bool cgroup_exists(const char *path, enum cgroup_ctrl c);
/* pid 0: the calling, single-threaded process; on v1 much cheaper. */
int cgroup_attach(const char *path, pid_t pid); /* into every hierarchy where the group exists */
int cgroup_open_v2(const char *path);		/* directory fd for CLONE_INTO_CGROUP */
int cgroup_write(enum cgroup_ctrl c, const char *path, const char *file, const char *value);
int cgroup_write_u64(enum cgroup_ctrl c, const char *path, const char *file, uint64_t value);
int cgroup_read(enum cgroup_ctrl c, const char *path, const char *file, char *ret,
		size_t n); /* text, bytes read */
uint64_t cgroup_read_u64(enum cgroup_ctrl c, const char *path, const char *file,
			 uint64_t otherwise); /* "max": UINT64_MAX */
/* Number behind "key " at a line start of a file's text. */
bool cgroup_field(const char *text, const char *key, uint64_t *ret);
int cgroup_freeze(const char *path, bool frozen);
bool cgroup_is_frozen(const char *path);
int cgroup_pids(const char *path, pid_t *ret,
		size_t max);	     /* of the group and its children; the count */
int cgroup_kill(const char *path);   /* SIGKILL all, until none is left or ~2 s passed */
int cgroup_remove(const char *path); /* with child groups; 0 when absent */

struct cgroup_device_rule {
	bool allow;
	char type;	      /* a b c */
	int64_t major, minor; /* -1: any */
	bool r, w, m;
};
/* In order, later rules win. v1: devices.allow/deny; v2: a BPF program on the group. */
int cgroup_set_devices(const char *path, const struct cgroup_device_rule *rules, size_t n);
