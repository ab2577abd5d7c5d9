/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per id on a terminal, moved to with cursor escapes and redrawn in place; without a
 * terminal progress counters are left out and every change of status is a line.
 */
#include "cli/progress.h"
#include "cli/units.h"
#include "base/mem.h"

#include <string.h>
#include <sys/ioctl.h>

#include "base/banned.h"

#define BAR_WIDTH 50

struct progress {
	FILE *out;
	bool tty, quiet;
	size_t width;
	char **ids; /* one per line drawn */
	size_t nids;
	void (*aux)(void *ud, const struct json *value);
	void *ud;
};

static void add_bar(struct buf *b, const struct json *detail, size_t width)
{
	int64_t current = json_i64(json_get(detail, "current"));
	int64_t total = json_i64(json_get(detail, "total"));
	char text[32], whole[32];

	if (current <= 0 && total <= 0)
		return;
	units_decimal((double)current, 4, text, sizeof text);
	if (total <= 0) {
		buf_addf(b, "%8s", text);
		return;
	}
	units_decimal((double)total, 4, whole, sizeof whole);
	if (width > 110) {
		int64_t filled = current > total ? BAR_WIDTH : current * BAR_WIDTH / total;
		buf_addc(b, '[');
		for (int64_t i = 0; i < filled; i++)
			buf_addc(b, '=');
		buf_addc(b, '>');
		for (int64_t i = filled; i < BAR_WIDTH; i++)
			buf_addc(b, ' ');
		buf_adds(b, "] ");
	}
	if (current <= total)
		buf_addf(b, "%8s/%s", text, whole);
	else
		buf_addf(b, "%8s", text);
}

/* Move to the line of this id, appending a new one at the end; returns how far up it is. */
static size_t seek_line(struct progress *p, const char *id)
{
	size_t i = 0;

	while (i < p->nids && strcmp(p->ids[i], id))
		i++;
	if (i == p->nids) {
		p->ids = xrealloc(p->ids, (p->nids + 1) * sizeof *p->ids);
		p->ids[p->nids++] = xstrdup(id);
		fputc('\n', p->out);
	}
	size_t up = p->nids - i;
	fprintf(p->out, "\033[%zuA\033[2K\r", up);
	return up;
}

static void forget_lines(struct progress *p)
{
	for (size_t i = 0; i < p->nids; i++)
		free(p->ids[i]);
	free(p->ids);
	p->ids = NULL;
	p->nids = 0;
}

static void draw(struct progress *p, const struct json *j)
{
	AUTO_BUF struct buf line = BUF_INIT(1U << 16);
	const char *id = json_str(json_get(j, "id"));
	const char *status = json_str(json_get(j, "status"));
	const char *stream = json_str(json_get(j, "stream"));
	const struct json *detail = json_get(j, "progressDetail");
	bool has_bar = json_i64(json_get(detail, "current")) > 0 ||
		       json_i64(json_get(detail, "total")) > 0;

	if (stream) {
		fputs(stream, p->out);
		return;
	}
	if (!status || (has_bar && !p->tty))
		return;
	if (id && *id)
		buf_addf(&line, "%s: ", id);
	buf_adds(&line, status);
	if (has_bar) {
		buf_addc(&line, ' ');
		add_bar(&line, detail, p->width);
	}
	if (!p->tty || !id || !*id || !detail) {
		if (p->tty && (!id || !*id))
			forget_lines(p);
		fprintf(p->out, "%s\n", buf_text(&line));
		return;
	}
	size_t up = seek_line(p, id);
	fprintf(p->out, "%s%s\r\033[%zuB", buf_text(&line), has_bar ? "" : " ", up);
}

static int one_message(struct progress *p, const char *text, size_t n, struct err *e)
{
	AUTO(json) struct json *j = NULL;

	if (json_parse(text, n, &j, e) < 0)
		return -1;
	const char *error = json_str(json_get(json_get(j, "errorDetail"), "message"));
	if (!error)
		error = json_str(json_get(j, "error"));
	if (error)
		return err_set(e, ERR_REMOTE, "%s", error);
	if (p->aux && json_get(j, "aux"))
		p->aux(p->ud, json_get(j, "aux"));
	if (!p->quiet)
		draw(p, j);
	return 0;
}

static int lines(struct progress *p, struct buf *pending, struct err *e)
{
	char *nl;

	while ((nl = pending->n ? memchr(pending->p, '\n', pending->n) : NULL)) {
		size_t n = (size_t)(nl - pending->p);
		size_t text = n && pending->p[n - 1] == '\r' ? n - 1 : n;
		int rc = text ? one_message(p, pending->p, text, e) : 0;
		buf_drop(pending, n + 1);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int progress_show(struct conn *k, FILE *out, bool quiet, struct err *e)
{
	return progress_show_aux(k, out, quiet, NULL, NULL, e);
}

int progress_show_aux(struct conn *k, FILE *out, bool quiet,
		      void (*aux)(void *ud, const struct json *value), void *ud, struct err *e)
{
	AUTO_BUF struct buf pending = BUF_INIT(1U << 20);
	struct progress p = {.out = out,
			     .quiet = quiet,
			     .tty = isatty(fileno(out)),
			     .width = 80,
			     .aux = aux,
			     .ud = ud};
	struct winsize ws;
	const char *data;
	ssize_t n;
	int rc = 0;

	if (p.tty && ioctl(fileno(out), TIOCGWINSZ, &ws) == 0 && ws.ws_col)
		p.width = ws.ws_col;
	while (rc == 0 && (n = conn_read(k, &data, e)) != 0) {
		if (n < 0) {
			rc = -1;
			break;
		}
		buf_add(&pending, data, (size_t)n);
		rc = lines(&p, &pending, e);
		fflush(out);
	}
	if (rc == 0 && pending.n)
		rc = one_message(&p, pending.p, pending.n, e);
	fflush(out);
	forget_lines(&p);
	return rc;
}
