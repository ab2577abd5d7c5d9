/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: parsing and lookup. */
#include "base/opts.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>

#include <string.h>

#include "base/banned.h"

size_t opts_count(const struct opt *table)
{
	size_t n = 0;

	while (table[n].name)
		n++;
	return n;
}

/* One value into its slot; on failure *why is the reason to print behind the flag's name. */
static int convert(const struct opt *row, struct optval *val, const char *s, char *why, size_t n)
{
	int rc = 0;

	why[0] = 0;
	switch (row->type) {
	case OPT_BOOL:
		rc = num_parse_bool(s, &val->b);
		if (rc < 0)
			snprintf(why, n, "strconv.ParseBool: parsing \"%s\": invalid syntax", s);
		break;
	case OPT_LIST:
		val->v = xrealloc(val->v, (val->n + 1) * sizeof *val->v);
		val->v[val->n++] = s;
		break;
	case OPT_INT:
		rc = num_parse_i64(s, INT64_MIN, INT64_MAX, &val->i);
		if (rc < 0)
			snprintf(why, n, "strconv.ParseInt: parsing \"%s\": %s", s,
				 rc == -ERANGE ? "value out of range" : "invalid syntax");
		break;
	case OPT_UINT16:
		rc = num_parse_i64(s, 0, 65535, &val->i);
		if (rc < 0)
			snprintf(why, n, "strconv.ParseUint: parsing \"%s\": %s", s,
				 rc == -ERANGE ? "value out of range" : "invalid syntax");
		break;
	case OPT_BYTES:
		if (!strcmp(s, "-1"))
			val->i = -1;
		else if (*s == '-')
			rc = -EINVAL;
		else
			rc = num_parse_bytes(s, &val->i);
		if (rc < 0)
			snprintf(why, n, "invalid size: '%s'", s);
		break;
	case OPT_DECIMAL:
		rc = num_parse_nano(s, &val->i);
		if (rc < 0)
			snprintf(why, n, "failed to parse %s as a rational number", s);
		break;
	case OPT_DURATION:
		rc = num_parse_duration(s, &val->i);
		if (rc < 0)
			snprintf(why, n, "time: invalid duration \"%s\"", s);
		break;
	case OPT_STR:
		break;
	}
	val->s = s;
	val->set = true;
	return rc;
}

static int assign(struct opts *o, const struct opt *row, const char *s, struct err *e)
{
	char why[512];

	if (convert(row, &o->vals[row - o->table], s, why, sizeof why) == 0) {
		if (row->flags & OPT_UNBUILT)
			return err_set(e, ERR_UNSUPPORTED, "--%s is not supported yet", row->name);
		return 0;
	}
	if (row->letter)
		return err_set(e, ERR_INVALID, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
			       s, row->letter, row->name, why);
	return err_set(e, ERR_INVALID, "invalid argument \"%s\" for \"--%s\" flag: %s", s,
		       row->name, why);
}

static const struct opt *find_long(const struct opt *table, const char *name, size_t n)
{
	for (const struct opt *row = table; row->name; row++)
		if (strlen(row->name) == n && !memcmp(row->name, name, n))
			return row;
	return NULL;
}

static const struct opt *find_letter(const struct opt *table, char letter)
{
	for (const struct opt *row = table; row->name; row++)
		if (row->letter == letter)
			return row;
	return NULL;
}

struct cursor {
	char **argv;
	int argc, at;
};

static int parse_long(struct opts *o, const char *text, struct cursor *c, struct err *e)
{
	const char *eq = strchr(text, '=');
	size_t n = eq ? (size_t)(eq - text) : strlen(text);
	bool help = n == 4 && !memcmp(text, "help", 4);
	const struct opt *row = help ? NULL : find_long(o->table, text, n);

	if (n == 0)
		return err_set(e, ERR_INVALID, "bad flag syntax: --%s", text);
	if (!row) {
		if (help) { /* some tables have a row for it, so that it is listed */
			o->help = true;
			return 0;
		}
		return err_set(e, ERR_INVALID, "unknown flag: --%.*s", (int)n, text);
	}
	if (eq)
		return assign(o, row, eq + 1, e);
	if (row->type == OPT_BOOL)
		return assign(o, row, "true", e);
	if (c->at >= c->argc)
		return err_set(e, ERR_INVALID, "flag needs an argument: --%s", row->name);
	return assign(o, row, c->argv[c->at++], e);
}

static int parse_letters(struct opts *o, const char *text, struct cursor *c, struct err *e)
{
	for (const char *s = text; *s; s++) {
		const struct opt *row = find_letter(o->table, *s);
		if (!row) {
			if (*s == 'h') {
				o->help = true;
				return 0;
			}
			return err_set(e, ERR_INVALID, "unknown shorthand flag: '%c' in -%s", *s,
				       s);
		}
		if (row->type == OPT_BOOL && s[1] != '=') {
			if (assign(o, row, "true", e) < 0)
				return -1;
			continue;
		}
		if (s[1] == '=')
			return assign(o, row, s + 2, e);
		if (s[1])
			return assign(o, row, s + 1, e);
		if (c->at >= c->argc)
			return err_set(e, ERR_INVALID, "flag needs an argument: '%c' in -%s", *s,
				       text);
		return assign(o, row, c->argv[c->at++], e);
	}
	return 0;
}

static int set_default(struct opts *o, size_t i)
{
	const struct opt *row = &o->table[i];
	char why[512];

	if (!row->def || row->type == OPT_LIST)
		return 0;
	int rc = convert(row, &o->vals[i], row->def, why, sizeof why);
	o->vals[i].set = false;
	return rc;
}

int opts_parse(struct opts *o, const struct opt *table, int argc, char **argv, bool interspersed,
	       struct err *e)
{
	struct cursor c = {.argv = argv, .argc = argc};
	size_t rows = opts_count(table);

	*o = (struct opts){.table = table};
	o->vals = xcalloc(rows + 1, sizeof *o->vals);
	o->argv = xcalloc((size_t)argc + 1, sizeof *o->argv);
	for (size_t i = 0; i < rows; i++)
		ASSERT(set_default(o, i) == 0);
	while (c.at < c.argc) {
		char *arg = c.argv[c.at++];
		int rc = 0;

		if (arg[0] != '-' || !arg[1]) {
			o->argv[o->argc++] = arg;
			if (!interspersed)
				break;
			continue;
		}
		if (!strcmp(arg, "--"))
			break;
		rc = arg[1] == '-' ? parse_long(o, arg + 2, &c, e)
				   : parse_letters(o, arg + 1, &c, e);
		if (rc < 0)
			return -1;
	}
	while (c.at < c.argc)
		o->argv[o->argc++] = c.argv[c.at++];
	return 0;
}

void opts_done(struct opts *o)
{
	size_t rows = o->table ? opts_count(o->table) : 0;

	for (size_t i = 0; i < rows; i++)
		free(o->vals[i].v);
	free(o->vals);
	free(o->argv);
	*o = (struct opts){0};
}

const struct optval *opts_get(const struct opts *o, const char *name)
{
	const struct opt *row = find_long(o->table, name, strlen(name));

	ASSERT(row);
	return &o->vals[row - o->table];
}

bool opts_set(const struct opts *o, const char *name)
{
	return opts_get(o, name)->set;
}

bool opts_bool(const struct opts *o, const char *name)
{
	return opts_get(o, name)->b;
}

const char *opts_str(const struct opts *o, const char *name)
{
	const char *s = opts_get(o, name)->s;

	return s ? s : "";
}

int64_t opts_int(const struct opts *o, const char *name)
{
	return opts_get(o, name)->i;
}

const char *opts_type_name(const struct opt *row)
{
	static const char *const names[] = {
		[OPT_BOOL] = "",	   [OPT_STR] = "string",	[OPT_LIST] = "list",
		[OPT_INT] = "int",	   [OPT_UINT16] = "uint16",	[OPT_BYTES] = "bytes",
		[OPT_DECIMAL] = "decimal", [OPT_DURATION] = "duration",
	};

	return row->arg ? row->arg : names[row->type];
}
