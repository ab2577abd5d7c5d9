/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: the service and the common part of jobs. */
#pragma once

#include "base/list.h"
#include "image/http-priv.h"
#include "image/image.h"
#include "store/store.h"

#include <uv.h>

struct service_soon;
struct flush;
struct recheck;

struct image_service {
	uv_loop_t *loop;
	struct store *store;
	char *unpack; /* path of coracle-unpack */
	struct strs config_dirs, cert_dirs;
	struct arena *arena;
	char *policy;
	struct image_settings settings; /* memory of settings_arena; no 0, no NULL lists */
	struct arena *settings_arena;
	unsigned stall_s;
	struct http *http;
	struct list jobs, dying; /* dying: cancelled, dropped in the loop's next turn */
	struct service_soon *reaper;
	struct list fetches;	/* layers on their way, shared between jobs */
	struct list layer_sets; /* images whose layers are on their way */
	struct service_soon *poke;
	struct recheck *recheck; /* layers that are checked after a crash; NULL: none */
	struct flush *flush;	 /* trees on their way to the disk; NULL: none */
	image_event_fn on_event;
	void *event_ud;
};

/* Embedded as the first member of every kind of job. */
struct image_job {
	struct list link;
	struct image_service *service;
	struct image_job_events ev;
	void (*drop)(struct image_job *j); /* stop everything and free; no callbacks */
	bool ended;
};

void job_init(struct image_job *j, struct image_service *s, const struct image_job_events *ev,
	      void (*drop)(struct image_job *));
/* Call done once, then drop. */
void job_end(struct image_job *j, const char *id, const struct err *e);
void job_line(struct image_job *j, const char *id, const char *status);
void job_linef(struct image_job *j, const char *fmt, ...) PRINTF_FMT(2, 3);
void job_streamf(struct image_job *j, const char *fmt, ...) PRINTF_FMT(2, 3);
void job_progress(struct image_job *j, const char *id, const char *status, int64_t current,
		  int64_t total);
void service_event(struct image_service *s, const char *action, const char *id, const char *name);

/* Run fn(ud) from the loop's next turn; the returned handle may be cancelled until it ran. */
struct service_soon *service_after(struct image_service *s, unsigned ms, void (*fn)(void *ud),
				   void *ud);
void service_soon_cancel(struct service_soon *t); /* NULL allowed */

/* "0123456789ab" of a digest. */
void digest_short(const struct digest *d, char ret[static 13]);

/* Drop blobs and layers that nothing refers to, and partial downloads nobody came back for. */
void service_sweep(struct image_service *s);
/* recheck.c: stop it; what it had not come to is checked by the next engine. */
void recheck_free(struct image_service *s);
bool service_insecure(const struct image_service *s, const char *host_port);
