/* SPDX-License-Identifier: Apache-2.0 */
/* Resources that coracle does not have (swarm) or does not have yet (plugins, build, checkpoints):
 * each says so. */
#include "api/request.h"

#include "base/banned.h"

static void not_manager(struct api_request *r)
{
	api_reply_message(r, 503,
			  "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
			  "swarm join\" to connect this "
			  "node to swarm and try again.");
}

static void not_member(struct api_request *r)
{
	api_reply_message(r, 503, "This node is not part of a swarm");
}

static void swarm_setup(struct api_request *r)
{
	api_unsupported(r, "swarm");
}

static void plugins(struct api_request *r)
{
	api_reply(r, 200, "application/json", "[]\n", 3);
}

static void plugin(struct api_request *r)
{
	api_reply_message(r, 404, "plugin \"%s\" not found", r->params[0]);
}

static void plugin_change(struct api_request *r)
{
	api_unsupported(r, "plugin management");
}

static void build(struct api_request *r)
{
	api_unsupported(r, "build");
}

static void build_prune(struct api_request *r)
{
	static const char none[] = "{\"CachesDeleted\":null,\"SpaceReclaimed\":0}\n";

	api_reply(r, 200, "application/json", none, sizeof none - 1);
}

static void session(struct api_request *r)
{
	api_unsupported(r, "a build session");
}

static void checkpoint(struct api_request *r)
{
	api_unsupported(r, "checkpoint");
}

const struct api_route api_routes_other[] = {
	{"GET", "/plugins", plugins, API_BODY_JSON},
	{"GET", "/plugins/{name*}/json", plugin, API_BODY_JSON},
	{"GET", "/plugins/privileges", plugin_change, API_BODY_JSON},
	{"POST", "/plugins/{name*}", plugin_change, API_BODY_STREAM},
	{"DELETE", "/plugins/{name*}", plugin, API_BODY_JSON},
	{"POST", "/build", build, API_BODY_STREAM},
	{"POST", "/build/prune", build_prune, API_BODY_JSON},
	{"POST", "/build/cancel", build, API_BODY_JSON},
	{"POST", "/session", session, API_BODY_JSON},
	{"POST", "/grpc", session, API_BODY_JSON},
	{"GET", "/containers/{id}/checkpoints", checkpoint, API_BODY_JSON},
	{"POST", "/containers/{id}/checkpoints", checkpoint, API_BODY_JSON},
	{"DELETE", "/containers/{id}/checkpoints/{name}", checkpoint, API_BODY_JSON},
	{"POST", "/swarm/init", swarm_setup, API_BODY_JSON},
	{"POST", "/swarm/join", swarm_setup, API_BODY_JSON},
	{"POST", "/swarm/leave", not_member, API_BODY_JSON},
	{"GET", "/swarm", not_manager, API_BODY_JSON},
	{"GET", "/swarm/unlockkey", not_manager, API_BODY_JSON},
	{"POST", "/swarm/update", not_manager, API_BODY_JSON},
	{"POST", "/swarm/unlock", not_manager, API_BODY_JSON},
	{"GET", "/nodes", not_manager, API_BODY_JSON},
	{"GET", "/nodes/{id}", not_manager, API_BODY_JSON},
	{"DELETE", "/nodes/{id}", not_manager, API_BODY_JSON},
	{"POST", "/nodes/{id}/update", not_manager, API_BODY_JSON},
	{"GET", "/services", not_manager, API_BODY_JSON},
	{"POST", "/services/create", not_manager, API_BODY_JSON},
	{"GET", "/services/{id}", not_manager, API_BODY_JSON},
	{"DELETE", "/services/{id}", not_manager, API_BODY_JSON},
	{"POST", "/services/{id}/update", not_manager, API_BODY_JSON},
	{"GET", "/services/{id}/logs", not_manager, API_BODY_JSON},
	{"GET", "/tasks", not_manager, API_BODY_JSON},
	{"GET", "/tasks/{id}", not_manager, API_BODY_JSON},
	{"GET", "/tasks/{id}/logs", not_manager, API_BODY_JSON},
	{"GET", "/secrets", not_manager, API_BODY_JSON},
	{"POST", "/secrets/create", not_manager, API_BODY_JSON},
	{"GET", "/secrets/{id}", not_manager, API_BODY_JSON},
	{"DELETE", "/secrets/{id}", not_manager, API_BODY_JSON},
	{"POST", "/secrets/{id}/update", not_manager, API_BODY_JSON},
	{"GET", "/configs", not_manager, API_BODY_JSON},
	{"POST", "/configs/create", not_manager, API_BODY_JSON},
	{"GET", "/configs/{id}", not_manager, API_BODY_JSON},
	{"DELETE", "/configs/{id}", not_manager, API_BODY_JSON},
	{"POST", "/configs/{id}/update", not_manager, API_BODY_JSON},
	{0},
};
