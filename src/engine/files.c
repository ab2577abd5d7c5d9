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
#include "sys/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

	if (store_snapshot_get(g->store, c->id, &sn, e) < 0)
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

/* "/a/b/" to "/a/b"; always absolute; "" and "/" give "/". */
static void clean_path(const char *path, char *ret, size_t n)
{
	snprintf(ret, n, "%s%s", path[0] == '/' ? "" : "/", path);
	for (size_t k = strlen(ret);
	     k > 1 && (ret[k - 1] == '/' || (ret[k - 1] == '.' && ret[k - 2] == '/')); k--)
		ret[k - 1] = '\0';
}

static int open_path(struct container *c, int root, const char *path, int flags, struct err *e)
{
	int fd = fs_open_in_root(root, path, flags, 0);

	if (fd == -ENOENT || fd == -ENOTDIR)
		return err_set(e, ERR_NOT_FOUND, "Could not find the file %s in container %s", path,
			       c->name);
	return fd < 0 ? err_sys(e, fd, "%s", path) : fd;
}

int engine_container_stat_path(struct engine *g, struct container *c, const char *path,
			       struct buf *out, struct err *e)
{
	AUTO_FD int root = open_root(g, c, false, e);
	char clean[4096], link[4096] = "", when[CLOCK_TEXT_MAX];
	struct jw w = JW_INIT(out);
	struct stat st;

	if (root < 0)
		return -1;
	clean_path(path, clean, sizeof(clean));
	AUTO_FD int fd = open_path(c, root, clean, O_PATH | O_NOFOLLOW, e);
	if (fd < 0)
		return -1;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "stat %s", clean);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(fd, "", link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
	}
	clock_format((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, when);
	jw_obj(&w);
	jw_kv_str(&w, "name", clean[1] ? last_component(clean) : "/");
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
	uv_poll_init(g->loop, &j->exit, j->proc.pidfd);
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
	AUTO_FD int out = fd, root = open_root(g, c, !path, e); /* export: no mounts inside */
	char clean[4096];

	if (root < 0)
		return -1;
	clean_path(path ? path : "/", clean, sizeof(clean));
	const char *argv[] = {UNPACK_PROGRAM,
			      "pack",
			      "--dir-fd",
			      "3",
			      "--out-fd",
			      "4",
			      "--path",
			      clean[1] ? clean + 1 : ".",
			      "--name",
			      clean[1] ? last_component(clean)
			      : path   ? "/"
				       : ".",
			      NULL};
	const struct spawn_fd fds[] = {{root, CHILD_FD_A}, {out, CHILD_FD_B}};
	if (path)
		container_event(c, "archive-path", "path", path, NULL);
	else
		container_event(c, "export", NULL);
	return job_start(g, argv, fds, 2, cb, ud, ret, e);
}

int engine_container_tar_in(struct engine *g, struct container *c, const char *path, int fd,
			    engine_done_fn cb, void *ud, struct engine_files_job **ret,
			    struct err *e)
{
	AUTO_FD int in = fd, root = FD_NONE, target = FD_NONE;
	char clean[4096];
	struct stat st;

	if (c->host.readonly_rootfs)
		return err_set(e, ERR_DENIED, "container rootfs is marked read-only");
	root = open_root(g, c, false, e);
	if (root < 0)
		return -1;
	clean_path(path, clean, sizeof(clean));
	target = open_path(c, root, clean, O_RDONLY, e);
	if (target < 0)
		return -1;
	if (fstat(target, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "extraction point is not a directory");
	const char *argv[] = {UNPACK_PROGRAM, "apply", "--target-fd", "3", "--plain", NULL};
	const struct spawn_fd fds[] = {{target, CHILD_FD_A}, {in, 0}};
	container_event(c, "extract-to-dir", "path", path, NULL);
	return job_start(g, argv, fds, 2, cb, ud, ret, e);
}
