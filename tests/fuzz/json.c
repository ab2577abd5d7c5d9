/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: any JSON text through the parser, and what it accepts through writer and parser
 * again. */
#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *ud, const struct json *item, struct err *e)
{
	(void)item;
	(void)e;
	++*(size_t *)ud;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t items = 0;
	struct json *first = NULL, *second = NULL;
	struct err e = ERR_INIT;

	if (json_parse((const char *)data, size, &first, &e) < 0) {
		json_items((const char *)data, size, count, &items, &e);
		return 0;
	}
	/* Item by item gives what the whole gives. */
	if (json_kind_of(first) == JSON_ARRAY &&
	    (json_items((const char *)data, size, count, &items, &e) < 0 ||
	     items != json_len(first)))
		abort();
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
