/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine tells coracle-names, as structs <-> JSON text. No I/O here.
 *
 * Transport: SOCK_SEQPACKET, one JSON object per message, at most NAMES_MSG_MAX bytes, descriptors
 * by SCM_RIGHTS. The engine spawns the program with its listening socket as fd 3; each engine
 * connects to that socket (RUNDIR/names.sock), the newest connection wins.
 *
 * The engine states facts and waits for no answer. After connecting it says "sync", then everything
 * it knows, then "synced": what was not said again is forgotten. Between those the old state still
 * answers. A "resolver" keeps the sockets it has; one that has none is asked for by the event
 * "need", and the engine says it again with sockets.
 *
 * Absent and empty fields are the same.
 */
#pragma once

#include "base/json.h"

#define NAMES_LISTEN_FD	  3
#define NAMES_MSG_MAX	  65536
#define NAMES_SOCKET_FILE "names.sock"
#define NAMES_FDS_MAX	  16
#define NAMES_SERVERS_MAX 8

enum names_op {
	NAMES_OP_NONE,
	NAMES_OP_SYNC,
	NAMES_OP_SYNCED,
	NAMES_OP_NETWORK,	  /* id, name: made or renamed */
	NAMES_OP_NETWORK_REMOVE,  /* id */
	NAMES_OP_ENDPOINT,	  /* network, id, names, addresses: made or replaced */
	NAMES_OP_ENDPOINT_REMOVE, /* network, id */
	/*
	 * A container that is answered: id, networks, servers, forward, ndots, host. With
	 * descriptors it gets new sockets: the bound UDP socket, the listening TCP socket, then
	 * unconnected UDP and TCP sockets of its namespace for queries to servers.
	 */
	NAMES_OP_RESOLVER,
	NAMES_OP_RESOLVER_REMOVE, /* id */
	NAMES_OP_QUIT,
	NAMES_OP_COUNT
};
const char *names_op_name(enum names_op op);
enum names_op names_op_parse(const char *name); /* NAMES_OP_NONE when unknown */

struct names_membership {
	const char *id;	     /* of the network */
	struct strmap links; /* alias -> name, known to this container only */
};

struct names_request {
	const char *op;
	const char *id, *network, *name;
	struct strs names;     /* of an endpoint; the first one is what an address leads back to */
	struct strs addresses; /* of an endpoint, IPv4 and IPv6 */
	struct objs networks;  /* struct names_membership, in the order they are asked */
	/* Upstream servers in order; "host:ADDRESS[%SCOPE-INDEX]" is asked from the engine's
	 * network. */
	struct strs servers;
	bool forward;	  /* unknown names go to the servers */
	bool ndots;	  /* the user set ndots: names without a dot are not forwarded */
	struct strs host; /* addresses of host.docker.internal */
};
extern const struct json_schema names_request_schema;

enum names_event {
	NAMES_EV_NONE,
	NAMES_EV_HELLO, /* the first message of a connection: pid, version */
	NAMES_EV_NEED,	/* id: this resolver has no sockets */
	NAMES_EV_COUNT
};
const char *names_event_name(enum names_event ev);
enum names_event names_event_parse(const char *name);

struct names_message {
	const char *event, *id, *version;
	int64_t pid;
};
extern const struct json_schema names_message_schema;

/* Encode into out (appended; give it BUF_INIT(NAMES_MSG_MAX)). -EMSGSIZE when too large. */
int names_request_encode(const struct names_request *r, struct buf *out);
int names_message_encode(const struct names_message *m, struct buf *out);
/* Decode: strings belong to the arena. Missing or unknown op or event is ERR_INVALID. */
int names_request_decode(const char *p, size_t n, struct names_request *ret, struct arena *a,
			 struct err *e);
int names_message_decode(const char *p, size_t n, struct names_message *ret, struct arena *a,
			 struct err *e);
