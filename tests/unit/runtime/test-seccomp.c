/* SPDX-License-Identifier: Apache-2.0 */
/* Filters compiled from profiles, tried in a child: allowed, EPERM, ENOSYS, argument rules, the
 * cache. */
#include "cmocka-all.h"
#include "base/json.h"
#include "sys/caps.h"
#include "sys/fs.h"
#include "sys/seccomp.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct seccomp_prog prog;

static void compile(const char *json, uint64_t caps)
{
	struct seccomp_source s = {.json = json, .n = json ? strlen(json) : 0, .caps = caps};
	struct err e = ERR_INIT;

	seccomp_prog_done(&prog);
	if (seccomp_compile(&s, &prog, &e) < 0)
		fail_msg("%s", e.text);
}

/* errno of a system call under the filter, 0 when it worked. */
static int try_call(long nr, unsigned long a, unsigned long b, unsigned long c)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_install(&prog) < 0)
			_exit(255);
		long rc = syscall(nr, a, b, c, 0, 0, 0);
		syscall(SYS_exit_group, rc < 0 ? errno : 0);
	}
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

static void default_allows_refuses_and_knows_not(void **state)
{
	compile(NULL, 0);
	assert_int_equal(try_call(SYS_getpid, 0, 0, 0), 0);
	assert_int_equal(try_call(SYS_mount, 0, 0, 0), EPERM);
	assert_int_equal(try_call(SYS_unshare, CLONE_NEWUSER, 0, 0), EPERM);
	assert_int_equal(try_call(SYS_bpf, 0, 0, 0), EPERM);
	assert_int_equal(try_call(SYS_keyctl, 0, 0, 0), EPERM);
	assert_int_equal(try_call(425 /* io_uring_setup */, 0, 0, 0), EPERM);
	assert_int_equal(try_call(SYS_clone3, 0, 0, 0), ENOSYS);
	assert_int_equal(try_call(600, 0, 0, 0), ENOSYS);
	assert_int_equal(try_call(9999, 0, 0, 0), ENOSYS);
}

static void default_looks_at_arguments(void **state)
{
	compile(NULL, 0);
	assert_int_equal(try_call(SYS_socket, AF_UNIX, SOCK_STREAM, 0), 0);
	assert_int_equal(try_call(SYS_socket, AF_VSOCK, SOCK_STREAM, 0), EPERM);
	assert_int_equal(try_call(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0), EPERM);
	assert_int_equal(try_call(SYS_clone, CLONE_NEWUSER, 0, 0), EPERM);
	assert_int_equal(try_call(SYS_personality, 0xffffffff, 0, 0), 0);
	assert_int_equal(try_call(SYS_personality, ADDR_NO_RANDOMIZE, 0, 0), EPERM);
}

static void capabilities_open_calls(void **state)
{
	compile(NULL, UINT64_C(1) << caps_by_name("CAP_SYS_ADMIN"));
	assert_int_not_equal(try_call(SYS_mount, 0, 0, 0), EPERM);
	assert_int_not_equal(try_call(SYS_clone3, 0, 0, 0), ENOSYS);
	compile(NULL, UINT64_C(1) << caps_by_name("CAP_SYS_CHROOT"));
	assert_int_equal(try_call(SYS_chroot, 0, 0, 0), EFAULT);
	assert_int_equal(try_call(SYS_mount, 0, 0, 0), EPERM);
}

static void calls_newer_than_the_library(void **state)
{
	compile(NULL, 0);
	int with = try_call(452 /* fchmodat2 */, (unsigned long)AT_FDCWD, 0, 0);
	if (with != EFAULT && with != ENOSYS)
		fail_msg("fchmodat2: %d", with);
	/* the kernel's own answer, not the filter's */
	assert_int_equal(try_call(457 /* statmount, CAP_SYS_ADMIN */, 0, 0, 0), EPERM);
}

static void custom_profile(void **state)
{
	compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getppid\"],"
		"\"action\":\"SCMP_ACT_ERRNO\","
		"\"errnoRet\":77},{\"names\":[\"getuid\",\"fchmodat2\",\"no_such_call\"],"
		"\"action\":\"SCMP_ACT_ERRNO\"}]}",
		0);
	assert_int_equal(try_call(SYS_getppid, 0, 0, 0), 77);
	assert_int_equal(try_call(SYS_getuid, 0, 0, 0), EPERM);
	assert_int_equal(try_call(SYS_getpid, 0, 0, 0), 0);
	assert_int_equal(try_call(452 /* fchmodat2 */, (unsigned long)AT_FDCWD, 0, 0), EPERM);
	assert_int_equal(try_call(600, 0, 0, 0), ENOSYS); /* the kernel's own */
}

static void bad_profiles_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "{}",
					  "[]",
					  "{\"defaultAction\":\"X\"}",
					  "{\"defaultAction\":\"SCMP_ACT_ALLOW\"",
					  ("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{"
					   "\"names\":[\"read\"],\"action\":\"NO\"}]}")};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct seccomp_source s = {.json = bad[i], .n = strlen(bad[i])};
		struct seccomp_prog p;
		struct err e = ERR_INIT;
		assert_int_equal(seccomp_prepare(&s, &p, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_null(p.v);
	}
}

static void cache_gives_the_same_program(void **state)
{
	char dir[] = "/tmp/coracle-bpf-XXXXXX";
	struct err e = ERR_INIT;
	struct seccomp_prog a, b;
	int files = 0;

	assert_non_null(mkdtemp(dir));
	struct seccomp_source s = {.cache_dir = dir};
	assert_int_equal(seccomp_prepare(&s, &a, &e), 0);
	assert_int_equal(seccomp_prepare(&s, &b, &e), 0);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.v, b.v, a.n * sizeof(*a.v));
	DIR *d = opendir(dir);
	for (struct dirent *x; (x = readdir(d));) {
		char path[512];
		if (x->d_name[0] == '.')
			continue;
		files++;
		/* a damaged file is made again, never installed */
		snprintf(path, sizeof(path), "%s/%s", dir, x->d_name);
		assert_int_equal(truncate(path, 100), 0);
	}
	closedir(d);
	assert_int_equal(files, 1);
	seccomp_prog_done(&b);
	assert_int_equal(seccomp_prepare(&s, &b, &e), 0);
	assert_int_equal(a.n, b.n);
	seccomp_prog_done(&a);
	seccomp_prog_done(&b);
	int tmp = fs_open_dir("/tmp");
	fs_remove_tree(tmp, dir + 5);
	close(tmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_allows_refuses_and_knows_not),
		cmocka_unit_test(default_looks_at_arguments),
		cmocka_unit_test(capabilities_open_calls),
		cmocka_unit_test(calls_newer_than_the_library),
		cmocka_unit_test(custom_profile),
		cmocka_unit_test(bad_profiles_are_refused),
		cmocka_unit_test(cache_gives_the_same_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
