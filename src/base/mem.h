/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation. x* functions abort with a message when memory is gone (small, bounded requests);
 * anything sized by input uses try_alloc() with a limit. Arenas own whole parsed documents.
 */
#pragma once

#include "base/attr.h"

#include <stddef.h>

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size); /* zeroed */
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF_FMT(1, 2);
/* Zeroed memory of n bytes, or NULL when n > limit or memory is gone. Caller frees. */
void *try_alloc(size_t n, size_t limit);

#define NEW(type) ((type *)xcalloc(1, sizeof(type)))

/* Bump allocator: pointers live until arena_free(); zeroed memory, never freed one by one. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL allowed */
void *arena_alloc(struct arena *a, size_t n);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_FMT(2, 3);
size_t arena_size(const struct arena *a); /* bytes handed out so far */
DEFINE_AUTO(arena);
