/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#pragma once

#include "config/config.h"

/* check.c: fill in defaults, then check values and work out the derived ones. */
int config_finish(struct config *c, struct err *e);
/* table.c: the row of a key, NULL. */
const struct json_field *config_row(const char *key);
