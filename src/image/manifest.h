/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests as things of their own: what a registry has under a name, and manifest lists that are
 * put together here and pushed (`manifest create`, `annotate`, `push`). Docker keeps its lists in
 * the client's home; ours are rows of the store, so that every client of the engine sees them.
 *
 * Jobs follow image.h. Where a job answers a question, the `id` that `done` gets is the answer's
 * JSON text.
 */
#pragma once

#include "image/image.h"

/* GET /distribution/{name}/json: {"Descriptor":..,"Platforms":[..]} */
int image_distribution(struct image_service *s, const char *ref, const char *auth,
		       const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct image_manifest_inspect {
	const char *ref;
	const char *list; /* the member `ref` of this local list; NULL or "" */
	const char *auth; /* value of X-Registry-Auth; NULL or "" */
	bool verbose;	  /* descriptors and documents of every member */
	bool insecure;	  /* plain HTTP or an unknown certificate will do */
};
/* A local list of that name, else what the registry has. The answer is for people: indented as
 * Docker does. */
int image_manifest_inspect(struct image_service *s, const struct image_manifest_inspect *o,
			   const struct image_job_events *ev, struct image_job **ret,
			   struct err *e);

struct image_manifest_create {
	const char *list;
	const struct strs *members;
	const char *auth;  /* for members in the list's registry */
	const char *auths; /* value of X-Registry-Config, for those of all registries; NULL */
	bool amend, insecure;
};
/* All members are looked up first: the list is kept whole or not at all. The answer:
 * {"Name":"docker.io/library/x:latest"} */
int image_manifest_create(struct image_service *s, const struct image_manifest_create *o,
			  const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct image_manifest_annotate {
	const char *list, *member;
	const char *os, *arch, *os_version, *variant; /* NULL or "": stays */
	const struct strs *os_features;		      /* added */
};
int image_manifest_annotate(struct image_service *s, const struct image_manifest_annotate *o,
			    struct err *e);
int image_manifest_rm(struct image_service *s, const char *list, struct err *e);

struct image_manifest_push {
	const char *list;
	const char *auth;
	bool purge, insecure;
};
/* Members from other repositories are mounted or copied. Progress lines: "Pushed ref NAME@DIGEST
 * with digest: DIGEST", then the list's digest. */
int image_manifest_push(struct image_service *s, const struct image_manifest_push *o,
			const struct image_job_events *ev, struct image_job **ret, struct err *e);
