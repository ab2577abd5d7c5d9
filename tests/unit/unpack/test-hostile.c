/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile layer must not become: every case is refused with the entry's name, and nothing
 * outside is touched. */
#include "tar-build.h"

static void test_names(void **state)
{
	struct box *x = *state;
	char many[1200] = "";

	APPLY_FAILS(x, ERR_INVALID, "../evil", {"../evil", .data = "e"});
	APPLY_FAILS(x, ERR_INVALID, "a/../../evil", {"a/", '5'}, {"a/../../evil", .data = "e"});
	APPLY_FAILS(x, ERR_INVALID, "/../evil", {"/../evil", '5'});
	APPLY_FAILS(x, ERR_INVALID, "..", {"..", '2', "/"});
	APPLY_FAILS(x, ERR_INVALID, "entry \"/\"", {".", .data = "the root as a file"});
	APPLY_FAILS(x, ERR_INVALID, "f/x", {"f", .data = "1"}, {"f/x", .data = "2"});
	for (size_t i = 0; i < 450; i += 2)
		memcpy(many + i, "d/", 3);
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);
	tar_pax(&b, 'x', "path", many, strlen(many));
	tar_add(&b, &(struct entry){"short", '5'});
	tar_end(&b);
	assert_int_equal(box_apply_bytes(x, b.p, b.n, NULL), -1);
	box_refused(x, ERR_LIMIT, "directories deep");
}

static void test_links_out(void **state)
{
	struct box *x = *state;

	APPLY_FAILS(x, ERR_INVALID, "l/evil", {"l", '2', "../"}, {"l/evil", .data = "e"},
		    {"l/", '2', "/nowhere"}, {"l/evil", .data = "e"});
	content_is(x, "evil", "e"); /* ".." of the root is the root */
	APPLY_FAILS(x, ERR_INVALID, "m/x", {"m", '2', "/proc/self/root"}, {"m/x", .data = "e"});
	APPLY_FAILS(x, ERR_INVALID, "loop/x", {"loop", '2', "loop"}, {"loop/x", .data = "e"});
	APPLY_FAILS(x, ERR_INVALID, "hard", {"hard", '1', "../secret"});
	APPLY_FAILS(x, ERR_INVALID, "hard", {"up", '2', ".."}, {"hard", '1', "up/secret"});
	APPLY_FAILS(x, ERR_INVALID, "hard", {"hard", '1', "/absent"});
	APPLY_FAILS(x, ERR_INVALID, "hard", {"dir/", '5'}, {"hard", '1', "dir"});
	APPLY_FAILS(x, ERR_INVALID, "empty", {"empty", '2', ""});
}

/* A link that is already in the directory (an earlier layer unpacked there, or someone quick): not
 * followed. */
static void test_swapped_link(void **state)
{
	struct box *x = *state;

	assert_int_equal(symlinkat("..", x->root, "etc"), 0);
	assert_int_equal(symlinkat("../secret", x->root, "conf"), 0);
	APPLY_OK(x, {"conf", .data = "mine"}, {"etc/", '5'}, {"etc/evil", .data = "e"});
	content_is(x, "conf", "mine");
	content_is(x, "etc/evil", "e");
	box_untouched(x);
	/* A hard link to a link is a link to the link itself. */
	APPLY_OK(x, {"out", '2', "../secret"}, {"two", '1', "out"}, {"two", .data = "x"});
	box_untouched(x);
}

static void test_xattrs(void **state)
{
	struct box *x = *state;
	const char *names[] = {"SCHILY.xattr.trusted.overlay.redirect",
			       "SCHILY.xattr.user.overlay.opaque"};

	for (size_t i = 0; i < 2; i++) {
		for (int dir = 0; dir < 2; dir++) {
			AUTO_BUF struct buf b = BUF_INIT(1 << 20);

			tar_pax(&b, 'x', names[i], "/etc", 4);
			tar_add(&b, &(struct entry){"victim", dir ? '5' : '0'});
			tar_end(&b);
			assert_int_equal(box_apply_bytes(x, b.p, b.n, NULL), -1);
			box_refused(x, ERR_DENIED, "victim");
		}
	}
}

static void test_limits(void **state)
{
	struct box *x = *state;
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);

	for (int i = 0; i < 11; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		tar_add(&b, &(struct entry){name, .data = "0123456789"});
	}
	tar_end(&b);
	o.in.limits.max_entries = 10;
	assert_int_equal(box_apply_bytes(x, b.p, b.n, &o), -1);
	box_refused(x, ERR_LIMIT, "more than 10 entries");
	o.in.limits = (struct unpack_limits){.max_size = 95};
	assert_int_equal(box_apply_bytes(x, b.p, b.n, &o), -1);
	assert_int_equal(x->err.kind, ERR_LIMIT);
	/* A sparse file claims what it likes and costs nothing: still bounded. */
	AUTO_BUF struct buf s = BUF_INIT(1 << 20);
	tar_pax(&s, 'x', "GNU.sparse.size", "4611686018427387904", 19);
	tar_add(&s, &(struct entry){"huge"});
	tar_end(&s);
	assert_int_equal(box_apply_bytes(x, s.p, s.n, NULL), -1);
	box_refused(x, ERR_LIMIT, "huge");
}

/* 320 MiB of zeros in a few bytes. */
static void test_bomb(void **state)
{
	struct box *x = *state;
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};
	const size_t size = 320u << 20;
	const struct entry none = {.mode = 0644};
	AUTO_BUF struct buf b = BUF_INIT(400u << 20), gz = BUF_INIT(1 << 22);

	tar_block(&b, "bomb", '0', NULL, size, &none);
	char *zeros = buf_room(&b, size);
	memset(zeros, 0, size);
	b.n += size;
	tar_end(&b);
	z_stream z = {.next_in = (unsigned char *)b.p, .avail_in = (unsigned)b.n};
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = (unsigned char *)buf_room(&gz, 2000000);
	z.avail_out = 2000000;
	/* zlib's fastest level makes ratio 228 */
	for (int rc = Z_OK; rc != Z_STREAM_END;) {
		if (z.avail_out == 0)
			break;
		rc = deflate(&z, Z_FINISH);
	}
	gz.n = 2000000 - z.avail_out;
	deflateEnd(&z);
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, &o), -1);
	box_refused(x, ERR_LIMIT, "bomb");
	assert_non_null(strstr(x->err.text, "ratio"));
	assert_string_equal(x->res.entry, "bomb");
	assert_true(stat_of(x, "bomb").st_size < 300 << 20);
}

static void test_damage(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf tar = BUF_INIT(1 << 20), gz = BUF_INIT(1 << 22);
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};
	AUTO_FREE char *text = xcalloc(1, 60001);

	for (size_t i = 0; i < 60000; i++)
		text[i] = (char)('A' + (i * 7919 % 61));
	tar_add(&tar, &(struct entry){"first", .data = text});
	tar_add(&tar, &(struct entry){"second", .data = text});
	tar_end(&tar);
	gzip_add(&gz, tar.p, tar.n);

	assert_int_equal(box_apply_bytes(x, gz.p, gz.n / 2, NULL), -1); /* cut */
	box_refused(x, ERR_INVALID, "too early");
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n - 3, NULL), -1); /* in the trailer */
	box_refused(x, ERR_INVALID, "too early");
	o.in.size = gz.n;
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n - 100, &o), -1);
	box_refused(x, ERR_INVALID, "truncated");
	o.in.size = gz.n - 1;
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, &o), -1);
	box_refused(x, ERR_INVALID, "larger than its descriptor");
	o.in.size = gz.n;
	digest_of("x", 1, &o.in.digest);
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, &o), -1);
	box_refused(x, ERR_INVALID, "wrong digest");
	o.in.digest.text[0] = '\0';
	digest_of("x", 1, &o.diff_id);
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, &o), -1);
	box_refused(x, ERR_INVALID, "wrong diff id");
	gz.p[gz.n - 6] ^= 1; /* the checksum */
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, NULL), -1);
	box_refused(x, ERR_INVALID, "corrupt gzip");
	gz.p[gz.n - 6] ^= 1;
	gz.p[gz.n / 2] ^=
		0x55; /* damaged on the way: the digest is the better message, also without gzip */
	digest_of("the right bytes", 15, &o.in.digest);
	o.in.size = gz.n;
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, &o), -1);
	box_refused(x, ERR_INVALID, "wrong digest");
	tar.p[0] ^= 0x55;
	o.in.size = tar.n;
	assert_int_equal(box_apply_bytes(x, tar.p, tar.n, &o), -1);
	box_refused(x, ERR_INVALID, "wrong digest");
	tar.p[0] ^= 0x55;
	gz.p[gz.n / 2] ^= 0x55;
	buf_adds(&gz, "garbage");
	assert_int_equal(box_apply_bytes(x, gz.p, gz.n, NULL), -1);
	box_refused(x, ERR_INVALID, "garbage");
	assert_int_equal(box_apply_bytes(x, tar.p, 40000, NULL),
			 -1); /* plain tar, cut in the first file */
	box_refused(x, ERR_INVALID, "first");
	assert_int_equal(box_apply_bytes(x, "<html>not found</html>", 22, NULL), -1);
	box_refused(x, ERR_INVALID, "tar");
}

static void test_pax_junk(void **state)
{
	struct box *x = *state;
	const char *junk[] = {"999999999 path=x\n", "5 a\n",  "-3 path=x\n",
			      "12 path=evil",	    "\n\n\n", "20 =\n"};
	const struct entry none = {.mode = 0644};

	for (size_t i = 0; i < sizeof(junk) / sizeof(*junk); i++) {
		AUTO_BUF struct buf b = BUF_INIT(1 << 20);

		tar_block(&b, "pax", 'x', NULL, strlen(junk[i]), &none);
		tar_data(&b, junk[i], strlen(junk[i]));
		tar_add(&b, &(struct entry){"after", .data = "x"});
		tar_end(&b);
		if (box_apply_bytes(x, b.p, b.n, NULL) == 0)
			continue; /* read over: also fine, as long as nothing is outside */
		box_refused(x, ERR_INVALID, "tar");
	}
	box_untouched(x);
}

/* Disk full: an error of the system that names the file, not of the layer. */
static void test_disk_full(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);
	struct unpack_apply o = {.in = UNPACK_INPUT_INIT};

	AUTO_FD int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	if (full < 0)
		skip();
	tar_add(&b, &(struct entry){"f", .data = "1"});
	tar_end(&b);
	o.in.blob_fd = full;
	assert_int_equal(box_apply_bytes(x, b.p, b.n, &o), -1);
	assert_int_equal(x->err.kind, ERR_SYSTEM);
	assert_int_equal(x->err.sys, ENOSPC);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, box_setup, box_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_names),  CASE(test_links_out), CASE(test_swapped_link),
		CASE(test_xattrs), CASE(test_limits),	 CASE(test_bomb),
		CASE(test_damage), CASE(test_pax_junk),	 CASE(test_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
