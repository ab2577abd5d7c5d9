/* SPDX-License-Identifier: Apache-2.0 */
/* See flush-priv.h. */
#include "image/flush-priv.h"
#include "image/worker-priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "spec/unpack-proto.h"

#include "base/banned.h"

#define DELAY_MS     200	   /* while layers come, their sync would only be in their way */
#define DELAY_MAX_NS 10000000000LL /* but not for longer than this */
#define CHILD_DIR_FD 3

struct flush {
	struct image_service *service;
	struct service_soon *soon;
	struct image_worker *worker;
	int64_t since;
	bool more; /* layers came after the worker began */
};

static void wait_more(struct flush *f);

static void flush_end(struct flush *f)
{
	f->service->flush = NULL;
	image_worker_cancel(f->worker);
	service_soon_cancel(f->soon);
	free(f);
}

static void synced(void *ud, const struct err *e)
{
	struct flush *f = ud;
	struct err why = e ? *e : ERR_INIT;
	bool kept = false;

	f->worker = NULL;
	if (e || store_unsynced_end(f->service->store, &kept, &why) < 0)
		log_warn("new layers are not on the disk yet: %s", why.text);
	if (kept)
		service_sweep(f->service);
	if (f->more && !e) {
		f->more = false;
		f->since = clock_mono_ns();
		wait_more(f);
		return;
	}
	flush_end(f);
}

static int ignore_line(void *ud, const struct json *j, struct err *e)
{
	(void)ud, (void)j, (void)e;
	return 0;
}

static int start(struct flush *f, struct err *e)
{
	const char *const argv[] = {UNPACK_PROGRAM, "sync", "--dir-fd", "3", NULL};
	const int dir = store_layers_fd(f->service->store);
	const struct spawn_fd fds[] = {{dir, CHILD_DIR_FD}};
	const struct image_worker_start o = {.loop = f->service->loop,
					     .program = f->service->unpack,
					     .argv = argv,
					     .fds = fds,
					     .nfds = ARRAY_SIZE(fds),
					     .stdin_fd = dir,
					     .ops = {.line = ignore_line, .end = synced, .ud = f}};

	return image_worker_start(&o, &f->worker, e);
}

static void run(void *ud)
{
	struct flush *f = ud;
	struct err e = ERR_INIT;
	size_t n = 0;

	f->soon = NULL;
	if (!list_empty(&f->service->fetches) && clock_mono_ns() - f->since < DELAY_MAX_NS) {
		wait_more(f);
		return;
	}
	if (store_unsynced_begin(f->service->store, &n, &e) < 0 || (n && start(f, &e) < 0))
		log_warn("new layers cannot be synced: %s", e.text);
	if (!f->worker)
		flush_end(f);
}

static void wait_more(struct flush *f)
{
	f->soon = service_after(f->service, DELAY_MS, run, f);
}

void flush_soon(struct image_service *s)
{
	if (s->flush) {
		s->flush->more = true;
		return;
	}
	s->flush = NEW(struct flush);
	s->flush->service = s;
	s->flush->since = clock_mono_ns();
	wait_more(s->flush);
}

void flush_free(struct image_service *s)
{
	if (s->flush)
		flush_end(s->flush);
}
