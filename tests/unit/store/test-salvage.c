/* SPDX-License-Identifier: Apache-2.0 */
/* A state database with damaged pages: every row of the other pages is in the new one, deleted rows
 * stay deleted, no folder is lost. */
#include "fixture.h"

#include <sqlite3.h>

#define PAGE	   4096
#define CONTAINERS 60

static void container_id(int i, char ret[static STORE_ID_LEN + 1])
{
	snprintf(ret, STORE_ID_LEN + 1, "%064x", 0x1000 + i);
}

static void add_containers(const struct fixture *f)
{
	char id[STORE_ID_LEN + 1], name[16], config[1200];

	memset(config, ' ', sizeof(config));
	config[0] = '{';
	config[sizeof(config) - 2] = '}';
	config[sizeof(config) - 1] = '\0';
	for (int i = 0; i < CONTAINERS; i++) {
		container_id(i, id);
		snprintf(name, sizeof(name), "c%d", i);
		struct store_container c = {.id = id,
					    .name = name,
					    .image_id = "",
					    .config = config,
					    .hostconfig = "{}",
					    .state = "{}",
					    .created = i};
		OK(store_container_insert(f->s, &c, NULL, &e));
	}
	for (int i = 0; i < 5; i++) {
		container_id(i, id);
		OK(store_container_delete(f->s, id, &e));
	}
}

/* The root page of a table. */
static int root_of(const struct fixture *f, const char *table)
{
	AUTO_FREE char *path = xasprintf("%s/state.db", f->data);
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?",
					    -1, &st, NULL),
			 SQLITE_OK);
	sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	int root = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return root;
}

static void overwrite(const struct fixture *f, int page)
{
	AUTO_FREE char *path = xasprintf("%s/state.db", f->data);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	char rubbish[PAGE];

	memset(rubbish, 0xa5, sizeof(rubbish));
	assert_int_equal(pwrite(fd, rubbish, PAGE, (off_t)(page - 1) * PAGE), PAGE);
}

/* What a program that met the damage leaves. */
static void mark(const struct fixture *f)
{
	AUTO_FREE char *path = xasprintf("%s/state.db.salvage", f->data);

	assert_int_equal(fs_write_atomic(AT_FDCWD, path, "", 0, 0600, false), 0);
}

static int count(const struct store_container *c, void *ud)
{
	size_t *n = ud;

	assert_int_equal(strlen(c->config), 1199);
	assert_true(c->created >= 5); /* the deleted ones stay away */
	(*n)++;
	return 0;
}

static size_t containers(const struct fixture *f)
{
	size_t n = 0;

	OK(store_container_each(f->s, count, &n, &e));
	return n;
}

static size_t folders(const struct fixture *f, const char *dir)
{
	char id[STORE_ID_LEN + 1];
	size_t n = 0;

	for (int i = 0; i < CONTAINERS; i++) {
		container_id(i, id);
		AUTO_FREE char *path = xasprintf("%s/%s/%s", f->data, dir, id);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void damage(struct fixture *f, int page)
{
	store_close(f->s);
	f->s = NULL;
	overwrite(f, page);
	mark(f);
	OK(store_open(f->data, f->run, &f->s, &e));
}

/* The root of the containers is an interior page: all leaves are still there. */
static void test_interior_page(void **state)
{
	struct fixture *f = *state;
	struct digest img = add_image(f, "i"), is;

	OK(store_ref_set(f->s, "docker.io/library/i:1", &img, &e));
	add_containers(f);
	store_close(f->s);
	int root = root_of(f, "containers");
	f->s = NULL;
	OK(store_open(f->data, f->run, &f->s, &e));
	damage(f, root);
	const struct store_repair *r = store_repair_report(f->s);
	assert_true(str_starts(r->kept, "state.db.damaged-"));
	assert_int_equal(r->containers_kept, 0);
	assert_int_equal(containers(f), CONTAINERS - 5);
	OK(store_ref_get(f->s, "docker.io/library/i:1", &is, &e));
	assert_string_equal(is.text, img.text);
	AUTO_FREE char *kept = xasprintf("%s/%s", f->data, r->kept);
	assert_int_equal(access(kept, R_OK), 0);
	reopen(f); /* the new one is sound: nothing is salvaged again */
	assert_string_equal(store_repair_report(f->s)->kept, "");
	assert_int_equal(containers(f), CONTAINERS - 5);
}

/* Page 1 has the schema and the header: SQLite itself sees no database any more. */
static void test_first_page(void **state)
{
	struct fixture *f = *state;

	add_containers(f);
	damage(f, 1);
	assert_true(store_repair_report(f->s)->rows_salvaged >= CONTAINERS - 5);
	assert_true(containers(f) >= CONTAINERS - 5);
	assert_int_equal(folders(f, "containers"), CONTAINERS - 5);
}

/* A leaf: the containers in it are lost, their folders are not. */
static void test_leaf_page(void **state)
{
	struct fixture *f = *state;

	add_containers(f);
	store_close(f->s);
	f->s = NULL;
	AUTO_FREE char *path = xasprintf("%s/state.db", f->data);
	AUTO_BUF struct buf text = BUF_INIT(16u << 20);
	assert_int_equal(fs_read_path(path, &text), 0);
	size_t page = 0;
	const char *id = "000000000000000000000000000000000000000000000000000000001025";
	for (size_t at = 0; !page && at + PAGE <= text.n; at += PAGE)
		if (text.p[at] == 13 && memmem(text.p + at, PAGE, id, strlen(id)))
			page = at / PAGE + 1;
	assert_true(page > 0);
	damage(f, (int)page);
	const struct store_repair *r = store_repair_report(f->s);
	size_t left = containers(f);
	AUTO_FREE char *kept = xasprintf("%s.containers", r->kept);
	assert_true(left < CONTAINERS - 5 && left > CONTAINERS / 2);
	assert_int_equal(r->containers_kept, CONTAINERS - 5 - left);
	assert_int_equal(folders(f, "containers"), left);
	assert_int_equal(folders(f, kept), CONTAINERS - 5 - left);
}

/* Rubbish of any kind is passed over. */
static void test_all_rubbish(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 7;

	add_containers(f);
	for (int round = 0; round < 20; round++) {
		store_close(f->s);
		f->s = NULL;
		AUTO_FREE char *path = xasprintf("%s/state.db", f->data);
		AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
		struct stat st;
		assert_int_equal(fstat(fd, &st), 0);
		for (int i = 0; i < 200; i++) {
			char c = (char)rand_r(&seed);
			off_t at = rand_r(&seed) % st.st_size;
			if (at < 60 || at >= 64) /* the version: another would be refused */
				assert_int_equal(pwrite(fd, &c, 1, at), 1);
		}
		mark(f);
		OK(store_open(f->data, f->run, &f->s, &e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_interior_page, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_first_page, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_leaf_page, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_all_rubbish, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
