/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What engine and shim say to each other, as structs <-> JSON text. No I/O here.
 *
 * Transport: SOCK_SEQPACKET, one JSON object per message, at most SHIM_MSG_MAX bytes, descriptors
 * by SCM_RIGHTS. The engine spawns `coracle-shim RUNDIR/containers/ID` with one end of a socketpair
 * as fd 3; a restarted engine connects to ID/shim.sock instead (the newest connection wins; the
 * older one is closed).
 *
 * The engine sends requests (struct shim_request), each with its own seq > 0, and gets exactly one
 * answer (struct shim_message with that seq) for each. Everything else the shim sends has seq 0 and
 * an event name. The first message on every connection is the event "hello" with the whole state.
 *
 * Zero, false and empty fields are left out of the text; absent fields decode to zero.
 *
 * Order: all output is delivered to logs and attach clients before "exited" is sent, and the
 * "attach-done" of clients that ended with the container also stand before it. After "exited" the
 * shim stays until "quit" (answered, then it leaves); without an engine connection it leaves once
 * exit.json is written.
 */
#pragma once

#include "base/json.h"
#include "wire/base64.h"

#define SHIM_CONTROL_FD	 3
#define SHIM_MSG_MAX	 65536
#define SHIM_PREFACE_MAX 16384 /* bytes (before base64) a client sent before the hand-over */
#define SHIM_ID_MAX	 128   /* attach and exec ids */
#define SHIM_CONFIG_FILE "shim.json"
#define SHIM_BUNDLE_FILE "config.json"
#define SHIM_SOCKET_FILE "shim.sock"
#define SHIM_STATE_FILE	 "state.json"
#define SHIM_EXIT_FILE	 "exit.json"

/* ---- requests: engine -> shim ---- */
enum shim_op {
	SHIM_OP_NONE,
	SHIM_OP_START,	/* create and start the container; answer has pid, startedAt */
	SHIM_OP_ATTACH, /* 1 fd: the raw client; id, stdin, stdout, stderr, mux, detachKeys, preface
			 */
	SHIM_OP_RESIZE, /* h, w */
	SHIM_OP_SIGNAL, /* signo */
	SHIM_OP_PAUSE,
	SHIM_OP_RESUME,
	SHIM_OP_UPDATE, /* resources */
	SHIM_OP_EXEC, /* id, process, tty, optional 1 fd client (+ attach fields); answer has pid */
	SHIM_OP_EXEC_RESIZE, /* id, h, w */
	SHIM_OP_EXEC_SIGNAL, /* id, signo */
	SHIM_OP_NETWORK, /* after "netns": the program may start; with kind and error: it may not */
	SHIM_OP_QUIT,	 /* the exit is stored; the shim leaves (only valid when not running) */
	SHIM_OP_COUNT
};
const char *shim_op_name(enum shim_op op);
enum shim_op shim_op_parse(const char *name); /* SHIM_OP_NONE when unknown */

struct shim_request {
	uint64_t seq;
	const char *op; /* shim_op_name() */
	const char *id; /* attach: chosen by the engine, comes back in "attach-done"; exec: the
			   exec's id */
	bool want_stdin, want_stdout, want_stderr;
	bool mux;		 /* 8-byte Docker frames; else raw bytes */
	bool tty;		 /* exec */
	const char *detach_keys; /* Docker syntax; NULL: no detach keys on this stream; "" the
				    default ctrl-p,ctrl-q */
	const char *preface;	 /* base64 of bytes the client already sent to stdin */
	int64_t h, w;		 /* resize; also first size for start and exec when set */
	int64_t signo;
	const char *resources;	  /* JSON text: OCI linux.resources */
	const char *process;	  /* JSON text: OCI process */
	const char *kind, *error; /* network: err_kind_name() and text of what failed */
};
extern const struct json_schema shim_request_schema;

/* ---- answers and events: shim -> engine ---- */
enum shim_event {
	SHIM_EV_NONE,	     /* it is an answer */
	SHIM_EV_HELLO,	     /* state, pid, exitCode, signal, oom, startedAt, finishedAt */
	SHIM_EV_EXITED,	     /* code, signal, oom, finishedAt */
	SHIM_EV_ATTACH_DONE, /* id, reason: one of SHIM_REASON_* */
	SHIM_EV_EXEC_EXITED, /* id, code */
	SHIM_EV_OOM,	     /* a process of the container was killed for memory */
	SHIM_EV_PAUSED,
	SHIM_EV_RESUMED,
	SHIM_EV_NOTICE, /* reason: a line for the engine's messages */
	/* During a start, when shim.json has "network": 1 fd, the container's network namespace,
	 * which nobody has set up yet. The program waits for the request "network". */
	SHIM_EV_NETNS,
	SHIM_EV_COUNT
};
const char *shim_event_name(enum shim_event ev);
enum shim_event shim_event_parse(const char *name); /* NULL and unknown names: SHIM_EV_NONE */

#define SHIM_STATE_CREATED "created" /* nothing started yet, or start failed */
#define SHIM_STATE_RUNNING "running"
#define SHIM_STATE_PAUSED  "paused"
#define SHIM_STATE_EXITED  "exited"

#define SHIM_REASON_EOF	   "eof"    /* output streams ended */
#define SHIM_REASON_DETACH "detach" /* the client typed the detach keys */
#define SHIM_REASON_GONE   "gone"   /* the client closed or broke */
#define SHIM_REASON_EXIT   "exit"   /* the container exited */

struct shim_message {
	uint64_t seq;	   /* answers only */
	const char *event; /* events only */
	bool ok;
	const char *kind, *error; /* answers with ok false: err_kind_name() and text */
	const char *id, *reason, *state;
	int64_t pid;
	int64_t code;	/* exit code 0..255; 128 + signal when killed */
	int64_t signal; /* 0 unless killed by a signal */
	bool oom;
	int64_t started_at, finished_at; /* ns */
};
extern const struct json_schema shim_message_schema;

/* Encode into out (appended; give it BUF_INIT(SHIM_MSG_MAX)). -EMSGSIZE when too large. */
int shim_request_encode(const struct shim_request *r, struct buf *out);
int shim_message_encode(const struct shim_message *m, struct buf *out);
/* Decode: strings belong to the arena. Missing or unknown op is ERR_INVALID. */
int shim_request_decode(const char *p, size_t n, struct shim_request *ret, struct arena *a,
			struct err *e);
int shim_message_decode(const char *p, size_t n, struct shim_message *ret, struct arena *a,
			struct err *e);
/* Lift a refused answer to an error (kind and text as the shim saw them). Always -1. */
int shim_message_error(const struct shim_message *m, struct err *e);

/* A volume with a file system of its own (nfs, cifs, a block device), mounted on the host while a
 * container uses it. Mounting may take as long as a server takes: the shim does it. */
struct shim_volume {
	const char *path, *type, *device, *options;
};

/* ---- files in RUNDIR/containers/ID ---- */
/* shim.json, written by the engine. */
struct shim_log_config {
	const char *driver;	/* "json-file" | "local" | "syslog" | "journald" | "none" */
	const char *path;	/* of the file; with a socket: of the cache, NULL without one */
	int64_t max_size;	/* bytes, 0 or less: unlimited */
	int64_t max_file;	/* files kept, at least 1 */
	const char *compressor; /* NULL: rotated files stay as they are */
	const char *attrs;	/* json-file: text of an object */
	const char *address, *tag, *format;
	int64_t facility;
	const char *tls_ca, *tls_cert, *tls_key; /* syslog over TLS */
	bool tls_skip_verify;
	struct strmap fields; /* journald */
	bool non_blocking;
	int64_t buffer;
};
struct shim_rootfs_config {
	const char *layers_dir; /* NULL: no overlay, config.json's root.path is used as it is */
	struct strs lower;	/* relative to layers_dir, topmost first */
	const char *upper, *work;
	bool readonly;
};
struct shim_seccomp_config {
	const char *profile; /* "default" | "unconfined" | absolute path of a profile */
	const char *cache_dir;
};
struct shim_config {
	const char *id;
	struct shim_log_config log;
	bool tty, open_stdin, stdin_once;
	struct shim_rootfs_config rootfs;
	struct shim_seccomp_config seccomp;
	const char *cgroup_parent;
	const char *helper;    /* coracle-tls: resolves names, and dials TLS for the log */
	const char *init_path; /* coracle-init for --init, or NULL */
	struct objs volumes;   /* struct shim_volume: mounted before the container is made */
	bool network;	       /* the engine sets it up: "netns" and "network" */
	bool trace;
};
extern const struct json_schema shim_config_schema;

/* state.json, written by the shim once the container runs. start_ticks (field 22 of /proc/PID/stat)
 * tells a recycled pid. */
struct shim_state {
	const char *state;
	int64_t pid, shim_pid;
	uint64_t start_ticks, shim_start_ticks;
	int64_t started_at;
};
extern const struct json_schema shim_state_schema;

/* exit.json, written atomically by the shim when the container has ended. */
struct shim_exit {
	int64_t code, signal;
	bool oom;
	int64_t started_at, finished_at;
};
extern const struct json_schema shim_exit_schema;

/* ---- detach keys ---- */
#define DETACH_KEYS_MAX 16
struct detach_keys {
	unsigned char key[DETACH_KEYS_MAX];
	size_t n;    /* 0: none */
	size_t seen; /* how many of them stand at the end of the input so far */
};
/* Docker's syntax: "ctrl-p,ctrl-q", "a,b", "ctrl-@". NULL or "" gives the default. -EINVAL. */
int detach_keys_parse(const char *text, struct detach_keys *ret);
/*
 * Feed n bytes; bytes that are not part of the sequence are appended to out (a partly typed
 * sequence is held back until it is completed or broken). Returns true when the sequence is
 * complete; the rest of the input is dropped.
 */
bool detach_keys_feed(struct detach_keys *k, const void *p, size_t n, struct buf *out);

/* ---- Docker's stream frames ---- */
#define MUX_HEADER 8
enum mux_stream { MUX_STDIN = 0, MUX_STDOUT = 1, MUX_STDERR = 2 };
void mux_header(unsigned char ret[static MUX_HEADER], enum mux_stream stream, size_t n);
