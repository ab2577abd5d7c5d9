/* SPDX-License-Identifier: Apache-2.0 */
/* References: what users write, the canonical and the familiar form, Docker's refusals. */
#include "image/ref.h"

#include "cmocka-all.h"

#include <string.h>

#define D64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void accepted(void **state)
{
	static const struct {
		const char *text, *canonical, *familiar;
	} t[] = {
		{"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"},
		{"me/app", "docker.io/me/app:latest", "me/app:latest"},
		{"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
		{"index.docker.io/me/app:1", "docker.io/me/app:1", "me/app:1"},
		{"localhost/x", "localhost/x:latest", "localhost/x:latest"},
		{"127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"},
		{"host.example/a__b.c-d", "host.example/a__b.c-d:latest",
		 "host.example/a__b.c-d:latest"},
		{"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
		{"Host/x", "Host/x:latest", "Host/x:latest"},
		{"a---b", "docker.io/library/a---b:latest", "a---b:latest"},
		{"x@sha256:" D64, "docker.io/library/x@sha256:" D64, "x@sha256:" D64},
		{"x:t@sha256:" D64, "docker.io/library/x@sha256:" D64, "x:t@sha256:" D64},
	};
	char text[IMAGE_REF_TEXT_MAX];
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct image_ref r;
		struct err e = ERR_INIT;
		if (image_ref_parse(t[i].text, &r, &e) < 0)
			fail_msg("%s: %s", t[i].text, e.text);
		image_ref_default_tag(&r);
		image_ref_canonical(&r, text);
		assert_string_equal(text, t[i].canonical);
		image_ref_familiar(&r, text);
		assert_string_equal(text, t[i].familiar);
		image_ref_canonical(&r, text);
		struct image_ref again;
		assert_int_equal(image_ref_parse(text, &again, &e), 0);
		assert_string_equal(again.path, r.path);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *text, *error;
	} t[] = {
		{"", "invalid reference format"},
		{"Foo",
		 "invalid reference format: repository name (library/Foo) must be lowercase"},
		{"me/Foo:1",
		 "invalid reference format: repository name (me/Foo) must be lowercase"},
		{"a:", "invalid reference format"},
		{"a:b c", "invalid reference format"},
		{"a:.x", "invalid reference format"},
		{"-a", "invalid reference format"},
		{"a..b", "invalid reference format"},
		{"a___b", "invalid reference format"},
		{"a/", "invalid reference format"},
		{"a//b", "invalid reference format"},
		{"/a", "invalid reference format"},
		{"a@sha256:12", "invalid reference format"},
		{"a@", "invalid reference format"},
		{"host:/a", "invalid reference format"},
		{"h.x:80a/a", "invalid reference format"},
		{"../etc", "invalid reference format"},
		{D64,
		 "invalid repository name (" D64 "), cannot specify 64-byte hexadecimal strings"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct image_ref r = {.path = "untouched"};
		struct err e = ERR_INIT;
		if (image_ref_parse(t[i].text, &r, &e) == 0)
			fail_msg("\"%s\" was accepted", t[i].text);
		assert_string_equal(e.text, t[i].error);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(r.path, "untouched");
	}
}

static void lengths(void **state)
{
	char text[400];
	struct image_ref r;
	struct err e = ERR_INIT;
	memset(text, 'a', sizeof(text));
	text[247] = '\0'; /* with "library/" exactly 255, without the domain */
	assert_int_equal(image_ref_parse(text, &r, &e), -1);
	text[237] = '\0'; /* "docker.io/library/" + 237 = 255 */
	assert_int_equal(image_ref_parse(text, &r, &e), 0);
	text[237] = 'a';
	text[238] = '\0';
	assert_int_equal(image_ref_parse(text, &r, &e), -1);
	assert_string_equal(e.text, "repository name must not be more than 255 characters");
	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[130] = '\0';
	assert_int_equal(image_ref_parse(text, &r, &e), 0);
	assert_int_equal(strlen(r.tag), 128);
	text[130] = 'a';
	text[131] = '\0';
	assert_int_equal(image_ref_parse(text, &r, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
