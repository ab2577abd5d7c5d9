/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry has that refers to an image: signatures, bills of materials, attestations (OCI
 * 1.1). Jobs follow image.h. */
#pragma once

#include "image/image.h"

struct image_referrers {
	const char *ref;
	const char *artifact_type; /* only these; NULL or "" */
	const char *platform; /* of an index's member; NULL or "": of what the name stands for */
	const char *auth;     /* value of X-Registry-Auth; NULL or "" */
	bool insecure;	      /* plain HTTP or an unknown certificate will do */
};
/* The `id` that `done` gets is JSON: {"Name":..,"Subject":descriptor,"Referrers":[descriptor,..]}
 */
int image_referrers(struct image_service *s, const struct image_referrers *o,
		    const struct image_job_events *ev, struct image_job **ret, struct err *e);
/*
 * The same artifacts with all their blobs as a tar of an OCI layout into fd, which is taken (also
 * on failure). Blobs pass through the store, checked, and are garbage there afterwards.
 */
int image_referrers_save(struct image_service *s, const struct image_referrers *o, int fd,
			 const struct image_job_events *ev, struct image_job **ret, struct err *e);
