/* SPDX-License-Identifier: Apache-2.0 */
/* /containers/{id}/archive and /export: files of a container as tar streams. */
#include "api/request.h"

#include "base/banned.h"

static void archive(struct api_request *r)
{
	api_unsupported(r, "copying files");
}

static void export_container(struct api_request *r)
{
	api_unsupported(r, "export");
}

const struct api_route api_routes_archive[] = {
	{"HEAD", "/containers/{id}/archive", archive, API_BODY_JSON},
	{"GET", "/containers/{id}/archive", archive, API_BODY_JSON},
	{"PUT", "/containers/{id}/archive", archive, API_BODY_STREAM},
	{"GET", "/containers/{id}/export", export_container, API_BODY_JSON},
	{0},
};
