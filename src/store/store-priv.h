/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the store: the database handle with its statement cache, the folders' descriptors,
 * leases, the trash. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/store.h"

#include <sqlite3.h>

#define STMT_SLOTS 128 /* power of two, more than twice the number of statements */

struct stmt_slot {
	const char *sql; /* by address: statements are string literals */
	sqlite3_stmt *stmt;
};

/* Rows by number. */
struct id_list {
	int64_t *v;
	size_t n, cap;
};

struct store {
	sqlite3 *db;
	struct stmt_slot stmts[STMT_SLOTS];
	bool in_tx;   /* store_begin() */
	bool damaged; /* SQLite found a page that is none */
	char *data, *layers, *containers, *volumes;
	void (*on_trash)(void *ud);
	void *on_trash_ud;
	int data_fd, layers_fd, containers_fd, volumes_fd, blobs_fd, ingest_fd, trash_fd, lock_fd;
	struct map *ingests; /* digests being downloaded by this process */
	struct map *busy;    /* names of layers being unpacked, prefixes of staged files */
	struct list leases;
	struct store_repair repair;
	bool reserve;		/* DATA/reserve exists: space for the commits that free space */
	unsigned serial;	/* for names of temporary things */
	char boot[48];		/* of the machine; what layers.unsynced says in it */
	struct id_list syncing; /* rows that the running sync covers */
	bool lease_kept;	/* gc met what only a lease needs */
	bool blob_kept;		/* gc met a blob that only an unsynced layer needs */
};

struct store_lease {
	struct list entry;
	struct map *blobs, *chains;
};
bool lease_holds_blob(const struct store *s, const char *digest);
bool lease_holds_chain(const struct store *s, const char *chain);

/* ---- db.c ---- */
int db_open(struct store *s, struct err *e);
/* The same for another file in DATA. */
int db_open_file(struct store *s, const char *name, struct err *e);
void db_close(struct store *s);
int db_fail(struct store *s, struct err *e, const char *what);
/* A cached statement, reset, with values bound: 's' const char * (NULL is NULL), 'i' int64_t. NULL
 * on failure. */
sqlite3_stmt *db_bind(struct store *s, struct err *e, const char *sql, const char *types, ...);
/* The same, run to its end. *ret_changes (NULL allowed): rows changed. */
int db_run(struct store *s, int *ret_changes, struct err *e, const char *sql, const char *types,
	   ...);
/* 1: a row, 0: the end (statement reset), -1. */
int db_step(struct store *s, sqlite3_stmt *st, struct err *e);
/* The number that a query with one key gives. */
int db_count(struct store *s, const char *sql, const char *key, size_t *ret, struct err *e);
void db_reset(sqlite3_stmt **st);
#define AUTO_STMT CLEANUP(db_reset)
const char *db_text(sqlite3_stmt *st, int col); /* "" for NULL */

/* A transaction; durable: the commit reaches the disk before it returns. Inside store_begin() both
 * do nothing. */
int tx_begin(struct store *s, bool durable, struct err *e);
int tx_commit(struct store *s, struct err *e);
void tx_rollback(struct store *s);

/* ---- salvage.c: a damaged database ---- */
/* Replace it by a new one with every row that can be read; the database is closed afterwards. */
int db_salvage(struct store *s, struct err *e);
int db_salvage_finish(struct store *s, struct err *e); /* what a crash interrupted */
void db_salvage_mark(struct store *s);		       /* the next open looks for damage */
/* Folders of containers whose rows are lost, put aside. */
int db_salvage_folders(struct store *s, struct err *e);

/* ---- store.c ---- */
/* Move dir_fd/name into the trash; absent is fine. */
int trash_move(struct store *s, int dir_fd, const char *name, struct err *e);
/* Something failed for want of space: give the reserve away. True: it was there, the caller tries
 * once more. */
bool store_release_reserve(struct store *s, const struct err *e);
void store_unique(struct store *s, const char *prefix, char *ret, size_t n);
bool store_is_hex(const char *s, size_t min, size_t max);

/* ---- repair.c ---- */
int store_repair_all(struct store *s, struct err *e);
/* A row for a volume's folder that has none. */
int store_volume_adopt(struct store *s, const char *name, struct err *e);

/* ---- unsynced.c ---- */
void unsynced_boot(struct store *s);
/* The row stands for another tree now: what a running sync covers is not it. */
void unsynced_changed(struct store *s, int64_t id);
/* A layer would need the blob to be made again. */
bool unsynced_needs(struct store *s, const char *digest);

/* ---- ref.c ---- */
/* Every name of the image, also those that have it as another platform. */
int ref_forget_image(struct store *s, const char *image, struct err *e);

/* ---- gc.c ---- */
/* Layers nothing needs, only those of `only` (ids, NULL: any): rows deleted inside the caller's
 * transaction, ids appended to *dead. */
void id_list_add(struct id_list *l, int64_t id);
int gc_dead_layers(struct store *s, const struct id_list *only, struct id_list *dead,
		   uint64_t *freed, store_digest_fn fn, void *ud, struct err *e);
int gc_trash_layers(struct store *s, const struct id_list *dead, struct err *e);
int gc_blob(struct store *s, const char *hex, uint64_t *freed, struct err *e);
