/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: instructions of `--change`, applied twice to one configuration. */
#include "spec/instructions.h"

#include <stdint.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf out = BUF_INIT((size_t)64 << 20);
	struct jw w = JW_INIT(&out);
	struct container_config c = {0};
	struct strs texts = {0};
	struct err e = ERR_INIT;

	strs_push(&texts, a, arena_strndup(a, (const char *)data, size));
	strs_push(&texts, a, texts.v[0]);
	if (instructions_apply(&texts, &c, a, &e) < 0)
		ASSERT(e.kind != ERR_NONE && e.text[0]);
	else
		json_encode(&w, &container_config_schema, &c);
	return 0;
}
