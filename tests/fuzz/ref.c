/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: image references; a canonical text must parse to itself. */
#include "image/ref.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char canonical[IMAGE_REF_TEXT_MAX], twice[IMAGE_REF_TEXT_MAX], text[2048];
	struct image_ref ref, again;
	struct err e = ERR_INIT;

	if (size >= sizeof text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (image_ref_parse(text, &ref, &e) < 0)
		return 0;
	image_ref_default_tag(&ref);
	image_ref_canonical(&ref, canonical);
	if (image_ref_parse(canonical, &again, &e) < 0)
		abort();
	image_ref_canonical(&again, twice);
	if (strcmp(canonical, twice) != 0)
		abort();
	return 0;
}
