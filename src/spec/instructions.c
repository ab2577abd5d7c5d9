/* SPDX-License-Identifier: Apache-2.0 */
/* See instructions.h. One function per instruction; a table binds them to their names. */
#include "spec/instructions.h"
#include "spec/ports.h"
#include "spec/shellword.h"
#include "spec/signals.h"

#include "base/num.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

#define TEXT_MAX  ((size_t)1 << 20)
#define PORTS_MAX 65536

struct ctx {
	struct container_config *c;
	struct arena *a;
	struct err *e;
	const char *name; /* upper case */
	bool cmd_set;
};

/* ---- helpers ---- */

static const char *skip_blank(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

static int expand(struct ctx *x, const char *word, const char **ret)
{
	return shellword_expand(word, &x->c->env, ret, x->a, x->e);
}

static int one_argument(struct ctx *x, const char *rest, const char **ret)
{
	struct strs words;

	shellword_split(rest, &words, x->a);
	if (words.n != 1)
		return err_set(x->e, ERR_INVALID, "%s requires exactly one argument", x->name);
	return expand(x, words.v[0], ret);
}

/*
 * The lists of the configuration are copied once to arrays that are ours: their capacity is the
 * next power of two, so growing costs linear memory however many lines there are.
 */
static size_t capacity(size_t n)
{
	size_t cap = 8;

	while (cap < n)
		cap *= 2;
	return cap;
}

static void *grown(struct arena *a, const void *old, size_t n, size_t cap, size_t size)
{
	void *v = arena_alloc(a, cap * size);

	if (n)
		memcpy(v, old, n * size);
	return v;
}

static void own(struct arena *a, struct strs *s)
{
	s->v = grown(a, s->v, s->n, capacity(s->n), sizeof(*s->v));
}

static void push(struct arena *a, struct strs *s, const char *v)
{
	if (capacity(s->n) == s->n)
		s->v = grown(a, s->v, s->n, 2 * s->n, sizeof(*s->v));
	s->v[s->n++] = v;
	s->set = true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sets are sorted and without doubles: the same instructions always give the same configuration. */
static void set_tidy(struct strs *set)
{
	size_t n = 0;

	qsort(set->v, set->n, sizeof(*set->v), compare);
	for (size_t i = 0; i < set->n; i++)
		if (!n || strcmp(set->v[n - 1], set->v[i]))
			set->v[n++] = set->v[i];
	set->n = n;
}

/* ["a","b"] to *ret; false when it is not an array of strings. */
static bool json_form(struct ctx *x, const char *rest, struct strs *ret)
{
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;

	if (*rest != '[' || json_parse(rest, strlen(rest), &j, &none) < 0 ||
	    json_kind_of(j) != JSON_ARRAY)
		return false;
	*ret = (struct strs){.v = arena_alloc(x->a, (json_len(j) + 1) * sizeof(*ret->v)),
			     .set = true};
	for (size_t i = 0; i < json_len(j); i++) {
		const char *s = json_str(json_at(j, i));
		if (!s)
			return false;
		ret->v[ret->n++] = arena_strdup(x->a, s);
	}
	return true;
}

/* A command: exec form, or a line for the image's shell. */
static struct strs command(struct ctx *x, const char *rest)
{
	struct strs v;

	if (json_form(x, rest, &v))
		return v;
	v = (struct strs){.set = true};
	if (x->c->shell.n) {
		for (size_t i = 0; i < x->c->shell.n; i++)
			strs_push(&v, x->a, x->c->shell.v[i]);
	} else {
		strs_push(&v, x->a, "/bin/sh");
		strs_push(&v, x->a, "-c");
	}
	strs_push(&v, x->a, arena_strdup(x->a, rest));
	return v;
}

/* ---- NAME=value lists ---- */

static int pair_add(struct ctx *x, const char *key, const char *value,
		    void (*set)(struct ctx *, const char *, const char *))
{
	const char *k, *v;

	if (expand(x, key, &k) < 0 || expand(x, value, &v) < 0)
		return -1;
	if (!*k)
		return err_set(x->e, ERR_INVALID, "%s names can not be blank", x->name);
	set(x, k, v);
	return 0;
}

/* "k=v k2='v 2'", or the old form "k the rest". */
static int pairs(struct ctx *x, const char *rest,
		 void (*set)(struct ctx *, const char *, const char *))
{
	struct strs words;

	shellword_split(rest, &words, x->a);
	if (!strchr(words.v[0], '=')) {
		const char *value = skip_blank(rest + strlen(words.v[0]));
		if (!*value)
			return err_set(x->e, ERR_INVALID, "%s must have two arguments", x->name);
		return pair_add(x, words.v[0], value, set);
	}
	for (size_t i = 0; i < words.n; i++) {
		const char *eq = strchr(words.v[i], '=');
		if (!eq)
			return err_set(x->e, ERR_INVALID,
				       "Syntax error - can't find = in \"%.200s\". Must be of the "
				       "form: name=value",
				       words.v[i]);
		char *key = arena_strndup(x->a, words.v[i], (size_t)(eq - words.v[i]));
		if (pair_add(x, key, eq + 1, set) < 0)
			return -1;
	}
	return 0;
}

static void set_env(struct ctx *x, const char *k, const char *v)
{
	char *text = arena_printf(x->a, "%s=%s", k, v);
	size_t n = strlen(k) + 1;

	for (size_t i = 0; i < x->c->env.n; i++) {
		if (!strncmp(x->c->env.v[i], text, n)) {
			x->c->env.v[i] = text;
			return;
		}
	}
	push(x->a, &x->c->env, text);
}

/* Sorted, as the sets. */
static void set_label(struct ctx *x, const char *k, const char *v)
{
	struct strmap *m = &x->c->labels;
	size_t at = 0;

	while (at < m->n && strcmp(m->v[at].k, k) < 0)
		at++;
	if (at == m->n || strcmp(m->v[at].k, k) != 0) {
		if (capacity(m->n) == m->n)
			m->v = grown(x->a, m->v, m->n, 2 * m->n, sizeof(*m->v));
		memmove(m->v + at + 1, m->v + at, (m->n++ - at) * sizeof(*m->v));
		m->v[at].k = arena_strdup(x->a, k);
	}
	m->v[at].v = v;
	m->set = true;
}

static int compare_label(const void *a, const void *b)
{
	return strcmp(((const struct strmap_entry *)a)->k, ((const struct strmap_entry *)b)->k);
}

/* ---- the instructions ---- */

static int do_env(struct ctx *x, const char *rest)
{
	return pairs(x, rest, set_env);
}

static int do_label(struct ctx *x, const char *rest)
{
	return pairs(x, rest, set_label);
}

static int do_cmd(struct ctx *x, const char *rest)
{
	x->c->cmd = command(x, rest);
	x->c->args_escaped = false;
	x->cmd_set = true;
	return 0;
}

/* The command of the image belongs to its old entry point: it goes unless CMD came before. */
static int do_entrypoint(struct ctx *x, const char *rest)
{
	x->c->entrypoint = command(x, rest);
	if (!x->cmd_set)
		x->c->cmd = (struct strs){0};
	return 0;
}

static int expose_one(struct ctx *x, const char *spec)
{
	const char *slash = strchr(spec, '/'), *proto = slash && slash[1] ? slash + 1 : "tcp";
	const char *end = slash ? slash : spec + strlen(spec);
	struct port_range r;

	/* As Docker: "8080:80" exposes the container's side. */
	for (const char *p = spec; p < end; p++)
		if (*p == ':')
			spec = p + 1;
	if (port_proto_parse(proto, strlen(proto), &r.proto) < 0)
		return err_set(x->e, ERR_INVALID, "invalid proto: %.60s", proto);
	if (port_numbers_parse(spec, (size_t)(end - spec), &r) < 0)
		return err_set(x->e, ERR_INVALID, "invalid containerPort: %.60s", spec);
	if (r.last - r.first + x->c->exposed_ports.n > PORTS_MAX)
		return err_set(x->e, ERR_LIMIT, "EXPOSE of more than %d ports", PORTS_MAX);
	for (unsigned port = r.first; port <= r.last; port++) {
		char *text = arena_alloc(x->a, PORT_TEXT_MAX);

		push(x->a, &x->c->exposed_ports, port_format((uint16_t)port, r.proto, text));
	}
	return 0;
}

static int do_expose(struct ctx *x, const char *rest)
{
	struct strs words, more;
	const char *text;

	shellword_split(rest, &words, x->a);
	for (size_t i = 0; i < words.n; i++) {
		if (expand(x, words.v[i], &text) < 0)
			return -1;
		shellword_split(text, &more, x->a); /* a variable may hold several */
		for (size_t k = 0; k < more.n; k++)
			if (expose_one(x, more.v[k]) < 0)
				return -1;
	}
	set_tidy(&x->c->exposed_ports);
	return 0;
}

static int do_user(struct ctx *x, const char *rest)
{
	return one_argument(x, rest, &x->c->user);
}

static int do_stopsignal(struct ctx *x, const char *rest)
{
	const char *text;

	if (one_argument(x, rest, &text) < 0)
		return -1;
	if (signal_parse(text) < 0)
		return err_set(x->e, ERR_INVALID, "invalid signal: %.60s", text);
	x->c->stop_signal = text;
	return 0;
}

static int do_volume(struct ctx *x, const char *rest)
{
	struct strs words;
	bool json = json_form(x, rest, &words);

	if (!json)
		shellword_split(rest, &words, x->a);
	if (!words.n)
		return err_set(x->e, ERR_INVALID, "VOLUME requires at least one argument");
	for (size_t i = 0; i < words.n; i++) {
		const char *path;
		if (expand(x, words.v[i], &path) < 0)
			return -1;
		if (!*path)
			return err_set(x->e, ERR_INVALID,
				       "VOLUME specified can not be an empty string");
		push(x->a, &x->c->volumes, path);
	}
	set_tidy(&x->c->volumes);
	return 0;
}

/* path.Join(old, new): "." and ".." are resolved as text. */
static char *join_path(struct ctx *x, const char *old, const char *path)
{
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	char *whole = *path == '/' ? arena_strdup(x->a, path)
				   : arena_printf(x->a, "%s/%s", old ? old : "", path);
	struct str rest = str_of(whole), part;

	while (str_cut(&rest, '/', &part)) {
		if (!part.n || str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			while (out.n && out.p[--out.n] != '/')
				;
			continue;
		}
		buf_addc(&out, '/');
		buf_add(&out, part.p, part.n);
	}
	return out.n ? arena_strndup(x->a, out.p, out.n) : arena_strdup(x->a, "/");
}

static int do_workdir(struct ctx *x, const char *rest)
{
	const char *path;

	/* The whole line: a path may have blanks. */
	if (expand(x, rest, &path) < 0)
		return -1;
	x->c->working_dir = join_path(x, x->c->working_dir, path);
	return 0;
}

static int do_onbuild(struct ctx *x, const char *rest)
{
	size_t n = strcspn(rest, " \t");

	if (n == 7 && !strncasecmp(rest, "ONBUILD", n))
		return err_set(x->e, ERR_INVALID,
			       "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	if ((n == 4 && !strncasecmp(rest, "FROM", n)) ||
	    (n == 10 && !strncasecmp(rest, "MAINTAINER", n)))
		return err_set(x->e, ERR_INVALID, "%.*s isn't allowed as an ONBUILD trigger",
			       (int)n, rest);
	push(x->a, &x->c->on_build, arena_strdup(x->a, rest));
	return 0;
}

static int health_option(struct ctx *x, struct healthcheck *h, const char *word)
{
	const struct {
		const char *name;
		int64_t *value;
	} times[] = {{"--interval=", &h->interval},
		     {"--timeout=", &h->timeout},
		     {"--start-period=", &h->start_period},
		     {"--start-interval=", &h->start_interval}};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if (!str_starts(word, times[i].name))
			continue;
		const char *text = word + strlen(times[i].name);
		if (num_parse_duration(text, times[i].value) < 0)
			return err_set(x->e, ERR_INVALID, "time: invalid duration \"%.60s\"", text);
		if (*times[i].value && *times[i].value < 1000000)
			return err_set(x->e, ERR_INVALID,
				       "Interval \"%.40s\" cannot be less than 1ms", word + 2);
		return 0;
	}
	if (str_starts(word, "--retries=")) {
		if (num_parse_i64(word + 10, 0, INT32_MAX, &h->retries) < 0)
			return err_set(x->e, ERR_INVALID, "--retries must be at least 0: %.60s",
				       word + 10);
		return 0;
	}
	return err_set(x->e, ERR_INVALID, "unknown flag: %.60s", word);
}

static int do_healthcheck(struct ctx *x, const char *rest)
{
	struct healthcheck *h = arena_alloc(x->a, sizeof(*h));

	while (str_starts(rest, "--")) {
		size_t n = strcspn(rest, " \t");
		if (health_option(x, h, arena_strndup(x->a, rest, n)) < 0)
			return -1;
		rest = skip_blank(rest + n);
	}
	size_t n = strcspn(rest, " \t");
	const char *args = skip_blank(rest + n);
	h->test.set = true;
	if (n == 4 && !strncasecmp(rest, "NONE", n)) {
		if (*args)
			return err_set(x->e, ERR_INVALID, "HEALTHCHECK NONE takes no arguments");
		strs_push(&h->test, x->a, "NONE");
	} else if (n == 3 && !strncasecmp(rest, "CMD", n)) {
		struct strs v;
		bool json = json_form(x, args, &v);
		if (!*args || (json && !v.n))
			return err_set(x->e, ERR_INVALID, "Missing command after HEALTHCHECK CMD");
		own(x->a, &h->test);
		push(x->a, &h->test, json ? "CMD" : "CMD-SHELL");
		for (size_t i = 0; json && i < v.n; i++)
			push(x->a, &h->test, v.v[i]);
		if (!json)
			push(x->a, &h->test, arena_strdup(x->a, args));
	} else {
		return err_set(x->e, ERR_INVALID, "Unknown type \"%.*s\" in HEALTHCHECK (try CMD)",
			       (int)MIN(n, 60), rest);
	}
	x->c->healthcheck = h;
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct ctx *x, const char *rest);
} table[] = {
	{"CMD", do_cmd},	 {"ENTRYPOINT", do_entrypoint},	  {"ENV", do_env},
	{"EXPOSE", do_expose},	 {"HEALTHCHECK", do_healthcheck}, {"LABEL", do_label},
	{"ONBUILD", do_onbuild}, {"STOPSIGNAL", do_stopsignal},	  {"USER", do_user},
	{"VOLUME", do_volume},	 {"WORKDIR", do_workdir},
};

/* ---- lines ---- */

static int one_line(struct ctx *x, const char *line)
{
	line = skip_blank(line);
	size_t n = strcspn(line, " \t");
	const char *rest = skip_blank(line + n);

	if (!n)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strlen(table[i].name) != n || strncasecmp(table[i].name, line, n) != 0)
			continue;
		x->name = table[i].name;
		if (!*rest)
			return err_set(x->e, ERR_INVALID, "%s requires at least one argument",
				       x->name);
		return table[i].fn(x, rest);
	}
	char name[61];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i < MIN(n, sizeof(name) - 1) ? (char)tolower((unsigned char)line[i])
						       : '\0';
	return err_set(x->e, ERR_INVALID, "%s is not a valid change command", name);
}

/* The next line of *p with continuations joined and comments left out; false at the end. */
static bool next_line(const char **p, struct buf *out)
{
	bool more = true;

	buf_reset(out);
	if (!**p)
		return false;
	while (more && **p) {
		const char *start = *p, *end = strchrnul(start, '\n'), *last = end;

		*p = *end ? end + 1 : end;
		if (*skip_blank(start) == '#')
			continue;
		while (last > start && isspace((unsigned char)last[-1]))
			last--;
		more = last > start && last[-1] == '\\';
		buf_add(out, start, (size_t)(last - start) - more);
	}
	return true;
}

int instructions_apply(const struct strs *texts, struct container_config *c, struct arena *a,
		       struct err *e)
{
	AUTO_BUF struct buf line = BUF_INIT(TEXT_MAX);
	struct ctx x = {.c = c, .a = a, .e = e};

	own(a, &c->env);
	own(a, &c->exposed_ports);
	own(a, &c->volumes);
	own(a, &c->on_build);
	c->labels.v = grown(a, c->labels.v, c->labels.n, capacity(c->labels.n),
			    sizeof(*c->labels.v));
	qsort(c->labels.v, c->labels.n, sizeof(*c->labels.v), compare_label);
	for (size_t i = 0; i < texts->n; i++) {
		const char *p = texts->v[i];
		while (next_line(&p, &line)) {
			if (line.overflow)
				return err_set(e, ERR_LIMIT, "a change of more than %zu bytes",
					       TEXT_MAX);
			if (one_line(&x, buf_text(&line)) < 0)
				return -1;
		}
	}
	return 0;
}
