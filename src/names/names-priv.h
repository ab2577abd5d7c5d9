/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of coracle-names. One thread around epoll; nothing blocks.
 *
 * A query comes by a resolver's UDP or TCP socket. What zone.h knows is answered at once. The rest
 * becomes a struct forward, which gets one upstream socket after another until a server has
 * answered:
 *
 *   waiting (no socket is free) -> sent -> answered
 *                                   |-> timeout, error, refusal: next server, at most two rounds
 *
 * Upstream sockets are opened by the engine in the container's namespace, so that queries leave
 * from there and this program needs no privilege. A socket is connected to one server while it has
 * queries (the kernel drops what others send), and disconnected afterwards: the next query leaves
 * from another port.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "names/names.h"
#include "names/packet.h"
#include "names/zone.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define TRY_MS		      2000 /* one server, one try */
#define GIVE_UP_MS	      8000 /* a query in all */
#define ROUNDS		      2
#define BAD_MS		      30000 /* a silent server is asked last for so long */
#define FORWARDS_MAX	      4096
#define FORWARDS_PER_RESOLVER 256
#define SHARE_MAX	      64 /* queries on one upstream socket */
#define HOST_SOCKETS_MAX      4	 /* opened by ourselves, per resolver and protocol */
#define CONN_IDLE_MS	      15000
#define CONNS_PER_RESOLVER    32
#define CONN_FORWARDS_MAX     16
#define UNUSED_MS	      3000
#define DATAGRAMS_PER_TURN    32   /* of one container, then it is the others' turn */
#define DATAGRAM_MAX	      4096 /* of a query over UDP */

struct server;
struct resolver;

/* Something epoll watches; embedded first. */
struct source {
	int fd; /* FD_NONE: closed, freed at the end of the turn */
	void (*ready)(struct server *s, struct source *src, uint32_t events);
	struct list grave;
};

struct server_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t n;
	bool host;	   /* asked from our own namespace */
	int64_t bad_until; /* ns, monotonic */
};

struct listener {
	struct source src;
	struct resolver *r;
};

/* A socket for queries to servers. */
struct upstream {
	struct source src;
	struct list link; /* resolver.upstreams */
	struct resolver *r;
	bool tcp, host;
	sa_family_t family;
	const struct server_address *peer; /* NULL: idle */
	struct list users;		   /* struct forward.by_place */
	size_t nusers;
	struct buf out, in; /* tcp */
};

struct resolver {
	char *id;
	struct arena *arena;
	struct names_request view;
	struct server_address server[NAMES_SERVERS_MAX];
	size_t nservers;
	struct listener *udp, *tcp; /* NULL: no sockets yet */
	struct list upstreams, waiting, conns;
	size_t nforwards, nconns;
	unsigned generation;
};

/* A client's TCP connection. */
struct conn {
	struct source src;
	struct list by_age;	 /* server.conns, least recently used first */
	struct list by_resolver; /* resolver.conns */
	struct resolver *r;
	struct buf in, out;
	struct list forwards; /* struct forward.by_conn */
	size_t nforwards;
	int64_t used_at;
	uint32_t events;
};

/* Who asked. */
struct client {
	struct resolver *r;
	struct conn *conn; /* NULL: UDP */
	struct sockaddr_in from;
	size_t max; /* largest answer */
};

struct forward {
	struct list by_time;  /* server.forwards, first deadline first */
	struct list by_place; /* upstream.users or resolver.waiting */
	struct list by_conn;
	struct client client;
	struct upstream *upstream; /* NULL: waiting */
	const struct server_address *server;
	int64_t deadline, give_up;
	uint16_t client_id, id;
	unsigned tried, settled; /* bits of servers: in this round; for good */
	unsigned round;
	int rcode; /* what to say when all failed */
	size_t question, n;
	uint8_t query[];
};

struct control {
	struct source src;
};

struct server {
	int epoll;
	struct source listen;
	struct control *control; /* NULL: no engine */
	struct zones *zones;
	struct map *resolvers; /* id -> struct resolver */
	struct list forwards, conns, graves;
	size_t nforwards;
	unsigned generation;
	int64_t unused_since;
	bool quit;
	struct addresses found;
	uint8_t datagram[DATAGRAMS_PER_TURN][DATAGRAM_MAX];
	uint8_t packet[PACKET_MAX + 1], answer[PACKET_MAX];
};

/* ---- loop.c ---- */
int source_watch(struct server *s, struct source *src, uint32_t events);
void source_change(struct server *s, struct source *src, uint32_t events);
/* Close now, free the object (of which src is the first member) at the end of the turn. */
void source_close(struct server *s, struct source *src);
int64_t now_ms(void);

/* ---- resolver.c ---- */
struct resolver *resolver_get(struct server *s, const char *id); /* makes it */
/* Take the request's meaning; the arena goes over. */
void resolver_set(struct server *s, struct resolver *r, const struct names_request *q,
		  struct arena *a);
/* Takes all descriptors; the old sockets go. */
int resolver_sockets(struct server *s, struct resolver *r, int *fds, size_t n);
void resolver_remove(struct server *s, const char *id);
void resolvers_sync_end(struct server *s);

/* ---- serve.c ---- */
/* A query of n bytes, from wherever. */
void serve_query(struct server *s, struct client *c, uint8_t *p, size_t n);
void serve_answer(struct server *s, const struct client *c, const uint8_t *p, size_t n);
void udp_ready(struct server *s, struct source *src, uint32_t events);

/* ---- tcp.c ---- */
void tcp_accept_ready(struct server *s, struct source *src, uint32_t events);
void conn_send(struct server *s, struct conn *c, const uint8_t *p, size_t n);
void conn_close(struct server *s, struct conn *c);
void conn_wanted(struct server *s, struct conn *c); /* after its number of forwards changed */
void conns_expire(struct server *s, int64_t now);

/* ---- forward.c ---- */
void forward_start(struct server *s, const struct client *c, const uint8_t *p, size_t n,
		   const struct packet_query *q);
/* The upstream socket failed before an answer. */
void forward_failed(struct server *s, struct forward *f);
/* Some bytes that came for it; false: not its answer. */
bool forward_answered(struct server *s, struct forward *f, uint8_t *p, size_t n);
void forward_drop(struct server *s, struct forward *f); /* nobody wants it any more */
void forwards_expire(struct server *s, int64_t now);
void forwards_retry_waiting(struct server *s, struct resolver *r);

/* ---- upstream.c ---- */
struct upstream *upstream_new(struct server *s, struct resolver *r, int fd, bool host);
/* A socket for this server; NULL: none is free, or with *ret_error -errno: there can be none. */
struct upstream *upstream_get(struct server *s, struct resolver *r, const struct server_address *a,
			      bool tcp, int *ret_error);
int upstream_send(struct server *s, struct upstream *u, struct forward *f);
void upstream_release(struct server *s, struct forward *f); /* f leaves its socket */
void upstream_idle(struct server *s, struct upstream *u);   /* disconnect it when it has none */
void upstream_free(struct server *s, struct upstream *u);   /* without users */

/* ---- control.c ---- */
void control_accept_ready(struct server *s, struct source *src, uint32_t events);

/* ---- confine.c ---- */
int names_confine(struct err *e);
