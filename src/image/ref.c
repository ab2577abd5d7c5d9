/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grammar (distribution's reference syntax):
 *   [domain "/"] component *("/" component) [":" tag] ["@" digest]
 *   component: lower-case letters and digits, separated inside by ".", "_", "__" or any number of
 * "-" tag: word character, then up to 127 of word, "." and "-" The first component is a domain only
 * when it looks like one: it has a "." or ":", is "localhost", or has an upper-case letter.
 */
#include "image/ref.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define NAME_MAX_LEN 255

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* Number of separator characters at p when they form one separator, else 0. */
static size_t separator(const char *p, size_t n)
{
	if (p[0] == '.')
		return 1;
	if (p[0] == '_')
		return n > 1 && p[1] == '_' ? 2 : 1;
	size_t i = 0;
	while (i < n && p[i] == '-')
		i++;
	return i;
}

static bool component_valid(const char *p, size_t n)
{
	size_t i = 0;
	for (;;) {
		size_t start = i;
		while (i < n && is_lower_alnum(p[i]))
			i++;
		if (i == start)
			return false;
		if (i == n)
			return true;
		size_t sep = separator(p + i, n - i);
		if (!sep)
			return false;
		i += sep;
	}
}

static bool path_valid(const char *p, size_t n)
{
	struct str rest = {p, n}, part;
	if (!n || p[n - 1] == '/')
		return false;
	while (str_cut(&rest, '/', &part))
		if (!component_valid(part.p, part.n))
			return false;
	return true;
}

static bool host_valid(const char *p, size_t n)
{
	if (n > 2 && p[0] == '[' && p[n - 1] == ']') {
		for (size_t i = 1; i < n - 1; i++)
			if (!isxdigit((unsigned char)p[i]) && p[i] != ':')
				return false;
		return true;
	}
	struct str rest = {p, n}, part;
	if (!n || p[n - 1] == '.')
		return false;
	while (str_cut(&rest, '.', &part)) {
		if (!part.n || !is_alnum(part.p[0]) || !is_alnum(part.p[part.n - 1]))
			return false;
		for (size_t i = 0; i < part.n; i++)
			if (!is_alnum(part.p[i]) && part.p[i] != '-')
				return false;
	}
	return true;
}

static bool domain_valid(const char *p, size_t n)
{
	size_t host = n;
	for (size_t i = n; i > 0; i--) {
		if (p[i - 1] == ':') {
			host = i - 1;
			break;
		}
		if (p[i - 1] < '0' || p[i - 1] > '9')
			break;
	}
	if (host != n && host + 1 == n)
		return false;
	return host_valid(p, host);
}

bool image_ref_tag_valid(const char *tag)
{
	size_t n = strlen(tag);
	if (!n || n > 128 || tag[0] == '.' || tag[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(tag[i]) && tag[i] != '_' && tag[i] != '.' && tag[i] != '-')
			return false;
	return true;
}

static bool has_upper(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			return true;
	return false;
}

static bool is_hex_id(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* Length of the domain part of text, 0 when it has none. */
static size_t domain_length(const char *text)
{
	const char *slash = strchr(text, '/');
	if (!slash)
		return 0;
	size_t n = (size_t)(slash - text);
	bool dom = memchr(text, '.', n) || memchr(text, ':', n) || has_upper(text, n) ||
		   (n == 9 && !memcmp(text, "localhost", 9));
	return dom ? n : 0;
}

static int invalid(struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid reference format");
}

/* rest: "path[:tag][@digest]", domain already in r. */
static int parse_rest(const char *rest, struct image_ref *r, struct err *e)
{
	const char *at = strchr(rest, '@');
	size_t n = at ? (size_t)(at - rest) : strlen(rest);
	const char *colon = memchr(rest, ':', n);
	size_t path_n = colon ? (size_t)(colon - rest) : n;
	const char *lib = !strcmp(r->domain, IMAGE_REF_HUB) && !memchr(rest, '/', path_n)
				  ? "library/"
				  : "";

	if (has_upper(rest, path_n))
		return err_set(
			e, ERR_INVALID,
			"invalid reference format: repository name (%s%.*s) must be lowercase", lib,
			(int)MIN(path_n, (size_t)256), rest);
	if (!path_valid(rest, path_n))
		return invalid(e);
	if (strlen(lib) + path_n > NAME_MAX_LEN)
		return err_set(e, ERR_INVALID,
			       "repository name must not be more than 255 characters");
	snprintf(r->path, sizeof(r->path), "%s%.*s", lib, (int)path_n, rest);
	if (colon) {
		size_t tag_n = n - path_n - 1;
		if (tag_n > 128)
			return invalid(e);
		memcpy(r->tag, colon + 1, tag_n);
		if (!image_ref_tag_valid(r->tag))
			return invalid(e);
	}
	if (at && digest_parse(at + 1, &r->digest) < 0)
		return invalid(e);
	return 0;
}

int image_ref_parse(const char *text, struct image_ref *ret, struct err *e)
{
	struct image_ref r = {0};
	if (!text || !*text || strlen(text) >= IMAGE_REF_TEXT_MAX)
		return invalid(e);
	if (is_hex_id(text))
		return err_set(
			e, ERR_INVALID,
			"invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
			text);
	size_t dom = domain_length(text);
	const char *rest = text;
	if (dom) {
		if (dom >= sizeof(r.domain) || !domain_valid(text, dom))
			return invalid(e);
		memcpy(r.domain, text, dom);
		rest = text + dom + 1;
	}
	if (!dom || !strcmp(r.domain, "index.docker.io"))
		snprintf(r.domain, sizeof(r.domain), IMAGE_REF_HUB);
	if (parse_rest(rest, &r, e) < 0)
		return -1;
	if (strlen(r.domain) + 1 + strlen(r.path) > NAME_MAX_LEN)
		return err_set(e, ERR_INVALID,
			       "repository name must not be more than 255 characters");
	*ret = r;
	return 0;
}

void image_ref_default_tag(struct image_ref *r)
{
	if (!r->tag[0] && !digest_is_set(&r->digest))
		snprintf(r->tag, sizeof(r->tag), "latest");
}

void image_ref_name(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX])
{
	snprintf(ret, IMAGE_REF_TEXT_MAX, "%s/%s", r->domain, r->path);
}

void image_ref_canonical(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX])
{
	bool by_digest = digest_is_set(&r->digest);
	snprintf(ret, IMAGE_REF_TEXT_MAX, "%.255s/%.255s%s%.*s", r->domain, r->path,
		 by_digest ? "@" : (r->tag[0] ? ":" : ""), (int)DIGEST_TEXT_MAX,
		 by_digest ? r->digest.text : r->tag);
}

void image_ref_familiar_name(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX])
{
	if (strcmp(r->domain, IMAGE_REF_HUB)) {
		image_ref_name(r, ret);
		return;
	}
	const char *path = r->path;
	if (str_starts(path, "library/") && !strchr(path + 8, '/'))
		path += 8;
	snprintf(ret, IMAGE_REF_TEXT_MAX, "%s", path);
}

void image_ref_familiar(const struct image_ref *r, char ret[static IMAGE_REF_TEXT_MAX])
{
	char name[IMAGE_REF_TEXT_MAX];
	image_ref_familiar_name(r, name);
	bool by_digest = digest_is_set(&r->digest);
	snprintf(ret, IMAGE_REF_TEXT_MAX, "%.300s%s%s%s%s", name, r->tag[0] ? ":" : "", r->tag,
		 by_digest ? "@" : "", by_digest ? r->digest.text : "");
}

void image_ref_text_familiar(const char *canonical, char ret[static IMAGE_REF_TEXT_MAX])
{
	struct image_ref r;
	struct err e = ERR_INIT;
	if (image_ref_parse(canonical, &r, &e) < 0)
		snprintf(ret, IMAGE_REF_TEXT_MAX, "%s", canonical);
	else
		image_ref_familiar(&r, ret);
}
