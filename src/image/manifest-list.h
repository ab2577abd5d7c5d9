/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest list under construction: its members, kept as one row of the store. */
#pragma once

#include "image/manifest.h"
#include "image/remote.h"

#define MANIFEST_LIST_MEMBERS_MAX 256

struct list_member {
	const char *ref; /* canonical */
	struct oci_descriptor descriptor;
	const char *raw; /* the manifest as received */
};

struct manifest_list {
	struct image_ref ref; /* with tag */
	char name[IMAGE_REF_TEXT_MAX];
	struct objs members; /* list_member */
};

/* "name:tag" or "name@digest", "latest" when neither was given. */
int manifest_ref_parse(const char *text, struct image_ref *ret,
		       char name[static IMAGE_REF_TEXT_MAX], struct err *e);
struct list_member *manifest_list_at(const struct manifest_list *l, size_t i);
struct list_member *manifest_list_find(const struct manifest_list *l, const char *ref);
/* Add, or put in the place of the member with the same reference. ERR_LIMIT. */
int manifest_list_add(struct manifest_list *l, const struct list_member *m, struct arena *a,
		      struct err *e);
/* ERR_NOT_FOUND "No such manifest: NAME"; l->ref and l->name are set in any case when text is a
 * reference. */
int manifest_list_load(struct image_service *s, const char *text, struct manifest_list *l,
		       struct arena *a, struct err *e);
int manifest_list_save(struct image_service *s, const struct manifest_list *l, struct err *e);

/* A member from what a registry answered; platform NULL: the document's own. */
void manifest_member_from(const struct remote_doc *doc, const struct oci_platform *platform,
			  struct list_member *ret, struct arena *a);

/* The index as it is pushed: OCI when every member is, else Docker's list; laid out as Docker does.
 * ERR_INVALID when a member has no platform. */
int manifest_list_encode(const struct manifest_list *l, struct buf *out, const char **ret_type,
			 struct err *e);
/* Some index for people, in the same layout, with what else its members say. */
void manifest_index_print(const struct oci_index *index, const char *media_type, struct buf *out);
/* The members with all they have, as `manifest inspect -v` prints them: an array, or the only one.
 */
void manifest_members_print(const struct manifest_list *l, bool list, struct buf *out);
void manifest_print(const char *raw, struct buf *out); /* one document, indented */
