/* SPDX-License-Identifier: Apache-2.0 */
/* malloc and free for zstd: what is larger than a window of 32 MiB lies in a file. See window.c. */
#pragma once

#include <stddef.h>

/* dir_fd: pointer to the descriptor of a writable folder, or to FD_NONE: no large windows. */
void *window_alloc(void *dir_fd, size_t size);
void window_free(void *dir_fd, void *p);
/* errno of the file when a piece of the window could not be kept; the bytes decoded are wrong. */
int window_failed(void);
