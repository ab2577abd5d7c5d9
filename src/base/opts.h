/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line options by tables, with the rules Docker users know: --flag=value, --flag value,
 * -abc groups, -eVALUE, --bool=false, repeated lists, "--" ends options. Values are looked up by
 * their long name; asking for a name that is not in the table is a programming error.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_type {
	OPT_BOOL,
	OPT_STR,
	OPT_LIST,
	OPT_INT,
	OPT_UINT16,
	OPT_BYTES,
	OPT_DECIMAL,  /* CPUs, in billionths */
	OPT_DURATION, /* nanoseconds */
};

enum opt_flags {
	OPT_UNBUILT = 1, /* Docker has it, we do not yet: using it is an error that names it */
	OPT_HIDDEN = 2,
};

struct opt {
	char letter; /* 0: none */
	const char *name;
	enum opt_type type;
	const char *arg; /* placeholder in help; NULL: by type */
	const char *help;
	const char *def; /* default as text, shown in help when set */
	unsigned flags;
};
#define OPT_END                                                                                    \
	{                                                                                          \
		.name = NULL                                                                       \
	}

struct optval {
	bool set;
	bool b;
	int64_t i;
	const char *s;
	const char **v;
	size_t n;
};

struct opts {
	const struct opt *table;
	struct optval *vals; /* one per row */
	char **argv;	     /* positional arguments */
	int argc;
	bool help;
};

/*
 * Parse argv[0..argc). With `interspersed`, options may follow positional arguments; without, the
 * first positional argument ends them (run, exec). Returns 0, or -1 with the text Docker's users
 * expect ("unknown flag: --x").
 */
int opts_parse(struct opts *o, const struct opt *table, int argc, char **argv, bool interspersed,
	       struct err *e);
void opts_done(struct opts *o);
size_t opts_count(const struct opt *table);

const struct optval *opts_get(const struct opts *o, const char *name);
bool opts_set(const struct opts *o, const char *name);
bool opts_bool(const struct opts *o, const char *name);
const char *opts_str(const struct opts *o, const char *name); /* "" when absent and no default */
int64_t opts_int(const struct opts *o, const char *name);
const char *opts_type_name(const struct opt *row); /* "string", "list" ...; "" for switches */

struct buf;
/* Append a help page's list: a blank line, "TITLE:", one folded entry per option that is not
 * hidden. Nothing when there are none. The width is standard output's, or 80. */
void opts_help(struct buf *b, const struct opt *table, const char *title);
