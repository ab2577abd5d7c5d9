/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of the configuration (runtime-spec, "Mounts"), each placed on a descriptor that was
 * resolved inside the container's root, so that no link of the image can move a mount out of it.
 * Bind mounts use the new mount API (open_tree, mount_setattr, move_mount; Linux 5.2 and 5.12) and
 * fall back to mount(2).
 */
#include "base/mem.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

/* <sys/mount.h> and <linux/mount.h> cannot be included together with Debian 12's libc */
extern int mount(const char *, const char *, const char *, unsigned long, const void *);
extern int umount2(const char *, int);

#define AT_RECURSIVE_FLAG 0x8000

struct option {
	const char *name;
	unsigned long set, clear; /* MS_ flags */
	uint64_t attr;		  /* recursive attribute (r*) instead */
};

/* Names as mount(8) and the runtime-spec list them. */
static const struct option options[] = {
	{"defaults", 0, 0, 0},
	{"ro", MS_RDONLY, 0, 0},
	{"rw", 0, MS_RDONLY, 0},
	{"suid", 0, MS_NOSUID, 0},
	{"nosuid", MS_NOSUID, 0, 0},
	{"dev", 0, MS_NODEV, 0},
	{"nodev", MS_NODEV, 0, 0},
	{"exec", 0, MS_NOEXEC, 0},
	{"noexec", MS_NOEXEC, 0, 0},
	{"sync", MS_SYNCHRONOUS, 0, 0},
	{"async", 0, MS_SYNCHRONOUS, 0},
	{"dirsync", MS_DIRSYNC, 0, 0},
	{"mand", MS_MANDLOCK, 0, 0},
	{"nomand", 0, MS_MANDLOCK, 0},
	{"atime", 0, MS_NOATIME, 0},
	{"noatime", MS_NOATIME, 0, 0},
	{"diratime", 0, MS_NODIRATIME, 0},
	{"nodiratime", MS_NODIRATIME, 0, 0},
	{"relatime", MS_RELATIME, 0, 0},
	{"norelatime", 0, MS_RELATIME, 0},
	{"strictatime", MS_STRICTATIME, 0, 0},
	{"nostrictatime", 0, MS_STRICTATIME, 0},
	{"bind", MS_BIND, 0, 0},
	{"rbind", MS_BIND | MS_REC, 0, 0},
	{"rro", 0, 0, MOUNT_ATTR_RDONLY},
	{"rnosuid", 0, 0, MOUNT_ATTR_NOSUID},
	{"rnodev", 0, 0, MOUNT_ATTR_NODEV},
	{"rnoexec", 0, 0, MOUNT_ATTR_NOEXEC},
};

static const struct {
	const char *name;
	unsigned long flags;
} propagations[] = {
	{"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
	{"shared", MS_SHARED},	       {"rshared", MS_SHARED | MS_REC},
	{"slave", MS_SLAVE},	       {"rslave", MS_SLAVE | MS_REC},
	{"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

struct plan {
	unsigned long flags;
	uint64_t recursive_attrs;
	unsigned long propagation;
	bool copy_up; /* "tmpcopyup": a tmpfs starts with what the image has there */
	char data[4096];
};

static int add_data(struct plan *p, const char *option)
{
	size_t n = strlen(p->data);
	int k = snprintf(p->data + n, sizeof p->data - n, "%s%s", n ? "," : "", option);

	return (size_t)k < sizeof p->data - n ? 0 : -E2BIG;
}

static bool known_option(struct plan *p, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name)) {
			p->flags = (p->flags & ~options[i].clear) | options[i].set;
			p->recursive_attrs |= options[i].attr;
			return true;
		}
	for (size_t i = 0; i < ARRAY_SIZE(propagations); i++)
		if (!strcmp(propagations[i].name, name)) {
			p->propagation = propagations[i].flags;
			return true;
		}
	if (!strcmp(name, "tmpcopyup"))
		return p->copy_up = true;
	return false;
}

static int plan_parse(const struct oci_mount *m, struct plan *p, struct err *e)
{
	*p = (struct plan){0};
	for (size_t i = 0; i < m->options.n; i++)
		if (!known_option(p, m->options.v[i]) && add_data(p, m->options.v[i]) < 0)
			return err_set(e, ERR_INVALID, "mount %s: options are too long",
				       m->destination);
	if (m->type && !strcmp(m->type, "bind") && !(p->flags & MS_BIND))
		p->flags |= MS_BIND | MS_REC;
	return 0;
}

static const char *fd_path(int fd, char buf[static 40])
{
	snprintf(buf, 40, "/proc/self/fd/%d", fd);
	return buf;
}

/* The mount point: a directory, or for a file's bind mount an empty file. */
static int open_target(int root_fd, const char *destination, bool file)
{
	if (!file)
		return fs_mkdirs_in_root(root_fd, destination, 0755);
	int fd = fs_open_in_root(root_fd, destination, O_PATH, 0);
	if (fd != -ENOENT)
		return fd;
	const char *slash = strrchr(destination, '/');
	AUTO_FREE char *dir = xstrndup(destination, slash ? (size_t)(slash - destination) : 0);
	AUTO_FD int parent = fs_mkdirs_in_root(root_fd, *dir ? dir : ".", 0755);
	if (parent < 0)
		return parent;
	const char *name = slash ? slash + 1 : destination;
	AUTO_FD int made = openat(parent, name,
				  O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0 && errno != EEXIST)
		return -errno;
	/* a dangling link stood there: its target inside the root is not ours to make */
	return fs_open_in_root(root_fd, destination, O_PATH, 0);
}

static uint64_t attrs_of(unsigned long flags)
{
	uint64_t a = 0;

	a |= flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0;
	a |= flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0;
	a |= flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0;
	a |= flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0;
	a |= flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : 0;
	a |= flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;
	return a;
}

static int set_attrs(int fd, uint64_t set, bool recursive)
{
	struct mount_attr attr = {.attr_set = set};

	if (set & MOUNT_ATTR_NOATIME)
		attr.attr_clr = MOUNT_ATTR__ATIME;
	return syscall(SYS_mount_setattr, fd, "",
		       AT_EMPTY_PATH | (recursive ? AT_RECURSIVE_FLAG : 0), &attr, sizeof attr) < 0
		       ? -errno
		       : 0;
}

/* Before 5.12: remount on the path of the descriptor; only the top mount changes, as with Docker
 * then. */
static int remount_old(int target_fd, unsigned long flags)
{
	char path[40];

	return mount(NULL, fd_path(target_fd, path), NULL,
		     MS_REMOUNT | MS_BIND | (flags & ~(unsigned long)MS_REC), NULL) < 0
		       ? -errno
		       : 0;
}

static int bind(const char *source, int target_fd, const struct plan *p)
{
	bool recursive = p->flags & MS_REC;
	uint64_t attrs = attrs_of(p->flags);
	AUTO_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source,
					OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
						(recursive ? AT_RECURSIVE_FLAG : 0));
	char path[40];

	if (tree < 0 && errno != ENOSYS)
		return -errno;
	if (tree < 0) {
		if (mount(source, fd_path(target_fd, path), NULL, p->flags & (MS_BIND | MS_REC),
			  NULL) < 0)
			return -errno;
		return attrs ? remount_old(target_fd, p->flags) : 0;
	}
	int rc = attrs ? set_attrs(tree, attrs, false) : 0;
	bool old = rc == -ENOSYS;
	if (rc == 0 && p->recursive_attrs)
		rc = set_attrs(tree, p->recursive_attrs, true);
	if (rc < 0 && !old)
		return rc;
	if (syscall(SYS_move_mount, tree, "", target_fd, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	/* the mount now covers the target; reach it by the tree's own descriptor */
	return old ? remount_old(tree, p->flags) : 0;
}

static int set_propagation(struct setup *s, const char *destination, unsigned long flags)
{
	AUTO_FD int fd = fs_open_in_root(s->root_fd, destination, O_PATH, 0);
	char path[40];

	if (fd < 0)
		return fd;
	return mount(NULL, fd_path(fd, path), NULL, flags, NULL) < 0 ? -errno : 0;
}

static int apply_bind(struct setup *s, const struct oci_mount *m, const struct plan *p,
		      struct err *e)
{
	struct stat st;

	if (!m->source)
		return err_set(e, ERR_INVALID, "mount %s: a bind mount needs a source",
			       m->destination);
	if (stat(m->source, &st) < 0)
		return err_sys(e, -errno, "bind source path %s", m->source);
	AUTO_FD int target = open_target(s->root_fd, m->destination, !S_ISDIR(st.st_mode));
	if (target < 0)
		return err_sys(e, target, "make the mount point %s", m->destination);
	int rc = bind(m->source, target, p);
	if (rc == -ENOTDIR)
		return err_set(e, ERR_INVALID,
			       "error mounting \"%s\" to rootfs at \"%s\": not a directory: Are "
			       "you trying to mount a "
			       "directory onto a file (or vice-versa)? Check if the specified host "
			       "path exists and is "
			       "the expected type",
			       m->source, m->destination);
	return rc < 0 ? err_sys(e, rc, "bind %s on %s", m->source, m->destination) : 0;
}

/* What the image has at the mount point moves into the fresh tmpfs (files, links, directories;
 * modes and owners). */
static int copy_up(int from_fd, int to_fd, int depth)
{
	int dup_fd = openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = dup_fd < 0 ? NULL : fdopendir(dup_fd);
	int rc = 0;

	if (!d)
		return -errno;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));) {
		const char *name = entry->d_name;
		struct stat st;

		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < 64) {
			AUTO_FD int from = openat(from_fd, name,
						  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (from < 0 || mkdirat(to_fd, name, st.st_mode & 07777) < 0)
				continue;
			AUTO_FD int to = openat(to_fd, name,
						O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			rc = to < 0 ? -errno : copy_up(from, to, depth + 1);
		} else if (S_ISLNK(st.st_mode)) {
			char link[4096];
			ssize_t n = readlinkat(from_fd, name, link, sizeof link - 1);
			if (n < 0)
				continue;
			link[n] = 0;
			if (symlinkat(link, to_fd, name) < 0)
				rc = -errno;
		} else if (S_ISREG(st.st_mode)) {
			AUTO_FD int from = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
			AUTO_FD int to = openat(to_fd, name,
						O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
						st.st_mode & 07777);
			while (from >= 0 && to >= 0) {
				ssize_t k = copy_file_range(from, NULL, to, NULL, 1U << 20, 0);
				if (k < 0)
					rc = -errno;
				if (k <= 0)
					break;
			}
		} else {
			continue;
		}
		if (fchownat(to_fd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
			rc = -errno;
		if (!S_ISLNK(st.st_mode) && fchmodat(to_fd, name, st.st_mode & 07777, 0) < 0)
			rc = -errno;
	}
	closedir(d);
	return rc;
}

static int apply_filesystem(struct setup *s, const struct oci_mount *m, const struct plan *p,
			    struct err *e)
{
	const char *type = m->type ? m->type : "none";
	char path[40];
	AUTO_FD int target = open_target(s->root_fd, m->destination, false);

	if (target < 0)
		return err_sys(e, target, "make the mount point %s", m->destination);
	AUTO_FD int before = p->copy_up ? openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
					: FD_NONE;
	if (mount(m->source ? m->source : type, fd_path(target, path), type, p->flags, p->data) <
	    0) {
		int rc = -errno;
		/* sysfs belongs to the network namespace's owner; a shared one may only be bound */
		if (!strcmp(type, "sysfs") && (rc == -EPERM || rc == -EBUSY) &&
		    mount("/sys", path, NULL, MS_BIND | MS_REC, NULL) == 0)
			return remount_old(target, p->flags) == -EINVAL ? 0 : 0;
		return err_sys(e, rc, "mount %s on %s", type, m->destination);
	}
	if (p->copy_up && before >= 0) {
		AUTO_FD int now = fs_open_in_root(s->root_fd, m->destination,
						  O_RDONLY | O_DIRECTORY, 0);
		int rc = now < 0 ? now : copy_up(before, now, 0);
		if (rc < 0)
			return err_sys(e, rc, "copy the image's files into the tmpfs on %s",
				       m->destination);
	}
	return 0;
}

/* cgroup v1: a tmpfs with one bind per hierarchy of what the process' own cgroup shows (cgroup
 * namespace). */
static int apply_cgroup1(struct setup *s, const struct oci_mount *m, const struct plan *p,
			 struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	int rc = fs_read_path("/proc/self/cgroup", &text);
	AUTO_FD int target = open_target(s->root_fd, m->destination, false);
	char path[64];

	if (rc < 0 || target < 0)
		return err_sys(e, rc < 0 ? rc : target, "prepare the cgroup mount");
	if (mount("tmpfs", fd_path(target, path), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=755,size=64k") < 0)
		return err_sys(e, -errno, "mount a tmpfs on %s", m->destination);
	AUTO_FD int top = fs_open_in_root(s->root_fd, m->destination, O_RDONLY | O_DIRECTORY, 0);
	struct str rest = {buf_text(&text), text.n}, line, id, names;
	while (str_cut(&rest, '\n', &line)) {
		char name[128];
		if (!str_cut(&line, ':', &id) || !str_cut(&line, ':', &names) || names.n == 0 ||
		    names.n >= sizeof name)
			continue;
		memcpy(name, names.p, names.n);
		name[names.n] = 0;
		const char *dir = str_starts(name, "name=") ? name + 5 : name;
		if (mkdirat(top, dir, 0755) < 0 && errno != EEXIST)
			return err_sys(e, -errno, "make %s/%s", m->destination, dir);
		AUTO_FD int at = openat(top, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* in a cgroup namespace a fresh mount shows only the container's own subtree */
		if (mount("cgroup", fd_path(at, path), "cgroup",
			  p->flags | MS_NOSUID | MS_NODEV | MS_NOEXEC, name) < 0 &&
		    errno != EBUSY && errno != EPERM && errno != EINVAL)
			return err_sys(e, -errno, "mount the cgroup hierarchy %s", name);
	}
	if (p->flags & MS_RDONLY) {
		AUTO_FD int done = fs_open_in_root(s->root_fd, m->destination, O_PATH, 0);
		remount_old(done, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	}
	return 0;
}

static int apply_one(struct setup *s, const struct oci_mount *m, struct err *e)
{
	struct plan p;
	int rc;

	if (!m->destination || m->destination[0] == 0)
		return err_set(e, ERR_INVALID, "config.json: a mount without a destination");
	if (plan_parse(m, &p, e) < 0)
		return -1;
	if (p.flags & MS_BIND)
		rc = apply_bind(s, m, &p, e);
	else if (m->type && !strcmp(m->type, "cgroup"))
		rc = runtime_cgroup_version() == 1
			     ? apply_cgroup1(s, m, &p, e)
			     : apply_filesystem(s,
						&(struct oci_mount){.destination = m->destination,
								    .type = "cgroup2",
								    .source = "cgroup"},
						&p, e);
	else
		rc = apply_filesystem(s, m, &p, e);
	if (rc < 0)
		return -1;
	if (p.propagation) {
		rc = set_propagation(s, m->destination, p.propagation);
		if (rc < 0)
			return err_sys(e, rc, "propagation of %s", m->destination);
	}
	return 0;
}

int mounts_apply(struct setup *s, struct err *e)
{
	const struct oci_mount *m = s->config->mounts.v;

	for (size_t i = 0; i < s->config->mounts.n; i++)
		if (apply_one(s, &m[i], e) < 0)
			return -1;
	return 0;
}

/* ---- after the pivot: paths are the container's own ---- */

static int mask_path(const char *path)
{
	AUTO_FD int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char target[40];

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return mount("tmpfs", fd_path(fd, target), "tmpfs", MS_RDONLY,
			     "size=0k,nr_inodes=2,mode=755") < 0
			       ? -errno
			       : 0;
	return mount("/dev/null", fd_path(fd, target), NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int protect_path(const char *path)
{
	struct plan p = {.flags = MS_BIND | MS_REC | MS_RDONLY};
	AUTO_FD int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	return bind(path, fd, &p);
}

int mounts_protect(struct setup *s, struct err *e)
{
	const struct oci_linux *l = s->config->linux_;
	bool readonly = (s->config->root && s->config->root->readonly) ||
			(s->req->overlay && s->req->overlay->readonly);
	int rc;

	for (size_t i = 0; l && i < l->readonly_paths.n; i++) {
		rc = protect_path(l->readonly_paths.v[i]);
		if (rc < 0)
			return err_sys(e, rc, "make %s read-only", l->readonly_paths.v[i]);
	}
	for (size_t i = 0; l && i < l->masked_paths.n; i++) {
		rc = mask_path(l->masked_paths.v[i]);
		if (rc < 0)
			return err_sys(e, rc, "mask %s", l->masked_paths.v[i]);
	}
	if (readonly && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return err_sys(e, -errno, "make the root read-only");
	if (l && l->rootfs_propagation && *l->rootfs_propagation) {
		for (size_t i = 0; i < ARRAY_SIZE(propagations); i++)
			if (!strcmp(propagations[i].name, l->rootfs_propagation) &&
			    mount(NULL, "/", NULL, propagations[i].flags, NULL) < 0)
				return err_sys(e, -errno, "propagation of the root");
	}
	return 0;
}
