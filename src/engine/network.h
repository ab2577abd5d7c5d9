/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks and endpoints inside the engine. A network is a row (a document of the store); an
 * endpoint is a container's place in one. docs/adr/0009-networking.md has the whole picture.
 *
 * Life of an endpoint:
 *   configured   asked for, kept in the container's row; no address
 *   reserved     addresses and host ports are taken        endpoints_reserve(), before the shim
 *   up           interface, rules and names exist          endpoints_up(), the container's network
 *                                                          namespace exists, its program does not
 * run configured   again                                     endpoints_down(), after the exit A
 * restarted engine takes what runs from reserved to up by endpoints_adopt().
 */
#pragma once

#include "engine/engine-priv.h"
#include "net/firewall.h"
#include "spec/network.h"
#include "wire/ip.h"

#include <net/if.h>

enum network_driver { NET_BRIDGE, NET_MACVLAN, NET_IPVLAN, NET_HOST, NET_NULL };

struct net_pool; /* net/pool.h: the addresses of one subnet */

struct network_subnet {
	struct ip_prefix subnet, range; /* range: where addresses are chosen; = subnet by default */
	struct ip gateway;		/* family 0: none */
	struct strmap aux;
	struct net_pool *pool;
};
#define NETWORK_SUBNETS_MAX 16

struct network {
	struct engine *g;
	struct list link; /* engine.networks, oldest first */
	char id[ENGINE_ID_MAX];
	struct arena *arena; /* owns all strings */
	const char *name, *driver_name;
	enum network_driver driver;
	int64_t created; /* ns */
	bool ipv4, ipv6, internal, attachable, ingress, config_only, predefined;
	struct strmap options, labels; /* as given */
	struct ipam ipam;	       /* as given, with what was chosen filled in */
	const char *config_from;       /* JSON or NULL */
	struct network_subnet subnet[NETWORK_SUBNETS_MAX];
	size_t nsubnets;
	bool asked_subnets; /* the user chose them: containers may choose addresses */
	/* worked out from options */
	char bridge[IFNAMSIZ]; /* bridge: its interface; macvlan, ipvlan: the parent */
	int mtu;	       /* 0: the kernel's */
	bool rules_up;	       /* in the nft table, forwarding is on: network-rules.c */
	bool icc, masquerade;
	struct ip host_ip;     /* default address of published ports; family 0: all */
	struct list endpoints; /* struct endpoint.by_network: reserved or up */
};

enum endpoint_state { ENDPOINT_CONFIGURED, ENDPOINT_RESERVED, ENDPOINT_UP };

struct endpoint {
	struct container *c;
	struct network *net;	/* NULL: it is gone (its name and id are kept) */
	const char *net_name;	/* as the user called it, the key of NetworkSettings.Networks */
	const char *net_id;	/* "" until it was found once */
	struct list link;	/* container.endpoints, in order of connection */
	struct list by_network; /* empty while only configured */
	enum endpoint_state state;
	struct arena *arena;
	struct endpoint_settings want; /* as asked for; strings in the arena */
	char id[ENGINE_ID_MAX];	       /* new at each reservation */
	struct ip ip4, ip6;	       /* family 0: none */
	struct ip_mac mac;
	bool was_up;	       /* read from the row of a running container, not adopted yet */
	char ifname[IFNAMSIZ]; /* inside: eth0 ... */
	char hostif[IFNAMSIZ]; /* outside: the end in the bridge; "" without one */
};

/* ---- networks.c: the objects ---- */
/* Read the rows, make the predefined ones (bridge, host, none). */
int networks_load(struct engine *g, struct err *e);
/* The engine stops: when no container needs a network, the default bridge and the rules go. Both
 * come back with the first container. */
void networks_leave(struct engine *g);
void networks_free(struct engine *g);
/* By name, full id or unique prefix; ERR_NOT_FOUND "network X not found". */
struct network *network_get(struct engine *g, const char *ref, struct err *e);
/* Pieces of create: an object that is not in the list yet, its driver's options, its row. */
int network_driver_find(const char *name, enum network_driver *ret, struct err *e);
struct network *network_new(struct engine *g, const struct network_create *d,
			    enum network_driver driver);
int network_options(struct network *n, struct err *e);
int network_save(struct network *n, struct err *e);
int network_forget(struct network *n, struct err *e); /* its row goes */
void network_free(struct network *n);		      /* also out of the list */
bool network_is_default(const struct network *n);     /* the one called "bridge" */
/* The subnet of a family, NULL: none. */
struct network_subnet *network_subnet_of(struct network *n, uint8_t family, struct ip a);

/* ---- network-ipam.c ---- */
/* Check n->ipam, choose what is open, fill n->subnet[] and write the choice back to n->ipam. */
int network_addresses(struct network *n, struct err *e);
void network_addresses_free(struct network *n);

/* ---- network-device.c: what a network is in the host ---- */
/* At create, and before its first endpoint comes up: bridge, parent of macvlan, rules. Idempotent:
 * heals what somebody removed. */
int network_device_up(struct network *n, struct err *e);
void network_device_down(struct network *n); /* at removal */

/* ---- network-rules.c: its elements in the nft table ---- */
int network_rules_up(struct network *n, struct err *e); /* idempotent */
void network_rules_down(struct network *n);

/* ---- endpoint-config.c: what a container asks for ---- */
/* At create: NetworkMode and NetworkingConfig to endpoints in state configured. */
int endpoints_configure(struct container *c, const char *networking_json, struct err *e);
/* From and to the container's row (struct endpoint_saved, spec below). */
int endpoints_load(struct container *c, const struct objs *saved, struct err *e);
struct objs endpoints_save(const struct container *c, struct arena *a);
extern const struct json_schema endpoint_saved_schema;
void endpoints_free(struct container *c);
/* The network, looked up again; ERR_NOT_FOUND "network X not found". */
int endpoint_resolve(struct endpoint *ep, struct err *e);
void endpoint_event(const struct endpoint *ep, const char *action); /* "connect", "disconnect" */
/* EndpointSettings as inspect shows them. */
void endpoint_settings_of(const struct endpoint *ep, struct endpoint_settings *ret,
			  struct arena *a);
/* NetworkSettings.Networks. */
void networks_write(const struct container *c, struct jw *w);
/* ---- endpoint.c: the life of endpoints, see above ---- */
/* How the text of an endpoint that does not come up begins. */
#define ENDPOINTS_FAILED "failed to set up container networking"
int endpoints_reserve(struct container *c, struct err *e);
/* netns: a descriptor of the container's network namespace, borrowed. On failure nothing is left
 * up. */
int endpoints_up(struct container *c, int netns, struct err *e);
void endpoints_down(struct container *c); /* from any state; logs what it cannot do */
int endpoints_adopt(struct container *c, struct err *e);
/* The endpoint the container's default route of a family leads through; NULL: none. */
struct endpoint *endpoints_gateway(const struct container *c, uint8_t family);
/* One endpoint of a running container. */
int endpoint_plug(struct endpoint *ep, int netns, struct err *e);
void endpoint_unplug(struct endpoint *ep, int netns);
void endpoint_reattach(const struct endpoint *ep); /* to a bridge that was made anew */

/* ---- endpoint-sysctl.c ---- */
/* Settings of the interface that its driver options ask for; netns FD_NONE: only checked. */
int endpoint_sysctls(const struct endpoint_settings *s, const char *ifname, int netns,
		     struct err *e);

/* ---- network-heal.c: interfaces that crashes left, and that others removed ---- */
/* These ends of containers belong to nobody any more. */
void network_unplugged(struct engine *g, const char (*names)[IFNAMSIZ], size_t n);
/* After living containers were adopted: what an engine that crashed left behind goes. */
void network_leftovers(struct engine *g);
/* From now on bridges in use that somebody removes are made again. */
void network_watch(struct engine *g);
void network_heal_close(struct engine *g);

/* ---- publish.c: published ports of a container ---- */
/* Checks PortBindings and ExposedPorts; Docker's texts. */
int ports_check(const struct container_config *c, const struct host_config *h, struct err *e);
/* Take the host's ports (bound sockets, held by the engine); "Bind for 0.0.0.0:80 failed: port is
 * already allocated". Random ports are chosen here. */
int ports_reserve(struct container *c, struct err *e);
/* The rules of what was reserved, for the endpoint with the gateway; again when that one changes.
 */
int ports_up(struct container *c, struct err *e);
void ports_down(struct container *c);
/* Another endpoint may be the one with the gateway now. */
int ports_moved(struct container *c, struct err *e);
int ports_adopt(struct container *c, struct err *e);
/* The row of a container: struct port_saved. */
struct objs ports_save(const struct container *c, struct arena *a);
void ports_load(struct container *c, const struct objs *saved);
void ports_free(struct container *c); /* sockets go, rules stay */
extern const struct json_schema port_saved_schema;
/* NetworkSettings.Ports, and the list's Ports. */
void ports_write_inspect(const struct container *c, struct jw *w);
void ports_write_list(const struct container *c, struct jw *w);
struct port_range;
/* The filters publish= (ports of the host) and expose= (of the container). */
bool ports_match(const struct container *c, const struct port_range *want, bool published);

/* ---- network-rules.c: the nft table, forwarding, watch and repair ---- */
/* info's Warnings: an array, or null. */
void network_warnings(const struct engine *g, struct jw *w);
enum gateway_mode network_gateway_mode(const struct network *n, uint8_t family);
/* "nat", "routed", "nat-unprotected", "isolated"; -EINVAL. */
int gateway_mode_parse(const char *text, enum gateway_mode *ret);
int engine_firewall(struct engine *g, struct err *e); /* g->firewall is there afterwards */
/* When the engine opens: what the one before it left in the table is looked after. */
void engine_firewall_resume(struct engine *g);
void engine_firewall_close(struct engine *g);
/* "coracle", or "coracle-HASH" for an engine with folders of its own. */
void engine_table_name(const struct engine *g, char *ret, size_t n);

/* ---- nameserver.c: what coracle-names is told ---- */
/* The endpoint's names are known to its network; the container's own resolver answers in netns. */
int names_up(struct container *c, int netns, struct err *e);
void names_started(struct container *c); /* it runs */
void names_changed(struct container *c); /* renamed, connected, disconnected */
void names_down(struct container *c);
void names_free(struct container *c);
/* Is it in a network whose names the service answers? Its endpoints are reserved. */
bool names_resolves(const struct container *c);
/* A new engine takes over the service that runs, with all its containers' names. */
void names_open(struct engine *g);
void names_close(struct engine *g);
