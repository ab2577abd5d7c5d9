/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets by path of any length, and messages with descriptors. */
#include "sys/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/banned.h"

#define FDS_MAX 16

/*
 * sun_path holds 107 bytes. A longer path is reached through its directory's descriptor:
 * "/proc/self/fd/N/name". *ret_dir keeps that descriptor open for the call.
 */
static int make_address(const char *path, struct sockaddr_un *sa, int *ret_dir)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) < sizeof sa->sun_path) {
		memcpy(sa->sun_path, path, strlen(path) + 1);
		return 0;
	}
	const char *slash = strrchr(path, '/');
	if (!slash)
		return -ENAMETOOLONG;
	AUTO_FREE char *dir = xstrndup(path, (size_t)(slash - path) + 1);
	*ret_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir < 0)
		return -errno;
	int n = snprintf(sa->sun_path, sizeof sa->sun_path, "/proc/self/fd/%d/%s", *ret_dir,
			 slash + 1);
	return (size_t)n < sizeof sa->sun_path ? 0 : -ENAMETOOLONG;
}

int fs_unix_listen(const char *path, int type, int backlog, mode_t mode)
{
	struct sockaddr_un sa;
	AUTO_FD int dir = FD_NONE;
	int rc = make_address(path, &sa, &dir);

	if (rc < 0)
		return rc;
	AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	/* the mode is there from the first moment: the socket inherits it from the descriptor */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
		return -errno;
	if (chmod(path, mode) < 0 || listen(fd, backlog) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int fs_unix_connect(const char *path, int type)
{
	struct sockaddr_un sa;
	AUTO_FD int dir = FD_NONE;
	int rc = make_address(path, &sa, &dir);

	if (rc < 0)
		return rc;
	AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
		return -errno;
	return TAKE_FD(fd);
}

ssize_t fs_send_fds(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	union {
		const void *in;
		void *out;
	} data = {.in = p};
	struct iovec iov = {data.out, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > FDS_MAX)
		return -EINVAL;
	if (nfds) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	ssize_t k;
	do
		k = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	return k < 0 ? -errno : k;
}

ssize_t fs_recv_fds(int sock, void *p, size_t n, int *fds, size_t max_fds, size_t *ret_nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {p, n};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof control.space};
	size_t count = 0;
	ssize_t k;

	do
		k = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
			if (count < max_fds)
				fds[count++] = fd;
			else
				close(fd); /* more than asked for: nobody would own it */
		}
	}
	if (ret_nfds)
		*ret_nfds = count;
	if (msg.msg_flags & MSG_TRUNC) {
		while (count)
			close(fds[--count]);
		if (ret_nfds)
			*ret_nfds = 0;
		return -EMSGSIZE;
	}
	return k;
}
