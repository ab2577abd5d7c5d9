/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets: version prefix, escapes, query, and a match against a table with every kind of
 * pattern. */
#include "api/route.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct api_route table[] = {
	{"GET", "/containers/{id}/json", NULL, API_BODY_JSON},
	{"GET", "/images/{name*}/json", NULL, API_BODY_JSON},
	{"GET", "/images/{name*}", NULL, API_BODY_JSON},
	{"GET", "/a/{x}/{y}/{z}", NULL, API_BODY_JSON},
	{0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena *a = arena_new();
	const char *params[API_PARAMS_MAX] = {0};
	struct err e = ERR_INIT;
	struct api_target t;
	char *text = arena_strndup(a, (const char *)data, size);

	if (api_target_parse(text, &t, a, &e) < 0) {
		ASSERT(e.kind == ERR_INVALID && e.text[0]);
		return 0;
	}
	ASSERT(t.version >= API_VERSION_MIN && t.version <= API_VERSION_MAX && t.path[0] == '/');
	for (size_t i = 0; i < t.nquery; i++)
		ASSERT(api_target_query(&t, t.query[i].k) && t.query[i].v);
	const struct api_route *r = api_route_find(table, "GET", t.path, params, a);
	for (size_t i = 0; r && i < API_PARAMS_MAX && params[i]; i++)
		ASSERT(strstr(t.path, params[i]) && params[i][0]);
	return 0;
}
