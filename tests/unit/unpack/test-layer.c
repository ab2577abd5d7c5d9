/* SPDX-License-Identifier: Apache-2.0 */
/* What an honest layer becomes: owners, modes, times, links, devices, whiteouts, attributes, names,
 * compression. */
#include "tar-build.h"

#include <zstd.h>

static void test_metadata(void **state)
{
	struct box *x = *state;
	struct stat st;

	APPLY_OK(x, {"./", '5', .mode = 0711}, {"d/", '5', .mode = 02750, .uid = 3, .gid = 4},
		 {"d/f", .data = "text", .mode = 04751, .uid = 5}, {"d/sub/", '5'},
		 {"deep/er/f", .data = "1"}, {"null", '3', .mode = 0666, .major = 1, .minor = 3},
		 {"disk", '4', .major = 8, .minor = 1}, {"pipe", '6', .mode = 0600},
		 {"soft", '2', "d/f", .uid = 9}, {"hard", '1', "d/f"}, {"/absolute", .data = "a"});
	assert_int_equal(x->res.entries, 11);
	assert_int_equal(x->res.content_size, 4 + 1 + 1);
	st = stat_of(x, "d");
	assert_true((st.st_mode & 07777) == 02750 && st.st_uid == 3 && st.st_gid == 4);
	assert_int_equal(st.st_mtim.tv_sec, 01750); /* although entries were made in it later */
	st = stat_of(x, "d/f");
	assert_true((st.st_mode & 07777) == 04751 && st.st_uid == 5 && st.st_gid == 0 &&
		    st.st_nlink == 2);
	assert_int_equal(st.st_mtim.tv_sec, 01750);
	assert_int_equal(stat_of(x, "d/sub").st_gid, 0);
	assert_int_equal(stat_of(x, "hard").st_ino, st.st_ino);
	assert_int_equal(stat_of(x, "soft").st_uid, 9);
	st = stat_of(x, "null");
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) &&
		    (st.st_mode & 0777) == 0666);
	assert_true(S_ISBLK(stat_of(x, "disk").st_mode) && S_ISFIFO(stat_of(x, "pipe").st_mode));
	assert_int_equal(stat_of(x, "deep/er").st_mode & 07777, 0755);
	assert_int_equal(stat_of(x, ".").st_mode & 07777, 0711);
	content_is(x, "absolute", "a");
}

static void test_whiteouts(void **state)
{
	struct box *x = *state;

	APPLY_OK(x, {"etc/", '5'}, {"etc/.wh.passwd"}, {"var/.wh..wh..opq"},
		 {"var/new", .data = "n"}, {".wh..wh.plnk/1"}, {".wh.gone"},
		 {"gone/f", .data = "1"}, {"kept", .data = "k"}, {".wh.kept"}, {"dir/", '5'},
		 {"dir/f", .data = "2"}, {".wh.dir"}, {".wh.back"}, {"back", .data = "b"},
		 {".wh.newdir"}, {"newdir/", '5'});
	assert_true(is_whiteout(x, "etc/passwd"));
	assert_true(is_opaque(x, "var"));
	assert_false(is_opaque(x, "etc"));
	assert_true(is_opaque(x, "gone") && is_opaque(x, "dir") && is_opaque(x, "newdir"));
	content_is(x, "gone/f", "1");
	content_is(x, "kept", "k"); /* whiteouts are for the layers below */
	content_is(x, "dir/f", "2");
	content_is(x, "back", "b");
	assert_int_equal(faccessat(x->root, ".wh..wh.plnk", F_OK, 0), -1);
	APPLY_FAILS(x, ERR_INVALID, "a/.wh.", {"a/.wh."});
	APPLY_FAILS(x, ERR_INVALID, ".wh...", {".wh..."});
}

static void test_plain_mode(void **state)
{
	struct box *x = *state;
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT, .plain = true};
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);

	tar_add(&b, &(struct entry){".wh.name", .data = "ordinary"});
	tar_end(&b);
	assert_int_equal(box_apply_bytes(x, b.p, b.n, &o), 0);
	content_is(x, ".wh.name", "ordinary");
}

static void test_replacements(void **state)
{
	struct box *x = *state;

	APPLY_OK(x, {"a/", '5'}, {"a/b", .data = "1"}, {"a", .data = "file"}, {"c", .data = "x"},
		 {"c/", '5'}, {"c/d", .data = "2"}, {"s", '2', "c"}, {"s", .data = "not followed"},
		 {"t", .data = "long one"}, {"t", .data = "t"}, {"l", '2', "c"}, {"l/", '5'},
		 {"l/x", .data = "3"}, {"h", '1', "t"}, {"h", '1', "t"}, {"t", '1', "t"});
	content_is(x, "a", "file");
	content_is(x, "c/d", "2");
	content_is(x, "s", "not followed");
	content_is(x, "t", "t");
	content_is(x, "l/x", "3");
	assert_int_equal(faccessat(x->root, "c/x", F_OK, 0), -1);
	assert_int_equal(stat_of(x, "h").st_nlink, 2);
}

/* Links of the same layer are followed, but by the kernel and inside the root only. */
static void test_links_as_directories(void **state)
{
	struct box *x = *state;

	APPLY_OK(x, {"usr/lib/", '5'}, {"lib", '2', "usr/lib"}, {"lib/one", .data = "1"},
		 {"abs", '2', "/usr"}, {"abs/two", .data = "2"}, {"up", '2', "../../../usr/lib"},
		 {"up/three", .data = "3"});
	content_is(x, "usr/lib/one", "1");
	content_is(x, "usr/two", "2");
	content_is(x, "usr/lib/three", "3");
	assert_true(S_ISLNK(stat_of(x, "lib").st_mode));
	box_untouched(x);
}

static void test_pax(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);
	static const unsigned char cap[20] = {1, 0, 0, 2, 0, 0x20};
	char longest[300], deep[260], got[32];
	const char decomposed[] = "e\xcc\x81", raw[] = "\xff\xfe";

	memset(longest, 'n', 255);
	longest[255] = '\0';
	memset(deep, 'd', 120);
	memcpy(deep + 120, "/f", 3);
	tar_pax(&b, 'g', "comment", "global", 6);
	tar_pax(&b, 'x', "path", longest, 255);
	tar_add(&b, &(struct entry){"short", .data = "long"});
	tar_pax(&b, 'x', "path", deep, strlen(deep));
	tar_add(&b, &(struct entry){"short", .data = "deep"});
	tar_pax(&b, 'x', "mtime", "-5", 2);
	tar_add(&b, &(struct entry){"old", .data = "1"});
	tar_pax(&b, 'x', "mtime", "1700000000.123456789", 20);
	tar_add(&b, &(struct entry){"exact", .data = "1"});
	tar_pax(&b, 'x', "SCHILY.xattr.security.capability", cap, sizeof(cap));
	tar_add(&b, &(struct entry){"ping", .data = "1", .mode = 0755, .uid = 7});
	tar_pax(&b, 'x', "uid", "3000000000", 10);
	tar_add(&b, &(struct entry){"bigid", .data = "1"});
	tar_pax(&b, 'x', "path", decomposed, strlen(decomposed));
	tar_add(&b, &(struct entry){"x", .data = "1"});
	tar_add(&b, &(struct entry){raw, .data = "1"});
	tar_pax(&b, 'x', "linkpath", decomposed, strlen(decomposed));
	tar_add(&b, &(struct entry){"soft", '2', "x"});
	tar_end(&b);
	if (box_apply_bytes(x, b.p, b.n, NULL) < 0)
		fail_msg("%s", x->err.text);
	content_is(x, longest, "long");
	content_is(x, deep, "deep");
	struct stat st = stat_of(x, "old");
	assert_int_equal(st.st_mtim.tv_sec, -5);
	assert_int_equal(stat_of(x, "exact").st_mtim.tv_nsec, 123456789);
	assert_int_equal(stat_of(x, "bigid").st_uid, 3000000000u);
	AUTO_FD int fd = openat(x->root, "ping", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(fd, "security.capability", got, sizeof(got)), 20);
	assert_memory_equal(got, cap, 20);
	content_is(x, decomposed, "1"); /* bytes, not letters: no normalisation */
	content_is(x, raw, "1");
	assert_int_equal(readlinkat(x->root, "soft", got, sizeof(got)), 3);
	assert_memory_equal(got, decomposed, 3);
}

/* GNU sparse format 1.0: the map comes first in the data. */
static void test_sparse(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf b = BUF_INIT(1 << 20), r = BUF_INIT(4096);
	const struct entry none = {.mode = 0644};
	char map[512] = "1\n1048576\n3\n";

	pax_record(&r, "GNU.sparse.major", "1", 1);
	pax_record(&r, "GNU.sparse.minor", "0", 1);
	pax_record(&r, "GNU.sparse.name", "holes", 5);
	pax_record(&r, "GNU.sparse.realsize", "8388608", 7);
	tar_block(&b, "pax", 'x', NULL, r.n, &none);
	tar_data(&b, r.p, r.n);
	tar_block(&b, "GNUSparseFile.0/holes", '0', NULL, 515, &none);
	buf_add(&b, map, sizeof(map));
	tar_data(&b, "end", 3);
	tar_end(&b);
	if (box_apply_bytes(x, b.p, b.n, NULL) < 0)
		fail_msg("%s", x->err.text);
	struct stat st = stat_of(x, "holes");
	assert_int_equal(st.st_size, 8388608);
	assert_true(st.st_blocks * 512 < 1 << 20);
	AUTO_FD int fd = openat(x->root, "holes", O_RDONLY | O_CLOEXEC);
	char got[3];
	assert_int_equal(pread(fd, got, 3, 1048576), 3);
	assert_memory_equal(got, "end", 3);
}

static void test_codecs(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf tar = BUF_INIT(8 << 20), gz = BUF_INIT(8 << 20),
			    zst = BUF_INIT(8 << 20);
	struct digest diff_id;
	size_t half;

	AUTO_FREE char *big = xcalloc(1, 900001);
	for (size_t i = 0; i < 900000; i++)
		big[i] = (char)('a' + (i * i / 7) % 26);
	tar_add(&tar, &(struct entry){"big", .data = big});
	tar_end(&tar);
	digest_of(tar.p, tar.n, &diff_id);
	half = tar.n / 3;
	gzip_add(&gz, tar.p, half); /* three members, the second empty */
	gzip_add(&gz, "", 0);
	gzip_add(&gz, tar.p + half, tar.n - half);
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, NULL), 0);
	assert_true(digest_eq(&x->res.diff_id, &diff_id));
	assert_int_equal(x->res.size, gz.n);
	assert_int_equal(x->res.diff_size, tar.n);
	content_is(x, "big", big);

	for (int i = 0; i < 2; i++) { /* two frames */
		size_t from = i ? half : 0, n = i ? tar.n - half : half,
		       max = ZSTD_compressBound(n);
		char *room = buf_room(&zst, max);
		size_t made = ZSTD_compress(room, max, tar.p + from, n, 3);
		assert_false(ZSTD_isError(made));
		zst.n += made;
	}
	assert_int_equal(box_apply_bytes(x, zst.p, zst.n, NULL), 0);
	assert_true(digest_eq(&x->res.diff_id, &diff_id));
	assert_int_equal(box_apply_bytes(x, tar.p, tar.n, NULL), 0);
	assert_true(digest_eq(&x->res.digest, &diff_id));
	assert_int_equal(box_apply_bytes(x, "", 0, NULL), 0); /* an empty layer */
	assert_int_equal(x->res.entries, 0);
	assert_int_equal(box_apply_bytes(x, "BZh91AY&SY", 10, NULL), -1);
	assert_int_equal(x->err.kind, ERR_UNSUPPORTED);
}

/* The blob file gets the same bytes; a resumed download starts with what is in it. */
static void test_blob_and_resume(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf tar = BUF_INIT(8 << 20), gz = BUF_INIT(8 << 20),
			    got = BUF_INIT(8 << 20);
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};

	tar_add(&tar, &(struct entry){"f", .data = "content"});
	tar_end(&tar);
	gzip_add(&gz, tar.p, tar.n);
	AUTO_FD int blob = memfd_of(gz.p, 20);
	o.in.blob_fd = blob;
	o.in.blob_have = 20;
	o.in.size = gz.n;
	digest_of(gz.p, gz.n, &o.in.digest);
	digest_of(tar.p, tar.n, &o.diff_id);
	if (box_apply_bytes(x, gz.p + 20, gz.n - 20, &o) < 0)
		fail_msg("%s", x->err.text);
	assert_true(digest_eq(&x->res.digest, &o.in.digest));
	lseek(blob, 0, SEEK_SET);
	assert_int_equal(fs_read_fd(blob, &got), 0);
	assert_int_equal(got.n, gz.n);
	assert_memory_equal(got.p, gz.p, gz.n);
	content_is(x, "f", "content");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, box_setup, box_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_metadata),
		CASE(test_whiteouts),
		CASE(test_plain_mode),
		CASE(test_replacements),
		CASE(test_links_as_directories),
		CASE(test_pax),
		CASE(test_sparse),
		CASE(test_codecs),
		CASE(test_blob_and_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
