/* SPDX-License-Identifier: Apache-2.0 */
/* Go templates: running the nodes. */
#include "wire/gotemplate-priv.h"

#include <string.h>

#include "base/banned.h"

static int fail_text(struct gt_run *r, size_t at, const char *source)
{
	int line = 1;
	size_t column = at;

	for (size_t i = 0; i < at; i++) {
		if (r->t->text[i] == '\n') {
			line++;
			column = at - i - 1;
		}
	}
	return err_wrap(r->e, "template: :%d:%zu: executing \"\" at <%s>", line, column, source);
}

/* Go counts a chain of fields from its second part on. */
static int fail_at(struct gt_run *r, const struct gt_arg *a)
{
	size_t at = a->at;

	if (a->term == TERM_FIELD && a->nfields > 1)
		at += 1 + strlen(a->fields[0]);
	else if (a->term == TERM_VARIABLE && a->nfields)
		at += strlen(a->name);
	return fail_text(r, at, a->source);
}

static int fail_command(struct gt_run *r, const struct gt_command *c)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);

	for (size_t i = 0; i < c->nargs; i++)
		buf_addf(&text, "%s%s", i ? " " : "", c->args[i].source);
	return fail_text(r, c->args[0].at, buf_text(&text));
}

static bool looks_like_map(struct gt_run *r, const char *parent)
{
	return r->o->is_free_map && parent && r->o->is_free_map(parent);
}

static int missing(struct gt_run *r, const struct gt_arg *a, const char *name, const char *parent,
		   bool at_top, struct gt_value *ret)
{
	*ret = (struct gt_value){.kind = GT_NIL};
	if (looks_like_map(r, parent) || r->o->missing == GT_MISSING_NO_VALUE)
		return 0;
	if (r->o->absent && (ret->null_text = r->o->absent(name)))
		return 0;
	if (r->o->missing == GT_MISSING_TYPE && at_top) {
		err_set(r->e, ERR_INVALID, "can't evaluate field %s in type %s", name,
			r->o->type_name ? r->o->type_name : "interface {}");
		return fail_at(r, a);
	}
	if (r->o->missing == GT_MISSING_TYPE)
		return 0;
	err_set(r->e, ERR_INVALID, "map has no entry for key \"%s\"", name);
	return fail_at(r, a);
}

struct lookup {
	const char *key;
	bool found;
};

static void look(const char *key, struct json *value, void *ud)
{
	struct lookup *l = ud;

	(void)value;
	l->found = l->found || !strcmp(key, l->key);
}

/* A member that is there and null has no node of its own. */
static bool has_key(const struct json *obj, const char *key)
{
	struct lookup l = {.key = key};

	json_each(obj, look, &l);
	return l.found;
}

static int walk_fields(struct gt_run *r, const struct gt_arg *a, struct gt_value v,
		       struct gt_value *ret)
{
	const char *parent = NULL;

	for (size_t i = 0; i < a->nfields; i++) {
		const char *name = a->fields[i];
		if (v.kind != GT_JSON || json_kind_of(v.j) != JSON_OBJECT) {
			if (v.kind == GT_NIL) {
				if (r->o->missing == GT_MISSING_NO_VALUE)
					return *ret = v, 0;
				err_set(r->e, ERR_INVALID, "nil pointer evaluating interface {}.%s",
					name);
				return fail_at(r, a);
			}
			err_set(r->e, ERR_INVALID, "can't evaluate field %s in type %s", name,
				v.kind == GT_JSON     ? "[]interface {}"
				: v.kind == GT_STRING ? "string"
				: v.kind == GT_BOOL   ? "bool"
				: v.kind == GT_INT    ? "int"
						      : "float64");
			return fail_at(r, a);
		}
		bool at_top = v.j == r->top.j;
		struct json *child = r->o->any_case ? json_get_icase(v.j, name)
						    : json_get(v.j, name);
		if (!child && !has_key(v.j, name))
			return missing(r, a, name, parent, at_top, ret);
		v = gt_from_json(child);
		if (v.kind == GT_NIL && r->o->null_text)
			v.null_text = r->o->null_text(name);
		parent = name;
	}
	*ret = v;
	return 0;
}

static int eval_pipe(struct gt_run *r, const struct gt_pipe *pipe, struct gt_value dot,
		     struct gt_value *ret);

static int find_variable(struct gt_run *r, const char *name, size_t *ret)
{
	for (size_t i = r->nvars; i > 0; i--) {
		if (!strcmp(r->vars[i - 1].name, name)) {
			*ret = i - 1;
			return 0;
		}
	}
	return -ENOENT;
}

static int eval_arg(struct gt_run *r, const struct gt_arg *a, struct gt_value dot,
		    struct gt_value *ret)
{
	struct gt_value base = dot;
	size_t at;

	switch (a->term) {
	case TERM_VALUE:
		*ret = a->value;
		return 0;
	case TERM_DOT:
		*ret = dot;
		return 0;
	case TERM_VARIABLE:
		if (find_variable(r, a->name, &at) < 0) {
			err_set(r->e, ERR_INVALID, "undefined variable: %s", a->name);
			return fail_at(r, a);
		}
		base = r->vars[at].value;
		break;
	case TERM_CHAIN:
		if (eval_pipe(r, a->sub, dot, &base) < 0)
			return -1;
		break;
	case TERM_FUNCTION: {
		if (gt_call(r, a->name, NULL, 0, ret, r->e) < 0)
			return fail_at(r, a);
		return 0;
	}
	case TERM_FIELD:
		break;
	}
	return walk_fields(r, a, base, ret);
}

/* and/or stop at the first deciding argument; everything else gets all of them. */
static int call_function(struct gt_run *r, const struct gt_command *c, struct gt_value dot,
			 const struct gt_value *piped, struct gt_value *ret)
{
	struct gt_value args[66];
	const char *name = c->args[0].name;
	bool is_and = !strcmp(name, "and"), is_or = !strcmp(name, "or");
	size_t n = 0;

	for (size_t i = 1; i < c->nargs; i++) {
		if (eval_arg(r, &c->args[i], dot, &args[n++]) < 0)
			return -1;
		if ((is_and && !gt_truth(&args[n - 1])) || (is_or && gt_truth(&args[n - 1]))) {
			*ret = args[n - 1];
			return 0;
		}
	}
	if (piped)
		args[n++] = *piped;
	if (gt_call(r, name, args, n, ret, r->e) < 0)
		return fail_command(r, c);
	return 0;
}

/* A field with arguments is a method; only the hook knows any. */
static int call_method(struct gt_run *r, const struct gt_command *c, struct gt_value dot,
		       const struct gt_value *piped, struct gt_value *ret)
{
	const struct gt_arg *a = &c->args[0];
	struct gt_value args[66];
	size_t n = 0;

	for (size_t i = 1; i < c->nargs; i++)
		if (eval_arg(r, &c->args[i], dot, &args[n++]) < 0)
			return -1;
	if (piped)
		args[n++] = *piped;
	if (a->term == TERM_FIELD && a->nfields == 1 && dot.kind == GT_JSON && r->o->method &&
	    r->o->method(r->o->ud, dot.j, a->fields[0], args, n, ret)) {
		if (ret->kind == GT_STRING)
			*ret = gt_text(r, ret->s.p, ret->s.n);
		return 0;
	}
	err_set(r->e, ERR_INVALID, "%s is not a method but has arguments",
		a->nfields ? a->fields[a->nfields - 1] : a->source);
	return fail_at(r, a);
}

static int eval_pipe(struct gt_run *r, const struct gt_pipe *pipe, struct gt_value dot,
		     struct gt_value *ret)
{
	struct gt_value v = {0};
	bool has = false;

	if (++r->depth > 2 * GT_DEPTH_MAX)
		return err_set(r->e, ERR_INVALID, "template: exceeded maximum depth");
	for (const struct gt_command *c = pipe->first; c; c = c->next) {
		const struct gt_value prev = v;
		const struct gt_value *piped = has ? &prev : NULL;
		int rc;
		if (c->args[0].term == TERM_FUNCTION)
			rc = call_function(r, c, dot, piped, &v);
		else if (c->nargs > 1 || piped)
			rc = call_method(r, c, dot, piped, &v);
		else
			rc = eval_arg(r, &c->args[0], dot, &v);
		if (rc < 0)
			return -1;
		has = true;
	}
	r->depth--;
	*ret = v;
	return 0;
}

static int set_variable(struct gt_run *r, const char *name, struct gt_value v, bool assign)
{
	size_t at;

	if (assign) {
		if (find_variable(r, name, &at) == 0)
			r->vars[at].value = v;
		return 0;
	}
	if (r->nvars == ARRAY_SIZE(r->vars))
		return err_set(r->e, ERR_INVALID, "template: too many variables");
	r->vars[r->nvars].name = name;
	r->vars[r->nvars++].value = v;
	return 0;
}

static int run_list(struct gt_run *r, const struct gt_node *n, struct gt_value dot);

struct range {
	struct gt_run *r;
	const struct gt_node *node;
	int rc;
	size_t count;
};

static void range_one(struct range *g, struct gt_value key, struct gt_value value)
{
	struct gt_run *r = g->r;
	const struct gt_pipe *pipe = g->node->pipe;
	size_t nvars = r->nvars;

	if (g->rc < 0 || r->jump == 1)
		return;
	g->count++;
	if (pipe->ndecl == 2)
		g->rc = set_variable(r, pipe->decl[0], key, pipe->assign);
	if (pipe->ndecl && g->rc == 0)
		g->rc = set_variable(r, pipe->decl[pipe->ndecl - 1], value, pipe->assign);
	if (g->rc == 0)
		g->rc = run_list(r, g->node->body, value);
	if (r->jump == 2)
		r->jump = 0;
	r->nvars = nvars;
}

struct keys {
	const char **v;
	size_t n;
};

static void collect_key(const char *key, struct json *value, void *ud)
{
	struct keys *k = ud;

	(void)value;
	k->v[k->n++] = key;
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static int run_range(struct gt_run *r, const struct gt_node *node, struct gt_value dot)
{
	struct gt_value list;
	struct range g = {.r = r, .node = node};

	if (eval_pipe(r, node->pipe, dot, &list) < 0)
		return -1;
	if (list.kind == GT_JSON && json_kind_of(list.j) == JSON_OBJECT) {
		struct keys k = {.v = xcalloc(json_len(list.j) + 1, sizeof *k.v)};
		json_each(list.j, collect_key, &k);
		qsort(k.v, k.n, sizeof *k.v, by_text);
		for (size_t i = 0; i < k.n; i++)
			range_one(&g, (struct gt_value){.kind = GT_STRING, .s = str_of(k.v[i])},
				  gt_from_json(json_get(list.j, k.v[i])));
		free(k.v);
	} else if (list.kind == GT_JSON) {
		for (size_t i = 0; i < json_len(list.j); i++)
			range_one(&g, (struct gt_value){.kind = GT_INT, .i = (int64_t)i},
				  gt_from_json(json_at(list.j, i)));
	} else if (list.kind != GT_NIL) {
		AUTO_BUF struct buf text = BUF_INIT(1024);
		gt_print(&list, &text);
		return err_set(r->e, ERR_INVALID,
			       "template: :1: executing \"\": range can't iterate over %s",
			       buf_text(&text));
	}
	r->jump = r->jump == 1 ? 0 : r->jump;
	if (g.rc == 0 && !g.count)
		return run_list(r, node->otherwise, dot);
	return g.rc;
}

static int run_branch(struct gt_run *r, const struct gt_node *node, struct gt_value dot)
{
	size_t nvars = r->nvars;
	struct gt_value v;
	int rc = 0;

	if (eval_pipe(r, node->pipe, dot, &v) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < node->pipe->ndecl; i++)
		rc = set_variable(r, node->pipe->decl[i], v, node->pipe->assign);
	if (rc == 0)
		rc = gt_truth(&v) ? run_list(r, node->body, node->op == OP_WITH ? v : dot)
				  : run_list(r, node->otherwise, dot);
	r->nvars = nvars;
	return rc;
}

static int run_print(struct gt_run *r, const struct gt_node *node, struct gt_value dot)
{
	struct gt_value v;

	if (eval_pipe(r, node->pipe, dot, &v) < 0)
		return -1;
	if (node->pipe->ndecl)
		return set_variable(r, node->pipe->decl[0], v, node->pipe->assign);
	gt_print(&v, r->out);
	return 0;
}

static int run_list(struct gt_run *r, const struct gt_node *n, struct gt_value dot)
{
	size_t nvars = r->nvars;
	int rc = 0;

	for (; n && rc == 0 && !r->jump; n = n->next) {
		switch (n->op) {
		case OP_TEXT:
			buf_add(r->out, n->text.p, n->text.n);
			break;
		case OP_PRINT:
			rc = run_print(r, n, dot);
			break;
		case OP_IF:
		case OP_WITH:
			rc = run_branch(r, n, dot);
			break;
		case OP_RANGE:
			rc = run_range(r, n, dot);
			break;
		case OP_BREAK:
			r->jump = 1;
			break;
		case OP_CONTINUE:
			r->jump = 2;
			break;
		}
		if (rc == 0 && r->out->overflow)
			rc = err_set(r->e, ERR_LIMIT, "template: output is too large");
	}
	r->nvars = nvars;
	return rc;
}

int gt_run(const struct gt_template *t, const struct json *dot, const struct gt_options *o,
	   struct buf *out, struct err *e)
{
	static const struct gt_options plain;
	AUTO(arena) struct arena *arena = arena_new();
	struct gt_run *r = NEW(struct gt_run);

	r->t = t;
	r->o = o ? o : &plain;
	r->arena = arena;
	r->out = out;
	r->e = e;
	r->top = gt_from_json(dot);
	r->vars[r->nvars].name = "$";
	r->vars[r->nvars++].value = r->top;
	int rc = run_list(r, t->root, r->top);
	for (size_t i = 0; i < r->nroots; i++)
		json_free(r->roots[i]);
	free(r);
	return rc;
}

/* The field that a node prints, NULL when it does anything else. */
static const char *only_field(const struct gt_node *n)
{
	const struct gt_pipe *pipe = n->op == OP_PRINT ? n->pipe : NULL;
	const struct gt_command *c = pipe && !pipe->ndecl ? pipe->first : NULL;

	if (!c || c->next || c->nargs != 1)
		return NULL;
	return c->args[0].term == TERM_FIELD && c->args[0].nfields == 1 ? c->args[0].fields[0]
									: NULL;
}

bool gt_run_fields(const struct gt_template *t, gt_field_fn field, const void *row, struct buf *out)
{
	size_t before = out->n;

	for (const struct gt_node *n = t->root; n; n = n->next) {
		const char *name = n->op == OP_TEXT ? NULL : only_field(n);

		if (n->op == OP_TEXT) {
			buf_add(out, n->text.p, n->text.n);
		} else if (!name || !field(row, name, out)) {
			out->n = before;
			return false;
		}
	}
	return true;
}
