/* SPDX-License-Identifier: Apache-2.0 */
/* See resolve.h. */
#include "sys/resolve.h"

#include "base/mem.h"
#include "sys/spawn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

#define WAIT_MS 30000

static bool is_number(const char *host)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1;
}

/* All of its answer, or -ETIMEDOUT. One write of the helper is one read here. */
static int answer(int fd, char ret[static INET6_ADDRSTRLEN])
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = poll(&p, 1, WAIT_MS) == 1 ? read(fd, ret, INET6_ADDRSTRLEN - 1) : -1;

	if (n < 0)
		return -ETIMEDOUT;
	ret[n] = '\0';
	return is_number(ret) ? 0 : -ENOENT;
}

int resolve_host(const char *helper, const char *host, char ret[static INET6_ADDRSTRLEN])
{
	const char *const argv[] = {helper, "resolve", host, NULL};
	int fds[2], rc, status;
	struct process p;

	if (is_number(host)) {
		snprintf(ret, INET6_ADDRSTRLEN, "%s", host);
		return 0;
	}
	if (!helper)
		return -ENOENT;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;

	const struct spawn_fd out = {fds[1], 1};
	const struct spawn sp = {
		.path = helper, .argv = argv, .fds = &out, .nfds = 1, .die_with_parent = true};

	rc = spawn_start(&sp, &p);
	close(fds[1]);
	if (rc == 0) {
		rc = answer(fds[0], ret);
		if (rc < 0)
			spawn_signal(&p, SIGKILL);
		spawn_wait(&p, false, &status);
		fd_close(&p.pidfd);
	}
	close(fds[0]);
	return rc;
}
