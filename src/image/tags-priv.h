/* SPDX-License-Identifier: Apache-2.0 */
/* All tags of a repository, page by page. */
#pragma once

#include "base/json.h"
#include "image/registry-priv.h"

#define TAGS_MAX 100000

struct tags;
/* `done` once, from the loop; the list is valid during the call and the handle gone after it. */
struct tags *tags_list(struct registry *r,
		       void (*done)(void *ud, const struct strs *tags, const struct err *e),
		       void *ud);
void tags_cancel(struct tags *t); /* NULL allowed */
/* The query of the next page of a Link header (RFC 8288), "" when there is none. */
void tags_next_query(const char *link, char *ret, size_t n);
