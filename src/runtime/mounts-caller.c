/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind mounts that only the caller can make, before clone: those with mapped ids need the rights of
 * the host's user namespace; those out of another container ("/proc/PID/root/...") are taken in its
 * mount namespace, because the kernel copies no foreign mounts (before 6.15). The child attaches
 * them.
 */
#include "base/mem.h"
#include "base/num.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/banned.h"

/* "/proc/PID/root/PATH" to pid and "/PATH". */
static bool is_foreign(const char *source, uint64_t *ret_pid, const char **ret_path)
{
	char pid[16];
	const char *end;

	if (!source || !str_starts(source, "/proc/") || !(end = strstr(source, "/root/")))
		return false;
	int n = snprintf(pid, sizeof(pid), "%.*s", (int)MIN(end - source - 6, 15), source + 6);
	*ret_path = end + strlen("/root");
	return n > 0 && num_parse_u64(pid, 1, INT32_MAX, ret_pid) == 0;
}

/* In a process of its own: joins the other's mount namespace and sends the copy of the mount. */
_Noreturn static void send_foreign(int sock, int ns, const char *path, bool recursive)
{
	int root = setns(ns, CLONE_NEWNS) < 0 ? -1 : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* links there are its tenant's: they stay below its root and magic ones are not followed */
	int at = root < 0 ? -errno : fs_open_in_root(root, path, O_PATH | O_CLOEXEC, 0);
	int fd = at < 0 ? at : mount_clone(at, "", recursive);
	int code = MIN(fd, 0);

	fs_send_fds(sock, &code, sizeof(code), &fd, fd >= 0 ? 1 : 0);
	_exit(0);
}

static int foreign_mount(uint64_t pid, const char *path, bool recursive)
{
	char text[40];
	int socks[2], code = -EIO, fd = FD_NONE, status;
	size_t n = 0;

	snprintf(text, sizeof(text), "/proc/%llu/ns/mnt", (unsigned long long)pid);
	AUTO_FD int ns = open(text, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	pid_t helper = fork();
	if (helper == 0)
		send_foreign(socks[1], ns, path, recursive);
	close(socks[1]);
	if (helper < 0)
		code = -errno;
	else if (fs_recv_fds(socks[0], &code, sizeof(code), &fd, 1, &n) < (ssize_t)sizeof(code))
		code = -EIO;
	close(socks[0]);
	while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	return code < 0 ? code : fd;
}

/* A descriptor of the tree, 0: nothing to prepare, or -1. */
static int prepare(const struct setup *s, const struct oci_mount *m, struct err *e)
{
	struct mount_opts o;
	uint64_t pid;
	const char *path;
	int fd = 0;

	mount_opts_parse(m->options.v, m->options.n, &o);
	if (m->uid_mappings.n || m->gid_mappings.n || o.idmap) {
		fd = idmap_mount(s, m, &o, e);
	} else if (o.bind && is_foreign(m->source, &pid, &path)) {
		fd = foreign_mount(pid, path, o.rbind);
		if (fd < 0)
			fd = err_sys(e, fd, "bind %s", m->source);
	}
	mount_opts_done(&o);
	return fd;
}

int caller_mounts_make(struct setup *s, struct err *e)
{
	const struct oci_mount *m = s->cfg->mounts.v;

	for (size_t i = 0; i < s->cfg->mounts.n; i++) {
		int fd = prepare(s, &m[i], e);
		if (fd < 0)
			return -1;
		if (fd > 0 && !s->made)
			s->made = xcalloc(s->cfg->mounts.n, sizeof(int));
		if (fd > 0)
			s->made[i] = fd;
	}
	return 0;
}

void caller_mounts_done(struct setup *s)
{
	for (size_t i = 0; s->made && i < s->cfg->mounts.n; i++)
		if (s->made[i] > 0)
			fd_close(&s->made[i]);
	free(s->made);
}
