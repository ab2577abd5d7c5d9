/* SPDX-License-Identifier: Apache-2.0 */
/* Trees and lists written as tar, read back by the other half. */
#include "tar-build.h"

static int pack(struct box *x, const char *path, bool layer, int *ret_fd)
{
	struct unpack_pack o = {.dir_fd = x->root, .path = path, .layer = layer};

	*ret_fd = memfd_create("out", MFD_CLOEXEC);
	o.out_fd = *ret_fd;
	x->err = ERR_INIT;
	int rc = unpack_pack(&o, &x->res, &x->err);
	lseek(*ret_fd, 0, SEEK_SET);
	return rc;
}

/* Unpack fd into a fresh root, which takes the place of the old one. */
static void again(struct box *x, int fd)
{
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};

	close(x->root);
	assert_int_equal(fs_remove_tree(x->top_fd, "root"), 0);
	assert_int_equal(mkdirat(x->top_fd, "root", 0755), 0);
	x->root = openat(x->top_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	o.in.fd = fd;
	o.target_fd = x->root;
	if (unpack_apply(&o, &x->res, &x->err) < 0)
		fail_msg("%s", x->err.text);
}

static void test_round_trip(void **state)
{
	struct box *x = *state;
	char name[200] = "";
	AUTO_FD int fd = FD_NONE;

	memset(name, 'n', 190);
	APPLY_OK(x, {"d/", '5', .mode = 01777, .uid = 1000},
		 {"d/suid", .data = "s", .mode = 04755, .gid = 7}, {"d/hard", '1', "d/suid"},
		 {"d/soft", '2', "/etc/passwd"}, {"d/e\xcc\x81", .data = "accent"},
		 {"null", '3', .major = 1, .minor = 3}, {"pipe", '6'}, {".wh.gone"},
		 {"op/.wh..wh..opq"}, {"op/f", .data = "1"});
	AUTO_FD int long_one = openat(x->root, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(long_one, "long", 4), 4);
	assert_int_equal(fsetxattr(long_one, "security.capability",
				   "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0),
			 0);
	assert_int_equal(pack(x, NULL, true, &fd), 0);
	again(x, fd);
	struct stat st = stat_of(x, "d");
	assert_true((st.st_mode & 07777) == 01777 && st.st_uid == 1000);
	st = stat_of(x, "d/suid");
	assert_true((st.st_mode & 07777) == 04755 && st.st_gid == 7 && st.st_nlink == 2 &&
		    st.st_mtim.tv_sec == 01750);
	assert_int_equal(stat_of(x, "d/hard").st_ino, st.st_ino);
	assert_true(S_ISLNK(stat_of(x, "d/soft").st_mode) && S_ISFIFO(stat_of(x, "pipe").st_mode));
	assert_int_equal(stat_of(x, "null").st_rdev, makedev(1, 3));
	content_is(x, "d/e\xcc\x81", "accent");
	content_is(x, name, "long");
	assert_true(is_whiteout(x, "gone") && is_opaque(x, "op"));
	char cap[32];
	AUTO_FD int file = openat(x->root, name, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(file, "security.capability", cap, sizeof(cap)), 20);
}

/* Layers whose blobs are gone are packed again: the same bytes, whatever folder the tree is in. */
static void test_reproducible(void **state)
{
	struct box *x = *state;
	AUTO_FD int first = FD_NONE;
	AUTO_FD int second = FD_NONE;

	APPLY_OK(x, {"b/", '5', .mode = 0750}, {"b/z", .data = "z"}, {"b/a", '1', "b/z"},
		 {"a", .data = "a", .pax = "SCHILY.xattr.user.one=1"}, {"c", '2', "a"},
		 {"b/.wh.gone"}, {"o/.wh..wh..opq"}, {"o/f", .data = "1"});
	AUTO_FD int fd = openat(x->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct timespec when[2] = {{1, 5}, {123456789, 987654321}};
	assert_int_equal(futimens(fd, when), 0);
	assert_int_equal(pack(x, NULL, true, &first), 0);
	struct digest d = x->res.digest;
	again(x, first);
	assert_string_equal(x->res.diff_id.text, d.text);
	assert_int_equal(pack(x, NULL, true, &second), 0);
	assert_string_equal(x->res.digest.text, d.text);
}

static void test_paths(void **state)
{
	struct box *x = *state;
	AUTO_FD int a = FD_NONE;
	AUTO_FD int b = FD_NONE;
	AUTO_FD int c = FD_NONE;

	APPLY_OK(x, {"usr/bin/tool", .data = "t"}, {"bin", '2', "/usr/bin"},
		 {"out", '2', "../secret"});
	assert_int_equal(pack(x, "/nope", false, &a), -1);
	assert_int_equal(x->err.kind, ERR_NOT_FOUND);
	assert_int_equal(pack(x, "/bin/tool", false, &b), 0);
	assert_int_equal(x->res.entries, 1);
	assert_int_equal(pack(x, "out", false, &c), 0); /* the link itself, not what it names */
	again(x, b);
	content_is(x, "tool", "t");
	again(x, c);
	assert_true(S_ISLNK(stat_of(x, "out").st_mode));
}

static int write_list(struct box *x, const char *list, int *ret_fd)
{
	AUTO_FD int in = memfd_of(list, strlen(list));

	*ret_fd = memfd_create("out", MFD_CLOEXEC);
	x->err = ERR_INIT;
	int rc = unpack_tar(in, x->root, *ret_fd, &x->res, &x->err);
	lseek(*ret_fd, 0, SEEK_SET);
	return rc;
}

static void test_list(void **state)
{
	struct box *x = *state;
	const char *bad[] = {
		"{\"name\":\"secret\",\"file\":\"../secret\"}\n",
		"{\"name\":\"f\",\"file\":\"f\",\"size\":9}\n",
		"{\"name\":\"f\"}\n",
		"{\"name\":\"f\",\"file\":\"f\",\"text\":\"x\"}\n",
		"not json\n",
	};
	AUTO_FD int fd = FD_NONE;

	APPLY_OK(x, {"f", .data = "12345"});
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		AUTO_FD int none = FD_NONE;
		assert_int_equal(write_list(x, bad[i], &none), -1);
	}
	assert_int_equal(
		write_list(x,
			   "{\"name\":\"manifest.json\",\"text\":\"[]\"}\n{\"name\":\"blobs/"
			   "\",\"dir\":true}\n"
			   "{\"name\":\"blobs/"
			   "b\",\"file\":\"f\",\"size\":5}\n{\"name\":\"l\",\"link\":\"blobs/b\"}",
			   &fd),
		0);
	assert_int_equal(x->res.entries, 4);
	again(x, fd);
	content_is(x, "manifest.json", "[]");
	content_is(x, "blobs/b", "12345");
	assert_true(S_ISLNK(stat_of(x, "l").st_mode));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, box_setup, box_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_round_trip), CASE(test_reproducible),
					   CASE(test_paths), CASE(test_list)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
