/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the body of a create request. */
#include "spec/container.h"

#include <stdint.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct container_create c;
	struct err e = ERR_INIT;
	struct json *j = NULL;

	AUTO(arena) struct arena *a = arena_new();
	if (json_parse((const char *)data, size, &j, &e) < 0)
		return 0;
	container_create_decode(j, &c, a, &e);
	json_free(j);
	return 0;
}
