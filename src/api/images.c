/* SPDX-License-Identifier: Apache-2.0 */
/* /images: questions and changes. Pull, push, load and save are in transfer.c. */
#include "api/jobs.h"
#include "base/num.h"
#include "engine/engine.h"

#include <string.h>

#include "base/banned.h"

static void list(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct filters f;

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	struct engine_image_list q = {
		.filters = &f,
		.all = api_query_bool(r, "all"),
		.api = r->target.version,
		.shared_size = r->target.version >= 42 && api_query_bool(r, "shared-size"),
		.digests = api_query_bool(r, "digests"),
		.manifests = r->target.version >= 47 && api_query_bool(r, "manifests"),
		/* Reads a document of each image: only on demand. */
		.descriptor = r->target.version >= 48 && api_query_bool(r, "manifests")};
	int rc = engine_image_list(r->engine, &q, &out, &e);
	api_finish_json(r, rc, &out, &e);
}

/*
 * docker-compose 1 asks with the newest version and reads ContainerConfig all the same: with Docker
 * since 25 it fails when it makes a container again.
 */
static bool wants_legacy(const struct api_request *r)
{
	const char *agent = api_header(r, "User-Agent");

	return r->target.version < 45 || (agent && str_starts(agent, "docker-compose/1."));
}

/* Since this version of the API; older clients mean something else, or nothing. */
static const char *platform_since(struct api_request *r, int version)
{
	return r->target.version >= version ? api_query(r, "platform") : NULL;
}

static void inspect(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	bool manifests = r->target.version >= 48 && api_query_bool(r, "manifests");
	int rc = engine_image_inspect(r->engine, r->params[0], platform_since(r, 49), manifests,
				      r->target.version, &out, &e);

	if (rc == 0 && wants_legacy(r))
		rc = image_inspect_legacy(engine_images(r->engine), r->params[0], &out, &e);
	api_finish_json(r, rc, &out, &e);
}

static void history(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	int rc = engine_image_history(r->engine, r->params[0], platform_since(r, 48), &out, &e);

	api_finish_json(r, rc, &out, &e);
}

static void tag(struct api_request *r)
{
	struct err e = ERR_INIT;

	if (engine_image_tag(r->engine, r->params[0], api_query(r, "repo"), api_query(r, "tag"),
			     &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 201);
}

static void remove_image(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct strs platforms = {0};

	if (r->target.version >= 50)
		platforms = api_query_all(r, "platforms");
	int rc = engine_image_remove(r->engine, r->params[0], api_query_bool(r, "force"),
				     api_query_bool(r, "noprune"), &platforms, &out, &e);

	api_finish_json(r, rc, &out, &e);
}

static void prune(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	struct filters f;

	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0)
		api_reply_error(r, &e);
	else
		api_finish_json(r, engine_image_prune(r->engine, &f, &out, &e), &out, &e);
}

static void mount_image(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;
	const char *image = api_query(r, "image");
	int rc = engine_image_mount(r->engine, image ? image : "", api_query(r, "target"),
				    api_query(r, "namespace"), &out, &e);

	api_finish_json(r, rc, &out, &e);
}

static void list_mounts(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_REPLY_LIMIT);
	struct err e = ERR_INIT;

	api_finish_json(r, engine_image_mounts(r->engine, &out, &e), &out, &e);
}

static void mounted_image(struct api_request *r)
{
	struct err e = ERR_INIT;

	if (engine_image_mounted(r->engine, r->params[0], &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void unmount_image(struct api_request *r)
{
	struct err e = ERR_INIT;

	if (engine_image_unmount(r->engine, r->params[0], &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void search(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct filters f;
	const char *limit = api_query(r, "limit");
	struct image_search o = {.term = api_query(r, "term"),
				 .auth = api_header(r, "X-Registry-Auth"),
				 .filters = &f};

	if (limit && *limit && num_parse_i64(limit, INT64_MIN, INT64_MAX, &o.limit) < 0) {
		api_reply_message(r, 400, "invalid limit specified: %s", limit);
		return;
	}
	if (filters_decode(api_query(r, "filters"), &f, r->arena, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	if (!o.term)
		o.term = "";
	struct api_job *t = api_job_question(r, &ev);
	api_settle(r, image_search(engine_images(r->engine), &o, &ev, &t->job, &e), &e);
}

const struct api_route api_routes_images[] = {
	{"GET", "/images/json", list, API_BODY_JSON},
	{"GET", "/images/search", search, API_BODY_JSON},
	{"GET", "/coracle/image-mounts", list_mounts, API_BODY_JSON},
	{"POST", "/coracle/image-mounts", mount_image, API_BODY_JSON},
	{"POST", "/coracle/image-mounts/{id}/mounted", mounted_image, API_BODY_JSON},
	{"DELETE", "/coracle/image-mounts/{id}", unmount_image, API_BODY_JSON},
	{"POST", "/images/prune", prune, API_BODY_JSON},
	{"GET", "/images/{name*}/json", inspect, API_BODY_JSON},
	{"GET", "/images/{name*}/history", history, API_BODY_JSON},
	{"POST", "/images/{name*}/tag", tag, API_BODY_JSON},
	{"DELETE", "/images/{name*}", remove_image, API_BODY_JSON},
	{0},
};
