/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of the configuration, in order. Sources are the host's paths, targets are resolved
 * inside the root by descriptor. */
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/banned.h"

int mounts_target(int root, const char *path, bool dir, struct err *e)
{
	char parent[PATH_MAX];
	int fd;

	if (dir) {
		fd = fs_mkdirs_in_root(root, path, 0755);
		return fd < 0 ? err_sys(e, fd, "create mount point %s", path) : fd;
	}
	fd = fs_open_in_root(root, path, O_PATH | O_CLOEXEC, 0);
	if (fd >= 0)
		return fd;
	const char *slash = strrchr(path, '/');
	if (fd != -ENOENT || !slash || strlen(path) >= sizeof(parent))
		return err_sys(e, fd, "open mount point %s", path);
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	AUTO_FD int up = fs_mkdirs_in_root(root, *parent ? parent : "/", 0755);
	if (up < 0)
		return err_sys(e, up, "create directory of mount point %s", path);
	AUTO_FD int file = fs_open_in_root(
		root, path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (file < 0)
		return err_sys(e, file, "create mount point %s", path);
	fd = fs_open_in_root(root, path, O_PATH | O_CLOEXEC, 0);
	return fd < 0 ? err_sys(e, fd, "open mount point %s", path) : fd;
}

static int copy_file(int from, int to, const char *name, const struct stat *st)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	AUTO_FD int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 st->st_mode & 07777);
	char b[16384];
	ssize_t n;

	if (in < 0 || out < 0)
		return -errno;
	while ((n = read(in, b, sizeof(b))) > 0) {
		int rc = fs_write_all(out, b, (size_t)n);
		if (rc < 0)
			return rc;
	}
	return n < 0 ? -errno : 0;
}

/* What the image has at a tmpfs mount point appears in the tmpfs (tmpcopyup). */
static int copy_tree(int from, int to, int depth)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d || depth > 64) {
		if (d)
			closedir(d);
		else
			fd_close(&copy);
		return depth > 64 ? -ELOOP : -errno;
	}
	for (struct dirent *x; rc == 0 && (x = readdir(d));) {
		struct stat st;
		char link[PATH_MAX];
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (fstatat(from, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			AUTO_FD int in = openat(from, x->d_name,
						O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			rc = mkdirat(to, x->d_name, 0700) < 0 ? -errno : 0;
			AUTO_FD int out = openat(to, x->d_name,
						 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (rc == 0)
				rc = in < 0 || out < 0 ? -EIO : copy_tree(in, out, depth + 1);
		} else if (S_ISREG(st.st_mode)) {
			rc = copy_file(from, to, x->d_name, &st);
		} else if (S_ISLNK(st.st_mode)) {
			ssize_t n = readlinkat(from, x->d_name, link, sizeof(link) - 1);
			if (n >= 0)
				link[n] = '\0';
			rc = n < 0 || symlinkat(link, to, x->d_name) < 0 ? -errno : 0;
		} else if (mknodat(to, x->d_name, st.st_mode, st.st_rdev) < 0) {
			continue;
		}
		if (rc == 0 &&
		    fchownat(to, x->d_name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
			rc = -errno;
		if (rc == 0 && !S_ISLNK(st.st_mode) &&
		    fchmodat(to, x->d_name, st.st_mode & 07777, 0) < 0)
			rc = -errno;
	}
	closedir(d);
	return rc;
}

static int copy_up(int target, int mount_fd)
{
	struct stat st;
	AUTO_FD int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int to = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (from < 0 || to < 0)
		return -errno;
	if (fstat(from, &st) == 0) {
		if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
			return -errno;
	}
	return copy_tree(from, to, 0);
}

static int bind_mount(struct setup *s, const struct oci_mount *m, struct mount_opts *o,
		      struct err *e)
{
	struct stat st;
	int base = m->source && m->source[0] != '/' && s->req->bundle_fd >= 0 ? s->req->bundle_fd
									      : AT_FDCWD;

	ptrdiff_t index = m - (const struct oci_mount *)s->cfg->mounts.v;
	int made = s->made ? s->made[index] : 0;
	/* what the caller made is looked at itself: a path into another container could lead
	 * elsewhere from here */
	if (!m->source || (made > 0 ? fstat(made, &st) : fstatat(base, m->source, &st, 0)) < 0)
		return err_set(e, ERR_INVALID, "bind source path does not exist: %s",
			       m->source ? m->source : "");
	AUTO_FD int fd = made > 0 ? made : mount_clone(base, m->source, o->rbind);
	if (fd < 0)
		return err_sys(e, fd, "bind %s", m->source);
	AUTO_FD int target = mounts_target(s->root, m->destination, S_ISDIR(st.st_mode), e);
	if (target < 0)
		return -1;
	int rc = mount_attr(fd, o->rattr_set, o->rattr_clr, 0, true);
	if (rc == 0)
		rc = mount_attr(fd, o->attr_set, o->attr_clr, 0, false);
	if (rc == 0)
		rc = mount_attr(fd, 0, 0, o->propagation ? o->propagation : MS_PRIVATE | MS_REC,
				!o->propagation || o->propagation & MS_REC);
	if (rc == 0)
		rc = mount_attach(fd, target);
	return rc < 0 ? err_sys(e, rc, "mount %s at %s", m->source, m->destination) : 0;
}

static int cgroup_bind(struct setup *s, int dir, enum cgroup_ctrl c, const char *name, bool ro)
{
	char path[PATH_MAX];
	int rc = cgroup_dir(c, s->cgroup_path, path, sizeof(path));

	if (rc < 0)
		return rc;
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	AUTO_FD int target = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int m = mount_clone(AT_FDCWD, path, false);
	if (target < 0)
		return -errno;
	rc = m < 0 ? m : mount_attr(m, 0xe | (ro ? 1 : 0), 0, 0, false); /* nosuid nodev noexec */
	return rc < 0 ? rc : mount_attach(m, target);
}

/* v1: a tmpfs with one directory per hierarchy, each the container's own group. v2: the group's own
 * tree. */
int mounts_cgroup(struct setup *s, const struct oci_mount *m, int target, struct err *e)
{
	static const char *const data[] = {"mode=755", "size=64k"};
	struct mount_opts o;
	int rc = 0;

	if (setup_wait_cgroup(s, e) < 0)
		return -1;
	mount_opts_parse(m->options.v, m->options.n, &o);
	bool ro = o.attr_set & 1;
	mount_opts_done(&o);
	if (cgroup_version() == 2) {
		AUTO_FD int fd = s->new_cgroup_ns ? mount_new("cgroup2", "cgroup", NULL, 0,
							      0xe | (ro ? 1 : 0))
						  : mount_clone(AT_FDCWD, "/sys/fs/cgroup", false);
		rc = fd < 0 ? fd : mount_attr(fd, 0xe | (ro ? 1 : 0), 0, 0, false);
		if (rc == 0)
			rc = mount_attach(fd, target);
		return rc < 0 ? err_sys(e, rc, "mount cgroup at %s", m->destination) : 0;
	}
	AUTO_FD int fd = mount_new("tmpfs", "cgroup", data, ARRAY_SIZE(data), 0xe);
	rc = fd < 0 ? fd : mount_attach(fd, target);
	AUTO_FD int dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int c = 0; rc == 0 && c < CG_CTRL_COUNT; c++)
		if (s->cgroup_path && cgroup_exists(s->cgroup_path, (enum cgroup_ctrl)c))
			rc = cgroup_bind(s, dir, (enum cgroup_ctrl)c,
					 cgroup_name((enum cgroup_ctrl)c), ro);
	if (rc == 0 && ro)
		rc = mount_attr(fd, 1, 0, 0, false);
	return rc < 0 ? err_sys(e, rc, "mount cgroup at %s", m->destination) : 0;
}

static int new_mount(struct setup *s, const struct oci_mount *m, struct mount_opts *o,
		     struct err *e)
{
	AUTO_FD int target = mounts_target(s->root, m->destination, true, e);
	bool sys = strcmp(m->type, "sysfs") == 0;

	if (target < 0)
		return -1;
	if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0)
		return mounts_cgroup(s, m, target, e);
	AUTO_FD int fd = mount_new(m->type, m->source, o->data, o->ndata, o->attr_set);
	if (fd == -EPERM &&
	    sys) { /* sysfs belongs to the network namespace's owner: show the host's, read-only */
		fd = mount_clone(AT_FDCWD, "/sys", true);
		if (fd >= 0)
			mount_attr(fd, o->attr_set | 1, 0, 0, true);
	}
	if (fd < 0)
		return err_sys(e, fd, "mount %s at %s", m->type, m->destination);
	int rc = 0;
	if (o->copy_up && strcmp(m->type, "tmpfs") == 0) {
		mount_attr(fd, 0, 1, 0, false);
		rc = copy_up(target, fd);
		if (rc == 0)
			rc = mount_attr(fd, o->attr_set, 0, 0, false);
	}
	if (rc == 0)
		rc = mount_attr(fd, 0, 0, o->propagation, o->propagation & MS_REC);
	if (rc == 0)
		rc = mount_attach(fd, target);
	return rc < 0 ? err_sys(e, rc, "mount %s at %s", m->type, m->destination) : 0;
}

static int apply_one(struct setup *s, const struct oci_mount *m, struct err *e)
{
	struct mount_opts o;
	int rc;

	if (m->type && strcmp(m->type, OCI_MOUNT_IMAGE) == 0)
		return mounts_image(s, m, e);
	mount_opts_parse(m->options.v, m->options.n, &o);
	if (o.bind || !m->type || strcmp(m->type, "bind") == 0 || strcmp(m->type, "none") == 0)
		rc = bind_mount(s, m, &o, e);
	else
		rc = new_mount(s, m, &o, e);
	mount_opts_done(&o);
	return rc;
}

int mounts_apply(struct setup *s, struct err *e)
{
	const struct oci_mount *m = s->cfg->mounts.v;

	for (size_t i = 0; i < s->cfg->mounts.n; i++)
		if (apply_one(s, &m[i], e) < 0)
			return -1;
	return 0;
}
