/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration inside the engine: taking over a new one, and what it means to others. */
#include "engine/engine-priv.h"

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
