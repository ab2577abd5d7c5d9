/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about blobs elsewhere, kept in the store's documents: in which repositories of a
 * registry a blob was seen (mounting it from there saves the upload), and what a layer that was
 * compressed for a push became (the registry may have it already). Hints only: wrong ones cost a
 * request. Failures of the store are ignored here.
 */
#pragma once

#include "image/service-priv.h"

#define KNOWN_REPOS_MAX 16

void known_add(struct image_service *s, const struct image_ref *ref, const struct digest *blob);
void known_forget(struct image_service *s, const char *domain, const char *repo,
		  const struct digest *blob);
/* Repositories ("library/alpine"), latest first; strings of the arena. */
void known_repos(struct image_service *s, const char *domain, const struct digest *blob,
		 struct arena *a, struct strs *ret);

/* how: "gzip:2". */
void known_packed_put(struct image_service *s, const struct digest *source, const char *how,
		      const struct digest *blob, uint64_t size);
bool known_packed_get(struct image_service *s, const struct digest *source, const char *how,
		      struct digest *ret, uint64_t *ret_size);

/* Drop what is about blobs that are gone. */
void known_sweep(struct image_service *s);
