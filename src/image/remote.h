/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of a registry without their layers: a manifest or an index, checked against its digest,
 * and for an image the platform its configuration names.
 */
#pragma once

#include "image/registry-priv.h"
#include "image/service-priv.h"
#include "spec/image.h"

#define ACCEPT_MANIFEST                                                                            \
	OCI_MANIFEST_TYPE ", " OCI_INDEX_TYPE ", " DOCKER_MANIFEST_TYPE ", " DOCKER_LIST_TYPE

/* All memory is the arena's that was given. */
struct remote_doc {
	const char *text; /* as received */
	size_t n;
	struct digest digest;
	const char *media_type;
	enum manifest_kind kind;
	struct oci_manifest manifest; /* MANIFEST_IMAGE */
	struct oci_index index;	      /* MANIFEST_INDEX */
	struct oci_platform platform; /* of an image's configuration; NULLs for other documents */
	const struct image_ref *ref;  /* where it came from */
};

/* Does `text` have the digest `d`? Any algorithm a digest may name. */
bool remote_digest_matches(const char *text, size_t n, const struct digest *d);
/*
 * Check and decode an answer to GET manifests/WHICH. A digest in `which` (else the one the registry
 * names) must be the document's. ERR_INVALID for a wrong digest or a document of another kind.
 */
int remote_doc_read(const char *which, const struct http_response *resp, const struct buf *body,
		    struct arena *a, struct remote_doc *ret, struct err *e);

struct remote;
struct remote_want {
	struct image_service *service;
	const struct image_ref *ref;	     /* with tag or digest; copied */
	const struct auth_credentials *auth; /* copied; NULL: none */
	bool insecure;			     /* plain HTTP or an unknown certificate will do */
	bool platform;			     /* read an image's configuration, too */
	struct arena *arena;		     /* lives until done */
	/* Once, from the loop; e NULL: doc is there. The handle is gone afterwards. */
	void (*done)(void *ud, const struct remote_doc *doc, const struct err *e);
	void *ud;
};
struct remote *remote_get(const struct remote_want *w);
void remote_cancel(struct remote *r); /* NULL allowed */
