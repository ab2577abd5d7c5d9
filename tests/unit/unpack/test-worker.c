/* SPDX-License-Identifier: Apache-2.0 */
/* The program: what its sandbox leaves, its result lines, an input of a million entries, a death in
 * the middle. */
#include "tar-build.h"

#include "base/json.h"
#include "sys/spawn.h"

#include <signal.h>
#include <sys/wait.h>

static const char *program;

/* Start the worker in `mode` with fd 5 = root; *ret_in is its input, *ret_out its result lines. */
static struct process start(struct box *x, const char *const *argv, int *ret_in, int *ret_out)
{
	int in[2], out[2];
	struct process p;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	const struct spawn_fd fds[] = {{in[0], 0}, {out[1], 1}, {2, 2}, {x->root, 5}};
	const struct spawn s = {
		.path = program, .argv = argv, .fds = fds, .nfds = 4, .die_with_parent = true};
	assert_int_equal(spawn_start(&s, &p), 0);
	close(in[0]);
	close(out[1]);
	*ret_in = in[1];
	*ret_out = out[0];
	return p;
}

static int finish(struct process *p, int out, struct buf *lines)
{
	int status;

	assert_int_equal(fs_read_fd(out, lines), 0);
	close(out);
	assert_int_equal(spawn_wait(p, false, &status), 0);
	close(p->pidfd);
	return status;
}

static const char *const apply_argv[] = {"coracle-unpack", "apply", "--target-fd", "5", NULL};

static void test_confined(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf status = BUF_INIT(8192), lines = BUF_INIT(4096), tar = BUF_INIT(4096);
	int in, out;
	struct process p = start(x, apply_argv, &in, &out);
	char path[64];

	tar_add(&tar, &(struct entry){"f", .data = "1", .uid = 5, .mode = 04755});
	tar_add(&tar, &(struct entry){"dev", '3', .major = 1, .minor = 3});
	tar_add(&tar, &(struct entry){"op/.wh..wh..opq"});
	tar_add(&tar, &(struct entry){"a/hard", '1', "f"});
	tar_end(&tar);
	assert_int_equal(fs_write_all(in, tar.p, 512), 0);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)p.pid);
	for (int i = 0; i < 200 && !strstr(buf_text(&status), "Seccomp:\t2"); i++) {
		usleep(5000);
		buf_reset(&status);
		assert_int_equal(fs_read_path(path, &status), 0);
	}
	assert_non_null(strstr(buf_text(&status), "Seccomp:\t2"));
	assert_non_null(strstr(buf_text(&status), "NoNewPrivs:\t1"));
	/* chown, dac_override, fowner, fsetid, mknod, setfcap, and sys_admin for trusted attributes
	 */
	assert_non_null(strstr(buf_text(&status), "CapBnd:\t000000008820001b"));
	assert_int_equal(fs_write_all(in, tar.p + 512, tar.n - 512), 0);
	close(in);
	assert_int_equal(finish(&p, out, &lines), 0);
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;
	assert_int_equal(json_parse(lines.p, lines.n, &j, &e), 0);
	assert_int_equal(json_u64(json_get(j, "entries")), 4);
	assert_int_equal(json_u64(json_get(j, "diffSize")), tar.n);
	struct stat st = stat_of(x, "a/hard");
	assert_true(st.st_uid == 5 && st.st_nlink == 2 && (st.st_mode & 07777) == 04755);
	assert_true(is_opaque(x, "op") && S_ISCHR(stat_of(x, "dev").st_mode));
}

static void test_error_line(void **state)
{
	struct box *x = *state;
	AUTO_BUF struct buf lines = BUF_INIT(4096), tar = BUF_INIT(4096);
	int in, out;
	struct process p = start(x, apply_argv, &in, &out);

	tar_add(&tar, &(struct entry){"../evil", .data = "1"});
	tar_end(&tar);
	assert_int_equal(fs_write_all(in, tar.p, tar.n), 0);
	close(in);
	int status = finish(&p, out, &lines);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;
	assert_int_equal(json_parse(lines.p, lines.n, &j, &e), 0);
	assert_string_equal(json_str(json_get(j, "kind")), err_kind_name(ERR_INVALID));
	assert_string_equal(json_str(json_get(j, "entry")), "../evil");
	box_untouched(x);
}

static void test_bad_options(void **state)
{
	struct box *x = *state;
	const char *const bad[][5] = {{"coracle-unpack", "apply", "--target-fd", "1", NULL},
				      {"coracle-unpack", "apply", "--digest", "sha256:xyz", NULL},
				      {"coracle-unpack", "apply", "--frobnicate", "1", NULL},
				      {"coracle-unpack", "explode", NULL},
				      {"coracle-unpack", NULL}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		AUTO_BUF struct buf lines = BUF_INIT(4096);
		int in, out;
		struct process p = start(x, bad[i], &in, &out);

		close(in);
		int status = finish(&p, out, &lines);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		assert_non_null(strstr(buf_text(&lines), "\"kind\":\"invalid\""));
	}
}

/* A million entries in one stream: stopped at the limit, in little memory, with the entry's name.
 */
static void test_million(void **state)
{
	struct box *x = *state;
	const char *const argv[] = {"coracle-unpack", "apply", "--target-fd", "5",
				    "--max-entries",  "50000", NULL};
	AUTO_BUF struct buf lines = BUF_INIT(4096), tar = BUF_INIT(1 << 20),
			    memory = BUF_INIT(8192);
	int in, out, rc = 0;
	struct process p = start(x, argv, &in, &out);

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; rc == 0 && i < 1000000; i++) {
		char name[32], path[64];

		snprintf(name, sizeof(name), "d%d/f%d", i / 1000, i);
		tar_add(&tar, &(struct entry){name});
		if (i % 500 == 499) {
			rc = fs_write_all(in, tar.p, tar.n);
			buf_reset(&tar);
		}
		if (i == 40000) {
			const char *peak;

			snprintf(path, sizeof(path), "/proc/%d/status", (int)p.pid);
			assert_int_equal(fs_read_path(path, &memory), 0);
			peak = strstr(buf_text(&memory), "VmHWM:");
			assert_non_null(peak);
			assert_true(strtol(peak + 6, NULL, 10) < 64 * 1024);
		}
	}
	close(in);
	int status = finish(&p, out, &lines);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(strstr(buf_text(&lines), "\"kind\":\"limit\""));
	assert_non_null(strstr(buf_text(&lines), "more than 50000 entries"));
	assert_non_null(strstr(buf_text(&lines), "d50/f50000"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_confined, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_error_line, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_bad_options, box_setup, box_teardown),
		cmocka_unit_test_setup_teardown(test_million, box_setup, box_teardown),
	};

	program = argc > 1 ? argv[1] : "build/src/main/coracle-unpack";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
