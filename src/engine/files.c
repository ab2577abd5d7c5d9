/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a container from outside: stat, tar out (cp, export) and tar in (cp). The root of a
 * running container is that of its first process; a stopped one gets a detached overlay mount that
 * no mount namespace ever sees. Archives are written and read by coracle-unpack; nothing here
 * parses them.
 */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "spec/unpack-proto.h"
#include "store/store.h"
#include "sys/fs.h"
#include "sys/mnt.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <uv.h>

#include "base/banned.h"

#define CHILD_FD_A 3
#define CHILD_FD_B 4

struct engine_files_job {
	struct process proc;
	uv_poll_t exit;
	int out; /* read end of the worker's stdout */
	engine_done_fn cb;
	void *ud;
	bool cancelled;
};

/* ---- roots ---- */

/* frozen: read-only with the upper layer as one more lower: works beside the mount of a running
 * container. */
static int detached_root(struct engine *g, struct container *c, bool frozen, struct err *e)
{
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	AUTO_FD int fs = FD_NONE;
	int fd;

	if (engine_container_ready(g, c, e) < 0 || store_snapshot_get(g->store, c->id, &sn, e) < 0)
		return -1;
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_sys(e, -errno, "overlay");
	if (frozen && fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", sn->upper, 0) < 0)
		return err_sys(e, -errno, "upper layer of the container");
	for (size_t i = 0; i < sn->nlower; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", sn->layers_dir, sn->lower[i]);

		if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0) < 0)
			return err_sys(e, -errno, "layer %s of the container", sn->lower[i]);
	}
	if (!frozen && (fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", sn->upper, 0) < 0 ||
			fsconfig(fs, FSCONFIG_SET_STRING, "workdir", sn->work, 0) < 0))
		return err_sys(e, -errno, "upper layer of the container");
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, -errno, "mount the files of the container");
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? err_sys(e, -errno, "mount the files of the container") : fd;
}

/*
 * The volumes and binds of a stopped container, put into its detached root for archives of and into
 * the folders above them; they end with it. Kernels before 6.15 cannot mount there (EINVAL): the
 * folders stay empty.
 */
static void attach_mounts(struct container *c, int root)
{
	const struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		AUTO_FD int tree = FD_NONE, at = FD_NONE;

		if (!m[i].source || m[i].image)
			continue;
		at = fs_open_in_root(root, m[i].destination, O_PATH, 0);
		if (at < 0)
			continue; /* it was never started */
		tree = mount_clone(AT_FDCWD, mount_real_source(&m[i]), !m[i].non_recursive);
		if (tree < 0 || ((!m[i].rw || m[i].device_ro) &&
				 mount_attr(tree, MOUNT_ATTR_RDONLY, 0, 0, true) < 0))
			continue;
		(void)mount_attach(tree, at);
	}
}

/* An fd owned by the caller, or -1. */
static int open_root(struct engine *g, struct container *c, bool frozen, struct err *e)
{
	char path[64];
	int fd, dir;

	if (!frozen && c->st.running && c->st.pid > 0) {
		snprintf(path, sizeof(path), "/proc/%lld/root", (long long)c->st.pid);
		fd = fs_open_dir(path);
		return fd < 0 ? err_sys(e, fd, "open the root of container %s", c->id) : fd;
	}
	fd = detached_root(g, c, frozen, e);
	if (fd < 0)
		return -1;
	if (!frozen)
		attach_mounts(c, fd);
	dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* fsmount gives O_PATH */
	close(fd);
	return dir < 0 ? err_sys(e, -errno, "open the root of container %s", c->id) : dir;
}

/* ---- stat ---- */

/* Go's fs.FileMode of a Unix mode. */
static uint32_t go_mode(mode_t m)
{
	uint32_t r = m & 0777U;

	r |= S_ISDIR(m)	   ? 1U << 31
	     : S_ISLNK(m)  ? 1U << 27
	     : S_ISFIFO(m) ? 1U << 25
	     : S_ISSOCK(m) ? 1U << 24
			   : 0;
	r |= S_ISBLK(m) ? 1U << 26 : S_ISCHR(m) ? 1U << 26 | 1U << 21 : 0;
	r |= (m & S_ISUID ? 1U << 23 : 0) | (m & S_ISGID ? 1U << 22 : 0) |
	     (m & S_ISVTX ? 1U << 20 : 0);
	return r;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A path inside a container, and where it is. */
struct location {
	int fd;			     /* the root it is below: of the container or of a volume */
	char path[4096];	     /* as asked for, cleaned: "/a/b" */
	const char *rest;	     /* below fd; "/" for fd itself */
	const struct mount_point *m; /* of a stopped container: the mount it is in */
	bool says_dir, contents;     /* it ended with "/" or "/." */
};

/* "/a/b/" to "/a/b"; always absolute; "" and "/" give "/". */
static void clean_path(const char *path, struct location *l)
{
	char *p = l->path;

	snprintf(p, sizeof(l->path), "%s%s", path[0] == '/' ? "" : "/", path);
	for (size_t k = strlen(p);
	     k > 1 && (p[k - 1] == '/' || (p[k - 1] == '.' && p[k - 2] == '/')); k--) {
		l->says_dir = true;
		l->contents |= p[k - 1] == '.';
		p[k - 1] = '\0';
	}
	l->rest = p;
}

static const struct mount_point *mount_of(const struct container *c, const char *path)
{
	const struct mount_point *m = c->meta.mounts.v, *best = NULL;
	size_t length = 0;

	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		size_t n = strlen(m[i].destination);

		if (m[i].source && n > length && strncmp(path, m[i].destination, n) == 0 &&
		    (path[n] == '/' || path[n] == '\0')) {
			best = &m[i];
			length = n;
		}
	}
	return best;
}

/*
 * Nothing is mounted in a stopped container: a path into one of its volumes or binds is looked up
 * at the source of that mount, also when it leads there through links of the image.
 */
static int enter_mount(struct container *c, struct location *l, struct err *e)
{
	char link[64], real[sizeof(l->path)];
	struct stat st;
	int root;

	l->m = mount_of(c, l->path);
	if (!l->m) {
		AUTO_FD int fd = fs_open_in_root(l->fd, l->path, O_PATH | O_NOFOLLOW, 0);
		ssize_t n;

		if (fd < 0)
			return 0;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, real, sizeof(real) - 1);
		real[n > 0 ? n : 0] = '\0';
		l->m = mount_of(c, real);
		if (!l->m)
			return 0;
		snprintf(l->path, sizeof(l->path), "%s", real);
	}
	if (stat(mount_real_source(l->m), &st) < 0)
		return err_sys(e, -errno, "%s", mount_real_source(l->m));
	if (S_ISDIR(st.st_mode)) {
		root = fs_open_dir(mount_real_source(l->m));
		l->rest = l->path + strlen(l->m->destination);
		l->rest = *l->rest ? l->rest : "/";
	} else {
		AUTO_FREE char *dir = xstrndup(
			l->m->source, (size_t)(last_component(l->m->source) - l->m->source));

		root = fs_open_dir(dir);
		l->rest = last_component(l->m->source);
	}
	if (root < 0)
		return err_sys(e, root, "open %s", l->m->source);
	close(l->fd);
	l->fd = root;
	return 0;
}

static void location_done(struct location *l)
{
	fd_close(&l->fd);
}
#define AUTO_LOCATION CLEANUP(location_done)

static int locate(struct engine *g, struct container *c, const char *path, struct location *l,
		  struct err *e)
{
	clean_path(path, l);
	l->fd = open_root(g, c, false, e);
	if (l->fd < 0)
		return -1;
	return c->st.running ? 0 : enter_mount(c, l, e);
}

static int open_path(struct container *c, const struct location *l, int flags, struct err *e)
{
	int fd = fs_open_in_root(l->fd, l->rest, flags, 0);
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return err_set(e, ERR_NOT_FOUND, "Could not find the file %s in container %s",
			       l->path, c->name);
	if (fd < 0)
		return err_sys(e, fd, "%s", l->path);
	if (l->says_dir && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
		close(fd);
		return err_set(e, ERR_INVALID, "%s: not a directory", l->path);
	}
	return fd;
}

int engine_container_stat_path(struct engine *g, struct container *c, const char *path,
			       struct buf *out, struct err *e)
{
	AUTO_LOCATION struct location l = {.fd = FD_NONE};
	char link[4096] = "", when[CLOCK_TEXT_MAX];
	struct jw w = JW_INIT(out);
	struct stat st;

	if (locate(g, c, path, &l, e) < 0)
		return -1;
	/* with a slash at its end a link is looked through */
	AUTO_FD int fd = open_path(c, &l, O_PATH | (l.says_dir ? 0 : O_NOFOLLOW), e);
	if (fd < 0)
		return -1;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "stat %s", l.path);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(fd, "", link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
	}
	clock_format((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, when);
	jw_obj(&w);
	jw_kv_str(&w, "name", l.path[1] ? last_component(l.path) : "/");
	jw_kv_i64(&w, "size", st.st_size);
	jw_kv_u64(&w, "mode", go_mode(st.st_mode));
	jw_kv_str(&w, "mtime", when);
	jw_kv_str(&w, "linkTarget", link);
	jw_obj_end(&w);
	return 0;
}

/* ---- the worker ---- */

static void job_closed(uv_handle_t *h)
{
	struct engine_files_job *j = CONTAINER_OF(h, struct engine_files_job, exit);

	fd_close(&j->proc.pidfd);
	fd_close(&j->out);
	free(j);
}

/* The last line tells how it ended. */
static int job_result(struct engine_files_job *j, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	AUTO(json) struct json *doc = NULL;
	struct err bad = ERR_INIT;

	if (fs_read_fd(j->out, &text) < 0 || text.n == 0)
		return err_set(e, ERR_SYSTEM, "the archive worker died");
	while (text.n > 0 && text.p[text.n - 1] == '\n')
		text.p[--text.n] = '\0';
	const char *line = strrchr(text.p, '\n');
	line = line ? line + 1 : text.p;
	if (json_parse(line, strlen(line), &doc, &bad) < 0)
		return err_set(e, ERR_SYSTEM, "the archive worker died");
	if (json_get(doc, "error"))
		return err_set(e, err_kind_parse(json_str(json_get(doc, "kind"))), "%s",
			       json_str(json_get(doc, "error")));
	return 0;
}

static void worker_exited(uv_poll_t *p, int status, int events)
{
	struct engine_files_job *j = CONTAINER_OF(p, struct engine_files_job, exit);
	struct err e = ERR_INIT;
	int st;

	if (spawn_wait(&j->proc, true, &st) == -EAGAIN)
		return;
	uv_poll_stop(p);
	int rc = job_result(j, &e);
	if (!j->cancelled)
		j->cb(j->ud, rc < 0 ? &e : NULL);
	uv_close((uv_handle_t *)p, job_closed);
}

static int job_start(struct engine *g, const char *const *argv, const struct spawn_fd *fds,
		     size_t nfds, engine_done_fn cb, void *ud, struct engine_files_job **ret,
		     struct err *e)
{
	AUTO_FREE char *program = xasprintf("%s/%s", g->program_dir, UNPACK_PROGRAM);
	struct spawn_fd all[4];
	int out[2], rc;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	memcpy(all, fds, nfds * sizeof(*fds));
	all[nfds] = (struct spawn_fd){out[1], 1};
	struct spawn s = {.path = program,
			  .argv = argv,
			  .fds = all,
			  .nfds = nfds + 1,
			  .die_with_parent = true};
	struct engine_files_job *j = NEW(struct engine_files_job);
	rc = spawn_start(&s, &j->proc);
	close(out[1]);
	if (rc < 0) {
		close(out[0]);
		free(j);
		return err_sys(e, rc, "start %s", program);
	}
	j->out = out[0];
	j->cb = cb;
	j->ud = ud;
	rc = uv_poll_init(g->loop, &j->exit, j->proc.pidfd);
	if (rc < 0) {
		spawn_signal(&j->proc, SIGKILL);
		spawn_wait(&j->proc, false, NULL);
		fd_close(&j->proc.pidfd);
		close(out[0]);
		free(j);
		return err_sys(e, rc, "watch %s", program);
	}
	uv_poll_start(&j->exit, UV_READABLE, worker_exited);
	*ret = j;
	return 0;
}

void engine_files_cancel(struct engine_files_job *j)
{
	if (!j)
		return;
	j->cancelled = true;
	spawn_signal(&j->proc, SIGKILL);
}

int engine_container_tar_out(struct engine *g, struct container *c, const char *path, int fd,
			     engine_done_fn cb, void *ud, struct engine_files_job **ret,
			     struct err *e)
{
	AUTO_LOCATION struct location l = {.fd = FD_NONE};
	AUTO_FD int out = fd;
	const char *name = NULL, *below;
	size_t n = 8;

	if (path) {
		if (locate(g, c, path, &l, e) < 0)
			return -1;
		AUTO_FD int there = open_path(c, &l, O_PATH | O_NOFOLLOW, e);
		if (there < 0)
			return -1;
		name = l.path[1] ? last_component(l.path) : "/";
	} else {
		/* export: without what is mounted inside */
		clean_path("/", &l);
		name = ".";
		l.fd = open_root(g, c, true, e);
		if (l.fd < 0)
			return -1;
	}
	below = l.rest + (l.rest[0] == '/');
	AUTO_FREE char *inside = xasprintf("%s%s", *below ? below : ".",
					   path && l.contents ? "/." : "");
	const char *argv[12] = {UNPACK_PROGRAM, "pack", "--dir-fd", "3",
				"--out-fd",	"4",	"--path",   inside};
	if (!path || !l.contents) {
		argv[n++] = "--name";
		argv[n++] = name;
	}
	const struct spawn_fd fds[] = {{l.fd, CHILD_FD_A}, {out, CHILD_FD_B}};
	if (path)
		container_event(c, "archive-path", "path", path, NULL);
	else
		container_event(c, "export", NULL);
	return job_start(g, argv, fds, 2, cb, ud, ret, e);
}

/* May entries be made there? Volumes of a container with a read-only root may be written. */
static int check_writable(struct container *c, const struct location *l, int target, struct err *e)
{
	struct statvfs at;
	struct statx root = {0}, here = {0};
	bool in_mount = l->m != NULL;

	if (c->st.running) {
		statx(l->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &root);
		statx(target, "", AT_EMPTY_PATH, STATX_MNT_ID, &here);
		in_mount = root.stx_mnt_id != here.stx_mnt_id;
	}
	if (!in_mount && c->host.readonly_rootfs)
		return err_set(e, ERR_DENIED, "container rootfs is marked read-only");
	if (in_mount &&
	    ((l->m && !l->m->rw) || (fstatvfs(target, &at) == 0 && (at.f_flag & ST_RDONLY))))
		return err_set(e, ERR_DENIED, "mounted volume is marked read-only");
	return 0;
}

int engine_container_tar_in(struct engine *g, struct container *c, const char *path,
			    const struct engine_tar_in *o, int fd, engine_done_fn cb, void *ud,
			    struct engine_files_job **ret, struct err *e)
{
	AUTO_LOCATION struct location l = {.fd = FD_NONE};
	AUTO_FD int in = fd, target = FD_NONE;
	const char *argv[10] = {UNPACK_PROGRAM, "apply", "--target-fd", "3", "--plain"};
	AUTO_FREE char *owner = NULL;
	uint32_t uid = 0, gid = 0;
	struct stat st;
	size_t n = 5;

	if (locate(g, c, path, &l, e) < 0)
		return -1;
	target = open_path(c, &l, O_RDONLY, e);
	if (target < 0)
		return -1;
	if (fstat(target, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "extraction point is not a directory");
	if (check_writable(c, &l, target, e) < 0)
		return -1;
	if (o->keep_types)
		argv[n++] = "--keep-types";
	if (o->own && c->meta.config.user && *c->meta.config.user) {
		AUTO_FD int root = open_root(g, c, false, e);

		if (root < 0 || runtime_user_find(root, c->meta.config.user, &uid, &gid, e) < 0)
			return -1;
		owner = xasprintf("%u:%u", uid, gid);
		argv[n++] = "--owner";
		argv[n++] = owner;
	}
	const struct spawn_fd fds[] = {{target, CHILD_FD_A}, {in, 0}};
	container_event(c, "extract-to-dir", "path", path, NULL);
	return job_start(g, argv, fds, 2, cb, ud, ret, e);
}
