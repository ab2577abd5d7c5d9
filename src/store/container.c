/* SPDX-License-Identifier: Apache-2.0 */
/* Containers' rows and their snapshots: data/containers/ID/{upper,work} on the layers of an image.
 */
#include "store/store-priv.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define LOWER_MAX 512 /* overlayfs takes 500 */

static int name_taken(struct store *s, const char *name, struct err *e)
{
	struct err ignored = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st = db_bind(s, &ignored,
					     "SELECT id FROM containers WHERE name = ?", "s", name);

	if (!st || db_step(s, st, &ignored) <= 0)
		return err_set(e, ERR_CONFLICT, "container already exists");
	return err_set(e, ERR_CONFLICT,
		       "Conflict. The container name \"/%s\" is already in use by container "
		       "\"%s\". You have to remove "
		       "(or rename) that container to be able to reuse that name.",
		       name, db_text(st, 0));
}

/* N of the image's top layer, 0 when it has none. */
static int top_layer(struct store *s, const struct digest *image, int64_t *ret, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e,
					     "SELECT (SELECT layer FROM image_layers l WHERE "
					     "l.image = i.id ORDER BY pos DESC LIMIT 1) FROM "
					     "images i WHERE id = ?",
					     "s", image->text);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", image->text);
	*ret = sqlite3_column_int64(st, 0);
	return 0;
}

/* The merged root directory takes owner and mode from the upper one: hand down those of the image.
 */
static int inherit_root(struct store *s, int upper_parent, int64_t top)
{
	char path[48];
	struct stat st;

	snprintf(path, sizeof(path), "%lld/diff", (long long)top);
	if (!top || fstatat(s->layers_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if ((st.st_uid || st.st_gid) &&
	    fchownat(upper_parent, "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if ((st.st_mode & 07777) != 0755 &&
	    fchmodat(upper_parent, "upper", st.st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

static int make_dirs(struct store *s, const char *id, bool snapshot, int64_t top, struct err *e)
{
	if (mkdirat(s->containers_fd, id, 0710) < 0)
		return err_sys(e, -errno, "make the directory of container %s", id);
	if (!snapshot)
		return 0;
	AUTO_FD int dir = openat(s->containers_fd, id,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || mkdirat(dir, "upper", 0755) < 0 || mkdirat(dir, "work", 0700) < 0)
		return err_sys(e, -errno, "make the snapshot of container %s", id);
	int rc = inherit_root(s, dir, top);
	return rc < 0 ? err_sys(e, rc, "set up the root of container %s", id) : 0;
}

static int insert_rows(struct store *s, const struct store_container *c, bool snapshot, int64_t top,
		       struct err *e)
{
	if (db_run(s, NULL, e,
		   "INSERT INTO containers(id, name, image, config, hostconfig, state, created) "
		   "VALUES(?, ?, ?, ?, ?, ?, ?)",
		   "ssssssi", c->id, c->name, c->image_id ? c->image_id : "", c->config,
		   c->hostconfig, c->state, c->created) < 0)
		return e->kind == ERR_CONFLICT ? name_taken(s, c->name, e) : -1;
	if (!snapshot)
		return 0;
	if (db_run(s, NULL, e, "UPDATE images SET used = ? WHERE id = ?", "is", clock_now_ns(),
		   c->image_id ? c->image_id : "") < 0)
		return -1;
	return db_run(s, NULL, e, "INSERT INTO snapshots(container, top) VALUES(?, ?)", "si", c->id,
		      top);
}

int store_container_insert(struct store *s, const struct store_container *c,
			   const struct digest *image, struct err *e)
{
	struct err ignored = ERR_INIT;
	int64_t top = 0;

	if (!store_is_hex(c->id, STORE_ID_LEN, STORE_ID_LEN))
		return err_set(e, ERR_INVALID, "bad container id \"%s\"", c->id);
	if (image && top_layer(s, image, &top, e) < 0)
		return -1;
	if (tx_begin(s, false, e) < 0)
		return -1;
	/* Row, then directories, then commit: repair handles a crash at each point. */
	if (insert_rows(s, c, image != NULL, top, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	if (make_dirs(s, c->id, image != NULL, top, e) < 0 || tx_commit(s, e) < 0) {
		tx_rollback(s);
		(void)trash_move(s, s->containers_fd, c->id, &ignored);
		return -1;
	}
	return 0;
}

static int must_change(int changes, const char *id, struct err *e)
{
	if (changes == 0)
		return err_set(e, ERR_NOT_FOUND, "No such container: %s", id);
	return 0;
}

int store_container_set_state(struct store *s, const char *id, const char *state, struct err *e)
{
	int n = 0;

	if (db_run(s, &n, e, "UPDATE containers SET state = ? WHERE id = ?", "ss", state, id) < 0)
		return -1;
	return must_change(n, id, e);
}

int store_container_set_config(struct store *s, const char *id, const char *config,
			       const char *hostconfig, struct err *e)
{
	int n = 0;

	if (db_run(s, &n, e,
		   "UPDATE containers SET config = coalesce(?, config), hostconfig = coalesce(?, "
		   "hostconfig) WHERE id = ?",
		   "sss", config, hostconfig, id) < 0)
		return -1;
	return must_change(n, id, e);
}

int store_container_rename(struct store *s, const char *id, const char *name, struct err *e)
{
	int n = 0;

	if (db_run(s, &n, e, "UPDATE containers SET name = ? WHERE id = ?", "ss", name, id) < 0)
		return e->kind == ERR_CONFLICT ? name_taken(s, name, e) : -1;
	return must_change(n, id, e);
}

static int delete_rows(struct store *s, const char *id, struct err *e)
{
	int n = 0;

	if (tx_begin(s, false, e) < 0)
		return -1;
	if (db_run(s, NULL, e,
		   "UPDATE images SET used = ? WHERE id = (SELECT image FROM containers WHERE id = "
		   "?)",
		   "is", clock_now_ns(), id) < 0 ||
	    db_run(s, &n, e, "DELETE FROM containers WHERE id = ?", "s", id) < 0 ||
	    db_run(s, NULL, e, "DELETE FROM snapshots WHERE container = ?", "s", id) < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e) < 0 ? -1 : must_change(n, id, e);
}

int store_container_delete(struct store *s, const char *id, struct err *e)
{
	int rc = delete_rows(s, id, e);

	if (rc < 0 && store_release_reserve(s, e)) {
		err_clear(e);
		rc = delete_rows(s, id, e);
	}
	/* A removal before this one may have got no further than the rows. */
	if (rc < 0 && e->kind == ERR_NOT_FOUND && faccessat(s->containers_fd, id, F_OK, 0) == 0) {
		err_clear(e);
		rc = 0;
	}
	return rc < 0 ? -1 : trash_move(s, s->containers_fd, id, e);
}

static int find_by(struct store *s, const char *sql, const char *a, const char *b,
		   char ret[static STORE_ID_LEN + 1], struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = b ? db_bind(s, e, sql, "ss", a, b)
				       : db_bind(s, e, sql, "s", a);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc <= 0)
		return rc;
	snprintf(ret, STORE_ID_LEN + 1, "%s", db_text(st, 0));
	rc = db_step(s, st, e);
	return rc < 0 ? -1 : 1 + rc;
}

int store_container_find(struct store *s, const char *text, char ret_id[static STORE_ID_LEN + 1],
			 struct err *e)
{
	char id[STORE_ID_LEN + 1];
	AUTO_FREE char *high = xasprintf("%sg", text);
	int rc = find_by(s, "SELECT id FROM containers WHERE id = ?", text, NULL, id, e);

	if (rc == 0)
		rc = find_by(s, "SELECT id FROM containers WHERE name = ?", text + (*text == '/'),
			     NULL, id, e);
	if (rc == 0 && store_is_hex(text, 1, STORE_ID_LEN))
		rc = find_by(s, "SELECT id FROM containers WHERE id >= ? AND id < ? LIMIT 2", text,
			     high, id, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "No such container: %s", text);
	if (rc > 1)
		return err_set(e, ERR_INVALID, "Multiple IDs found with provided prefix: %s", text);
	memcpy(ret_id, id, sizeof(id));
	return 0;
}

int store_container_each(struct store *s, store_container_fn fn, void *ud, struct err *e)
{
	/* A statement of its own: fn may use the cached ones, not this one. */
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e,
					     "SELECT id, name, image, config, hostconfig, state, "
					     "created FROM containers ORDER BY created, id",
					     "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		struct store_container c = {.id = db_text(st, 0),
					    .name = db_text(st, 1),
					    .image_id = db_text(st, 2),
					    .config = db_text(st, 3),
					    .hostconfig = db_text(st, 4),
					    .state = db_text(st, 5),
					    .created = sqlite3_column_int64(st, 6)};
		if (fn(&c, ud))
			return 0;
		rc = 0;
	}
	return rc;
}

struct snapshot_box {
	struct store_snapshot sn;
	struct arena *arena;
};

void store_snapshot_free(struct store_snapshot *sn)
{
	if (!sn)
		return;
	struct snapshot_box *box = CONTAINER_OF(sn, struct snapshot_box, sn);

	arena_free(box->arena);
	free(box);
}

/* Walk the parents from the top layer down. */
static int fill_lower(struct store *s, struct snapshot_box *box, int64_t top, struct err *e)
{
	struct store_snapshot *sn = &box->sn;

	sn->layers_dir = s->layers;
	sn->lower = arena_alloc(box->arena, (LOWER_MAX + 1) * sizeof(char *));
	for (int64_t id = top; id;) {
		AUTO_STMT sqlite3_stmt *st = db_bind(
			s, e, "SELECT parent, broken FROM layers WHERE id = ?", "i", id);
		int rc = st ? db_step(s, st, e) : -1;

		if (rc < 0)
			return -1;
		if (rc == 0)
			return err_set(e, ERR_BUG, "layer %lld is missing", (long long)id);
		if (sqlite3_column_int(st, 1))
			return err_set(e, ERR_SYSTEM,
				       "layer %lld of the image is damaged: \"coracle system fsck "
				       "--repair\" or another pull makes it again",
				       (long long)id);
		if (sn->nlower == LOWER_MAX)
			return err_set(e, ERR_LIMIT, "the image has more than %d layers",
				       LOWER_MAX);
		sn->lower[sn->nlower++] = arena_printf(box->arena, "%lld/diff", (long long)id);
		id = sqlite3_column_int64(st, 0);
	}
	return 0;
}

static struct snapshot_box *box_new(void)
{
	struct snapshot_box *box = NEW(struct snapshot_box);

	box->arena = arena_new();
	return box;
}

int store_snapshot_get(struct store *s, const char *container_id, struct store_snapshot **ret,
		       struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT top FROM snapshots WHERE container = ?",
					     "s", container_id);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "container %s has no root file system",
			       container_id);
	struct snapshot_box *box = box_new();
	AUTO(store_snapshot) struct store_snapshot *sn = &box->sn;
	if (fill_lower(s, box, sqlite3_column_int64(st, 0), e) < 0)
		return -1;
	sn->upper = arena_printf(box->arena, "%s/%s/upper", s->containers, container_id);
	sn->work = arena_printf(box->arena, "%s/%s/work", s->containers, container_id);
	*ret = TAKE_PTR(sn);
	return 0;
}

int store_snapshot_of_image(struct store *s, const struct digest *image,
			    struct store_snapshot **ret, struct err *e)
{
	int64_t top = 0;

	if (top_layer(s, image, &top, e) < 0)
		return -1;
	struct snapshot_box *box = box_new();
	AUTO(store_snapshot) struct store_snapshot *sn = &box->sn;
	if (fill_lower(s, box, top, e) < 0)
		return -1;
	*ret = TAKE_PTR(sn);
	return 0;
}

/* The layer that a query gives, and all below it. */
#define BELOW(top)                                                                                 \
	"WITH RECURSIVE below(id, parent) AS (SELECT id, parent FROM layers WHERE id = (" top      \
	") UNION SELECT l.id, l.parent FROM layers l JOIN below b ON l.id = b.parent) "            \
	"SELECT id FROM below"

bool store_rests_on(struct store *s, const char *container_id, const struct digest *image,
		    bool (*fn)(void *ud, int64_t layer), void *ud)
{
	struct err none = ERR_INIT;
	AUTO_STMT sqlite3_stmt *st =
		image ? db_bind(s, &none,
				BELOW("SELECT layer FROM image_layers WHERE image = ? "
				      "ORDER BY pos DESC LIMIT 1"),
				"s", image->text)
		      : db_bind(s, &none, BELOW("SELECT top FROM snapshots WHERE container = ?"),
				"s", container_id);

	while (st && db_step(s, st, &none) > 0)
		if (fn(ud, sqlite3_column_int64(st, 0)))
			return true;
	return false;
}
