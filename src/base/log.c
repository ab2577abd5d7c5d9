/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines as text or JSON, one write(2) each; and the trace clock. */
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static struct {
	enum log_level level;
	enum log_format format;
	int fd;
} sink = {LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 2};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_setup(enum log_level level, enum log_format format, int fd)
{
	sink.level = level;
	sink.format = format;
	sink.fd = fd;
}

bool log_enabled(enum log_level level)
{
	return level <= sink.level;
}

static void add_escaped(struct buf *b, const char *s, bool json)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c == 0x7f)
			buf_addf(b, json ? "\\u%04x" : "\\x%02x", c);
		else if (json && (c == '"' || c == '\\'))
			buf_addf(b, "\\%c", c);
		else
			buf_addc(b, (char)c);
	}
}

static void add_json(struct buf *line, enum log_level level, const char *now, const char *text,
		     const struct log_field *f)
{
	buf_addf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"", now, level_names[level]);
	add_escaped(line, text, true);
	buf_addc(line, '"');
	for (; f && f->key; f++) {
		buf_addf(line, ",\"%s\":", f->key);
		if (!f->text) {
			buf_addf(line, "%lld", (long long)f->number);
			continue;
		}
		buf_addc(line, '"');
		add_escaped(line, f->text, true);
		buf_addc(line, '"');
	}
	buf_adds(line, "}\n");
}

static void write_line(enum log_level level, const struct log_field *fields, const char *fmt,
		       va_list ap)
{
	int saved = errno;
	AUTO_BUF struct buf text = BUF_INIT(16384), line = BUF_INIT(131072);
	char now[CLOCK_TEXT_MAX];

	buf_vaddf(&text, fmt, ap);
	clock_format_fixed(clock_now_ns(), now);
	if (sink.format == LOG_FORMAT_JSON) {
		add_json(&line, level, now, buf_text(&text), fields);
	} else {
		buf_addf(&line, "%s %s: ", now, level_names[level]);
		add_escaped(&line, buf_text(&text), false);
		buf_addc(&line, '\n');
	}
	/* A log that cannot be written has nowhere to report that. */
	if (write(sink.fd, line.p, line.n) < 0)
		errno = 0;
	errno = saved;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	write_line(level, NULL, fmt, ap);
	va_end(ap);
}

void log_write_fields(enum log_level level, const struct log_field *fields, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	write_line(level, fields, fmt, ap);
	va_end(ap);
}

bool trace_on;
static const char *trace_program;
static int64_t trace_start, trace_last;

void trace_setup(const char *program)
{
	const char *v = secure_getenv("CORACLE_TRACE");

	trace_on = v && *v && strcmp(v, "0") != 0;
	trace_program = program;
	trace_start = trace_last = clock_mono_ns();
}

void trace_mark(const char *what)
{
	int64_t now = clock_mono_ns();
	char line[256];
	int n = snprintf(line, sizeof line, "trace %-14s %12.6f +%6ld us  %s\n", trace_program,
			 (double)now / 1e9, (long)((now - trace_last) / 1000), what);

	trace_last = now;
	if (n > 0 && write(2, line, MIN((size_t)n, sizeof line - 1)) < 0)
		return;
}
