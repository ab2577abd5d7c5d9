/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images. A row of `refs` is a name with its target and its first image; `ref_others` has
 * the images of further platforms of the same target.
 */
#include "store/store-priv.h"

#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

struct ref_row {
	struct digest image, target; /* target unset: none */
};

/* 1: found, 0: there is none. */
static int get_row(struct store *s, const char *ref, struct ref_row *ret, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(s, e, "SELECT image, target FROM refs WHERE ref = ?",
					     "s", ref);
	int rc = st ? db_step(s, st, e) : -1;

	*ret = (struct ref_row){0};
	if (rc <= 0)
		return rc;
	(void)digest_parse(db_text(st, 1), &ret->target);
	return digest_parse(db_text(st, 0), &ret->image) == 0;
}

static int put_row(struct store *s, const char *ref, const struct digest *image,
		   const struct digest *target, struct err *e)
{
	return db_run(s, NULL, e, "INSERT OR REPLACE INTO refs(ref, image, target) VALUES(?, ?, ?)",
		      "sss", ref, image->text, target ? target->text : "");
}

static int add_other(struct store *s, const char *ref, const struct digest *image, struct err *e)
{
	return db_run(s, NULL, e,
		      "INSERT OR REPLACE INTO ref_others(ref, image, added) VALUES(?, ?, ?)", "ssi",
		      ref, image->text, clock_now_ns());
}

static int drop_other(struct store *s, const char *ref, const struct digest *image, struct err *e)
{
	return db_run(s, NULL, e, "DELETE FROM ref_others WHERE ref = ? AND image = ?", "ss", ref,
		      image->text);
}

static int drop_others(struct store *s, const char *ref, struct err *e)
{
	return db_run(s, NULL, e, "DELETE FROM ref_others WHERE ref = ?", "s", ref);
}

static int end(struct store *s, int rc, struct err *e)
{
	if (rc == 0)
		return tx_commit(s, e);
	tx_rollback(s);
	return -1;
}

static int join(struct store *s, const char *ref, const struct digest *image,
		const struct digest *target, bool first, struct err *e)
{
	struct ref_row old;
	int rc = get_row(s, ref, &old, e);

	if (rc < 0)
		return -1;
	bool same = rc > 0 && target && digest_is_set(target) && digest_eq(&old.target, target);
	if (!same)
		rc = drop_others(s, ref, e);
	else if (digest_eq(&old.image, image))
		return 0;
	else if (!first)
		return add_other(s, ref, image, e);
	else
		rc = add_other(s, ref, &old.image, e) < 0 ? -1 : drop_other(s, ref, image, e);
	return rc < 0 ? -1 : put_row(s, ref, image, target, e);
}

int store_ref_join(struct store *s, const char *ref, const struct digest *image,
		   const struct digest *target, bool first, struct err *e)
{
	size_t n = 0;

	if (db_count(s, "SELECT count(*) FROM images WHERE id = ?", image->text, &n, e) < 0)
		return -1;
	if (!n)
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", image->text);
	if (tx_begin(s, true, e) < 0)
		return -1;
	return end(s, join(s, ref, image, target, first, e), e);
}

int store_ref_set(struct store *s, const char *ref, const struct digest *image, struct err *e)
{
	return store_ref_join(s, ref, image, NULL, true, e);
}

static int copy(struct store *s, const char *from, const char *to, struct err *e)
{
	struct ref_row row;
	int rc = get_row(s, from, &row, e);

	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", from);
	if (rc < 0 || drop_others(s, to, e) < 0 || put_row(s, to, &row.image, &row.target, e) < 0)
		return -1;
	return db_run(s, NULL, e,
		      "INSERT INTO ref_others(ref, image, added) SELECT ?, image, added FROM "
		      "ref_others WHERE ref = ?",
		      "ss", to, from);
}

int store_ref_copy(struct store *s, const char *from, const char *to, struct err *e)
{
	if (!strcmp(from, to))
		return 0;
	if (tx_begin(s, true, e) < 0)
		return -1;
	return end(s, copy(s, from, to, e), e);
}

int store_ref_get(struct store *s, const char *ref, struct digest *ret_image, struct err *e)
{
	struct ref_row row;
	int rc = get_row(s, ref, &row, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", ref);
	*ret_image = row.image;
	return 0;
}

bool store_ref_target(struct store *s, const char *ref, struct digest *ret)
{
	struct err none = ERR_INIT;
	struct ref_row row;

	if (get_row(s, ref, &row, &none) <= 0 || !digest_is_set(&row.target))
		return false;
	*ret = row.target;
	return true;
}

int store_ref_images(struct store *s, const char *ref, struct digest **ret, size_t *ret_n,
		     struct err *e)
{
	struct ref_row row;
	size_t n = 0, got = 1;
	int rc = get_row(s, ref, &row, e);

	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", ref);
	if (rc < 0 || db_count(s, "SELECT count(*) FROM ref_others WHERE ref = ?", ref, &n, e) < 0)
		return -1;
	AUTO_FREE struct digest *v = xcalloc(n + 1, sizeof(*v));
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e, "SELECT image FROM ref_others WHERE ref = ? ORDER BY added DESC, image", "s",
		ref);
	v[0] = row.image;
	rc = st ? 0 : -1;
	while (rc == 0 && got <= n && (rc = db_step(s, st, e)) > 0)
		rc = digest_parse(db_text(st, 0), &v[got++]) < 0 ? -1 : 0;
	if (rc < 0)
		return -1;
	*ret = TAKE_PTR(v);
	*ret_n = got;
	return 0;
}

int store_ref_del(struct store *s, const char *ref, struct digest *ret_image, struct err *e)
{
	struct digest image;

	if (store_ref_get(s, ref, &image, e) < 0 || tx_begin(s, true, e) < 0)
		return -1;
	int rc = db_run(s, NULL, e, "DELETE FROM refs WHERE ref = ?", "s", ref);
	if (end(s, rc ? rc : drop_others(s, ref, e), e) < 0)
		return -1;
	if (ret_image)
		*ret_image = image;
	return 0;
}

int store_ref_step_down(struct store *s, const struct digest *image, struct err *e)
{
	int rc = tx_begin(s, true, e);

	if (rc < 0)
		return -1;
	rc = db_run(s, NULL, e,
		    "UPDATE refs SET image = (SELECT o.image FROM ref_others o WHERE o.ref = "
		    "refs.ref ORDER BY o.added DESC, o.image LIMIT 1) WHERE image = ? AND ref IN "
		    "(SELECT ref FROM ref_others)",
		    "s", image->text);
	if (rc == 0)
		rc = db_run(s, NULL, e,
			    "DELETE FROM ref_others WHERE EXISTS (SELECT 1 FROM refs r WHERE r.ref "
			    "= ref_others.ref AND r.image = ref_others.image)",
			    "");
	return end(s, rc, e);
}

int ref_forget_image(struct store *s, const char *image, struct err *e)
{
	static const char *const steps[] = {
		"DELETE FROM ref_others WHERE ref IN (SELECT ref FROM refs WHERE image = ?)",
		"DELETE FROM ref_others WHERE image = ?", "DELETE FROM refs WHERE image = ?"};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (db_run(s, NULL, e, steps[i], "s", image) < 0)
			return -1;
	return 0;
}
