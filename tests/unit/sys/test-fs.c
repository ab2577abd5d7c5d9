/* SPDX-License-Identifier: Apache-2.0 */
/* Paths inside a hostile root, atomic files, trees; each containment case with openat2 and with the
 * fallback walk. */
#include "base/mem.h"
#include "cmocka-all.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct dirs {
	char top[64];
	int top_fd, root_fd;
};

static int setup(void **state)
{
	struct dirs *d = NEW(struct dirs);

	snprintf(d->top, sizeof d->top, "/dev/shm/coracle-fs-XXXXXX");
	assert_non_null(mkdtemp(d->top));
	d->top_fd = fs_open_dir(d->top);
	assert_true(d->top_fd >= 0);
	assert_int_equal(mkdirat(d->top_fd, "root", 0755), 0);
	d->root_fd = openat(d->top_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_write_atomic(d->top_fd, "secret", "outside", 7, 0600, false), 0);
	assert_int_equal(mkdirat(d->root_fd, "etc", 0755), 0);
	assert_int_equal(fs_write_atomic(d->root_fd, "etc/passwd", "inside", 6, 0644, false), 0);
	assert_int_equal(symlinkat("/etc/passwd", d->root_fd, "absolute"), 0);
	assert_int_equal(symlinkat("../../../../secret", d->root_fd, "climber"), 0);
	assert_int_equal(symlinkat("..", d->root_fd, "etc/up"), 0);
	assert_int_equal(symlinkat("loop", d->root_fd, "loop"), 0);
	assert_int_equal(symlinkat("/proc/self/root", d->root_fd, "magic"), 0);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dirs *d = *state;
	int shm = fs_open_dir("/dev/shm");

	assert_int_equal(fs_remove_tree(shm, strrchr(d->top, '/') + 1), 0);
	assert_int_equal(access(d->top, F_OK), -1);
	close(shm);
	close(d->top_fd);
	close(d->root_fd);
	free(d);
	return 0;
}

static void expect_text(int root_fd, const char *path, const char *text)
{
	AUTO_BUF struct buf b = BUF_INIT(100);
	AUTO_FD int fd = fs_open_in_root(root_fd, path, O_RDONLY, 0);

	assert_true(fd >= 0);
	assert_int_equal(fs_read_fd(fd, &b), 0);
	assert_string_equal(buf_text(&b), text);
}

static void containment(const struct dirs *d)
{
	expect_text(d->root_fd, "/etc/passwd", "inside");
	expect_text(d->root_fd, "absolute", "inside");
	expect_text(d->root_fd, "../../etc/passwd", "inside");
	expect_text(d->root_fd, "etc/up/../etc/passwd", "inside");
	assert_int_equal(fs_open_in_root(d->root_fd, "climber", O_RDONLY, 0), -ENOENT);
	assert_int_equal(fs_open_in_root(d->root_fd, "loop", O_RDONLY, 0), -ELOOP);
	assert_true(fs_open_in_root(d->root_fd, "magic/etc/passwd", O_RDONLY, 0) < 0);
	assert_int_equal(fs_open_beneath(d->root_fd, "../secret", O_RDONLY, 0), -EXDEV);
	assert_int_equal(fs_open_beneath(d->root_fd, "absolute", O_RDONLY, 0), -ELOOP);

	AUTO_FD int dir = fs_mkdirs_in_root(d->root_fd, "/etc/up/new/deep/dir", 0755);
	assert_true(dir >= 0);
	struct stat st;
	assert_int_equal(fstatat(d->root_fd, "new/deep/dir", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(fs_mkdirs_in_root(d->root_fd, "etc/passwd/x", 0755), -ENOTDIR);
	assert_int_equal(fs_remove_tree(d->root_fd, "new"), 0);
}

static void test_in_root(void **state)
{
	containment(*state);
}

/* A child in which openat2 answers ENOSYS runs the same cases: an old kernel, or a sandbox. */
static void test_in_root_without_openat2(void **state)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog prog = {ARRAY_SIZE(code), code};
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(2);
		containment(*state);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_atomic_write_and_limits(void **state)
{
	const struct dirs *d = *state;
	AUTO_BUF struct buf b = BUF_INIT(5);

	assert_int_equal(fs_write_atomic(d->top_fd, "file", "12345", 5, 0640, true), 0);
	assert_int_equal(fs_read_at(d->top_fd, "file", &b), 0);
	assert_string_equal(buf_text(&b), "12345");
	assert_int_equal(fs_write_atomic(d->top_fd, "file", "123456", 6, 0640, false), 0);
	buf_reset(&b);
	assert_int_equal(fs_read_at(d->top_fd, "file", &b), -EFBIG);
	assert_int_equal(fs_write_atomic(d->top_fd, "none/file", "x", 1, 0600, false), -ENOENT);
}

static void test_tree_never_follows_links(void **state)
{
	const struct dirs *d = *state;
	uint64_t bytes, entries;

	assert_int_equal(mkdirat(d->top_fd, "victim", 0755), 0);
	assert_int_equal(fs_write_atomic(d->top_fd, "victim/keep", "x", 1, 0600, false), 0);
	assert_int_equal(mkdirat(d->top_fd, "tree", 0755), 0);
	assert_int_equal(symlinkat("../victim", d->top_fd, "tree/link"), 0);
	assert_int_equal(linkat(d->top_fd, "victim/keep", d->top_fd, "tree/hard1", 0), 0);
	assert_int_equal(linkat(d->top_fd, "victim/keep", d->top_fd, "tree/hard2", 0), 0);
	assert_int_equal(fs_disk_usage(d->top_fd, "tree", &bytes, &entries), 0);
	assert_int_equal(entries, 4);
	assert_int_equal(bytes, 4096); /* one block for both names on tmpfs */
	assert_int_equal(fs_remove_tree(d->top_fd, "tree"), 0);
	assert_int_equal(faccessat(d->top_fd, "victim/keep", F_OK, 0), 0);
	assert_int_equal(fs_remove_tree(d->top_fd, "tree"), 0); /* absent is fine */
}

static void test_long_socket_path_and_fds(void **state)
{
	const struct dirs *d = *state;
	char dir[300], path[320], byte;
	int passed[1], got[1];
	size_t n;

	snprintf(dir, sizeof dir, "%s/%0200d", d->top, 0);
	assert_int_equal(fs_mkdirs(dir, 0700), 0);
	snprintf(path, sizeof path, "%s/sock", dir);
	AUTO_FD int server = fs_unix_listen(path, SOCK_SEQPACKET, 1, 0600);
	assert_true(server >= 0);
	AUTO_FD int client = fs_unix_connect(path, SOCK_SEQPACKET);
	assert_true(client >= 0);
	AUTO_FD int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	passed[0] = d->root_fd;
	assert_int_equal(fs_send_fds(client, "x", 1, passed, 1), 1);
	assert_int_equal(fs_recv_fds(peer, &byte, 1, got, 1, &n), 1);
	assert_int_equal(n, 1);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(faccessat(got[0], "etc/passwd", F_OK, 0), 0);
	close(got[0]);
	/* a message larger than the buffer is an error, not a cut message */
	assert_int_equal(fs_send_fds(client, "xy", 2, passed, 1), 2);
	assert_int_equal(fs_recv_fds(peer, &byte, 1, got, 1, &n), -EMSGSIZE);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_root_without_openat2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_atomic_write_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tree_never_follows_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_socket_path_and_fds, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
