/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and paths by descriptor. Paths inside a hostile root go only through fs_*_in_root(): the
 * kernel resolves them with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS); without openat2 a
 * component walk does. All return 0/value or a negative errno. Every fd is close-on-exec.
 */
#pragma once

#include "base/buf.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* flags as open(2). The path may be absolute or relative; both mean "below root_fd". */
int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode);
/* Create every missing directory of path inside the root; returns an O_PATH|O_DIRECTORY fd of the
 * last. */
int fs_mkdirs_in_root(int root_fd, const char *path, mode_t mode);
/* Our own state: below dir_fd, no symbolic link anywhere. */
int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode);

int fs_open_dir(const char *path);		   /* O_RDONLY|O_DIRECTORY */
int fs_mkdirs(const char *path, mode_t mode);	   /* mkdir -p */
int fs_write_all(int fd, const void *p, size_t n); /* blocks until all is written */
ssize_t fs_read_full(int fd, void *p, size_t n);   /* until n or end of file */
int fs_read_fd(int fd, struct buf *out);	   /* to the end; -EFBIG past out->max */
int fs_read_at(int dir_fd, const char *path, struct buf *out);
int fs_read_path(const char *path, struct buf *out);
/* Temp file in the same directory, optional fsync of file and directory, rename. */
int fs_write_atomic(int dir_fd, const char *name, const void *p, size_t n, mode_t mode, bool sync);
int fs_write_file(const char *path,
		  const char *text); /* existing file, one write(2): cgroup, procfs, sysctl */
/* rm -r by descriptor, never follows links, never leaves the tree's file system when one_fs. 0 when
 * absent. */
/* Reads the folder fd, which is closed with the result, and at once when there is none (errno tells
 * why). A negative fd gives NULL. */
DIR *fs_dir_take(int fd);
int fs_remove_tree(int dir_fd, const char *name);
/* Directory of the running program (for sibling programs), heap string. */
char *fs_program_dir(void);
/* Bytes used on disk below a directory (st_blocks) and number of entries; hard links counted once
 * per call. */
int fs_disk_usage(int dir_fd, const char *name, uint64_t *ret_bytes, uint64_t *ret_entries);

/* Unix sockets whose path may be longer than sun_path allows (goes through /proc/self/fd). type
 * e.g. SOCK_STREAM. */
int fs_unix_listen(const char *path, int type, int backlog, mode_t mode);
int fs_unix_connect(const char *path, int type);
/* One message with up to 16 descriptors. Returns bytes; received fds are close-on-exec, *ret_nfds
 * how many. */
ssize_t fs_send_fds(int sock, const void *p, size_t n, const int *fds, size_t nfds);
ssize_t fs_recv_fds(int sock, void *p, size_t n, int *fds, size_t max_fds, size_t *ret_nfds);
