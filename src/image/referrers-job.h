/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of listing and saving referrers: from a name to the list. */
#pragma once

#include "image/platform.h"
#include "image/referrers-priv.h"
#include "image/referrers.h"
#include "image/remote.h"

struct refer_job {
	struct image_job job;
	struct arena *arena;
	struct auth_credentials auth;
	struct image_ref ref;
	char name[IMAGE_REF_TEXT_MAX];
	bool insecure, platform_given;
	struct image_platform platform;
	const char *artifact_type;
	struct oci_descriptor subject;
	struct digest subject_digest;
	struct registry *registry;
	struct remote *remote;
	struct referrers *referrers;
	struct service_soon *soon;
	struct objs found; /* oci_descriptor */
	/* e NULL: subject and found are there. */
	void (*listed)(struct refer_job *r, const struct err *e);
};
int refer_init(struct refer_job *r, struct image_service *s, const struct image_referrers *o,
	       const struct image_job_events *ev, void (*drop)(struct image_job *), struct err *e);
void refer_done(struct refer_job *r); /* stops and frees what is inside */
