/* SPDX-License-Identifier: Apache-2.0 */
/* One SEQPACKET socket between the caller and the half-built child: gates go down, reports and the
 * console come up. */
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/banned.h"

struct report_err {
	char kind;
	int err_kind, sys;
	char text[ERR_TEXT_MAX];
};

/* A report that is lost leaves the caller without the pid, or with a failure it knows nothing of:
 * a lack of memory gets two seconds to pass. */
static int send_patiently(int sock, const void *p, size_t n, int fd)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	ssize_t rc;

	for (int i = 0; i < 1000; i++) {
		rc = fs_send_fds(sock, p, n, &fd, fd >= 0 ? 1 : 0);
		if (rc != -ENOMEM && rc != -ENOBUFS && rc != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return rc < 0 ? (int)rc : 0;
}

int channel_send(int sock, enum report kind, const void *p, size_t n, int fd)
{
	char b[1024];

	b[0] = (char)kind;
	n = MIN(n, sizeof(b) - 1);
	if (n)
		memcpy(b + 1, p, n);
	return send_patiently(sock, b, n + 1, fd);
}

void channel_send_err(int sock, const struct err *e)
{
	struct report_err r = {.kind = REPORT_ERROR, .err_kind = e->kind, .sys = e->sys};
	size_t n = strnlen(e->text, sizeof(r.text) - 1);

	memcpy(r.text, e->text, n);
	send_patiently(sock, &r, offsetof(struct report_err, text) + n + 1, FD_NONE);
}

int channel_recv(int sock, char *buf, size_t size, size_t *ret_n, int *ret_fd, struct err *e)
{
	struct report_err r;
	int fd = FD_NONE;
	size_t nfds = 0;
	ssize_t n;

	/* A peer that ended with a gate unread resets the connection: said once, before what it had
	 * sent. */
	do
		n = fs_recv_fds(sock, &r, sizeof(r) - 1, &fd, 1, &nfds);
	while (n == -EINTR || n == -ECONNRESET || n == -ENOMEM || n == -ENOBUFS);
	if (n < 0)
		return err_sys(e, (int)n, "read from the container's setup process");
	if (n == 0)
		return 0;
	if (nfds && ret_fd)
		*ret_fd = fd;
	else if (nfds)
		close(fd);
	if (r.kind == REPORT_ERROR) {
		((char *)&r)[n] = '\0';
		err_set(e, (enum err_kind)r.err_kind, "%s", r.text);
		e->sys = r.sys;
		return -1;
	}
	size_t len = MIN((size_t)n - 1, size);
	if (len)
		memcpy(buf, (char *)&r + 1, len);
	if (ret_n)
		*ret_n = len;
	return r.kind;
}

int channel_wait_gate(int sock, enum gate want)
{
	char c = 0;
	ssize_t n;

	do
		n = recv(sock, &c, 1, 0);
	while (n < 0 && (errno == EINTR || errno == ENOMEM || errno == ENOBUFS));
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	return c == (char)want ? 0 : -EPROTO;
}

int channel_open_gate(int sock, enum gate which)
{
	char c = (char)which;

	return send(sock, &c, 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

pid_t clone_process(unsigned flags, int cgroup_fd, int *ret_pidfd)
{
	int pidfd = FD_NONE;
	struct clone_args a = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (cgroup_fd >= 0) {
		a.flags |= 0x200000000ULL; /* CLONE_INTO_CGROUP */
		a.cgroup = (uint64_t)cgroup_fd;
	}
	long pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return -errno;
	if (pid > 0)
		*ret_pidfd = pidfd;
	else
		fd_close(&pidfd);
	return (pid_t)pid;
}
