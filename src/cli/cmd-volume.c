/* SPDX-License-Identifier: Apache-2.0 */
/* volume commands, and prune of everything. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/run.h"
#include "cli/units.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

int cmd_volume_create(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);
	AUTO(json) struct json *answer = NULL;
	struct jw w = JW_INIT(&body);
	struct err e = ERR_INIT;

	if (opts_set(o, "name") && o->argc) {
		fprintf(stderr, "conflicting options: cannot specify a volume-name through both "
				"--name and as a positional arg\n");
		return 1;
	}
	jw_obj(&w);
	jw_kv_str(&w, "Name", o->argc ? o->argv[0] : opts_str(o, "name"));
	jw_kv_str(&w, "Driver", opts_str(o, "driver"));
	jw_key(&w, "DriverOpts");
	parse_pairs(&w, opts_get(o, "opt"));
	jw_key(&w, "Labels");
	parse_pairs(&w, opts_get(o, "label"));
	jw_obj_end(&w);
	if (client_json(c, "POST", "/volumes/create", buf_text(&body), &answer, &e) < 0)
		return cli_fail(c, &e);
	printf("%s\n", json_str(json_get(answer, "Name")));
	return 0;
}

int cmd_volume_rm(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf errors = BUF_INIT(1U << 20);

	for (int i = 0; i < o->argc; i++) {
		AUTO_REPLY struct reply r = REPLY_INIT;
		struct err e = ERR_INIT;
		AUTO_FREE char *path = url_path(
			opts_bool(o, "force") ? "/volumes/%s?force=1" : "/volumes/%s", o->argv[i]);

		if (client_call(c, "DELETE", path, NULL, &r, &e) == 0)
			printf("%s\n", o->argv[i]), fflush(stdout);
		else
			buf_addf(&errors, "%s\n", e.text);
	}
	fputs(buf_text(&errors), stderr);
	return errors.n ? 1 : 0;
}

static const struct format_header volume_headers[] = {
	{"Name", "VOLUME NAME"}, {"Driver", "DRIVER"},
	{"Scope", "SCOPE"},	 {"Mountpoint", "MOUNTPOINT"},
	{"Labels", "LABELS"},	 {"Links", "LINKS"},
	{"Size", "SIZE"},	 {"Availability", "AVAILABILITY"},
	{"Group", "GROUP"},	 {"Status", "STATUS"},
};

void volume_row(const struct json *v, struct buf *out)
{
	struct jw w = JW_INIT(out);
	AUTO_BUF struct buf labels = BUF_INIT(1U << 20);
	const struct json *usage = json_get(v, "UsageData");
	char size[32] = "N/A", links[24] = "N/A";

	if (usage) {
		units_decimal(json_double(json_get(usage, "Size")), 4, size, sizeof size);
		snprintf(links, sizeof links, "%lld",
			 (long long)json_i64(json_get(usage, "RefCount")));
	}
	format_labels(json_get(v, "Labels"), &labels);
	jw_obj(&w);
	jw_kv_str(&w, "Availability", "N/A");
	jw_kv_str(&w, "Driver", json_str(json_get(v, "Driver")));
	jw_kv_str(&w, "Group", "N/A");
	jw_kv_str(&w, "Labels", buf_text(&labels));
	jw_kv_str(&w, "Links", links);
	jw_kv_str(&w, "Mountpoint", json_str(json_get(v, "Mountpoint")));
	jw_kv_str(&w, "Name", json_str(json_get(v, "Name")));
	jw_kv_str(&w, "Scope", json_str(json_get(v, "Scope")));
	jw_kv_str(&w, "Size", size);
	jw_kv_str(&w, "Status", "N/A");
	jw_obj_end(&w);
}

static void volume_row_any(const struct json *v, bool no_trunc, struct buf *out)
{
	(void)no_trunc;
	volume_row(v, out);
}

int cmd_volume_ls(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO(json) struct json *j = NULL;
	struct list_out l = {.type_name = "*formatter.volumeContext",
			     .headers = volume_headers,
			     .nheaders = ARRAY_SIZE(volume_headers)};
	struct err e = ERR_INIT;

	buf_adds(&path, "/volumes");
	int rc = format_filters(&path, opts_get(o, "filter"), &e);
	if (rc == 0)
		rc = client_json(c, "GET", path.p, NULL, &j, &e);
	if (rc == 0)
		rc = list_begin(
			&l, opts_str(o, "format"),
			opts_bool(o, "quiet") ? "{{.Name}}" : "table {{.Driver}}\\t{{.Name}}", &e);
	if (rc == 0)
		rc = list_rows_by_name(&l, json_get(j, "Volumes"), volume_row_any, false, &e);
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

/* ---- prune ---- */
static bool confirmed(const struct opts *o, const char *warning)
{
	char line[16] = "";

	if (opts_bool(o, "force"))
		return true;
	printf("%s\nAre you sure you want to continue? [y/N] ", warning);
	fflush(stdout);
	return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y') &&
	       (line[1] == '\n' || !line[1]);
}

static int prune(struct cli *c, const char *kind, const struct optval *filters, double *total,
		 struct err *e)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO(json) struct json *j = NULL;

	buf_addf(&path, "/%s/prune", kind);
	if (format_filters(&path, filters, e) < 0 ||
	    client_json(c, "POST", path.p, NULL, &j, e) < 0)
		return -1;
	static const char *const keys[][2] = {{"ContainersDeleted", "Deleted Containers:"},
					      {"VolumesDeleted", "Deleted Volumes:"},
					      {"NetworksDeleted", "Deleted Networks:"},
					      {"ImagesDeleted", "Deleted Images:"}};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct json *list = json_get(j, keys[i][0]);
		if (!json_len(list))
			continue;
		printf("%s\n", keys[i][1]);
		for (size_t k = 0; k < json_len(list); k++) {
			const struct json *item = json_at(list, k);
			const char *untagged = json_str(json_get(item, "Untagged"));
			const char *deleted = json_str(json_get(item, "Deleted"));
			if (json_str(item))
				printf("%s\n", json_str(item));
			else if (untagged && *untagged)
				printf("untagged: %s\n", untagged);
			else if (deleted)
				printf("deleted: %s\n", deleted);
		}
		printf("\n");
	}
	*total += json_double(json_get(j, "SpaceReclaimed"));
	return 0;
}

static int total_line(double total)
{
	char text[32];

	units_decimal(total, 4, text, sizeof text);
	printf("Total reclaimed space: %s\n", text);
	return 0;
}

static int prune_one(struct cli *c, struct opts *o, const char *kind, const char *warning,
		     const char *extra)
{
	struct optval filters = *opts_get(o, "filter");
	AUTO_FREE const char **all = xcalloc(filters.n + 1, sizeof *all);
	struct err e = ERR_INIT;
	double total = 0;

	for (size_t i = 0; i < filters.n; i++)
		all[i] = filters.v[i];
	filters.v = all;
	if (extra)
		all[filters.n++] = extra;
	if (!confirmed(o, warning))
		return 1;
	if (prune(c, kind, &filters, &total, &e) < 0)
		return cli_fail(c, &e);
	return total_line(total);
}

int cmd_container_prune(struct cli *c, struct opts *o)
{
	return prune_one(c, o, "containers", "WARNING! This will remove all stopped containers.",
			 NULL);
}

int cmd_image_prune(struct cli *c, struct opts *o)
{
	bool all = opts_bool(o, "all");

	return prune_one(c, o, "images",
			 all ? "WARNING! This will remove all images without at least one "
			       "container associated to them."
			     : "WARNING! This will remove all dangling images.",
			 all ? "dangling=false" : "dangling=true");
}

int cmd_volume_prune(struct cli *c, struct opts *o)
{
	bool all = opts_bool(o, "all");

	return prune_one(c, o, "volumes",
			 all ? "WARNING! This will remove all local volumes not used by at least "
			       "one container."
			     : "WARNING! This will remove anonymous local volumes not used by at "
			       "least one container.",
			 all ? "all=1" : NULL);
}

int cmd_network_prune(struct cli *c, struct opts *o)
{
	struct err e = ERR_INIT;
	double total = 0;

	if (!confirmed(o, "WARNING! This will remove all custom networks not used by at least one "
			  "container."))
		return 1;
	return prune(c, "networks", opts_get(o, "filter"), &total, &e) < 0 ? cli_fail(c, &e) : 0;
}

int cmd_system_prune(struct cli *c, struct opts *o)
{
	struct optval filters = *opts_get(o, "filter");
	bool all = opts_bool(o, "all"), volumes = opts_bool(o, "volumes");
	AUTO_FREE const char **list = xcalloc(filters.n + 1, sizeof *list);
	struct optval images = {.v = list, .n = filters.n + 1};
	struct err e = ERR_INIT;
	double total = 0;
	AUTO_FREE char *warning = xasprintf(
		"WARNING! This will remove:\n  - all stopped containers\n  - all networks not used "
		"by at least one container\n%s%s\n",
		volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
		all ? "  - all images without at least one container associated to them"
		    : "  - all dangling images");

	for (size_t i = 0; i < filters.n; i++)
		list[i] = filters.v[i];
	list[filters.n] = all ? "dangling=false" : "dangling=true";
	if (!confirmed(o, warning))
		return 1;
	if (prune(c, "containers", &filters, &total, &e) < 0)
		return cli_fail(c, &e);
	if (volumes && prune(c, "volumes", &filters, &total, &e) < 0)
		return cli_fail(c, &e);
	if (prune(c, "networks", &filters, &total, &e) < 0 && e.kind != ERR_UNSUPPORTED &&
	    e.kind != ERR_NOT_FOUND)
		return cli_fail(c, &e);
	if (prune(c, "images", &images, &total, &e) < 0)
		return cli_fail(c, &e);
	return total_line(total);
}
