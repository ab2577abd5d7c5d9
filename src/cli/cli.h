/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: an HTTP client of the engine API. One struct cli per process, one struct
 * command per command; a command function returns the exit code.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/opts.h"
#include "cli/endpoint.h"
#include "wire/http1.h"

#include <stdbool.h>

#define CLI_BODY_MAX (256U << 20)
#define CLI_NAME     "coracle"

struct command;

struct cli {
	const struct opts *global; /* -H, -c, --tls... */
	struct endpoint ep;	   /* found with the first connection */
	const char *socket;	   /* its path; NULL when it is no unix socket */
	bool quiet_start;
	int spare;		   /* an idle connection to the engine, or FD_NONE */
	const struct command *cmd; /* the one that runs */
	const char *path;	   /* command path for messages: "container run" */
};

/* ---- commands ---- */
enum command_group { GROUP_NONE, GROUP_COMMON, GROUP_PLAIN };

struct command {
	const char *top;     /* "run": name at top level, NULL when there is none */
	const char *manage;  /* "container", NULL when there is none */
	const char *sub;     /* name below the management command */
	const char *aliases; /* more names below it, blank separated, or NULL */
	const char *args;    /* "IMAGE [COMMAND] [ARG...]", "" */
	const char *brief;
	const struct opt *opts;
	int min, max;	   /* positional arguments; max -1: any number */
	bool interspersed; /* options may follow arguments */
	enum command_group group;
	int (*run)(struct cli *c, struct opts *o);
};
extern const struct command cli_commands[];		  /* ends with run NULL */
const struct command *command_find_top(const char *name); /* NULL */
const struct command *command_find_sub(const char *manage, const char *name);
int cli_main(int argc, char **argv);

/* Print the error as every command does, return the exit code (1). */
int cli_fail(struct cli *c, const struct err *e);
void help_command(const struct command *cmd, const char *path);
void help_usage(const struct command *cmd, const char *path, const char *hint);
void help_manage(const char *manage, int fd);
void help_top(int fd);
bool help_is_manage(const char *name);
const char *help_manage_name(size_t i); /* NULL at the end */
const char *help_manage_brief(size_t i);

/* ---- client ---- */
struct conn {
	int fd;
	struct http1 h;
	char *buf; /* received, not yet handed out: [pos, n) */
	size_t pos, n;
	uint64_t sent, got; /* bytes of the chunked upload, of the answer's body */
};
#define CONN_BUF  (256U << 10)
#define CONN_INIT ((struct conn){.fd = FD_NONE})

/* Find out where the engine is (once). */
int client_locate(struct cli *c, struct err *e);
/* Connect (starting the engine if it is ours to start). */
int conn_open(struct cli *c, struct conn *k, struct err *e);
void conn_close(struct cli *c, struct conn *k); /* keeps a reusable connection as the spare */
/* Send a request; body may be NULL. `extra` are whole header lines or NULL. */
int conn_send(struct conn *k, const char *method, const char *path, const char *extra,
	      const char *type, const void *body, size_t n, struct err *e);
/* The chunked request body of an upload, after conn_send() with type and body NULL and chunked
 * headers. */
int conn_send_chunk(struct conn *k, const void *p, size_t n, struct err *e);
/* Read up to the end of the headers. */
int conn_head(struct conn *k, struct err *e);
/* Next piece of the body: > 0 bytes at *ret, 0 at its end, -1. Blocks. */
ssize_t conn_read(struct conn *k, const char **ret, struct err *e);
/* The body line by line, without line ends and empty lines; fn returns -1 to stop. */
typedef int (*conn_line_fn)(void *ud, const char *line, size_t n, struct err *e);
int conn_lines(struct conn *k, conn_line_fn fn, void *ud, struct err *e);
int conn_body(struct conn *k, struct buf *out, struct err *e);
/* Turn an error status into "Error response from daemon: ..." with the kind of the status. */
int conn_check(struct conn *k, struct err *e);

struct reply {
	int status;
	struct buf body;
	char api_version[16];
};
#define REPLY_INIT ((struct reply){.body = BUF_INIT(CLI_BODY_MAX)})
#define AUTO_REPLY CLEANUP(reply_done)
void reply_done(struct reply *r);
/* One whole exchange. -1 also for status >= 400. body NULL: none; content type is JSON. */
int client_call(struct cli *c, const char *method, const char *path, const char *body,
		struct reply *ret, struct err *e);
/* `extra` are whole header lines or NULL: credentials from auth_header(). */
int client_call_with(struct cli *c, const char *method, const char *path, const char *extra,
		     const char *body, struct reply *ret, struct err *e);
int client_json(struct cli *c, const char *method, const char *path, const char *body,
		struct json **ret, struct err *e);
/* Query strings: ?k=v&k=v, escaped. */
void url_query(struct buf *b, const char *key, const char *value);
/* "linux/arm64/v8" as the API wants it: {"os":..,"architecture":..,"variant":..}. */
void url_platform(struct buf *b, const char *key, const char *platform);
void url_escape(struct buf *b, const char *s); /* a query value */
void url_segment(struct buf *b,
		 const char *s); /* one path segment; '/' stays, as references need */
char *url_path(const char *fmt, const char *segment); /* fmt has one %s */

/* Start coracled and wait until it is ready. */
int autostart(struct cli *c, struct err *e);
