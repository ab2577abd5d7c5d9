/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log drivers and their options: Docker's checks with Docker's words, and what the shim is told at
 * start. Docker's order of checks: mode, driver, then each option by its driver.
 */
#include "base/num.h"
#include "engine/engine-priv.h"
#include "logs/logs.h"
#include "spec/unpack-proto.h"
#include "wire/gotemplate.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define SHORT_ID 12
#define TAG_MAX	 4096

#define META "labels", "labels-regex", "env", "env-regex", "tag"

struct driver {
	const char *name;
	bool cached; /* cannot be read: a local cache keeps `logs` working */
	const char *const *options;
};
static const struct driver drivers[] = {
	{"json-file", false, (const char *const[]){"max-size", "max-file", "compress", META, NULL}},
	{"local", false, (const char *const[]){"max-size", "max-file", "compress", NULL}},
	{"journald", true, (const char *const[]){META, NULL}},
	{"syslog", true,
	 (const char *const[]){META, "syslog-address", "syslog-facility", "syslog-format",
			       "syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key",
			       "syslog-tls-skip-verify", NULL}},
};
const char *const log_driver_names[] = {"journald", "json-file", "local", "none", "syslog", NULL};

static const char *type_of(const struct log_config *l)
{
	return l->type && *l->type ? l->type : "json-file";
}

static const char *option(const struct log_config *l, const char *key)
{
	return strmap_get(&l->config, key);
}

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, s) == 0)
			return true;
	return false;
}

static const struct driver *driver_of(const struct log_config *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (strcmp(drivers[i].name, type_of(l)) == 0)
			return &drivers[i];
	return NULL;
}

/* 1, 0, or -1: neither. */
static int parse_bool(const char *v)
{
	bool yes;

	return num_parse_bool(v, &yes) < 0 ? -1 : yes;
}

static bool option_is_true(const struct log_config *l, const char *key, bool otherwise)
{
	const char *v = option(l, key);

	return v ? parse_bool(v) == 1 : otherwise;
}

static int64_t option_bytes(const struct log_config *l, const char *key, int64_t otherwise)
{
	const char *v = option(l, key);
	int64_t n;

	if (v && strcmp(v, "-1") == 0)
		return -1;
	return v && num_parse_bytes(v, &n) == 0 ? n : otherwise;
}

static int64_t option_count(const struct log_config *l, const char *key, int64_t otherwise)
{
	const char *v = option(l, key);
	int64_t n;

	return v && num_parse_i64(v, 1, 1000, &n) == 0 ? n : otherwise;
}

/* ---- checks ---- */

static int check_mode(const struct log_config *l, struct err *e)
{
	const char *mode = option(l, "mode"), *size = option(l, "max-buffer-size");
	int64_t n;

	if (mode && *mode && strcmp(mode, "blocking") != 0 && strcmp(mode, "non-blocking") != 0)
		return err_set(e, ERR_INVALID, "logger: logging mode not supported: %s", mode);
	if (!size)
		return 0;
	if (!mode || strcmp(mode, "non-blocking") != 0)
		return err_set(e, ERR_INVALID,
			       "logger: max-buffer-size option is only supported with "
			       "'mode=non-blocking'");
	if (num_parse_bytes(size, &n) < 0 || n <= 0 || n > (1 << 30))
		return err_set(e, ERR_INVALID,
			       "error parsing option max-buffer-size: invalid size: '%s'", size);
	return 0;
}

static int check_address(const char *v, struct err *e)
{
	struct log_address a;
	int rc = *v ? log_address_parse(v, &a) : 0;

	if (rc == -EPROTONOSUPPORT)
		return err_set(e, ERR_INVALID, "unsupported scheme: '%.*s'", (int)strcspn(v, ":"),
			       v);
	if (rc < 0)
		return err_set(e, ERR_INVALID,
			       "syslog-address should be in form proto://address, got %s", v);
	return 0;
}

static int check_regex(const char *k, const char *v, struct err *e)
{
	regex_t re;
	int rc = regcomp(&re, v, REG_EXTENDED | REG_NOSUB);
	char text[128];

	if (rc == 0) {
		regfree(&re);
		return 0;
	}
	regerror(rc, &re, text, sizeof text);
	return err_set(e, ERR_INVALID, "error parsing option %s: '%s': %s", k, v, text);
}

static int check_value(const char *k, const char *v, struct err *e)
{
	struct gt_template *t = NULL;
	int64_t n;
	size_t len = strlen(k);

	if (len > 8 && strcmp(k + len - 8, "max-size") == 0) {
		if (strcmp(v, "-1") != 0 && (num_parse_bytes(v, &n) < 0 || n <= 0))
			return err_set(e, ERR_INVALID, "invalid value for %s: '%s'", k, v);
	} else if (strcmp(k, "max-size") == 0) {
		if (strcmp(v, "-1") != 0 && (num_parse_bytes(v, &n) < 0 || n <= 0))
			return err_set(e, ERR_INVALID, "invalid value for max-size: '%s'", v);
	} else if (strcmp(k, "max-file") == 0 || strcmp(k, "cache-max-file") == 0) {
		if (num_parse_i64(v, 1, 1000, &n) < 0)
			return err_set(e, ERR_INVALID, "%s cannot be less than 1", k);
	} else if (strcmp(k, "compress") == 0 || strcmp(k, "cache-compress") == 0 ||
		   strcmp(k, "cache-disabled") == 0) {
		if (parse_bool(v) < 0)
			return err_set(e, ERR_INVALID,
				       "invalid value for %s: '%s' is not a boolean", k, v);
	} else if (strcmp(k, "labels-regex") == 0 || strcmp(k, "env-regex") == 0) {
		return check_regex(k, v, e);
	} else if (strcmp(k, "tag") == 0) {
		if (gt_parse(v, &t, e) < 0)
			return err_wrap(e, "log tag");
		gt_free(t);
	} else if (strcmp(k, "syslog-address") == 0) {
		return check_address(v, e);
	} else if (strcmp(k, "syslog-facility") == 0 && log_syslog_facility(v) < 0) {
		return err_set(e, ERR_INVALID, "invalid syslog facility");
	} else if (strcmp(k, "syslog-format") == 0 && log_syslog_format(v) < 0) {
		return err_set(e, ERR_INVALID, "Invalid syslog format");
	}
	return 0;
}

int log_config_check(const struct log_config *l, struct err *e)
{
	static const char *const dockers[] = {"gelf",	 "fluentd", "awslogs", "splunk",
					      "etwlogs", "gcplogs", NULL};
	static const char *const common[] = {"mode",
					     "max-buffer-size",
					     "cache-disabled",
					     "cache-max-size",
					     "cache-max-file",
					     "cache-compress",
					     NULL};
	const struct driver *d = driver_of(l);

	if (strcmp(type_of(l), "none") == 0)
		return 0;
	if (is_one_of(type_of(l), dockers))
		return err_set(e, ERR_UNSUPPORTED,
			       "the logging driver '%s' is not built in coracle yet", type_of(l));
	if (check_mode(l, e) < 0)
		return -1;
	if (!d)
		return err_set(e, ERR_INVALID,
			       "error looking up logging plugin %s: plugin \"%s\" not found",
			       type_of(l), type_of(l));
	for (size_t i = 0; i < l->config.n; i++) {
		const char *k = l->config.v[i].k;

		if (!is_one_of(k, d->options) && !is_one_of(k, common))
			return err_set(e, ERR_INVALID,
				       strcmp(d->name, "local") == 0
					       ? "unknown log opt '%s' for log driver %s"
					       : "unknown log opt '%s' for %s log driver",
				       k, d->name);
		if (check_value(k, l->config.v[i].v, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- files ---- */

/* Name inside the container's folder, heap; NULL: nothing is kept that could be read. */
char *log_config_file(const struct container *c, bool *json)
{
	const struct log_config *l = &c->host.log_config;
	const struct driver *d = driver_of(l);

	*json = false;
	if (!d || (d->cached && option_is_true(l, "cache-disabled", false)))
		return NULL;
	if (d->cached)
		return xstrdup("container-cached.log");
	if (strcmp(d->name, "local") == 0)
		return xstrdup("local-logs/container.log");
	*json = true;
	return xasprintf("%s-json.log", c->id);
}

/* ---- attributes and tag ---- */

static bool listed(const char *list, const char *key)
{
	struct str rest = str_of(list), item;

	while (list && str_cut(&rest, ',', &item))
		if (str_eq(item, key))
			return true;
	return false;
}

static bool matches(const char *pattern, const char *key)
{
	regex_t re;
	bool yes;

	if (!pattern || regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	yes = regexec(&re, key, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

static void attr_set(struct strmap *m, struct arena *a, const char *k, const char *v)
{
	struct strmap_entry *all;

	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->v[i].k, k) == 0) {
			m->v[i].v = v;
			return;
		}
	}
	all = arena_alloc(a, (m->n + 1) * sizeof *all);
	if (m->n)
		memcpy(all, m->v, m->n * sizeof *all);
	all[m->n] = (struct strmap_entry){k, v};
	*m = (struct strmap){all, m->n + 1, true};
}

/* Labels and variables of the container that the options name. */
static void attrs_collect(const struct container *c, struct strmap *m, struct arena *a)
{
	const struct log_config *l = &c->host.log_config;
	const struct strmap *labels = &c->meta.config.labels;
	const struct strs *env = &c->meta.config.env;

	for (size_t i = 0; i < labels->n; i++)
		if (listed(option(l, "labels"), labels->v[i].k) ||
		    matches(option(l, "labels-regex"), labels->v[i].k))
			attr_set(m, a, labels->v[i].k, labels->v[i].v);
	for (size_t i = 0; i < env->n; i++) {
		const char *eq = strchr(env->v[i], '=');
		const char *k = eq ? arena_strndup(a, env->v[i], (size_t)(eq - env->v[i])) : NULL;

		if (k && (listed(option(l, "env"), k) || matches(option(l, "env-regex"), k)))
			attr_set(m, a, k, eq + 1);
	}
}

static void write_info(const struct container *c, struct buf *out)
{
	const char *image = c->image_id ? c->image_id : "";
	const char *hex = strchr(image, ':') ? strchr(image, ':') + 1 : image;
	AUTO_BUF struct buf command = BUF_INIT(TAG_MAX);
	struct jw w = JW_INIT(out);

	buf_adds(&command, c->meta.path ? c->meta.path : "");
	for (size_t i = 0; i < c->meta.args.n; i++)
		buf_addf(&command, " %s", c->meta.args.v[i]);
	jw_obj(&w);
	jw_key(&w, "ID");
	jw_strn(&w, c->id, SHORT_ID);
	jw_kv_str(&w, "FullID", c->id);
	jw_kv_str(&w, "Name", c->name);
	jw_key(&w, "ImageID");
	jw_strn(&w, hex, MIN(strlen(hex), (size_t)SHORT_ID));
	jw_kv_str(&w, "ImageFullID", image);
	jw_kv_str(&w, "ImageName", c->meta.config.image ? c->meta.config.image : "");
	jw_kv_str(&w, "Command", buf_text(&command));
	jw_kv_str(&w, "ContainerID", c->id);
	jw_kv_str(&w, "ContainerImageID", image);
	jw_kv_str(&w, "ContainerImageName", c->meta.config.image ? c->meta.config.image : "");
	jw_kv_str(&w, "ContainerEntrypoint", c->meta.path ? c->meta.path : "");
	jw_kv_str(&w, "DaemonName", "docker");
	jw_obj_end(&w);
}

static int tag_of(const struct container *c, const char *text, const char **ret, struct arena *a,
		  struct err *e)
{
	const struct gt_options o = {.missing = GT_MISSING_TYPE, .type_name = "logger.Info"};
	AUTO_BUF struct buf info = BUF_INIT(ENGINE_TEXT_MAX), out = BUF_INIT(TAG_MAX);
	AUTO(gt_template) struct gt_template *t = NULL;
	AUTO(json) struct json *j = NULL;

	write_info(c, &info);
	if (json_parse(info.p, info.n, &j, e) < 0 || gt_parse(text, &t, e) < 0 ||
	    gt_run(t, j, &o, &out, e) < 0)
		return err_wrap(e, "log tag");
	*ret = arena_strdup(a, buf_text(&out));
	return 0;
}

/* A journal field's name: capitals, digits and _, not beginning with _. */
static const char *field_name(const char *key, struct arena *a)
{
	char *name = arena_strdup(a, key), *p;

	for (p = name; *p; p++)
		*p = isalnum((unsigned char)*p) && (unsigned char)*p < 128
			     ? (char)toupper((unsigned char)*p)
			     : '_';
	while (*name == '_')
		name++;
	return name;
}

static void journal_fields(const struct container *c, const struct strmap *attrs, const char *tag,
			   struct strmap *m, struct arena *a)
{
	attr_set(m, a, "CONTAINER_ID", arena_strndup(a, c->id, SHORT_ID));
	attr_set(m, a, "CONTAINER_ID_FULL", c->id);
	attr_set(m, a, "CONTAINER_NAME", c->name);
	attr_set(m, a, "CONTAINER_TAG", tag);
	attr_set(m, a, "IMAGE_NAME", c->meta.config.image ? c->meta.config.image : "");
	attr_set(m, a, "SYSLOG_IDENTIFIER", tag);
	for (size_t i = 0; i < attrs->n; i++) {
		const char *name = field_name(attrs->v[i].k, a);

		if (*name)
			attr_set(m, a, name, attrs->v[i].v);
	}
}

static const char *attrs_text(const struct strmap *attrs, struct arena *a)
{
	AUTO_BUF struct buf b = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&b);

	jw_obj(&w);
	for (size_t i = 0; i < attrs->n; i++)
		jw_kv_str(&w, attrs->v[i].k, attrs->v[i].v);
	jw_obj_end(&w);
	return b.overflow ? NULL : arena_strdup(a, buf_text(&b));
}

/* Sizes of the file: Docker's defaults of each driver, and of the cache. */
static void file_config(const struct container *c, struct shim_log_config *s, struct arena *a)
{
	const struct log_config *l = &c->host.log_config;
	const struct driver *d = driver_of(l);
	bool json = strcmp(d->name, "json-file") == 0;

	s->max_size = option_bytes(l, d->cached ? "cache-max-size" : "max-size",
				   json ? -1 : 20 << 20);
	s->max_file = option_count(l, d->cached ? "cache-max-file" : "max-file", json ? 1 : 5);
	if (option_is_true(l, d->cached ? "cache-compress" : "compress", !json))
		s->compressor = arena_printf(a, "%s/%s", c->g->program_dir, UNPACK_PROGRAM);
}

int log_config_shim(const struct container *c, struct shim_log_config *s, struct arena *a,
		    struct err *e)
{
	const struct log_config *l = &c->host.log_config;
	const struct driver *d = driver_of(l);
	const char *tag = option(l, "tag"), *mode = option(l, "mode");
	bool json;
	AUTO_FREE char *file = log_config_file(c, &json);
	struct strmap attrs = {0};

	*s = (struct shim_log_config){.driver = type_of(l)};
	if (!d)
		return 0;
	if (file) {
		AUTO_FREE char *path = container_data_path(c, file);
		char *slash = strrchr(path, '/');

		s->path = arena_strdup(a, path);
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_sys(e, -errno, "create %s", path);
		file_config(c, s, a);
	}
	attrs_collect(c, &attrs, a);
	if ((tag && *tag) || d->cached) {
		if (tag_of(c, tag && *tag ? tag : "{{.ID}}", &s->tag, a, e) < 0)
			return -1;
		if (tag && *tag)
			attr_set(&attrs, a, "tag", s->tag);
	}
	if (json && attrs.n)
		s->attrs = attrs_text(&attrs, a);
	if (strcmp(d->name, "journald") == 0)
		journal_fields(c, &attrs, s->tag, &s->fields, a);
	s->address = option(l, "syslog-address");
	s->format = option(l, "syslog-format");
	s->tls_ca = option(l, "syslog-tls-ca-cert");
	s->tls_cert = option(l, "syslog-tls-cert");
	s->tls_key = option(l, "syslog-tls-key");
	/* Docker: any value but "" */
	s->tls_skip_verify = option(l, "syslog-tls-skip-verify") != NULL;
	s->facility = log_syslog_facility(option(l, "syslog-facility"));
	s->non_blocking = mode && strcmp(mode, "non-blocking") == 0;
	s->buffer = option_bytes(l, "max-buffer-size", 0);
	return 0;
}
