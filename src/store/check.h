/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking the store: what the database and the folders say about each other. Content of blobs and
 * layers is judged by workers (image/fsck.c), which use the lists and verdicts below. Each part is
 * short enough for the loop's thread.
 *
 * Nothing that is sound is removed: directories go to the trash only when no row, no lease and no
 * running job of this process knows them; volumes are adopted.
 */
#pragma once

#include "store/store.h"

struct store_problem {
	const char *kind;   /* database, ref, image, layer, blob, container, volume, orphan */
	const char *name;   /* digest, id, name, or path below the data directory */
	const char *text;   /* what is wrong */
	const char *advice; /* what to do about it, NULL: repaired, or --repair does it */
	bool repaired;
};
typedef void (*store_problem_fn)(void *ud, const struct store_problem *p);

enum store_check_part {
	STORE_CHECK_DATABASE,	/* pages and indexes */
	STORE_CHECK_ROWS,	/* references between the tables */
	STORE_CHECK_CONTAINERS, /* rows, folders, snapshots */
	STORE_CHECK_VOLUMES,
	STORE_CHECK_ORPHANS, /* files and rows that nothing needs */
	STORE_CHECK_PARTS
};
int store_check(struct store *s, enum store_check_part part, bool repair, store_problem_fn fn,
		void *ud, struct err *e);

/* Every blob an image needs, with the id of one such image. Collected first: fn may change rows. */
typedef int (*store_blob_fn)(const struct digest *blob, const struct digest *image, void *ud);
int store_check_blobs(struct store *s, store_blob_fn fn, void *ud, struct err *e);

/*
 * The blob is damaged or gone: a config is written again from its row (*ret_restored); anything
 * else goes to the trash and out of the rows of its images, which stay usable by their layers. A
 * blob that a running job holds is left alone: ERR_CONFLICT.
 */
int store_blob_condemn(struct store *s, const struct digest *blob, bool *ret_restored,
		       struct err *e);

/* "NAME, NAME" of images that need the layer, by tag or short id. At most a handful. */
void store_layer_images(struct store *s, const struct digest *chain, char *ret, size_t n);
/* Ids of images whose layers are broken, of which rows are missing, or whose own row is gone while
 * a reference names it. */
int store_check_broken(struct store *s, store_digest_fn fn, void *ud, struct err *e);
/* Names and rows of an image that has no row of its own. */
int store_image_forget(struct store *s, const struct digest *image, struct err *e);
/* A manifest in blobs/ whose config is `image`. ERR_NOT_FOUND. */
int store_manifest_of(struct store *s, const struct digest *image, struct digest *ret,
		      struct err *e);
/* Container ids whose root file system uses the layer. */
typedef int (*store_id_fn)(const char *id, void *ud);
int store_layer_containers(struct store *s, const struct digest *chain, store_id_fn fn, void *ud,
			   struct err *e);
