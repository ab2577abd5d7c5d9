/* SPDX-License-Identifier: Apache-2.0 */
/* Capped byte buffer and string views. */
#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct str str_of(const char *s)
{
	return (struct str){s, s ? strlen(s) : 0};
}

bool str_eq(struct str a, const char *b)
{
	size_t n = strlen(b);

	return a.n == n && (n == 0 || !memcmp(a.p, b, n));
}

bool str_is_set(const char *s)
{
	return s && *s;
}

bool str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && !memcmp(s + n - k, suffix, k);
}

/* The end of the text is marked by a NULL pointer, so that "a," still gives a second, empty field.
 */
bool str_cut(struct str *rest, char sep, struct str *field)
{
	if (!rest->p)
		return false;
	const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	if (!at) {
		*field = *rest;
		*rest = (struct str){NULL, 0};
		return true;
	}
	*field = (struct str){rest->p, (size_t)(at - rest->p)};
	rest->n -= field->n + 1;
	rest->p = at + 1;
	return true;
}

void buf_done(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->n = b->cap = 0;
	b->overflow = false;
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
	if (b->p)
		b->p[0] = 0;
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->overflow || n > b->max || b->n > b->max - n) {
		b->overflow = true;
		return NULL;
	}
	if (b->cap - b->n < n + 1 || !b->p) {
		size_t cap = b->cap ? b->cap * 2 : 256;

		cap = MAX(cap, b->n + n + 1);
		cap = MIN(cap, b->max + 1);
		b->p = xrealloc(b->p, cap);
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	char *room = buf_room(b, n);

	if (!room)
		return;
	if (n)
		memcpy(room, p, n);
	b->n += n;
	b->p[b->n] = 0;
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	char *room = b->n + 1 < b->cap && !b->overflow ? b->p + b->n : buf_room(b, 1);

	if (!room)
		return;
	room[0] = c;
	room[1] = 0;
	b->n++;
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);
	if (n >= 0 && (size_t)n < sizeof small) {
		buf_add(b, small, (size_t)n);
	} else if (n >= 0) {
		char *room = buf_room(b, (size_t)n);
		if (room) {
			vsnprintf(room, (size_t)n + 1, fmt, again);
			b->n += (size_t)n;
		}
	}
	va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
	} else {
		memmove(b->p, b->p + n, b->n - n);
		b->n -= n;
	}
	if (b->p)
		b->p[b->n] = 0;
}

char *buf_take(struct buf *b)
{
	char *p = b->p ? b->p : xstrdup("");

	b->p = NULL;
	b->n = b->cap = 0;
	b->overflow = false;
	return p;
}

const char *buf_text(const struct buf *b)
{
	return b->p ? b->p : "";
}
