/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks and the machine's rules: the elements of a network in our nft table, forwarding, and
 * putting back what others take away. The table is opened when the first network comes up; an
 * engine without networks touches nothing.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/network.h"
#include "engine/publish.h"
#include "net/forward.h"
#include "net/iptables.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define REPAIR_DELAY_MS 20   /* one flush is many events */
#define REPAIR_PATIENCE 10   /* so many repairs in a row ... */
#define REPAIR_SLOW_MS	5000 /* ... then one in this time, until it is quiet */
#define REPAIR_QUIET_NS (10 * INT64_C(1000000000))
#define SETTLE_DELAY_MS 2000 /* shims of an engine before this one have reported by then */
#define GUARD_FILE	"forward-guard"
#define GUARD_MAX	(1U << 20)

struct engine_rules {
	uv_poll_t poll;
	uv_timer_t *repair, *settle, *beside;
	bool iptables_told, localnet_told; /* a failure is logged once */
	unsigned repairs;		   /* since it was quiet */
	int64_t last_repair;
};

/* ---- forwarding ---- */

static char *guard_path(const struct engine *g)
{
	return xasprintf("%s/" GUARD_FILE, g->run_dir);
}

/* What the engine before this one closed when it turned forwarding on: one "FAMILY NAME" a line.
 */
static int guard_restore(struct engine *g, struct err *e)
{
	AUTO_FREE char *path = guard_path(g);
	AUTO_BUF struct buf text = BUF_INIT(GUARD_MAX);
	struct str rest, line;

	if (fs_read_path(path, &text) < 0)
		return 0;
	rest = (struct str){text.p, text.n};
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		uint8_t family = line.n > 2 && line.p[0] == '6' ? 6 : 4;
		AUTO_FREE char *name = line.n > 2 ? xstrndup(line.p + 2, line.n - 2) : NULL;

		/* Off again: somebody else did that, or another boot. */
		if (name && forward_is_on(family) &&
		    firewall_guard_add(g->firewall, (const char *const *)&name, 1, family, e) < 0)
			return -1;
	}
	return 0;
}

static void guard_keep(const struct engine *g, const struct strs *names, uint8_t family)
{
	AUTO_FREE char *path = guard_path(g);
	AUTO_BUF struct buf text = BUF_INIT(GUARD_MAX);
	AUTO_FD int dir = fs_open_dir(g->run_dir);

	fs_read_path(path, &text);
	for (size_t i = 0; i < names->n; i++)
		buf_addf(&text, "%u %s\n", family, names->v[i]);
	if (dir < 0 || fs_write_atomic(dir, GUARD_FILE, text.p, text.n, 0600, false) < 0)
		log_warn("cannot write %s", path);
}

static bool is_bridge_of_ours(const struct engine *g, const char *name)
{
	LIST_FOR_EACH (it, &g->networks)
		if (strcmp(LIST_ENTRY(it, struct network, link)->bridge, name) == 0)
			return true;
	return false;
}

/* On for the whole machine, since a published port is reached through any interface. What was
 * there before does not become a router by that: those interfaces stay closed to each other. */
static int forwarding(struct engine *g, uint8_t family, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct strs off = {0}, guarded = {0};

	if (forward_is_on(family) || g->config->ip_forward < 0)
		return 0;
	if (g->config->ip_forward_no_drop > 0)
		return forward_turn_on(family, e);
	if (forward_check(family, e) < 0)
		return -1;
	forward_off_interfaces(family, &off, a);
	for (size_t i = 0; i < off.n; i++)
		if (!is_bridge_of_ours(g, off.v[i]))
			strs_push(&guarded, a, off.v[i]);
	if (firewall_guard_add(g->firewall, guarded.v, guarded.n, family, e) < 0)
		return -1;
	guard_keep(g, &guarded, family);
	if (forward_turn_on(family, e) < 0)
		return -1;
	log_info("IPv%u forwarding was off and is on now; between the interfaces that were there "
		 "nothing is forwarded",
		 family);
	return 0;
}

void network_warnings(const struct engine *g, struct jw *w)
{
	AUTO_FREE char *guard = guard_path(g);
	const char *texts[4];
	size_t n = 0;

	if (!forward_is_on(4) && g->config->ip_forward < 0)
		texts[n++] = "WARNING: IPv4 forwarding is disabled";
	if (access(guard, F_OK) == 0)
		texts[n++] =
			"WARNING: IP forwarding was switched on by the engine; interfaces that "
			"were there before stay closed to each other";
	if (g->config->iptables < 0)
		texts[n++] =
			"WARNING: no rules for networks and published ports: \"iptables\" is off";
	if (n == 0) {
		jw_null(w);
		return;
	}
	jw_arr(w);
	for (size_t i = 0; i < n; i++)
		jw_str(w, texts[i]);
	jw_arr_end(w);
}

/* ---- watch and repair ---- */

static void repair_later(struct engine *g);

static void on_repair(uv_timer_t *t)
{
	struct engine *g = t->data;
	struct err e = ERR_INIT;
	int64_t now = clock_mono_ns();

	engine_timer_free(&g->rules->repair);
	if (now - g->rules->last_repair > REPAIR_QUIET_NS)
		g->rules->repairs = 0;
	g->rules->repairs++;
	g->rules->last_repair = now;
	if (firewall_repair(g->firewall, &e) < 0) {
		log_error("the rules of the networks were taken away and cannot be put back: %s",
			  e.text);
		repair_later(g);
		return;
	}
	log_info("the rules of the networks were taken away by another program and are back");
}

static void repair_later(struct engine *g)
{
	bool often = g->rules->repairs >= REPAIR_PATIENCE;

	if (g->rules->repair || g->closing)
		return;
	if (g->rules->repairs == REPAIR_PATIENCE)
		log_warn("another program takes away the rules of the networks again and again");
	g->rules->repair = engine_timer(g, often ? REPAIR_SLOW_MS : REPAIR_DELAY_MS, on_repair, g);
}

/* Programs with iptables close the FORWARD chain for all they do not know. coming: a network that
 * is not in the list yet; NULL: none. */
static void beside_iptables(struct engine *g, const struct network *coming)
{
	AUTO(arena) struct arena *a = arena_new();
	struct strs bridges = {0};
	char table[32], chain[32];
	struct err e = ERR_INIT;

	LIST_FOR_EACH (it, &g->networks) {
		const struct network *n = LIST_ENTRY(it, struct network, link);

		if (n != coming && n->driver == NET_BRIDGE && n->rules_up && !n->internal)
			strs_push(&bridges, a, n->bridge);
	}
	if (coming && !coming->internal)
		strs_push(&bridges, a, coming->bridge);
	engine_table_name(g, table, sizeof(table));
	snprintf(chain, sizeof(chain), "CORACLE-%s", table[7] ? table + 8 : "FORWARD");
	if (iptables_sync(chain, bridges.v, bridges.n,
			  firewall_iptables_matters(g->firewall, 4, chain),
			  firewall_iptables_matters(g->firewall, 6, chain), &e) == 0)
		g->rules->iptables_told = false;
	else if (!g->rules->iptables_told) {
		g->rules->iptables_told = true;
		log_warn("rules of iptables may drop what containers send and get: %s", e.text);
	}
}

static void on_beside(uv_timer_t *t)
{
	struct engine *g = t->data;

	engine_timer_free(&g->rules->beside);
	beside_iptables(g, NULL);
}

static void on_events(uv_poll_t *p, int status, int events)
{
	struct engine *g = p->data;
	unsigned seen = firewall_events(g->firewall);

	if (seen & FIREWALL_LOST)
		repair_later(g);
	if (seen & FIREWALL_FOREIGN && !g->rules->beside && !g->closing)
		g->rules->beside = engine_timer(g, REPAIR_DELAY_MS, on_beside, g);
}

static void on_settle(uv_timer_t *t)
{
	struct engine *g = t->data;
	struct err e = ERR_INIT;

	engine_timer_free(&g->rules->settle);
	if (firewall_settle(g->firewall, &e) < 0)
		log_error("cannot clean the rules of the networks: %s", e.text);
}

/* ---- the table ---- */

/* Engines of other folders in the same network namespace have a table of their own. */
void engine_table_name(const struct engine *g, char *ret, size_t n)
{
	uint32_t h = 2166136261U;

	if (strcmp(g->data_dir, "/var/lib/coracle") == 0) {
		snprintf(ret, n, "coracle");
		return;
	}
	for (const char *p = g->data_dir; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619U;
	snprintf(ret, n, "coracle-%08x", h);
}

int engine_firewall(struct engine *g, struct err *e)
{
	char table[32];

	if (g->firewall)
		return 0;
	engine_table_name(g, table, sizeof(table));
	if (firewall_open(table, strcmp(g->config->published_ports_policy, "user-chain") == 0,
			  &g->firewall, e) < 0)
		return -1;
	g->rules = NEW(struct engine_rules);
	uv_poll_init(g->loop, &g->rules->poll, firewall_fd(g->firewall));
	g->rules->poll.data = g;
	uv_poll_start(&g->rules->poll, UV_READABLE, on_events);
	uv_unref((uv_handle_t *)&g->rules->poll);
	g->rules->settle = engine_timer(g, SETTLE_DELAY_MS, on_settle, g);
	return guard_restore(g, e);
}

void engine_firewall_resume(struct engine *g)
{
	struct err e = ERR_INIT;

	if (g->firewall || g->config->iptables < 0)
		return;
	if (engine_firewall(g, &e) < 0)
		log_debug("no nf_tables: %s", e.text);
	else if (!firewall_is_there(g->firewall))
		engine_firewall_close(g);
}

static void on_closed(uv_handle_t *h)
{
	free(CONTAINER_OF((uv_poll_t *)h, struct engine_rules, poll));
}

void engine_firewall_close(struct engine *g)
{
	if (!g->firewall)
		return;
	engine_timer_free(&g->rules->repair);
	engine_timer_free(&g->rules->settle);
	engine_timer_free(&g->rules->beside);
	uv_poll_stop(&g->rules->poll);
	uv_close((uv_handle_t *)&g->rules->poll, on_closed);
	g->rules = NULL;
	firewall_close(g->firewall);
	g->firewall = NULL;
}

/* ---- networks ---- */

static const char *option(const struct network *n, const char *key)
{
	const char *v = strmap_get(&n->options, key);

	return v && *v ? v : NULL;
}

int gateway_mode_parse(const char *text, enum gateway_mode *ret)
{
	static const char *const names[] = {[GATEWAY_NAT] = "nat",
					    [GATEWAY_ROUTED] = "routed",
					    [GATEWAY_UNPROTECTED] = "nat-unprotected",
					    [GATEWAY_ISOLATED] = "isolated"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], text) == 0) {
			*ret = (enum gateway_mode)i;
			return 0;
		}
	return -EINVAL;
}

enum gateway_mode network_gateway_mode(const struct network *n, uint8_t family)
{
	const char *text = option(n, family == 6 ? "com.docker.network.bridge.gateway_mode_ipv6"
						 : "com.docker.network.bridge.gateway_mode_ipv4");
	enum gateway_mode mode = GATEWAY_NAT;

	if (text)
		gateway_mode_parse(text, &mode);
	return mode;
}

static void family_of(const struct network *n, uint8_t family, struct firewall_family *ret)
{
	const char *snat = option(n, family == 6 ? "com.docker.network.host_ipv6"
						 : "com.docker.network.host_ipv4");

	ret->mode = network_gateway_mode(n, family);
	ret->masquerade = n->masquerade && (family == 6 ? n->ipv6 : n->ipv4);
	if (snat && (ip_parse(snat, &ret->snat) < 0 || ret->snat.family != family))
		ret->snat = (struct ip){0};
}

static void describe(const struct network *n, struct firewall_network *ret)
{
	*ret = (struct firewall_network){
		.bridge = n->bridge, .internal = n->internal, .icc = n->icc};
	family_of(n, 4, &ret->v4);
	family_of(n, 6, &ret->v6);
}

int network_rules_up(struct network *n, struct err *e)
{
	struct err problem = ERR_INIT;
	struct firewall_network f;

	if (n->driver != NET_BRIDGE || n->g->config->iptables < 0)
		return 0;
	if (!n->rules_up) {
		describe(n, &f);
		if (engine_firewall(n->g, e) < 0 || firewall_network_add(n->g->firewall, &f, e) < 0)
			return err_wrap(e, "rules of network %s", n->name);
		if (!n->internal && ((n->ipv4 && forwarding(n->g, 4, e) < 0) ||
				     (n->ipv6 && forwarding(n->g, 6, e) < 0)))
			return err_wrap(e, "network %s", n->name);
		n->rules_up = true;
		beside_iptables(n->g, n);
	}
	/* A bridge that was removed and is back has lost it. */
	if (n->ipv4 && !n->internal && forward_route_localnet(n->bridge, &problem) < 0 &&
	    !n->g->rules->localnet_told) {
		n->g->rules->localnet_told = true;
		log_warn("published ports are not reachable by 127.0.0.1: %s", problem.text);
	}
	return 0;
}

void network_rules_down(struct network *n)
{
	struct firewall_network f;
	struct err e = ERR_INIT;

	if (n->driver != NET_BRIDGE || !n->g->firewall || !n->rules_up)
		return;
	n->rules_up = false;
	describe(n, &f);
	if (firewall_network_remove(n->g->firewall, &f, &e) < 0)
		log_warn("network %s: cannot take its rules away: %s", n->name, e.text);
	beside_iptables(n->g, NULL);
}
