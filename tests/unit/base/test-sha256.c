/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 against the library's, over all lengths around block borders. */
#include "base/sha256.h"
#include "cmocka-all.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

static void test_known(void **state)
{
	char hex[SHA256_HEX_MAX];

	(void)state;
	sha256_hex("", 0, hex);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_hex("aa", 2, hex);
	assert_string_equal(hex,
			    "961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506");
}

static void test_lengths(void **state)
{
	unsigned char text[300], want[SHA256_DIGEST_LENGTH];
	char hex[SHA256_HEX_MAX], expected[SHA256_HEX_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)(i * 7 + 3);
	for (size_t n = 0; n <= sizeof(text); n++) {
		SHA256(text, n, want);
		for (size_t i = 0; i < sizeof(want); i++)
			snprintf(expected + 2 * i, 3, "%02x", want[i]);
		sha256_hex(text, n, hex);
		assert_string_equal(hex, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
