/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a Go template over a fixed document. */
#include "wire/gotemplate.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] = "{\"Name\":\"x\",\"N\":5,\"F\":1.5,\"B\":true,\"L\":[1,\"two\",{"
			       "\"k\":null}],\"M\":{\"a\":\"b\",\"c\":{}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gt_options options = {.missing = GT_MISSING_NO_VALUE};
	struct gt_template *t = NULL;
	struct json *dot = NULL;
	struct err e = ERR_INIT;

	AUTO(arena) struct arena *a = arena_new();
	if (json_parse(document, strlen(document), &dot, &e) < 0)
		return 0;
	if (gt_parse(arena_strndup(a, (const char *)data, size), &t, &e) == 0) {
		struct buf out = BUF_INIT(1 << 20);

		gt_run(t, dot, &options, &out, &e);
		buf_done(&out);
		gt_free(t);
	}
	json_free(dot);
	return 0;
}
