/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks (runtime-spec, "POSIX-platform Hooks"). prestart and createRuntime run in the caller's
 * namespaces, createContainer in the container's before its root is entered, startContainer there
 * right before the program. Each gets the container's state on its standard input.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/banned.h"

#define STATE_MAX  ((size_t)160 << 10) /* one packet of the channel */
#define STDERR_MAX 1024

/* NULL-terminated copy; NULL for an empty list when that has a meaning of its own. */
static const char **strings(const struct strs *s, const char *first)
{
	const char **v = xcalloc(s->n + 2, sizeof(*v));

	if (s->n)
		memcpy(v, s->v, s->n * sizeof(*v));
	else if (first)
		v[0] = first;
	return v;
}

/* The state as an unlinked file: a hook that does not read it blocks nobody. */
static int state_file(const char *state)
{
	int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = fs_write_all(fd, state, strlen(state));
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = -errno;
	if (rc < 0)
		fd_close(&fd);
	return rc < 0 ? rc : fd;
}

/* Until the hook has ended or its time is over; what it said on stderr is kept up to a bound. */
static int await(const struct process *p, int out, int64_t timeout_ms, struct buf *said)
{
	int64_t end = clock_mono_ns() / 1000000 + timeout_ms;
	char b[256];
	int status = 0;

	for (;;) {
		struct pollfd fds[2] = {{p->pidfd, POLLIN, 0}, {out, POLLIN, 0}};
		int64_t left = timeout_ms < 0 ? -1 : MAX(end - clock_mono_ns() / 1000000, 0);
		int n = poll(fds, 2, (int)MIN(left, (int64_t)1 << 30));
		if (n == 0) {
			spawn_signal(p, SIGKILL);
			spawn_wait(p, false, &status);
			return -ETIMEDOUT;
		}
		ssize_t got = fds[1].revents ? read(out, b, sizeof(b)) : -1;
		if (got > 0)
			buf_add(said, b, (size_t)got);
		else if (fds[1].revents)
			out = -1;
		if (got <= 0 && fds[0].revents)
			break;
	}
	return spawn_wait(p, false, &status) < 0 ? -ECHILD : status;
}

static int run_one(const struct oci_hook *h, const char *state, struct err *e)
{
	AUTO_FD int in = state_file(state);
	AUTO_FREE const char **argv = strings(&h->args, h->path);
	AUTO_FREE const char **env = h->env.set ? strings(&h->env, NULL) : NULL;
	AUTO_BUF struct buf said = BUF_INIT(STDERR_MAX);
	struct process p;
	int out[2];

	if (in < 0)
		return err_sys(e, in, "hook %s", h->path);
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "hook %s", h->path);
	AUTO_FD int read_end = out[0];
	const struct spawn_fd fds[] = {{in, 0}, {out[1], 2}};
	int rc = spawn_start(&(struct spawn){.path = h->path,
					     .argv = argv,
					     .envp = env,
					     .fds = fds,
					     .nfds = ARRAY_SIZE(fds)},
			     &p);
	close(out[1]);
	if (rc < 0)
		return err_sys(e, rc, "error running hook %s", h->path);
	int64_t timeout = h->timeout && *h->timeout > 0 ? *h->timeout * 1000 : -1;
	int status = await(&p, read_end, timeout, &said);
	fd_close(&p.pidfd);
	if (status == -ETIMEDOUT)
		return err_set(e, ERR_SYSTEM, "error running hook %s: no end within %lld s",
			       h->path, (long long)*h->timeout);
	if (status < 0)
		return err_sys(e, status, "error running hook %s", h->path);
	if (status)
		return err_set(e, ERR_SYSTEM, "error running hook %s: %s %d, stderr: %s", h->path,
			       WIFEXITED(status) ? "exit status" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
			       buf_text(&said));
	return 0;
}

int runtime_run_hooks(const struct objs *list, const char *state, struct err *e)
{
	const struct oci_hook *h = list->v;

	for (size_t i = 0; i < list->n; i++)
		if (run_one(&h[i], state, e) < 0)
			return -1;
	return 0;
}

bool hooks_wanted(const struct oci_hooks *h)
{
	return h && (h->prestart.n || h->create_runtime.n || h->create_container.n ||
		     h->start_container.n);
}

/* One packet: a text of unknown length. Heap, or NULL. */
static char *receive_text(int sock)
{
	char *b = xcalloc(STATE_MAX + 1, 1);
	ssize_t n;

	do
		n = recv(sock, b, STATE_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return b;
	free(b);
	return NULL;
}

int hooks_child(struct setup *s, struct err *e)
{
	const struct oci_hooks *h = s->cfg->hooks;

	if (!hooks_wanted(h))
		return 0;
	int rc = channel_send(s->launch.sock, REPORT_HOOKS, NULL, 0, FD_NONE);
	if (rc < 0)
		return err_sys(e, rc, "report to the caller");
	AUTO_FREE char *state = receive_text(s->launch.sock);
	s->launch.start_state = receive_text(s->launch.sock);
	if (!state || !s->launch.start_state)
		return err_set(e, ERR_CANCELLED, "the caller gave up");
	s->launch.start_hooks = &h->start_container;
	return runtime_run_hooks(&h->create_container, state, e);
}

int hooks_caller(const struct runtime_create *req, const struct runtime_container *c, struct err *e)
{
	const struct oci_hooks *h = req->config->hooks;
	AUTO_FREE char *creating = req->hook_state(req->hook_ud, c->pid, "creating");
	AUTO_FREE char *created = req->hook_state(req->hook_ud, c->pid, "created");

	if (strlen(creating) > STATE_MAX || strlen(created) > STATE_MAX)
		return err_set(e, ERR_LIMIT, "the state for hooks is larger than %zu bytes",
			       STATE_MAX);
	if (runtime_run_hooks(&h->prestart, creating, e) < 0 ||
	    runtime_run_hooks(&h->create_runtime, creating, e) < 0)
		return -1;
	if (send(c->status_fd, creating, strlen(creating), MSG_NOSIGNAL) < 0 ||
	    send(c->status_fd, created, strlen(created), MSG_NOSIGNAL) < 0)
		return err_sys(e, -errno, "talk to the container's setup process");
	return 0;
}
