/* SPDX-License-Identifier: Apache-2.0 */
/* Go templates: text into nodes. One pass, recursive over blocks and parentheses, both bounded. */
#include "wire/gotemplate-priv.h"

#include "base/num.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

#define ARGS_MAX   64
#define FIELDS_MAX 64

struct parser {
	struct gt_template *t;
	const char *text;
	size_t pos, end; /* of the current action's inside */
	size_t n;
	int depth;
	int range_depth;
	const char *vars[64];
	size_t nvars;
	struct err *e;
};

static int line_of(const struct parser *p, size_t at)
{
	int line = 1;

	for (size_t i = 0; i < at && i < p->n; i++)
		line += p->text[i] == '\n';
	return line;
}

#define FAIL(p, ...) (err_set((p)->e, ERR_INVALID, __VA_ARGS__), prefix(p))

static int prefix(struct parser *p)
{
	return err_wrap(p->e, "template: :%d", line_of(p, p->pos));
}

static void skip_blanks(struct parser *p)
{
	while (p->pos < p->end && strchr(" \t\r\n", p->text[p->pos]))
		p->pos++;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static const char *take_word(struct parser *p)
{
	size_t from = p->pos;

	while (p->pos < p->end && is_word(p->text[p->pos]))
		p->pos++;
	return arena_strndup(p->t->arena, p->text + from, p->pos - from);
}

static int parse_pipe(struct parser *p, struct gt_pipe **ret);

static int take_fields(struct parser *p, struct gt_arg *a)
{
	const char *found[FIELDS_MAX];
	size_t n = 0;

	while (p->pos + 1 < p->end && p->text[p->pos] == '.' && is_word(p->text[p->pos + 1])) {
		p->pos++;
		if (n == FIELDS_MAX)
			return FAIL(p, "too many fields");
		found[n++] = take_word(p);
	}
	a->fields = arena_alloc(p->t->arena, (n + 1) * sizeof *a->fields);
	memcpy(a->fields, found, n * sizeof *found);
	a->nfields = n;
	return 0;
}

static int hex_digits(const char *s, size_t n, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isxdigit((unsigned char)s[i]))
			return -EINVAL;
		v = v << 4 | (uint32_t)(isdigit((unsigned char)s[i]) ? s[i] - '0'
								     : (s[i] | 0x20) - 'a' + 10);
	}
	*ret = v;
	return 0;
}

static void add_utf8(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(b, (char)c);
	} else if (c < 0x800) {
		buf_addc(b, (char)(0xc0 | c >> 6));
		buf_addc(b, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(b, (char)(0xe0 | (c >> 12 & 0xf)));
		buf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(b, (char)(0x80 | (c & 0x3f)));
	}
}

/* One escape behind a backslash at s; returns how many bytes it took, 0 when it is wrong. */
static size_t unescape(const char *s, size_t n, struct buf *out)
{
	static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
	const char *at = n && *s ? strchr(from, *s) : NULL;
	uint32_t c;

	if (at) {
		buf_addc(out, to[at - from]);
		return 1;
	}
	if (n >= 3 && *s == 'x' && hex_digits(s + 1, 2, &c) == 0 && c) {
		buf_addc(out, (char)c);
		return 3;
	}
	if (n >= 5 && *s == 'u' && hex_digits(s + 1, 4, &c) == 0 && c) {
		add_utf8(out, c);
		return 5;
	}
	return 0;
}

static int take_string(struct parser *p, struct gt_arg *a)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	char quote = p->text[p->pos++];

	for (;; p->pos++) {
		if (p->pos >= p->end)
			return FAIL(p, "unterminated %s",
				    quote == '`' ? "raw quoted string" : "quoted string");
		char c = p->text[p->pos];
		if (c == quote)
			break;
		if (c == '\\' && quote == '"') {
			size_t used = unescape(p->text + p->pos + 1, p->end - p->pos - 1, &text);
			if (!used)
				return FAIL(p, "invalid syntax in quoted string");
			p->pos += used;
		} else {
			buf_addc(&text, c);
		}
	}
	p->pos++;
	a->term = TERM_VALUE;
	a->value.kind = GT_STRING;
	a->value.s = (struct str){arena_strndup(p->t->arena, buf_text(&text), text.n), text.n};
	return 0;
}

static int take_number(struct parser *p, struct gt_arg *a)
{
	size_t from = p->pos;

	p->pos++;
	while (p->pos < p->end && (is_word(p->text[p->pos]) || p->text[p->pos] == '.'))
		p->pos++;
	char *text = arena_strndup(p->t->arena, p->text + from, p->pos - from);
	a->term = TERM_VALUE;
	if (num_parse_i64(text, INT64_MIN, INT64_MAX, &a->value.i) == 0) {
		a->value.kind = GT_INT;
		return 0;
	}
	int64_t nano;
	bool minus = *text == '-';
	if (num_parse_nano(text + minus, &nano) == 0) {
		a->value.kind = GT_FLOAT;
		a->value.f = (double)nano / 1e9 * (minus ? -1 : 1);
		return 0;
	}
	return FAIL(p, "bad number syntax: \"%s\"", text);
}

static int take_variable(struct parser *p, struct gt_arg *a)
{
	size_t from = p->pos++;

	while (p->pos < p->end && is_word(p->text[p->pos]))
		p->pos++;
	a->term = TERM_VARIABLE;
	a->name = arena_strndup(p->t->arena, p->text + from, p->pos - from);
	for (size_t i = 0; i < p->nvars; i++)
		if (!strcmp(p->vars[i], a->name))
			return take_fields(p, a);
	if (!strcmp(a->name, "$"))
		return take_fields(p, a);
	return FAIL(p, "undefined variable \"%s\"", a->name);
}

static int take_identifier(struct parser *p, struct gt_arg *a)
{
	a->name = take_word(p);
	if (!strcmp(a->name, "true") || !strcmp(a->name, "false")) {
		a->term = TERM_VALUE;
		a->value = (struct gt_value){.kind = GT_BOOL, .b = a->name[0] == 't'};
		return 0;
	}
	if (!strcmp(a->name, "nil")) {
		a->term = TERM_VALUE;
		a->value = (struct gt_value){.kind = GT_NIL, .null_text = "<nil>"};
		return 0;
	}
	a->term = TERM_FUNCTION;
	if (!gt_function_exists(a->name))
		return FAIL(p, "function \"%s\" not defined", a->name);
	return 0;
}

static int take_paren(struct parser *p, struct gt_arg *a)
{
	p->pos++;
	if (++p->depth > GT_DEPTH_MAX)
		return FAIL(p, "nested too deeply");
	a->term = TERM_CHAIN;
	if (parse_pipe(p, &a->sub) < 0)
		return -1;
	p->depth--;
	if (p->pos >= p->end || p->text[p->pos] != ')')
		return FAIL(p, "unclosed left paren");
	p->pos++;
	return take_fields(p, a);
}

static int parse_arg(struct parser *p, struct gt_arg *a)
{
	char c = p->text[p->pos];
	size_t from = p->pos;
	int rc;

	a->at = from;
	if (c == '"' || c == '`')
		rc = take_string(p, a);
	else if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && p->pos + 1 < p->end &&
					       isdigit((unsigned char)p->text[p->pos + 1])))
		rc = take_number(p, a);
	else if (c == '$')
		rc = take_variable(p, a);
	else if (c == '(')
		rc = take_paren(p, a);
	else if (c == '.') {
		rc = take_fields(p, a);
		a->term = a->nfields ? TERM_FIELD : TERM_DOT;
		if (rc == 0 && !a->nfields)
			p->pos++;
	} else if (is_word(c))
		rc = take_identifier(p, a);
	else
		return FAIL(p, "unexpected \"%c\" in operand", c);
	a->source = arena_strndup(p->t->arena, p->text + from, p->pos - from);
	if (rc == 0 && p->pos < p->end && !strchr(" \t\r\n|)", p->text[p->pos]))
		return FAIL(p, "unexpected \"%c\" in operand", p->text[p->pos]);
	return rc;
}

static int parse_command(struct parser *p, struct gt_command **ret)
{
	struct gt_arg args[ARGS_MAX];
	struct gt_command *c = arena_alloc(p->t->arena, sizeof *c);
	size_t n = 0;

	for (skip_blanks(p); p->pos < p->end && !strchr("|)", p->text[p->pos]); skip_blanks(p)) {
		if (n == ARGS_MAX)
			return FAIL(p, "too many arguments");
		args[n] = (struct gt_arg){0};
		if (parse_arg(p, &args[n++]) < 0)
			return -1;
	}
	if (n == 0)
		return FAIL(p, "missing value for command");
	if (n > 1 && args[0].term == TERM_VALUE)
		return FAIL(p, "can't give argument to non-function %s", args[0].source);
	c->args = arena_alloc(p->t->arena, n * sizeof *args);
	memcpy(c->args, args, n * sizeof *args);
	c->nargs = n;
	*ret = c;
	return 0;
}

/* "$x :=", "$i, $v :=" or "$x =" in front of a pipeline. */
static int parse_decl(struct parser *p, struct gt_pipe *pipe)
{
	size_t from = p->pos;
	const char *names[2];
	size_t n = 0;

	while (n < 2 && p->pos < p->end && p->text[p->pos] == '$') {
		size_t at = p->pos++;
		while (p->pos < p->end && is_word(p->text[p->pos]))
			p->pos++;
		names[n++] = arena_strndup(p->t->arena, p->text + at, p->pos - at);
		skip_blanks(p);
		if (p->pos < p->end && p->text[p->pos] == ',') {
			p->pos++;
			skip_blanks(p);
			continue;
		}
		break;
	}
	bool declares = n && p->pos + 1 < p->end && !strncmp(p->text + p->pos, ":=", 2);
	bool assigns = n == 1 && !declares && p->pos < p->end && p->text[p->pos] == '=';
	if (!declares && !assigns) {
		p->pos = from;
		return 0;
	}
	p->pos += declares ? 2 : 1;
	pipe->assign = assigns;
	pipe->ndecl = n;
	for (size_t i = 0; i < n; i++) {
		pipe->decl[i] = names[i];
		if (declares && p->nvars == ARRAY_SIZE(p->vars))
			return FAIL(p, "too many variables");
		if (declares)
			p->vars[p->nvars++] = names[i];
	}
	return 0;
}

static int parse_pipe(struct parser *p, struct gt_pipe **ret)
{
	struct gt_pipe *pipe = arena_alloc(p->t->arena, sizeof *pipe);
	struct gt_command **tail = &pipe->first;

	skip_blanks(p);
	pipe->at = p->pos;
	if (parse_decl(p, pipe) < 0)
		return -1;
	for (;;) {
		if (parse_command(p, tail) < 0)
			return -1;
		if (tail != &pipe->first && (*tail)->args[0].term == TERM_VALUE)
			return FAIL(p, "non executable command in pipeline stage 2");
		tail = &(*tail)->next;
		if (p->pos >= p->end || p->text[p->pos] != '|')
			break;
		p->pos++;
	}
	*ret = pipe;
	return 0;
}

/* ---- blocks ---- */
enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static int parse_list(struct parser *p, struct gt_node **ret, enum stop *ret_stop);

/* The next action's inside becomes [pos, end); *after is behind its "}}". */
static int open_action(struct parser *p, size_t at, size_t *after)
{
	size_t i = at + 2;
	char quote = 0;

	for (; i < p->n; i++) {
		char c = p->text[i];
		if (quote) {
			if (c == '\\' && quote == '"')
				i++;
			else if (c == quote)
				quote = 0;
		} else if (c == '"' || c == '`') {
			quote = c;
		} else if (c == '}' && i + 1 < p->n && p->text[i + 1] == '}') {
			break;
		}
	}
	p->pos = at;
	if (i >= p->n)
		return quote ? FAIL(p, "unterminated %s",
				    quote == '`' ? "raw quoted string" : "quoted string")
			     : FAIL(p, "unclosed action");
	p->pos = at + 2;
	p->end = i;
	*after = i + 2;
	/* trim markers need a blank beside them */
	if (p->end - p->pos >= 2 && p->text[p->pos] == '-' &&
	    strchr(" \t\r\n", p->text[p->pos + 1]))
		p->pos++;
	if (p->end - p->pos >= 2 && p->text[p->end - 1] == '-' &&
	    strchr(" \t\r\n", p->text[p->end - 2]))
		p->end--;
	return 0;
}

static bool at_keyword(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	skip_blanks(p);
	if (p->end - p->pos < n || strncmp(p->text + p->pos, word, n) ||
	    (p->pos + n < p->end && is_word(p->text[p->pos + n])))
		return false;
	p->pos += n;
	return true;
}

static int close_action(struct parser *p)
{
	skip_blanks(p);
	if (p->pos < p->end)
		return FAIL(p, "unexpected \"%c\" in command", p->text[p->pos]);
	return 0;
}

static int parse_block(struct parser *p, struct gt_node *node, size_t after);

/* Behind {{else}}: the rest is "if X", "with X" or nothing. */
static int parse_else(struct parser *p, struct gt_node *node, size_t after)
{
	enum stop stop;

	if (at_keyword(p, "if") || at_keyword(p, "with")) {
		struct gt_node *inner = arena_alloc(p->t->arena, sizeof *inner);
		inner->op = node->op == OP_WITH ? OP_WITH : OP_IF;
		node->otherwise = inner;
		return parse_block(p, inner, after);
	}
	if (close_action(p) < 0)
		return -1;
	p->pos = after;
	if (parse_list(p, &node->otherwise, &stop) < 0)
		return -1;
	return stop == STOP_END
		       ? 0
		       : FAIL(p, stop == STOP_EOF ? "unexpected EOF" : "unexpected {{else}}");
}

static int parse_block(struct parser *p, struct gt_node *node, size_t after)
{
	size_t nvars = p->nvars;
	enum stop stop;

	if (++p->depth > GT_DEPTH_MAX)
		return FAIL(p, "nested too deeply");
	if (parse_pipe(p, &node->pipe) < 0 || close_action(p) < 0)
		return -1;
	p->pos = after;
	p->range_depth += node->op == OP_RANGE;
	if (parse_list(p, &node->body, &stop) < 0)
		return -1;
	p->range_depth -= node->op == OP_RANGE;
	if (stop == STOP_EOF)
		return FAIL(p, "unexpected EOF");
	/* parse_list left [pos, end) inside the {{else ...}} and p->end + 2 or so behind it */
	if (stop == STOP_ELSE) {
		const char *close = strstr(p->text + p->end, "}}");
		if (parse_else(p, node, (size_t)(close - p->text) + 2) < 0)
			return -1;
	}
	p->nvars = nvars;
	p->depth--;
	return 0;
}

static int parse_action(struct parser *p, size_t after, struct gt_node **ret, enum stop *ret_stop)
{
	struct gt_node *node = arena_alloc(p->t->arena, sizeof *node);
	static const char *const unbuilt[] = {"define", "template", "block"};

	*ret = NULL;
	skip_blanks(p);
	if (p->end - p->pos >= 2 && !strncmp(p->text + p->pos, "/*", 2)) {
		p->pos = after;
		return 0;
	}
	if (at_keyword(p, "end")) {
		*ret_stop = STOP_END;
		if (close_action(p) < 0)
			return -1;
		p->pos = after;
		return 0;
	}
	if (at_keyword(p, "else")) {
		*ret_stop = STOP_ELSE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(unbuilt); i++)
		if (at_keyword(p, unbuilt[i]))
			return FAIL(p, "{{%s}} is not supported", unbuilt[i]);
	bool block = true;
	if (at_keyword(p, "if"))
		node->op = OP_IF;
	else if (at_keyword(p, "with"))
		node->op = OP_WITH;
	else if (at_keyword(p, "range"))
		node->op = OP_RANGE;
	else
		block = false;
	*ret = node;
	if (block)
		return parse_block(p, node, after);
	if (at_keyword(p, "break") || at_keyword(p, "continue")) {
		node->op = p->text[p->pos - 1] == 'k' ? OP_BREAK : OP_CONTINUE;
		if (!p->range_depth)
			return FAIL(p, "{{%s}} outside {{range}}",
				    node->op == OP_BREAK ? "break" : "continue");
	} else {
		node->op = OP_PRINT;
		if (parse_pipe(p, &node->pipe) < 0)
			return -1;
	}
	if (close_action(p) < 0)
		return -1;
	p->pos = after;
	return 0;
}

/* Text in front of an action, with blanks removed where a trim marker asks for it. */
static struct gt_node *text_node(struct parser *p, size_t from, size_t to, bool trim_left,
				 bool trim_right)
{
	while (trim_left && from < to && strchr(" \t\r\n", p->text[from]))
		from++;
	while (trim_right && to > from && strchr(" \t\r\n", p->text[to - 1]))
		to--;
	if (from == to)
		return NULL;
	struct gt_node *node = arena_alloc(p->t->arena, sizeof *node);
	node->op = OP_TEXT;
	node->text = (struct str){p->text + from, to - from};
	return node;
}

static int parse_list(struct parser *p, struct gt_node **ret, enum stop *ret_stop)
{
	struct gt_node **tail = ret;

	*ret_stop = STOP_EOF;
	for (;;) {
		size_t from = p->pos;
		const char *open = strstr(p->text + from, "{{");
		size_t to = open ? (size_t)(open - p->text) : p->n;
		bool left = from >= 4 && !strncmp(p->text + from - 3, "-}}", 3) &&
			    strchr(" \t\r\n", p->text[from - 4]);
		bool right = open && open[2] == '-' && open[3] && strchr(" \t\r\n", open[3]);
		struct gt_node *text = text_node(p, from, to, left, right);
		if (text) {
			*tail = text;
			tail = &text->next;
		}
		p->pos = to;
		if (!open)
			return 0;
		size_t after;
		struct gt_node *node = NULL;
		if (open_action(p, to, &after) < 0 || parse_action(p, after, &node, ret_stop) < 0)
			return -1;
		if (*ret_stop != STOP_EOF)
			return 0;
		if (node) {
			*tail = node;
			tail = &node->next;
		}
	}
}

int gt_parse(const char *text, struct gt_template **ret, struct err *e)
{
	AUTO(gt_template) struct gt_template *t = NEW(struct gt_template);
	enum stop stop;

	t->arena = arena_new();
	t->text = arena_strdup(t->arena, text);
	struct parser p = {.t = t, .text = t->text, .n = strlen(text), .e = e};
	if (parse_list(&p, &t->root, &stop) < 0)
		return -1;
	if (stop != STOP_EOF)
		return FAIL(&p, "unexpected {{%s}}", stop == STOP_END ? "end" : "else");
	*ret = TAKE_PTR(t);
	return 0;
}

void gt_free(struct gt_template *t)
{
	if (!t)
		return;
	arena_free(t->arena);
	free(t);
}

void gt_template_free(struct gt_template *t)
{
	gt_free(t);
}
