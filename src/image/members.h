/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that mean the same image for several platforms (docs/adr/0011-platforms-of-a-name.md), and
 * the indexes they stand for: which documents and blobs of them are here.
 */
#pragma once

#include "image/platform.h"
#include "image/service-priv.h"

/*
 * image_find() that also says by which name: canonical is "" when `text` was an id, or the start of
 * one.
 */
#define MEMBER_REF_MAX IMAGE_REF_TEXT_MAX
int member_resolve(struct image_service *s, const char *text, struct digest *ret,
		   char canonical[static MEMBER_REF_MAX], struct err *e);
/* The images that `text` means, the first in front: those of the name, or for an id the image and
 * those that share a name with it. *ret is the caller's. */
int members_of(struct image_service *s, const char *text, struct digest **ret, size_t *ret_n,
	       struct err *e);
/* The one for the platform; ERR_NOT_FOUND in Docker's words. NULL: the first. */
int member_for(struct image_service *s, const char *text, const struct image_platform *want,
	       struct digest *ret, struct err *e);
/* The name gets the image. Among several the host's platform is the first, else the newest. */
int member_join(struct image_service *s, const char *canonical, const struct digest *image,
		const struct digest *target, struct err *e);

/* A document that an index names, at any depth. */
struct index_member {
	const struct oci_descriptor *d; /* NULL: the index itself that was asked for */
	struct digest digest;
	uint64_t size;		/* of the document, when it is here */
	const char *media_type; /* "" when nobody says */
	bool index;
	bool here;		      /* it, and all blobs that it names */
	bool known;		      /* the document itself is here */
	struct digest image;	      /* it is the manifest of that image; unset */
	struct oci_manifest manifest; /* when known and not an index */
};
typedef int (*index_member_fn)(const struct index_member *m, void *ud, struct err *e);
/*
 * Every document of the index, what an index names before itself, the given one last. Nothing else
 * than the store is asked. Memory of the members is the arena's. -1: fn's, or the index has more
 * than these limits allow.
 */
#define INDEX_DOCUMENTS_MAX 1000
#define INDEX_DEPTH_MAX	    4
#define INDEX_BYTES_MAX	    ((size_t)32 << 20) /* of all documents together */
int index_walk(struct image_service *s, const struct digest *index, struct arena *a,
	       index_member_fn fn, void *ud, struct err *e);
/* Is this blob here, and an index? */
bool index_here(struct image_service *s, const struct digest *d);
/* The media type that the document says, else OCI's; the caller's. */
char *document_type(struct image_service *s, const struct digest *d, bool index);
/* BuildKit's statements about another manifest of the index; NULL: it is none. */
const char *index_attests(const struct oci_descriptor *d);
/*
 * The blobs that stay as long as an image of the index: the index itself, and of its documents
 * those which are no images of their own. *ret is the caller's.
 */
int index_blobs(struct image_service *s, const struct digest *index, struct digest **ret,
		size_t *ret_n, struct err *e);
