/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is made of, for leaving the machine: manifest, config, layer blobs. */
#pragma once

#include "image/repack-priv.h"
#include "image/service-priv.h"
#include "spec/image.h"

struct part {
	struct digest digest;
	uint64_t size;
	struct digest diff_id;
	struct digest source; /* set: compress this blob; digest and size are unset until then */
	const char *type;     /* media type */
	bool missing;	      /* not in the store */
};

struct parts {
	struct buf manifest;	/* JSON text */
	const char *media_type; /* one of spec/image.h */
	struct digest manifest_digest;
	bool manifest_stored; /* also in blobs/ */
	bool changed;	      /* layers became others: parts_seal() when all are known */
	/* Layers packed again have other digests: config is another one, which is in the store but
	 * belongs to no image of it. */
	bool other_id;
	size_t repacked; /* layers */
	struct part config;
	struct part *layers;
	size_t nlayers;
};
/*
 * The manifest the image came with, byte for byte, when all its blobs are here; else one made from
 * the blobs the layers came from. With `partial` the manifest is taken also when layers are
 * missing: the registry may have them. repack (NULL allowed) has layers that are gone.
 */
int parts_of(struct image_service *s, const struct store_image *img, bool partial,
	     const struct repack *repack, struct parts **ret, struct err *e);

/* A manifest that is no image of this store, all of whose blobs are here: an attestation, another
 * platform's that was loaded with its index. */
int parts_of_manifest(struct image_service *s, const struct digest *manifest, const char *type,
		      struct parts **ret, struct err *e);

/*
 * For a push: layers that are plain tar in a manifest made here get a source to be compressed
 * from. With `forced` every layer that is not of that compression does, whatever manifest it came
 * with.
 */
void parts_plan(struct image_service *s, struct parts *p, const char *compression, bool forced);
/* The manifest of the changed layers, each with its digest and size. */
void parts_seal(struct parts *p);
void parts_free(struct parts *p);
DEFINE_AUTO(parts);
