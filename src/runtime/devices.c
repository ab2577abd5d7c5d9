/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of the container: the default nodes and links (runtime-spec, "Default Devices"), given
 * devices, the console. */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "base/banned.h"

static const struct {
	const char *path;
	unsigned major, minor;
} defaults[] = {
	{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
	{"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
};

static const struct {
	const char *target, *path;
} links[] = {
	{"/proc/self/fd", "dev/fd"},	   {"/proc/self/fd/0", "dev/stdin"},
	{"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
	{"/proc/kcore", "dev/core"},	   {"pts/ptmx", "dev/ptmx"},
};

/* Parent directory inside the root and last name of a path. */
static int open_parent(int root_fd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *dir = xstrndup(path, slash ? (size_t)(slash - path) : 0);

	*ret_name = slash ? slash + 1 : path;
	return fs_mkdirs_in_root(root_fd, *dir ? dir : ".", 0755);
}

static int bind_host_node(int parent, const char *name, const char *host_path)
{
	AUTO_FD int fd = openat(parent, name, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0666);
	char path[40];

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return mount(host_path, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int make_node(int root_fd, const char *path, mode_t type, mode_t mode, dev_t dev, uid_t uid,
		     gid_t gid)
{
	const char *name;
	AUTO_FD int parent = open_parent(root_fd, path, &name);
	mode_t old = umask(0);
	int rc = parent < 0 ? parent : mknodat(parent, name, type | mode, dev) < 0 ? -errno : 0;

	umask(old);
	if (rc == -EPERM && path[0]) { /* no CAP_MKNOD (user namespace): the host's own node */
		AUTO_FREE char *host = xasprintf("/%s", path[0] == '/' ? path + 1 : path);
		return bind_host_node(parent, name, host);
	}
	if (rc == -EEXIST)
		return 0; /* the image or a bind mount of /dev has it */
	if (rc == 0 && (uid || gid) && fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		rc = -errno;
	return rc;
}

static int make_given(struct setup *s, const struct oci_device *d, struct err *e)
{
	mode_t type = d->type && d->type[0] == 'b'   ? S_IFBLK
		      : d->type && d->type[0] == 'p' ? S_IFIFO
						     : S_IFCHR;
	mode_t mode = d->file_mode ? (mode_t)*d->file_mode & 07777 : 0666;

	if (!d->path)
		return err_set(e, ERR_INVALID, "config.json: a device without a path");
	int rc = make_node(s->root_fd, d->path, type, mode,
			   makedev((unsigned)d->major, (unsigned)d->minor),
			   d->uid ? (uid_t)*d->uid : 0, d->gid ? (gid_t)*d->gid : 0);
	return rc < 0 ? err_sys(e, rc, "make device %s", d->path) : 0;
}

int devices_make(struct setup *s, struct err *e)
{
	const struct oci_linux *l = s->config->linux_;
	const struct oci_device *given = l ? l->devices.v : NULL;
	AUTO_FD int dev = fs_mkdirs_in_root(s->root_fd, "/dev", 0755);

	if (dev < 0)
		return err_sys(e, dev, "open /dev of the container");
	for (size_t i = 0; l && i < l->devices.n; i++)
		if (make_given(s, &given[i], e) < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		int rc = make_node(s->root_fd, defaults[i].path, S_IFCHR, 0666,
				   makedev(defaults[i].major, defaults[i].minor), 0, 0);
		if (rc < 0 && rc != -EROFS)
			return err_sys(e, rc, "make /%s", defaults[i].path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev, links[i].path + 4) < 0 && errno != EEXIST &&
		    errno != EROFS)
			return err_sys(e, -errno, "link /%s", links[i].path);
	return 0;
}

/*
 * The terminal comes from the container's own devpts, so that its name exists inside. The master
 * goes to the parent over the status socket with the "ready" message; the slave is also bound over
 * /dev/console.
 */
int console_open(struct setup *s, const struct oci_process *p, int *ret_slave, struct err *e)
{
	AUTO_FD int master = fs_open_in_root(s->root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0);
	int unlock = 0;
	unsigned number = 0;

	if (master < 0)
		return err_sys(e, master, "open a terminal (/dev/pts/ptmx)");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, &number) < 0)
		return err_sys(e, -errno, "unlock the terminal");
	AUTO_FD int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(e, -errno, "open the terminal's other end");
	if (p->console_size) {
		struct winsize w = {.ws_row = (unsigned short)p->console_size->height,
				    .ws_col = (unsigned short)p->console_size->width};
		ioctl(master, TIOCSWINSZ, &w);
	}
	AUTO_FD int dev = fs_open_in_root(s->root_fd, "/dev", O_PATH | O_DIRECTORY, 0);
	AUTO_FD int console = dev < 0 ? dev
				      : openat(dev, "console",
					       O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	char from[40], to[40];
	snprintf(from, sizeof from, "/proc/self/fd/%d", slave);
	snprintf(to, sizeof to, "/proc/self/fd/%d", console);
	if (console >= 0 && mount(from, to, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, -errno, "bind the terminal on /dev/console");
	ssize_t n = fs_send_fds(s->status_fd, "R", 1, &master, 1);
	if (n < 0)
		return err_sys(e, (int)n, "send the terminal");
	*ret_slave = TAKE_FD(slave);
	return 0;
}
