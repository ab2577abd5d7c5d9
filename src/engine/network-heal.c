/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces that nobody needs, and those that somebody took away.
 *
 * An end of a container in its bridge goes with the container's network namespace, which the kernel
 * does by itself a moment after the last process. Until then it is only cut off: removing it takes
 * the kernel milliseconds under a lock that every start needs. What is still there later (somebody
 * lives on in the namespace) is removed on a thread.
 */
#include "base/log.h"
#include "engine/network.h"
#include "net/link.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define UNPLUG_MS 1000
#define HEAL_MS	  50

typedef char ifname[IFNAMSIZ];

struct names {
	ifname *v;
	size_t n, cap;
};

struct network_heal {
	struct engine *g;
	uv_poll_t poll;
	int fd;
	bool watching;
	uv_timer_t *unplug_timer, *heal_timer;
	struct names unplugged;
};

static void names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->v = xrealloc(l->v, l->cap * sizeof *l->v);
	}
	snprintf(l->v[l->n++], IFNAMSIZ, "%s", name);
}

static struct network_heal *heal_of(struct engine *g)
{
	if (!g->network_heal) {
		g->network_heal = NEW(struct network_heal);
		g->network_heal->g = g;
		g->network_heal->fd = FD_NONE;
	}
	return g->network_heal;
}

/* ---- removal on a thread ---- */

struct removal {
	uv_work_t work;
	struct engine *g;
	struct names names;
};

static void removal_run(uv_work_t *w)
{
	const struct removal *r = CONTAINER_OF(w, struct removal, work);

	for (size_t i = 0; i < r->names.n; i++) {
		struct err e = ERR_INIT;

		if (link_remove(r->names.v[i], &e) < 0)
			log_warn("%s", e.text);
	}
}

static void removal_done(uv_work_t *w, int status)
{
	struct removal *r = CONTAINER_OF(w, struct removal, work);

	r->g->unplugging--;
	free(r->names.v);
	free(r);
}

/* Takes the names. */
static void remove_links(struct engine *g, struct names *names)
{
	struct removal *r;

	if (names->n == 0)
		return;
	r = NEW(struct removal);
	r->g = g;
	r->names = *names;
	*names = (struct names){0};
	g->unplugging++;
	if (uv_queue_work(g->loop, &r->work, removal_run, removal_done) < 0) {
		removal_run(&r->work);
		removal_done(&r->work, 0);
	}
}

static void unplug_due(uv_timer_t *t)
{
	struct network_heal *h = t->data;

	engine_timer_free(&h->unplug_timer);
	remove_links(h->g, &h->unplugged);
}

void network_unplugged(struct engine *g, const char (*names)[IFNAMSIZ], size_t n)
{
	struct network_heal *h = heal_of(g);

	if (n == 0)
		return;
	link_ports_disable(names, n);
	for (size_t i = 0; i < n; i++)
		names_add(&h->unplugged, names[i]);
	if (!h->unplug_timer && !g->closing)
		h->unplug_timer = engine_timer(g, UNPLUG_MS, unplug_due, h);
}

/* ---- leftovers ---- */

struct leftovers {
	struct engine *g;
	struct names names;
};

static bool endpoint_is_up(struct engine *g, const char *id)
{
	LIST_FOR_EACH (it, &g->networks) {
		const struct network *n = LIST_ENTRY(it, struct network, link);

		LIST_FOR_EACH (at, &n->endpoints) {
			const struct endpoint *ep = LIST_ENTRY(at, struct endpoint, by_network);

			if (strcmp(ep->id, id) == 0)
				return true;
		}
	}
	return false;
}

/* rest: "ENGINE:network:ID" or "ENGINE:endpoint:ID" */
static void check_leftover(const char *name, const char *rest, void *ud)
{
	struct leftovers *l = ud;
	struct err missing = ERR_INIT;

	if (strncmp(rest, l->g->engine_id, 8) != 0 || rest[8] != ':')
		return;
	rest += 9;
	if (str_starts(rest, "endpoint:") ? endpoint_is_up(l->g, rest + strlen("endpoint:"))
	    : str_starts(rest, "network:")
		    ? network_get(l->g, rest + strlen("network:"), &missing) != NULL
		    : true)
		return;
	log_info("interface %s is left of an engine that crashed: it goes", name);
	names_add(&l->names, name);
}

void network_leftovers(struct engine *g)
{
	struct leftovers l = {.g = g};
	int rc = link_each_ours(check_leftover, &l);

	if (rc < 0)
		log_warn("cannot list the host's interfaces: %s", strerror(-rc));
	remove_links(g, &l.names);
}

/* ---- bridges that go ---- */

static void heal_network(struct network *n)
{
	struct err e = ERR_INIT;

	log_info("network %s: somebody removed %s, it is made again", n->name, n->bridge);
	if (network_device_up(n, &e) < 0) {
		log_error("network %s: %s", n->name, e.text);
		return;
	}
	LIST_FOR_EACH (it, &n->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, by_network);

		if (ep->state == ENDPOINT_UP)
			endpoint_reattach(ep);
	}
}

static void heal_due(uv_timer_t *t)
{
	struct network_heal *h = t->data;

	engine_timer_free(&h->heal_timer);
	LIST_FOR_EACH (it, &h->g->networks) {
		struct network *n = LIST_ENTRY(it, struct network, link);

		if (n->driver == NET_BRIDGE && !list_empty(&n->endpoints) &&
		    !link_exists(n->bridge))
			heal_network(n);
	}
}

static void on_gone(const char *name, void *ud)
{
	struct network_heal *h = ud;
	bool ours = !name;

	LIST_FOR_EACH (it, &h->g->networks) {
		const struct network *n = LIST_ENTRY(it, struct network, link);

		ours |= name && !list_empty(&n->endpoints) && strcmp(n->bridge, name) == 0;
	}
	/* a moment later: `ip link del` and its like may be in the middle of more */
	if (ours && !h->heal_timer && !h->g->closing)
		h->heal_timer = engine_timer(h->g, HEAL_MS, heal_due, h);
}

static void watch_ready(uv_poll_t *p, int status, int events)
{
	struct network_heal *h = CONTAINER_OF(p, struct network_heal, poll);

	link_watch_read(h->fd, on_gone, h);
}

void network_watch(struct engine *g)
{
	struct network_heal *h = heal_of(g);

	if (h->fd >= 0)
		return;
	h->fd = link_watch_open();
	if (h->fd < 0) {
		log_warn("removed bridges will not be seen: %s", strerror(-h->fd));
		h->fd = FD_NONE;
		return;
	}
	uv_poll_init(g->loop, &h->poll, h->fd);
	uv_poll_start(&h->poll, UV_READABLE, watch_ready);
	uv_unref((uv_handle_t *)&h->poll);
	h->watching = true;
}

static void heal_free(struct network_heal *h)
{
	fd_close(&h->fd);
	free(h->unplugged.v);
	free(h);
}

static void watch_closed(uv_handle_t *p)
{
	heal_free(CONTAINER_OF((uv_poll_t *)(void *)p, struct network_heal, poll));
}

void network_heal_close(struct engine *g)
{
	struct network_heal *h = TAKE_PTR(g->network_heal);

	if (!h)
		return;
	engine_timer_free(&h->unplug_timer);
	engine_timer_free(&h->heal_timer);
	if (h->watching)
		uv_close((uv_handle_t *)&h->poll, watch_closed);
	else
		heal_free(h);
}
