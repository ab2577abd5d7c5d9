/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of images: one query over images and refs, nothing parsed. */
#include "store/store-priv.h"

#include <string.h>

#include "base/banned.h"

struct rows {
	struct store_image_row row;
	char *labels, *parent;
	char **refs; /* of the row, owned */
	const char **tags, **digests;
	size_t n, cap;
	bool any;
};

static void forget(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->refs[i]);
	free(r->labels);
	free(r->parent);
	r->labels = r->parent = NULL;
	r->n = 0;
}

static int tell(struct rows *r, store_image_row_fn fn, void *ud)
{
	int rc;

	if (!r->any)
		return 0;
	r->row.tags = r->tags;
	r->row.digests = r->digests;
	r->row.labels = r->labels;
	r->row.parent = r->parent;
	rc = fn(&r->row, ud);
	forget(r);
	return rc;
}

static void begin(struct rows *r, sqlite3_stmt *st)
{
	r->any = true;
	r->row = (struct store_image_row){.size = (uint64_t)sqlite3_column_int64(st, 1),
					  .stored = sqlite3_column_int64(st, 2),
					  .created = sqlite3_column_int64(st, 3),
					  .nalso = (size_t)sqlite3_column_int64(st, 7)};
	(void)digest_parse(db_text(st, 0), &r->row.id);
	r->labels = xstrdup(db_text(st, 4));
	r->parent = xstrdup(db_text(st, 5));
}

static void add_ref(struct rows *r, const char *ref)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 8;
		r->refs = xrealloc(r->refs, r->cap * sizeof(*r->refs));
		r->tags = xrealloc(r->tags, r->cap * sizeof(*r->tags));
		r->digests = xrealloc(r->digests, r->cap * sizeof(*r->digests));
	}
	char *copy = xstrdup(ref);
	r->refs[r->n++] = copy;
	if (strchr(copy, '@'))
		r->digests[r->row.ndigests++] = copy;
	else
		r->tags[r->row.ntags++] = copy;
}

int store_image_rows(struct store *s, store_image_row_fn fn, void *ud, struct err *e)
{
	AUTO_STMT sqlite3_stmt *st = db_bind(
		s, e,
		"SELECT i.id, i.size, i.stored, i.created, i.labels, i.parent, r.ref, (SELECT "
		"count(*) FROM ref_others o WHERE o.image = i.id) FROM images i "
		"LEFT JOIN refs r ON r.image = i.id ORDER BY i.stored DESC, i.id, r.ref",
		"");
	struct rows r = {.n = 0};
	bool stopped = false;
	int rc = st ? 0 : -1;

	while (!stopped && rc == 0 && (rc = db_step(s, st, e)) > 0) {
		rc = 0;
		if (!r.any || strcmp(r.row.id.text, db_text(st, 0)) != 0) {
			stopped = tell(&r, fn, ud) != 0;
			if (!stopped)
				begin(&r, st);
		}
		if (!stopped && *db_text(st, 6))
			add_ref(&r, db_text(st, 6));
	}
	if (rc == 0 && !stopped)
		(void)tell(&r, fn, ud);
	forget(&r);
	free(r.refs);
	free(r.tags);
	free(r.digests);
	return rc;
}

int store_image_facts(struct store *s, const struct digest *id, int64_t created, const char *labels,
		      const char *parent, struct err *e)
{
	return db_run(s, NULL, e,
		      "UPDATE images SET created = ?, labels = ?, parent = ? WHERE id = ?", "isss",
		      created, labels, parent, id->text);
}
