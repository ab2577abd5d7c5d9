/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the log reader. */
#pragma once

#include "logs/logs-priv.h"

#include <sys/stat.h>

#define LOG_READ_SIZE 65536
#define LOG_FILES_MAX 1000

struct log_reader {
	char *path;
	enum log_file_format format;
	int fd;
	ino_t ino; /* of the file as it is in the folder: not of what a .gz unpacks to */
	struct timespec changed; /* when it was opened */
	off_t offset;		 /* of the next read */
	int inotify;
	struct buf in;
	size_t used;   /* bytes of `in` already delivered */
	bool overlong; /* inside a line longer than LOG_RECORD_MAX */
	bool damaged;  /* looking for the next record */
	bool follow, ended, renamed;
	int64_t since, until;
	uint64_t skipped;
};

/* ---- find.c ---- */
/*
 * Open file k, its text: a compressed one is unpacked to a file without a name. *ret is the file's
 * in the folder. Negative errno.
 */
int log_file_open_read(const char *path, int k, struct stat *ret);
int log_find_oldest(const char *path);
/* Under which number does the open file stand (ino, or what it was compressed to); -1: none. */
int log_find_file(const char *path, int fd, ino_t ino);
/* File and offset to begin with: for the last `want` entries; for entries not before since_ns. */
int log_find_tail(const char *path, enum log_file_format format, int64_t want, off_t *ret);
int log_find_since(const char *path, enum log_file_format format, int64_t since_ns, off_t *ret);
