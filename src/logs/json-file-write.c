/* SPDX-License-Identifier: Apache-2.0 */
/* Writer of json-file logs: encodes lines straight into one buffer and writes it with one call per
 * read. */
#include "logs/json-file.h"

#include "base/clock.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define OUT_FLUSH 65536 /* encoded bytes per write(2), about */
/* Encoded size of one full piece: every byte may become \u00XX, plus the frame. */
#define PIECE_MAX (LOG_LINE_MAX * 6 + 128)

struct log_writer {
	char *path;
	int fd;
	int64_t size, max_size, max_file;
	struct buf wait[LOG_STREAMS]; /* a line without its newline so far */
	struct buf out;
	char now[CLOCK_TEXT_MAX];
	uint64_t out_lines, lost_lines, lost_reported;
	int lost_errno;
	bool torn; /* the file may end inside a line */
};

static int writer_reopen(struct log_writer *w, int flags)
{
	struct stat st;
	char last = '\n';
	int fd = open(w->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0640);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1)
		last = '\n';
	w->torn = last != '\n';
	w->size = st.st_size;
	fd_close(&w->fd);
	w->fd = fd;
	return 0;
}

int log_writer_open(const char *path, int64_t max_size, int64_t max_file, struct log_writer **ret)
{
	struct log_writer *w = NEW(struct log_writer);
	int rc;

	w->path = xstrdup(path);
	w->fd = FD_NONE;
	w->max_size = max_size;
	w->max_file = MAX(max_file, 1);
	w->out = BUF_INIT(OUT_FLUSH + 2 * PIECE_MAX);
	for (int s = 0; s < LOG_STREAMS; s++)
		w->wait[s] = BUF_INIT(LOG_LINE_MAX);
	rc = writer_reopen(w, 0);
	if (rc < 0) {
		log_writer_free(w);
		return rc;
	}
	*ret = w;
	return 0;
}

/* Rename PATH to PATH.1 and so on; when anything fails the log goes on in the current file. */
static void rotate(struct log_writer *w)
{
	if (w->max_file < 2) {
		if (ftruncate(w->fd, 0) == 0)
			w->size = 0;
		return;
	}
	for (int64_t i = w->max_file - 1; i > 0; i--) {
		char from[4096], to[4096];

		snprintf(to, sizeof to, "%s.%lld", w->path, (long long)i);
		if (i > 1)
			snprintf(from, sizeof from, "%s.%lld", w->path, (long long)(i - 1));
		else
			snprintf(from, sizeof from, "%s", w->path);
		if (rename(from, to) < 0 && i == 1)
			return;
	}
	if (writer_reopen(w, O_EXCL) < 0)
		w->size = 0; /* keep writing into the renamed file: nothing is lost */
}

static void out_drop(struct log_writer *w, int error)
{
	w->lost_lines += w->out_lines;
	w->lost_errno = error;
}

/* Write the buffer as a whole or, when the disk refuses, leave the file as it was. */
static void out_flush(struct log_writer *w)
{
	size_t done = 0;

	if (w->out.n == 0)
		return;
	if (w->max_size > 0 && w->size >= w->max_size)
		rotate(w);
	if (w->torn && write(w->fd, "\n", 1) == 1) {
		w->torn = false;
		w->size++;
	}
	while (done < w->out.n) {
		ssize_t n = write(w->fd, w->out.p + done, w->out.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			out_drop(w, n < 0 ? errno : EIO);
			if (done > 0 && ftruncate(w->fd, w->size) < 0) {
				w->torn = true;
				w->size += (int64_t)done;
			}
			done = 0;
			break;
		}
		done += (size_t)n;
	}
	w->size += (int64_t)done;
	w->out_lines = 0;
	buf_reset(&w->out);
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static char *put(char *o, const char *s, size_t n)
{
	memcpy(o, s, n);
	return o + n;
}

static char *escape_one(char *o, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	switch (c) {
	case '"':
		return put(o, "\\\"", 2);
	case '\\':
		return put(o, "\\\\", 2);
	case '\n':
		return put(o, "\\n", 2);
	case '\r':
		return put(o, "\\r", 2);
	case '\t':
		return put(o, "\\t", 2);
	default:
		memcpy(o, "\\u00", 4);
		o[4] = hex[c >> 4];
		o[5] = hex[c & 15];
		return o + 6;
	}
}

/* JSON text of n bytes at o, at most 6 * n bytes; invalid UTF-8 becomes U+FFFD. */
static char *escape(char *o, const unsigned char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t from = i;

		while (i < n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
			i++;
		if (i > from)
			o = put(o, (const char *)p + from, i - from);
		if (i == n)
			break;
		if (p[i] < 0x80) {
			o = escape_one(o, p[i++]);
			continue;
		}

		size_t len = utf8_len(p + i, n - i);

		o = len ? put(o, (const char *)p + i, len) : put(o, "\xef\xbf\xbd", 3);
		i += len ? len : 1;
	}
	return o;
}

/* One piece (held bytes first, then p), ended by a newline or not. */
static void piece_add(struct log_writer *w, enum log_stream s, const char *p, size_t n,
		      bool newline)
{
	static const char *const tail[LOG_STREAMS] = {
		"\",\"stream\":\"stdout\",\"time\":\"",
		"\",\"stream\":\"stderr\",\"time\":\"",
	};
	struct buf *wait = &w->wait[s];
	size_t time_len = strlen(w->now);

	if (wait->n && n) {
		/* Joined, so that a character split between two reads stays whole. */
		buf_add(wait, p, n);
		p = wait->p;
		n = wait->n;
	} else if (wait->n) {
		p = wait->p;
		n = wait->n;
	}

	char *room = buf_room(&w->out, n * 6 + 128);
	char *o = room;

	if (room) {
		o = put(o, "{\"log\":\"", 8);
		o = escape(o, (const unsigned char *)p, n);
		if (newline)
			o = put(o, "\\n", 2);
		o = put(o, tail[s], strlen(tail[s]));
		o = put(o, w->now, time_len);
		o = put(o, "\"}\n", 3);
		w->out.n += (size_t)(o - room);
		w->out_lines++;
	}
	buf_reset(wait);
	if (w->out.n >= OUT_FLUSH ||
	    (w->max_size > 0 && w->size + (int64_t)w->out.n >= w->max_size))
		out_flush(w);
}

/* The disk takes lines again: say once how many it did not take. */
static void report_lost(struct log_writer *w)
{
	char text[160];
	int n;

	if (w->lost_lines == w->lost_reported || w->wait[LOG_STDERR].n)
		return;
	n = snprintf(text, sizeof text, "coracle: %llu log lines were lost: %s",
		     (unsigned long long)(w->lost_lines - w->lost_reported),
		     strerrordesc_np(w->lost_errno));

	uint64_t before = w->lost_lines;

	piece_add(w, LOG_STDERR, text, (size_t)n, true);
	out_flush(w);
	if (w->lost_lines == before)
		w->lost_reported = before;
	else
		w->lost_lines = before; /* the notice itself does not count */
}

/* Where to cut a line that is too long: not inside a character. */
static size_t cut_at(const char *p, size_t room)
{
	for (size_t back = 0; back < 4 && back < room; back++)
		if (((unsigned char)p[room - back] & 0xc0) != 0x80)
			return room - back;
	return room;
}

void log_writer_add(struct log_writer *w, enum log_stream s, const void *data, size_t n)
{
	const char *p = data;

	clock_format_fixed(clock_now_ns(), w->now);
	if (w->lost_lines != w->lost_reported)
		report_lost(w);
	while (n > 0) {
		size_t room = LOG_LINE_MAX - w->wait[s].n;
		const char *nl = memchr(p, '\n', MIN(n, room + 1));

		if (nl) {
			piece_add(w, s, p, (size_t)(nl - p), true);
			n -= (size_t)(nl - p) + 1;
			p = nl + 1;
		} else if (n > room) {
			size_t k = room ? cut_at(p, room) : 0;

			piece_add(w, s, p, k, false);
			p += k;
			n -= k;
		} else {
			buf_add(&w->wait[s], p, n);
			n = 0;
		}
	}
	out_flush(w);
}

void log_writer_end(struct log_writer *w, enum log_stream s)
{
	if (w->wait[s].n == 0)
		return;
	clock_format_fixed(clock_now_ns(), w->now);
	piece_add(w, s, NULL, 0, false);
	out_flush(w);
}

void log_writer_trim(struct log_writer *w)
{
	buf_done(&w->out);
	for (int s = 0; s < LOG_STREAMS; s++)
		if (w->wait[s].n == 0)
			buf_done(&w->wait[s]);
}

uint64_t log_writer_lost(const struct log_writer *w)
{
	return w->lost_lines;
}

void log_writer_free(struct log_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		for (int s = 0; s < LOG_STREAMS; s++)
			log_writer_end(w, (enum log_stream)s);
	log_writer_trim(w);
	for (int s = 0; s < LOG_STREAMS; s++)
		buf_done(&w->wait[s]);
	fd_close(&w->fd);
	free(w->path);
	free(w);
}
