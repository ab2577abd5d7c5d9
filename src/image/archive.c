/* SPDX-License-Identifier: Apache-2.0 */
/* See archive-priv.h. */
#include "image/archive-priv.h"

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIST_MAX     ((size_t)64 << 20)
#define FEED_MAX     ((size_t)65536)
#define CHILD_OUT_FD 3
#define CHILD_DIR_FD 4

void archive_init(struct archive *a, struct image_service *s,
		  void (*done)(void *ud, const struct err *e), void *ud)
{
	*a = (struct archive){.service = s, .seen = map_new(), .done = done, .ud = ud};
	a->list = BUF_INIT(LIST_MAX);
}

void archive_free(struct archive *a)
{
	image_worker_cancel(a->worker);
	map_free(a->seen);
	buf_done(&a->list);
}

/* ---- the list ---- */

static struct jw member_begin(struct archive *a, const char *name)
{
	struct jw w = JW_INIT(&a->list);

	jw_obj(&w);
	jw_kv_str(&w, "name", name);
	return w;
}

static void member_end(struct archive *a, struct jw *w)
{
	jw_kv_i64(w, "mtime", 0);
	jw_obj_end(w);
	buf_addc(&a->list, '\n');
}

void archive_add_dir(struct archive *a, const char *name)
{
	struct jw w = member_begin(a, name);

	jw_kv_bool(&w, "dir", true);
	member_end(a, &w);
}

void archive_add_text(struct archive *a, const char *name, const char *text)
{
	struct jw w = member_begin(a, name);

	jw_kv_str(&w, "text", text);
	member_end(a, &w);
}

void archive_blob_name(const struct digest *d, char ret[static ARCHIVE_NAME_MAX])
{
	snprintf(ret, ARCHIVE_NAME_MAX, "blobs/%.*s/%s", (int)(digest_hex(d) - d->text - 1),
		 d->text, digest_hex(d));
}

bool archive_add_blob(struct archive *a, const struct digest *d, uint64_t size, const char *text)
{
	char name[ARCHIVE_NAME_MAX];

	if (map_set(a->seen, d->text, a))
		return false;
	archive_blob_name(d, name);
	if (text) {
		archive_add_text(a, name, text);
		return true;
	}
	struct jw w = member_begin(a, name);
	jw_kv_str(&w, "file", name + strlen("blobs/"));
	jw_kv_u64(&w, "size", size);
	member_end(a, &w);
	return true;
}

/* ---- the worker ---- */

static void feed(void *ud)
{
	struct archive *a = ud;

	while (a->fed < a->list.n) {
		size_t n = MIN(a->list.n - a->fed, FEED_MAX);
		const char *p = a->list.p + a->fed;

		a->fed += n;
		if (!image_worker_feed(a->worker, p, n))
			return;
	}
	image_worker_feed_end(a->worker);
}

static int worker_line(void *ud, const struct json *j, struct err *e)
{
	struct archive *a = ud;

	if (json_bool(json_get(j, "done")))
		a->written = true;
	return 0;
}

static void worker_end(void *ud, const struct err *e)
{
	struct archive *a = ud;
	struct err err = e ? *e : ERR_INIT;

	a->worker = NULL;
	if (!e && !a->written)
		err_set(&err, ERR_SYSTEM, UNPACK_PROGRAM " did not finish the archive");
	a->done(a->ud, err.kind == ERR_NONE ? NULL : &err);
}

int archive_write(struct archive *a, int out_fd, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/blobs", store_data_dir(a->service->store));
	AUTO_FD int dir_fd = fs_open_dir(path);

	if (dir_fd < 0)
		return err_sys(e, dir_fd, "cannot open %s", path);
	const char *argv[] = {UNPACK_PROGRAM, "tar", "--out-fd", "3", "--dir-fd", "4", NULL};
	struct spawn_fd fds[] = {{out_fd, CHILD_OUT_FD}, {dir_fd, CHILD_DIR_FD}};
	struct image_worker_start o = {
		.loop = a->service->loop,
		.program = a->service->unpack,
		.argv = argv,
		.fds = fds,
		.nfds = ARRAY_SIZE(fds),
		.stdin_fd = FD_NONE,
		.ops = {.line = worker_line, .end = worker_end, .drained = feed, .ud = a}};
	if (image_worker_start(&o, &a->worker, e) < 0)
		return -1;
	feed(a);
	return 0;
}
