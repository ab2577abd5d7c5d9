/* SPDX-License-Identifier: Apache-2.0 */
/* Domain-tier errors: formatting into the caller's struct, and the table of kinds. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const struct {
	const char *name;
	int http;
} kinds[] = {
	[ERR_NONE] = {"none", 200},
	[ERR_INVALID] = {"invalid", 400},
	[ERR_UNAUTHORIZED] = {"unauthorized", 401},
	[ERR_DENIED] = {"denied", 403},
	[ERR_NOT_FOUND] = {"not-found", 404},
	[ERR_CONFLICT] = {"conflict", 409},
	[ERR_LIMIT] = {"limit", 413},
	[ERR_UNSUPPORTED] = {"unsupported", 501},
	[ERR_REMOTE] = {"remote", 502},
	[ERR_UNAVAILABLE] = {"unavailable", 503},
	[ERR_SYSTEM] = {"system", 500},
	[ERR_NOT_EXECUTABLE] = {"not-executable", 400},
	[ERR_NO_PROGRAM] = {"no-program", 400},
	[ERR_LATER] = {"later", 503},
	[ERR_CANCELLED] = {"cancelled", 499},
	[ERR_BUG] = {"bug", 500},
};
_Static_assert(ARRAY_SIZE(kinds) == ERR_KIND_COUNT, "every kind has a name and a status");

/* Mark a message that did not fit, instead of ending it in the middle without a sign. */
static void mark_truncated(struct err *e, int needed)
{
	if (needed >= ERR_TEXT_MAX)
		memcpy(e->text + ERR_TEXT_MAX - 4, "...", 4);
}

static void set_text(struct err *e, const char *fmt, va_list ap)
{
	mark_truncated(e, vsnprintf(e->text, sizeof e->text, fmt, ap));
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	e->kind = kind;
	e->sys = 0;
	va_start(ap, fmt);
	set_text(e, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *e, int rc, const char *fmt, ...)
{
	char head[ERR_TEXT_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(head, sizeof head, fmt, ap);
	va_end(ap);
	e->kind = ERR_SYSTEM;
	e->sys = rc < 0 ? -rc : rc;
	mark_truncated(e, snprintf(e->text, sizeof e->text, "%s: %s", head, strerror(e->sys)));
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	char head[ERR_TEXT_MAX / 2];
	va_list ap;

	memcpy(old, e->text, sizeof old);
	va_start(ap, fmt);
	vsnprintf(head, sizeof head, fmt, ap);
	va_end(ap);
	mark_truncated(e, snprintf(e->text, sizeof e->text, "%s: %s", head, old));
	return -1;
}

void err_clear(struct err *e)
{
	e->kind = ERR_NONE;
	e->sys = 0;
	e->text[0] = 0;
}

int err_kind_http(enum err_kind kind)
{
	return kind < ERR_KIND_COUNT ? kinds[kind].http : 500;
}

const char *err_kind_name(enum err_kind kind)
{
	return kind < ERR_KIND_COUNT ? kinds[kind].name : "system";
}

enum err_kind err_kind_parse(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return (enum err_kind)i;
	return ERR_SYSTEM;
}

void assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "coracle: internal error: %s is false at %s:%d\n", expr, file, line);
	abort();
}
