/* SPDX-License-Identifier: Apache-2.0 */
/* The new mount API by raw system calls, with mount(2) on /proc/self/fd where mount_setattr (5.12)
 * is missing. */
#include "sys/mnt.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

/* asm-generic numbers, the same on every architecture; the libc of Debian 12 has them, older ones
 * may not. */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE	  1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY      0x1
#define MOUNT_ATTR_NOSUID      0x2
#define MOUNT_ATTR_NODEV       0x4
#define MOUNT_ATTR_NOEXEC      0x8
#define MOUNT_ATTR__ATIME      0x70
#define MOUNT_ATTR_NOATIME     0x10
#define MOUNT_ATTR_STRICTATIME 0x20
#define MOUNT_ATTR_NODIRATIME  0x80
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x200000
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
enum { CFG_FLAG, CFG_STRING, CFG_CREATE = 6, MOVE_F_EMPTY = 4, MOVE_T_EMPTY = 0x40 };

struct attr_arg {
	uint64_t set, clr, propagation, userns_fd;
};

static const struct {
	const char *name;
	uint64_t set, clr;
} attrs[] = {
	{"ro", MOUNT_ATTR_RDONLY, 0},
	{"rw", 0, MOUNT_ATTR_RDONLY},
	{"nosuid", MOUNT_ATTR_NOSUID, 0},
	{"suid", 0, MOUNT_ATTR_NOSUID},
	{"nodev", MOUNT_ATTR_NODEV, 0},
	{"dev", 0, MOUNT_ATTR_NODEV},
	{"noexec", MOUNT_ATTR_NOEXEC, 0},
	{"exec", 0, MOUNT_ATTR_NOEXEC},
	{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
	{"relatime", 0, MOUNT_ATTR__ATIME},
	{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
	{"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
	{"diratime", 0, MOUNT_ATTR_NODIRATIME},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

static const struct {
	const char *name;
	unsigned long flag;
} props[] = {
	{"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
	{"slave", MS_SLAVE},	       {"rslave", MS_SLAVE | MS_REC},
	{"shared", MS_SHARED},	       {"rshared", MS_SHARED | MS_REC},
	{"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

static bool parse_attr(const char *s, struct mount_opts *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		if (strcmp(s, attrs[i].name) == 0) {
			o->attr_clr |= attrs[i].clr | attrs[i].set;
			o->attr_set = (o->attr_set & ~(attrs[i].clr | attrs[i].set)) | attrs[i].set;
			return true;
		}
		if (s[0] == 'r' && strcmp(s + 1, attrs[i].name) == 0) {
			o->rattr_clr |= attrs[i].clr;
			o->rattr_set = (o->rattr_set & ~attrs[i].clr) | attrs[i].set;
			return true;
		}
	}
	return false;
}

void mount_opts_parse(const char *const *v, size_t n, struct mount_opts *ret)
{
	static const char *const ignored[] = {"defaults", "async",	"atime",  "norelatime",
					      "loud",	  "silent",	"mand",	  "nomand",
					      "iversion", "noiversion", "nouser", "auto",
					      "noauto",	  "z",		"Z",	  "notmpcopyup"};

	*ret = (struct mount_opts){.data = xcalloc(n + 1, sizeof(char *))};
	for (size_t i = 0; i < n; i++) {
		bool known = true;
		if (strcmp(v[i], "bind") == 0)
			ret->bind = true;
		else if (strcmp(v[i], "rbind") == 0)
			ret->bind = ret->rbind = true;
		else if (strcmp(v[i], "idmap") == 0)
			ret->idmap = true;
		else if (strcmp(v[i], "ridmap") == 0)
			ret->idmap = ret->ridmap = true;
		else if (strcmp(v[i], "tmpcopyup") == 0)
			ret->copy_up = true;
		else if (strcmp(v[i], "remount") == 0)
			ret->remount = true;
		else if (strcmp(v[i], "sync") == 0 || strcmp(v[i], "dirsync") == 0)
			ret->sync = true;
		else
			known = parse_attr(v[i], ret);
		for (size_t k = 0; !known && k < ARRAY_SIZE(props); k++)
			if (strcmp(v[i], props[k].name) == 0) {
				ret->propagation = props[k].flag;
				known = true;
			}
		for (size_t k = 0; !known && k < ARRAY_SIZE(ignored); k++)
			known = strcmp(v[i], ignored[k]) == 0;
		if (!known)
			ret->data[ret->ndata++] = v[i];
	}
	/* what is set must not be asked to be cleared as well, except within the atime field */
	ret->attr_clr &= ~(ret->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME);
	ret->sb_ro = ret->attr_set & MOUNT_ATTR_RDONLY;
}

void mount_opts_done(struct mount_opts *o)
{
	free(o->data);
	o->data = NULL;
}

static int config_all(int fs, const char *source, const char *const *data, size_t n)
{
	if (source && syscall(SYS_fsconfig, fs, CFG_STRING, "source", source, 0) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *key = xstrdup(data[i]);
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		if (syscall(SYS_fsconfig, fs, eq ? CFG_STRING : CFG_FLAG, key, eq ? eq + 1 : NULL,
			    0) < 0)
			return -errno;
	}
	return syscall(SYS_fsconfig, fs, CFG_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

int mount_new(const char *type, const char *source, const char *const *data, size_t n,
	      uint64_t attr)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */);
	if (fs < 0)
		return -errno;
	int rc = config_all(fs, source, data, n);
	if (rc < 0)
		return rc;
	rc = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, (unsigned)attr);
	return rc < 0 ? -errno : rc;
}

int mount_at(const char *path, const char *type, const char *source, const char *options)
{
	AUTO_FREE char *copy = xstrdup(options ? options : "");
	AUTO_FD int target = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int fs = FD_NONE;
	const char *words[128];
	struct mount_opts o;
	char *rest = copy, *one;
	size_t n = 0;

	if (target < 0)
		return -errno;
	while (n < ARRAY_SIZE(words) - 1 && (one = strsep(&rest, ",")))
		if (*one)
			words[n++] = one;
	mount_opts_parse(words, n, &o);
	if (o.sb_ro) /* the array has room for every word, and "ro" is not among the rest */
		o.data[o.ndata++] = "ro";
	fs = mount_new(type, source, o.data, o.ndata, o.attr_set);
	mount_opts_done(&o);
	return fs < 0 ? fs : mount_attach(fs, target);
}

bool mount_is_at(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int mount_clone(int dir_fd, const char *path, bool recursive)
{
	int fd = (int)syscall(SYS_open_tree, dir_fd, path,
			      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) |
				      (recursive ? AT_RECURSIVE : 0));
	return fd < 0 ? -errno : fd;
}

int mount_attach(int mount_fd, int target_fd)
{
	return syscall(SYS_move_mount, mount_fd, "", target_fd, "", MOVE_F_EMPTY | MOVE_T_EMPTY) < 0
		       ? -errno
		       : 0;
}

/* Before 5.12: MS_REMOUNT|MS_BIND replaces the whole set of flags, so only setting is offered, not
 * recursively. */
static int attr_fallback(int fd, uint64_t set, unsigned long propagation, bool recursive)
{
	char path[40];
	unsigned long flags = MS_REMOUNT | MS_BIND;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (propagation &&
	    mount(NULL, path, NULL, propagation | (recursive ? MS_REC : 0), NULL) < 0)
		return -errno;
	flags |= set & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0;
	flags |= set & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0;
	flags |= set & MOUNT_ATTR_NODEV ? MS_NODEV : 0;
	flags |= set & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0;
	if (set && mount(NULL, path, NULL, flags, NULL) < 0)
		return -errno;
	return 0;
}

int mount_attr(int mount_fd, uint64_t set, uint64_t clr, unsigned long propagation, bool recursive)
{
	struct attr_arg a = {
		.set = set, .clr = clr, .propagation = propagation & ~(unsigned long)MS_REC};

	if (!set && !clr && !propagation)
		return 0;
	if (syscall(442 /* mount_setattr */, mount_fd, "",
		    AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) == 0)
		return 0;
	if (errno == ENOSYS)
		return attr_fallback(mount_fd, set, propagation, recursive);
	return -errno;
}

int mount_idmap(int mount_fd, int userns_fd, bool recursive)
{
	struct attr_arg a = {.set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};

	return syscall(442 /* mount_setattr */, mount_fd, "",
		       AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0
		       ? -errno
		       : 0;
}
