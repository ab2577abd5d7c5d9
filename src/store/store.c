/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing, the folders, the lock of the engine, leases, the trash. */
#include "store/store-priv.h"

#include "base/clock.h"
#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define RESERVE_SIZE (256 * 1024)

#define LOCK_TRIES   100
#define LOCK_STEP_NS 10000000L

/*
 * An engine that was just killed may still be on its way out of the kernel with the lock in its
 * hands: up to a second is given to it before the answer is "in use".
 */
static int lock_patiently(int fd, struct flock *lock)
{
	struct timespec step = {.tv_nsec = LOCK_STEP_NS};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_OFD_SETLK, lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -1;
		nanosleep(&step, NULL);
	}
	errno = EAGAIN;
	return -1;
}

/* Open file description locks vanish with the process, however it ends. */
static int take_lock(struct store *s, const char *run_dir, struct err *e)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	AUTO_FREE char *path = xasprintf("%s/engine.lock", run_dir);
	char pid[32];

	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return err_sys(e, -errno, "open %s", path);
	if (lock_patiently(s->lock_fd, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return err_sys(e, -errno, "lock %s", path);
		ssize_t n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return err_set(e, ERR_CONFLICT, "another engine (pid %s) uses %s",
			       *pid ? pid : "unknown", s->data);
	}
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) != n)
		return err_sys(e, -errno, "write %s", path);
	return 0;
}

static int open_folder(struct store *s, const char *name, mode_t mode, int *ret_fd, char **ret_path,
		       struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", s->data, name);
	int rc = fs_mkdirs(path, mode);

	if (rc >= 0)
		rc = fs_open_dir(path);
	if (rc < 0)
		return err_sys(e, rc, "open %s", path);
	*ret_fd = rc;
	if (ret_path)
		*ret_path = TAKE_PTR(path);
	return 0;
}

/* On a full disk even removing things needs a few pages in the log of the database. */
static void make_reserve(struct store *s)
{
	int fd = openat(s->data_fd, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	s->reserve = fd >= 0 && posix_fallocate(fd, 0, RESERVE_SIZE) == 0;
	fd_close(&fd);
	if (!s->reserve)
		(void)unlinkat(s->data_fd, "reserve", 0);
}

bool store_release_reserve(struct store *s, const struct err *e)
{
	bool had = s->reserve && e->sys == ENOSPC && unlinkat(s->data_fd, "reserve", 0) == 0;

	s->reserve = s->reserve && !had;
	return had;
}

static int open_folders(struct store *s, struct err *e)
{
	int rc = fs_open_dir(s->data);

	if (rc < 0)
		return err_sys(e, rc, "open %s", s->data);
	s->data_fd = rc;
	/* 0711 where container processes of other users must pass through */
	if (open_folder(s, "layers", 0711, &s->layers_fd, &s->layers, e) < 0 ||
	    open_folder(s, "containers", 0711, &s->containers_fd, &s->containers, e) < 0 ||
	    open_folder(s, "volumes", 0711, &s->volumes_fd, &s->volumes, e) < 0 ||
	    open_folder(s, "blobs/sha256", 0700, &s->blobs_fd, NULL, e) < 0 ||
	    open_folder(s, "ingest", 0700, &s->ingest_fd, NULL, e) < 0 ||
	    open_folder(s, "trash", 0700, &s->trash_fd, NULL, e) < 0)
		return -1;
	make_reserve(s);
	return 0;
}

/* Damage that only shows now is salvaged at once: nothing was touched before it showed. */
static int repair(struct store *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (store_repair_all(s, &why) == 0)
		return 0;
	if (s->damaged && !s->repair.kept[0])
		return db_open(s, e) < 0 ? -1 : store_repair_all(s, e);
	*e = why;
	return -1;
}

int store_open(const char *data_dir, const char *run_dir, struct store **ret, struct err *e)
{
	struct store *s = NEW(struct store);
	int rc;

	s->data_fd = s->layers_fd = s->containers_fd = s->volumes_fd = FD_NONE;
	s->blobs_fd = s->ingest_fd = s->trash_fd = s->lock_fd = FD_NONE;
	s->ingests = map_new();
	s->busy = map_new();
	list_init(&s->leases);
	unsynced_boot(s);
	rc = fs_mkdirs(data_dir, 0711);
	if (rc >= 0)
		rc = fs_mkdirs(run_dir, 0711);
	s->data = realpath(data_dir, NULL);
	if (rc < 0 || !s->data)
		(void)err_sys(e, rc < 0 ? rc : -errno, "make %s", data_dir);
	else if (take_lock(s, run_dir, e) == 0 && open_folders(s, e) == 0 && db_open(s, e) == 0 &&
		 repair(s, e) == 0) {
		*ret = s;
		return 0;
	}
	store_close(s);
	return -1;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->in_tx) {
		s->in_tx = false;
		tx_rollback(s);
	}
	db_close(s);
	fd_close(&s->data_fd);
	fd_close(&s->layers_fd);
	fd_close(&s->containers_fd);
	fd_close(&s->volumes_fd);
	fd_close(&s->blobs_fd);
	fd_close(&s->ingest_fd);
	fd_close(&s->trash_fd);
	fd_close(&s->lock_fd);
	map_free(s->ingests);
	map_free(s->busy);
	free(s->syncing.v);
	free(s->data);
	free(s->layers);
	free(s->containers);
	free(s->volumes);
	free(s);
}

const struct store_repair *store_repair_report(const struct store *s)
{
	return &s->repair;
}

const char *store_data_dir(const struct store *s)
{
	return s->data;
}

const char *store_layers_dir(const struct store *s)
{
	return s->layers;
}

const char *store_containers_dir(const struct store *s)
{
	return s->containers;
}

const char *store_volumes_dir(const struct store *s)
{
	return s->volumes;
}

struct store_lease *store_lease_new(struct store *s)
{
	struct store_lease *l = NEW(struct store_lease);

	l->blobs = map_new();
	l->chains = map_new();
	list_add_tail(&s->leases, &l->entry);
	return l;
}

void store_lease_blob(struct store_lease *l, const struct digest *blob)
{
	(void)map_set(l->blobs, blob->text, l);
}

void store_lease_layer(struct store_lease *l, const struct digest *chain)
{
	(void)map_set(l->chains, chain->text, l);
}

void store_lease_free(struct store_lease *l)
{
	if (!l)
		return;
	list_del(&l->entry);
	map_free(l->blobs);
	map_free(l->chains);
	free(l);
}

bool store_lease_kept(struct store *s)
{
	bool kept = s->lease_kept;

	s->lease_kept = false;
	return kept;
}

bool lease_holds_blob(const struct store *s, const char *digest)
{
	LIST_FOR_EACH (it, &s->leases)
		if (map_get(LIST_ENTRY(it, struct store_lease, entry)->blobs, digest))
			return true;
	return false;
}

bool lease_holds_chain(const struct store *s, const char *chain)
{
	LIST_FOR_EACH (it, &s->leases)
		if (map_get(LIST_ENTRY(it, struct store_lease, entry)->chains, chain))
			return true;
	return false;
}

/* Unique on this disk: the clock, the process and a counter. */
void store_unique(struct store *s, const char *prefix, char *ret, size_t n)
{
	snprintf(ret, n, "%s%llx-%x", prefix,
		 (unsigned long long)clock_now_ns() & 0xffffffffffffffull, s->serial++);
}

int trash_move(struct store *s, int dir_fd, const char *name, struct err *e)
{
	char to[48];

	store_unique(s, "t-", to, sizeof(to));
	if (renameat(dir_fd, name, s->trash_fd, to) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "move \"%s\" to the trash", name);
	if (s->on_trash)
		s->on_trash(s->on_trash_ud);
	return 0;
}

bool store_is_hex(const char *s, size_t min, size_t max)
{
	size_t n = strspn(s, "0123456789abcdef");

	return !s[n] && n >= min && n <= max;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

void store_on_trash(struct store *s, void (*fn)(void *ud), void *ud)
{
	s->on_trash = fn;
	s->on_trash_ud = ud;
}

bool store_trash_pending(struct store *s)
{
	struct dirent *d;
	bool found = false;
	DIR *dir = fs_dir_take(openat(s->trash_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	if (!dir)
		return false;
	while (!found && (d = readdir(dir)))
		found = !is_dot(d->d_name);
	closedir(dir);
	return found;
}

int store_trash_empty(const char *data_dir)
{
	AUTO_FREE char *path = xasprintf("%s/trash", data_dir);
	struct dirent *d;
	DIR *dir = opendir(path);
	int rc = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (rc == 0 && (d = readdir(dir)))
		if (!is_dot(d->d_name))
			rc = fs_remove_tree(dirfd(dir), d->d_name);
	closedir(dir);
	return rc;
}
