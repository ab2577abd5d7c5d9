/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers on their way into the store: download, check, unpack as one stream through a worker.
 * Several jobs may want the same layer: they share one fetch, which ends when nobody wants it.
 */
#pragma once

#include "image/registry-priv.h"
#include "image/service-priv.h"

struct fetch;

struct fetch_want {
	struct digest blob, diff_id, chain;
	struct digest parent;	 /* chain id below; unset: base layer */
	uint64_t size;		 /* of the blob */
	const struct strs *urls; /* of a foreign layer, asked before the repository; NULL */
	struct registry *registry;
};

struct fetch_sub {
	struct list link;
	struct fetch *fetch; /* NULL when it ended */
	/* Docker's words for the layer's state. */
	void (*progress)(void *ud, const char *status, int64_t current, int64_t total);
	void (*syncing)(void *ud);  /* only the disk is waited for */
	void (*unpacked)(void *ud); /* the heavy part is over, the layer waits for its parent */
	void (*done)(void *ud, const struct err *e); /* in the store, or failed */
	void *ud;
};
/* Callbacks of `sub` never run before this returns. */
void fetch_subscribe(struct image_service *s, const struct fetch_want *want, struct fetch_sub *sub);
void fetch_unsubscribe(struct fetch_sub *sub); /* unlinked is fine */
/* Downloads of all jobs: on their way or being unpacked, and those that only wait for the disk. */
void fetch_count(const struct image_service *s, size_t *ret_active, size_t *ret_syncing);
/* The layer is on its way already: one more who waits for it costs nothing. */
bool fetch_known(const struct image_service *s, const struct digest *chain,
		 const struct digest *blob);
/* layers.c: a download may begin for whoever waits for one. */
void layers_poke(struct image_service *s);
/* The owners that the result line of an unpacked layer tells. */
struct store_ids fetch_ids(const struct json *result);
