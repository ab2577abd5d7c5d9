/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything coracle-unpack does, as a library of plain functions over descriptors (the program
 * adds the command line and the sandbox; tests and fuzzers call these directly). Input is hostile.
 * Results: spec/unpack-proto.h.
 *
 * Theory of operation: two threads at most. The stream thread reads, hashes and stores the
 * compressed bytes and inflates them into a ring of chunks; the calling thread hashes the chunks
 * and lets libarchive read tar entries out of them without copying. File content goes from the ring
 * to write(2) directly.
 */
#pragma once

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct unpack_limits {
	uint64_t max_entries; /* 0: the default of spec/unpack-proto.h, for each */
	uint64_t max_size;    /* uncompressed bytes */
	uint64_t max_ratio;
};

/* Names the entry an error is about; "" when it is about the whole stream. */
#define UNPACK_ENTRY_MAX 512

struct unpack_input {
	int fd;		      /* compressed bytes */
	int blob_fd;	      /* FD_NONE, or read-write: gets the bytes */
	uint64_t blob_have;   /* bytes already in blob_fd, the start of the input */
	struct digest digest; /* expected, may be unset */
	uint64_t size;	      /* expected, UINT64_MAX: unknown */
	struct unpack_limits limits;
	int progress_fd; /* FD_NONE, or where {"progress":N} lines go */
	bool sync;	 /* fsync blob_fd, syncfs the target */
	int scratch_fd;	 /* FD_NONE, or a writable folder: zstd windows above 32 MiB need it */
	bool sync_blob;	 /* only blob_fd, or the input when there is none and it is a file */
	bool unhashed;	 /* nobody asks for the digests of the input and of the tar in it */
};
#define UNPACK_INPUT_INIT                                                                          \
	((struct unpack_input){.fd = 0,                                                            \
			       .blob_fd = FD_NONE,                                                 \
			       .size = UINT64_MAX,                                                 \
			       .progress_fd = FD_NONE,                                             \
			       .scratch_fd = FD_NONE})

struct unpack_result {
	struct digest digest, diff_id;
	uint64_t size, diff_size, content_size, entries;
	/* of all entries; min > max: there is none */
	uint32_t uid_min, uid_max, gid_min, gid_max;
	char entry[UNPACK_ENTRY_MAX]; /* filled on errors too */
};

struct unpack_apply {
	struct unpack_input in;
	int target_fd;	       /* directory; FD_NONE: only verify and store the bytes */
	struct digest diff_id; /* expected, may be unset */
	int seal_fd;	       /* an empty file for the seal (seal-priv.h); 0, FD_NONE: none */
	bool plain;	       /* no whiteouts */
	bool user_xattr;       /* user.overlay.* */
	bool keep_types;       /* a directory is not replaced by a file, nor a file by one */
	bool own;	       /* all entries belong to uid:gid */
	uint32_t uid, gid;
};
int unpack_apply(const struct unpack_apply *o, struct unpack_result *ret, struct err *e);

/*
 * Compare an unpacked layer with its seal. fn gets every difference (path, what it is); non-zero
 * stops. quick: types, modes, owners, sizes, times and attributes, not the content. ERR_INVALID
 * when the seal itself is damaged.
 */
struct unpack_check {
	int dir_fd, seal_fd;
	bool quick;
	int (*fn)(void *ud, const char *path, const char *what);
	void *ud;
};
struct unpack_check_result {
	uint64_t entries, bytes, problems;
};
int unpack_check(const struct unpack_check *o, struct unpack_check_result *ret, struct err *e);

/* Called for every member of an archive; file is NULL for links, link NULL for files. Non-zero
 * stops with ERR_SYSTEM. */
typedef int (*unpack_member_fn)(const char *name, const char *file, uint64_t size,
				const struct digest *d, const char *link, void *ud);
struct unpack_stage {
	struct unpack_input in;
	int ingest_fd;	    /* directory for the staged files */
	const char *prefix; /* of their names */
	unpack_member_fn fn;
	void *ud;
};
int unpack_stage(const struct unpack_stage *o, struct unpack_result *ret, struct err *e);

/*
 * xz and bzip2: when the input is one of them, a thread decodes it and in->fd becomes a pipe with
 * the plain bytes; else *ret is NULL. After the work decode_verdict() gives the decoder's error the
 * right of way over what its cut output led to. The thread ends with the process.
 */
struct decode;
int decode_start(struct unpack_input *in, struct decode **ret, struct err *e);
int decode_verdict(const struct decode *d, int rc, struct err *e);

/* docker save: members as JSON lines from list_fd, files below dir_fd, tar to out_fd. */
int unpack_tar(int list_fd, int dir_fd, int out_fd, struct unpack_result *ret, struct err *e);

struct unpack_pack {
	int dir_fd, out_fd;
	/* Inside dir_fd, NULL: ".". "DIR/." without a name: the content, named "./x". */
	const char *path;
	const char *name; /* first member's name, NULL: last component */
	bool layer;	  /* turn overlay whiteouts into .wh. files */
};
int unpack_pack(const struct unpack_pack *o, struct unpack_result *ret, struct err *e);

enum unpack_compression { UNPACK_GZIP, UNPACK_ZSTD };
#define UNPACK_GZIP_LEVEL 2 /* the defaults */
#define UNPACK_ZSTD_LEVEL 3

struct unpack_compress {
	struct unpack_input in; /* any compression */
	int out_fd;
	enum unpack_compression compression;
	int level;	       /* gzip 1 to 9, zstd 1 to 19; 0: the default */
	unsigned threads;      /* 0: one per processor, at most 8 */
	struct digest diff_id; /* expected, may be unset */
};
/* A layer compressed anew: ret->digest and size are the output's, diff_id and diff_size the
 * input's. The same input and level give the same output on every number of processors. */
int unpack_compress(const struct unpack_compress *o, struct unpack_result *ret, struct err *e);

/*
 * Give up everything but working below dir_fd and on open descriptors: capabilities, no_new_privs,
 * Landlock where the kernel has it (version 2 on), a seccomp allow list without sockets, exec and
 * mounts, rlimits. Before any thread starts. dir_fd may be FD_NONE. write_dir: the directory is
 * written to. need_trusted: keep CAP_SYS_ADMIN for trusted.* xattrs.
 */
int unpack_confine(int dir_fd, bool write_dir, bool need_trusted, struct err *e);
