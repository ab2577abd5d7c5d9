/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file: records gather in one buffer that is written with one call, rotation by size. A
 * record is in the file whole or not at all: what a full disk or a kill left of one is cut off
 * before the next is written.
 */
#include "logs/logs-priv.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

/* Where the last whole line ends. */
static int64_t lines_end(int fd, int64_t size)
{
	char block[4096];

	for (int64_t end = size; end > 0;) {
		int64_t start = MAX(end - (int64_t)sizeof block, 0);
		ssize_t n = pread(fd, block, (size_t)(end - start), start);
		const char *nl = n > 0 ? memrchr(block, '\n', (size_t)n) : NULL;

		if (n <= 0)
			return size;
		if (nl)
			return start + (nl - block) + 1;
		end = start;
	}
	return 0;
}

/* Where the last whole record ends. Only after a crash is there more to do than one look. */
static int64_t records_end(int fd, int64_t size)
{
	unsigned char len[4];
	int64_t at = 0;

	if (size >= 8 && pread(fd, len, 4, size - 4) == 4) {
		int64_t start = size - 8 - log_be32(len);
		unsigned char first[4];

		if (start >= 0 && pread(fd, first, 4, start) == 4 && !memcmp(first, len, 4))
			return size;
	}
	while (at + 8 <= size && pread(fd, len, 4, at) == 4) {
		int64_t next = at + 8 + log_be32(len);
		unsigned char last[4];

		if (next > size || pread(fd, last, 4, next - 4) != 4 || memcmp(last, len, 4) != 0)
			break;
		at = next;
	}
	return at;
}

static int file_reopen(struct log_file *f, int flags)
{
	struct stat st;
	int fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0640);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	f->size = f->format == LOG_LOCAL ? records_end(fd, st.st_size) : lines_end(fd, st.st_size);
	f->torn = f->size != st.st_size;
	fd_close(&f->fd);
	f->fd = fd;
	return 0;
}

int log_file_open(const struct log_options *o, struct log_file **ret)
{
	struct log_file *f = NEW(struct log_file);
	int rc;

	*f = (struct log_file){.path = xstrdup(o->path),
			       .attrs = o->attrs ? xstrdup(o->attrs) : NULL,
			       .compressor = o->compressor ? xstrdup(o->compressor) : NULL,
			       .format = o->format,
			       .fd = FD_NONE,
			       .max_size = o->max_size,
			       .max_file = MAX(o->max_file, 1),
			       .worker = {.pidfd = FD_NONE}};
	f->out = BUF_INIT(LOG_FLUSH + 2 * (LOG_LINE_MAX * 6 + LOG_RECORD_MAX));
	rc = file_reopen(f, 0);
	if (rc < 0) {
		log_file_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void log_file_name(const char *path, int64_t k, const char *suffix, char ret[static PATH_MAX])
{
	if (k == 0)
		snprintf(ret, PATH_MAX, "%s", path);
	else
		snprintf(ret, PATH_MAX, "%s.%lld%s", path, (long long)k, suffix);
}

/* PATH to PATH.1 and so on; when anything fails the log goes on in the current file. */
static void rotate(struct log_file *f)
{
	static const char *const suffix[] = {"", ".gz"};
	char from[PATH_MAX], to[PATH_MAX];

	if (f->max_file < 2) {
		if (ftruncate(f->fd, 0) == 0)
			f->size = 0;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffix); i++) {
		log_file_name(f->path, f->max_file - 1, suffix[i], to);
		unlink(to);
	}
	for (int64_t k = f->max_file - 1; k > 1; k--) {
		for (size_t i = 0; i < ARRAY_SIZE(suffix); i++) {
			log_file_name(f->path, k - 1, suffix[i], from);
			log_file_name(f->path, k, suffix[i], to);
			(void)rename(from, to);
		}
	}
	log_file_name(f->path, 1, "", to);
	if (rename(f->path, to) < 0)
		return;
	log_pack_rotated(f);
	if (file_reopen(f, O_EXCL) < 0)
		f->size = 0; /* keep writing into the renamed file: nothing is lost */
	log_pack_begin(f);
}

static void out_drop(struct log_file *f, int error)
{
	f->lost_lines += f->out_lines;
	f->lost_errno = error;
}

void log_file_flush(struct log_file *f)
{
	size_t done = 0;

	if (f->out.n == 0)
		return;
	if (f->torn && ftruncate(f->fd, f->size) == 0)
		f->torn = false;
	if (f->max_size > 0 && f->size >= f->max_size)
		rotate(f);
	while (done < f->out.n) {
		ssize_t n = f->torn ? -1 : write(f->fd, f->out.p + done, f->out.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			out_drop(f, n < 0 ? errno : EIO);
			f->torn |= done > 0 && ftruncate(f->fd, f->size) < 0;
			done = 0;
			break;
		}
		done += (size_t)n;
	}
	f->size += (int64_t)done;
	f->out_lines = 0;
	buf_reset(&f->out);
}

void log_file_add(struct log_file *f, const struct log_record *r)
{
	bool local = f->format == LOG_LOCAL;
	char *room = buf_room(&f->out, local ? log_local_room(r) : log_json_room(f, r));

	if (!room)
		return;

	char *end = local ? log_local_encode(r, room) : log_json_encode(f, r, room);

	f->out.n += (size_t)(end - room);
	f->out_lines++;
	if (f->out.n >= LOG_FLUSH ||
	    (f->max_size > 0 && f->size + (int64_t)f->out.n >= f->max_size))
		log_file_flush(f);
}

void log_file_trim(struct log_file *f)
{
	if (f->out.n == 0)
		buf_done(&f->out);
}

void log_file_free(struct log_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		log_file_flush(f);
	log_pack_drop(f);
	buf_done(&f->out);
	fd_close(&f->fd);
	free(f->path);
	free(f->attrs);
	free(f->compressor);
	free(f);
}
