/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI image-spec 1.1 documents and their Docker schema 2 twins: index (manifest list), manifest,
 * image config; and the two small index files of archives. Decoders judge structure and limits
 * (versions, digests, counts, sizes); nothing here fetches or acts.
 */
#pragma once

#include "base/digest.h"
#include "base/json.h"
#include "spec/container.h"

#define OCI_INDEX_TYPE	     "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST_TYPE    "application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG_TYPE	     "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER_TYPE	     "application/vnd.oci.image.layer.v1.tar"
#define DOCKER_LIST_TYPE     "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG_TYPE   "application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER_TYPE    "application/vnd.docker.image.rootfs.diff.tar.gzip"

#define IMAGE_MANIFEST_MAX ((size_t)4 << 20)
#define IMAGE_CONFIG_MAX   ((size_t)8 << 20)
#define IMAGE_LAYERS_MAX   500 /* overlayfs stacks no more */

struct oci_platform {
	const char *architecture, *os, *os_version, *variant;
	struct strs os_features;
};

struct oci_descriptor {
	const char *media_type, *digest_text;
	int64_t size;
	struct strs urls;
	struct strmap annotations;
	const struct oci_platform *platform;
	const char *artifact_type;
};

struct oci_index {
	int64_t schema_version;
	const char *media_type;
	struct objs manifests; /* oci_descriptor */
	struct strmap annotations;
};

struct oci_manifest {
	int64_t schema_version;
	const char *media_type, *artifact_type;
	struct oci_descriptor config;
	struct objs layers; /* oci_descriptor */
	struct strmap annotations;
};

struct image_history {
	const char *created, *created_by, *author, *comment;
	bool empty_layer;
};

struct image_rootfs {
	const char *type;
	struct strs diff_ids;
};

/* The image config; `config` is what a container starts with. */
struct image_config {
	const char *created, *author, *architecture, *os, *os_version, *variant;
	struct container_config config;
	const char *config_raw; /* the same as JSON text, NULL when absent */
	struct image_rootfs rootfs;
	struct objs history; /* image_history */
	const char *comment, *docker_version, *parent;
};

/* manifest.json of a docker-archive: one per image. */
struct archive_image {
	const char *config;
	struct strs repo_tags, layers;
};

extern const struct json_schema oci_descriptor_schema;
extern const struct json_schema image_config_schema;

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };
/*
 * Which of the two the document is: by its own mediaType, the sender's content type (may be NULL),
 * its members. Schema 1 and unknown documents are ERR_INVALID.
 */
int manifest_kind_of(const char *p, size_t n, const char *content_type, enum manifest_kind *ret,
		     struct err *e);
int oci_index_decode(const char *p, size_t n, struct oci_index *ret, struct arena *a,
		     struct err *e);
int oci_manifest_decode(const char *p, size_t n, struct oci_manifest *ret, struct arena *a,
			struct err *e);
int image_config_decode(const char *p, size_t n, struct image_config *ret, struct arena *a,
			struct err *e);
/* Array of archive_image in *ret. */
int archive_manifest_decode(const char *p, size_t n, struct objs *ret, struct arena *a,
			    struct err *e);

/*
 * The config of an image as `image inspect` shows it: what Docker's image specification has and
 * nothing else, lists that are empty as null. legacy: before API 1.50 there were fields of
 * containers too, without values.
 */
void image_config_write(struct jw *w, const struct container_config *c, bool legacy);

const struct oci_descriptor *oci_descriptor_at(const struct objs *o, size_t i);
bool oci_layer_foreign(const struct oci_descriptor *d); /* non-distributable: has urls of its own */
