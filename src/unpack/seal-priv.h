/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal of a layer: what was unpacked, written while it is unpacked, so that a later check can
 * name every file that is no longer what the image brought. A tar cannot be made again byte for
 * byte from a directory, so the diff id alone proves nothing after unpacking.
 *
 * File: "CORSEAL1", records, one end record. A record is kind (1 byte), flags (1 byte), then
 * unsigned LEB128 numbers and bytes:
 *   entry: shared, n, n bytes of name (the first `shared` are those of the record before), mode,
 *          uid, gid, seconds, nanoseconds, size (devices: st_rdev), 8 bytes sum, 8 bytes xattrs
 *          when SEAL_XATTRS is set
 *   link:  shared, n, name, n, name of the entry it is a hard link to
 *   end:   number of records, 8 bytes CRC of all bytes before the end record
 * sum is the CRC-64 of the content (or of a link's target), little endian; it finds decay, it is no
 * protection against root. xattrs is the XOR over the attributes of CRC-64(name NUL value).
 *
 * Layers where the order of entries matters (something replaced or removed, parents that are
 * symbolic links, opaque directories) are "odd": their seal is written from the tree at the end.
 */
#pragma once

#include "unpack/writer-priv.h"

enum seal_kind { SEAL_ENTRY = 1, SEAL_LINK = 2, SEAL_END = 3 };
enum seal_flag {
	SEAL_OPAQUE = 1, /* a directory that hides the ones below */
	SEAL_NOSUM = 2,	 /* content not summed */
	SEAL_NOTIME = 4, /* the time means nothing */
	SEAL_XATTRS = 8,
	SEAL_NOOWNER = 16, /* whiteouts: type only */
};

struct seal_record {
	enum seal_kind kind;
	unsigned flags;
	const char *name; /* "" is the root */
	const char *link;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t sec;
	uint32_t nsec;
	uint64_t size, sum, xattrs;
};

/* CRC-64/XZ; start with 0. */
uint64_t seal_crc(uint64_t crc, const void *p, size_t n);

/* ---- writing; every function takes NULL for "no seal" ---- */
struct seal;
/* fd: the file, empty; target_fd: the layer. Both borrowed. */
struct seal *seal_new(int fd, int target_fd);
void seal_free(struct seal *s);
DEFINE_AUTO(seal);
void seal_odd(struct seal *s);
void seal_put(struct seal *s, const struct seal_record *r);
/* A directory that no entry names, path[0..n). */
void seal_implicit(struct seal *s, const char *path, size_t n);
void seal_whiteout(struct seal *s, const char *parent, size_t n, const char *name);
/* Everything but regular files and whiteouts. */
void seal_member(struct seal *s, const struct member *m);
/* Content of the regular file being written, in order; then its record. */
void seal_content(struct seal *s, const void *p, size_t n, uint64_t at);
void seal_file(struct seal *s, const struct member *m);
/* Write the end, from the tree when the layer is odd. */
int seal_finish(struct seal *s, struct err *e);

/* ---- reading a tree ---- */

/* Does the file system keep user.* attributes? Without, they are not sealed. */
bool seal_user_xattrs(int target_fd);
bool seal_xattr_counts(const char *name, bool user_xattrs);
struct seal_tree {
	int root_fd;
	bool user_xattrs;
	/* r has everything but the sum; dir_fd and base are where the entry is. */
	int (*fn)(void *ud, struct seal_record *r, const struct stat *st, int dir_fd,
		  const char *base, struct err *e);
	void *ud;
};
int seal_tree_walk(const struct seal_tree *t, struct err *e);
/* CRC of a regular file's or a symbolic link's content; *ret_bytes is added to. */
int seal_tree_sum(const struct seal_record *r, int dir_fd, const char *base, uint64_t *ret,
		  uint64_t *ret_bytes);

/* ---- reading a seal ---- */
/* 0; ERR_INVALID when the seal itself is damaged. Names and links live during the call only. */
int seal_read(int fd, int (*fn)(void *ud, const struct seal_record *r, struct err *e), void *ud,
	      struct err *e);
