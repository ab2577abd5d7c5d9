/* SPDX-License-Identifier: Apache-2.0 */
/* Version prefix, query strings and the routing table; see route.h. */
#include "api/route.h"

#include "base/num.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* In place; NULL on a bad escape or a NUL byte. */
static char *percent_decode(char *s, size_t n, bool plus)
{
	char *out = s;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			if (i + 2 >= n)
				return NULL;
			int hi = hex_value(s[i + 1]), lo = hex_value(s[i + 2]);
			if (hi < 0 || lo < 0 || hi + lo == 0)
				return NULL;
			c = (char)(hi * 16 + lo);
			i += 2;
		}
		*out++ = c;
	}
	*out = '\0';
	return s;
}

/* Compare dotted numbers "1.9" < "1.24"; fields past the end are 0. Only digits and dots come here.
 */
static int version_compare(const char *a, const char *b)
{
	while (*a || *b) {
		uint64_t x = 0, y = 0;
		for (; *a && *a != '.'; a++)
			x = MIN(x * 10 + (uint64_t)(*a - '0'), UINT32_MAX);
		for (; *b && *b != '.'; b++)
			y = MIN(y * 10 + (uint64_t)(*b - '0'), UINT32_MAX);
		if (x != y)
			return x < y ? -1 : 1;
		a += *a == '.';
		b += *b == '.';
	}
	return 0;
}

/* "/v1.41/x": *path moves to "/x". Text that is no version stays part of the path. */
static int take_version(char **path, int *ret, struct arena *a, struct err *e)
{
	char max[16], min[16];
	char *p = *path;
	size_t n;

	*ret = API_VERSION_MAX;
	if (p[0] != '/' || p[1] != 'v' || p[2] < '0' || p[2] > '9')
		return 0;
	n = strspn(p + 2, "0123456789.");
	if (p[2 + n] != '/')
		return 0;
	const char *v = arena_strndup(a, p + 2, n);
	snprintf(max, sizeof max, "1.%d", API_VERSION_MAX);
	snprintf(min, sizeof min, "1.%d", API_VERSION_MIN);
	if (version_compare(v, max) > 0)
		return err_set(e, ERR_INVALID,
			       "client version %s is too new. Maximum supported API version is %s",
			       v, max);
	if (version_compare(v, min) < 0)
		return err_set(e, ERR_INVALID,
			       "client version %s is too old. Minimum supported API version is %s, "
			       "please upgrade your "
			       "client to a newer version",
			       v, min);
	const char *dot = strchr(v, '.');
	uint64_t minor = 0;
	for (dot = dot ? dot + 1 : ""; *dot >= '0' && *dot <= '9'; dot++)
		minor = MIN(minor * 10 + (uint64_t)(*dot - '0'), (uint64_t)API_VERSION_MAX);
	*ret = (int)minor;
	*path = p + 2 + n;
	return 0;
}

static int parse_query(char *text, struct api_target *t, struct arena *a, struct err *e)
{
	size_t count = 1;

	for (const char *p = text; *p; p++)
		count += *p == '&';
	if (count > API_QUERY_MAX)
		return err_set(e, ERR_INVALID, "too many query parameters");
	t->query = arena_alloc(a, count * sizeof *t->query);
	while (text) {
		char *next = strchr(text, '&');
		if (next)
			*next++ = '\0';
		if (*text) {
			char *eq = strchr(text, '=');
			char *value = eq ? eq + 1 : text + strlen(text);
			if (eq)
				*eq = '\0';
			if (!percent_decode(text, strlen(text), true) ||
			    !percent_decode(value, strlen(value), true))
				return err_set(e, ERR_INVALID, "invalid URL escape in the query");
			t->query[t->nquery++] = (struct api_query){text, value};
		}
		text = next;
	}
	return 0;
}

int api_target_parse(const char *text, struct api_target *ret, struct arena *a, struct err *e)
{
	struct api_target t = {0};
	char *path = arena_strdup(a, text);
	char *query = strchr(path, '?');

	if (query) {
		*query++ = '\0';
		if (parse_query(query, &t, a, e) < 0)
			return -1;
	}
	if (take_version(&path, &t.version, a, e) < 0)
		return -1;
	if (path[0] != '/' || !percent_decode(path, strlen(path), false))
		return err_set(e, ERR_INVALID, "invalid URL escape in the path");
	t.path = path;
	*ret = t;
	return 0;
}

const char *api_target_query(const struct api_target *t, const char *key)
{
	for (size_t i = 0; i < t->nquery; i++)
		if (strcmp(t->query[i].k, key) == 0)
			return t->query[i].v;
	return NULL;
}

/* Length of the text that a greedy parameter takes: everything before the fixed tail of the
 * pattern. */
static size_t greedy_length(const char *path, const char *tail)
{
	size_t n = strlen(path), t = strlen(tail);

	if (n <= t || strcmp(path + n - t, tail) != 0)
		return 0;
	return n - t;
}

static bool match(const char *pattern, const char *path, const char **params, struct arena *a)
{
	size_t nparams = 0;

	while (*pattern) {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		const char *end = strchr(pattern, '}');
		ASSERT(end && nparams < API_PARAMS_MAX);
		size_t n = end[-1] == '*' ? greedy_length(path, end + 1) : strcspn(path, "/");
		if (n == 0)
			return false;
		if (params)
			params[nparams++] = arena_strndup(a, path, n);
		path += n;
		pattern = end + 1;
	}
	return *path == '\0';
}

const struct api_route *api_route_find(const struct api_route *table, const char *method,
				       const char *path,
				       const char *ret_params[static API_PARAMS_MAX],
				       struct arena *a)
{
	for (const struct api_route *r = table; r->pattern; r++) {
		if (strcmp(r->method, method) != 0 || !match(r->pattern, path, NULL, NULL))
			continue;
		match(r->pattern, path, ret_params, a);
		return r;
	}
	return NULL;
}

bool api_bool_parse(const char *text)
{
	if (!text || !*text || strcmp(text, "0") == 0)
		return false;
	return strcasecmp(text, "no") != 0 && strcasecmp(text, "false") != 0 &&
	       strcasecmp(text, "none") != 0;
}
