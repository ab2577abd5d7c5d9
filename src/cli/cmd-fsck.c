/* SPDX-License-Identifier: Apache-2.0 */
/* system gc, system fsck. fsck's exit status: 0 all is sound; 1 the check could not be made; 2
 * problems were found and every one is repaired; 3 problems are left. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/units.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

enum { FSCK_SOUND = 0, FSCK_REPAIRED = 2, FSCK_LEFT = 3 };

struct fsck_view {
	bool json, repair, tty, bar;
	uint64_t problems, repaired;
	bool complete; /* the summary came */
};

static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_str(json_get(j, key));

	return s ? s : "";
}

static void clear_bar(struct fsck_view *v)
{
	if (v->bar)
		fputs("\r\033[K", stderr);
	v->bar = false;
}

static void show_problem(struct fsck_view *v, const struct json *j)
{
	const char *advice = text_of(j, "advice");

	clear_bar(v);
	printf("%s %s: %s\n", text_of(j, "kind"), text_of(j, "name"), text_of(j, "problem"));
	if (json_bool(json_get(j, "repaired")))
		printf("    repaired\n");
	else if (*advice)
		printf("    not repaired: %s\n", advice);
	else if (!v->repair)
		printf("    \"coracle system fsck --repair\" takes care of it\n");
	else
		printf("    not repaired\n");
	fflush(stdout);
}

static void show_summary(struct fsck_view *v, const struct json *s)
{
	char bytes[32];

	clear_bar(v);
	units_decimal(json_double(json_get(s, "bytes")), 4, bytes, sizeof bytes);
	printf("%llu blobs, %llu layers, %llu files, %s read: ",
	       (unsigned long long)json_u64(json_get(s, "blobs")),
	       (unsigned long long)json_u64(json_get(s, "layers")),
	       (unsigned long long)json_u64(json_get(s, "entries")), bytes);
	if (!v->problems)
		printf("no problems\n");
	else
		printf("%llu problem%s, %llu repaired\n", (unsigned long long)v->problems,
		       v->problems == 1 ? "" : "s", (unsigned long long)v->repaired);
	if (json_u64(json_get(s, "unsealed")))
		printf("%llu layers were unpacked by an older version: only their presence is "
		       "checked\n",
		       (unsigned long long)json_u64(json_get(s, "unsealed")));
}

static void show_progress(struct fsck_view *v, const struct json *j)
{
	const struct json *d = json_get(j, "progressDetail");

	if (!v->tty || !json_i64(json_get(d, "total")))
		return;
	fprintf(stderr, "\r\033[K%s: %lld/%lld", text_of(j, "status"),
		(long long)json_i64(json_get(d, "current")),
		(long long)json_i64(json_get(d, "total")));
	v->bar = true;
}

static int fsck_line(void *ud, const char *line, size_t n, struct err *e)
{
	struct fsck_view *v = ud;
	AUTO(json) struct json *j = NULL;

	if (json_parse(line, n, &j, e) < 0)
		return -1;
	const struct json *summary = json_get(j, "summary");
	const char *error = json_str(json_get(json_get(j, "errorDetail"), "message"));
	if (error)
		return err_set(e, ERR_REMOTE, "%s", error);
	if (summary) {
		v->complete = true;
		v->problems = json_u64(json_get(summary, "problems"));
		v->repaired = json_u64(json_get(summary, "repaired"));
	}
	if (v->json) {
		if (summary || json_get(j, "kind"))
			printf("%.*s\n", (int)n, line);
	} else if (summary) {
		show_summary(v, summary);
	} else if (json_get(j, "kind")) {
		show_problem(v, j);
	} else {
		show_progress(v, j);
	}
	return 0;
}

int cmd_system_fsck(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 10);
	const char *format = opts_str(o, "format");
	struct fsck_view v = {.json = !strcmp(format, "json"),
			      .repair = opts_bool(o, "repair"),
			      .tty = isatty(STDERR_FILENO)};
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;
	int rc = 0;

	buf_adds(&path, "/coracle/fsck");
	if (v.repair)
		url_query(&path, "repair", "1");
	if (opts_bool(o, "quick"))
		url_query(&path, "quick", "1");
	if (*format && !v.json)
		rc = err_set(&e, ERR_INVALID, "unknown format \"%s\": only json", format);
	if (rc == 0)
		rc = conn_open(c, &k, &e);
	if (rc == 0)
		rc = conn_send(&k, "POST", path.p, NULL, NULL, NULL, 0, &e);
	if (rc == 0)
		rc = conn_check(&k, &e);
	if (rc == 0)
		rc = conn_lines(&k, fsck_line, &v, &e);
	conn_close(c, &k);
	clear_bar(&v);
	if (rc == 0 && !v.complete)
		rc = err_set(&e, ERR_REMOTE, "the check was cut off");
	if (rc < 0)
		return cli_fail(c, &e);
	return !v.problems ? FSCK_SOUND : v.problems == v.repaired ? FSCK_REPAIRED : FSCK_LEFT;
}

/* ---- gc ---- */

static void gc_text(const struct json *j)
{
	const struct json *list = json_get(j, "Images");
	bool dry = json_bool(json_get(j, "DryRun"));
	char size[32];

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *image = json_at(list, i), *names = json_get(image, "Names");

		units_decimal(json_double(json_get(image, "Size")), 4, size, sizeof size);
		printf("%s %s (%s, last used %s)\n", dry ? "would remove" : "removed",
		       json_len(names) ? json_str(json_at(names, 0)) : text_of(image, "Id"), size,
		       text_of(image, "LastUsed"));
	}
	units_decimal(json_double(json_get(j, "SpaceReclaimed")), 4, size, sizeof size);
	printf("%s: %s\n", dry ? "Space to reclaim" : "Total reclaimed space", size);
}

int cmd_system_gc(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 12);
	AUTO_BUF struct buf out = BUF_INIT(64U << 20);
	AUTO(json) struct json *j = NULL;
	const char *format = opts_str(o, "format");
	struct err e = ERR_INIT;

	buf_adds(&path, "/coracle/gc");
	if (opts_bool(o, "dry-run"))
		url_query(&path, "dry-run", "1");
	if (opts_bool(o, "dangling"))
		url_query(&path, "dangling", "1");
	if (opts_set(o, "unused-for"))
		url_query(&path, "unused-for", opts_str(o, "unused-for"));
	if (opts_set(o, "keep-storage"))
		url_query(&path, "keep-storage", opts_str(o, "keep-storage"));
	if (client_json(c, "POST", path.p, NULL, &j, &e) < 0)
		return cli_fail(c, &e);
	if (!*format) {
		gc_text(j);
		return 0;
	}
	if (format_document(format, j, "", &out, &e) < 0)
		return cli_fail(c, &e);
	printf("%s\n", buf_text(&out));
	return 0;
}
