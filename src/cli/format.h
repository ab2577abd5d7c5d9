/* SPDX-License-Identifier: Apache-2.0 */
/* Lists for people and scripts: --format templates, tables with aligned columns, indented JSON. */
#pragma once

#include "cli/cli.h"
#include "wire/gotemplate.h"

#include <stdio.h>

/* Lines of tab-separated cells to aligned columns (at least 10 wide, 3 blanks between). */
void format_align(const char *text, size_t n, size_t min_width, size_t padding, struct buf *out);

struct format_header {
	const char *field, *header;
};

/*
 * A list being printed. `format` is the user's (NULL or "": `def`); "table X" prints headers and
 * aligns, "json" prints each row as an object, anything else is a template per row.
 */
struct list_out {
	const char *type_name; /* for errors on unknown fields */
	const struct format_header *headers;
	size_t nheaders;
	struct gt_template *t;
	bool table, json;
	enum { LIST_BY_TEMPLATE, LIST_IDS, LIST_TABLE } usual; /* rows made without the template */
	struct buf lines;
	FILE *out;
	bool stream; /* print each row at once */
};
int list_begin(struct list_out *l, const char *format, const char *def, struct err *e);
/* One row: a JSON object of its fields. */
int list_row(struct list_out *l, const char *json, struct err *e);
/* A row of each item of an array of objects, sorted by their Name; row() makes its JSON. */
int list_rows_by_name(struct list_out *l, const struct json *list,
		      void (*row)(const struct json *j, bool no_trunc, struct buf *out),
		      bool no_trunc, struct err *e);
/* The same, the fields made as they are asked for; `json` makes the object when the format wants
 * more than fields. */
int list_row_fields(struct list_out *l, gt_field_fn field,
		    void (*json)(const void *row, struct buf *out), const void *row, struct err *e);
/* Print what was collected; frees. Call it also after errors. */
void list_end(struct list_out *l, bool print);

/* A template over API documents (inspect, info, version). */
/* type_name "" is a plain document; otherwise unknown fields are errors that name the type. */
#define FORMAT_EVENT "*events.Message" /* type_name of events */
int format_document(const char *format, const struct json *j, const char *type_name,
		    struct buf *out, struct err *e);
/* ?filters={"k":{"v":true}}; 0 or -1 with "invalid argument" text. */
int format_filters(struct buf *path, const struct optval *filters, struct err *e);
/* Docker's Quote of Go plus ellipsis at 20 runes. */
void format_command(const char *text, bool no_trunc, struct buf *out);
void format_ellipsis(const char *text, size_t max, struct buf *out);
const char *format_short_id(const char *id, bool no_trunc, char ret[static 13]);
/* "2006-01-02 15:04:05 +0000 UTC" of Unix seconds. */
void format_unix(int64_t seconds, char *ret, size_t n);
/* --since, --until: durations become a time before now, the rest goes as it is. */
char *format_when(const char *text);
void format_labels(const struct json *labels, struct buf *out); /* "a=b,c=d" */
/* The PORTS column of a list entry's Ports (cmd-ports.c). */
void ports_column(const struct json *ports, struct buf *out);
struct container_row {
	const struct json *c; /* as GET /containers/json has it */
	int64_t now_ns;
	bool no_trunc;
	bool with_image; /* the size tells the image's too */
};
int container_list_row(struct list_out *l, const struct container_row *row, struct err *e);
extern const struct format_header container_headers[];
extern const size_t container_headers_n;
