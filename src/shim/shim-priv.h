/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the shim's loop. Each pollable one remembers its slot in the poll set of the current
 * round. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "logs/logs.h"
#include "runtime/runtime.h"
#include "wire/shim-proto.h"

#include <poll.h>

#define CHUNK_SIZE (128 * 1024)
#define PIPE_BIG   (512 * 1024)
#define STDIN_MAX  65536
#define IDLE_MS	   500 /* buffers are given back after this time without bytes */
#define HOLD_NS                                                                                    \
	(1000 *                                                                                    \
	 1000000LL) /* after exit: how long a stranger may keep a pipe open, or a client stall */
#define RETRY_MS      200  /* a terminal nobody has open */
#define CONTROL_QUEUE 4096 /* unread messages before the engine counts as dead */

/* One end of output: a pipe, or the terminal. The chunk is read again only when every client has
 * all of it. */
struct source {
	int fd;
	int slot;
	char *data;
	size_t n, cap;
	size_t logged;	/* bytes of the chunk that the log has */
	bool eof, hung; /* hung: terminal without a program, asked again later */
};

struct io;

struct client {
	struct list node;
	char *id;
	int fd, slot;
	bool want_in, want_out[2], mux, keys_on;
	struct detach_keys keys;
	struct buf in; /* typed, not yet taken by the program */
	bool in_eof, hup;
	/* output: bytes of each source's chunk that were sent, and the frame being sent */
	size_t pos[2], frame_end;
	int frame; /* source, or -1 */
	unsigned char header[MUX_HEADER];
	size_t header_left;
	const char *reason; /* set: finished */
};

/* A program with its stdio: the container's first one, or an exec. */
struct io {
	struct list node; /* execs */
	struct shim *shim;
	char *id; /* exec; NULL: the container */
	bool tty, once;
	int in_fd, in_slot;
	bool in_closing; /* close in_fd when all typed bytes are written */
	struct source src[2];
	struct list clients;
	pid_t pid;
	int pidfd, pid_slot;
	bool exited, reported;
	int code, signal;
	int64_t exit_ns; /* monotonic */
};

struct shim {
	char *dir;
	int dir_fd, listen_fd, listen_slot;
	char *id;
	bool tty, open_stdin;

	int control_fd, control_slot;
	struct list outbox; /* struct message, when the engine does not read */
	size_t outbox_n;

	struct log_writer *log;
	int log_slot[LOG_WRITER_POLLS];
	struct io main;
	struct list execs;
	struct runtime_container container;
	struct err *network_err; /* set while a start waits for the engine's "network" */
	bool network_answered;
	bool have_container, oom_tried, started, paused, exited, oom, quit;
	int oom_fd, oom_slot;
	uint64_t oom_kills; /* as many the engine was told of */
	int64_t started_at, finished_at;

	struct pollfd *polls; /* valid between poll and the next round */
	nfds_t npolls, polls_cap;
	bool busy; /* bytes flowed since buffers were given back */
};

/* shim.c */
int shim_poll_add(struct shim *s, int fd, short events); /* slot */
short shim_poll_revents(const struct shim *s, int slot);

/* control.c */
void control_accept(struct shim *s);
void control_read(struct shim *s);
void control_flush(struct shim *s);
void control_close(struct shim *s);
void control_send(struct shim *s, const struct shim_message *m);
/* With a descriptor (borrowed); waits until the engine reads. */
int control_send_fd(struct shim *s, const struct shim_message *m, int fd, struct err *e);
void control_hello(struct shim *s);

/* process.c */
int process_start(struct shim *s, const struct shim_request *r, struct err *e);
int process_exec(struct shim *s, const struct shim_request *r, int client_fd, struct err *e);
int process_signal(struct shim *s, const struct shim_request *r, struct err *e);
int process_resize(struct shim *s, const struct shim_request *r, struct err *e);
int process_pause(struct shim *s, bool pause, struct err *e);
int process_network(struct shim *s, const struct shim_request *r, struct err *e);
int process_update(struct shim *s, const struct shim_request *r, struct err *e);
void process_reap(struct io *io);
/* Tell the engine how an exec ended, once. Before its client sees the end: it asks for the code
 * then. */
void process_exec_tell(struct io *io);
void process_report(struct shim *s); /* exits whose output is delivered */

/* volumes.c */
int volumes_mount(const struct shim_config *c, struct err *e);

/* stdio.c */
void io_init(struct io *io, struct shim *s);
void io_done(struct io *io);
void io_poll(struct io *io);
void io_serve(struct io *io);
bool io_drained(struct io *io); /* nothing more will be delivered, or the time for it is over */
void io_trim(struct io *io);
int io_timeout_ms(const struct io *io, int64_t now); /* -1: none */
void io_pump(struct io *io);

/* client.c */
int client_new(struct io *io, const struct shim_request *r, int fd,
	       struct err *e);	      /* owns fd when 0 */
void client_forget(struct client *c); /* without a word to anybody */
void client_poll(struct client *c, struct io *io);
void client_serve(struct client *c, struct io *io);
bool client_push(struct client *c, struct io *io); /* true when everything was sent */
bool client_pending(const struct client *c, const struct io *io);
void client_input_written(struct io *io);
void client_sweep(struct io *io); /* end and free finished clients */

/* state.c */
int state_load(struct shim *s, struct shim_config *ret, struct arena *a, struct err *e);
void state_write(struct shim *s);
void state_write_exit(struct shim *s);
