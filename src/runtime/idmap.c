/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id-mapped bind mounts (runtime-spec "mounts": uidMappings, gidMappings, the options idmap and
 * ridmap; Linux 5.12). They are made by the caller, who has the rights of the host's user
 * namespace, and attached by the child.
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/banned.h"

int idmap_write(pid_t pid, const char *file, const struct objs *map)
{
	char path[64];
	AUTO_BUF struct buf b = BUF_INIT(4096);
	const struct oci_id_map *v = map->v;

	for (size_t i = 0; i < map->n; i++)
		buf_addf(&b, "%llu %llu %llu\n", (unsigned long long)v[i].container_id,
			 (unsigned long long)v[i].host_id, (unsigned long long)v[i].size);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return fs_write_file(path, buf_text(&b));
}

/* A user namespace that lives only by its descriptor. */
static int make_userns(const struct objs *uids, const struct objs *gids)
{
	char path[64];
	int pidfd = FD_NONE, status;
	pid_t pid = clone_process(CLONE_NEWUSER, FD_NONE, &pidfd);

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			pause();
	}
	if (pid < 0)
		return pid;
	int rc = idmap_write(pid, "uid_map", uids);
	if (rc == 0)
		rc = idmap_write(pid, "gid_map", gids);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	int fd = rc < 0 ? rc : open(path, O_RDONLY | O_CLOEXEC);
	if (rc == 0 && fd < 0)
		fd = -errno;
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	fd_close(&pidfd);
	return fd;
}

int idmap_mount(const struct setup *s, const struct oci_mount *m, const struct mount_opts *o,
		struct err *e)
{
	const struct oci_linux *l = s->cfg->linux_;
	bool own = m->uid_mappings.n || m->gid_mappings.n;
	const struct objs *uids = own ? &m->uid_mappings : &l->uid_mappings;
	const struct objs *gids = own ? &m->gid_mappings : &l->gid_mappings;
	int base = m->source && m->source[0] != '/' && s->req->bundle_fd >= 0 ? s->req->bundle_fd
									      : AT_FDCWD;

	if (!uids->n || !gids->n)
		return err_set(e, ERR_INVALID, "mount %s: no id mappings are given for idmap",
			       m->destination);
	AUTO_FD int fd = mount_clone(base, m->source ? m->source : "", o->rbind);
	if (fd < 0)
		return err_sys(e, fd, "bind %s", m->source);
	AUTO_FD int userns = make_userns(uids, gids);
	int rc = userns < 0 ? userns : mount_idmap(fd, userns, o->ridmap);
	if (rc < 0)
		return err_sys(e, rc, "map the ids of %s at %s", m->source, m->destination);
	return TAKE_FD(fd);
}
