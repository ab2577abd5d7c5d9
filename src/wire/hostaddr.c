/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of engines: see hostaddr.h. */
#include "wire/hostaddr.h"

#include "base/buf.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/banned.h"

static int keep(struct str s, char *ret, size_t size)
{
	if (s.n >= size)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return -EINVAL;
	if (s.n)
		memcpy(ret, s.p, s.n);
	ret[s.n] = 0;
	return 0;
}

/* Letters of a host name or of an IPv6 address. A leading '-' would be an option to ssh. */
static bool host_is_plain(const char *host)
{
	return host[0] != '-' &&
	       strspn(host,
		      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%") ==
		       strlen(host);
}

/* "host", "host:port", "[v6]:port", ":port", "" */
static int parse_authority(struct str s, struct hostaddr *ret)
{
	struct str host = s, port = {NULL, 0};
	const char *end = s.n && s.p[0] == '[' ? memchr(s.p, ']', s.n) : NULL;
	const char *colon = NULL;
	char text[8];
	uint64_t n;
	int rc;

	if (s.n && s.p[0] == '[' && !end)
		return -EINVAL;
	if (end) {
		host = (struct str){s.p + 1, (size_t)(end - s.p) - 1};
		if (end + 1 < s.p + s.n)
			colon = end + 1;
		if (colon && *colon != ':')
			return -EINVAL;
	} else {
		colon = s.n ? memchr(s.p, ':', s.n) : NULL;
		if (colon)
			host.n = (size_t)(colon - s.p);
	}
	if (colon)
		port = (struct str){colon + 1, (size_t)(s.p + s.n - colon) - 1};
	rc = keep(host, ret->host, sizeof(ret->host));
	if (rc < 0)
		return rc;
	if (!host_is_plain(ret->host) || (!end && strchr(ret->host, ':')))
		return -EINVAL;
	if (!colon)
		return 0;
	if (keep(port, text, sizeof(text)) < 0 || num_parse_u64(text, 1, 65535, &n) < 0)
		return -EINVAL;
	ret->port = (uint16_t)n;
	return 0;
}

static int parse_ssh(struct str s, struct hostaddr *ret)
{
	const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
	struct str authority = {s.p, slash ? (size_t)(slash - s.p) : s.n};
	const char *at = authority.n ? memchr(authority.p, '@', authority.n) : NULL;
	int rc;

	if (at) {
		rc = keep((struct str){s.p, (size_t)(at - s.p)}, ret->user, sizeof(ret->user));
		if (rc < 0)
			return rc;
		if (!ret->user[0] || ret->user[0] == '-' || strchr(ret->user, ':'))
			return -EINVAL;
		authority.n -= (size_t)(at + 1 - s.p);
		authority.p = at + 1;
	}
	rc = parse_authority(authority, ret);
	if (rc < 0)
		return rc;
	if (!ret->host[0])
		return -EINVAL;
	if (slash && s.p + s.n > slash + 1)
		return keep((struct str){slash, (size_t)(s.p + s.n - slash)}, ret->path,
			    sizeof(ret->path));
	return 0;
}

int hostaddr_parse(const char *text, struct hostaddr *ret)
{
	struct hostaddr a = {0};
	int rc;

	if (str_starts(text, "unix://")) {
		a.kind = HOSTADDR_UNIX;
		rc = keep(str_of(text + 7), a.path, sizeof(a.path));
		if (rc == 0 && a.path[0] != '/')
			rc = -EINVAL;
	} else if (str_starts(text, "tcp://")) {
		a.kind = HOSTADDR_TCP;
		struct str rest = str_of(text + 6);
		if (rest.n && rest.p[rest.n - 1] == '/')
			rest.n--;
		rc = parse_authority(rest, &a);
	} else if (str_starts(text, "fd://")) {
		a.kind = HOSTADDR_FD;
		rc = keep(str_of(text + 5), a.host, sizeof(a.host));
	} else if (str_starts(text, "ssh://")) {
		a.kind = HOSTADDR_SSH;
		rc = parse_ssh(str_of(text + 6), &a);
	} else {
		rc = -EINVAL;
	}
	if (rc == 0)
		*ret = a;
	return rc;
}

int hostaddr_parse_port(const char *text, struct hostaddr *ret)
{
	struct hostaddr a = {.kind = HOSTADDR_TCP};
	int rc = parse_authority(str_of(text), &a);

	if (rc == 0 && !a.port)
		rc = -EINVAL;
	if (rc == 0)
		*ret = a;
	return rc;
}

bool hostaddr_is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcmp(host, "localhost") == 0;
}
