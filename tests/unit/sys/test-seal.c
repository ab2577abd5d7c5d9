/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed program runs, and nobody can write it. */
#include "cmocka-all.h"
#include "sys/fs.h"
#include "sys/seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_not_writable(void **state)
{
	char path[64];

	(void)state;
	AUTO_FD int fd = seal_program("/bin/true");
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	AUTO_FD int w = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(w < 0);
	assert_true(errno == EROFS || errno == EPERM || errno == ETXTBSY);
	assert_int_not_equal(access(path, W_OK), 0);
}

static void test_runs(void **state)
{
	char path[64];
	int status = -1;

	(void)state;
	AUTO_FD int fd = seal_program("/bin/false");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pid_t pid = fork();
	if (pid == 0) {
		execl(path, "false", (char *)NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(seal_program("/no/such/program"), -ENOENT);
	assert_false(seal_is_sealed());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_writable),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
