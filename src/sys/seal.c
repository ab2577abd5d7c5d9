/* SPDX-License-Identifier: Apache-2.0 */
/* See seal.h: a read-only view of the file first, a copy in memory where mounts are not ours to
 * make. */
#include "sys/seal.h"

#include "base/attr.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/banned.h"

#define ATTR_RDONLY 0x1 /* MOUNT_ATTR_RDONLY */
#define SEALS	    (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int read_only_mount(const char *path)
{
	int fd = mount_clone(AT_FDCWD, path, false);
	int rc = fd < 0 ? fd : mount_attr(fd, ATTR_RDONLY, 0, 0, false);

	if (fd >= 0 && rc < 0)
		fd_close(&fd);
	return rc < 0 ? rc : fd;
}

static int sealed_copy(const char *path)
{
	const char *name = strrchr(path, '/');
	AUTO_FD int in = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FD int out = memfd_create(name ? name + 1 : path, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		return -errno;
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left -= n;
	}
	if (fchmod(out, 0500) < 0 || fcntl(out, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return TAKE_FD(out);
}

int seal_program(const char *path)
{
	int fd = read_only_mount(path);

	return fd >= 0 ? fd : sealed_copy(path);
}

bool seal_is_sealed(void)
{
	struct statvfs vfs;
	AUTO_FD int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (self < 0)
		return false;
	int seals = fcntl(self, F_GET_SEALS);
	return (seals >= 0 && (seals & F_SEAL_WRITE)) ||
	       (fstatvfs(self, &vfs) == 0 && vfs.f_flag & ST_RDONLY);
}
