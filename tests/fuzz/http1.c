/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: HTTP answers, in pieces whose size the first byte gives. */
#include "wire/http1.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1 h;

	if (size < 1)
		return 0;
	size_t piece = data[0] ? data[0] : size;
	const char *p = (const char *)data + 1, *end = (const char *)data + size;

	http1_init(&h);
	while (p < end && !http1_done(&h) && h.state != HTTP1_UPGRADED) {
		const char *body = NULL;
		size_t n_body = 0, n = (size_t)(end - p) < piece ? (size_t)(end - p) : piece;
		ssize_t used = http1_feed(&h, p, n, &body, &n_body);

		if (used < 0)
			return 0;
		if (used == 0 || (size_t)used > n)
			abort();
		if (n_body && (body < p || body + n_body > p + n))
			abort();
		p += used;
	}
	http1_eof(&h);
	return 0;
}
