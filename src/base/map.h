/* SPDX-License-Identifier: Apache-2.0 */
/* Hash map from string to pointer; keys are copied, values are the caller's. Seeded against hostile
 * keys. */
#pragma once

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>

struct map;
struct map *map_new(void);
void map_free(struct map *m);			     /* values are not freed */
void *map_get(const struct map *m, const char *key); /* NULL when absent */
void *map_set(struct map *m, const char *key,
	      void *value);		       /* returns the value it replaced, or NULL */
void *map_del(struct map *m, const char *key); /* returns the value removed, or NULL */
size_t map_count(const struct map *m);
/* size_t pos = 0; while (map_next(m, &pos, &key, &value)) ... ; deleting the current key is
 * allowed. */
bool map_next(const struct map *m, size_t *pos, const char **ret_key, void **ret_value);
DEFINE_AUTO(map);
