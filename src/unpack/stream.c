/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream thread: input (first the part already in the blob file, then the descriptor) -> sha256
 * -> blob file -> inflate -> ring of chunks. Memory is the ring plus one input buffer, whatever the
 * input claims.
 */
#include "unpack/stream-priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"
#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/banned.h"

#define SLOTS		 6
#define SLOT_SIZE	 (256 * 1024)
#define IN_SIZE		 (256 * 1024)
#define RATIO_FREE_BYTES (256ull << 20) /* small inputs may expand as they like */
#define PROGRESS_NS	 100000000ll
#define WRITE_OUT_SIZE	 (8ull << 20)

struct slot {
	unsigned char *p;
	size_t n;
};

struct stream {
	struct unpack_input in;
	bool raw, plain; /* plain: what comes out is what came in; set before the first chunk */
	/* stream thread only */
	struct hasher *hash;
	uint64_t total_in, total_out, written_out;
	unsigned char *inbuf;
	struct inflater *inflater;
	int64_t progress_at;
	/* shared, under lock */
	pthread_mutex_t lock;
	pthread_cond_t filled, drained;
	struct slot slots[SLOTS];
	unsigned head, count; /* first filled slot, how many */
	bool done;	      /* no slot will be added */
	bool cancel;
	struct err err; /* valid when done and kind set */
	struct digest digest;
	/* caller only */
	bool holding; /* slot head is in the caller's hands */
	int cancel_fd;
	pthread_t thread;
	bool started;
};

static void progress(struct stream *s)
{
	char line[64];
	int64_t now;

	if (s->in.progress_fd < 0)
		return;
	now = clock_mono_ns();
	if (now - s->progress_at < PROGRESS_NS)
		return;
	s->progress_at = now;
	int n = snprintf(line, sizeof(line), "{\"progress\":%llu}\n",
			 (unsigned long long)s->total_in);
	(void)!write(s->in.progress_fd, line, (size_t)n);
}

/* read(2) that a cancel can interrupt; -ECANCELED then. */
static ssize_t read_some(struct stream *s, void *p, size_t n)
{
	struct pollfd pfd[2] = {{.fd = s->in.fd, .events = POLLIN},
				{.fd = s->cancel_fd, .events = POLLIN}};

	for (;;) {
		ssize_t r;

		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (pfd[1].revents)
			return -ECANCELED;
		if (!pfd[0].revents)
			continue;
		r = read(s->in.fd, p, n);
		if (r >= 0)
			return r;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int blob_write(struct stream *s, const void *p, size_t n, struct err *e)
{
	const char *q = p;
	uint64_t at = s->total_in;

	while (n) {
		ssize_t r = pwrite(s->in.blob_fd, q, n, (off_t)at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return err_sys(e, r ? -errno : -EIO, "write the blob");
		q += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return 0;
}

/* Let the disk begin with the blob while the rest comes; only a hint. */
static void write_out(struct stream *s)
{
	if (s->total_in - s->written_out < WRITE_OUT_SIZE)
		return;
	(void)sync_file_range(s->in.blob_fd >= 0 ? s->in.blob_fd : s->in.fd, (off_t)s->written_out,
			      (off_t)(s->total_in - s->written_out), SYNC_FILE_RANGE_WRITE);
	s->written_out = s->total_in;
}

/* Next input bytes into s->inbuf; 0 at the end. */
static ssize_t input_read(struct stream *s, struct err *e)
{
	bool from_blob = s->total_in < s->in.blob_have;
	ssize_t n;

	if (from_blob) {
		size_t want = (size_t)MIN((uint64_t)IN_SIZE, s->in.blob_have - s->total_in);

		n = pread(s->in.blob_fd, s->inbuf, want, (off_t)s->total_in);
		if (n <= 0)
			return err_sys(e, n ? -errno : -EIO, "read the partial blob");
	} else {
		n = read_some(s, s->inbuf, IN_SIZE);
		if (n == -ECANCELED)
			return err_set(e, ERR_CANCELLED, "cancelled");
		if (n < 0)
			return err_sys(e, (int)n, "read the input");
	}
	if (n == 0) {
		if (s->in.size != UINT64_MAX && s->total_in != s->in.size)
			return err_set(e, ERR_INVALID, "the blob is truncated: %llu of %llu bytes",
				       (unsigned long long)s->total_in,
				       (unsigned long long)s->in.size);
		return 0;
	}
	if (s->total_in + (uint64_t)n > s->in.size)
		return err_set(e, ERR_INVALID,
			       "the blob is larger than its descriptor says (%llu bytes)",
			       (unsigned long long)s->in.size);
	if (s->hash)
		hasher_add(s->hash, s->inbuf, (size_t)n);
	if (s->in.blob_fd >= 0 && !from_blob && blob_write(s, s->inbuf, (size_t)n, e) < 0)
		return -1;
	s->total_in += (uint64_t)n;
	if (s->in.sync_blob)
		write_out(s);
	progress(s);
	return n;
}

/* An empty slot to fill, NULL when cancelled. */
static struct slot *slot_get(struct stream *s)
{
	struct slot *sl = NULL;

	pthread_mutex_lock(&s->lock);
	while (s->count == SLOTS && !s->cancel)
		pthread_cond_wait(&s->drained, &s->lock);
	if (!s->cancel)
		sl = &s->slots[(s->head + s->count) % SLOTS];
	pthread_mutex_unlock(&s->lock);
	return sl;
}

static void slot_put(struct stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->count++;
	pthread_cond_signal(&s->filled);
	pthread_mutex_unlock(&s->lock);
}

static int check_limits(const struct stream *s, size_t unread, struct err *e)
{
	uint64_t used = s->total_in - unread;

	if (s->total_out > s->in.limits.max_size)
		return err_set(e, ERR_LIMIT, "more than %llu bytes uncompressed",
			       (unsigned long long)s->in.limits.max_size);
	if (s->total_out > RATIO_FREE_BYTES && s->total_out / s->in.limits.max_ratio > used)
		return err_set(e, ERR_LIMIT, "compression ratio above %llu (a decompression bomb?)",
			       (unsigned long long)s->in.limits.max_ratio);
	return 0;
}

/* Collect at least SNIFF_BYTES (or all there is) before the codec is chosen. */
static ssize_t input_first(struct stream *s, unsigned char *first, struct err *e)
{
	size_t have = 0;

	while (have < SNIFF_BYTES) {
		ssize_t n = input_read(s, e);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		memcpy(first + have, s->inbuf, (size_t)n);
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int inflate_all(struct stream *s, struct err *e)
{
	AUTO_FREE unsigned char *first = xmalloc(IN_SIZE + SNIFF_BYTES);
	ssize_t n = input_first(s, first, e);
	struct span in = {first, 0};
	bool eof = false;

	if (n < 0)
		return -1;
	in.n = (size_t)n;
	s->plain = codec_sniff(first, in.n) == CODEC_PLAIN;
	s->inflater = inflater_new(codec_sniff(first, in.n), s->in.scratch_fd);
	for (;;) {
		struct slot *sl = slot_get(s);

		if (!sl)
			return err_set(e, ERR_CANCELLED, "cancelled");
		sl->n = 0;
		while (sl->n < SLOT_SIZE) {
			ssize_t made = inflater_run(s->inflater, &in, sl->p + sl->n,
						    SLOT_SIZE - sl->n, e);

			if (made < 0)
				return -1;
			sl->n += (size_t)made;
			s->total_out += (uint64_t)made;
			if (made)
				continue;
			if (in.n)
				return err_set(e, ERR_INVALID, "corrupt compressed data");
			n = eof ? 0 : input_read(s, e);
			if (n < 0)
				return -1;
			eof = n == 0;
			in = (struct span){s->inbuf, (size_t)n};
			if (eof)
				break;
		}
		if (check_limits(s, in.n, e) < 0)
			return -1;
		if (sl->n)
			slot_put(s);
		if (eof)
			break;
	}
	if (!inflater_whole(s->inflater) && s->total_in > 0)
		return err_set(e, ERR_INVALID,
			       "the compressed data ends too early (after %llu bytes)",
			       (unsigned long long)s->total_in);
	return 0;
}

static int drain_raw(struct stream *s, struct err *e)
{
	ssize_t n;

	while ((n = input_read(s, e)) > 0)
		if (s->total_in > s->in.limits.max_size)
			return err_set(e, ERR_LIMIT, "more than %llu bytes",
				       (unsigned long long)s->in.limits.max_size);
	return n < 0 ? -1 : 0;
}

/*
 * Data that cannot be decoded is most often data damaged on its way: then the digest says so
 * better. Reads the rest for it, which the expected size bounds.
 */
static void prefer_digest(struct stream *s, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct digest d;
	ssize_t n;

	if (!s->hash || e->kind != ERR_INVALID || !digest_is_set(&s->in.digest) ||
	    s->in.size == UINT64_MAX)
		return;
	while ((n = input_read(s, &ignored)) > 0)
		;
	if (n < 0)
		return;
	hasher_final(s->hash, &d);
	if (!digest_eq(&d, &s->in.digest))
		(void)err_set(e, ERR_INVALID, "wrong digest: expected %s, got %s",
			      s->in.digest.text, d.text);
}

/* The reader has the last bytes by now: it goes on unpacking meanwhile. */
static int sync_blob(const struct stream *s, struct err *e)
{
	int fd = s->in.blob_fd >= 0 ? s->in.blob_fd : s->in.fd;

	if (fdatasync(fd) < 0 && errno != EINVAL && errno != EROFS)
		return err_sys(e, -errno, "fdatasync of the blob");
	return 0;
}

static void *stream_main(void *arg)
{
	struct stream *s = arg;
	struct err e = ERR_INIT;
	struct digest d = {""};
	int rc = s->raw ? drain_raw(s, &e) : inflate_all(s, &e);

	if (rc == 0 && s->hash) {
		hasher_final(s->hash, &d);
		if (digest_is_set(&s->in.digest) && !digest_eq(&d, &s->in.digest))
			rc = err_set(&e, ERR_INVALID, "wrong digest: expected %s, got %s",
				     s->in.digest.text, d.text);
	}
	if (rc == 0 && s->in.sync && s->in.blob_fd >= 0 && fsync(s->in.blob_fd) < 0)
		(void)err_sys(&e, -errno, "fsync of the blob");
	else if (rc == 0 && s->in.sync_blob)
		(void)sync_blob(s, &e);
	else if (rc < 0 && !digest_is_set(&d))
		prefer_digest(s, &e);
	pthread_mutex_lock(&s->lock);
	s->err = e;
	s->digest = d;
	s->done = true;
	pthread_cond_signal(&s->filled);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int stream_open(const struct unpack_input *in, bool raw, struct stream **ret, struct err *e)
{
	AUTO(stream) struct stream *s = NEW(struct stream);
	const char *algorithm = str_starts(in->digest.text, "sha512:") ? "sha512" : "sha256";
	int rc;

	s->in = *in;
	s->raw = raw;
	if (!s->in.limits.max_entries)
		s->in.limits.max_entries = UNPACK_MAX_ENTRIES;
	if (!s->in.limits.max_size)
		s->in.limits.max_size = UNPACK_MAX_SIZE;
	if (!s->in.limits.max_ratio)
		s->in.limits.max_ratio = UNPACK_MAX_RATIO;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->filled, NULL);
	pthread_cond_init(&s->drained, NULL);
	if (!in->unhashed)
		s->hash = hasher_new(algorithm);
	s->inbuf = xmalloc(IN_SIZE);
	for (unsigned i = 0; i < SLOTS && !raw; i++)
		s->slots[i].p = xmalloc(SLOT_SIZE);
	s->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->cancel_fd < 0)
		return err_sys(e, -errno, "eventfd");
	rc = pthread_create(&s->thread, NULL, stream_main, s);
	if (rc)
		return err_sys(e, -rc, "start a thread");
	s->started = true;
	*ret = TAKE_PTR(s);
	return 0;
}

ssize_t stream_next(struct stream *s, const void **ret, struct err *e)
{
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	if (s->holding) {
		s->head = (s->head + 1) % SLOTS;
		s->count--;
		s->holding = false;
		pthread_cond_signal(&s->drained);
	}
	while (!s->count && !s->done)
		pthread_cond_wait(&s->filled, &s->lock);
	if (s->count) {
		s->holding = true;
		*ret = s->slots[s->head].p;
		n = (ssize_t)s->slots[s->head].n;
	} else if (s->err.kind != ERR_NONE) {
		*e = s->err;
		n = -1;
	} else {
		n = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

bool stream_is_plain(const struct stream *s)
{
	return s->plain;
}

void stream_totals(const struct stream *s, struct digest *ret_digest, uint64_t *ret_size)
{
	*ret_digest = s->digest;
	*ret_size = s->total_in;
}

void stream_free(struct stream *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->cancel = true;
		pthread_cond_signal(&s->drained);
		pthread_mutex_unlock(&s->lock);
		(void)!write(s->cancel_fd, &one, sizeof(one));
		pthread_join(s->thread, NULL);
	}
	if (s->cancel_fd >= 0)
		close(s->cancel_fd);
	pthread_cond_destroy(&s->filled);
	pthread_cond_destroy(&s->drained);
	pthread_mutex_destroy(&s->lock);
	inflater_free(s->inflater);
	hasher_free(s->hash);
	for (unsigned i = 0; i < SLOTS; i++)
		free(s->slots[i].p);
	free(s->inbuf);
	free(s);
}
