/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One coracle-unpack process: its descriptors, its JSON lines, its end; and the feeding of its
 * input with back-pressure. Contract of the program: spec/unpack-proto.h.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "sys/spawn.h"

#include <uv.h>

struct image_worker;
struct image_worker_ops {
	/* One parsed line; return -1 with e to stop the worker. */
	int (*line)(void *ud, const struct json *j, struct err *e);
	/* The process ended and all its lines were seen. e NULL: status 0. The worker is gone
	 * after. */
	void (*end)(void *ud, const struct err *e);
	/* Fed input was taken by the pipe: more is welcome. NULL: nothing is fed. */
	void (*drained)(void *ud);
	void *ud;
};

struct image_worker_start {
	uv_loop_t *loop;
	const char *program;	    /* path of coracle-unpack */
	const char *const *argv;    /* from "coracle-unpack" on, NULL-terminated */
	const struct spawn_fd *fds; /* besides 0, 1, 2 */
	size_t nfds;
	int stdin_fd; /* borrowed input; FD_NONE: a pipe to feed */
	struct image_worker_ops ops;
};
int image_worker_start(const struct image_worker_start *o, struct image_worker **ret,
		       struct err *e);
/* Take n bytes for the input. True: more may come at once; false: wait for drained(). */
bool image_worker_feed(struct image_worker *w, const void *p, size_t n);
bool image_worker_full(const struct image_worker *w); /* must not be fed now */
void image_worker_feed_end(struct image_worker *w);   /* end of file after what is pending */
/* Kill; no callback runs any more. NULL allowed. */
void image_worker_cancel(struct image_worker *w);
