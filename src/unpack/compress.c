/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing a layer on all processors. The calling thread takes the uncompressed bytes from the
 * stream, hashes them and cuts them into blocks of 1 MiB; threads compress the blocks, each on its
 * own; the calling thread writes and hashes the results in order. gzip is one member made of all
 * blocks (any decoder takes it), zstd one frame per block. The output does not depend on the number
 * of threads. Memory: two blocks per thread and a few more.
 */
#include "unpack/compress-priv.h"
#include "unpack/stream-priv.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define THREADS_MAX 8
#define SLOTS_MAX   (THREADS_MAX + 2)

enum slot_state { SLOT_EMPTY, SLOT_FULL, SLOT_BUSY, SLOT_DONE };

struct slot {
	enum slot_state state;
	unsigned char *in, *out;
	size_t n, made;
};

struct compressor {
	const struct unpack_compress *o;
	int level;
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct slot slots[SLOTS_MAX];
	bool quit;
	/* the caller's */
	pthread_t threads[THREADS_MAX];
	unsigned nthreads, nslots, head; /* head: the oldest slot, and the next to fill */
	struct hasher *out_hash, *in_hash;
	uint64_t out_size, in_size;
	uint32_t crc;
};

static struct slot *take_full(struct compressor *c)
{
	for (unsigned i = 0; i < c->nslots; i++) {
		struct slot *s = &c->slots[(c->head + i) % c->nslots];
		if (s->state == SLOT_FULL)
			return s;
	}
	return NULL;
}

static void *thread_main(void *ud)
{
	struct compressor *c = ud;
	AUTO(block_codec) struct block_codec *codec = block_codec_new(c->o->compression, c->level);

	pthread_mutex_lock(&c->lock);
	for (;;) {
		struct slot *s = take_full(c);

		if (!s && c->quit)
			break;
		if (!s) {
			pthread_cond_wait(&c->work, &c->lock);
			continue;
		}
		s->state = SLOT_BUSY;
		pthread_mutex_unlock(&c->lock);
		s->made = block_compress(codec, s->in, s->n, s->out);
		pthread_mutex_lock(&c->lock);
		s->state = SLOT_DONE;
		pthread_cond_signal(&c->done);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int put(struct compressor *c, const void *p, size_t n, struct err *e)
{
	int rc = fs_write_all(c->o->out_fd, p, n);

	if (rc < 0)
		return err_sys(e, rc, "write the compressed layer");
	hasher_add(c->out_hash, p, n);
	c->out_size += n;
	return 0;
}

/* The slot at the head, empty: waits for what is in it and writes that. */
static struct slot *empty_slot(struct compressor *c, struct err *e)
{
	struct slot *s = &c->slots[c->head];

	pthread_mutex_lock(&c->lock);
	while (s->state == SLOT_FULL || s->state == SLOT_BUSY)
		pthread_cond_wait(&c->done, &c->lock);
	bool done = s->state == SLOT_DONE;
	s->state = SLOT_EMPTY;
	pthread_mutex_unlock(&c->lock);
	if (done && put(c, s->out, s->made, e) < 0)
		return NULL;
	s->n = 0;
	return s;
}

static void submit(struct compressor *c, struct slot *s)
{
	pthread_mutex_lock(&c->lock);
	s->state = SLOT_FULL;
	c->head = (c->head + 1) % c->nslots;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

static int run(struct compressor *c, struct stream *in, struct err *e)
{
	struct slot *s = empty_slot(c, e);
	const void *p;
	ssize_t n;

	while (s && (n = stream_next(in, &p, e)) != 0) {
		const char *at = p;

		if (n < 0)
			return -1;
		hasher_add(c->in_hash, p, (size_t)n);
		if (c->o->compression == UNPACK_GZIP)
			c->crc = block_crc(c->crc, p, (size_t)n);
		c->in_size += (uint64_t)n;
		for (size_t left = (size_t)n; left && s;) {
			size_t part = MIN(left, BLOCK_SIZE - s->n);
			memcpy(s->in + s->n, at, part);
			s->n += part;
			at += part;
			left -= part;
			if (s->n == BLOCK_SIZE) {
				submit(c, s);
				s = empty_slot(c, e);
			}
		}
	}
	if (!s)
		return -1;
	if (s->n ||
	    (!c->in_size && c->o->compression == UNPACK_ZSTD)) /* no frame at all is not zstd */
		submit(c, s);
	for (unsigned i = 0; i < c->nslots; i++) {
		if (!empty_slot(c, e))
			return -1;
		pthread_mutex_lock(&c->lock);
		c->head = (c->head + 1) % c->nslots;
		pthread_mutex_unlock(&c->lock);
	}
	return 0;
}

/* RFC 1952: no name, no time, so that the same layer gives the same bytes. */
static int gzip_head(struct compressor *c, struct err *e)
{
	static const unsigned char head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};

	return put(c, head, sizeof(head), e);
}

/* An empty last block, the checksum, the length. */
static int gzip_tail(struct compressor *c, struct err *e)
{
	unsigned char tail[10] = {3, 0};

	for (unsigned i = 0; i < 4; i++) {
		tail[2 + i] = (unsigned char)(c->crc >> (8 * i));
		tail[6 + i] = (unsigned char)(c->in_size >> (8 * i));
	}
	return put(c, tail, sizeof(tail), e);
}

static unsigned processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return (unsigned)MIN(MAX(n, 1), THREADS_MAX);
}

static int start(struct compressor *c, struct err *e)
{
	unsigned n = c->o->threads ? MIN(c->o->threads, (unsigned)THREADS_MAX) : processors();

	if (c->o->compression == UNPACK_ZSTD && c->level > 15)
		n = MIN(n, 2); /* tens of megabytes each */
	c->nslots = n + 2;
	for (unsigned i = 0; i < c->nslots; i++) {
		c->slots[i].in = xmalloc(BLOCK_SIZE);
		c->slots[i].out = xmalloc(BLOCK_ROOM(BLOCK_SIZE));
	}
	for (; c->nthreads < n; c->nthreads++) {
		int rc = pthread_create(&c->threads[c->nthreads], NULL, thread_main, c);
		if (rc)
			return err_sys(e, -rc, "start a thread");
	}
	return 0;
}

static void stop(struct compressor *c)
{
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->nslots; i++)
		if (c->slots[i].state == SLOT_FULL)
			c->slots[i].state = SLOT_EMPTY; /* nobody wants it any more */
	c->quit = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->nthreads; i++)
		pthread_join(c->threads[i], NULL);
	for (unsigned i = 0; i < c->nslots; i++) {
		free(c->slots[i].in);
		free(c->slots[i].out);
	}
	hasher_free(c->in_hash);
	hasher_free(c->out_hash);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->done);
	pthread_mutex_destroy(&c->lock);
}

static int totals(struct compressor *c, struct unpack_result *ret, struct err *e)
{
	ret->size = c->out_size;
	ret->diff_size = c->in_size;
	hasher_final(c->out_hash, &ret->digest);
	hasher_final(c->in_hash, &ret->diff_id);
	if (digest_is_set(&c->o->diff_id) && !digest_eq(&c->o->diff_id, &ret->diff_id))
		return err_set(e, ERR_INVALID, "wrong diff id: expected %s, got %s",
			       c->o->diff_id.text, ret->diff_id.text);
	return 0;
}

int unpack_compress(const struct unpack_compress *o, struct unpack_result *ret, struct err *e)
{
	bool gzip = o->compression == UNPACK_GZIP;
	struct compressor c = {.o = o,
			       .level = o->level ? o->level
					: gzip	 ? UNPACK_GZIP_LEVEL
						 : UNPACK_ZSTD_LEVEL,
			       .in_hash = hasher_new("sha256"),
			       .out_hash = hasher_new("sha256")};
	AUTO(stream) struct stream *in = NULL;

	*ret = (struct unpack_result){.size = 0};
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.work, NULL);
	pthread_cond_init(&c.done, NULL);
	int rc = stream_open(&o->in, false, &in, e);
	rc = rc ? rc : start(&c, e);
	rc = rc ? rc : gzip ? gzip_head(&c, e) : 0;
	rc = rc ? rc : run(&c, in, e);
	rc = rc ? rc : gzip ? gzip_tail(&c, e) : 0;
	rc = rc ? rc : totals(&c, ret, e);
	stop(&c);
	return rc;
}
