/* SPDX-License-Identifier: Apache-2.0 */
/* Runs real containers for the tests: a busybox root in a temporary directory, a configuration in
 * JSON, the output in a buffer. */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/runtime.h"

struct rig {
	char dir[64]; /* holds rootfs, upper, work, cache */
	char id[32];
	struct arena *arena;
	struct oci_config cfg;
	struct runtime_create req;
	struct runtime_container c;
	int out; /* read end of the container's stdout and stderr */
	struct err e;
};

int rig_can_run(void); /* root, busybox present; else the tests are skipped */
void rig_init(struct rig *r);
void rig_done(struct rig *r); /* kills, reaps, removes everything */
/* process, linux, mounts: JSON members put into the default configuration ("" for the defaults);
 * args: shell script. */
void rig_config(struct rig *r, const char *script, const char *process, const char *linux_,
		const char *more);
int rig_create(struct rig *r);
int rig_start(struct rig *r);
/* Create, start, wait; output in *out; the exit status, or -1 when it did not start (r->e says
 * why). */
int rig_run(struct rig *r, struct buf *out);
int rig_wait(pid_t pid);
