/* SPDX-License-Identifier: Apache-2.0 */
/* ERR_LATER: the request waits, and its handler runs again from the start, until it gets another
 * answer or the client leaves. */
#include "api/server-priv.h"

#include "base/banned.h"

#define AGAIN_MS 50

struct later {
	uv_timer_t timer;
	struct request *r;
};

static void closed(uv_handle_t *h)
{
	struct later *l = CONTAINER_OF(h, struct later, timer);
	struct api_server *s = l->r->server;

	api_drop(&l->r->pub);
	free(l);
	server_handle_closed(s);
}

static void again(uv_timer_t *t)
{
	struct later *l = CONTAINER_OF(t, struct later, timer);
	struct request *r = l->r;

	if (!r->gone && !r->server->stopping)
		r->route->handler(&r->pub);
	uv_close((uv_handle_t *)t, closed);
}

bool request_later(struct request *r)
{
	if (r->gone || r->response || r->server->stopping || !r->route)
		return false;
	struct later *l = NEW(struct later);

	l->r = r;
	api_hold(&r->pub);
	r->server->handles++;
	uv_timer_init(r->server->config.loop, &l->timer);
	uv_timer_start(&l->timer, again, AGAIN_MS, 0);
	return true;
}
