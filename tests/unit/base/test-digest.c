/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: known answers (FIPS 180-4 examples), strict parsing. */
#include "base/digest.h"
#include "cmocka-all.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_known_answer(void **state)
{
	struct digest d;

	(void)state;
	digest_of("abc", 3, &d);
	assert_string_equal(d.text, "sha256:" ABC);
	assert_string_equal(digest_hex(&d), ABC);
	AUTO(hasher) struct hasher *h = hasher_new("sha256");
	struct digest in_parts;
	hasher_add(h, "a", 1);
	hasher_add(h, "bc", 2);
	hasher_final(h, &in_parts);
	assert_true(digest_eq(&d, &in_parts));
	assert_null(hasher_new("md5"));
}

static void test_parse(void **state)
{
	static const char *const bad[] = {"",
					  "sha256:",
					  "sha256:" ABC "0",
					  "sha256:BA7816BF",
					  "md5:" ABC,
					  "sha256-" ABC,
					  ABC,
					  "sha512:" ABC,
					  "sha256:../../../etc/passwd"};
	struct digest d;

	(void)state;
	assert_int_equal(digest_parse("sha256:" ABC, &d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(digest_parse(bad[i], &d), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_answer),
					   cmocka_unit_test(test_parse)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
