/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See worker-priv.h. The object lives until its three handles (output, process, input) are closed;
 * a cancelled worker is killed and reaped like any other.
 */
#include "image/worker-priv.h"

#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/banned.h"

#define LINE_MAX_BYTES ((size_t)256 << 10)
#define PIPE_BYTES     (1 << 20)
#define PENDING_MAX    ((size_t)4 << 20)

struct image_worker {
	uv_poll_t out, in, exit;
	struct process proc;
	int out_fd, in_fd;
	bool out_open, in_open, exit_open; /* handles not closed yet */
	bool in_polling, in_end, out_eof, exited, cancelled, failed;
	int status;
	struct buf lines, pending;
	size_t pending_at;
	struct err err; /* the first failure */
	struct image_worker_ops ops;
};

static void free_when_closed(struct image_worker *w)
{
	if (w->out_open || w->in_open || w->exit_open)
		return;
	buf_done(&w->lines);
	buf_done(&w->pending);
	free(w);
}

static void out_closed(uv_handle_t *h)
{
	struct image_worker *w = h->data;
	w->out_open = false;
	fd_close(&w->out_fd);
	free_when_closed(w);
}

static void in_closed(uv_handle_t *h)
{
	struct image_worker *w = h->data;
	w->in_open = false;
	fd_close(&w->in_fd);
	free_when_closed(w);
}

static void exit_closed(uv_handle_t *h)
{
	struct image_worker *w = h->data;
	w->exit_open = false;
	fd_close(&w->proc.pidfd);
	free_when_closed(w);
}

static void close_handle(uv_poll_t *h, uv_close_cb cb)
{
	if (!uv_is_closing((uv_handle_t *)h)) {
		uv_poll_stop(h);
		uv_close((uv_handle_t *)h, cb);
	}
}

static void fail(struct image_worker *w, const struct err *e)
{
	if (!w->failed)
		w->err = *e;
	w->failed = true;
}

/* Both ends reached: tell the owner and let go. */
static void maybe_end(struct image_worker *w)
{
	if (!w->exited || !w->out_eof)
		return;
	if (w->in_open)
		close_handle(&w->in, in_closed);
	close_handle(&w->out, out_closed);
	close_handle(&w->exit, exit_closed);
	if (w->cancelled)
		return;
	w->cancelled = true;
	struct err e = w->err;
	if (!w->failed && w->status != 0) {
		if (WIFSIGNALED(w->status))
			err_set(&e, ERR_SYSTEM, UNPACK_PROGRAM " was killed by signal %d",
				WTERMSIG(w->status));
		else
			err_set(&e, ERR_SYSTEM, UNPACK_PROGRAM " failed with status %d",
				WEXITSTATUS(w->status));
		w->failed = true;
	}
	w->ops.end(w->ops.ud, w->failed ? &e : NULL);
}

static void take_line(struct image_worker *w, const char *p, size_t n)
{
	struct err e = ERR_INIT;
	AUTO(json) struct json *j = NULL;
	if (w->failed || w->cancelled)
		return;
	if (json_parse(p, n, &j, &e) < 0 || json_kind_of(j) != JSON_OBJECT) {
		err_set(&e, ERR_SYSTEM, UNPACK_PROGRAM " answered with something that is not JSON");
		fail(w, &e);
		return;
	}
	const char *text = json_str(json_get(j, "error"));
	if (text) {
		const char *kind = json_str(json_get(j, "kind"));
		const char *entry = json_str(json_get(j, "entry"));
		err_set(&e, err_kind_parse(kind ? kind : "system"), "%s", text);
		if (entry && *entry && !strstr(text, entry))
			err_wrap(&e, "entry \"%.300s\"", entry);
		fail(w, &e);
		return;
	}
	if (w->ops.line(w->ops.ud, j, &e) < 0 && !w->cancelled) {
		fail(w, &e);
		spawn_signal(&w->proc, SIGKILL);
	}
}

static void on_output(uv_poll_t *h, int status, int events)
{
	struct image_worker *w = h->data;
	char *room = buf_room(&w->lines, 16384);
	ssize_t n = room ? read(w->out_fd, room, 16384) : -1;
	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (!room) {
			struct err e = ERR_INIT;
			err_set(&e, ERR_SYSTEM, UNPACK_PROGRAM " wrote a line without end");
			fail(w, &e);
			spawn_signal(&w->proc, SIGKILL);
		}
		w->out_eof = true;
		uv_poll_stop(&w->out);
		maybe_end(w);
		return;
	}
	w->lines.n += (size_t)n;
	char *nl;
	size_t done = 0;
	while (done < w->lines.n && (nl = memchr(w->lines.p + done, '\n', w->lines.n - done))) {
		size_t len = (size_t)(nl - (w->lines.p + done));
		if (len)
			take_line(w, w->lines.p + done, len);
		done += len + 1;
	}
	buf_drop(&w->lines, done);
}

static void on_exit_event(uv_poll_t *h, int status, int events)
{
	struct image_worker *w = h->data;
	if (spawn_wait(&w->proc, true, &w->status) < 0)
		return;
	w->exited = true;
	uv_poll_stop(&w->exit);
	maybe_end(w);
}

/* Write what the pipe takes; 0 all gone, 1 something is left, -1 the reader is gone. */
static int write_pending(struct image_worker *w)
{
	while (w->pending_at < w->pending.n) {
		ssize_t n = write(w->in_fd, w->pending.p + w->pending_at,
				  w->pending.n - w->pending_at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		w->pending_at += (size_t)n;
	}
	buf_reset(&w->pending);
	w->pending_at = 0;
	return 0;
}

static void on_input(uv_poll_t *h, int status, int events)
{
	struct image_worker *w = h->data;
	int rc = write_pending(w);
	if (rc > 0)
		return;
	uv_poll_stop(&w->in);
	w->in_polling = false;
	if (rc < 0) {
		/* It has said why on its output, or died. */
		buf_reset(&w->pending);
		w->pending_at = 0;
		close_handle(&w->in, in_closed);
		return;
	}
	if (w->in_end)
		close_handle(&w->in, in_closed);
	else if (w->ops.drained && !w->cancelled)
		w->ops.drained(w->ops.ud);
}

bool image_worker_full(const struct image_worker *w)
{
	return w->pending_at < w->pending.n;
}

bool image_worker_feed(struct image_worker *w, const void *p, size_t n)
{
	if (!w->in_open || uv_is_closing((uv_handle_t *)&w->in))
		return true; /* nobody reads any more: the end is on its way */
	ssize_t done = 0;
	if (!image_worker_full(w)) {
		done = write(w->in_fd, p, n);
		if (done < 0)
			done = 0;
	}
	if ((size_t)done == n)
		return true;
	buf_add(&w->pending, (const char *)p + done, n - (size_t)done);
	if (!w->in_polling) {
		w->in_polling = true;
		uv_poll_start(&w->in, UV_WRITABLE, on_input);
	}
	return false;
}

void image_worker_feed_end(struct image_worker *w)
{
	w->in_end = true;
	if (w->in_open && !image_worker_full(w))
		close_handle(&w->in, in_closed);
}

void image_worker_cancel(struct image_worker *w)
{
	if (!w || w->cancelled)
		return;
	w->cancelled = true;
	spawn_signal(&w->proc, SIGKILL);
	if (w->in_open)
		close_handle(&w->in, in_closed);
}

static int make_pipes(const struct image_worker_start *o, int out[2], int in[2], struct err *e)
{
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	if (o->stdin_fd >= 0)
		return 0;
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(in[1], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

static int start_process(const struct image_worker_start *o, int out_fd, int in_fd,
			 struct process *ret, struct err *e)
{
	struct spawn_fd fds[8];
	size_t n = 0;
	ASSERT(o->nfds <= 5);
	fds[n++] = (struct spawn_fd){in_fd, 0};
	fds[n++] = (struct spawn_fd){out_fd, 1};
	fds[n++] = (struct spawn_fd){2, 2};
	for (size_t i = 0; i < o->nfds; i++)
		fds[n++] = o->fds[i];
	struct spawn s = {.path = o->program,
			  .argv = o->argv,
			  .fds = fds,
			  .nfds = n,
			  .die_with_parent = true};
	int rc = spawn_start(&s, ret);
	return rc < 0 ? err_sys(e, rc, "cannot start %s", o->program) : 0;
}

/* Only some of its handles could be had. */
static void unwatched(struct image_worker *w)
{
	w->cancelled = true;
	spawn_signal(&w->proc, SIGKILL);
	spawn_wait(&w->proc, false, NULL);
	if (w->out_open)
		close_handle(&w->out, out_closed);
	else
		fd_close(&w->out_fd);
	if (w->exit_open)
		close_handle(&w->exit, exit_closed);
	else
		fd_close(&w->proc.pidfd);
	if (w->in_open)
		close_handle(&w->in, in_closed);
	else
		fd_close(&w->in_fd);
	free_when_closed(w);
}

int image_worker_start(const struct image_worker_start *o, struct image_worker **ret, struct err *e)
{
	int out[2] = {FD_NONE, FD_NONE}, in[2] = {FD_NONE, FD_NONE};
	struct process proc = {.pidfd = FD_NONE};
	int rc = make_pipes(o, out, in, e);
	if (rc == 0)
		rc = start_process(o, out[1], o->stdin_fd >= 0 ? o->stdin_fd : in[0], &proc, e);
	fd_close(&out[1]);
	fd_close(&in[0]);
	if (rc < 0) {
		fd_close(&out[0]);
		fd_close(&in[1]);
		return -1;
	}
	struct image_worker *w = NEW(struct image_worker);
	w->proc = proc;
	w->out_fd = out[0];
	w->in_fd = in[1];
	w->ops = o->ops;
	w->lines = BUF_INIT(LINE_MAX_BYTES);
	w->pending = BUF_INIT(PENDING_MAX);
	w->out.data = w->in.data = w->exit.data = w;
	w->out_open = uv_poll_init(o->loop, &w->out, w->out_fd) == 0;
	w->exit_open = w->out_open && uv_poll_init(o->loop, &w->exit, w->proc.pidfd) == 0;
	if (w->exit_open && w->in_fd >= 0)
		w->in_open = uv_poll_init(o->loop, &w->in, w->in_fd) == 0;
	if (!w->exit_open || w->in_open != (w->in_fd >= 0)) {
		unwatched(w);
		return err_set(e, ERR_SYSTEM, UNPACK_PROGRAM " cannot be watched");
	}
	uv_poll_start(&w->out, UV_READABLE, on_output);
	uv_poll_start(&w->exit, UV_READABLE, on_exit_event);
	*ret = w;
	return 0;
}
