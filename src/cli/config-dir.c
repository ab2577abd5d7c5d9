/* SPDX-License-Identifier: Apache-2.0 */
/* Where config.json and the contexts are. */
#include "cli/config-dir.h"

#include "base/mem.h"

#include <stdlib.h>

#include "base/banned.h"

static const char *given;

void config_dir_set(const char *dir)
{
	given = dir;
}

char *config_path(const char *name)
{
	const char *dir = given ? given : secure_getenv("DOCKER_CONFIG");
	const char *home = secure_getenv("HOME");

	if (dir && *dir)
		return xasprintf("%s/%s", dir, name);
	return home && *home ? xasprintf("%s/.docker/%s", home, name) : NULL;
}
