/* SPDX-License-Identifier: Apache-2.0 */
/* Run a small administrative program to its end, with a limit of time and of output. */
#include "net/program.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/banned.h"

#define ERRORS_MAX 4096

char *program_find(const char *name)
{
	static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/local/sbin"};
	char *path = spawn_find(name);

	for (size_t i = 0; !path && i < ARRAY_SIZE(folders); i++) {
		path = xasprintf("%s/%s", folders[i], name);
		if (access(path, X_OK) < 0)
			free(TAKE_PTR(path));
	}
	return path;
}

struct running {
	int in, out, errors; /* our ends; FD_NONE when finished */
	const char *input;
	size_t left;
	struct buf *text, *error_text;
};

static void feed(struct running *r)
{
	ssize_t n = r->left > 0 ? write(r->in, r->input, r->left) : 0;

	if (n > 0) {
		r->input += n;
		r->left -= (size_t)n;
	}
	if (r->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		fd_close(&r->in);
}

/* What does not fit is read and dropped, so that the program can end. */
static void take(int *fd, struct buf *text)
{
	char part[4096];
	ssize_t n = read(*fd, part, sizeof(part));

	if (n > 0 && text)
		buf_add(text, part, MIN((size_t)n, text->max - text->n));
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		fd_close(fd);
}

static int attend(struct running *r)
{
	int64_t end = clock_mono_ns() + (int64_t)PROGRAM_TIMEOUT_MS * 1000000;

	while (r->in >= 0 || r->out >= 0 || r->errors >= 0) {
		struct pollfd p[] = {{.fd = r->in, .events = POLLOUT},
				     {.fd = r->out, .events = POLLIN},
				     {.fd = r->errors, .events = POLLIN}};
		int64_t left = (end - clock_mono_ns()) / 1000000;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(p, 3, (int)left) < 0 && errno != EINTR)
			return -errno;
		if (p[0].revents)
			feed(r);
		if (p[1].revents)
			take(&r->out, r->text);
		if (p[2].revents)
			take(&r->errors, r->error_text);
	}
	return 0;
}

static int nonblocking_pipe(int ends[2], int ours)
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	return fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int program_run(const char *path, const char *const *argv, const char *input, size_t n,
		struct buf *out, struct err *e)
{
	int in[2] = {FD_NONE, FD_NONE}, text[2] = {FD_NONE, FD_NONE}, bad[2] = {FD_NONE, FD_NONE};
	AUTO_BUF struct buf errors = BUF_INIT(ERRORS_MAX);
	struct process p = {.pidfd = FD_NONE};
	struct running r;
	int rc, status = 0;

	rc = nonblocking_pipe(in, 1);
	if (rc == 0)
		rc = nonblocking_pipe(text, 0);
	if (rc == 0)
		rc = nonblocking_pipe(bad, 0);
	if (rc == 0)
		rc = spawn_start(
			&(struct spawn){
				.path = path,
				.argv = argv,
				.fds = (struct spawn_fd[]){{in[0], 0}, {text[1], 1}, {bad[1], 2}},
				.nfds = 3},
			&p);
	fd_close(&in[0]);
	fd_close(&text[1]);
	fd_close(&bad[1]);
	r = (struct running){in[1], text[0], bad[0], input, n, out, &errors};
	if (rc == 0) {
		rc = attend(&r);
		if (rc < 0)
			spawn_signal(&p, SIGKILL);
		spawn_wait(&p, false, &status);
	}
	fd_close(&r.in);
	fd_close(&r.out);
	fd_close(&r.errors);
	fd_close(&p.pidfd);
	if (rc < 0)
		return err_sys(e, rc, "run %s", path);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, ERR_SYSTEM, "%s failed: %.*s", path,
			       (int)strcspn(buf_text(&errors), "\n"), buf_text(&errors));
	return 0;
}
