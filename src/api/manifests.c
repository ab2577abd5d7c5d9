/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests: Docker's /distribution, and under /coracle/manifests what Docker's client does by
 * itself. A question ends in one JSON answer; a push is a stream of progress lines.
 */
#include "api/jobs.h"
#include "image/manifest.h"
#include "image/referrers.h"

#include "base/banned.h"

static struct image_service *images(struct api_request *r)
{
	return engine_images(r->engine);
}

static void distribution(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct api_job *t = api_job_question(r, &ev);

	api_settle(r,
		   image_distribution(images(r), r->params[0], api_header(r, "X-Registry-Auth"),
				      &ev, &t->job, &e),
		   &e);
}

static void inspect(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct image_manifest_inspect o = {.ref = r->params[0],
					   .list = api_query(r, "list"),
					   .auth = api_header(r, "X-Registry-Auth"),
					   .verbose = api_query_bool(r, "verbose"),
					   .insecure = api_query_bool(r, "insecure")};
	struct api_job *t = api_job_question(r, &ev);

	api_settle(r, image_manifest_inspect(images(r), &o, &ev, &t->job, &e), &e);
}

struct create_body {
	const char *list;
	struct strs members;
	bool amend, insecure;
};
static const struct json_field create_fields[] = {
	JSON_FIELD(JT_STR, struct create_body, list, "List", JSON_REQUIRED),
	JSON_FIELD(JT_STRS, struct create_body, members, "Manifests", JSON_REQUIRED),
	JSON_FIELD(JT_BOOL, struct create_body, amend, "Amend", 0),
	JSON_FIELD(JT_BOOL, struct create_body, insecure, "Insecure", 0),
	{0},
};
static const struct json_schema create_schema = {"manifest list", sizeof(struct create_body),
						 create_fields};

static int decode(struct api_request *r, const struct json_schema *schema, void *ret)
{
	struct err e = ERR_INIT;
	struct json *j;

	if (api_body_json(r, false, &j, &e) < 0 || json_decode(j, schema, ret, r->arena, &e) < 0) {
		api_reply_error(r, &e);
		return -1;
	}
	return 0;
}

static void create(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct create_body b;

	if (decode(r, &create_schema, &b) < 0)
		return;
	struct image_manifest_create o = {.list = b.list,
					  .members = &b.members,
					  .auth = api_header(r, "X-Registry-Auth"),
					  .auths = api_header(r, "X-Registry-Config"),
					  .amend = b.amend,
					  .insecure = b.insecure};
	struct api_job *t = api_job_question(r, &ev);
	api_settle(r, image_manifest_create(images(r), &o, &ev, &t->job, &e), &e);
}

struct annotate_body {
	const char *list, *member, *os, *arch, *os_version, *variant;
	struct strs os_features;
};
static const struct json_field annotate_fields[] = {
	JSON_FIELD(JT_STR, struct annotate_body, list, "List", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct annotate_body, member, "Manifest", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct annotate_body, os, "Os", 0),
	JSON_FIELD(JT_STR, struct annotate_body, arch, "Architecture", 0),
	JSON_FIELD(JT_STR, struct annotate_body, os_version, "OsVersion", 0),
	JSON_FIELD(JT_STR, struct annotate_body, variant, "Variant", 0),
	JSON_FIELD(JT_STRS, struct annotate_body, os_features, "OsFeatures", 0),
	{0},
};
static const struct json_schema annotate_schema = {"annotation", sizeof(struct annotate_body),
						   annotate_fields};

static void annotate(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct annotate_body b;

	if (decode(r, &annotate_schema, &b) < 0)
		return;
	struct image_manifest_annotate o = {.list = b.list,
					    .member = b.member,
					    .os = b.os,
					    .arch = b.arch,
					    .os_version = b.os_version,
					    .variant = b.variant,
					    .os_features = &b.os_features};
	if (image_manifest_annotate(images(r), &o, &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void push(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct image_manifest_push o = {.list = r->params[0],
					.auth = api_header(r, "X-Registry-Auth"),
					.purge = api_query_bool(r, "purge"),
					.insecure = api_query_bool(r, "insecure")};
	struct api_job *t = arena_alloc(r->arena, sizeof *t);

	api_job_stream(r, t, &ev);
	api_settle(r, image_manifest_push(images(r), &o, &ev, &t->job, &e), &e);
}

static void remove_list(struct api_request *r)
{
	struct err e = ERR_INIT;

	if (image_manifest_rm(images(r), r->params[0], &e) < 0)
		api_reply_error(r, &e);
	else
		api_reply_empty(r, 204);
}

static void referrers(struct api_request *r)
{
	struct err e = ERR_INIT;
	struct image_job_events ev;
	struct image_referrers o = {.ref = r->params[0],
				    .artifact_type = api_query(r, "artifactType"),
				    .platform = api_query(r, "platform"),
				    .auth = api_header(r, "X-Registry-Auth"),
				    .insecure = api_query_bool(r, "insecure")};
	struct api_job *t = api_job_question(r, &ev);

	api_settle(r, image_referrers(images(r), &o, &ev, &t->job, &e), &e);
}

const struct api_route api_routes_manifests[] = {
	{"GET", "/distribution/{name*}/json", distribution, API_BODY_JSON},
	{"GET", "/coracle/manifests/{name*}/json", inspect, API_BODY_JSON},
	{"POST", "/coracle/manifests/create", create, API_BODY_JSON},
	{"POST", "/coracle/manifests/annotate", annotate, API_BODY_JSON},
	{"POST", "/coracle/manifests/{name*}/push", push, API_BODY_JSON},
	{"GET", "/coracle/images/{name*}/referrers", referrers, API_BODY_JSON},
	{"DELETE", "/coracle/manifests/{name*}", remove_list, API_BODY_JSON},
	{0},
};
