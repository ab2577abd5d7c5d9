/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics listener: GET /metrics and nothing else. */
#include "api/request.h"
#include "api/metrics.h"
#include "api/server.h"
#include "engine/engine.h"

#include "base/banned.h"

#define METRICS_MAX (64U << 20)

static void metrics(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(METRICS_MAX);

	engine_metrics(r->engine, &out);
	metrics_write(&out);
	if (out.overflow) {
		api_reply_message(r, 500, "the metrics are larger than %u bytes", METRICS_MAX);
		return;
	}
	api_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", out.p, out.n);
}

int api_metrics_start(const struct api_config *config, struct api_server **ret, struct err *e)
{
	static const struct api_route routes[] = {{"GET", "/metrics", metrics, API_BODY_JSON}, {0}};
	static const struct api_route *const tables[] = {routes, NULL};

	return api_server_start_with(config, tables, ret, e);
}
