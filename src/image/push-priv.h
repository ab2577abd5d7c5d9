/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A push: tags one after the other, of each tag the layers in parallel, then the configuration,
 * then the manifest. push.c has the order, push-blob.c how one blob gets there, push-pack.c how a
 * layer is compressed for it.
 */
#pragma once

#include "image/parts-priv.h"
#include "image/platform.h"
#include "image/registry-priv.h"
#include "image/worker-priv.h"

#include "base/map.h"

enum blob_state {
	BLOB_TODO,
	BLOB_ACTIVE,	/* asked about, uploaded, or waiting for the next attempt */
	BLOB_WANT_PACK, /* must be compressed when the compressor is free */
	BLOB_PACKING,
	BLOB_PACKED, /* goes on when there is room */
	BLOB_DONE,
};

struct push;

struct push_blob {
	struct push *push;
	struct part *part; /* of the tag's parts: digest and size come from packing */
	bool layer;	   /* not the configuration: has lines of progress */
	char id[13];
	enum blob_state state;
	bool told_waiting;
	int fd; /* the bytes; FD_NONE until needed */

	/* upload */
	struct registry_call *call;
	struct service_soon *timer;
	char *location; /* whole URL of the upload, NULL before */
	uint64_t offset, chunk, sending;
	const char *mount; /* repository asked for; of the push's arena */
	unsigned attempts, redirects;
	uint64_t gained_at;
	int64_t told_ns;

	/* packing */
	struct image_worker *worker;
	struct digest packed;
	uint64_t packed_size;
};

/* A document of the tag's push: what an index names comes before it. */
struct push_doc {
	struct digest digest; /* unset: the image's manifest, whatever it will be */
	struct digest image;  /* unset: only its blobs are here */
	bool index;
	char type[128];
};

/* What is sent for it. */
struct push_sent {
	struct digest digest;
	const char *type, *text;
	size_t size;
};

struct push {
	struct image_job job;
	struct image_ref ref;
	struct registry *registry;
	struct registry_call *call;	   /* manifest */
	struct service_soon *step, *timer; /* the next look at all blobs; the manifest again */
	struct store_lease *lease;
	struct arena *arena;
	struct strs tags;
	size_t next_tag;
	struct map *there; /* digests this push has seen in the repository */
	const char *compression;
	int level;
	bool forced; /* the user chose the compression */
	bool platform_given;
	struct image_platform platform;
	char how[24];
	char prefix[32]; /* of staged files, "" before the first */
	unsigned staged;

	struct push_doc *docs; /* of the tag; the last goes under its name */
	size_t ndocs, doc;
	struct digest stripped; /* the index that is not pushed; unset: none */
	struct buf index;	/* text of the current document when it is one */

	struct repack *repack;	 /* layers of the image that were packed again; NULL: none */
	struct store_image *img; /* NULL: an index, or not an image of this store */
	struct parts *parts;	 /* NULL: an index */
	struct push_blob *blobs; /* layers, then the configuration */
	size_t nblobs;
	unsigned attempts;
	bool rebuild_wanted, rebuild; /* the stored manifest names bytes nobody has: make one */
	struct err err;		      /* the first failure: the next step ends the job */
	struct err refused;	      /* no such image: told in the stream, as Docker does */
};

/* The documents of the tag p->ref. */
int push_plan(struct push *p, struct err *e);
/* The current one: p->index, or p->parts and p->img. 1: layers must be packed first, which goes on
 * with push_doc(). */
int push_doc_load(struct push *p, struct err *e);
void push_doc(struct push *p);
struct push_sent push_doc_sent(const struct push *p); /* borrowed */
bool push_doc_is_last(const struct push *p);
void push_say_stripped(struct push *p, const struct push_sent *sent);

void push_step(struct push *p); /* look at all blobs in the loop's next turn */
/* The job ends in the loop's next turn. */
void push_fail(struct push *p, const struct err *e);
/* A failure that may be over in a moment: milliseconds to wait before attempt n, 0: give up. */
unsigned push_retry_ms(const struct http_response *resp, const struct err *e, unsigned attempt);

void push_blob_start(struct push_blob *b); /* from BLOB_TODO or BLOB_PACKED */
void push_blob_reset(struct push_blob *b); /* stops everything; memory of the struct stays */
void push_blob_say(struct push_blob *b, const char *status);
void push_blob_done(struct push_blob *b, const char *status);

/* Compress b's source into b->fd; ends in BLOB_PACKED. */
void push_pack_start(struct push_blob *b);
