/* SPDX-License-Identifier: Apache-2.0 */
/* Drives a shim process the way the engine does. Every call fails the test rather than hang: 10 s
 * per wait. */
#pragma once

#include "base/buf.h"
#include "cmocka-all.h"
#include "sys/spawn.h"
#include "wire/shim-proto.h"

struct rig {
	char dir[64];
	int control;
	struct process shim;
	uint64_t seq;
	struct arena *arena;
	/* events seen so far */
	struct shim_message exited;
	bool has_exited;
	struct shim_message done[16];
	size_t ndone;
	struct shim_message exec_exited;
	bool has_exec_exited;
	struct shim_message hello;
	bool has_hello;
};

struct rig_options {
	const char *const *argv; /* NULL-terminated */
	bool tty, open_stdin, stdin_once, no_log;
	int64_t max_size, max_file;
};

void rig_start(struct rig *r,
	       const struct rig_options *o); /* shim runs, hello received, nothing started */
void rig_stop(struct rig *r);		     /* quit or kill, remove the folder */
/* Send a request (seq is filled in) and return its answer. */
struct shim_message rig_ask(struct rig *r, struct shim_request *q, int fd);
struct shim_message rig_op(struct rig *r, enum shim_op op);
int rig_attach(struct rig *r, const char *id, bool in, bool mux, const char *keys); /* our end */
void rig_wait_exit(struct rig *r);
const char *rig_wait_done(struct rig *r, const char *id); /* reason */
bool rig_event(struct rig *r,
	       int ms); /* take one message; false: time is over or connection closed */
char *rig_read_all(int fd, size_t *ret_n); /* to the end of file; heap */
void rig_expect(int fd, const char *text); /* exactly these bytes come next */
long rig_memory_kb(struct rig *r);	   /* anonymous memory of the shim */
char *rig_file(struct rig *r, const char *name);
