/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: messages between engine and shim, detach keys and base64. */
#include "wire/shim-proto.h"

#include <stdint.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct shim_request request;
	struct shim_message message;
	struct detach_keys keys;
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT(1 << 20);

	AUTO(arena) struct arena *a = arena_new();
	shim_request_decode(p, size, &request, a, &e);
	shim_message_decode(p, size, &message, a, &e);
	const char *text = arena_strndup(a, p, size);

	base64_decode(text, &out);
	if (detach_keys_parse(text, &keys) < 0)
		detach_keys_parse(NULL, &keys);
	for (size_t at = 0, n; at < size; at += n) {
		n = size - at < 7 ? size - at : 7;
		detach_keys_feed(&keys, p + at, n, &out);
	}
	if (!out.overflow && out.n > 4 * size + 64)
		__builtin_trap();
	buf_done(&out);
	return 0;
}
