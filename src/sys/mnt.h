/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts by descriptor (fsopen, open_tree, move_mount, mount_setattr). Mount points are O_PATH
 * descriptors that were resolved inside the root, so that no path of an image is ever followed
 * twice. 0/fd or negative errno.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a list of mount options says. */
struct mount_opts {
	uint64_t attr_set, attr_clr;   /* MOUNT_ATTR_* of this mount */
	uint64_t rattr_set, rattr_clr; /* the same, recursively (rro, rnosuid ...) */
	unsigned long propagation;     /* MS_PRIVATE... with MS_REC, 0: leave */
	bool bind, rbind, copy_up, remount, sync;
	bool idmap, ridmap; /* the container's id mappings apply; ridmap: to all below too */
	bool sb_ro;	    /* ro was given */
	const char **data;  /* other options, borrowed strings; array owned */
	size_t ndata;
};
void mount_opts_parse(const char *const *v, size_t n, struct mount_opts *ret);
void mount_opts_done(struct mount_opts *o);

/* A new file system, not yet attached. data: "key=value" or "flag". */
int mount_new(const char *type, const char *source, const char *const *data, size_t n,
	      uint64_t attr);
/* At a folder that is trusted, with options as of mount(8), "ro,size=1m": "ro" holds for the file
 * system too. */
int mount_at(const char *path, const char *type, const char *source, const char *options);
bool mount_is_at(const char *path); /* is something mounted there? */
int mount_clone(int dir_fd, const char *path,
		bool recursive); /* detached copy of an existing mount; path "" = dir_fd */
int mount_attach(int mount_fd, int target_fd);
/* Show owners through the mappings of a user namespace (Linux 5.12; the file system must allow it).
 */
int mount_idmap(int mount_fd, int userns_fd, bool recursive);
int mount_attr(int mount_fd, uint64_t set, uint64_t clr, unsigned long propagation, bool recursive);
