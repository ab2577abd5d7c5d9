/* SPDX-License-Identifier: Apache-2.0 */
/* Map against a plain array of flags: thousands of sets and deletes in a fixed pseudo-random order.
 */
#include "base/map.h"
#include "cmocka-all.h"

#include <stdio.h>

#define KEYS 500

static void test_against_model(void **state)
{
	AUTO(map) struct map *m = map_new();
	char model[KEYS] = {0};
	static char values[KEYS];
	unsigned seed = 1;
	size_t live = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char key[16];
		seed = seed * 1103515245 + 12345;
		unsigned k = (seed >> 16) % KEYS;
		snprintf(key, sizeof key, "key%u", k);
		if (seed & 0x40000000) {
			assert_ptr_equal(map_set(m, key, &values[k]), model[k] ? &values[k] : NULL);
			live += !model[k];
			model[k] = 1;
		} else {
			assert_ptr_equal(map_del(m, key), model[k] ? &values[k] : NULL);
			live -= (size_t)model[k];
			model[k] = 0;
		}
		assert_int_equal(map_count(m), live);
	}
	size_t pos = 0, n = 0;
	const char *key;
	void *value;
	while (map_next(m, &pos, &key, &value)) {
		assert_ptr_equal(map_get(m, key), value);
		assert_int_equal(model[(char *)value - values], 1);
		n++;
		map_del(m, key); /* allowed while walking */
	}
	assert_int_equal(n, live);
	assert_int_equal(map_count(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
