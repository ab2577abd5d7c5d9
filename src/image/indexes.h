/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index an image came from: its text stays in blobs/ as long as the image, and the image's
 * names say which it is.
 */
#pragma once

#include "image/service-priv.h"
#include "spec/image.h"

/* The i-th index of the image that is in the store, from 0; false past the last. */
bool image_index_at(struct image_service *s, const struct store_image *img, size_t i,
		    struct digest *ret);

/* "Manifests" of GET /images/json: which platforms there are, which are here. */
struct image_manifests;
struct image_manifests *image_manifests_new(struct image_service *s, const struct image_list *o,
					    struct err *e);
void image_manifests_free(struct image_manifests *m); /* NULL allowed */
DEFINE_AUTO(image_manifests);
/* Writes the key and the array; returns the bytes on disk of what is here. */
uint64_t image_manifests_write(struct image_manifests *m, const struct store_image *img,
			       struct jw *w);
/* What the image's name stands for: the index (unless only the manifest is asked for), else the
 * manifest. Nothing when neither is known. */
void image_descriptor_write(struct image_service *s, const struct store_image *img, bool index,
			    struct jw *w);
