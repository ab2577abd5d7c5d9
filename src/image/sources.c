/* SPDX-License-Identifier: Apache-2.0 */
/* See sources-priv.h: registries.conf decides first, then each host's own folder. */
#include "image/sources-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define HUB_HOST "registry-1.docker.io"

void sources_free(struct sources *s)
{
	arena_free(s->arena);
	free(s);
}

int sources_add(struct sources *s, const struct source *v, struct err *e)
{
	if (s->n == SOURCES_MAX)
		return err_set(e, ERR_SYSTEM, "more than %d hosts to pull from", SOURCES_MAX - 1);
	s->v[s->n++] = *v;
	return 0;
}

/* "host[:port]/repo" to a source; how to speak to it follows from the host. */
static int plain_source(const struct image_service *s, const char *location, bool insecure,
			struct arena *a, struct source *ret, struct err *e)
{
	size_t n = strcspn(location, "/");
	struct source v = {.path = "/v2", .resolve = true, .pull = true, .push = true};
	if (!n || strpbrk(location, " \t\r\n?#@\"\\") || strstr(location, "://"))
		return err_set(e, ERR_SYSTEM, "invalid location of a registry: \"%.300s\"",
			       location);
	v.host = arena_strndup(a, location, n);
	v.repo = location[n] ? location + n + 1 : "";
	if (host_certificates(s, v.host, a, &v, e) < 0)
		return -1;
	bool open = insecure || service_insecure(s, v.host);
	v.scheme = open ? SOURCE_EITHER : SOURCE_TLS;
	/* Somebody who put an authority there wants it to be asked, loopback or not. */
	v.skip_verify = open && !v.ca;
	if (!strcmp(v.host, IMAGE_REF_HUB))
		v.host = HUB_HOST;
	*ret = v;
	return 0;
}

/* daemon.json's registry-mirrors: URLs that mirror Docker Hub. */
static int add_hub_mirrors(const struct image_service *s, struct sources *out, const char *repo,
			   struct err *e)
{
	for (size_t i = 0; i < s->settings.mirrors.n; i++) {
		const char *url = s->settings.mirrors.v[i], *host = strstr(url, "://");
		struct source v;
		host = host ? host + 3 : url;
		size_t n = strlen(host);
		while (n && host[n - 1] == '/')
			n--;
		const char *location = arena_strndup(out->arena, host, n);
		if (plain_source(s, location, false, out->arena, &v, e) < 0)
			return err_wrap(e, "registry mirror \"%.300s\"", url);
		if (*v.repo)
			v.path = arena_printf(out->arena, "/%s/v2", v.repo);
		v.repo = repo;
		v.push = false;
		if (str_starts(url, "http://"))
			v.scheme = SOURCE_PLAIN;
		else if (str_starts(url, "https://"))
			v.scheme = SOURCE_TLS;
		if (sources_add(out, &v, e) < 0)
			return -1;
	}
	return 0;
}

static int add_all(const struct image_service *s, const struct image_ref *ref, struct sources *out,
		   struct err *e)
{
	struct registry_rule *rule = arena_alloc(out->arena, sizeof(*rule));
	struct source v;
	const char *own = arena_printf(out->arena, "%s/%s", ref->domain, ref->path);
	if (registries_conf_rule(s, ref, out->arena, rule, e) < 0)
		return -1;
	if (rule->blocked)
		return err_set(e, ERR_DENIED, "registry %s is blocked by %s", ref->domain,
			       rule->file);
	for (size_t i = 0; i < rule->nmirrors; i++) {
		if (plain_source(s, rule->mirrors[i].location, rule->mirrors[i].insecure,
				 out->arena, &v, e) < 0)
			return err_wrap(e, "%s", rule->file);
		v.origin = !strcmp(v.host, ref->domain);
		v.push = false;
		if (sources_add(out, &v, e) < 0)
			return err_wrap(e, "%s", rule->file);
	}
	if (!strcmp(ref->domain, IMAGE_REF_HUB) && add_hub_mirrors(s, out, ref->path, e) < 0)
		return -1;
	if (plain_source(s, rule->location ? rule->location : own, rule->insecure, out->arena, &v,
			 e) < 0)
		return rule->file ? err_wrap(e, "%s", rule->file) : -1;
	v.origin = true;
	v.ns = ref->domain;
	if (hosts_toml_apply(s, &v, out, e) < 0)
		return -1;
	out->v[out->n - 1].ns = NULL;
	return 0;
}

int sources_find(const struct image_service *s, const struct image_ref *ref, struct sources **ret,
		 struct err *e)
{
	AUTO(sources) struct sources *out = NEW(struct sources);
	out->arena = arena_new();
	if (add_all(s, ref, out, e) < 0)
		return -1;
	*ret = TAKE_PTR(out);
	return 0;
}
