/* SPDX-License-Identifier: Apache-2.0 */
/* Writing tar: libarchive's pax writer into a descriptor, hashed on the way. Shared by tar.c and
 * pack.c. */
#pragma once

#include "unpack/unpack.h"

#include <archive.h>
#include <archive_entry.h>

struct sink {
	struct archive *archive;
	struct archive_entry *entry; /* reused */
	struct hasher *hash;	     /* NULL: no digest is wanted */
	uint64_t size;
	int fd;
	int error; /* negative errno of write(2) */
	char *buf; /* for file content */
};

/* blobs: few and large members, no digest of the whole: contents go from the read buffer to fd. */
int sink_init(struct sink *k, int fd, bool blobs, struct err *e);
void sink_done(struct sink *k);
/* Write the header of k->entry; then sink_data() or sink_copy(). */
int sink_header(struct sink *k, struct err *e);
int sink_data(struct sink *k, const void *p, size_t n, struct err *e);
/* size bytes of fd; a file that shrank meanwhile is filled up with zeros. */
int sink_copy(struct sink *k, int fd, uint64_t size, struct err *e);
int sink_finish(struct sink *k, struct unpack_result *ret, struct err *e);
