/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer that is stored as it is not wanted by the registry: a worker compresses it on all
 * processors into a staged file, which is uploaded and dropped. What it became is remembered, so
 * that the next push only asks for it.
 */
#include "image/known-priv.h"
#include "image/push-priv.h"

#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define CHILD_OUT_FD 3
#define CHILD_DIR_FD 4

static int pack_line(void *ud, const struct json *j, struct err *e)
{
	struct push_blob *b = ud;
	const struct json *progress = json_get(j, "progress");
	const char *digest = json_str(json_get(j, "digest"));
	if (progress)
		return 0;
	if (!digest || digest_parse(digest, &b->packed) < 0)
		return err_set(e, ERR_SYSTEM, UNPACK_PROGRAM " did not name what it wrote");
	b->packed_size = json_u64(json_get(j, "size"));
	return 0;
}

static void pack_end(void *ud, const struct err *e)
{
	struct push_blob *b = ud;
	struct push *p = b->push;
	struct err err = ERR_INIT;
	b->worker = NULL;
	if (!e && !digest_is_set(&b->packed)) {
		err_set(&err, ERR_SYSTEM, UNPACK_PROGRAM " did not finish");
		e = &err;
	}
	if (e) {
		err = *e;
		err_wrap(&err, "compress layer %s", b->part->source.text);
		push_fail(p, &err);
		return;
	}
	b->part->digest = b->packed;
	b->part->size = b->packed_size;
	known_packed_put(p->job.service, &b->part->source, p->how, &b->packed, b->packed_size);
	b->state = BLOB_PACKED;
	push_step(p);
}

/* An unnamed place in the staging folder for the result. */
static int stage(struct push *p, struct err *e)
{
	char name[64];
	struct store *s = p->job.service->store;
	if (!p->prefix[0])
		store_stage_prefix(s, p->prefix);
	snprintf(name, sizeof(name), "%s.%u", p->prefix, p->staged++);
	int fd = openat(store_ingest_dir(s), name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "create a staged file");
	unlinkat(store_ingest_dir(s), name, 0); /* gone with the descriptor, whatever happens */
	return fd;
}

static int start(struct push_blob *b, struct err *e)
{
	struct push *p = b->push;
	char level[16];
	AUTO_FD int in = FD_NONE;
	snprintf(level, sizeof(level), "%d", p->level);
	const char *argv[] = {UNPACK_PROGRAM,
			      "compress",
			      "--out-fd",
			      "3",
			      "--dir-fd",
			      "4",
			      "--compression",
			      p->compression,
			      "--digest",
			      b->part->source.text,
			      "--diff-id",
			      b->part->diff_id.text,
			      p->level ? "--level" : NULL,
			      level,
			      NULL};
	fd_close(&b->fd);
	b->fd = stage(p, e);
	if (b->fd < 0 || store_blob_open(p->job.service->store, &b->part->source, &in, e) < 0)
		return -1;
	struct spawn_fd fds[] = {{b->fd, CHILD_OUT_FD},
				 {store_ingest_dir(p->job.service->store), CHILD_DIR_FD}};
	struct image_worker_start o = {.loop = p->job.service->loop,
				       .program = p->job.service->unpack,
				       .argv = argv,
				       .fds = fds,
				       .nfds = ARRAY_SIZE(fds),
				       .stdin_fd = in,
				       .ops = {.line = pack_line, .end = pack_end, .ud = b}};
	return image_worker_start(&o, &b->worker, e);
}

void push_pack_start(struct push_blob *b)
{
	struct err e = ERR_INIT;
	b->state = BLOB_PACKING;
	if (start(b, &e) < 0)
		push_fail(b->push, &e);
}
