/* SPDX-License-Identifier: Apache-2.0 */
/* store_copy_tree(): owners, modes, times, links, holes, attributes; nothing outside the source. */
#include "fixture.h"

#include <sys/xattr.h>

static void test_tree(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *src = xasprintf("%s/src/var/lib", f->top),
		       *root = xasprintf("%s/src", f->top), *dst = xasprintf("%s/dst", f->top);
	struct timespec old[2] = {{100, 5}, {200, 7}};
	struct stat a, b;
	char text[32] = "";

	assert_true(fs_mkdirs(src, 0755) >= 0 && fs_mkdirs(dst, 0755) >= 0);
	AUTO_FD int s = fs_open_dir(src);
	AUTO_FD int r = fs_open_dir(root);
	AUTO_FD int d = fs_open_dir(dst);
	assert_int_equal(mkdirat(s, "sub", 0700), 0);
	assert_int_equal(fs_write_atomic(s, "sub/file", "hello", 5, 0640, false), 0);
	assert_int_equal(linkat(s, "sub/file", s, "link", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", s, "soft"), 0);
	assert_int_equal(mkfifoat(s, "pipe", 0600), 0);
	AUTO_FD int sparse = openat(s, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(sparse, "end", 3, 8 << 20), 3);
	assert_int_equal(ftruncate(sparse, 16 << 20), 0);
	assert_int_equal(fsetxattr(sparse, "trusted.note", "v", 1, 0), 0);
	assert_int_equal(fchownat(s, "sub/file", 12, 34, 0), 0);
	assert_int_equal(fchmodat(s, "sub/file", 04751, 0), 0);
	assert_int_equal(utimensat(s, "sub/file", old, 0), 0);
	assert_int_equal(fchown(s, 77, 88), 0);
	assert_int_equal(fchmod(s, 01777), 0);
	assert_int_equal(symlinkat("/var", r, "alias"), 0);

	OK(store_copy_tree(r, "/alias/lib", d, &e)); /* through a link inside the root */
	assert_int_equal(fstatat(d, "sub/file", &a, 0), 0);
	assert_int_equal(fstatat(d, "link", &b, 0), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_true(a.st_uid == 12 && a.st_gid == 34 && (a.st_mode & 07777) == 04751);
	assert_true(a.st_mtim.tv_sec == 200 && a.st_mtim.tv_nsec == 7);
	assert_int_equal(readlinkat(d, "soft", text, sizeof(text)), 11);
	assert_string_equal(text, "/etc/passwd");
	assert_int_equal(fstatat(d, "pipe", &a, 0), 0);
	assert_true(S_ISFIFO(a.st_mode));
	assert_int_equal(fstatat(d, "sparse", &a, 0), 0);
	assert_int_equal(a.st_size, 16 << 20);
	assert_true(a.st_blocks * 512 < 1 << 20);
	AUTO_FD int copy = openat(d, "sparse", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(copy, "trusted.note", text, sizeof(text)), 1);
	assert_int_equal(pread(copy, text, 3, 8 << 20), 3);
	assert_memory_equal(text, "end", 3);
	assert_int_equal(fstat(d, &a), 0);
	assert_true(a.st_uid == 77 && a.st_gid == 88 && (a.st_mode & 07777) == 01777);
}

static void test_outside(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *root = xasprintf("%s/root", f->top), *dst = xasprintf("%s/dst", f->top),
		       *secret = xasprintf("%s/secret", f->top);

	assert_true(fs_mkdirs(root, 0755) >= 0 && fs_mkdirs(dst, 0755) >= 0 &&
		    fs_mkdirs(secret, 0755) >= 0);
	AUTO_FD int r = fs_open_dir(root);
	AUTO_FD int d = fs_open_dir(dst);
	AUTO_FD int s = fs_open_dir(secret);
	assert_int_equal(fs_write_atomic(s, "key", "k", 1, 0600, false), 0);
	assert_int_equal(symlinkat("../secret", r, "out"), 0);
	OK(store_copy_tree(r, "out", d, &e));
	OK(store_copy_tree(r, "../secret", d, &e));
	OK(store_copy_tree(r, "absent", d, &e));
	assert_int_equal(faccessat(d, "key", F_OK, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tree, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_outside, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
