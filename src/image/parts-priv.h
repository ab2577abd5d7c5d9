/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is made of, for leaving the machine: manifest, config, layer blobs. */
#pragma once

#include "image/service-priv.h"
#include "spec/image.h"

struct part {
	struct digest digest;
	uint64_t size;
	struct digest diff_id;
};

struct parts {
	struct buf manifest; /* JSON text */
	const char *media_type;
	struct digest manifest_digest;
	bool manifest_stored; /* also in blobs/ */
	struct part config;
	struct part *layers;
	size_t nlayers;
};
/*
 * The manifest the image came with, byte for byte, when all its blobs are here; else one made from
 * the blobs the layers came from.
 */
int parts_of(struct image_service *s, const struct store_image *img, struct parts **ret,
	     struct err *e);
void parts_free(struct parts *p);
DEFINE_AUTO(parts);
