/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of one program: output is read in chunks, logged, then sent to every client. A chunk stays
 * until the slowest client has it, so memory is bounded and the program feels the reader's pace.
 */
#include "shim/shim-priv.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/banned.h"

#define ROUNDS 16 /* reads per wake-up and source */

void io_init(struct io *io, struct shim *s)
{
	*io = (struct io){.shim = s, .in_fd = FD_NONE, .pidfd = FD_NONE, .pid = -1};
	for (int i = 0; i < 2; i++)
		io->src[i] = (struct source){.fd = FD_NONE, .slot = -1, .eof = true};
	io->in_slot = io->pid_slot = -1;
	list_init(&io->clients);
}

static void source_free_chunk(struct source *src)
{
	if (src->data)
		munmap(src->data, src->cap);
	src->data = NULL;
	src->n = src->logged = src->cap = 0;
}

void io_done(struct io *io)
{
	LIST_FOR_EACH (it, &io->clients) {
		struct client *c = LIST_ENTRY(it, struct client, node);

		if (!c->reason)
			c->reason = SHIM_REASON_EXIT;
	}
	client_sweep(io);
	fd_close(&io->in_fd);
	for (int i = 0; i < 2; i++) {
		fd_close(&io->src[i].fd);
		source_free_chunk(&io->src[i]);
	}
	fd_close(&io->pidfd);
	free(io->id);
	io->id = NULL;
}

void io_trim(struct io *io)
{
	for (int i = 0; i < 2; i++)
		if (io->src[i].n == 0)
			source_free_chunk(&io->src[i]);
	LIST_FOR_EACH (it, &io->clients) {
		struct client *c = LIST_ENTRY(it, struct client, node);

		if (c->in.n == 0)
			buf_done(&c->in);
	}
}

/* Has the time after the exit passed in which all is expected to end by itself? */
static bool io_overdue(const struct io *io)
{
	return io->exited && clock_mono_ns() - io->exit_ns >= HOLD_NS;
}

static bool source_room(const struct io *io, const struct source *src)
{
	if (src->n == 0)
		return true;
	/* A client stalls after the exit: take what the pipe still holds, so that the log is
	 * complete. */
	return io_overdue(io) && src->n < PIPE_BIG + CHUNK_SIZE;
}

static bool source_grow(struct source *src)
{
	size_t cap = src->n ? PIPE_BIG + 2 * CHUNK_SIZE : CHUNK_SIZE;
	void *p;

	if (src->cap - src->n >= CHUNK_SIZE || (src->n == 0 && src->cap > 0))
		return true;
	if (src->data)
		p = mremap(src->data, src->cap, cap, MREMAP_MAYMOVE);
	else
		p = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	src->data = p;
	src->cap = cap;
	return true;
}

/* True when the log has the whole chunk. Only a socket that may stop the program takes less. */
static bool source_log(struct io *io, int i)
{
	struct source *src = &io->src[i];

	if (!io->shim->log || io->id)
		src->logged = src->n;
	else if (src->logged < src->n)
		src->logged += log_writer_add(io->shim->log, (enum log_stream)i,
					      src->data + src->logged, src->n - src->logged);
	return src->logged == src->n;
}

static void source_end(struct io *io, int i)
{
	struct source *src = &io->src[i];

	if (io->shim->log && !io->id) {
		if (src->logged < src->n)
			log_writer_hurry(io->shim->log);
		source_log(io, i);
	}

	src->eof = true;
	src->hung = false;
	fd_close(&src->fd);
	if (io->shim->log && !io->id)
		log_writer_end(io->shim->log, (enum log_stream)i);
}

/* One read; true when there were bytes. */
static bool source_read(struct io *io, int i)
{
	struct source *src = &io->src[i];
	ssize_t n;

	if (!source_grow(src))
		return false;
	n = read(src->fd, src->data + src->n, MIN(src->cap - src->n, (size_t)CHUNK_SIZE));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		src->hung = false;
		return false;
	}
	if (n < 0 && errno == EIO && io->tty && !io->exited) {
		src->hung = true;
		return false;
	}
	if (n <= 0) {
		source_end(io, i);
		return false;
	}
	src->hung = false;
	if (n >= 65536 && !io->tty && src->n == 0)
		(void)fcntl(src->fd, F_SETPIPE_SZ, PIPE_BIG);
	src->n += (size_t)n;
	source_log(io, i);
	return true;
}

/* Send what clients lack; the chunk is empty again when all have it. */
static void source_deliver(struct io *io)
{
	bool busy[2] = {false, false};

	LIST_FOR_EACH (it, &io->clients) {
		struct client *c = LIST_ENTRY(it, struct client, node);

		client_push(c, io);
		for (int i = 0; i < 2; i++)
			busy[i] |= !c->reason && c->want_out[i] && c->pos[i] < io->src[i].n;
	}
	for (int i = 0; i < 2; i++) {
		if (busy[i] || io->src[i].n == 0 || !source_log(io, i))
			continue;
		io->src[i].n = io->src[i].logged = 0;
		LIST_FOR_EACH (it, &io->clients)
			LIST_ENTRY(it, struct client, node)->pos[i] = 0;
	}
}

/* Read, log and deliver until nothing is left to read or a client stops us. */
void io_pump(struct io *io)
{
	for (int round = 0; round < ROUNDS; round++) {
		bool any = false;

		source_deliver(io);
		for (int i = 0; i < 2; i++)
			if (!io->src[i].eof && source_room(io, &io->src[i]))
				any |= source_read(io, i);
		if (!any)
			break;
		io->shim->busy = true;
	}
	source_deliver(io);
}

static bool input_waits(const struct io *io)
{
	LIST_FOR_EACH (it, &io->clients)
		if (LIST_ENTRY(it, struct client, node)->in.n)
			return true;
	return false;
}

void io_poll(struct io *io)
{
	struct shim *s = io->shim;

	io->pid_slot = io->pidfd >= 0 && !io->exited ? shim_poll_add(s, io->pidfd, POLLIN) : -1;
	for (int i = 0; i < 2; i++) {
		struct source *src = &io->src[i];

		src->slot = src->eof || src->hung || !source_room(io, src)
				    ? -1
				    : shim_poll_add(s, src->fd, POLLIN);
	}
	io->in_slot = io->in_fd >= 0 && input_waits(io) ? shim_poll_add(s, io->in_fd, POLLOUT) : -1;
	LIST_FOR_EACH (it, &io->clients)
		client_poll(LIST_ENTRY(it, struct client, node), io);
}

/* A client has everything it asked for once its sources have ended. */
static void clients_finish(struct io *io)
{
	if (io->pid < 0)
		return;
	LIST_FOR_EACH (it, &io->clients) {
		struct client *c = LIST_ENTRY(it, struct client, node);
		bool any = false, open = false;

		for (int i = 0; i < 2; i++) {
			any |= c->want_out[i];
			open |= c->want_out[i] && (!io->src[i].eof || c->pos[i] < io->src[i].n);
		}
		/* A program without output may still read its input. */
		if (!io->exited && c->want_in && !c->in_eof)
			continue;
		/* Whoever ran an exec asks for its exit code as soon as the stream ends. */
		if (io->id && !io->exited)
			continue;
		if (!c->reason && !c->hup && (any ? !open : io->exited)) {
			process_exec_tell(io);
			c->reason = io->exited ? SHIM_REASON_EXIT : SHIM_REASON_EOF;
		}
	}
}

void io_serve(struct io *io)
{
	LIST_FOR_EACH (it, &io->clients)
		client_serve(LIST_ENTRY(it, struct client, node), io);
	client_input_written(io);
	/* Before the output is read: what the program wrote before its exit must be found. */
	if (shim_poll_revents(io->shim, io->pid_slot))
		process_reap(io);
	io_pump(io);
	if (io_overdue(io))
		for (int i = 0; i < 2; i++)
			if (!io->src[i].eof)
				source_end(io, i);
	client_sweep(io);
	if (!io->exited && io->src[0].eof && io->src[1].eof && io->pid >= 0) {
		/* Programs usually close their output by exiting: do not call that an end of file
		 * too early. */
		process_reap(io);
	}
	clients_finish(io);
	client_sweep(io);
}

bool io_drained(struct io *io)
{
	if (!io->exited || !io->src[0].eof || !io->src[1].eof)
		return false;
	return list_empty(&io->clients) || io_overdue(io);
}

int io_timeout_ms(const struct io *io, int64_t now)
{
	int64_t left;

	if (io->src[0].hung)
		return RETRY_MS;
	if (!io->exited || io->reported)
		return -1;
	left = io->exit_ns + HOLD_NS - now;
	return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}
