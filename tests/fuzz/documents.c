/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the documents of images: manifests, indexes, configurations, archives. */
#include "spec/image.h"

#include <stdint.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct oci_index index;
	struct oci_manifest manifest;
	struct image_config config;
	struct objs images;
	enum manifest_kind kind;
	struct err e = ERR_INIT;

	AUTO(arena) struct arena *a = arena_new();
	manifest_kind_of(p, size, NULL, &kind, &e);
	oci_index_decode(p, size, &index, a, &e);
	oci_manifest_decode(p, size, &manifest, a, &e);
	image_config_decode(p, size, &config, a, &e);
	archive_manifest_decode(p, size, &images, a, &e);
	return 0;
}
