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

const struct format_header container_headers[] = {
	{"ID", "CONTAINER ID"},	     {"Image", "IMAGE"},	{"Command", "COMMAND"},
	{"CreatedAt", "CREATED AT"}, {"RunningFor", "CREATED"}, {"Ports", "PORTS"},
	{"State", "STATE"},	     {"Status", "STATUS"},	{"Size", "SIZE"},
	{"Names", "NAMES"},	     {"Labels", "LABELS"},	{"LocalVolumes", "LOCAL VOLUMES"},
	{"Mounts", "MOUNTS"},	     {"Networks", "NETWORKS"},	{"Platform", "PLATFORM"},
};
const size_t container_headers_n = ARRAY_SIZE(container_headers);

static void add_item(struct buf *b, const char *text)
{
	buf_addf(b, "%s%s", b->n ? "," : "", text);
}

static void add_label(const char *key, struct json *value, void *ud)
{
	const char *text = json_str(value);
	AUTO_FREE char *one = xasprintf("%s=%s", key, text ? text : "");

	add_item(ud, one);
}

static void add_key(const char *key, struct json *value, void *ud)
{
	(void)value;
	add_item(ud, key);
}

void format_labels(const struct json *labels, struct buf *out)
{
	json_each(labels, add_label, out);
}

static void add_names(const struct json *names, bool no_trunc, struct buf *b)
{
	for (size_t i = 0; i < json_len(names); i++) {
		const char *name = json_str(json_at(names, i));
		if (!name)
			continue;
		if (*name == '/')
			name++;
		if (no_trunc || !strchr(name, '/'))
			add_item(b, name);
	}
}

static void add_mounts(const struct json *mounts, bool no_trunc, struct buf *b, int *ret_local)
{
	*ret_local = 0;
	for (size_t i = 0; i < json_len(mounts); i++) {
		const struct json *m = json_at(mounts, i);
		const char *name = json_str(json_get(m, "Name"));
		const char *driver = json_str(json_get(m, "Driver"));
		AUTO_BUF struct buf shown = BUF_INIT(1U << 16);
		if (!name || !*name)
			name = json_str(json_get(m, "Source"));
		if (driver && !strcmp(driver, "local"))
			++*ret_local;
		if (no_trunc)
			buf_adds(&shown, name ? name : "");
		else
			format_ellipsis(name ? name : "", 15, &shown);
		add_item(b, buf_text(&shown));
	}
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

struct texts {
	struct buf names, labels, mounts, networks, ports, command, size;
};

static void texts_done(struct texts *t)
{
	struct buf *all[] = {&t->names, &t->labels,  &t->mounts, &t->networks,
			     &t->ports, &t->command, &t->size};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		buf_done(all[i]);
}

void container_row(const struct json *c, bool no_trunc, bool with_image, struct buf *out)
{
	struct buf empty = BUF_INIT(1U << 20);
	CLEANUP(texts_done)
	struct texts t = {empty, empty, empty, empty, empty, empty, empty};
	struct jw w = JW_INIT(out);
	char id[13], image[13], created[64], human[64], ago[80], local[16];
	int64_t seconds = json_i64(json_get(c, "Created"));
	const char *command = json_str(json_get(c, "Command"));
	int volumes;

	add_names(json_get(c, "Names"), no_trunc, &t.names);
	format_labels(json_get(c, "Labels"), &t.labels);
	add_mounts(json_get(c, "Mounts"), no_trunc, &t.mounts, &volumes);
	json_each(json_get(json_get(c, "NetworkSettings"), "Networks"), add_key, &t.networks);
	ports_column(json_get(c, "Ports"), &t.ports);
	format_command(command ? command : "", no_trunc, &t.command);
	size_text(c, with_image, &t.size);
	format_unix(seconds, created, sizeof created);
	clock_human(clock_now_ns() - seconds * 1000000000LL, human, sizeof human);
	snprintf(ago, sizeof ago, "%s ago", human);
	snprintf(local, sizeof local, "%d", volumes);
	jw_obj(&w);
	jw_kv_str(&w, "Command", buf_text(&t.command));
	jw_kv_str(&w, "CreatedAt", created);
	jw_kv_str(&w, "ID", format_short_id(json_str(json_get(c, "Id")), no_trunc, id));
	jw_kv_str(&w, "Image", image_text(c, no_trunc, image));
	jw_kv_str(&w, "Labels", buf_text(&t.labels));
	jw_kv_str(&w, "LocalVolumes", local);
	jw_kv_str(&w, "Mounts", buf_text(&t.mounts));
	jw_kv_str(&w, "Names", buf_text(&t.names));
	jw_kv_str(&w, "Networks", buf_text(&t.networks));
	jw_key(&w, "Platform");
	jw_null(&w);
	jw_kv_str(&w, "Ports", buf_text(&t.ports));
	jw_kv_str(&w, "RunningFor", ago);
	jw_kv_str(&w, "Size", buf_text(&t.size));
	jw_kv_str(&w, "State", json_str(json_get(c, "State")));
	jw_kv_str(&w, "Status", json_str(json_get(c, "Status")));
	jw_obj_end(&w);
}

int cmd_ps(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO(json) struct json *list = NULL;
	struct list_out l = {.type_name = "*formatter.ContainerContext",
			     .headers = container_headers,
			     .nheaders = container_headers_n};
	struct err e = ERR_INIT;
	bool size = opts_bool(o, "size"), no_trunc = opts_bool(o, "no-trunc");
	int64_t last = opts_bool(o, "latest") && !opts_set(o, "last") ? 1 : opts_int(o, "last");
	const char *format = opts_str(o, "format");
	char limit[24];

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
		rc = client_json(c, "GET", path.p, NULL, &list, &e);
	if (rc == 0)
		rc = list_begin(&l, format, def, &e);
	for (size_t i = 0; rc == 0 && i < json_len(list); i++) {
		AUTO_BUF struct buf row = BUF_INIT(1U << 20);
		container_row(json_at(list, i), no_trunc, true, &row);
		rc = list_row(&l, buf_text(&row), &e);
	}
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
