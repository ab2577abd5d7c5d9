/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk usage of the store, to the byte. What is counted: allocated blocks (st_blocks * 512) of
 * every file and directory below DATA, files with several names once; so `total` is what `du -s
 * --block-size=1 DATA` says, and the parts add up to it. Layers never change, so their size is
 * measured once and kept in the database.
 *
 * store_measure_new() and store_measure_keep() on the store's thread, store_measure_run() on any.
 */
#pragma once

#include "store/store.h"

struct store_measure {
	uint64_t total;
	uint64_t layers, blobs, containers, volumes;
	uint64_t ingest;   /* half downloads, archives being loaded */
	uint64_t trash;	   /* being deleted */
	uint64_t database; /* state.db and its log */
	uint64_t other;	   /* folders, reserve, strangers */
};

struct store_measuring;
struct store_measuring *store_measure_new(struct store *s, struct err *e); /* NULL: *e */
int store_measure_run(struct store_measuring *m); /* blocks; negative errno */
/* Keep what was learnt about layers. */
int store_measure_keep(struct store *s, struct store_measuring *m, struct err *e);
void store_measuring_free(struct store_measuring *m);
DEFINE_AUTO(store_measuring);

/* Answers after store_measure_run(); 0 for what is not there. */
const struct store_measure *store_measure_sum(const struct store_measuring *m);
uint64_t store_measure_container(const struct store_measuring *m, const char *id); /* upper */
uint64_t store_measure_volume(const struct store_measuring *m, const char *name);
uint64_t store_measure_layer(const struct store_measuring *m, int64_t id);
uint64_t store_measure_blob(const struct store_measuring *m, const struct digest *blob);

/*
 * What images occupy: their layers and blobs. shared: the part that other images need too.
 * reclaimable: of all images, what would go with those no container uses; in_use tells.
 */
struct store_image_usage {
	uint64_t size, shared;
	int64_t layers_size, layers_shared; /* content of the layers only, as `images` shows it */
};
/* Runs for every image. measuring may be NULL: only the content is told. */
typedef void (*store_image_usage_fn)(void *ud, const struct digest *id,
				     const struct store_image_usage *u);
int store_image_usages(struct store *s, const struct store_measuring *m, store_image_usage_fn fn,
		       void *ud, struct err *e);
