/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pure parts of request handling: version prefix, percent decoding, query strings, matching of
 * paths against a table. No I/O and no server: every function is testable with bytes alone.
 */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define API_VERSION_MIN 24 /* "1.24" */
#define API_VERSION_MAX 51
#define API_PARAMS_MAX	3
#define API_QUERY_MAX	256 /* pairs */

struct api_request;

enum api_body {
	API_BODY_JSON,	/* collected up to API_BODY_LIMIT, then the handler runs */
	API_BODY_STREAM /* the handler runs at once and reads the body from a pipe */
};

struct api_route {
	const char *method;
	/* "/containers/{id}/json": {x} is one segment, {x*} one or more (names of images). NULL
	 * ends a table. */
	const char *pattern;
	void (*handler)(struct api_request *r);
	enum api_body body;
};

struct api_query {
	const char *k, *v;
};

struct api_target {
	const char *path; /* decoded, without version prefix */
	int version;	  /* minor number: 51 for 1.51; API_VERSION_MAX when the path has none */
	struct api_query *query;
	size_t nquery;
};

/*
 * Split a request target "/v1.41/images/a%2Fb/json?all=1". Memory is the arena's. ERR_INVALID with
 * Docker's words for a version that is too new or too old, and for malformed escapes, NUL bytes or
 * more than API_QUERY_MAX parameters.
 */
int api_target_parse(const char *text, struct api_target *ret, struct arena *a, struct err *e);
const char *api_target_query(const struct api_target *t,
			     const char *key); /* first value, NULL when absent */

/* The first route that matches, parameters in the order of the pattern; NULL when there is none.
 * HEAD does not match GET. */
const struct api_route *api_route_find(const struct api_route *table, const char *method,
				       const char *path,
				       const char *ret_params[static API_PARAMS_MAX],
				       struct arena *a);

/* Docker's idea of a boolean parameter: "", 0, no, false, none are false, anything else is true. */
bool api_bool_parse(const char *text);
