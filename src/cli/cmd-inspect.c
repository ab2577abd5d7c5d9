/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: any object by name, or one type of it; the API's own JSON, indented, or a template. */
#include "cli/commands.h"
#include "cli/format.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

static const struct {
	const char *type, *path;
} types[] = {
	{"container", "/containers/%s/json"},
	{"image", "/images/%s/json"},
	{"network", "/networks/%s"},
	{"volume", "/volumes/%s"},
};

/* The document of one object; the first type that knows the name wins. */
static int find(struct cli *c, const char *type, const char *name, bool size, const char *platform,
		struct reply *r, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (*type && strcmp(type, types[i].type))
			continue;
		AUTO_FREE char *path = url_path(types[i].path, name);
		AUTO_BUF struct buf whole = BUF_INIT(1U << 16);
		buf_adds(&whole, path);
		if (size && i == 0)
			url_query(&whole, "size", "1");
		if (*platform)
			url_platform(&whole, "platform", platform);
		if (client_call(c, "GET", buf_text(&whole), NULL, r, e) == 0)
			return 0;
		if (*type || (e->kind != ERR_NOT_FOUND && e->kind != ERR_UNSUPPORTED))
			return -1;
	}
	return err_set(e, ERR_NOT_FOUND, "Error: No such object: %s", name);
}

static int print_one(const char *format, const struct reply *r, struct buf *out, struct err *e)
{
	AUTO(json) struct json *j = NULL;

	if (json_parse(buf_text(&r->body), r->body.n, &j, e) < 0)
		return -1;
	size_t before = out->n;
	if (format_document(format, j, "", out, e) < 0) {
		if (out->n > before) /* what came before the failure stays out */
			out->p[out->n = before] = 0;
		return -1;
	}
	buf_addc(out, '\n');
	return 0;
}

static int inspect(struct cli *c, struct opts *o, const char *type, bool size, const char *platform)
{
	AUTO_BUF struct buf raw = BUF_INIT(CLI_BODY_MAX);
	AUTO_BUF struct buf out = BUF_INIT(CLI_BODY_MAX);
	AUTO_BUF struct buf errors = BUF_INIT(1U << 20);
	const char *format = opts_str(o, "format");
	bool found = false, as_json = !strcmp(format, "json");
	struct err bad = ERR_INIT;
	AUTO(gt_template) struct gt_template *check = NULL;

	if (*format && gt_parse(format, &check, &bad) < 0) {
		fprintf(stderr, "template parsing error: %s\n", bad.text);
		return 64;
	}
	buf_addc(&raw, '[');
	for (int i = 0; i < o->argc; i++) {
		AUTO_REPLY struct reply r = REPLY_INIT;
		struct err e = ERR_INIT;

		if (find(c, type, o->argv[i], size, platform, &r, &e) < 0) {
			buf_addf(&errors, "%s\n", e.text);
			continue;
		}
		if (*format && !as_json) {
			if (print_one(format, &r, &out, &e) < 0) {
				buf_addf(&errors, "%s\n", e.text);
				break;
			}
		} else {
			if (found)
				buf_addc(&raw, ',');
			buf_add(&raw, r.body.p, r.body.n);
		}
		found = true;
	}
	buf_addc(&raw, ']');
	if (as_json) {
		AUTO(json) struct json *all = NULL;
		if (json_parse(raw.p, raw.n, &all, &bad) == 0)
			json_dump(all, &out);
		buf_addc(&out, '\n');
	} else if (!*format) {
		json_indent(raw.p, raw.n, "    ", &out);
		buf_addc(&out, '\n');
	} else if (!found) {
		buf_addc(&out, '\n');
	}
	fwrite(buf_text(&out), 1, out.n, stdout);
	fflush(stdout);
	fputs(buf_text(&errors), stderr);
	return errors.n ? 1 : 0;
}

int cmd_inspect(struct cli *c, struct opts *o)
{
	const char *type = opts_str(o, "type");
	bool known = !*type;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		known = known || !strcmp(type, types[i].type);
	if (!known) {
		fprintf(stderr,
			"unknown type: \"%s\": must be one of \"container\", \"image\", "
			"\"network\", \"volume\"\n",
			type);
		return 1;
	}
	return inspect(c, o, type, opts_bool(o, "size"), "");
}

int cmd_container_inspect(struct cli *c, struct opts *o)
{
	return inspect(c, o, "container", opts_bool(o, "size"), "");
}

int cmd_image_inspect(struct cli *c, struct opts *o)
{
	return inspect(c, o, "image", false, opts_str(o, "platform"));
}

int cmd_volume_inspect(struct cli *c, struct opts *o)
{
	return inspect(c, o, "volume", false, "");
}

int cmd_network_inspect(struct cli *c, struct opts *o)
{
	return inspect(c, o, "network", false, "");
}
