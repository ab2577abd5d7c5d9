/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: lines of json-file logs, records of local ones, and addresses of log targets. */
#include "base/mem.h"
#include "logs/logs.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xmalloc(size + 1);
	struct log_address address;
	struct log_entry en;
	ssize_t n = 1;

	memcpy(copy, data, size);
	copy[size] = '\0';
	log_address_parse(copy, &address);
	if (log_line_parse(copy, size, &en) && en.text.n > size)
		__builtin_trap();
	memcpy(copy, data, size);
	for (size_t at = 0; at < size && n > 0; at += (size_t)n) {
		n = log_record_parse(copy + at, size - at, &en);
		if (n > 0 && ((size_t)n > size - at || en.text.n >= (size_t)n))
			__builtin_trap();
	}
	free(copy);
	return 0;
}
