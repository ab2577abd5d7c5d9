/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root file system: an overlay over the image's layers, or a directory of the bundle, mounted
 * in the container's own mount namespace. Nothing of it ever appears in the host's mount table, so
 * a crash leaves no mount behind.
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

#define MOUNT_DATA_MAX 4095 /* one page, with the NUL */
#define MOUNT_POINT    "rootfs"

/* Overlay options are separated by commas; "\" escapes. */
static void add_escaped(struct buf *b, const char *path)
{
	for (; *path; path++) {
		if (*path == ',' || *path == '\\' || *path == ':')
			buf_addc(b, '\\');
		buf_addc(b, *path);
	}
}

static int mount_overlay(const struct runtime_rootfs *o, const char *target, struct err *e)
{
	AUTO_BUF struct buf data = BUF_INIT(MOUNT_DATA_MAX);
	AUTO_FD int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	buf_adds(&data, "lowerdir=");
	for (size_t i = 0; i < o->nlower; i++)
		buf_addf(&data, "%s%s", i ? ":" : "", o->lower[i]);
	if (o->upper) {
		buf_adds(&data, ",upperdir=");
		add_escaped(&data, o->upper);
		buf_adds(&data, ",workdir=");
		add_escaped(&data, o->work);
	}
	if (data.overflow)
		return err_set(e, ERR_LIMIT,
			       "image has too many layers (%zu) for one overlay mount", o->nlower);
	/* short relative names of the layers keep the options within one page */
	if (chdir(o->layers_dir) < 0)
		return err_sys(e, -errno, "enter the layers' directory %s", o->layers_dir);
	int rc = mount("overlay", target, "overlay", 0, buf_text(&data)) < 0 ? -errno : 0;
	if (fchdir(cwd) < 0 && rc == 0)
		rc = -errno;
	return rc < 0 ? err_sys(e, rc, "mount the overlay of %zu layers", o->nlower) : 0;
}

/* One layer and no writable part is no overlay for the kernel: bind the layer itself. */
static int mount_layers(const struct runtime_rootfs *o, const char *target, struct err *e)
{
	if (o->upper || o->nlower > 1)
		return mount_overlay(o, target, e);
	if (o->nlower == 0)
		return err_set(e, ERR_INVALID, "a root without layers and without a writable part");
	AUTO_FREE char *layer = xasprintf("%s/%s", o->layers_dir, o->lower[0]);
	if (mount(layer, target, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, -errno, "bind the layer %s", layer);
	return 0;
}

static int mount_bundle_root(struct setup *s, char *target, size_t size, struct err *e)
{
	const struct oci_root *root = s->config->root;

	if (!root || !root->path)
		return err_set(e, ERR_INVALID, "config.json: root.path: required field is missing");
	int base = s->req->bundle_fd >= 0 ? s->req->bundle_fd : AT_FDCWD;
	AUTO_FD int fd = openat(base, root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "open the root file system %s", root->path);
	snprintf(target, size, "/proc/self/fd/%d", fd);
	/* pivot_root wants a mount point */
	char path[4096];
	ssize_t n = readlink(target, path, sizeof path - 1);
	if (n < 0)
		return err_sys(e, -errno, "name of the root file system");
	path[n] = 0;
	if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_sys(e, -errno, "bind the root file system %s", path);
	snprintf(target, size, "%s", path);
	return 0;
}

int rootfs_mount(struct setup *s, struct err *e)
{
	char target[4096];

	/* private first: nothing we do may reach the host's tree */
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_sys(e, -errno, "make the mount tree private");
	if (s->req->overlay) {
		int base = s->req->bundle_fd;

		if (mkdirat(base, MOUNT_POINT, 0700) < 0 && errno != EEXIST)
			return err_sys(e, -errno, "make the mount point of the root");
		AUTO_FD int fd = openat(base, MOUNT_POINT,
					O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, -errno, "open the mount point of the root");
		char link[64];
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, target, sizeof target - 1);
		if (n < 0)
			return err_sys(e, -errno, "name of the mount point");
		target[n] = 0;
		if (mount_layers(s->req->overlay, target, e) < 0)
			return -1;
	} else if (mount_bundle_root(s, target, sizeof target, e) < 0) {
		return -1;
	}
	s->root_fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0)
		return err_sys(e, -errno, "open the mounted root");
	return 0;
}

int rootfs_pivot(struct setup *s, struct err *e)
{
	if (fchdir(s->root_fd) < 0)
		return err_sys(e, -errno, "enter the root");
	/* both arguments ".": the old root is stacked on the new one and detached at once
	 * (pivot_root(2)) */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, -errno, "pivot_root");
	if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0)
		return err_sys(e, -errno, "detach the host's root");
	if (chdir("/") < 0)
		return err_sys(e, -errno, "enter the new root");
	return 0;
}
