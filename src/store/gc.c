/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage: mark from images, snapshots and leases over the parents, sweep the rest. Rows go first,
 * in one transaction; directories and files follow into the trash. A crash in between leaves files
 * without rows, which repair collects.
 */
#include "store/store-priv.h"

#include "base/clock.h"
#include "base/num.h"
#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

struct node {
	int64_t id, parent, size;
	char chain[DIGEST_TEXT_MAX];
	bool live;
};

struct graph {
	struct node *v; /* by id */
	size_t n, cap;
};

void id_list_add(struct id_list *l, int64_t id)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n++] = id;
}

static struct node *find(const struct graph *g, int64_t id)
{
	size_t lo = 0, hi = g->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (g->v[mid].id == id)
			return &g->v[mid];
		if (g->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void mark(const struct graph *g, int64_t id)
{
	struct node *n = find(g, id);

	while (n && !n->live) {
		n->live = true;
		n = find(g, n->parent);
	}
}

static int load(struct store *s, struct graph *g, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT id, parent, size, chain FROM layers ORDER BY id", "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		if (g->n == g->cap) {
			g->cap = g->cap ? 2 * g->cap : 64;
			g->v = xrealloc(g->v, g->cap * sizeof(*g->v));
		}
		struct node *n = &g->v[g->n++];
		*n = (struct node){.id = sqlite3_column_int64(st, 0),
				   .parent = sqlite3_column_int64(st, 1),
				   .size = sqlite3_column_int64(st, 2)};
		snprintf(n->chain, sizeof(n->chain), "%s", db_text(st, 3));
		rc = 0;
	}
	return rc;
}

static int mark_query(struct store *s, const struct graph *g, const char *sql, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, sql, "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		mark(g, sqlite3_column_int64(st, 0));
		rc = 0;
	}
	return rc;
}

static bool listed(const struct id_list *only, int64_t id)
{
	for (size_t i = 0; only && i < only->n; i++)
		if (only->v[i] == id)
			return true;
	return !only;
}

static int sweep(struct store *s, const struct graph *g, const struct id_list *only,
		 struct id_list *dead, uint64_t *freed, store_digest_fn fn, void *ud, struct err *e)
{
	for (size_t i = g->n; i-- > 0;) { /* children have larger ids: top first */
		const struct node *n = &g->v[i];
		struct digest d;

		if (n->live || !listed(only, n->id))
			continue;
		if (db_run(s, NULL, e, "DELETE FROM layers WHERE id = ?", "i", n->id) < 0)
			return -1;
		id_list_add(dead, n->id);
		*freed += (uint64_t)n->size;
		if (fn && digest_parse(n->chain, &d) == 0)
			fn(&d, ud);
	}
	return 0;
}

int gc_dead_layers(struct store *s, const struct id_list *only, struct id_list *dead,
		   uint64_t *freed, store_digest_fn fn, void *ud, struct err *e)
{
	struct graph g = {NULL, 0, 0};
	int rc = load(s, &g, e);

	if (rc == 0)
		rc = mark_query(s, &g, "SELECT DISTINCT layer FROM image_layers", e);
	if (rc == 0)
		rc = mark_query(s, &g, "SELECT top FROM snapshots", e);
	for (size_t i = 0; rc == 0 && i < g.n; i++)
		if (!g.v[i].live && lease_holds_chain(s, g.v[i].chain)) {
			s->lease_kept = true;
			mark(&g, g.v[i].id);
		}
	if (rc == 0)
		rc = sweep(s, &g, only, dead, freed, fn, ud, e);
	free(g.v);
	return rc;
}

int gc_trash_layers(struct store *s, const struct id_list *dead, struct err *e)
{
	char name[32];
	int rc = 0;

	/* The rows are gone already: one that cannot be moved keeps no other. */
	for (size_t i = 0; i < dead->n; i++) {
		struct err own = ERR_INIT;

		snprintf(name, sizeof(name), "%lld", (long long)dead->v[i]);
		if (trash_move(s, s->layers_fd, name, &own) == 0 || rc < 0)
			continue;
		rc = -1;
		*e = own;
	}
	return rc;
}

/* Trash the blob unless an image, a lease, a download or an unsynced layer needs it. */
int gc_blob(struct store *s, const char *hex, uint64_t *freed, struct err *e)
{
	AUTO_FREE char *digest = xasprintf("sha256:%s", hex);
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT 1 FROM image_blobs WHERE blob = ? LIMIT 1", "s", digest);
	int rc = st ? db_step(s, st, e) : -1;
	struct stat info;

	if (rc < 0)
		return -1;
	bool leased = rc == 0 && lease_holds_blob(s, digest);

	s->lease_kept = s->lease_kept || leased;
	if (rc > 0 || leased || unsynced_needs(s, digest) ||
	    fstatat(s->blobs_fd, hex, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (trash_move(s, s->blobs_fd, hex, e) < 0)
		return -1;
	*freed += (uint64_t)info.st_size;
	return 0;
}

typedef int (*name_fn)(struct store *s, const char *name, void *ud, struct err *e);

static int each_name(struct store *s, int dir_fd, name_fn fn, void *ud, struct err *e)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fs_dir_take(fd);
	struct dirent *d;

	if (!dir)
		return err_sys(e, -errno, "read a folder of the store");
	while (rc == 0 && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			rc = fn(s, d->d_name, ud, e);
	closedir(dir);
	return rc;
}

static int collect_blob(struct store *s, const char *name, void *ud, struct err *e)
{
	return store_is_hex(name, 64, 64) ? gc_blob(s, name, ud, e) : 0;
}

/* A folder whose row went without it: the trash could not take it then. */
static int collect_layer(struct store *s, const char *name, void *ud, struct err *e)
{
	uint64_t id;

	if (num_parse_u64(name, 1, INT64_MAX, &id) < 0)
		return 0;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT 1 FROM layers WHERE id = ?", "i",
					     (int64_t)id);
	int rc = st ? db_step(s, st, e) : -1;

	return rc != 0 ? MIN(rc, 0) : trash_move(s, s->layers_fd, name, e);
}

struct partials {
	int64_t before; /* ns */
	uint64_t freed;
};

static int collect_partial(struct store *s, const char *name, void *ud, struct err *e)
{
	struct partials *p = ud;
	char digest[DIGEST_TEXT_MAX];
	struct stat st;

	if (!str_ends(name, ".partial") ||
	    fstatat(s->ingest_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	snprintf(digest, sizeof(digest), "sha256:%.64s", name);
	if (map_get(s->ingests, digest) ||
	    (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec > p->before)
		return 0;
	p->freed += (uint64_t)st.st_size;
	return trash_move(s, s->ingest_fd, name, e);
}

int store_gc(struct store *s, int64_t max_age_ns, uint64_t *ret_freed, struct err *e)
{
	struct partials p = {.before = clock_now_ns() - max_age_ns};
	struct id_list dead = {NULL, 0, 0};
	uint64_t freed = 0;
	int rc;

	if (tx_begin(s, true, e) < 0)
		return -1;
	rc = gc_dead_layers(s, NULL, &dead, &freed, NULL, NULL, e);
	if (rc < 0)
		tx_rollback(s);
	else
		rc = tx_commit(s, e);
	if (rc == 0)
		rc = gc_trash_layers(s, &dead, e);
	if (rc == 0)
		rc = each_name(s, s->layers_fd, collect_layer, NULL, e);
	if (rc == 0)
		rc = each_name(s, s->blobs_fd, collect_blob, &freed, e);
	if (rc == 0)
		rc = each_name(s, s->ingest_fd, collect_partial, &p, e);
	store_stage_drop(s, "");
	free(dead.v);
	if (rc == 0 && ret_freed)
		*ret_freed = freed + p.freed;
	return rc;
}
