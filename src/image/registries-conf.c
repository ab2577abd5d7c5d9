/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common part of containers-registries.conf(5), version 2: [[registry]] with prefix, location,
 * insecure, blocked and mirrors; unqualified-search-registries and [aliases]. Drop-ins of
 * registries.conf.d come later and win.
 */
#include "image/sources-priv.h"

#include "base/mem.h"
#include "sys/fs.h"
#include "wire/toml.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DROP_INS_MAX 64

struct conf_file {
	const char *path;
	const struct toml *t;
};

struct conf {
	size_t n;
	struct conf_file v[DROP_INS_MAX + 1];
};

int config_bad(struct err *e, const char *path, const struct toml *at, const char *what)
{
	return err_set(e, ERR_SYSTEM, "%s:%u:%u: %s", path, at->line, at->column, what);
}

int config_file_read(const char *path, struct arena *a, const struct toml **ret, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(TOML_SIZE_MAX);
	struct toml *t;
	*ret = NULL;
	int rc = fs_read_path(path, &text);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	if (rc < 0)
		return err_sys(e, rc, "read %s", path);
	if (toml_parse(buf_text(&text), text.n, a, &t, e) < 0) {
		char what[ERR_TEXT_MAX];
		snprintf(what, sizeof(what), "%s", e->text);
		return err_set(e, ERR_SYSTEM, "%s:%s", path, what);
	}
	*ret = t;
	return 0;
}

int config_bool(const char *path, const struct toml *t, const char *key, bool *ret, struct err *e)
{
	const struct toml *m = toml_get(t, key);
	if (m && m->kind != TOML_BOOL)
		return config_bad(e, path, m, "this must be true or false");
	if (m)
		*ret = m->b;
	return 0;
}

int config_strs(const char *path, const struct toml *t, const char *key, struct arena *a,
		struct strs *ret, struct err *e)
{
	const struct toml *m = toml_get(t, key);
	if (!m)
		return 0;
	if (m->kind == TOML_STRING) {
		strs_push(ret, a, m->text);
		return 0;
	}
	if (m->kind != TOML_ARRAY)
		return config_bad(e, path, m, "this must be a text or a list of texts");
	for (const struct toml *i = m->first; i; i = i->next) {
		if (i->kind != TOML_STRING)
			return config_bad(e, path, i, "this must be a text");
		strs_push(ret, a, i->text);
	}
	return 0;
}

static int only_conf(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, ".conf");
}

static int add_file(struct conf *c, const char *path, struct arena *a, struct err *e)
{
	const struct toml *t;
	if (config_file_read(path, a, &t, e) < 0)
		return -1;
	if (!t)
		return 0;
	if (toml_get(t, "registries"))
		return config_bad(
			e, path, toml_get(t, "registries"),
			"version 1 of this format is not read any more; write [[registry]]");
	c->v[c->n++] = (struct conf_file){path, t};
	return 0;
}

static int read_folder(const char *dir, struct conf *c, struct arena *a, struct err *e)
{
	struct dirent **names = NULL;
	char *folder = arena_printf(a, "%s/registries.conf.d", dir);
	int rc = 0;
	c->n = 0;
	if (add_file(c, arena_printf(a, "%s/registries.conf", dir), a, e) < 0)
		return -1;
	int n = scandir(folder, &names, only_conf, alphasort);
	for (int i = 0; i < n; i++) {
		if (rc == 0 && c->n < ARRAY_SIZE(c->v))
			rc = add_file(c, arena_printf(a, "%s/%s", folder, names[i]->d_name), a, e);
		free(names[i]);
	}
	free(names);
	return rc;
}

/* The first folder that has such a file counts. */
static int read_conf(const struct image_service *s, struct conf *c, struct arena *a, struct err *e)
{
	c->n = 0;
	for (size_t i = 0; i < s->config_dirs.n && !c->n; i++)
		if (read_folder(s->config_dirs.v[i], c, a, e) < 0)
			return -1;
	return 0;
}

/* ---- rules ---- */

/* Length of the part of `name` (host/path[:tag][@digest]) that the prefix covers; 0: none. */
static size_t covers(const char *prefix, const char *name)
{
	size_t n = strlen(prefix);
	if (str_starts(prefix, "*.")) {
		size_t host = strcspn(name, "/");
		size_t tail = n - 1;
		return host > tail && !strncmp(name + host - tail, prefix + 1, tail) ? host : 0;
	}
	return n && !strncmp(name, prefix, n) && (!name[n] || strchr("/:@", name[n])) ? n : 0;
}

/* Location for the covered part, then the rest of the repository's name. */
static const char *rewrite(const char *location, size_t covered, const char *name, struct arena *a)
{
	return arena_printf(a, "%s%s", location, covered < strlen(name) ? name + covered : "");
}

static int add_mirrors(const struct conf_file *f, const struct toml *t, const struct image_ref *ref,
		       size_t covered, const char *name, struct arena *a, struct registry_rule *r,
		       struct err *e)
{
	const struct toml *list = toml_get(t, "mirror");
	bool digest_only = false, digest = digest_is_set(&ref->digest);
	if (config_bool(f->path, t, "mirror-by-digest-only", &digest_only, e) < 0)
		return -1;
	if (list && list->kind != TOML_ARRAY)
		return config_bad(e, f->path, list, "write [[registry.mirror]]");
	for (const struct toml *m = list ? list->first : NULL; m; m = m->next) {
		const char *location = toml_str(m, "location");
		const char *when = toml_str(m, "pull-from-mirror");
		bool insecure = false;
		if (!location || !*location)
			return config_bad(e, f->path, m, "a mirror needs a location");
		if (config_bool(f->path, m, "insecure", &insecure, e) < 0)
			return -1;
		if (when && strcmp(when, "all") && strcmp(when, "digest-only") &&
		    strcmp(when, "tag-only"))
			return config_bad(e, f->path, toml_get(m, "pull-from-mirror"),
					  "this is one of all, digest-only, tag-only");
		bool wanted = !when			     ? digest || !digest_only
			      : !strcmp(when, "digest-only") ? digest
			      : !strcmp(when, "tag-only")    ? !digest
							     : true;
		if (!wanted)
			continue;
		if (r->nmirrors == ARRAY_SIZE(r->mirrors))
			return config_bad(e, f->path, m, "too many mirrors");
		r->mirrors[r->nmirrors].location = rewrite(location, covered, name, a);
		r->mirrors[r->nmirrors++].insecure = insecure;
	}
	return 0;
}

static int use_rule(const struct conf_file *f, const struct toml *t, const struct image_ref *ref,
		    size_t covered, const char *name, struct arena *a, struct registry_rule *r,
		    struct err *e)
{
	const char *location = toml_str(t, "location");
	*r = (struct registry_rule){.file = f->path};
	if (config_bool(f->path, t, "blocked", &r->blocked, e) < 0 ||
	    config_bool(f->path, t, "insecure", &r->insecure, e) < 0)
		return -1;
	r->location = location && *location ? rewrite(location, covered, name, a) : name;
	return add_mirrors(f, t, ref, covered, name, a, r, e);
}

int registries_conf_rule(const struct image_service *s, const struct image_ref *ref,
			 struct arena *a, struct registry_rule *ret, struct err *e)
{
	struct conf *c = arena_alloc(a, sizeof(*c));
	const char *name = arena_printf(a, "%s/%s", ref->domain, ref->path);
	const char *full = arena_printf(a, "%s%s%s%s%s", name, ref->tag[0] ? ":" : "", ref->tag,
					digest_is_set(&ref->digest) ? "@" : "", ref->digest.text);
	size_t best = 0;
	*ret = (struct registry_rule){0};
	if (read_conf(s, c, a, e) < 0)
		return -1;
	for (size_t i = 0; i < c->n; i++) {
		const struct conf_file *f = &c->v[i];
		const struct toml *list = toml_get(f->t, "registry");
		if (list && list->kind != TOML_ARRAY)
			return config_bad(e, f->path, list, "write [[registry]]");
		for (const struct toml *t = list ? list->first : NULL; t; t = t->next) {
			const char *prefix = toml_str(t, "prefix");
			if (!prefix || !*prefix)
				prefix = toml_str(t, "location");
			if (!prefix || !*prefix)
				return config_bad(e, f->path, t,
						  "a registry needs a prefix or a location");
			size_t covered = covers(prefix, full), weight = strlen(prefix);
			if (!covered || weight < best)
				continue;
			best = weight;
			if (use_rule(f, t, ref, MIN(covered, strlen(name)), name, a, ret, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- short names ---- */

static void short_add(struct short_names *l, const struct image_ref *like, const char *name)
{
	struct err none = ERR_INIT;
	struct image_ref ref;
	if (l->n == ARRAY_SIZE(l->v) || image_ref_parse(name, &ref, &none) < 0)
		return;
	memcpy(ref.tag, like->tag, sizeof(ref.tag));
	ref.digest = like->digest;
	l->v[l->n++] = ref;
}

/* Is there a host in front of the name? As image_ref_parse() decides it. */
static bool has_host(const char *text)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : 0;
	return n && (memchr(text, '.', n) || memchr(text, ':', n) ||
		     (n == 9 && str_starts(text, "localhost")));
}

int short_names_find(const struct image_service *s, const char *text, const struct image_ref *ref,
		     struct short_names *ret, struct err *e)
{
	*ret = (struct short_names){0};
	/* Only our own folder: the host's aliases are another engine's idea of what names mean. */
	if (s->config_dirs.n && !has_host(text)) {
		AUTO(arena) struct arena *a = arena_new();
		struct conf *c = arena_alloc(a, sizeof(*c));
		size_t n = strcspn(text, ":@");
		const char *name = arena_strndup(a, text, n), *alias = NULL;
		struct strs search = {0};
		if (read_folder(s->config_dirs.v[0], c, a, e) < 0)
			return -1;
		for (size_t i = 0; i < c->n; i++) {
			const char *found = toml_str(toml_get(c->v[i].t, "aliases"), name);
			if (found)
				alias = found;
			if (toml_get(c->v[i].t, "unqualified-search-registries"))
				search.n = 0;
			if (config_strs(c->v[i].path, c->v[i].t, "unqualified-search-registries", a,
					&search, e) < 0)
				return -1;
		}
		if (alias && *alias) {
			short_add(ret, ref, alias);
			search.n = ret->n ? 0 : search.n;
		}
		for (size_t i = 0; i < search.n; i++) {
			/* docker.io keeps its official images below library/. */
			bool hub = !strcmp(search.v[i], IMAGE_REF_HUB);
			short_add(ret, ref,
				  hub ? name : arena_printf(a, "%s/%s", search.v[i], name));
		}
	}
	if (!ret->n)
		ret->v[ret->n++] = *ref;
	return 0;
}
