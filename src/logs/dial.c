/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS connection by `coracle-tls dial`: we write to one end of a socket pair, it encrypts. A pipe
 * tells how the handshake went: its end, or a text before it.
 */
#include "logs/logs-priv.h"

#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FLUSH_MS 1000

static size_t arguments(const struct log_tls *t, const struct log_address *a, const char *port,
			const char *argv[static 12])
{
	size_t n = 0;

	argv[n++] = "coracle-tls";
	if (t->ca) {
		argv[n++] = "--ca";
		argv[n++] = t->ca;
	}
	if (t->cert && t->key) {
		argv[n++] = "--cert";
		argv[n++] = t->cert;
		argv[n++] = "--key";
		argv[n++] = t->key;
	}
	if (!t->skip_verify)
		argv[n++] = "--verify";
	argv[n++] = "dial";
	argv[n++] = a->host;
	argv[n++] = port;
	argv[n] = NULL;
	return n;
}

int log_dial_start(struct log_dial *d, const struct log_tls *t, const struct log_address *a,
		   int *ret_fd)
{
	int pair[2] = {FD_NONE, FD_NONE}, status[2] = {FD_NONE, FD_NONE}, rc = 0;
	const char *argv[12];
	char port[8];

	snprintf(port, sizeof port, "%u", a->port);
	arguments(t, a, port, argv);
	if (!t->helper)
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    pipe2(status, O_CLOEXEC | O_NONBLOCK) < 0)
		rc = -errno;
	if (rc == 0) {
		const struct spawn_fd fds[] = {{pair[1], 0}, {status[1], 3}};
		const struct spawn sp = {.path = t->helper,
					 .argv = argv,
					 .fds = fds,
					 .nfds = ARRAY_SIZE(fds),
					 .die_with_parent = true};

		rc = spawn_start(&sp, &d->helper);
		d->running = rc == 0;
	}
	fd_close(&pair[1]);
	fd_close(&status[1]);
	if (rc < 0) {
		fd_close(&pair[0]);
		fd_close(&status[0]);
		return rc;
	}
	d->status_fd = status[0];
	*ret_fd = pair[0];
	return 0;
}

int log_dial_result(struct log_dial *d, char *why, size_t size)
{
	ssize_t n = read(d->status_fd, why, size - 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	fd_close(&d->status_fd);
	why[MAX(n, 0)] = '\0';
	return n == 0 ? 0 : -ECONNREFUSED;
}

void log_dial_end(struct log_dial *d, bool flush)
{
	struct pollfd p = {.fd = d->helper.pidfd, .events = POLLIN};
	int status;

	fd_close(&d->status_fd);
	if (!d->running)
		return;
	/* Its plain side has ended: it sends what it holds, and ends when the server does. */
	if (!flush || poll(&p, 1, FLUSH_MS) != 1)
		spawn_signal(&d->helper, SIGKILL);
	spawn_wait(&d->helper, false, &status);
	fd_close(&d->helper.pidfd);
	d->running = false;
}
