/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the TOML reader. A tree must be walkable, its texts terminated, its faults placed.
 */
#include "wire/toml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct toml *t, unsigned depth)
{
	size_t n = 1;
	if (depth > 4 * TOML_DEPTH_MAX || !t->line || !t->column)
		abort();
	if (t->kind == TOML_STRING || t->kind == TOML_OTHER)
		n += strlen(t->text);
	for (const struct toml *m = t->first; m; m = m->next) {
		if (t->kind == TOML_TABLE && toml_get(t, m->key) != m)
			abort();
		n += walk(m, depth + 1);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct toml *t = NULL;
	if (toml_parse((const char *)data, size, a, &t, &e) == 0)
		walk(t, 0);
	else if (!e.text[0] || (e.kind != ERR_INVALID && e.kind != ERR_LIMIT))
		abort();
	return 0;
}
