/* SPDX-License-Identifier: Apache-2.0 */
/* Images as the API asks for them: the image service, told which containers use what. */
#include "engine/engine-priv.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

int64_t engine_image_users(const struct engine *g, const struct digest *id)
{
	int64_t n = 0;

	LIST_FOR_EACH (it, &g->order)
		n += container_uses_image(LIST_ENTRY(it, struct container, link), id->text);
	return n;
}

static int64_t count_users(void *ud, const struct digest *id)
{
	return engine_image_users(ud, id);
}

static bool find_user(void *ud, const struct digest *id, struct image_user *ret)
{
	struct engine *g = ud;
	bool found = image_mounted_at(g, id->text, ret->mounted, sizeof(ret->mounted)) ||
		     mount_image_at(g, id->text, ret->mounted, sizeof(ret->mounted));

	if (found)
		return true;
	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		if (strcmp(c->image_id, id->text) != 0 || (found && !c->st.running))
			continue;
		found = true;
		snprintf(ret->id, sizeof(ret->id), "%s", c->id);
		ret->running = c->st.running;
		if (ret->running)
			break;
	}
	return found;
}

static const char *user_at(void *ud, const struct digest *id, size_t i)
{
	const struct engine *g = ud;

	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		if (container_uses_image(c, id->text) && i-- == 0)
			return c->id;
	}
	return NULL;
}

int engine_image_list(struct engine *g, const struct engine_image_list *q, struct buf *out,
		      struct err *e)
{
	struct image_list o = {.all = q->all,
			       .digests = q->digests,
			       .shared_size = q->shared_size,
			       .manifests = q->manifests,
			       .descriptor = q->descriptor,
			       .api = q->api,
			       .filters = q->filters,
			       .users = count_users,
			       .user_at = user_at,
			       .ud = g};

	if (q->shared_size)
		return engine_image_list_sizes(g, &o, NULL, out, e);
	return image_list_json(g->images, &o, out, e);
}

int engine_image_inspect(struct engine *g, const char *ref, const char *platform, bool manifests,
			 int api, struct buf *out, struct err *e)
{
	const struct image_inspect o = {.platform = platform,
					.manifests = manifests,
					.api = api,
					.user_at = user_at,
					.ud = g};

	return image_inspect_json(g->images, ref, &o, out, e);
}

int engine_image_history(struct engine *g, const char *ref, const char *platform, struct buf *out,
			 struct err *e)
{
	return image_history_json(g->images, ref, platform, out, e);
}

int engine_image_remove(struct engine *g, const char *ref, bool force, bool noprune,
			const struct strs *platforms, struct buf *out, struct err *e)
{
	struct image_remove o = {.force = force, .noprune = noprune, .user = find_user, .ud = g};
	if (platforms)
		o.platforms = *platforms;
	int rc = image_remove(g->images, ref, &o, out, e);

	engine_trash(g);
	return rc;
}

int engine_image_tag(struct engine *g, const char *ref, const char *repo, const char *tag,
		     struct err *e)
{
	return image_tag(g->images, ref, repo, tag, e);
}

int engine_image_prune(struct engine *g, const struct filters *f, struct buf *out, struct err *e)
{
	struct image_remove o = {.user = find_user, .ud = g};
	int rc = image_prune(g->images, f, &o, out, e);

	engine_trash(g);
	return rc;
}

static bool container_runs(void *ud, const char *id)
{
	const struct container *c = container_by_id(ud, id);

	return c && (c->st.running || c->starting);
}

int engine_fsck(struct engine *g, bool repair, bool quick,
		void (*result)(void *ud, const struct image_fsck_result *r),
		const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	const struct image_fsck o = {.repair = repair,
				     .quick = quick,
				     .running = container_runs,
				     .running_ud = g,
				     .done = result,
				     .ud = ev->ud};

	return image_fsck(g->images, &o, ev, ret, e);
}
