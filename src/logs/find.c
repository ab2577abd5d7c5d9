/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in the files of a log to begin. Tails are counted from the end of the newest file back;
 * times are found by the files' times of change, then by halving: a newline is never inside an
 * entry of json-file. Records of "local" may hold bytes that look like records, so such a file (of
 * 20 MB by default) is walked by its lengths.
 */
#include "logs/read-priv.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/banned.h"

#define TICK_NS	     1000000000LL /* with room: a clock that was set */
#define UNPACKED_MAX (4LL << 30)  /* more is none of our files */

static const char *const suffixes[] = {"", ".gz"};

static int file_stat(const char *path, int k, bool packed, struct stat *ret)
{
	char name[PATH_MAX];

	log_file_name(path, k, suffixes[packed], name);
	return lstat(name, ret);
}

static bool file_exists(const char *path, int k, struct stat *ret)
{
	return file_stat(path, k, false, ret) == 0 || (k > 0 && file_stat(path, k, true, ret) == 0);
}

/* Unpack into a file without a name, in the same folder. */
static int unpack(int packed, const char *path)
{
	AUTO_FREE char *dir = xstrdup(path);
	AUTO_FREE char *block = xmalloc(LOG_READ_SIZE);
	char *slash = strrchr(dir, '/');
	int64_t total = 0;
	int fd, n = 0;
	gzFile z;

	if (slash)
		*slash = '\0';
	fd = open(slash ? dir : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	z = gzdopen(packed, "rb");
	if (!z) {
		close(packed);
		close(fd);
		return -ENOMEM;
	}
	while ((n = gzread(z, block, LOG_READ_SIZE)) > 0 && total < UNPACKED_MAX) {
		total += n;
		if (write(fd, block, (size_t)n) != n)
			break;
	}
	gzclose_r(z);
	/* What could be unpacked of a damaged file is shown. */
	return fd;
}

int log_file_open_read(const char *path, int k, struct stat *ret)
{
	char name[PATH_MAX];
	int fd = -1, packed = 0;

	for (; fd < 0 && packed < 1 + (k > 0); packed++) {
		log_file_name(path, k, suffixes[packed], name);
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return packed == 2 ? unpack(fd, path) : fd;
}

int log_find_oldest(const char *path)
{
	struct stat st;
	int k = 0;

	while (k + 1 < LOG_FILES_MAX && file_exists(path, k + 1, &st))
		k++;
	return k;
}

int log_find_file(const char *path, int fd, ino_t ino)
{
	struct stat st, open_st;
	bool known = fstat(fd, &open_st) == 0;

	for (int k = 0; k < LOG_FILES_MAX; k++) {
		bool plain = file_stat(path, k, false, &st) == 0;

		if (plain && st.st_ino == ino)
			return k;
		if (k > 0 && file_stat(path, k, true, &st) == 0) {
			if (st.st_ino == ino ||
			    (known && st.st_mtim.tv_sec == open_st.st_mtim.tv_sec &&
			     st.st_mtim.tv_nsec == open_st.st_mtim.tv_nsec))
				return k;
		} else if (k > 0 && !plain) {
			return -1;
		}
		/* Between two renames the newest is missing for a moment. */
	}
	return -1;
}

/* ---- the last entries ---- */

/* Where the last `want` lines begin; returns how many were found (at most want). */
static int64_t tail_lines(int fd, off_t size, int64_t want, off_t *ret)
{
	AUTO_FREE char *block = xmalloc(LOG_READ_SIZE);
	int64_t lines = 0;
	bool first = true;

	*ret = 0;
	for (off_t end = size; end > 0;) {
		off_t start = end > LOG_READ_SIZE ? end - LOG_READ_SIZE : 0;
		ssize_t n = pread(fd, block, (size_t)(end - start), start);
		const char *nl;

		for (; n > 0 && (nl = memrchr(block, '\n', (size_t)n)); n = nl - block) {
			/* The newline that ends the last line begins nothing. */
			if (!first && ++lines == want) {
				*ret = start + (nl - block) + 1;
				return lines;
			}
			first = false;
		}
		if (n < 0)
			break;
		end = start;
	}
	return lines + !first;
}

static int64_t tail_records(int fd, off_t size, int64_t want, off_t *ret)
{
	int64_t n = 0;
	unsigned char len[4], front[4];

	*ret = size;
	while (n < want && *ret >= 8 && pread(fd, len, 4, *ret - 4) == 4) {
		off_t start = *ret - 8 - log_be32(len);

		/* Damaged: from the beginning, which shows more than asked for rather than less. */
		if (start < 0 || pread(fd, front, 4, start) != 4 || memcmp(front, len, 4) != 0) {
			*ret = 0;
			break;
		}
		*ret = start;
		n++;
	}
	return n;
}

int log_find_tail(const char *path, enum log_file_format format, int64_t want, off_t *ret)
{
	int oldest = log_find_oldest(path), k;

	for (k = 0; k <= oldest; k++) {
		struct stat st;
		AUTO_FD int fd = log_file_open_read(path, k, &st);

		*ret = 0;
		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		*ret = st.st_size;
		if (want > 0)
			want -= format == LOG_LOCAL ? tail_records(fd, st.st_size, want, ret)
						    : tail_lines(fd, st.st_size, want, ret);
		if (want <= 0)
			return k;
	}
	*ret = 0;
	return oldest;
}

/* ---- from a time on ---- */

/* Time of the first whole line that begins behind `at` (or at 0), and where the next one begins. */
static bool line_time(int fd, off_t at, off_t end, struct buf *b, int64_t *ret, off_t *next)
{
	struct log_entry en;
	const char *nl = NULL;
	size_t from = 0;

	buf_reset(b);
	for (;;) {
		char *room = buf_room(b, LOG_READ_SIZE);
		ssize_t n = room ? pread(fd, room, LOG_READ_SIZE, at + (off_t)b->n) : 0;

		if (n <= 0)
			return false;
		b->n += (size_t)n;
		if (at > 0 && from == 0) {
			nl = memchr(b->p, '\n', b->n);
			if (!nl)
				continue;
			from = (size_t)(nl - b->p) + 1;
		}
		while ((nl = memchr(b->p + from, '\n', b->n - from))) {
			size_t len = (size_t)(nl - b->p) - from;
			bool good = at + (off_t)from < end && log_line_parse(b->p + from, len, &en);

			from += len + 1;
			*next = at + (off_t)from;
			*ret = en.time_ns;
			if (good)
				return true;
			if (*next >= end)
				return false;
		}
	}
}

static off_t since_lines(int fd, off_t size, int64_t since)
{
	AUTO_BUF struct buf b = BUF_INIT(LOG_RECORD_MAX + 2 * LOG_READ_SIZE);
	off_t low = 0, high = size, next;
	int64_t time;

	/* Everything before low is older than since; the first that is not begins before high. */
	while (high - low > LOG_READ_SIZE) {
		off_t middle = low + (high - low) / 2;

		if (line_time(fd, middle, high, &b, &time, &next) && time < since)
			low = next;
		else
			high = middle;
	}
	return low;
}

/* The time stands in the first bytes of a record, behind its source. */
static off_t since_records(int fd, off_t size, int64_t since)
{
	AUTO_FREE char *block = xmalloc(LOG_READ_SIZE + LOG_RECORD_MAX + 8);
	off_t at = 0;

	while (at < size) {
		ssize_t n = pread(fd, block, LOG_READ_SIZE + LOG_RECORD_MAX + 8, at);
		size_t used = 0;

		while (n > 0 && used < (size_t)n) {
			struct log_entry en;
			ssize_t len = log_record_parse(block + used, (size_t)n - used, &en);

			if (len == 0)
				break;
			if (len < 0 || en.time_ns >= since)
				return at + (off_t)used;
			used += (size_t)len;
		}
		if (used == 0)
			break;
		at += (off_t)used;
	}
	return at;
}

int log_find_since(const char *path, enum log_file_format format, int64_t since_ns, off_t *ret)
{
	int oldest = log_find_oldest(path), k = 0;
	struct stat st;

	/* A file that last changed before `since`, and those before it, have nothing. The kernel
	 * stamps files with the time of its last tick, which is before that of the entries. */
	while (k < oldest && file_exists(path, k + 1, &st) &&
	       st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec + TICK_NS >= since_ns)
		k++;

	AUTO_FD int fd = log_file_open_read(path, k, &st);

	*ret = 0;
	if (fd >= 0 && fstat(fd, &st) == 0)
		*ret = format == LOG_LOCAL ? since_records(fd, st.st_size, since_ns)
					   : since_lines(fd, st.st_size, since_ns);
	return k;
}
