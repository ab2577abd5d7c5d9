/* SPDX-License-Identifier: Apache-2.0 */
/* Between the template's parser, its interpreter and its functions. */
#pragma once

#include "wire/gotemplate.h"

enum gt_op {
	OP_TEXT,
	OP_PRINT, /* pipeline */
	OP_IF,
	OP_WITH,
	OP_RANGE,
	OP_BREAK,
	OP_CONTINUE,
};

enum gt_term {
	TERM_VALUE, /* constant */
	TERM_DOT,
	TERM_FIELD,    /* .a.b on dot */
	TERM_VARIABLE, /* $x.a.b */
	TERM_CHAIN,    /* (pipeline).a.b */
	TERM_FUNCTION,
};

struct gt_arg {
	enum gt_term term;
	struct gt_value value;
	const char *name;    /* variable, function */
	const char **fields; /* path behind it */
	size_t nfields;
	struct gt_pipe *sub; /* TERM_CHAIN */
	const char *source;  /* text for messages */
	size_t at;	     /* offset in the template */
};

struct gt_command {
	struct gt_arg *args;
	size_t nargs;
	struct gt_command *next;
};

struct gt_pipe {
	const char *decl[2]; /* variables declared ("$i", "$v") */
	size_t ndecl;
	bool assign; /* "=" instead of ":=" */
	struct gt_command *first;
	size_t at;
};

struct gt_node {
	enum gt_op op;
	struct str text;
	struct gt_pipe *pipe;
	struct gt_node *body, *otherwise;
	struct gt_node *next;
};

struct gt_template {
	struct arena *arena;
	const char *text;
	struct gt_node *root;
};

struct gt_run {
	const struct gt_template *t;
	const struct gt_options *o;
	struct arena *arena;
	struct buf *out;
	struct json *roots[32]; /* lists made by functions, freed at the end */
	size_t nroots;
	struct {
		const char *name;
		struct gt_value value;
	} vars[64];
	size_t nvars;
	struct gt_value top;
	int depth;
	int jump; /* pending break (1) or continue (2) */
	struct err *e;
};

bool gt_function_exists(const char *name);
/* args[0..n): already evaluated. Errors are plain text without position. */
int gt_call(struct gt_run *r, const char *name, const struct gt_value *args, size_t n,
	    struct gt_value *ret, struct err *e);
struct gt_value gt_from_json(const struct json *j);
bool gt_truth(const struct gt_value *v);
void gt_print(const struct gt_value *v, struct buf *out);
struct gt_value gt_text(struct gt_run *r, const char *p, size_t n);
