/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: any JSON text through the parser, and what it accepts through writer and parser
 * again. */
#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json *first = NULL, *second = NULL;
	struct err e = ERR_INIT;

	if (json_parse((const char *)data, size, &first, &e) < 0)
		return 0;
	struct buf text = BUF_INIT(64 << 20);

	json_dump(first, &text);
	/* What we write we must be able to read. */
	if (!text.overflow && json_parse(text.p, text.n, &second, &e) < 0)
		abort();
	json_free(second);
	json_free(first);
	buf_done(&text);
	return 0;
}
