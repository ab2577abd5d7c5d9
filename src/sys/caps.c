/* SPDX-License-Identifier: Apache-2.0 */
/* capset(2) and prctl(2) without libcap: it would be one more library in every shim. */
#include "sys/caps.h"
#include "base/attr.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/banned.h"

/* Index is the number (include/uapi/linux/capability.h). */
static const char *const names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

int caps_by_name(const char *name)
{
	if (strncasecmp(name, "CAP_", 4) == 0)
		name += 4;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i] + 4, name) == 0)
			return (int)i;
	return -1;
}

const char *caps_name(int cap)
{
	return cap >= 0 && (size_t)cap < ARRAY_SIZE(names) ? names[cap] : NULL;
}

uint64_t caps_kernel_mask(void)
{
	static uint64_t mask;

	/* capabilities are numbered without gaps: the first refused number ends the list */
	for (int i = 0; !mask && i < 64; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) < 0)
			mask = (UINT64_C(1) << i) - 1;
	return mask;
}

uint64_t caps_from_names(const char *const *v, size_t n, const char **ret_unknown)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < n; i++) {
		int c = caps_by_name(v[i]);
		if (c >= 0)
			mask |= UINT64_C(1) << c;
		else if (ret_unknown)
			*ret_unknown = v[i];
	}
	return mask;
}

int caps_drop_bounding(uint64_t keep)
{
	uint64_t all = caps_kernel_mask();

	for (int i = 0; i < 64; i++)
		if ((all & ~keep) >> i & 1)
			if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
				return -errno;
	return 0;
}

int caps_keep_over_setuid(void)
{
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int caps_apply(const struct caps *c)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	uint64_t all = caps_kernel_mask();

	for (int i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)((c->effective & all) >> (32 * i));
		d[i].permitted = (uint32_t)((c->permitted & all) >> (32 * i));
		d[i].inheritable = (uint32_t)((c->inheritable & all) >> (32 * i));
	}
	if (syscall(SYS_capset, &h, d) < 0)
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 64; i++)
		if ((c->ambient & all) >> i & 1)
			if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
				return -errno;
	return 0;
}

static int get(struct __user_cap_data_struct d[2])
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &h, d) < 0 ? -errno : 0;
}

uint64_t caps_permitted(void)
{
	struct __user_cap_data_struct d[2] = {{0}};

	return get(d) < 0 ? 0 : (uint64_t)d[1].permitted << 32 | d[0].permitted;
}

int caps_raise(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	int rc = get(d);

	d[0].effective = d[0].permitted;
	d[1].effective = d[1].permitted;
	return rc < 0 ? rc : syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}
