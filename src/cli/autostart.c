/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the engine on demand: `coracled` next to this program, in a session of its own, with a
 * pipe as CORACLE_READY_FD. One byte on it means the socket answers; end of file means that this
 * engine gave up, which is also what happens when another one won the race for the lock.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "sys/fs.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/banned.h"

#define START_TIMEOUT_MS 10000
#define READY_FD	 3

/* The last lines of the engine's log, for the error message. */
static void log_tail(struct cli *c, struct buf *out)
{
	const char *slash = strrchr(c->socket, '/');
	AUTO_FREE char *path = xasprintf("%.*s/coracled.log", slash ? (int)(slash - c->socket) : 0,
					 c->socket);
	AUTO_BUF struct buf text = BUF_INIT(16U << 20);

	if (fs_read_path(path, &text) < 0 || !text.n)
		return;
	size_t from = text.n - 1;
	for (int lines = 0; from > 0; from--)
		if (text.p[from - 1] == '\n' && ++lines == 10)
			break;
	buf_adds(out, ":\n");
	buf_add(out, text.p + from, text.n - from);
	while (out->n && out->p[out->n - 1] == '\n')
		out->p[--out->n] = 0;
}

static int failed(struct cli *c, const char *why, struct err *e)
{
	AUTO_BUF struct buf tail = BUF_INIT(ERR_TEXT_MAX);

	log_tail(c, &tail);
	return err_set(e, ERR_UNAVAILABLE, "the coracle engine did not start (%s)%s", why,
		       buf_text(&tail));
}

static char *log_path(struct cli *c)
{
	const char *slash = strrchr(c->socket, '/');
	AUTO_FREE char *dir = xstrndup(c->socket, slash ? (size_t)(slash - c->socket) : 0);

	fs_mkdirs(dir, 0711);
	return xasprintf("%s/coracled.log", dir);
}

static const char **environment(struct buf *fd_text)
{
	size_t n = 0, k = 0;

	while (environ[n])
		n++;
	const char **env = xcalloc(n + 2, sizeof *env);
	for (size_t i = 0; i < n; i++)
		if (!str_starts(environ[i], "CORACLE_READY_FD="))
			env[k++] = environ[i];
	buf_addf(fd_text, "CORACLE_READY_FD=%d", READY_FD);
	env[k] = fd_text->p;
	return env;
}

static int spawn_engine(struct cli *c, int ready, struct process *ret)
{
	AUTO_FREE char *dir = fs_program_dir();
	AUTO_FREE char *program = xasprintf("%s/coracled", dir ? dir : "/usr/bin");
	AUTO_FREE char *log = log_path(c);
	AUTO_FD int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	AUTO_BUF struct buf text = BUF_INIT(64);
	AUTO_FREE const char **env = environment(&text);
	const char *const argv[] = {program, NULL};
	const struct spawn_fd fds[] = {{ready, READY_FD}, {log_fd, 1}, {log_fd, 2}};
	const struct spawn s = {.path = program,
				.argv = argv,
				.envp = env,
				.fds = fds,
				.nfds = log_fd >= 0 ? 3 : 1,
				.new_session = true,
				.chdir_to = "/"};

	return spawn_start(&s, ret);
}

/* 1 ready, 0 the engine gave up, -1 timeout. */
static int wait_ready(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t end = clock_mono_ns() + START_TIMEOUT_MS * 1000000LL;

	for (;;) {
		int64_t left = (end - clock_mono_ns()) / 1000000;
		int rc = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return -1;
		char byte;
		return read(fd, &byte, 1) == 1;
	}
}

/* Somebody else holds the engine's lock: wait until that engine listens. */
static bool wait_listening(struct cli *c)
{
	const struct timespec step = {.tv_nsec = 20000000};

	for (int i = 0; i < 100; i++) {
		int fd = fs_unix_connect(c->socket, SOCK_STREAM);
		if (fd >= 0) {
			fd_close(&fd);
			return true;
		}
		nanosleep(&step, NULL);
	}
	return false;
}

int autostart(struct cli *c, struct err *e)
{
	struct process p = {.pidfd = FD_NONE};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	AUTO_FD int reader = ends[0];
	AUTO_FD int writer = ends[1];
	int rc = spawn_engine(c, writer, &p);
	if (rc < 0)
		return err_sys(e, rc, "start the coracle engine (coracled)");
	fd_close(&writer);
	fd_close(&p.pidfd);
	rc = wait_ready(reader);
	if (rc > 0)
		return 0;
	if (rc < 0)
		return failed(c, "not ready after 10 seconds", e);
	return wait_listening(c) ? 0 : failed(c, "it exited", e);
}
