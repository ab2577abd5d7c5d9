/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler attributes and ownership macros: the owner of a resource is visible in its declaration.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define PRINTF_FMT(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN	      __attribute__((noreturn))
#define UNUSED		      __attribute__((unused))
#define CLEANUP(fn)	      __attribute__((cleanup(fn), unused))
#define MUST_CHECK	      __attribute__((warn_unused_result))

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b)			((a) < (b) ? (a) : (b))
#define MAX(a, b)			((a) > (b) ? (a) : (b))

/* A descriptor that owns nothing; every owned fd starts and ends with this value. */
#define FD_NONE (-EBADF)

static inline void attr_free_cleanup(void *p)
{
	free(*(void **)p);
}

/* Close *fd unless it owns nothing; keeps errno. */
static inline void fd_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
	*fd = FD_NONE;
}

#define AUTO_FREE CLEANUP(attr_free_cleanup)
#define AUTO_FD	  CLEANUP(fd_close)

/*
 * AUTO(thing) struct thing *t = NULL; calls thing_free(t) at scope end.
 * DEFINE_AUTO(thing) once per type, after thing_free() is declared; thing_free(NULL) must be
 * allowed.
 */
#define AUTO(name) CLEANUP(name##_autop)
#define DEFINE_AUTO(name)                                                                          \
	static inline void name##_autop(struct name **p)                                           \
	{                                                                                          \
		if (*p)                                                                            \
			name##_free(*p);                                                           \
		*p = NULL;                                                                         \
	}                                                                                          \
	struct name

/* Hand a resource over: the variable owns nothing afterwards. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		typeof(p) take_ptr_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_ptr_;                                                                         \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_fd_ = (fd);                                                               \
		(fd) = FD_NONE;                                                                    \
		take_fd_;                                                                          \
	})
