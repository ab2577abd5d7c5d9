/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's "json-file" log: one JSON object per line,
 *     {"log":"text\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}
 * A text line longer than LOG_LINE_MAX is split; every piece but the last lacks the "\n". Rotated
 * files are PATH.1 (newest) to PATH.N. The writer lives in the shim, readers in the engine; they
 * share nothing but the files.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 16384

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAMS };

/* ---- writer ---- */
struct log_writer;
/* max_size <= 0: never rotate. max_file counts the current one too (1: truncate in place). Negative
 * errno. */
int log_writer_open(const char *path, int64_t max_size, int64_t max_file, struct log_writer **ret);
/*
 * Log n bytes of a stream: whole lines are encoded and written at once, the rest waits for its
 * newline. Never fails and never blocks on a full disk: what cannot be written is dropped, and a
 * line saying so follows once writing works again.
 */
void log_writer_add(struct log_writer *w, enum log_stream s, const void *p, size_t n);
/* End of a stream: a waiting line is written without its newline. */
void log_writer_end(struct log_writer *w, enum log_stream s);
/* Give back buffers while nothing happens. */
void log_writer_trim(struct log_writer *w);
uint64_t log_writer_lost(const struct log_writer *w); /* lines dropped so far */
void log_writer_free(struct log_writer *w);	      /* ends both streams */
DEFINE_AUTO(log_writer);

/* ---- reader ---- */
struct log_query {
	int64_t since_ns; /* 0: from the beginning */
	int64_t until_ns; /* 0: no end */
	int64_t tail;	  /* last entries only; negative: all */
	bool follow;
};

struct log_entry {
	int64_t time_ns;
	enum log_stream stream;
	struct str text; /* with its newline; valid until the next call */
};

enum log_read {
	LOG_READ_ENTRY,
	LOG_READ_WAIT, /* following: nothing now, poll log_reader_fd() for POLLIN */
	LOG_READ_END,  /* nothing more will come */
};

struct log_reader;
/*
 * Never blocks beyond disk reads. A missing file is an empty log. Without follow the log ends where
 * it ended at the time of the call; with follow it ends at until_ns (when an entry past it appears;
 * the caller owns a timer for it) or after log_reader_finish().
 */
int log_reader_open(const char *path, const struct log_query *q, struct log_reader **ret);
int log_reader_fd(const struct log_reader *r); /* inotify; FD_NONE unless following */
/* Next entry. Corrupt and torn lines are skipped; entries before since_ns are read past in one go.
 */
enum log_read log_reader_next(struct log_reader *r, struct log_entry *ret);
/* The container is gone: deliver what stands in the files, then LOG_READ_END. */
void log_reader_finish(struct log_reader *r);
uint64_t log_reader_skipped(const struct log_reader *r); /* corrupt lines seen */
void log_reader_free(struct log_reader *r);
DEFINE_AUTO(log_reader);

/* One line without its newline, changed in place; entry->text points into it. False when it is not
 * a log line. */
bool log_line_parse(char *line, size_t n, struct log_entry *ret);
