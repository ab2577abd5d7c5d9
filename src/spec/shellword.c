/* SPDX-License-Identifier: Apache-2.0 */
/* See shellword.h. */
#include "spec/shellword.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define RESULT_MAX ((size_t)64 << 10)
#define DEPTH_MAX  8 /* ${A:-${B:-...}} */

struct scan {
	const char *p;
	const struct strs *env;
	struct buf *out;
	struct err *e;
	unsigned depth;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void shellword_split(const char *text, struct strs *ret, struct arena *a)
{
	const char *p = text;

	/* A word and a blank are two bytes at least. */
	*ret = (struct strs){.v = arena_alloc(a, (strlen(text) / 2 + 2) * sizeof(*ret->v)),
			     .set = true};
	for (;;) {
		const char *start;
		char quote = 0;

		while (is_blank(*p))
			p++;
		if (!*p)
			return;
		for (start = p; *p && (quote || !is_blank(*p)); p++) {
			if (*p == '\\' && p[1] && quote != '\'')
				p++;
			else if (quote)
				quote = *p == quote ? 0 : quote;
			else if (*p == '"' || *p == '\'')
				quote = *p;
		}
		ret->v[ret->n++] = arena_strndup(a, start, (size_t)(p - start));
	}
}

static const char *lookup(const struct strs *env, const char *name, size_t n)
{
	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], name, n) && env->v[i][n] == '=')
			return env->v[i] + n + 1;
	return NULL;
}

static size_t name_length(const char *p)
{
	size_t n = 0;

	if (isdigit((unsigned char)*p) || (*p && strchr("@*#!$-?", *p)))
		return 1;
	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

static int scan_until(struct scan *s, char end);

/* After "${NAME" with a modifier: the word up to the closing brace goes to out. */
static int braced_word(struct scan *s, struct buf *out)
{
	struct buf *outer = s->out;

	if (++s->depth > DEPTH_MAX)
		return err_set(s->e, ERR_LIMIT, "variables are nested more than %d deep",
			       DEPTH_MAX);
	s->out = out;
	int rc = scan_until(s, '}');
	s->out = outer;
	s->depth--;
	if (rc == 0 && *s->p != '}')
		return err_set(s->e, ERR_INVALID,
			       "syntax error: missing '}' in the substitution of a variable");
	s->p += rc == 0;
	return rc;
}

static int braced(struct scan *s)
{
	AUTO_BUF struct buf word = BUF_INIT(RESULT_MAX);
	const char *name = s->p;
	size_t n = name_length(name);

	if (!n)
		return err_set(s->e, ERR_INVALID, "syntax error: bad substitution");
	const char *value = lookup(s->env, name, n);
	s->p += n;
	if (*s->p == '}') {
		s->p++;
		buf_adds(s->out, value ? value : "");
		return 0;
	}
	if (!*s->p)
		return err_set(s->e, ERR_INVALID,
			       "syntax error: missing '}' in the substitution of a variable");
	bool colon = *s->p == ':';
	char how = s->p[colon];
	if (!how || !strchr("-+?", how))
		return err_set(s->e, ERR_INVALID, "unsupported modifier (%.2s) in substitution",
			       s->p);
	s->p += 1 + colon;
	if (braced_word(s, &word) < 0)
		return -1;
	bool have = value && (!colon || *value);
	if (how == '?' && !have)
		return err_set(s->e, ERR_INVALID, "%.*s: %s", (int)n, name,
			       word.n ? buf_text(&word) : "is not set");
	if (how == '+')
		buf_adds(s->out, have ? buf_text(&word) : "");
	else
		buf_adds(s->out, have ? value : buf_text(&word));
	return 0;
}

static int dollar(struct scan *s)
{
	if (*++s->p == '{') {
		s->p++;
		return braced(s);
	}
	size_t n = name_length(s->p);
	if (!n) {
		buf_addc(s->out, '$');
		return 0;
	}
	const char *value = lookup(s->env, s->p, n);
	buf_adds(s->out, value ? value : "");
	s->p += n;
	return 0;
}

static int single_quoted(struct scan *s)
{
	const char *end = strchr(++s->p, '\'');

	if (!end)
		return err_set(s->e, ERR_INVALID,
			       "unexpected end of statement while looking for matching "
			       "single-quote");
	buf_add(s->out, s->p, (size_t)(end - s->p));
	s->p = end + 1;
	return 0;
}

static int double_quoted(struct scan *s)
{
	for (s->p++; *s->p != '"';) {
		if (!*s->p)
			return err_set(s->e, ERR_INVALID,
				       "unexpected end of statement while looking for matching "
				       "double-quote");
		if (*s->p == '$') {
			if (dollar(s) < 0)
				return -1;
			continue;
		}
		if (*s->p == '\\' && s->p[1] && strchr("\"$\\", s->p[1]))
			s->p++;
		buf_addc(s->out, *s->p++);
	}
	s->p++;
	return 0;
}

static int scan_until(struct scan *s, char end)
{
	while (*s->p && *s->p != end) {
		int rc = 0;

		if (*s->p == '\'') {
			rc = single_quoted(s);
		} else if (*s->p == '"') {
			rc = double_quoted(s);
		} else if (*s->p == '$') {
			rc = dollar(s);
		} else {
			if (*s->p == '\\' && s->p[1])
				s->p++;
			else if (*s->p == '\\')
				return s->p++, 0; /* a last backslash protects nothing */
			buf_addc(s->out, *s->p++);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

int shellword_expand(const char *word, const struct strs *env, const char **ret, struct arena *a,
		     struct err *e)
{
	AUTO_BUF struct buf out = BUF_INIT(RESULT_MAX);
	struct scan s = {.p = word, .env = env, .out = &out, .e = e};

	if (scan_until(&s, '\0') < 0)
		return -1;
	if (out.overflow)
		return err_set(e, ERR_LIMIT, "a word of more than %zu bytes", RESULT_MAX);
	*ret = arena_strdup(a, buf_text(&out));
	return 0;
}
