/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the table: are they there, and writing them. They are whole when the empty set that
 * is named after the hash of their text exists and as many rules are there as the text has. Written
 * is in one transaction of `nft`, which first takes away whatever else is in the table, except
 * chains and sets of the administrator (named user, or user- and more).
 */
#include "base/mem.h"
#include "net/firewall-priv.h"
#include "net/program.h"

#include "net/firewall-text.inc"
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define TEXT_MAX	  (4U << 20)
#define ANSWER_TIMEOUT_MS 10000

bool firewall_name_is_user(const char *name)
{
	return strcmp(name, "user") == 0 || str_starts(name, "user-");
}

/* ---- talking to nf_tables ---- */

static ssize_t receive(struct firewall *fw, char *p, size_t n)
{
	struct pollfd pfd = {.fd = mnl_socket_get_fd(fw->nl), .events = POLLIN};
	ssize_t got;

	if (poll(&pfd, 1, ANSWER_TIMEOUT_MS) == 0)
		return -ETIMEDOUT;
	got = mnl_socket_recvfrom(fw->nl, p, n);
	return got < 0 ? -errno : got;
}

/* Errors come for each refused message, the acknowledgement for the last one in any case. */
int firewall_send(struct firewall *fw, const struct nft_batch *b)
{
	uint32_t last = b->seq - 2; /* behind it only the end */
	char answer[8192];
	int result = 0;

	fw->seq = b->seq;
	if (mnl_socket_sendto(fw->nl, b->out->p, b->out->n) < 0)
		return -errno;
	for (;;) {
		ssize_t got = receive(fw, answer, sizeof(answer));
		int left = (int)got;

		if (got == -ENOBUFS) { /* more errors than fit: one is enough */
			result = result ? result : -ENOBUFS;
			continue;
		}
		if (got < 0)
			return (int)got;
		for (const struct nlmsghdr *h = (void *)answer; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *bad = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq < b->first_seq ||
			    h->nlmsg_len < mnl_nlmsg_size(sizeof(*bad)))
				continue;
			if (bad->error && !result)
				result = bad->error;
			/* The first message is refused when the whole subsystem is. */
			if (h->nlmsg_seq == last || h->nlmsg_seq == b->first_seq)
				return result;
		}
	}
}

/* Dump objects of one kind; fn sees each message. */
static int dump_family(struct firewall *fw, uint8_t family, int what, mnl_cb_t fn, void *ud)
{
	char room[32768];
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	struct nfgenmsg *nfg = NULL;
	uint32_t seq = fw->seq++;
	int rc = MNL_CB_OK;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what);
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	/* The attribute of the table's name is number 1 of rules, chains and sets alike; the kernel
	 * filters by it where it can. */
	if (what != NFT_MSG_GETCHAIN)
		mnl_attr_put_strz(h, NFTA_RULE_TABLE, fw->table);
	if (mnl_socket_sendto(fw->nl, h, h->nlmsg_len) < 0)
		return -errno;
	while (rc > MNL_CB_STOP) {
		ssize_t got = receive(fw, room, sizeof(room));

		if (got < 0)
			return (int)got;
		rc = mnl_cb_run(room, (size_t)got, seq, mnl_socket_get_portid(fw->nl), fn, ud);
	}
	/* No such table: nothing in it. */
	return rc < 0 && errno != ENOENT ? -errno : 0;
}

static int attribute(const struct nlattr *a, void *ud)
{
	struct firewall_subject *s = ud;
	uint16_t type = mnl_attr_get_type(a);
	bool text = mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0;

	if (type == 1 && text)
		s->table = mnl_attr_get_str(a);
	else if (type == s->name_attr && text)
		s->name = mnl_attr_get_str(a);
	else if (type == s->flags_attr && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		s->flags = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

bool firewall_subject_read(const struct nlmsghdr *h, uint16_t name_attr, uint16_t flags_attr,
			   struct firewall_subject *ret)
{
	*ret = (struct firewall_subject){.name_attr = name_attr, .flags_attr = flags_attr};
	return mnl_attr_parse(h, sizeof(struct nfgenmsg), attribute, ret) >= 0 && ret->table;
}

static int dump(struct firewall *fw, int what, mnl_cb_t fn, void *ud)
{
	return dump_family(fw, NFPROTO_INET, what, fn, ud);
}

/* Is the object one of our table? Then its name (of a rule: that of its chain). */
static bool read_names(const struct firewall *fw, const struct nlmsghdr *h, uint16_t name,
		       uint16_t flags, struct firewall_subject *ret)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(h);

	return nfg->nfgen_family == NFPROTO_INET && firewall_subject_read(h, name, flags, ret) &&
	       ret->name && strcmp(ret->table, fw->table) == 0;
}

/* ---- the text ---- */

/* FNV-1a: a change of the text is all that must show. */
static uint32_t hash(const char *p, size_t n)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * 16777619U;
	return h;
}

static void replace(struct buf *text, const char *word, const char *with)
{
	AUTO_FREE char *old = buf_take(text);
	const char *at = strstr(old, word);

	ASSERT(at);
	buf_add(text, old, (size_t)(at - old));
	buf_adds(text, with);
	buf_adds(text, at + strlen(word));
}

/* The rules of this firewall, with the name of the set that marks them. */
static void rules_text(const struct firewall *fw, struct buf *out, char marker[static 24])
{
	buf_adds(out, strstr((const char *)firewall_text, "table inet"));
	replace(out, "UNKNOWN_CLIENTS", fw->need_accept ? "drop" : "accept");
	replace(out, "TABLE", fw->table);
	snprintf(marker, 24, "rules_%08x", hash(out->p, out->n));
	buf_addf(out, "table inet %s {\n\tset %s { type mark; }\n}\n", fw->table, marker);
}

/* Rules are the lines within chains that are neither comments nor the chain's own properties. */
static size_t count_rules(const char *text)
{
	struct str rest = str_of(text), line;
	size_t n = 0;

	while (str_cut(&rest, '\n', &line))
		if (line.n > 2 && line.p[0] == '\t' && line.p[1] == '\t' && line.p[2] != '#' &&
		    strncmp(line.p + 2, "type ", 5) != 0)
			n++;
	return n;
}

/* ---- are they there? ---- */

struct look {
	const struct firewall *fw;
	const char *marker;
	bool marked;
	size_t rules;
};

static int look_rule(const struct nlmsghdr *h, void *ud)
{
	struct look *l = ud;
	struct firewall_subject n;

	if (read_names(l->fw, h, NFTA_RULE_CHAIN, 0, &n) && !firewall_name_is_user(n.name))
		l->rules++;
	return MNL_CB_OK;
}

static int look_set(const struct nlmsghdr *h, void *ud)
{
	struct look *l = ud;
	struct firewall_subject n;

	if (read_names(l->fw, h, NFTA_SET_NAME, 0, &n) && strcmp(n.name, l->marker) == 0)
		l->marked = true;
	return MNL_CB_OK;
}

bool firewall_is_whole(struct firewall *fw)
{
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	char marker[24];
	struct look l = {.fw = fw, .marker = marker};

	rules_text(fw, &text, marker);
	return dump(fw, NFT_MSG_GETSET, look_set, &l) == 0 && l.marked &&
	       dump(fw, NFT_MSG_GETRULE, look_rule, &l) == 0 &&
	       l.rules == count_rules(buf_text(&text));
}

static int look_any(const struct nlmsghdr *h, void *ud)
{
	struct look *l = ud;
	struct firewall_subject n;

	l->marked |= read_names(l->fw, h, NFTA_SET_NAME, 0, &n);
	return MNL_CB_OK;
}

bool firewall_is_there(struct firewall *fw)
{
	struct look l = {.fw = fw};

	return dump(fw, NFT_MSG_GETSET, look_any, &l) == 0 && l.marked;
}

/* ---- writing ---- */

struct clear {
	const struct firewall *fw;
	struct buf flush, chains, sets;
};

static int clear_chain(const struct nlmsghdr *h, void *ud)
{
	struct clear *c = ud;
	struct firewall_subject n;

	if (!read_names(c->fw, h, NFTA_CHAIN_NAME, 0, &n) || firewall_name_is_user(n.name))
		return MNL_CB_OK;
	buf_addf(&c->flush, "flush chain inet %s %s\n", n.table, n.name);
	buf_addf(&c->chains, "delete chain inet %s %s\n", n.table, n.name);
	return MNL_CB_OK;
}

static int clear_set(const struct nlmsghdr *h, void *ud)
{
	struct clear *c = ud;
	struct firewall_subject n;

	if (!read_names(c->fw, h, NFTA_SET_NAME, NFTA_SET_FLAGS, &n) ||
	    firewall_name_is_user(n.name) || (n.flags & NFT_SET_ANONYMOUS))
		return MNL_CB_OK;
	buf_addf(&c->sets, "delete %s inet %s %s\n", n.flags & NFT_SET_MAP ? "map" : "set", n.table,
		 n.name);
	return MNL_CB_OK;
}

static int run_nft(const struct buf *text, struct err *e)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	AUTO_FREE char *path = program_find("nft");

	if (!path)
		return err_set(e, ERR_SYSTEM,
			       "bridge networks need the program nft (package nftables)");
	return program_run(path, argv, text->p, text->n, NULL, e);
}

static void drain(struct firewall *fw)
{
	char p[8192];

	while (mnl_socket_recvfrom(fw->events, p, sizeof(p)) > 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
}

int firewall_rules_write(struct firewall *fw, struct err *e)
{
	struct clear c = {fw, BUF_INIT(TEXT_MAX), BUF_INIT(TEXT_MAX), BUF_INIT(TEXT_MAX)};
	AUTO_BUF struct buf rules = BUF_INIT(TEXT_MAX);
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX * 4);
	char marker[24];
	int rc = dump(fw, NFT_MSG_GETCHAIN, clear_chain, &c);

	if (rc == 0)
		rc = dump(fw, NFT_MSG_GETSET, clear_set, &c);
	rules_text(fw, &rules, marker);
	buf_addf(&text, "%s%s%s%s", buf_text(&c.flush), buf_text(&c.chains), buf_text(&c.sets),
		 buf_text(&rules));
	buf_done(&c.flush);
	buf_done(&c.chains);
	buf_done(&c.sets);
	if (rc < 0)
		return err_sys(e, rc, "read nft table %s", fw->table);
	if (run_nft(&text, e) < 0)
		return err_wrap(e, "cannot write the rules of nft table %s", fw->table);
	/* What the events tell until here is our own doing. */
	drain(fw);
	return firewall_is_whole(fw) ? 0
				     : err_set(e, ERR_SYSTEM,
					       "the rules of nft table %s do not stay as they are "
					       "written",
					       fw->table);
}

/* ---- iptables beside us ---- */

struct look_iptables {
	const char *ours;
	bool matters;
};

static int look_iptables(const struct nlmsghdr *h, void *ud)
{
	struct firewall_subject s;
	struct look_iptables *l = ud;

	if (firewall_subject_read(h, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, &s) && s.name &&
	    strcmp(s.table, "filter") == 0)
		l->matters |= strcmp(s.name, l->ours) == 0 ||
			      (strcmp(s.name, "FORWARD") == 0 && s.flags == NF_DROP);
	return MNL_CB_OK;
}

bool firewall_iptables_matters(struct firewall *fw, uint8_t family, const char *ours)
{
	struct look_iptables l = {.ours = ours};

	return dump_family(fw, family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4, NFT_MSG_GETCHAIN,
			   look_iptables, &l) == 0 &&
	       l.matters;
}

/* ---- taking away ---- */

static int look_user(const struct nlmsghdr *h, void *ud)
{
	struct look *l = ud;
	struct firewall_subject n;

	if (read_names(l->fw, h, NFTA_RULE_CHAIN, 0, &n) && firewall_name_is_user(n.name))
		l->rules++;
	return MNL_CB_OK;
}

int firewall_remove(struct firewall *fw, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(256);
	struct look l = {.fw = fw};
	int rc = dump(fw, NFT_MSG_GETRULE, look_user, &l);

	if (rc < 0)
		return err_sys(e, rc, "read nft table %s", fw->table);
	if (l.rules > 0 || firewall_has_guard(fw))
		return 0;
	fw->ready = false;
	buf_addf(&text, "table inet %s { }\ndelete table inet %s\n", fw->table, fw->table);
	rc = run_nft(&text, e);
	drain(fw);
	return rc;
}
