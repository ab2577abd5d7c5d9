/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the log writer: lines are cut in writer.c, encoded, then given to a file and a socket.
 */
#pragma once

#include "logs/logs.h"

#include "base/clock.h"
#include "sys/spawn.h"

#include <limits.h>

#define LOG_RECORD_MAX (1 << 20) /* longer lines and records are not ours */
#define LOG_ID_MAX     40
#define LOG_FLUSH      65536 /* encoded bytes per write(2), about */

/* One message: a whole line, or a piece of one. */
struct log_record {
	enum log_stream stream;
	int64_t time_ns;
	const char *p; /* without the newline */
	size_t n;
	bool newline; /* ends its line */
	bool partial; /* not the whole line */
	int ordinal;  /* of a piece, from 1 on */
	const char *id;
};

static inline uint32_t log_be32(const void *p)
{
	const unsigned char *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* ---- files: file.c ---- */
struct log_file {
	char *path, *attrs, *compressor;
	enum log_file_format format;
	int fd;
	int64_t size, max_size, max_file;
	struct buf out;
	char now[CLOCK_TEXT_MAX]; /* text of now_ns */
	int64_t now_ns;
	uint64_t out_lines, lost_lines;
	int lost_errno;
	bool torn;	       /* the file ends inside a record; its good part is `size` long */
	struct process worker; /* compresses file number `packing`; 0: none */
	int64_t packing;
};
int log_file_open(const struct log_options *o, struct log_file **ret);
void log_file_add(struct log_file *f, const struct log_record *r);
void log_file_flush(struct log_file *f);
void log_file_trim(struct log_file *f);
void log_file_free(struct log_file *f);
/* PATH, or PATH.k with a suffix. */
void log_file_name(const char *path, int64_t k, const char *suffix, char ret[static PATH_MAX]);
/* pack.c */
void log_pack_begin(struct log_file *f);   /* compress a rotated file, when none is at work */
void log_pack_rotated(struct log_file *f); /* every file has moved on by one */
void log_pack_serve(struct log_file *f);   /* has it ended? */
void log_pack_drop(struct log_file *f);

/* Encoders: at most log_*_room() bytes at o; the end of what they wrote. */
size_t log_json_room(const struct log_file *f, const struct log_record *r);
char *log_json_encode(struct log_file *f, const struct log_record *r, char *o);
size_t log_local_room(const struct log_record *r);
char *log_local_encode(const struct log_record *r, char *o);

/* ---- TLS: dial.c ---- */
struct log_dial {
	struct process helper;
	bool running;
	int status_fd; /* readable once the handshake is over */
};
int log_dial_start(struct log_dial *d, const struct log_tls *t, const struct log_address *a,
		   int *ret_fd);
/* 0: connected, -EAGAIN: not yet, -ECONNREFUSED: why says it. */
int log_dial_result(struct log_dial *d, char *why, size_t size);
/* The socket is closed already. flush: wait a second for what is on its way. */
void log_dial_end(struct log_dial *d, bool flush);

/* ---- sockets: remote.c ---- */
struct log_remote;
int log_remote_open(const struct log_options *o, struct log_remote **ret, struct err *e);
void log_remote_add(struct log_remote *m, const struct log_record *r);
bool log_remote_full(const struct log_remote *m); /* and must not drop */
void log_remote_hurry(struct log_remote *m);
bool log_remote_poll(const struct log_remote *m, struct pollfd *ret);
int log_remote_timeout_ms(const struct log_remote *m, int64_t mono_ns);
void log_remote_serve(struct log_remote *m);
void log_remote_trim(struct log_remote *m);
void log_remote_free(struct log_remote *m);

/* Formats: one message appended to out. */
struct log_syslog_head {
	enum log_syslog format;
	int facility;
	const char *tag, *host;
};
void log_syslog_encode(const struct log_syslog_head *h, const struct log_record *r,
		       struct buf *out);
/* fields: the encoded ones that every message has. */
void log_journal_field(struct buf *out, const char *name, const char *value, size_t n);
void log_journal_encode(const struct buf *fields, const struct log_record *r, struct buf *out);
