/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver of one container: what the engine said about it, and its sockets. */
#include "base/num.h"
#include "names/names-priv.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/banned.h"

#define DNS_PORT 53

struct resolver *resolver_get(struct server *s, const char *id)
{
	struct resolver *r = map_get(s->resolvers, id);

	if (!r) {
		r = NEW(struct resolver);
		r->id = xstrdup(id);
		list_init(&r->upstreams);
		list_init(&r->waiting);
		list_init(&r->conns);
		map_set(s->resolvers, id, r);
	}
	r->generation = s->generation;
	return r;
}

/* "[host:]ADDRESS[%SCOPE]" */
static bool server_parse(const char *text, struct server_address *ret)
{
	AUTO_FREE char *copy = NULL;
	uint64_t scope = 0;
	struct ip ip;
	char *percent;

	*ret = (struct server_address){.host = str_starts(text, "host:")};
	copy = xstrdup(text + (ret->host ? 5 : 0));
	percent = strchr(copy, '%');
	if (percent) {
		*percent = '\0';
		if (num_parse_u64(percent + 1, 1, UINT32_MAX, &scope) < 0)
			return false;
	}
	if (ip_parse(copy, &ip) < 0)
		return false;
	if (ip.family == 4) {
		ret->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
		memcpy(&ret->in.sin_addr, ip.b, 4);
		ret->n = sizeof(ret->in);
	} else {
		ret->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
						 .sin6_port = htons(DNS_PORT),
						 .sin6_scope_id = (uint32_t)scope};
		memcpy(&ret->in6.sin6_addr, ip.b, 16);
		ret->n = sizeof(ret->in6);
	}
	return true;
}

static void drop_forwards(struct server *s, struct resolver *r)
{
	LIST_FOR_EACH (it, &r->waiting)
		forward_drop(s, LIST_ENTRY(it, struct forward, by_place));
	LIST_FOR_EACH (it, &r->upstreams) {
		struct upstream *u = LIST_ENTRY(it, struct upstream, link);

		while (!list_empty(&u->users))
			forward_drop(s, LIST_ENTRY(u->users.next, struct forward, by_place));
	}
}

static bool same_servers(const struct resolver *r, const struct server_address *v, size_t n)
{
	for (size_t i = 0; i < n && i < r->nservers; i++)
		if (v[i].n != r->server[i].n || v[i].host != r->server[i].host ||
		    memcmp(&v[i].sa, &r->server[i].sa, v[i].n) != 0)
			return false;
	return n == r->nservers;
}

void resolver_set(struct server *s, struct resolver *r, const struct names_request *q,
		  struct arena *a)
{
	struct server_address server[NAMES_SERVERS_MAX];
	size_t n = 0;

	arena_free(r->arena);
	r->arena = a;
	r->view = *q;
	for (size_t i = 0; i < q->servers.n && n < NAMES_SERVERS_MAX; i++)
		if (server_parse(q->servers.v[i], &server[n]))
			n++;
	if (same_servers(r, server, n))
		return;
	drop_forwards(s, r); /* they know servers by their place in the list */
	memcpy(r->server, server, sizeof(server));
	r->nservers = n;
}

static struct listener *listener_new(struct server *s, struct resolver *r, int *fd,
				     void (*ready)(struct server *, struct source *, uint32_t))
{
	struct listener *l = NEW(struct listener);

	l->src = (struct source){.fd = TAKE_FD(*fd), .ready = ready};
	l->r = r;
	if (source_watch(s, &l->src, EPOLLIN) < 0) {
		source_close(s, &l->src);
		return NULL;
	}
	return l;
}

static void close_sockets(struct server *s, struct resolver *r)
{
	drop_forwards(s, r);
	LIST_FOR_EACH (it, &r->conns)
		conn_close(s, LIST_ENTRY(it, struct conn, by_resolver));
	LIST_FOR_EACH (it, &r->upstreams)
		upstream_free(s, LIST_ENTRY(it, struct upstream, link));
	if (r->udp)
		source_close(s, &r->udp->src);
	if (r->tcp)
		source_close(s, &r->tcp->src);
	r->udp = r->tcp = NULL;
}

int resolver_sockets(struct server *s, struct resolver *r, int *fds, size_t n)
{
	int rc = n >= 2 ? 0 : -EINVAL;

	close_sockets(s, r);
	if (rc == 0) {
		r->udp = listener_new(s, r, &fds[0], udp_ready);
		r->tcp = listener_new(s, r, &fds[1], tcp_accept_ready);
	}
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0 && rc == 0)
			upstream_new(s, r, TAKE_FD(fds[i]), false);
		fd_close(&fds[i]);
	}
	if (rc == 0 && (!r->udp || !r->tcp))
		rc = -ENOMEM;
	if (rc < 0)
		close_sockets(s, r);
	return rc;
}

static void resolver_free(struct server *s, struct resolver *r)
{
	close_sockets(s, r);
	arena_free(r->arena);
	free(r->id);
	free(r);
}

void resolver_remove(struct server *s, const char *id)
{
	struct resolver *r = map_del(s->resolvers, id);

	if (r)
		resolver_free(s, r);
}

void resolvers_sync_end(struct server *s)
{
	size_t pos = 0;
	const char *id;
	void *v;

	while (map_next(s->resolvers, &pos, &id, &v))
		if (((struct resolver *)v)->generation != s->generation)
			resolver_remove(s, id);
}
