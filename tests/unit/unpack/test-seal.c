/* SPDX-License-Identifier: Apache-2.0 */
/* The seal of a layer: right for every honest tree, also odd ones, and every kind of decay is
 * named. */
#include "tar-build.h"

#include "unpack/seal-priv.h"

struct report {
	char text[4096];
	int n;
};

static int note(void *ud, const char *path, const char *what)
{
	struct report *r = ud;
	size_t at = strlen(r->text);

	r->n++;
	snprintf(r->text + at, sizeof(r->text) - at, "%s %s\n", path, what);
	return 0;
}

static int apply_sealed(struct box *x, const struct entry *v, size_t n)
{
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};
	AUTO_BUF struct buf b = BUF_INIT(64 << 20);

	for (size_t i = 0; i < n; i++) {
		const char *eq = v[i].pax ? strchr(v[i].pax, '=') : NULL;

		if (eq) {
			AUTO_FREE char *key = xstrndup(v[i].pax, (size_t)(eq - v[i].pax));

			tar_pax(&b, 'x', key, eq + 1, strlen(eq + 1));
		}
		tar_add(&b, &v[i]);
	}
	tar_end(&b);
	o.seal_fd = memfd_create("seal", MFD_CLOEXEC);
	if (box_apply_bytes(x, b.p, b.n, &o) < 0)
		fail_msg("%s", x->err.text);
	return o.seal_fd;
}
#define SEALED(x, ...)                                                                             \
	apply_sealed((x), (const struct entry[]){__VA_ARGS__},                                     \
		     sizeof((const struct entry[]){__VA_ARGS__}) / sizeof(struct entry))

static struct report check(const struct box *x, int seal, bool quick)
{
	struct report r = {.n = 0};
	struct unpack_check o = {
		.dir_fd = x->root, .seal_fd = seal, .quick = quick, .fn = note, .ud = &r};
	struct unpack_check_result res;
	struct err e = ERR_INIT;

	lseek(seal, 0, SEEK_SET);
	if (unpack_check(&o, &res, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(res.problems, r.n);
	return r;
}

static void sound(const struct box *x, int seal)
{
	struct report r = check(x, seal, false);

	if (r.n)
		fail_msg("%s", r.text);
}

static void named(const struct box *x, int seal, const char *want)
{
	struct report r = check(x, seal, false);

	if (r.n != 1 || !strstr(r.text, want))
		fail_msg("wanted \"%s\", got %d: %s", want, r.n, r.text);
}

static void test_plain(void **state)
{
	struct box *x = *state;
	AUTO_FD int seal = SEALED(
		x, {"./", '5', .mode = 0711}, {"d/", '5', .mode = 0750, .uid = 3, .gid = 4},
		{"d/f", .data = "text", .mode = 04751, .uid = 5}, {"d/empty"},
		{"deep/er/f", .data = "1"}, {"null", '3', .mode = 0666, .major = 1, .minor = 3},
		{"pipe", '6', .mode = 0600}, {"soft", '2', "d/f", .uid = 9}, {"hard", '1', "d/f"},
		{"d/hard2", '1', "hard"}, {"etc/.wh.gone"}, {"d/late", .data = "x"},
		{"x", .data = "v", .pax = "SCHILY.xattr.user.one=1"});

	assert_true(x->res.uid_min == 0 && x->res.uid_max == 9 && x->res.gid_max == 4);
	sound(x, seal);
}

/* What only the finished tree can tell. */
static void test_odd(void **state)
{
	struct box *x = *state;
	AUTO_FD int seal = SEALED(
		x, {"a/", '5'}, {"a/old", .data = "1"}, {"a", .data = "now a file"},
		{"usr/lib/", '5'}, {"lib", '2', "usr/lib"}, {"lib/one", .data = "through"},
		{"usr/lib/one", .data = "again"}, {"var/.wh..wh..opq"}, {"var/f", .data = "f"},
		{"g/", '5', .mode = 02755, .gid = 7}, {"g/made/f", .data = "s"},
		{"one", .data = "1"}, {"two", '1', "one"}, {"one", .data = "other"}, {".wh.k"},
		{"k/f", .data = "k"}, {"w", .data = "w"}, {".wh.w"});

	sound(x, seal);
	struct stat st = stat_of(x, ".");
	assert_int_equal(unlinkat(x->root, "two", 0), 0);
	utimensat(x->root, ".", (struct timespec[2]){st.st_atim, st.st_mtim}, 0);
	named(x, seal, "two is missing");
}

static void write_at(const struct box *x, const char *path, const char *text, off_t at)
{
	struct stat st = stat_of(x, path);
	struct timespec ts[2] = {st.st_atim, st.st_mtim};
	AUTO_FD int fd = openat(x->root, path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
	futimens(fd, ts);
}

static void test_decay(void **state)
{
	struct box *x = *state;
	AUTO_FD int seal = SEALED(
		x, {"./", '5', .mode = 0755}, {"f", .data = "content", .mode = 0644},
		{"g", .data = "x", .mode = 0644}, {"h", '1', "g"}, {"s", '2', "f"},
		{"c", .data = "c", .pax = "SCHILY.xattr.trusted.mine=1"});
	struct timespec old[2] = {{.tv_sec = 01750}, {.tv_sec = 01750}};

	sound(x, seal);
	write_at(x, "f", "C", 0); /* one byte, same size, same time */
	named(x, seal, "f has other content");
	assert_int_equal(check(x, seal, true).n, 0);
	write_at(x, "f", "c", 0);
	sound(x, seal);
	assert_int_equal(fchmodat(x->root, "f", 0600, 0), 0);
	named(x, seal, "f has another mode");
	assert_int_equal(check(x, seal, true).n, 1);
	assert_int_equal(fchmodat(x->root, "f", 0644, 0), 0);
	assert_int_equal(fchownat(x->root, "s", 1, 0, AT_SYMLINK_NOFOLLOW), 0);
	named(x, seal, "s has another owner");
	assert_int_equal(fchownat(x->root, "s", 0, 0, AT_SYMLINK_NOFOLLOW), 0);
	AUTO_FD int c = openat(x->root, "c", O_RDONLY | O_CLOEXEC);
	char value[16];
	ssize_t n = fgetxattr(c, "trusted.mine", value, sizeof(value));
	assert_true(n > 0);
	assert_int_equal(fsetxattr(c, "trusted.mine", "2", 1, 0), 0);
	named(x, seal, "c has other extended attributes");
	assert_int_equal(fsetxattr(c, "trusted.mine", value, (size_t)n, 0), 0);
	utimensat(x->root, "c", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0);
	named(x, seal, "c has another time");
	utimensat(x->root, "c", old, 0);
	assert_int_equal(mkdirat(x->root, "extra", 0755), 0);
	utimensat(x->root, ".", old, 0);
	named(x, seal, "extra is not part of the image");
	assert_int_equal(unlinkat(x->root, "extra", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(x->root, "s", 0), 0);
	assert_int_equal(symlinkat("g", x->root, "s"), 0);
	utimensat(x->root, "s", old, AT_SYMLINK_NOFOLLOW);
	utimensat(x->root, ".", old, 0);
	named(x, seal, "s has other content");
}

static void test_damaged_seal(void **state)
{
	struct box *x = *state;
	AUTO_FD int seal = SEALED(x, {"f", .data = "1"}, {"fg", .data = "2"});
	struct unpack_check o = {.dir_fd = x->root, .seal_fd = seal};
	struct unpack_check_result res;
	struct stat st;

	assert_int_equal(fstat(seal, &st), 0);
	for (off_t i = 0; i < st.st_size; i++) {
		struct err e = ERR_INIT;
		unsigned char b, bad;

		assert_int_equal(pread(seal, &b, 1, i), 1);
		bad = b ^ 0x81;
		assert_int_equal(pwrite(seal, &bad, 1, i), 1);
		lseek(seal, 0, SEEK_SET);
		assert_int_equal(unpack_check(&o, &res, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(pwrite(seal, &b, 1, i), 1);
	}
	sound(x, seal);
	for (off_t n = st.st_size - 1; n >= 0; n--) {
		struct err e = ERR_INIT;

		assert_int_equal(ftruncate(seal, n), 0);
		lseek(seal, 0, SEEK_SET);
		assert_int_equal(unpack_check(&o, &res, &e), -1);
	}
}

static void test_crc(void **state)
{
	assert_true(seal_crc(0, "123456789", 9) ==
		    0x995dc9bbdf1939faull); /* CRC-64/XZ's check value */
	assert_true(seal_crc(seal_crc(0, "1234", 4), "56789", 5) == 0x995dc9bbdf1939faull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_odd, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_decay, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_seal, box_setup, box_teardown),
		cmocka_unit_test(test_crc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
