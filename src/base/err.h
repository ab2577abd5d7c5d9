/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain-tier errors. Leaf functions (base, sys, wire) return 0/value or a negative errno;
 * everything above takes a `struct err *e` (never NULL) as its last parameter and returns 0 or -1.
 * The struct lives on the caller's stack: reporting a failure allocates nothing.
 */
#pragma once

#include "base/attr.h"

#include <stdarg.h>
#include <stdbool.h>

/* The contract with clients: each kind has one HTTP status and one name (see err_kind_*). */
enum err_kind {
	ERR_NONE,
	ERR_INVALID,	    /* 400: the request or document is wrong */
	ERR_UNAUTHORIZED,   /* 401: credentials missing or refused */
	ERR_DENIED,	    /* 403: understood and refused */
	ERR_NOT_FOUND,	    /* 404 */
	ERR_CONFLICT,	    /* 409: name in use, wrong state */
	ERR_LIMIT,	    /* 413: larger than we accept */
	ERR_UNSUPPORTED,    /* 501: Docker has it, we do not yet */
	ERR_REMOTE,	    /* 502: a registry or peer failed */
	ERR_UNAVAILABLE,    /* 503: shutting down, try again */
	ERR_SYSTEM,	    /* 500: the kernel or the disk said no */
	ERR_NOT_EXECUTABLE, /* 400: program exists but cannot run; exit code 126 */
	ERR_NO_PROGRAM,	    /* 400: program does not exist; exit code 127 */
	ERR_LATER,	    /* 503: not yet; the API waits and asks again by itself */
	ERR_CANCELLED,	    /* 499: the client went away */
	ERR_BUG,	    /* 500: we are wrong */
	ERR_KIND_COUNT
};

#define ERR_TEXT_MAX 2048

struct err {
	enum err_kind kind;
	int sys;		 /* positive errno, 0 when there is none */
	char text[ERR_TEXT_MAX]; /* complete message, truncated with "..." */
};

#define ERR_INIT ((struct err){.kind = ERR_NONE})

/* All return -1, so that `return err_set(...)` is one line. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_FMT(3, 4);
/* Lift a leaf code: rc is a negative errno; text becomes "<fmt>: <strerror>". ENOENT becomes
 * ERR_SYSTEM too. */
int err_sys(struct err *e, int rc, const char *fmt, ...) PRINTF_FMT(3, 4);
/* Put context in front: "<fmt>: <old text>". Kind and errno stay. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_FMT(2, 3);
void err_clear(struct err *e);

int err_kind_http(enum err_kind kind);		/* HTTP status */
const char *err_kind_name(enum err_kind kind);	/* "not-found" */
enum err_kind err_kind_parse(const char *name); /* unknown names give ERR_SYSTEM */

/* Programming errors only; stays on in release. Input never reaches it. */
#define ASSERT(expr)                                                                               \
	do {                                                                                       \
		if (!(expr))                                                                       \
			assert_failed(#expr, __FILE__, __LINE__);                                  \
	} while (0)
NORETURN void assert_failed(const char *expr, const char *file, int line);
