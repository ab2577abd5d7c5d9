/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Which comments are written follows Docker's file, since programs read them. */
#include "engine/resolvconf.h"
#include "base/num.h"
#include "wire/ip.h"

#include <net/if.h>
#include <string.h>

#include "base/banned.h"

#define STUB "127.0.0.53"

/* Servers of last resort are Docker's: names must resolve in a container of any host. */
static const char *const last4[] = {"8.8.8.8", "8.8.4.4"};
static const char *const last6[] = {"2001:4860:4860::8888", "2001:4860:4860::8844"};

/* ---- reading ---- */

static bool cut_word(struct str *rest, struct str *word)
{
	while (rest->n > 0 && strchr(" \t\r", *rest->p))
		rest->p++, rest->n--;
	*word = (struct str){rest->p, 0};
	while (rest->n > 0 && !strchr(" \t\r", *rest->p))
		rest->p++, rest->n--, word->n++;
	return word->n > 0;
}

static void push_words(struct strs *s, struct str rest, struct arena *a)
{
	struct str word;

	while (cut_word(&rest, &word))
		strs_push(s, a, arena_strndup(a, word.p, word.n));
}

/* The address, perhaps with "%interface". */
static bool server_ip(const char *text, struct ip *ret, const char **ret_zone)
{
	const char *percent = strchr(text, '%');
	AUTO_FREE char *plain = percent ? xstrndup(text, (size_t)(percent - text)) : xstrdup(text);

	*ret_zone = percent ? percent + 1 : NULL;
	return ip_parse(plain, ret) == 0;
}

static void read_line(struct resolv *r, struct str line, struct arena *a)
{
	struct str rest = line, key, word;
	const char *zone;
	struct ip ip;

	if (!cut_word(&rest, &key) || *key.p == '#' || *key.p == ';')
		return;
	if (str_eq(key, "nameserver")) {
		if (!cut_word(&rest, &word))
			return;
		const char *text = arena_strndup(a, word.p, word.n);

		strs_push(server_ip(text, &ip, &zone) ? &r->servers : &r->invalid, a, text);
	} else if (str_eq(key, "search") || str_eq(key, "domain")) {
		struct strs words = {0};

		push_words(&words, rest, a);
		if (words.n > 0)
			r->search = words; /* the last line counts */
	} else if (str_eq(key, "options")) {
		push_words(&r->options, rest, a);
	} else {
		strs_push(&r->other, a, arena_strndup(a, line.p, line.n));
	}
}

void resolv_parse(const char *text, const char *path, struct resolv *ret, struct arena *a)
{
	struct str rest = str_of(text), line;

	*ret = (struct resolv){.path = path};
	while (rest.n > 0 && str_cut(&rest, '\n', &line))
		read_line(ret, line, a);
}

bool resolv_is_stub(const struct resolv *r)
{
	return r->servers.n == 1 && strcmp(r->servers.v[0], STUB) == 0;
}

/* ---- changing ---- */

void resolv_override(struct resolv *r, const struct strs *dns, const struct strs *search,
		     const struct strs *options, struct arena *a)
{
	if (dns->n > 0) {
		r->servers = *dns;
		r->own_servers = true;
	}
	if (search->n > 0) {
		r->search = (struct strs){0};
		for (size_t i = 0; i < search->n; i++)
			if (strcmp(search->v[i], ".") != 0)
				strs_push(&r->search, a, search->v[i]);
		r->own_search = true;
	}
	if (options->n > 0) {
		r->options = *options;
		r->own_options = true;
	}
}

static void last_resort(struct resolv *r, bool ipv6, struct arena *a)
{
	if (r->servers.n > 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(last4); i++)
		strs_push(&r->servers, a, last4[i]);
	for (size_t i = 0; ipv6 && i < ARRAY_SIZE(last6); i++)
		strs_push(&r->servers, a, last6[i]);
	r->defaults = true;
}

void resolv_legacy(struct resolv *r, bool ipv6, struct arena *a)
{
	struct strs all = r->servers;
	const char *zone;
	struct ip ip;

	r->form = "legacy";
	r->ipv6 = ipv6;
	if (r->own_servers)
		return;
	r->servers = (struct strs){0};
	for (size_t i = 0; i < all.n; i++)
		if (server_ip(all.v[i], &ip, &zone) && !ip_is_loopback(ip) &&
		    (ip.family == 4 || ipv6))
			strs_push(&r->servers, a, all.v[i]);
	last_resort(r, ipv6, a);
}

static const char *option_value(const struct strs *options, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = options->n; i-- > 0;) { /* the last one counts */
		const char *o = options->v[i];

		if (strncmp(o, name, n) == 0 && (o[n] == ':' || o[n] == '\0'))
			return o[n] ? o + n + 1 : o + n;
	}
	return NULL;
}

static bool ndots_is_valid(const char *option)
{
	uint64_t n;

	return !str_starts(option, "ndots:") || num_parse_u64(option + 6, 0, INT32_MAX, &n) == 0;
}

bool resolv_ndots_asked(const struct resolv *r)
{
	const char *v = option_value(&r->options, "ndots");
	uint64_t n;

	return v && num_parse_u64(v, 1, INT32_MAX, &n) == 0;
}

void resolv_internal(struct resolv *r, bool ipv6, struct arena *a)
{
	struct strs valid = {0};

	r->form = "internal resolver";
	r->internal = true;
	r->ipv6 = ipv6;
	last_resort(r, ipv6, a);
	for (size_t i = 0; i < r->options.n; i++)
		if (ndots_is_valid(r->options.v[i]))
			strs_push(&valid, a, r->options.v[i]);
	r->options = valid;
}

/* The host's own addresses, and what the container cannot reach, are asked from the host. A user
 * who names a loopback server means the container's. */
static bool from_host(const struct resolv *r, struct ip ip, const char *zone)
{
	return !r->own_servers && (ip_is_loopback(ip) || (ip.family == 6 && !r->ipv6) || zone);
}

void resolv_servers(const struct resolv *r, struct strs *ret, struct arena *a)
{
	char text[IP_TEXT_MAX];
	const char *zone;
	struct ip ip;

	for (size_t i = 0; i < r->servers.n; i++) {
		unsigned scope;

		if (!server_ip(r->servers.v[i], &ip, &zone))
			continue;
		ip_format(ip, text);
		scope = zone ? if_nametoindex(zone) : 0;
		strs_push(ret, a,
			  scope ? arena_printf(a, "host:%s%%%u", text, scope)
				: arena_printf(a, "%s%s", from_host(r, ip, zone) ? "host:" : "",
					       text));
	}
}

/* ---- writing ---- */

static void words(struct buf *out, const char *key, const struct strs *s)
{
	if (s->n == 0)
		return;
	buf_adds(out, key);
	for (size_t i = 0; i < s->n; i++)
		buf_addf(out, " %s", s->v[i]);
}

static void write_comments(const struct resolv *r, struct buf *out)
{
	static const char *const own[] = {"nameservers", "search", "options"};
	const bool is_own[] = {r->own_servers, r->own_search, r->own_options};
	const char *sep = "", *zone;
	struct ip ip;

	buf_addf(out, "\n# Based on host file: '%s'", r->path);
	if (r->form)
		buf_addf(out, " (%s)", r->form);
	buf_adds(out, "\n");
	if (r->defaults)
		buf_adds(out, "# Used default nameservers.\n");
	if (r->internal) {
		buf_adds(out, "# ExtServers: [");
		for (size_t i = 0; i < r->servers.n; i++, sep = " ") {
			bool host = server_ip(r->servers.v[i], &ip, &zone) &&
				    from_host(r, ip, zone);

			buf_addf(out, host ? "%shost(%s)" : "%s%s", sep, r->servers.v[i]);
		}
		buf_adds(out, "]\n");
	}
	if (r->invalid.n > 0) {
		buf_adds(out, "# Invalid nameservers: [");
		for (size_t i = 0; i < r->invalid.n; i++)
			buf_addf(out, "%s%s", i ? " " : "", r->invalid.v[i]);
		buf_adds(out, "]\n");
	}
	buf_adds(out, "# Overrides: [");
	sep = "";
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (is_own[i]) {
			buf_addf(out, "%s%s", sep, own[i]);
			sep = " ";
		}
	buf_adds(out, "]\n");
	if (option_value(&r->options, "ndots"))
		buf_addf(out, "# Option ndots from: %s\n", r->own_options ? "override" : "host");
	else if (r->internal)
		buf_adds(out, "# Option ndots from: internal\n");
}

void resolv_write(const struct resolv *r, struct buf *out)
{
	bool add_ndots = r->internal && !option_value(&r->options, "ndots");

	buf_adds(out, "# Written by coracle when the container started. Once somebody edits this "
		      "file, it is left\n# as it is.\n\n");
	if (r->internal)
		buf_addf(out, "nameserver %s\n", RESOLV_INTERNAL);
	for (size_t i = 0; !r->internal && i < r->servers.n; i++)
		buf_addf(out, "nameserver %s\n", r->servers.v[i]);
	words(out, "search", &r->search);
	if (r->search.n > 0)
		buf_addc(out, '\n');
	words(out, "options", &r->options);
	if (add_ndots)
		buf_adds(out, r->options.n > 0 ? " ndots:0" : "options ndots:0");
	if (add_ndots || r->options.n > 0)
		buf_addc(out, '\n');
	for (size_t i = 0; i < r->other.n; i++)
		buf_addf(out, "%s\n", r->other.v[i]);
	write_comments(r, out);
}
