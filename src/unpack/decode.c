/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xz and bzip2 in front of everything else (docker import, load): a thread lets libarchive decode
 * them into a pipe, which becomes the input. Other inputs are left alone: the first bytes are
 * looked at without taking them, by pread() or tee(). A pipe that has fewer than six of them ready
 * gets the thread too, which then passes the bytes through.
 */
#include "unpack/stream-priv.h"

#include "base/mem.h"
#include "spec/unpack-proto.h"
#include "sys/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define STEP	   ((size_t)256 << 10)
#define RATIO_FREE ((uint64_t)256 << 20) /* no ratio is judged below this */

struct decode {
	int in, out;
	unsigned char head[STEP];
	size_t nhead;
	uint64_t taken, made;
	struct unpack_limits limits;
	char *buf;
	struct err err;
	atomic_bool failed;
};

static ssize_t read_some(int fd, void *p, size_t n)
{
	ssize_t r;

	do
		r = read(fd, p, n);
	while (r < 0 && errno == EINTR);
	return r;
}

static la_ssize_t read_cb(struct archive *a, void *ud, const void **ret)
{
	struct decode *d = ud;
	ssize_t n = (ssize_t)d->nhead;

	*ret = d->head;
	if (n) {
		d->nhead = 0;
	} else {
		n = read_some(d->in, d->buf, STEP);
		*ret = d->buf;
	}
	if (n < 0)
		archive_set_error(a, errno, "read the input");
	else
		d->taken += (uint64_t)n;
	return n;
}

/* A reader that went away is no error of this side. */
static int hand_over(struct decode *d, const void *p, size_t n)
{
	int rc = fs_write_all(d->out, p, n);

	return rc == -EPIPE ? 1 : rc < 0 ? err_sys(&d->err, rc, "write") : 0;
}

static int one_block(struct decode *d, const void *p, size_t n)
{
	uint64_t ratio = d->limits.max_ratio ? d->limits.max_ratio : UNPACK_MAX_RATIO;

	d->made += n;
	if (d->made > RATIO_FREE && d->made / ratio > d->taken)
		return err_set(&d->err, ERR_LIMIT,
			       "%llu compressed bytes become more than %llu: more than %llu times",
			       (unsigned long long)d->taken, (unsigned long long)d->made,
			       (unsigned long long)ratio);
	return hand_over(d, p, n);
}

static int decode_foreign(struct decode *d)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	const void *p;
	int64_t at;
	size_t n;
	int rc;

	ASSERT(a);
	archive_read_support_format_raw(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_bzip2(a);
	rc = archive_read_open(a, d, NULL, read_cb, NULL);
	rc = rc == ARCHIVE_OK ? archive_read_next_header(a, &entry) : rc;
	int stop = 0;
	while (rc == ARCHIVE_OK && !stop &&
	       (rc = archive_read_data_block(a, &p, &n, &at)) == ARCHIVE_OK)
		stop = one_block(d, p, n);
	if (!stop && rc != ARCHIVE_EOF)
		stop = err_set(&d->err, ERR_INVALID, "corrupt compressed data: %s",
			       archive_error_string(a) ? archive_error_string(a) : "unknown error");
	archive_read_free(a);
	return stop < 0 ? -1 : 0;
}

static int pass_through(struct decode *d)
{
	ssize_t n = (ssize_t)d->nhead;
	const void *p = d->head;

	while (n > 0) {
		int rc = hand_over(d, p, (size_t)n);
		if (rc)
			return rc < 0 ? -1 : 0;
		n = read_some(d->in, d->buf, STEP);
		p = d->buf;
	}
	return n < 0 ? err_sys(&d->err, -errno, "read the input") : 0;
}

static void *run(void *ud)
{
	struct decode *d = ud;

	while (d->nhead < SNIFF_BYTES) {
		ssize_t n = read_some(d->in, d->head + d->nhead, STEP - d->nhead);
		if (n <= 0)
			break;
		d->nhead += (size_t)n;
	}
	int rc = codec_sniff(d->head, d->nhead) == CODEC_FOREIGN ? decode_foreign(d)
								 : pass_through(d);
	if (rc < 0)
		atomic_store(&d->failed, true);
	fd_close(&d->out); /* after the verdict: whoever sees the end of the pipe sees it */
	return NULL;
}

/* The first bytes without taking them; fewer than asked for when no more are ready. */
static size_t peek(int fd, unsigned char *p, size_t n)
{
	int pipefd[2];
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (at >= 0) {
		ssize_t r = pread(fd, p, n, at);
		return r > 0 ? (size_t)r : 0;
	}
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return 0;
	ssize_t r = tee(fd, pipefd[1], n, 0);
	if (r > 0)
		r = read_some(pipefd[0], p, (size_t)r);
	close(pipefd[0]);
	close(pipefd[1]);
	return r > 0 ? (size_t)r : 0;
}

int decode_start(struct unpack_input *in, struct decode **ret, struct err *e)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	unsigned char head[SNIFF_BYTES];
	size_t n = peek(in->fd, head, sizeof(head));
	pthread_t thread;
	int p[2];

	*ret = NULL;
	bool seekable = lseek(in->fd, 0, SEEK_CUR) >= 0;
	if ((n == sizeof(head) || seekable) && codec_sniff(head, n) != CODEC_FOREIGN)
		return 0;
	sigaction(SIGPIPE, &ignore, NULL);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	struct decode *d = NEW(struct decode);
	d->in = in->fd;
	d->out = p[1];
	d->limits = in->limits;
	d->buf = xmalloc(STEP);
	int rc = pthread_create(&thread, NULL, run, d);
	if (rc) {
		close(p[0]);
		close(p[1]);
		free(d->buf);
		free(d);
		return err_sys(e, -rc, "start the decoder");
	}
	/* It may wait for input that never comes: the process does not wait for it. */
	pthread_detach(thread);
	in->fd = p[0];
	*ret = d;
	return 0;
}

int decode_verdict(const struct decode *d, int rc, struct err *e)
{
	if (!d || !atomic_load(&d->failed))
		return rc;
	*e = d->err;
	return -1;
}
