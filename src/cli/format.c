/* SPDX-License-Identifier: Apache-2.0 */
/* Templates per row, headers, and the small texts lists are made of. */
#include "cli/format.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>
#include <time.h>

#include "base/banned.h"

#define LINES_MAX (256U << 20)

/* \t and \n typed in a shell are meant as tab and newline. */
static char *plain_escapes(const char *s)
{
	struct buf b = BUF_INIT(1U << 20);

	for (; *s; s++) {
		if (*s == '\\' && (s[1] == 't' || s[1] == 'n')) {
			buf_addc(&b, s[1] == 't' ? '\t' : '\n');
			s++;
		} else {
			buf_addc(&b, *s);
		}
	}
	return buf_take(&b);
}

static int parse(const char *text, struct gt_template **ret, struct err *e)
{
	if (gt_parse(text, ret, e) < 0)
		return err_wrap(e, "failed to parse template");
	return 0;
}

int list_begin(struct list_out *l, const char *format, const char *def, struct err *e)
{
	l->lines = BUF_INIT(LINES_MAX);
	if (!l->out)
		l->out = stdout;
	if (!format || !*format || !strcmp(format, "table"))
		format = def;
	if (!strcmp(format, "json"))
		l->json = true;
	l->table = str_starts(format, "table");
	if (l->table)
		format += 5;
	while (l->table && *format == ' ')
		format++;
	AUTO_FREE char *text = plain_escapes(l->json ? "{{json .}}" : format);
	size_t n = strlen(text);
	while (l->table && n && text[n - 1] == ' ')
		text[--n] = 0;
	return parse(text, &l->t, e);
}

static bool label_of(void *ud, const struct json *dot, const char *name,
		     const struct gt_value *args, size_t nargs, struct gt_value *ret)
{
	const struct list_out *l = ud;
	struct str rest = str_of(json_str(json_get(dot, "Labels"))), one;

	if (strcmp(name, "Label") || nargs != 1 || args[0].kind != GT_STRING)
		return false;
	ret->kind = GT_STRING;
	ret->s = (struct str){"", 0};
	(void)l;
	while (str_cut(&rest, ',', &one)) {
		if (one.n > args[0].s.n && one.p[args[0].s.n] == '=' &&
		    !memcmp(one.p, args[0].s.p, args[0].s.n))
			ret->s = (struct str){one.p + args[0].s.n + 1, one.n - args[0].s.n - 1};
	}
	return true;
}

/* The header of a label column: the last part of its name. */
static bool label_header(void *ud, const struct json *dot, const char *name,
			 const struct gt_value *args, size_t nargs, struct gt_value *ret)
{
	static char text[128];
	size_t n = 0;

	(void)ud;
	(void)dot;
	if (strcmp(name, "Label") || nargs != 1 || args[0].kind != GT_STRING)
		return false;
	for (size_t i = 0; i < args[0].s.n; i++) {
		char ch = args[0].s.p[i];
		if (ch == '.')
			n = 0;
		else if (n < sizeof text)
			text[n++] = ch == '-' || ch == '_' ? ' ' : ch;
	}
	*ret = (struct gt_value){.kind = GT_STRING, .s = {text, n}};
	return true;
}

static void line_ends(struct list_out *l)
{
	buf_addc(&l->lines, '\n');
	if (l->stream && !l->table) {
		fwrite(l->lines.p, 1, l->lines.n, l->out);
		fflush(l->out);
		buf_reset(&l->lines);
	}
}

int list_row(struct list_out *l, const char *json, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	const struct gt_options o = {.missing = GT_MISSING_TYPE,
				     .type_name = l->type_name,
				     .html_json = true,
				     .method = label_of,
				     .ud = l};

	if (json_parse(json, strlen(json), &j, e) < 0)
		return -1;
	if (gt_run(l->t, j, &o, &l->lines, e) < 0)
		return err_wrap(e, "failed to execute template");
	line_ends(l);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;
	const char *p = json_str(json_get(*x, "Name")), *q = json_str(json_get(*y, "Name"));

	return strcmp(p ? p : "", q ? q : "");
}

int list_rows_by_name(struct list_out *l, const struct json *list,
		      void (*row)(const struct json *j, bool no_trunc, struct buf *out),
		      bool no_trunc, struct err *e)
{
	size_t n = json_len(list);
	AUTO_FREE const struct json **all = xcalloc(n + 1, sizeof *all);
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		all[i] = json_at(list, i);
	qsort(all, n, sizeof *all, by_name);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		AUTO_BUF struct buf text = BUF_INIT(1U << 20);
		row(all[i], no_trunc, &text);
		rc = list_row(l, buf_text(&text), e);
	}
	return rc;
}

int list_row_fields(struct list_out *l, gt_field_fn field,
		    void (*json)(const void *row, struct buf *out), const void *row, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);

	if (gt_run_fields(l->t, field, row, &l->lines)) {
		line_ends(l);
		return 0;
	}
	json(row, &text);
	return list_row(l, buf_text(&text), e);
}

static void header_row(struct list_out *l, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 16);
	AUTO(json) struct json *j = NULL;
	struct err ignored = ERR_INIT;
	struct jw w = JW_INIT(&text);
	const struct gt_options o = {.method = label_header};

	jw_obj(&w);
	for (size_t i = 0; i < l->nheaders; i++)
		jw_kv_str(&w, l->headers[i].field, l->headers[i].header);
	jw_obj_end(&w);
	if (json_parse(buf_text(&text), text.n, &j, &ignored) == 0)
		gt_run(l->t, j, &o, out, &ignored);
	buf_addc(out, '\n');
}

void list_end(struct list_out *l, bool print)
{
	if (print && l->table) {
		AUTO_BUF struct buf all = BUF_INIT(LINES_MAX);
		AUTO_BUF struct buf out = BUF_INIT(LINES_MAX);
		header_row(l, &all);
		buf_add(&all, buf_text(&l->lines), l->lines.n);
		format_align(all.p, all.n, 10, 3, &out);
		fwrite(buf_text(&out), 1, out.n, l->out);
	} else if (print) {
		fwrite(buf_text(&l->lines), 1, l->lines.n, l->out);
	}
	fflush(l->out);
	buf_done(&l->lines);
	gt_free(l->t);
	l->t = NULL;
}

/* ---- API documents ---- */
static bool is_free_map(const char *name)
{
	static const char *const names[] = {
		"Labels",	"Annotations", "Sysctls",      "Options", "Ports",
		"Networks",	"Volumes",     "ExposedPorts", "Config",  "Tmpfs",
		"PortBindings", "Attributes",  "DriverStatus", "Data"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name) && i != 8)
			return true;
	return false;
}

static const char *null_text(const char *name)
{
	static const char *const pointers[] = {"OomKillDisable",   "PidsLimit", "Init",
					       "MemorySwappiness", "Health",	"Healthcheck",
					       "StopTimeout",	   "UsageData", "ContainerdCommit"};

	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++)
		if (!strcmp(pointers[i], name))
			return "<nil>";
	return is_free_map(name) ? "map[]" : "[]";
}

/* Fields of containers, images and volumes that are not in the document while they are empty. */
static const char *absent(const char *name)
{
	static const struct {
		const char *name, *text;
	} fields[] = {
		{"Health", "<nil>"},
		{"Healthcheck", "<nil>"},
		{"StopTimeout", "<nil>"},
		{"Init", "<nil>"},
		{"StopSignal", ""},
		{"MacAddress", ""},
		{"NetworkDisabled", "false"},
		{"ArgsEscaped", "false"},
		{"ExposedPorts", "map[]"},
		{"Shell", "[]"},
		{"OnBuild", "[]"},
		{"Mounts", "[]"},
		{"Tmpfs", "map[]"},
		{"Sysctls", "map[]"},
		{"StorageOpt", "map[]"},
		{"Annotations", "map[]"},
		{"Runtime", ""},
		{"SizeRw", "<nil>"},
		{"SizeRootFs", "<nil>"},
		{"BindOptions", "<nil>"},
		{"VolumeOptions", "<nil>"},
		{"TmpfsOptions", "<nil>"},
		{"ReadOnly", "false"},
		{"Source", ""},
		{"Name", ""},
		{"Driver", ""},
		{"Interval", "0s"},
		{"Timeout", "0s"},
		{"StartPeriod", "0s"},
		{"StartInterval", "0s"},
		{"Retries", "0"},
		{"UsageData", "<nil>"},
		{"Status", "map[]"},
		{"Descriptor", "<nil>"},
		{"ImageManifestDescriptor", "<nil>"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!strcmp(fields[i].name, name))
			return fields[i].text;
	return NULL;
}

int format_document(const char *format, const struct json *j, const char *type_name,
		    struct buf *out, struct err *e)
{
	AUTO(gt_template) struct gt_template *t = NULL;
	const struct gt_options o = {.missing = *type_name ? GT_MISSING_TYPE : GT_MISSING_MAP,
				     .type_name = type_name,
				     .any_case = !strcmp(type_name, "version") ||
						 !strcmp(type_name, FORMAT_EVENT),
				     .absent = *type_name ? NULL : absent,
				     .is_free_map = is_free_map,
				     .null_text = null_text};

	if (!strcmp(format, "json")) {
		AUTO_BUF struct buf plain = BUF_INIT(LINES_MAX);
		json_dump(j, &plain);
		buf_add(out, buf_text(&plain), plain.n);
		return 0;
	}
	if (gt_parse(format, &t, e) < 0)
		return err_wrap(e, "template parsing error");
	if (gt_run(t, j, &o, out, e) < 0)
		return *type_name ? -1 : err_wrap(e, "template parsing error");
	return 0;
}

/* ---- small texts ---- */
int format_filters(struct buf *path, const struct optval *filters, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&text);

	if (!filters->n)
		return 0;
	jw_obj(&w);
	for (size_t i = 0; i < filters->n; i++) {
		const char *s = filters->v[i], *eq = strchr(s, '=');
		if (!eq)
			return err_set(e, ERR_INVALID,
				       "invalid argument \"%s\" for \"-f, --filter\" flag: bad "
				       "format of filter (expected name=value)",
				       s);
		bool seen = false;
		size_t key = (size_t)(eq - s);
		for (size_t k = 0; k < i; k++)
			seen = seen || !strncmp(filters->v[k], s, key + 1);
		if (seen)
			continue;
		AUTO_FREE char *name = xstrndup(s, key);
		jw_key(&w, name);
		jw_obj(&w);
		for (size_t k = i; k < filters->n; k++) {
			if (strncmp(filters->v[k], s, key + 1))
				continue;
			jw_key(&w, filters->v[k] + key + 1);
			jw_bool(&w, true);
		}
		jw_obj_end(&w);
	}
	jw_obj_end(&w);
	url_query(path, "filters", buf_text(&text));
	return 0;
}

void format_ellipsis(const char *text, size_t max, struct buf *out)
{
	size_t runes = 0, cut = 0, i = 0;

	for (; text[i]; i++) {
		if (((unsigned char)text[i] & 0xc0) == 0x80)
			continue;
		if (runes == max - 1)
			cut = i;
		runes++;
	}
	if (runes <= max) {
		buf_adds(out, text);
	} else {
		buf_add(out, text, cut);
		buf_adds(out, "…");
	}
}

void format_command(const char *text, bool no_trunc, struct buf *out)
{
	AUTO_BUF struct buf shown = BUF_INIT(1U << 20);

	if (no_trunc)
		buf_adds(&shown, text);
	else
		format_ellipsis(text, 20, &shown);
	buf_addc(out, '"');
	for (const char *s = buf_text(&shown); *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addf(out, "\\%c", *s);
		else if (*s == '\n')
			buf_adds(out, "\\n");
		else if (*s == '\t')
			buf_adds(out, "\\t");
		else if ((unsigned char)*s < 0x20)
			buf_addf(out, "\\x%02x", (unsigned)*s);
		else
			buf_addc(out, *s);
	}
	buf_addc(out, '"');
}

const char *format_short_id(const char *id, bool no_trunc, char ret[static 13])
{
	if (!id)
		return "";
	if (no_trunc)
		return id;
	if (str_starts(id, "sha256:"))
		id += 7;
	size_t n = strnlen(id, 12);
	memcpy(ret, id, n);
	ret[n] = 0;
	return ret;
}

void format_unix(int64_t seconds, char *ret, size_t n)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(ret, n, "%Y-%m-%d %H:%M:%S %z %Z", &tm);
}

char *format_when(const char *text)
{
	int64_t ns;

	if (clock_parse_when(text, clock_now_ns(), &ns) < 0)
		return xstrdup(text);
	return xasprintf("%lld.%09lld", (long long)(ns / 1000000000), (long long)(ns % 1000000000));
}
