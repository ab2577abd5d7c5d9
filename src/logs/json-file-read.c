/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of json-file logs. One rule finds the way through rotated files for whole reads, tails and
 * followers alike: at the end of the open file, look under which name its inode stands now. PATH
 * itself: this is the newest. PATH.k: read what came before the renaming, then go on with
 * PATH.(k-1). No name: it was deleted, go on with the oldest there is.
 */
#include "logs/json-file.h"

#include "base/clock.h"
#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/banned.h"

#define READ_SIZE     65536
#define LINE_SIZE_MAX (1 << 20) /* longer lines are not ours */
#define FILES_MAX     1000

struct log_reader {
	char *path;
	int fd;
	ino_t ino;
	off_t offset; /* of the next read */
	int inotify;
	struct buf in;
	size_t used;   /* bytes of `in` already delivered */
	bool overlong; /* inside a line longer than LINE_SIZE_MAX */
	bool follow, ended, renamed;
	int64_t since, until;
	uint64_t skipped;
};

static const char *file_name(const struct log_reader *r, int k, char out[static PATH_MAX])
{
	if (k == 0)
		return r->path;
	snprintf(out, PATH_MAX, "%s.%d", r->path, k);
	return out;
}

static int file_open(const struct log_reader *r, int k)
{
	char name[PATH_MAX];
	int fd = open(file_name(r, k, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* Under which number does this inode stand; -1: none. */
static int file_find(const struct log_reader *r, ino_t ino)
{
	char name[PATH_MAX];
	struct stat st;

	for (int k = 0; k < FILES_MAX; k++) {
		if (lstat(file_name(r, k, name), &st) < 0) {
			if (k > 0)
				return -1;
			continue; /* between two renames the newest is missing for a moment */
		}
		if (st.st_ino == ino)
			return k;
	}
	return -1;
}

static int file_oldest(const struct log_reader *r)
{
	char name[PATH_MAX];
	struct stat st;
	int k = 0;

	while (k + 1 < FILES_MAX && lstat(file_name(r, k + 1, name), &st) == 0)
		k++;
	return k;
}

static int reader_switch(struct log_reader *r, int k, off_t offset)
{
	struct stat st;
	int fd = file_open(r, k);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (r->fd >= 0 && st.st_ino == r->ino)) {
		close(fd);
		return -EAGAIN;
	}
	fd_close(&r->fd);
	r->fd = fd;
	r->ino = st.st_ino;
	r->offset = offset;
	r->renamed = false;
	/* A torn line at the end of a finished file stays torn. */
	if (r->in.n > r->used)
		r->skipped++;
	r->used = 0;
	buf_reset(&r->in);
	return 0;
}

/*
 * Find the place where the last `want` lines of file k begin. Returns how many lines were found (at
 * most want).
 */
static int64_t tail_seek(const struct log_reader *r, int k, int64_t want, off_t *ret)
{
	AUTO_FD int fd = file_open(r, k);
	AUTO_FREE char *block = xmalloc(READ_SIZE);
	struct stat st;
	int64_t lines = 0;
	bool first = true;

	*ret = 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	for (off_t end = st.st_size; end > 0;) {
		off_t start = end > READ_SIZE ? end - READ_SIZE : 0;
		ssize_t n = pread(fd, block, (size_t)(end - start), start);

		if (n <= 0)
			break;
		for (ssize_t i = n - 1; i >= 0; i--) {
			if (block[i] != '\n')
				continue;
			/* The newline that ends the last line begins nothing. */
			if (!first && ++lines == want) {
				*ret = start + i + 1;
				return lines;
			}
			first = false;
		}
		end = start;
	}
	return lines + !first;
}

/* Choose file and offset to begin with. */
static int reader_begin(struct log_reader *r, int64_t tail)
{
	int oldest = file_oldest(r), k = oldest, rc;
	off_t offset = 0;

	if (tail >= 0) {
		for (k = 0; k <= oldest; k++) {
			int64_t found;

			if (tail == 0) {
				struct stat st;

				offset = lstat(r->path, &st) == 0 ? st.st_size : 0;
				break;
			}
			found = tail_seek(r, k, tail, &offset);
			tail -= found;
			if (tail == 0)
				break;
		}
		k = MIN(k, oldest);
	}
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
	r->in = BUF_INIT(LINE_SIZE_MAX + READ_SIZE);
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
	k = file_find(r, r->ino);
	if (k == 0)
		return false;
	if (!r->renamed) {
		/* Lines written just before the renaming. */
		r->renamed = true;
		return true;
	}
	return reader_switch(r, k < 0 ? file_oldest(r) : k - 1, 0) == 0;
}

/* More bytes into the buffer: 1, or 0 when there are none now. */
static int reader_fill(struct log_reader *r)
{
	ssize_t n = 0;
	char *room;

	buf_drop(&r->in, r->used);
	r->used = 0;
	if (r->in.n >= LINE_SIZE_MAX) {
		buf_reset(&r->in);
		r->overlong = true;
	}
	room = buf_room(&r->in, READ_SIZE);
	if (!room)
		return 0;
	if (r->fd >= 0)
		n = pread(r->fd, room, READ_SIZE, r->offset);
	if (n <= 0)
		return 0;
	r->offset += n;
	r->in.n += (size_t)n;
	return 1;
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
		if (ret->time_ns < r->since)
			continue;
		if (r->until && ret->time_ns > r->until) {
			r->ended = true;
			return false;
		}
		return true;
	}
	return false;
}

enum log_read log_reader_next(struct log_reader *r, struct log_entry *ret)
{
	bool drained = false;

	while (!r->ended) {
		if (reader_line(r, ret))
			return LOG_READ_ENTRY;
		if (r->ended || reader_fill(r) == 1)
			continue;
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
