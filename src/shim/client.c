/* SPDX-License-Identifier: Apache-2.0 */
/* Attach clients: output with or without frames, input with detach keys, half-close. The client's
 * fd is ours alone. */
#include "shim/shim-priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/banned.h"

/* Typed bytes go through the detach keys into c->in. */
static void client_typed(struct client *c, const void *p, size_t n)
{
	if (!c->keys_on)
		buf_add(&c->in, p, n);
	else if (detach_keys_feed(&c->keys, p, n, &c->in))
		c->reason = SHIM_REASON_DETACH;
}

static int client_preface(struct client *c, const char *text, struct err *e)
{
	AUTO_BUF struct buf raw = BUF_INIT(SHIM_PREFACE_MAX);
	int rc = base64_decode(text, &raw);

	if (rc < 0)
		return err_sys(e, rc, "bytes sent before the hand-over");
	client_typed(c, raw.p, raw.n);
	return 0;
}

void client_forget(struct client *c)
{
	list_del(&c->node);
	fd_close(&c->fd);
	buf_done(&c->in);
	free(c->id);
	free(c);
}

int client_new(struct io *io, const struct shim_request *r, int fd, struct err *e)
{
	struct client *c = NEW(struct client);
	int flags = fcntl(fd, F_GETFL);

	list_add_tail(&io->clients, &c->node);
	c->fd = FD_NONE;
	c->slot = c->frame = -1;
	c->in = BUF_INIT(STDIN_MAX + SHIM_PREFACE_MAX + DETACH_KEYS_MAX);
	c->id = xstrdup(r->id ? r->id : "");
	c->want_in = r->want_stdin;
	c->want_out[0] = r->want_stdout;
	c->want_out[1] = r->want_stderr && !io->tty;
	c->mux = r->mux && !io->tty;
	if (r->detach_keys) {
		c->keys_on = true;
		if (detach_keys_parse(r->detach_keys, &c->keys) < 0) {
			client_forget(c);
			return err_set(e, ERR_INVALID, "invalid detach keys \"%s\"",
				       r->detach_keys);
		}
	}
	if (r->preface && c->want_in && client_preface(c, r->preface, e) < 0) {
		client_forget(c);
		return -1;
	}
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		client_forget(c);
		return err_sys(e, -errno, "attach client");
	}
	/* The chunk on its way belongs to those who were here before. */
	for (int i = 0; i < 2; i++)
		c->pos[i] = io->src[i].n;
	c->fd = fd;
	return 0;
}

bool client_pending(const struct client *c, const struct io *io)
{
	for (int i = 0; i < 2; i++)
		if (c->want_out[i] && c->pos[i] < io->src[i].n)
			return true;
	return c->header_left > 0;
}

static bool client_wants_input(const struct client *c, const struct io *io)
{
	return c->want_in && !c->in_eof && io->in_fd >= 0 && !io->in_closing && c->in.n == 0;
}

void client_poll(struct client *c, struct io *io)
{
	short events = 0;

	c->slot = -1;
	if (io->pid < 0)
		return; /* before the start nothing can be done about anything */
	if (client_wants_input(c, io))
		events |= POLLIN;
	if (client_pending(c, io))
		events |= POLLOUT;
	/* After a hang-up poll would return at once every time: look only when there is something
	 * to take. */
	if (!c->hup || (events & POLLIN))
		c->slot = shim_poll_add(io->shim, c->fd, events);
}

static void client_gone(struct client *c)
{
	if (!c->reason)
		c->reason = SHIM_REASON_GONE;
	buf_reset(&c->in);
}

/* Begin the next piece of output: false when there is none. */
static bool frame_begin(struct client *c, const struct io *io)
{
	for (int i = 0; i < 2 && c->frame < 0; i++) {
		size_t n = io->src[i].n;

		if (!c->want_out[i] || c->pos[i] >= n)
			continue;
		c->frame = i;
		c->frame_end = n;
		if (c->mux) {
			mux_header(c->header, i ? MUX_STDERR : MUX_STDOUT, n - c->pos[i]);
			c->header_left = MUX_HEADER;
		}
	}
	return c->frame >= 0;
}

bool client_push(struct client *c, struct io *io)
{
	while (!c->reason && !c->hup && frame_begin(c, io)) {
		struct source *src = &io->src[c->frame];
		size_t from = c->pos[c->frame];
		struct iovec iov[2] = {
			{c->header + MUX_HEADER - c->header_left, c->header_left},
			{src->data + from, c->frame_end - from},
		};
		ssize_t n = c->header_left ? writev(c->fd, iov, 2)
					   : write(c->fd, iov[1].iov_base, iov[1].iov_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			client_gone(c);
			return true;
		}

		size_t head = MIN((size_t)n, c->header_left);

		c->header_left -= head;
		c->pos[c->frame] += (size_t)n - head;
		io->shim->busy = true;
		if (c->pos[c->frame] == c->frame_end)
			c->frame = -1;
	}
	return true;
}

static void client_input(struct client *c, struct io *io)
{
	while (!c->reason && client_wants_input(c, io)) {
		char *room = buf_room(&c->in, 4096);
		char bytes[4096];
		ssize_t n = read(c->fd, bytes, sizeof bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || !room) {
			c->in_eof = true;
			return;
		}
		io->shim->busy = true;
		client_typed(c, bytes, (size_t)n);
		client_input_written(io);
	}
}

void client_serve(struct client *c, struct io *io)
{
	short got = shim_poll_revents(io->shim, c->slot);

	if (got & (POLLHUP | POLLERR | POLLNVAL)) {
		/* Nobody reads any more; what was typed before still counts. */
		c->hup = true;
		c->want_out[0] = c->want_out[1] = false;
		c->header_left = 0;
		c->frame = -1;
	}
	if (got & (POLLIN | POLLHUP))
		client_input(c, io);
	if (!c->hup)
		return;
	if ((got & (POLLERR | POLLNVAL)) || !c->want_in || c->in_eof || io->in_fd < 0)
		if (c->in.n == 0 || io->in_fd < 0)
			client_gone(c);
}

/* Give typed bytes to the program; close its input when the client that owned it has ended. */
void client_input_written(struct io *io)
{
	bool ended = false;

	LIST_FOR_EACH (it, &io->clients) {
		struct client *c = LIST_ENTRY(it, struct client, node);

		while (c->in.n && io->in_fd >= 0) {
			ssize_t n = write(io->in_fd, c->in.p, c->in.n);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && errno == EAGAIN)
				return;
			if (n < 0) {
				fd_close(&io->in_fd);
				break;
			}
			buf_drop(&c->in, (size_t)n);
		}
		if (io->in_fd < 0 && io->pid >= 0)
			buf_reset(&c->in);
		ended |= c->want_in && c->in.n == 0 && (c->in_eof || (c->reason && !io->tty));
	}
	if ((ended || io->in_closing) && io->once && !io->tty)
		fd_close(&io->in_fd);
}

void client_sweep(struct io *io)
{
	client_input_written(io);
	LIST_FOR_EACH (it, &io->clients) {
		struct client *c = LIST_ENTRY(it, struct client, node);
		struct shim_message m = {.event = shim_event_name(SHIM_EV_ATTACH_DONE),
					 .id = c->id};
		char bytes[4096];

		if (!c->reason && c->hup && (c->in_eof || !c->want_in) && c->in.n == 0)
			c->reason = SHIM_REASON_GONE;
		if (!c->reason)
			continue;
		if (c->in.n && io->in_fd >= 0 && !io->exited)
			continue; /* "exit\n" ctrl-p ctrl-q: the command still goes in */
		if (io->once && !io->tty && c->want_in && io->pid >= 0)
			fd_close(&io->in_fd);
		/* Unread input would turn the close of a TCP connection into a reset. */
		while (read(c->fd, bytes, sizeof bytes) > 0)
			;
		shutdown(c->fd, SHUT_RDWR);
		m.reason = c->reason;
		control_send(io->shim, &m);
		client_forget(c);
	}
}
