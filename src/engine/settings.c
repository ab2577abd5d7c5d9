/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration inside the engine: taking over a new one, and what it means to others. */
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/banned.h"

const struct config *engine_config(const struct engine *g)
{
	return g->config;
}

struct image_settings settings_for_images(const struct config *c)
{
	return (struct image_settings){
		.insecure = c->insecure_registries,
		.mirrors = c->registry_mirrors,
		.downloads = (unsigned)*c->max_concurrent_downloads,
		.uploads = (unsigned)*c->max_concurrent_uploads,
		.attempts = (unsigned)*c->max_download_attempts,
		.http_proxy = c->proxies.http,
		.https_proxy = c->proxies.https,
		.no_proxy = c->proxies.no_proxy,
	};
}

/* The value of a key as the event's attributes have it: strings bare, the rest as JSON. */
static const char *attribute(const struct json *all, const char *key, struct arena *a)
{
	struct json *v = json_get(all, key);
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX);

	if (json_kind_of(v) == JSON_STRING)
		return arena_strdup(a, json_str(v));
	if (json_kind_of(v) == JSON_NULL)
		return "[]";
	json_dump(v, &text);
	return arena_strdup(a, buf_text(&text));
}

static void publish(struct engine *g)
{
	static const char *const keys[] = {
		"debug",
		"default-runtime",
		"default-shm-size",
		"features",
		"insecure-registries",
		"labels",
		"live-restore",
		"log-driver",
		"log-level",
		"max-concurrent-downloads",
		"max-concurrent-uploads",
		"max-download-attempts",
		"registry-mirrors",
		"shutdown-timeout",
	};
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX);
	AUTO(json) struct json *all = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct strmap_entry pairs[ARRAY_SIZE(keys) + 1];
	struct strmap attributes = {.v = pairs};
	struct err e = ERR_INIT;
	struct utsname u;

	config_write(g->config, &text);
	if (json_parse(buf_text(&text), text.n, &all, &e) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		pairs[attributes.n++] = (struct strmap_entry){keys[i], attribute(all, keys[i], a)};
	uname(&u);
	pairs[attributes.n++] = (struct strmap_entry){"name", u.nodename};
	event_publish_map(g, "daemon", "reload", g->engine_id, &attributes);
}

void engine_reconfigure(struct engine *g, const struct config *c)
{
	struct image_settings images = settings_for_images(c);

	g->config = c;
	config_free(g->own_config);
	g->own_config = NULL;
	image_service_configure(g->images, &images);
	publish(g);
}

/* ---- what containers get unless they say otherwise ---- */

static void text_default(const char **at, const char *v, struct arena *a)
{
	if ((!*at || !**at) && v && *v)
		*at = arena_strdup(a, v);
}

static void list_default(struct strs *at, const struct strs *v, struct arena *a)
{
	if (at->n > 0)
		return;
	for (size_t i = 0; i < v->n; i++)
		strs_push(at, a, arena_strdup(a, v->v[i]));
}

/* The default driver's options complete those of a container with the same driver. */
static void log_default(struct log_config *l, const struct config *c, struct arena *a)
{
	struct strmap all = {.set = true};

	text_default(&l->type, c->log_driver, a);
	if (strcmp(l->type, c->log_driver) != 0 || c->log_opts.n == 0)
		return;
	all.v = arena_alloc(a, (l->config.n + c->log_opts.n) * sizeof(*all.v));
	for (size_t i = 0; i < l->config.n; i++)
		all.v[all.n++] = l->config.v[i];
	for (size_t i = 0; i < c->log_opts.n; i++) {
		const struct strmap_entry *o = &c->log_opts.v[i];

		if (!strmap_get(&l->config, o->k))
			all.v[all.n++] = (struct strmap_entry){arena_strdup(a, o->k),
							       arena_strdup(a, o->v)};
	}
	l->config = all;
}

static bool has_ulimit(const struct objs *list, const char *name)
{
	const struct ulimit *u = list->v;

	for (size_t i = 0; i < list->n; i++)
		if (u[i].name && strcmp(u[i].name, name) == 0)
			return true;
	return false;
}

static void ulimit_defaults(struct objs *list, const struct config *c, struct arena *a)
{
	const struct config_ulimit *d = c->default_ulimits.v;
	struct ulimit *all = arena_alloc(a, (list->n + c->default_ulimits.n + 1) * sizeof(*all));
	size_t n = list->n;

	if (n > 0)
		memcpy(all, list->v, n * sizeof(*all));
	for (size_t i = 0; i < c->default_ulimits.n; i++)
		if (!has_ulimit(list, d[i].name))
			all[n++] = (struct ulimit){.name = arena_strdup(a, d[i].name),
						   .soft = d[i].soft,
						   .hard = d[i].hard};
	*list = (struct objs){all, n, list->set || n > 0};
}

static bool has_option(const struct strs *opts, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < opts->n; i++)
		if (strncmp(opts->v[i], name, n) == 0 &&
		    (!opts->v[i][n] || opts->v[i][n] == '=' || opts->v[i][n] == ':'))
			return true;
	return false;
}

static int security_defaults(struct host_config *h, const struct config *c, struct arena *a,
			     struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(ENGINE_TEXT_MAX);
	int rc;

	if (c->no_new_privileges > 0 && !has_option(&h->security_opt, "no-new-privileges"))
		strs_push(&h->security_opt, a, "no-new-privileges");
	if (h->privileged || strcmp(c->seccomp_profile, "builtin") == 0 ||
	    has_option(&h->security_opt, "seccomp"))
		return 0;
	if (strcmp(c->seccomp_profile, "unconfined") == 0) {
		strs_push(&h->security_opt, a, "seccomp=unconfined");
		return 0;
	}
	rc = fs_read_path(c->seccomp_profile, &text);
	if (rc < 0)
		return err_sys(e, rc, "open the default seccomp profile (%s)", c->seccomp_profile);
	strs_push(&h->security_opt, a, arena_printf(a, "seccomp=%s", buf_text(&text)));
	return 0;
}

int settings_defaults(const struct engine *g, struct host_config *h, struct arena *a, struct err *e)
{
	const struct config *c = g->config;

	log_default(&h->log_config, c, a);
	ulimit_defaults(&h->ulimits, c, a);
	if (h->shm_size == 0)
		h->shm_size = c->default_shm_size;
	if (strcmp(c->default_runtime, "coracle") != 0)
		text_default(&h->runtime, c->default_runtime, a);
	if (!h->privileged)
		text_default(&h->cgroupns_mode, c->default_cgroupns_mode, a);
	text_default(&h->ipc_mode, c->default_ipc_mode, a);
	text_default(&h->cgroup_parent, c->cgroup_parent, a);
	if (h->init == 0 && c->init > 0)
		h->init = 1;
	list_default(&h->dns, &c->dns, a);
	list_default(&h->dns_options, &c->dns_opts, a);
	list_default(&h->dns_search, &c->dns_search, a);
	return security_defaults(h, c, a, e);
}
