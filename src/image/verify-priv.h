/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy applied to one image of a registry, before anything of it but its manifest is
 * fetched. Signatures are looked for under cosign's tag "sha256-HEX.sig" and among the referrers.
 */
#pragma once

#include "image/registry-priv.h"
#include "image/service-priv.h"

struct verify;
struct verify_want {
	struct image_service *service;
	struct registry *registry;   /* of the image; held meanwhile */
	const struct image_ref *ref; /* as asked for */
	/* The document under that reference; and the manifest chosen from it when it is an index. A
	 * signature of either will do: the index names the manifest by digest. */
	const struct digest *top, *manifest;
	/* Once, from the loop, unless verify_start() said it all; e NULL: accepted. */
	void (*done)(void *ud, const struct err *e);
	void *ud;
};
/*
 * 0 with *ret NULL: accepted, done() will not run. -1: refused ("Source image rejected: ...",
 * ERR_DENIED), or the policy or a key of it is not valid.
 */
int verify_start(const struct verify_want *w, struct verify **ret, struct err *e);
void verify_free(struct verify *v); /* NULL allowed */
