/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers whose blob is not in the store any more (fsck dropped it, a registry's was never kept)
 * made again from their trees, as plain tar, for images that leave the machine. Layers that were
 * made here come out as they were; of others the content is the same but not the bytes, so that the
 * image gets another configuration and another manifest.
 */
#pragma once

#include "image/service-priv.h"

struct repack;

/* Does the image have such layers? */
bool repack_needed(struct image_service *s, const struct store_image *img);
/*
 * Pack them all; they become blobs that the lease holds. `done` runs once, from the loop; the
 * repack stays until repack_free(), for repack_get(). -1: `done` never runs.
 */
int repack_start(struct image_service *s, const struct store_image *img, struct store_lease *lease,
		 void (*done)(void *ud, const struct err *e), void *ud, struct repack **ret,
		 struct err *e);
/* The plain tar that stands for the layer; false: it was not packed. r NULL allowed. */
bool repack_get(const struct repack *r, const struct digest *chain, struct digest *ret);
void repack_free(struct repack *r); /* stops it; NULL allowed */
