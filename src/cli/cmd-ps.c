/* SPDX-License-Identifier: Apache-2.0 */
/* ps: the list of containers. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/units.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

#define PS_FORMAT                                                                                  \
	"table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}"   \
	"\\t{{.Names}}"

/* In the order of the JSON object. */
const struct format_header container_headers[] = {
	{"Command", "COMMAND"},	  {"CreatedAt", "CREATED AT"}, {"ID", "CONTAINER ID"},
	{"Image", "IMAGE"},	  {"Labels", "LABELS"},	       {"LocalVolumes", "LOCAL VOLUMES"},
	{"Mounts", "MOUNTS"},	  {"Names", "NAMES"},	       {"Networks", "NETWORKS"},
	{"Platform", "PLATFORM"}, {"Ports", "PORTS"},	       {"RunningFor", "CREATED"},
	{"Size", "SIZE"},	  {"State", "STATE"},	       {"Status", "STATUS"},
};
const size_t container_headers_n = ARRAY_SIZE(container_headers);

/* Items of one cell, which may stand behind other cells. */
struct items {
	struct buf *out;
	size_t n;
};

static struct buf *next_item(struct items *i)
{
	if (i->n++)
		buf_addc(i->out, ',');
	return i->out;
}

static void add_label(const char *key, struct json *value, void *ud)
{
	const char *text = json_str(value);

	buf_addf(next_item(ud), "%s=%s", key, text ? text : "");
}

static void add_key(const char *key, struct json *value, void *ud)
{
	(void)value;
	buf_adds(next_item(ud), key);
}

void format_labels(const struct json *labels, struct buf *out)
{
	json_each(labels, add_label, &(struct items){.out = out});
}

static void add_names(const struct json *names, bool no_trunc, struct buf *b)
{
	struct items items = {.out = b};

	for (size_t i = 0; i < json_len(names); i++) {
		const char *name = json_str(json_at(names, i));
		if (!name)
			continue;
		if (*name == '/')
			name++;
		if (no_trunc || !strchr(name, '/'))
			buf_adds(next_item(&items), name);
	}
}

static void add_mounts(const struct json *mounts, bool no_trunc, struct buf *b)
{
	struct items items = {.out = b};

	for (size_t i = 0; i < json_len(mounts); i++) {
		const struct json *m = json_at(mounts, i);
		const char *name = json_str(json_get(m, "Name"));
		if (!name || !*name)
			name = json_str(json_get(m, "Source"));
		if (no_trunc)
			buf_adds(next_item(&items), name ? name : "");
		else
			format_ellipsis(name ? name : "", 15, next_item(&items));
	}
}

static int local_volumes(const struct json *mounts)
{
	int n = 0;

	for (size_t i = 0; i < json_len(mounts); i++) {
		const char *driver = json_str(json_get(json_at(mounts, i), "Driver"));
		n += driver && !strcmp(driver, "local");
	}
	return n;
}

static void size_text(const struct json *c, bool with_image, struct buf *out)
{
	char own[32], all[32];
	double root = json_double(json_get(c, "SizeRootFs"));

	units_decimal(json_double(json_get(c, "SizeRw")), 3, own, sizeof own);
	units_decimal(root, 3, all, sizeof all);
	buf_adds(out, own);
	if (root > 0 && with_image)
		buf_addf(out, " (virtual %s)", all);
}

static const char *text_of(const struct json *c, const char *key)
{
	const char *text = json_str(json_get(c, key));

	return text ? text : "";
}

static const char *image_text(const struct json *c, bool no_trunc, char id[static 13])
{
	const char *image = json_str(json_get(c, "Image"));
	const char *image_id = json_str(json_get(c, "ImageID"));
	char other[13];

	if (!image || !*image)
		return "<no image>";
	if (no_trunc || !image_id)
		return image;
	format_short_id(image_id, false, id);
	return !strcmp(format_short_id(image, false, other), id) ? id : image;
}

static void add_ports(const struct json *ports, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);

	ports_column(ports, &text);
	buf_add(out, buf_text(&text), text.n);
}

static void add_time(const struct container_row *r, bool ago, struct buf *out)
{
	int64_t seconds = json_i64(json_get(r->c, "Created"));
	char text[64];

	if (ago)
		clock_human(r->now_ns - seconds * 1000000000LL, text, sizeof text);
	else
		format_unix(seconds, text, sizeof text);
	buf_adds(out, text);
	buf_adds(out, ago ? " ago" : "");
}

static bool field(const void *row, const char *name, struct buf *out)
{
	const struct container_row *r = row;
	const struct json *c = r->c;
	char id[13];

	if (!strcmp(name, "ID"))
		buf_adds(out, format_short_id(json_str(json_get(c, "Id")), r->no_trunc, id));
	else if (!strcmp(name, "Image"))
		buf_adds(out, image_text(c, r->no_trunc, id));
	else if (!strcmp(name, "Command"))
		format_command(text_of(c, "Command"), r->no_trunc, out);
	else if (!strcmp(name, "RunningFor") || !strcmp(name, "CreatedAt"))
		add_time(r, *name == 'R', out);
	else if (!strcmp(name, "State") || !strcmp(name, "Status"))
		buf_adds(out, text_of(c, name));
	else if (!strcmp(name, "Ports"))
		add_ports(json_get(c, "Ports"), out);
	else if (!strcmp(name, "Names"))
		add_names(json_get(c, "Names"), r->no_trunc, out);
	else if (!strcmp(name, "Labels"))
		format_labels(json_get(c, "Labels"), out);
	else if (!strcmp(name, "Mounts"))
		add_mounts(json_get(c, "Mounts"), r->no_trunc, out);
	else if (!strcmp(name, "LocalVolumes"))
		buf_addf(out, "%d", local_volumes(json_get(c, "Mounts")));
	else if (!strcmp(name, "Networks"))
		json_each(json_get(json_get(c, "NetworkSettings"), "Networks"), add_key,
			  &(struct items){.out = out});
	else if (!strcmp(name, "Size"))
		size_text(c, r->with_image, out);
	else
		return false; /* Platform, which is null, and what is no field */
	return true;
}

static void row_json(const void *row, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	for (size_t i = 0; i < container_headers_n; i++) {
		buf_reset(&text);
		jw_key(&w, container_headers[i].field);
		if (field(row, container_headers[i].field, &text))
			jw_str(&w, buf_text(&text));
		else
			jw_null(&w);
	}
	jw_obj_end(&w);
}

int container_list_row(struct list_out *l, const struct container_row *row, struct err *e)
{
	return list_row_fields(l, field, row_json, row, e);
}

struct ps {
	struct list_out l;
	struct container_row row;
};

static int print_container(void *ud, const struct json *item, struct err *e)
{
	struct ps *p = ud;

	p->row.c = item;
	return container_list_row(&p->l, &p->row, e);
}

int cmd_ps(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO_REPLY struct reply reply = REPLY_INIT;
	struct ps p = {.l = {.type_name = "*formatter.ContainerContext",
			     .headers = container_headers,
			     .nheaders = container_headers_n},
		       .row = {.now_ns = clock_now_ns(), .with_image = true}};
	struct err e = ERR_INIT;
	bool size = opts_bool(o, "size");
	int64_t last = opts_bool(o, "latest") && !opts_set(o, "last") ? 1 : opts_int(o, "last");
	const char *format = opts_str(o, "format");
	char limit[24];

	p.row.no_trunc = opts_bool(o, "no-trunc");
	size = size || strstr(format, ".Size") || strstr(format, "json");
	snprintf(limit, sizeof limit, "%lld", (long long)last);
	buf_adds(&path, "/containers/json");
	if (opts_bool(o, "all"))
		url_query(&path, "all", "1");
	if (last > 0)
		url_query(&path, "limit", limit);
	if (size)
		url_query(&path, "size", "1");
	const char *def = opts_bool(o, "quiet")	 ? "{{.ID}}"
			  : opts_bool(o, "size") ? PS_FORMAT "\\t{{.Size}}"
						 : PS_FORMAT;
	int rc = format_filters(&path, opts_get(o, "filter"), &e);
	if (rc == 0)
		rc = client_call(c, "GET", path.p, NULL, &reply, &e);
	if (rc == 0)
		rc = list_begin(&p.l, format, def, &e);
	if (rc == 0)
		rc = json_items(buf_text(&reply.body), reply.body.n, print_container, &p, &e);
	list_end(&p.l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
