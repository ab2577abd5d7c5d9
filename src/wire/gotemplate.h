/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of Go's text/template that people use with --format, over JSON trees: fields, pipelines,
 * variables, if/else/range/with, comparison and text functions, trim markers. Not built: define,
 * template, block, method calls other than by the `method` hook.
 */
#pragma once

#include "base/json.h"

#define GT_DEPTH_MAX 64

struct gt_template;

enum gt_kind { GT_NIL, GT_BOOL, GT_INT, GT_FLOAT, GT_STRING, GT_JSON };

struct gt_value {
	enum gt_kind kind;
	bool b;
	int64_t i;
	double f;
	struct str s;	       /* GT_STRING; lives as long as the run */
	const struct json *j;  /* GT_JSON: array, object */
	const char *null_text; /* GT_NIL: what printing gives; NULL: "<no value>" */
};

enum gt_missing {
	GT_MISSING_NO_VALUE, /* prints <no value> */
	GT_MISSING_MAP,	     /* error: map has no entry for key "X" */
	GT_MISSING_TYPE,     /* error: can't evaluate field X in type `type_name` (at the top) */
};

struct gt_options {
	enum gt_missing missing;
	const char *type_name;
	bool any_case;	/* fields match without regard to case */
	bool html_json; /* the json function escapes < > & */
	/* Maps whose keys are free (labels): a missing key is no error below these names. */
	bool (*is_free_map)(const char *name);
	/* What a null at this field prints, NULL for "<no value>". */
	const char *(*null_text)(const char *name);
	/* What a field prints that the type has but the document leaves out when it is empty ("",
	 * "<nil>", "[]"); NULL: there is no such field, `missing` decides. */
	const char *(*absent)(const char *name);
	/* A field with arguments: ".Label \"x\"". False: no such method. */
	bool (*method)(void *ud, const struct json *dot, const char *name,
		       const struct gt_value *args, size_t nargs, struct gt_value *ret);
	void *ud;
};

/* Errors are ERR_INVALID with Go's text: "template: :1: unclosed action". Free with gt_free(). */
int gt_parse(const char *text, struct gt_template **ret, struct err *e);
void gt_free(struct gt_template *t);
void gt_template_free(struct gt_template *t);
DEFINE_AUTO(gt_template);
/* Append the output; on an error what was made before it stays in `out`, as Go does. */
int gt_run(const struct gt_template *t, const struct json *dot, const struct gt_options *o,
	   struct buf *out, struct err *e);

/*
 * A template that is only text and fields of dot ("{{.ID}}\t{{.Names}}"), run without a document:
 * `field` appends the text of one. False, with nothing appended, when the template has anything
 * else or `field` answers false (no such field): then gt_run() has the answer or the error.
 */
typedef bool (*gt_field_fn)(const void *row, const char *name, struct buf *out);
bool gt_run_fields(const struct gt_template *t, gt_field_fn field, const void *row,
		   struct buf *out);
