/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three files. /etc/hosts is made anew at each start; while the container runs, only our lines
 * in it are exchanged, recognized by their names. /etc/resolv.conf is ours until somebody edits it.
 */
#include "engine/hostfiles.h"
#include "base/digest.h"
#include "base/log.h"
#include "engine/links.h"
#include "engine/network.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FILE_MAX     (1 << 20)
#define STUB_FILE    "/run/systemd/resolve/resolv.conf"
#define HASH_FILE    "resolv.conf.hash"
#define HOST_GATEWAY "host-gateway"
#define CHAIN_MAX    16 /* containers that share each other's network */

static bool is_host(const struct container *c)
{
	return strcmp(c->host.network_mode, "host") == 0;
}

static bool shares(const struct container *c)
{
	return str_starts(c->host.network_mode, "container:");
}

char *hostfiles_dir(const struct container *c)
{
	struct err ignored = ERR_INIT;

	for (int i = 0; i < CHAIN_MAX && shares(c); i++) {
		const struct container *peer = engine_container_get(
			c->g, c->host.network_mode + strlen("container:"), &ignored);

		if (!peer)
			break;
		c = peer;
	}
	return container_data_path(c, NULL);
}

/* ---- addresses ---- */

static void push_ip(struct strs *s, struct arena *a, struct ip ip)
{
	char text[IP_TEXT_MAX];

	if (ip.family && !ip_is_unspecified(ip))
		strs_push(s, a, arena_strdup(a, ip_format(ip, text)));
}

static void push_gateways(struct network *n, struct strs *ret, struct arena *a)
{
	for (size_t i = 0; i < n->nsubnets; i++)
		push_ip(ret, a, n->subnet[i].gateway);
}

/* On a bridge the gateway is the host. */
void hostfiles_gateway(const struct container *c, struct strs *ret, struct arena *a)
{
	const char *asked = c->g->config->host_gateway_ip;
	struct err ignored = ERR_INIT;
	struct network *n;

	if (str_is_set(asked)) {
		strs_push(ret, a, asked);
		return;
	}
	for (int internal = 0; internal < 2; internal++)
		LIST_FOR_EACH (it, &c->endpoints) {
			const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

			if (ret->n == 0 && ep->net && ep->net->driver == NET_BRIDGE &&
			    ep->net->internal == internal)
				push_gateways(ep->net, ret, a);
		}
	n = ret->n == 0 ? network_get(c->g, "bridge", &ignored) : NULL;
	if (n)
		push_gateways(n, ret, a);
}

/* ---- /etc/hosts ---- */

static int add_extra(const struct container *c, struct buf *out, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	const struct strs *extra = &c->host.extra_hosts;

	for (size_t i = 0; i < extra->n; i++) {
		const char *s = extra->v[i], *colon = strchr(s, ':');
		struct strs gateway = {0};
		int n = colon ? (int)(colon - s) : 0;

		if (!colon)
			continue;
		if (strcmp(colon + 1, HOST_GATEWAY) != 0) {
			buf_addf(out, "%s\t%.*s\n", colon + 1, n, s);
			continue;
		}
		hostfiles_gateway(c, &gateway, a);
		if (gateway.n == 0)
			return err_set(e, ERR_SYSTEM,
				       "unable to derive the IP value for host-gateway");
		for (size_t j = 0; j < gateway.n; j++)
			buf_addf(out, "%s\t%.*s\n", gateway.v[j], n, s);
	}
	return 0;
}

/* A line that is ours while the container runs: what stands behind the address tells it apart. */
struct line {
	const char *address, *names;
};
struct lines {
	struct line *v;
	size_t n;
};

static void push_line(struct lines *l, const char *address, const char *names)
{
	l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
	l->v[l->n++] = (struct line){address, names};
}

static const char *own_names(const struct container *c, struct arena *a)
{
	const struct container_config *cc = &c->meta.config;
	const char *fqdn, *dot;

	if (!str_is_set(cc->hostname))
		return NULL;
	fqdn = str_is_set(cc->domainname) ? arena_printf(a, "%s.%s", cc->hostname, cc->domainname)
					  : cc->hostname;
	dot = strchr(fqdn, '.');
	return dot ? arena_printf(a, "%s %.*s", fqdn, (int)(dot - fqdn), fqdn) : fqdn;
}

static void link_lines(const struct container *c, struct lines *l, struct arena *a)
{
	char text[IP_TEXT_MAX];

	for (size_t i = 0; link_endpoint(c) && i < c->host.links.n; i++) {
		const char *alias;
		struct err ignored = ERR_INIT;
		const struct container *child = link_target(c->g, c->host.links.v[i], &alias,
							    &ignored);
		const struct endpoint *ep = child ? link_endpoint(child) : NULL;

		if (!ep || !ep->ip4.family)
			continue;
		push_line(l, arena_strdup(a, ip_format(ep->ip4, text)),
			  arena_printf(a, "%s %s%s%s", alias, child->meta.config.hostname,
				       strcmp(alias, child->name) ? " " : "",
				       strcmp(alias, child->name) ? child->name : ""));
	}
}

static void our_lines(const struct container *c, struct lines *l, struct arena *a)
{
	const char *names = own_names(c, a);
	char text[IP_TEXT_MAX];

	link_lines(c, l, a);
	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);
		const struct ip both[] = {ep->ip4, ep->ip6};

		for (size_t i = 0; names && ep->state != ENDPOINT_CONFIGURED && i < 2; i++)
			if (both[i].family)
				push_line(l, arena_strdup(a, ip_format(both[i], text)), names);
	}
	/* A line of which only the names stay, so that old ones are recognized. */
	if (names && l->n == 0)
		push_line(l, NULL, names);
}

static void add_lines(const struct lines *l, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].address)
			buf_addf(out, "%s\t%s\n", l->v[i].address, l->v[i].names);
}

static int make_hosts(const struct container *c, struct buf *out, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct lines l = {0};

	if (is_host(c)) {
		fs_read_path("/etc/hosts", out);
		if (out->n > 0 && out->p[out->n - 1] != '\n')
			buf_addc(out, '\n');
		return add_extra(c, out, e);
	}
	buf_adds(out, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
		      "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\n"
		      "ff02::2\tip6-allrouters\n");
	if (add_extra(c, out, e) < 0)
		return -1;
	our_lines(c, &l, a);
	add_lines(&l, out);
	free(l.v);
	return 0;
}

static bool is_ours(struct str line, const struct lines *l)
{
	struct str address;

	if (!str_cut(&line, '\t', &address))
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(line, l->v[i].names))
			return true;
	return false;
}

static bool has_line(const struct buf *text, struct str line)
{
	struct str rest = {text->p, text->n}, one;

	while (rest.n > 0 && str_cut(&rest, '\n', &one))
		if (one.n == line.n && memcmp(one.p, line.p, one.n) == 0)
			return true;
	return false;
}

/* What stands in the file, with our lines exchanged; the user's --add-host stays. */
static void change_hosts(const struct container *c, const struct buf *now, struct buf *out)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf extra = BUF_INIT(FILE_MAX);
	struct str rest = {now->p, now->n}, line;
	struct lines l = {0};
	struct err ignored = ERR_INIT;

	our_lines(c, &l, a);
	add_extra(c, &extra, &ignored);
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		if (is_ours(line, &l) && !has_line(&extra, line))
			continue;
		buf_add(out, line.p, line.n);
		buf_addc(out, '\n');
	}
	add_lines(&l, out);
	free(l.v);
}

/* ---- /etc/resolv.conf ---- */

static void read_host(struct resolv *ret, bool plain, struct arena *a)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);

	fs_read_path("/etc/resolv.conf", &text);
	resolv_parse(buf_text(&text), "/etc/resolv.conf", ret, a);
	if (plain || !resolv_is_stub(ret))
		return;
	buf_reset(&text);
	if (fs_read_path(STUB_FILE, &text) >= 0)
		resolv_parse(buf_text(&text), STUB_FILE, ret, a);
}

void hostfiles_resolv(const struct container *c, struct resolv *ret, struct arena *a)
{
	bool ipv6 = false;

	read_host(ret, is_host(c), a);
	resolv_override(ret, &c->host.dns, &c->host.dns_search, &c->host.dns_options, a);
	LIST_FOR_EACH (it, &c->endpoints)
		ipv6 |= LIST_ENTRY(it, struct endpoint, link)->ip6.family == 6;
	if (names_resolves(c))
		resolv_internal(ret, ipv6, a);
	else if (!list_empty(&c->endpoints))
		resolv_legacy(ret, ipv6, a);
}

static void make_resolv(const struct container *c, struct buf *out)
{
	AUTO(arena) struct arena *a = arena_new();
	struct resolv r;

	if (is_host(c) && c->host.dns.n + c->host.dns_search.n + c->host.dns_options.n == 0) {
		fs_read_path("/etc/resolv.conf", out);
		return;
	}
	hostfiles_resolv(c, &r, a);
	resolv_write(&r, out);
}

/* ---- the files ---- */

/* In place: a running container has them mounted. */
static int put(int dir, const char *name, const struct buf *text, struct err *e)
{
	AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	int rc = fd < 0 ? -errno : fs_write_all(fd, buf_text(text), text->n);

	if (rc == 0 && ftruncate(fd, (off_t)text->n) < 0)
		rc = -errno;
	if (rc < 0)
		return err_sys(e, rc, "write %s of the container", name);
	fchmod(fd, 0644);
	return 0;
}

/* Not ours any more: it is not what we wrote. */
static bool resolv_edited(int dir)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX), hash = BUF_INIT(256);
	struct digest d;

	int rc;

	if (fs_read_at(dir, HASH_FILE, &hash) < 0)
		return false;
	rc = fs_read_at(dir, "resolv.conf", &text);
	if (rc < 0)
		return rc == -EFBIG;
	digest_of(buf_text(&text), text.n, &d);
	return strcmp(d.text, buf_text(&hash)) != 0;
}

static int put_resolv(const struct container *c, int dir, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);
	struct digest d;
	int rc;

	if (resolv_edited(dir))
		return 0;
	make_resolv(c, &text);
	if (put(dir, "resolv.conf", &text, e) < 0)
		return -1;
	digest_of(buf_text(&text), text.n, &d);
	rc = fs_write_atomic(dir, HASH_FILE, d.text, strlen(d.text), 0644, false);
	return rc < 0 ? err_sys(e, rc, "write %s of the container", HASH_FILE) : 0;
}

int hostfiles_write(struct container *c, struct err *e)
{
	AUTO_FREE char *path = container_data_path(c, NULL);
	AUTO_FD int dir = fs_open_dir(path);
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);

	if (dir < 0)
		return err_sys(e, dir, "open %s", path);
	if (shares(c))
		return 0;
	buf_addf(&text, "%s\n", str_is_set(c->meta.config.hostname) ? c->meta.config.hostname : "");
	if (put(dir, "hostname", &text, e) < 0)
		return -1;
	buf_reset(&text);
	if (make_hosts(c, &text, e) < 0 || put(dir, "hosts", &text, e) < 0)
		return -1;
	return put_resolv(c, dir, e);
}

void hostfiles_update(struct container *c)
{
	AUTO_FREE char *path = container_data_path(c, NULL);
	AUTO_FD int dir = fs_open_dir(path);
	AUTO_BUF struct buf now = BUF_INIT(FILE_MAX), text = BUF_INIT(FILE_MAX);
	struct err e = ERR_INIT;

	if (dir < 0 || shares(c) || is_host(c))
		return;
	if (fs_read_at(dir, "hosts", &now) >= 0) {
		change_hosts(c, &now, &text);
		if (!text.overflow && (text.n != now.n || memcmp(text.p, now.p, now.n) != 0) &&
		    put(dir, "hosts", &text, &e) < 0)
			log_warn("container %.12s: %s", c->id, e.text);
	}
	if (put_resolv(c, dir, &e) < 0)
		log_warn("container %.12s: %s", c->id, e.text);
}

void hostfiles_update_parents(const struct container *c)
{
	if (!link_endpoint(c))
		return;
	LIST_FOR_EACH (it, &c->g->order) {
		struct container *p = LIST_ENTRY(it, struct container, link);
		struct err ignored = ERR_INIT;
		const char *alias;

		for (size_t i = 0; p->st.running && p != c && i < p->host.links.n; i++)
			if (link_target(p->g, p->host.links.v[i], &alias, &ignored) == c) {
				hostfiles_update(p);
				break;
			}
	}
}
