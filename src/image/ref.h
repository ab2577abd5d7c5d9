/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image references as Docker users write them ("alpine", "me/app:1", "host:5000/x@sha256:..") and
 * their canonical form ("docker.io/library/alpine:latest"). Pure text; no I/O.
 */
#pragma once

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>

#define IMAGE_REF_TEXT_MAX 800
#define IMAGE_REF_HUB	   "docker.io"

struct image_ref {
	char domain[256];     /* "docker.io", "127.0.0.1:5000" */
	char path[256];	      /* "library/alpine" */
	char tag[129];	      /* "" when none was given */
	struct digest digest; /* unset when none was given */
};

/* ERR_INVALID with Docker's texts. Nothing is added but domain and "library/". */
int image_ref_parse(const char *text, struct image_ref *ret, struct err *e);
/* Neither tag nor digest: tag becomes "latest". */
void image_ref_default_tag(struct image_ref *r);
/*
 * Canonical text, the store's key: "docker.io/library/alpine:3.20"; with a digest
 * "docker.io/library/alpine@sha256:.." (the tag is left out); neither: the bare name.
 */
void image_ref_canonical(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX]);
void image_ref_name(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX]); /* no tag */
/* What users see: docker.io/ and library/ removed; with tag and digest when they are set. */
void image_ref_familiar(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX]);
void image_ref_familiar_name(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX]);
/* A canonical text of the store as users see it; text it cannot parse is copied. */
void image_ref_text_familiar(const char *canonical, char ret[static IMAGE_REF_TEXT_MAX]);
/* A valid tag by itself. */
bool image_ref_tag_valid(const char *tag);
