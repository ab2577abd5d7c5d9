/* SPDX-License-Identifier: Apache-2.0 */
/* What the name service is told: networks of users, the names of their endpoints, and for each
 * container that is in one a resolver with sockets in its namespace. */
#include "base/log.h"
#include "engine/hostfiles.h"
#include "engine/links.h"
#include "engine/nameservice.h"
#include "net/netlink.h"
#include "net/redirect.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/banned.h"

#define QUERY_SOCKETS_UDP 4 /* for queries to servers, per family */
#define QUERY_SOCKETS_TCP 2
#define QUERY_BUFFER	  (1 << 20)

/* What was said about a container. */
struct names_told {
	struct strs networks;	     /* ids, heap: it has an endpoint there */
	bool resolver;		     /* it has one */
	bool needed;		     /* sockets are asked for, and it is still starting */
	uint16_t udp_port, tcp_port; /* of its sockets; 0: not opened by this engine */
};

/* ---- which endpoints count ---- */

/* Of a network with names, and with addresses: now, or before the engine came. */
static bool has_names(const struct endpoint *ep)
{
	bool live = ep->was_up || ep->state != ENDPOINT_CONFIGURED;

	if (!live || !*ep->net_id)
		return false;
	return ep->net ? !network_is_default(ep->net) : strcmp(ep->net_name, "bridge") != 0;
}

bool names_resolves(const struct container *c)
{
	LIST_FOR_EACH (it, &c->endpoints)
		if (has_names(LIST_ENTRY(it, struct endpoint, link)))
			return true;
	return false;
}

bool names_wanted(const struct engine *g)
{
	LIST_FOR_EACH (it, &g->order)
		if (names_resolves(LIST_ENTRY(it, struct container, link)))
			return true;
	return false;
}

/* ---- endpoints ---- */

static const char *lower(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static void push_ip(struct strs *s, struct arena *a, struct ip ip)
{
	char text[IP_TEXT_MAX];

	if (ip.family)
		strs_push(s, a, arena_strdup(a, ip_format(ip, text)));
}

static void say_endpoint(const struct endpoint *ep, struct arena *a)
{
	struct engine *g = ep->c->g;
	struct endpoint_settings s;
	struct names_request network = {
		.op = names_op_name(NAMES_OP_NETWORK), .id = ep->net_id, .name = ep->net_name};
	struct names_request r = {
		.op = names_op_name(NAMES_OP_ENDPOINT), .network = ep->net_id, .id = ep->c->id};

	endpoint_settings_of(ep, &s, a);
	r.names = s.dns_names;
	push_ip(&r.addresses, a, ep->ip4);
	push_ip(&r.addresses, a, ep->ip6);
	nameservice_say(g, &network, NULL, 0);
	nameservice_say(g, &r, NULL, 0);
}

static bool told_has(const struct names_told *t, const char *network)
{
	for (size_t i = 0; i < t->networks.n; i++)
		if (strcmp(t->networks.v[i], network) == 0)
			return true;
	return false;
}

static bool is_in(const struct container *c, const char *network)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (has_names(ep) && strcmp(ep->net_id, network) == 0)
			return true;
	}
	return false;
}

static void forget(struct container *c, struct names_told *t, size_t i)
{
	const struct names_request r = {.op = names_op_name(NAMES_OP_ENDPOINT_REMOVE),
					.network = t->networks.v[i],
					.id = c->id};

	nameservice_say(c->g, &r, NULL, 0);
	free((void *)(uintptr_t)t->networks.v[i]);
	t->networks.v[i] = t->networks.v[--t->networks.n];
}

static struct names_told *told(struct container *c)
{
	if (!c->names)
		c->names = NEW(struct names_told);
	return c->names;
}

static void say_endpoints(struct container *c)
{
	AUTO(arena) struct arena *a = arena_new();
	struct names_told *t = told(c);

	for (size_t i = t->networks.n; i-- > 0;)
		if (!is_in(c, t->networks.v[i]))
			forget(c, t, i);
	LIST_FOR_EACH (it, &c->endpoints) {
		struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (!has_names(ep))
			continue;
		say_endpoint(ep, a);
		if (told_has(t, ep->net_id))
			continue;
		t->networks.v = xrealloc(t->networks.v, (t->networks.n + 1) * sizeof(char *));
		t->networks.v[t->networks.n++] = xstrdup(ep->net_id);
	}
}

/* ---- the resolver ---- */

/* Names that only this container knows. */
static struct strmap links_of(const struct endpoint *ep, struct arena *a)
{
	struct strmap ret = {
		.v = arena_alloc(a, (ep->want.links.n + 1) * sizeof(struct strmap_entry))};

	for (size_t i = 0; i < ep->want.links.n; i++) {
		const char *link = ep->want.links.v[i], *alias;
		struct err ignored = ERR_INIT;
		const struct container *other = link_target(ep->c->g, link, &alias, &ignored);

		if (other)
			ret.v[ret.n++] = (struct strmap_entry){.k = lower(a, alias),
							       .v = lower(a, other->name)};
	}
	ret.set = ret.n > 0;
	return ret;
}

static struct objs memberships(struct container *c, struct arena *a)
{
	struct names_membership *v;
	size_t n = 0;

	LIST_FOR_EACH (it, &c->endpoints)
		n++;
	v = arena_alloc(a, (n + 1) * sizeof(*v));
	n = 0;
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (has_names(ep))
			v[n++] = (struct names_membership){.id = ep->net_id,
							   .links = links_of(ep, a)};
	}
	return (struct objs){.v = v, .n = n, .set = n > 0};
}

static bool has_way_out(const struct container *c)
{
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if ((ep->was_up || ep->state != ENDPOINT_CONFIGURED) && ep->net &&
		    !ep->net->internal)
			return true;
	}
	return false;
}

static void say_resolver(struct container *c, int *fds, size_t nfds)
{
	AUTO(arena) struct arena *a = arena_new();
	struct resolv conf;
	struct names_request r = {.op = names_op_name(NAMES_OP_RESOLVER),
				  .id = c->id,
				  .networks = memberships(c, a),
				  .forward = has_way_out(c)};

	hostfiles_resolv(c, &conf, a);
	resolv_servers(&conf, &r.servers, a);
	r.ndots = resolv_ndots_asked(&conf);
	if (r.forward)
		hostfiles_gateway(c, &r.host, a);
	told(c)->resolver = true;
	nameservice_say(c->g, &r, fds, nfds);
}

/* ---- its sockets ---- */

struct sockets {
	int fd[NAMES_FDS_MAX];
	size_t n;
	uint16_t port[2]; /* UDP, TCP: wanted, then what they are */
	bool family4, family6;
};

static int open_bound(struct sockets *s, int type, uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t n = sizeof(sa);
	AUTO_FD int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, size = QUERY_BUFFER;

	if (fd < 0)
		return -errno;
	inet_pton(AF_INET, REDIRECT_ADDRESS, &sa.sin_addr);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		sa.sin_port = 0; /* somebody has it by now */
		if (*port == 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
			return -errno;
	}
	if ((type == SOCK_STREAM && listen(fd, 64) < 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
		return -errno;
	*port = ntohs(sa.sin_port);
	s->fd[s->n++] = TAKE_FD(fd);
	return 0;
}

static int open_query(struct sockets *s, int family)
{
	for (int i = 0; i < QUERY_SOCKETS_UDP + QUERY_SOCKETS_TCP; i++) {
		int type = i < QUERY_SOCKETS_UDP ? SOCK_DGRAM : SOCK_STREAM;
		int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0)
			return -errno;
		s->fd[s->n++] = fd;
	}
	return 0;
}

/* Runs in the container's namespace. */
static int open_sockets(void *ud)
{
	struct sockets *s = ud;
	int rc = open_bound(s, SOCK_DGRAM, &s->port[0]);

	if (rc == 0)
		rc = open_bound(s, SOCK_STREAM, &s->port[1]);
	if (rc == 0 && s->family4)
		rc = open_query(s, AF_INET);
	if (rc == 0 && s->family6 && open_query(s, AF_INET6) < 0)
		s->family6 = false; /* a kernel without IPv6 */
	return rc;
}

static bool is_our_namespace(int netns)
{
	struct stat a, b;

	return fstat(netns, &a) < 0 || stat("/proc/self/ns/net", &b) < 0 ||
	       (a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

static void query_families(struct container *c, struct sockets *s)
{
	AUTO(arena) struct arena *a = arena_new();
	struct resolv conf;
	struct strs servers = {0};

	hostfiles_resolv(c, &conf, a);
	resolv_servers(&conf, &servers, a);
	for (size_t i = 0; i < servers.n; i++) {
		if (str_starts(servers.v[i], "host:"))
			continue;
		*(strchr(servers.v[i], ':') ? &s->family6 : &s->family4) = true;
	}
}

static int resolver_up(struct container *c, int netns, struct err *e)
{
	struct names_told *t = told(c);
	struct sockets s = {.port = {t->udp_port, t->tcp_port}};
	bool same;
	int rc;

	/* Never on the host: that would be a resolver for everybody. */
	if (is_our_namespace(netns))
		return err_set(e, ERR_BUG, "the container has the engine's network namespace");
	query_families(c, &s);
	rc = netns_run(netns, open_sockets, &s);
	/* The rules of an earlier time lead to the same ports. */
	same = t->udp_port && t->udp_port == s.port[0] && t->tcp_port == s.port[1];
	if (rc < 0)
		err_sys(e, rc, "open the name service's sockets in the container");
	else if (!same)
		rc = redirect_names(netns, s.port[0], s.port[1], e);
	if (rc < 0) {
		for (size_t i = 0; i < s.n; i++)
			fd_close(&s.fd[i]);
		return -1;
	}
	t->udp_port = s.port[0];
	t->tcp_port = s.port[1];
	say_resolver(c, s.fd, s.n);
	return 0;
}

static int netns_open(const struct container *c, struct err *e)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%lld/ns/net", (long long)c->st.pid);
	fd = c->st.pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	return fd < 0 ? err_sys(e, -errno, "network namespace of container %.12s", c->id) : fd;
}

static int resolver_open(struct container *c, struct err *e)
{
	AUTO_FD int netns = netns_open(c, e);

	return netns < 0 ? -1 : resolver_up(c, netns, e);
}

static void reopen(struct container *c)
{
	struct err e = ERR_INIT;

	if (names_resolves(c) && resolver_open(c, &e) < 0)
		log_error("container %.12s: %s", c->id, e.text);
}

void names_needed(struct engine *g, const char *id)
{
	struct container *c = container_by_id(g, id);

	if (c && c->starting) /* the service died in this moment; the pid is not known yet */
		told(c)->needed = true;
	else if (c)
		reopen(c);
}

void names_started(struct container *c)
{
	if (!c->names || !c->names->needed)
		return;
	c->names->needed = false;
	reopen(c);
}

/* ---- what the engine calls ---- */

void names_say_all(struct engine *g)
{
	const struct names_request sync = {.op = names_op_name(NAMES_OP_SYNC)};
	const struct names_request synced = {.op = names_op_name(NAMES_OP_SYNCED)};

	nameservice_say(g, &sync, NULL, 0);
	LIST_FOR_EACH (it, &g->order) {
		struct container *c = LIST_ENTRY(it, struct container, link);

		if (!names_resolves(c))
			continue;
		say_endpoints(c);
		/* one in the middle of its start has no sockets yet, and brings them */
		if (!c->starting || told(c)->resolver)
			say_resolver(c, NULL, 0);
	}
	nameservice_say(g, &synced, NULL, 0);
}

int names_up(struct container *c, int netns, struct err *e)
{
	hostfiles_update_parents(c);
	if (!names_resolves(c))
		return 0;
	if (nameservice_need(c->g, e) < 0)
		return -1;
	say_endpoints(c);
	return resolver_up(c, netns, e);
}

void names_changed(struct container *c)
{
	struct err e = ERR_INIT;

	if (!c->st.running)
		return;
	hostfiles_update(c);
	hostfiles_update_parents(c);
	if (!names_resolves(c) && !c->names)
		return;
	if (nameservice_need(c->g, &e) < 0) {
		log_error("container %.12s: %s", c->id, e.text);
		return;
	}
	say_endpoints(c);
	if (told(c)->resolver)
		say_resolver(c, NULL, 0);
	else if (resolver_open(c, &e) < 0)
		log_error("container %.12s: %s", c->id, e.text);
}

void names_free(struct container *c)
{
	struct names_told *t = TAKE_PTR(c->names);

	if (!t)
		return;
	for (size_t i = 0; i < t->networks.n; i++)
		free((void *)(uintptr_t)t->networks.v[i]);
	free(t->networks.v);
	free(t);
}

void names_down(struct container *c)
{
	const struct names_request r = {.op = names_op_name(NAMES_OP_RESOLVER_REMOVE), .id = c->id};

	if (!c->names)
		return;
	while (c->names->networks.n > 0)
		forget(c, c->names, c->names->networks.n - 1);
	nameservice_say(c->g, &r, NULL, 0);
	names_free(c);
}
