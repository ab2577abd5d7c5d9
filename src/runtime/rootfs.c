/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system in the container's own mount namespace: mounted, filled, protected, entered.
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

#define OPTIONS_MAX 4090 /* mount(2) takes one page */

/* overlayfs takes ':' ',' and '\' in its option only escaped. */
static void add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == ':' || *s == ',' || *s == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *s);
	}
}

/*
 * The mount point is the layers directory itself: it exists, and in this namespace nobody needs it
 * any more. Lower names are relative to it, so that hundreds of layers fit into the one page of
 * options.
 */
static int mount_overlay(struct setup *s, struct err *e)
{
	const struct runtime_rootfs *r = s->req->overlay;
	AUTO_BUF struct buf o = BUF_INIT(OPTIONS_MAX);

	if (r->nlower == 0)
		return err_set(e, ERR_INVALID, "a root file system needs at least one layer");
	if (chdir(r->layers_dir) < 0)
		return err_sys(e, -errno, "open %s", r->layers_dir);
	s->layers = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->layers < 0)
		return err_sys(e, -errno, "open %s", r->layers_dir);
	if (r->nlower == 1 && !r->upper) {
		int m = mount_clone(AT_FDCWD, r->lower[0], false);
		if (m < 0)
			return err_sys(e, m, "bind layer %s", r->lower[0]);
		AUTO_FD int here = open(".", O_PATH | O_CLOEXEC);
		int rc = mount_attach(m, here);
		close(m);
		if (rc < 0)
			return err_sys(e, rc, "bind layer %s", r->lower[0]);
	} else {
		buf_adds(&o, "lowerdir=");
		for (size_t i = 0; i < r->nlower; i++) {
			if (i)
				buf_addc(&o, ':');
			add_escaped(&o, r->lower[i]);
		}
		if (r->upper) {
			buf_adds(&o, ",upperdir=");
			add_escaped(&o, r->upper);
			buf_adds(&o, ",workdir=");
			add_escaped(&o, r->work);
		}
		if (o.overflow)
			return err_set(e, ERR_LIMIT, "too many layers: %zu", r->nlower);
		if (mount("overlay", ".", "overlay", 0, buf_text(&o)) < 0)
			return err_sys(e, -errno, "mount overlay (%s)", buf_text(&o));
	}
	s->root = open(r->layers_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->root < 0 ? err_sys(e, -errno, "open the root file system") : 0;
}

static int mount_plain(struct setup *s, struct err *e)
{
	const char *path = s->cfg->root && s->cfg->root->path ? s->cfg->root->path : "rootfs";
	int base = s->req->bundle_fd > 2 && path[0] != '/' ? s->req->bundle_fd : AT_FDCWD;
	AUTO_FD int m = mount_clone(base, path, true);
	AUTO_FD int here = openat(base, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (here < 0)
		return err_sys(e, -errno, "open root file system %s", path);
	int rc = m < 0 ? m : mount_attr(m, 0, 0, MS_PRIVATE, true);
	if (rc == 0)
		rc = mount_attach(m, here);
	if (rc < 0)
		return err_sys(e, rc, "bind root file system %s", path);
	s->root = TAKE_FD(m);
	return 0;
}

static bool wants_propagation(const struct oci_config *c)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct oci_mount *m = (const struct oci_mount *)c->mounts.v + i;
		for (size_t k = 0; k < m->options.n; k++)
			if (str_ends(m->options.v[k], "slave") ||
			    str_ends(m->options.v[k], "shared"))
				return true;
	}
	return c->linux_->rootfs_propagation && !str_ends(c->linux_->rootfs_propagation, "private");
}

static int bind_init(struct setup *s, struct err *e)
{
	AUTO_FD int m = mount_clone(AT_FDCWD, s->req->init_path, false);
	if (m < 0)
		return err_sys(e, m, "open %s", s->req->init_path);
	int rc = mount_attr(m, 0x7 /* ro nosuid nodev */, 0, 0, false);
	AUTO_FD int target = mounts_target(s->root, "/sbin/docker-init", false, e);
	if (target < 0)
		return -1;
	if (rc == 0)
		rc = mount_attach(m, target);
	return rc < 0 ? err_sys(e, rc, "mount /sbin/docker-init") : 0;
}

/*
 * compat 6.15: a descriptor from before the clone belongs to the caller's mount namespace, and its
 * mounts cannot be copied here. The child's copy of it is opened again by the path the caller saw.
 */
static int reopen_bundle(struct setup *s, struct err *e)
{
	if (!s->bundle_path)
		return 0;
	AUTO_FD int again = open(s->bundle_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (again < 0 || dup3(again, s->req->bundle_fd, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "open bundle %s", s->bundle_path);
	return 0;
}

int rootfs_mount(struct setup *s, struct err *e)
{
	/* nothing of ours may reach the host; slave keeps the other direction when a mount asks for
	 * it */
	unsigned long how = MS_REC | (wants_propagation(s->cfg) ? MS_SLAVE : MS_PRIVATE);

	if (mount(NULL, "/", NULL, how, NULL) < 0)
		return err_sys(e, -errno, "make the mount namespace private");
	if (reopen_bundle(s, e) < 0)
		return -1;
	if ((s->req->overlay ? mount_overlay(s, e) : mount_plain(s, e)) < 0)
		return -1;
	if (mounts_apply(s, e) < 0)
		return -1;
	if (s->req->init_path && *s->req->init_path && bind_init(s, e) < 0)
		return -1;
	return 0;
}

/* A masked file shows /dev/null, a masked directory an empty read-only tmpfs; what does not exist
 * needs none. */
static int mask_path(struct setup *s, const char *path, int *tmpfs, struct err *e)
{
	static const char *const data[] = {"nr_blocks=1", "nr_inodes=1"};
	struct stat st;
	AUTO_FD int target = fs_open_in_root(s->root, path, O_PATH | O_CLOEXEC, 0);

	if (target < 0)
		return target == -ENOENT || target == -ENOTDIR || target == -EACCES
			       ? 0
			       : err_sys(e, target, "mask %s", path);
	if (fstat(target, &st) < 0)
		return err_sys(e, -errno, "mask %s", path);
	AUTO_FD int m = FD_NONE;
	if (S_ISDIR(st.st_mode)) {
		/* one empty file system serves all */
		if (*tmpfs < 0)
			*tmpfs = mount_new("tmpfs", "tmpfs", data, ARRAY_SIZE(data), 0xf);
		m = *tmpfs < 0 ? *tmpfs : mount_clone(*tmpfs, "", false);
		if (m == -EINVAL) /* before 6.15 a detached mount cannot be cloned */
			m = mount_new("tmpfs", "tmpfs", data, ARRAY_SIZE(data), 0xf);
	} else {
		AUTO_FD int null_fd = fs_open_in_root(s->root, "dev/null",
						      O_PATH | O_CLOEXEC | O_NOFOLLOW, 0);
		struct stat ns;
		/* the image could have put a file there */
		if (null_fd >= 0 && fstat(null_fd, &ns) == 0 && S_ISCHR(ns.st_mode) &&
		    ns.st_rdev == 0x103)
			m = mount_clone(null_fd, "", false);
		else
			m = mount_clone(AT_FDCWD, "/dev/null", false);
	}
	int rc = m < 0 ? m : mount_attach(m, target);
	return rc < 0 ? err_sys(e, rc, "mask %s", path) : 0;
}

static int readonly_path(struct setup *s, const char *path, struct err *e)
{
	AUTO_FD int target = fs_open_in_root(s->root, path, O_PATH | O_CLOEXEC, 0);

	if (target < 0)
		return target == -ENOENT || target == -ENOTDIR
			       ? 0
			       : err_sys(e, target, "make %s read-only", path);
	AUTO_FD int m = mount_clone(target, "", true);
	int rc = m < 0 ? m : mount_attr(m, 1, 0, 0, true);
	if (rc == 0)
		rc = mount_attach(m, target);
	return rc < 0 ? err_sys(e, rc, "make %s read-only", path) : 0;
}

static int write_sysctls(struct setup *s, struct err *e)
{
	const struct strmap *m = &s->cfg->linux_->sysctl;
	char path[512];

	for (size_t i = 0; i < m->n; i++) {
		if ((size_t)snprintf(path, sizeof(path), "proc/sys/%s", m->v[i].k) >=
			    sizeof(path) ||
		    strstr(m->v[i].k, ".."))
			return err_set(e, ERR_INVALID, "invalid sysctl %s", m->v[i].k);
		/* dots separate, unless slashes do (then a dot is part of an interface's name) */
		if (!strchr(m->v[i].k, '/'))
			for (char *p = path + 9; *p; p++)
				if (*p == '.')
					*p = '/';
		AUTO_FD int fd = fs_open_in_root(s->root, path, O_WRONLY | O_CLOEXEC, 0);
		int rc = fd < 0 ? fd : fs_write_all(fd, m->v[i].v, strlen(m->v[i].v));
		if (rc < 0)
			return err_sys(e, rc, "write sysctl key %s", m->v[i].k);
	}
	return 0;
}

static int make_cwd(struct setup *s, struct err *e)
{
	const char *cwd = s->cfg->process->cwd;

	if (!cwd || cwd[0] != '/' || !cwd[1])
		return 0;
	AUTO_FD int fd = fs_open_in_root(s->root, cwd, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd >= 0)
		return 0;
	AUTO_FD int made = fs_mkdirs_in_root(s->root, cwd, 0755);
	if (made == -ENOTDIR)
		return err_set(e, ERR_INVALID, "Cannot mkdir: %s is not a directory", cwd);
	return made < 0 && made != -EROFS ? err_sys(e, made, "create working directory %s", cwd)
					  : 0;
}

/* pivot_root(".", "."): the old root ends up above the new one and is taken off; no directory is
 * needed for it. */
static int enter_root(struct setup *s, struct err *e)
{
	AUTO_FD int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fchdir(s->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, -errno, "pivot_root");
	if (fchdir(old) < 0)
		return err_sys(e, -errno, "enter the old root");
	/* a propagated unmount must not reach the host */
	mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL);
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(e, -errno, "detach the old root");
	return chdir("/") < 0 ? err_sys(e, -errno, "enter the root") : 0;
}

int rootfs_finish(struct setup *s, struct err *e)
{
	const struct oci_linux *l = s->cfg->linux_;
	int tmpfs = FD_NONE, rc = 0;

	if (write_sysctls(s, e) < 0 || make_cwd(s, e) < 0)
		return -1;
	for (size_t i = 0; i < l->readonly_paths.n && rc == 0; i++)
		rc = readonly_path(s, l->readonly_paths.v[i], e);
	for (size_t i = 0; i < l->masked_paths.n && rc == 0; i++)
		rc = mask_path(s, l->masked_paths.v[i], &tmpfs, e);
	fd_close(&tmpfs);
	if (rc < 0)
		return -1;
	bool ro = s->req->overlay ? s->req->overlay->readonly || !s->req->overlay->upper
				  : s->cfg->root && s->cfg->root->readonly;
	if (ro) {
		rc = mount_attr(s->root, 1, 0, 0, false);
		if (rc < 0)
			return err_sys(e, rc, "make the root read-only");
	}
	if (enter_root(s, e) < 0)
		return -1;
	const char *p = l->rootfs_propagation;
	if (p && (str_ends(p, "shared") || str_ends(p, "slave")))
		mount(NULL, "/", NULL,
		      (str_ends(p, "shared") ? MS_SHARED : MS_SLAVE) | (p[0] == 'r' ? MS_REC : 0),
		      NULL);
	return 0;
}
