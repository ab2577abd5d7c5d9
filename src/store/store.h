/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: blobs, layers, images, containers' rows and snapshots, volumes; the only writer of
 * state.db and of DIR/data. It is not the runtime: it mounts nothing and starts nothing. Names of
 * images are full canonical strings here
 * ("docker.io/library/alpine:3.20"); familiar names are the image module's business.
 *
 * Threads: one thread (the engine's loop) uses a `struct store`. Functions marked "any thread" take
 * no store.
 *
 * Durability: state.db is WAL with synchronous=NORMAL (a power cut may lose the newest
 * container rows, never the consistency); transactions about layers, images and volumes are
 * synchronous=FULL. Files become visible by rename after fsync, before the row that names them;
 * store_open() removes what has no row and drops rows that have no files. What is stored with
 * STORE_LATER, and layers with `unsynced`, wait for store_settle_run() and the store_image_put()
 * that makes the image known; the trees of such layers reach the disk after that.
 *
 * Errors: ERR_NOT_FOUND,
 * ERR_CONFLICT, ERR_INVALID as documented; ERR_SYSTEM for disk and database trouble.
 */
#pragma once

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct store;

#define STORE_ID_LEN 64 /* container ids: 64 lower-case hex digits */

/* ---- open ---- */

/* What the last store_open() had to repair. */
struct store_repair {
	unsigned layers_orphan;	    /* directories without row, moved to the trash */
	unsigned layers_lost;	    /* rows whose directory is gone: marked broken */
	unsigned containers_orphan; /* directories without row */
	unsigned containers_half;   /* rows without directory: removed */
	unsigned volumes_orphan;    /* directories without row: adopted as volumes, never deleted */
	unsigned volumes_lost;	    /* rows without directory: directory made again (empty) */
	unsigned ingest_stale; /* staged members and unknown files; resumable partial blobs stay */
	unsigned blobs_lost;   /* files in blobs/ with an impossible name or zero length */
	/* The database was damaged: what could be read of it is in a new one. */
	char kept[64]; /* name of the old one in DATA; "": nothing was damaged */
	unsigned rows_salvaged;
	unsigned containers_kept; /* folders without row, moved to KEPT.containers */
};

/*
 * Open (create when absent) the store. data_dir gets state.db and folders, run_dir gets
 * engine.lock. A second opener gets ERR_CONFLICT "another engine (pid N) uses DIR". Repairs before
 * it returns. Blocking.
 */
int store_open(const char *data_dir, const char *run_dir, struct store **ret, struct err *e);
void store_close(struct store *s); /* NULL allowed; the trash keeps what is in it */
const struct store_repair *store_repair_report(const struct store *s);

/* Borrowed, live as long as the store. Paths are absolute. */
const char *store_data_dir(const struct store *s);
const char *store_layers_dir(const struct store *s);	 /* DATA/layers */
const char *store_containers_dir(const struct store *s); /* DATA/containers */
const char *store_volumes_dir(const struct store *s);	 /* DATA/volumes */

/* ---- leases: what a running job needs, so that garbage collection leaves it alone ---- */
struct store_lease; /* in memory only; take one per pull/load/build */
struct store_lease *store_lease_new(struct store *s);
void store_lease_blob(struct store_lease *l, const struct digest *blob);
/* parents are held with it */
void store_lease_layer(struct store_lease *l, const struct digest *chain);
void store_lease_free(struct store_lease *l);
/* Did garbage collection keep something for a lease since the last call? Then it has to come again.
 */
bool store_lease_kept(struct store *s);
DEFINE_AUTO(store_lease);

/* ---- blobs: data/blobs/sha256/HEX, immutable, verified by whoever commits them ---- */

bool store_blob_has(struct store *s, const struct digest *d, uint64_t *ret_size /* NULL allowed */);
/* fd for reading, owned by the caller. ERR_NOT_FOUND. */
int store_blob_open(struct store *s, const struct digest *d, int *ret_fd, struct err *e);
/* Append the whole blob to out; ERR_LIMIT past out->max. For manifests and configs. */
int store_blob_read(struct store *s, const struct digest *d, struct buf *out, struct err *e);
/* When something must be on the disk: before the function returns (it blocks), or before the
 * store_settle_run() of a lease that holds it does. */
enum store_when { STORE_NOW, STORE_LATER };
/* Store bytes under their sha256. Existing is fine. */
int store_blob_put(struct store *s, const void *p, size_t n, enum store_when when,
		   struct digest *ret, struct err *e);

/*
 * Partial blob of a download: data/ingest/HEX.partial opened read-write, *ret_have bytes are
 * already in it (not verified: give the fd and the number to coracle-unpack as --blob-fd and
 * --blob-have; it hashes them first). The fd is the caller's. ERR_CONFLICT while another ingest of
 * the same digest is open in this process (until commit, close or abort).
 */
int store_ingest_open(struct store *s, const struct digest *d, int *ret_fd, uint64_t *ret_have,
		      struct err *e);
/* The file is complete and its digest was checked: it goes to blobs/. ERR_INVALID when the size
 * differs. */
int store_ingest_commit(struct store *s, const struct digest *d, uint64_t size,
			enum store_when when, struct err *e);
/* give up for now; the bytes stay for a resume */
void store_ingest_close(struct store *s, const struct digest *d);
/* throw the bytes away (wrong digest) */
void store_ingest_abort(struct store *s, const struct digest *d);

/*
 * Staged members of a docker-archive or oci-archive (coracle-unpack archive). The directory fd is
 * borrowed; pass it as
 * --ingest-fd. A fresh prefix for file names comes from store_stage_prefix(); store_stage_drop()
 * removes what is left.
 */
int store_ingest_dir(const struct store *s);
void store_stage_prefix(struct store *s, char ret[static 32]);
int store_stage_commit(struct store *s, const char *file, const struct digest *d, uint64_t size,
		       enum store_when when, struct err *e);
void store_stage_drop(struct store *s, const char *prefix);

/* All blobs that a lease holds, and their names, on the disk. */
struct store_settle;
struct store_settle *store_settle_new(const struct store *s, const struct store_lease *l);
int store_settle_run(struct store_settle *st, struct err *e); /* any thread; blocks */
void store_settle_free(struct store_settle *st);

/* ---- layers: data/layers/N/diff, overlayfs lower directories; keyed by chain id ---- */

/* Range of the owners in a layer or an image. -1 each: unknown; -2 each: no entries. */
struct store_ids {
	int64_t uid_min, uid_max, gid_min, gid_max;
};
#define STORE_IDS_NONE	((struct store_ids){-1, -1, -1, -1})
#define STORE_IDS_EMPTY ((struct store_ids){-2, -2, -2, -2})

struct store_layer {
	int64_t id;	/* N */
	int64_t parent; /* its N, 0: none */
	struct digest chain;
	struct digest diff_id; /* sha256 of the uncompressed tar */
	struct digest blob;    /* compressed blob it came from; unset when unknown */
	uint64_t size;	       /* bytes of file content (contentSize of the unpacker) */
	int64_t created;       /* ns */
	struct store_ids ids;
	bool broken; /* its directory is damaged or gone: another pull or fsck makes it again */
};

/* chain id of diff_id on top of parent (NULL or unset: base layer). Any thread. */
void store_chain_id(const struct digest *parent, const struct digest *diff_id, struct digest *ret);

int store_layer_get(struct store *s, const struct digest *chain, struct store_layer *ret,
		    struct err *e);
/* Known and not broken. */
bool store_layer_has(struct store *s, const struct digest *chain);

typedef int (*store_layer_fn)(const struct store_layer *l, void *ud); /* non-zero stops */
int store_layer_each(struct store *s, store_layer_fn fn, void *ud, struct err *e); /* by N */
int store_layer_mark(struct store *s, const struct digest *chain, bool broken, struct err *e);
/* Its directory and its seal (FD_NONE or negative: it has none), owned by the caller. */
int store_layer_open(struct store *s, int64_t id, int *ret_dir, int *ret_seal, struct err *e);

struct store_layer_tmp {
	char name[48]; /* "tmp-..." in data/layers */
	int fd;	       /* of its diff directory, O_RDONLY|O_DIRECTORY; owned by this struct */
	int seal_fd;   /* empty file for the unpacker's seal; owned too */
	struct store_ids ids; /* filled by the caller before the commit */
	bool unsynced; /* its tree is not on the disk yet, but its blob is or will be settled */
};
#define STORE_LAYER_TMP_INIT                                                                       \
	((struct store_layer_tmp){.fd = FD_NONE, .seal_fd = FD_NONE, .ids = STORE_IDS_NONE})
/* A new empty directory (root:root 0755) to unpack into. */
int store_layer_begin(struct store *s, struct store_layer_tmp *ret, struct err *e);
/*
 * The directory becomes the layer `chain`. parent: its chain id, NULL or unset for a base layer;
 * must exist. blob may be NULL. If the chain is already there (another pull won), tmp is dropped
 * and the existing layer returned: success. A broken one is replaced by tmp instead. tmp is
 * finished either way only on success; call store_layer_abort() on failure.
 */
int store_layer_commit(struct store *s, struct store_layer_tmp *tmp, const struct digest *parent,
		       const struct digest *diff_id, const struct digest *blob, uint64_t size,
		       struct store_layer *ret, struct err *e);
/* moved to the trash; unset is fine */
void store_layer_abort(struct store *s, struct store_layer_tmp *tmp);

/*
 * Layers committed with `unsynced`, until their trees are on the disk. Their rows carry the boot:
 * in the same one the page cache still has all they lost by a crash of the engine; after another
 * one (a crash of the machine) they are suspects, to be checked, and unpacked again from their
 * blobs if they are damaged. Their blobs are kept whatever happens to their images.
 */
/* Remember which layers a sync that begins now will cover; *ret_n: how many. */
int store_unsynced_begin(struct store *s, size_t *ret_n, struct err *e);
/* That sync is over. *ret_kept: blobs were kept from garbage collection for their sake. */
int store_unsynced_end(struct store *s, bool *ret_kept, struct err *e);
int store_suspect_each(struct store *s, store_layer_fn fn, void *ud, struct err *e); /* by N */
/* It was checked, and is sound or marked broken: from now on only unsynced. */
int store_suspect_done(struct store *s, const struct digest *chain, struct err *e);
/* The folder of the layers, borrowed: for syncfs(2). Reports write errors since store_open(). */
int store_layers_fd(const struct store *s);

/* ---- images: id = digest of the config blob ---- */

struct store_image {
	struct digest id;
	struct digest manifest; /* unset when loaded from an old docker-archive */
	const char *config;	/* JSON text of the image config, as received */
	struct digest *layers;	/* chain ids, base first */
	size_t nlayers;
	struct digest *blobs; /* what it keeps in blobs/: config, manifest, layers */
	size_t nblobs;
	uint64_t size;	   /* sum of the layers' content; filled by the store */
	int64_t stored;	   /* ns: when it was put */
	int64_t used;	   /* ns: when a container of it was made or removed last; 0: never */
	const char **tags; /* "docker.io/library/alpine:3.20", sorted; filled by the store */
	size_t ntags;
	const char **digests; /* "docker.io/library/alpine@sha256:..."; filled by the store */
	size_t ndigests;
	/* Names of either kind that stand for the same image of another platform: this one is here
	 * beside it. Filled by the store. */
	const char **also;
	size_t nalso;
	struct digest *indexes; /* what all these names stand for, if not its manifest */
	size_t nindexes;
};
/* Structs returned by the store are one heap object with everything in it. */
void store_image_free(struct store_image *img);
DEFINE_AUTO(store_image);

/*
 * Insert (or refresh) an image; its layers must be committed. Uses id, manifest, config, layers,
 * blobs. Durable when it returns. Refs are set apart by store_ref_set().
 */
int store_image_put(struct store *s, const struct store_image *img, struct err *e);
int store_image_get(struct store *s, const struct digest *id, struct store_image **ret,
		    struct err *e);
/*
 * Find an image: canonical (may be NULL) is tried as a ref first ("name:tag", or "name@digest" for
 * digested references), then text as "sha256:HEX", HEX or an id prefix. Ambiguous prefixes are
 * ERR_INVALID "Multiple IDs found with provided prefix: x"; nothing found is ERR_NOT_FOUND "No such
 * image: <text>".
 */
int store_image_resolve(struct store *s, const char *canonical, const char *text,
			struct digest *ret_id, struct err *e);
/* The image whose manifest this is; false: there is none. */
bool store_image_of_manifest(struct store *s, const struct digest *manifest, struct digest *ret);
/* Owners over all its layers, known before anything is mounted; *ret_broken: a layer is damaged. */
int store_image_ids(struct store *s, const struct digest *id, struct store_ids *ret,
		    bool *ret_broken, struct err *e);
typedef int (*store_image_fn)(const struct store_image *img, void *ud); /* non-zero stops */
/* All images, newest first. The pointer lives during the call. */
int store_image_each(struct store *s, store_image_fn fn, void *ud, struct err *e);
size_t store_image_count(struct store *s);

/* What a list shows: no layers, no configuration to parse. Newest first. Pointers live during the
 * call. */
struct store_image_row {
	struct digest id;
	uint64_t size;
	int64_t stored;
	int64_t created; /* ns, from the config; -1: store_image_facts() was never told */
	const char *labels, *parent; /* labels: JSON object or "" */
	const char **tags, **digests;
	size_t ntags, ndigests;
	size_t nalso; /* names that have it as another platform */
};
typedef int (*store_image_row_fn)(const struct store_image_row *row, void *ud);
int store_image_rows(struct store *s, store_image_row_fn fn, void *ud, struct err *e);
/* What the config says, kept for lists. */
int store_image_facts(struct store *s, const struct digest *id, int64_t created, const char *labels,
		      const char *parent, struct err *e);

/*
 * Refs. kind is seen from the text: with '@' it is a digest ref. A ref stands for a target, the
 * digest of an index or a manifest (unset: there is none), and has one image, or several when the
 * target is an index and more platforms of it are here: the first, which the name means when no
 * platform is asked for, and others. docs/adr/0011-platforms-of-a-name.md
 */
/* The image alone, without a target. Moving a ref from another image is fine. */
int store_ref_set(struct store *s, const char *ref, const struct digest *image, struct err *e);
/* With a target (NULL or unset: none). When the ref stands for it already the image joins those it
 * has: as the first, or as another one. */
int store_ref_join(struct store *s, const char *ref, const struct digest *image,
		   const struct digest *target, bool first, struct err *e);
/* `to` becomes what `from` is. */
int store_ref_copy(struct store *s, const char *from, const char *to, struct err *e);
/* With all its images. ERR_NOT_FOUND. *ret_image, the first of them, may be NULL. */
int store_ref_del(struct store *s, const char *ref, struct digest *ret_image, struct err *e);
int store_ref_get(struct store *s, const char *ref, struct digest *ret_image, struct err *e);
/* False: there is no such ref, or it has no target. */
bool store_ref_target(struct store *s, const char *ref, struct digest *ret);
/* All its images, the first in front, the others by age, newest first; *ret is the caller's. */
int store_ref_images(struct store *s, const char *ref, struct digest **ret, size_t *ret_n,
		     struct err *e);
/* Where the image is the first of several, the newest other one takes its place. */
int store_ref_step_down(struct store *s, const struct digest *image, struct err *e);

/*
 * Delete the image and its refs, then every layer and blob nothing else needs (images, snapshots,
 * leases): moved to the trash. Whether containers use it is the engine's question
 * (store_image_users). fn gets each deleted layer's chain id (top first), NULL allowed; *ret_freed
 * the bytes, NULL allowed.
 */
typedef void (*store_digest_fn)(const struct digest *d, void *ud);
int store_image_delete(struct store *s, const struct digest *id, store_digest_fn fn, void *ud,
		       uint64_t *ret_freed, struct err *e);
/* Containers made from the image: number, and the id of one of them. */
size_t store_image_users(struct store *s, const struct digest *id,
			 char ret_one[static STORE_ID_LEN + 1]);

/* ---- containers: the engine's JSON texts ---- */

struct store_container {
	const char *id;		/* 64 hex */
	const char *name;	/* without the leading slash */
	const char *image_id;	/* "sha256:..." or "" */
	const char *config;	/* JSON */
	const char *hostconfig; /* JSON */
	const char *state;	/* JSON */
	int64_t created;	/* ns */
};

/*
 * Insert the row and make data/containers/ID (0710). With image (NULL allowed: none) also the
 * snapshot {upper,work} on its layers. A taken name is ERR_CONFLICT with Docker's sentence. Nothing
 * is left behind on failure.
 */
int store_container_insert(struct store *s, const struct store_container *c,
			   const struct digest *image, struct err *e);
int store_container_set_state(struct store *s, const char *id, const char *state, struct err *e);
/* NULL leaves a text as it is. */
int store_container_set_config(struct store *s, const char *id, const char *config,
			       const char *hostconfig, struct err *e);
int store_container_rename(struct store *s, const char *id, const char *name, struct err *e);
/* Row, snapshot and data/containers/ID (to the trash). Its anonymous volumes are the engine's to
 * remove. */
int store_container_delete(struct store *s, const char *id, struct err *e);
/*
 * Full id, then exact name (a leading '/' is ignored), then id prefix. ERR_NOT_FOUND "No such
 * container: x"; ERR_INVALID "Multiple IDs found with provided prefix: x".
 */
int store_container_find(struct store *s, const char *text, char ret_id[static STORE_ID_LEN + 1],
			 struct err *e);
typedef int (*store_container_fn)(const struct store_container *c, void *ud); /* non-zero stops */
int store_container_each(struct store *s, store_container_fn fn, void *ud,
			 struct err *e); /* oldest first */

/* ---- snapshots: a container's root file system ---- */

/* Does fn say true for a layer, damaged or not, that the container (image NULL) or image rests on?
 */
bool store_rests_on(struct store *s, const char *container_id, const struct digest *image,
		    bool (*fn)(void *ud, int64_t layer), void *ud);

struct store_snapshot {
	const char *layers_dir; /* absolute: the runtime changes there before it mounts */
	const char **lower;	/* "17/diff", top first, NULL-terminated */
	size_t nlower;
	const char *upper; /* absolute */
	const char *work;
};
void store_snapshot_free(struct store_snapshot *sn);
DEFINE_AUTO(store_snapshot);
/* ERR_NOT_FOUND when the container has none. */
int store_snapshot_get(struct store *s, const char *container_id, struct store_snapshot **ret,
		       struct err *e);
/* The same for an image alone (upper and work NULL): commit, build, scan. */
int store_snapshot_of_image(struct store *s, const struct digest *image,
			    struct store_snapshot **ret, struct err *e);

/* ---- volumes: data/volumes/NAME/_data ---- */

struct store_volume {
	const char *name;
	const char *driver;	/* "local" */
	const char *labels;	/* JSON object */
	const char *options;	/* JSON object */
	const char *mountpoint; /* absolute .../_data; filled by the store */
	int64_t created;	/* ns; filled by the store when 0 */
	bool anonymous;
};
void store_volume_free(struct store_volume *v);
DEFINE_AUTO(store_volume);
/* Docker's rule: [a-zA-Z0-9][a-zA-Z0-9_.-]+ ; ERR_INVALID with its sentence. */
int store_volume_name_check(const char *name, struct err *e);
/*
 * Make the volume, or return the existing one with *ret_created false (driver and options must
 * agree: ERR_CONFLICT). driver, labels, options may be NULL. ret and ret_created may be NULL.
 */
int store_volume_create(struct store *s, const struct store_volume *v, struct store_volume **ret,
			bool *ret_created, struct err *e);
int store_volume_get(struct store *s, const char *name, struct store_volume **ret,
		     struct err *e); /* "get x: no such volume" */
int store_volume_remove(struct store *s, const char *name,
			struct err *e); /* in use is the engine's question */
typedef int (*store_volume_fn)(const struct store_volume *v, void *ud);
int store_volume_each(struct store *s, store_volume_fn fn, void *ud, struct err *e); /* by name */

/* ---- small documents of other modules (networks, engine id, swarm nothing) ---- */
int store_doc_put(struct store *s, const char *kind, const char *key, const char *json,
		  struct err *e);
/* *ret is a heap string. ERR_NOT_FOUND. */
int store_doc_get(struct store *s, const char *kind, const char *key, char **ret, struct err *e);
int store_doc_del(struct store *s, const char *kind, const char *key,
		  struct err *e); /* absent is fine */
typedef int (*store_doc_fn)(const char *key, const char *json, void *ud);
int store_doc_each(struct store *s, const char *kind, store_doc_fn fn, void *ud, struct err *e);

/* Group several calls in one transaction; durable: on the disk when store_end() returns. Nesting is
 * not allowed; end with commit = false to undo. */
int store_begin(struct store *s, bool durable, struct err *e);
int store_end(struct store *s, bool commit, struct err *e);

/* ---- garbage ---- */

/* Unreferenced layers and blobs, partial downloads untouched for max_age_ns: to the trash. Returns
 * bytes freed. */
int store_gc(struct store *s, int64_t max_age_ns, uint64_t *ret_freed, struct err *e);
/* fn is called whenever something was moved to the trash, in the middle of an operation: it may
 * only note that. */
void store_on_trash(struct store *s, void (*fn)(void *ud), void *ud);
/* True when something waits in the trash: run store_trash_empty() on a worker thread. */
bool store_trash_pending(struct store *s);
/* Delete what is in DATA/trash. Any thread; returns when empty or at the first error (negative
 * errno). */
int store_trash_empty(const char *data_dir);

/*
 * Copy-up for volumes: copy the content of `path` (resolved inside src_root_fd, a directory) into
 * dst_fd with owners, modes, times, xattrs, devices, hard links and holes; dst itself gets the
 * source directory's owner and mode. Absent or not a directory: nothing to do, 0. Any thread;
 * blocking.
 */
int store_copy_tree(int src_root_fd, const char *path, int dst_fd, struct err *e);
