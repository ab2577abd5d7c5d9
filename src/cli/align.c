/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elastic tab stops as Go's text/tabwriter defines them: a cell is text that ends in a tab; cells
 * of one column in consecutive lines are as wide as the widest; the text behind the last tab of a
 * line belongs to no column.
 */
#include "cli/format.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

#define COLUMNS_MAX 64

struct line {
	struct str cells[COLUMNS_MAX];
	size_t n;
};

struct align {
	struct line *lines;
	size_t nlines, min_width, padding;
	size_t widths[COLUMNS_MAX];
	size_t nwidths;
	struct buf *out;
};

static size_t width_of(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void write_lines(struct align *a, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct line *l = &a->lines[i];
		for (size_t j = 0; j < l->n; j++) {
			buf_add(a->out, l->cells[j].p, l->cells[j].n);
			if (j < a->nwidths)
				for (size_t k = width_of(l->cells[j]); k < a->widths[j]; k++)
					buf_addc(a->out, ' ');
		}
		buf_addc(a->out, '\n');
	}
}

static void format_block(struct align *a, size_t from, size_t to)
{
	size_t column = a->nwidths;

	for (size_t i = from; i < to; i++) {
		if (column + 1 >= a->lines[i].n)
			continue;
		write_lines(a, from, i);
		from = i;
		size_t width = a->min_width;
		for (; i < to && column + 1 < a->lines[i].n; i++)
			width = MAX(width, width_of(a->lines[i].cells[column]) + a->padding);
		a->widths[a->nwidths++] = width;
		format_block(a, from, i);
		a->nwidths--;
		from = i;
		i--;
	}
	write_lines(a, from, to);
}

void format_align(const char *text, size_t n, size_t min_width, size_t padding, struct buf *out)
{
	struct align a = {.min_width = min_width, .padding = padding, .out = out};
	struct str rest = {text, n}, line;
	size_t cap = 0;

	while (str_cut(&rest, '\n', &line)) {
		if (!rest.p && !line.n)
			break;
		if (a.nlines == cap) {
			cap = cap ? cap * 2 : 64;
			a.lines = xrealloc(a.lines, cap * sizeof *a.lines);
		}
		struct line *l = &a.lines[a.nlines++];
		l->n = 0;
		while (l->n < COLUMNS_MAX && str_cut(&line, '\t', &l->cells[l->n]))
			l->n++;
	}
	format_block(&a, 0, a.nlines);
	free(a.lines);
}
