/* SPDX-License-Identifier: Apache-2.0 */
/* Layers compressed anew: whole, the same on any number of threads, sizes around the blocks. */
#include "unpack/unpack.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "cmocka-all.h"

#define BLOCK ((size_t)1 << 20)

static int memory(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Half noise, half repetition. */
static char *content(size_t n)
{
	char *p = xmalloc(n + 1);
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (i >> 16) & 1 ? (char)(x >> 24) : (char)(i & 15);
	}
	return p;
}

static void compress_one(int in, struct unpack_compress o, struct unpack_result *ret, int *ret_fd)
{
	struct err e = ERR_INIT;

	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	o.in = UNPACK_INPUT_INIT;
	o.in.fd = in;
	o.out_fd = memory("", 0);
	if (unpack_compress(&o, ret, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(lseek(o.out_fd, 0, SEEK_SET), 0);
	*ret_fd = o.out_fd;
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0,     1,	 1000,	    BLOCK - 1,
				       BLOCK, BLOCK + 1, 3 * BLOCK, 7 * BLOCK + 12345};
	static const struct unpack_compress how[] = {
		{.compression = UNPACK_GZIP, .threads = 1},
		{.compression = UNPACK_GZIP, .level = 1, .threads = 3},
		{.compression = UNPACK_GZIP, .level = 6, .threads = 2},
		{.compression = UNPACK_ZSTD, .threads = 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		AUTO_FREE char *p = content(sizes[i]);
		AUTO_FD int in = memory(p, sizes[i]);
		struct digest want;
		digest_of(p, sizes[i], &want);
		for (size_t k = 0; k < ARRAY_SIZE(how); k++) {
			struct unpack_result a, b;
			AUTO_FD int packed = FD_NONE;
			AUTO_FD int again = FD_NONE;
			compress_one(in, how[k], &a, &packed);
			assert_string_equal(a.diff_id.text, want.text);
			assert_int_equal(a.diff_size, sizes[i]);
			/* what was packed is read back, by our own decoder, and packed again */
			struct unpack_compress other = how[k];
			other.threads = 5;
			other.diff_id = want;
			compress_one(packed, other, &b, &again);
			assert_string_equal(a.digest.text, b.digest.text);
			assert_int_equal(a.size, b.size);
		}
	}
}

static void test_wrong(void **state)
{
	struct err e = ERR_INIT;
	struct unpack_result r;
	AUTO_FD int in = memory("\x1f\x8b\x08 broken", 10);
	AUTO_FD int out = memory("", 0);
	struct unpack_compress o = {.in = UNPACK_INPUT_INIT, .out_fd = out, .threads = 2};

	o.in.fd = in;
	assert_int_equal(unpack_compress(&o, &r, &e), -1);
	AUTO_FD int plain = memory("text", 4);
	o.in.fd = plain;
	digest_of("other", 5, &o.diff_id);
	assert_int_equal(unpack_compress(&o, &r, &e), -1);
	assert_non_null(strstr(e.text, "wrong diff id"));
	AUTO_FD int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	AUTO_FD int more = memory("text", 4);
	o = (struct unpack_compress){.in = UNPACK_INPUT_INIT, .out_fd = full, .threads = 2};
	o.in.fd = more;
	assert_int_equal(unpack_compress(&o, &r, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
