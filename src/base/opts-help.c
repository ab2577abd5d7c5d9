/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a help page that lists the options of a table. */
#include "base/buf.h"
#include "base/opts.h"

#include <string.h>
#include <sys/ioctl.h>

#include "base/banned.h"

static size_t terminal_width(void)
{
	struct winsize ws;

	return ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_col ? ws.ws_col : 80;
}

/* Text folded at blanks to `width`, following lines indented; explicit newlines stay. */
static void add_folded(struct buf *b, const char *text, size_t indent, size_t width)
{
	size_t room = width > indent + 24 ? width - indent : 24;
	size_t col = 0;

	while (*text) {
		size_t word = strcspn(text, " \n");
		if (col && col + 1 + word > room) {
			buf_addf(b, "\n%*s", (int)indent, "");
			col = 0;
		} else if (col) {
			buf_addc(b, ' ');
			col++;
		}
		buf_add(b, text, word);
		col += word;
		text += word;
		if (*text == '\n') {
			buf_addf(b, "\n%*s", (int)indent, "");
			col = 0;
		}
		if (*text)
			text++;
	}
	buf_addc(b, '\n');
}

static size_t label_width(const struct opt *row)
{
	const char *type = opts_type_name(row);

	return strlen(row->name) + (*type ? 1 + strlen(type) : 0);
}

void opts_help(struct buf *b, const struct opt *table, const char *title)
{
	size_t widest = 0;
	bool letters = false;

	for (const struct opt *row = table; row && row->name; row++) {
		if (row->flags & OPT_HIDDEN)
			continue;
		widest = MAX(widest, label_width(row));
		letters = letters || row->letter;
	}
	if (!widest)
		return;
	buf_addf(b, "\n%s:\n", title);
	for (const struct opt *row = table; row->name; row++) {
		if (row->flags & OPT_HIDDEN)
			continue;
		const char *type = opts_type_name(row);
		AUTO_BUF struct buf text = BUF_INIT(4096);
		if (row->letter)
			buf_addf(b, "  -%c, ", row->letter);
		else
			buf_adds(b, "      ");
		buf_addf(b, "--%s%s%s%*s   ", row->name, *type ? " " : "", type,
			 (int)(widest - label_width(row)), "");
		buf_adds(&text, row->help);
		if (row->def && (row->type == OPT_STR || row->type == OPT_LIST))
			buf_addf(&text, " (default \"%s\")", row->def);
		else if (row->def)
			buf_addf(&text, " (default %s)", row->def);
		if (row->flags & OPT_UNBUILT)
			buf_adds(&text, " (not built yet)");
		add_folded(b, buf_text(&text), widest + 11, terminal_width());
	}
}
