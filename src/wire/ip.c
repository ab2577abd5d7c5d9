/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as byte strings: comparison is memcmp, sums carry from the last byte to the first. */
#include "wire/ip.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static unsigned size_of(struct ip a)
{
	return a.family == 4 ? 4 : a.family == 6 ? 16 : 0;
}

unsigned ip_bits(struct ip a)
{
	return size_of(a) * 8;
}

int ip_parse(const char *text, struct ip *ret)
{
	struct ip a = {0};

	if (!text)
		return -EINVAL;
	if (inet_pton(AF_INET, text, a.b) == 1) {
		a.family = 4;
	} else if (inet_pton(AF_INET6, text, a.b) == 1) {
		a.family = 6;
		if (memcmp(a.b, mapped, sizeof mapped) == 0) {
			a.family = 4;
			memmove(a.b, a.b + 12, 4);
			memset(a.b + 4, 0, 12);
		}
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char address[IP_TEXT_MAX];
	struct ip_prefix p;
	unsigned len = 0;

	if (!slash || (size_t)(slash - text) >= sizeof address)
		return -EINVAL;
	snprintf(address, sizeof address, "%.*s", (int)(slash - text), text);
	if (ip_parse(address, &p.ip) < 0 || !slash[1] || strlen(slash + 1) > 3)
		return -EINVAL;
	for (const char *s = slash + 1; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		len = len * 10 + (unsigned)(*s - '0');
	}
	/* the length of a mapped address would count the 96 bits before it */
	if (len > ip_bits(p.ip) || (p.ip.family == 4 && strchr(address, ':')))
		return -EINVAL;
	p.len = (uint8_t)len;
	*ret = p;
	return 0;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

int ip_mac_parse(const char *text, struct ip_mac *ret)
{
	struct ip_mac m;

	if (!text || strlen(text) != 17)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		int hi = hex(text[i * 3]), lo = hex(text[i * 3 + 1]);
		char end = text[i * 3 + 2];

		if (hi < 0 || lo < 0 ||
		    (i < 5 ? end != text[2] || (end != ':' && end != '-') : end))
			return -EINVAL;
		m.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret = m;
	return 0;
}

char *ip_format(struct ip a, char *ret)
{
	*ret = '\0';
	if (a.family)
		inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.b, ret, IP_TEXT_MAX);
	return ret;
}

char *ip_prefix_format(struct ip_prefix p, char *ret)
{
	char address[IP_TEXT_MAX];

	if (!p.ip.family)
		*ret = '\0';
	else
		snprintf(ret, IP_TEXT_MAX, "%.50s/%u", ip_format(p.ip, address), p.len);
	return ret;
}

char *ip_mac_format(struct ip_mac m, char *ret)
{
	snprintf(ret, IP_MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1], m.b[2],
		 m.b[3], m.b[4], m.b[5]);
	return ret;
}

int ip_cmp(struct ip a, struct ip b)
{
	if (a.family != b.family)
		return a.family < b.family ? -1 : 1;
	return memcmp(a.b, b.b, sizeof a.b);
}

bool ip_is_unspecified(struct ip a)
{
	static const uint8_t zero[16];

	return a.family && memcmp(a.b, zero, sizeof zero) == 0;
}

bool ip_is_loopback(struct ip a)
{
	static const uint8_t one[16] = {[15] = 1};

	return a.family == 4 ? a.b[0] == 127 : a.family == 6 && memcmp(a.b, one, 16) == 0;
}

bool ip_is_multicast(struct ip a)
{
	return a.family == 4 ? (a.b[0] & 0xf0) == 0xe0 : a.family == 6 && a.b[0] == 0xff;
}

bool ip_is_link_local(struct ip a)
{
	return a.family == 4 ? a.b[0] == 169 && a.b[1] == 254
			     : a.family == 6 && a.b[0] == 0xfe && (a.b[1] & 0xc0) == 0x80;
}

static struct ip fill(struct ip_prefix p, bool ones)
{
	for (unsigned bit = p.len; bit < ip_bits(p.ip); bit++) {
		uint8_t m = (uint8_t)(0x80u >> (bit & 7));

		if (ones)
			p.ip.b[bit / 8] |= m;
		else
			p.ip.b[bit / 8] &= (uint8_t)~m;
	}
	return p.ip;
}

struct ip ip_mask(struct ip_prefix p)
{
	return fill(p, false);
}

struct ip ip_last(struct ip_prefix p)
{
	return fill(p, true);
}

bool ip_prefix_has(struct ip_prefix p, struct ip a)
{
	return p.ip.family == a.family && ip_cmp(a, ip_mask(p)) >= 0 && ip_cmp(a, ip_last(p)) <= 0;
}

bool ip_prefix_overlap(struct ip_prefix a, struct ip_prefix b)
{
	return ip_prefix_has(a, ip_mask(b)) || ip_prefix_has(b, ip_mask(a));
}

struct ip ip_add(struct ip a, uint64_t n)
{
	for (unsigned i = size_of(a); i-- > 0 && n;) {
		uint64_t sum = a.b[i] + (n & 0xff);

		a.b[i] = (uint8_t)sum;
		n = (n >> 8) + (sum >> 8);
	}
	return n ? (struct ip){0} : a;
}

uint64_t ip_distance(struct ip a, struct ip b)
{
	uint64_t d = 0;
	int borrow = 0;
	uint8_t diff[16];
	unsigned n = size_of(a);

	for (unsigned i = n; i-- > 0;) {
		int x = b.b[i] - a.b[i] - borrow;

		borrow = x < 0;
		diff[i] = (uint8_t)(x & 0xff);
	}
	for (unsigned i = 0; i < n; i++) {
		if (d >> 56)
			return UINT64_MAX;
		d = d << 8 | diff[i];
	}
	return d;
}
