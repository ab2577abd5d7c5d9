/* SPDX-License-Identifier: Apache-2.0 */
/* Programs start with exactly the descriptors given; failures carry the errno of exec. */
#include "base/attr.h"
#include "cmocka-all.h"
#include "sys/fs.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static int run(const char *script, const struct spawn_fd *fds, size_t nfds)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	struct spawn s = {.path = "/bin/sh", .argv = argv, .fds = fds, .nfds = nfds};
	struct process p;
	int status = 0;

	assert_int_equal(spawn_start(&s, &p), 0);
	assert_true(p.pidfd >= 0);
	assert_int_equal(spawn_wait(&p, false, &status), 0);
	close(p.pidfd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_only_given_descriptors(void **state)
{
	int stranger = open("/dev/null", O_RDONLY), pipe_fds[2]; /* not close-on-exec on purpose */
	AUTO_BUF struct buf b = BUF_INIT(4096);

	(void)state;
	assert_true(stranger >= 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	/* crossing numbers: the pipe's write end goes to 1 and to 5 */
	const struct spawn_fd fds[] = {{pipe_fds[1], 5}, {pipe_fds[1], 1}};
	assert_int_equal(run("ls /proc/self/fd; exit 7", fds, 2), 7);
	close(pipe_fds[1]);
	assert_int_equal(fs_read_fd(pipe_fds[0], &b), 0);
	close(pipe_fds[0]);
	close(stranger);
	/* ls reads the folder through a descriptor of its own: 3 */
	assert_string_equal(buf_text(&b), "0\n1\n2\n3\n5\n");
}

static void test_exec_errno(void **state)
{
	const char *argv[] = {"x", NULL};
	struct process p;

	(void)state;
	struct spawn s = {.path = "/nonexistent", .argv = argv};
	assert_int_equal(spawn_start(&s, &p), -ENOENT);
	s.path = "/etc/passwd";
	assert_int_equal(spawn_start(&s, &p), -EACCES);
	s.path = "/bin/true";
	s.chdir_to = "/nonexistent";
	assert_int_equal(spawn_start(&s, &p), -ENOENT);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing left to reap */
}

static void test_signal_and_nohang(void **state)
{
	const char *argv[] = {"sleep", "60", NULL};
	struct spawn s = {.path = "/bin/sleep", .argv = argv};
	struct process p;
	int status;

	(void)state;
	assert_int_equal(spawn_start(&s, &p), 0);
	assert_int_equal(spawn_wait(&p, true, &status), -EAGAIN);
	assert_int_equal(spawn_signal(&p, SIGTERM), 0);
	assert_int_equal(spawn_wait(&p, false, &status), 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	close(p.pidfd);
}

static void test_signals_are_default_and_unblocked(void **state)
{
	sigset_t set;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(run("kill -TERM $$; exit 0", NULL, 0), 128 + SIGTERM);
	assert_int_equal(run("kill -PIPE $$; exit 0", NULL, 0), 128 + SIGPIPE);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_given_descriptors),
		cmocka_unit_test(test_exec_errno),
		cmocka_unit_test(test_signal_and_nohang),
		cmocka_unit_test(test_signals_are_default_and_unblocked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
