/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable byte buffer with a maximum given at creation, and string views.
 * Writing past the maximum sets `overflow` and drops the write whole; callers check once at the
 * end.
 */
#pragma once

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdarg.h>

struct str {
	const char *p;
	size_t n;
};
#define STR_LIT(s) ((struct str){(s), sizeof(s) - 1})
struct str str_of(const char *s); /* NULL gives an empty view */
bool str_eq(struct str a, const char *b);
bool str_is_set(const char *s); /* neither NULL nor "" */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Cut the next field up to sep from *rest; false when nothing is left. "a,,b" gives three fields.
 */
bool str_cut(struct str *rest, char sep, struct str *field);

struct buf {
	char *p;  /* NUL-terminated whenever cap > 0 */
	size_t n; /* bytes used, without the NUL */
	size_t cap;
	size_t max; /* never holds more than this */
	bool overflow;
};
#define BUF_INIT(maximum) ((struct buf){.max = (maximum)})
#define AUTO_BUF	  CLEANUP(buf_done)
void buf_done(struct buf *b);  /* frees; the buffer is empty and usable afterwards */
void buf_reset(struct buf *b); /* keeps the memory */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_FMT(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap);
void buf_drop(struct buf *b, size_t n); /* remove n bytes from the front */
/* Room for at least n more bytes at b->p + b->n, or NULL; follow with b->n += used. */
char *buf_room(struct buf *b, size_t n);
/* NUL-terminated text owned by the caller; the buffer is empty afterwards. Never NULL. */
char *buf_take(struct buf *b);
const char *buf_text(const struct buf *b); /* "" when empty */
