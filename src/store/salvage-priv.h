/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged database: rows are read from its pages one by one and put into a new one. */
#pragma once

#include "store/store-priv.h"

#define SALVAGE_MARK "state.db.salvage"	 /* the next open looks for damage */
#define SALVAGE_NEW  "state.db.new"	 /* being filled */
#define SALVAGE_DONE "state.db.salvaged" /* whole; takes the place of state.db */
#define SALVAGE_KEPT "state.db.damaged-" /* the old one: for experts, never touched again */

enum salvage_type { SALVAGE_NULL, SALVAGE_INT, SALVAGE_TEXT, SALVAGE_OTHER };
struct salvage_value {
	enum salvage_type type;
	int64_t i;
	const char *p; /* text, not terminated; lives during the call */
	size_t n;
};
#define SALVAGE_COLUMNS_MAX 16

/* rowid: 0 for a record of an index or of a table without row ids. */
typedef int (*salvage_row_fn)(void *ud, int64_t rowid, const struct salvage_value *v, size_t n,
			      struct err *e);

/*
 * Every record in the pages of a database file with its write-ahead log (FD_NONE: none) that looks
 * whole, in the order of the pages. Damaged pages and records are passed over. Pages of the free
 * list are left out when the list can be read.
 */
int salvage_pages(int db_fd, int wal_fd, salvage_row_fn fn, void *ud, struct err *e);
