/* SPDX-License-Identifier: Apache-2.0 */
/* Staging docker-archive members: names normalised, digests of the bytes, links resolved, nothing
 * outside. */
#include "tar-build.h"

static int member(const char *name, const char *file, uint64_t size, const struct digest *d,
		  const char *link, void *ud)
{
	struct buf *log = ud;

	if (link)
		buf_addf(log, "%s>%s ", name, link);
	else
		buf_addf(log, "%s=%llu:%.14s ", name, (unsigned long long)size, d->text);
	return 0;
}

static int stage(struct box *x, const struct entry *v, size_t n, struct buf *log)
{
	AUTO_BUF struct buf b = BUF_INIT(1 << 20);

	for (size_t i = 0; i < n; i++)
		tar_add(&b, &v[i]);
	tar_end(&b);
	AUTO_FD int fd = memfd_of(b.p, b.n);
	struct unpack_stage o = {.in = UNPACK_INPUT_INIT,
				 .ingest_fd = x->root,
				 .prefix = "p",
				 .fn = member,
				 .ud = log};
	o.in.fd = fd;
	x->err = ERR_INIT;
	return unpack_stage(&o, &x->res, &x->err);
}

static void test_members(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf log = BUF_INIT(4096);
	const struct entry v[] = {{"./manifest.json", .data = "[]"},
				  {"aa/", '5'},
				  {"aa/layer.tar", .data = "abc"},
				  {"bb/layer.tar", '2', "../aa/layer.tar"},
				  {"cc/layer.tar", '1', "./aa/layer.tar"}};

	if (stage(x, v, 5, &log) < 0)
		fail_msg("%s", x->err.text);
	assert_string_equal(buf_text(&log),
			    "manifest.json=2:sha256:4f53cda aa/layer.tar=3:sha256:ba7816b "
			    "bb/layer.tar>aa/layer.tar cc/layer.tar>aa/layer.tar ");
	content_is(x, "p.1", "[]");
	content_is(x, "p.3", "abc");
}

static void test_bad_members(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf log = BUF_INIT(4096);
	const struct entry bad[] = {{"../manifest.json", .data = "x"},
				    {"a/l", '2', "../../etc/passwd"},
				    {"dev", '3'},
				    {"h", '1', "../x"}};

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(stage(x, &bad[i], 1, &log), -1);
		box_refused(x, ERR_INVALID, bad[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_members, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_bad_members, box_setup, box_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
