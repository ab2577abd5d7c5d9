/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What networks and published ports are in the sets of the table. `want` holds every element that
 * should be there; a change is tried as one transaction, and when the kernel refuses it (somebody
 * took the table away, an engine before this one left other elements) all is put back from `want`.
 */
#include "base/log.h"
#include "base/mem.h"
#include "net/firewall-priv.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/banned.h"

const char *const firewall_set_names[SET_COUNT] = {
	[SET_BRIDGES] = "bridges",     [SET_PAIRS] = "pairs",	      [SET_INTERNAL] = "internal",
	[SET_NO_ICC] = "no_icc",       [SET_ROUTED] = "routed",	      [SET_OPEN] = "open",
	[SET_MASKED] = "masked",       [SET_SNAT4] = "snat4",	      [SET_SNAT6] = "snat6",
	[SET_PORTS4] = "ports4",       [SET_PORTS4_AT] = "ports4_at", [SET_PORTS6] = "ports6",
	[SET_PORTS6_AT] = "ports6_at", [SET_DIRECT4] = "direct4",     [SET_DIRECT6] = "direct6",
	[SET_SELF4] = "self4",	       [SET_SELF6] = "self6",	      [SET_GUARD] = "guard",
};

/* ---- lists of elements ---- */

struct elements {
	struct nft_element *v;
	size_t n, cap;
};

static void elements_done(struct elements *l)
{
	free(l->v);
}

static struct nft_element *elements_new(struct elements *l, enum firewall_set set)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n] = (struct nft_element){.set = (uint8_t)set};
	return &l->v[l->n++];
}

#define KEY_TEXT_MAX (2 * (1 + NFT_KEY_MAX) + 1)

static void key_text(const struct nft_element *el, char ret[static KEY_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";

	*ret++ = digits[el->set >> 4];
	*ret++ = digits[el->set & 15];
	for (size_t i = 0; i < el->nkey; i++) {
		*ret++ = digits[el->key[i] >> 4];
		*ret++ = digits[el->key[i] & 15];
	}
	*ret = '\0';
}

/* ---- from networks and ports to elements ---- */

static void by_name(struct elements *l, enum firewall_set set, const char *bridge)
{
	nft_key_ifname(elements_new(l, set), bridge);
}

static void by_family(struct elements *l, enum firewall_set set, const char *bridge, uint8_t family)
{
	struct nft_element *el = elements_new(l, set);

	nft_key_ifname(el, bridge);
	nft_key_u8(el, family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
}

static void family_elements(struct elements *l, const char *bridge, uint8_t family,
			    const struct firewall_family *f)
{
	if (f->mode == GATEWAY_ROUTED) {
		by_family(l, SET_ROUTED, bridge, family);
		return;
	}
	if (f->mode == GATEWAY_UNPROTECTED)
		by_family(l, SET_OPEN, bridge, family);
	if (!f->masquerade)
		return;
	if (f->snat.family == family) {
		struct nft_element *el = elements_new(l, family == 6 ? SET_SNAT6 : SET_SNAT4);

		nft_key_ifname(el, bridge);
		nft_data_ip(el, f->snat);
	} else {
		by_family(l, SET_MASKED, bridge, family);
	}
}

static void network_elements(struct elements *l, const struct firewall_network *n)
{
	struct nft_element *pair;

	by_name(l, SET_BRIDGES, n->bridge);
	pair = elements_new(l, SET_PAIRS);
	nft_key_ifname(pair, n->bridge);
	nft_key_ifname(pair, n->bridge);
	if (!n->icc)
		by_name(l, SET_NO_ICC, n->bridge);
	if (n->internal) {
		by_name(l, SET_INTERNAL, n->bridge);
		return;
	}
	family_elements(l, n->bridge, 4, &n->v4);
	family_elements(l, n->bridge, 6, &n->v6);
}

static void port_element(struct elements *l, const struct firewall_port *p)
{
	bool six = p->to.family == 6, all = ip_is_unspecified(p->host);
	struct nft_element *el;

	if (!p->host_port) {
		el = elements_new(l, six ? SET_DIRECT6 : SET_DIRECT4);
		nft_key_ip(el, p->to);
		nft_key_u8(el, p->proto);
		nft_key_port(el, p->to_port);
		return;
	}
	el = elements_new(l, six ? (all ? SET_PORTS6 : SET_PORTS6_AT)
				 : (all ? SET_PORTS4 : SET_PORTS4_AT));
	if (!all)
		nft_key_ip(el, p->host);
	nft_key_u8(el, p->proto);
	nft_key_port(el, p->host_port);
	nft_data_ip(el, p->to);
	nft_data_port(el, p->to_port);
	el = elements_new(l, six ? SET_SELF6 : SET_SELF4);
	nft_key_ip(el, p->to);
	nft_key_ip(el, p->to);
}

/* ---- changes ---- */

static void remember(struct firewall *fw, const struct nft_element *el)
{
	char key[KEY_TEXT_MAX];
	struct nft_element *copy = NEW(struct nft_element);

	*copy = *el;
	key_text(el, key);
	free(map_set(fw->want, key, copy));
}

static bool forget(struct firewall *fw, const struct nft_element *el)
{
	char key[KEY_TEXT_MAX];
	struct nft_element *old;

	key_text(el, key);
	old = map_del(fw->want, key);
	free(old);
	return old != NULL;
}

static int by_set(const void *a, const void *b)
{
	const struct nft_element *x = a, *y = b;

	return (x->set > y->set) - (x->set < y->set);
}

/* Runs of one set become one message. */
static void put(struct nft_batch *b, const struct elements *l, bool add)
{
	for (size_t i = 0; i < l->n;) {
		const struct nft_element *run[64];
		size_t n = 0;

		do
			run[n++] = &l->v[i++];
		while (i < l->n && n < ARRAY_SIZE(run) && l->v[i].set == run[0]->set);
		(add ? nft_batch_add : nft_batch_delete)(b, firewall_set_names[run[0]->set], run,
							 n);
	}
}

/* Everything wanted, and nothing else, in one transaction. */
static int put_all(struct firewall *fw, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(FIREWALL_BATCH_MAX);
	struct elements set[SET_COUNT] = {0};
	struct nft_batch b;
	const char *key;
	void *value;
	size_t pos = 0;
	int rc;

	while (map_next(fw->want, &pos, &key, &value)) {
		const struct nft_element *el = value;

		*elements_new(&set[el->set], el->set) = *el;
	}
	nft_batch_begin(&b, &text, fw->seq, fw->table);
	for (size_t i = 0; i < SET_COUNT; i++) {
		nft_batch_flush(&b, firewall_set_names[i]);
		put(&b, &set[i], true);
		elements_done(&set[i]);
	}
	if (!nft_batch_end(&b))
		return err_set(e, ERR_LIMIT, "too many rules for published ports");
	rc = firewall_send(fw, &b);
	return rc < 0 ? err_sys(e, rc, "write the elements of nft table %s", fw->table) : 0;
}

int firewall_repair(struct firewall *fw, struct err *e)
{
	if (!firewall_is_whole(fw) && firewall_rules_write(fw, e) < 0)
		return -1;
	fw->ready = true;
	return put_all(fw, e);
}

bool firewall_has_guard(const struct firewall *fw)
{
	const char *key;
	void *value;
	size_t pos = 0;

	while (map_next(fw->want, &pos, &key, &value))
		if (((const struct nft_element *)value)->set == SET_GUARD)
			return true;
	return false;
}

int firewall_settle(struct firewall *fw, struct err *e)
{
	if (map_count(fw->want) == 0 && !firewall_is_whole(fw))
		return 0;
	return firewall_repair(fw, e);
}

static int ensure_ready(struct firewall *fw, struct err *e)
{
	if (fw->ready)
		return 0;
	if (!firewall_is_whole(fw)) {
		if (firewall_rules_write(fw, e) < 0)
			return -1;
		if (put_all(fw, e) < 0)
			return -1;
	}
	fw->ready = true;
	return 0;
}

static int apply(struct firewall *fw, struct elements *l, bool add)
{
	AUTO_BUF struct buf text = BUF_INIT(FIREWALL_BATCH_MAX);
	struct nft_batch b;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), by_set);
	nft_batch_begin(&b, &text, fw->seq, fw->table);
	put(&b, l, add);
	return nft_batch_end(&b) ? firewall_send(fw, &b) : -EMSGSIZE;
}

static bool all_there(const struct firewall *fw, const struct elements *l)
{
	char key[KEY_TEXT_MAX];

	for (size_t i = 0; i < l->n; i++) {
		const struct nft_element *el;

		key_text(&l->v[i], key);
		el = map_get(fw->want, key);
		if (!el || el->ndata != l->v[i].ndata ||
		    memcmp(el->data, l->v[i].data, el->ndata) != 0)
			return false;
	}
	return true;
}

static int add(struct firewall *fw, struct elements *l, struct err *e)
{
	int rc;

	if (all_there(fw, l))
		return 0;
	if (ensure_ready(fw, e) < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++)
		remember(fw, &l->v[i]);
	rc = apply(fw, l, true);
	if (rc == 0)
		return 0;
	log_debug("nft table %s refused elements (%s): it is written again", fw->table,
		  strerror(-rc));
	if (firewall_repair(fw, e) == 0)
		return 0;
	for (size_t i = 0; i < l->n; i++)
		forget(fw, &l->v[i]);
	return -1;
}

static int take(struct firewall *fw, struct elements *l, struct err *e)
{
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < l->n; i++)
		if (forget(fw, &l->v[i]))
			l->v[n++] = l->v[i];
	l->n = n;
	if (n == 0)
		return 0;
	rc = apply(fw, l, false);
	return rc == 0 ? 0 : firewall_repair(fw, e);
}

int firewall_network_add(struct firewall *fw, const struct firewall_network *n, struct err *e)
{
	CLEANUP(elements_done) struct elements l = {0};

	network_elements(&l, n);
	return add(fw, &l, e);
}

int firewall_network_remove(struct firewall *fw, const struct firewall_network *n, struct err *e)
{
	CLEANUP(elements_done) struct elements l = {0};

	network_elements(&l, n);
	return take(fw, &l, e);
}

int firewall_ports_add(struct firewall *fw, const struct firewall_port *p, size_t n, struct err *e)
{
	CLEANUP(elements_done) struct elements l = {0};

	for (size_t i = 0; i < n; i++)
		port_element(&l, &p[i]);
	return add(fw, &l, e);
}

int firewall_ports_remove(struct firewall *fw, const struct firewall_port *p, size_t n,
			  struct err *e)
{
	CLEANUP(elements_done) struct elements l = {0};

	for (size_t i = 0; i < n; i++)
		port_element(&l, &p[i]);
	return take(fw, &l, e);
}

int firewall_guard_add(struct firewall *fw, const char *const *ifnames, size_t n, uint8_t family,
		       struct err *e)
{
	CLEANUP(elements_done) struct elements l = {0};

	for (size_t i = 0; i < n; i++)
		by_family(&l, SET_GUARD, ifnames[i], family);
	return add(fw, &l, e);
}

/* ---- life ---- */

static int socket_open(struct mnl_socket **ret, unsigned groups, int flags)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | flags);

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		int rc = -errno;

		mnl_socket_close(s);
		return rc;
	}
	/* A transaction is one message to the socket, however large; events may come in crowds. */
	setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_SNDBUFFORCE, &(int){FIREWALL_BATCH_MAX},
		   sizeof(int));
	setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &(int){4 << 20}, sizeof(int));
	*ret = s;
	return 0;
}

int firewall_open(const char *table, bool need_accept, struct firewall **ret, struct err *e)
{
	struct firewall *fw = NEW(struct firewall);
	int rc;

	ASSERT(strlen(table) < sizeof(fw->table));
	memcpy(fw->table, table, strlen(table) + 1);
	fw->need_accept = need_accept;
	fw->want = map_new();
	fw->seq = 1;
	rc = socket_open(&fw->nl, 0, 0);
	if (rc == 0)
		rc = socket_open(&fw->events, 1U << (NFNLGRP_NFTABLES - 1), SOCK_NONBLOCK);
	if (rc < 0) {
		firewall_close(fw);
		return err_sys(e, rc, "open a netlink socket for nf_tables");
	}
	*ret = fw;
	return 0;
}

void firewall_close(struct firewall *fw)
{
	const char *key;
	void *value;
	size_t pos = 0;

	if (!fw)
		return;
	if (fw->nl)
		mnl_socket_close(fw->nl);
	if (fw->events)
		mnl_socket_close(fw->events);
	while (map_next(fw->want, &pos, &key, &value))
		free(value);
	map_free(fw->want);
	free(fw);
}
