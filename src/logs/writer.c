/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a program to messages: cut at newlines and at LOG_LINE_MAX, then to file and socket. */
#include "logs/logs-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

#define FREE_WAIT_MS 1000

struct line {
	struct buf wait; /* without its newline so far */
	int pieces;	 /* of this line, already out */
	char id[LOG_ID_MAX];
};

struct log_writer {
	struct log_file *file;
	struct log_remote *remote;
	struct line line[LOG_STREAMS];
	int64_t now;
	uint64_t lost_reported;
};

int log_writer_open(const struct log_options *o, struct log_writer **ret, struct err *e)
{
	AUTO(log_writer) struct log_writer *w = NEW(struct log_writer);
	int rc;

	for (int s = 0; s < LOG_STREAMS; s++)
		w->line[s].wait = BUF_INIT(LOG_LINE_MAX);
	if (o->path) {
		rc = log_file_open(o, &w->file);
		if (rc < 0)
			return err_sys(e, rc, "open log %s", o->path);
	}
	if (o->socket != LOG_NO_SOCKET && log_remote_open(o, &w->remote, e) < 0)
		return err_wrap(e, "failed to initialize logging driver");
	*ret = TAKE_PTR(w);
	return 0;
}

static void line_name(struct line *l)
{
	unsigned char raw[16] = {0};

	if (getrandom(raw, sizeof raw, GRND_NONBLOCK) < 0)
		memcpy(raw, &l, sizeof l); /* early at boot: one process needs no more */
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(l->id + 2 * i, 3, "%02x", raw[i]);
}

/* One piece (held bytes first, then p), ended by a newline or not. */
static void piece_add(struct log_writer *w, enum log_stream s, const char *p, size_t n,
		      bool newline)
{
	struct line *l = &w->line[s];
	struct log_record r = {.stream = s, .time_ns = w->now, .p = p, .n = n, .newline = newline};

	if (l->wait.n && n) /* joined, so that a character split between two reads stays whole */
		buf_add(&l->wait, p, n);
	if (l->wait.n) {
		r.p = l->wait.p;
		r.n = l->wait.n;
	}
	if (!r.p)
		r.p = "";
	r.partial = !newline || l->pieces > 0;
	if (r.partial) {
		if (l->pieces == 0)
			line_name(l);
		r.ordinal = ++l->pieces;
		r.id = l->id;
	}
	if (newline)
		l->pieces = 0;
	if (w->file)
		log_file_add(w->file, &r);
	if (w->remote)
		log_remote_add(w->remote, &r);
	buf_reset(&l->wait);
}

/* The disk takes lines again: say once how many it did not take. */
static void report_lost(struct log_writer *w)
{
	struct log_file *f = w->file;
	struct log_record r = {.stream = LOG_STDERR, .time_ns = w->now, .newline = true};
	char text[160];
	uint64_t before;

	if (!f || f->lost_lines == w->lost_reported || w->line[LOG_STDERR].wait.n)
		return;
	before = f->lost_lines;
	r.n = (size_t)snprintf(text, sizeof text, "coracle: %llu log lines were lost: %s",
			       (unsigned long long)(before - w->lost_reported),
			       strerrordesc_np(f->lost_errno));
	r.p = text;
	log_file_add(f, &r);
	log_file_flush(f);
	if (f->lost_lines == before)
		w->lost_reported = before;
	else
		f->lost_lines = before; /* the notice itself does not count */
}

/* Where to cut a line that is too long: not inside a character. */
static size_t cut_at(const char *p, size_t room)
{
	for (size_t back = 0; back < 4 && back < room; back++)
		if (((unsigned char)p[room - back] & 0xc0) != 0x80)
			return room - back;
	return room;
}

size_t log_writer_add(struct log_writer *w, enum log_stream s, const void *data, size_t total)
{
	const char *p = data;
	size_t n = total;

	w->now = clock_now_ns();
	report_lost(w);
	while (n > 0 && !(w->remote && log_remote_full(w->remote))) {
		size_t room = LOG_LINE_MAX - w->line[s].wait.n;
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
			buf_add(&w->line[s].wait, p, n);
			n = 0;
		}
	}
	if (w->file)
		log_file_flush(w->file);
	return total - n;
}

void log_writer_end(struct log_writer *w, enum log_stream s)
{
	if (w->line[s].wait.n == 0)
		return;
	w->now = clock_now_ns();
	piece_add(w, s, NULL, 0, false);
	if (w->file)
		log_file_flush(w->file);
}

void log_writer_hurry(struct log_writer *w)
{
	if (w->remote)
		log_remote_hurry(w->remote);
}

size_t log_writer_poll(const struct log_writer *w, struct pollfd ret[static LOG_WRITER_POLLS])
{
	size_t n = 0;

	if (w->remote && log_remote_poll(w->remote, &ret[n]))
		n++;
	if (w->file && w->file->packing)
		ret[n++] = (struct pollfd){.fd = w->file->worker.pidfd, .events = POLLIN};
	return n;
}

int log_writer_timeout_ms(const struct log_writer *w, int64_t mono_ns)
{
	return w->remote ? log_remote_timeout_ms(w->remote, mono_ns) : -1;
}

void log_writer_serve(struct log_writer *w)
{
	if (w->remote)
		log_remote_serve(w->remote);
	if (w->file)
		log_pack_serve(w->file);
}

void log_writer_trim(struct log_writer *w)
{
	if (w->file)
		log_file_trim(w->file);
	if (w->remote)
		log_remote_trim(w->remote);
	for (int s = 0; s < LOG_STREAMS; s++)
		if (w->line[s].wait.n == 0)
			buf_done(&w->line[s].wait);
}

uint64_t log_writer_lost(const struct log_writer *w)
{
	return w->file ? w->file->lost_lines : 0;
}

/* What still waits for a socket that takes bytes. */
static void remote_drain(struct log_remote *m)
{
	int64_t end = clock_mono_ns() + FREE_WAIT_MS * 1000000LL;
	struct pollfd p;

	log_remote_serve(m);
	while (log_remote_poll(m, &p) && (p.events & POLLOUT)) {
		int64_t left = (end - clock_mono_ns()) / 1000000;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return;
		log_remote_serve(m);
	}
}

void log_writer_free(struct log_writer *w)
{
	if (!w)
		return;
	for (int s = 0; s < LOG_STREAMS; s++) {
		if (w->file || w->remote)
			log_writer_end(w, (enum log_stream)s);
		buf_done(&w->line[s].wait);
	}
	if (w->remote)
		remote_drain(w->remote);
	log_remote_free(w->remote);
	log_file_free(w->file);
	free(w);
}
