/* SPDX-License-Identifier: Apache-2.0 */
/* What the store promises about blobs, layers, images, containers, volumes and documents while it
 * runs. */
#include "fixture.h"

#include "store/measure.h"

#include "base/buf.h"
#include "base/clock.h"

static void test_lock(void **state)
{
	struct fixture *f = *state;
	struct store *other = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(store_open(f->data, f->run, &other, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.text, "another engine (pid "));
	assert_null(other);
}

static void test_blobs(void **state)
{
	struct fixture *f = *state;
	struct digest d = digest_text("0123456789"), got;
	AUTO_BUF struct buf b = BUF_INIT(100), small = BUF_INIT(5);
	uint64_t have = 99, size = 0;
	int fd;

	assert_false(store_blob_has(f->s, &d, NULL));
	FAILS(store_blob_open(f->s, &d, &fd, &e), ERR_NOT_FOUND);
	OK(store_ingest_open(f->s, &d, &fd, &have, &e));
	assert_int_equal(have, 0);
	assert_int_equal(write(fd, "01234", 5), 5);
	close(fd);
	FAILS(store_ingest_open(f->s, &d, &fd, &have, &e), ERR_CONFLICT);
	store_ingest_close(f->s, &d);
	reopen(f); /* a cut download goes on where it was, also after a restart */
	OK(store_ingest_open(f->s, &d, &fd, &have, &e));
	assert_int_equal(have, 5);
	FAILS(store_ingest_commit(f->s, &d, 10, STORE_NOW, &e), ERR_INVALID);
	assert_int_equal(pwrite(fd, "56789", 5, 5), 5);
	close(fd);
	OK(store_ingest_commit(f->s, &d, 10, STORE_NOW, &e));
	assert_true(store_blob_has(f->s, &d, &size));
	assert_int_equal(size, 10);
	OK(store_blob_read(f->s, &d, &b, &e));
	assert_string_equal(buf_text(&b), "0123456789");
	FAILS(store_blob_read(f->s, &d, &small, &e), ERR_LIMIT);
	OK(store_blob_put(f->s, "0123456789", 10, STORE_NOW, &got, &e));
	assert_true(digest_eq(&got, &d));
}

static void test_staging(void **state)
{
	struct fixture *f = *state;
	struct digest d = digest_text("member");
	char prefix[32], file[48];

	store_stage_prefix(f->s, prefix);
	snprintf(file, sizeof(file), "%s.1", prefix);
	assert_int_equal(fs_write_atomic(store_ingest_dir(f->s), file, "member", 6, 0600, false),
			 0);
	OK(store_stage_commit(f->s, file, &d, 6, STORE_NOW, &e));
	assert_true(store_blob_has(f->s, &d, NULL));
	OK(store_stage_commit(f->s, file, &d, 6, STORE_NOW, &e)); /* gone, but the blob is there */
	FAILS(store_stage_commit(f->s, "../state.db", &d, 6, STORE_NOW, &e), ERR_INVALID);
	snprintf(file, sizeof(file), "%s.2", prefix);
	assert_int_equal(fs_write_atomic(store_ingest_dir(f->s), file, "x", 1, 0600, false), 0);
	store_stage_drop(f->s, prefix);
	assert_int_equal(faccessat(store_ingest_dir(f->s), file, F_OK, 0), -1);
}

static void test_layers(void **state)
{
	struct fixture *f = *state;
	struct digest base = add_layer(f, NULL, "base"), top = add_layer(f, &base, "top"), again,
		      expect;
	struct digest diff = digest_text("top"), unknown = digest_text("unknown");
	struct store_layer_tmp t = STORE_LAYER_TMP_INIT;
	struct store_layer l;
	char text[200];

	assert_true(digest_eq(&base, &(struct digest){.text = ""}) == false);
	int n = snprintf(text, sizeof(text), "%s %s", base.text, diff.text);
	digest_of(text, (size_t)n, &expect); /* image-spec, "Layer ChainID" */
	assert_string_equal(top.text, expect.text);
	again = add_layer(f, &base, "top");
	assert_true(digest_eq(&again, &top));
	OK(store_layer_get(f->s, &top, &l, &e));
	assert_int_equal(l.size, 3);
	assert_true(digest_eq(&l.diff_id, &diff));
	snprintf(text, sizeof(text), "layers/%lld/diff/file", (long long)l.id);
	assert_true(on_disk(f, text));
	OK(store_layer_begin(f->s, &t, &e));
	FAILS(store_layer_commit(f->s, &t, &unknown, &diff, NULL, 1, &l, &e), ERR_NOT_FOUND);
	store_layer_abort(f->s, &t);
	assert_true(store_trash_pending(f->s));
	assert_int_equal(store_trash_empty(f->data), 0);
	assert_false(store_trash_pending(f->s));
}

static int count_images(const struct store_image *img, void *ud)
{
	assert_int_equal(img->nlayers, 2);
	++*(int *)ud;
	return 0;
}

static void count_digests(const struct digest *d, void *ud)
{
	++*(int *)ud;
}

/* The sum is what a walk finds, and the parts add up to it. */
static void measure(struct fixture *f)
{
	struct err why = ERR_INIT;
	AUTO(store_measuring) struct store_measuring *m = store_measure_new(f->s, &why);
	const struct store_measure *sum;
	uint64_t bytes = 0;

	assert_non_null(m);
	assert_int_equal(store_measure_run(m), 0);
	OK(store_measure_keep(f->s, m, &e));
	AUTO(store_measuring) struct store_measuring *again = store_measure_new(f->s, &why);
	assert_int_equal(store_measure_run(again), 0);
	sum = store_measure_sum(again);
	assert_int_equal(fs_disk_usage(AT_FDCWD, f->data, &bytes, NULL), 0);
	assert_true(sum->total == bytes && sum->layers > 0 && sum->blobs > 0);
	assert_true(sum->total == sum->layers + sum->blobs + sum->containers + sum->volumes +
					  sum->ingest + sum->trash + sum->database + sum->other);
}

/* The same image by another manifest takes the former's blobs along; without one it keeps them. */
static void test_image_again(void **state)
{
	struct fixture *f = *state;
	struct digest id = add_image(f, "a"), first, second;
	AUTO(store_image) struct store_image *img = NULL;

	OK(store_image_get(f->s, &id, &img, &e));
	OK(store_blob_put(f->s, "first", 5, STORE_NOW, &first, &e));
	struct digest blobs[] = {id, first};
	struct store_image again = *img;
	again.manifest = first;
	again.blobs = blobs;
	again.nblobs = 2;
	OK(store_image_put(f->s, &again, &e));
	again.manifest = (struct digest){0};
	again.nblobs = 1;
	OK(store_image_put(f->s, &again, &e));
	OK(store_gc(f->s, 0, NULL, &e));
	assert_true(store_blob_has(f->s, &first, NULL));
	OK(store_blob_put(f->s, "second", 6, STORE_NOW, &second, &e));
	blobs[1] = again.manifest = second;
	again.nblobs = 2;
	OK(store_image_put(f->s, &again, &e));
	assert_false(store_blob_has(f->s, &first, NULL));
	assert_true(store_blob_has(f->s, &second, NULL));
	assert_true(store_blob_has(f->s, &id, NULL));
}

static void test_images(void **state)
{
	struct fixture *f = *state;
	struct digest a = add_image(f, "a"), b = add_image(f, "b"), got;
	AUTO(store_image) struct store_image *img = NULL;
	char prefix[16], tag[] = "docker.io/library/x:1", by_digest[200];
	uint64_t freed = 0;
	int n = 0, dead = 0;

	snprintf(by_digest, sizeof(by_digest), "docker.io/library/x@%s", a.text);
	OK(store_ref_set(f->s, tag, &a, &e));
	OK(store_ref_set(f->s, by_digest, &a, &e));
	OK(store_ref_set(f->s, tag, &b, &e)); /* the tag moves */
	OK(store_ref_set(f->s, tag, &a, &e));
	struct digest nobody = digest_text("nobody");
	FAILS(store_ref_set(f->s, "x:2", &nobody, &e), ERR_NOT_FOUND);
	OK(store_image_get(f->s, &a, &img, &e));
	assert_int_equal(img->ntags, 1);
	assert_int_equal(img->ndigests, 1);
	assert_string_equal(img->tags[0], tag);
	assert_string_equal(img->digests[0], by_digest);
	assert_int_equal(img->size, 5); /* "base" + "a" */
	assert_string_equal(img->config, "{\"own\":\"a\"}");
	OK(store_image_resolve(f->s, tag, "x:1", &got, &e));
	assert_true(digest_eq(&got, &a));
	snprintf(prefix, sizeof(prefix), "%.12s", digest_hex(&b));
	OK(store_image_resolve(f->s, NULL, prefix, &got, &e));
	assert_true(digest_eq(&got, &b));
	FAILS(store_image_resolve(f->s, "docker.io/library/y:1", "y:1", &got, &e), ERR_NOT_FOUND);
	OK(store_image_each(f->s, count_images, &n, &e));
	assert_int_equal(n, 2);
	OK(store_image_delete(f->s, &a, count_digests, &dead, &freed, &e));
	assert_int_equal(dead, 1); /* "base" belongs to b too */
	assert_false(store_blob_has(f->s, &a, NULL));
	assert_true(store_blob_has(f->s, &b, NULL));
	FAILS(store_ref_get(f->s, tag, &got, &e), ERR_NOT_FOUND);
	measure(f);
	measure(f); /* again, with the layers' sizes from the database */
}

static void test_leases_and_gc(void **state)
{
	struct fixture *f = *state;
	struct digest base = add_layer(f, NULL, "base"), top = add_layer(f, &base, "top"), blob;
	struct store_lease *lease = store_lease_new(f->s);
	uint64_t freed = 0;

	OK(store_blob_put(f->s, "blob", 4, STORE_NOW, &blob, &e));
	store_lease_blob(lease, &blob);
	store_lease_layer(lease, &top);
	OK(store_gc(f->s, 0, &freed, &e));
	assert_int_equal(freed, 0);
	assert_true(store_layer_has(f->s, &base) && store_layer_has(f->s, &top) &&
		    store_blob_has(f->s, &blob, NULL));
	store_lease_free(lease);
	OK(store_gc(f->s, 0, &freed, &e));
	assert_int_equal(freed, 4 + 3 + 4);
	assert_false(store_layer_has(f->s, &base) || store_layer_has(f->s, &top) ||
		     store_blob_has(f->s, &blob, NULL));
}

static void test_containers(void **state)
{
	struct fixture *f = *state;
	struct digest img = add_image(f, "c");
	char a[65], b[65], found[65], path[120];
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	struct err taken = ERR_INIT;

	make_id('a', a);
	make_id('a', b);
	b[63] = 'b';
	OK(add_container(f, a, "web", &img, &e));
	assert_int_equal(add_container(f, b, "web", &img, &taken), -1);
	assert_int_equal(taken.kind, ERR_CONFLICT);
	assert_non_null(strstr(
		taken.text, "The container name \"/web\" is already in use by container \"aaaa"));
	snprintf(path, sizeof(path), "containers/%s", b);
	assert_false(on_disk(f, path));
	OK(add_container(f, b, "db", NULL, &e));
	OK(store_container_find(f->s, "/web", found, &e));
	assert_string_equal(found, a);
	FAILS(store_container_find(f->s, "aaaa", found, &e), ERR_INVALID);
	FAILS(store_container_find(f->s, "bbbb", found, &e), ERR_NOT_FOUND);
	OK(store_container_find(f->s, b, found, &e));
	assert_string_equal(found, b);
	FAILS(store_container_rename(f->s, b, "web", &e), ERR_CONFLICT);
	OK(store_container_rename(f->s, b, "cache", &e));
	OK(store_container_set_state(f->s, a, "{\"s\":2}", &e));
	FAILS(store_container_set_state(f->s, "0", "{}", &e), ERR_NOT_FOUND);

	OK(store_snapshot_get(f->s, a, &sn, &e));
	assert_int_equal(sn->nlower, 2);
	assert_string_equal(sn->lower[0], "2/diff");
	assert_string_equal(sn->lower[1], "1/diff");
	assert_null(sn->lower[2]);
	assert_int_equal(access(sn->upper, F_OK), 0);
	FAILS(store_snapshot_get(f->s, b, &sn, &e), ERR_NOT_FOUND);

	/* Removing the image of a container keeps its layers. */
	assert_int_equal(store_image_users(f->s, &img, found), 1);
	OK(store_image_delete(f->s, &img, NULL, NULL, NULL, &e));
	assert_true(on_disk(f, "layers/1/diff/file") && on_disk(f, "layers/2/diff/file"));
	OK(store_container_delete(f->s, a, &e));
	OK(store_gc(f->s, 0, NULL, &e));
	assert_false(on_disk(f, "layers/1") || on_disk(f, "layers/2"));
	snprintf(path, sizeof(path), "containers/%s", a);
	assert_false(on_disk(f, path));
}

static void test_volumes(void **state)
{
	struct fixture *f = *state;
	const struct store_volume v = {.name = "data", .labels = "{\"k\":\"v\"}"},
				  other = {.name = "data", .driver = "nfs"};
	AUTO(store_volume) struct store_volume *got = NULL;
	bool created = false;

	OK(store_volume_create(f->s, &v, &got, &created, &e));
	assert_true(created);
	assert_int_equal(access(got->mountpoint, F_OK), 0);
	assert_string_equal(got->driver, "local");
	store_volume_free(TAKE_PTR(got));
	OK(store_volume_create(f->s, &(struct store_volume){.name = "data"}, &got, &created, &e));
	assert_false(created);
	assert_string_equal(got->labels, "{\"k\":\"v\"}");
	FAILS(store_volume_create(f->s, &other, NULL, NULL, &e), ERR_CONFLICT);
	FAILS(store_volume_name_check("../x", &e), ERR_INVALID);
	FAILS(store_volume_name_check("a", &e), ERR_INVALID);
	OK(store_volume_remove(f->s, "data", &e));
	FAILS(store_volume_remove(f->s, "data", &e), ERR_NOT_FOUND);
	assert_false(on_disk(f, "volumes/data"));
}

static void test_docs(void **state)
{
	struct fixture *f = *state;
	char *text = NULL;

	OK(store_begin(f->s, false, &e));
	OK(store_doc_put(f->s, "net", "a", "{}", &e));
	OK(store_end(f->s, false, &e));
	FAILS(store_doc_get(f->s, "net", "a", &text, &e), ERR_NOT_FOUND);
	OK(store_doc_put(f->s, "net", "a", "{\"x\":1}", &e));
	reopen(f);
	OK(store_doc_get(f->s, "net", "a", &text, &e));
	assert_string_equal(text, "{\"x\":1}");
	free(text);
}

/* The budget of a `run`: one row and three directories. */
static void test_insert_is_quick(void **state)
{
	struct fixture *f = *state;
	struct digest img = add_image(f, "q");
	int64_t start = clock_mono_ns(), each;
	char id[65], name[16];

	for (int i = 0; i < 200; i++) {
		make_id('0', id);
		snprintf(id, sizeof(id), "%064x", i);
		snprintf(name, sizeof(name), "c%d", i);
		OK(add_container(f, id, name, &img, &e));
	}
	each = (clock_mono_ns() - start) / 200;
	print_message("insert: %lld us each\n", (long long)each / 1000);
	assert_true(each < 3000000); /* ten times the budget: machines are shared */
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_lock),	  CASE(test_blobs),	      CASE(test_staging),
		CASE(test_layers),	  CASE(test_images),	      CASE(test_image_again),
		CASE(test_leases_and_gc), CASE(test_containers),      CASE(test_volumes),
		CASE(test_docs),	  CASE(test_insert_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
