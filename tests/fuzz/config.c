/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: an OCI runtime configuration; what is accepted must come back from its own encoding.
 */
#include "spec/oci-config.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_config c, again;
	struct err e = ERR_INIT;

	AUTO(arena) struct arena *a = arena_new();
	if (json_decode_text((const char *)data, size, &oci_config_schema, &c, a, &e) < 0)
		return 0;
	struct buf text = BUF_INIT(64 << 20);
	struct jw w = JW_INIT(&text);

	json_encode(&w, &oci_config_schema, &c);
	if (!text.overflow &&
	    json_decode_text(text.p, text.n, &oci_config_schema, &again, a, &e) < 0)
		abort();
	buf_done(&text);
	return 0;
}
