/* SPDX-License-Identifier: Apache-2.0 */
/* Networks made and removed by users. */
#include "base/clock.h"
#include "engine/network.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

static void network_event(struct network *n, const char *action)
{
	engine_event_publish(n->g, "network", action, n->id, "name", n->name, "type",
			     n->driver_name, NULL);
}

static bool name_is_good(const char *s)
{
	if (!isalnum((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_' && *s != '.' && *s != '-')
			return false;
	return true;
}

static int check_name(struct engine *g, const char *name, struct err *e)
{
	static const char *const predefined[] = {"bridge", "host", "none", "default"};

	if (!str_is_set(name) || !name[strspn(name, " \t")])
		return err_set(e, ERR_INVALID, "invalid network name: network name is empty");
	for (size_t i = 0; i < ARRAY_SIZE(predefined); i++)
		if (strcmp(name, predefined[i]) == 0)
			return err_set(e, ERR_DENIED,
				       "operation is not permitted on predefined %s network ",
				       name);
	if (!name_is_good(name))
		return err_set(e, ERR_INVALID,
			       "invalid network name \"%s\": only [a-zA-Z0-9][a-zA-Z0-9_.-]* are "
			       "allowed",
			       name);
	LIST_FOR_EACH (it, &g->networks)
		if (strcmp(LIST_ENTRY(it, struct network, link)->name, name) == 0)
			return err_set(e, ERR_CONFLICT, "network with name %s already exists",
				       name);
	return 0;
}

static int check_driver(const struct network_create *b, enum network_driver driver, struct err *e)
{
	if (driver == NET_HOST || driver == NET_NULL)
		return err_set(e, ERR_DENIED, "only one instance of \"%s\" network is allowed",
			       driver == NET_HOST ? "host" : "null");
	if (b->ingress)
		return err_set(
			e, ERR_DENIED,
			"This node is not a swarm manager. Use \"docker swarm init\" or "
			"\"docker swarm join\" to connect this node to swarm and try again.");
	if (str_is_set(b->scope) && strcmp(b->scope, "local") != 0)
		return err_set(e, ERR_INVALID,
			       "invalid scope \"%s\": networks of one engine are local", b->scope);
	if (b->enable_ipv4 < 0 && b->enable_ipv6 <= 0)
		return err_set(e, ERR_INVALID, "IPv4 or IPv6 must be enabled");
	return 0;
}

static const char *config_source(const struct network_create *b, struct arena *a)
{
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;
	const char *name;

	if (!b->config_from || json_parse(b->config_from, strlen(b->config_from), &j, &e) < 0)
		return NULL;
	name = json_str(json_get_icase(j, "Network"));
	return str_is_set(name) ? arena_strdup(a, name) : NULL;
}

/* --config-from: everything but name and driver comes from another network's row. */
static int take_config(struct engine *g, const char *from, struct network_create *b, struct err *e)
{
	const struct network *n = network_get(g, from, e);

	if (!n)
		return -1;
	if (!n->config_only)
		return err_set(
			e, ERR_DENIED,
			"%s network is not a configuration network: it cannot be used by others",
			n->name);
	if (b->ipam.config.n > 0 || b->options.n > 0 || b->internal)
		return err_set(
			e, ERR_DENIED,
			"user specified configurations are not supported if the network depends "
			"on a configuration network");
	b->ipam = n->ipam;
	b->options = n->options;
	if (!b->labels.n)
		b->labels = n->labels;
	b->enable_ipv4 = n->ipv4 ? 1 : -1;
	b->enable_ipv6 = n->ipv6 ? 1 : -1;
	b->internal = n->internal;
	return 0;
}

int engine_network_create(struct engine *g, const struct network_create *body,
			  char ret[static ENGINE_ID_MAX], struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct network_create b = *body;
	const char *from = config_source(body, a);
	enum network_driver driver = NET_BRIDGE;
	struct network *n;

	if (check_name(g, b.name, e) < 0 || network_driver_find(b.driver, &driver, e) < 0 ||
	    check_driver(&b, driver, e) < 0 || (from && take_config(g, from, &b, e) < 0))
		return -1;
	if (b.config_only && from)
		return err_set(
			e, ERR_DENIED,
			"configuration network cannot depend on another configuration network");
	if (!from)
		b.config_from = NULL;
	n = network_new(g, &b, driver);
	id_random(n->id);
	n->created = clock_now_ns();
	if (network_options(n, e) < 0 || network_addresses(n, e) < 0)
		goto fail;
	if (!n->config_only && network_device_up(n, e) < 0)
		goto fail;
	if (network_save(n, e) < 0) {
		network_device_down(n);
		goto fail;
	}
	list_add_tail(&g->networks, &n->link);
	network_event(n, "create");
	memcpy(ret, n->id, ENGINE_ID_MAX);
	return 0;
fail:
	network_free(n);
	return -1;
}

static int refuse_users(const struct network *n, struct err *e)
{
	AUTO_BUF struct buf users = BUF_INIT(1 << 16);

	LIST_FOR_EACH (it, &n->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, by_network);

		buf_addf(&users, "%sname:\"%s\" id:\"%.12s\"", users.n > 0 ? ", " : "", ep->c->name,
			 ep->id);
	}
	if (users.n > 0)
		return err_set(e, ERR_DENIED,
			       "error while removing network: network %s has active endpoints (%s)",
			       n->name, buf_text(&users));
	LIST_FOR_EACH (it, &n->g->networks) {
		const struct network *o = LIST_ENTRY(it, struct network, link);
		AUTO(json) struct json *j = NULL;
		struct err ignored = ERR_INIT;
		const char *name;

		if (!n->config_only || !o->config_from ||
		    json_parse(o->config_from, strlen(o->config_from), &j, &ignored) < 0)
			continue;
		name = json_str(json_get_icase(j, "Network"));
		if (name && strcmp(name, n->name) == 0)
			return err_set(e, ERR_DENIED, "configuration network \"%s\" is in use",
				       n->name);
	}
	return 0;
}

static int network_remove(struct network *n, struct err *e)
{
	if (refuse_users(n, e) < 0 || network_forget(n, e) < 0)
		return -1;
	network_device_down(n);
	network_event(n, "destroy");
	LIST_FOR_EACH (it, &n->g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		LIST_FOR_EACH (at, &c->endpoints) {
			struct endpoint *ep = LIST_ENTRY(at, struct endpoint, link);

			if (ep->net == n)
				ep->net = NULL;
		}
	}
	network_free(n);
	return 0;
}

int engine_network_remove(struct engine *g, const char *ref, struct err *e)
{
	struct network *n = network_get(g, ref, e);

	if (!n)
		return -1;
	if (n->predefined)
		return err_set(e, ERR_DENIED, "%s is a pre-defined network and cannot be removed",
			       n->name);
	return network_remove(n, e);
}

int engine_network_prune(struct engine *g, const struct filters *f, struct buf *out, struct err *e)
{
	static const char *const allowed[] = {"until", "label", "label!", NULL};
	struct jw w = JW_INIT(out);
	const struct strs *when = filters_get(f, "until");
	int64_t until = 0;
	bool any = false;

	if (filters_check(f, allowed, e) < 0)
		return -1;
	if (when && when->n > 0 && clock_parse_when(when->v[0], clock_now_ns(), &until) < 0)
		return err_set(e, ERR_INVALID, "invalid filter 'until=%s'", when->v[0]);
	jw_obj(&w);
	jw_key(&w, "NetworksDeleted");
	LIST_FOR_EACH (it, &g->networks) {
		struct network *n = LIST_ENTRY(it, struct network, link);
		struct err ignored = ERR_INIT;
		const char *name;

		if (n->predefined || !list_empty(&n->endpoints) || n->config_only ||
		    (until && n->created > until) || !filters_match_labels(f, &n->labels))
			continue;
		AUTO_FREE char *copy = xstrdup(n->name);
		name = copy;
		if (network_remove(n, &ignored) < 0)
			continue;
		if (!any)
			jw_arr(&w);
		any = true;
		jw_str(&w, name);
	}
	if (any)
		jw_arr_end(&w);
	else
		jw_null(&w);
	jw_obj_end(&w);
	event_reclaimed(g, "network", 0);
	return 0;
}
