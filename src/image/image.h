/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: pull, push, load, save as jobs on the engine's loop; list, inspect, tag, remove, history
 * as plain calls. Hostile bytes never reach this process' own parsers beyond capped JSON: archives
 * and layers go through coracle-unpack.
 *
 * Jobs: the function returns 0 and the callbacks run later from the loop, never before it returned;
 * `done` exactly once, then the handle is gone. -1: *e is set, no callback will ever run, given
 * descriptors are closed. image_job_cancel() ends a job without calling `done`. One thread (the
 * loop's) uses all of this. SIGPIPE must be ignored (image_service_new() does it).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/ref.h"
#include "spec/filters.h"

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
struct store;
struct image_service;
struct image_job;

/* What may change while the service runs; strings are copied. */
struct image_settings {
	struct strs insecure; /* "host[:port]" or CIDR, besides 127.0.0.0/8, ::1, localhost */
	struct strs mirrors;  /* of Docker Hub: "https://host[:port]", in order */
	unsigned downloads;   /* layers at once per pull; 0: 3 */
	unsigned uploads;     /* layers at once per push; 0: 5 */
	unsigned attempts;    /* for each layer; 0: 5 */
	const char *http_proxy, *https_proxy, *no_proxy; /* NULL: the environment's */
};
struct image_service_config {
	struct uv_loop_s *loop;
	struct store *store;
	const char *program_dir; /* where coracle-unpack is */
	const char *policy;	 /* signature policy before the ones in /etc; NULL */
	struct image_settings settings;
	/* Folders with registries.conf[.d] and with HOST/hosts.toml, in order
	 * (docs/registries.md). NULL: $CORACLE_HOME/etc and its certs.d; without CORACLE_HOME
	 * those of the host. */
	const struct strs *config_dirs, *cert_dirs;
	unsigned stall_s; /* a transfer below 1 KiB/s for so long is broken off; 0: 60 */
};
int image_service_new(const struct image_service_config *c, struct image_service **ret,
		      struct err *e);
/* Used from the next request on; jobs that run keep going. */
void image_service_configure(struct image_service *s, const struct image_settings *o);
/* Cancels every job (their `done` does not run). The loop must run once more to finish closing. */
void image_service_free(struct image_service *s);

/* Told after the fact: action "pull" (id: familiar ref), "tag", "untag", "delete", "load", "save",
 * "push", "import". name may be "". */
typedef void (*image_event_fn)(void *ud, const char *action, const char *id, const char *name);
void image_service_on_event(struct image_service *s, image_event_fn fn, void *ud);

/* ---- jobs ---- */

/* One message of Docker's progress stream: {"status","progressDetail":{"current","total"},"id"}.
 * Without id it is a plain line. stream (load): {"stream":"Loaded image: x\n"}. Borrowed. */
struct image_progress {
	const char *id;		/* short layer id, tag; NULL: none */
	const char *status;	/* "Downloading", "Pull complete", "Digest: sha256:..." */
	const char *stream;	/* instead of status */
	bool has_detail;	/* progressDetail is {} when false */
	int64_t current, total; /* total 0: unknown */
	const char *aux;	/* JSON for {"aux":...}: push; NULL */
};

struct image_job_events {
	void (*progress)(void *ud, const struct image_progress *p); /* NULL allowed */
	/* id: "sha256:..." of the (last) image, NULL with e. e: NULL on success. */
	void (*done)(void *ud, const char *id, const struct err *e);
	void *ud;
};

struct image_pull {
	const char *ref; /* "alpine", "alpine:3.20", "x@sha256:.."; the name `default` never leaves
			    the machine */
	const char *platform; /* "linux/arm64/v8"; NULL or "": the host's */
	const char *auth;     /* value of X-Registry-Auth (base64url JSON); NULL or "" */
	bool all_tags;
};
int image_pull(struct image_service *s, const struct image_pull *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct image_push {
	const char *ref;
	const char *auth;
	bool all_tags;
	/* Its manifest only; NULL or "": the index when all of it is here, else the platform that
	 * the name means. */
	const char *platform;
	/* "gzip" or "zstd": every layer becomes that; NULL or "": as it is, plain ones gzip */
	const char *compression;
	int level; /* 0: the default */
};
int image_push(struct image_service *s, const struct image_push *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct image_load {
	int fd; /* archive: pipe, socket or file, taken (also on failure). FD_NONE with dir */
	const char *dir;      /* an OCI layout folder instead */
	const char *platform; /* picks from an index; NULL: the host's, else the only one */
	bool quiet;
	const char *tag; /* name for an archive that carries none; NULL */
};
/* docker-archive, oci-archive; plain, gzip or zstd. Streams "Loaded image: x:y\n". */
int image_load(struct image_service *s, const struct image_load *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct image_save {
	const char *const *refs; /* names (all tags when bare) or ids */
	size_t n;
	const char *platform; /* only this one; NULL or "": all that is here of an index */
	int fd;		      /* where the tar goes, taken (also on failure) */
};
int image_save(struct image_service *s, const struct image_save *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct container_config;
/*
 * A new image. import: a tar (plain, gzip, zstd, xz, bzip2) becomes its only layer. commit: the
 * changes in an overlayfs upper directory become one more layer on `parent`.
 */
struct image_make {
	const struct digest *parent; /* commit; NULL: import */
	int upper_fd;		     /* commit: taken, also on failure */
	int fd;			     /* import: the tar, taken, also on failure; FD_NONE with url */
	const char *url;	     /* import: http or https; NULL */
	const char *platform;	     /* import: NULL or "": the host's */
	const char *ref, *tag;	     /* name; NULL or "": none. tag NULL or "": of ref, or latest */
	const struct container_config *config; /* NULL: empty */
	const struct strs *changes;	       /* Dockerfile instructions on config; NULL */
	const char *author, *comment, *created_by;
	const char *container; /* commit: its id */
	int64_t created_ns;    /* 0: now */
};
int image_make(struct image_service *s, const struct image_make *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e);
/* The name that image_make() would give; ERR_INVALID on a bad one. */
int image_make_ref(const char *repo, const char *tag, struct image_ref *ret, struct err *e);

struct image_login {
	const char *server; /* "host:port", URL, or NULL for Docker Hub */
	const char *user, *secret, *identity_token;
};
/*
 * POST /auth: try the credentials. `done` with the identity token that the token server gave for
 * them in the place of the id ("": none, keep the password), or ERR_UNAUTHORIZED.
 */
int image_login(struct image_service *s, const struct image_login *o,
		const struct image_job_events *ev, struct image_job **ret, struct err *e);

/*
 * Layers that were not on the disk yet when the machine went down are compared with their seals and
 * unpacked again from their blobs, behind whatever else the loop does. Before anything uses a
 * layer; new_boot: also drop what no image got to need.
 */
int image_recheck(struct image_service *s, bool new_boot, struct err *e);
bool image_rechecking(const struct image_service *s);
/* ERR_LATER while a layer of the container (image NULL), or of the image, is still to be checked.
 */
int image_files_ready(struct image_service *s, const char *container, const struct digest *image,
		      struct err *e);

struct image_fsck_result {
	uint64_t blobs, layers, entries, bytes; /* looked at; entries and bytes: their content */
	uint64_t unsealed;			/* layers of which only the presence is known */
	uint64_t problems, repaired;
};
struct image_fsck {
	bool repair, quick;
	bool (*running)(void *ud, const char *container_id); /* NULL: none does */
	void *running_ud;
	/* Before the job's own `done`, on success only. */
	void (*done)(void *ud, const struct image_fsck_result *r);
	void *ud;
};
/*
 * Check the whole store; with repair, cure what can be cured without losing anything sound. Every
 * problem is a progress message with aux {"kind","name","problem","repaired","advice"}.
 */
int image_fsck(struct image_service *s, const struct image_fsck *o,
	       const struct image_job_events *ev, struct image_job **ret, struct err *e);

struct image_search {
	const char *term; /* "nginx" (Docker Hub), "host:5000/part-of-a-name" */
	const char *auth;
	int64_t limit;		       /* 1 to 100; 0: 25 */
	const struct filters *filters; /* is-automated is-official stars; NULL */
};
/* GET /images/search: `id` at the end is the JSON text of the answer. */
int image_search(struct image_service *s, const struct image_search *o,
		 const struct image_job_events *ev, struct image_job **ret, struct err *e);

void image_job_cancel(struct image_job *j); /* NULL allowed; the job may finish closing later */

/* ---- the embedded image ---- */

#define IMAGE_DEFAULT_NAME "default"	 /* docker.io/library/default:latest */
bool image_default_is(const char *text); /* does this name mean the embedded image? */
/* Import it unless it is there. Blocks for some milliseconds the first time; later calls are a
 * look-up. For container create; pulls of the name do the same as a job. */
int image_default_ensure(struct image_service *s, struct err *e);

/* ---- questions ---- */

/* Adds Container and ContainerConfig to the object in `out`: GET /images/{name}/json before 1.45.
 */
int image_inspect_legacy(struct image_service *s, const char *text, struct buf *out, struct err *e);
/* Name, id or id prefix to id. "No such image: x:latest" (ERR_NOT_FOUND). */
int image_find(struct image_service *s, const char *text, struct digest *ret, struct err *e);
/* The same for a platform, as a client writes it ("linux/arm64" or the API's JSON); NULL or "": the
 * one that the name means. ERR_NOT_FOUND in Docker's words. */
int image_find_platform(struct image_service *s, const char *text, const char *platform,
			struct digest *ret, struct err *e);

struct image_inspect {
	const char *platform; /* NULL or "": any */
	bool manifests;	      /* the platforms too; not with `platform` */
	int api;	      /* minor number of the API's version: which fields there are */
	const char *(*user_at)(void *ud, const struct digest *id, size_t i); /* as in a list */
	void *ud;
};
/* GET /images/{name}/json */
int image_inspect_json(struct image_service *s, const char *text, const struct image_inspect *o,
		       struct buf *out, struct err *e);

struct image_list {
	bool all, digests, shared_size;
	bool manifests;	 /* the platforms of each; Size is then all that is on disk */
	bool descriptor; /* what each name stands for */
	int api;	 /* minor number of the API's version: which fields there are */
	const struct filters *filters; /* NULL: none. dangling label before since reference until */
	/* containers per image: NULL gives -1, and so does an API before 1.51, unless `counted` */
	bool counted;
	int64_t (*users)(void *ud, const struct digest *id);
	/* the i-th container of an image, NULL past the last; NULL: not told */
	const char *(*user_at)(void *ud, const struct digest *id, size_t i);
	/* Size and SharedSize; false or NULL: the content of its layers, -1 */
	bool (*sizes)(void *ud, const struct digest *id, int64_t *ret_size, int64_t *ret_shared);
	void *ud;
};
/* GET /images/json, newest first */
int image_list_json(struct image_service *s, const struct image_list *o, struct buf *out,
		    struct err *e);
int image_history_json(struct image_service *s, const char *text, const char *platform,
		       struct buf *out, struct err *e);

/* ---- changes ---- */

/* Does a container use the image? The engine answers; *ret_running prefers a running one. */
struct image_user {
	char id[65]; /* a container */
	bool running;
	char mounted[4096]; /* instead: where `image mount` shows it */
};
struct image_remove {
	bool force, noprune;
	struct strs platforms; /* only these, under every name; needs force */
	bool (*user)(void *ud, const struct digest *id, struct image_user *ret); /* NULL: nobody */
	void *ud;
};
/* DELETE /images/{name}: [{"Untagged":"x:y"},{"Deleted":"sha256:.."}] */
int image_remove(struct image_service *s, const char *text, const struct image_remove *o,
		 struct buf *out, struct err *e);
/* POST /images/{name}/tag; tag NULL or "" is latest */
int image_tag(struct image_service *s, const char *text, const char *repo, const char *tag,
	      struct err *e);
/* POST /images/prune: {"ImagesDeleted":[..],"SpaceReclaimed":n}; filters dangling until label */
int image_prune(struct image_service *s, const struct filters *f, const struct image_remove *o,
		struct buf *out, struct err *e);

/* Host platform as OCI names it: "linux", "amd64", "". */
void image_host_platform(const char **ret_os, const char **ret_arch, const char **ret_variant);
