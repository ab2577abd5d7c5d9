/* SPDX-License-Identifier: Apache-2.0 */
/* The Docker Engine API: which tables are served. A path is looked up from top to bottom. */
#include "api/request.h"

#include "base/banned.h"

static const struct api_route *const tables[] = {
	api_routes_system,
	api_routes_containers,
	api_routes_streams,
	api_routes_archive,
	api_routes_exec,
	api_routes_transfer,
	api_routes_images,
	api_routes_manifests,
	api_routes_fsck,
	api_routes_volumes,
	api_routes_networks,
	api_routes_other,
	NULL,
};

int api_server_start(const struct api_config *config, struct api_server **ret, struct err *e)
{
	return api_server_start_with(config, tables, ret, e);
}
