/* SPDX-License-Identifier: Apache-2.0 */
/* What run, create, start, attach and exec share: option tables, the create body, streams. */
#pragma once

#include "cli/cli.h"

#include <stdio.h>

extern const struct opt run_options[];
extern const struct opt create_options[];

/* The body of POST /containers/create from parsed options and IMAGE [COMMAND...]. */
struct run_attach {
	bool in, out, err; /* which streams the client attaches */
	bool tty;
};
int run_body(const struct opts *o, bool detach, struct buf *out, struct run_attach *ret_attach,
	     struct err *e);

/* ---- networks (run-network.c) ---- */
struct run_networks;
int run_networks_parse(const struct opts *o, struct run_networks **ret, struct err *e);
void run_networks_free(struct run_networks *n); /* NULL allowed */
/* NetworkMode and Links inside HostConfig; NetworkingConfig beside it. */
void run_networks_host(const struct run_networks *n, const struct opts *o, struct jw *w);
void run_networks_config(const struct run_networks *n, struct jw *w);
/* The body of a network's connect. */
int run_endpoint_body(const struct opts *o, const char *container, struct buf *out, struct err *e);

/* ---- parsers of option values, one JSON value each (run-parse.c) ---- */
int parse_mount(struct jw *w, const char *csv, struct err *e);
int parse_ulimit(struct jw *w, const char *text, struct err *e);
int parse_device(struct jw *w, const char *text, struct err *e);
/* "/dev/sda:500" (weight), "/dev/sda:10mb" (bytes per second), "/dev/sda:1000" (operations). */
enum device_io { DEVICE_WEIGHT, DEVICE_BYTES, DEVICE_OPERATIONS };
int parse_device_io(struct jw *w, const char *text, enum device_io kind, struct err *e);
/* "all", "2" or "device=0,driver=nvidia,...": one device request. */
int parse_gpus(struct jw *w, const char *text, struct err *e);
int parse_restart(struct jw *w, const char *text, struct err *e);
int parse_security_opts(struct jw *w, const struct optval *v, bool *ret_unconfined_paths,
			struct err *e);
int parse_volumes(struct jw *config, const struct optval *v, bool binds, struct err *e);
int parse_env(struct jw *w, const struct optval *files, const struct optval *env, struct err *e);
int parse_labels(struct jw *w, const struct optval *files, const struct optval *labels,
		 struct err *e);
int parse_add_host(struct jw *w, const char *text, struct err *e);
/* -p, -P and --expose: a key with its value each, nothing when they are not given (run-ports.c). */
int put_exposed_ports(struct jw *w, const struct opts *o, struct err *e);
int put_port_bindings(struct jw *w, const struct opts *o, struct err *e);
/* A key=value list as an object. */
void parse_pairs(struct jw *w, const struct optval *v);
/* "ctrl-p,ctrl-q" to bytes; returns their number or -1. */
int parse_detach_keys(const char *text, char *ret, size_t size);
/* Split one line of CSV (quotes allowed) into heap strings; free with strs_free(). */
int csv_split(const char *line, struct strs *ret);
void strs_free(struct strs *s);

/* ---- streams (stream.c) ---- */
struct stream {
	struct cli *cli;
	struct conn *attach; /* upgraded connection */
	struct conn *wait;   /* answer that ends the stream, or NULL */
	bool tty, in;	     /* raw bytes instead of frames; stdin is attached */
	bool in_tty;	     /* stdin is a terminal in raw mode */
	const char *detach_keys;
	const char *resize_path; /* "/containers/ID/resize", NULL: never */
	const char *kill_path;	 /* "/containers/ID/kill", NULL: no signal proxy */
	bool detached;		 /* result: the detach keys were typed */
};
void stream_signals(void); /* from here on signals are collected, not fatal */
void stream_signals_end(void);
int stream_raw_begin(void); /* raw mode of the terminal at stdin */
void stream_raw_end(void);
void stream_resize(const struct stream *s);
int stream_run(struct stream *s, struct err *e);
/* The body of a plain answer (logs) to stdout and stderr. */
int stream_copy(struct conn *k, bool tty, struct err *e);
/* POST that upgrades; body may be NULL. */
int stream_open(struct cli *c, struct conn *k, const char *path, const char *body, struct err *e);

/* ---- images (pull.c) ---- */
/* Name with its default tag, as users write it ("busybox:latest"). Heap. */
char *image_familiar(const char *name);
/* The name as it is resolved, with registry and tag. Heap. */
char *image_full_name(const char *name);
/* NAME[:TAG|@DIGEST] -> familiar name (heap); *ret_tag is inside `name`, NULL when there is none.
 */
char *image_split(const char *name, const char **ret_tag);
int image_pull(struct cli *c, const char *name, const char *platform, bool quiet, bool all_tags,
	       FILE *out, struct err *e);

/* Exit code of a failed start by its text: 127, 126 or 125. */
int run_exit_code(const struct err *e);
/* Read {"StatusCode":n} of an answered wait; -1 on errors. */
int wait_result(struct conn *k, struct err *e);
