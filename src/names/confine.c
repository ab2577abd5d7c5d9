/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the name service may do once its listening socket is there: talk on sockets, use memory,
 * tell the time. No file can be opened, no program run, no capability is left; sockets it makes
 * itself are for servers on loopback addresses of the host and belong to the internet families.
 */
#include "names/names-priv.h"
#include "sys/caps.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/banned.h"

#define MEMORY_MAX (1024ull << 20)

#ifdef __SANITIZE_ADDRESS__ /* its shadow memory counts as data */
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const int allowed_calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int add_rules(scmp_filter_ctx ctx)
{
	static const unsigned families[] = {AF_INET, AF_INET6};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed_calls) && rc == 0; i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_calls[i], 0);
		if (rc == -EDOM) /* this machine has no such call */
			rc = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(families) && rc == 0; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_EQ, families[i]));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return rc;
}

int names_confine(struct err *e)
{
	const struct rlimit none = {0, 0}, data = {MEMORY_MAX, MEMORY_MAX};
	const struct caps nothing = {0};
	scmp_filter_ctx ctx;
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    (!SANITIZED && setrlimit(RLIMIT_DATA, &data) < 0))
		return err_sys(e, -errno, "confine the name service");
	caps_drop_bounding(0); /* without CAP_SETPCAP there is nothing worth dropping */
	rc = caps_apply(&nothing);
	if (rc < 0)
		return err_sys(e, rc, "drop capabilities");
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	rc = ctx ? add_rules(ctx) : -ENOMEM;
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? err_sys(e, rc, "seccomp") : 0;
}
