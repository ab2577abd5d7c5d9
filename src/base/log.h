/* SPDX-License-Identifier: Apache-2.0 */
/* Logging of programs (L6-L8 above debug). Keeps errno; checks the level before formatting. */
#pragma once

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Sink is a borrowed fd (default 2). */
void log_setup(enum log_level level, enum log_format format, int fd);
bool log_enabled(enum log_level level);
/* Text from images, guests and clients is escaped here (control bytes as \xNN). */
void log_write(enum log_level level, const char *fmt, ...) PRINTF_FMT(2, 3);

/* What a message is about: JSON gets members of their own behind "msg", whose text is the same. */
struct log_field {
	const char *key;
	const char *text; /* NULL: the number */
	int64_t number;
};
/* fields: ends with key NULL. */
void log_write_fields(enum log_level level, const struct log_field *fields, const char *fmt, ...)
	PRINTF_FMT(3, 4);
/* About one container: "container 0123456789ab: ...", and its whole id as a field. */
#define log_container(level, id, fmt, ...)                                                         \
	log_write_fields((level), (const struct log_field[]){{"container", (id), 0}, {0}},         \
			 "container %.12s: " fmt, (id), ##__VA_ARGS__)

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
	(log_enabled(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

/*
 * CORACLE_TRACE=1: trace_point("overlay mounted") prints "<program> +<us since start> <us since
 * last> text" to stderr. Free when off.
 */
extern bool trace_on;
void trace_setup(const char *program); /* reads the environment */
void trace_mark(const char *what);
#define trace_point(what) (trace_on ? trace_mark(what) : (void)0)
