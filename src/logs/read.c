/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of log files. One rule finds the way through rotated files for whole reads, tails and
 * followers alike: at the end of the open file, look under which name its inode stands now. PATH
 * itself: this is the newest. PATH.k: read what came before the renaming, then go on with
 * PATH.(k-1). No name: compressed meanwhile (the file with its time of change), or deleted: go on
 * with the oldest there is. Where to begin is found in find.c.
 */
#include "logs/read-priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/banned.h"

static int reader_switch(struct log_reader *r, int k, off_t offset)
{
	struct stat st;
	int fd = log_file_open_read(r->path, k, &st);

	if (fd < 0)
		return fd;
	if (!S_ISREG(st.st_mode) || (r->fd >= 0 && st.st_ino == r->ino)) {
		close(fd);
		return -EAGAIN;
	}
	fd_close(&r->fd);
	r->fd = fd;
	r->ino = st.st_ino;
	r->changed = st.st_mtim;
	r->offset = offset;
	r->renamed = false;
	/* A torn line at the end of a finished file stays torn. */
	if (r->in.n > r->used)
		r->skipped++;
	r->used = 0;
	buf_reset(&r->in);
	return 0;
}

/* Choose file and offset to begin with. */
static int reader_begin(struct log_reader *r, int64_t tail)
{
	int rc, k = 0;
	off_t offset = 0;

	if (tail >= 0)
		k = log_find_tail(r->path, r->format, tail, &offset);
	else if (r->since > 0)
		k = log_find_since(r->path, r->format, r->since, &offset);
	else
		k = log_find_oldest(r->path);
	for (; k >= 0; k--) {
		rc = reader_switch(r, k, offset);
		if (rc == 0 || k == 0)
			return rc;
		offset = 0;
	}
	return 0;
}

static int watch_open(struct log_reader *r)
{
	AUTO_FREE char *dir = xstrdup(r->path);
	char *slash = strrchr(dir, '/');

	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify < 0)
		return -errno;
	if (slash)
		*(slash == dir ? slash + 1 : slash) = '\0';
	if (inotify_add_watch(r->inotify, slash ? dir : ".",
			      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
		return -errno;
	return 0;
}

int log_reader_open(const char *path, const struct log_query *q, struct log_reader **ret)
{
	AUTO(log_reader) struct log_reader *r = NEW(struct log_reader);
	int rc;

	r->path = xstrdup(path);
	r->fd = r->inotify = FD_NONE;
	r->format = q->format;
	r->in = BUF_INIT(LOG_RECORD_MAX + LOG_READ_SIZE);
	r->follow = q->follow;
	r->since = q->since_ns;
	r->until = q->until_ns;
	if (!q->follow && (r->until == 0 || r->until > clock_now_ns()))
		r->until = clock_now_ns();
	if (q->follow) {
		rc = watch_open(r);
		if (rc < 0)
			return rc;
	}
	rc = reader_begin(r, q->tail);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret = TAKE_PTR(r);
	return 0;
}

int log_reader_fd(const struct log_reader *r)
{
	return r->inotify;
}

void log_reader_finish(struct log_reader *r)
{
	r->follow = false;
}

uint64_t log_reader_skipped(const struct log_reader *r)
{
	return r->skipped;
}

static void watch_drain(struct log_reader *r)
{
	char events[4096];

	while (r->inotify >= 0 && read(r->inotify, events, sizeof events) > 0)
		;
}

/* At the end of the open file. True when there is more to read now. */
static bool reader_advance(struct log_reader *r)
{
	struct stat st;
	int k;

	if (r->fd < 0)
		return reader_begin(r, -1) == 0 && r->fd >= 0;
	if (fstat(r->fd, &st) == 0 && st.st_size < r->offset) {
		r->offset = 0; /* truncated in place */
		r->used = 0;
		buf_reset(&r->in);
		return st.st_size > 0;
	}
	k = log_find_file(r->path, r->fd, r->ino);
	if (k == 0)
		return false;
	if (!r->renamed) {
		/* Lines written just before the renaming. */
		r->renamed = true;
		return true;
	}
	return reader_switch(r, k < 0 ? log_find_oldest(r->path) : k - 1, 0) == 0;
}

/* More bytes into the buffer: 1, or 0 when there are none now. */
static int reader_fill(struct log_reader *r)
{
	ssize_t n = 0;
	char *room;

	buf_drop(&r->in, r->used);
	r->used = 0;
	if (r->in.n >= LOG_RECORD_MAX + 8) {
		buf_reset(&r->in);
		r->overlong = true;
	}
	room = buf_room(&r->in, LOG_READ_SIZE);
	if (!room)
		return 0;
	if (r->fd >= 0)
		n = pread(r->fd, room, LOG_READ_SIZE, r->offset);
	if (n <= 0)
		return 0;
	r->offset += n;
	r->in.n += (size_t)n;
	return 1;
}

/* Is it inside the times asked for? Sets ended past `until`. */
static bool wanted(struct log_reader *r, const struct log_entry *en)
{
	r->ended |= r->until && en->time_ns > r->until;
	return !r->ended && en->time_ns >= r->since;
}

/* Next entry of the buffer; false when no whole line is left. Sets ended past `until`. */
static bool reader_line(struct log_reader *r, struct log_entry *ret)
{
	while (r->used < r->in.n) {
		char *line = r->in.p + r->used;
		char *nl = memchr(line, '\n', r->in.n - r->used);
		bool overlong = r->overlong;

		if (!nl)
			return false;
		r->used += (size_t)(nl - line) + 1;
		r->overlong = false;
		if (nl == line)
			continue;
		if (overlong || !log_line_parse(line, (size_t)(nl - line), ret)) {
			r->skipped++;
			continue;
		}
		if (wanted(r, ret) || r->ended)
			return !r->ended;
	}
	return false;
}

/* The same for records. After damage: on to the next place that holds one. */
static bool reader_record(struct log_reader *r, struct log_entry *ret)
{
	while (r->used < r->in.n) {
		ssize_t n = log_record_parse(r->in.p + r->used, r->in.n - r->used, ret);

		if (n == 0)
			return false;
		if (n < 0) {
			r->skipped += !r->damaged;
			r->damaged = true;
			r->used++;
			continue;
		}
		r->damaged = false;
		r->used += (size_t)n;
		if (wanted(r, ret) || r->ended)
			return !r->ended;
	}
	return false;
}

static bool reader_entry(struct log_reader *r, struct log_entry *ret)
{
	return r->format == LOG_LOCAL ? reader_record(r, ret) : reader_line(r, ret);
}

enum log_read log_reader_next(struct log_reader *r, struct log_entry *ret)
{
	bool drained = false;

	while (!r->ended) {
		if (reader_entry(r, ret))
			return LOG_READ_ENTRY;
		if (r->ended || reader_fill(r) == 1)
			continue;
		if (r->damaged && r->used < r->in.n) {
			r->used++; /* what looked like a length was none */
			continue;
		}
		if (!drained) {
			/* Before the last look at the files, so that no event is lost. */
			watch_drain(r);
			drained = true;
			continue;
		}
		if (reader_advance(r))
			continue;
		if (r->follow)
			return LOG_READ_WAIT;
		r->ended = true;
	}
	buf_done(&r->in);
	r->used = 0;
	return LOG_READ_END;
}

void log_reader_free(struct log_reader *r)
{
	if (!r)
		return;
	fd_close(&r->fd);
	fd_close(&r->inotify);
	buf_done(&r->in);
	free(r->path);
	free(r);
}
