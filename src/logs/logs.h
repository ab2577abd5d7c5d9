/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container logs. Files: Docker's "json-file", one JSON object per line,
 *     {"log":"text\n","stream":"stdout","attrs":{"k":"v"},"time":"2024-01-02T03:04:05.123456789Z"}
 * and Docker's "local", records of protobuf between two big-endian lengths (local-parse.c). A text
 * line longer than LOG_LINE_MAX is split; every piece but the last lacks the "\n". Rotated files
 * are PATH.1 (newest) to PATH.N, or PATH.1.gz when they are compressed; such a file keeps the time
 * of last change of what it was made of. Sockets: syslog and the journal, with a "local" file as
 * cache for readers. The writer lives in the shim, readers in the engine; they share nothing but
 * the files.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define LOG_LINE_MAX 16384

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAMS };
enum log_file_format { LOG_JSON, LOG_LOCAL };

/* ---- where messages go besides files ---- */
#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"
struct log_address {
	struct sockaddr_storage addr;
	socklen_t len;
	int type;	    /* SOCK_STREAM, SOCK_DGRAM */
	const char *scheme; /* "udp", "tcp", "tcp+tls", "unix", "unixgram" */
	bool tls;
	char host[256]; /* of udp, tcp and tcp+tls: name or number */
	uint16_t port;
};
/* "udp://192.0.2.1:514", "tcp://[2001:db8::1]", "tcp+tls://logs.example", "unix:///dev/log": port
 * 514 unless given, 6514 with TLS. A name leaves addr empty (AF_UNSPEC): see log_address_number().
 * -EINVAL: not of this form; -EPROTONOSUPPORT: another scheme. */
int log_address_parse(const char *text, struct log_address *ret);
/* Fill in addr from the number of a host. -EINVAL: it is none. */
int log_address_number(struct log_address *a, const char *number);

/* TLS to a syslog server is the helper's: docs/adr/0007-tls-by-a-helper.md. */
struct log_tls {
	const char *helper; /* coracle-tls; it also resolves names */
	const char *ca, *cert, *key;
	bool skip_verify;
};

enum log_syslog { LOG_SYSLOG_UNIX, LOG_SYSLOG_3164, LOG_SYSLOG_5424, LOG_SYSLOG_5424_MICRO };
/* Docker's names ("" is the first); negative: none of them. */
int log_syslog_format(const char *name);
int log_syslog_facility(const char *name); /* name or number; 0 to 23, negative: invalid */

/* ---- writer ---- */
struct log_options {
	enum log_file_format format;
	const char *path;	/* file; NULL: none */
	int64_t max_size;	/* <= 0: never rotate */
	int64_t max_file;	/* counts the current one too (1: truncate in place) */
	const char *attrs;	/* json-file: text of an object, or NULL */
	const char *compressor; /* coracle-unpack, for rotated files; NULL: they stay as they are */
	/* socket */
	enum log_socket { LOG_NO_SOCKET, LOG_SYSLOG, LOG_JOURNAL } socket;
	const char *address; /* syslog; NULL: this machine's */
	struct log_tls tls;
	const char *tag;
	enum log_syslog syslog;
	int facility;
	const struct strmap *fields; /* journal: beside the message */
	bool non_blocking;	     /* drop when the socket does not keep up */
	int64_t buffer;		     /* bytes that wait for the socket */
	/* Told once when the socket fails, and once when it works again. */
	void (*notice)(void *ud, const char *text);
	void *ud;
};

struct log_writer;
/* Strings are copied. With a socket it connects, for at most five seconds. ERR_SYSTEM. */
int log_writer_open(const struct log_options *o, struct log_writer **ret, struct err *e);
/*
 * Log up to n bytes of a stream: whole lines are encoded and written at once, the rest waits for
 * its newline. Never fails and never blocks on a full disk: what cannot be written is dropped, and
 * a line saying so follows once writing works again. Returns how many bytes it took: fewer only
 * when a connected socket's buffer is full and messages may not be dropped; poll then.
 */
size_t log_writer_add(struct log_writer *w, enum log_stream s, const void *p, size_t n);
/* End of a stream: a waiting line is written without its newline. */
void log_writer_end(struct log_writer *w, enum log_stream s);
/* From now on drop instead of waiting for the socket. */
void log_writer_hurry(struct log_writer *w);
#define LOG_WRITER_POLLS 2
size_t log_writer_poll(const struct log_writer *w, struct pollfd ret[static LOG_WRITER_POLLS]);
int log_writer_timeout_ms(const struct log_writer *w, int64_t mono_ns); /* -1: none */
void log_writer_serve(struct log_writer *w); /* polled or timed out: whatever can be done now */
/* Give back buffers while nothing happens. */
void log_writer_trim(struct log_writer *w);
uint64_t log_writer_lost(const struct log_writer *w); /* lines the file lost so far */
/* Ends both streams; waits up to a second for a connected socket. */
void log_writer_free(struct log_writer *w);
DEFINE_AUTO(log_writer);

/* ---- reader ---- */
struct log_query {
	int64_t since_ns; /* 0: from the beginning */
	int64_t until_ns; /* 0: no end */
	int64_t tail;	  /* last entries only; negative: all */
	bool follow;
	enum log_file_format format;
};

struct log_entry {
	int64_t time_ns;
	enum log_stream stream;
	struct str text;  /* with its newline; valid until the next call */
	struct str attrs; /* json-file: text of an object; empty: none */
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
/* Next entry. Corrupt and torn records are skipped; entries before since_ns are read past in one
 * go.
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
/*
 * One record of a "local" file at p: its whole length, 0 when more bytes are needed, -1 when there
 * is no record here. The bytes are changed: a whole line is moved to make room for its newline.
 */
ssize_t log_record_parse(char *p, size_t n, struct log_entry *ret);
