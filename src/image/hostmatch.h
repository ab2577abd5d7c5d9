/* SPDX-License-Identifier: Apache-2.0 */
/* Host names, addresses and rules about them: insecure registries, proxies. Pure text; no I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct host_port {
	char host[256]; /* lower case, IPv6 without brackets */
	unsigned port;	/* 0: none was given */
};
/* "Host", "host:5000", "[::1]:5000", "::1". False: not of this form. */
bool host_port_parse(const char *text, struct host_port *ret);

struct host_ip {
	bool v6;
	unsigned char b[16];
};
bool host_ip_parse(const char *text, struct host_ip *ret); /* IPv4-mapped becomes IPv4 */
bool host_ip_in(const struct host_ip *ip, const char *cidr);
bool host_is_loopback(const char *host); /* "localhost", 127.0.0.0/8, ::1 */

/* Where requests go through; each NULL or "": directly. */
struct proxy_rules {
	const char *http, *https; /* URL or host:port, by scheme of the request */
	const char *none; /* comma-separated: host, .domain, *.domain, address, CIDR, *; :port */
};
/* HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or their lower-case names; the strings are the
 * environment's. */
void proxy_rules_env(struct proxy_rules *ret);
/*
 * The proxy of an http(s) URL's host, NULL for none, by the rules of Go's HTTP client: loopback is
 * never proxied, "x.y" means its subdomains too and ".x.y" only them.
 */
const char *proxy_for(const struct proxy_rules *r, bool https, const char *host, unsigned port);
