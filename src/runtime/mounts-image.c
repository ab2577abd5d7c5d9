/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an image, read-only, somewhere in a container: a mount of the type OCI_MOUNT_IMAGE,
 * whose options name the layers, relative to the layers directory of the root file system, topmost
 * first, and whose source is the path inside the image ("" or absent: all of it).
 *
 * Several layers are an overlay that is mounted for a moment over the layers directory, where only
 * this mount namespace sees it; what is wanted of it is copied as a mount of its own, and the rest
 * goes. So a file or a folder of it can be had on every kernel (a detached overlay can be copied
 * since 6.15 only), and the names stay short.
 */
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/banned.h"

#define OPTIONS_MAX 4090 /* mount(2) takes one page */

/* The mount of `path` below root, or the negative errno. */
static int take_part(int root, const char *path)
{
	AUTO_FD int part = fs_open_in_root(root, path, O_PATH | O_CLOEXEC, 0);

	return part < 0 ? part : mount_clone(part, "", false);
}

static int part_of_layers(const struct setup *s, const struct oci_mount *m, const char *path,
			  struct err *e)
{
	AUTO_BUF struct buf o = BUF_INIT(OPTIONS_MAX);
	const char *dir = s->req->overlay->layers_dir;

	buf_adds(&o, "lowerdir=");
	for (size_t i = 0; i < m->options.n; i++)
		buf_addf(&o, "%s%s", i ? ":" : "", m->options.v[i]);
	if (o.overflow)
		return err_set(e, ERR_LIMIT, "too many layers: %zu", m->options.n);
	if (fchdir(s->layers) < 0 || mount("overlay", ".", "overlay", MS_RDONLY, buf_text(&o)) < 0)
		return err_sys(e, -errno, "mount the image at %s", m->destination);
	AUTO_FD int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = root < 0 ? -errno : take_part(root, path);
	if (umount2(dir, MNT_DETACH) < 0 && fd >= 0) {
		close(fd);
		fd = -errno;
	}
	return fd < 0 ? err_sys(e, fd, "cannot access path %s of the image", path) : fd;
}

static int part_of_layer(const struct setup *s, const char *layer, const char *path, struct err *e)
{
	AUTO_FD int root = openat(s->layers, layer, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = root < 0 ? -errno : take_part(root, path);

	return fd < 0 ? err_sys(e, fd, "cannot access path %s of the image", path) : fd;
}

int mounts_image(struct setup *s, const struct oci_mount *m, struct err *e)
{
	const char *path = m->source && *m->source ? m->source : "/";
	struct stat st;

	if (!s->req->overlay || m->options.n == 0)
		return err_set(e, ERR_INVALID, "mount at %s: an image needs layers",
			       m->destination);
	for (size_t i = 0; i < m->options.n; i++) /* our own numbers, never a path to elsewhere */
		if (strpbrk(m->options.v[i], ":,\\") || m->options.v[i][0] == '/')
			return err_set(e, ERR_INVALID, "layer %s", m->options.v[i]);
	AUTO_FD int fd = m->options.n == 1 ? part_of_layer(s, m->options.v[0], path, e)
					   : part_of_layers(s, m, path, e);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "image at %s", m->destination);
	AUTO_FD int target = mounts_target(s->root, m->destination, S_ISDIR(st.st_mode), e);
	if (target < 0)
		return -1;
	int rc = mount_attr(fd, 0x7 /* ro nosuid nodev */, 0, MS_PRIVATE, false);
	if (rc == 0)
		rc = mount_attach(fd, target);
	return rc < 0 ? err_sys(e, rc, "mount the image at %s", m->destination) : 0;
}
