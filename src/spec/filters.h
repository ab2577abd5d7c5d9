/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's `filters` query parameter: {"label":["a=b"],"status":{"running":true}} -> names with
 * lists of values. */
#pragma once

#include "base/json.h"

struct filter {
	const char *name;
	struct strs values;
};

struct filters {
	struct filter *v;
	size_t n;
};

/* text NULL or "" is no filter at all. Memory belongs to the arena. ERR_INVALID on malformed text.
 */
int filters_decode(const char *text, struct filters *ret, struct arena *a, struct err *e);
/* ERR_INVALID "invalid filter 'x'" unless every name is in the NULL-terminated list. */
int filters_check(const struct filters *f, const char *const *allowed, struct err *e);
/* A filter that is true or false ("1", "0" too); anything else, and both at once, is ERR_INVALID.
 */
int filters_bool(const struct filters *f, const char *name, bool fallback, bool *ret,
		 struct err *e);
const struct strs *filters_get(const struct filters *f, const char *name); /* NULL when absent */
/* True when the filter is absent or one of its values is equal to `value`. */
bool filters_match(const struct filters *f, const char *name, const char *value);
/* True when every value "key", "key=value" holds for the labels ("label"), and none of "label!"
 * does. */
bool filters_match_labels(const struct filters *f, const struct strmap *labels);
