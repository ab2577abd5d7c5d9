/* SPDX-License-Identifier: Apache-2.0 */
/* Tar streams between this program and the engine. */
#pragma once

#include "cli/cli.h"

/* Send the tree at path as chunks of k's request, entries named below `name` ("": its content). */
int tar_send(struct conn *k, const char *path, const char *name, struct err *e);
/* Unpack the body of k below dir; the first path component becomes `rename` unless it is NULL. */
int tar_receive(struct conn *k, const char *dir, const char *rename, struct err *e);
