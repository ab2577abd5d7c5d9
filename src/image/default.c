/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded image `default`: an OCI archive in the program's read-only data, imported at first
 * use and from then on an image like any other.
 */
#include "image/load-priv.h"

#include "base/mem.h"
#include "default-image.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/banned.h"

#define CANONICAL "docker.io/library/" IMAGE_DEFAULT_NAME ":latest"

bool image_default_is(const char *text)
{
	struct image_ref ref;
	struct err e = ERR_INIT;
	char canonical[IMAGE_REF_TEXT_MAX];
	if (image_ref_parse(text, &ref, &e) < 0)
		return false;
	image_ref_default_tag(&ref);
	image_ref_canonical(&ref, canonical);
	return !strcmp(canonical, CANONICAL);
}

int default_archive(struct err *e)
{
	int fd = memfd_create("default-image", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "memfd_create");
	int rc = fs_write_all(fd, default_image, (size_t)(default_image_end - default_image));
	if (rc < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return err_sys(e, rc < 0 ? rc : -errno, "cannot write the embedded image");
	}
	return fd;
}

static bool have(struct image_service *s, struct digest *ret)
{
	struct err none = ERR_INIT;
	return store_ref_get(s->store, CANONICAL, ret, &none) == 0;
}

/* The image is there: only say so. */
struct up_to_date {
	struct image_job job;
	struct service_soon *soon;
	struct digest id;
};

static void up_to_date_drop(struct image_job *j)
{
	struct up_to_date *u = CONTAINER_OF(j, struct up_to_date, job);
	service_soon_cancel(u->soon);
	free(u);
}

static void up_to_date_run(void *ud)
{
	struct up_to_date *u = ud;
	struct digest id = u->id;
	u->soon = NULL;
	job_linef(&u->job, "Status: Image is up to date for " IMAGE_DEFAULT_NAME ":latest");
	job_end(&u->job, id.text, NULL);
}

int default_pull(struct image_service *s, const struct image_job_events *ev, struct image_job **ret,
		 struct err *e)
{
	struct digest id;
	if (have(s, &id)) {
		struct up_to_date *u = NEW(struct up_to_date);
		job_init(&u->job, s, ev, up_to_date_drop);
		u->id = id;
		u->soon = service_after(s, 0, up_to_date_run, u);
		*ret = &u->job;
		return 0;
	}
	int fd = default_archive(e);
	if (fd < 0)
		return -1;
	struct image_load o = {.fd = fd};
	if (image_load(s, &o, ev, ret, e) < 0)
		return -1;
	load_as_pull(*ret);
	return 0;
}

/* ---- blocking: a loop of its own for the length of the import ---- */

struct wait_end {
	bool done, failed;
	struct err err;
};

static void ensure_done(void *ud, const char *id, const struct err *e)
{
	struct wait_end *w = ud;
	w->done = true;
	if (e) {
		w->failed = true;
		w->err = *e;
	}
}

int image_default_ensure(struct image_service *s, struct err *e)
{
	struct digest id;
	struct wait_end w = {0};
	struct image_job *job;
	uv_loop_t loop;
	if (have(s, &id))
		return 0;
	if (uv_loop_init(&loop) < 0)
		return err_set(e, ERR_SYSTEM, "cannot start an event loop");
	uv_loop_t *outer = s->loop;
	struct list fetches = s->fetches;
	s->loop = &loop;
	list_init(&s->fetches);
	struct image_job_events ev = {.done = ensure_done, .ud = &w};
	if (default_pull(s, &ev, &job, e) < 0) {
		w.done = w.failed = true;
		w.err = *e;
	}
	uv_run(&loop, UV_RUN_DEFAULT); /* until every handle is closed */
	s->loop = outer;
	s->fetches = fetches;
	if (list_empty(&fetches)) {
		list_init(&s->fetches);
	} else {
		s->fetches.next->prev = &s->fetches;
		s->fetches.prev->next = &s->fetches;
	}
	uv_loop_close(&loop);
	if (!w.done)
		return err_set(e, ERR_BUG, "the embedded image was not imported");
	if (w.failed)
		*e = w.err;
	return w.failed ? -1 : 0;
}
