/* SPDX-License-Identifier: Apache-2.0 */
/* All layers of one image on their way into the store, and the image's row at the end. */
#pragma once

#include "image/fetch-priv.h"
#include "spec/image.h"

struct layers;

struct layers_want {
	struct image_job *job;
	struct registry *registry; /* NULL: every blob is in the store already */
	struct store_lease *lease;
	const struct objs *descriptors; /* oci_descriptor: digest and size; borrowed until freed */
	const struct strs *diff_ids;
	bool quiet;   /* no progress lines */
	bool loading; /* Docker's words of `load` instead of those of `pull` */
	/* e NULL: all layers are in the store. Runs from the loop, once. */
	void (*done)(void *ud, const struct err *e);
	void *ud;
};
int layers_start(const struct layers_want *w, struct layers **ret, struct err *e);
void layers_free(struct layers *l);	     /* stops what runs; NULL allowed */
bool layers_fetched(const struct layers *l); /* something was not here before */

/* The row: config text of `config`, manifest (may be unset), the index it
 * came from (NULL: none; those known before stay). Layers must be done. */
int layers_put_image(struct layers *l, const struct digest *config, const char *config_text,
		     const struct digest *manifest, const struct digest *index, struct err *e);
