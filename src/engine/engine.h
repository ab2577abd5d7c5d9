/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: everything users see (containers, exec, logs, events, volumes, images). One thread
 * (the loop's) owns all state; nothing here is thread-safe and nothing blocks for long.
 *
 * Conventions
 *  - Synchronous functions return 0, or -1 with *e set.
 *  - Functions with a callback return 0: the callback runs exactly once, perhaps before the
 * function returns; 1: nothing to do (HTTP 304), the callback never runs; -1: *e is set, the
 * callback never runs.
 *  - `struct container *` is borrowed and only valid until control returns to the loop: look it up
 * again.
 *  - Text results are JSON appended to a buffer exactly as Docker's API answers.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "spec/container.h"
#include "spec/filters.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ENGINE_ID_MAX 65 /* 64 hex digits and NUL */

struct uv_loop_s;
struct engine;
struct digest;
struct container;
struct store;
struct config;
struct image_service;

struct engine_options {
	const char *data_dir;	 /* "<home>/data" */
	const char *run_dir;	 /* "<home>/run" */
	const char *program_dir; /* where coracle-shim and friends are */
	const char *host; /* what we listen on, for info: "unix:///run/coracle/coracle.sock" */
	bool trace;
	/* Borrowed until engine_reconfigure() or engine_close(); NULL: all defaults. */
	const struct config *config;
};

/*
 * Opens the state and adopts running containers in the background (they answer as soon as their
 * shims do). The directories are created. Fails when another engine has the same data directory.
 */
int engine_open(struct uv_loop_s *loop, const struct engine_options *o, struct engine **ret,
		struct err *e);
/*
 * Stop all containers, each with its own signal and time-out, the whole within shutdown-timeout
 * (longer when a container's own time-out is); what is left is killed. Then done(ud), from the loop
 * or at once. For an engine without live-restore; restart policies apply again at the next start.
 */
void engine_shutdown(struct engine *g, void (*done)(void *ud), void *ud);
/* Drops everything; containers go on under their shims. Pending callbacks run with ERR_UNAVAILABLE.
 */
void engine_close(struct engine *g);

/*
 * Take over a reloaded configuration: what is read when it is used changes at once, containers that
 * exist keep what they were made with. Publishes the event "daemon reload". The old one may be
 * freed afterwards.
 */
void engine_reconfigure(struct engine *g, const struct config *c);
const struct config *engine_config(const struct engine *g); /* valid until the loop turns */

struct store *engine_store(struct engine *g);
struct image_service *engine_images(struct engine *g); /* for pull, load, save jobs */

typedef void (*engine_done_fn)(void *ud, const struct err *e); /* e is NULL on success */
/* json is NULL when e is not, and only valid during the call. */
typedef void (*engine_json_fn)(void *ud, const char *json, const struct err *e);

/* ---- containers: lookup ---- */

/* By full id, name ("/name" too) or unique id prefix. ERR_NOT_FOUND "No such container: x". */
struct container *engine_container_get(struct engine *g, const char *ref, struct err *e);
const char *engine_container_id(const struct container *c);
const char *engine_container_name(const struct container *c); /* without the slash */
bool engine_container_running(const struct container *c);     /* running or paused */
bool engine_container_tty(const struct container *c);	      /* Config.Tty */
bool engine_container_open_stdin(const struct container *c);

/* ---- containers: life ---- */

struct engine_created {
	char id[ENGINE_ID_MAX];
	struct strs warnings; /* memory of the arena given */
};
/* name NULL or "" makes one up; platform "" or "os/arch[/variant]". Keeps nothing of body. */
int engine_container_create(struct engine *g, const char *name, const char *platform,
			    const struct container_create *body, struct arena *a,
			    struct engine_created *ret, struct err *e);
/* Returns 1 when it already runs. */
int engine_container_start(struct engine *g, struct container *c, engine_done_fn cb, void *ud,
			   struct err *e);
/* timeout_s: -1 waits for ever, ENGINE_STOP_DEFAULT takes the container's own; signal NULL: the
 * container's. 1: not running. */
#define ENGINE_STOP_DEFAULT (-1000)
int engine_container_stop(struct engine *g, struct container *c, const char *signal, int timeout_s,
			  engine_done_fn cb, void *ud, struct err *e);
int engine_container_restart(struct engine *g, struct container *c, const char *signal,
			     int timeout_s, engine_done_fn cb, void *ud, struct err *e);
/* signal: NULL/"" is KILL, names with or without SIG, numbers. Conflict when it does not run. */
int engine_container_kill(struct engine *g, struct container *c, const char *signal,
			  engine_done_fn cb, void *ud, struct err *e);
int engine_container_pause(struct engine *g, struct container *c, engine_done_fn cb, void *ud,
			   struct err *e);
int engine_container_unpause(struct engine *g, struct container *c, engine_done_fn cb, void *ud,
			     struct err *e);
int engine_container_remove(struct engine *g, struct container *c, bool force, bool volumes,
			    bool link, engine_done_fn cb, void *ud, struct err *e);
int engine_container_rename(struct engine *g, struct container *c, const char *name, struct err *e);
/* ERR_LATER while layers of the container, or of images mounted in it, are being checked after a
 * crash of the machine; or of an image. */
int engine_container_ready(struct engine *g, const struct container *c, struct err *e);
int engine_image_ready(struct engine *g, const struct digest *image, struct err *e);
int engine_container_resize(struct engine *g, struct container *c, unsigned h, unsigned w,
			    struct err *e);
/* body: Resources and RestartPolicy as posted; answers {"Warnings":...}. */
int engine_container_update(struct engine *g, struct container *c, const struct json *body,
			    engine_json_fn cb, void *ud, struct err *e);
/* POST /containers/prune: {"ContainersDeleted":[...],"SpaceReclaimed":n} */
int engine_container_prune(struct engine *g, const struct filters *f, engine_json_fn cb, void *ud,
			   struct err *e);

/* ---- containers: wait ---- */

struct engine_wait; /* handle to cancel with; gone once the callback ran */
/* error is "" or the text for StatusCode's Error.Message. With e set the wait ended without a code.
 */
typedef void (*engine_wait_fn)(void *ud, int64_t code, const char *error, const struct err *e);
/*
 * condition: NULL/""/"not-running", "next-exit", "removed". *ret_wait is NULL when the callback
 * already ran. Docker answers the header at once: the caller sends status 200 right after this
 * returned 0.
 */
int engine_container_wait(struct engine *g, struct container *c, const char *condition,
			  engine_wait_fn cb, void *ud, struct engine_wait **ret_wait,
			  struct err *e);
void engine_wait_cancel(struct engine_wait *w); /* the callback will not run */

/* ---- containers: streams ---- */

struct engine_attach {
	bool in, out, err, stream, logs;
	bool mux;		 /* 8-byte frame headers; false for a terminal's raw bytes */
	const char *detach_keys; /* NULL: ctrl-p,ctrl-q */
	int fd; /* the raw client socket after the upgrade answer; the engine owns it from here on
		 */
	const void *preface; /* bytes the client sent behind its request */
	size_t preface_n;
};
/*
 * Check before upgrading (engine_attach_check), then hand the socket over. Works for a container
 * that is not started yet: it is attached when it starts. The engine closes the fd at the end; also
 * on error.
 */
int engine_attach_check(struct engine *g, struct container *c, const struct engine_attach *o,
			struct err *e);
int engine_container_attach(struct engine *g, struct container *c, const struct engine_attach *o,
			    struct err *e);

struct engine_logs_options {
	bool out, err, follow, timestamps, details;
	bool mux;		    /* frame headers; pass !engine_container_tty() */
	int64_t since_ns, until_ns; /* 0: no limit */
	int64_t tail;		    /* -1: all */
};
struct engine_logs;
enum engine_logs_state { ENGINE_LOGS_MORE, ENGINE_LOGS_WAIT, ENGINE_LOGS_END };
/* wake runs (from the loop) when there may be more after ENGINE_LOGS_WAIT, and when the end came.
 */
int engine_logs_open(struct engine *g, struct container *c, const struct engine_logs_options *o,
		     void (*wake)(void *ud), void *ud, struct engine_logs **ret, struct err *e);
/* Appends at most about 64 KiB of finished bytes to out. */
enum engine_logs_state engine_logs_read(struct engine_logs *l, struct buf *out);
void engine_logs_close(struct engine_logs *l); /* NULL allowed */

/* ---- containers: questions ---- */

struct store_measuring;
struct engine_list_options {
	const struct store_measuring *measured; /* sizes from there; NULL: measured now */
	bool all, size;
	int64_t limit; /* 0: no limit; n: the n newest, running or not */
	const struct filters *filters;
};
int engine_container_list(struct engine *g, const struct engine_list_options *o, struct buf *out,
			  struct err *e);
int engine_container_inspect(struct engine *g, struct container *c, bool size, struct buf *out,
			     struct err *e);
/* {"Titles":[...],"Processes":[[...]]}; ps_args NULL is "-ef". */
int engine_container_top(struct engine *g, struct container *c, const char *ps_args,
			 engine_json_fn cb, void *ud, struct err *e);
/* One sample as a Docker stats object; precpu_stats is the previous sample given by the caller's
 * state (may be NULL). */
#define ENGINE_STATS_CPUS 512

struct engine_stats {
	int64_t read_ns;
	uint64_t cpu_total, cpu_user, cpu_kernel, cpu_system, online;
	uint64_t percpu[ENGINE_STATS_CPUS];
	size_t npercpu; /* 0: the kernel does not tell (v2) */
};
int engine_container_stats(struct engine *g, struct container *c, struct engine_stats *previous,
			   struct buf *out, struct err *e);
int engine_container_changes(struct engine *g, struct container *c, struct buf *out, struct err *e);

/* ---- containers: files ---- */

struct engine_files_job;
/* {"name","size","mode" (Go's),"mtime","linkTarget"}; a symbolic link is not followed. */
int engine_container_stat_path(struct engine *g, struct container *c, const char *path,
			       struct buf *out, struct err *e);
/* Tar of the path (NULL: the whole root, export) into fd; tar from fd into the directory. fd is
 * taken, also on failure. */
int engine_container_tar_out(struct engine *g, struct container *c, const char *path, int fd,
			     engine_done_fn cb, void *ud, struct engine_files_job **ret,
			     struct err *e);
struct engine_tar_in {
	bool keep_types; /* noOverwriteDirNonDir */
	bool own;	 /* copyUIDGID: entries belong to the container's user */
};
int engine_container_tar_in(struct engine *g, struct container *c, const char *path,
			    const struct engine_tar_in *o, int fd, engine_done_fn cb, void *ud,
			    struct engine_files_job **ret, struct err *e);
void engine_files_cancel(struct engine_files_job *j); /* the callback will not run */

/* ---- exec ---- */

/* ref: the container as the user named it, for messages. */
int engine_exec_create(struct engine *g, struct container *c, const char *ref,
		       const struct exec_config *body, char ret_id[static ENGINE_ID_MAX],
		       struct err *e);
/* Checks that an exec may start and tells how its stream is framed; call before the upgrade answer.
 */
int engine_exec_check(struct engine *g, const char *id, const struct exec_start *o, bool *ret_mux,
		      struct err *e);
/* attach NULL: detached. cb: the process started or failed to; the socket closes when the process
 * ends. */
int engine_exec_start(struct engine *g, const char *id, const struct exec_start *o,
		      const struct engine_attach *attach, engine_done_fn cb, void *ud,
		      struct err *e);
int engine_exec_resize(struct engine *g, const char *id, unsigned h, unsigned w, struct err *e);
int engine_exec_inspect(struct engine *g, const char *id, struct buf *out, struct err *e);

/* ---- events ---- */

struct engine_events;
/* One event as JSON without a newline. With json NULL the stream ended (until reached, or the
 * engine closes). */
typedef void (*engine_event_fn)(void *ud, const char *json);
/* ERR_INVALID for a filter that events do not have. */
int engine_events_check(const struct filters *f, struct err *e);
/* since/until 0: none. Past events come before this returns. */
int engine_events_subscribe(struct engine *g, const struct filters *f, int64_t since_ns,
			    int64_t until_ns, engine_event_fn cb, void *ud,
			    struct engine_events **ret, struct err *e);
void engine_events_cancel(struct engine_events *s); /* NULL allowed */
/* For image jobs that api drives (pull, tag, load...): type "image", action "pull". attrs: key,
 * value, ..., NULL. */
void engine_event_publish(struct engine *g, const char *type, const char *action, const char *id,
			  ...) __attribute__((sentinel));

/* ---- networks ---- */
struct network;
struct network_create;
struct network_connect;
/* ret: the id. */
int engine_network_create(struct engine *g, const struct network_create *body,
			  char ret[static ENGINE_ID_MAX], struct err *e);
int engine_network_remove(struct engine *g, const char *ref, struct err *e);
int engine_network_list(struct engine *g, const struct filters *f, struct buf *out, struct err *e);
int engine_network_inspect(struct engine *g, const char *ref, struct buf *out, struct err *e);
int engine_network_prune(struct engine *g, const struct filters *f, struct buf *out, struct err *e);
int engine_network_connect(struct engine *g, const char *ref, const struct network_connect *body,
			   struct err *e);
int engine_network_disconnect(struct engine *g, const char *ref, const struct network_connect *body,
			      struct err *e);

/* ---- volumes ---- */

int engine_volume_create(struct engine *g, const struct volume_create *body, struct buf *out,
			 struct err *e);
int engine_volume_list(struct engine *g, const struct filters *f, struct buf *out, struct err *e);
int engine_volume_inspect(struct engine *g, const char *name, struct buf *out, struct err *e);
int engine_volume_remove(struct engine *g, const char *name, bool force, struct err *e);
/* every: named volumes too, as clients before API 1.42 mean it. */
int engine_volume_prune(struct engine *g, const struct filters *f, bool every, struct buf *out,
			struct err *e);

/* ---- images (pull, load and save go through engine_images()) ---- */

struct engine_image_list {
	const struct filters *filters;
	bool all, shared_size, digests, manifests, descriptor; /* as in image.h */
	int api;
};
int engine_image_list(struct engine *g, const struct engine_image_list *q, struct buf *out,
		      struct err *e);
/* platform NULL or "": what the name means. api, manifests: struct image_inspect. */
int engine_image_inspect(struct engine *g, const char *ref, const char *platform, bool manifests,
			 int api, struct buf *out, struct err *e);
int engine_image_history(struct engine *g, const char *ref, const char *platform, struct buf *out,
			 struct err *e);
/* [{"Untagged":"..."},{"Deleted":"sha256:..."}]; conflicts with containers as Docker words them. */
/* platforms: only these (needs force); NULL: all of it. */
int engine_image_remove(struct engine *g, const char *ref, bool force, bool noprune,
			const struct strs *platforms, struct buf *out, struct err *e);
int engine_image_tag(struct engine *g, const char *ref, const char *repo, const char *tag,
		     struct err *e);
int engine_image_prune(struct engine *g, const struct filters *f, struct buf *out, struct err *e);

/* Views of images mounted by clients: docs/adr/0003-no-host-mounts.md. target NULL or "": a folder
 * of ours. ns: inode of the client's mount namespace. Answers what to mount. */
int engine_image_mount(struct engine *g, const char *ref, const char *target, const char *ns,
		       struct buf *out, struct err *e);
int engine_image_mounts(struct engine *g, struct buf *out, struct err *e);
int engine_image_mounted(struct engine *g, const char *id, struct err *e); /* the client did */
/* ERR_CONFLICT while it is still mounted. */
int engine_image_unmount(struct engine *g, const char *id, struct err *e);

struct engine_commit {
	const char *repo, *tag, *comment, *author; /* NULL or "": none */
	const struct container_config *config;	   /* instead of the container's; NULL */
	const struct strs *changes;		   /* Dockerfile instructions */
	bool pause;				   /* while its files are read */
};
/* cb gets {"Id":"sha256:..."}. */
int engine_container_commit(struct engine *g, struct container *c, const struct engine_commit *o,
			    engine_json_fn cb, void *ud, struct err *e);

/* ---- system ---- */

int engine_info(struct engine *g, struct buf *out, struct err *e);
int engine_version(struct engine *g, struct buf *out, struct err *e);
struct image_job;
struct image_job_events;
/* A JSON array: what is reachable from where, see engine/exposure.c. */
void engine_exposure(struct engine *g, struct buf *out);
struct image_fsck_result;
/* image_fsck() that leaves layers below running containers alone. result: before ev's done. */
int engine_fsck(struct engine *g, bool repair, bool quick,
		void (*result)(void *ud, const struct image_fsck_result *r),
		const struct image_job_events *ev, struct image_job **ret, struct err *e);
/* Removal of what nobody uses; see gc.c. */
struct engine_gc {
	bool dry_run;
	bool dangling;	       /* only images without a name */
	int64_t unused_for_ns; /* only what was not used for so long */
	int64_t keep_bytes;    /* stop when images occupy no more; 0: go on */
};
struct engine_gc engine_gc_policy(const struct engine *g); /* as configured */
/* {"DryRun","UsageBefore","Images":[{"Id","Names","LastUsed","Size"}],"SpaceReclaimed"} */
int engine_gc(struct engine *g, const struct engine_gc *o, engine_json_fn cb, void *ud,
	      struct err *e);
enum engine_df {
	ENGINE_DF_CONTAINERS = 1,
	ENGINE_DF_IMAGES = 2,
	ENGINE_DF_VOLUMES = 4,
	ENGINE_DF_BUILD_CACHE = 8
};
/* GET /system/df; types 0: all. The disk is measured on a worker thread. */
/* The numbers of the engine and its containers in Prometheus' text format 0.0.4. */
void engine_metrics(struct engine *g, struct buf *out);
/* api: minor number of the API's version. */
int engine_disk_usage(struct engine *g, unsigned types, int api, engine_json_fn cb, void *ud,
		      struct err *e);
