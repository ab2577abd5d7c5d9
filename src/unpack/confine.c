/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's sandbox, applied after its options are read and before its first byte of input. What
 * remains: the inherited descriptors, paths below one directory, threads, memory. Each stage stands
 * on its own, so a kernel without Landlock still has the system call list, which has no socket,
 * exec, ptrace, mount, open or chroot.
 */
#include "unpack/unpack.h"

#include "base/digest.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/banned.h"

#define MEMORY_MAX (512ull << 20) /* RLIMIT_DATA: far above what is used, in case we are wrong */

#ifdef __SANITIZE_ADDRESS__ /* its shadow memory counts as data */
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE /* headers before 6.2 */
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define LANDLOCK_V2_ALL ((LANDLOCK_ACCESS_FS_REFER << 1) - 1)

static int set_limits(struct err *e)
{
	const struct rlimit none = {0, 0}, files = {1024, 1024}, data = {MEMORY_MAX, MEMORY_MAX};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, -errno, "set resource limits");
	if (!SANITIZED && setrlimit(RLIMIT_DATA, &data) < 0)
		return err_sys(e, -errno, "set the memory limit");
	return 0;
}

static int drop_caps(bool need_trusted, struct err *e)
{
	static const unsigned keep[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
					CAP_FSETID, CAP_MKNOD,	      CAP_SETFCAP};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[2], want[2] = {{0, 0, 0}, {0, 0, 0}};
	uint64_t mask = need_trusted ? 1ull << CAP_SYS_ADMIN : 0;

	for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
		mask |= 1ull << keep[i];
	if (syscall(SYS_capget, &head, now) < 0)
		return err_sys(e, -errno, "capget");
	for (unsigned cap = 0; cap <= 63; cap++)
		if (!(mask & (1ull << cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
		    errno == EINVAL)
			break; /* past the last one; EPERM: not privileged, nothing to drop */
	for (unsigned i = 0; i < 2; i++) {
		want[i].permitted = now[i].permitted & (uint32_t)(mask >> (32 * i));
		want[i].effective = want[i].permitted;
	}
	if (syscall(SYS_capset, &head, want) < 0)
		return err_sys(e, -errno, "capset");
	return 0;
}

static int landlock(int dir_fd, bool write_dir, struct err *e)
{
	const uint64_t read_only = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_V2_ALL};
	struct landlock_path_beneath_attr rule = {.parent_fd = dir_fd};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 2) /* version 1 forbids every link between directories */
		return 0;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	AUTO_FD int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return err_sys(e, -errno, "landlock");
	rule.allowed_access = write_dir ? attr.handled_access_fs & ~LANDLOCK_ACCESS_FS_EXECUTE
					: read_only;
	if (dir_fd >= 0 &&
	    syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(e, -errno, "landlock rule");
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_sys(e, -errno, "landlock restrict");
	return 0;
}

static const int allowed_calls[] = {
	/* descriptors and memory */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(fcntl),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(eventfd2),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(syncfs),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(sendfile),
	SCMP_SYS(splice),
	SCMP_SYS(tee),
	SCMP_SYS(pipe2),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	/* files below the directory */
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(mkdirat),
	SCMP_SYS(mknodat),
	SCMP_SYS(unlinkat),
	SCMP_SYS(linkat),
	SCMP_SYS(symlinkat),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(readlinkat),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(utimensat),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(lsetxattr),
	SCMP_SYS(fgetxattr),
	SCMP_SYS(lgetxattr),
	SCMP_SYS(flistxattr),
	SCMP_SYS(llistxattr),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(getdents64),
	SCMP_SYS(fchdir),
	SCMP_SYS(umask),
	/* threads, time, end */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(tgkill),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int add_rules(scmp_filter_ctx ctx)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed_calls) && rc == 0; i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_calls[i], 0);
		if (rc == -EDOM) /* this machine has no such call */
			rc = 0;
	}
	if (rc == 0) /* threads, not processes; clone3 hides its flags in memory, libc falls back to
			clone */
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return rc;
}

static int seccomp_list(struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = ctx ? add_rules(ctx) : -ENOMEM;

	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? err_sys(e, rc, "seccomp") : 0;
}

/* libcrypto reads its configuration at the first use: let that happen while files can still be
 * opened. */
static void warm_up(void)
{
	struct digest d;

	digest_of("", 0, &d);
}

int unpack_confine(int dir_fd, bool write_dir, bool need_trusted, struct err *e)
{
	warm_up();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "no_new_privs");
	if (set_limits(e) < 0 || drop_caps(need_trusted, e) < 0 ||
	    landlock(dir_fd, write_dir, e) < 0)
		return -1;
	return seccomp_list(e);
}
