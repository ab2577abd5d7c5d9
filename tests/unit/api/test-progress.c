/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of Docker's progress streams. */
#include "api/progress.h"
#include "cmocka-all.h"
#include "image/image.h"

static void expect(struct image_progress p, const char *line)
{
	AUTO_BUF struct buf out = BUF_INIT(4096);

	api_progress_line(&p, &out);
	assert_string_equal(buf_text(&out), line);
}

static void lines(void **state)
{
	expect((struct image_progress){.status = "Pulling from library/alpine", .id = "latest"},
	       "{\"status\":\"Pulling from "
	       "library/alpine\",\"progressDetail\":{},\"id\":\"latest\"}\r\n");
	expect((struct image_progress){.status = "Digest: sha256:ab"},
	       "{\"status\":\"Digest: sha256:ab\"}\r\n");
	expect((struct image_progress){.stream = "Loaded image: a:b\n"},
	       "{\"stream\":\"Loaded image: a:b\\n\"}\r\n");
	expect((struct image_progress){.status = "Downloading",
				       .id = "x",
				       .has_detail = true,
				       .current = 1000,
				       .total = 4000},
	       "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1000,\"total\":4000},"
	       "\"progress\":\"[============>                                      ]      "
	       "1kB/4kB\",\"id\":\"x\"}\r\n");
}

static void bars(void **state)
{
	static const struct {
		int64_t current, total;
		const char *text;
	} rows[] = {
		{0, 0, ""},
		{512, 0, "    512B"},
		{1536, 0, " 1.536kB"},
		{0, 100, "[>                                                  ]       0B/100B"},
		{100, 100, "[==================================================>]     100B/100B"},
		{200, 100, "[==================================================>]     200B"},
		{12345678, 49382716,
		 "[============>                                      ]  12.35MB/49.38MB"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096);
		api_progress_bar(rows[i].current, rows[i].total, &out);
		assert_string_equal(buf_text(&out), rows[i].text);
	}
}

static void errors(void **state)
{
	AUTO_BUF struct buf out = BUF_INIT(4096);

	api_progress_error("manifest \"x\"", &out);
	assert_string_equal(buf_text(&out), "{\"errorDetail\":{\"message\":\"manifest "
					    "\\\"x\\\"\"},\"error\":\"manifest \\\"x\\\"\"}\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(bars),
		cmocka_unit_test(errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
