/* SPDX-License-Identifier: Apache-2.0 */
/* See hostmatch.h. */
#include "image/hostmatch.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

bool host_port_parse(const char *text, struct host_port *ret)
{
	struct host_port h = {0};
	const char *host = text, *end = text + strlen(text), *port = NULL;
	if (*text == '[') {
		host = text + 1;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		port = end[1] ? end + 2 : NULL;
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		end = strchr(text, ':');
		port = end + 1;
	}
	uint64_t n = 0;
	if (port && num_parse_u64(port, 1, 65535, &n) < 0)
		return false;
	size_t len = (size_t)(end - host);
	if (!len || len >= sizeof(h.host))
		return false;
	for (size_t i = 0; i < len; i++)
		h.host[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 32) : host[i];
	h.port = (unsigned)n;
	*ret = h;
	return true;
}

bool host_ip_parse(const char *text, struct host_ip *ret)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct host_ip ip = {0};
	if (inet_pton(AF_INET, text, ip.b) == 1) {
		*ret = ip;
		return true;
	}
	if (inet_pton(AF_INET6, text, ip.b) != 1)
		return false;
	ip.v6 = memcmp(ip.b, mapped, sizeof(mapped)) != 0;
	if (!ip.v6)
		memmove(ip.b, ip.b + 12, 4);
	*ret = ip;
	return true;
}

bool host_ip_in(const struct host_ip *ip, const char *cidr)
{
	char net[64];
	uint64_t bits;
	struct host_ip base;
	const char *slash = strchr(cidr, '/');
	if (!slash || (size_t)(slash - cidr) >= sizeof(net))
		return false;
	snprintf(net, sizeof(net), "%.*s", (int)(slash - cidr), cidr);
	if (!host_ip_parse(net, &base) || base.v6 != ip->v6 ||
	    num_parse_u64(slash + 1, 0, ip->v6 ? 128 : 32, &bits) < 0)
		return false;
	for (size_t i = 0; i * 8 < bits; i++) {
		unsigned left = (unsigned)MIN(bits - i * 8, 8u);
		unsigned mask = 0xffu << (8 - left) & 0xff;
		if ((base.b[i] ^ ip->b[i]) & mask)
			return false;
	}
	return true;
}

bool host_is_loopback(const char *host)
{
	struct host_ip ip;
	if (!strcmp(host, "localhost"))
		return true;
	return host_ip_parse(host, &ip) && host_ip_in(&ip, ip.v6 ? "::1/128" : "127.0.0.0/8");
}

/* ---- proxies ---- */

static const char *env_any(const char *upper, const char *lower)
{
	const char *v = secure_getenv(upper);
	return v && *v ? v : secure_getenv(lower);
}

void proxy_rules_env(struct proxy_rules *ret)
{
	ret->http = env_any("HTTP_PROXY", "http_proxy");
	ret->https = env_any("HTTPS_PROXY", "https_proxy");
	ret->none = env_any("NO_PROXY", "no_proxy");
}

static bool rule_matches(const char *rule, const char *host, unsigned port)
{
	struct host_port r;
	struct host_ip ip, want;
	bool is_ip = host_ip_parse(host, &ip);
	if (!strcmp(rule, "*"))
		return true;
	if (strchr(rule, '/'))
		return is_ip && host_ip_in(&ip, rule);
	if (!host_port_parse(rule, &r) || (r.port && r.port != port))
		return false;
	if (host_ip_parse(r.host, &want))
		return is_ip && want.v6 == ip.v6 && !memcmp(want.b, ip.b, sizeof(ip.b));
	const char *name = r.host[0] == '*' && r.host[1] == '.' ? r.host + 1 : r.host;
	if (*name == '.')
		return str_ends(host, name);
	size_t n = strlen(host), k = strlen(name);
	return str_ends(host, name) && (n == k || host[n - k - 1] == '.');
}

const char *proxy_for(const struct proxy_rules *r, bool https, const char *host, unsigned port)
{
	const char *proxy = https ? r->https : r->http;
	struct str rest = str_of(r->none), part;
	char rule[300];
	if (!proxy || !*proxy || host_is_loopback(host))
		return NULL;
	while (str_cut(&rest, ',', &part)) {
		while (part.n && (*part.p == ' ' || *part.p == '\t'))
			part.p++, part.n--;
		while (part.n && (part.p[part.n - 1] == ' ' || part.p[part.n - 1] == '\t'))
			part.n--;
		if (!part.n || part.n >= sizeof(rule))
			continue;
		snprintf(rule, sizeof(rule), "%.*s", (int)part.n, part.p);
		if (rule_matches(rule, host, port))
			return NULL;
	}
	return proxy;
}
