/* SPDX-License-Identifier: Apache-2.0 */
/* system dial-stdio: standard input and output become a connection to the engine; the far end of
 * ssh://. */
#include "cli/commands.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/banned.h"

#define CHUNK 65536

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* One piece from `from` to `to`: 1, 0 at the end, -1. */
static int move(int from, int to, char *chunk)
{
	ssize_t n = read(from, chunk, CHUNK);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -1;
	return n == 0 ? 0 : write_all(to, chunk, (size_t)n) ? 1 : -1;
}

int cmd_system_dial_stdio(struct cli *c, struct opts *o)
{
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;
	AUTO_FREE char *chunk = xmalloc(CHUNK);

	if (conn_open(c, &k, &e) < 0)
		return cli_fail(c, &e);
	struct pollfd f[] = {{.fd = 0, .events = POLLIN}, {.fd = k.fd, .events = POLLIN}};
	int rc = 1;
	while (rc > 0) {
		if (poll(f, 2, -1) < 0 && errno != EINTR)
			break;
		if (f[0].revents) {
			int in = move(0, k.fd, chunk);

			if (in == 0)
				shutdown(k.fd, SHUT_WR);
			if (in <= 0)
				f[0].fd = -1;
		}
		if (f[1].revents)
			rc = move(k.fd, 1, chunk);
	}
	k.h.keep_alive = false;
	conn_close(c, &k);
	return 0;
}
