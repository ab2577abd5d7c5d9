/* SPDX-License-Identifier: Apache-2.0 */
/* The load job: load.c runs it, load-scan.c reads the archive's lists; and as the embedded image
 * uses it. */
#pragma once

#include "image/layers-priv.h"
#include "image/platform.h"
#include "image/service-priv.h"
#include "image/worker-priv.h"

/* A staged member. */
struct member {
	char file[64];
	uint64_t size;
	struct digest digest;
	const char *link; /* instead of the others */
	bool committed;
};

/* One image of the archive, ready to enter the store. */
struct load_image {
	const char *config_member;
	struct digest manifest; /* unset for docker-archive */
	const char *manifest_member;
	bool plain_layers;  /* one of them at least is not compressed */
	struct objs layers; /* oci_descriptor; media_type is the member's name */
	struct strs names;
	const struct oci_descriptor *index; /* it is a platform of; NULL: none */
	bool more;			    /* the next image is another platform of it */
	struct strs extras;		    /* with the first: other members that stay with it */
};

struct load {
	struct image_job job;
	struct image_platform platform;
	bool platform_given, quiet, as_pull;
	char *tag;
	int fd;
	char prefix[32];
	struct arena *arena;
	struct map *members;
	struct image_worker *worker, *packer;
	struct service_soon *soon;
	struct store_lease *lease;
	struct load_image *images;
	size_t nimages, next;
	struct image_config config;
	struct digest config_digest, last_id;
	char *config_text;
	struct layers *layers;
};

/* By its name, through links; NULL: there is none. */
struct member *load_member(struct load *l, const char *name);
/* A small member as text. */
int load_member_read(struct load *l, const char *name, struct buf *out, struct err *e);
/* Fills images from the members. */
int load_scan(struct load *l, struct err *e);

/* A job that imports the embedded image and reports like a pull. */
int default_pull(struct image_service *s, const struct image_job_events *ev, struct image_job **ret,
		 struct err *e);
/* fd of the embedded archive, positioned at its start. */
int default_archive(struct err *e);
/* Report like a pull of the embedded image. */
void load_as_pull(struct image_job *j);
