/* SPDX-License-Identifier: Apache-2.0 */
/* version, info, events, system df. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/units.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

#define API_VERSION "1.51"

static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_str(json_get(j, key));

	return s ? s : "";
}

/* ---- version ---- */
static void client_version(struct jw *w, const char *api)
{
	jw_key(w, "Client");
	jw_obj(w);
	jw_kv_str(w, "Version", CORACLE_VERSION);
	jw_kv_str(w, "ApiVersion", api);
	jw_kv_str(w, "DefaultAPIVersion", API_VERSION);
	jw_kv_str(w, "Os", "linux");
#ifdef __x86_64__
	jw_kv_str(w, "Arch", "amd64");
#else
	jw_kv_str(w, "Arch", "arm64");
#endif
	jw_kv_str(w, "Context", "default");
	jw_obj_end(w);
}

static void version_component(const struct json *part, struct buf *b)
{
	const struct json *d = json_get(part, "Details");

	buf_addf(b, " %s:\n", text_of(part, "Name"));
	buf_addf(b, "  Version:\t%s\n", text_of(part, "Version"));
	if (json_get(d, "ApiVersion"))
		buf_addf(b, "  API version:\t%s (minimum version %s)\n", text_of(d, "ApiVersion"),
			 text_of(d, "MinAPIVersion"));
	if (*text_of(d, "GoVersion"))
		buf_addf(b, "  Go version:\t%s\n", text_of(d, "GoVersion"));
	if (json_get(d, "ApiVersion")) {
		buf_addf(b, "  Git commit:\t%s\n", text_of(d, "GitCommit"));
		buf_addf(b, "  Built:\t%s\n", text_of(d, "BuildTime"));
		buf_addf(b, "  OS/Arch:\t%s/%s\n", text_of(d, "Os"), text_of(d, "Arch"));
		buf_addf(b, "  Experimental:\t%s\n", text_of(d, "Experimental"));
	} else {
		buf_addf(b, "  GitCommit:\t%s\n", text_of(d, "GitCommit"));
	}
}

static void version_text(const struct json *j, struct buf *out)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);
	const struct json *client = json_get(j, "Client"), *server = json_get(j, "Server");
	const char *api = text_of(client, "ApiVersion");

	buf_addf(&b, "Client:\n Version:\t%s\n API version:\t%s", CORACLE_VERSION, api);
	if (strcmp(api, API_VERSION))
		buf_addf(&b, " (downgraded from %s)", API_VERSION);
	buf_addf(&b, "\n OS/Arch:\tlinux/%s\n Context:\tdefault\n", text_of(client, "Arch"));
	if (json_len(server)) {
		const char *platform = text_of(json_get(server, "Platform"), "Name");
		buf_addf(&b, "\nServer:%s%s\n", *platform ? " " : "", platform);
		const struct json *parts = json_get(server, "Components");
		for (size_t i = 0; i < json_len(parts); i++)
			version_component(json_at(parts, i), &b);
	}
	format_align(buf_text(&b), b.n, 20, 1, out);
}

int cmd_version(struct cli *c, struct opts *o)
{
	AUTO_REPLY struct reply r = REPLY_INIT;
	AUTO_BUF struct buf doc = BUF_INIT(1U << 20);
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	AUTO(json) struct json *j = NULL;
	struct jw w = JW_INIT(&doc);
	struct err e = ERR_INIT, bad = ERR_INIT;
	const char *format = opts_str(o, "format");
	AUTO(json) struct json *server = NULL;

	int rc = client_call(c, "GET", "/version", NULL, &r, &e);
	if (rc == 0)
		rc = json_parse(buf_text(&r.body), r.body.n, &server, &e);
	const char *api = text_of(server, "ApiVersion");
	jw_obj(&w);
	client_version(&w, rc == 0 && strcmp(api, API_VERSION) < 0 && *api ? api : API_VERSION);
	jw_key(&w, "Server");
	jw_raw(&w, rc == 0 ? buf_text(&r.body) : "null");
	jw_obj_end(&w);
	if (json_parse(buf_text(&doc), doc.n, &j, &bad) < 0)
		return cli_fail(c, &bad);
	if (*format) {
		if (format_document(format, j, "version", &out, &bad) < 0)
			return cli_fail(c, &bad);
		buf_addc(&out, '\n');
	} else {
		version_text(j, &out);
	}
	fputs(buf_text(&out), stdout);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

/* ---- info ---- */
static void line_list(const struct json *list, const char *title)
{
	if (!json_len(list))
		return;
	printf("%s:", title);
	for (size_t i = 0; i < json_len(list); i++)
		printf(" %s", json_str(json_at(list, i)));
	printf("\n");
}

static void info_security(const struct json *list)
{
	if (!json_len(list))
		return;
	printf(" Security Options:\n");
	for (size_t i = 0; i < json_len(list); i++) {
		struct str rest = str_of(json_str(json_at(list, i))), part;
		while (str_cut(&rest, ',', &part)) {
			if (part.n > 5 && !strncmp(part.p, "name=", 5))
				printf("  %.*s\n", (int)part.n - 5, part.p + 5);
			else if (part.n > 8 && !strncmp(part.p, "profile=", 8))
				printf("   Profile: %.*s\n", (int)part.n - 8, part.p + 8);
		}
	}
}

static void print_runtime(const char *key, struct json *value, void *ud)
{
	(void)value;
	(void)ud;
	printf(" %s", key);
}

static void info_numbers(const struct json *j)
{
	static const char *const keys[][2] = {{" Containers", "Containers"},
					      {"  Running", "ContainersRunning"},
					      {"  Paused", "ContainersPaused"},
					      {"  Stopped", "ContainersStopped"},
					      {" Images", "Images"}};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		printf("%s: %lld\n", keys[i][0], (long long)json_i64(json_get(j, keys[i][1])));
}

static void info_driver(const struct json *j)
{
	const struct json *status = json_get(j, "DriverStatus");

	printf(" Server Version: %s\n", text_of(j, "ServerVersion"));
	printf(" Storage Driver: %s\n", text_of(j, "Driver"));
	for (size_t i = 0; i < json_len(status); i++)
		printf("  %s: %s\n", json_str(json_at(json_at(status, i), 0)),
		       json_str(json_at(json_at(status, i), 1)));
	printf(" Logging Driver: %s\n Cgroup Driver: %s\n", text_of(j, "LoggingDriver"),
	       text_of(j, "CgroupDriver"));
	if (*text_of(j, "CgroupVersion"))
		printf(" Cgroup Version: %s\n", text_of(j, "CgroupVersion"));
	printf(" Plugins:\n");
	line_list(json_get(json_get(j, "Plugins"), "Volume"), "  Volume");
	line_list(json_get(json_get(j, "Plugins"), "Network"), "  Network");
	line_list(json_get(json_get(j, "Plugins"), "Log"), "  Log");
}

static void info_system(const struct json *j)
{
	static const char *const lines[][2] = {{"Kernel Version", "KernelVersion"},
					       {"Operating System", "OperatingSystem"},
					       {"OSType", "OSType"},
					       {"Architecture", "Architecture"}};
	char memory[32];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		printf(" %s: %s\n", lines[i][0], text_of(j, lines[i][1]));
	units_binary(json_double(json_get(j, "MemTotal")), memory, sizeof memory);
	printf(" CPUs: %lld\n Total Memory: %s\n Name: %s\n ID: %s\n Docker Root Dir: %s\n",
	       (long long)json_i64(json_get(j, "NCPU")), memory, text_of(j, "Name"),
	       text_of(j, "ID"), text_of(j, "DockerRootDir"));
	printf(" Debug Mode: %s\n Experimental: %s\n",
	       json_bool(json_get(j, "Debug")) ? "true" : "false",
	       json_bool(json_get(j, "ExperimentalBuild")) ? "true" : "false");
	const struct json *cidrs = json_get(json_get(j, "RegistryConfig"), "InsecureRegistryCIDRs");
	if (json_len(cidrs)) {
		printf(" Insecure Registries:\n");
		for (size_t i = 0; i < json_len(cidrs); i++)
			printf("  %s\n", json_str(json_at(cidrs, i)));
	}
	printf(" Live Restore Enabled: %s\n",
	       json_bool(json_get(j, "LiveRestoreEnabled")) ? "true" : "false");
}

static void info_text(const struct json *j)
{
	printf("Client:\n Version:    %s\n Context:    default\n Debug Mode: false\n\nServer:\n",
	       CORACLE_VERSION);
	info_numbers(j);
	info_driver(j);
	const char *swarm = text_of(json_get(j, "Swarm"), "LocalNodeState");
	printf(" Swarm: %s\n", *swarm ? swarm : "inactive");
	if (json_len(json_get(j, "Runtimes"))) {
		printf(" Runtimes:");
		json_each(json_get(j, "Runtimes"), print_runtime, NULL);
		printf("\n Default Runtime: %s\n", text_of(j, "DefaultRuntime"));
	}
	if (*text_of(j, "InitBinary"))
		printf(" Init Binary: %s\n", text_of(j, "InitBinary"));
	info_security(json_get(j, "SecurityOptions"));
	info_system(j);
	printf("\n");
	fflush(stdout);
	const struct json *warnings = json_get(j, "Warnings");
	for (size_t i = 0; i < json_len(warnings); i++)
		fprintf(stderr, "%s\n", json_str(json_at(warnings, i)));
}

int cmd_info(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *j = NULL;
	AUTO_BUF struct buf out = BUF_INIT(64U << 20);
	struct err e = ERR_INIT;
	const char *format = opts_str(o, "format");

	if (client_json(c, "GET", "/info", NULL, &j, &e) < 0)
		return cli_fail(c, &e);
	if (!*format) {
		info_text(j);
		return 0;
	}
	if (format_document(format, j, "system.dockerInfo", &out, &e) < 0)
		return cli_fail(c, &e);
	printf("%s\n", buf_text(&out));
	return 0;
}

/* ---- events ---- */
struct pairs {
	struct {
		const char *key, *value;
	} v[256];
	size_t n;
};

static void collect(const char *key, struct json *value, void *ud)
{
	struct pairs *p = ud;

	if (p->n < ARRAY_SIZE(p->v)) {
		p->v[p->n].key = key;
		p->v[p->n++].value = json_str(value) ? json_str(value) : "";
	}
}

static int by_key(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b; /* key is the first member */

	return strcmp(*x, *y);
}

static void event_text(const struct json *j)
{
	char time[CLOCK_TEXT_MAX];
	struct pairs p = {.n = 0};
	const struct json *actor = json_get(j, "Actor");
	int64_t ns = json_i64(json_get(j, "timeNano"));

	if (!ns)
		ns = json_i64(json_get(j, "time")) * 1000000000LL;
	clock_format_fixed(ns, time);
	printf("%s %s %s %s", time, text_of(j, "Type"), text_of(j, "Action"), text_of(actor, "ID"));
	json_each(json_get(actor, "Attributes"), collect, &p);
	qsort(p.v, p.n, sizeof p.v[0], by_key);
	for (size_t i = 0; i < p.n; i++)
		printf("%s%s=%s", i ? ", " : " (", p.v[i].key, p.v[i].value);
	printf("%s\n", p.n ? ")" : "");
}

static int event_line(void *ud, const char *line, size_t n, struct err *e)
{
	const char *format = ud;
	AUTO(json) struct json *j = NULL;
	AUTO_BUF struct buf out = BUF_INIT(1U << 24);

	if (json_parse(line, n, &j, e) < 0)
		return -1;
	if (!*format)
		event_text(j);
	else if (!strcmp(format, "json"))
		printf("%.*s\n", (int)n, line);
	else if (format_document(format, j, FORMAT_EVENT, &out, e) < 0)
		return -1;
	else
		printf("%s\n", buf_text(&out));
	fflush(stdout);
	return 0;
}

int cmd_events(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;
	AUTO_FREE char *since = format_when(opts_str(o, "since"));
	AUTO_FREE char *until = format_when(opts_str(o, "until"));

	buf_adds(&path, "/events");
	if (*since)
		url_query(&path, "since", since);
	if (*until)
		url_query(&path, "until", until);
	int rc = format_filters(&path, opts_get(o, "filter"), &e);
	if (rc == 0)
		rc = conn_open(c, &k, &e);
	if (rc == 0)
		rc = conn_send(&k, "GET", path.p, NULL, NULL, NULL, 0, &e);
	if (rc == 0)
		rc = conn_check(&k, &e);
	if (rc == 0)
		rc = conn_lines(&k, event_line, (void *)(uintptr_t)opts_str(o, "format"), &e);
	conn_close(c, &k);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

/* ---- system df ---- */
struct usage {
	int64_t total, active;
	double size, reclaimable;
};

static struct usage usage_images(const struct json *j)
{
	const struct json *list = json_get(j, "Images");
	struct usage u = {.size = json_double(json_get(j, "LayersSize"))};
	double used = 0;

	u.total = (int64_t)json_len(list);
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *image = json_at(list, i);
		double shared = json_double(json_get(image, "SharedSize"));
		if (json_i64(json_get(image, "Containers")) <= 0)
			continue;
		u.active++;
		if (shared >= 0)
			used += json_double(json_get(image, "Size")) - shared;
	}
	u.reclaimable = u.size - used;
	return u;
}

static struct usage usage_containers(const struct json *j)
{
	const struct json *list = json_get(j, "Containers");
	struct usage u = {.total = (int64_t)json_len(list)};

	for (size_t i = 0; i < json_len(list); i++) {
		const char *state = text_of(json_at(list, i), "State");
		double size = json_double(json_get(json_at(list, i), "SizeRw"));
		bool active = !strcmp(state, "running") || !strcmp(state, "paused") ||
			      !strcmp(state, "restarting");
		u.size += size;
		u.active += active;
		u.reclaimable += active ? 0 : size;
	}
	return u;
}

static struct usage usage_volumes(const struct json *j)
{
	const struct json *list = json_get(j, "Volumes");
	struct usage u = {.total = (int64_t)json_len(list)};

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *usage = json_get(json_at(list, i), "UsageData");
		double size = json_double(json_get(usage, "Size"));
		bool active = json_i64(json_get(usage, "RefCount")) > 0;
		u.active += active;
		if (size < 0)
			continue;
		u.size += size;
		u.reclaimable += active ? 0 : size;
	}
	return u;
}

static int usage_row(struct list_out *l, const char *type, struct usage u, bool always_percent,
		     struct err *e)
{
	AUTO_BUF struct buf row = BUF_INIT(4096);
	struct jw w = JW_INIT(&row);
	char size[32], reclaimable[32], active[24], total[24];

	units_decimal(u.size, 4, size, sizeof size);
	units_decimal(u.reclaimable, 4, reclaimable, sizeof reclaimable);
	snprintf(active, sizeof active, "%lld", (long long)u.active);
	snprintf(total, sizeof total, "%lld", (long long)u.total);
	AUTO_FREE char *part = u.size > 0 && always_percent
				       ? xasprintf("%s (%lld%%)", reclaimable,
						   (long long)(u.reclaimable * 100 / u.size))
				       : xstrdup(reclaimable);
	jw_obj(&w);
	jw_kv_str(&w, "Active", active);
	jw_kv_str(&w, "Reclaimable", part);
	jw_kv_str(&w, "Size", size);
	jw_kv_str(&w, "TotalCount", total);
	jw_kv_str(&w, "Type", type);
	jw_obj_end(&w);
	return list_row(l, buf_text(&row), e);
}

static const struct format_header df_headers[] = {
	{"Type", "TYPE"}, {"TotalCount", "TOTAL"},	  {"Active", "ACTIVE"},
	{"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"},
};

static int df_list(const char *title, const char *format, const struct json *list,
		   int (*row)(struct list_out *l, const struct json *j, struct err *e),
		   const struct format_header *headers, size_t nheaders, struct err *e)
{
	struct list_out l = {.type_name = "row", .headers = headers, .nheaders = nheaders};
	int rc = list_begin(&l, NULL, format, e);

	printf("%s space usage:\n\n", title);
	for (size_t i = 0; rc == 0 && i < json_len(list); i++)
		rc = row(&l, json_at(list, i), e);
	list_end(&l, rc == 0);
	return rc;
}

static int df_image(struct list_out *l, const struct json *j, struct err *e)
{
	return image_rows(l, j, false, false, e);
}

static int df_container(struct list_out *l, const struct json *j, struct err *e)
{
	const struct container_row row = {.c = j, .now_ns = clock_now_ns()};

	return container_list_row(l, &row, e);
}

static int df_volume(struct list_out *l, const struct json *j, struct err *e)
{
	AUTO_BUF struct buf row = BUF_INIT(1U << 20);

	volume_row(j, &row);
	return list_row(l, buf_text(&row), e);
}

/* The parts of the data directory; their sum is what du finds there. */
static void df_parts(const struct json *j)
{
	static const char *const parts[] = {"Layers",	"Blobs",     "Containers",
					    "Volumes",	"Downloads", "Trash",
					    "Database", "Other",     "Total"};
	char size[32];

	if (!json_len(j))
		return;
	printf("\nData directory usage:\n\nPART         SIZE      BYTES\n");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		units_decimal(json_double(json_get(j, parts[i])), 4, size, sizeof size);
		printf("%-12s %-9s %llu\n", parts[i], size,
		       (unsigned long long)json_u64(json_get(j, parts[i])));
	}
}

static int df_verbose(const struct json *j, struct err *e)
{
	static const struct format_header images[] = {{"Repository", "REPOSITORY"},
						      {"Tag", "TAG"},
						      {"ID", "IMAGE ID"},
						      {"CreatedSince", "CREATED"},
						      {"VirtualSize", "SIZE"},
						      {"SharedSize", "SHARED SIZE"},
						      {"UniqueSize", "UNIQUE SIZE"},
						      {"Containers", "CONTAINERS"},
						      {"Size", "SIZE"}};
	static const struct format_header volumes[] = {
		{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}};

	if (df_list("Images",
		    "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}"
		    "\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t{{.Containers}}",
		    json_get(j, "Images"), df_image, images, ARRAY_SIZE(images), e) < 0)
		return -1;
	printf("\n");
	if (df_list("Containers",
		    "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}"
		    "\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Names}}",
		    json_get(j, "Containers"), df_container, container_headers, container_headers_n,
		    e) < 0)
		return -1;
	printf("\n");
	if (df_list("Local Volumes", "table {{.Name}}\\t{{.Links}}\\t{{.Size}}",
		    json_get(j, "Volumes"), df_volume, volumes, ARRAY_SIZE(volumes), e) < 0)
		return -1;
	printf("\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   "
	       "USAGE     SHARED\n");
	df_parts(json_get(j, "Coracle"));
	return 0;
}

int cmd_system_df(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *j = NULL;
	struct list_out l = {.type_name = "*formatter.diskUsageContext",
			     .headers = df_headers,
			     .nheaders = ARRAY_SIZE(df_headers)};
	struct err e = ERR_INIT;

	int rc = client_json(c, "GET", "/system/df", NULL, &j, &e);
	if (rc == 0 && opts_bool(o, "verbose"))
		return df_verbose(j, &e) < 0 ? cli_fail(c, &e) : 0;
	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"),
				"table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}"
				"\\t{{.Reclaimable}}",
				&e);
	if (rc == 0 && (usage_row(&l, "Images", usage_images(j), true, &e) < 0 ||
			usage_row(&l, "Containers", usage_containers(j), true, &e) < 0 ||
			usage_row(&l, "Local Volumes", usage_volumes(j), true, &e) < 0 ||
			usage_row(&l, "Build Cache", (struct usage){0}, false, &e) < 0))
		rc = -1;
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
