/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges and credentials. */
#include "image/auth.h"

#include "cmocka-all.h"

#include <string.h>

static void bearer(void **state)
{
	struct auth_challenge c;
	auth_challenge_parse("Bearer realm=\"https://a.example/token\",service=\"reg, "
			     "istry\",scope=\"repository:a/b:pull,push\"",
			     &c);
	assert_int_equal(c.scheme, AUTH_BEARER);
	assert_string_equal(c.realm, "https://a.example/token");
	assert_string_equal(c.service, "reg, istry");
	assert_string_equal(c.scope, "repository:a/b:pull,push");
	auth_challenge_parse("bearer  Realm = \"x\\\"y\" , ERROR=invalid_token", &c);
	assert_string_equal(c.realm, "x\"y");
	assert_string_equal(c.error, "invalid_token");
}

static void several(void **state)
{
	struct auth_challenge c;
	auth_challenge_parse("Basic realm=\"r\", Bearer realm=\"http://t/\"", &c);
	assert_int_equal(c.scheme, AUTH_BEARER);
	assert_string_equal(c.realm, "http://t/");
	auth_challenge_parse("Negotiate, Basic realm=\"r\"", &c);
	assert_int_equal(c.scheme, AUTH_BASIC);
	auth_challenge_parse("Bearer service=\"no realm\"", &c);
	assert_int_equal(c.scheme, AUTH_NONE);
	auth_challenge_parse("", &c);
	assert_int_equal(c.scheme, AUTH_NONE);
	auth_challenge_parse(NULL, &c);
	assert_int_equal(c.scheme, AUTH_NONE);
	auth_challenge_parse("Basic realm=\"never closed", &c);
	assert_int_equal(c.scheme, AUTH_BASIC);
}

static void credentials(void **state)
{
	struct auth_credentials c;
	struct err e = ERR_INIT;
	AUTO_BUF struct buf out = BUF_INIT(1000);
	/* {"username":"u","password":"p?>~"} in the URL alphabet, no padding */
	assert_int_equal(
		auth_credentials_decode("eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA_Pn4ifQ", &c, &e),
		0);
	assert_string_equal(c.user, "u");
	assert_string_equal(c.secret, "p?>~");
	auth_basic_value(&c, &out);
	assert_string_equal(buf_text(&out), "Basic dTpwPz5+");
	/* {"auth":"dTpw"} */
	assert_int_equal(auth_credentials_decode("eyJhdXRoIjoiZFRwdyJ9", &c, &e), 0);
	assert_string_equal(c.user, "u");
	assert_string_equal(c.secret, "p");
	assert_int_equal(auth_credentials_decode("", &c, &e), 0);
	assert_string_equal(c.user, "");
	assert_int_equal(auth_credentials_decode("%%%", &c, &e), -1);
	assert_int_equal(auth_credentials_decode("bm90IGpzb24", &c, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_null(strstr(e.text, "not json")); /* never quotes what may be a secret */
}

static void encoding(void **state)
{
	AUTO_BUF struct buf out = BUF_INIT(1000);
	auth_url_encode("repository:a/b:pull,push x~", &out);
	assert_string_equal(buf_text(&out), "repository%3Aa%2Fb%3Apull%2Cpush%20x~");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bearer),
		cmocka_unit_test(several),
		cmocka_unit_test(credentials),
		cmocka_unit_test(encoding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
