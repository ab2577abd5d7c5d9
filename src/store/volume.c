/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes: data/volumes/NAME/_data and a row. Also the small documents of other modules. */
#include "store/store-priv.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define NAME_LEN_MAX 255

void store_volume_free(struct store_volume *v)
{
	free(v);
}

int store_volume_name_check(const char *name, struct err *e)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char more[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);

	if (n == 1)
		return err_set(e, ERR_INVALID,
			       "volume name is too short, names should be at least two "
			       "alphanumeric characters");
	if (!n || n > NAME_LEN_MAX || !strchr(first, name[0]) || strspn(name, more) != n)
		return err_set(e, ERR_INVALID,
			       "create %s: \"%s\" includes invalid characters for a local volume "
			       "name, only "
			       "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass "
			       "a host directory, use "
			       "absolute path",
			       name, name);
	return 0;
}

static const char * or (const char *s, const char *otherwise)
{
	return s && *s ? s : otherwise;
}

static char *put(char **at, const char *s)
{
	char *p = *at;
	size_t n = strlen(s) + 1;

	memcpy(p, s, n);
	*at = p + n;
	return p;
}

/* One allocation holds the struct and its texts. */
static struct store_volume *volume_new(struct store *s, const struct store_volume *v)
{
	AUTO_FREE char *mountpoint = xasprintf("%s/%s/_data", s->volumes, v->name);
	size_t n = sizeof(*v) + strlen(v->name) + strlen(v->driver) + strlen(v->labels) +
		   strlen(v->options) + strlen(mountpoint) + 5;
	struct store_volume *r = xmalloc(n);
	char *at = (char *)(r + 1);

	*r = *v;
	r->name = put(&at, v->name);
	r->driver = put(&at, v->driver);
	r->labels = put(&at, v->labels);
	r->options = put(&at, v->options);
	r->mountpoint = put(&at, mountpoint);
	return r;
}

static struct store_volume *from_row(struct store *s, sqlite3_stmt *st)
{
	struct store_volume v = {.name = db_text(st, 0),
				 .driver = db_text(st, 1),
				 .labels = db_text(st, 2),
				 .options = db_text(st, 3),
				 .created = sqlite3_column_int64(st, 4),
				 .anonymous = sqlite3_column_int(st, 5)};
	return volume_new(s, &v);
}

int store_volume_get(struct store *s, const char *name, struct store_volume **ret, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e,
					     "SELECT name, driver, labels, options, created, "
					     "anonymous FROM volumes WHERE name = ?",
					     "s", name);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "get %s: no such volume", name);
	*ret = from_row(s, st);
	return 0;
}

static int make_dirs(struct store *s, const char *name, struct err *e)
{
	if (mkdirat(s->volumes_fd, name, 0711) < 0 && errno != EEXIST)
		return err_sys(e, -errno, "make volume %s", name);
	AUTO_FD int dir = openat(s->volumes_fd, name,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || (mkdirat(dir, "_data", 0755) < 0 && errno != EEXIST))
		return err_sys(e, -errno, "make volume %s", name);
	if (fsync(dir) < 0 || fsync(s->volumes_fd) < 0)
		return err_sys(e, -errno, "fsync of volume %s", name);
	return 0;
}

/* Of one that was not made in the end; what is not empty is somebody's and stays. */
static void unmake_dirs(struct store *s, const char *name)
{
	AUTO_FD int dir = openat(s->volumes_fd, name,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir >= 0)
		unlinkat(dir, "_data", AT_REMOVEDIR);
	unlinkat(s->volumes_fd, name, AT_REMOVEDIR);
}

static int insert(struct store *s, const struct store_volume *v, struct err *e)
{
	if (tx_begin(s, true, e) < 0)
		return -1;
	if (db_run(s, NULL, e,
		   "INSERT INTO volumes(name, driver, labels, options, created, anonymous) "
		   "VALUES(?, ?, ?, ?, ?, ?)",
		   "ssssii", v->name, v->driver, v->labels, v->options, v->created,
		   (int64_t)v->anonymous) < 0) {
		tx_rollback(s);
		return -1;
	}
	return tx_commit(s, e);
}

static bool has_options(const char *json)
{
	return strcmp(json, "null") != 0 && strcmp(json, "{}") != 0;
}

int store_volume_create(struct store *s, const struct store_volume *in, struct store_volume **ret,
			bool *ret_created, struct err *e)
{
	AUTO(store_volume) struct store_volume *old = NULL;
	struct store_volume v = *in;
	struct err why = ERR_INIT;
	bool created = false;

	v.driver = or (v.driver, "local");
	v.labels = or (v.labels, "null");
	v.options = or (v.options, "null");
	v.created = v.created ? v.created : clock_now_ns();
	if (store_volume_name_check(v.name, e) < 0)
		return -1;
	if (store_volume_get(s, v.name, &old, &why) == 0) {
		if (strcmp(old->driver, v.driver) != 0)
			return err_set(
				e, ERR_CONFLICT,
				"volume \"%s\" already exists with driver \"%s\", not \"%s\"",
				v.name, old->driver, v.driver);
		if (has_options(v.options) && strcmp(old->options, v.options) != 0)
			return err_set(e, ERR_CONFLICT,
				       "volume \"%s\" already exists with other options", v.name);
	} else {
		if (make_dirs(s, v.name, e) < 0 || insert(s, &v, e) < 0) {
			unmake_dirs(s, v.name);
			return -1;
		}
		created = true;
	}
	if (ret)
		*ret = old ? TAKE_PTR(old) : volume_new(s, &v);
	if (ret_created)
		*ret_created = created;
	return 0;
}

static int remove_volume(struct store *s, const char *name, struct err *e)
{
	int n = 0;

	if (tx_begin(s, true, e) < 0)
		return -1;
	if (db_run(s, &n, e, "DELETE FROM volumes WHERE name = ?", "s", name) < 0) {
		tx_rollback(s);
		return -1;
	}
	/* Directory first: a volume without row would be adopted again by repair. Without directory
	 * it is made anew. */
	if (n > 0 && trash_move(s, s->volumes_fd, name, e) < 0) {
		tx_rollback(s);
		return -1;
	}
	if (tx_commit(s, e) < 0)
		return -1;
	return n > 0 ? 0 : err_set(e, ERR_NOT_FOUND, "get %s: no such volume", name);
}

int store_volume_remove(struct store *s, const char *name, struct err *e)
{
	int rc = remove_volume(s, name, e);

	if (rc < 0 && store_release_reserve(s, e)) {
		err_clear(e);
		rc = remove_volume(s, name, e);
	}
	return rc;
}

int store_volume_each(struct store *s, store_volume_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e,
					     "SELECT name, driver, labels, options, created, "
					     "anonymous FROM volumes ORDER BY name",
					     "");
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		AUTO(store_volume) struct store_volume *v = from_row(s, st);

		if (fn(v, ud))
			return 0;
		rc = 0;
	}
	return rc;
}

int store_doc_put(struct store *s, const char *kind, const char *key, const char *json,
		  struct err *e)
{
	return db_run(s, NULL, e, "INSERT OR REPLACE INTO docs(kind, key, json) VALUES(?, ?, ?)",
		      "sss", kind, key, json);
}

int store_doc_get(struct store *s, const char *kind, const char *key, char **ret, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT json FROM docs WHERE kind = ? AND key = ?", "ss", kind, key);
	int rc = st ? db_step(s, st, e) : -1;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "no %s \"%s\"", kind, key);
	*ret = xstrdup(db_text(st, 0));
	return 0;
}

int store_doc_del(struct store *s, const char *kind, const char *key, struct err *e)
{
	return db_run(s, NULL, e, "DELETE FROM docs WHERE kind = ? AND key = ?", "ss", kind, key);
}

int store_doc_each(struct store *s, const char *kind, store_doc_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT key, json FROM docs WHERE kind = ? ORDER BY key", "s", kind);
	int rc = st ? 0 : -1;

	while (rc == 0 && (rc = db_step(s, st, e)) > 0) {
		if (fn(db_text(st, 0), db_text(st, 1), ud))
			return 0;
		rc = 0;
	}
	return rc;
}
