/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of Docker's clients, shared with them: --config, DOCKER_CONFIG, ~/.docker. */
#pragma once

#include "base/err.h"

struct json;

void config_dir_set(const char *dir); /* --config; borrowed */
/* "DIR/name", heap; NULL when there is no folder to look in. */
char *config_path(const char *name);
/* config.json: one member of its top level set to the JSON text given, or removed (NULL);
 * everything else stays. */
int config_file_change(const char *key, const char *entry, struct err *e);
