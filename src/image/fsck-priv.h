/* SPDX-License-Identifier: Apache-2.0 */
/* The check of the whole store as a job; see fsck.c. */
#pragma once

#include "image/layers-priv.h"
#include "image/worker-priv.h"
#include "store/check.h"

#define FSCK_WORKERS 2
#define FSCK_WRONG   INT64_MAX

enum fsck_kind { FSCK_BLOB, FSCK_LAYER };

/* One blob or layer whose content is looked at. */
struct fsck_item {
	struct fsck *job;
	enum fsck_kind kind;
	struct digest digest; /* blob, or chain id */
	struct digest image;  /* blob: one that needs it */
	struct store_layer layer;
	struct image_worker *worker;
	int fd, seal_fd; /* open while the worker runs */
	int64_t size;	 /* blob: what a manifest says; -1: nobody says, FSCK_WRONG: it is wrong */
	char what[600];	 /* the damage; "" is sound */
	uint64_t more;	 /* further differences */
	bool deferred;	 /* told after the images were made again */
};

struct fsck {
	struct image_job job;
	struct image_fsck o;
	unsigned part; /* next of enum store_check_part */
	bool content_done;
	struct fsck_item *items;
	size_t nitems, next, done, running;
	struct image_fsck_result res;
	struct service_soon *soon;
	/* images that are made again from their blobs */
	struct digest *images;
	size_t nimages, image;
	struct arena *arena;
	struct layers *layers;
	struct store_lease *lease;
	struct image_config config;
	char *config_text;
	struct oci_manifest manifest;
	struct digest manifest_digest;
};

void fsck_tell(struct fsck *f, const struct store_problem *p);
void fsck_next(struct fsck *f); /* from the loop, once more */

/* A worker compares the layer with its seal. *ret_dir and *ret_seal are the caller's to close;
 * without a seal (negative) there is no worker. */
struct layer_check {
	int64_t id;
	bool quick;
	struct image_worker_ops ops;
};
int fsck_check_layer(struct image_service *s, const struct layer_check *o,
		     struct image_worker **ret, int *ret_dir, int *ret_seal, struct err *e);

/* ---- fsck-rebuild.c ---- */
int fsck_rebuild_list(struct fsck *f, struct err *e);
/* Start with f->images[f->image]; calls fsck_next() when it is over. */
void fsck_rebuild_one(struct fsck *f);
void fsck_rebuild_done(struct fsck *f);
