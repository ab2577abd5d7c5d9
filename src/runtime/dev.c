/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of a container: the default nodes and links, nodes asked for, and the terminal. */
#include "runtime/runtime-priv.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/banned.h"

static const struct {
	const char *name;
	unsigned major, minor;
} defaults[] = {{"null", 1, 3},	  {"zero", 1, 5},    {"full", 1, 7},
		{"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static const struct {
	const char *name, *target;
} links[] = {{"fd", "/proc/self/fd"},	    {"stdin", "/proc/self/fd/0"},
	     {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	     {"core", "/proc/kcore"},	    {"ptmx", "pts/ptmx"}};

/* In a user namespace mknod is refused: the host's node is bound in its place. */
static int bind_host_node(int dir, const char *name, const char *host)
{
	AUTO_FD int file = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
	AUTO_FD int target = openat(dir, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FD int m = mount_clone(AT_FDCWD, host, false);

	if (file < 0 || target < 0)
		return -errno;
	return m < 0 ? m : mount_attach(m, target);
}

static int make_node(struct setup *s, const struct oci_device *d, struct err *e)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(d->path, '/');
	mode_t mode = d->file_mode ? (mode_t)(*d->file_mode & 07777) : 0666;
	mode_t type = d->type[0] == 'b' ? S_IFBLK : d->type[0] == 'p' ? S_IFIFO : S_IFCHR;

	if (!slash || !slash[1] || strlen(d->path) >= sizeof(dir))
		return err_set(e, ERR_INVALID, "device path %s is not absolute", d->path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - d->path), d->path);
	AUTO_FD int fd = fs_mkdirs_in_root(s->root, *dir ? dir : "/", 0755);
	if (fd < 0)
		return err_sys(e, fd, "create directory of device %s", d->path);
	dev_t number = type == S_IFIFO ? 0 : makedev((unsigned)d->major, (unsigned)d->minor);
	int rc = mknodat(fd, slash + 1, type | mode, number) < 0 ? -errno : 0;
	if (rc == -EEXIST)
		return 0;
	if (rc == -EPERM)
		rc = bind_host_node(fd, slash + 1, d->path);
	else if (rc == 0 && (fchmodat(fd, slash + 1, mode, 0) < 0 ||
			     fchownat(fd, slash + 1, d->uid ? (uid_t)*d->uid : 0,
				      d->gid ? (gid_t)*d->gid : 0, AT_SYMLINK_NOFOLLOW) < 0))
		rc = -errno;
	return rc < 0 ? err_sys(e, rc, "create device %s", d->path) : 0;
}

int dev_populate(struct setup *s, struct err *e)
{
	const struct oci_linux *l = s->cfg->linux_;
	AUTO_FD int dir = fs_mkdirs_in_root(s->root, "/dev", 0755);

	if (dir < 0)
		return err_sys(e, dir, "open /dev of the container");
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		mode_t mode = S_IFCHR | 0666;
		if (mknodat(dir, defaults[i].name, mode,
			    makedev(defaults[i].major, defaults[i].minor)) == 0)
			continue;
		int rc = -errno;
		if (rc == -EPERM) {
			char host[32];
			snprintf(host, sizeof(host), "/dev/%s", defaults[i].name);
			rc = bind_host_node(dir, defaults[i].name, host);
		}
		if (rc < 0 && rc != -EEXIST && rc != -EROFS)
			return err_sys(e, rc, "create /dev/%s", defaults[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dir, links[i].name) < 0 && errno != EEXIST &&
		    errno != EROFS)
			return err_sys(e, -errno, "create /dev/%s", links[i].name);
	for (size_t i = 0; i < l->devices.n; i++)
		if (make_node(s, (const struct oci_device *)l->devices.v + i, e) < 0)
			return -1;
	return 0;
}

int dev_console(int root, struct launch *l, bool bind, struct err *e)
{
	const struct oci_process *p = l->process;
	int unlock = 0;
	AUTO_FD int master = fs_open_in_root(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC,
					     0);

	if (master < 0)
		return err_sys(e, master, "open /dev/pts/ptmx of the container");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(e, -errno, "unlock the terminal");
	l->console = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (l->console < 0)
		return err_sys(e, -errno, "open the terminal");
	if (p->console_size && (p->console_size->width || p->console_size->height)) {
		struct winsize w = {.ws_row = (unsigned short)p->console_size->height,
				    .ws_col = (unsigned short)p->console_size->width};
		ioctl(master, TIOCSWINSZ, &w);
	}
	if (fchown(l->console, l->uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
		return err_sys(e, -errno, "give the terminal to user %u", l->uid);
	if (bind) {
		AUTO_FD int file = fs_open_in_root(
			root, "dev/console", O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
		AUTO_FD int target = fs_open_in_root(root, "dev/console",
						     O_PATH | O_CLOEXEC | O_NOFOLLOW, 0);
		AUTO_FD int m = mount_clone(l->console, "", false);
		int rc = target < 0 ? target : m < 0 ? m : mount_attach(m, target);
		if (rc < 0)
			return err_sys(e, rc, "mount /dev/console");
	}
	int rc = channel_send(l->sock, REPORT_CONSOLE, NULL, 0, master);
	return rc < 0 ? err_sys(e, rc, "hand over the terminal") : 0;
}
