/* SPDX-License-Identifier: Apache-2.0 */
/* See lsm.h: one write to an attribute of procfs each. */
#include "sys/lsm.h"

#include "base/attr.h"
#include "base/buf.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <string.h>

#include "base/banned.h"

bool lsm_apparmor_enabled(void)
{
	AUTO_BUF struct buf b = BUF_INIT(16);

	return fs_read_path("/sys/module/apparmor/parameters/enabled", &b) == 0 && b.n &&
	       b.p[0] == 'Y';
}

bool lsm_selinux_enabled(void)
{
	return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

static int write_attr(int proc_fd, const char *name, const char *text)
{
	AUTO_FD int fd = openat(proc_fd, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fs_write_all(fd, text, strlen(text));
}

int lsm_exec_apparmor(int proc_fd, const char *profile)
{
	AUTO_BUF struct buf b = BUF_INIT(4096);

	if (!profile || !*profile)
		return 0;
	buf_addf(&b, "exec %s", profile);
	if (b.overflow)
		return -ENAMETOOLONG;
	int rc = write_attr(proc_fd, "self/attr/apparmor/exec", buf_text(&b));
	/* compat 5.8: modules have no folders of their own */
	return rc == -ENOENT ? write_attr(proc_fd, "self/attr/exec", buf_text(&b)) : rc;
}

int lsm_exec_selinux(int proc_fd, const char *label)
{
	return label && *label ? write_attr(proc_fd, "self/attr/exec", label) : 0;
}
