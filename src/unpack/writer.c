/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layer writer. Directories on the way to the current entry stay open on a stack, so that
 * neighbours in an archive cost no path walk: each component is opened once, from its parent's
 * descriptor, without following links. Only where a component is a symbolic link of this layer the
 * kernel resolves the whole prefix inside the root (openat2).
 *
 * A stack frame remembers its directory's time and restores it when it is left, so directory times
 * need no list that grows with the layer. Ownership is set before modes, because chown drops set-id
 * bits and file capabilities.
 */
#include "unpack/seal-priv.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/banned.h"

#define DEPTH_MAX      200
#define WH_PREFIX      ".wh."
#define WH_META_PREFIX ".wh..wh."
#define WH_OPAQUE      ".wh..wh..opq"

struct frame {
	int fd;
	size_t end; /* the directory is path[0..end) */
	struct timespec mtime;
	bool dirty;
	bool setgid; /* new entries inherit its group */
};

struct writer {
	bool plain, user_xattr, keep_types;
	bool stale; /* a directory was removed: open frames may be dead */
	struct seal *seal;
	char path[WRITER_PATH_MAX];
	struct frame frames[DEPTH_MAX];
	unsigned depth; /* frames[0] is the root and never leaves */
};

int member_clean(const char *raw, char ret[static WRITER_PATH_MAX], struct err *e)
{
	struct str rest = str_of(raw), part;
	size_t n = 0;

	while (str_cut(&rest, '/', &part)) {
		if (part.n == 0 || str_eq(part, "."))
			continue;
		if (str_eq(part, ".."))
			return err_set(e, ERR_INVALID,
				       "entry \"%s\": a name with \"..\" is refused", raw);
		if (part.n > NAME_MAX || n + part.n + 2 > WRITER_PATH_MAX)
			return err_set(e, ERR_LIMIT, "entry \"%.200s\": the name is too long", raw);
		if (n)
			ret[n++] = '/';
		memcpy(ret + n, part.p, part.n);
		n += part.n;
	}
	ret[n] = '\0';
	return (int)n;
}

static int push(struct writer *w, int fd, size_t end, struct err *e)
{
	struct frame *f = &w->frames[w->depth];
	struct stat st;

	if (fstat(fd, &st) < 0) {
		int rc = -errno;
		close(fd);
		return err_sys(e, rc, "stat a directory");
	}
	*f = (struct frame){
		.fd = fd, .end = end, .mtime = st.st_mtim, .setgid = st.st_mode & S_ISGID};
	w->depth++;
	return 0;
}

static void pop(struct writer *w)
{
	struct frame *f = &w->frames[--w->depth];

	if (f->dirty) {
		struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, f->mtime};
		(void)futimens(f->fd, ts);
	}
	if (w->depth > 0)
		close(f->fd);
}

static void pop_to(struct writer *w, unsigned depth)
{
	while (w->depth > depth)
		pop(w);
}

struct writer *writer_new(int target_fd, bool plain, bool user_xattr)
{
	struct writer *w = NEW(struct writer);
	struct err e = ERR_INIT;

	w->plain = plain;
	w->user_xattr = user_xattr;
	if (push(w, fcntl(target_fd, F_DUPFD_CLOEXEC, 3), 0, &e) < 0)
		w->frames[w->depth++] = (struct frame){.fd = FD_NONE};
	return w;
}

void writer_seal(struct writer *w, struct seal *s)
{
	w->seal = s;
}

void writer_free(struct writer *w)
{
	int root;

	if (!w)
		return;
	root = w->frames[0].fd;
	pop_to(w, 0);
	fd_close(&root);
	free(w);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int set_opaque(struct writer *w, int fd, const char *name, struct err *e)
{
	const char *attr = w->user_xattr ? "user.overlay.opaque" : "trusted.overlay.opaque";

	if (fsetxattr(fd, attr, "y", 1, 0) < 0)
		return err_sys(e, -errno, "entry \"%s\": mark an opaque directory", name);
	seal_odd(w->seal);
	return 0;
}

/* Remove what is called `name` in the top frame. *ret_whiteout: it was a whiteout. */
static int remove_old(struct writer *w, const struct member *m, const char *name,
		      bool *ret_whiteout, struct err *e)
{
	int dir = w->frames[w->depth - 1].fd, rc = 0;
	struct stat st;

	*ret_whiteout = false;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_sys(e, -errno, "entry \"%s\"", m->name);
	}
	*ret_whiteout = is_whiteout(&st);
	seal_odd(w->seal);
	if (S_ISDIR(st.st_mode)) {
		rc = fs_remove_tree(dir, name);
		w->stale = true;
	} else if (unlinkat(dir, name, 0) < 0) {
		rc = -errno;
	}
	if (rc < 0)
		return err_sys(e, rc, "entry \"%s\": replace an earlier one", m->name);
	return 0;
}

/* Open one more directory component, making it when absent. path[0..end) is its name from the root.
 */
static int enter_one(struct writer *w, const struct member *m, const char *name, size_t end,
		     struct err *e)
{
	struct frame *top = &w->frames[w->depth - 1];
	bool made = false, opaque = false;
	struct stat st;
	int fd;

	if (w->depth >= DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "entry \"%.200s\": more than %d directories deep",
			       m->name, DEPTH_MAX);
	for (;;) {
		fd = openat(top->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			break;
		if (errno == ENOENT && !made) {
			top->dirty = made = true;
			if (mkdirat(top->fd, name, 0755) == 0) {
				seal_implicit(w->seal, w->path, end);
				if (top->setgid) /* it inherits */
					seal_odd(w->seal);
				continue;
			}
		}
		if (errno != ENOTDIR && errno != ELOOP)
			return err_sys(e, -errno, "entry \"%s\": open its directory", m->name);
		if (fstatat(top->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, -errno, "entry \"%s\"", m->name);
		if (S_ISLNK(st.st_mode)) {
			seal_odd(w->seal);
			w->path[end] = '\0';
			fd = fs_open_in_root(w->frames[0].fd, w->path, O_RDONLY | O_DIRECTORY, 0);
			if (fd < 0)
				return err_set(e, ERR_INVALID,
					       "entry \"%s\": its directory is a symbolic link "
					       "that leads to no "
					       "directory of this layer",
					       m->name);
			break;
		}
		if (w->plain || !is_whiteout(&st))
			return err_set(e, ERR_INVALID,
				       "entry \"%s\": its parent is not a directory", m->name);
		if (unlinkat(top->fd, name, 0) <
		    0) /* "x" was deleted, and now there is "x/y": a new, opaque x */
			return err_sys(e, -errno, "entry \"%s\"", m->name);
		opaque = true;
	}
	if (opaque && set_opaque(w, fd, m->name, e) < 0) {
		close(fd);
		return -1;
	}
	return push(w, fd, end, e);
}

/* Make the stack stand for the directory name[0..n). */
static int enter(struct writer *w, const struct member *m, size_t n, struct err *e)
{
	size_t at;

	if (w->stale) {
		pop_to(w, 1);
		w->stale = false;
	}
	while (w->depth > 1) {
		size_t end = w->frames[w->depth - 1].end;

		if (end <= n && memcmp(w->path, m->name, end) == 0 &&
		    (m->name[end] == '/' || end == n))
			break;
		pop(w);
	}
	at = w->frames[w->depth - 1].end;
	while (at < n) {
		size_t start = at ? at + 1 : 0, end = start;
		char name[NAME_MAX + 1];

		while (end < n && m->name[end] != '/')
			end++;
		memcpy(name, m->name + start, end - start);
		name[end - start] = '\0';
		memcpy(w->path, m->name, end);
		if (enter_one(w, m, name, end, e) < 0)
			return -1;
		at = end;
	}
	return 0;
}

static bool xattr_refused(const char *name)
{
	return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

/* Attributes a file system or kernel without the feature may refuse; content does not depend on
 * them. */
static bool xattr_optional(const char *name, int rc)
{
	if (rc == ENOTSUP)
		return true;
	return rc == EPERM &&
	       (str_starts(name, "security.selinux") || str_starts(name, "security.ima") ||
		str_starts(name, "security.evm") || str_starts(name, "user."));
}

/* fd >= 0: of the entry itself; else name in the top frame (links, devices): through the working
 * directory. */
static int set_xattrs(struct writer *w, const struct member *m, int fd, const char *name,
		      struct err *e)
{
	for (size_t i = 0; i < m->nxattrs; i++) {
		const struct member_xattr *x = &m->xattrs[i];
		int rc = 0;

		if (xattr_refused(x->name))
			return err_set(e, ERR_DENIED, "entry \"%s\": the attribute %s is refused",
				       m->name, x->name);
		if (fd >= 0)
			rc = fsetxattr(fd, x->name, x->value, x->size, 0);
		else if (fchdir(w->frames[w->depth - 1].fd) < 0)
			rc = -1;
		else
			rc = lsetxattr(name, x->name, x->value, x->size, 0);
		if (rc < 0 && !xattr_optional(x->name, errno))
			return err_sys(e, -errno, "entry \"%s\": set attribute %s", m->name,
				       x->name);
	}
	return 0;
}

static int add_dir(struct writer *w, const struct member *m, const char *name, struct err *e)
{
	struct frame *top = &w->frames[w->depth - 1];
	struct timespec ts[2] = {m->mtime, m->mtime};
	bool whiteout = false;
	int fd = FD_NONE;

	if (*name) {
		if (w->depth >= DEPTH_MAX)
			return err_set(e, ERR_LIMIT,
				       "entry \"%.200s\": more than %d directories deep", m->name,
				       DEPTH_MAX);
		top->dirty = true;
		if (mkdirat(top->fd, name, 0700) < 0 && errno != EEXIST)
			return err_sys(e, -errno, "entry \"%s\": make a directory", m->name);
		fd = openat(top->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
			if (remove_old(w, m, name, &whiteout, e) < 0)
				return -1;
			if (mkdirat(top->fd, name, 0700) < 0)
				return err_sys(e, -errno, "entry \"%s\": make a directory",
					       m->name);
			fd = openat(top->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (fd < 0)
			return err_sys(e, -errno, "entry \"%s\": open a new directory", m->name);
		size_t end = strlen(m->name);
		memcpy(w->path, m->name, end);
		if (push(w, fd, end, e) < 0)
			return -1;
	}
	top = &w->frames[w->depth - 1];
	if (fchown(top->fd, m->uid, m->gid) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the owner", m->name);
	if (fchmod(top->fd, m->mode & 07777) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the mode", m->name);
	if (set_xattrs(w, m, top->fd, name, e) < 0 ||
	    (whiteout && !w->plain && set_opaque(w, top->fd, m->name, e) < 0))
		return -1;
	if (futimens(top->fd, ts) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the time", m->name);
	top->setgid = m->mode & S_ISGID;
	top->mtime = m->mtime;
	top->dirty = false;
	return 0;
}

static int add_file(struct writer *w, const struct member *m, const char *name, int *ret_fd,
		    struct err *e)
{
	struct frame *top = &w->frames[w->depth - 1];
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	bool whiteout;
	AUTO_FD int fd = openat(top->fd, name, flags, m->mode & 0777);

	if (fd < 0 && errno == EEXIST) {
		if (remove_old(w, m, name, &whiteout, e) < 0)
			return -1;
		fd = openat(top->fd, name, flags, m->mode & 0777);
	}
	if (fd < 0)
		return err_sys(e, -errno, "entry \"%s\": create", m->name);
	if ((m->uid || m->gid || top->setgid) && fchown(fd, m->uid, m->gid) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the owner", m->name);
	if ((m->mode & 07000) && fchmod(fd, m->mode & 07777) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the mode", m->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int writer_close_file(const struct member *m, int fd, struct err *e)
{
	AUTO_FD int owned = fd;
	struct timespec ts[2] = {m->mtime, m->mtime};

	/* Last, because a write drops file capabilities and set-id bits, and changes the time. */
	for (size_t i = 0; i < m->nxattrs; i++) {
		const struct member_xattr *x = &m->xattrs[i];

		if (xattr_refused(x->name))
			return err_set(e, ERR_DENIED, "entry \"%s\": the attribute %s is refused",
				       m->name, x->name);
		if (fsetxattr(fd, x->name, x->value, x->size, 0) < 0 &&
		    !xattr_optional(x->name, errno))
			return err_sys(e, -errno, "entry \"%s\": set attribute %s", m->name,
				       x->name);
	}
	if ((m->mode & 06000) && fchmod(fd, m->mode & 07777) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the mode", m->name);
	if (futimens(fd, ts) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the time", m->name);
	return 0;
}

static int make_node(int dir, const char *name, const struct member *m)
{
	if (S_ISLNK(m->mode))
		return symlinkat(m->symlink, dir, name);
	return mknodat(dir, name, m->mode & (S_IFMT | 07777), m->rdev);
}

/* Symbolic links, devices, pipes. */
static int add_node(struct writer *w, const struct member *m, const char *name, struct err *e)
{
	int dir = w->frames[w->depth - 1].fd, rc;
	struct timespec ts[2] = {m->mtime, m->mtime};
	bool whiteout;

	if (S_ISLNK(m->mode) && (!m->symlink || !*m->symlink))
		return err_set(e, ERR_INVALID, "entry \"%s\": a symbolic link without target",
			       m->name);
	rc = make_node(dir, name, m);
	if (rc < 0 && errno == EEXIST) {
		if (remove_old(w, m, name, &whiteout, e) < 0)
			return -1;
		rc = make_node(dir, name, m);
	}
	if (rc < 0)
		return err_sys(e, -errno, "entry \"%s\": create", m->name);
	if (fchownat(dir, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the owner", m->name);
	/* Not a link, and we alone write here: following is harmless. */
	if (!S_ISLNK(m->mode) && (m->mode & 07000) && fchmodat(dir, name, m->mode & 07777, 0) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the mode", m->name);
	if (set_xattrs(w, m, FD_NONE, name, e) < 0)
		return -1;
	if (utimensat(dir, name, ts, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "entry \"%s\": set the time", m->name);
	return 0;
}

static int add_hardlink(struct writer *w, const struct member *m, const char *name, struct err *e)
{
	const char *slash = strrchr(m->link, '/'), *base = slash ? slash + 1 : m->link;
	char parent[WRITER_PATH_MAX] = ".";
	struct stat st;
	bool whiteout;

	if (strcmp(m->link, m->name) == 0)
		return 0; /* a link to itself: the entry is there, or it is missing and found by its
			     users */
	if (!*base)
		return err_set(e, ERR_INVALID, "entry \"%s\": a hard link to the root directory",
			       m->name);
	if (slash) {
		memcpy(parent, m->link, (size_t)(slash - m->link));
		parent[slash - m->link] = '\0';
	}
	AUTO_FD int dir = fs_open_in_root(w->frames[0].fd, parent, O_PATH | O_DIRECTORY, 0);
	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(
			e, ERR_INVALID,
			"entry \"%s\": the target \"%s\" of the hard link is not in this layer",
			m->name, m->link);
	if (S_ISDIR(st.st_mode) || (!w->plain && is_whiteout(&st)))
		return err_set(e, ERR_INVALID,
			       "entry \"%s\": the target \"%s\" of the hard link is not a file",
			       m->name, m->link);
	int top = w->frames[w->depth - 1].fd, rc = linkat(dir, base, top, name, 0);
	if (rc < 0 && errno == EEXIST) {
		struct stat old;

		if (fstatat(top, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_ino == st.st_ino &&
		    old.st_dev == st.st_dev)
			return 0;
		if (remove_old(w, m, name, &whiteout, e) < 0)
			return -1;
		rc = linkat(dir, base, top, name, 0);
	}
	if (rc < 0)
		return err_sys(e, -errno, "entry \"%s\": hard link to \"%s\"", m->name, m->link);
	return 0;
}

/* ".wh.name": hide `name` of lower layers. What this layer itself brings stays (image-spec,
 * "Whiteouts"). */
static int add_whiteout(struct writer *w, const struct member *m, const char *hidden, struct err *e)
{
	int dir = w->frames[w->depth - 1].fd;
	struct stat st;

	if (!*hidden || !strcmp(hidden, ".") || !strcmp(hidden, ".."))
		return err_set(e, ERR_INVALID, "entry \"%s\": a whiteout of nothing", m->name);
	if (mknodat(dir, hidden, S_IFCHR, makedev(0, 0)) == 0) {
		seal_whiteout(w->seal, m->name, w->frames[w->depth - 1].end, hidden);
		return 0;
	}
	if (errno != EEXIST)
		return err_sys(e, -errno, "entry \"%s\": make a whiteout", m->name);
	if (fstatat(dir, hidden, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "entry \"%s\"", m->name);
	if (!S_ISDIR(st.st_mode))
		return 0;
	AUTO_FD int fd = openat(dir, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "entry \"%s\"", m->name);
	return set_opaque(w, fd, m->name, e);
}

/* aufs keeps its own data under .wh..wh.NAME; nothing of that belongs to the image. */
static bool is_aufs_data(const char *name)
{
	for (const char *p = name; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (str_starts(p, WH_META_PREFIX) && strcmp(p, WH_OPAQUE) != 0)
			return true;
	}
	return false;
}

static int add_other(struct writer *w, const struct member *m, const char *name, struct err *e)
{
	int rc;

	if (m->link)
		rc = add_hardlink(w, m, name, e);
	else if (S_ISDIR(m->mode))
		rc = add_dir(w, m, name, e);
	else if (S_ISLNK(m->mode) || S_ISCHR(m->mode) || S_ISBLK(m->mode) || S_ISFIFO(m->mode))
		rc = add_node(w, m, name, e);
	else
		rc = err_set(e, ERR_INVALID, "entry \"%s\": unknown type", m->name);
	if (rc == 0 && !(m->link && !strcmp(m->link, m->name)))
		seal_member(w->seal, m);
	return rc;
}

void writer_keep_types(struct writer *w)
{
	w->keep_types = true;
}

static int check_type(struct writer *w, const struct member *m, const char *name, struct err *e)
{
	bool dir = !m->link && S_ISDIR(m->mode);
	struct stat st;

	if (fstatat(w->frames[w->depth - 1].fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    S_ISDIR(st.st_mode) == dir)
		return 0;
	return err_set(e, ERR_INVALID, "cannot overwrite %s \"/%s\" with %s \"/%s\"",
		       dir ? "non-directory" : "directory", m->name,
		       dir ? "directory" : "non-directory", m->name);
}

int writer_add(struct writer *w, const struct member *m, int *ret_fd, struct err *e)
{
	const char *slash = strrchr(m->name, '/'), *name = slash ? slash + 1 : m->name;

	*ret_fd = FD_NONE;
	if (!w->plain && is_aufs_data(m->name))
		return 0;
	if (!*name && (m->link || !S_ISDIR(m->mode)))
		return err_set(e, ERR_INVALID, "entry \"/\": the root is not a directory");
	if (enter(w, m, slash ? (size_t)(slash - m->name) : 0, e) < 0)
		return -1;
	if (!*name)
		return add_other(w, m, name, e);
	if (w->keep_types && check_type(w, m, name, e) < 0)
		return -1;
	w->frames[w->depth - 1].dirty = true;
	if (!w->plain && !strcmp(name, WH_OPAQUE))
		return set_opaque(w, w->frames[w->depth - 1].fd, m->name, e);
	if (!w->plain && str_starts(name, WH_PREFIX))
		return add_whiteout(w, m, name + strlen(WH_PREFIX), e);
	if (!m->link && S_ISREG(m->mode))
		return add_file(w, m, name, ret_fd, e);
	return add_other(w, m, name, e);
}
