/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.0 (toml.io/en/v1.0.0) as configuration files use it. Everything is read; numbers with a
 * fraction and dates stay text. Documents become a tree in the caller's arena, members in the order
 * of the document. Pure; no I/O.
 */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOML_SIZE_MAX  ((size_t)256 << 10)
#define TOML_DEPTH_MAX 16
#define TOML_NODES_MAX 8192

enum toml_kind { TOML_STRING, TOML_INT, TOML_BOOL, TOML_OTHER, TOML_ARRAY, TOML_TABLE };

struct toml {
	enum toml_kind kind;
	const char *key;	   /* inside a table; NULL in an array */
	const char *text;	   /* TOML_STRING; TOML_OTHER as written */
	int64_t i;		   /* TOML_INT */
	bool b;			   /* TOML_BOOL */
	struct toml *first, *next; /* members; the next one beside this */
	unsigned line, column;	   /* where the value was named, from 1 */
	struct toml *last;	   /* for the parser */
	unsigned flags;		   /* for the parser */
};

/* ERR_INVALID "LINE:COLUMN: what is wrong"; strings with NUL, bad UTF-8 and duplicates are. */
int toml_parse(const char *p, size_t n, struct arena *a, struct toml **ret, struct err *e);
/* Exact key, NULL when absent or t is no table. */
const struct toml *toml_get(const struct toml *t, const char *key);
/* Text of a string member, NULL when absent or something else. */
const char *toml_str(const struct toml *t, const char *key);
const char *toml_kind_name(enum toml_kind kind);
