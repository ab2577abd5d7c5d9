/* SPDX-License-Identifier: Apache-2.0 */
/* Creates the entries of an archive below one directory; never outside it, whatever the names and
 * links say. */
#pragma once

#include "unpack/unpack.h"

#include <sys/stat.h>
#include <time.h>

#define WRITER_PATH_MAX 4096

struct member_xattr {
	const char *name;
	const void *value;
	size_t size;
};

struct member {
	const char
		*name; /* cleaned: no leading slash, no empty, "." or ".." parts; "" is the root */
	const char *link; /* hard link target, cleaned; or NULL */
	const char *symlink;
	mode_t mode; /* with type; ignored for hard links */
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	dev_t rdev;
	uint64_t size;
	const struct member_xattr *xattrs;
	size_t nxattrs;
};

/* Clean a member name. ERR_INVALID for "..", ERR_LIMIT for overlong ones. Returns the length. */
int member_clean(const char *raw, char ret[static WRITER_PATH_MAX], struct err *e);

struct writer;
struct seal;
struct writer *writer_new(int target_fd, bool plain, bool user_xattr); /* fd is borrowed */
/* Record there what is made; borrowed. The content of regular files is the caller's to record. */
void writer_seal(struct writer *w, struct seal *s);
/* An entry that would change a directory into something else, or the reverse, is an error. */
void writer_keep_types(struct writer *w);
/* Sets the directories' times of what is still open. */
void writer_free(struct writer *w);
DEFINE_AUTO(writer);

/*
 * Create the member, replacing what an earlier one left. Regular files: *ret_fd is open for
 * writing; pass it to writer_close_file() after the content. Else *ret_fd is FD_NONE.
 */
int writer_add(struct writer *w, const struct member *m, int *ret_fd, struct err *e);
int writer_close_file(const struct member *m, int fd, struct err *e);
