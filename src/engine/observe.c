/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into running containers: top; and at their changes to the file system. */
#include "base/clock.h"
#include "base/num.h"
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/banned.h"

#define TOP_PIDS_MAX 4096

int container_cgroup(const struct container *c, struct runtime_container *ret, struct err *e)
{
	const char *parent = c->host.cgroup_parent && *c->host.cgroup_parent ? c->host.cgroup_parent
									     : "/coracle";
	AUTO_FREE char *path = xasprintf("%s/%s", parent, c->id);

	return runtime_adopt((pid_t)c->st.pid, 0, path, ret, e);
}

/* ---- top ---- */

static const char *next_word(const char *p, struct str *word)
{
	while (*p == ' ')
		p++;
	word->p = p;
	while (*p && *p != ' ')
		p++;
	word->n = (size_t)(p - word->p);
	return p;
}

static bool pid_listed(const pid_t *pids, int n, struct str text)
{
	char number[16];
	uint64_t pid;

	snprintf(number, sizeof(number), "%.*s", (int)MIN(text.n, 15u), text.p);
	if (num_parse_u64(number, 1, INT32_MAX, &pid) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (pids[i] == (pid_t)pid)
			return true;
	return false;
}

/* One line of ps: `columns` words, the last one takes the rest. */
static void write_row(struct jw *w, const char *line, size_t columns)
{
	struct str word;

	jw_arr(w);
	for (size_t i = 0; i < columns; i++) {
		const char *next = next_word(line, &word);

		if (i + 1 == columns)
			word.n = strlen(word.p);
		jw_strn(w, word.p, word.n);
		line = next;
	}
	jw_arr_end(w);
}

static int write_top(const char *text, const pid_t *pids, int npids, struct buf *out, struct err *e)
{
	struct str rest = str_of(text), line, word;
	size_t columns = 0, pid_column = SIZE_MAX;
	struct jw w = JW_INIT(out);
	AUTO(arena) struct arena *a = arena_new();
	const char *p;

	if (!str_cut(&rest, '\n', &line))
		return err_set(e, ERR_SYSTEM, "ps printed nothing");
	jw_obj(&w);
	jw_key(&w, "Titles");
	jw_arr(&w);
	for (p = arena_strndup(a, line.p, line.n);; columns++) {
		p = next_word(p, &word);
		if (word.n == 0)
			break;
		if (str_eq(word, "PID"))
			pid_column = columns;
		jw_strn(&w, word.p, word.n);
	}
	jw_arr_end(&w);
	if (pid_column == SIZE_MAX)
		return err_set(e, ERR_INVALID, "Couldn't find PID field in ps output");
	jw_key(&w, "Processes");
	jw_arr(&w);
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		const char *copy = arena_strndup(a, line.p, line.n);

		p = copy;
		for (size_t i = 0; i <= pid_column; i++)
			p = next_word(p, &word);
		if (pid_listed(pids, npids, word))
			write_row(&w, copy, columns);
	}
	jw_arr_end(&w);
	jw_obj_end(&w);
	return 0;
}

static int run_ps(const char *args, struct buf *text, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct str rest = str_of(args), word;
	const char *argv[64] = {"ps"};
	struct process child = {.pidfd = FD_NONE};
	AUTO_BUF struct buf why = BUF_INIT(1 << 16);
	int pipes[2], errors[2], status = 0, rc;
	size_t n = 1;
	struct spawn_fd fds[2];
	struct spawn s = {.path = access("/bin/ps", X_OK) == 0 ? "/bin/ps" : "/usr/bin/ps",
			  .argv = argv,
			  .fds = fds,
			  .nfds = 2,
			  .die_with_parent = true};

	while (rest.n > 0 && n < ARRAY_SIZE(argv) - 1 && str_cut(&rest, ' ', &word))
		if (word.n > 0)
			argv[n++] = arena_strndup(a, word.p, word.n);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	if (pipe2(errors, O_CLOEXEC) < 0) {
		rc = -errno;
		close(pipes[0]);
		close(pipes[1]);
		return err_sys(e, rc, "pipe");
	}
	/* ps never waits for us there: what does not fit into the pipe is lost. */
	(void)fcntl(errors[1], F_SETFL, O_NONBLOCK);
	fds[0] = (struct spawn_fd){pipes[1], 1};
	fds[1] = (struct spawn_fd){errors[1], 2};
	rc = spawn_start(&s, &child);
	close(pipes[1]);
	close(errors[1]);
	if (rc == 0)
		rc = fs_read_fd(pipes[0], text);
	if (rc == 0)
		(void)fs_read_fd(errors[0], &why);
	close(pipes[0]);
	close(errors[0]);
	if (child.pidfd >= 0) {
		if (rc < 0)
			spawn_signal(&child, SIGKILL);
		spawn_wait(&child, false, &status);
		fd_close(&child.pidfd);
	}
	if (rc < 0)
		return err_sys(e, rc, "error running ps");
	if (status == 0)
		return 0;
	n = strcspn(buf_text(&why), "\n");
	if (n > 0)
		return err_set(e, ERR_SYSTEM, "ps: %.*s", (int)MIN(n, 300u), buf_text(&why));
	return err_set(e, ERR_SYSTEM, "ps: exit status %d", status >> 8);
}

int engine_container_top(struct engine *g, struct container *c, const char *ps_args,
			 engine_json_fn cb, void *ud, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX), out = BUF_INIT(ENGINE_TEXT_MAX);
	struct runtime_container rc = RUNTIME_CONTAINER_INIT;
	AUTO_FREE pid_t *pids = xcalloc(TOP_PIDS_MAX, sizeof(*pids));
	int n;

	if (!c->st.running)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	if (container_cgroup(c, &rc, e) < 0)
		return -1;
	n = runtime_pids(&rc, pids, TOP_PIDS_MAX, e);
	runtime_container_done(&rc);
	if (n < 0)
		return -1;
	n = MIN(n, TOP_PIDS_MAX);
	if (run_ps(ps_args && *ps_args ? ps_args : "-ef", &text, e) < 0 ||
	    write_top(buf_text(&text), pids, n, &out, e) < 0)
		return -1;
	container_event(c, "top", NULL);
	cb(ud, buf_text(&out), NULL);
	return 0;
}

/* ---- diff ---- */

struct changes {
	const struct store_snapshot *sn;
	struct jw w;
	size_t n;
	struct arena *a;
};

static bool in_layers(const struct changes *ch, const char *path)
{
	for (size_t i = 0; i < ch->sn->nlower; i++) {
		AUTO_FREE char *p = xasprintf("%s/%s%s", ch->sn->layers_dir, ch->sn->lower[i],
					      path);
		struct stat st;

		if (lstat(p, &st) == 0)
			return !(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	}
	return false;
}

static void change_add(struct changes *ch, const char *path, int kind)
{
	if (ch->n++ == 0)
		jw_arr(&ch->w);
	jw_obj(&ch->w);
	jw_kv_str(&ch->w, "Path", path);
	jw_kv_i64(&ch->w, "Kind", kind);
	jw_obj_end(&ch->w);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Files that exist in the upper layer only to be mounted over; Docker keeps them in a layer below.
 */
static bool is_mountpoint(const char *path, const struct stat *st)
{
	static const char *const paths[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf",
					    "/etc/mtab",     "/dev",	   "/proc",
					    "/sys",	     "/.dockerenv"};

	if (!S_ISLNK(st->st_mode) && !S_ISDIR(st->st_mode) && st->st_size > 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (strcmp(path, paths[i]) == 0)
			return true;
	return false;
}

/* A directory of the image that was copied up only to hold mount points. */
static bool only_mountpoints(const char *dir, const char *rel)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, NULL, by_name);
	bool only = n > 2;

	for (int i = 0; i < n; i++) {
		AUTO_FREE struct dirent *ent = list[i];
		AUTO_FREE char *path = xasprintf("%s/%s", rel, ent->d_name);
		AUTO_FREE char *full = xasprintf("%s/%s", dir, ent->d_name);
		struct stat st;

		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			only &= lstat(full, &st) == 0 && is_mountpoint(path, &st);
	}
	free(list);
	return only;
}

static void walk_changes(struct changes *ch, const char *upper, const char *rel, int depth)
{
	AUTO_FREE char *dir = xasprintf("%s%s", upper, rel);
	struct dirent **list = NULL;
	int n = depth < 64 ? scandir(dir, &list, NULL, by_name) : 0;

	for (int i = 0; i < n; i++) {
		AUTO_FREE struct dirent *ent = list[i];
		AUTO_FREE char *path = NULL;
		AUTO_FREE char *full = NULL;
		struct stat st;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		path = xasprintf("%s/%s", rel, ent->d_name);
		full = xasprintf("%s%s", upper, path);
		if (lstat(full, &st) < 0)
			continue;
		if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
			change_add(ch, path, 2);
			continue;
		}
		if (is_mountpoint(path, &st) ||
		    (S_ISDIR(st.st_mode) && only_mountpoints(full, path)))
			continue;
		change_add(ch, path, in_layers(ch, path) ? 0 : 1);
		if (S_ISDIR(st.st_mode))
			walk_changes(ch, upper, path, depth + 1);
	}
	free(list);
}

int engine_container_changes(struct engine *g, struct container *c, struct buf *out, struct err *e)
{
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	struct changes ch = {.w = JW_INIT(out)};

	if (engine_container_ready(g, c, e) < 0 || store_snapshot_get(g->store, c->id, &sn, e) < 0)
		return -1;
	ch.sn = sn;
	walk_changes(&ch, sn->upper, "", 0);
	if (ch.n == 0)
		jw_null(&ch.w);
	else
		jw_arr_end(&ch.w);
	return 0;
}
