/* SPDX-License-Identifier: Apache-2.0 */
/* What store_open() does about every disagreement of database and disk, and a store killed in the
 * middle of its work. */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static void make(const struct fixture *f, const char *path)
{
	AUTO_FREE char *whole = xasprintf("%s/%s", f->data, path);

	assert_true(fs_mkdirs(whole, 0755) >= 0);
}

static void drop(const struct fixture *f, const char *path)
{
	AUTO_FREE char *whole = xasprintf("%s/%s", f->data, path);

	assert_int_equal(fs_remove_tree(AT_FDCWD, whole), 0);
}

static void put_file(const struct fixture *f, const char *path)
{
	AUTO_FREE char *whole = xasprintf("%s/%s", f->data, path);

	assert_int_equal(fs_write_atomic(AT_FDCWD, whole, "x", 1, 0600, false), 0);
}

static void test_orphans(void **state)
{
	struct fixture *f = *state;
	struct digest img = add_image(f, "i");
	char partial[] =
		"ingest/0123456789012345678901234567890123456789012345678901234567890123.partial";
	const struct store_repair *r;

	make(f, "layers/77/diff");
	make(f, "layers/tmp-1/diff");
	make(f, "containers/feed");
	make(f, "volumes/kept/_data");
	make(f, "volumes/half");
	put_file(f, partial);
	put_file(f, "ingest/s-1.4");
	put_file(f, "blobs/sha256/.tmp");
	reopen(f);
	r = store_repair_report(f->s);
	assert_int_equal(r->layers_orphan, 2);
	assert_int_equal(r->containers_orphan, 1);
	assert_int_equal(r->volumes_orphan, 1);
	assert_int_equal(r->ingest_stale, 1);
	assert_int_equal(r->blobs_lost, 1);
	assert_false(on_disk(f, "layers/77") || on_disk(f, "layers/tmp-1") ||
		     on_disk(f, "containers/feed"));
	assert_true(on_disk(f, partial) && on_disk(f, "volumes/kept/_data"));
	assert_false(on_disk(f, "volumes/half"));
	AUTO(store_volume) struct store_volume *v = NULL;
	OK(store_volume_get(f->s, "kept", &v, &e));
	assert_int_equal(store_image_count(f->s), 1);
	assert_true(store_blob_has(f->s, &img, NULL));
	reopen(f);
	assert_int_equal(store_repair_report(f->s)->layers_orphan, 0);
}

static void test_lost_files(void **state)
{
	struct fixture *f = *state;
	struct digest img = add_image(f, "i"), got, base;
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	const struct store_volume v = {.name = "vol"};
	const struct store_repair *r;
	char id[65], path[100];

	OK(store_ref_set(f->s, "x:1", &img, &e));
	OK(store_volume_create(f->s, &v, NULL, NULL, &e));
	make_id('c', id);
	OK(add_container(f, id, "one", NULL, &e));
	snprintf(path, sizeof(path), "containers/%s", id);
	drop(f, path);
	drop(f, "layers/1");
	drop(f, "volumes/vol");
	reopen(f);
	r = store_repair_report(f->s);
	assert_int_equal(r->layers_lost, 1); /* named as broken; its image can be repaired */
	assert_int_equal(r->layers_orphan, 0);
	assert_int_equal(store_image_count(f->s), 1);
	FAILS(store_snapshot_of_image(f->s, &img, &sn, &e), ERR_SYSTEM);
	assert_int_equal(r->containers_half, 1);
	assert_int_equal(r->volumes_lost, 1);
	assert_true(on_disk(f, "volumes/vol/_data"));
	OK(store_ref_get(f->s, "x:1", &got, &e));
	base = digest_text("base");
	assert_false(store_layer_has(f->s, &base));
	(void)add_layer(f, NULL, "base"); /* another pull */
	assert_true(store_layer_has(f->s, &base) && on_disk(f, "layers/1/diff/file"));
	OK(store_snapshot_of_image(f->s, &img, &sn, &e));
	FAILS(store_container_find(f->s, "one", path, &e), ERR_NOT_FOUND);
}

/* Works until it is killed; says on fd which rounds it finished. */
static _Noreturn void work(struct fixture *f, int fd)
{
	for (unsigned i = 1;; i++) {
		char own[32], id[65], name[32];
		struct err e = ERR_INIT;

		snprintf(own, sizeof(own), "round%u", i);
		snprintf(id, sizeof(id), "%064x", i);
		snprintf(name, sizeof(name), "c%u", i);
		struct digest img = add_image(f, own);
		if (add_container(f, id, name, &img, &e) < 0 ||
		    write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(3);
		if (i > 3) {
			snprintf(id, sizeof(id), "%064x", i - 3);
			if (store_container_delete(f->s, id, &e) < 0)
				_exit(4);
		}
	}
}

static void check_after_kill(struct fixture *f, unsigned done)
{
	char found[65], name[32];

	/* Acknowledged and not deleted since. */
	for (unsigned i = done > 2 ? done - 1 : 1; done && i <= done; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		OK(store_container_find(f->s, name, found, &e));
		AUTO(store_snapshot) struct store_snapshot *sn = NULL;
		OK(store_snapshot_get(f->s, found, &sn, &e));
		assert_int_equal(access(sn->upper, F_OK), 0);
		for (size_t k = 0; k < sn->nlower; k++) {
			AUTO_FREE char *p = xasprintf("%s/%s/file", sn->layers_dir, sn->lower[k]);
			assert_int_equal(access(p, F_OK), 0);
		}
	}
	assert_true(store_image_count(f->s) >= done);
	reopen(f);
	const struct store_repair *r = store_repair_report(f->s);
	assert_int_equal(
		r->layers_orphan + r->layers_lost + r->containers_orphan + r->containers_half, 0);
}

static void one_kill(long after_us)
{
	struct fixture *f;
	unsigned done = 0, i;
	int pipes[2], status;
	void *state = NULL;

	fixture_setup(&state);
	f = state;
	store_close(f->s);
	f->s = NULL;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		reopen(f);
		work(f, pipes[1]);
	}
	close(pipes[1]);
	nanosleep(&(struct timespec){.tv_nsec = after_us * 1000}, NULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(pipes[0], &i, sizeof(i)) == sizeof(i))
		done = i;
	close(pipes[0]);
	reopen(f);
	check_after_kill(f, done);
	fixture_teardown(&state);
}

static void test_kills(void **state)
{
	for (long i = 0; i < 60; i++)
		one_kill(500 + i * 331);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_orphans, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_lost_files, fixture_setup, fixture_teardown),
		cmocka_unit_test(test_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
