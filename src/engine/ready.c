/* SPDX-License-Identifier: Apache-2.0 */
/* May the files of a container or image be used yet? After a crash of the machine their layers are
 * checked first, behind an engine that serves already (image/recheck.c). */
#include "engine/engine-priv.h"

#include "base/banned.h"

int engine_image_ready(struct engine *g, const struct digest *image, struct err *e)
{
	return image_files_ready(g->images, NULL, image, e);
}

int engine_container_ready(struct engine *g, const struct container *c, struct err *e)
{
	const struct mount_point *m = c->meta.mounts.v;
	struct digest id;

	if (!image_rechecking(g->images))
		return 0;
	if (image_files_ready(g->images, c->id, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < c->meta.mounts.n; i++)
		if (m[i].image && digest_parse(m[i].image, &id) == 0 &&
		    engine_image_ready(g, &id, e) < 0)
			return -1;
	return 0;
}
