/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. The variables are Docker's: ALIAS_NAME, ALIAS_PORT, ALIAS_PORT_80_TCP and its
 * parts, ALIAS_ENV_NAME. */
#include "engine/links.h"
#include "base/num.h"
#include "engine/network.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

struct endpoint *link_endpoint(const struct container *c)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (ep->state != ENDPOINT_CONFIGURED && ep->net && network_is_default(ep->net))
			return ep;
	}
	return NULL;
}

struct container *link_target(struct engine *g, const char *link, const char **ret_alias,
			      struct err *e)
{
	const char *colon = strchr(link, ':'), *slash;
	AUTO_FREE char *name = xstrndup(link, colon ? (size_t)(colon - link) : strlen(link));

	*ret_alias = colon ? colon + 1 : link + (*link == '/');
	slash = strrchr(*ret_alias, '/'); /* "/parent/alias", as inspect shows it */
	if (slash)
		*ret_alias = slash + 1;
	return engine_container_get(g, name, e);
}

int links_check(struct engine *g, const struct host_config *h, struct err *e)
{
	for (size_t i = 0; i < h->links.n; i++) {
		const char *link = h->links.v[i], *alias, *colon = strchr(link, ':');
		const struct container *child;

		if (!*link || *link == ':' || (colon && (!colon[1] || strchr(colon + 1, ':'))))
			return err_set(e, ERR_INVALID, "bad format for links: %s", link);
		child = link_target(g, link, &alias, e);
		if (!child) {
			e->kind = ERR_INVALID;
			return err_wrap(e, "could not get container for %.*s",
					(int)strcspn(link, ":"), link);
		}
		if (strcmp(child->host.network_mode, "host") == 0)
			return err_set(e, ERR_INVALID,
				       "conflicting options: host type networking can't be used "
				       "with links. This would result in undefined behavior");
	}
	return 0;
}

/* ---- ports ---- */

struct port {
	uint64_t number;
	const char *protocol;
};

static bool comes_first(const struct port *a, const struct port *b)
{
	bool at = strcmp(a->protocol, "tcp") == 0, bt = strcmp(b->protocol, "tcp") == 0;

	if (a->number != b->number)
		return a->number < b->number;
	return at != bt ? at : strcmp(a->protocol, b->protocol) < 0;
}

/* Exposed ports, "80/tcp" or a range, sorted. */
static size_t sorted_ports(const struct container *c, struct port **ret, struct arena *a)
{
	const struct strs *exposed = &c->meta.config.exposed_ports;
	struct port *v = arena_alloc(a, (exposed->n + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < exposed->n; i++) {
		const char *text = exposed->v[i], *slash = strchr(text, '/');
		char *number = arena_strndup(a, text,
					     slash ? (size_t)(slash - text) : strlen(text));
		struct port p = {.protocol = slash ? slash + 1 : "tcp"};
		size_t at = n;

		if (num_parse_u64(number, 1, 65535, &p.number) < 0)
			continue;
		while (at > 0 && comes_first(&p, &v[at - 1])) {
			v[at] = v[at - 1];
			at--;
		}
		v[at] = p;
		n++;
	}
	*ret = v;
	return n;
}

static char *upper(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);

	for (char *p = copy; *p; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	return copy;
}

static void push(struct strs *ret, struct arena *a, const char *prefix, const char *suffix,
		 const char *value)
{
	strs_push(ret, a, arena_printf(a, "%s%s=%s", prefix, suffix, value));
}

static const char *url(const struct port *p, const char *ip, struct arena *a)
{
	return arena_printf(a, "%s://%s:%llu", p->protocol, ip, (unsigned long long)p->number);
}

/* Neighbours of a run are told once more as one. */
static void port_run(struct strs *ret, const struct port *first, const struct port *last,
		     const char *alias, const char *ip, struct arena *a)
{
	const char *prefix = arena_printf(a, "%s_PORT_%llu_%s", alias,
					  (unsigned long long)first->number,
					  upper(a, first->protocol));

	if (first == last)
		return;
	push(ret, a, prefix, "_START", url(first, ip, a));
	push(ret, a, prefix, "_END", url(last, ip, a));
}

static void port_env(struct strs *ret, const struct container *child, const char *alias,
		     const char *ip, struct arena *a)
{
	struct port *v;
	size_t n = sorted_ports(child, &v, a), first = 0;

	if (n > 0)
		push(ret, a, alias, "_PORT", url(&v[0], ip, a));
	for (size_t i = 1; i <= n; i++) {
		if (i < n && v[i].number == v[i - 1].number + 1 &&
		    strcmp(v[i].protocol, v[i - 1].protocol) == 0)
			continue;
		port_run(ret, &v[first], &v[i - 1], alias, ip, a);
		first = i;
	}
	for (size_t i = 0; i < n; i++) {
		const char *number = arena_printf(a, "%llu", (unsigned long long)v[i].number);
		const char *prefix = arena_printf(a, "%s_PORT_%s_%s", alias, number,
						  upper(a, v[i].protocol));

		push(ret, a, prefix, "", url(&v[i], ip, a));
		push(ret, a, prefix, "_ADDR", ip);
		push(ret, a, prefix, "_PORT", number);
		push(ret, a, prefix, "_PROTO", v[i].protocol);
	}
}

/* ---- all of it ---- */

static void child_env(struct strs *ret, const struct container *child, const char *alias,
		      struct arena *a)
{
	const struct strs *env = &child->meta.config.env;

	for (size_t i = 0; i < env->n; i++) {
		const char *v = env->v[i];

		if (!strchr(v, '=') || str_starts(v, "HOME=") || str_starts(v, "PATH="))
			continue;
		strs_push(ret, a, arena_printf(a, "%s_ENV_%s", alias, v));
	}
}

int links_env(const struct container *c, struct strs *ret, struct arena *a, struct err *e)
{
	if (!link_endpoint(c))
		return 0;
	for (size_t i = 0; i < c->host.links.n; i++) {
		const char *alias;
		const struct container *child = link_target(c->g, c->host.links.v[i], &alias, e);
		const struct endpoint *ep = child ? link_endpoint(child) : NULL;
		char ip[IP_TEXT_MAX];
		const char *name;

		if (!child)
			return -1;
		if (!child->st.running)
			return err_set(e, ERR_SYSTEM,
				       "Cannot link to a non running container: /%s AS /%s/%s",
				       child->name, c->name, alias);
		if (!ep)
			continue;
		ip_format(ep->ip4, ip);
		name = upper(a, alias);
		port_env(ret, child, name, ip, a);
		strs_push(ret, a, arena_printf(a, "%s_NAME=/%s/%s", name, c->name, alias));
		child_env(ret, child, name, a);
	}
	return 0;
}
