/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the filters parameter of lists. */
#include "spec/filters.h"

#include <stdint.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filters f;
	struct err e = ERR_INIT;

	AUTO(arena) struct arena *a = arena_new();
	if (filters_decode(arena_strndup(a, (const char *)data, size), &f, a, &e) == 0)
		filters_match(&f, "name", "value");
	return 0;
}
