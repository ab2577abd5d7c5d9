/* SPDX-License-Identifier: Apache-2.0 */
/* See auth.h. Challenge syntax: RFC 9110, 11.6.1: scheme, then name=token or name="quoted". */
#include "image/auth.h"

#include "base/json.h"
#include "image/ref.h"
#include "wire/base64.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

#define HUB_KEY "https://index.docker.io/v1/" /* of Docker Hub, in the files of clients */

static bool is_token(char c)
{
	return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static const char *skip(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == ',')
		p++;
	return p;
}

/* name="value" at *p; false when there is no parameter. Values too long are cut. */
static bool take_param(const char **p, char *name, size_t name_n, char *value, size_t value_n)
{
	const char *s = skip(*p), *start = s;
	while (is_token(*s))
		s++;
	size_t len = (size_t)(s - start);
	const char *eq = s;
	while (*eq == ' ')
		eq++;
	if (!len || *eq != '=')
		return false;
	snprintf(name, name_n, "%.*s", (int)MIN(len, name_n - 1), start);
	s = eq + 1;
	while (*s == ' ')
		s++;
	size_t n = 0;
	if (*s == '"') {
		for (s++; *s && *s != '"'; s++) {
			if (*s == '\\' && s[1])
				s++;
			if (n + 1 < value_n)
				value[n++] = *s;
		}
		if (*s == '"')
			s++;
	} else {
		for (; *s && *s != ',' && *s != ' '; s++)
			if (n + 1 < value_n)
				value[n++] = *s;
	}
	value[n] = '\0';
	*p = s;
	return true;
}

void auth_challenge_parse(const char *header, struct auth_challenge *ret)
{
	*ret = (struct auth_challenge){0};
	const char *p = header ? header : "";
	while (*(p = skip(p))) {
		struct auth_challenge c = {0};
		const char *start = p;
		while (is_token(*p))
			p++;
		size_t n = (size_t)(p - start);
		if (!n) {
			p++; /* garbage */
			continue;
		}
		if (n == 6 && !strncasecmp(start, "bearer", 6))
			c.scheme = AUTH_BEARER;
		else if (n == 5 && !strncasecmp(start, "basic", 5))
			c.scheme = AUTH_BASIC;
		char name[32], value[1024];
		while (take_param(&p, name, sizeof(name), value, sizeof(value))) {
			if (!strcasecmp(name, "realm"))
				snprintf(c.realm, sizeof(c.realm), "%s", value);
			else if (!strcasecmp(name, "service"))
				snprintf(c.service, sizeof(c.service), "%.255s", value);
			else if (!strcasecmp(name, "scope"))
				snprintf(c.scope, sizeof(c.scope), "%s", value);
			else if (!strcasecmp(name, "error"))
				snprintf(c.error, sizeof(c.error), "%.127s", value);
		}
		if (c.scheme == AUTH_BEARER && !c.realm[0])
			continue;
		if (c.scheme > ret->scheme)
			*ret = c;
	}
}

void auth_basic_value(const struct auth_credentials *c, struct buf *out)
{
	AUTO_BUF struct buf pair = BUF_INIT(sizeof(*c));
	buf_addf(&pair, "%s:%s", c->user, c->secret);
	buf_adds(out, "Basic ");
	base64_encode(buf_text(&pair), pair.n, out);
}

void auth_url_encode(const char *s, struct buf *out)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

static bool copy_field(const struct json *j, const char *key, char *to, size_t size)
{
	const char *s = json_str(json_get_icase(j, key));
	if (!s)
		return true;
	return (size_t)snprintf(to, size, "%s", s) < size;
}

static bool split_auth(const char *auth, struct auth_credentials *c)
{
	AUTO_BUF struct buf pair = BUF_INIT(sizeof(c->user) + sizeof(c->secret));
	if (!base64_decode_any(auth, strlen(auth), &pair))
		return false;
	const char *text = buf_text(&pair), *colon = strchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(c->user))
		return false;
	snprintf(c->user, sizeof(c->user), "%.*s", (int)(colon - text), text);
	return (size_t)snprintf(c->secret, sizeof(c->secret), "%s", colon + 1) < sizeof(c->secret);
}

/* The texts of one credentials object; false when one is too long or malformed. */
static bool take_fields(const struct json *j, struct auth_credentials *ret)
{
	bool ok = copy_field(j, "username", ret->user, sizeof(ret->user)) &&
		  copy_field(j, "password", ret->secret, sizeof(ret->secret)) &&
		  copy_field(j, "identitytoken", ret->identity_token,
			     sizeof(ret->identity_token)) &&
		  copy_field(j, "registrytoken", ret->registry_token, sizeof(ret->registry_token));
	const char *auth = json_str(json_get_icase(j, "auth"));

	if (ok && auth && *auth && !ret->user[0])
		ok = split_auth(auth, ret);
	return ok;
}

/* A header's base64 of a JSON object; domain: the object is one of credentials by server. */
static int decode(const char *name, const char *header, size_t max, const char *domain,
		  struct auth_credentials *ret, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(max);
	AUTO(json) struct json *j = NULL;

	*ret = (struct auth_credentials){0};
	if (!header || !*header)
		return 0;
	if (!base64_decode_any(header, strlen(header), &text))
		return err_set(e, ERR_INVALID, "invalid %s header: malformed base64", name);
	if (json_parse(buf_text(&text), text.n, &j, e) < 0) {
		explicit_bzero(text.p, text.n);
		return err_set(e, ERR_INVALID, "invalid %s header: not JSON",
			       name); /* no secrets */
	}
	explicit_bzero(text.p, text.n);
	const struct json *mine = j;
	if (domain)
		mine = json_get(j, strcmp(domain, IMAGE_REF_HUB) ? domain : HUB_KEY);
	if (!mine || take_fields(mine, ret))
		return 0;
	auth_credentials_wipe(ret);
	return err_set(e, ERR_INVALID, "invalid %s header: a value is too long or malformed", name);
}

int auth_credentials_decode(const char *header, struct auth_credentials *ret, struct err *e)
{
	return decode("X-Registry-Auth", header, (size_t)32 << 10, NULL, ret, e);
}

int auth_credentials_pick(const char *header, const char *domain, struct auth_credentials *ret,
			  struct err *e)
{
	return decode("X-Registry-Config", header, (size_t)256 << 10, domain, ret, e);
}

void auth_credentials_wipe(struct auth_credentials *c)
{
	explicit_bzero(c, sizeof(*c));
}
