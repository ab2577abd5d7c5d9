/* SPDX-License-Identifier: Apache-2.0 */
/* See measure.h. */
#include "store/measure.h"

#include "base/num.h"
#include "store/store-priv.h"
#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

struct amount {
	uint64_t bytes;
	bool fresh; /* a layer that was not known before */
};

struct store_measuring {
	struct arena *arena;
	char *data;
	struct map *layers, *blobs, *containers, *volumes; /* name -> struct amount */
	struct map *skip;				   /* layers that are not kept: broken */
	struct store_measure sum;
};

static void put(struct store_measuring *m, struct map *map, const char *name, uint64_t bytes,
		bool fresh)
{
	struct amount *a = arena_alloc(m->arena, sizeof(*a));

	*a = (struct amount){bytes, fresh};
	(void)map_set(map, name, a);
}

static uint64_t amount_of(const struct map *map, const char *name)
{
	const struct amount *a = map_get(map, name);

	return a ? a->bytes : 0;
}

struct store_measuring *store_measure_new(struct store *s, struct err *e)
{
	AUTO(store_measuring) struct store_measuring *m = NEW(struct store_measuring);
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT id, disk, broken FROM layers", "");
	int rc = st ? 0 : -1;

	m->arena = arena_new();
	m->data = xstrdup(s->data);
	m->layers = map_new();
	m->blobs = map_new();
	m->containers = map_new();
	m->volumes = map_new();
	m->skip = map_new();
	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		char name[32];
		int64_t disk = sqlite3_column_int64(st, 1);

		rc = 0;
		snprintf(name, sizeof(name), "%lld", (long long)sqlite3_column_int64(st, 0));
		if (sqlite3_column_int(st, 2))
			(void)map_set(m->skip, name, m);
		else if (disk >= 0)
			put(m, m->layers, name, (uint64_t)disk, false);
	}
	return rc < 0 ? NULL : TAKE_PTR(m);
}

void store_measuring_free(struct store_measuring *m)
{
	if (!m)
		return;
	map_free(m->layers);
	map_free(m->blobs);
	map_free(m->containers);
	map_free(m->volumes);
	map_free(m->skip);
	arena_free(m->arena);
	free(m->data);
	free(m);
}

/* A folder and, one by one, what is in it. */
typedef int (*child_fn)(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum);

static int walk(struct store_measuring *m, int dir_fd, const char *name, child_fn fn, uint64_t *sum)
{
	struct dirent *d;
	struct stat st;
	DIR *dir;
	int rc = 0, fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || !(dir = fdopendir(fd))) {
		rc = -errno;
		fd_close(&fd);
		return rc == -ENOENT ? 0 : rc;
	}
	if (fstat(fd, &st) == 0)
		*sum += (uint64_t)st.st_blocks * 512;
	while (rc == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = fn(m, dirfd(dir), d->d_name, sum);
	closedir(dir);
	return rc;
}

static int plain(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	uint64_t bytes = 0;
	int rc = fs_disk_usage(dir_fd, name, &bytes, NULL);

	(void)m;
	*sum += bytes;
	return rc;
}

static int layer(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	const struct amount *a = map_get(m->layers, name);
	uint64_t bytes = 0, id;
	int rc;

	if (a) {
		*sum += a->bytes;
		return 0;
	}
	rc = plain(m, dir_fd, name, &bytes);
	if (rc == 0 && num_parse_u64(name, 1, INT64_MAX, &id) == 0 && !map_get(m->skip, name))
		put(m, m->layers, name, bytes, true);
	*sum += bytes;
	return rc;
}

static int blob(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	uint64_t bytes = 0;
	int rc = plain(m, dir_fd, name, &bytes);

	put(m, m->blobs, name, bytes, false);
	*sum += bytes;
	return rc;
}

static int blob_folder(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	return walk(m, dir_fd, name, blob, sum);
}

static int volume(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	uint64_t bytes = 0;
	int rc = plain(m, dir_fd, name, &bytes);

	put(m, m->volumes, name, bytes, false);
	*sum += bytes;
	return rc;
}

static int container(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	AUTO_FREE char *upper = xasprintf("%s/upper", name);
	uint64_t rw = 0, bytes = 0;
	int rc;

	if (fs_disk_usage(dir_fd, upper, &rw, NULL) == 0)
		put(m, m->containers, name, rw, false);
	rc = plain(m, dir_fd, name, &bytes);
	*sum += bytes;
	return rc;
}

static int top(struct store_measuring *m, int dir_fd, const char *name, uint64_t *sum)
{
	const struct part {
		const char *name;
		child_fn fn;
		uint64_t *sum;
	} parts[] = {{"layers", layer, &m->sum.layers},
		     {"blobs", blob_folder, &m->sum.blobs},
		     {"containers", container, &m->sum.containers},
		     {"volumes", volume, &m->sum.volumes},
		     {"ingest", plain, &m->sum.ingest},
		     {"trash", plain, &m->sum.trash}};

	(void)sum;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strcmp(name, parts[i].name))
			return walk(m, dir_fd, name, parts[i].fn, parts[i].sum);
	return plain(m, dir_fd, name,
		     str_starts(name, "state.db") ? &m->sum.database : &m->sum.other);
}

int store_measure_run(struct store_measuring *m)
{
	struct store_measure *s = &m->sum;
	int rc = walk(m, AT_FDCWD, m->data, top, &s->other);

	s->total = s->layers + s->blobs + s->containers + s->volumes + s->ingest + s->trash +
		   s->database + s->other;
	return rc;
}

int store_measure_keep(struct store *s, struct store_measuring *m, struct err *e)
{
	const char *name;
	size_t pos = 0;
	void *value;
	int rc = tx_begin(s, false, e);

	if (rc < 0)
		return -1;
	while (rc == 0 && map_next(m->layers, &pos, &name, &value)) {
		const struct amount *a = value;
		uint64_t id;

		if (a->fresh && num_parse_u64(name, 1, INT64_MAX, &id) == 0)
			rc = db_run(s, NULL, e, "UPDATE layers SET disk = ? WHERE id = ?", "ii",
				    (int64_t)a->bytes, (int64_t)id);
	}
	if (rc < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

const struct store_measure *store_measure_sum(const struct store_measuring *m)
{
	return &m->sum;
}

uint64_t store_measure_container(const struct store_measuring *m, const char *id)
{
	return amount_of(m->containers, id);
}

uint64_t store_measure_volume(const struct store_measuring *m, const char *name)
{
	return amount_of(m->volumes, name);
}

uint64_t store_measure_layer(const struct store_measuring *m, int64_t id)
{
	char name[32];

	snprintf(name, sizeof(name), "%lld", (long long)id);
	return amount_of(m->layers, name);
}

uint64_t store_measure_blob(const struct store_measuring *m, const struct digest *blob)
{
	return amount_of(m->blobs, digest_hex(blob));
}

/* ---- images ---- */

static struct store_image_usage *usage_of(struct arena *a, struct map *images, const char *id)
{
	struct store_image_usage *u = map_get(images, id);

	if (!u) {
		u = arena_alloc(a, sizeof(*u));
		(void)map_set(images, id, u);
	}
	return u;
}

static int add_layers(struct store *s, const struct store_measuring *m, struct arena *a,
		      struct map *images, struct err *e)
{
	/* An image may have a layer twice; it is on disk once. */
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e,
		"WITH u AS (SELECT DISTINCT image, layer FROM image_layers), n AS (SELECT layer, "
		"count(*) AS users FROM u GROUP BY layer) SELECT u.image, l.id, l.size, n.users "
		"FROM u JOIN n ON n.layer = u.layer JOIN layers l ON l.id = u.layer",
		"");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		struct store_image_usage *u = usage_of(a, images, db_text(st, 0));
		uint64_t disk = m ? store_measure_layer(m, sqlite3_column_int64(st, 1)) : 0;
		bool shared = sqlite3_column_int64(st, 3) > 1;

		rc = 0;
		u->size += disk;
		u->shared += shared ? disk : 0;
		u->layers_size += sqlite3_column_int64(st, 2);
		u->layers_shared += shared ? sqlite3_column_int64(st, 2) : 0;
	}
	return rc;
}

static int add_blobs(struct store *s, const struct store_measuring *m, struct arena *a,
		     struct map *images, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e,
		"WITH n AS (SELECT blob, count(*) AS users FROM image_blobs GROUP BY blob) "
		"SELECT b.image, b.blob, n.users FROM image_blobs b JOIN n ON n.blob = b.blob",
		"");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		struct store_image_usage *u = usage_of(a, images, db_text(st, 0));
		struct digest d;

		rc = 0;
		if (digest_parse(db_text(st, 1), &d) < 0)
			continue;
		u->size += store_measure_blob(m, &d);
		u->shared += sqlite3_column_int64(st, 2) > 1 ? store_measure_blob(m, &d) : 0;
	}
	return rc;
}

int store_image_usages(struct store *s, const struct store_measuring *m, store_image_usage_fn fn,
		       void *ud, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(map) struct map *images = map_new();
	struct digest d;
	const char *id;
	size_t pos = 0;
	void *u;

	if (add_layers(s, m, a, images, e) < 0 || (m && add_blobs(s, m, a, images, e) < 0))
		return -1;
	while (map_next(images, &pos, &id, &u))
		if (digest_parse(id, &d) == 0)
			fn(ud, &d, u);
	return 0;
}
