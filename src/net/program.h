/* SPDX-License-Identifier: Apache-2.0 */
/* Run a small administrative program (nft, iptables-restore) to its end. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define PROGRAM_TIMEOUT_MS 10000

/* Path of a program in PATH or, since a daemon's PATH may lack them, in the sbin folders; heap. */
char *program_find(const char *name);
/*
 * Feed `input` to its standard input and wait, at most PROGRAM_TIMEOUT_MS. out (NULL allowed)
 * takes its standard output. Anything but exit status 0 is an error with the first line that it
 * wrote to standard error.
 */
int program_run(const char *path, const char *const *argv, const char *input, size_t n,
		struct buf *out, struct err *e);
