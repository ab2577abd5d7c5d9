/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar archive that a worker writes: a list of members (folders, texts, blobs of the store) and
 * the process it is fed to. Contract of the program: spec/unpack-proto.h, "tar".
 */
#pragma once

#include "image/service-priv.h"
#include "image/worker-priv.h"

struct map;

/* Embedded in a job; archive_init() to archive_free(). */
struct archive {
	struct image_service *service;
	struct buf list;  /* one line of JSON for each member; overflow: too many */
	struct map *seen; /* digests in the list */
	size_t fed;
	struct image_worker *worker;
	bool written;
	/* Once, from the loop, when the worker has ended. e NULL: the archive is whole. */
	void (*done)(void *ud, const struct err *e);
	void *ud;
};
void archive_init(struct archive *a, struct image_service *s,
		  void (*done)(void *ud, const struct err *e), void *ud);
void archive_free(struct archive *a); /* stops the worker, without `done` */

void archive_add_dir(struct archive *a, const char *name);
void archive_add_text(struct archive *a, const char *name, const char *text);
/* "blobs/sha256/HEX" */
#define ARCHIVE_NAME_MAX 160
void archive_blob_name(const struct digest *d, char ret[static ARCHIVE_NAME_MAX]);
/* Each blob once. text: the bytes when they are not in the store. False: it was there already. */
bool archive_add_blob(struct archive *a, const struct digest *d, uint64_t size, const char *text);
/* Start writing to out_fd (borrowed). -1: `done` never runs. */
int archive_write(struct archive *a, int out_fd, struct err *e);
