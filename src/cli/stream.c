/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attached session: stdin to the engine, its answer to stdout and stderr, terminal size and
 * signals on the side. Output is written blocking from one fixed buffer, so a slow reader stops the
 * whole chain instead of growing memory. Signal handlers have no SA_RESTART: a blocked write
 * returns and the signal is handled.
 */
#include "cli/run.h"
#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>

#include "base/banned.h"

#define FRAME_HEAD 8 /* stream, 3 zero bytes, big-endian length */
#define IN_BUF	   (64U << 10)

static int signal_pipe[2] = {-1, -1};
static struct termios saved_termios;
static bool raw_mode;

static void on_signal(int signo)
{
	int saved = errno;
	unsigned char byte = (unsigned char)signo;

	if (write(signal_pipe[1], &byte, 1) < 0)
		errno = 0; /* a full pipe holds enough of them */
	errno = saved;
}

static const int forwarded[] = {SIGHUP,	 SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
				SIGUSR2, SIGCONT, SIGALRM, SIGWINCH};

void stream_signals(void)
{
	if (signal_pipe[0] >= 0 || pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++) {
		struct sigaction sa = {.sa_handler = on_signal};
		sigaction(forwarded[i], &sa, NULL);
	}
}

void stream_signals_end(void)
{
	for (size_t i = 0; signal_pipe[0] >= 0 && i < ARRAY_SIZE(forwarded); i++)
		signal(forwarded[i], SIG_DFL);
	fd_close(&signal_pipe[0]);
	fd_close(&signal_pipe[1]);
}

int stream_raw_begin(void)
{
	struct termios t;

	if (tcgetattr(0, &saved_termios) < 0)
		return -errno;
	t = saved_termios;
	cfmakeraw(&t);
	if (tcsetattr(0, TCSANOW, &t) < 0)
		return -errno;
	if (!raw_mode)
		atexit(stream_raw_end);
	raw_mode = true;
	return 0;
}

void stream_raw_end(void)
{
	if (raw_mode)
		tcsetattr(0, TCSANOW, &saved_termios);
	raw_mode = false;
}

static void side_call(const struct stream *s, const char *path)
{
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct err ignored = ERR_INIT;

	client_call(s->cli, "POST", path, NULL, &r, &ignored);
}

void stream_resize(const struct stream *s)
{
	struct winsize ws;

	if (!s->resize_path || (ioctl(1, TIOCGWINSZ, &ws) < 0 && ioctl(0, TIOCGWINSZ, &ws) < 0) ||
	    !ws.ws_row)
		return;
	AUTO_FREE char *path = xasprintf("%s?h=%u&w=%u", s->resize_path, ws.ws_row, ws.ws_col);
	side_call(s, path);
}

static void handle_signals(const struct stream *s)
{
	unsigned char signals[64];
	ssize_t n = read(signal_pipe[0], signals, sizeof signals);

	for (ssize_t i = 0; i < n; i++) {
		if (signals[i] == SIGWINCH) {
			if (s->tty)
				stream_resize(s);
		} else if (s->kill_path) {
			AUTO_FREE char *path = xasprintf("%s?signal=SIG%s", s->kill_path,
							 sigabbrev_np(signals[i]));
			side_call(s, path);
		} else {
			stream_raw_end();
			signal(signals[i], SIG_DFL);
			raise(signals[i]);
		}
	}
}

/* ---- stdin ---- */
struct input {
	char buf[IN_BUF];
	size_t pos, n;
	bool eof, shut;
	char keys[32];
	int nkeys, matched;
};

/*
 * Remove typed detach keys from the input: bytes of a started match are held back until it fails or
 * completes. True: complete.
 */
static bool match_keys(struct input *in, const char *from, size_t n)
{
	in->pos = in->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (from[i] == in->keys[in->matched]) {
			if (++in->matched == in->nkeys)
				return true;
			continue;
		}
		memcpy(in->buf + in->n, in->keys, (size_t)in->matched);
		in->n += (size_t)in->matched;
		in->matched = from[i] == in->keys[0];
		if (!in->matched)
			in->buf[in->n++] = from[i];
	}
	return false;
}

static void read_input(struct stream *s, struct input *in)
{
	char raw[IN_BUF / 64];
	ssize_t n = in->nkeys ? read(0, raw, sizeof raw) : read(0, in->buf, sizeof in->buf);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		in->eof = true;
		return;
	}
	if (in->nkeys) {
		s->detached = match_keys(in, raw, (size_t)n);
	} else {
		in->pos = 0;
		in->n = (size_t)n;
	}
}

static void send_input(struct stream *s, struct input *in)
{
	if (in->pos < in->n) {
		ssize_t w = send(s->attach->fd, in->buf + in->pos, in->n - in->pos,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (w > 0)
			in->pos += (size_t)w;
		else if (errno != EAGAIN && errno != EINTR)
			in->pos = in->n = 0, in->eof = in->shut = true;
	}
	if (in->eof && in->pos == in->n && !in->shut) {
		shutdown(s->attach->fd, SHUT_WR);
		in->shut = true;
	}
}

/* ---- output ---- */
struct frames {
	unsigned char head[FRAME_HEAD];
	size_t nhead;
	uint32_t left; /* of the current frame's payload */
	int fd;
};

static int write_vec(struct stream *s, int fd, struct iovec *iov, int n, struct err *e)
{
	while (n > 0) {
		ssize_t w = writev(fd, iov, n);
		if (w < 0 && errno == EINTR) {
			if (signal_pipe[0] >= 0)
				handle_signals(s);
			continue;
		}
		if (w < 0 && errno == EAGAIN) { /* somebody made our stdout non-blocking */
			struct pollfd p = {.fd = fd, .events = POLLOUT};
			poll(&p, 1, -1);
			continue;
		}
		if (w < 0)
			return err_sys(e, -errno, "write to %s", fd == 1 ? "stdout" : "stderr");
		size_t left = (size_t)w;
		while (n > 0 && left >= iov->iov_len) {
			left -= iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + left;
			iov->iov_len -= left;
		}
	}
	return 0;
}

/* Payload pieces of the same stream in one writev. */
static int write_frames(struct stream *s, struct frames *f, char *p, size_t n, struct err *e)
{
	struct iovec iov[64];
	int count = 0;

	while (n > 0) {
		if (!f->left) {
			size_t want = MIN(FRAME_HEAD - f->nhead, n);
			memcpy(f->head + f->nhead, p, want);
			f->nhead += want;
			p += want;
			n -= want;
			if (f->nhead < FRAME_HEAD)
				break;
			f->nhead = 0;
			int fd = f->head[0] == 2 ? 2 : 1;
			if (f->head[0] > 3 || f->head[1] || f->head[2] || f->head[3])
				return err_set(e, ERR_REMOTE, "Unrecognized input header: %d",
					       f->head[0]);
			if (fd != f->fd && count) {
				if (write_vec(s, f->fd, iov, count, e) < 0)
					return -1;
				count = 0;
			}
			f->fd = fd;
			f->left = (uint32_t)f->head[4] << 24 | (uint32_t)f->head[5] << 16 |
				  (uint32_t)f->head[6] << 8 | f->head[7];
			continue;
		}
		size_t part = MIN((size_t)f->left, n);
		iov[count++] = (struct iovec){p, part};
		f->left -= (uint32_t)part;
		p += part;
		n -= part;
		if (count == (int)ARRAY_SIZE(iov)) {
			if (write_vec(s, f->fd, iov, count, e) < 0)
				return -1;
			count = 0;
		}
	}
	return count ? write_vec(s, f->fd, iov, count, e) : 0;
}

static int write_output(struct stream *s, struct frames *f, char *p, size_t n, struct err *e)
{
	struct iovec iov = {p, n};

	return s->tty ? write_vec(s, 1, &iov, 1, e) : write_frames(s, f, p, n, e);
}

/* 1 more may come, 0 end, -1 */
static int read_output(struct stream *s, struct frames *f, struct err *e)
{
	struct conn *k = s->attach;
	ssize_t n = read(k->fd, k->buf, CONN_BUF);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n < 0 && errno != ECONNRESET)
		return err_sys(e, -errno, "read from the engine");
	if (n <= 0)
		return 0;
	return write_output(s, f, k->buf, (size_t)n, e) < 0 ? -1 : 1;
}

static int stream_step(struct stream *s, struct input *in, struct frames *f, bool *open,
		       bool *answered, struct err *e)
{
	bool pending = in->pos < in->n;
	bool more = s->in && !in->eof && !pending && *open;
	struct pollfd p[4] = {
		{.fd = signal_pipe[0], .events = POLLIN},
		{.fd = *open ? s->attach->fd : -1,
		 .events = (short)(POLLIN | (pending ? POLLOUT : 0))},
		{.fd = more ? 0 : -1, .events = POLLIN},
		{.fd = s->wait && !*answered ? s->wait->fd : -1, .events = POLLIN},
	};

	if (poll(p, 4, -1) < 0)
		return errno == EINTR ? 0 : err_sys(e, -errno, "poll");
	if (p[0].revents)
		handle_signals(s);
	if (p[3].revents)
		*answered = true;
	if (p[2].revents)
		read_input(s, in);
	if (s->detached)
		return 0;
	if (*open)
		send_input(s, in);
	if (p[1].revents & (POLLIN | POLLHUP | POLLERR)) {
		int rc = read_output(s, f, e);
		if (rc < 0)
			return -1;
		*open = rc > 0;
	}
	return 0;
}

int stream_run(struct stream *s, struct err *e)
{
	AUTO_FREE struct input *in = NEW(struct input);
	struct frames f = {.fd = 1};
	bool open = true;
	bool answered = !s->wait || s->wait->pos < s->wait->n;

	if (s->tty && s->in_tty) {
		const char *keys = s->detach_keys && *s->detach_keys ? s->detach_keys
								     : "ctrl-p,ctrl-q";
		in->nkeys = parse_detach_keys(keys, in->keys, sizeof in->keys);
		if (in->nkeys < 0)
			return err_set(e, ERR_INVALID, "invalid detach keys (%s)", keys);
	}
	struct conn *k = s->attach;
	if (k->pos < k->n && write_output(s, &f, k->buf + k->pos, k->n - k->pos, e) < 0)
		return -1;
	k->pos = k->n = 0;
	while ((open || !answered) && !s->detached)
		if (stream_step(s, in, &f, &open, &answered, e) < 0)
			return -1;
	return 0;
}

int stream_open(struct cli *c, struct conn *k, const char *path, const char *body, struct err *e)
{
	if (conn_open(c, k, e) < 0)
		return -1;
	return conn_send(k, "POST", path, "Connection: Upgrade\r\nUpgrade: tcp\r\n",
			 body ? "application/json" : "text/plain", body, body ? strlen(body) : 0,
			 e);
}

int stream_copy(struct conn *k, bool tty, struct err *e)
{
	struct stream s = {.attach = k, .tty = tty};
	struct frames f = {.fd = 1};
	const char *data;
	ssize_t n;

	while ((n = conn_read(k, &data, e)) > 0) {
		/* the view points into the connection's own buffer */
		char *own = k->buf + (data - k->buf);
		if (write_output(&s, &f, own, (size_t)n, e) < 0)
			return -1;
	}
	return (int)n;
}
