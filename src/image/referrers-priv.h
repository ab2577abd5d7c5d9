/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What refers to a manifest (OCI distribution 1.1, "Listing Referrers"): the registry's API, and
 * where it has none the index under the tag "sha256-HEX".
 */
#pragma once

#include "image/registry-priv.h"
#include "spec/image.h"

struct referrers;
struct referrers_want {
	struct registry *registry; /* held meanwhile */
	const struct digest *subject;
	const char *artifact_type; /* NULL or "": all; borrowed until done */
	struct arena *arena;	   /* has the result; lives until done */
	/* Once, from the loop. found: oci_descriptor, none is no error. The handle is gone then. */
	void (*done)(void *ud, const struct objs *found, const struct err *e);
	void *ud;
};
struct referrers *referrers_get(const struct referrers_want *w);
void referrers_cancel(struct referrers *r); /* NULL allowed */

/* "sha256-HEX" and a suffix: the fallback tag, and cosign's names ("sha256-HEX.sig"). */
void referrers_tag(const struct digest *d, const char *suffix, char ret[static 160]);
