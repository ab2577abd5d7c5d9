/* SPDX-License-Identifier: Apache-2.0 */
/* Names with targets and several images; a database from before there were any. */
#include "fixture.h"

#include <sqlite3.h>

#include "base/banned.h"

#define NAME   "docker.io/library/r:1"
#define OTHER  "docker.io/library/r:2"
#define DIGEST "docker.io/library/r@"

static struct digest target(const char *text)
{
	struct digest d;

	digest_of(text, strlen(text), &d);
	return d;
}

static void images_are(struct fixture *f, const char *ref, const struct digest *v, size_t n)
{
	AUTO_FREE struct digest *is = NULL;
	size_t count = 0;

	OK(store_ref_images(f->s, ref, &is, &count, &e));
	assert_int_equal(count, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(is[i].text, v[i].text);
}

static void test_join(void **state)
{
	struct fixture *f = *state;
	struct digest a = add_image(f, "a"), b = add_image(f, "b"), c = add_image(f, "c");
	struct digest t = target("t"), u = target("u"), is;
	AUTO(store_image) struct store_image *img = NULL;

	OK(store_ref_join(f->s, NAME, &a, &t, true, &e));
	OK(store_ref_join(f->s, NAME, &b, &t, false, &e));
	images_are(f, NAME, (struct digest[]){a, b}, 2);
	OK(store_ref_join(f->s, NAME, &b, &t, true, &e)); /* it becomes the first */
	OK(store_ref_join(f->s, NAME, &c, &t, false, &e));
	images_are(f, NAME, (struct digest[]){b, c, a}, 3);
	assert_true(store_ref_target(f->s, NAME, &is) && digest_eq(&is, &t));
	OK(store_ref_copy(f->s, NAME, OTHER, &e));
	OK(store_image_get(f->s, &a, &img, &e));
	assert_int_equal(img->ntags, 0);
	assert_int_equal(img->nalso, 2);
	assert_int_equal(img->nindexes, 1);
	assert_string_equal(img->indexes[0].text, t.text);

	/* Another target: the name has one image again, its copy stays what it was. */
	OK(store_ref_join(f->s, NAME, &a, &u, false, &e));
	images_are(f, NAME, &a, 1);
	images_are(f, OTHER, (struct digest[]){b, c, a}, 3);
	OK(store_ref_set(f->s, OTHER, &c, &e)); /* without a target */
	images_are(f, OTHER, &c, 1);
	assert_false(store_ref_target(f->s, OTHER, &is));
	OK(store_ref_join(f->s, OTHER, &a, NULL, false, &e)); /* none is like none */
	images_are(f, OTHER, &a, 1);
}

static void test_leave(void **state)
{
	struct fixture *f = *state;
	struct digest a = add_image(f, "a"), b = add_image(f, "b"), t = target("t");
	AUTO_FREE struct digest *v = NULL;
	size_t n;

	OK(store_ref_join(f->s, NAME, &a, &t, true, &e));
	OK(store_ref_join(f->s, NAME, &b, &t, false, &e));
	OK(store_ref_step_down(f->s, &a, &e));
	images_are(f, NAME, &b, 1);
	OK(store_ref_step_down(f->s, &b, &e)); /* nobody else: it stays */
	images_are(f, NAME, &b, 1);
	OK(store_ref_join(f->s, NAME, &a, &t, false, &e));
	OK(store_image_delete(f->s, &a, NULL, NULL, NULL, &e));
	images_are(f, NAME, &b, 1);
	a = add_image(f, "a");
	OK(store_ref_join(f->s, NAME, &a, &t, false, &e));
	reopen(f);
	images_are(f, NAME, (struct digest[]){b, a}, 2);
	OK(store_ref_del(f->s, NAME, NULL, &e));
	FAILS(store_ref_images(f->s, NAME, &v, &n, &e), ERR_NOT_FOUND);
	OK(store_ref_join(f->s, NAME, &b, &t, true, &e)); /* nothing of the former is left */
	images_are(f, NAME, &b, 1);
}

static void sql(const struct fixture *f, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/state.db", f->data);
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* Version 3 had no targets: those of the digests are known, and the tags' by them. */
static void test_old_schema(void **state)
{
	struct fixture *f = *state;
	struct digest a = add_image(f, "a"), t = target("t"), is;
	AUTO_FREE char *by_digest = xasprintf("%s%s", DIGEST, t.text);

	OK(store_ref_set(f->s, NAME, &a, &e));
	OK(store_ref_set(f->s, by_digest, &a, &e));
	store_close(f->s);
	f->s = NULL;
	sql(f, "DROP TABLE ref_others; DROP INDEX images_manifest; ALTER TABLE refs DROP COLUMN "
	       "target; PRAGMA user_version = 3;");
	OK(store_open(f->data, f->run, &f->s, &e));
	assert_true(store_ref_target(f->s, by_digest, &is) && digest_eq(&is, &t));
	assert_true(store_ref_target(f->s, NAME, &is) && digest_eq(&is, &t));
	images_are(f, NAME, &a, 1);
}

/* A damaged database gives back which images a name has. */
static void test_salvage(void **state)
{
	struct fixture *f = *state;
	struct digest a = add_image(f, "a"), b = add_image(f, "b"), t = target("t"), is;
	char rubbish[20] = {0};

	OK(store_ref_join(f->s, NAME, &a, &t, true, &e));
	OK(store_ref_join(f->s, NAME, &b, &t, false, &e));
	store_close(f->s);
	f->s = NULL;
	AUTO_FREE char *path = xasprintf("%s/state.db", f->data);
	AUTO_FREE char *mark = xasprintf("%s/state.db.salvage", f->data);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	AUTO_FD int mark_fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, rubbish, sizeof(rubbish), 0), sizeof(rubbish));
	OK(store_open(f->data, f->run, &f->s, &e));
	assert_true(str_starts(store_repair_report(f->s)->kept, "state.db.damaged-"));
	images_are(f, NAME, (struct digest[]){a, b}, 2);
	assert_true(store_ref_target(f->s, NAME, &is) && digest_eq(&is, &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_join, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_leave, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_old_schema, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_salvage, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
