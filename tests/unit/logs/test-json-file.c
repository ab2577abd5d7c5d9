/* SPDX-License-Identifier: Apache-2.0 */
/* json-file logs: what is written is read back, across rotation, torn lines, full disks and
 * followers. */
#include "base/clock.h"
#include "base/json.h"
#include "cmocka-all.h"
#include "logs/logs.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char dir[64], path[96];

static int setup(void **state)
{
	snprintf(dir, sizeof dir, "/tmp/logs-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/log", dir);
	return 0;
}

static int teardown(void **state)
{
	AUTO_FD int tmp = fs_open_dir("/tmp");

	return fs_remove_tree(tmp, dir + 5);
}

static struct log_writer *writer(int64_t max_size, int64_t max_file)
{
	struct log_writer *w = NULL;

	const struct log_options o = {.path = path, .max_size = max_size, .max_file = max_file};
	struct err e = ERR_INIT;

	if (log_writer_open(&o, &w, &e) < 0)
		fail_msg("%s", e.text);
	return w;
}

static struct log_reader *reader(const struct log_query *q)
{
	struct log_reader *r = NULL;

	assert_int_equal(log_reader_open(path, q, &r), 0);
	return r;
}

static void out(struct log_writer *w, const char *text)
{
	log_writer_add(w, LOG_STDOUT, text, strlen(text));
}

static void expect(struct log_reader *r, const char *text)
{
	struct log_entry en;

	assert_int_equal(log_reader_next(r, &en), LOG_READ_ENTRY);
	assert_int_equal(en.text.n, strlen(text));
	assert_memory_equal(en.text.p, text, en.text.n);
}

static void expect_state(struct log_reader *r, enum log_read want)
{
	struct log_entry en;

	assert_int_equal(log_reader_next(r, &en), want);
}

static const struct log_query all = {.tail = -1};

static void test_round_trip_of_bytes(void **state)
{
	static const char *const lines[] = {
		"plain\n",
		"\n",
		"quote \" back \\ slash\n",
		"tab\t cr\r bell\a esc\033\n",
		"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb3\n",
		"del \x7f\n",
	};
	AUTO(log_writer) struct log_writer *w = writer(0, 1);
	int64_t before = clock_now_ns();
	struct log_entry en;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		out(w, lines[i]);
	log_writer_add(w, LOG_STDERR, "bad \xff\xc3 utf8\n", 12);
	out(w, "no newline");
	log_writer_end(w, LOG_STDOUT);

	AUTO(log_reader) struct log_reader *r = reader(&all);

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		expect(r, lines[i]);
	assert_int_equal(log_reader_next(r, &en), LOG_READ_ENTRY);
	assert_int_equal(en.stream, LOG_STDERR);
	assert_true(str_eq(en.text, "bad \xef\xbf\xbd\xef\xbf\xbd utf8\n"));
	assert_true(en.time_ns >= before && en.time_ns <= clock_now_ns());
	expect(r, "no newline");
	expect_state(r, LOG_READ_END);
	expect_state(r, LOG_READ_END);

	/* Every line is a JSON document to others too. */
	AUTO_BUF struct buf text = BUF_INIT(65536);
	struct err e = ERR_INIT;

	assert_int_equal(fs_read_path(path, &text), 0);

	struct str rest = {text.p, text.n}, line;

	while (str_cut(&rest, '\n', &line)) {
		struct json *j = NULL;

		if (line.n == 0)
			continue;
		if (json_parse(line.p, line.n, &j, &e) < 0)
			fail_msg("%s", e.text);
		assert_non_null(json_str(json_get(j, "log")));
		json_free(j);
	}
}

static void test_partial_lines_join_and_split(void **state)
{
	AUTO(log_writer) struct log_writer *w = writer(0, 1);
	static char big[3 * LOG_LINE_MAX];
	struct log_entry en;
	size_t total = 0, n = 0;

	out(w, "one ");
	log_writer_add(w, LOG_STDERR, "other", 5);
	out(w, "line\xc3");
	out(w, "\xa9\nnext\n");
	memset(big, 'x', sizeof big);
	log_writer_add(w, LOG_STDOUT, big, sizeof big);
	out(w, "y\n");
	/* a line of exactly the limit is one entry */
	log_writer_add(w, LOG_STDOUT, big, LOG_LINE_MAX);
	out(w, "\n");

	AUTO(log_reader) struct log_reader *r = reader(&all);

	expect(r, "one line\xc3\xa9\n");
	expect(r, "next\n");
	while (log_reader_next(r, &en) == LOG_READ_ENTRY) {
		assert_true(en.text.n <= LOG_LINE_MAX + 1);
		total += en.text.n;
		n++;
	}
	assert_int_equal(total, sizeof big + 2 + LOG_LINE_MAX + 1);
	assert_int_equal(n, 5);
}

static void test_rotation_keeps_the_newest(void **state)
{
	AUTO(log_writer) struct log_writer *w = writer(4096, 3);
	char name[128];
	struct log_entry en;
	struct stat st;
	int first = -1, last = -1;

	for (int i = 0; i < 1000; i++) {
		char line[32];

		snprintf(line, sizeof line, "line %d\n", i);
		out(w, line);
	}
	for (int k = 1; k <= 2; k++) {
		snprintf(name, sizeof name, "%s.%d", path, k);
		assert_int_equal(stat(name, &st), 0);
		assert_in_range(st.st_size, 4096, 4096 + 200);
	}
	snprintf(name, sizeof name, "%s.3", path);
	assert_int_equal(stat(name, &st), -1);

	AUTO(log_reader) struct log_reader *r = reader(&all);

	while (log_reader_next(r, &en) == LOG_READ_ENTRY) {
		int i = (int)strtol(en.text.p + 5, NULL, 10);

		assert_true(first < 0 || i == last + 1);
		first = first < 0 ? i : first;
		last = i;
	}
	assert_int_equal(last, 999);
	assert_in_range(first, 800, 950);
}

static void test_tail(void **state)
{
	AUTO(log_writer) struct log_writer *w = writer(2000, 5);
	struct log_entry en;

	for (int i = 0; i < 90; i++) {
		char line[32];

		snprintf(line, sizeof line, "line %d\n", i);
		out(w, line);
	}
	for (int tail = 0; tail <= 90; tail += 7) {
		AUTO(log_reader) struct log_reader *r = reader(&(struct log_query){.tail = tail});
		int i = 90 - tail;

		while (log_reader_next(r, &en) == LOG_READ_ENTRY)
			assert_int_equal(strtol(en.text.p + 5, NULL, 10), i++);
		assert_int_equal(i, 90);
	}

	AUTO(log_reader) struct log_reader *r = reader(&(struct log_query){.tail = 100000});

	expect(r, "line 0\n");
}

static void test_since_until(void **state)
{
	static const char text[] =
		"{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:01Z\"}\n"
		"{\"log\":\"b\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:02.5Z\"}\n"
		"{\"log\":\"c\\n\",\"attrs\":{\"x\":\"y\"},\"stream\":\"stderr\",\"time\":\"2024-"
		"01-01T00:00:03Z\"}\n";
	struct log_query q = all;
	AUTO_FD int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(fs_write_all(fd, text, sizeof text - 1), 0);
	assert_int_equal(clock_parse("2024-01-01T00:00:02Z", &q.since_ns), 0);

	AUTO(log_reader) struct log_reader *r = reader(&q);

	expect(r, "b\n");
	expect(r, "c\n");
	expect_state(r, LOG_READ_END);
	q = all;
	assert_int_equal(clock_parse("2024-01-01T00:00:02.5Z", &q.until_ns), 0);

	AUTO(log_reader) struct log_reader *r2 = reader(&q);

	expect(r2, "a\n");
	expect(r2, "b\n");
	expect_state(r2, LOG_READ_END);
}

static void test_torn_and_corrupt_lines(void **state)
{
	static const char text[] =
		"{\"log\":\"good\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:01Z\"}\n"
		"not "
		"json\n{}\n{\"log\":\"x\"}\n{\"log\":\"\\uZZZZ\",\"stream\":\"stdout\",\"time\":"
		"\"2024-01-01T00:00:01Z\"}\n"
		"{\"log\":\"to";
	AUTO_FD int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(fs_write_all(fd, text, sizeof text - 1), 0);

	AUTO(log_reader) struct log_reader *r = reader(&all);

	expect(r, "good\n");
	expect_state(r, LOG_READ_END);
	assert_int_equal(log_reader_skipped(r), 4);

	/* A new writer does not glue its first line to the torn one. */
	AUTO(log_writer) struct log_writer *w = writer(0, 1);

	out(w, "after\n");

	AUTO(log_reader) struct log_reader *r2 = reader(&all);

	expect(r2, "good\n");
	expect(r2, "after\n");
	expect_state(r2, LOG_READ_END);
	assert_int_equal(log_reader_skipped(r2), 4); /* the torn one was cut off */
}

static void test_huge_garbage_is_bounded(void **state)
{
	AUTO_FREE char *zero = calloc(1, 5 << 20);
	AUTO_FD int fd = open(path, O_CREAT | O_WRONLY, 0600);

	memset(zero, 'z', 5 << 20);
	assert_int_equal(fs_write_all(fd, zero, 5 << 20), 0);

	AUTO(log_writer) struct log_writer *w = writer(0, 1);

	out(w, "fine\n");

	AUTO(log_reader) struct log_reader *r = reader(&all);

	expect(r, "fine\n");
	expect_state(r, LOG_READ_END);
}

static bool readable(struct log_reader *r)
{
	struct pollfd p = {log_reader_fd(r), POLLIN, 0};

	return poll(&p, 1, 1000) == 1;
}

static void test_follow_through_rotation(void **state)
{
	AUTO(log_reader)
	struct log_reader *r = reader(&(struct log_query){.tail = -1, .follow = true});
	struct log_entry en;
	int next = 0;

	expect_state(r, LOG_READ_WAIT); /* no file yet */

	AUTO(log_writer) struct log_writer *w = writer(1500, 3);

	for (int i = 0; i < 300; i++) {
		char line[32];

		snprintf(line, sizeof line, "line %d\n", i);
		out(w, line);
		if (i % 7)
			continue;
		assert_true(readable(r));
		while (log_reader_next(r, &en) == LOG_READ_ENTRY)
			assert_int_equal(strtol(en.text.p + 5, NULL, 10), next++);
		assert_int_equal(next, i + 1);
	}
	/* A line without its newline is not there yet. */
	out(w, "half");
	while (log_reader_next(r, &en) == LOG_READ_ENTRY)
		next++;
	assert_int_equal(next, 300);
	out(w, " line\n");
	assert_true(readable(r));
	expect(r, "half line\n");
	expect_state(r, LOG_READ_WAIT);
	out(w, "last\n");
	log_reader_finish(r);
	expect(r, "last\n");
	expect_state(r, LOG_READ_END);
}

static void test_follow_truncation(void **state)
{
	AUTO(log_writer) struct log_writer *w = writer(300, 1);
	AUTO(log_reader)
	struct log_reader *r = reader(&(struct log_query){.tail = 0, .follow = true});
	struct log_entry en;
	int n = 0;

	for (int i = 0; i < 20; i++) {
		out(w, "a line of some length\n");
		while (log_reader_next(r, &en) == LOG_READ_ENTRY)
			n++;
	}
	assert_int_equal(n, 20);
}

/* The file size limit stands for a full disk: writes fail, the caller never does. */
static void test_full_disk(void **state)
{
	AUTO(log_writer) struct log_writer *w = writer(0, 1);
	struct rlimit old, small = {2000, RLIM_INFINITY};
	struct log_entry en;
	int good = 0, notices = 0;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 100; i++)
		out(w, "a line of some length\n");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_in_range(log_writer_lost(w), 50, 99);

	int kept = 100 - (int)log_writer_lost(w);

	out(w, "again\n");
	out(w, "and again\n");

	AUTO(log_reader) struct log_reader *r = reader(&all);

	while (log_reader_next(r, &en) == LOG_READ_ENTRY) {
		if (en.stream == LOG_STDERR) {
			assert_non_null(memmem(en.text.p, en.text.n,
					       "log lines were lost: File too large", 35));
			notices++;
		} else {
			good++;
		}
	}
	assert_int_equal(log_reader_skipped(r), 0); /* nothing torn */
	assert_int_equal(notices, 1);
	assert_int_equal(good, kept + 2);
}

static void test_parser_on_damaged_lines(void **state)
{
	static const char line[] = "{\"log\":\"a\\u00e9\\ud83d\\udc33\\n\",\"stream\":\"stderr\","
				   "\"time\":\"2024-01-01T00:00:01.5Z\"}";
	struct log_entry en;
	char copy[sizeof line];

	memcpy(copy, line, sizeof line);
	assert_true(log_line_parse(copy, sizeof line - 1, &en));
	assert_true(str_eq(en.text, "a\xc3\xa9\xf0\x9f\x90\xb3\n"));
	/* Every beginning and every single changed byte: no crash, and no beginning passes. */
	for (size_t n = 0; n < sizeof line - 1; n++) {
		AUTO_FREE char *exact = xstrndup(line, n);

		assert_false(log_line_parse(exact, n, &en));
	}
	for (size_t i = 0; i < sizeof line - 1; i++) {
		for (int c = 0; c < 256; c += 5) {
			memcpy(copy, line, sizeof line);
			copy[i] = (char)c;
			if (log_line_parse(copy, sizeof line - 1, &en))
				assert_true(en.text.p >= copy &&
					    en.text.p + en.text.n <= copy + sizeof line);
		}
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_round_trip_of_bytes),
		CASE(test_partial_lines_join_and_split),
		CASE(test_rotation_keeps_the_newest),
		CASE(test_tail),
		CASE(test_since_until),
		CASE(test_torn_and_corrupt_lines),
		CASE(test_huge_garbage_is_bounded),
		CASE(test_follow_through_rotation),
		CASE(test_follow_truncation),
		CASE(test_full_disk),
		CASE(test_parser_on_damaged_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
