/* SPDX-License-Identifier: Apache-2.0 */
/* Path resolution below a directory, by the kernel (openat2, Linux 5.6) or by walking components.
 */
#include "sys/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

#define LINKS_MAX 40

static bool openat2_missing; /* set once the kernel (or a seccomp policy) refused the call */

static int call_openat2(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = resolve,
	};
	int fd;

	/* EAGAIN: a rename raced with the resolution and the kernel wants us to ask again */
	for (int tries = 0; tries < 64; tries++) {
		fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
		if (fd >= 0)
			return fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

/* State of the fallback walk: a stack of open directories, so that ".." never leaves the root. */
struct walk {
	int dirs[128];
	int depth;  /* dirs[0] is the root and borrowed */
	char *rest; /* heap: what is still to resolve */
	int links;
	bool links_allowed;
};

static void walk_done(struct walk *w)
{
	for (int i = 1; i <= w->depth; i++)
		close(w->dirs[i]);
	free(w->rest);
}

/* Replace the component just taken by the target of the link; absolute targets restart at the root.
 */
static int walk_link(struct walk *w, const char *name, const char *after)
{
	char target[4096];
	ssize_t n = readlinkat(w->dirs[w->depth], name, target, sizeof target - 1);

	if (n < 0)
		return -errno;
	if (!w->links_allowed || ++w->links > LINKS_MAX)
		return -ELOOP;
	target[n] = 0;
	if (target[0] == '/')
		while (w->depth > 0)
			close(w->dirs[w->depth--]);
	char *joined = xasprintf("%s/%s", target, after);
	free(w->rest);
	w->rest = joined;
	return 0;
}

static int walk_open(struct walk *w, int flags, mode_t mode)
{
	char name[256];

	for (;;) {
		char *p = w->rest + strspn(w->rest, "/");
		size_t n = strcspn(p, "/");
		char *after = p + n + strspn(p + n, "/");
		struct stat st;

		if (n == 0 || (n == 1 && *p == '.')) {
			if (*after || n) {
				memmove(w->rest, after, strlen(after) + 1);
				if (*w->rest)
					continue;
			}
			int fd = openat(w->dirs[w->depth], ".",
					(flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC);
			return fd < 0 ? -errno : fd;
		}
		if (n >= sizeof name)
			return -ENAMETOOLONG;
		memcpy(name, p, n);
		name[n] = 0;
		if (!strcmp(name, "..")) {
			if (!w->links_allowed && w->depth == 0)
				return -EXDEV;
			if (w->depth > 0)
				close(w->dirs[w->depth--]);
			memmove(w->rest, after, strlen(after) + 1);
			continue;
		}
		bool last = !*after;
		bool exists = fstatat(w->dirs[w->depth], name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (exists && S_ISLNK(st.st_mode) && !(last && (flags & O_NOFOLLOW))) {
			int rc = walk_link(w, name, after);
			if (rc < 0)
				return rc;
			continue;
		}
		if (last) {
			int fd = openat(w->dirs[w->depth], name, flags | O_NOFOLLOW | O_CLOEXEC,
					mode);
			return fd < 0 ? -errno : fd;
		}
		if (w->depth + 1 >= (int)ARRAY_SIZE(w->dirs))
			return -ENAMETOOLONG;
		int dir = openat(w->dirs[w->depth], name,
				 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0)
			return -errno;
		w->dirs[++w->depth] = dir;
		memmove(w->rest, after, strlen(after) + 1);
	}
}

static int open_by_walk(int root_fd, const char *path, int flags, mode_t mode, bool links_allowed)
{
	struct walk w = {.dirs = {root_fd}, .rest = xstrdup(path), .links_allowed = links_allowed};
	int fd = walk_open(&w, flags, mode);

	walk_done(&w);
	return fd;
}

static int open_resolved(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	if (!openat2_missing) {
		int fd = call_openat2(dir_fd, path, flags, mode, resolve);
		if (fd != -ENOSYS)
			return fd;
		openat2_missing = true;
	}
	if ((resolve & RESOLVE_BENEATH) && path[0] == '/')
		return -EXDEV;
	return open_by_walk(dir_fd, path, flags, mode, !(resolve & RESOLVE_NO_SYMLINKS));
}

int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode)
{
	if (!*path)
		path = ".";
	return open_resolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
	return open_resolved(dir_fd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/*
 * The longest prefix that exists is resolved by the kernel (links stay inside the root); what is
 * missing is then made one component at a time below a descriptor, where no link can stand because
 * the component is new.
 */
int fs_mkdirs_in_root(int root_fd, const char *path, mode_t mode)
{
	AUTO_FREE char *whole = xstrdup(path);
	int fd = fs_open_in_root(root_fd, whole, O_PATH | O_DIRECTORY, 0);
	size_t end = strlen(whole);

	while (fd == -ENOENT && end > 0) {
		while (end > 0 && whole[end - 1] == '/')
			end--;
		while (end > 0 && whole[end - 1] != '/')
			end--;
		AUTO_FREE char *head = xstrndup(whole, end);
		fd = fs_open_in_root(root_fd, end ? head : ".", O_PATH | O_DIRECTORY, 0);
	}
	if (fd < 0 || end == strlen(whole))
		return fd;
	struct str rest = str_of(whole + end), part;
	while (str_cut(&rest, '/', &part)) {
		if (part.n == 0 || str_eq(part, "."))
			continue;
		AUTO_FREE char *name = xstrndup(part.p, part.n);
		AUTO_FD int parent = TAKE_FD(fd);
		if (!strcmp(name, ".."))
			return -EINVAL;
		if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	return fd;
}
