/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a fresh directory on tmpfs, and short ways to put things into it. */
#pragma once

#include "base/mem.h"
#include "cmocka-all.h"
#include "store/store.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char top[64];
	char *data, *run;
	struct store *s;
};

/* Fails the test with the error's own text. */
#define OK(call)                                                                                   \
	do {                                                                                       \
		struct err e = ERR_INIT;                                                           \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, e.text);                                         \
	} while (0)
#define FAILS(call, want)                                                                          \
	do {                                                                                       \
		struct err e = ERR_INIT;                                                           \
		assert_int_equal((call), -1);                                                      \
		if (e.kind != (want))                                                              \
			fail_msg("%s: kind %s: %s", #call, err_kind_name(e.kind), e.text);         \
	} while (0)

static inline void reopen(struct fixture *f)
{
	store_close(f->s);
	f->s = NULL;
	OK(store_open(f->data, f->run, &f->s, &e));
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = NEW(struct fixture);

	snprintf(f->top, sizeof(f->top), "/dev/shm/coracle-store-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->data = xasprintf("%s/data", f->top);
	f->run = xasprintf("%s/run", f->top);
	reopen(f);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	assert_int_equal(fs_remove_tree(AT_FDCWD, f->top), 0);
	free(f->data);
	free(f->run);
	free(f);
	return 0;
}

static inline bool on_disk(const struct fixture *f, const char *path)
{
	AUTO_FREE char *whole = xasprintf("%s/%s", f->data, path);
	struct stat st;

	return lstat(whole, &st) == 0;
}

static inline struct digest digest_text(const char *text)
{
	struct digest d;

	digest_of(text, strlen(text), &d);
	return d;
}

/* Commit a layer with one file; returns its chain id. */
static inline struct digest add_layer(struct fixture *f, const struct digest *parent,
				      const char *text)
{
	struct store_layer_tmp t = STORE_LAYER_TMP_INIT;
	struct digest diff = digest_text(text);
	struct store_layer l;

	OK(store_layer_begin(f->s, &t, &e));
	assert_int_equal(fs_write_atomic(t.fd, "file", text, strlen(text), 0644, false), 0);
	OK(store_layer_commit(f->s, &t, parent, &diff, NULL, strlen(text), &l, &e));
	return l.chain;
}

/* An image of two layers: "base" and one of its own; its config is a blob. */
static inline struct digest add_image(struct fixture *f, const char *own)
{
	AUTO_FREE char *config = xasprintf("{\"own\":\"%s\"}", own);
	struct digest base = add_layer(f, NULL, "base"),
		      layers[2] = {base, add_layer(f, &base, own)}, id;

	OK(store_blob_put(f->s, config, strlen(config), STORE_NOW, &id, &e));
	const struct store_image img = {.id = id,
					.config = config,
					.layers = layers,
					.nlayers = 2,
					.blobs = &id,
					.nblobs = 1};
	OK(store_image_put(f->s, &img, &e));
	return id;
}

static inline void make_id(char c, char ret[static STORE_ID_LEN + 1])
{
	memset(ret, c, STORE_ID_LEN);
	ret[STORE_ID_LEN] = '\0';
}

static inline int add_container(struct fixture *f, const char *id, const char *name,
				const struct digest *image, struct err *e)
{
	const struct store_container c = {.id = id,
					  .name = name,
					  .image_id = image ? image->text : "",
					  .config = "{}",
					  .hostconfig = "{}",
					  .state = "{\"s\":1}",
					  .created = 7};

	return store_container_insert(f->s, &c, image, e);
}
