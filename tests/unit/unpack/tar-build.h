/* SPDX-License-Identifier: Apache-2.0 */
/* Tar files by hand, so that they can be wrong in every way; and the applier run on them in a
 * directory on tmpfs. */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "cmocka-all.h"
#include "sys/fs.h"
#include "unpack/unpack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

struct entry {
	const char *name;
	char type; /* as in the header: '0' file, '5' directory, '1' hard link, '2' link, '3' chr,
		      '4' blk, '6' fifo */
	const char *link;
	const char *data;
	unsigned mode, uid, gid, major, minor;
	const char *
		pax; /* "key=value\n..." records without lengths, made into a header of their own */
	size_t xattr_len; /* of a binary value after the last '=' of pax, 0: text */
	size_t fake_size; /* header says this, not strlen(data) */
};

static inline void tar_block(struct buf *b, const char *name, char type, const char *link,
			     size_t size, const struct entry *x)
{
	char h[512] = "";
	unsigned sum = 0;

	memcpy(h, name, MIN(strlen(name), 100ul));
	snprintf(h + 100, 8, "%07o", x->mode & 07777777);
	snprintf(h + 108, 8, "%07o", x->uid & 07777777);
	snprintf(h + 116, 8, "%07o", x->gid & 07777777);
	snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
	snprintf(h + 136, 12, "%011o", 1000);
	h[156] = type;
	if (link)
		memcpy(h + 157, link, MIN(strlen(link), 100ul));
	memcpy(h + 257, "ustar\00000", 8);
	snprintf(h + 329, 8, "%07o", x->major & 07777777);
	snprintf(h + 337, 8, "%07o", x->minor & 07777777);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	buf_add(b, h, sizeof(h));
}

static inline void tar_data(struct buf *b, const void *p, size_t n)
{
	static const char zero[512];

	buf_add(b, p, n);
	if (n % 512)
		buf_add(b, zero, 512 - n % 512);
}

/* One pax record: "LEN key=value\n" where LEN counts itself. */
static inline void pax_record(struct buf *b, const char *key, const void *value, size_t n)
{
	size_t body = 1 + strlen(key) + 1 + n + 1, len = body + 1;
	char digits[24];

	for (;;) {
		size_t w = (size_t)snprintf(digits, sizeof(digits), "%zu", len);
		if (w + body == len)
			break;
		len = w + body;
	}
	buf_addf(b, "%s %s=", digits, key);
	buf_add(b, value, n);
	buf_addc(b, '\n');
}

static inline void tar_pax(struct buf *b, char type, const char *key, const void *value, size_t n)
{
	AUTO_BUF struct buf r = BUF_INIT(1 << 20);
	const struct entry none = {.mode = 0644};

	pax_record(&r, key, value, n);
	tar_block(b, "pax", type, NULL, r.n, &none);
	tar_data(b, r.p, r.n);
}

static inline void tar_add(struct buf *b, const struct entry *x)
{
	struct entry y = *x;
	size_t n = x->data ? strlen(x->data) : 0;

	if (!y.type)
		y.type = '0';
	if (!y.mode)
		y.mode = y.type == '5' ? 0755 : 0644;
	tar_block(b, y.name, y.type, y.link, y.fake_size ? y.fake_size : n, &y);
	if (n)
		tar_data(b, y.data, n);
}

static inline void tar_end(struct buf *b)
{
	static const char zero[1024];

	buf_add(b, zero, sizeof(zero));
}

/* gzip of n bytes appended to out. */
static inline void gzip_add(struct buf *out, const void *p, size_t n)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)p, .avail_in = (unsigned)n};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t max = deflateBound(&z, n);
	char *room = buf_room(out, max);
	assert_non_null(room);
	z.next_out = (unsigned char *)room;
	z.avail_out = (unsigned)max;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n += max - z.avail_out;
	deflateEnd(&z);
}

static inline int memfd_of(const void *p, size_t n)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

struct box {
	char top[64]; /* holds "root" and, beside it, "secret" */
	int top_fd, root;
	struct unpack_result res;
	struct err err;
};

static inline int box_setup(void **state)
{
	struct box *x = NEW(struct box);

	snprintf(x->top, sizeof(x->top), "/dev/shm/coracle-unpack-XXXXXX");
	assert_non_null(mkdtemp(x->top));
	x->top_fd = fs_open_dir(x->top);
	assert_int_equal(mkdirat(x->top_fd, "root", 0755), 0);
	assert_int_equal(fs_write_atomic(x->top_fd, "secret", "secret", 6, 0600, false), 0);
	x->root = openat(x->top_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = x;
	return 0;
}

static inline int box_teardown(void **state)
{
	struct box *x = *state;

	close(x->root);
	close(x->top_fd);
	assert_int_equal(fs_remove_tree(AT_FDCWD, x->top), 0);
	free(x);
	return 0;
}

static inline int box_apply_bytes(struct box *x, const void *p, size_t n,
				  const struct unpack_apply *opts)
{
	struct unpack_apply o = opts ? *opts : (struct unpack_apply){.in = UNPACK_INPUT_INIT};
	AUTO_FD int fd = memfd_of(p, n);

	o.in.fd = fd;
	o.target_fd = x->root;
	x->err = ERR_INIT;
	return unpack_apply(&o, &x->res, &x->err);
}

static inline int box_apply(struct box *x, const struct entry *v, size_t n)
{
	AUTO_BUF struct buf b = BUF_INIT(64 << 20);

	for (size_t i = 0; i < n; i++)
		tar_add(&b, &v[i]);
	tar_end(&b);
	return box_apply_bytes(x, b.p, b.n, NULL);
}

#define APPLY(x, ...)                                                                              \
	box_apply((x), (const struct entry[]){__VA_ARGS__},                                        \
		  sizeof((const struct entry[]){__VA_ARGS__}) / sizeof(struct entry))
#define APPLY_OK(x, ...)                                                                           \
	do {                                                                                       \
		if (APPLY(x, __VA_ARGS__) < 0)                                                     \
			fail_msg("%s", (x)->err.text);                                             \
	} while (0)
/* Refused with this kind, naming the entry; nothing outside the root was touched. */
#define APPLY_FAILS(x, want, named, ...)                                                           \
	do {                                                                                       \
		assert_int_equal(APPLY(x, __VA_ARGS__), -1);                                       \
		box_refused((x), (want), (named));                                                 \
	} while (0)

static inline void box_untouched(struct box *x)
{
	AUTO_BUF struct buf b = BUF_INIT(64);
	struct stat st;

	assert_int_equal(fs_read_at(x->top_fd, "secret", &b), 0);
	assert_string_equal(buf_text(&b), "secret");
	assert_int_equal(fstatat(x->top_fd, "secret", &st, 0), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(fstat(x->top_fd, &st), 0);
	assert_int_equal(st.st_nlink, 3); /* itself, its name, root */
	assert_int_equal(faccessat(x->top_fd, "evil", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static inline void box_refused(struct box *x, enum err_kind want, const char *named)
{
	if (x->err.kind != want)
		fail_msg("kind %s: %s", err_kind_name(x->err.kind), x->err.text);
	if (!strstr(x->err.text, named))
		fail_msg("the message does not name \"%s\": %s", named, x->err.text);
	box_untouched(x);
}

static inline struct stat stat_of(const struct box *x, const char *path)
{
	struct stat st;

	if (fstatat(x->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("%s is missing", path);
	return st;
}

static inline bool is_whiteout(const struct box *x, const char *path)
{
	struct stat st = stat_of(x, path);

	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

static inline bool is_opaque(const struct box *x, const char *path)
{
	AUTO_FD int fd = openat(x->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char v = 0;

	return fd >= 0 && fgetxattr(fd, "trusted.overlay.opaque", &v, 1) == 1 && v == 'y';
}

static inline void content_is(const struct box *x, const char *path, const char *want)
{
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);

	assert_int_equal(fs_read_at(x->root, path, &b), 0);
	assert_string_equal(buf_text(&b), want);
}
